/* AES-128-CTR with AES-NI. */
#include "kernels/avx2/aes.h"
#include "kernels/avx2/slots.h"

/* Blocks first .. first + 7 of the stream; the counters are big-endian. */
AES_INLINE void stream8(__m128i x[AES_FLIGHT], const struct kern_aes_key *key, uint64_t counter, uint64_t first)
{
    const __m128i swap = _mm_set_epi8(8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
    __m128i base = _mm_set_epi64x((long long)first, (long long)counter);
#pragma GCC unroll 8
    for (int i = 0; i < AES_FLIGHT; i++)
        x[i] = _mm_shuffle_epi8(_mm_add_epi64(base, _mm_set_epi64x(i, 0)), swap);
    aes_encrypt8(x, key->round[0], 16);
}

void kern_avx2_prg_fill(const struct kern_aes_key *key, uint64_t counter, uint64_t first_block, uint8_t *out,
                        size_t bytes)
{
    __m128i x[AES_FLIGHT];
    size_t at = 0;
    for (; at + sizeof x <= bytes; at += sizeof x) {
        stream8(x, key, counter, first_block + at / 16);
#pragma GCC unroll 8
        for (int i = 0; i < AES_FLIGHT; i++)
            aes_store(out + at + 16 * i, x[i]);
    }
    if (at < bytes) {
        stream8(x, key, counter, first_block + at / 16);
        memcpy(out + at, x, bytes - at);
    }
}

void kern_avx2_prg_words(const struct kern_aes_key *key, uint64_t counter, uint64_t *out, size_t count, int ring)
{
    const __m128i mask = _mm_set1_epi64x((long long)kern_ring_mask(ring));
    __m128i x[AES_FLIGHT];
    const size_t step = 2 * AES_FLIGHT;
    for (size_t at = 0; at < count; at += step) {
        stream8(x, key, counter, at / 2);
        for (int i = 0; i < AES_FLIGHT; i++)
            x[i] = _mm_and_si128(x[i], mask);
        memcpy(out + at, x, 8 * (count - at < step ? count - at : step));
    }
}
