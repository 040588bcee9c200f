/* Hidden sets: what moves to their places and back against plain integers, what is opened, and that places are uniform whatever was
 * chosen. */
#include "tests/protocols/check.h"

#include "protocols/hidden_set.h"

enum { RING = 40, BOUND = 30, MOST_GROUPS = 1200, STEPS = 3 };

struct set_case {
    size_t groups, n, k, width;
    bool gate_only; /* values whose masks nobody dealt */
    uint32_t *place[TRIO_ROLES];
};

static uint64_t *halves(struct mpc_party *p, struct mpc_wire w)
{
    uint64_t *z = mpc_computes(p) || p->role == MPC_CLEAR ? mpc_words(p, w.count) : NULL;
    for (size_t i = 0; z != NULL && i < w.count; i++)
        z[i] = p->role == MPC_CLEAR ? w.x[i] : p->role == MPC_LEFT ? 0 - w.l1[i] : w.m[i] - w.l2[i];
    return z;
}

static enum base_status open_set(struct mpc_party *p, const struct set_case *c, struct mpc_wire flag, struct sec_hidden_set *ret)
{
    enum base_status status = BASE_OK;
    sec_hidden_set_draw(p, ret, c->groups, c->n, c->k);
    struct sec_carried flags = sec_carry(p, ret, flag, "carried flags");
    TRY(mpc_round(p));
    sec_hidden_set_open(p, ret, &flags);
    TRY(mpc_round(p));
    sec_hidden_set_take(p, ret);
    status = p->status;
out:
    return status;
}

static enum base_status program(struct mpc_party *p, const struct trio_job *job)
{
    const struct set_case *c = job->context;
    enum base_status status = BASE_OK;
    struct mpc_wire flag = mpc_reduce(p, trio_input(p, job, 0), 1), value = trio_input(p, job, 1);
    struct sec_hidden_set set;
    struct sec_return back;
    TRY(open_set(p, c, flag, &set));
    for (int step = 0; step < STEPS; step++) {
        struct mpc_wire moved = mpc_add_const(p, value, step);
        struct sec_carried carried = sec_carry(p, &set, c->gate_only ? mpc_as_gate_only(p, moved) : moved, "carried");
        TRY(mpc_round(p));
        struct mpc_wire kept = sec_carried_kept(p, &set, &carried, "kept");
        TRY(mpc_round(p));
        sec_return_start(&back, &set, halves(p, kept), c->width,
                         (struct mpc_opening_form){.ring = kept.ring, .bound = kept.bound, .label = "returned"});
        while (sec_return_queue(p, &back))
            TRY(mpc_round(p));
        trio_output(p, back.wire);
    }
    int role = p->role == MPC_HELPER ? TRIO_P0 : p->role == MPC_LEFT ? TRIO_P1 : p->role == MPC_RIGHT ? TRIO_P2 : TRIO_TWIN;
    if (p->role != MPC_COUNT && set.place != NULL)
        memcpy(c->place[role], set.place, c->groups * c->k * sizeof **c->place);
    else if (p->role != MPC_COUNT)
        c->place[role][0] = UINT32_MAX;
out:
    return status;
}

/* k items of each group, the first ones or random ones. */
static void choose(const struct set_case *c, int64_t *flag, bool first, uint64_t *random)
{
    for (size_t g = 0; g < c->groups; g++)
        for (size_t left = c->k, i = 0; i < c->n; i++) {
            bool take = first ? i < c->k : trio_random(random) % (c->n - i) < left;
            flag[g * c->n + i] = take;
            left -= take;
        }
}

