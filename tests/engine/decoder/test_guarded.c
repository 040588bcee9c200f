/* Real prompts through plans whose ranges they leave: every head and every layer, each side, from just beyond
 * a range to nearly as far as the guard reaches; and from just inside it, where nothing may be reported. */
#include "tests/engine/decoder/plant_support.h"

#include <math.h>

static const double LOG2_E = 0x1.71547652b82fep+0;
/* How far beyond the end of a range. */
enum size { JUST, HALF, FAR, SIZES };
enum { BELOW, ABOVE, SIDES };
/* Nats or units of g that count as just beyond, and as not quite out of reach. */
static const double CLOSE = 0.1, REACH = 0.25;

struct stage {
    struct model model;
    struct plant_reach reach;
    const int32_t *tokens;
};

/* tokens: NULL for those of the model's own samples. */
static void open_stage(struct stage *s, const char *path, struct model_options options, const int32_t *tokens)
{
    options.context = PLANT_CONTEXT;
    assert_true(model_open(&s->model, path, options));
    s->tokens = tokens != NULL ? tokens : s->model.samples[1];
    plant_reach_of(&s->reach, &s->model.source, s->tokens);
}

static void close_stage(struct stage *s)
{
    plant_reach_finish(&s->reach);
    model_close(&s->model);
}

/* Runs a plant and ends it. Returns how many steps are void. */
static size_t run(struct plant *plant, enum plant_guard guard, size_t *ret_quiet, struct trio *ret)
{
    plant_run(plant, ret);
    size_t is_void = plant_judge(plant, guard, ret_quiet);
    plant_finish(plant);
    return is_void;
}

/* --- ceilings ------------------------------------------------------------------------------------------- */

static double nats_of(const struct eng_plan *plan, size_t layer, size_t head)
{
    return plan->layer[layer].range[eng_plan_heads(plan, layer)[head].range].bits / LOG2_E;
}

/* A ceiling so that the head's largest score lies above it, or its smallest one below the range, by `size`.
 */
static int ceiling_beyond(const struct stage *s, size_t layer, size_t head, int side, enum size size)
{
    const struct eng_plan *plan = &s->model.plan;
    double nats = nats_of(plan, layer, head), by = size == JUST   ? CLOSE
                                                   : size == HALF ? nats / 2
                                                                  : nats - REACH;
    int reference = plant_reference(plan, layer, head);
    if (side == ABOVE)
        return (int)floor((plant_most_score(&s->reach, layer, head, reference, 1) - by) * ENG_CEILING_UNITS);
    return (int)ceil((plant_most_score(&s->reach, layer, head, reference, -1) + nats + by) *
                     ENG_CEILING_UNITS);
}

/* The lowest or highest ceiling of which no guard may say anything. */
static int ceiling_inside(const struct stage *s, size_t layer, size_t head, int side)
{
    const struct eng_plan *plan = &s->model.plan;
    double nats = nats_of(plan, layer, head);
    int cells = plan->layer[layer].range[eng_plan_heads(plan, layer)[head].range].log_cells - 1;
    double cell = ldexp(nats, -cells) + CLOSE;
    int reference = plant_reference(plan, layer, head);
    if (side == ABOVE)
        return (int)ceil((plant_most_score(&s->reach, layer, head, reference, 1) + cell) * ENG_CEILING_UNITS);
    return (int)floor((plant_most_score(&s->reach, layer, head, reference, -1) + nats - cell) *
                      ENG_CEILING_UNITS);
}

/* Weights and gates are the model's own: neither depends on a ceiling. */
static size_t plant_ceiling(const struct stage *s, size_t layer, size_t head, int side, enum size size,
                            struct trio *trio, size_t *ret_quiet)
{
    struct plant plant;
    plant_init(&plant, &s->model, &s->reach, s->tokens, layer);
    plant.plan.head[layer * (size_t)plant.plan.heads + head].ceiling =
        ceiling_beyond(s, layer, head, side, size);
    plant.seed = head + 10 * layer + (side == ABOVE ? 100 : 0);
    return run(&plant, PLANT_SCORE, ret_quiet, trio);
}

