/* AES-128-CTR with VAES: sixteen blocks in flight. */
#include "kernels/avx512/aes.h"
#include "kernels/avx512/slots.h"

struct stream {
    __m512i key[AES_ROUNDS + 1];
    __m512i next; /* counters of four blocks, little-endian */
};

VAES_INLINE void stream_open(struct stream *s, const struct kern_aes_key *key, uint64_t counter, uint64_t first)
{
    for (int r = 0; r <= AES_ROUNDS; r++)
        s->key[r] = vaes_broadcast(key->round[r]);
    __m512i base = _mm512_broadcast_i32x4(_mm_set_epi64x((long long)first, (long long)counter));
    s->next = _mm512_add_epi64(base, _mm512_set_epi64(3, 0, 2, 0, 1, 0, 0, 0));
}

VAES_INLINE void stream16(struct stream *s, __m512i x[4])
{
    const __m512i swap = _mm512_broadcast_i32x4(_mm_set_epi8(8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
    const __m512i four = _mm512_set_epi64(4, 0, 4, 0, 4, 0, 4, 0);
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        x[i] = _mm512_xor_si512(_mm512_shuffle_epi8(s->next, swap), s->key[0]);
        s->next = _mm512_add_epi64(s->next, four);
    }
#pragma GCC unroll 10
    for (int r = 1; r < AES_ROUNDS; r++)
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
            x[i] = _mm512_aesenc_epi128(x[i], s->key[r]);
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++)
        x[i] = _mm512_aesenclast_epi128(x[i], s->key[AES_ROUNDS]);
}

void kern_avx512_prg_fill(const struct kern_aes_key *key, uint64_t counter, uint64_t first_block, uint8_t *out,
                          size_t bytes)
{
    struct stream s;
    __m512i x[4];
    size_t at = 0;
    stream_open(&s, key, counter, first_block);
    for (; at + sizeof x <= bytes; at += sizeof x) {
        stream16(&s, x);
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
            _mm512_storeu_si512(out + at + 64 * i, x[i]);
    }
    if (at < bytes) {
        stream16(&s, x);
        memcpy(out + at, x, bytes - at);
    }
}

void kern_avx512_prg_words(const struct kern_aes_key *key, uint64_t counter, uint64_t *out, size_t count, int ring)
{
    const __m512i mask = _mm512_set1_epi64((long long)kern_ring_mask(ring));
    struct stream s;
    __m512i x[4];
    size_t at = 0, step = sizeof x / 8;
    stream_open(&s, key, counter, 0);
    for (; at + step <= count; at += step) {
        stream16(&s, x);
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
            _mm512_storeu_si512(out + at + 8 * i, _mm512_and_si512(x[i], mask));
    }
    if (at < count) {
        stream16(&s, x);
        for (int i = 0; i < 4; i++)
            x[i] = _mm512_and_si512(x[i], mask);
        memcpy(out + at, x, 8 * (count - at));
    }
}
