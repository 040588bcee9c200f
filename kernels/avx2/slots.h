/* The slots of the AVX2 and AES-NI level. */
#ifndef CACHET_KERNELS_AVX2_SLOTS_H
#define CACHET_KERNELS_AVX2_SLOTS_H

#include "kernels/fss/core.h"

extern const struct kern_fss_core kern_avx2_fss;
void kern_avx2_leaf(const struct kern_fss_leaf *job);
void kern_avx2_walk(const struct kern_fss_walk *job);
void kern_avx2_walk_prefix(const struct kern_fss_walk *job);
void kern_avx2_walk_value(const struct kern_fss_walk *job);

void kern_avx2_gemm64(KERN_GEMM_PARAMETERS);
void kern_avx2_gemm48(KERN_GEMM_PARAMETERS);
void kern_avx2_gemm32(KERN_GEMM_PARAMETERS);
void kern_avx2_combine32(uint32_t *y, const uint32_t *a, size_t a_stride, size_t rows, const uint32_t *w, size_t width, size_t count);
void kern_avx2_turn_add(uint64_t *share, const uint64_t *word, const uint64_t *m, size_t n, const struct kern_turn *turn);
void kern_avx2_power_words(uint64_t *out, const uint64_t *words, size_t stride, int limbs, const uint64_t *m, size_t n,
                           const struct base_exact_power *factor, int s);
uint64_t kern_avx2_dot(const uint64_t *a, const uint64_t *b, size_t count);
void kern_avx2_segment_dot(uint64_t *ret, const uint64_t *hot, const uint64_t *const c[3], uint64_t j, size_t cells,
                           int triples);

void kern_avx2_prg_fill(const struct kern_aes_key *key, uint64_t counter, uint64_t first_block, uint8_t *out,
                        size_t bytes);
void kern_avx2_prg_words(const struct kern_aes_key *key, uint64_t counter, uint64_t *out, size_t count, int ring);

/* Of the level between AVX2 and AVX-512 (vaes/prg.c). */
void kern_vaes_prg_fill(const struct kern_aes_key *key, uint64_t counter, uint64_t first_block, uint8_t *out,
                        size_t bytes);
void kern_vaes_prg_words(const struct kern_aes_key *key, uint64_t counter, uint64_t *out, size_t count, int ring);

void kern_avx2_unpack_bits(uint64_t *out, const uint8_t *in, size_t count, int ring);
void kern_avx2_unpack_add(uint64_t *out, const uint8_t *in, size_t count, int ring);
void kern_avx2_round_shift(uint64_t *z, const uint64_t *x, size_t count, int ring, int f);

#endif
