#include "engine/calibrate.h"

#include "base/memory.h"
#include "base/random.h"
#include "base/realmath.h"
#include "engine/calibrate_profile.h"
#include "engine/calibrate_scores.h"

#include <math.h>
#include <string.h>

enum { SQUARES_MARGIN = 2 };
static const double MARGIN = 1.0, SCORE_MARGIN = 1.3, GATE_MARGIN = 1.25, SMALLEST = 0x1p-4;

/* What the probe collects: [layers][ENG_PROBES]. */
struct extremes {
    double *largest, *smallest;
    double *log_rms; /* sum of 0.5 ln(mean square), [layers][ENG_NORMS] */
    double *rows;
    struct eng_head_extremes *head; /* [layers][heads] */
    const struct eng_model_shape *shape;
    struct eng_profile_probe *profile; /* NULL: none is made */
    bool finite;
};

/* Queries of every head apart: each is scaled to the units of its scores. */
static void collect_queries(struct extremes *e, int wire, size_t layer, const float *v, size_t count)
{
    size_t heads = e->shape->heads, dim = e->shape->head_dim;
    for (size_t i = 0; i < count; i++) {
        struct eng_head_extremes *head = &e->head[layer * heads + i / dim % heads];
        double *largest = wire == ENG_Q ? &head->q : &head->uq;
        *largest = fmax(*largest, fabs((double)v[i]));
    }
}

static void collect(void *context, int wire, size_t layer, size_t head, const float *v, size_t count)
{
    struct extremes *e = context;
    if (e->profile != NULL)
        eng_profile_see(e->profile, wire, layer, head, v, count);
    if (wire == ENG_SCORE)
        eng_head_see(&e->head[layer * e->shape->heads + head], v, count);
    if (wire == ENG_Q || wire == ENG_UQ)
        collect_queries(e, wire, layer, v, count);
    double largest = e->largest[layer * ENG_PROBES + (size_t)wire],
           smallest = e->smallest[layer * ENG_PROBES + (size_t)wire];
    for (size_t i = 0; i < count; i++) {
        double a = fabs((double)v[i]);
        largest = a > largest ? a : largest;
        smallest = a < smallest ? a : smallest;
        e->finite = e->finite && isfinite(a);
    }
    e->largest[layer * ENG_PROBES + (size_t)wire] = largest;
    e->smallest[layer * ENG_PROBES + (size_t)wire] = smallest;
    int norm = wire - ENG_PROBE_SQUARES;
    if (norm < 0 || norm >= ENG_NORMS)
        return;
    for (size_t i = 0; i < count; i++)
        e->log_rms[layer * ENG_NORMS + (size_t)norm] += 0.5 * log(fmax((double)v[i], 0x1p-100));
    e->rows[layer * ENG_NORMS + (size_t)norm] += (double)count;
}

static enum base_status observe(struct extremes *e, const struct eng_weight_source *source,
                                const struct eng_calibration *c, struct kv_profile *ret_profile,
                                struct base_progress *progress, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_reference *reference = NULL;
    struct eng_profile_probe profile = {0};
    size_t longest = 0, at = 0;
    float *logits = NULL;
    enum { STEP = 32 };
    for (size_t i = 0; i < c->sequences; i++)
        longest = c->lengths[i] > longest ? c->lengths[i] : longest;
    TRY_THAT(longest > 0, error, BASE_ERR_ARGUMENT,
             "the calibration text has no tokens: give a text with --text");
    TRY(eng_reference_create(&reference, source, longest, error));
    TRY(base_alloc(&logits, STEP * source->shape->vocab, sizeof *logits, error));
    eng_reference_set_probe(reference, collect, e);
    if (c->profile && longest >= ENG_PROFILE_LEAST_TOKENS) {
        TRY(eng_profile_probe_init(&profile, source->shape, reference, longest, error));
        e->profile = &profile;
    }
    for (size_t i = 0; i < c->sequences; i++) {
        eng_reference_reset(reference);
        if (e->profile != NULL)
            eng_profile_begin(e->profile, c->lengths[i]);
        for (size_t done = 0; done < c->lengths[i]; done += STEP) {
            size_t n = c->lengths[i] - done < STEP ? c->lengths[i] - done : STEP;
            TRY(eng_reference_forward(reference, c->tokens + at, n, logits, error));
            at += n;
            if (progress != NULL)
                base_progress_update(progress, at, 0);
        }
        if (e->profile != NULL)
            eng_profile_end(e->profile);
    }
    TRY_THAT(e->finite, error, BASE_ERR_RANGE,
             "the model gives numbers that are not finite on the calibration text: check the model file");
    if (e->profile != NULL) {
        TRY(eng_profile_repeat(&profile, reference, error));
        TRY(eng_profile_make(&profile, ret_profile, error));
    }
out:
    e->profile = NULL;
    eng_profile_probe_finish(&profile);
    base_free_secret(&logits);
    eng_reference_destroy(&reference);
    return status;
}

