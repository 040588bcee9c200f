/* Choosing tokens: greedy, temperature, top-k, top-p, seeds. */
#include "tests/protocols/check.h"

#include "base/random.h"
#include "engine/sampler.h"

#include <math.h>

enum { VOCAB = 8, DRAWS = 40000 };
static const double logits[VOCAB] = {0, 2, 1, 2, -1, -50, 0.5, -INFINITY};

static void draw(struct eng_sampling sampling, double ret_share[VOCAB])
{
    struct eng_sampler s;
    struct base_error error = {0};
    check_ok(eng_sampler_init(&s, sampling, VOCAB, &error), &error, "sampler");
    memset(ret_share, 0, VOCAB * sizeof *ret_share);
    for (int i = 0; i < DRAWS; i++)
        ret_share[eng_sampler_pick(&s, logits)] += 1.0 / DRAWS;
    eng_sampler_finish(&s);
}

/* Shares of a multinomial of `kept` tokens; five standard deviations: a false alarm in less than 1 of 10^6
 * runs, and the seed is fixed. */
static void check_shares(const double share[VOCAB], double temperature, const bool kept[VOCAB])
{
    double sum = 0;
    for (int i = 0; i < VOCAB; i++)
        sum += kept[i] ? exp(logits[i] / temperature) : 0;
    for (int i = 0; i < VOCAB; i++) {
        double p = kept[i] ? exp(logits[i] / temperature) / sum : 0;
        assert_true(fabs(share[i] - p) <= 5 * sqrt(p * (1 - p) / DRAWS));
    }
}

static void test_greedy_takes_the_lowest_of_equals(void **state)
{
    double share[VOCAB];
    (void)state;
    draw((struct eng_sampling){.temperature = 0, .seed = 1}, share);
    assert_true(fabs(share[1] - 1) < 1e-9);
}

static void test_temperature(void **state)
{
    const bool all[VOCAB] = {1, 1, 1, 1, 1, 1, 1, 1};
    double share[VOCAB];
    (void)state;
    draw((struct eng_sampling){.temperature = 1, .top_p = 1, .seed = 2}, share);
    check_shares(share, 1, all);
    draw((struct eng_sampling){.temperature = 0.5, .seed = 3}, share);
    check_shares(share, 0.5, all);
}

static void test_top_k(void **state)
{
    const bool two[VOCAB] = {[1] = 1, [3] = 1}, three[VOCAB] = {[1] = 1, [2] = 1, [3] = 1};
    double share[VOCAB];
    (void)state;
    draw((struct eng_sampling){.temperature = 1, .top_k = 2, .seed = 4}, share);
    check_shares(share, 1, two);
    draw((struct eng_sampling){.temperature = 2, .top_k = 3, .seed = 5}, share);
    check_shares(share, 2, three);
    draw((struct eng_sampling){.temperature = 1, .top_k = 1, .seed = 6}, share);
    assert_true(fabs(share[1] - 1) < 1e-9);
}

static void test_top_p(void **state)
{
    /* e^2 twice is 0.697 of the whole, with e^1 0.825. */
    const bool two[VOCAB] = {[1] = 1, [3] = 1}, three[VOCAB] = {[1] = 1, [2] = 1, [3] = 1};
    double share[VOCAB];
    (void)state;
    draw((struct eng_sampling){.temperature = 1, .top_p = 0.69, .seed = 7}, share);
    check_shares(share, 1, two);
    draw((struct eng_sampling){.temperature = 1, .top_p = 0.75, .seed = 8}, share);
    check_shares(share, 1, three);
}

static void test_seeds(void **state)
{
    struct eng_sampler a, b;
    struct base_error error = {0};
    int same = 0;
    (void)state;
    for (uint64_t seed = 0; seed < 2; seed++) {
        check_ok(eng_sampler_init(&a, (struct eng_sampling){.temperature = 3, .seed = 9}, VOCAB, &error),
                 &error, "a");
        check_ok(
            eng_sampler_init(&b, (struct eng_sampling){.temperature = 3, .seed = 9 + seed}, VOCAB, &error),
            &error, "b");
        same = 0;
        for (int i = 0; i < 200; i++)
            same += eng_sampler_pick(&a, logits) == eng_sampler_pick(&b, logits);
        assert_true(seed == 0 ? same == 200 : same < 120);
        eng_sampler_finish(&a);
        eng_sampler_finish(&b);
    }
}

/* Runs of one request differ in the last units of its logits; what a seed gives hardly changes, however many tokens are nearly equal. */
static void test_noise_changes_little(void **state)
{
    enum { MANY = 1000, PICKS = 2000 };
    struct eng_sampler a, b;
    struct base_error error = {0};
    struct eng_sampling sampling = {.temperature = 1.5, .seed = 12};
    double one[MANY], other[MANY];
    uint64_t noise = 3;
    int same = 0;
    (void)state;
    check_ok(eng_sampler_init(&a, sampling, MANY, &error), &error, "a");
    check_ok(eng_sampler_init(&b, sampling, MANY, &error), &error, "b");
    for (int i = 0; i < PICKS; i++) {
        for (int t = 0; t < MANY; t++) {
            one[t] = 6 * base_random_fraction(&noise);
            other[t] = one[t] + 1e-3 * base_random_fraction(&noise);
        }
        same += eng_sampler_pick(&a, one) == eng_sampler_pick(&b, other);
    }
    assert_true(same >= PICKS * 99 / 100);
    eng_sampler_finish(&a);
    eng_sampler_finish(&b);
}

static void test_bad_values(void **state)
{
    const struct {
        struct eng_sampling sampling;
        const char *says;
    } cases[] = {{{.temperature = -1}, "temperature is -1"},
                 {{.temperature = 101}, "temperature is 101"},
                 {{.temperature = NAN}, "temperature is"},
                 {{.top_p = 1.5}, "top-p is 1.5"},
                 {{.top_p = -0.1}, "top-p is -0.1"}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct eng_sampler s = {0};
        struct base_error error = {0};
        assert_int_equal(eng_sampler_init(&s, cases[i].sampling, VOCAB, &error), BASE_ERR_ARGUMENT);
        assert_non_null(strstr(error.text, cases[i].says));
        assert_null(s.candidate);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_greedy_takes_the_lowest_of_equals),
                                       cmocka_unit_test(test_temperature),
                                       cmocka_unit_test(test_top_k),
                                       cmocka_unit_test(test_top_p),
                                       cmocka_unit_test(test_seeds),
                                       cmocka_unit_test(test_noise_changes_little),
        cmocka_unit_test(test_bad_values)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
