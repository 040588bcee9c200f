/* The guard: what it always reports, what it never reports, what the client sees of it, and what it costs. */
#include "tests/protocols/check.h"

#include "base/memory.h"
#include "protocols/guard.h"

enum { MOST_STEPS = 3 };

/* --- every Y and many masks --------------------------------------------------------------------------- */

enum { MASKS = 24 };

struct all_values {
    struct sec_guard guard;
    int ring;
    uint64_t offset;
    bool gate_only;
    uint64_t *word[TRIO_ROLES]; /* the guard word of each element alone */
};

static int role_of(const struct mpc_party *p)
{
    return p->role == MPC_CLEAR ? TRIO_TWIN : (int)p->role;
}

static enum base_status one_by_one(struct mpc_party *p, const struct trio_job *job)
{
    const struct all_values *all = job->context;
    struct mpc_wire y = trio_input(p, job, 0);
    trio_output(p, y);
    if (all->gate_only)
        y = mpc_as_gate_only(p, y);
    for (size_t i = 0; i < y.count && !mpc_failed(p); i++) {
        p->guard = 0;
        sec_guard_eval(p, &all->guard, mpc_slice(y, i, 1), all->offset, "guard");
        if (p->role != MPC_COUNT)
            all->word[role_of(p)][i] = p->guard;
    }
    return p->status;
}

static bool is_bad(const struct sec_guard *guard, uint64_t cell)
{
    return cell == 0 || cell >= (uint64_t)guard->top;
}

/* The cell that P1 and P2 read, from all that the three hold together. */
static uint64_t reading_of(const struct trio *trio, const struct all_values *all, size_t i)
{
    const struct mpc_wire *p0 = &trio->output[TRIO_P0][0], *p1 = &trio->output[TRIO_P1][0];
    uint64_t keep = kern_ring_mask(all->guard.k), cells = kern_ring_mask(all->guard.h);
    int s = all->guard.k - all->guard.h;
    uint64_t m = (p1->m[i] + all->offset) & keep, mask = (p0->l1[i] + p0->l2[i]) & keep;
    return ((m >> s) - (mask >> s)) & cells;
}

/* Returns which outcomes came up in the two cells where masks decide: bits 0 and 1 for cell 0, not reported
 * and reported; bits 2 and 3 for the last good cell. */
static unsigned judge_all(const struct trio *trio, const struct all_values *all)
{
    const struct sec_guard *guard = &all->guard;
    unsigned seen = 0;
    for (size_t i = 0; i < (size_t)MASKS << guard->k; i++) {
        uint64_t cell = i >> (guard->k - guard->h) & kern_ring_mask(guard->h);
        bool reported = all->word[TRIO_P1][i] != all->word[TRIO_P2][i];
        assert_int_equal(reported, is_bad(guard, reading_of(trio, all, i)));
        assert_int_equal(all->word[TRIO_TWIN][i], is_bad(guard, cell));
        assert_int_equal(all->word[TRIO_P0][i], 0);
        if (cell == 0 || (int)cell == guard->top - 1)
            seen |= 1u << ((cell == 0 ? 0 : 2) + reported);
        else
            assert_int_equal(reported, (int)cell >= guard->top);
    }
    return seen;
}

static void check_all(struct all_values all, uint64_t seed)
{
    size_t n = (size_t)MASKS << all.guard.k;
    int64_t *x = must_alloc(n, sizeof *x);
    struct trio trio = {0};
    /* Element i is Y = i mod 2^k, as the representative below 0 where that is in the reach of the guard. */
    for (size_t i = 0; i < n; i++) {
        int64_t Y = (int64_t)(i & kern_ring_mask(all.guard.k));
        bool high = Y >> (all.guard.k - all.guard.h) >= all.guard.top && i >> all.guard.k & 1;
        x[i] = Y - (high ? INT64_C(1) << all.guard.k : 0) - (int64_t)all.offset;
    }
    for (int r = 0; r < TRIO_ROLES; r++)
        all.word[r] = must_alloc(n, sizeof **all.word);
    struct trio_input input = {x, n, all.ring, 0, all.ring};
    check_run(
        &(struct trio_job){
            .program = one_by_one, .context = &all, .inputs = &input, .input_count = 1, .seed = seed},
        &trio, "all values");
    /* Cells of one unit have no borrow: the reading is the true cell. */
    assert_int_equal(judge_all(&trio, &all), all.guard.k > all.guard.h ? 15 : 2 | 4);
    trio_finish(&trio);
    for (int r = 0; r < TRIO_ROLES; r++)
        free(all.word[r]);
    free(x);
}

