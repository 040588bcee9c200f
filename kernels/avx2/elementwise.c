/* Unpacking of wire words and the rounding shift, four words at a time. Packing has no gain here. */
#include "kernels/avx2/slots.h"

#include <immintrin.h>

enum {
    WIDTH = 4,
    GROUP = 8,        /* eight words are `ring` whole bytes: the pattern of offsets repeats */
    MAX_RING = 57,    /* eight bytes hold a word at any of the eight bit positions */
};

static inline __m256i load(const uint64_t *from)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)from);
}

static inline void store(uint64_t *to, __m256i value)
{
    _mm256_storeu_si256((__m256i *)(void *)to, value);
}

/* How to cut eight words out of `ring` bytes: vector v takes words 4 v .. 4 v + 3, two from each half of 16 bytes. */
struct cut {
    size_t offset[2][2];
    __m256i pick[2];
    __m256i shift[2];
    __m256i mask;
};

static void make_cut(struct cut *ret, int ring)
{
    for (int v = 0; v < 2; v++) {
        uint8_t pick[32];
        uint64_t shift[4];
        for (int i = 0; i < 4; i++) {
            int bit = (4 * v + i) * ring, base = (4 * v + i / 2 * 2) * ring / 8;
            ret->offset[v][i / 2] = (size_t)base;
            shift[i] = (uint64_t)(bit % 8);
            for (int j = 0; j < 8; j++)
                pick[8 * i + j] = (uint8_t)(bit / 8 - base + j);
        }
        ret->pick[v] = _mm256_loadu_si256((const __m256i *)(const void *)pick);
        ret->shift[v] = load(shift);
    }
    ret->mask = _mm256_set1_epi64x((long long)kern_ring_mask(ring));
}

static inline __m256i cut_words(const struct cut *cut, const uint8_t *in, int v)
{
    __m128i low = _mm_loadu_si128((const __m128i *)(const void *)(in + cut->offset[v][0]));
    __m128i high = _mm_loadu_si128((const __m128i *)(const void *)(in + cut->offset[v][1]));
    __m256i bytes = _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
    bytes = _mm256_srlv_epi64(_mm256_shuffle_epi8(bytes, cut->pick[v]), cut->shift[v]);
    return _mm256_and_si256(bytes, cut->mask);
}

/* Words before which groups can be cut without reading past the end: a group's last load ends 16 bytes after its last
 * offset, which is below `ring` + 16. */
static size_t safe_words(size_t count, int ring)
{
    size_t bytes = (count * (size_t)ring + 7) / 8, room = (size_t)ring + 16;
    if (ring > MAX_RING || bytes < room)
        return 0;
    return ((bytes - room) / (size_t)ring + 1) * GROUP;
}

void kern_avx2_unpack_bits(uint64_t *out, const uint8_t *in, size_t count, int ring)
{
    struct cut cut;
    size_t safe = safe_words(count, ring), i = 0;
    if (safe > 0)
        make_cut(&cut, ring);
    for (; i < safe; i += GROUP, in += ring) {
        store(out + i, cut_words(&cut, in, 0));
        store(out + i + WIDTH, cut_words(&cut, in, 1));
    }
    kern_scalar_unpack_bits(out + i, in, count - i, ring);
}

void kern_avx2_unpack_add(uint64_t *out, const uint8_t *in, size_t count, int ring)
{
    struct cut cut;
    size_t safe = safe_words(count, ring), i = 0;
    if (safe > 0)
        make_cut(&cut, ring);
    for (; i < safe; i += GROUP, in += ring) {
        __m256i first = _mm256_add_epi64(load(out + i), cut_words(&cut, in, 0));
        __m256i second = _mm256_add_epi64(load(out + i + WIDTH), cut_words(&cut, in, 1));
        store(out + i, _mm256_and_si256(first, cut.mask));
        store(out + i + WIDTH, _mm256_and_si256(second, cut.mask));
    }
    kern_scalar_unpack_add(out + i, in, count - i, ring);
}

void kern_avx2_round_shift(uint64_t *z, const uint64_t *x, size_t count, int ring, int f)
{
    const __m256i in_mask = _mm256_set1_epi64x((long long)kern_ring_mask(ring)), one = _mm256_set1_epi64x(1);
    const __m256i out_mask = _mm256_set1_epi64x((long long)kern_ring_mask(ring - f));
    const __m128i shift = _mm_cvtsi32_si128(f - 1);
    size_t i = 0;
    for (; f > 0 && i + WIDTH <= count; i += WIDTH) {
        __m256i half = _mm256_srl_epi64(_mm256_and_si256(load(x + i), in_mask), shift);
        __m256i sum = _mm256_add_epi64(_mm256_srli_epi64(half, 1), _mm256_and_si256(half, one));
        store(z + i, _mm256_and_si256(sum, out_mask));
    }
    kern_scalar_round_shift(z + i, x + i, count - i, ring, f);
}
