/* Ceilings, ranges and headroom from the extremes of scores: margins, references, ranges of their own,
 * maxima, and the cheapest of all. */
#include "tests/protocols/check.h"

#include "engine/calibrate_scores.h"
#include "engine/cost.h"

#include <math.h>

enum { WIDTH = 16, HEADS = 4, CONTEXT = 64 };
static const double LOG2_E = 0x1.71547652b82fep+0, TINY = 1e-9;

static struct eng_plan make_plan(void)
{
    struct eng_plan plan;
    struct base_error error = {0};
    check_ok(eng_plan_init(&plan, 1, HEADS, CONTEXT, &error), &error, "plan");
    eng_plan_set_typical(&plan, WIDTH, 1e-5, 5);
    plan.fx = 16;
    plan.fw = 15;
    check_ok(eng_plan_check(&plan, &error), &error, "typical");
    return plan;
}

/* A head whose rows were seen with these largest scores, and `below` under each; the own score is `own` under
 * it. */
struct sight {
    double tops[2], below, own;
};

static struct eng_head_extremes seen(struct sight s)
{
    struct eng_head_extremes head;
    eng_head_extremes_init(&head);
    for (int i = 0; i < 2; i++) {
        float row[] = {(float)(s.tops[i] - s.below), (float)s.tops[i], (float)(s.tops[i] - s.own)};
        eng_head_see(&head, row, 3);
    }
    return head;
}

/* Narrow from zero; narrow from the own score, whose level wanders; wide; and one that has neither. */
static const struct sight steady = {{5, 4}, 6, 3}, wandering = {{30, -30}, 5, 1}, wide = {{30, 29}, 45, 40},
                          neither = {{15, -17}, 28, 28}, endless = {{200, 150}, 400, 300};

static bool choose(struct eng_plan *plan, const struct eng_head_extremes heads[HEADS])
{
    struct base_error error = {0};
    bool found;
    check_ok(eng_choose_ceilings(plan, 0, heads, &found, &error), &error, "ceilings");
    return found;
}

static double nats_of(const struct eng_range_plan *range)
{
    return range->bits / LOG2_E;
}

static double cell_of(const struct eng_range_plan *range)
{
    return ldexp(nats_of(range), 1 - range->log_cells);
}

/* The documented margins of a head whose scores span so much. */
static double above(double span)
{
    return 2 + fmin(0.1 * span, 6);
}

static double below(double span)
{
    return fmin(0.3 * span, 8 + 0.1 * span);
}

/* What the plan promises of a head: margins above and below, all of it in the cells 1 to half - 2 of the
 * guard; and no row's largest e below 2^-headroom. */
static void check_head(const struct eng_plan *plan, size_t h, const struct eng_head_extremes *seen)
{
    const struct eng_layer_plan *l = &plan->layer[0];
    const struct eng_head_plan *head = &plan->head[h];
    const struct eng_range_plan *range = &l->range[head->range];
    int r = head->from == ENG_FROM_OWN, half = 1 << (range->log_cells - 1);
    double span = seen->top[r] - seen->bottom[r], ceiling = (double)head->ceiling / ENG_CEILING_UNITS;
    double most = seen->top[r] + above(span), least = seen->bottom[r] - below(span), cell = cell_of(range);
    assert_in_range(range->bits, 4, ENG_MOST_RANGE);
    assert_true((ceiling - most) / cell >= 1 - TINY);
    assert_true((ceiling - least) / cell <= half - 1 + TINY);
    double gap = head->from == ENG_FROM_ZERO ? ceiling - seen->row[r] + 1.5 : ceiling;
    if (head->from == ENG_FROM_MAXIMUM)
        assert_true(eng_range_slack(range) <= l->headroom);
    else
        assert_true(gap * LOG2_E <= l->headroom + TINY);
}

static void check_chosen(const struct eng_plan *plan, const struct eng_head_extremes heads[HEADS])
{
    struct base_error error = {0};
    check_ok(eng_plan_check(plan, &error), &error, "chosen");
    assert_int_equal(plan->layer[0].attention, ENG_ATTENTION_CEILINGS);
    for (size_t h = 0; h < HEADS; h++)
        check_head(plan, h, &heads[h]);
}

