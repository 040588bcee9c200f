/* Products mod 2^64 with 32-bit multipliers. For x = x1 2^32 + x0 and y likewise, x y = x0 y0 + (x1 y0 + x0 y1) 2^32:
 * vpmuludq gives the first term, one vpmulld with the halves of x swapped gives both cross terms mod 2^32 side by side.
 * They go to accumulators of their own and meet once, at the end: two multiplications for four products.
 *
 * Both operands run along `inner`, so that nothing is packed: a tile keeps R x O pairs of accumulators in registers.
 * A single row streams w instead (see kern_row_plan). */
#include "kernels/avx2/slots.h"
#include "kernels/row_plan.h"

#include <immintrin.h>

#define GEMM_INLINE static inline __attribute__((always_inline))
#define GEMM_APART static __attribute__((noinline)) /* a loop that needs all registers for itself */

enum {
    TILE_ROWS = 2,
    TILE_OUTS = 2,
    ROW_OUTS = 4,      /* of a single row */
    DEPTH = 256,       /* of a block of `inner`, in elements: two tiles of it fit in the level-one cache */
    PANEL_ROWS = 64,   /* of a block of rows, which fits in the level-two cache with that depth */
    WIDTH = 4,
    MAX_PAIRS = 4,
};

struct sums {
    __m256i low[MAX_PAIRS], cross[MAX_PAIRS];
};

struct gemm_job {
    const uint64_t *a, *b, *w; /* b NULL: one product, w plain */
    uint64_t *y;
    size_t a_stride, w_stride, y_stride;
};

GEMM_INLINE __m256i load(const uint64_t *from)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)from);
}

GEMM_INLINE __m256i swap_halves(__m256i x)
{
    return _mm256_shuffle_epi32(x, 0xb1);
}

/* The first n of four lanes, 0 <= n. */
GEMM_INLINE __m256i lanes_below(size_t n)
{
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x((long long)n), _mm256_set_epi64x(3, 2, 1, 0));
}

GEMM_INLINE __m256i load_first(const uint64_t *from, __m256i lanes)
{
    return _mm256_maskload_epi64((const long long *)(const void *)from, lanes);
}

GEMM_INLINE void multiply(struct sums *s, int at, __m256i x, __m256i swapped, __m256i y)
{
    s->low[at] = _mm256_add_epi64(s->low[at], _mm256_mul_epu32(x, y));
    s->cross[at] = _mm256_add_epi32(s->cross[at], _mm256_mullo_epi32(swapped, y));
}

/* One vector of `rows` rows of a against `outs` rows of w. */
GEMM_INLINE void step(struct sums *s, const uint64_t *a, size_t a_stride, int rows, const uint64_t *w, size_t w_stride,
                      int outs)
{
    __m256i x[TILE_ROWS], swapped[TILE_ROWS];
#pragma GCC unroll 2
    for (int r = 0; r < rows; r++) {
        x[r] = load(a + (size_t)r * a_stride);
        swapped[r] = swap_halves(x[r]);
    }
#pragma GCC unroll 4
    for (int o = 0; o < outs; o++) {
        __m256i y = load(w + (size_t)o * w_stride);
#pragma GCC unroll 2
        for (int r = 0; r < rows; r++)
            multiply(s, r * outs + o, x[r], swapped[r], y);
    }
}

/* The same for the first n < 4 elements; w is read through the mask too unless it is padded. */
GEMM_INLINE void step_tail(struct sums *s, const uint64_t *a, size_t a_stride, int rows, const uint64_t *w,
                           size_t w_stride, int outs, size_t n, int padded)
{
    __m256i lanes = lanes_below(n);
    for (int o = 0; o < outs; o++) {
        const uint64_t *from = w + (size_t)o * w_stride;
        __m256i y = padded ? load(from) : load_first(from, lanes);
        for (int r = 0; r < rows; r++) {
            __m256i x = load_first(a + (size_t)r * a_stride, lanes);
            multiply(s, r * outs + o, x, swap_halves(x), y);
        }
    }
}

