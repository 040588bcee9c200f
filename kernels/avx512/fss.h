#ifndef CACHET_KERNELS_AVX512_FSS_H
#define CACHET_KERNELS_AVX512_FSS_H

#include "kernels/avx512/aes.h"
#include "kernels/avx512/slots.h"

enum {
    FLIGHT = 4, /* vectors in flight, four blocks each */
    FSS_STRIDE = 16 * KERN_FSS_KEYS,
};

void kern_avx512_leaf(const struct kern_fss_leaf *job);
void kern_avx512_walk(const struct kern_fss_walk *job);
void kern_avx512_walk_prefix(const struct kern_fss_walk *job);
void kern_avx512_walk_value(const struct kern_fss_walk *job);

#endif