static void test_every_value(void **state)
{
    uint64_t seed = 1;
    (void)state;
    for (int k = 5; k <= 7; k++)
        for (int h = 2; h <= k && h <= SEC_GUARD_MOST_CELLS_LOG; h++) {
            const int tops[] = {3, 1 << (h - 1), (1 << h) - 1, 1 << h};
            for (size_t t = h == 2 ? 2 : 0; t < sizeof tops / sizeof *tops; t++, seed++)
                check_all((struct all_values){.guard = {.k = k, .h = h, .top = tops[t]},
                                              .ring = seed % 3 == 0   ? k
                                                      : seed % 3 == 1 ? 64
                                                                      : k + 3,
                                              .offset = seed % 2 * (5 + (uint64_t)h),
                                              .gate_only = seed % 4 < 2},
                          seed);
        }
}

/* --- steps with a client ------------------------------------------------------------------------------ */

struct steps {
    struct sec_guard guard;
    size_t count, steps; /* inputs per step */
    bool is_void[MOST_STEPS];
    uint64_t twin[MOST_STEPS];
};

static enum base_status run_steps(struct mpc_party *p, const struct trio_job *job)
{
    struct steps *s = (struct steps *)job->context;
    enum base_status status = BASE_OK;
    struct mpc_wire y[MOST_STEPS];
    for (size_t i = 0; i < s->steps; i++)
        y[i] = trio_input(p, job, i);
    for (size_t i = 0; i < s->steps; i++) {
        sec_guard_eval(p, &s->guard, y[i], 0, "guard");
        if (p->role == MPC_CLEAR)
            s->twin[i] = p->guard;
        TRY(mpc_open_guard(p));
        if (p->guard != 0)
            mpc_fail(p, BASE_ERR_INTERNAL, "the guard word goes on");
    }
out:
    return status;
}

static enum base_status take_steps(struct mpc_client *client, const struct trio_job *job,
                                   struct base_error *error)
{
    struct steps *s = (struct steps *)job->context;
    enum base_status status = BASE_OK;
    for (size_t i = 0; i < s->steps; i++)
        TRY(mpc_client_take_guard(client, &s->is_void[i], error));
out:
    return status;
}

/* x [steps][count]. */
static void run(struct steps *s, int64_t *x, int ring, uint64_t seed, struct trio *ret)
{
    struct trio_input inputs[MOST_STEPS];
    for (size_t i = 0; i < s->steps; i++)
        inputs[i] = (struct trio_input){x + i * s->count, s->count, ring, 0, ring};
    struct trio_job job = {.program = run_steps,
                           .client = take_steps,
                           .context = s,
                           .inputs = inputs,
                           .input_count = s->steps,
                           .seed = seed};
    check_run(&job, ret, "steps");
    struct mpc_cost cost = sec_guard_cost(&s->guard, s->count);
    check_cost(ret, (struct mpc_cost){.offline = s->steps * cost.offline});
    assert_int_equal(cost.offline, (s->count << s->guard.h) / 8);
    for (int r = 0; r < TRIO_ROLES; r++)
        assert_int_equal(ret->party[r].openings[MPC_OPEN_GUARD], s->steps);
    assert_false(ret->party[TRIO_P0].s12.present || ret->party[TRIO_TWIN].s12.present);
}

static void fill_good(const struct sec_guard *guard, int64_t *x, size_t count, uint64_t seed)
{
    int64_t cell = INT64_C(1) << (guard->k - guard->h);
    fill_edges(x, count, cell, (guard->top - 1) * cell - 1, seed);
}

/* One bad value at every place and on both sides, in the middle one of three steps: its word and no other one
 * tells, and no frame is another one. */
