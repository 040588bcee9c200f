/* Small whole numbers that are public: logarithms, the smaller and the larger one, whole units. */
#ifndef CACHET_BASE_BITS_H
#define CACHET_BASE_BITS_H

#include <stddef.h>

/* The least b with value < 2^b: the bits that the value takes. */
static inline int base_bits_of(size_t value)
{
    int bits = 0;
    while (bits < 63 && value >> bits != 0)
        bits++;
    return bits;
}

/* The least b with n <= 2^b. */
static inline int base_log_ceil(size_t n)
{
    return n == 0 ? 0 : base_bits_of(n - 1);
}

static inline int base_smaller(int a, int b)
{
    return a < b ? a : b;
}

static inline int base_larger(int a, int b)
{
    return a > b ? a : b;
}

/* The least multiple of `unit` that is not below n. */
static inline size_t base_whole_units(size_t n, size_t unit)
{
    return (n + unit - 1) / unit * unit;
}

#endif
