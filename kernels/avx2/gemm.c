/* Products in Z_2^64 and Z_2^48 (see multiply.h). Both operands run along `inner`, so that nothing is packed: a tile keeps R x O
 * pairs of accumulators in registers. A single row streams w instead (see kern_row_plan). Four words of 48 bits become 64-bit
 * lanes by one byte shuffle; tiles of many rows read a panel of w that was widened once. */
#include "kernels/avx2/multiply.h"
#include "kernels/avx2/slots.h"
#include "kernels/gemm_blocks.h"
#include "kernels/row_plan.h"

#define GEMM_INLINE KERN_AVX2_INLINE
#define GEMM_APART static __attribute__((noinline)) /* a loop that needs all registers for itself */

enum {
    TILE_ROWS = 2,
    TILE_OUTS = 2,
    ROW_OUTS = 4,      /* of a single row */
    DEPTH = 256,       /* of a block of `inner`, in elements: two tiles of it fit in the level-one cache */
    BLOCK_ROWS = 64,   /* of a block of rows, which fits in the level-two cache with that depth */
    WIDTH = KERN_AVX2_WIDTH,
};

/* Four words of w. The upper load of 48-bit ones begins four bytes early, so that neither reads past the last word. */
GEMM_INLINE __m256i load_words(enum kern_word word, const uint8_t *from)
{
    if (word == KERN_WORD_64)
        return _mm256_loadu_si256((const __m256i *)(const void *)from);
    __m128i low = _mm_loadu_si128((const __m128i *)(const void *)from);
    __m256i both = _mm256_inserti128_si256(_mm256_castsi128_si256(low), _mm_loadu_si128((const __m128i *)(const void *)(from + 8)), 1);
    const __m256i spread = _mm256_setr_epi8(0, 1, 2, 3, 4, 5, -1, -1, 6, 7, 8, 9, 10, 11, -1, -1, 4, 5, 6, 7, 8, 9, -1, -1, 10, 11, 12,
                                            13, 14, 15, -1, -1);
    return _mm256_shuffle_epi8(both, spread);
}

/* The first n < 4 of them. */
static __m256i load_first_words(enum kern_word word, const uint8_t *from, size_t n)
{
    _Alignas(32) uint64_t words[WIDTH] = {0};
    for (size_t i = 0; i < n; i++)
        words[i] = word == KERN_WORD_64 ? kern_load64(from + 8 * i) : kern_load48(from + 6 * i);
    return kern_avx2_load(words);
}

/* One vector of `rows` rows of a against `outs` rows of w. */
GEMM_INLINE void step(struct kern_avx2_sums *s, const uint64_t *a, size_t a_stride, int rows, enum kern_word word, const uint8_t *w,
                      size_t w_stride, int outs)
{
    __m256i x[TILE_ROWS], swapped[TILE_ROWS];
#pragma GCC unroll 2
    for (int r = 0; r < rows; r++) {
        x[r] = kern_avx2_load(a + (size_t)r * a_stride);
        swapped[r] = kern_avx2_swap_halves(x[r]);
    }
#pragma GCC unroll 4
    for (int o = 0; o < outs; o++) {
        __m256i y = load_words(word, w + (size_t)o * w_stride);
#pragma GCC unroll 2
        for (int r = 0; r < rows; r++)
            kern_avx2_multiply(s, r * outs + o, x[r], swapped[r], y);
    }
}

/* The same for the first n < 4 elements. */
GEMM_INLINE void step_tail(struct kern_avx2_sums *s, const uint64_t *a, size_t a_stride, int rows, enum kern_word word,
                           const uint8_t *w, size_t w_stride, int outs, size_t n)
{
    __m256i lanes = kern_avx2_lanes_below(n);
    for (int o = 0; o < outs; o++) {
        __m256i y = load_first_words(word, w + (size_t)o * w_stride, n);
        for (int r = 0; r < rows; r++) {
            __m256i x = kern_avx2_load_first(a + (size_t)r * a_stride, lanes);
            kern_avx2_multiply(s, r * outs + o, x, kern_avx2_swap_halves(x), y);
        }
    }
}

/* ---- tiles ---- */

/* y[r][o] (+)= the products of a panel. */
GEMM_INLINE void tile(const struct kern_gemm_job *job, const struct kern_gemm_panel *p, size_t r, int rows, size_t o, int outs)
{
    struct kern_avx2_sums s;
    for (int i = 0; i < rows * outs; i++)
        s.low[i] = s.cross[i] = _mm256_setzero_si256();
    const uint64_t *a = (const uint64_t *)job->a + r * job->a_stride + p->from;
    size_t i = 0;
    for (; i + WIDTH <= p->inner; i += WIDTH)
        step(&s, a + i, job->a_stride, rows, KERN_WORD_64, p->w + 8 * i, p->stride, outs);
    if (i < p->inner)
        step_tail(&s, a + i, job->a_stride, rows, KERN_WORD_64, p->w + 8 * i, p->stride, outs, p->inner - i);
    uint64_t keep = job->word == KERN_WORD_64 ? ~UINT64_C(0) : kern_ring_mask(48);
    for (int k = 0; k < rows * outs; k++) {
        uint64_t *y = job->y + (r + (size_t)(k / outs)) * job->y_stride + o + (size_t)(k % outs);
        *y = (kern_avx2_total(&s, k) + (p->from > 0 ? *y : 0)) & keep;
    }
}

KERN_GEMM_TILES(1, TILE_OUTS)
KERN_GEMM_TILES(2, TILE_OUTS)

static const kern_gemm_tile tile_of[] = {NULL, tile_1, tile_2};
static const kern_gemm_tile column_of[] = {NULL, column_1, column_2};

