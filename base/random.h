/* splitmix64: repeatable random words for sampling and for numbers made up. Never for keys, masks or seeds.
 * Source: G. L. Steele, D. Lea, C. H. Flood, Fast splittable pseudorandom number generators, OOPSLA 2014. */
#ifndef CACHET_BASE_RANDOM_H
#define CACHET_BASE_RANDOM_H

#include <stdint.h>

/* A word whose every bit depends on every bit of z. */
static inline uint64_t base_random_mix(uint64_t z)
{
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static inline uint64_t base_random_next(uint64_t *state)
{
    return base_random_mix(*state += UINT64_C(0x9e3779b97f4a7c15));
}

/* In [0, 1). */
static inline double base_random_fraction(uint64_t *state)
{
    return (double)(base_random_next(state) >> 11) * 0x1p-53;
}

#endif
