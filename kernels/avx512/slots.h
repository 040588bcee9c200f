/* The slots of the AVX-512 and VAES level; what is missing here is the AVX2 slot. */
#ifndef CACHET_KERNELS_AVX512_SLOTS_H
#define CACHET_KERNELS_AVX512_SLOTS_H

#include "kernels/avx2/slots.h"

extern const struct kern_fss_core kern_avx512_fss;

void kern_avx512_gemm64(KERN_GEMM_PARAMETERS);
void kern_avx512_gemm48(KERN_GEMM_PARAMETERS);
void kern_avx512_gemm32(KERN_GEMM_PARAMETERS);
uint64_t kern_avx512_dot(const uint64_t *a, const uint64_t *b, size_t count);
void kern_avx512_segment_dot(uint64_t *ret, const uint64_t *hot, const uint64_t *const c[3], uint64_t j, size_t cells,
                             int triples);

void kern_avx512_prg_fill(const struct kern_aes_key *key, uint64_t counter, uint64_t first_block, uint8_t *out,
                          size_t bytes);
void kern_avx512_prg_words(const struct kern_aes_key *key, uint64_t counter, uint64_t *out, size_t count, int ring);

#endif
