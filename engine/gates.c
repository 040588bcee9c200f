#include "engine/gates.h"

#include "base/memory.h"
#include "base/realmath.h"

#include <math.h>
#include <sodium.h>

/* t = rho / sqrt(s / d + eps) from s = sum x^2 with fs fraction bits, and rho^2 / (s / d + eps) from the same
 * key. */
static enum base_status init_norm(struct sec_spline *ret, const struct eng_model_shape *shape,
                                  const struct eng_plan *plan, size_t layer, int norm, bool squared,
                                  struct base_error *error)
{
    const struct eng_layer_plan *l = &plan->layer[layer];
    double unit = base_power_of_two(-l->fs[norm]) / (double)shape->width,
           rho = base_power_of_two(l->rho[norm]);
    double per_mean = (double)shape->width * base_power_of_two(l->fs[norm]);
    int64_t low = (int64_t)(base_power_of_two(l->low[norm]) * per_mean);
    int64_t high = (int64_t)((base_power_of_two(l->high[norm]) + shape->norm_eps) * per_mean);
    struct sec_spline_form form = {.k = plan->kn,
                                   .low = low < 2 ? 2 : low,
                                   .per_octave = plan->per_octave,
                                   .F = eng_plan_norm_fraction(plan, layer, norm),
                                   .ring = plan->ring,
                                   .functions = squared ? 2 : 1,
                                   .pair = plan->pair && !squared};
    form.high = high > INT64_C(1) << plan->kn ? INT64_C(1) << plan->kn : high;
    form.function[0] = (struct sec_spline_function){SEC_POWER_INVERSE_ROOT, rho,         unit,
                                                    shape->norm_eps,        l->ft[norm], l->bt[norm]};
    int ft2 = eng_plan_ft2(plan, layer);
    if (squared)
        form.function[1] = (struct sec_spline_function){
            SEC_POWER_INVERSE, rho * rho, unit, shape->norm_eps, ft2, ft2 + 2 * (l->bt[norm] - l->ft[norm])};
    return sec_spline_init(ret, form, error);
}

static enum base_status find_exp(struct eng_gates *gates, const struct eng_plan *plan, size_t layer,
                                 struct base_error *error)
{
    int k = eng_plan_score_ring(plan, layer);
    for (size_t i = 0; i < gates->exp_count; i++)
        if (gates->exp[i].k == k) {
            gates->layer[layer].exp = i;
            return BASE_OK;
        }
    struct sec_exp_form form = {.k = k,
                                .h = eng_plan_score_bits(plan, layer) + 2 - plan->cell,
                                .frac = plan->fs,
                                .fb = plan->fb,
                                .fe = plan->fe,
                                .fo = plan->fo,
                                .ring = plan->ring,
                                .pair = plan->pair};
    enum base_status status = sec_exp_init(&gates->exp[gates->exp_count], form, error);
    if (status == BASE_OK)
        gates->layer[layer].exp = gates->exp_count++;
    return status;
}

static enum base_status find_exp_two(struct eng_gates *gates, const struct eng_plan *plan, size_t layer,
                                     int range, struct base_error *error)
{
    struct eng_ceiling_widths w = eng_plan_ceiling_widths(plan, layer);
    const struct eng_range_plan *r = &plan->layer[layer].range[range];
    struct sec_exp_two_form form = {
        .s = eng_range_units(r), .t = r->bits, .w = ENG_CEILING_MANTISSA, .fo = w.e_frac, .ring = w.e_ring};
    size_t *ret = &gates->layer[layer].exp_two[range];
    for (size_t i = 0; i < gates->exp_two_count; i++)
        if (sec_exp_two_same(&gates->exp_two[i].form, &form)) {
            *ret = i;
            return BASE_OK;
        }
    *ret = gates->exp_two_count;
    enum base_status status = sec_exp_two_init(&gates->exp_two[*ret], form, error);
    gates->exp_two_count += status == BASE_OK;
    return status;
}

