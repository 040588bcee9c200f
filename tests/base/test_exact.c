/* Exact public tables: every checked entry is the nearest integer to a power series in 384 bits, which has
 * nothing in common with how the tables are made; and their digests, which no machine may change. */
#include "base/exact.c"

#include <math.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* Fraction bits of the series, and log2 of their largest error in the last one. */
enum { WIDE = 384, WIDE_ERROR = 16 };

/* --- power series --- */

/* ret = sum of x^i / i! with signs: exp(x) for every term, or cos(x) for the even ones with signs in turn. */
static void series(mpz_t ret, const mpz_t x, bool cosine)
{
    mpz_t term, factor;
    mpz_inits(term, factor, NULL);
    mpz_set_ui(term, 1);
    mpz_mul_2exp(term, term, WIDE);
    mpz_set(ret, term);
    mpz_set(factor, x);
    if (cosine) {
        mpz_mul(factor, x, x);
        mpz_tdiv_q_2exp(factor, factor, WIDE);
        mpz_neg(factor, factor);
    }
    for (unsigned long i = 1; mpz_sgn(term) != 0; i++) {
        mpz_mul(term, term, factor);
        mpz_tdiv_q_2exp(term, term, WIDE);
        mpz_tdiv_q_ui(term, term, cosine ? (2 * i - 1) * (2 * i) : i);
        mpz_add(ret, ret, term);
    }
    mpz_clears(term, factor, NULL);
}

/* ret = `times` arctan(1 / n), or artanh(1 / n). */
static void add_inverse_tangent(mpz_t ret, long times, unsigned long n, bool hyperbolic)
{
    mpz_t power, term;
    mpz_inits(power, term, NULL);
    mpz_set_ui(power, 1);
    mpz_mul_2exp(power, power, WIDE);
    mpz_tdiv_q_ui(power, power, n);
    for (unsigned long i = 0; mpz_sgn(power) != 0; i++) {
        mpz_tdiv_q_ui(term, power, 2 * i + 1);
        mpz_mul_si(term, term, !hyperbolic && i % 2 == 1 ? -times : times);
        mpz_add(ret, ret, term);
        mpz_tdiv_q_ui(power, power, n * n);
    }
    mpz_clears(power, term, NULL);
}

/* ln 2 = 2 artanh(1 / 3); 2 pi = 32 arctan(1 / 5) - 8 arctan(1 / 239). */
static void constants(mpz_t ln2, mpz_t turn)
{
    mpz_inits(ln2, turn, NULL);
    add_inverse_tangent(ln2, 2, 3, true);
    add_inverse_tangent(turn, 32, 5, false);
    add_inverse_tangent(turn, -8, 239, false);
}

/* |entry 2^-bits - value| < 2^-(bits + 1), the error of the value included. */
static bool is_nearest(int64_t entry, const mpz_t value, int bits)
{
    mpz_t off, half;
    mpz_inits(off, half, NULL);
    mpz_set_si(off, entry);
    mpz_mul_2exp(off, off, (mp_bitcnt_t)(WIDE - bits));
    mpz_sub(off, off, value);
    mpz_abs(off, off);
    mpz_setbit(half, WIDE_ERROR);
    mpz_add(off, off, half);
    mpz_set_ui(half, 0);
    mpz_setbit(half, (mp_bitcnt_t)(WIDE - bits - 1));
    bool well = mpz_cmp(off, half) < 0;
    mpz_clears(off, half, NULL);
    return well;
}

/* --- powers --- */

struct powers {
    const char *name;
    size_t count;
    double range; /* over the whole table, in bits */
    int log_count, bits;
    size_t stride; /* of the checked entries, besides those next to a boundary */
    const char *digest;
};