/* Chooses for four heads and checks what holds always. */
static struct eng_plan chosen(const struct sight *const sights[HEADS])
{
    struct eng_plan plan = make_plan();
    struct eng_head_extremes heads[HEADS];
    for (size_t h = 0; h < HEADS; h++)
        heads[h] = seen(*sights[h]);
    assert_true(choose(&plan, heads));
    check_chosen(&plan, heads);
    return plan;
}

static void test_extremes(void **state)
{
    struct eng_head_extremes head;
    (void)state;
    eng_head_extremes_init(&head);
    const float rows[2][3] = {{-2, 7, 1}, {3, -4, 5}};
    eng_head_see(&head, rows[0], 3);
    eng_head_see(&head, rows[1], 3);
    const double top[] = {7, 6}, bottom[] = {-4, -9}, row[] = {5, 0};
    for (int r = 0; r < ENG_REFERENCES; r++)
        assert_true(head.top[r] == top[r] && head.bottom[r] == bottom[r] && head.row[r] == row[r]);
    /* One score alone is its own. */
    eng_head_extremes_init(&head);
    eng_head_see(&head, rows[0], 1);
    assert_true(head.top[0] == -2 && head.bottom[0] == -2 && head.top[1] == 0 && head.bottom[1] == 0 &&
                head.row[1] == 0);
}

static void test_one_range(void **state)
{
    (void)state;
    struct eng_plan plan = chosen((const struct sight *const[]){&steady, &steady, &steady, &steady});
    assert_int_equal(plan.layer[0].range[1].bits, 0);
    for (size_t h = 0; h < HEADS; h++)
        assert_int_equal(plan.head[h].range, 0);
    eng_plan_finish(&plan);
}

static void test_a_wide_head_has_its_own_range(void **state)
{
    (void)state;
    for (size_t at = 0; at < HEADS; at++) {
        const struct sight *sights[HEADS] = {&steady, &steady, &steady, &steady};
        sights[at] = &wide;
        struct eng_plan plan = chosen(sights);
        assert_true(plan.layer[0].range[0].bits < plan.layer[0].range[1].bits);
        for (size_t h = 0; h < HEADS; h++)
            assert_int_equal(plan.head[h].range, h == at);
        eng_plan_finish(&plan);
    }
}

/* Whichever leaves less headroom, head by head. */
static void test_references(void **state)
{
    (void)state;
    struct eng_plan plan = chosen((const struct sight *const[]){&steady, &wandering, &steady, &wandering});
    for (size_t h = 0; h < HEADS; h++)
        assert_int_equal(plan.head[h].from, h % 2 == 0 ? ENG_FROM_ZERO : ENG_FROM_OWN);
    eng_plan_finish(&plan);
}

static void test_only_who_must_finds_a_maximum(void **state)
{
    (void)state;
    for (size_t at = 0; at < HEADS; at++) {
        const struct sight *sights[HEADS] = {&steady, &steady, &wandering, &steady};
        sights[at] = &neither;
        struct eng_plan plan = chosen(sights);
        for (size_t h = 0; h < HEADS; h++)
            assert_int_equal(plan.head[h].from == ENG_FROM_MAXIMUM, h == at);
        eng_plan_finish(&plan);
    }
}

static void test_a_head_that_nothing_holds(void **state)
{
    (void)state;
    for (size_t at = 0; at < HEADS; at++) {
        struct eng_plan plan = make_plan(), before = make_plan();
        struct eng_head_extremes heads[HEADS];
        for (size_t h = 0; h < HEADS; h++)
            heads[h] = seen(h == at ? endless : h == 0 ? wide : steady);
        assert_false(choose(&plan, heads));
        assert_memory_equal(plan.layer, before.layer, sizeof *plan.layer);
        assert_memory_equal(plan.head, before.head, HEADS * sizeof *plan.head);
        eng_plan_finish(&plan);
        eng_plan_finish(&before);
    }
}

/* --- random heads --------------------------------------------------------------------------------------- */

static double uniform(uint64_t *state, double low, double high)
{
    return low + (high - low) * ldexp((double)(trio_random(state) >> 11), -53);
}

/* Rows of scores around levels that wander by up to `drift` nats, within up to `spread`. */
static struct eng_head_extremes random_head(uint64_t *state, double most)
{
    enum { ROWS = 12, LONGEST = 12 };
    struct eng_head_extremes head;
    double drift = uniform(state, 0, most), spread = uniform(state, 0, most),
           centre = uniform(state, -10, 10);
    eng_head_extremes_init(&head);
    for (size_t count = 1; count <= ROWS; count++) {
        float row[LONGEST];
        double level = centre + uniform(state, -drift, drift);
        for (size_t i = 0; i < count; i++)
            row[i] = (float)(level + uniform(state, -spread, spread));
        eng_head_see(&head, row, count);
    }
    return head;
}

