/* Boxes, signs and sums of squares against the true answer, and the two scores that are made of them: Quest's bound and MPCache's
 * mixture. What is exact is compared for equality, on the twin and on the shares. */
#include "tests/protocols/check.h"

#include "protocols/box.h"
#include "protocols/split.h"
#include "protocols/squares.h"

#include <math.h>

enum { RING = 40, FRACTION = 6, MOST = 4096 };

static struct trio run(trio_program_fn program, const void *context, const struct trio_input *inputs, size_t count)
{
    struct trio trio = {0};
    check_run(&(struct trio_job){.program = program, .context = context, .inputs = inputs, .input_count = count, .seed = 5}, &trio,
              "boxes");
    return trio;
}

/* The largest value of |x| whose differences fit k bits. */
static int64_t end_of(int k)
{
    return ((INT64_C(1) << (k - 1)) - 1) / 2;
}

/* --- boxes --- */

static enum base_status box_program(struct mpc_party *p, const struct trio_job *job)
{
    const struct sec_box_form *form = job->context;
    enum base_status status = BASE_OK;
    struct sec_box box = {{0}, {0}}, joined = {{0}, {0}};
    TRY(sec_box_eval(p, form, trio_input(p, job, 0), &box));
    trio_output(p, box.high);
    trio_output(p, box.low);
    if (form->groups % 2 == 0) {
        TRY(sec_box_join(p, form, box, &joined));
        trio_output(p, joined.high);
        trio_output(p, joined.low);
    }
out:
    return status;
}

/* Outputs first and first + 1 are the boxes of groups of `rows` rows of x. */
static void check_boxes(const struct trio *trio, size_t first, const int64_t *x, size_t groups, size_t rows, size_t channels)
{
    int64_t high[MOST], low[MOST];
    check_value(trio, first, high, "high");
    check_value(trio, first + 1, low, "low");
    assert_int_equal(trio->output[TRIO_P1][first].ring, RING);
    assert_int_equal(trio->output[TRIO_P1][first].frac, FRACTION);
    for (size_t g = 0; g < groups; g++)
        for (size_t c = 0; c < channels; c++) {
            int64_t most = INT64_MIN, least = INT64_MAX;
            for (size_t i = 0; i < rows; i++) {
                int64_t value = x[(g * rows + i) * channels + c];
                most = value > most ? value : most;
                least = value < least ? value : least;
            }
            assert_int_equal(high[g * channels + c], most);
            assert_int_equal(low[g * channels + c], least);
        }
}

static void check_form(const struct sec_box_form *form, const int64_t *x)
{
    size_t count = form->groups * form->unit * form->channels;
    struct trio_input input = {x, count, RING, FRACTION, form->k - 2};
    struct trio trio = run(box_program, form, &input, 1);
    struct mpc_cost cost = sec_box_cost(form, RING);
    check_boxes(&trio, 0, x, form->groups, form->unit, form->channels);
    if (form->groups % 2 == 0) {
        check_boxes(&trio, 2, x, form->groups / 2, 2 * form->unit, form->channels);
        cost = mpc_cost_add(cost, sec_box_join_cost(form, RING));
    }
    check_cost(&trio, cost);
    trio_finish(&trio);
}

static void test_boxes_of_every_unit(void **state)
{
    static const int bits[] = {4, 9, 18, 30};
    int64_t x[MOST];
    (void)state;
    for (size_t unit = 2; unit <= SEC_BOX_MOST_UNIT; unit *= 2)
        for (size_t b = 0; b < sizeof bits / sizeof *bits; b++) {
            struct sec_box_form form = {.groups = 1 + b, .unit = unit, .channels = 5, .k = bits[b]};
            fill_edges(x, form.groups * unit * form.channels, -end_of(bits[b]), end_of(bits[b]), unit + b);
            check_form(&form, x);
        }
}

/* Equal rows; one row that stands out at every place in turn, upwards and downwards; and rows at the two ends of the range. */
static void test_boxes_of_edges(void **state)
{
    static const size_t units[] = {2, 16, 32};
    int64_t x[MOST], end = end_of(18);
    (void)state;
    for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
        struct sec_box_form form = {.groups = 32, .unit = units[u], .channels = 4, .k = 18};
        for (size_t i = 0; i < form.groups * form.unit * form.channels; i++) {
            size_t c = i % form.channels, row = i / form.channels % form.unit, group = i / form.channels / form.unit;
            const int64_t values[] = {-end, 77, 77, (row + group) % 2 == 0 ? end : -end};
            x[i] = values[c];
            if (row == group % form.unit)
                x[i] = c == 1 ? end : c == 2 ? -end : x[i];
        }
        check_form(&form, x);
    }
}