static const struct powers powers[] = {
    {"64 bits in 2^16", 1 << 16, 64, 16, 14, 1,
     "38b4fd526b4e9e5fbb293315130721c8e798466401087b50058db5e0340d16a0"},
    {"96 bits in 2^17", 1 << 17, 96, 17, 14, 5,
     "4d6f058e82e7a919f6b2e6a8ee19377920b7533291b116ea677660475b8921e4"},
    {"63.478312 bits in 2^15, 22", 1 << 15, 63.478312, 15, 22, 1,
     "a1a8a0ba7c8542d457c0753beee0f2274c62c45087155438a946d4ede47af77d"},
    {"239.99 bits in 2^20, 1", 1 << 20, 239.99, 20, 1, 4001,
     "f523964a6f6e2953458cd00227061dcd8d89c7599742c95c6bbe532f406e822b"},
    {"0.125 bits in 2^12, 30", 1 << 12, 0.125, 12, 30, 1,
     "6bae382ffa23e6ac2f21259341eb07bffed2d4a2dd1895d673130b8090146811"},
    {"178 bits in 2^3", 1 << 3, 178, 3, 14, 1,
     "f76eb5a505e11d0b7b5f78d072241f537a717856f349a4b7d7495b1729e58a93"},
};

enum { POINT = 56 };

static void *must_alloc(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    assert_non_null(memory);
    return memory;
}

static void must_digest(const char *name, const uint32_t *words, size_t count, const char *expected)
{
    uint8_t digest[crypto_hash_sha256_BYTES], *bytes = must_alloc(count, 4);
    char text[2 * sizeof digest + 1];
    for (size_t i = 0; i < 4 * count; i++)
        bytes[i] = (uint8_t)(words[i / 4] >> 8 * (i % 4));
    (void)crypto_hash_sha256(digest, bytes, 4 * count);
    (void)printf("%s: %s\n", name, sodium_bin2hex(text, sizeof text, digest, sizeof digest));
    assert_string_equal(text, expected);
    free(bytes);
}

/* 2^-frac(y_j) by its series. */
static void true_power(mpz_t ret, const struct powers *form, uint64_t step, uint64_t j, const mpz_t ln2)
{
    mpz_t y;
    int point = POINT + form->log_count;
    mpz_init(y);
    mpz_set_ui(y, step);
    mpz_mul_ui(y, y, j);
    mpz_fdiv_r_2exp(y, y, (mp_bitcnt_t)point);
    mpz_mul(y, y, ln2);
    mpz_fdiv_q_2exp(y, y, (mp_bitcnt_t)point);
    mpz_neg(y, y);
    series(ret, y, false);
    mpz_clear(y);
}

static bool near_half(double x)
{
    return fabs(x - floor(x) - 0.5) < 0x1p-9;
}

static void check_powers(const struct powers *form, const mpz_t ln2)
{
    struct base_exact_power *table = must_alloc(form->count, sizeof *table);
    struct base_error error = {0};
    uint64_t step = (uint64_t)ldexp(form->range, POINT);
    int point = POINT + form->log_count;
    size_t checked = 0;
    mpz_t value;
    mpz_init(value);
    assert_int_equal(base_exact_powers(table, form->count, step, point, form->bits, &error), BASE_OK);
    for (size_t j = 0; j < form->count; j++) {
        unsigned __int128 y = (unsigned __int128)step * j;
        double fraction = ldexp((double)(uint64_t)(y << (128 - point) >> 64), -64);
        assert_int_equal(table[j].shift, (uint32_t)(y >> point) + (uint32_t)form->bits);
        if (j % form->stride != 0 && j + 1 != form->count && !near_half(exp2(form->bits - fraction)))
            continue;
        true_power(value, form, step, j, ln2);
        assert_true(is_nearest(table[j].mantissa, value, form->bits));
        assert_false(is_nearest((int64_t)table[j].mantissa + 1, value, form->bits));
        assert_false(is_nearest((int64_t)table[j].mantissa - 1, value, form->bits));
        checked++;
    }
    (void)printf("%s: %zu of %zu entries\n", form->name, checked, form->count);
    must_digest(form->name, (const uint32_t *)table, 2 * form->count, form->digest);
    mpz_clear(value);
    free(table);
}