/* --- the plan ------------------------------------------------------------------------------------------ */

static double log_two(double x)
{
    return log2(fmax(x, SMALLEST));
}

/* ceil(log2) of an observed maximum, with margin. Never so small that the rounding of what a wire is made of
 * is beyond it: a layer may write nothing at all. */
static int bits_for(double largest)
{
    return (int)ceil(log_two(largest) + MARGIN);
}

static int clamp(int v, int low, int high)
{
    return v < low ? low : v > high ? high : v;
}

/* log2 of the smallest and largest mean square, with margin. */
static int low_square(double smallest)
{
    return (int)floor(log2(fmax(smallest, 0x1p-50)) - SQUARES_MARGIN);
}

static int high_square(double largest)
{
    return (int)ceil(log2(fmax(largest, 0x1p-50)) + SQUARES_MARGIN);
}

/* Ranges, folds and fractions of the norms of a layer. rho and the range enter public spline coefficients:
 * powers of two carry no more than a bit length. */
static void plan_norms(struct eng_plan *plan, size_t layer, const struct extremes *e,
                       const struct eng_model_shape *shape)
{
    struct eng_layer_plan *l = &plan->layer[layer];
    for (int i = 0; i < ENG_NORMS; i++) {
        size_t at = layer * ENG_PROBES + ENG_PROBE_SQUARES + (size_t)i, norm = layer * ENG_NORMS + (size_t)i;
        l->rho[i] = (int)base_nearest(e->log_rms[norm] / e->rows[norm] * M_LOG2E);
        l->low[i] = low_square(e->smallest[at]);
        l->high[i] = high_square(e->largest[at]);
    }
    eng_plan_derive_norms(plan, layer, shape->width, shape->norm_eps);
}

static void plan_layer(struct eng_plan *plan, size_t layer, const struct extremes *e,
                       const struct eng_model_shape *shape)
{
    struct eng_layer_plan *l = &plan->layer[layer];
    const double *top = e->largest + layer * ENG_PROBES;
    plan_norms(plan, layer, e, shape);
    double rho[ENG_NORMS] = {base_power_of_two(l->rho[0]), base_power_of_two(l->rho[1])};
    for (int w = ENG_Q; w <= ENG_X; w++)
        l->bits[w] = bits_for(top[w]);
    /* One bin of the histogram, and one cell of the guard at either end, stay empty. */
    double most = top[ENG_SCORE] * SCORE_MARGIN, inner = 1 - base_power_of_two(2 - ENG_GUARD_LOG_CELLS);
    l->bits[ENG_SCORE] = (int)ceil(log2(fmax(most + base_power_of_two(plan->bin), most / inner)));
    for (int w = ENG_UQ; w <= ENG_A; w++)
        l->bits[w] = bits_for(top[w] / rho[ENG_NORM_ATTENTION]);
    l->bits[ENG_AOWN] = bits_for(top[ENG_AOWN] / (rho[ENG_NORM_ATTENTION] * rho[ENG_NORM_ATTENTION]));
    for (int w = ENG_UG; w <= ENG_UP; w++)
        l->bits[w] = bits_for(top[w] / rho[ENG_NORM_MLP]);
}

/* The wave of the smallest span whose guard stays quiet on what was seen and a quarter more. */
static void choose_wave(struct eng_plan *plan, size_t layer, double largest)
{
    int *wave = &plan->layer[layer].wave;
    for (*wave = ENG_WAVE_NARROW; *wave <= ENG_WAVE_WIDE; ++*wave)
        if (GATE_MARGIN * largest <= eng_plan_wave_quiet((enum eng_wave) * wave))
            return;
    *wave = ENG_WAVE_NONE;
}

