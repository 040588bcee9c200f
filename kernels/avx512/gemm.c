/* Products mod 2^64 with vpmullq. Both operands run along `inner`, so that nothing is packed: a tile keeps R x O
 * accumulators in registers. A single row streams w instead (see kern_row_plan). */
#include "kernels/avx512/slots.h"
#include "kernels/row_plan.h"

#include <immintrin.h>

#define GEMM_INLINE static inline __attribute__((always_inline))
#define GEMM_APART static __attribute__((noinline)) /* a loop that needs all registers for itself */

enum {
    TILE = 4,          /* rows and outs of a tile */
    DEPTH = 512,       /* of a block of `inner`, in elements: a tile of it fits in the level-one cache */
    PANEL_ROWS = 64,   /* of a block of rows, which fits in the level-two cache with that depth */
    WIDTH = 8,
};

struct gemm_job {
    const uint64_t *a, *b, *w; /* b NULL: one product, w plain */
    uint64_t *y;
    size_t a_stride, w_stride, y_stride;
};

GEMM_INLINE __m512i load(const uint64_t *from)
{
    return _mm512_loadu_si512((const void *)from);
}

/* The compiler's own reduction adds signed words in C, where they may not overflow. */
GEMM_INLINE uint64_t sum_lanes(__m512i x)
{
    __m256i four = _mm256_add_epi64(_mm512_castsi512_si256(x), _mm512_extracti64x4_epi64(x, 1));
    __m128i two = _mm_add_epi64(_mm256_castsi256_si128(four), _mm256_extracti128_si256(four, 1));
    return (uint64_t)_mm_cvtsi128_si64(two) + (uint64_t)_mm_extract_epi64(two, 1);
}

GEMM_INLINE __mmask8 lanes_below(size_t n)
{
    return (__mmask8)((1u << (n < WIDTH ? n : WIDTH)) - 1);
}

/* One vector of `rows` rows of a against `outs` rows of w. */
GEMM_INLINE void step(__m512i *sums, const uint64_t *a, size_t a_stride, int rows, const uint64_t *w, size_t w_stride,
                      int outs)
{
    __m512i x[TILE];
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++)
        x[r] = load(a + (size_t)r * a_stride);
#pragma GCC unroll 4
    for (int o = 0; o < outs; o++) {
        __m512i y = load(w + (size_t)o * w_stride);
#pragma GCC unroll 4
        for (int r = 0; r < rows; r++)
            sums[r * outs + o] = _mm512_add_epi64(sums[r * outs + o], _mm512_mullo_epi64(x[r], y));
    }
}

/* The same for the elements of `lanes` only; w is read through the mask too, for it need not be padded. */
GEMM_INLINE void step_tail(__m512i *sums, const uint64_t *a, size_t a_stride, int rows, const uint64_t *w,
                           size_t w_stride, int outs, __mmask8 lanes)
{
    for (int o = 0; o < outs; o++) {
        __m512i y = _mm512_maskz_loadu_epi64(lanes, w + (size_t)o * w_stride);
        for (int r = 0; r < rows; r++) {
            __m512i x = _mm512_maskz_loadu_epi64(lanes, a + (size_t)r * a_stride);
            sums[r * outs + o] = _mm512_add_epi64(sums[r * outs + o], _mm512_mullo_epi64(x, y));
        }
    }
}

/* y[r][o] (+)= the products of `inner` elements from `from` on. */
GEMM_INLINE void tile(const struct gemm_job *job, size_t r, int rows, size_t o, int outs, size_t from, size_t inner)
{
    __m512i sums[TILE * TILE];
#pragma GCC unroll 16
    for (int i = 0; i < rows * outs; i++)
        sums[i] = _mm512_setzero_si512();
    const uint64_t *a = job->a + r * job->a_stride + from, *w = job->w + o * job->w_stride + from;
    size_t i = 0;
    if (job->b == NULL) {
        for (; i + WIDTH <= inner; i += WIDTH)
            step(sums, a + i, job->a_stride, rows, w + i, job->w_stride, outs);
        if (i < inner)
            step_tail(sums, a + i, job->a_stride, rows, w + i, job->w_stride, outs, lanes_below(inner - i));
    } else {
        const uint64_t *b = job->b + r * job->a_stride + from;
        w += from;
        for (; i + WIDTH <= inner; i += WIDTH) {
            step(sums, a + i, job->a_stride, rows, w + 2 * i, job->w_stride, outs);
            step(sums, b + i, job->a_stride, rows, w + 2 * i + WIDTH, job->w_stride, outs);
        }
        if (i < inner) {
            __mmask8 lanes = lanes_below(inner - i);
            step_tail(sums, a + i, job->a_stride, rows, w + 2 * i, job->w_stride, outs, lanes);
            step_tail(sums, b + i, job->a_stride, rows, w + 2 * i + WIDTH, job->w_stride, outs, lanes);
        }
    }
#pragma GCC unroll 16
    for (int k = 0; k < rows * outs; k++) {
        uint64_t *y = job->y + (r + (size_t)(k / outs)) * job->y_stride + o + (size_t)(k % outs);
        *y = sum_lanes(sums[k]) + (from > 0 ? *y : 0);
    }
}

