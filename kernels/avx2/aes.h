/* AES-NI helpers: eight blocks in flight hide the latency of a round. */
#ifndef CACHET_KERNELS_AVX2_AES_H
#define CACHET_KERNELS_AVX2_AES_H

#include "kernels/fss/core.h"

#include <immintrin.h>

enum { AES_FLIGHT = 8, AES_ROUNDS = 10 };

#define AES_INLINE static inline __attribute__((always_inline))

AES_INLINE __m128i aes_load(const void *from)
{
    return _mm_loadu_si128((const __m128i *)from);
}

AES_INLINE void aes_store(void *to, __m128i value)
{
    _mm_storeu_si128((__m128i *)to, value);
}

/* The control bit of a node spread over the block. */
AES_INLINE __m128i aes_control_mask(__m128i node)
{
    __m128i low = _mm_and_si128(_mm_unpacklo_epi64(node, node), _mm_set1_epi64x(1));
    return _mm_sub_epi64(_mm_setzero_si128(), low);
}

AES_INLINE __m128i aes_seed(__m128i node)
{
    return _mm_andnot_si128(_mm_set_epi64x(0, 1), node);
}

/* Input block `counter` of a conversion: byte 15 ^= counter. */
AES_INLINE __m128i aes_counted(__m128i seed, uint64_t counter)
{
    return _mm_xor_si128(seed, _mm_set_epi64x((long long)(counter << 56), 0));
}

/* The same address, of which the compiler knows nothing: it then loads round keys where they are used. It would rather
 * keep them in registers all through a loop, and move blocks in flight to memory and back every round instead. */
AES_INLINE const uint8_t *aes_reload(const uint8_t *schedule)
{
    __asm__("" : "+r"(schedule));
    return schedule;
}

/* out = AES(in) under one schedule with `stride` bytes from round to round. */
AES_INLINE void aes_encrypt8(__m128i x[AES_FLIGHT], const uint8_t *schedule, size_t stride)
{
    __m128i key = aes_load(schedule);
#pragma GCC unroll 8
    for (int i = 0; i < AES_FLIGHT; i++)
        x[i] = _mm_xor_si128(x[i], key);
#pragma GCC unroll 10
    for (int r = 1; r < AES_ROUNDS; r++) {
        key = aes_load(schedule + (size_t)r * stride);
#pragma GCC unroll 8
        for (int i = 0; i < AES_FLIGHT; i++)
            x[i] = _mm_aesenc_si128(x[i], key);
    }
    key = aes_load(schedule + AES_ROUNDS * stride);
#pragma GCC unroll 8
    for (int i = 0; i < AES_FLIGHT; i++)
        x[i] = _mm_aesenclast_si128(x[i], key);
}

enum { FSS_STRIDE = 16 * KERN_FSS_KEYS };

AES_INLINE const uint8_t *fss_schedule(int key)
{
    return kern_fss_round_keys[0][key];
}

#endif
