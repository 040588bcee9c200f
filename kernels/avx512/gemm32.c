/* Products in Z_2^32 with vpmulld, sixteen to a vector. Both operands run along `inner`; a tile keeps R x O accumulators in
 * registers, and a single row streams w (see kern_row_plan). */
#include "kernels/avx512/lanes.h"
#include "kernels/avx512/slots.h"
#include "kernels/row_plan.h"

#define GEMM_INLINE KERN_AVX512_INLINE
#define GEMM_APART static __attribute__((noinline)) /* a loop that needs all registers for itself */

enum { TILE = 4, DEPTH = 1024, PANEL_ROWS = 64, WIDTH = 16, WORD = 4 };

struct gemm_job {
    const uint32_t *a;
    const uint8_t *w;
    uint64_t *y;
    size_t a_stride, w_stride, y_stride;
};

GEMM_INLINE __m512i load(const void *from, __mmask16 lanes)
{
    return lanes == 0xffff ? _mm512_loadu_si512(from) : _mm512_maskz_loadu_epi32(lanes, from);
}

GEMM_INLINE __mmask16 lanes_below(size_t n)
{
    return (__mmask16)((1u << n) - 1);
}

GEMM_INLINE uint32_t sum_lanes(__m512i x)
{
    __m256i eight = _mm256_add_epi32(_mm512_castsi512_si256(x), _mm512_extracti64x4_epi64(x, 1));
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    return (uint32_t)_mm_cvtsi128_si32(four) + (uint32_t)_mm_extract_epi32(four, 1);
}

/* One vector of `rows` rows of a against `outs` rows of w. */
GEMM_INLINE void step(__m512i *sums, const uint32_t *a, size_t a_stride, int rows, const uint8_t *w, size_t w_stride, int outs,
                      __mmask16 lanes)
{
    __m512i x[TILE];
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++)
        x[r] = load(a + (size_t)r * a_stride, lanes);
#pragma GCC unroll 4
    for (int o = 0; o < outs; o++) {
        __m512i y = load(w + (size_t)o * w_stride, lanes);
#pragma GCC unroll 4
        for (int r = 0; r < rows; r++)
            sums[r * outs + o] = _mm512_add_epi32(sums[r * outs + o], _mm512_mullo_epi32(x[r], y));
    }
}

/* y[r][o] (+)= the products of `inner` elements from `from` on. */
GEMM_INLINE void tile(const struct gemm_job *job, size_t r, int rows, size_t o, int outs, size_t from, size_t inner)
{
    __m512i sums[TILE * TILE];
#pragma GCC unroll 16
    for (int i = 0; i < rows * outs; i++)
        sums[i] = _mm512_setzero_si512();
    const uint32_t *a = job->a + r * job->a_stride + from;
    const uint8_t *w = job->w + o * job->w_stride + WORD * from;
    size_t i = 0;
    for (; i + WIDTH <= inner; i += WIDTH)
        step(sums, a + i, job->a_stride, rows, w + WORD * i, job->w_stride, outs, 0xffff);
    if (i < inner)
        step(sums, a + i, job->a_stride, rows, w + WORD * i, job->w_stride, outs, lanes_below(inner - i));
#pragma GCC unroll 16
    for (int k = 0; k < rows * outs; k++) {
        uint64_t *y = job->y + (r + (size_t)(k / outs)) * job->y_stride + o + (size_t)(k % outs);
        *y = sum_lanes(sums[k]) + (from > 0 ? (uint32_t)*y : 0);
    }
}

/* Tiles of fewer rows than a full one, too: heads that share a key meet it with so many; against TILE outs or one. */
#define TILES(rows)                                                                                                    \
    GEMM_APART void tile_##rows(const struct gemm_job *job, size_t r, size_t o, size_t from, size_t inner)             \
    {                                                                                                                  \
        tile(job, r, rows, o, TILE, from, inner);                                                                      \
    }                                                                                                                  \
    GEMM_APART void column_##rows(const struct gemm_job *job, size_t r, size_t o, size_t from, size_t inner)           \
    {                                                                                                                  \
        tile(job, r, rows, o, 1, from, inner);                                                                         \
    }

TILES(1)
TILES(2)
TILES(3)
TILES(4)

