/* Uniformity of every field that P1 and P2 receive in every gate, and of what they hold of every wire.
 *
 * Chi-square of the high 4 and of the low 4 bits (15 degrees of freedom at most) against 80. A uniform field fails that with
 * probability 7e-11; fewer than 10 000 statistics make a false alarm less likely than 1e-6, and seeds are fixed, so a run that passes
 * always passes. Fields are taken one by one, over all runs, where 80 values come together, and by kind and ring in any case. */
#include "tests/protocols/check.h"

#include "protocols/registry.h"

enum { RUNS = 12, UNITS = 24, MOST_VALUES = 1 << 21, LEAST = 80, RINGS = 65 };
static const double limit = 80;
static size_t all_done; /* statistics of all gates: what the stated false-alarm rate counts on */

struct pool {
    uint64_t *values;
    size_t count;
};

struct tests {
    size_t done;
    double worst;
};

static double chi_square(const uint64_t *v, size_t count, int shift, int bits)
{
    size_t seen[16] = {0}, cells = (size_t)1 << bits;
    double expected = (double)count / (double)cells, sum = 0;
    for (size_t i = 0; i < count; i++)
        seen[v[i] >> shift & (cells - 1)]++;
    for (size_t c = 0; c < cells; c++)
        sum += ((double)seen[c] - expected) * ((double)seen[c] - expected) / expected;
    return sum;
}

static double statistic(const uint64_t *v, size_t count, int ring)
{
    int bits = ring < 4 ? ring : 4;
    double high = chi_square(v, count, ring - bits, bits), low = chi_square(v, count, 0, bits);
    return high > low ? high : low;
}

static void judge(struct tests *tests, const char *gate, const char *what, size_t which, struct pool pool, int ring)
{
    if (pool.count < LEAST)
        return;
    double x = statistic(pool.values, pool.count, ring);
    tests->done += 2;
    tests->worst = x > tests->worst ? x : tests->worst;
    if (x > limit)
        fail_msg("%s: %s %zu, ring of %d bits, %zu values: chi-square %.1f", gate, what, which, ring, pool.count, x);
}

static void add(struct pool *pool, const uint64_t *v, const uint64_t *minus, size_t count, int ring)
{
    if (pool->values == NULL)
        pool->values = must_alloc(MOST_VALUES, sizeof *v);
    for (size_t i = 0; i < count && pool->count < MOST_VALUES; i++)
        pool->values[pool->count++] = (v[i] - (minus == NULL ? 0 : minus[i])) & kern_ring_mask(ring);
}

static enum base_status program(struct mpc_party *p, const struct trio_job *job)
{
    struct mpc_wire result;
    return ((const struct sec_gate *)job->context)->run(p, trio_input(p, job, 0), &result);
}

/* What RUNS runs left: the fields of both parties and all wires. */
struct gate_runs {
    struct tap tap[RUNS];
    struct trio trio[RUNS];
};

/* Every field is divided, the smallest go to P1: with the product's rule, which sends them to P2, each party receives all. */
static size_t divide_all(const struct mpc_party *p, size_t count, int ring)
{
    (void)p;
    (void)ring;
    return count / 16 * 8;
}

/* Even runs: one unit of the sample again and again, so that the secret is as far from random as the gate allows. */
static void run_gate(const struct sec_gate *gate, mpc_split_fn split, struct gate_runs *runs)
{
    size_t count = UNITS * gate->unit;
    int64_t *x = must_alloc(count, sizeof *x);
    for (size_t r = 0; r < RUNS; r++) {
        struct base_error error = {0};
        gate->sample(x, count, r);
        for (size_t i = gate->unit; r % 2 == 0 && i < count; i++)
            x[i] = x[i - gate->unit];
        struct trio_input input = {x, count, gate->input_ring, gate->input_frac, gate->input_bound};
        struct trio_job job = {.program = program, .context = gate, .inputs = &input, .input_count = 1, .seed = 100 + r,
                               .split = split, .tap = &runs->tap[r], .no_twin = true};
        check_ok(trio_run(&job, &runs->trio[r], &error), &error, gate->name);
    }
    free(x);
}

static void judge_fields(const struct sec_gate *gate, const struct gate_runs *runs, int party, struct tests *tests)
{
    struct pool of_ring[2][RINGS] = {{{0}}}, one = {0};
    size_t fields = runs->tap[0].view[party].count;
    for (size_t f = 0; f < fields; f++) {
        int ring = runs->tap[0].view[party].fields[f].ring;
        one.count = 0;
        for (size_t r = 0; r < RUNS; r++) {
            const struct tap_view *view = &runs->tap[r].view[party];
            assert_int_equal(view->count, fields);
            const struct tap_field *field = &view->fields[f];
            assert_int_equal(field->ring, ring);
            assert_int_equal(field->count, runs->tap[0].view[party].fields[f].count);
            add(&one, field->values, NULL, field->count, ring);
            add(&of_ring[field->exchanged][ring], field->values, NULL, field->count, ring);
        }
        judge(tests, gate->name, party == 1 ? "field of P1" : "field of P2", f, one, ring);
    }
    for (int exchanged = 0; exchanged <= 1; exchanged++)
        for (int ring = 1; ring < RINGS; ring++) {
            struct pool *pool = &of_ring[exchanged][ring];
            assert_true(pool->count == 0 || pool->count >= LEAST || (exchanged && ring == 1));
            judge(tests, gate->name, exchanged ? "all openings of ring" : "all dealt fields of ring", (size_t)ring, *pool, ring);
            free(pool->values);
        }
    free(one.values);
}

