#include "base/realmath.h"

double base_power_of_two(int n)
{
    uint64_t bits = (uint64_t)(n + 1023) << 52;
    double power;
    memcpy(&power, &bits, sizeof power);
    return power;
}

/* x in [-700, 700], by the order of the bits of positive doubles: compilers turn a comparison of doubles into a jump. */
static double clamp(double x)
{
    const double most = 700.0;
    uint64_t bits, limit;
    memcpy(&bits, &x, sizeof bits);
    memcpy(&limit, &most, sizeof limit);
    uint64_t size = bits & INT64_MAX, over = UINT64_C(0) - ((limit - size) >> 63);
    bits = (bits & ~(uint64_t)INT64_MAX) | (limit & over) | (size & ~over);
    memcpy(&x, &bits, sizeof x);
    return x;
}

double base_exp(double x)
{
    /* x = n ln 2 + r, |r| <= ln 2 / 2; ln 2 in two parts so that n * high is exact for |n| < 2^11. */
    static const double ln2_high = 0x1.62e42fee00000p-1, ln2_low = 0x1.a39ef35793c76p-33, inverse = 0x1.71547652b82fep0;
    static const double coefficient[] = {1.0 / 6227020800.0, 1.0 / 479001600.0, 1.0 / 39916800.0, 1.0 / 3628800.0,
                                         1.0 / 362880.0,     1.0 / 40320.0,     1.0 / 5040.0,     1.0 / 720.0,
                                         1.0 / 120.0,        1.0 / 24.0,        1.0 / 6.0,        0.5};
    x = clamp(x);
    int64_t n = base_nearest(x * inverse);
    double r = (x - (double)n * ln2_high) - (double)n * ln2_low;
    double y = coefficient[0];
    for (unsigned i = 1; i < sizeof coefficient / sizeof *coefficient; i++)
        y = y * r + coefficient[i];
    return (1.0 + (r + r * r * y)) * base_power_of_two((int)n);
}

double base_log(double x)
{
    /* Newton's method on exp from the binary exponent; each step squares the error, which starts below 0.7. */
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    double y = ((double)(int64_t)(bits >> 52) - 1022.5) * 0x1.62e42fefa39efp-1;
    for (int i = 0; i < 7; i++)
        y += x * base_exp(-y) - 1.0;
    return y;
}

void base_cos_sin(uint64_t turn, double *ret_cos, double *ret_sin)
{
    /* turn = quarter * 2^62 + rest, rest in [-2^61, 2^61): an angle of at most an eighth of a turn. */
    uint64_t quarter = (turn + (UINT64_C(1) << 61)) >> 62;
    int64_t rest = (int64_t)(turn - (quarter << 62));
    double a = (double)rest * (0x1.921fb54442d18p2 * 0x1p-64), a2 = a * a;
    static const double sine[] = {1.0 / 355687428096000.0, -1.0 / 1307674368000.0, 1.0 / 6227020800.0, -1.0 / 39916800.0,
                                  1.0 / 362880.0,          -1.0 / 5040.0,          1.0 / 120.0,        -1.0 / 6.0};
    static const double cosine[] = {-1.0 / 6402373705728000.0, 1.0 / 20922789888000.0, -1.0 / 87178291200.0, 1.0 / 479001600.0,
                                    -1.0 / 3628800.0,          1.0 / 40320.0,          -1.0 / 720.0,         1.0 / 24.0};
    double s = sine[0], c = cosine[0];
    for (unsigned i = 1; i < 8; i++) {
        s = s * a2 + sine[i];
        c = c * a2 + cosine[i];
    }
    s = a + a * a2 * s;
    c = 1.0 - 0.5 * a2 + a2 * a2 * c;
    /* Rotation by whole quarters: exchanged in odd ones, with signs, by masks. */
    uint64_t cosine_bits, sine_bits, odd = UINT64_C(0) - (quarter & 1);
    memcpy(&cosine_bits, &c, sizeof c);
    memcpy(&sine_bits, &s, sizeof s);
    uint64_t exchange = (cosine_bits ^ sine_bits) & odd;
    cosine_bits ^= exchange ^ ((quarter + 1) >> 1 & 1) << 63;
    sine_bits ^= exchange ^ (quarter >> 1 & 1) << 63;
    memcpy(ret_cos, &cosine_bits, sizeof *ret_cos);
    memcpy(ret_sin, &sine_bits, sizeof *ret_sin);
}