static enum base_status find_reciprocal_two(struct eng_gates *gates, const struct eng_plan *plan,
                                            size_t layer, struct base_error *error)
{
    enum { PER_OCTAVE = 16, FRACTION = 44 };
    struct eng_ceiling_widths w = eng_plan_ceiling_widths(plan, layer);
    int headroom = plan->layer[layer].headroom;
    struct sec_reciprocal_two_form form = {
        .k = w.sum_bits,
        .frac = w.e_frac,
        .tau = w.window,
        .G = headroom + 1 < w.window + 2 ? w.window + 2 : headroom + 1,
        .high = INT64_C(1) << (w.e_frac + w.sum),
        .z = w.e_frac - w.window - 13,
        .per_octave = PER_OCTAVE,
        .F = FRACTION < plan->ring - 3 - w.window ? FRACTION : plan->ring - 3 - w.window,
        .fy = w.inverse_frac,
        .ring = plan->ring};
    size_t *ret = &gates->layer[layer].reciprocal_two;
    for (size_t i = 0; i < gates->reciprocal_two_count; i++)
        if (sec_reciprocal_two_same(&gates->reciprocal_two[i].form, &form)) {
            *ret = i;
            return BASE_OK;
        }
    *ret = gates->reciprocal_two_count;
    enum base_status status = sec_reciprocal_two_init(&gates->reciprocal_two[*ret], form, error);
    gates->reciprocal_two_count += status == BASE_OK;
    return status;
}

static enum base_status init_ceilings(struct eng_gates *gates, const struct eng_plan *plan, size_t layer,
                                      struct base_error *error)
{
    enum base_status status = BASE_OK;
    for (int r = 0; r < ENG_RANGES; r++) {
        const struct eng_range_plan *range = &plan->layer[layer].range[r];
        if (range->bits == 0)
            continue;
        TRY(find_exp_two(gates, plan, layer, r, error));
        gates->layer[layer].guard[r] = (struct sec_guard){
            .k = eng_range_units(range) + 1, .h = range->log_cells, .top = 1 << (range->log_cells - 1)};
    }
    int found = eng_plan_maximum_range(plan, layer);
    if (found >= 0) {
        const struct eng_range_plan *range = &plan->layer[layer].range[found];
        int units = eng_range_units(range);
        gates->layer[layer].coarse_max =
            (struct sec_coarse_max){.k = units, .h = eng_range_log_bins(range), .ko = units + 1};
    }
    TRY(find_reciprocal_two(gates, plan, layer, error));
out:
    return status;
}

/* Two parties read one of three cells: half as wide, so that as much of the range is theirs. */
static int guard_log_cells(const struct eng_plan *plan)
{
    return ENG_GUARD_LOG_CELLS + plan->pair;
}

static enum base_status init_maximum(struct eng_gates *gates, const struct eng_plan *plan, size_t layer,
                                     struct base_error *error)
{
    struct eng_layer_gates *l = &gates->layer[layer];
    l->coarse_max = (struct sec_coarse_max){.k = eng_plan_histogram_ring(plan, layer),
                                            .h = eng_plan_score_bits(plan, layer) + 1 - plan->bin,
                                            .ko = eng_plan_score_ring(plan, layer)};
    l->guard[0] = (struct sec_guard){.k = eng_plan_score_ring(plan, layer),
                                     .h = guard_log_cells(plan),
                                     .top = 1 << (guard_log_cells(plan) - 1)};
    return find_exp(gates, plan, layer, error);
}

static double inverse(const void *one, int e, double x)
{
    (void)e;
    return *(const double *)one / x;
}

static enum base_status init_reciprocal(struct eng_gates *gates, const struct eng_plan *plan,
                                        struct base_error *error)
{
    /* Two parties leave two cells empty above the largest sum. */
    int log_context = eng_plan_log_context(plan), whole = plan->fo + log_context + plan->pair;
    gates->sum_bits = whole < 30 || plan->pair ? whole : 30;
    gates->sum_cut = whole - gates->sum_bits;
    int fraction = plan->fo - gates->sum_cut;
    double slack = base_power_of_two(plan->bin) * (plan->pair ? 3 : 2), one = base_power_of_two(fraction);
    int64_t high = (int64_t)(plan->context + 1) << fraction, limit = INT64_C(1) << gates->sum_bits, low = (int64_t)(one * base_exp(-slack));
    int bound = plan->fy + (int)ceil(slack * 1.4427);
    if (high > limit)
        high = limit;
    if (plan->pair)
        return sec_windows_init(&gates->windows,
                                (struct sec_grid_form){.k = gates->sum_bits, .low = low, .high = high, .F = plan->f_reciprocal, .ring = plan->ring,
                                                       .functions = 1, .fo = {plan->fy}, .bound = {bound}, .value = inverse, .context = &one},
                                error);
    struct sec_spline_form form = {.k = gates->sum_bits,
                                   .low = low,
                                   .high = high,
                                   .per_octave = plan->per_octave / 2,
                                   .F = plan->f_reciprocal,
                                   .ring = plan->ring,
                                   .functions = 1,
                                   .function = {{SEC_POWER_INVERSE, .scale = one, .unit = 1, .fo = plan->fy, .bound = bound}}};
    return sec_spline_init(&gates->reciprocal, form, error);
}

