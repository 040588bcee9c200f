/* Products in Z_2^64 and Z_2^48 with vpmullq. Both operands run along `inner`, so that nothing is packed: a tile keeps R x O
 * accumulators in registers. A single row is bound by memory, and AVX2's reads it faster: 5 to 12 % at rows of 3072 words. Words of 48 bits are
 * three words of 16: one vpermw makes eight of them 64-bit lanes, and tiles read a panel of w that was widened once. */
#include "kernels/avx512/lanes.h"
#include "kernels/avx512/slots.h"
#include "kernels/gemm_blocks.h"

#define GEMM_INLINE KERN_AVX512_INLINE
#define GEMM_APART static __attribute__((noinline)) /* a loop that needs all registers for itself */

enum {
    TILE = 4,          /* rows and outs of a tile */
    DEPTH = 384,       /* of a block of `inner`, in elements: a tile of it fits in the level-one cache */
    BLOCK_ROWS = 64,   /* of a block of rows, which fits in the level-two cache with that depth */
    WIDTH = KERN_AVX512_WIDTH,
};

/* Eight words of w; `lanes` of them are read. */
GEMM_INLINE __m512i load_words(enum kern_word word, const uint8_t *from, __mmask8 lanes)
{
    if (word == KERN_WORD_64)
        return lanes == 0xff ? _mm512_loadu_si512((const void *)from) : _mm512_maskz_loadu_epi64(lanes, (const void *)from);
    const __m512i spread = _mm512_set_epi16(0, 23, 22, 21, 0, 20, 19, 18, 0, 17, 16, 15, 0, 14, 13, 12, 0, 11, 10, 9, 0, 8, 7, 6, 0,
                                            5, 4, 3, 0, 2, 1, 0);
    __mmask32 parts = lanes == 0xff ? 0xffffff : (__mmask32)((1u << 3 * (unsigned)__builtin_popcount(lanes)) - 1);
    return _mm512_maskz_permutexvar_epi16(0x77777777, spread, _mm512_maskz_loadu_epi16(parts, (const void *)from));
}

/* One vector of `rows` rows of a against `outs` rows of w. */
GEMM_INLINE void step(__m512i *sums, const uint64_t *a, size_t a_stride, int rows, enum kern_word word, const uint8_t *w,
                      size_t w_stride, int outs, __mmask8 lanes)
{
    __m512i x[TILE];
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++)
        x[r] = lanes == 0xff ? kern_avx512_load(a + (size_t)r * a_stride)
                             : _mm512_maskz_loadu_epi64(lanes, a + (size_t)r * a_stride);
#pragma GCC unroll 4
    for (int o = 0; o < outs; o++) {
        __m512i y = load_words(word, w + (size_t)o * w_stride, lanes);
#pragma GCC unroll 4
        for (int r = 0; r < rows; r++)
            sums[r * outs + o] = _mm512_add_epi64(sums[r * outs + o], _mm512_mullo_epi64(x[r], y));
    }
}

/* ---- tiles ---- */

GEMM_INLINE __m256i pair_halves(__m512i a, __m512i b)
{
    __m512i pairs = _mm512_add_epi64(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
    return _mm256_add_epi64(_mm512_castsi512_si256(pairs), _mm512_extracti64x4_epi64(pairs, 1));
}

/* The lanes of four vectors added up, side by side. */
GEMM_INLINE __m256i sum_four(const __m512i *sums)
{
    __m256i ab = pair_halves(sums[0], sums[1]), cd = pair_halves(sums[2], sums[3]);
    return _mm256_add_epi64(_mm256_permute2x128_si256(ab, cd, 0x20), _mm256_permute2x128_si256(ab, cd, 0x31));
}

/* y[r][o] (+)= the products of a panel. */
GEMM_INLINE void tile(const struct kern_gemm_job *job, const struct kern_gemm_panel *p, size_t r, int rows, size_t o, int outs)
{
    __m512i sums[TILE * TILE];
#pragma GCC unroll 16
    for (int i = 0; i < rows * outs; i++)
        sums[i] = _mm512_setzero_si512();
    const uint64_t *a = (const uint64_t *)job->a + r * job->a_stride + p->from;
    size_t i = 0;
    for (; i + WIDTH <= p->inner; i += WIDTH)
        step(sums, a + i, job->a_stride, rows, KERN_WORD_64, p->w + 8 * i, p->stride, outs, 0xff);
    if (i < p->inner)
        step(sums, a + i, job->a_stride, rows, KERN_WORD_64, p->w + 8 * i, p->stride, outs, kern_avx512_lanes_below(p->inner - i));
    uint64_t keep = job->word == KERN_WORD_64 ? ~UINT64_C(0) : kern_ring_mask(48);
#pragma GCC unroll 4
    for (int k = 0; k < rows; k++) {
        uint64_t *y = job->y + (r + (size_t)k) * job->y_stride + o;
        if (outs == 1) {
            *y = (kern_avx512_sum(sums[k]) + (p->from > 0 ? *y : 0)) & keep;
            continue;
        }
        __m256i *to = (__m256i *)(void *)y, sum = sum_four(sums + k * outs);
        if (p->from > 0)
            sum = _mm256_add_epi64(sum, _mm256_loadu_si256(to));
        _mm256_storeu_si256(to, _mm256_and_si256(sum, _mm256_set1_epi64x((long long)keep)));
    }
}

KERN_GEMM_TILES(1, TILE)
KERN_GEMM_TILES(2, TILE)
KERN_GEMM_TILES(3, TILE)
KERN_GEMM_TILES(4, TILE)

static const kern_gemm_tile tile_of[] = {NULL, tile_1, tile_2, tile_3, tile_4};
static const kern_gemm_tile column_of[] = {NULL, column_1, column_2, column_3, column_4};

_Static_assert(TILE * DEPTH <= KERN_GEMM_WIDE_WORDS, "a widened panel fits");

/* Rows of w as 64-bit words. */
static void widen(uint64_t *out, const struct kern_gemm_job *job, size_t o, size_t outs, size_t from, size_t inner)
{
    for (size_t j = 0; j < outs; j++) {
        const uint8_t *w = job->w + (o + j) * job->w_stride + 6 * from;
        for (size_t i = 0; i < inner; i += WIDTH)
            _mm512_storeu_si512((void *)(out + j * DEPTH + i), load_words(KERN_WORD_48, w + 6 * i, kern_avx512_lanes_below(inner - i)));
    }
}

void kern_avx512_gemm64(KERN_GEMM_PARAMETERS)
{
    struct kern_gemm_job job = {a, w, y, a_stride, w_stride, y_stride, KERN_WORD_64};
    struct kern_gemm_cut cut = {DEPTH, BLOCK_ROWS, TILE, TILE, tile_of, column_of, NULL};
    if (rows > 1)
        kern_gemm_in_blocks(&job, &cut, rows, outs, inner);
    else
        kern_avx2_gemm64(y, y_stride, a, a_stride, rows, w, w_stride, outs, inner);
}

void kern_avx512_gemm48(KERN_GEMM_PARAMETERS)
{
    struct kern_gemm_job job = {a, w, y, a_stride, w_stride, y_stride, KERN_WORD_48};
    struct kern_gemm_cut cut = {DEPTH, BLOCK_ROWS, TILE, TILE, tile_of, column_of, widen};
    if (rows > 1)
        kern_gemm_in_blocks(&job, &cut, rows, outs, inner);
    else
        kern_avx2_gemm48(y, y_stride, a, a_stride, rows, w, w_stride, outs, inner);
}