GEMM_INLINE uint64_t total(const struct sums *s, int at)
{
    __m256i cross = _mm256_add_epi32(s->cross[at], _mm256_srli_epi64(s->cross[at], 32));
    __m256i sum = _mm256_add_epi64(s->low[at], _mm256_slli_epi64(cross, 32));
    __m128i half = _mm_add_epi64(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    return (uint64_t)_mm_cvtsi128_si64(half) + (uint64_t)_mm_extract_epi64(half, 1);
}

GEMM_INLINE void tile1(struct sums *s, const struct gemm_job *job, const uint64_t *a, int rows, const uint64_t *w,
                       int outs, size_t inner)
{
    size_t i = 0;
    for (; i + WIDTH <= inner; i += WIDTH)
        step(s, a + i, job->a_stride, rows, w + i, job->w_stride, outs);
    if (i < inner)
        step_tail(s, a + i, job->a_stride, rows, w + i, job->w_stride, outs, inner - i, 0);
}

GEMM_INLINE void tile2(struct sums *s, const struct gemm_job *job, const uint64_t *a, const uint64_t *b, int rows,
                       const uint64_t *w, int outs, size_t inner)
{
    size_t i = 0;
    for (; i + KERN_BLOCK <= inner; i += KERN_BLOCK, w += 2 * KERN_BLOCK)
#pragma GCC unroll 2
        for (int half = 0; half < KERN_BLOCK; half += WIDTH) {
            step(s, a + i + half, job->a_stride, rows, w + half, job->w_stride, outs);
            step(s, b + i + half, job->a_stride, rows, w + KERN_BLOCK + half, job->w_stride, outs);
        }
    for (; i < inner; i += WIDTH, w += WIDTH) {
        step_tail(s, a + i, job->a_stride, rows, w, job->w_stride, outs, inner - i, 1);
        step_tail(s, b + i, job->a_stride, rows, w + KERN_BLOCK, job->w_stride, outs, inner - i, 1);
    }
}

/* y[r][o] (+)= the products of `inner` elements from `from` on. */
GEMM_INLINE void tile(const struct gemm_job *job, size_t r, int rows, size_t o, int outs, size_t from, size_t inner)
{
    struct sums s;
    for (int i = 0; i < rows * outs; i++)
        s.low[i] = s.cross[i] = _mm256_setzero_si256();
    const uint64_t *a = job->a + r * job->a_stride + from;
    if (job->b == NULL)
        tile1(&s, job, a, rows, job->w + o * job->w_stride + from, outs, inner);
    else
        tile2(&s, job, a, job->b + r * job->a_stride + from, rows, job->w + o * job->w_stride + 2 * from, outs, inner);
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < outs; j++) {
            uint64_t *y = job->y + (r + (size_t)i) * job->y_stride + o + (size_t)j;
            *y = total(&s, i * outs + j) + (from > 0 ? *y : 0);
        }
}

GEMM_APART void tile_full(const struct gemm_job *job, size_t r, size_t o, size_t from, size_t inner)
{
    tile(job, r, TILE_ROWS, o, TILE_OUTS, from, inner);
}

GEMM_APART void tile_row(const struct gemm_job *job, size_t r, size_t o, size_t from, size_t inner)
{
    tile(job, r, 1, o, ROW_OUTS, from, inner);
}

GEMM_APART void tile_one(const struct gemm_job *job, size_t r, size_t o, size_t from, size_t inner)
{
    tile(job, r, 1, o, 1, from, inner);
}