struct sec_spline_form eng_gates_root_form(const struct eng_model_shape *shape, const struct eng_plan *plan)
{
    int fs = eng_plan_final_fs(plan, shape->width);
    double per_mean = (double)shape->width * base_power_of_two(fs);
    int64_t low = (int64_t)(base_power_of_two(plan->final_low) * per_mean);
    return (struct sec_spline_form){
        .k = plan->kn,
        .low = low < 2 ? 2 : low,
        .high = (int64_t)((base_power_of_two(plan->final_high) + shape->norm_eps) * per_mean),
        .per_octave = plan->per_octave,
        .F = eng_plan_root_table(plan),
        .ring = plan->ring,
        .functions = 1,
        .pair = plan->pair,
        .function = {{SEC_POWER_ROOT, 1, 1 / per_mean, shape->norm_eps, plan->fx,
                      plan->fx + eng_plan_root_bits(plan)}}};
}

/* Spans beyond those of the narrow waves take the wide ones. */
static enum base_status init_wave(struct eng_gates *gates, int wave, enum sec_curve curve,
                                  struct base_error *error)
{
    if (wave == ENG_WAVE_NONE || gates->wave[wave].cosine != NULL)
        return BASE_OK;
    return sec_wave_init(&gates->wave[wave], curve, eng_plan_wave_span((enum eng_wave)wave), error);
}

/* Segments read kg bits of the kg + 1 that g has, half of the guard's cells. A wave reads a span that is no
 * power of two: cells of 1 or 4 over several times the span, of which those beyond it are forbidden. */
static void init_guard_activation(struct eng_layer_gates *layer, const struct eng_plan *plan, size_t l)
{
    int wave = plan->layer[l].wave, log_cell = eng_plan_wave_log_cell((enum eng_wave)wave);
    layer->guard_activation = (struct sec_guard){
        .k = plan->kg + 1, .h = guard_log_cells(plan), .top = 1 << (guard_log_cells(plan) - 1)};
    layer->guard_activation_offset = UINT64_C(1) << (plan->kg - 1);
    if (wave == ENG_WAVE_NONE)
        return;
    double span = eng_plan_wave_span((enum eng_wave)wave);
    int cells = (int)(2 * span) >> log_cell;
    layer->guard_activation = (struct sec_guard){
        .k = SEC_WAVE_INPUT + log_cell + ENG_GUARD_LOG_CELLS, .h = ENG_GUARD_LOG_CELLS, .top = cells};
    layer->guard_activation_offset = (uint64_t)cells << (SEC_WAVE_INPUT + log_cell - 1);
}

enum base_status eng_gates_init(struct eng_gates *ret, const struct eng_model_shape *shape,
                                const struct eng_plan *plan, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_gates gates = {.layers = plan->layers};
    TRY(base_alloc(&gates.layer, plan->layers, sizeof *gates.layer, error));
    TRY(base_alloc(&gates.exp, plan->layers, sizeof *gates.exp, error));
    TRY(base_alloc(&gates.exp_two, plan->layers * ENG_RANGES, sizeof *gates.exp_two, error));
    TRY(base_alloc(&gates.reciprocal_two, plan->layers, sizeof *gates.reciprocal_two, error));
    for (size_t l = 0; l < plan->layers; l++) {
        struct eng_layer_gates *layer = &gates.layer[l];
        TRY(init_norm(&layer->norm_squared, shape, plan, l, ENG_NORM_ATTENTION, true, error));
        TRY(init_norm(&layer->norm[ENG_NORM_ATTENTION], shape, plan, l, ENG_NORM_ATTENTION, false, error));
        TRY(init_norm(&layer->norm[ENG_NORM_MLP], shape, plan, l, ENG_NORM_MLP, false, error));
        init_guard_activation(layer, plan, l);
        TRY(plan->layer[l].attention == ENG_ATTENTION_CEILINGS ? init_ceilings(&gates, plan, l, error)
                                                               : init_maximum(&gates, plan, l, error));
    }
    TRY(init_reciprocal(&gates, plan, error));
    if (shape->layer_norm)
        TRY(sec_spline_init(&gates.root, eng_gates_root_form(shape, plan), error));
    enum sec_curve curve = shape->activation == ENG_ACTIVATION_GELU ? SEC_CURVE_GELU : SEC_CURVE_SILU;
    TRY(sec_segments_init(
        &gates.activation,
        (struct sec_segments_form){curve, plan->kg, plan->hs + plan->pair, plan->fg, plan->f_silu, plan->ring, plan->pair}, error));
    for (size_t l = 0; l < plan->layers; l++)
        TRY(init_wave(&gates, plan->layer[l].wave, curve, error));
    *ret = gates;
    return BASE_OK;
out:
    eng_gates_finish(&gates);
    return status;
}

