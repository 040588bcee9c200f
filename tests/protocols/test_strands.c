/* Strands: as many rounds as the longest of them, each with hooks, accounts and values of its own, and one failure for all. */
#include "tests/protocols/check.h"

#include "mpc/product.h"
#include "mpc/strands.h"

enum { STRANDS = 3, WIDTH = 5, RING = 40, CUT = 12, BOUND = 16, WORK = 1 << 20 };

/* What a test wants of its strands, and what each role saw of them. */
struct seen {
    size_t begun[STRANDS], ended[STRANDS], asked[STRANDS], outer;
    struct mpc_cost account[STRANDS];
};
struct wish {
    size_t rounds[STRANDS];
    size_t fails;         /* strand that fails before its second round; STRANDS: none */
    bool silently;        /* it answers an error that the party does not know */
    size_t count;         /* strands that are run */
    bool nested;
    struct seen *seen; /* [MPC_COUNT + 1], by role */
};

struct all {
    const struct wish *wish;
    struct seen *seen;
    struct mpc_strands *strands;
    struct mpc_wire in[STRANDS], out[STRANDS];
};


static void count_call(void *context, struct mpc_party *p)
{
    size_t *count = context;
    assert_non_null(p->strand);
    ++*count;
}

static void count_outer(void *context, struct mpc_party *p)
{
    size_t *count = context;
    (void)p;
    ++*count;
}

/* x and a square of it for each round. */
static enum base_status square(void *context, size_t i, struct mpc_party *p)
{
    struct all *all = context;
    const struct wish *wish = all->wish;
    enum base_status status = BASE_OK;
    struct mpc_wire x = all->in[i], sum = mpc_reduce(p, x, RING - CUT);
    all->seen->begun[i]++;
    p->before_round = count_call;
    p->before_round_context = &all->seen->asked[i];
    p->account = &all->seen->account[i];
    if (wish->nested && mpc_strands_run(all->strands, p, 1, square, context) != BASE_OK)
        return p->status;
    for (size_t r = 0; r < wish->rounds[i]; r++) {
        if (r == 1 && wish->fails == i) {
            if (wish->silently)
                return BASE_ERR_FORMAT;
            mpc_fail(p, BASE_ERR_RANGE, "strand %zu wants no more", i);
        }
        struct mpc_wire z = mpc_cut(p, mpc_share_dot(p, x, x, 1), RING, CUT, CUT + 2, false, "square");
        TRY(mpc_round(p));
        sum = mpc_add(p, sum, z, 1, BOUND);
    }
    all->out[i] = sum;
out:
    all->seen->ended[i]++;
    return status;
}

static enum base_status program(struct mpc_party *p, const struct trio_job *job)
{
    const struct wish *wish = job->context;
    struct all all = {.wish = wish, .seen = &wish->seen[p->role]};
    enum base_status status = BASE_OK;
    for (size_t i = 0; i < STRANDS; i++)
        all.in[i] = trio_input(p, job, i);
    TRY(mpc_strands_create(&all.strands, STRANDS, WORK, &p->error));
    p->before_round = count_outer;
    p->before_round_context = &all.seen->outer;
    struct mpc_cost *account = p->account;
    status = mpc_strands_run(all.strands, p, wish->count, square, &all);
    assert_ptr_equal(p->account, account);
    assert_true(p->before_round == count_outer);
    assert_null(p->strand);
    p->before_round = NULL;
    for (size_t i = 0; i < STRANDS && status == BASE_OK; i++)
        trio_output(p, mpc_copy(p, all.out[i]));
    mpc_strands_release(all.strands, true);
out:
    mpc_strands_destroy(&all.strands);
    return status;
}

static enum base_status run(const struct wish *wish, bool beside, struct trio *ret, struct base_error *error)
{
    static int64_t x[STRANDS][WIDTH];
    static struct trio_input inputs[STRANDS];
    for (size_t i = 0; i < STRANDS; i++) {
        for (size_t k = 0; k < WIDTH; k++)
            x[i][k] = (int64_t)(3000 + 100 * i + 7 * k);
        inputs[i] = (struct trio_input){x[i], WIDTH, RING, CUT, CUT + 2};
    }
    struct trio_job job = {.program = program, .context = wish, .inputs = inputs, .input_count = STRANDS, .seed = 11, .beside = beside};
    enum base_status status = trio_run(&job, ret, error);
    return status == BASE_OK ? trio_check(ret, error) : status;
}

