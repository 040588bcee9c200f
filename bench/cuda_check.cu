/* The list of what is measured first on a GPU: instructions, memory, products, AES, latencies. Plans are those for an H200: a rate that is missed
 * by more than a quarter is marked, because the choice of kernels rests on it. */
#include "bench/cuda_check.h"
#include "bench/cuda_lab.cuh"

namespace bench_cuda {

bool lab_open(struct lab *lab, struct device *device, struct base_error *error)
{
    *lab = {call_begin(device, error), NULL, NULL};
    CUDA(&lab->call, cudaEventCreate(&lab->start));
    CUDA(&lab->call, cudaEventCreate(&lab->end));
    return lab->call.status == BASE_OK;
}

void lab_close(struct lab *lab)
{
    if (lab->start != NULL)
        CUDA_GIVE_BACK(cudaEventDestroy(lab->start));
    if (lab->end != NULL)
        CUDA_GIVE_BACK(cudaEventDestroy(lab->end));
    call_end(&lab->call);
}

void lab_print(const struct lab *lab, const char *what, double value, const char *unit, double plan)
{
    if (lab->call.status != BASE_OK)
        return;
    printf("  %-46s %10.3f %-8s", what, value, unit);
    if (plan > 0)
        printf(" plan %.3f%s", plan, value < 0.75 * plan ? ", MISSED" : value > 1.25 * plan ? ", better" : "");
    printf("\n");
    fflush(stdout);
}

/* Test data alone: a mixing function of the index. */
static __global__ void fill_kernel(uint64_t *out, size_t count)
{
    for (size_t i = thread_number(); i < count; i += (size_t)gridDim.x * blockDim.x) {
        uint64_t x = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
        x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
        out[i] = x ^ x >> 31;
    }
}

void lab_fill(struct lab *lab, void *memory, size_t bytes)
{
    LAUNCH(&lab->call, fill_kernel, dim3(4096), 256, 0, (uint64_t *)memory, bytes / 8);
}

/* ---- instructions ---- */

enum { CHAINS = 8, ROUNDS = 4096 };
enum coding { NARROW, WIDE_NARROW, WORD_IN_C, WORD_SPLIT };

template <int CODING> static __global__ void instruction_kernel(uint64_t *out, uint32_t a, uint64_t b)
{
    uint64_t sum[CHAINS] = {};
    uint32_t mixed[CHAINS] = {};
    for (int i = 0; i < ROUNDS; i++) {
#pragma unroll
        for (int c = 0; c < CHAINS; c++) {
            uint64_t x = sum[c] + a; /* so that no factor is known */
            if (CODING == NARROW)
                asm volatile("mad.lo.u32 %0, %0, %1, %2;" : "+r"(mixed[c]) : "r"(a), "r"((uint32_t)b));
            if (CODING == WIDE_NARROW)
                asm volatile("mad.wide.u32 %0, %1, %2, %0;" : "+l"(sum[c]) : "r"(a), "r"((uint32_t)b));
            if (CODING == WORD_IN_C)
                sum[c] += x * b;
            if (CODING == WORD_SPLIT) {
                asm volatile("mad.wide.u32 %0, %1, %2, %0;" : "+l"(sum[c]) : "r"(a), "r"((uint32_t)b));
                asm volatile("mad.lo.u32 %0, %1, %2, %0;" : "+r"(mixed[c]) : "r"(a), "r"((uint32_t)(b >> 32)));
                asm volatile("mad.lo.u32 %0, %1, %2, %0;" : "+r"(mixed[c]) : "r"((uint32_t)(b >> 32)), "r"((uint32_t)b));
            }
        }
    }
    uint64_t all = 0;
    for (int c = 0; c < CHAINS; c++)
        all += sum[c] + mixed[c];
    out[thread_number()] = all;
}

template <int CODING> static double instruction_rate(struct lab *lab)
{
    unsigned blocks = 16 * (unsigned)lab->call.device->processors, threads = 256;
    lab->call.queue->work_used = 0;
    uint64_t *out = (uint64_t *)call_room(&lab->call, 8 * (size_t)blocks * threads);
    double seconds = lab_seconds(lab, [&] { LAUNCH(&lab->call, instruction_kernel<CODING>, dim3(blocks), threads, 0, out, 12345, UINT64_C(0x123456789abcdef1)); });
    return 1e-12 * blocks * threads * (double)CHAINS * ROUNDS / seconds;
}

void check_instructions(struct lab *lab)
{
    printf("instructions:\n");
    lab_print(lab, "mad.lo.u32", instruction_rate<NARROW>(lab), "T/s", 15.5);
    lab_print(lab, "mad.wide.u32", instruction_rate<WIDE_NARROW>(lab), "T/s", 0);
    lab_print(lab, "c += a b mod 2^64, as the compiler does it", instruction_rate<WORD_IN_C>(lab), "T/s", 3.1);
    lab_print(lab, "c += a b mod 2^64, in two sums", instruction_rate<WORD_SPLIT>(lab), "T/s", 5.2);
}

/* ---- memory ---- */

static __global__ void read_kernel(uint32_t *out, const uint4 *in, size_t count)
{
    uint32_t all = 0;
    for (size_t i = thread_number(); i < count; i += (size_t)gridDim.x * blockDim.x) {
        uint4 v = __ldcs(in + i);
        all ^= v.x ^ v.y ^ v.z ^ v.w;
    }
    if (all == 0x12345678) /* nearly never, but the compiler cannot know */
        *out = all;
}

static void check_gemv(struct lab *lab, enum kern_word word, const char *name, size_t rows, const uint8_t *w, size_t bytes, void *a, uint64_t *y)
{
    const size_t inner = 4096;
    size_t stride = inner * kern_word_bytes(word), outs = bytes / stride;
    char what[64];
    double seconds = lab_seconds(lab, [&] { few_rows(&lab->call, word, y, outs, a, inner, rows, w, stride, outs, inner); });
    snprintf(what, sizeof what, "products of %zu row%s, %s-bit words", rows, rows == 1 ? "" : "s", name);
    lab_print(lab, what, 1e-9 * (double)(outs * stride) / seconds, "GB/s", 0.85 * 4300);
}

void check_memory(struct lab *lab)
{
    const size_t bytes = (size_t)2 << 30;
    printf("memory, 2 GiB:\n");
    lab->call.queue->work_used = 0;
    uint8_t *w = (uint8_t *)call_room(&lab->call, bytes), *a = (uint8_t *)call_room(&lab->call, 4 * 8 * 4096);
    uint64_t *y = (uint64_t *)call_room(&lab->call, bytes / 4096 * 8);
    lab_fill(lab, w, bytes);
    lab_fill(lab, a, 4 * 8 * 4096);
    double seconds = lab_seconds(lab, [&] {
        LAUNCH(&lab->call, read_kernel, dim3(32 * (unsigned)lab->call.device->processors), 256, 0, (uint32_t *)y, (const uint4 *)w, bytes / 16);
    });
    lab_print(lab, "reading alone", 1e-9 * (double)bytes / seconds, "GB/s", 4300);
    for (size_t rows = 1; rows <= 4; rows *= 2) {
        check_gemv(lab, KERN_WORD_64, "64", rows, w, bytes, a, y);
        check_gemv(lab, KERN_WORD_48, "48", rows, w, bytes, a, y);
        check_gemv(lab, KERN_WORD_32, "32", rows, w, bytes, a, y);
    }
}

}

enum base_status bench_cuda_check(int index, struct base_error *error)
{
    void *device = NULL;
    struct bench_cuda::lab lab;
    enum base_status status = bench_cuda::device_open(&device, index, (size_t)5 << 30, error);
    if (status != BASE_OK)
        return status;
    if (bench_cuda::lab_open(&lab, (struct bench_cuda::device *)device, error)) {
        check_instructions(&lab);
        check_memory(&lab);
        check_products(&lab);
        check_keys(&lab);
        check_latency(&lab);
    }
    status = lab.call.status;
    bench_cuda::lab_close(&lab);
    bench_cuda::device_close(device);
    return status;
}