/* The unharmed plan, and all heads of a layer just inside: quiet in every step, but for the sums of rows that lie
 * below the headroom under a ceiling that is too high. Returns how often such a sum was reported. */
static size_t check_quiet(const struct stage *s, size_t layer, struct trio *unharmed)
{
    size_t sums = 0;
    for (int side = -1; side < SIDES; side++) {
        struct plant plant;
        struct trio trio = {0}, *to = side < 0 ? unharmed : &trio;
        size_t quiet;
        plant_init(&plant, &s->model, &s->reach, s->tokens, layer);
        for (size_t h = 0; h < (size_t)plant.plan.heads && side >= 0; h++)
            plant.plan.head[layer * (size_t)plant.plan.heads + h].ceiling = ceiling_inside(s, layer, h, side);
        assert_int_equal(run(&plant, PLANT_SCORE, &quiet, to), 0);
        assert_int_equal(quiet, PLANT_STEPS);
        assert_true(side >= 0 || plant.void_sums == 0);
        sums += plant.void_sums;
        if (side >= 0)
            trio_finish(&trio);
    }
    return sums;
}

/* Of every head `plants` violations: just beyond its range on either side, then others in turn (six: all).
 * Returns how many steps beside theirs are quiet. */
enum { SOME = 3, ALL = SIDES * SIZES };
static size_t check_heads(const struct stage *s, size_t plants)
{
    size_t spared = 0, planted = 0, sums = 0;
    for (size_t l = 0; l < s->model.plan.layers; l++) {
        struct trio unharmed = {0};
        sums += check_quiet(s, l, &unharmed);
        for (size_t h = 0; h < (size_t)s->model.plan.heads; h++)
            for (size_t i = 0; i < plants; i++, planted++) {
                enum size size = i < SIDES ? JUST : (enum size)(HALF + (i / SIDES + h / 2) % 2);
                struct trio trio = {0};
                struct base_error error = {0};
                size_t quiet;
                assert_true(plant_ceiling(s, l, h, (int)((i + h + l) % SIDES), size, &trio, &quiet) > 0);
                spared += quiet;
                check_ok(trio_same_transcript(&trio, &unharmed, &error), &error, "transcripts");
                trio_finish(&trio);
            }
        trio_finish(&unharmed);
    }
    print_message("%zu planted; %zu answers beside theirs are not void; %zu steps whose sums are too small\n", planted,
                  spared, sums);
    assert_true(sums > 0);
    return spared;
}

/* Heads measured from zero, from the own score and from a maximum that is found, in ranges of several widths.
 */
static void test_every_head(void **state)
{
    struct stage s;
    size_t seen[ENG_FROMS] = {0};
    (void)state;
    open_stage(&s, "models/keeper", (struct model_options){0}, NULL);
    for (size_t i = 0; i < s.model.plan.layers * (size_t)s.model.plan.heads; i++)
        seen[s.model.plan.head[i].from]++;
    for (int from = 0; from < ENG_FROMS; from++)
        assert_true(seen[from] > 0);
    assert_true(check_heads(&s, SOME) > 0);
    close_stage(&s);
}

/* --- one value of a synthetic model --------------------------------------------------------------------- */

static void make_gpt2(struct eng_model_shape *shape)
{
    shape->activation = ENG_ACTIVATION_GELU;
    shape->qkv_bias = shape->linear_bias = shape->layer_norm = shape->positions = true;
}

static void test_synthetic_heads(void **state)
{
    struct eng_model_shape shape = model_odd_shape;
    (void)state;
    for (int biases = 0; biases <= 2; biases++) {
        struct stage s;
        shape.qkv_bias = biases > 0;
        if (biases == 2)
            make_gpt2(&shape);
        open_stage(&s, "odd", (struct model_options){.shape = &shape}, NULL);
        (void)check_heads(&s, ALL);
        close_stage(&s);
    }
}

/* What a guard reads on a side: to just beyond the range, half as far as the guard reaches, nearly as far; or
 * not quite out of the last good cell. */
enum { INSIDE = SIZES };
static double target_of(struct plant_range range, int side, int size)
{
    double sign = side == ABOVE ? 1 : -1, bad = sign * range.bad[side], reach = sign * range.reach[side];
    const double far[] = {bad + CLOSE, (bad + reach) / 2, reach - REACH, sign * range.good[side] - CLOSE};
    return sign * far[size];
}

