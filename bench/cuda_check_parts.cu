/* Products, AES and latencies of bench_cuda_check. */
#include "bench/cuda_lab.cuh"

#include <cuda.h>
#include <stdlib.h>
extern "C" {
#include "base/clock.h"
}

namespace bench_cuda {

/* ---- products ---- */

static void check_int8(struct lab *lab, size_t rows, size_t outs, size_t inner)
{
    char what[64];
    lab->call.queue->work_used = 0;
    int8_t *a = (int8_t *)call_room(&lab->call, rows * inner), *w = (int8_t *)call_room(&lab->call, outs * inner);
    int32_t *c = (int32_t *)call_room(&lab->call, 4 * rows * outs);
    lab_fill(lab, a, rows * inner);
    lab_fill(lab, w, outs * inner);
    double seconds = lab_seconds(lab, [&] { library_product(&lab->call, c, a, inner, rows, w, inner, outs, inner); });
    snprintf(what, sizeof what, "cuBLASLt int8, %zu x %zu x %zu", rows, outs, inner);
    lab_print(lab, what, 1e-12 * (double)rows * (double)outs * (double)inner / seconds, "Tmac/s", rows >= 512 ? 740 : 0);
}

static __global__ void differ_kernel(unsigned *differ, const uint64_t *y, const uint64_t *other, size_t count)
{
    for (size_t i = thread_number(); i < count; i += (size_t)gridDim.x * blockDim.x)
        if (y[i] != other[i])
            atomicAdd(differ, 1u);
}

/* How many results differ, for the host. */
static unsigned differing(struct lab *lab, const uint64_t *y, const uint64_t *other, size_t count)
{
    unsigned result = ~0u, *differ = (unsigned *)call_out_kept(&lab->call, &result, sizeof result);
    CUDA(&lab->call, cudaMemsetAsync(differ, 0, sizeof *differ, lab->call.queue->stream));
    LAUNCH(&lab->call, differ_kernel, dim3(1024), 256, 0, differ, y, other, count);
    call_flush(&lab->call);
    return result;
}

/* All ways on the same operands, limbs of activations made anew each time, against native words four rows at a time. */
static void check_limbs(struct lab *lab, enum kern_word word, const char *name, size_t rows, double plan)
{
    static const char *const names[WAYS] = {"mma", "wgmma", "cuBLASLt"};
    const size_t outs = 4096, inner = 4096;
    size_t limbs = (size_t)kern_limb_count(word), bytes = kern_word_bytes(word), a_bytes = activation_bytes(word), plane = plane_bytes(inner);
    double macs = 1e-12 * (double)rows * (double)outs * (double)inner;
    char what[64];
    struct call *call = &lab->call;
    call->queue->work_used = 0;
    uint8_t *w = (uint8_t *)call_room(call, outs * inner * bytes), *a = (uint8_t *)call_room(call, rows * inner * a_bytes);
    int8_t *w_limbs = (int8_t *)call_room(call, outs * limbs * plane), *a_limbs = (int8_t *)call_room(call, rows * limbs * plane);
    uint64_t *y = (uint64_t *)call_room(call, 8 * rows * outs), *native = (uint64_t *)call_room(call, 8 * rows * outs);
    int32_t *sums = (int32_t *)call_room(call, 4 * limbs * rows * outs);
    lab_fill(lab, w, outs * inner * bytes);
    lab_fill(lab, a, rows * inner * a_bytes);
    split_rows(call, w_limbs, word, true, w, inner * bytes, bytes, outs, inner);
    double seconds = lab_seconds(lab, [&] {
        for (size_t r = 0; r < rows; r += FEW_ROWS)
            few_rows(call, word, native + r * outs, outs, a + r * inner * a_bytes, inner, FEW_ROWS, w, inner * bytes, outs, inner);
    });
    snprintf(what, sizeof what, "%s-bit words, %zu rows, native", name, rows);
    lab_print(lab, what, macs / seconds, "Tmac/s", 0);
    for (int way = 0; way < WAYS; way++) {
        struct limb_product p = {y, outs, a_limbs, rows, w_limbs, outs, plane, (int)limbs, kern_ring_mask(8 * (int)limbs)};
        if (!way_offered(call->device, way))
            continue;
        seconds = lab_seconds(lab, [&] {
            split_rows(call, a_limbs, word, false, a, inner * a_bytes, a_bytes, rows, inner);
            if (way == WAY_MMA)
                mma_product(call, &p);
            else if (way == WAY_WGMMA)
                wgmma_product(call, &p);
            else
                library_limb_product(call, &p, sums);
        });
        snprintf(what, sizeof what, "%s-bit words, %zu rows, limbs by %s", name, rows, names[way]);
        lab_print(lab, what, macs / seconds, "Tmac/s", way == WAY_MMA || rows < 512 ? 0 : plan);
        /* Native sums have bits above a word of 48. */
        unsigned differ = word == KERN_WORD_48 ? 0 : differing(lab, y, native, rows * outs);
        if (call->status == BASE_OK && differ != 0)
            call->status = base_fail(call->error, BASE_ERR_MISMATCH, "%s: %u of %zu results differ from native words", what, differ, rows * outs);
    }
}

void check_products(struct lab *lab)
{
    static const size_t rows[] = {64, 512, 2048};
    printf("products of many rows, random data, 4096 x 4096:\n");
    for (size_t i = 0; i < 3 && lab->call.device->library != NULL; i++) {
        check_int8(lab, rows[i], 4096, 4096);
        check_int8(lab, rows[i], 11008, 4096);
        check_int8(lab, rows[i], 4096, 11008);
    }
    for (size_t i = 0; i < 3; i++) {
        check_limbs(lab, KERN_WORD_64, "64", rows[i], 20);
        check_limbs(lab, KERN_WORD_48, "48", rows[i], 35);
        check_limbs(lab, KERN_WORD_32, "32", rows[i], 74);
    }
}

/* ---- AES ---- */

/* Best of three on the host's clock: copies over PCIe are part of what a caller waits for. */
template <typename F> static double best_of(F run)
{
    double best = 1e30;
    for (int i = 0; i < 4; i++) {
        double start = base_clock_seconds();
        run();
        double spent = base_clock_seconds() - start;
        best = i > 0 && spent < best ? spent : best;
    }
    return best;
}

/* 4096 keys of 2^12 points and one group: about three AES blocks a leaf, of which only one sum for each key leaves the device. */
static void check_trees(struct lab *lab)
{
    enum { KEYS = 4096, BITS = 12, NU = 1, LEVELS = BITS - NU };
    size_t bit_size = kern_bit_words_size(LEVELS), bytes = (size_t)KEYS * (16 * (LEVELS + 2) + bit_size + 8 * 2 + 16);
    uint8_t *words = (uint8_t *)calloc(bytes, 1);
    uint64_t *table = (uint64_t *)calloc((size_t)1 << BITS, 8), *m = (uint64_t *)calloc(KEYS, 8), *out = (uint64_t *)calloc(KEYS, 8);
    struct kern_dpf_keys keys = {{BITS, NU, 1, {64}}, KEYS, words, words, (uint64_t *)(void *)words};
    struct kern_gate_keys gate = {&keys, 0, words, 0, KEYS, m};
    struct kern_product row = {};
    row.word = KERN_WORD_64;
    row.w = table;
    row.w_stride = sizeof *table << BITS;
    row.outs = 1;
    row.inner = (size_t)1 << BITS;
    struct call *call = &lab->call;
    if (words == NULL || table == NULL || m == NULL || out == NULL)
        call->status = base_fail(call->error, BASE_ERR_MEMORY, "no memory for %d keys", (int)KEYS);
    double seconds = best_of([&] {
        if (call->status == BASE_OK)
            call->status = gate_grid(call->device, &gate, &row, 0, out, false, call->error);
    });
    lab_print(lab, "AES blocks in trees and their sums", 1e-9 * KEYS * 3.0 * (1 << LEVELS) / seconds, "G/s", 0);
    free(words);
    free(table);
    free(m);
    free(out);
}

void check_keys(struct lab *lab)
{
    const size_t bytes = (size_t)256 << 20;
    struct call *call = &lab->call;
    struct kern_aes_key key = {};
    uint8_t *out = (uint8_t *)malloc(bytes);
    if (out == NULL)
        call->status = base_fail(call->error, BASE_ERR_MEMORY, "no memory for a stream of %zu bytes", bytes);
    printf("AES, bitsliced:\n");
    double seconds = best_of([&] {
        if (call->status == BASE_OK)
            call->status = prg(call->device, &key, 1, 0, out, bytes, ~UINT64_C(0), false, call->error);
    });
    lab_print(lab, "a stream, with its way to the host", 1e-9 * (double)bytes / seconds, "GB/s", 0);
    check_trees(lab);
    free(out);
}

/* ---- latencies ---- */

static __global__ void nothing_kernel()
{
}

/* Answers each number that the host writes, or all up to a larger one. */
static __global__ void answer_kernel(volatile uint32_t *flags, uint32_t times)
{
    for (uint32_t i = 1; i <= times; i++) {
        while (flags[0] < i)
            ;
        flags[16] = i;
        __threadfence_system();
    }
}

enum { TIMES = 2000 };

static void check_graph(struct lab *lab)
{
    struct call *call = &lab->call;
    cudaStream_t stream = call->queue->stream;
    cudaGraph_t graph = NULL;
    cudaGraphExec_t ready = NULL;
    CUDA(call, cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    LAUNCH(call, nothing_kernel, dim3(1), 32, 0);
    CUDA(call, cudaStreamEndCapture(stream, &graph));
    CUDA(call, cudaGraphInstantiate(&ready, graph, 0));
    double seconds = best_of([&] {
        for (int i = 0; i < TIMES; i++) {
            CUDA(call, cudaGraphLaunch(ready, stream));
            CUDA(call, cudaStreamSynchronize(stream));
        }
    });
    lab_print(lab, "a graph of one empty kernel, and waiting for it", 1e6 * seconds / TIMES, "us", 0);
    if (ready != NULL)
        CUDA_GIVE_BACK(cudaGraphExecDestroy(ready));
    if (graph != NULL)
        CUDA_GIVE_BACK(cudaGraphDestroy(graph));
}

/* Waits until the flag has the value; false after a second, on a device that does not answer. */
static bool await(volatile uint32_t *flag, uint32_t value)
{
    double until = base_clock_seconds() + 1;
    while (*flag != value)
        if (base_clock_seconds() > until)
            return false;
    return true;
}

/* The host writes a number into mapped memory and waits for it to come back: from a kernel that looks all the time, or by the stream's
 * own waits and writes. */
static void check_flags(struct lab *lab)
{
    typedef CUresult (*flag_fn)(CUstream, CUdeviceptr, cuuint32_t, unsigned);
    struct call *call = &lab->call;
    cudaStream_t stream = call->queue->stream;
    volatile uint32_t *flags = NULL;
    void *there = NULL, *wait = NULL, *write = NULL;
    cudaDriverEntryPointQueryResult found;
    bool answered = true;
    CUDA(call, cudaHostAlloc((void **)(uintptr_t)&flags, 4096, cudaHostAllocMapped));
    CUDA(call, cudaHostGetDevicePointer(&there, (void *)(uintptr_t)flags, 0));
    CUDA(call, cudaGetDriverEntryPointByVersion("cuStreamWaitValue32", &wait, 12000, cudaEnableDefault, &found));
    CUDA(call, cudaGetDriverEntryPointByVersion("cuStreamWriteValue32", &write, 12000, cudaEnableDefault, &found));
    if (call->status == BASE_OK) {
        flags[0] = flags[16] = 0;
        LAUNCH(call, answer_kernel, dim3(1), 1, 0, (volatile uint32_t *)there, TIMES);
        double start = base_clock_seconds();
        for (uint32_t i = 1; i <= TIMES && answered; i++) {
            flags[0] = i;
            answered = await(&flags[16], i);
        }
        lab_print(lab, "a flag in mapped memory, there and back", 1e6 * (base_clock_seconds() - start) / TIMES, "us", 0);
        flags[0] = TIMES; /* lets the kernel end, whatever happened */
        CUDA(call, cudaStreamSynchronize(stream));
    }
    if (call->status == BASE_OK && answered && wait != NULL && write != NULL) {
        flags[0] = flags[16] = 0;
        double start = base_clock_seconds();
        for (uint32_t i = 1; i <= TIMES && answered; i++) {
            CUresult queued = ((flag_fn)wait)(stream, (CUdeviceptr)there, i, CU_STREAM_WAIT_VALUE_GEQ);
            if (queued == CUDA_SUCCESS)
                queued = ((flag_fn)write)(stream, (CUdeviceptr)((uint8_t *)there + 64), i, CU_STREAM_WRITE_VALUE_DEFAULT);
            flags[0] = i;
            answered = queued == CUDA_SUCCESS && await(&flags[16], i);
        }
        lab_print(lab, "the same by the stream's waits and writes", 1e6 * (base_clock_seconds() - start) / TIMES, "us", 0);
        CUDA(call, cudaStreamSynchronize(stream));
    }
    if (!answered)
        call->status = base_fail(call->error, BASE_ERR_TIMEOUT, "a flag in mapped memory was not answered within a second");
    if (flags != NULL)
        CUDA_GIVE_BACK(cudaFreeHost((void *)(uintptr_t)flags));
}

void check_latency(struct lab *lab)
{
    printf("latencies:\n");
    check_graph(lab);
    check_flags(lab);
}

}