static enum base_status choose_attention(struct eng_plan *plan, size_t layer, const struct extremes *e,
                                         struct base_error *error)
{
    enum base_status status = BASE_OK;
    bool found;
    struct eng_layer_plan *l = &plan->layer[layer];
    const struct eng_head_extremes *heads = e->head + layer * e->shape->heads;
    double q = 0, uq = 0;
    TRY(eng_choose_ceilings(plan, layer, heads, &found, error));
    if (!found)
        return BASE_OK;
    for (size_t h = 0; h < e->shape->heads; h++) {
        double scale = eng_plan_query_scale(plan, layer, h);
        q = fmax(q, heads[h].q * scale);
        uq = fmax(uq, heads[h].uq * scale);
    }
    l->bits[ENG_Q] = bits_for(q);
    l->bits[ENG_UQ] = bits_for(uq / base_power_of_two(l->rho[ENG_NORM_ATTENTION]));
out:
    return status;
}

/* Segments keep their width of a quarter; inputs beyond 2^5 take more of them. */
static void widen_segments(struct eng_plan *plan)
{
    const int log_segment = plan->kg - plan->hs;
    for (size_t l = 0; l < plan->layers; l++) {
        int bits = plan->fg + plan->layer[l].bits[ENG_G] + 1;
        if (plan->layer[l].wave == ENG_WAVE_NONE && bits > plan->kg)
            plan->kg = bits;
    }
    plan->hs = plan->kg - log_segment;
}

/* Every layer's bounds and gates. */
static enum base_status plan_layers(struct eng_plan *plan, const struct extremes *e,
                                    const struct eng_calibration *c, struct eng_layer_choice *choices,
                                    struct base_error *error)
{
    enum base_status status = BASE_OK;
    for (size_t l = 0; l < plan->layers; l++) {
        struct eng_layer_choice *choice = &choices[l];
        *choice = (struct eng_layer_choice){.largest_score = e->largest[l * ENG_PROBES + ENG_SCORE],
                                            .largest_gate = e->largest[l * ENG_PROBES + ENG_G],
                                            .looked = !c->general_attention};
        plan_layer(plan, l, e, e->shape);
        if (!c->general_activation)
            choose_wave(plan, l, choice->largest_gate);
        if (!c->general_attention)
            TRY(choose_attention(plan, l, e, error));
    }
    widen_segments(plan);
out:
    return status;
}

/* Takes the finest widths that fit: fraction bits of cos and sin, then of the weights, then of activations
 * are given up. */
static enum base_status fit(struct eng_plan *plan, double smallest_rms, struct base_error *error)
{
    static const struct {
        int down, fc, fwo, fu;
    } cuts[] = {{0, 11, 14, 12}, {0, 10, 14, 12}, {1, 10, 14, 12}, {2, 10, 14, 12},
                {3, 10, 13, 12}, {4, 10, 12, 12}, {4, 9, 12, 11}};
    plan->fx = clamp(12 - (int)floor(log2(fmax(smallest_rms, 0x1p-40))), 13, 20);
    enum base_status status = BASE_OK;
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        struct base_error reason = {0};
        plan->fw = 31 - plan->fx - cuts[i].down;
        plan->fc = cuts[i].fc;
        plan->fwo = cuts[i].fwo;
        plan->fu = cuts[i].fu;
        status = eng_plan_check(plan, &reason);
        if (status == BASE_OK)
            return status;
        /* The finest choice says best what is too large. */
        if (i == 0)
            (void)base_fail(error, reason.code, "%s", reason.text);
    }
    return status;
}

static double smallest_rms(const struct extremes *e, size_t layers)
{
    double smallest = INFINITY;
    for (size_t l = 0; l < layers; l++)
        for (int i = 0; i < ENG_NORMS; i++)
            smallest = fmin(smallest, e->smallest[l * ENG_PROBES + ENG_PROBE_SQUARES + (size_t)i]);
    return sqrt(smallest);
}

static void finish_extremes(struct extremes *e)
{
    base_free(&e->largest);
    base_free(&e->smallest);
    base_free(&e->log_rms);
    base_free(&e->rows);
    base_free(&e->head);
}