static void test_random_heads(void **state)
{
    enum { LAYERS = 150 };
    size_t held = 0, maxima = 0, two = 0;
    uint64_t seed = 7;
    (void)state;
    for (size_t i = 0; i < LAYERS; i++) {
        struct eng_plan plan = make_plan();
        struct eng_head_extremes heads[HEADS];
        double most = uniform(&seed, 0.1, i % 3 == 0 ? 160 : 12);
        for (size_t h = 0; h < HEADS; h++)
            heads[h] = random_head(&seed, most);
        plan.layer[0].bits[ENG_V] = (int)uniform(&seed, -3, 7);
        if (choose(&plan, heads)) {
            check_chosen(&plan, heads);
            held++;
            maxima += eng_plan_maximum_range(&plan, 0) >= 0;
            two += plan.layer[0].range[1].bits > 0;
        }
        eng_plan_finish(&plan);
    }
    print_message("%zu of %d layers hold, %zu with maxima, %zu in two ranges\n", held, LAYERS, maxima, two);
    assert_true(held > LAYERS / 2 && held < LAYERS && maxima > 0 && two > 0);
}

/* --- the cheapest --------------------------------------------------------------------------------------- */

static const struct eng_model_shape shape = {.layers = 1,
                                             .width = WIDTH,
                                             .heads = HEADS,
                                             .kv_heads = 1,
                                             .head_dim = 4,
                                             .ffn = 8,
                                             .vocab = 16,
                                             .context = CONTEXT,
                                             .rope_theta = 10000,
                                             .norm_eps = 1e-5,
                                             .bos = -1,
                                             .model_type = "small"};

/* Bytes per cached row and head as the graph declares them: over so many rows that bytes rounded up count
 * little. */
static double bytes_of(const struct eng_plan *plan)
{
    enum { FEW = 8, MANY = 56 };
    struct eng_cost cost[2];
    struct base_error error = {0};
    struct eng_decoder_form form = {
        .shape = &shape, .plan = plan, .policy = &kv_policy_full, .context = CONTEXT};
    check_ok(eng_cost_count(&cost[0], &form, FEW, NULL, &error), &error, "cost");
    check_ok(eng_cost_count(&cost[1], &form, MANY, NULL, &error), &error, "cost");
    double more = (double)(cost[1].decode.online - cost[0].decode.online) +
                  (double)(cost[1].decode.offline - cost[0].decode.offline);
    return more / (HEADS * (MANY - FEW));
}

/* A head in a range by the documented margins; false where it or its headroom does not hold. */
static bool fit(const struct eng_head_extremes *seen, struct eng_layer_plan *l, int range, int from,
                struct eng_head_plan *ret)
{
    int r = from == ENG_FROM_OWN;
    double span = seen->top[r] - seen->bottom[r], cell = cell_of(&l->range[range]);
    int ceiling = (int)ceil((seen->top[r] + above(span) + cell) * ENG_CEILING_UNITS);
    double nats = (double)ceiling / ENG_CEILING_UNITS,
           gap = from == ENG_FROM_OWN ? nats : nats - seen->row[r] + 1.5;
    *ret = (struct eng_head_plan){ceiling, from, range};
    return nats - seen->bottom[r] + below(span) <= nats_of(&l->range[range]) - cell &&
           gap * LOG2_E <= l->headroom;
}

/* Whole bits from the guard's cell down to the largest score, less one, whatever a head is measured from. */
static int least_margin(const struct eng_head_extremes heads[HEADS])
{
    double least = INFINITY;
    for (size_t h = 0; h < HEADS; h++)
        for (int r = 0; r < ENG_REFERENCES; r++)
            least = fmin(least, above(heads[h].top[r] - heads[h].bottom[r]));
    return (int)(least * LOG2_E) - 1;
}