_Static_assert(TILE_OUTS * DEPTH <= KERN_GEMM_WIDE_WORDS, "a widened panel fits");

/* Rows of w as 64-bit words. */
static void widen(uint64_t *out, const struct kern_gemm_job *job, size_t o, size_t outs, size_t from, size_t inner)
{
    for (size_t j = 0; j < outs; j++) {
        const uint8_t *w = job->w + (o + j) * job->w_stride + 6 * from;
        for (size_t i = 0; i < inner; i += WIDTH)
            _mm256_store_si256((__m256i *)(void *)(out + j * DEPTH + i),
                               inner - i < WIDTH ? load_first_words(KERN_WORD_48, w + 6 * i, inner - i) : load_words(KERN_WORD_48, w + 6 * i));
    }
}

/* ---- one row ---- */

/* Units [from, to) of 8 elements, with w fetched `ahead` bytes before its turn. A single stream has accumulators that take turns, so
 * that additions do not wait for each other. */
GEMM_INLINE void row_part(struct kern_avx2_sums *s, const struct kern_gemm_job *job, const uint8_t *w, enum kern_word word, int outs,
                          size_t from, size_t to, size_t ahead)
{
    size_t half = WIDTH * kern_word_bytes(word), i = from;
    for (; outs == 1 && i + 2 <= to; i += 2) {
        kern_row_prefetch(w + 2 * i * half, ahead);
        kern_row_prefetch(w + 2 * (i + 1) * half, ahead);
#pragma GCC unroll 4
        for (size_t v = 0; v < 4; v++) {
            __m256i x = kern_avx2_load((const uint64_t *)job->a + WIDTH * (2 * i + v));
            kern_avx2_multiply(s, (int)v, x, kern_avx2_swap_halves(x), load_words(word, w + (2 * i + v) * half));
        }
    }
    for (; i < to; i++) {
#pragma GCC unroll 4
        for (int o = 0; o < outs; o++)
            kern_row_prefetch(w + (size_t)o * job->w_stride + 2 * i * half, ahead);
#pragma GCC unroll 2
        for (size_t v = 0; v < 2; v++)
            step(s, (const uint64_t *)job->a + WIDTH * (2 * i + v), 0, 1, word, w + (2 * i + v) * half, job->w_stride, outs);
    }
}

GEMM_INLINE void row_outs(const struct kern_gemm_job *job, enum kern_word word, size_t o, int outs, size_t inner)
{
    struct kern_avx2_sums s;
    for (int i = 0; i < KERN_AVX2_PAIRS; i++)
        s.low[i] = s.cross[i] = _mm256_setzero_si256();
    size_t bytes = kern_word_bytes(word);
    const uint8_t *w = job->w + o * job->w_stride;
    struct kern_row_plan plan = kern_row_plan(inner, 2 * WIDTH, 2 * WIDTH * bytes, job->w_stride, (size_t)outs);
    row_part(&s, job, w, word, outs, 0, plan.near, plan.ahead);
    row_part(&s, job, w, word, outs, plan.near, plan.units, plan.ahead_next);
    size_t done = plan.units * 2 * WIDTH;
    if (inner - done >= WIDTH) {
        step(&s, (const uint64_t *)job->a + done, 0, 1, word, w + done * bytes, job->w_stride, outs);
        done += WIDTH;
    }
    if (done < inner)
        step_tail(&s, (const uint64_t *)job->a + done, 0, 1, word, w + done * bytes, job->w_stride, outs, inner - done);
    uint64_t y[KERN_AVX2_PAIRS], keep = word == KERN_WORD_64 ? ~UINT64_C(0) : kern_ring_mask(48);
    for (int i = 0; i < KERN_AVX2_PAIRS; i++)
        y[i] = kern_avx2_total(&s, i);
    if (outs == 1)
        y[0] += y[1] + y[2] + y[3];
    for (int i = 0; i < outs; i++)
        job->y[o + (size_t)i] = y[i] & keep;
}

GEMM_INLINE void one_row(const struct kern_gemm_job *job, enum kern_word word, size_t outs, size_t inner)
{
    size_t o = 0;
    if (!kern_row_is_short(8 * inner))
        for (; o + ROW_OUTS <= outs; o += ROW_OUTS)
            row_outs(job, word, o, ROW_OUTS, inner);
    for (; o < outs; o++)
        row_outs(job, word, o, 1, inner);
}

GEMM_APART void one_row_64(const struct kern_gemm_job *job, size_t outs, size_t inner)
{
    one_row(job, KERN_WORD_64, outs, inner);
}

GEMM_APART void one_row_48(const struct kern_gemm_job *job, size_t outs, size_t inner)
{
    one_row(job, KERN_WORD_48, outs, inner);
}

static void multiply_all(const struct kern_gemm_job *job, size_t rows, size_t outs, size_t inner)
{
    struct kern_gemm_cut cut = {DEPTH, BLOCK_ROWS, TILE_ROWS, TILE_OUTS, tile_of, column_of, job->word == KERN_WORD_64 ? NULL : widen};
    if (rows > 1)
        kern_gemm_in_blocks(job, &cut, rows, outs, inner);
    else
        (job->word == KERN_WORD_64 ? one_row_64 : one_row_48)(job, outs, inner);
}

void kern_avx2_gemm64(KERN_GEMM_PARAMETERS)
{
    struct kern_gemm_job job = {a, w, y, a_stride, w_stride, y_stride, KERN_WORD_64};
    multiply_all(&job, rows, outs, inner);
}

void kern_avx2_gemm48(KERN_GEMM_PARAMETERS)
{
    struct kern_gemm_job job = {a, w, y, a_stride, w_stride, y_stride, KERN_WORD_48};
    multiply_all(&job, rows, outs, inner);
}