/* Few bits: every reading and every mask of the comparison come up. */
static void test_boxes_of_few_bits(void **state)
{
    int64_t x[MOST];
    (void)state;
    for (int k = 3; k <= 6; k++) {
        struct sec_box_form form = {.groups = 256, .unit = 4, .channels = 4, .k = k};
        fill_edges(x, MOST, -end_of(k), end_of(k), (uint64_t)k);
        check_form(&form, x);
    }
}

/* 22 comparisons for each 16 values of a channel; the specification's 506 dealt bytes per key and channel at 18 bits (section 9.2). */
static void test_cost_of_a_box(void **state)
{
    const struct sec_box_form form = {.groups = 3, .unit = 16, .channels = 8, .k = 18};
    size_t pairs = 22 * 3 * 8;
    struct mpc_cost cost = sec_box_cost(&form, RING), one = sec_compare_cost(pairs, 18), other = sec_select_cost(pairs, 1, RING);
    (void)state;
    assert_int_equal(cost.rounds, 8);
    assert_int_equal(cost.online, one.online + other.online);
    assert_int_equal(cost.offline, one.offline + other.offline);
    struct sec_box_form unit = {.groups = 1, .unit = 16, .channels = 1024, .k = 18};
    assert_int_equal(cost.offline, 506 * 3 * 16 * 8);
    for (int k = 14; k <= 22; k += 4) {
        unit.k = k;
        cost = sec_box_cost(&unit, RING);
        (void)printf("16 rows of 1024 channels, %d bits in a ring of %d: %llu rounds, %.1f kB online, %.1f kB dealt\n", k, RING,
                     (unsigned long long)cost.rounds, (double)cost.online / 1e3, (double)cost.offline / 1e3);
    }
}

static void refused(trio_program_fn program, const void *context, struct trio_input input, enum base_status status)
{
    struct trio trio = {0};
    struct base_error error = {0};
    struct trio_job job = {.program = program, .context = context, .inputs = &input, .input_count = 1};
    assert_int_equal(trio_run(&job, &trio, &error), status);
    trio_finish(&trio);
}

static void test_boxes_refuse(void **state)
{
    static const struct {
        struct sec_box_form form;
        int ring, bound;
    } bad[] = {
        {{4, 1, 8, 18}, RING, 16},  {{4, 0, 8, 18}, RING, 16},   {{4, 3, 8, 18}, RING, 16}, {{4, 128, 1, 18}, RING, 16},
        {{2, 2, 8, 18}, RING, 16},  {{0, 2, 8, 18}, RING, 16},   {{4, 2, 8, 1}, RING, 0},   {{4, 2, 8, 41}, RING, 16},
        {{4, 2, 8, 16}, RING, 16},  {{4, 2, 8, 64}, 64, 16},
    };
    static const int64_t x[64];
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refused(box_program, &bad[i].form, (struct trio_input){x, 64, bad[i].ring, FRACTION, bad[i].bound}, BASE_ERR_RANGE);
}

/* What a caller that looks at the answer alone takes for a refusal. */
static enum base_status answer_program(struct mpc_party *p, const struct trio_job *job)
{
    struct sec_box box = {{0}, {0}};
    enum base_status status = sec_box_eval(p, job->context, trio_input(p, job, 0), &box);
    return status == BASE_OK ? BASE_ERR_INTERNAL : status;
}

static void test_refusals_are_answers(void **state)
{
    static const size_t units[] = {0, 1, 3, 128};
    static const int64_t x[64];
    (void)state;
    for (size_t u = 0; u < sizeof units / sizeof *units; u++)
        refused(answer_program, &(struct sec_box_form){4, units[u], 8, 18}, (struct trio_input){x, 64, RING, FRACTION, 16}, BASE_ERR_RANGE);
}

static enum base_status hostile_program(struct mpc_party *p, const struct trio_job *job)
{
    const struct sec_box_form *form = job->context;
    struct mpc_wire x = trio_input(p, job, 0);
    struct sec_box box;
    return form->groups % 2 == 1 ? sec_box_join(p, form, (struct sec_box){x, x}, &box)
                                 : sec_box_eval(p, form, mpc_as_gate_only(p, x), &box);
}

static void test_boxes_refuse_gate_wires_and_odd_groups(void **state)
{
    static const int64_t x[24];
    (void)state;
    refused(hostile_program, &(struct sec_box_form){4, 2, 3, 18}, (struct trio_input){x, 24, RING, 0, 16}, BASE_ERR_RANGE);
    refused(hostile_program, &(struct sec_box_form){3, 2, 8, 18}, (struct trio_input){x, 24, RING, 0, 16}, BASE_ERR_RANGE);
}

