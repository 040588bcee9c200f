/* What leaves the shares: to the client, to P1 and P2, and how it is counted. */
#include "tests/protocols/check.h"

#include "mpc/product.h"
#include "protocols/shuffle.h"

enum { N = 77 };

struct opening_case {
    bool two_rounds;      /* outputs come after a round; their frames count messages, not rounds */
    bool differing;       /* P2 opens another value than P1 */
    int64_t *taken;       /* what the client got: two outputs */
};

static enum base_status program(struct mpc_party *p, const struct trio_job *job)
{
    const struct opening_case *c = job->context;
    enum base_status status = BASE_OK;
    struct mpc_wire x = trio_input(p, job, 0), y = trio_input(p, job, 1);
    if (c->two_rounds) {
        y = mpc_cut(p, mpc_share_dot(p, y, y, 1), 40, 0, 30, false, "square");
        TRY(mpc_round(p));
    }
    if (c->differing && p->role == MPC_RIGHT)
        y.m[N - 1] ^= 1;
    TRY(mpc_open_to_client(p, x, MPC_OPEN_TEST));
    TRY(mpc_open_to_client(p, y, MPC_OPEN_TEST));
out:
    return status;
}

static enum base_status take(struct mpc_client *client, const struct trio_job *job, struct base_error *error)
{
    const struct opening_case *c = job->context;
    enum base_status status = BASE_OK;
    TRY(mpc_client_take(client, N, 17, c->taken, error));
    TRY(mpc_client_take(client, N, 40, c->taken + N, error));
out:
    return status;
}

static void run(struct opening_case *c, struct trio *trio, enum base_status want)
{
    int64_t x[N], y[N], taken[2 * N];
    struct base_error error = {0};
    fill_edges(x, N, -(1 << 16), (1 << 16) - 1, 1);
    fill_edges(y, N, -30000, 30000, 2);
    c->taken = taken;
    struct trio_input inputs[] = {{x, N, 17, 3, 16}, {y, N, 40, 3, 15}};
    struct trio_job job = {.program = program, .client = take, .context = c, .inputs = inputs, .input_count = 2, .seed = 4};
    enum base_status status = trio_run(&job, trio, &error);
    assert_int_equal(status, want);
    for (size_t i = 0; status == BASE_OK && i < N; i++) {
        assert_int_equal(taken[i], x[i]);
        assert_int_equal(taken[N + i], c->two_rounds ? y[i] * y[i] : y[i]);
    }
    if (status == BASE_OK)
        check_ok(trio_check(trio, &error), &error, "openings");
    else
        assert_non_null(strstr(error.text, "different values"));
}

static void test_to_client(void **state)
{
    (void)state;
    for (int two_rounds = 0; two_rounds <= 1; two_rounds++) {
        struct opening_case c = {.two_rounds = two_rounds};
        struct trio trio = {0};
        run(&c, &trio, BASE_OK);
        for (int r = 0; r < TRIO_ROLES; r++)
            for (int e = 0; e < MPC_OPENING_COUNT; e++)
                assert_int_equal(trio.party[r].openings[e], e == MPC_OPEN_TEST ? 2 * N : 0);
        /* One message per output from each party, none from or to P0. */
        assert_int_equal(trio.sent[TRIO_END_P1_CLIENT].count, 2);
        assert_int_equal(trio.sent[TRIO_END_P2_CLIENT].count, 2);
        assert_int_equal(trio.sent[TRIO_END_P1_CLIENT].frame[0].size, 2 * mpc_bits(N, 17));
        assert_int_equal(trio.sent[TRIO_END_P1_CLIENT].frame[1].step, 3);
        trio_finish(&trio);
    }
}

static void test_a_party_that_opens_another_value_is_an_error(void **state)
{
    struct opening_case c = {.differing = true};
    struct trio trio = {0};
    (void)state;
    run(&c, &trio, BASE_ERR_PEER);
    trio_finish(&trio);
}

/* --- opened bits: P1 and P2 hold them, P0 holds nothing of them ---------------------------------------------------------------------------- */

struct seen_bits {
    uint64_t *bits[TRIO_ROLES];
};

static enum base_status bits_program(struct mpc_party *p, const struct trio_job *job)
{
    const struct seen_bits *seen = job->context;
    enum base_status status = BASE_OK;
    struct mpc_wire x = trio_input(p, job, 0);
    struct sec_masked_bit bit = sec_compare(p, x, 17, "sign");
    TRY(mpc_round(p));
    const uint64_t *opened = sec_open_bits(p, bit, "opened bits");
    TRY(mpc_round(p));
    int role = p->role == MPC_HELPER ? TRIO_P0 : p->role == MPC_LEFT ? TRIO_P1 : p->role == MPC_RIGHT ? TRIO_P2 : TRIO_TWIN;
    if (opened != NULL && p->role != MPC_COUNT)
        memcpy(seen->bits[role], opened, N * sizeof *opened);
    else if (p->role != MPC_COUNT)
        seen->bits[role][0] = 99;
out:
    return status;
}

static void test_bits_to_parties(void **state)
{
    int64_t x[N];
    uint64_t bits[TRIO_ROLES][N];
    struct seen_bits seen = {{bits[0], bits[1], bits[2], bits[3]}};
    struct trio trio = {0};
    (void)state;
    fill_edges(x, N, -(1 << 16), (1 << 16) - 1, 1);
    struct trio_input input = {x, N, 17, 3, 16};
    check_run(&(struct trio_job){.program = bits_program, .context = &seen, .inputs = &input, .input_count = 1}, &trio, "bits");
    assert_int_equal(bits[TRIO_P0][0], 99);
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(bits[TRIO_P1][i], x[i] < 0);
        assert_int_equal(bits[TRIO_P2][i], x[i] < 0);
        assert_int_equal(bits[TRIO_TWIN][i], x[i] < 0);
    }
    for (int r = 0; r < TRIO_ROLES; r++)
        assert_int_equal(trio.party[r].openings[MPC_OPEN_SHUFFLED_BITS], N);
    check_cost(&trio, mpc_cost_add(mpc_cost_add(sec_compare_cost(N, 17), sec_open_bits_cost(N)), (struct mpc_cost){2, 0, 0}));
    trio_finish(&trio);
}

/* Every entry says what, to whom and why. */
static void test_registry_is_complete(void **state)
{
    (void)state;
    for (int e = 0; e < MPC_OPENING_COUNT; e++) {
        const struct mpc_opening_entry *entry = mpc_opening_entry((enum mpc_opening)e);
        assert_true(strlen(entry->name) > 0 && strlen(entry->what) > 0 && strlen(entry->to) > 0 && strlen(entry->why_safe) > 0);
        for (int other = 0; other < e; other++)
            assert_string_not_equal(entry->name, mpc_opening_entry((enum mpc_opening)other)->name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_to_client), cmocka_unit_test(test_a_party_that_opens_another_value_is_an_error),
        cmocka_unit_test(test_bits_to_parties), cmocka_unit_test(test_registry_is_complete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