/* Bits and flags are opened on purpose; an order is shown to the twin, and m is zero. */
static bool is_open(const char *label)
{
    return strcmp(label, "opened bits") == 0 || strcmp(label, "opened flags") == 0 || strcmp(label, "shuffled order") == 0;
}

/* m alone, and what P1 (m - l1) and P2 (m - l2) can make of a wire. */
static void judge_wires(const struct sec_gate *gate, const struct gate_runs *runs, struct tests *tests)
{
    struct pool pool = {0};
    for (size_t w = 0; w < runs->trio[0].record[TRIO_P1].count; w++)
        for (int what = 0; what < 3; what++) {
            const struct trio_seen *seen = &runs->trio[0].record[TRIO_P1].seen[w];
            if (is_open(seen->label) || (what > 0 && seen->wire.gate_only))
                continue;
            pool.count = 0;
            for (size_t r = 0; r < RUNS; r++) {
                const struct mpc_wire *p1 = &runs->trio[r].record[TRIO_P1].seen[w].wire, *p2 = &runs->trio[r].record[TRIO_P2].seen[w].wire;
                add(&pool, p1->m, what == 0 ? NULL : what == 1 ? p1->l1 : p2->l2, p1->count, p1->ring);
            }
            judge(tests, gate->name, what == 0 ? "m of wire" : what == 1 ? "m - l1 of wire" : "m - l2 of wire", w, pool, seen->wire.ring);
        }
    free(pool.values);
}

static void judge_gate(const struct sec_gate *gate, mpc_split_fn split)
{
    struct gate_runs *runs = must_alloc(1, sizeof *runs);
    struct tests tests = {0};
    run_gate(gate, split, runs);
    judge_fields(gate, runs, 1, &tests);
    judge_fields(gate, runs, 2, &tests);
    judge_wires(gate, runs, &tests);
    (void)printf("%-14s %4zu statistics, largest %.1f\n", gate->name, tests.done, tests.worst);
    all_done += tests.done;
    assert_true(tests.done > 0 && all_done < 10000);
    for (size_t r = 0; r < RUNS; r++) {
        trio_finish(&runs->trio[r]);
        tap_finish(&runs->tap[r]);
    }
    free(runs);
}

static void test_gate(void **state)
{
    judge_gate(*state, NULL);
    judge_gate(*state, divide_all);
}

/* --- the statistic can fail ------------------------------------------------------------------------------------------------------------ */

/* Shares of a constant opened without masks: P2's half shows what the value is. */
static enum base_status unmasked_program(struct mpc_party *p, const struct trio_job *job)
{
    struct mpc_wire x = trio_input(p, job, 0);
    uint64_t *share = mpc_words(p, x.count);
    for (size_t i = 0; !mpc_failed(p) && p->role != MPC_COUNT && i < x.count; i++)
        share[i] = p->role == MPC_CLEAR ? x.x[i] : p->role == MPC_RIGHT ? 1000 : 0;
    (void)mpc_open_to_parties(p, share, x.count, 20, MPC_OPEN_TEST, "unmasked");
    return mpc_round(p);
}

static void test_a_bare_value_is_seen(void **state)
{
    enum { N = 200 };
    static const int64_t x[N];
    struct tap tap = {0};
    struct trio trio = {0};
    struct base_error error = {0};
    struct trio_input input = {x, N, 20, 0, 18};
    struct trio_job job = {.program = unmasked_program, .inputs = &input, .input_count = 1, .tap = &tap, .no_twin = true};
    (void)state;
    check_ok(trio_run(&job, &trio, &error), &error, "unmasked");
    assert_int_equal(tap.view[1].count, 2); /* the input's m, and P2's share */
    assert_true(statistic(tap.view[1].fields[0].values, N, 20) <= limit);
    assert_true(statistic(tap.view[1].fields[1].values, N, 20) > limit);
    assert_int_equal(trio.party[TRIO_P1].openings[MPC_OPEN_TEST], N);
    trio_finish(&trio);
    tap_finish(&tap);
}

int main(void)
{
    enum { MAX_TESTS = 64 };
    size_t count;
    const struct sec_gate *const *gates = sec_gates(&count);
    struct CMUnitTest tests[MAX_TESTS] = {cmocka_unit_test(test_a_bare_value_is_seen)};
    if (count + 1 > MAX_TESTS)
        return 1;
    for (size_t i = 0; i < count; i++)
        tests[i + 1] = (struct CMUnitTest){gates[i]->name, test_gate, NULL, NULL, (void *)gates[i]};
    return _cmocka_run_group_tests("uniform", tests, count + 1, NULL, NULL);
}
