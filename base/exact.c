#include "base/exact.h"

#include <gmp.h>
#include <stdbool.h>

/* Fraction bits; log2 of the largest error of an entry in units of the last one, for both tables. */
enum { FIXED = 192, LOG_ERROR = 40 };

static void set_power_of_two(mpz_t ret, int exponent)
{
    mpz_set_ui(ret, 1);
    mpz_mul_2exp(ret, ret, (mp_bitcnt_t)(FIXED + exponent));
}

/* Off by one unit at most, downwards. */
static void multiply(mpz_t ret, const mpz_t a, const mpz_t b)
{
    mpz_mul(ret, a, b);
    mpz_fdiv_q_2exp(ret, ret, FIXED);
}

static void square_root(mpz_t ret, const mpz_t a)
{
    mpz_mul_2exp(ret, a, FIXED);
    mpz_sqrt(ret, ret);
}

/* --- rounding --- */

struct rounding {
    mpz_t half, error, low, high;
    mp_bitcnt_t down;
    bool decided; /* whether all roundings so far were */
};

static void start_rounding(struct rounding *r, int bits)
{
    mpz_inits(r->half, r->error, r->low, r->high, NULL);
    r->down = (mp_bitcnt_t)(FIXED - bits);
    mpz_setbit(r->half, r->down - 1);
    mpz_setbit(r->error, LOG_ERROR);
    r->decided = true;
}

/* v >= 0 to `bits` fraction bits: decided if every number within the error of v rounds to the same. */
static uint32_t rounded(struct rounding *r, const mpz_t v)
{
    mpz_add(r->high, v, r->half);
    mpz_sub(r->low, r->high, r->error);
    mpz_add(r->high, r->high, r->error);
    mpz_fdiv_q_2exp(r->low, r->low, r->down);
    mpz_fdiv_q_2exp(r->high, r->high, r->down);
    r->decided &= mpz_cmp(r->low, r->high) == 0;
    return (uint32_t)mpz_get_ui(r->low);
}

static enum base_status finish_rounding(struct rounding *r, struct base_error *error)
{
    mpz_clears(r->half, r->error, r->low, r->high, NULL);
    if (!r->decided)
        return base_fail(error, BASE_ERR_INTERNAL,
                         "an entry of a public table lies within 2^-%d of a rounding boundary",
                         FIXED - LOG_ERROR);
    return BASE_OK;
}

/* --- powers of two --- */

/* 2^(-rest 2^-point), rest < 2^point. h_i = 2^-(2^-i) is the root of h_(i-1) >= 1/2, so its error is at most
 * e_i = e_(i-1) / sqrt(2) + 1 < 4 units; the product of at most 96 of them is off by less than 96 (4 + 1) <
 * 2^9. */
static void fractional_power(mpz_t ret, unsigned __int128 rest, int point)
{
    mpz_t half;
    mpz_init(half);
    set_power_of_two(half, -1);
    set_power_of_two(ret, 0);
    for (int i = 1; i <= point; i++) {
        square_root(half, half);
        if ((rest >> (point - i) & 1) != 0)
            multiply(ret, ret, half);
    }
    mpz_clear(half);
}

/* v_j = 2^-frac(y_j) lies in (1/2, 1]. A step adds to its RELATIVE error at most that of the factor, 2^9 /
 * (1/2), and 1 / (1/4) for the cut before the doubling; doubling is exact. So 2^20 steps stay below 2^20
 * (2^10 + 4) < 2^LOG_ERROR. */
