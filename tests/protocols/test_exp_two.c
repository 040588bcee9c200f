/* 2^-y from two words: the public factors against exact arithmetic, and the gate against the true answer. */
#include "tests/protocols/check.h"

#include "base/realmath.h"
#include "protocols/exp_two.h"

#include <gmp.h>
#include <math.h>

enum { FEW = 6000, MANY = 70001, FIXED = 192, MOST_POINT = 80 };

static struct sec_exp_two make(struct sec_exp_two_form form)
{
    struct sec_exp_two gate = {0};
    struct base_error error = {0};
    check_ok(sec_exp_two_init(&gate, form, &error), &error, "exp");
    return gate;
}

/* --- factors: 2^-shift mantissa = 2^(-u j), the mantissa to nearest ------------------------------ */

/* ret[i] = 2^(-2^-i), with FIXED fraction bits. */
static void halvings(mpz_t ret[MOST_POINT + 1])
{
    for (int i = 0; i <= MOST_POINT; i++) {
        mpz_init(ret[i]);
        if (i == 0) {
            mpz_setbit(ret[i], FIXED - 1);
        } else {
            mpz_mul_2exp(ret[i], ret[i - 1], FIXED);
            mpz_sqrt(ret[i], ret[i]);
        }
    }
}

static void check_factor(const struct sec_exp_two *gate, uint64_t j, mpz_t halving[MOST_POINT + 1])
{
    int point = 56 + gate->form.s;
    mpz_t y, whole, v;
    mpz_inits(y, whole, v, NULL);
    mpz_set_d(y, ldexp(gate->form.t, 56));
    mpz_mul_ui(y, y, j);
    mpz_fdiv_q_2exp(whole, y, (mp_bitcnt_t)point);
    assert_int_equal(gate->factor[j].shift, mpz_get_ui(whole) + (unsigned long)gate->form.w);
    mpz_setbit(v, FIXED);
    for (int i = 1; i <= point; i++)
        if (mpz_tstbit(y, (mp_bitcnt_t)(point - i))) {
            mpz_mul(v, v, halving[i]);
            mpz_fdiv_q_2exp(v, v, FIXED);
        }
    mpz_fdiv_q_2exp(v, v, (mp_bitcnt_t)(FIXED - gate->form.w - 1));
    mpz_add_ui(v, v, 1);
    mpz_fdiv_q_2exp(v, v, 1);
    assert_int_equal(gate->factor[j].mantissa, mpz_get_ui(v));
    mpz_clears(y, whole, v, NULL);
}

static void test_factors(void **state)
{
    static const struct sec_exp_two_form forms[] = {
        {16, 63.5, 14, 36, 62},  {17, 96, 14, 38, 64},        {16, 50.51, 14, 24, 48}, {13, 8, 14, 18, 40},
        {12, 0.125, 20, 18, 40}, {15, 63.478312, 22, 30, 60}, {3, 178, 14, 60, 64}};
    mpz_t halving[MOST_POINT + 1];
    (void)state;
    halvings(halving);
    for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
        struct sec_exp_two gate = make(forms[f]);
        uint64_t count = UINT64_C(1) << gate.form.s;
        for (uint64_t j = 0; j<count; j += count> 8192 ? 5 : 1)
            check_factor(&gate, j, halving);
        check_factor(&gate, count - 1, halving);
        sec_exp_two_finish(&gate);
    }
    for (int i = 0; i <= MOST_POINT; i++)
        mpz_clear(halving[i]);
}

/* --- the gate ------------------------------------------------------------------------------------ */

static enum base_status program(struct mpc_party *p, const struct trio_job *job)
{
    struct mpc_wire x = trio_input(p, job, 0), e = sec_exp_two_eval(p, job->context, x, "exp");
    enum base_status status = mpc_round(p);
    trio_output(p, e);
    trio_output(p, x);
    return status;
}

/* Both cases of the range came up, q = 0 without a borrow and q = 1 with one: y = t q + u (j - b). */
static void check_cases(const struct trio *trio, size_t n, int s)
{
    size_t seen[2][2] = {{0}};
    const struct mpc_wire *mask = &trio->output[TRIO_P0][1], *open = &trio->output[TRIO_P1][1];
    for (size_t i = 0; i < n; i++) {
        uint64_t m = open->m[i] & kern_ring_mask(s + 1),
                 lambda = (mask->l1[i] + mask->l2[i]) & kern_ring_mask(s + 1);
        seen[(m ^ lambda) >> s & 1][(m & kern_ring_mask(s)) < (lambda & kern_ring_mask(s))]++;
    }
    assert_true(seen[0][0] > 0 && seen[1][1] > 0 && seen[0][1] == 0 && seen[1][0] == 0);
}