GEMM_APART void tile_full(const struct gemm_job *job, size_t r, size_t o, size_t from, size_t inner)
{
    tile(job, r, TILE, o, TILE, from, inner);
}

GEMM_APART void tile_row(const struct gemm_job *job, size_t r, size_t o, size_t from, size_t inner)
{
    tile(job, r, 1, o, TILE, from, inner);
}

GEMM_APART void tile_column(const struct gemm_job *job, size_t r, size_t o, size_t from, size_t inner)
{
    tile(job, r, TILE, o, 1, from, inner);
}

GEMM_APART void tile_one(const struct gemm_job *job, size_t r, size_t o, size_t from, size_t inner)
{
    tile(job, r, 1, o, 1, from, inner);
}

/* Rows [r, r_end) and all outs, one block of `inner`. */
static void panel(const struct gemm_job *job, size_t r, size_t r_end, size_t outs, size_t from, size_t inner)
{
    size_t tiled = r + (r_end - r) / TILE * TILE, o = 0;
    for (; o + TILE <= outs; o += TILE) {
        for (size_t i = r; i < tiled; i += TILE)
            tile_full(job, i, o, from, inner);
        for (size_t i = tiled; i < r_end; i++)
            tile_row(job, i, o, from, inner);
    }
    for (; o < outs; o++) {
        for (size_t i = r; i < tiled; i += TILE)
            tile_column(job, i, o, from, inner);
        for (size_t i = tiled; i < r_end; i++)
            tile_one(job, i, o, from, inner);
    }
}

/* ---- one row ---- */

/* Units [from, to) of 8 elements, with w fetched `ahead` elements before its turn. */
GEMM_INLINE void row_part(__m512i *sums, const struct gemm_job *job, const uint64_t *w, int outs, int two,
                          size_t from, size_t to, size_t ahead)
{
    size_t width = two ? 2 * WIDTH : WIDTH;
    for (size_t i = from; i < to; i++) {
#pragma GCC unroll 4
        for (int o = 0; o < outs; o++) {
            kern_row_prefetch(w + (size_t)o * job->w_stride + i * width, ahead);
            if (two)
                kern_row_prefetch(w + (size_t)o * job->w_stride + i * width, ahead + WIDTH);
        }
        step(sums, job->a + WIDTH * i, 0, 1, w + width * i, job->w_stride, outs);
        if (two)
            step(outs == 1 ? sums + 1 : sums, job->b + WIDTH * i, 0, 1, w + width * i + WIDTH, job->w_stride, outs);
    }
}

GEMM_INLINE void row_outs(const struct gemm_job *job, size_t o, int outs, int two, size_t inner)
{
    __m512i sums[TILE];
    for (int i = 0; i < TILE; i++)
        sums[i] = _mm512_setzero_si512();
    const uint64_t *w = job->w + o * job->w_stride;
    struct kern_row_plan plan = kern_row_plan(inner, job->w_stride, (size_t)outs, two);
    row_part(sums, job, w, outs, two, 0, plan.near, plan.ahead);
    row_part(sums, job, w, outs, two, plan.near, plan.units, plan.ahead_next);
    size_t done = plan.units * WIDTH;
    __mmask8 lanes = lanes_below(inner - done);
    if (done < inner && !two)
        step_tail(sums, job->a + done, 0, 1, w + done, job->w_stride, outs, lanes);
    if (done < inner && two) {
        step_tail(sums, job->a + done, 0, 1, w + 2 * done, job->w_stride, outs, lanes);
        step_tail(sums, job->b + done, 0, 1, w + 2 * done + WIDTH, job->w_stride, outs, lanes);
    }
    if (outs == 1)
        sums[0] = _mm512_add_epi64(sums[0], sums[1]);
    for (int i = 0; i < outs; i++)
        job->y[o + (size_t)i] = sum_lanes(sums[i]);
}

GEMM_INLINE void one_row(const struct gemm_job *job, size_t outs, int two, size_t inner)
{
    size_t o = 0;
    if (!kern_row_is_short(inner, two))
        for (; o + TILE <= outs; o += TILE)
            row_outs(job, o, TILE, two, inner);
    for (; o < outs; o++)
        row_outs(job, o, 1, two, inner);
}

GEMM_APART void one_row_plain(const struct gemm_job *job, size_t outs, size_t inner)
{
    one_row(job, outs, 0, inner);
}

