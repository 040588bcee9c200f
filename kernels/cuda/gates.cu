/* What gates do with dealt words: sums over tables and segments, turns, powers, rows added up. */
#include "kernels/cuda/gates.cuh"
#include "kernels/cuda/products.cuh"
#include "kernels/cuda/slots.cuh"
#include "kernels/cuda/sum.cuh"
extern "C" {
#include "kernels/scalar/power.h"
}

namespace KERN_CUDA_NAMESPACE {

enum { GATE_THREADS = 128, ROWS_AT_ONCE = 4 };

/* One block to a sum: group blockIdx.x of key blockIdx.y. */
static __global__ void grid_kernel(uint64_t *out, const uint64_t *hot, const uint64_t *table, const uint64_t *m, int h, int s)
{
    size_t at = (size_t)blockIdx.y * gridDim.x + blockIdx.x, mask = ((size_t)1 << (h + s)) - 1;
    uint64_t from = m[blockIdx.y], part = 0;
    for (size_t pos = threadIdx.x; pos < (size_t)1 << h; pos += SUM_THREADS)
        part += hot[(at << h) + pos] * table[(from - (pos << s)) & mask];
    part = block_sum(part);
    if (threadIdx.x == 0)
        out[at] = part;
}

void grid_sums(struct call *call, uint64_t *out, const uint64_t *hot, const uint64_t *table, const uint64_t *m, int h, int s, size_t keys,
               size_t groups)
{
    dim3 grid((unsigned)groups, (unsigned)keys, 1);
    LAUNCH(call, grid_kernel, grid, SUM_THREADS, 0, out, hot, table, m, h, s);
}

enum base_status grid_dot(void *device, uint64_t *ret, const uint64_t *hot, const uint64_t *table, uint64_t m, int h, int s,
                          struct base_error *error)
{
    struct call call = call_begin((struct device *)device, error);
    const uint64_t *words = call_in(&call, hot, (size_t)1 << h), *entries = call_in(&call, table, (size_t)1 << (h + s));
    const uint64_t *at = call_in(&call, &m, 1);
    uint64_t *sum = call_out(&call, ret, 1);
    grid_sums(&call, sum, words, entries, at, h, s, 1, 1);
    return call_end(&call);
}

/* One block to a sum: triple blockIdx.x of key blockIdx.y. */
static __global__ void segment_kernel(uint64_t *out, const uint64_t *hot, const uint64_t *c, size_t run, const uint64_t *m, int s, size_t cells)
{
    size_t at = (size_t)blockIdx.y * gridDim.x + blockIdx.x;
    const uint64_t *h = hot + 3 * at * cells;
    uint64_t x = m[blockIdx.y], part = 0;
    if (s < 64) {
        c += cells - (x >> s);
        x &= ((uint64_t)1 << s) - 1;
    }
    for (size_t i = threadIdx.x; i < cells; i += SUM_THREADS) {
        uint64_t c2 = c[2 * run + i], slope = c[run + i] + x * c2;
        part += h[i] * (c[i] + x * slope) - h[cells + i] * (slope + x * c2) + h[2 * cells + i] * c2;
    }
    part = block_sum(part);
    if (threadIdx.x == 0)
        out[at] = part;
}

void segment_sums(struct call *call, uint64_t *out, const uint64_t *hot, const uint64_t *c, const uint64_t *m, int s, size_t cells, size_t keys,
                  size_t triples)
{
    dim3 grid((unsigned)triples, (unsigned)keys, 1);
    LAUNCH(call, segment_kernel, grid, SUM_THREADS, 0, out, hot, c, s < 64 ? 2 * cells : cells, m, s, cells);
}

const uint64_t *row_of_words(struct call *call, const struct kern_product *table)
{
    const struct placed *placed = (const struct placed *)table->placed;
    if (placed != NULL)
        return (const uint64_t *)placed->words;
    return call_in(call, (const uint64_t *)table->w, table->inner);
}

enum base_status segment_dot(void *device, uint64_t *ret, const uint64_t *hot, const uint64_t *const c[3], uint64_t j, size_t cells,
                             int triples, struct base_error *error)
{
    struct call call = call_begin((struct device *)device, error);
    const uint64_t *words = call_in(&call, hot, 3 * (size_t)triples * cells), *at = call_in(&call, &j, 1);
    uint64_t *table = (uint64_t *)call_room(&call, 3 * 8 * cells);
    for (size_t i = 0; i < 3; i++)
        call_upload_rows(&call, table + i * cells, 8 * cells, c[i], 0, 8 * cells, 1);
    uint64_t *sums = call_out(&call, ret, (size_t)triples);
    segment_sums(&call, sums, words, table, at, 64, cells, 1, (size_t)triples);
    return call_end(&call);
}

static __global__ void turn_kernel(uint64_t *share, const uint64_t *word, const uint64_t *m, size_t n, struct kern_turn turn)
{
    size_t i = thread_number();
    int64_t half = turn.down == 0 ? 0 : INT64_C(1) << (turn.down - 1);
    if (i >= n)
        return;
    int64_t factor = kern_turn_at(turn.quarter, turn.log_period, turn.multiple * m[i] - turn.offset);
    share[i] += word[i] * (uint64_t)((factor + half) >> turn.down) << turn.up;
}

enum base_status turn_add(void *device, uint64_t *share, const uint64_t *word, const uint64_t *m, size_t n, const struct kern_turn *turn,
                          struct base_error *error)
{
    struct call call = call_begin((struct device *)device, error);
    struct kern_turn there = *turn;
    there.quarter = call_in(&call, turn->quarter, ((size_t)1 << (turn->log_period - 2)) + 1);
    const uint64_t *words = call_in(&call, word, n), *turns = call_in(&call, m, n);
    uint64_t *sums = (uint64_t *)call_out_kept(&call, share, 8 * n);
    call_upload_rows(&call, sums, 8 * n, share, 0, 8 * n, 1);
    LAUNCH(&call, turn_kernel, cover(n, GATE_THREADS), GATE_THREADS, 0, sums, words, turns, n, there);
    return call_end(&call);
}

static __global__ void power_kernel(uint64_t *out, const uint64_t *words, size_t stride, int limbs, const uint64_t *m, size_t n,
                                    const struct base_exact_power *factor, int s)
{
    size_t i = thread_number();
    if (i < n)
        out[i] = kern_power_scale(words + 2 * i + (m[i] >> s), stride, limbs, factor[m[i] & (((uint64_t)1 << s) - 1)]);
}

enum base_status power_words(void *device, uint64_t *out, const uint64_t *words, size_t stride, int limbs, const uint64_t *m, size_t n,
                             const struct base_exact_power *factor, int s, struct base_error *error)
{
    struct call call = call_begin((struct device *)device, error);
    uint64_t *there = (uint64_t *)call_room(&call, 16 * n * (size_t)limbs), *to = call_out(&call, out, n);
    call_upload_rows(&call, there, 16 * n, words, 8 * stride, 16 * n, (size_t)limbs);
    const uint64_t *at = call_in(&call, m, n);
    const struct base_exact_power *factors = call_in(&call, factor, (size_t)1 << s);
    LAUNCH(&call, power_kernel, cover(n, GATE_THREADS), GATE_THREADS, 0, to, there, 2 * n, limbs, at, n, factors, s);
    return call_end(&call);
}

/* A column to a thread, ROWS_AT_ONCE rows of y, and the part blockIdx.y of the table's rows. */
static __global__ void combine_kernel(uint32_t *y, const uint32_t *a, size_t rows, const uint32_t *w, size_t w_words, size_t width, size_t count)
{
    size_t c = thread_number(), from = count * blockIdx.y / gridDim.y, to = count * (blockIdx.y + 1) / gridDim.y;
    if (c >= width)
        return;
    for (size_t r = 0; r < rows; r += ROWS_AT_ONCE) {
        uint32_t sum[ROWS_AT_ONCE] = {};
        for (size_t v = from; v < to; v++)
            for (size_t i = 0; i < ROWS_AT_ONCE && r + i < rows; i++)
                sum[i] += a[(r + i) * count + v] * w[v * w_words + c];
        for (size_t i = 0; i < ROWS_AT_ONCE && r + i < rows; i++)
            atomicAdd(&y[(r + i) * width + c], sum[i]);
    }
}

enum base_status combine32(void *device, uint32_t *y, const uint32_t *a, size_t a_stride, size_t rows, const struct kern_product *table,
                           struct base_error *error)
{
    size_t width = table->inner, count = table->outs, w_words = width;
    const struct placed *placed = (const struct placed *)table->placed;
    if (rows * width * sizeof *y > STAGE_BYTES) /* y arrives in one piece or not at all */
        return BASE_ERR_SUPPORT;
    struct call call = call_begin((struct device *)device, error);
    uint32_t *factors = (uint32_t *)call_room(&call, 4 * rows * count), *sums = (uint32_t *)call_out_kept(&call, y, 4 * rows * width);
    const uint32_t *w;
    if (placed != NULL) {
        w_words = placed->stride / sizeof *w;
        w = (const uint32_t *)placed->words + table->first * w_words;
    } else {
        w = call_in(&call, (const uint32_t *)table->w, width * count);
    }
    call_upload_rows(&call, factors, 4 * count, a, 4 * a_stride, 4 * count, rows);
    call_upload_rows(&call, sums, 4 * width, y, 4 * width, 4 * width, rows);
    dim3 grid = cover(width, GATE_THREADS);
    grid.y = (unsigned)(count < 64 ? 1 : count / 32 < 64 ? count / 32 : 64);
    LAUNCH(&call, combine_kernel, grid, GATE_THREADS, 0, sums, factors, rows, w, w_words, width, count);
    return call_end(&call);
}

}