/* A changed plan of a layer, and which of its guards is meant. */
struct change {
    enum plant_guard guard;
    size_t layer;
    enum eng_wave wave;
    int kg, score_bits; /* 0: as they are */
};

static int at_most(int bits, int most)
{
    return bits < most ? bits : most;
}

static void change_plan(struct eng_plan *plan, const struct change *change)
{
    struct eng_layer_plan *l = &plan->layer[change->layer];
    if (change->score_bits > 0)
        l->bits[ENG_SCORE] = change->score_bits;
    if (change->guard != PLANT_G)
        return;
    l->wave = change->wave;
    plan->kg = change->kg > 0 ? change->kg : plan->kg;
    int whole = change->wave == ENG_WAVE_NONE
                    ? plan->kg - 1 - plan->fg
                    : sec_wave_ring(eng_plan_wave_span(change->wave)) - 1 - SEC_WAVE_INPUT;
    l->bits[ENG_G] = at_most(l->bits[ENG_G], whole);
    l->bits[ENG_H] = at_most(l->bits[ENG_H], 12);
}

static struct plant_range range_of(const struct stage *s, const struct change *change)
{
    struct plant plant;
    plant_init(&plant, &s->model, &s->reach, s->tokens, change->layer);
    change_plan(&plant.plan, change);
    struct plant_range range = change->guard == PLANT_G ? plant_g_range(&plant.plan, change->layer)
                                                        : plant_score_range(&plant.plan, change->layer, 0);
    plant_finish(&plant);
    return range;
}

static size_t run_changed(const struct stage *s, const struct change *change, size_t *ret_quiet,
                          struct plant *ret)
{
    struct trio trio = {0};
    plant_init(ret, &s->model, &s->reach, s->tokens, change->layer);
    change_plan(&ret->plan, change);
    plant_make_gates(ret);
    size_t is_void = run(ret, change->guard, ret_quiet, &trio);
    trio_finish(&trio);
    return is_void;
}

/* The value of the largest magnitude that one guard reads in the whole request, in one head's scores or in g;
 * *ret_at: its place in its step. */
static double largest_of(const struct stage *s, const struct change *change, size_t head, size_t *ret_at)
{
    double most = 0;
    for (size_t step = 0; step < PLANT_STEPS; step++) {
        const struct plant_values *v = change->guard == PLANT_G
                                           ? &s->reach.g[step][change->layer]
                                           : &s->reach.score[step][change->layer][head][0];
        for (size_t i = 0; i < v->count; i++)
            if (fabs(v->x[i]) > fabs(most)) {
                most = v->x[i];
                *ret_at = i;
            }
    }
    return most;
}

/* The gain that takes that value to `target`: of its element of the MLP, or of its head. All that it takes
 * along is smaller. */
static struct model_gain gain_to(const struct stage *s, const struct change *change, double target)
{
    enum { HEAD = 1 };
    bool g = change->guard == PLANT_G, gated = s->model.source.shape->activation != ENG_ACTIVATION_GELU;
    size_t at = 0, dim = model_odd_shape.head_dim;
    double largest = largest_of(s, change, HEAD, &at);
    return (struct model_gain){.tensor = !g      ? ENG_TENSOR_Q
                                         : gated ? ENG_TENSOR_GATE
                                                 : ENG_TENSOR_UP,
                               .layer = change->layer,
                               .first = g ? at % model_odd_shape.ffn : HEAD * dim,
                               .rows = g ? 1 : dim,
                               .factor = (float)(target / largest),
                               .tame = g};
}

