/* Products in Z_2^32 with vpmulld, eight to a vector. Both operands run along `inner`; a tile keeps R x O accumulators in registers,
 * and a single row streams w (see kern_row_plan). */
#include "kernels/avx2/multiply.h"
#include "kernels/avx2/slots.h"
#include "kernels/gemm_blocks.h"
#include "kernels/row_plan.h"

#define GEMM_INLINE KERN_AVX2_INLINE
#define GEMM_APART static __attribute__((noinline)) /* a loop that needs all registers for itself */

enum { TILE = 3, ROW_OUTS = 4, MAX_SUMS = 9, DEPTH = 1024, BLOCK_ROWS = 48, WIDTH = 8, WORD = 4 };

GEMM_INLINE __m256i load(const void *from)
{
    return _mm256_loadu_si256((const __m256i *)from);
}

GEMM_INLINE __m256i lanes_below(size_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

GEMM_INLINE uint32_t sum_lanes(__m256i x)
{
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    return (uint32_t)_mm_cvtsi128_si32(four) + (uint32_t)_mm_extract_epi32(four, 1);
}

/* One vector of `rows` rows of a against `outs` rows of w. */
GEMM_INLINE void step(__m256i *sums, const uint32_t *a, size_t a_stride, int rows, const uint8_t *w, size_t w_stride, int outs)
{
    __m256i x[TILE];
#pragma GCC unroll 3
    for (int r = 0; r < rows; r++)
        x[r] = load(a + (size_t)r * a_stride);
#pragma GCC unroll 4
    for (int o = 0; o < outs; o++) {
        __m256i y = load(w + (size_t)o * w_stride);
#pragma GCC unroll 3
        for (int r = 0; r < rows; r++)
            sums[r * outs + o] = _mm256_add_epi32(sums[r * outs + o], _mm256_mullo_epi32(x[r], y));
    }
}

/* The same for the first n < 8 elements. */
GEMM_INLINE void step_tail(__m256i *sums, const uint32_t *a, size_t a_stride, int rows, const uint8_t *w, size_t w_stride, int outs,
                           size_t n)
{
    __m256i lanes = lanes_below(n);
    for (int o = 0; o < outs; o++) {
        __m256i y = _mm256_maskload_epi32((const int *)(const void *)(w + (size_t)o * w_stride), lanes);
        for (int r = 0; r < rows; r++) {
            __m256i x = _mm256_maskload_epi32((const int *)(const void *)(a + (size_t)r * a_stride), lanes);
            sums[r * outs + o] = _mm256_add_epi32(sums[r * outs + o], _mm256_mullo_epi32(x, y));
        }
    }
}

/* y[r][o] (+)= the products of a panel. */
GEMM_INLINE void tile(const struct kern_gemm_job *job, const struct kern_gemm_panel *p, size_t r, int rows, size_t o, int outs)
{
    __m256i sums[MAX_SUMS];
#pragma GCC unroll 9
    for (int i = 0; i < rows * outs; i++)
        sums[i] = _mm256_setzero_si256();
    const uint32_t *a = (const uint32_t *)job->a + r * job->a_stride + p->from;
    size_t i = 0;
    for (; i + WIDTH <= p->inner; i += WIDTH)
        step(sums, a + i, job->a_stride, rows, p->w + WORD * i, p->stride, outs);
    if (i < p->inner)
        step_tail(sums, a + i, job->a_stride, rows, p->w + WORD * i, p->stride, outs, p->inner - i);
#pragma GCC unroll 9
    for (int k = 0; k < rows * outs; k++) {
        uint64_t *y = job->y + (r + (size_t)(k / outs)) * job->y_stride + o + (size_t)(k % outs);
        *y = (uint32_t)(sum_lanes(sums[k]) + (p->from > 0 ? (uint32_t)*y : 0));
    }
}

KERN_GEMM_TILES(1, TILE)
KERN_GEMM_TILES(2, TILE)
KERN_GEMM_TILES(3, TILE)

static const kern_gemm_tile tile_of[] = {NULL, tile_1, tile_2, tile_3};
static const kern_gemm_tile column_of[] = {NULL, column_1, column_2, column_3};

/* ---- one row ---- */

/* Units [from, to) of 16 elements, with w fetched `ahead` bytes before its turn; a single stream has accumulators that take turns. */
GEMM_INLINE void row_part(__m256i *sums, const struct kern_gemm_job *job, const uint8_t *w, int outs, size_t from, size_t to, size_t ahead)
{
    for (size_t i = from; i < to; i++) {
        const uint8_t *at = w + i * 2 * WIDTH * WORD;
#pragma GCC unroll 4
        for (int o = 0; o < outs; o++)
            kern_row_prefetch(at + (size_t)o * job->w_stride, ahead);
#pragma GCC unroll 2
        for (size_t v = 0; v < 2; v++)
            step(sums + (outs == 1 ? 2 * (i % 2) + v : 0), (const uint32_t *)job->a + WIDTH * (2 * i + v), 0, 1, at + v * WIDTH * WORD, job->w_stride, outs);
    }
}

GEMM_INLINE void row_outs(const struct kern_gemm_job *job, size_t o, int outs, size_t inner)
{
    __m256i sums[ROW_OUTS];
    for (int i = 0; i < ROW_OUTS; i++)
        sums[i] = _mm256_setzero_si256();
    const uint8_t *w = job->w + o * job->w_stride;
    struct kern_row_plan plan = kern_row_plan(inner, 2 * WIDTH, 2 * WIDTH * WORD, job->w_stride, (size_t)outs);
    row_part(sums, job, w, outs, 0, plan.near, plan.ahead);
    row_part(sums, job, w, outs, plan.near, plan.units, plan.ahead_next);
    size_t done = plan.units * 2 * WIDTH;
    if (inner - done >= WIDTH) {
        step(sums, (const uint32_t *)job->a + done, 0, 1, w + WORD * done, job->w_stride, outs);
        done += WIDTH;
    }
    if (done < inner)
        step_tail(sums, (const uint32_t *)job->a + done, 0, 1, w + WORD * done, job->w_stride, outs, inner - done);
    if (outs == 1)
        sums[0] = _mm256_add_epi32(_mm256_add_epi32(sums[0], sums[1]), _mm256_add_epi32(sums[2], sums[3]));
    for (int i = 0; i < outs; i++)
        job->y[o + (size_t)i] = sum_lanes(sums[i]);
}

GEMM_APART void one_row(const struct kern_gemm_job *job, size_t outs, size_t inner)
{
    size_t o = 0;
    if (!kern_row_is_short(WORD * inner))
        for (; o + ROW_OUTS <= outs; o += ROW_OUTS)
            row_outs(job, o, ROW_OUTS, inner);
    for (; o < outs; o++)
        row_outs(job, o, 1, inner);
}

void kern_avx2_gemm32(KERN_GEMM_PARAMETERS)
{
    struct kern_gemm_job job = {a, w, y, a_stride, w_stride, y_stride, KERN_WORD_32};
    struct kern_gemm_cut cut = {DEPTH, BLOCK_ROWS, TILE, TILE, tile_of, column_of, NULL};
    if (rows > 1)
        kern_gemm_in_blocks(&job, &cut, rows, outs, inner);
    else
        one_row(&job, outs, inner);
}
