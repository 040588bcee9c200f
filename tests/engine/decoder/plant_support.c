#include "tests/engine/decoder/plant_support.h"

#include <math.h>

static const double LOG2_E = 0x1.71547652b82fep+0;
/* Half the width of the band around an end in which the float model does not say on which side the integers
 * are. */
static const double NEAR[PLANT_GUARDS] = {0.05, 0.03};

/* --- what the float model says -------------------------------------------------------------------------- */

static void add_value(struct plant_values *values, double x)
{
    if ((values->count & (values->count - 1)) == 0) {
        values->x = realloc(values->x, (2 * values->count + 1) * sizeof *values->x);
        assert_non_null(values->x);
    }
    values->x[values->count++] = x;
}

static void listen(void *context, int wire, size_t layer, size_t head, const float *v, size_t count)
{
    struct plant_reach *reach = context;
    for (size_t i = 0; i < count && wire == ENG_SCORE; i++) {
        add_value(&reach->score[reach->step][layer][head][0], (double)v[i]);
        add_value(&reach->score[reach->step][layer][head][1], (double)v[i] - (double)v[count - 1]);
    }
    for (size_t i = 0; i < count && wire == ENG_G; i++)
        add_value(&reach->g[reach->step][layer], (double)v[i]);
}

void plant_reach_of(struct plant_reach *ret, const struct eng_weight_source *source, const int32_t *tokens)
{
    struct eng_reference *reference = NULL;
    struct base_error error = {0};
    *ret = (struct plant_reach){.shape = source->shape};
    assert_true(source->shape->layers <= PLANT_LAYERS && source->shape->heads <= PLANT_HEADS);
    check_ok(eng_reference_create(&reference, source, PLANT_TOKENS, &error), &error, "reference");
    eng_reference_set_probe(reference, listen, ret);
    for (ret->step = 0; ret->step < PLANT_STEPS; tokens += plant_rows[ret->step++])
        check_ok(eng_reference_forward(reference, tokens, plant_rows[ret->step], NULL, &error), &error,
                 "reference");
    eng_reference_destroy(&reference);
}

void plant_reach_finish(struct plant_reach *reach)
{
    for (size_t s = 0; s < PLANT_STEPS; s++)
        for (size_t l = 0; l < PLANT_LAYERS; l++) {
            free(reach->g[s][l].x);
            for (size_t h = 0; h < PLANT_HEADS; h++)
                for (int r = 0; r < 2; r++)
                    free(reach->score[s][l][h][r].x);
        }
}

double plant_most(const struct plant_values *values, int sign)
{
    double most = -INFINITY;
    for (size_t i = 0; i < values->count; i++)
        most = fmax(most, sign * values->x[i]);
    return sign * most;
}

double plant_most_score(const struct plant_reach *reach, size_t layer, size_t head, int reference, int sign)
{
    double most = -INFINITY;
    for (size_t s = 0; s < PLANT_STEPS; s++)
        most = fmax(most, sign * plant_most(&reach->score[s][layer][head][reference], sign));
    return sign * most;
}

/* --- what the guards promise: protocols/guard.h --------------------------------------------------------- */

int plant_reference(const struct eng_plan *plan, size_t layer, size_t head)
{
    return plan->layer[layer].attention == ENG_ATTENTION_CEILINGS &&
           eng_plan_heads(plan, layer)[head].from == ENG_FROM_OWN;
}

/* Of `top` cells the outer two are either; of all 2^log_cells, the bad ones go on below and above. */
static struct plant_range cells(double low, double cell, int top, int log_cells)
{
    double high = low + top * cell, beyond = ((1 << log_cells) - top) * cell;
    return (struct plant_range){{low, high}, {low + cell, high - cell}, {low - beyond, high + beyond}};
}

struct plant_range plant_score_range(const struct eng_plan *plan, size_t layer, size_t head)
{
    const struct eng_layer_plan *l = &plan->layer[layer];
    if (l->attention != ENG_ATTENTION_CEILINGS) {
        double most = ldexp(1, eng_plan_score_bits(plan, layer));
        return cells(-most, most / 8, 16, 5);
    }
    const struct eng_head_plan *h = &eng_plan_heads(plan, layer)[head];
    const struct eng_range_plan *range = &l->range[h->range];
    double nats = range->bits / LOG2_E;
    int half = 1 << (range->log_cells - 1);
    return cells((double)h->ceiling / ENG_CEILING_UNITS - nats, nats / half, half, range->log_cells);
}