void eng_gates_finish(struct eng_gates *gates)
{
    for (size_t l = 0; gates->layer != NULL && l < gates->layers; l++) {
        sec_spline_finish(&gates->layer[l].norm_squared);
        sec_spline_finish(&gates->layer[l].norm[ENG_NORM_ATTENTION]);
        sec_spline_finish(&gates->layer[l].norm[ENG_NORM_MLP]);
    }
    for (size_t i = 0; gates->exp != NULL && i < gates->exp_count; i++)
        sec_exp_finish(&gates->exp[i]);
    for (size_t i = 0; gates->exp_two != NULL && i < gates->exp_two_count; i++)
        sec_exp_two_finish(&gates->exp_two[i]);
    for (size_t i = 0; gates->reciprocal_two != NULL && i < gates->reciprocal_two_count; i++)
        sec_reciprocal_two_finish(&gates->reciprocal_two[i]);
    sec_spline_finish(&gates->reciprocal);
    sec_windows_finish(&gates->windows);
    sec_spline_finish(&gates->root);
    sec_segments_finish(&gates->activation);
    for (int w = 0; w < ENG_WAVES; w++)
        sec_wave_finish(&gates->wave[w]);
    base_free(&gates->layer);
    base_free(&gates->exp);
    base_free(&gates->exp_two);
    base_free(&gates->reciprocal_two);
}

static void hash_words(crypto_hash_sha256_state *state, const void *words, size_t count)
{
    crypto_hash_sha256_update(state, words, count * sizeof(uint64_t));
}

/* Of two parties; else there is none. */
static void hash_grid(crypto_hash_sha256_state *state, const struct sec_grid *grid)
{
    for (int e = 0; e < SEC_GRID_FUNCTIONS && grid->coefficient[e] != NULL; e++)
        hash_words(state, grid->coefficient[e], (size_t)3 << grid->h);
}

static void hash_spline(crypto_hash_sha256_state *state, const struct sec_spline *spline)
{
    hash_words(state, spline->knot, spline->pieces);
    for (int e = 0; e < spline->form.functions; e++) {
        hash_words(state, spline->value[e], spline->pieces);
        hash_words(state, spline->slope[e], spline->pieces);
    }
    hash_grid(state, &spline->grid);
}

void eng_gates_digest(const struct eng_gates *gates, uint8_t ret[32])
{
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    for (size_t l = 0; l < gates->layers; l++) {
        hash_spline(&state, &gates->layer[l].norm_squared);
        hash_spline(&state, &gates->layer[l].norm[ENG_NORM_ATTENTION]);
        hash_spline(&state, &gates->layer[l].norm[ENG_NORM_MLP]);
    }
    for (size_t i = 0; i < gates->exp_count; i++)
        hash_words(&state, gates->exp[i].table, (size_t)1 << gates->exp[i].k);
    for (size_t i = 0; i < gates->exp_two_count; i++)
        hash_words(&state, gates->exp_two[i].factor, (size_t)1 << gates->exp_two[i].form.s);
    for (size_t i = 0; i < gates->reciprocal_two_count; i++) {
        const struct sec_reciprocal_two *gate = &gates->reciprocal_two[i];
        hash_words(&state, gate->knot, gate->pieces);
        hash_words(&state, gate->value, gate->pieces);
        hash_words(&state, gate->slope, gate->pieces);
    }
    hash_spline(&state, &gates->reciprocal);
    hash_grid(&state, &gates->windows.low);
    hash_grid(&state, &gates->windows.high);
    hash_spline(&state, &gates->root);
    hash_words(&state, gates->activation.coefficient, 3 * ((size_t)1 << gates->activation.form.h));
    for (int w = 0; w < ENG_WAVES; w++)
        if (gates->wave[w].cosine != NULL) {
            crypto_hash_sha256_update(&state, (const uint8_t *)gates->wave[w].cosine,
                                      sec_wave_table_size(&gates->wave[w]) * sizeof *gates->wave[w].cosine);
            hash_words(&state, &gates->wave[w].constant, 1);
        }
    crypto_hash_sha256_final(&state, ret);
}