static void check_form(struct sec_exp_two_form form, int ring, size_t n, uint64_t seed)
{
    struct sec_exp_two gate = make(form);
    int64_t *x = must_alloc(n, sizeof *x), *y = must_alloc(n, sizeof *y);
    long double worst = 0;
    fill_edges(x, n, 0, (INT64_C(1) << form.s) - 1, seed);
    struct trio_input input = {x, n, ring, 0, form.s};
    struct trio trio = {0};
    check_run(
        &(struct trio_job){
            .program = program, .context = &gate, .inputs = &input, .input_count = 1, .seed = seed},
        &trio, "exp");
    check_value(&trio, 0, y, "exp");
    struct mpc_cost cost = sec_exp_two_cost(form, n);
    cost.rounds = 1;
    check_cost(&trio, cost);
    check_cases(&trio, n, form.s);
    for (size_t i = 0; i < n; i++) {
        long double e = exp2l((long double)form.fo -
                              (long double)form.t * (long double)x[i] / (long double)(1 << form.s));
        long double off = fabsl((long double)y[i] - e) / (e * exp2l(-form.w) + 1.5L);
        worst = off > worst ? off : worst;
    }
    (void)printf("2^%d units of %8.4f bits, w %d, fo %d, ring %d: words of %3d bits, %6.2f + %5.2f bytes, "
                 "error %.3f of what is stated\n",
                 form.s, form.t, form.w, form.fo, form.ring, gate.wide, (double)cost.online / (double)n,
                 (double)cost.offline / (double)n, (double)worst);
    assert_true(worst <= 1);
    trio_finish(&trio);
    sec_exp_two_finish(&gate);
    free(x);
    free(y);
}

static void test_error(void **state)
{
    static const struct sec_exp_two_form forms[] = {
        {16, 64, 14, 36, 62},    {17, 72, 14, 32, 52},        {16, 50.5, 14, 24, 48}, {17, 128, 14, 38, 64},
        {13, 8, 14, 18, 40},     {16, 63.478312, 14, 36, 62}, {17, 96, 14, 38, 64},   {18, 178, 14, 62, 64},
        {10, 0.125, 20, 30, 33}, {20, 239.99, 1, 14, 16},     {12, 30, 30, 60, 62}};
    (void)state;
    for (size_t f = 0; f < sizeof forms / sizeof *forms; f++)
        check_form(forms[f], forms[f].s + 1 + (int)f % 3, f == 0 ? MANY : FEW,
                   f); /* the first in two messages */
}

/* Few units: every reading meets every mask. */
static void test_few_units(void **state)
{
    static const double ranges[] = {0.125, 1, 2.5, 7.75, 52, 130};
    (void)state;
    for (int s = 1; s <= 4; s++)
        for (size_t r = 0; r < sizeof ranges / sizeof *ranges; r++)
            check_form((struct sec_exp_two_form){.s = s, .t = ranges[r], .w = 9, .fo = 20, .ring = 40},
                       s + 1 + (int)r, FEW, r);
}

static void test_words_have_the_stated_width(void **state)
{
    static const struct {
        struct sec_exp_two_form form;
        int wide, limbs;
    } forms[] = {{{16, 63.5, 14, 36, 62}, 139, 3}, {{17, 96, 14, 38, 64}, 173, 3},
                 {{13, 8, 14, 18, 40}, 61, 1},     {{13, 9, 14, 18, 42}, 64, 1},
                 {{13, 10, 14, 18, 42}, 65, 2},    {{18, 179, 14, 62, 64}, 256, 4},
                 {{19, 435, 14, 62, 64}, 512, 8}};
    (void)state;
    for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
        struct sec_exp_two gate = make(forms[f].form);
        assert_int_equal(gate.wide, forms[f].wide);
        assert_int_equal(gate.limbs, forms[f].limbs);
        sec_exp_two_finish(&gate);
    }
}

static void test_refused_forms(void **state)
{
    static const struct sec_exp_two_form forms[] = {
        {0, 64, 14, 36, 62},      {21, 64, 14, 36, 62}, {16, 0.1, 14, 36, 62}, {16, 441, 14, 36, 62},
        {19, 436.01, 14, 62, 64}, {16, 64, 0, 36, 62},  {16, 64, 31, 36, 62},  {16, 64, 14, 62, 62},
        {16, 64, 14, -1, 62},     {16, 64, 14, 36, 65}, {16, NAN, 14, 36, 62}, {16, -1, 14, 36, 62}};
    (void)state;
    for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
        struct sec_exp_two gate = {0};
        struct base_error error = {0};
        assert_int_equal(sec_exp_two_init(&gate, forms[f], &error), BASE_ERR_RANGE);
        assert_null(gate.factor);
    }
}

/* The twin counts what leaves the range. */
static void test_twin_counts(void **state)
{
    static const int64_t x[] = {0, -1, 255, 256, 17, -300};
    struct sec_exp_two gate = make((struct sec_exp_two_form){.s = 8, .t = 16, .w = 14, .fo = 20, .ring = 40});
    struct trio_input input = {x, sizeof x / sizeof *x, 20, 0, 10};
    struct trio trio = {0};
    struct base_error error = {0};
    (void)state;
    check_ok(
        trio_run(
            &(struct trio_job){
                .program = program, .context = &gate, .inputs = &input, .input_count = 1, .free_twin = true},
            &trio, &error),
        &error, "exp");
    assert_true(trio.party[TRIO_TWIN].violations >= 3);
    trio_finish(&trio);
    sec_exp_two_finish(&gate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_factors),       cmocka_unit_test(test_error),
        cmocka_unit_test(test_few_units),     cmocka_unit_test(test_words_have_the_stated_width),
        cmocka_unit_test(test_refused_forms), cmocka_unit_test(test_twin_counts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