GEMM_APART void one_row_interleaved(const struct gemm_job *job, size_t outs, size_t inner)
{
    one_row(job, outs, 1, inner);
}

static void multiply_all(const struct gemm_job *job, size_t rows, size_t outs, size_t inner)
{
    if (rows == 1) {
        if (job->b == NULL)
            one_row_plain(job, outs, inner);
        else
            one_row_interleaved(job, outs, inner);
        return;
    }
    for (size_t from = 0; from < inner; from += DEPTH)
        for (size_t r = 0; r < rows; r += PANEL_ROWS)
            panel(job, r, rows - r < PANEL_ROWS ? rows : r + PANEL_ROWS, outs, from,
                  inner - from < DEPTH ? inner - from : DEPTH);
}

void kern_avx512_gemm(uint64_t *y, size_t y_stride, const uint64_t *a, size_t a_stride, size_t rows, const uint64_t *w,
                      size_t w_stride, size_t outs, size_t inner)
{
    struct gemm_job job = {a, NULL, w, y, a_stride, w_stride, y_stride};
    multiply_all(&job, rows, outs, inner);
}

void kern_avx512_gemm2(uint64_t *y, size_t y_stride, const uint64_t *a, const uint64_t *b, size_t a_stride, size_t rows,
                       const uint64_t *w, size_t w_stride, size_t outs, size_t inner)
{
    struct gemm_job job = {a, b, w, y, a_stride, w_stride, y_stride};
    multiply_all(&job, rows, outs, inner);
}

uint64_t kern_avx512_dot(const uint64_t *a, const uint64_t *b, size_t count)
{
    __m512i sums[4];
    for (int j = 0; j < 4; j++)
        sums[j] = _mm512_setzero_si512();
    size_t i = 0;
    for (; i + 4 * WIDTH <= count; i += 4 * WIDTH)
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++)
            sums[j] = _mm512_add_epi64(sums[j], _mm512_mullo_epi64(load(a + i + WIDTH * j), load(b + i + WIDTH * j)));
    for (; i < count; i += WIDTH) {
        __mmask8 lanes = lanes_below(count - i);
        __m512i product = _mm512_mullo_epi64(_mm512_maskz_loadu_epi64(lanes, a + i), _mm512_maskz_loadu_epi64(lanes, b + i));
        sums[0] = _mm512_add_epi64(sums[0], product);
    }
    sums[0] = _mm512_add_epi64(_mm512_add_epi64(sums[0], sums[1]), _mm512_add_epi64(sums[2], sums[3]));
    return sum_lanes(sums[0]);
}

/* The three weights of a segment, made once for all triples. */
GEMM_INLINE void segment_sums(uint64_t *ret, const uint64_t *hot, const uint64_t *const c[3], uint64_t j, size_t cells,
                              int triples)
{
    const uint64_t *c0 = c[0], *c1 = c[1], *c2 = c[2];
    __m512i plus[KERN_MAX_GROUPS / 3], minus[KERN_MAX_GROUPS / 3], at = _mm512_set1_epi64((long long)j);
    for (int t = 0; t < triples; t++)
        plus[t] = minus[t] = _mm512_setzero_si512();
    for (size_t i = 0; i < cells; i += WIDTH) {
        __m512i square = load(c2 + i), step = _mm512_mullo_epi64(at, square);
        __m512i slope = _mm512_add_epi64(load(c1 + i), step);
        __m512i value = _mm512_add_epi64(load(c0 + i), _mm512_mullo_epi64(at, slope));
        slope = _mm512_add_epi64(slope, step);
#pragma GCC unroll 3
        for (int t = 0; t < triples; t++) {
            const uint64_t *row = hot + 3 * (size_t)t * cells + i;
            plus[t] = _mm512_add_epi64(plus[t], _mm512_mullo_epi64(load(row), value));
            minus[t] = _mm512_add_epi64(minus[t], _mm512_mullo_epi64(load(row + cells), slope));
            plus[t] = _mm512_add_epi64(plus[t], _mm512_mullo_epi64(load(row + 2 * cells), square));
        }
    }
    for (int t = 0; t < triples; t++)
        ret[t] = sum_lanes(_mm512_sub_epi64(plus[t], minus[t]));
}

void kern_avx512_segment_dot(uint64_t *ret, const uint64_t *hot, const uint64_t *const c[3], uint64_t j, size_t cells,
                             int triples)
{
    if (cells % WIDTH != 0)
        kern_scalar_segment_dot(ret, hot, c, j, cells, triples);
    else if (triples == 3)
        segment_sums(ret, hot, c, j, cells, 3);
    else
        for (int t = 0; t < triples; t++)
            segment_sums(ret + t, hot + 3 * (size_t)t * cells, c, j, cells, 1);
}