static void test_every_place(void **state)
{
    enum { N = 9, K = 17, H = 5, TOP = 16 };
    const int64_t cell = 1 << (K - H), bad[] = {-1, -cell, -(32 - TOP) * cell, TOP * cell, (1 << K) - 1};
    (void)state;
    for (size_t place = 0; place <= N; place++)
        for (size_t b = 0; b < sizeof bad / sizeof *bad; b++) {
            struct steps good = {.guard = {K, H, TOP}, .count = N, .steps = 3}, spoiled = good;
            struct trio trio[2] = {{0}, {0}};
            struct base_error error = {0};
            int64_t x[3 * N];
            for (size_t i = 0; i < 3; i++)
                fill_good(&good.guard, x + i * N, N, i + place);
            run(&good, x, 20, place, &trio[0]);
            /* In the last round all of them are bad, equal and even in number but for one. */
            for (size_t i = 0; i < N; i++)
                if (i == place || (place == N && i != b))
                    x[N + i] = bad[b];
            run(&spoiled, x, 20, place + 100 * b, &trio[1]);
            for (size_t i = 0; i < 3; i++) {
                assert_false(good.is_void[i]);
                assert_int_equal(spoiled.is_void[i], i == 1);
                assert_int_equal(good.twin[i], 0);
                assert_int_equal(spoiled.twin[i], i != 1 ? 0 : place == N ? N - 1 : 1);
            }
            check_ok(trio_same_transcript(&trio[0], &trio[1], &error), &error, "transcripts");
            assert_int_equal(trio[1].party[TRIO_TWIN].violations, 0);
            for (int t = 0; t < 2; t++)
                trio_finish(&trio[t]);
        }
}

/* Sizes around the messages of the gate, and none at all. */
static void test_sizes(void **state)
{
    static const size_t counts[] = {0, 1, 2, 1 << 16, (1 << 16) + 1, (1 << 17) + 5};
    (void)state;
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
        for (int spoil = 0; spoil <= 1; spoil++) {
            size_t n = counts[c];
            struct steps s = {.guard = {18, c % 2 == 0 ? 6 : 3, c % 2 == 0 ? 63 : 5}, .count = n, .steps = 1};
            int64_t *x = must_alloc(n, sizeof *x);
            struct trio trio = {0};
            fill_good(&s.guard, x, n, c);
            if (spoil && n > 0)
                x[n - 1] = -1;
            run(&s, x, 18, c, &trio);
            assert_int_equal(s.is_void[0], spoil && n > 0);
            assert_int_equal(s.twin[0], spoil && n > 0);
            trio_finish(&trio);
            free(x);
        }
}

/* --- what the client sees, exactly -------------------------------------------------------------------- */

/* The words of P1 and P2's stream are unit vectors (tests/support/tap.h), so each guard word shows as which
 * linear form in uniform words it is. Over ALL draws of the others: both forms are never 0; without a bad
 * reading they are the same form, u; with one they are two different ones, so independent. Two independent
 * linear forms in uniform words are uniform together: the pair is a function of the bit alone. */
struct pair {
    size_t count;
    bool masked;
    int64_t Y[2];
    uint64_t word[2];
    uint64_t reading_is_bad;
};

static enum base_status pair_program(struct mpc_party *p, const struct trio_job *job)
{
    static const struct sec_guard guard = {.k = 2, .h = 2, .top = 3};
    const struct pair *pair = job->context;
    struct mpc_wire y = pair->masked ? trio_input(p, job, 0) : mpc_public(p, pair->Y, pair->count, 2, 0, 2);
    sec_guard_eval(p, &guard, y, 0, "guard");
    return mpc_failed(p) ? p->status : mpc_open_guard(p);
}

static enum base_status pair_client(struct mpc_client *client, const struct trio_job *job,
                                    struct base_error *error)
{
    struct pair *pair = (struct pair *)job->context;
    enum base_status status = BASE_OK;
    uint8_t bytes[8];
    for (int party = 1; party <= 2; party++) {
        TRY(net_link_receive(client->link[party], client->step, bytes, sizeof bytes, error));
        pair->word[party - 1] = base_load_u64(bytes);
    }
out:
    return status;
}