struct plant_range plant_g_range(const struct eng_plan *plan, size_t layer)
{
    enum eng_wave wave = (enum eng_wave)plan->layer[layer].wave;
    if (wave == ENG_WAVE_NONE) {
        double most = ldexp(1, plan->kg - 1 - plan->fg);
        return cells(-most, most / 8, 16, 5);
    }
    double span = eng_plan_wave_span(wave), quiet = eng_plan_wave_quiet(wave),
           reach = wave == ENG_WAVE_NARROW ? 24.5 : 106;
    return (struct plant_range){{-span, span}, {-quiet, quiet}, {-reach, reach}};
}

struct expected {
    size_t good, bad, all;
};

static void expect(const struct plant_values *values, struct plant_range range, double near,
                   struct expected *ret)
{
    for (size_t i = 0; i < values->count; i++) {
        double x = values->x[i];
        ret->good += x > range.good[0] + near && x < range.good[1] - near;
        ret->bad += (x < range.bad[0] - near && x > range.reach[0] + near) ||
                    (x > range.bad[1] + near && x < range.reach[1] - near);
    }
    ret->all += values->count;
}

static struct expected expect_of(const struct plant *plant, size_t step, size_t layer, enum plant_guard guard)
{
    struct expected e = {0};
    if (guard == PLANT_G)
        expect(&plant->reach->g[step][layer], plant_g_range(&plant->plan, layer), NEAR[guard], &e);
    for (size_t h = 0; h < plant->reach->shape->heads && guard == PLANT_SCORE; h++)
        expect(&plant->reach->score[step][layer][h][plant_reference(&plant->plan, layer, h)],
               plant_score_range(&plant->plan, layer, h), NEAR[guard], &e);
    return e;
}

/* --- runs ----------------------------------------------------------------------------------------------- */

void plant_init(struct plant *ret, const struct model *model, const struct plant_reach *reach,
                const int32_t *tokens, size_t last)
{
    struct base_error error = {0};
    *ret =
        (struct plant){.model = model, .reach = reach, .gates = &model->gates, .tokens = tokens, .seed = 1};
    check_ok(eng_plan_copy(&ret->plan, &model->plan, &error), &error, "plan");
    ret->plan.layers = last + 1;
}

void plant_make_gates(struct plant *plant)
{
    struct base_error error = {0};
    check_ok(eng_plan_check(&plant->plan, &error), &error, "planted plan");
    check_ok(eng_gates_init(&plant->own, plant->reach->shape, &plant->plan, &error), &error, "gates");
    plant->gates = &plant->own;
}

void plant_finish(struct plant *plant)
{
    if (plant->gates == &plant->own)
        eng_gates_finish(&plant->own);
    eng_plan_finish(&plant->plan);
}

/* Sits in the place of the trio's observers. */
struct watch {
    struct plant *plant;
    size_t step, layer;
    uint64_t before;
};

static void note(struct watch *w, struct mpc_party *p, uint64_t *word)
{
    *word = p->role == MPC_CLEAR ? *word + (p->guard - w->before) : *word ^ p->guard ^ w->before;
    w->before = p->guard;
}

/* v comes before the scores of a layer, exp (one or two) after their guards and before that of S, o before its g,
 * yd last. */
static void watch(void *context, struct mpc_party *p, const char *label, const struct mpc_wire *wire,
                  double ulp)
{
    struct watch *w = context;
    struct plant *plant = w->plant;
    (void)wire;
    (void)ulp;
    if (strcmp(label, "v") == 0)
        w->before = p->guard;
    if (strcmp(label, "exp") == 0)
        note(w, p, &plant->word[p->role][w->step][w->layer][PLANT_SCORE]);
    if (strcmp(label, "o") == 0)
        note(w, p, &plant->sum[p->role][w->step][w->layer]);
    if (strcmp(label, "yd") == 0) {
        note(w, p, &plant->word[p->role][w->step][w->layer][PLANT_G]);
        w->layer++;
    }
}

static enum base_status program(struct mpc_party *p, const struct trio_job *job)
{
    struct plant *plant = (struct plant *)job->context;
    const struct model *m = plant->model;
    struct watch own = {.plant = plant};
    struct eng_decoder decoder;
    enum base_status status = BASE_OK;
    struct eng_decoder_form form = {.shape = m->source.shape,
                                    .plan = &plant->plan,
                                    .weights = &m->weights[p->role],
                                    .gates = plant->gates,
                                    .policy = &kv_policy_full,
                                    .context = PLANT_CONTEXT,
                                    .chunk = PLANT_ROWS};
    TRY(eng_decoder_init(&decoder, p->role, form, &p->error));
    if (p->role != MPC_COUNT) {
        p->observe = watch;
        p->observe_context = &own;
    }
    for (own.step = 0; own.step < PLANT_STEPS && status == BASE_OK; own.step++) {
        size_t mark = base_arena_mark(&p->arena);
        struct eng_logits out;
        struct mpc_wire hot = trio_input(p, job, own.step);
        own.layer = 0;
        status = eng_decoder_step(&decoder, p, hot, plant_rows[own.step], 0, &out);
        base_arena_release(&p->arena, mark);
    }
    eng_decoder_finish(&decoder);
out:
    p->observe = NULL;
    return status;
}