static void run_case(struct set_case *c, bool first, uint64_t seed, uint32_t *place[TRIO_ROLES])
{
    size_t items = c->groups * c->n, count = items * c->width;
    int64_t *flag = must_alloc(items, sizeof *flag), *value = must_alloc(count, sizeof *value), *back = must_alloc(count, sizeof *back);
    struct trio trio = {0};
    choose(c, flag, first, &(uint64_t){seed});
    fill_edges(value, count, -(INT64_C(1) << (BOUND - 1)), INT64_C(1) << (BOUND - 1), seed);
    memcpy(c->place, place, sizeof c->place);
    struct trio_input inputs[] = {{flag, items, 3, 0, 1}, {value, count, RING, 0, BOUND}};
    check_run(&(struct trio_job){.program = program, .context = c, .inputs = inputs, .input_count = 2, .seed = seed}, &trio, "hidden set");
    for (size_t step = 0; step < STEPS; step++) {
        check_value(&trio, step, back, "returned");
        for (size_t i = 0; i < count; i++)
            assert_int_equal(back[i], flag[i / c->width] * (value[i] + (int64_t)step));
    }
    struct mpc_cost cost = mpc_cost_add(sec_carry_cost(items, 1), sec_hidden_set_open_cost(items, 1));
    for (size_t step = 0; step < STEPS; step++) {
        cost = mpc_cost_add(cost, mpc_cost_add(sec_carry_cost(count, RING), sec_return_cost(count, RING)));
        cost = mpc_cost_add(cost, mpc_open_share_cost(c->groups * c->k * c->width, RING, 0));
    }
    cost.rounds = 2 + STEPS * (2 + 3);
    check_cost(&trio, cost);
    /* Once for a set, however often it is used. */
    for (int r = 0; r < TRIO_ROLES; r++)
        for (int e = 0; e < MPC_OPENING_COUNT; e++)
            assert_int_equal(trio.party[r].openings[e], e == MPC_OPEN_SHUFFLED_FLAGS ? items : 0);
    assert_int_equal(place[TRIO_P0][0], UINT32_MAX);
    assert_memory_equal(place[TRIO_P1], place[TRIO_P2], c->groups * c->k * sizeof **place);
    trio_finish(&trio);
    free(flag);
    free(value);
    free(back);
}

static void test_there_and_back(void **state)
{
    static const size_t sizes[][4] = {{1, 1, 1, 1}, {1, 2, 1, 3}, {3, 5, 2, 1}, {2, 8, 8, 4}, {32, 32, 3, 16}, {7, 33, 32, 2}};
    static uint32_t memory[TRIO_ROLES][MOST_GROUPS];
    uint32_t *place[TRIO_ROLES] = {memory[0], memory[1], memory[2], memory[3]};
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (uint64_t seed = 0; seed < 3; seed++) {
            struct set_case c = {.groups = sizes[i][0], .n = sizes[i][1], .k = sizes[i][2], .width = sizes[i][3], .gate_only = seed == 2};
            run_case(&c, false, seed + 1, place);
        }
}

/* 2 of 4 items in many groups: each of the 6 sets of places as often as any other, for the first items and for random ones. Chi-square of 5
 * degrees of freedom: 40 has probability 1.5e-7, and seeds are fixed. */
static void test_places_are_uniform(void **state)
{
    static uint32_t memory[TRIO_ROLES][2 * MOST_GROUPS];
    uint32_t *place[TRIO_ROLES] = {memory[0], memory[1], memory[2], memory[3]};
    struct set_case c = {.groups = MOST_GROUPS, .n = 4, .k = 2, .width = 1};
    (void)state;
    for (int first = 0; first < 2; first++) {
        size_t seen[4][4] = {{0}};
        double sum = 0, expected = MOST_GROUPS / 6.0;
        run_case(&c, first == 1, 9, place);
        for (size_t g = 0; g < c.groups; g++) {
            assert_true(place[TRIO_P1][2 * g] < place[TRIO_P1][2 * g + 1]);
            seen[place[TRIO_P1][2 * g]][place[TRIO_P1][2 * g + 1]]++;
        }
        for (size_t a = 0; a < 4; a++)
            for (size_t b = a + 1; b < 4; b++)
                sum += ((double)seen[a][b] - expected) * ((double)seen[a][b] - expected) / expected;
        assert_true(sum < 40);
    }
}

static enum base_status wrong_flags(struct mpc_party *p, const struct trio_job *job)
{
    struct sec_hidden_set set;
    return open_set(p, job->context, mpc_reduce(p, trio_input(p, job, 0), 1), &set);
}

static void test_another_number_of_flags_is_an_error(void **state)
{
    static const int64_t few[] = {1, 0, 0, 1, 1, 0}, many[] = {1, 1, 1, 0, 0, 1};
    struct set_case c = {.groups = 2, .n = 3, .k = 2};
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct trio trio = {0};
        struct base_error error = {0};
        struct trio_input input = {i == 0 ? few : many, 6, 3, 0, 1};
        struct trio_job job = {.program = wrong_flags, .context = &c, .inputs = &input, .input_count = 1, .seed = 1};
        assert_int_equal(trio_run(&job, &trio, &error), BASE_ERR_INTERNAL);
        assert_non_null(strstr(error.text, "hidden set needs"));
        trio_finish(&trio);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_places_are_uniform),
        cmocka_unit_test(test_another_number_of_flags_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