static bool place_all(struct eng_plan *plan, const struct eng_head_extremes heads[HEADS])
{
    struct eng_layer_plan *l = &plan->layer[0];
    struct base_error error = {0};
    for (size_t h = 0; h < HEADS; h++) {
        bool holds = false;
        for (int range = 0; range < ENG_RANGES && !holds && l->range[range].bits > 0; range++)
            for (int from = ENG_FROM_ZERO; from <= ENG_FROM_OWN && !holds; from++)
                holds = fit(&heads[h], l, range, from, &plan->head[h]);
        if (!holds)
            return false;
    }
    l->sum = eng_plan_log_context(plan) - eng_plan_ceiling_widths(plan, 0).empty - least_margin(heads);
    return eng_plan_check(plan, &error) == BASE_OK;
}

/* A step to a neighbour, or a leap. */
static void vary(struct eng_layer_plan *l, uint64_t *state)
{
    int log_cells = l->range[0].log_cells, large = l->range[1].bits > 0 ? l->range[1].bits : l->range[0].bits;
    int small = l->range[0].bits;
    switch (trio_random(state) % 5) {
    case 0:
        log_cells = 4 + (int)(trio_random(state) % 3);
        break;
    case 1:
        small += 4 * ((int)(trio_random(state) % 5) - 2);
        break;
    case 2:
        large += 4 * ((int)(trio_random(state) % 5) - 2);
        break;
    case 3:
        l->headroom += (int)(trio_random(state) % 3) - 1;
        break;
    default:
        small = large = 4 * (int)(2 + trio_random(state) % 20);
    }
    l->range[0] = (struct eng_range_plan){small < large ? small : large, log_cells};
    l->range[1] = small == large ? (struct eng_range_plan){0}
                                 : (struct eng_range_plan){small < large ? large : small, log_cells};
}

/* Wider ranges are tried in larger steps, and no less headroom than this. */
static bool is_tried(const struct eng_layer_plan *l)
{
    return l->range[0].bits >= 8 && l->range[0].bits <= 96 && l->range[1].bits <= 96 && l->headroom >= 8;
}

/* No other plan that holds costs less as the graph declares it, but for bytes that are rounded up. */
static void check_cheapest(const struct eng_plan *plan, const struct eng_head_extremes heads[HEADS],
                           uint64_t *state, size_t *ret_dearer)
{
    enum { TRIES = 80, MOST = 20 };
    static const double NOISE = 0.06;
    double best = bytes_of(plan);
    size_t tried = 0;
    for (size_t i = 0; i < TRIES && tried < MOST; i++) {
        struct eng_plan other;
        struct base_error error = {0};
        check_ok(eng_plan_copy(&other, plan, &error), &error, "copy");
        vary(&other.layer[0], state);
        if (i % 2 == 1)
            vary(&other.layer[0], state);
        bool same = memcmp(other.layer, plan->layer, sizeof *other.layer) == 0;
        if (!same && is_tried(&other.layer[0]) && place_all(&other, heads)) {
            double bytes = bytes_of(&other);
            if (bytes < best - NOISE)
                print_message("%.2f bytes, and another plan %.2f\n", best, bytes);
            assert_true(bytes >= best - NOISE);
            *ret_dearer += bytes > best + NOISE;
            tried++;
        }
        eng_plan_finish(&other);
    }
}

static void test_the_cheapest(void **state)
{
    uint64_t seed = 3;
    size_t dearer = 0, layers = 0;
    (void)state;
    while (layers < 16) {
        struct eng_plan plan = make_plan();
        struct eng_head_extremes heads[HEADS];
        double most = uniform(&seed, 2, 9);
        for (size_t h = 0; h < HEADS; h++)
            heads[h] = random_head(&seed, h == 0 && layers % 2 == 0 ? 2 * most : most / 2);
        if (choose(&plan, heads) && eng_plan_maximum_range(&plan, 0) < 0) {
            check_cheapest(&plan, heads, &seed, &dearer);
            layers++;
        }
        eng_plan_finish(&plan);
    }
    print_message("%zu other plans cost more\n", dearer);
    assert_true(dearer > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_extremes),
                                       cmocka_unit_test(test_one_range),
                                       cmocka_unit_test(test_a_wide_head_has_its_own_range),
                                       cmocka_unit_test(test_references),
                                       cmocka_unit_test(test_only_who_must_finds_a_maximum),
                                       cmocka_unit_test(test_a_head_that_nothing_holds),
                                       cmocka_unit_test(test_random_heads),
                                       cmocka_unit_test(test_the_cheapest)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