static enum base_status init_extremes(struct extremes *e, const struct eng_model_shape *shape,
                                      struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t layers = shape->layers;
    *e = (struct extremes){.finite = true, .shape = shape};
    TRY(base_alloc(&e->largest, layers * ENG_PROBES, sizeof *e->largest, error));
    TRY(base_alloc(&e->smallest, layers * ENG_PROBES, sizeof *e->smallest, error));
    TRY(base_alloc(&e->log_rms, layers * ENG_NORMS, sizeof *e->log_rms, error));
    TRY(base_alloc(&e->rows, layers * ENG_NORMS, sizeof *e->rows, error));
    TRY(base_alloc(&e->head, layers * shape->heads, sizeof *e->head, error));
    for (size_t i = 0; i < layers * ENG_PROBES; i++)
        e->smallest[i] = INFINITY;
    for (size_t i = 0; i < layers * shape->heads; i++)
        eng_head_extremes_init(&e->head[i]);
out:
    return status;
}

enum base_status eng_calibrate(struct eng_plan *ret, const struct eng_weight_source *source,
                               const struct eng_calibration *c, struct eng_layer_choice *ret_choices,
                               struct base_progress *progress, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_plan plan = {0};
    struct eng_layer_choice *choices = NULL;
    struct extremes e;
    size_t layers = source->shape->layers;
    TRY(init_extremes(&e, source->shape, error));
    TRY(base_alloc(&choices, layers, sizeof *choices, error));
    TRY(eng_plan_init(&plan, layers, source->shape->heads, c->context, error));
    /* Biases join t u, which only the folded schedule has. */
    plan.fold = c->fold || source->shape->qkv_bias;
    if (c->thin)
        eng_plan_set_thin(&plan);
    TRY(observe(&e, source, c, &plan.profile, progress, error));
    plan.lm_bits = bits_for(e.largest[ENG_PROBE_LOGITS]);
    if (source->shape->layer_norm) {
        plan.final_low = low_square(e.smallest[ENG_PROBE_FINAL_SQUARES]);
        plan.final_high = high_square(e.largest[ENG_PROBE_FINAL_SQUARES]);
    }
    TRY(plan_layers(&plan, &e, c, choices, error));
    if (fit(&plan, smallest_rms(&e, layers), NULL) != BASE_OK) {
        /* Ceilings need a few bits more in places; the general gates say best what is too large. */
        struct eng_calibration general = *c;
        general.general_attention = general.general_activation = true;
        eng_plan_set_general(&plan);
        TRY(plan_layers(&plan, &e, &general, choices, error));
        TRY(fit(&plan, smallest_rms(&e, layers), error));
    }
    if (ret_choices != NULL)
        memcpy(ret_choices, choices, layers * sizeof *choices);
    *ret = plan;
    plan = (struct eng_plan){0};
out:
    eng_plan_finish(&plan);
    base_free(&choices);
    finish_extremes(&e);
    return status;
}

/* --- samples ------------------------------------------------------------------------------------------- */

static int32_t draw(const float *logits, size_t vocab, uint64_t *state)
{
    float top = logits[0];
    double sum = 0, at = 0;
    for (size_t i = 1; i < vocab; i++)
        top = fmaxf(top, logits[i]);
    for (size_t i = 0; i < vocab; i++)
        sum += exp((double)(logits[i] - top) / 0.8);
    double target = base_random_fraction(state) * sum;
    for (size_t i = 0; i < vocab; i++) {
        at += exp((double)(logits[i] - top) / 0.8);
        if (at >= target)
            return (int32_t)i;
    }
    return (int32_t)vocab - 1;
}

enum base_status eng_calibration_samples(const struct eng_weight_source *source, int32_t start,
                                         size_t sequences, size_t length, int32_t *ret,
                                         struct base_progress *progress, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_reference *reference = NULL;
    float *logits = NULL;
    uint64_t state = 1;
    TRY(eng_reference_create(&reference, source, length, error));
    TRY(base_alloc(&logits, source->shape->vocab, sizeof *logits, error));
    for (size_t s = 0; s < sequences; s++) {
        int32_t *tokens = ret + s * length;
        eng_reference_reset(reference);
        tokens[0] = start < 0 ? 0 : start;
        for (size_t i = 1; i < length; i++) {
            TRY(eng_reference_forward(reference, tokens + i - 1, 1, logits, error));
            tokens[i] = draw(logits, source->shape->vocab, &state);
            if (progress != NULL)
                base_progress_update(progress, s * length + i, 0);
        }
    }
out:
    base_free_secret(&logits);
    eng_reference_destroy(&reference);
    return status;
}
