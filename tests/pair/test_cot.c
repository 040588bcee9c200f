/* COTs: the correlation, the choice bits, the pool's cursor, and what they cost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/pair/support.h"

enum { MOST = 20000 };

struct taken {
    struct pair_block key[3][3][MOST]; /* [party][sender] */
    uint8_t choice[3][MOST];           /* [sender] */
    struct pair_block delta[3];
    uint64_t count[3];
    size_t parts;
};

static struct pair_block xor(struct pair_block a, struct pair_block b)
{
    return (struct pair_block){{a.word[0] ^ b.word[0], a.word[1] ^ b.word[1]}};
}

/* Takes count[s] COTs of each sender, `parts` times with a reservation of its own. */
static enum base_status take(struct pair_party *p, void *context, struct base_error *error)
{
    struct taken *t = context;
    enum base_status status = BASE_OK;
    t->delta[p->id] = pair_delta(p);
    for (size_t part = 0; part < t->parts; part++) {
        TRY(pair_cot_reserve(p, t->count, error));
        for (int s = 1; s <= 2; s++) {
            struct pair_cots cots;
            size_t at = part * (size_t)t->count[s];
            TRY(pair_cot_take(p, s, (size_t)t->count[s], &cots, error));
            TRY_THAT(cots.first == at, error, BASE_ERR_INTERNAL, "numbers begin at %zu", (size_t)cots.first);
            if (t->count[s] == 0)
                continue;
            memcpy(t->key[p->id][s] + at, cots.key, (size_t)t->count[s] * sizeof *cots.key);
            if (s != p->id)
                memcpy(t->choice[s] + at, cots.choice, (size_t)t->count[s]);
        }
    }
out:
    return status;
}

static void check_correlation(const struct taken *t, int s)
{
    size_t n = t->parts * (size_t)t->count[s], ones = 0;
    for (size_t i = 0; i < n; i++) {
        struct pair_block d = xor(t->key[s][s][i], t->key[3 - s][s][i]), zero = {{0}};
        assert_in_range(t->choice[s][i], 0, 1);
        ones += t->choice[s][i];
        assert_memory_equal(&d, t->choice[s][i] ? &t->delta[s] : &zero, sizeof d);
        for (size_t j = 0; i % 97 == 0 && j < i; j++)
            assert_memory_not_equal(&t->key[s][s][i], &t->key[s][s][j], sizeof d);
    }
    /* Fair coins: outside of 7 standard deviations once in 4 10^11 runs; seeds are fixed. */
    int64_t off = 2 * (int64_t)ones - (int64_t)n;
    assert_true(n == 0 || off * off < 49 * (int64_t)n);
}

static void check_case(int k, unsigned mask, uint64_t count1, uint64_t count2, size_t parts)
{
    struct taken *t = pair_test_alloc(1, sizeof *t);
    struct pair_ran ran;
    t->count[1] = count1;
    t->count[2] = count2;
    t->parts = parts;
    pair_run_well((struct pair_run_options){.k = k, .kern_mask = mask, .seed = count1 + parts}, take, t, &ran);
    for (int s = 1; s <= 2; s++)
        check_correlation(t, s);
    assert_int_equal(t->delta[1].word[0] & 1, 0);
    assert_int_equal(t->delta[2].word[0] & 1, 1);
    if (parts == 1) {
        struct pair_cost start = pair_cot_start_cost(), batch = pair_cot_extend_cost(t->count, k);
        assert_int_equal(ran.bytes[1], start.bytes[1] + batch.bytes[1]);
        assert_int_equal(ran.bytes[2], start.bytes[2] + batch.bytes[2]);
        /* 128 / k - 1 bits each, the receiver sends. */
        assert_int_equal(batch.bytes[2], (count1 + 127) / 128 * 16 * (uint64_t)(128 / k - 1));
    }
    base_free(&t);
}