static void test_powers(void **state)
{
    mpz_t ln2, turn;
    (void)state;
    constants(ln2, turn);
    for (size_t f = 0; f < sizeof powers / sizeof *powers; f++)
        check_powers(&powers[f], ln2);
    mpz_clears(ln2, turn, NULL);
}

/* Whole numbers are exact, however many steps led to them. */
static void test_whole_powers(void **state)
{
    enum { COUNT = 1 << 20 };
    struct base_exact_power *table = must_alloc(COUNT, sizeof *table);
    struct base_error error = {0};
    (void)state;
    assert_int_equal(base_exact_powers(table, COUNT, UINT64_C(3) << 56, 60, 30, &error),
                     BASE_OK); /* 3 / 16 */
    for (uint32_t j = 0; j < COUNT; j += 16) {
        assert_int_equal(table[j].mantissa, 1 << 30);
        assert_int_equal(table[j].shift, 30 + 3 * (j / 16));
        assert_int_equal(table[j + 1].mantissa, table[1].mantissa);
        assert_int_equal(table[j + 15].mantissa, table[15].mantissa);
    }
    free(table);
}

/* --- cosines --- */

static void check_symmetry(const int32_t *table, size_t period, int bits)
{
    const int64_t one = INT64_C(1) << bits;
    assert_int_equal(table[0], one);
    assert_int_equal(table[period / 4], 0);
    assert_int_equal(table[period / 2], -one);
    assert_int_equal(table[period / 4 * 3], 0);
    for (size_t i = 0; i < period; i++) {
        int64_t c = table[i], s = table[(i + period / 4 * 3) & (period - 1)];
        assert_int_equal(c, table[(period - i) & (period - 1)]);
        assert_int_equal(c, -table[(i + period / 2) & (period - 1)]);
        /* c = one cos + a, s = one sin + b, |a| and |b| <= 1/2: off by at most one sqrt(2) + 1/2. */
        assert_true(llabs(c * c + s * s - one * one) <= one * 3 / 2);
    }
}

static size_t check_entries(const int32_t *table, int log, int bits, size_t stride, const mpz_t turn)
{
    size_t period = (size_t)1 << log, checked = 0;
    mpz_t angle, value;
    mpz_inits(angle, value, NULL);
    for (size_t i = 0; i <= period / 4; i++) {
        double scaled = ldexp(cos(ldexp((double)i, -log) * 6.283185307179586), bits);
        if (i % stride != 0 && i != period / 8 && i != period / 4 && i + 1 != period / 4 &&
            !near_half(scaled))
            continue;
        mpz_mul_ui(angle, turn, i);
        mpz_fdiv_q_2exp(angle, angle, (mp_bitcnt_t)log);
        series(value, angle, true);
        assert_true(is_nearest(table[i], value, bits));
        assert_false(is_nearest((int64_t)table[i] + 1, value, bits));
        checked++;
    }
    mpz_clears(angle, value, NULL);
    return checked;
}

static void test_cosines(void **state)
{
    static const struct {
        int log, bits;
        size_t stride;
        const char *digest;
    } forms[] = {{3, 30, 1, "72edba9317340f1db00930a911ef1f2f881782eeddb1a1a025da8e046ba47ef8"},
                 {4, 1, 1, "54dc36c83e8ff9fb0673964d0a41a075f031e43e915a09fb27232b07a84c6c2d"},
                 {5, 20, 1, "90fcacdc43dc95b39a59519516d61d81c292617c1b021b62f6f23c0201074428"},
                 {12, 30, 1, "e0a55b63f9a771c649dcba9452990e78b69d50b42a179bc577a08cfa53d7cc47"},
                 {18, 30, 17, "e4cd335e20eb65b1db58391d52a168000edc205c3941d54a06926a514fc23b34"},
                 {19, 30, 31, "a9e7771a8bb671263f851180258326ccc728d03ee88f6f4f20d13f31749e8694"},
                 {20, 30, 4001, "55a499fc0afd4bf951c3f750d9427bd62fdaedc61f1ef2cd310d236bb6a94ffc"}};
    mpz_t ln2, turn;
    (void)state;
    constants(ln2, turn);
    for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
        size_t period = (size_t)1 << forms[f].log;
        int32_t *table = must_alloc(period, sizeof *table);
        struct base_error error = {0};
        assert_int_equal(base_exact_cosines(table, forms[f].log, forms[f].bits, &error), BASE_OK);
        check_symmetry(table, period, forms[f].bits);
        (void)printf("2^%d cosines: %zu entries\n", forms[f].log,
                     check_entries(table, forms[f].log, forms[f].bits, forms[f].stride, turn));
        must_digest("cosines", (const uint32_t *)table, period, forms[f].digest);
        free(table);
    }
    mpz_clears(ln2, turn, NULL);
}

