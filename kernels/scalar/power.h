/* What power_words does with one word. */
#ifndef CACHET_KERNELS_SCALAR_POWER_H
#define CACHET_KERNELS_SCALAR_POWER_H

#include "kernels/kern.h"

/* One word of `limbs` limbs, `stride` apart. */
KERN_INLINE uint64_t kern_power_scale(const uint64_t *word, size_t stride, int limbs, struct base_exact_power factor)
{
    uint64_t product[KERN_MAX_LIMBS + 2] = {0};
    unsigned __int128 carry = 0;
    for (int l = 0; l < limbs; l++) {
        carry += (unsigned __int128)word[(size_t)l * stride] * factor.mantissa;
        product[l] = (uint64_t)carry;
        carry >>= 64;
    }
    product[limbs] = (uint64_t)carry;
    uint32_t from = factor.shift / 64, by = factor.shift % 64, half = factor.shift - 1;
    uint64_t kept = product[from] >> by | product[from + 1] << 1 << (63 - by);
    return kept + ((product[half / 64] >> (half % 64)) & 1);
}

#endif