static void test_correlation(void **state)
{
    static const unsigned masks[] = {1, 3, 7};
    for (int k = 4; k <= 8; k += 4) {
        for (size_t m = 0; m < 3; m++)
            check_case(k, masks[m], 300, 1, 1);
        check_case(k, ~0u, MOST, 4096, 1);
        check_case(k, ~0u, 0, 4097, 1);
        check_case(k, ~0u, 130, 77, 60); /* batches leave some behind, which the next ones use */
    }
}

static enum base_status take_too_many(struct pair_party *p, void *context, struct base_error *error)
{
    uint64_t count[3] = {0, 100, 0};
    struct pair_cots cots;
    enum base_status status;
    TRY(pair_cot_reserve(p, count, error));
    TRY(pair_cot_take(p, 1, 100, &cots, error));
    TRY(pair_cot_take(p, 1, 28, &cots, error));
    TRY_THAT(pair_cot_used(p, 1) == 128, error, BASE_ERR_ARGUMENT, "the cursor is elsewhere");
    TRY(pair_cot_take(p, 1, 1, &cots, error));
out:
    return status;
}

static void test_cursor_gives_nothing_twice(void **state)
{
    struct pair_ran ran;
    pair_run_both((struct pair_run_options){.k = 4}, take_too_many, NULL, &ran);
    for (int id = 1; id <= 2; id++)
        check_fails(ran.status[id], BASE_ERR_INTERNAL, &ran.error[id], "1 COTs of P1 are wanted and 0 are left");
}

/* A job that declares other COTs than it uses, more or fewer. */
struct careless {
    struct pair_job job;
    size_t uses;
};

static enum base_status careless_step(struct pair_party *p, struct pair_job *job, int stage, struct base_error *error)
{
    struct pair_cots cots;
    return pair_cot_take(p, 2, ((struct careless *)job)->uses, &cots, error);
}

static void careless_finish(struct pair_job *job)
{
}

static enum base_status run_careless(struct pair_party *p, void *context, struct base_error *error)
{
    struct careless job = {.job = {careless_step, careless_finish, {.cots = {0, 0, 128}}}, .uses = *(size_t *)context};
    struct pair_job *jobs[1] = {&job.job};
    return pair_run(p, jobs, 1, error);
}

static void test_declared_cots_are_used(void **state)
{
    static size_t uses[] = {127, 129, 128};
    static const char *const text[] = {"jobs used 127 COTs of P2 and declared 128", "129 COTs of P2 are wanted and 128 are left"};
    for (int i = 0; i < 3; i++) {
        struct pair_ran ran;
        pair_run_both((struct pair_run_options){.k = 4}, run_careless, &uses[i], &ran);
        if (i == 2)
            check_ok(ran.status[1], &ran.error[1]);
        else
            check_fails(ran.status[1], BASE_ERR_INTERNAL, &ran.error[1], text[i]);
    }
}

static enum base_status reserve_before_start(struct pair_party *p, void *context, struct base_error *error)
{
    return pair_cot_reserve(p, (uint64_t[3]){0, 1, 1}, error);
}

static enum base_status start_badly(struct pair_party *p, void *context, struct base_error *error)
{
    return pair_cot_start(p, 5, error);
}

static void test_before_the_start(void **state)
{
    struct pair_ran ran;
    pair_run_both((struct pair_run_options){0}, reserve_before_start, NULL, &ran);
    check_fails(ran.status[1], BASE_ERR_INTERNAL, &ran.error[1], "before base OTs were made");
    pair_run_both((struct pair_run_options){0}, start_badly, NULL, &ran);
    check_fails(ran.status[1], BASE_ERR_ARGUMENT, &ran.error[1], "k of the OT extension is 5: it is 4 or 8");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_correlation),
        cmocka_unit_test(test_cursor_gives_nothing_twice),
        cmocka_unit_test(test_declared_cots_are_used),
        cmocka_unit_test(test_before_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