/* --- signs --- */

static enum base_status split_program(struct mpc_party *p, const struct trio_job *job)
{
    struct mpc_wire positive = {0}, negative = {0};
    enum base_status status = sec_split_eval(p, trio_input(p, job, 0), *(const int *)job->context, &positive, &negative);
    trio_output(p, positive);
    trio_output(p, negative);
    return status;
}

static void test_split(void **state)
{
    static const int bits[] = {2, 3, 5, 9, 12, 20, 39};
    enum { N = 500 };
    int64_t q[N], positive[N], negative[N];
    (void)state;
    for (size_t b = 0; b < sizeof bits / sizeof *bits; b++) {
        int64_t half = INT64_C(1) << (bits[b] - 1);
        fill_edges(q, N, -half, half - 1, b);
        struct trio_input input = {q, N, RING, FRACTION, bits[b] - 1};
        struct trio trio = run(split_program, &bits[b], &input, 1);
        check_value(&trio, 0, positive, "positive");
        check_value(&trio, 1, negative, "negative");
        for (size_t i = 0; i < N; i++) {
            assert_int_equal(positive[i], q[i] > 0 ? q[i] : 0);
            assert_int_equal(negative[i], q[i] < 0 ? q[i] : 0);
        }
        check_cost(&trio, sec_split_cost(N, bits[b], RING));
        trio_finish(&trio);
    }
}

static void test_split_refuses(void **state)
{
    static const int64_t q[4];
    static const int bits[] = {1, RING + 1};
    (void)state;
    for (size_t b = 0; b < sizeof bits / sizeof *bits; b++)
        refused(split_program, &bits[b], (struct trio_input){q, 4, RING, FRACTION, 0}, BASE_ERR_RANGE);
}

/* --- scores of boxes --- */

enum { GROUPS = 6, UNIT = 16, CHANNELS = 8, BITS = 14, SIXTEENTHS = 10 };

/* w * factor: local, as a sum. */
static struct mpc_wire times(struct mpc_party *p, struct mpc_wire w, int factor)
{
    struct mpc_wire sum = w;
    for (int i = 1; i < factor; i++)
        sum = mpc_add(p, sum, w, 1, w.bound + 4);
    return sum;
}

/* [channels] -> [groups][channels]. */
static struct mpc_wire for_every_group(struct mpc_party *p, struct mpc_wire q)
{
    uint32_t index[GROUPS * CHANNELS];
    for (uint32_t i = 0; i < GROUPS * CHANNELS; i++)
        index[i] = i % CHANNELS;
    return mpc_gather(p, q, index, GROUPS * CHANNELS);
}

/* Quest's bound, then 16 times MPCache's mixture with alpha = 10/16. */
static enum base_status score_program(struct mpc_party *p, const struct trio_job *job)
{
    const struct sec_box_form form = {GROUPS, UNIT, CHANNELS, BITS};
    enum base_status status = BASE_OK;
    struct mpc_wire x = trio_input(p, job, 0), q = trio_input(p, job, 1), positive, negative;
    struct sec_box box;
    TRY(sec_box_eval(p, &form, x, &box));
    TRY(sec_split_eval(p, q, BITS, &positive, &negative));
    struct mpc_share bound = mpc_share_dot(p, for_every_group(p, positive), box.high, CHANNELS);
    mpc_share_add(p, &bound, mpc_share_dot(p, for_every_group(p, negative), box.low, CHANNELS));
    struct mpc_wire mixed = mpc_add(p, times(p, box.high, SIXTEENTHS), times(p, box.low, 16 - SIXTEENTHS), 1, BITS + 3);
    struct mpc_share mixture = mpc_share_dot(p, for_every_group(p, q), mixed, CHANNELS);
    trio_output(p, mpc_cut(p, bound, RING, 0, RING - 2, false, "bound"));
    trio_output(p, mpc_cut(p, mixture, RING, 0, RING - 2, false, "mixture"));
    TRY(mpc_round(p));
out:
    return status;
}

