/* Shared by the kernel sources only: blocks, little-endian words, ring masks, and the slots of each level.
 * A slot of level L and family F lives in L/F.c under the name kern_L_slot; table.c puts them together. */
#ifndef CACHET_KERNELS_INTERNAL_H
#define CACHET_KERNELS_INTERNAL_H

#include "kernels/kern.h"

#include <string.h>

/* One AES block: bytes 0..7 little-endian in word[0], bytes 8..15 in word[1]. */
struct kern_block {
    _Alignas(16) uint64_t word[2];
};

KERN_INLINE uint64_t kern_load64(const uint8_t *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof value);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap64(value);
#endif
    return value;
}

KERN_INLINE void kern_store64(uint8_t *bytes, uint64_t value)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap64(value);
#endif
    memcpy(bytes, &value, sizeof value);
}

KERN_INLINE uint32_t kern_load32(const uint8_t *bytes)
{
    uint32_t value;
    memcpy(&value, bytes, sizeof value);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap32(value);
#endif
    return value;
}

/* The 48-bit word at `bytes`. */
KERN_INLINE uint64_t kern_load48(const uint8_t *bytes)
{
    return kern_load32(bytes) | (uint64_t)bytes[4] << 32 | (uint64_t)bytes[5] << 40;
}

KERN_INLINE struct kern_block kern_load_block(const uint8_t *bytes)
{
    return (struct kern_block){{kern_load64(bytes), kern_load64(bytes + 8)}};
}

KERN_INLINE void kern_store_block(uint8_t *bytes, struct kern_block block)
{
    kern_store64(bytes, block.word[0]);
    kern_store64(bytes + 8, block.word[1]);
}

/* All ones for 1, zero for 0: how secret bits select without a branch. */
KERN_INLINE uint64_t kern_bit_mask(uint64_t bit)
{
    return UINT64_C(0) - bit;
}

/* Parameters of a product slot (kern_table.gemm). */
#define KERN_GEMM_PARAMETERS                                                                                           \
    uint64_t *y, size_t y_stride, const void *a, size_t a_stride, size_t rows, const void *w, size_t w_stride, size_t outs, \
        size_t inner

void kern_scalar_gemm64(KERN_GEMM_PARAMETERS);
void kern_scalar_gemm48(KERN_GEMM_PARAMETERS);
void kern_scalar_gemm32(KERN_GEMM_PARAMETERS);
uint64_t kern_scalar_dot(const uint64_t *a, const uint64_t *b, size_t count);
void kern_scalar_combine32(uint32_t *y, const uint32_t *a, size_t a_stride, size_t rows, const uint32_t *w, size_t width, size_t count);
void kern_scalar_turn_add(uint64_t *share, const uint64_t *word, const uint64_t *m, size_t n, const struct kern_turn *turn);
void kern_scalar_power_words(uint64_t *out, const uint64_t *words, size_t stride, int limbs, const uint64_t *m, size_t n,
                             const struct base_exact_power *factor, int s);
uint64_t kern_scalar_grid_dot(const uint64_t *hot, const uint64_t *table, uint64_t m, int h, int s);
void kern_scalar_segment_dot(uint64_t *ret, const uint64_t *hot, const uint64_t *const c[3], uint64_t j, size_t cells,
                             int triples);

void kern_scalar_prg_fill(const struct kern_aes_key *key, uint64_t counter, uint64_t first_block, uint8_t *out,
                          size_t bytes);
void kern_scalar_prg_words(const struct kern_aes_key *key, uint64_t counter, uint64_t *out, size_t count, int ring);

void kern_scalar_pack_bits(uint8_t *out, const uint64_t *in, size_t count, int ring);
void kern_scalar_unpack_bits(uint64_t *out, const uint8_t *in, size_t count, int ring);
void kern_scalar_unpack_add(uint64_t *out, const uint8_t *in, size_t count, int ring);
void kern_scalar_round_shift(uint64_t *z, const uint64_t *x, size_t count, int ring, int f);

/* out[i] = AES(in[i]) under one key, constant time; out may be in. */
void kern_scalar_aes_encrypt(const struct kern_aes_key *key, const struct kern_block *in, struct kern_block *out,
                             size_t count);

#endif
