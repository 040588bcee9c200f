/* Real functions with the same bits on every machine.
 *
 * Public tables (exp, splines, SiLU coefficients, RoPE) must be identical at P1 and P2; libm is not, and exact
 * integers (base/exact.h) are not made for all of them. These use only IEEE
 * additions, multiplications, divisions and conversions (no fused operation: the build sets -ffp-contract=off), have no branch and no
 * table index that depends on the argument, and so may also be given secret arguments.
 * Accuracy: within 4 units of the 52nd fraction bit, relative (absolute for sin and cos). */
#ifndef CACHET_BASE_REALMATH_H
#define CACHET_BASE_REALMATH_H

#include <stdint.h>
#include <string.h>

/* exp(x) for |x| < 700; arguments outside are clamped. */
double base_exp(double x);

/* ln(x) for 2^-500 < x < 2^500. Branches on nothing but its loop count. */
double base_log(double x);

/* cos and sin of `turn` / 2^64 of a full turn. */
void base_cos_sin(uint64_t turn, double *ret_cos, double *ret_sin);

/* Nearest integer, halves to even; |x| < 2^51. The last bits of x + 1.5 2^52 are the integer: no conversion, and loops
 * over it become vectors. */
static inline int64_t base_nearest(double x)
{
    const double middle = 0x1.8p52;
    double shifted = x + middle;
    uint64_t bits, zero;
    memcpy(&bits, &shifted, sizeof bits);
    memcpy(&zero, &middle, sizeof zero);
    return (int64_t)(bits - zero);
}

/* 2^n, |n| < 1000. */
double base_power_of_two(int n);

#endif