static void test_scores_of_boxes(void **state)
{
    int64_t x[GROUPS * UNIT * CHANNELS], q[CHANNELS], bound[GROUPS], mixture[GROUPS];
    (void)state;
    fill_edges(x, GROUPS * UNIT * CHANNELS, -end_of(BITS), end_of(BITS), 8);
    fill_edges(q, CHANNELS, -end_of(BITS), end_of(BITS), 9);
    const struct trio_input inputs[] = {{x, GROUPS * UNIT * CHANNELS, RING, FRACTION, BITS - 2}, {q, CHANNELS, RING, FRACTION, BITS - 2}};
    struct trio trio = run(score_program, NULL, inputs, 2);
    check_value(&trio, 0, bound, "bound");
    check_value(&trio, 1, mixture, "mixture");
    for (size_t g = 0; g < GROUPS; g++) {
        int64_t want = 0, mixed = 0, largest = INT64_MIN;
        for (size_t c = 0; c < CHANNELS; c++) {
            int64_t high = INT64_MIN, low = INT64_MAX;
            for (size_t i = 0; i < UNIT; i++) {
                int64_t value = x[(g * UNIT + i) * CHANNELS + c];
                high = value > high ? value : high;
                low = value < low ? value : low;
            }
            want += q[c] * high > q[c] * low ? q[c] * high : q[c] * low;
            mixed += q[c] * (SIXTEENTHS * high + (16 - SIXTEENTHS) * low);
        }
        for (size_t i = 0; i < UNIT; i++) {
            int64_t score = 0;
            for (size_t c = 0; c < CHANNELS; c++)
                score += q[c] * x[(g * UNIT + i) * CHANNELS + c];
            largest = score > largest ? score : largest;
        }
        assert_true(llabs(bound[g] - want) <= 1 && llabs(mixture[g] - mixed) <= 1); /* a cut by 0 adds three shares: within 1.5 */
        assert_true(want >= largest);
    }
    trio_finish(&trio);
}

/* --- sums of squares --- */

struct squares_case {
    size_t run;
    int bound, cut;
};

static enum base_status squares_program(struct mpc_party *p, const struct trio_job *job)
{
    const struct squares_case *c = job->context;
    struct mpc_wire sums = sec_squares(p, trio_input(p, job, 0), c->run, c->cut, "squares");
    enum base_status status = mpc_round(p);
    trio_output(p, sums);
    return status;
}

static void test_squares(void **state)
{
    static const struct squares_case cases[] = {{1, 8, 0}, {16, 12, 20}, {64, 17, 30}, {48, 10, 8}, {3, 29, 59}};
    enum { RUNS = 12 };
    int64_t x[RUNS * 64], sums[RUNS];
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        size_t length = cases[c].run, count = RUNS * length;
        int ring = sec_squares_ring(cases[c].bound, length);
        int64_t end = INT64_C(1) << cases[c].bound;
        fill_edges(x, count, -end, end, c);
        for (size_t i = 0; i < length; i++) { /* the smallest sum and the largest */
            x[length + i] = 0;
            x[2 * length + i] = i % 2 == 0 ? end : -end;
        }
        struct trio_input input = {x, count, ring, FRACTION, cases[c].bound};
        struct trio trio = run(squares_program, &cases[c], &input, 1);
        check_value(&trio, 0, sums, "squares");
        assert_int_equal(trio.output[TRIO_P1][0].frac, 2 * FRACTION - cases[c].cut);
        for (size_t r = 0; r < RUNS; r++) {
            int64_t want = 0;
            for (size_t i = 0; i < length; i++)
                want += x[r * length + i] * x[r * length + i];
            assert_true(fabs(cut_error(sums[r], want, cases[c].cut)) <= 1.5);
        }
        struct mpc_cost cost = sec_squares_cost(RUNS, ring, cases[c].cut);
        cost.rounds = 1;
        check_cost(&trio, cost);
        trio_finish(&trio);
    }
}

static void test_squares_refuse(void **state)
{
    static const struct {
        struct squares_case c;
        int ring;
    } bad[] = {{{0, 8, 4}, 40}, {{5, 8, 4}, 40}, {{16, 8, 4}, 20}, {{16, 8, -1}, 40}, {{16, 8, 20}, 40}, {{16, 8, 4}, 16},
               {{SIZE_MAX, 8, 4}, 40}};
    static const int64_t x[64];
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refused(squares_program, &bad[i].c, (struct trio_input){x, 64, bad[i].ring, 0, bad[i].c.bound}, BASE_ERR_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_boxes_of_every_unit), cmocka_unit_test(test_boxes_of_edges), cmocka_unit_test(test_boxes_of_few_bits),
        cmocka_unit_test(test_cost_of_a_box), cmocka_unit_test(test_boxes_refuse),
        cmocka_unit_test(test_refusals_are_answers),
        cmocka_unit_test(test_boxes_refuse_gate_wires_and_odd_groups), cmocka_unit_test(test_split), cmocka_unit_test(test_split_refuses),
        cmocka_unit_test(test_scores_of_boxes), cmocka_unit_test(test_squares), cmocka_unit_test(test_squares_refuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