enum base_status base_exact_powers(struct base_exact_power *ret, size_t count, uint64_t step, int point,
                                   int bits, struct base_error *error)
{
    if (count < 1 || count > (size_t)1 << BASE_EXACT_MOST_LOG || point < 1 || point > BASE_EXACT_MOST_POINT ||
        bits < 1 || bits > BASE_EXACT_MOST_BITS || (unsigned __int128)step * count >> point > INT32_MAX)
        return base_fail(error, BASE_ERR_ARGUMENT, "no exact table of %zu powers with %d and %d bits", count,
                         point, bits);
    unsigned __int128 keep = ((unsigned __int128)1 << point) - 1, y = 0, rest = step & keep;
    struct rounding rounding;
    mpz_t v, factor;
    start_rounding(&rounding, bits);
    mpz_inits(v, factor, NULL);
    fractional_power(factor, rest, point);
    set_power_of_two(v, 0);
    for (size_t j = 0; j < count; j++) {
        ret[j] = (struct base_exact_power){.mantissa = rounded(&rounding, v),
                                           .shift = (uint32_t)bits + (uint32_t)(y >> point)};
        multiply(v, v, factor);
        y += step;
        if ((y & keep) < rest) /* the fraction went over 1 */
            mpz_mul_2exp(v, v, 1);
    }
    mpz_clears(v, factor, NULL);
    return finish_rounding(&rounding, error);
}

/* --- cosines --- */

/* cos and sin of 2 pi / 2^log by halving a quarter of a turn: cos(a / 2) = sqrt((1 + cos a) / 2) and sin(a /
 * 2) = sqrt((1 - cos a) / 2). The error e of a cosine is at most (e / 2 + 1) / (2 cos) + 1 < 4 units, as cos
 * >= 1 / sqrt(2); that of the sine, which is above 2^-18, at most (4 / 2 + 1) / (2 sin) + 1 < 2^19. */
static void first_angle(mpz_t cosine, mpz_t sine, int log)
{
    mpz_t one;
    mpz_init(one);
    set_power_of_two(one, 0);
    mpz_set_ui(cosine, 0);
    for (int i = 3; i <= log; i++) {
        mpz_sub(sine, one, cosine);
        mpz_add(cosine, one, cosine);
        mpz_fdiv_q_2exp(sine, sine, 1);
        mpz_fdiv_q_2exp(cosine, cosine, 1);
        square_root(sine, sine);
        square_root(cosine, cosine);
    }
    mpz_clear(one);
}

/* An eighth of the period by rotations; each adds the error of the first angle and two units, so 2^17 of them
 * stay below 2^17 (2^19 + 5) < 2^LOG_ERROR. Ends at 45 degrees, where both tables meet. */
static enum base_status eighth_of_period(int32_t *ret, size_t period, int log, int bits,
                                         struct base_error *error)
{
    struct rounding rounding;
    mpz_t c, s, c1, s1, product[4];
    start_rounding(&rounding, bits);
    mpz_inits(c, s, c1, s1, product[0], product[1], product[2], product[3], NULL);
    first_angle(c1, s1, log);
    set_power_of_two(c, 0);
    for (size_t i = 0; i <= period / 8; i++) {
        ret[i] = (int32_t)rounded(&rounding, c);
        ret[period / 4 - i] = (int32_t)rounded(&rounding, s);
        mpz_mul(product[0], c, c1);
        mpz_mul(product[1], s, s1);
        mpz_mul(product[2], c, s1);
        mpz_mul(product[3], s, c1);
        mpz_sub(c, product[0], product[1]);
        mpz_add(s, product[2], product[3]);
        mpz_fdiv_q_2exp(c, c, FIXED);
        mpz_fdiv_q_2exp(s, s, FIXED);
    }
    mpz_clears(c, s, c1, s1, product[0], product[1], product[2], product[3], NULL);
    return finish_rounding(&rounding, error);
}

enum base_status base_exact_cosines(int32_t *ret, int log_period, int bits, struct base_error *error)
{
    if (log_period < 3 || log_period > BASE_EXACT_MOST_LOG || bits < 1 || bits > BASE_EXACT_MOST_BITS)
        return base_fail(error, BASE_ERR_ARGUMENT, "no exact table of 2^%d cosines with %d bits", log_period,
                         bits);
    size_t period = (size_t)1 << log_period;
    enum base_status status = eighth_of_period(ret, period, log_period, bits, error);
    if (status != BASE_OK)
        return status;
    for (size_t i = period / 4 + 1; i <= period / 2; i++)
        ret[i] = -ret[period / 2 - i];
    for (size_t i = period / 2 + 1; i < period; i++)
        ret[i] = ret[period - i];
    return BASE_OK;
}