/* Every side and size of one kind of range, in a layer. */
static void check_values(struct model_options options, struct change change)
{
    struct stage tame;
    size_t count[INSIDE + 1] = {0};
    open_stage(&tame, "odd", options, NULL);
    for (int side = 0; side < SIDES; side++)
        for (int size = 0; size <= INSIDE; size++) {
            struct stage s;
            struct plant plant;
            size_t quiet;
            options.gain = gain_to(&tame, &change, target_of(range_of(&tame, &change), side, size));
            open_stage(&s, "odd", options, tame.tokens);
            size_t is_void = run_changed(&s, &change, &quiet, &plant);
            assert_int_equal(is_void > 0, size != INSIDE);
            assert_true(quiet == PLANT_STEPS || size != INSIDE);
            count[size] += is_void;
            close_stage(&s);
        }
    close_stage(&tame);
    print_message("%zu, %zu and %zu steps are void\n", count[JUST], count[HALF], count[FAR]);
}

/* By segments of a small range, and as a wave of either span. */
static void test_activation(void **state)
{
    static const struct change kinds[] = {{PLANT_G, 0, ENG_WAVE_NONE, 12, 0},
                                          {PLANT_G, 1, ENG_WAVE_NONE, 13, 0},
                                          {PLANT_G, 0, ENG_WAVE_NARROW, 0, 0},
                                          {PLANT_G, 1, ENG_WAVE_NARROW, 0, 0},
                                          {PLANT_G, 1, ENG_WAVE_WIDE, 0, 0}};
    struct eng_model_shape shape = model_odd_shape;
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        shape.activation = i % 2 == 0 ? ENG_ACTIVATION_SILU_GATED : ENG_ACTIVATION_GELU;
        check_values((struct model_options){.shape = &shape}, kinds[i]);
    }
    make_gpt2(&shape);
    check_values((struct model_options){.shape = &shape}, kinds[0]);
    check_values((struct model_options){.shape = &shape}, kinds[3]);
}

/* Rows and decode steps, whose scores are made in another way; bins of 4 nats; the norm folded. */
static void test_general_attention(void **state)
{
    struct model_options o = {.general_attention = true, .shape = &model_odd_shape};
    struct change change = {.guard = PLANT_SCORE, .layer = 1, .score_bits = 3};
    (void)state;
    check_values(o, change);
    o.fold = true;
    change.layer = 0;
    check_values(o, change);
    o.thin = true;
    o.fold = false;
    change.score_bits = 4;
    check_values(o, change);
}

/* --- a real model's general gates ----------------------------------------------------------------------- */

static double most_of(const struct stage *s, size_t layer, enum plant_guard guard)
{
    double most = 0;
    for (size_t step = 0; step < PLANT_STEPS; step++)
        for (int sign = -1; sign <= 1; sign += 2) {
            if (guard == PLANT_G)
                most = fmax(most, sign * plant_most(&s->reach.g[step][layer], sign));
            for (size_t h = 0; h < (size_t)s->model.plan.heads && guard == PLANT_SCORE; h++)
                most = fmax(most, sign * plant_most(&s->reach.score[step][layer][h][0], sign));
        }
    return most;
}

/* Each layer in the largest range of a power of two that its scores, or its g, leave. */
static void test_real_layers(void **state)
{
    struct stage s;
    size_t planted[PLANT_GUARDS] = {0};
    (void)state;
    open_stage(&s, "models/keeper", (struct model_options){.general_attention = true}, NULL);
    for (size_t l = 0; l < s.model.plan.layers; l++)
        for (int guard = 0; guard < PLANT_GUARDS; guard++) {
            struct change change = {.guard = (enum plant_guard)guard, .layer = l};
            struct plant plant;
            size_t quiet;
            int bits = (int)floor(log2(most_of(&s, l, change.guard) - CLOSE));
            if (guard == PLANT_SCORE ? bits < s.model.plan.bin + 2 : bits < 0)
                continue;
            if (guard == PLANT_SCORE)
                change.score_bits = bits;
            else
                change.kg = s.model.plan.fg + 1 + bits;
            planted[guard]++;
            assert_true(run_changed(&s, &change, &quiet, &plant) > 0);
        }
    print_message("scores of %zu layers, g of %zu\n", planted[PLANT_SCORE], planted[PLANT_G]);
    assert_true(planted[PLANT_SCORE] >= 3 && planted[PLANT_G] == s.model.plan.layers);
    close_stage(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_head), cmocka_unit_test(test_synthetic_heads),
        cmocka_unit_test(test_activation), cmocka_unit_test(test_general_attention),
        cmocka_unit_test(test_real_layers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