/* --- refusals --- */

/* Next to a half the rounding is undecided, and one entry spoils the table; a little further on it is not. */
static void test_undecided(void **state)
{
    static const struct {
        int log_off; /* from 5 / 2, in units of the last bit; -1: none */
        bool decided;
    } cases[] = {{-1, false}, {0, false}, {LOG_ERROR - 1, false}, {LOG_ERROR + 1, true}, {FIXED - 4, true}};
    (void)state;
    for (int side = 0; side < 2; side++)
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            struct rounding rounding;
            struct base_error error = {0};
            mpz_t v, off;
            mpz_inits(v, off, NULL);
            start_rounding(&rounding, 1);
            mpz_set_ui(v, 5);
            mpz_mul_2exp(v, v, FIXED - 2);
            if (cases[i].log_off >= 0)
                mpz_setbit(off, (mp_bitcnt_t)cases[i].log_off);
            side == 0 ? mpz_sub(v, v, off) : mpz_add(v, v, off);
            uint32_t nearest = rounded(&rounding, v);
            assert_int_equal(finish_rounding(&rounding, &error),
                             cases[i].decided ? BASE_OK : BASE_ERR_INTERNAL);
            if (cases[i].decided)
                assert_int_equal(nearest, 2 + side);
            mpz_clears(v, off, NULL);
        }
}

static void test_refused(void **state)
{
    struct base_exact_power power[2];
    int32_t cosine[8];
    struct base_error error = {0};
    (void)state;
    assert_int_equal(base_exact_powers(power, 0, 1, 60, 14, &error), BASE_ERR_ARGUMENT);
    assert_int_equal(base_exact_powers(power, ((size_t)1 << 20) + 1, 1, 60, 14, &error), BASE_ERR_ARGUMENT);
    assert_int_equal(base_exact_powers(power, 2, 1, 0, 14, &error), BASE_ERR_ARGUMENT);
    assert_int_equal(base_exact_powers(power, 2, 1, 97, 14, &error), BASE_ERR_ARGUMENT);
    assert_int_equal(base_exact_powers(power, 2, 1, 60, 0, &error), BASE_ERR_ARGUMENT);
    assert_int_equal(base_exact_powers(power, 2, 1, 60, 31, &error), BASE_ERR_ARGUMENT);
    assert_int_equal(base_exact_powers(power, 2, UINT64_MAX, 33, 14, &error), BASE_ERR_ARGUMENT);
    assert_int_equal(base_exact_powers(power, 2, UINT64_MAX, 34, 14, &error), BASE_OK);
    assert_int_equal(base_exact_powers(power, 2, 0, 96, 14, &error), BASE_OK);
    assert_int_equal(power[1].mantissa, 1 << 14);
    assert_int_equal(base_exact_cosines(cosine, 2, 30, &error), BASE_ERR_ARGUMENT);
    assert_int_equal(base_exact_cosines(cosine, 21, 30, &error), BASE_ERR_ARGUMENT);
    assert_int_equal(base_exact_cosines(cosine, 3, 0, &error), BASE_ERR_ARGUMENT);
    assert_int_equal(base_exact_cosines(cosine, 3, 31, &error), BASE_ERR_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_powers), cmocka_unit_test(test_whole_powers),
                                       cmocka_unit_test(test_cosines), cmocka_unit_test(test_undecided),
                                       cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
