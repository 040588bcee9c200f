/* Wire words, the rounding shift, and dot. */
#include "kernels/cuda/slots.cuh"
#include "kernels/cuda/sum.cuh"

namespace KERN_CUDA_NAMESPACE {

enum { ELEMENT_THREADS = 256 };

/* 64 bits of the output to a thread, from the words that lie in them. */
static __global__ void pack_kernel(uint64_t *out, size_t outs, const uint64_t *in, size_t count, int ring, uint64_t mask)
{
    size_t at = thread_number();
    if (at >= outs)
        return;
    size_t bit = 64 * at, i = bit / (size_t)ring;
    uint64_t word = 0;
    if (i < count)
        word = (in[i] & mask) >> (bit - i * (size_t)ring);
    for (i++; i < count && i * (size_t)ring < bit + 64; i++)
        word |= (in[i] & mask) << (i * (size_t)ring - bit);
    out[at] = word;
}

enum base_status pack_bits(void *device, uint8_t *out, const uint64_t *in, size_t count, int ring, bool later, struct base_error *error)
{
    struct call call = call_begin((struct device *)device, error);
    size_t bytes = (count * (size_t)ring + 7) / 8, words = (bytes + 7) / 8;
    const uint64_t *from = call_in(&call, in, count);
    uint64_t *to = (uint64_t *)call_out_bytes(&call, out, bytes); /* whose room ends at whole words */
    LAUNCH(&call, pack_kernel, cover(words, ELEMENT_THREADS), ELEMENT_THREADS, 0, to, words, from, count, ring, kern_ring_mask(ring));
    return later ? call_leave(&call) : call_end(&call);
}

/* `in` has eight bytes more than its words need. */
static __global__ void unpack_kernel(uint64_t *out, const uint64_t *in, size_t count, int ring, uint64_t mask, bool add)
{
    size_t i = thread_number();
    if (i >= count)
        return;
    size_t bit = i * (size_t)ring;
    int by = (int)(bit % 64);
    uint64_t word = in[bit / 64] >> by | in[bit / 64 + 1] << 1 << (63 - by);
    out[i] = ((add ? out[i] : 0) + word) & mask;
}

enum base_status unpack(void *device, uint64_t *out, const uint8_t *in, size_t count, int ring, bool add, bool later, struct base_error *error)
{
    struct call call = call_begin((struct device *)device, error);
    const uint64_t *from = (const uint64_t *)call_in_bytes(&call, in, (count * (size_t)ring + 7) / 8);
    uint64_t *to = add ? (uint64_t *)call_out_kept(&call, out, 8 * count) : call_out(&call, out, count);
    if (add && later)
        call_whole(&call);
    if (add)
        call_upload_rows(&call, to, 8 * count, out, 8 * count, 8 * count, 1);
    LAUNCH(&call, unpack_kernel, cover(count, ELEMENT_THREADS), ELEMENT_THREADS, 0, to, from, count, ring, kern_ring_mask(ring), add);
    return later ? call_leave(&call) : call_end(&call);
}

static __global__ void round_kernel(uint64_t *z, const uint64_t *x, size_t count, uint64_t in_mask, uint64_t out_mask, int f)
{
    size_t i = thread_number();
    if (i >= count)
        return;
    uint64_t word = x[i] & in_mask, half = f == 0 ? word << 1 : word >> (f - 1);
    z[i] = f == 0 ? word : ((half >> 1) + (half & 1)) & out_mask;
}

enum base_status round_shift(void *device, uint64_t *z, const uint64_t *x, size_t count, int ring, int f, struct base_error *error)
{
    struct call call = call_begin((struct device *)device, error);
    const uint64_t *from = call_in(&call, x, count);
    uint64_t *to = call_out(&call, z, count);
    LAUNCH(&call, round_kernel, cover(count, ELEMENT_THREADS), ELEMENT_THREADS, 0, to, from, count, kern_ring_mask(ring), kern_ring_mask(ring - f), f);
    return call_end(&call);
}

static __global__ void dot_kernel(unsigned long long *sum, const uint64_t *a, const uint64_t *b, size_t count)
{
    uint64_t part = 0;
    for (size_t i = thread_number(); i < count; i += (size_t)gridDim.x * blockDim.x)
        part += a[i] * b[i];
    part = block_sum(part);
    if (threadIdx.x == 0)
        atomicAdd(sum, (unsigned long long)part);
}

enum base_status dot(void *device, uint64_t *ret, const uint64_t *a, const uint64_t *b, size_t count, struct base_error *error)
{
    struct call call = call_begin((struct device *)device, error);
    const uint64_t *left = call_in(&call, a, count), *right = call_in(&call, b, count);
    unsigned long long *sum = (unsigned long long *)call_out_kept(&call, ret, sizeof *ret);
    dim3 grid = cover(count, 4 * SUM_THREADS);
    CUDA(&call, cudaMemsetAsync(sum, 0, sizeof *sum, call.queue->stream));
    LAUNCH(&call, dot_kernel, grid, SUM_THREADS, 0, sum, left, right, count);
    return call_end(&call);
}

}