/* Rows [r, r_end) and all outs, one block of `inner`. */
static void panel(const struct gemm_job *job, size_t r, size_t r_end, size_t outs, size_t from, size_t inner)
{
    size_t o = 0, paired = r + (r_end - r) / TILE_ROWS * TILE_ROWS;
    for (; o + TILE_OUTS <= outs && paired > r; o += TILE_OUTS)
        for (size_t i = r; i < paired; i += TILE_ROWS)
            tile_full(job, i, o, from, inner);
    for (; o < outs; o++)
        for (size_t i = r; i < paired; i++)
            tile_one(job, i, o, from, inner);
    for (size_t i = paired; i < r_end; i++) {
        for (o = 0; o + ROW_OUTS <= outs; o += ROW_OUTS)
            tile_row(job, i, o, from, inner);
        for (; o < outs; o++)
            tile_one(job, i, o, from, inner);
    }
}

/* ---- one row ---- */

/* Units [from, to) of 8 elements, with w fetched `ahead` elements before its turn. A single stream has a pair of
 * accumulators for each half of a unit, so that additions do not wait for each other. */
GEMM_INLINE void row_part(struct sums *s, const struct gemm_job *job, const uint64_t *w, int outs, int two,
                          size_t from, size_t to, size_t ahead)
{
    size_t width = two ? 2 * KERN_BLOCK : KERN_BLOCK;
    for (size_t i = from; i < to; i++) {
#pragma GCC unroll 4
        for (int o = 0; o < outs; o++) {
            kern_row_prefetch(w + (size_t)o * job->w_stride + i * width, ahead);
            if (two)
                kern_row_prefetch(w + (size_t)o * job->w_stride + i * width, ahead + KERN_BLOCK);
        }
#pragma GCC unroll 4
        for (size_t v = 0; v < width / WIDTH; v++) {
            const uint64_t *a = v < 2 ? job->a : job->b;
            __m256i x = load(a + KERN_BLOCK * i + WIDTH * (v % 2)), swapped = swap_halves(x);
#pragma GCC unroll 4
            for (int o = 0; o < outs; o++)
                multiply(s, outs == 1 ? (int)v : o, x, swapped, load(w + (size_t)o * job->w_stride + i * width + WIDTH * v));
        }
    }
}

GEMM_INLINE void row_outs(const struct gemm_job *job, size_t o, int outs, int two, size_t inner)
{
    struct sums s;
    for (int i = 0; i < MAX_PAIRS; i++)
        s.low[i] = s.cross[i] = _mm256_setzero_si256();
    const uint64_t *w = job->w + o * job->w_stride;
    struct kern_row_plan plan = kern_row_plan(inner, job->w_stride, (size_t)outs, two);
    row_part(&s, job, w, outs, two, 0, plan.near, plan.ahead);
    row_part(&s, job, w, outs, two, plan.near, plan.units, plan.ahead_next);
    size_t done = plan.units * KERN_BLOCK;
    for (size_t i = done; i < inner; i += WIDTH) {
        const uint64_t *u = two ? w + done + i : w + i;
        step_tail(&s, job->a + i, 0, 1, u, job->w_stride, outs, inner - i, two);
        if (two)
            step_tail(&s, job->b + i, 0, 1, u + KERN_BLOCK, job->w_stride, outs, inner - i, 1);
    }
    uint64_t y[MAX_PAIRS];
    for (int i = 0; i < MAX_PAIRS; i++)
        y[i] = total(&s, i);
    if (outs == 1)
        y[0] += y[1] + y[2] + y[3];
    for (int i = 0; i < outs; i++)
        job->y[o + (size_t)i] = y[i];
}