void plant_run(struct plant *plant, struct trio *ret)
{
    struct trio_input inputs[PLANT_STEPS];
    struct base_error error = {0};
    size_t vocab = plant->reach->shape->vocab;
    const int32_t *token = plant->tokens;
    for (size_t s = 0; s < PLANT_STEPS; s++) {
        int64_t *hot = must_alloc(plant_rows[s] * vocab, sizeof *hot);
        for (size_t i = 0; i < plant_rows[s]; i++)
            hot[i * vocab + (size_t)*token++] = 1;
        inputs[s] = (struct trio_input){hot, plant_rows[s] * vocab, SEC_ROW_RING, 0, 1};
    }
    struct trio_job job = {.program = program,
                           .context = plant,
                           .inputs = inputs,
                           .input_count = PLANT_STEPS,
                           .seed = plant->seed,
                           .beside = true,
                           .free_twin = true};
    check_ok(trio_run(&job, ret, &error), &error, "planted");
    if (ret->judgement.text[0] != '\0')
        (void)fprintf(stderr, "%s\n", ret->judgement.text);
    assert_int_equal(ret->judgement.text[0], '\0');
    for (size_t s = 0; s < PLANT_STEPS; s++)
        free((void *)(uintptr_t)inputs[s].x);
}

/* --- judgement ------------------------------------------------------------------------------------------ */

static enum plant_answer judge_guard(const struct plant *plant, size_t step, size_t layer,
                                     enum plant_guard guard)
{
    struct expected e = expect_of(plant, step, layer, guard);
    enum plant_answer answer = e.bad > 0 ? PLANT_VOID : e.good == e.all ? PLANT_QUIET : PLANT_EITHER;
    bool differ = plant->word[MPC_LEFT][step][layer][guard] != plant->word[MPC_RIGHT][step][layer][guard];
    uint64_t twin = plant->word[MPC_CLEAR][step][layer][guard];
    if ((answer == PLANT_VOID && !differ) || (answer == PLANT_QUIET && differ) || twin < e.bad ||
        twin > e.all - e.good)
        print_message(
            "step %zu, layer %zu, guard %d: %zu values, %zu good, %zu bad; twin %llu, the words %s\n", step,
            layer, (int)guard, e.all, e.good, e.bad, (unsigned long long)twin,
            differ ? "differ" : "are equal");
    assert_true(answer != PLANT_VOID || differ);
    assert_true(answer != PLANT_QUIET || !differ);
    assert_in_range(twin, e.bad, e.all - e.good);
    assert_int_equal(plant->word[MPC_HELPER][step][layer][guard], 0);
    return answer;
}

/* The piece of S is exact: parties and twin agree on every S that no spoiled score went into. Whether it was
 * reported. */
static bool judge_sum(struct plant *plant, size_t step, size_t layer)
{
    bool differ = plant->sum[MPC_LEFT][step][layer] != plant->sum[MPC_RIGHT][step][layer],
         twin = plant->sum[MPC_CLEAR][step][layer] != 0;
    if (differ != twin)
        print_message("step %zu, layer %zu, S: the twin says %s, the words %s\n", step, layer, twin ? "void" : "quiet",
                      differ ? "differ" : "are equal");
    assert_int_equal(differ, twin);
    plant->void_sums += differ;
    return differ;
}

size_t plant_judge(struct plant *plant, enum plant_guard guard, size_t *ret_quiet)
{
    size_t bad = 0, last = plant->plan.layers - 1;
    *ret_quiet = 0;
    for (size_t s = 0; s < PLANT_STEPS; s++)
        for (size_t l = 0; l <= last; l++) {
            enum plant_answer score = judge_guard(plant, s, l, PLANT_SCORE), g = score;
            /* A sum that is too small spoils what the MLP reads. */
            bool spoiled = score == PLANT_QUIET && judge_sum(plant, s, l);
            if (score == PLANT_QUIET && !spoiled)
                g = judge_guard(plant, s, l, PLANT_G);
            enum plant_answer answer = guard == PLANT_SCORE ? score : g;
            bad += l == last && answer == PLANT_VOID;
            *ret_quiet += l == last && answer == PLANT_QUIET;
        }
    return bad;
}