typedef void (*tile_fn)(const struct gemm_job *job, size_t r, size_t o, size_t from, size_t inner);
static const tile_fn tile_of[TILE + 1] = {NULL, tile_1, tile_2, tile_3, tile_4};
static const tile_fn column_of[TILE + 1] = {NULL, column_1, column_2, column_3, column_4};

/* Rows [r, r_end) and all outs, one block of `inner`. */
static void panel(const struct gemm_job *job, size_t r, size_t r_end, size_t outs, size_t from, size_t inner)
{
    for (size_t o = 0, now; o < outs; o += now) {
        now = outs - o < TILE ? 1 : TILE;
        struct kern_ahead next = kern_ahead_of(job->w + (o + now) * job->w_stride + WORD * from, job->w_stride, WORD * inner, now,
                                               (r_end - r + TILE - 1) / TILE);
        for (size_t i = r; i < r_end; i += TILE) {
            kern_ahead_fetch(&next);
            (now == 1 ? column_of : tile_of)[r_end - i < TILE ? r_end - i : TILE](job, i, o, from, inner);
        }
    }
}

/* ---- one row ---- */

/* Units [from, to) of 16 elements, with w fetched `ahead` bytes before its turn; a single stream has accumulators that take turns. */
GEMM_INLINE void row_part(__m512i *sums, const struct gemm_job *job, const uint8_t *w, int outs, size_t from, size_t to, size_t ahead)
{
    size_t width = WIDTH * WORD, i = from;
    for (; outs == 1 && i + TILE <= to; i += TILE)
#pragma GCC unroll 4
        for (size_t j = 0; j < TILE; j++) {
            kern_row_prefetch(w + (i + j) * width, ahead);
            step(sums + j, job->a + WIDTH * (i + j), 0, 1, w + width * (i + j), 0, 1, 0xffff);
        }
    for (; i < to; i++) {
#pragma GCC unroll 4
        for (int o = 0; o < outs; o++)
            kern_row_prefetch(w + (size_t)o * job->w_stride + i * width, ahead);
        step(sums, job->a + WIDTH * i, 0, 1, w + width * i, job->w_stride, outs, 0xffff);
    }
}

GEMM_INLINE void row_outs(const struct gemm_job *job, size_t o, int outs, size_t inner)
{
    __m512i sums[TILE];
    for (int i = 0; i < TILE; i++)
        sums[i] = _mm512_setzero_si512();
    const uint8_t *w = job->w + o * job->w_stride;
    struct kern_row_plan plan = kern_row_plan(inner, WIDTH, WIDTH * WORD, job->w_stride, (size_t)outs);
    row_part(sums, job, w, outs, 0, plan.near, plan.ahead);
    row_part(sums, job, w, outs, plan.near, plan.units, plan.ahead_next);
    size_t done = plan.units * WIDTH;
    if (done < inner)
        step(sums, job->a + done, 0, 1, w + WORD * done, job->w_stride, outs, lanes_below(inner - done));
    if (outs == 1)
        sums[0] = _mm512_add_epi32(_mm512_add_epi32(sums[0], sums[1]), _mm512_add_epi32(sums[2], sums[3]));
    for (int i = 0; i < outs; i++)
        job->y[o + (size_t)i] = sum_lanes(sums[i]);
}

GEMM_APART void one_row(const struct gemm_job *job, size_t outs, size_t inner)
{
    size_t o = 0;
    if (!kern_row_is_short(WORD * inner))
        for (; o + TILE <= outs; o += TILE)
            row_outs(job, o, TILE, inner);
    for (; o < outs; o++)
        row_outs(job, o, 1, inner);
}

void kern_avx512_gemm32(KERN_GEMM_PARAMETERS)
{
    struct gemm_job job = {a, w, y, a_stride, w_stride, y_stride};
    if (rows == 1) {
        one_row(&job, outs, inner);
        return;
    }
    for (size_t from = 0; from < inner; from += DEPTH)
        for (size_t r = 0; r < rows; r += PANEL_ROWS)
            panel(&job, r, rows - r < PANEL_ROWS ? rows : r + PANEL_ROWS, outs, from, inner - from < DEPTH ? inner - from : DEPTH);
}