GEMM_INLINE void one_row(const struct gemm_job *job, size_t outs, int two, size_t inner)
{
    size_t o = 0;
    if (!kern_row_is_short(inner, two))
        for (; o + ROW_OUTS <= outs; o += ROW_OUTS)
            row_outs(job, o, ROW_OUTS, two, inner);
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

void kern_avx2_gemm(uint64_t *y, size_t y_stride, const uint64_t *a, size_t a_stride, size_t rows, const uint64_t *w,
                    size_t w_stride, size_t outs, size_t inner)
{
    struct gemm_job job = {a, NULL, w, y, a_stride, w_stride, y_stride};
    multiply_all(&job, rows, outs, inner);
}

void kern_avx2_gemm2(uint64_t *y, size_t y_stride, const uint64_t *a, const uint64_t *b, size_t a_stride, size_t rows,
                     const uint64_t *w, size_t w_stride, size_t outs, size_t inner)
{
    struct gemm_job job = {a, b, w, y, a_stride, w_stride, y_stride};
    multiply_all(&job, rows, outs, inner);
}

uint64_t kern_avx2_dot(const uint64_t *a, const uint64_t *b, size_t count)
{
    struct sums s;
    for (int i = 0; i < MAX_PAIRS; i++)
        s.low[i] = s.cross[i] = _mm256_setzero_si256();
    size_t i = 0;
    for (; i + WIDTH * MAX_PAIRS <= count; i += WIDTH * MAX_PAIRS)
#pragma GCC unroll 4
        for (int j = 0; j < MAX_PAIRS; j++) {
            __m256i x = load(a + i + WIDTH * j);
            multiply(&s, j, x, swap_halves(x), load(b + i + WIDTH * j));
        }
    for (; i < count; i += WIDTH) {
        __m256i lanes = lanes_below(count - i), x = load_first(a + i, lanes);
        multiply(&s, 0, x, swap_halves(x), load_first(b + i, lanes));
    }
    uint64_t sum = 0;
    for (int j = 0; j < MAX_PAIRS; j++)
        sum += total(&s, j);
    return sum;
}

/* x y mod 2^64. */
GEMM_INLINE __m256i product(__m256i x, __m256i swapped, __m256i y)
{
    __m256i cross = _mm256_mullo_epi32(swapped, y);
    cross = _mm256_add_epi32(cross, _mm256_slli_epi64(cross, 32));
    __m256i high = _mm256_set1_epi64x((long long)UINT64_C(0xffffffff00000000));
    return _mm256_add_epi64(_mm256_mul_epu32(x, y), _mm256_and_si256(cross, high));
}

/* The weights of a segment, made once for all triples. */
GEMM_INLINE void segment_sums(uint64_t *ret, const uint64_t *hot, const uint64_t *const c[3], uint64_t j, size_t cells,
                              int triples)
{
    const uint64_t *c0 = c[0], *c1 = c[1], *c2 = c[2];
    __m256i at = _mm256_set1_epi64x((long long)j), swapped = swap_halves(at);
    struct sums s;
    for (int t = 0; t < triples; t++)
        s.low[t] = s.cross[t] = _mm256_setzero_si256();
    for (size_t i = 0; i < cells; i += WIDTH) {
        __m256i square = load(c2 + i), step = product(at, swapped, square);
        __m256i slope = _mm256_add_epi64(load(c1 + i), step);
        __m256i value = _mm256_add_epi64(load(c0 + i), product(at, swapped, slope));
        slope = _mm256_sub_epi64(_mm256_setzero_si256(), _mm256_add_epi64(slope, step));
        __m256i value_swapped = swap_halves(value), slope_swapped = swap_halves(slope);
        __m256i square_swapped = swap_halves(square);
#pragma GCC unroll 3
        for (int t = 0; t < triples; t++) {
            const uint64_t *row = hot + 3 * (size_t)t * cells + i;
            multiply(&s, t, value, value_swapped, load(row));
            multiply(&s, t, slope, slope_swapped, load(row + cells));
            multiply(&s, t, square, square_swapped, load(row + 2 * cells));
        }
    }
    for (int t = 0; t < triples; t++)
        ret[t] = total(&s, t);
}

void kern_avx2_segment_dot(uint64_t *ret, const uint64_t *hot, const uint64_t *const c[3], uint64_t j, size_t cells,
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