static void run_pair(struct pair *pair, struct tap *tap)
{
    struct trio trio = {0};
    struct base_error error = {0};
    struct trio_input input = {pair->Y, pair->count, 2, 0, 2};
    struct trio_job job = {.program = pair_program,
                           .client = pair_client,
                           .context = pair,
                           .inputs = &input,
                           .input_count = pair->masked ? 1 : 0,
                           .tap = tap,
                           .no_twin = true,
                           .arena_size = 1 << 20};
    check_ok(trio_run(&job, &trio, &error), &error, "pair");
    trio_finish(&trio);
}

static void check_pair(struct pair pair)
{
    static const uint64_t fresh = UINT64_C(1) << 8; /* the first word of the second draw */
    struct tap tap = {.mode = TAP_DRY, .elements = 1};
    /* k = h: there is no borrow, so that the reading is the cell. */
    bool bad = false, bare = false;
    for (size_t i = 0; i < pair.count; i++)
        bad = bad || pair.Y[i] % 4 == 0 || pair.Y[i] % 4 == 3;
    run_pair(&pair, &tap);
    tap_finish(&tap);
    size_t all = (size_t)1 << tap_enumerate(&tap);
    assert_int_equal(all, 256);
    tap.elements = 1;
    for (tap.base = 0; tap.base < all; tap.base++) {
        run_pair(&pair, &tap);
        tap_finish(&tap);
        assert_true(pair.word[0] != 0 && pair.word[1] != 0);
        assert_int_equal(pair.word[0] != pair.word[1], bad);
        bare = bare || (pair.word[0] ^ fresh) == 0;
    }
    /* Without the fresh word P1's would be 0 for some draws: it is what makes the pair exactly uniform. */
    assert_true(bare);
}

static void test_the_client_sees_one_bit(void **state)
{
    (void)state;
    for (int64_t Y = 0; Y < 4; Y++)
        check_pair((struct pair){.count = 1, .masked = true, .Y = {Y}});
    const int64_t two[][2] = {{1, 2}, {3, 1}, {2, 0}, {3, 3}};
    for (size_t i = 0; i < sizeof two / sizeof *two; i++)
        check_pair((struct pair){.count = 2, .Y = {two[i][0], two[i][1]}});
}

/* One word for all would not do: two bad readings would hide each other. */
static void test_common_words_must_differ(void **state)
{
    struct pair pair = {.count = 2, .Y = {3, 3}};
    struct tap tap = {.mode = TAP_FILL, .fill = 0x0123456789abcdef};
    (void)state;
    run_pair(&pair, &tap);
    tap_finish(&tap);
    assert_int_equal(pair.word[0], pair.word[1]);
}

/* --- errors ------------------------------------------------------------------------------------------- */

static void refuse(enum mpc_role role, struct sec_guard guard, int ring, enum base_status want,
                   const char *says)
{
    struct mpc_party p;
    struct base_error error = {0};
    check_ok(mpc_party_init(&p, role, kern_table_select(~0u), 1 << 20, &error), &error, "party");
    const int64_t x[2] = {1, 2};
    sec_guard_eval(&p, &guard, mpc_public(&p, x, 2, ring, 0, ring), 0, "guard");
    assert_int_equal(p.status, want);
    assert_non_null(strstr(p.error.text, says));
    assert_int_equal(p.declared.offline, 0);
    mpc_party_finish(&p);
}

static void test_errors(void **state)
{
    static const enum mpc_role roles[] = {MPC_HELPER, MPC_LEFT, MPC_RIGHT, MPC_CLEAR, MPC_COUNT};
    const struct sec_guard wrong[] = {{17, 1, 2},  {70, 7, 64}, {17, 5, 2},
                                      {17, 5, 33}, {4, 5, 16},  {64, 5, 16}};
    (void)state;
    for (size_t r = 0; r < sizeof roles / sizeof *roles; r++)
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
            refuse(roles[r], wrong[i], 64, BASE_ERR_RANGE, "does not fit");
    for (size_t r = 1; r <= 2; r++)
        refuse(roles[r], (struct sec_guard){17, 5, 16}, 20, BASE_ERR_INTERNAL,
               "without the stream of P1 and P2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_value),
        cmocka_unit_test(test_every_place),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_the_client_sees_one_bit),
        cmocka_unit_test(test_common_words_must_differ),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
