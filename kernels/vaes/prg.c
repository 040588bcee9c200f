/* AES-128-CTR with VAES on 256-bit vectors, for processors that have no AVX-512: sixteen blocks in flight. */
#include "kernels/avx2/slots.h"

#include <immintrin.h>

enum { ROUNDS = 10, VECTORS = 8, WORDS = 4 * VECTORS };

#define VAES_INLINE static inline __attribute__((always_inline))

struct stream {
    __m256i key[ROUNDS + 1];
    __m256i next; /* counters of two blocks, little-endian */
};

VAES_INLINE void stream_open(struct stream *s, const struct kern_aes_key *key, uint64_t counter, uint64_t first)
{
    for (int r = 0; r <= ROUNDS; r++)
        s->key[r] = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)key->round[r]));
    __m256i base = _mm256_broadcastsi128_si256(_mm_set_epi64x((long long)first, (long long)counter));
    s->next = _mm256_add_epi64(base, _mm256_set_epi64x(1, 0, 0, 0));
}

VAES_INLINE void stream16(struct stream *s, __m256i x[VECTORS])
{
    const __m256i swap = _mm256_broadcastsi128_si256(_mm_set_epi8(8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
    const __m256i two = _mm256_set_epi64x(2, 0, 2, 0);
#pragma GCC unroll 8
    for (int i = 0; i < VECTORS; i++) {
        x[i] = _mm256_xor_si256(_mm256_shuffle_epi8(s->next, swap), s->key[0]);
        s->next = _mm256_add_epi64(s->next, two);
    }
#pragma GCC unroll 10
    for (int r = 1; r < ROUNDS; r++)
#pragma GCC unroll 8
        for (int i = 0; i < VECTORS; i++)
            x[i] = _mm256_aesenc_epi128(x[i], s->key[r]);
#pragma GCC unroll 8
    for (int i = 0; i < VECTORS; i++)
        x[i] = _mm256_aesenclast_epi128(x[i], s->key[ROUNDS]);
}

void kern_vaes_prg_fill(const struct kern_aes_key *key, uint64_t counter, uint64_t first_block, uint8_t *out, size_t bytes)
{
    struct stream s;
    __m256i x[VECTORS];
    size_t at = 0;
    stream_open(&s, key, counter, first_block);
    for (; at + sizeof x <= bytes; at += sizeof x) {
        stream16(&s, x);
#pragma GCC unroll 8
        for (int i = 0; i < VECTORS; i++)
            _mm256_storeu_si256((__m256i *)(void *)(out + at + 32 * (size_t)i), x[i]);
    }
    if (at < bytes) {
        stream16(&s, x);
        memcpy(out + at, x, bytes - at);
    }
}

void kern_vaes_prg_words(const struct kern_aes_key *key, uint64_t counter, uint64_t *out, size_t count, int ring)
{
    const __m256i mask = _mm256_set1_epi64x((long long)kern_ring_mask(ring));
    struct stream s;
    __m256i x[VECTORS];
    stream_open(&s, key, counter, 0);
    for (size_t at = 0; at < count; at += WORDS) {
        stream16(&s, x);
#pragma GCC unroll 8
        for (int i = 0; i < VECTORS; i++)
            x[i] = _mm256_and_si256(x[i], mask);
        memcpy(out + at, x, 8 * (count - at < WORDS ? count - at : WORDS));
    }
}