static void test_rounds_of_the_longest(void **state)
{
    static const size_t lengths[][STRANDS] = {{1, 4, 2}, {3, 3, 3}, {0, 0, 1}, {5, 0, 0}, {0, 0, 0}};
    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct seen seen[MPC_COUNT + 1] = {0};
        struct wish wish = {.fails = STRANDS, .count = STRANDS, .seen = seen};
        struct base_error error = {0};
        struct trio trio = {0};
        uint64_t most = 0, products = 0;
        for (size_t k = 0; k < STRANDS; k++) {
            wish.rounds[k] = lengths[i][k];
            most = lengths[i][k] > most ? lengths[i][k] : most;
            products += lengths[i][k];
        }
        check_ok(run(&wish, i % 2 == 0, &trio, &error), &error, "strands");
        assert_int_equal(trio.measured[0].rounds, most);
        assert_int_equal(trio.measured[1].rounds, most);
        assert_int_equal(trio.party[TRIO_P1].declared.rounds, most);
        for (size_t role = 0; role < MPC_CLEAR; role++) {
            uint64_t online = 0, rounds = 0;
            assert_int_equal(seen[role].outer, 0); /* of those who run the strands alone */
            for (size_t k = 0; k < STRANDS; k++) {
                assert_int_equal(seen[role].begun[k], 1);
                assert_int_equal(seen[role].ended[k], 1);
                assert_int_equal(seen[role].asked[k], lengths[i][k]);
                online += seen[role].account[k].online;
                rounds += seen[role].account[k].rounds;
            }
            assert_int_equal(online, trio.party[TRIO_P1].declared.online);
            assert_int_equal(rounds, most);
        }
        for (size_t k = 0; k < STRANDS; k++) {
            int64_t got[WIDTH];
            check_value(&trio, k, got, "square");
            for (size_t j = 0; j < WIDTH; j++) {
                int64_t x = (int64_t)(3000 + 100 * k + 7 * j), rounds = (int64_t)lengths[i][k], want = x + rounds * (x * x >> CUT);
                assert_true(llabs(got[j] - want) <= 2 * rounds);
            }
        }
        assert_int_equal(products > 0, trio.party[TRIO_P1].declared.online > 0);
        trio_finish(&trio);
    }
}

/* The others end, too, whether they have rested before or not; nobody waits for a round that does not come. */
static void test_one_fails(void **state)
{
    (void)state;
    for (size_t fails = 0; fails < STRANDS; fails++) {
        struct seen seen[MPC_COUNT + 1] = {0};
        struct wish wish = {.rounds = {3, 2, 5}, .fails = fails, .count = STRANDS, .seen = seen};
        struct base_error error = {0};
        struct trio trio = {0};
        char says[32];
        (void)snprintf(says, sizeof says, "strand %zu wants no more", fails);
        assert_int_equal(run(&wish, true, &trio, &error), BASE_ERR_RANGE);
        if (strstr(error.text, says) == NULL)
            fail_msg("%s", error.text);
        for (size_t role = 0; role < MPC_CLEAR; role++)
            for (size_t k = 0; k < STRANDS; k++)
                assert_int_equal(seen[role].ended[k], 1);
        trio_finish(&trio);
    }
}

/* An error that a strand answers and does not tell the party is the run's error, too. */
static void test_one_fails_silently(void **state)
{
    struct seen seen[MPC_COUNT + 1] = {0};
    struct wish wish = {.rounds = {3, 2, 5}, .fails = 1, .silently = true, .count = STRANDS, .seen = seen};
    struct base_error error = {0};
    struct trio trio = {0};
    (void)state;
    assert_int_equal(run(&wish, true, &trio, &error), BASE_ERR_FORMAT);
    assert_non_null(strstr(error.text, "strand 1 failed"));
    trio_finish(&trio);
}

static void test_refusals(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct seen seen[MPC_COUNT + 1] = {0};
        struct wish wish = {.rounds = {1, 1, 1}, .fails = STRANDS, .count = i == 0 ? STRANDS + 1 : STRANDS, .nested = i == 1, .seen = seen};
        struct base_error error = {0};
        struct trio trio = {0};
        assert_int_equal(run(&wish, true, &trio, &error), BASE_ERR_INTERNAL);
        assert_non_null(strstr(error.text, "none inside another"));
        trio_finish(&trio);
    }
    mpc_strands_destroy(&(struct mpc_strands *){NULL});
    mpc_strands_release(NULL, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rounds_of_the_longest), cmocka_unit_test(test_one_fails),
                                       cmocka_unit_test(test_one_fails_silently), cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
