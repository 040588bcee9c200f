/* The slots of the AVX-512 and VAES level; what is missing here is the AVX2 slot. */
#ifndef CACHET_KERNELS_AVX512_SLOTS_H
#define CACHET_KERNELS_AVX512_SLOTS_H

#include "kernels/avx2/slots.h"

extern const struct kern_fss_core kern_avx512_fss;

void kern_avx512_gemm64(KERN_GEMM_PARAMETERS);
void kern_avx512_gemm48(KERN_GEMM_PARAMETERS);
void kern_avx512_gemm32(KERN_GEMM_PARAMETERS);
void kern_avx512_combine32(uint32_t *y, const uint32_t *a, size_t a_stride, size_t rows, const uint32_t *w, size_t width, size_t count);
void kern_avx512_turn_add(uint64_t *share, const uint64_t *word, const uint64_t *m, size_t n, const struct kern_turn *turn);
void kern_avx512_power_words(uint64_t *out, const uint64_t *words, size_t stride, int limbs, const uint64_t *m, size_t n,
                             const struct base_exact_power *factor, int s);
uint64_t kern_avx512_dot(const uint64_t *a, const uint64_t *b, size_t count);
void kern_avx512_segment_dot(uint64_t *ret, const uint64_t *hot, const uint64_t *const c[3], uint64_t j, size_t cells,
                             int triples);

void kern_avx512_prg_fill(const struct kern_aes_key *key, uint64_t counter, uint64_t first_block, uint8_t *out,
                          size_t bytes);
void kern_avx512_prg_words(const struct kern_aes_key *key, uint64_t counter, uint64_t *out, size_t count, int ring);

#endif
