#include "engine/plan.h"

#include "base/bits.h"
#include "base/memory.h"
#include "base/realmath.h"
#include "protocols/wave.h"

#include <math.h>
#include <string.h>

const char *eng_wire_name(enum eng_wire wire)
{
    static const char *const names[ENG_WIRES] = {"q", "k",     "v",  "o",  "yo", "g", "p",    "h",  "yd",
                                                 "x", "score", "uq", "uk", "uv", "a", "aown", "ug", "up"};
    return names[wire];
}

enum base_status eng_plan_init(struct eng_plan *ret, size_t layers, size_t heads, size_t context,
                               struct base_error *error)
{
    struct eng_plan plan = {.fx = 14,
                            .fw = 17,
                            .fwo = 14,
                            .fc = 11,
                            .fu = 12,
                            .fs = 11,
                            .bin = 1,
                            .cell = 1,
                            .fb = 12,
                            .fe = 22,
                            .fo = 18,
                            .fo2 = 20,
                            .fy = 18,
                            .per_octave = 32,
                            .f_reciprocal = 48,
                            .fg = 9,
                            .kg = 15,
                            .hs = 8,
                            .f_silu = 26,
                            .kn = 28,
                            .ring = 64,
                            .context = (int)context,
                            .heads = (int)heads,
                            .layers = layers};
    enum base_status status = BASE_OK;
    TRY(base_alloc(&plan.layer, layers, sizeof *plan.layer, error));
    TRY(base_alloc(&plan.head, layers * heads, sizeof *plan.head, error));
    *ret = plan;
    return BASE_OK;
out:
    eng_plan_finish(&plan);
    return status;
}

void eng_plan_set_thin(struct eng_plan *plan)
{
    plan->bin = 2;
    plan->cell = 3;
    plan->fb = 13;
    plan->fe = 28;
    plan->fo = 22;
    plan->fo2 = 22;
    plan->ring_sv = 54;
}

void eng_plan_finish(struct eng_plan *plan)
{
    base_free(&plan->layer);
    base_free(&plan->head);
    kv_profile_finish(&plan->profile);
}

enum base_status eng_plan_copy(struct eng_plan *ret, const struct eng_plan *plan, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_plan copy = {0};
    TRY(eng_plan_init(&copy, plan->layers, (size_t)plan->heads, (size_t)plan->context, error));
    TRY(kv_profile_copy(&copy.profile, &plan->profile, error));
    memcpy(copy.layer, plan->layer, plan->layers * sizeof *copy.layer);
    memcpy(copy.head, plan->head, plan->layers * (size_t)plan->heads * sizeof *copy.head);
    *ret = *plan;
    ret->layer = copy.layer;
    ret->head = copy.head;
    ret->profile = copy.profile;
    return BASE_OK;
out:
    eng_plan_finish(&copy);
    return status;
}

void eng_plan_derive_norms(struct eng_plan *plan, size_t layer, size_t width, double norm_eps)
{
    struct eng_layer_plan *l = &plan->layer[layer];
    for (int i = 0; i < ENG_NORMS; i++) {
        double low = base_power_of_two(l->low[i]) + norm_eps, high = base_power_of_two(l->high[i]) + norm_eps;
        double rho = base_power_of_two(l->rho[i]);
        l->ft[i] = base_smaller(20, base_larger(14, 13 + (int)ceil(log2(sqrt(high) / rho))));
        l->bt[i] = l->ft[i] + base_larger(1, (int)ceil(log2(rho / sqrt(low)) + 0.1));
        l->fs[i] = plan->kn - (int)ceil(log2((double)width * high));
    }
}

void eng_plan_set_typical(struct eng_plan *plan, size_t width, double norm_eps, int score_bits)
{
    static const int bits[ENG_WIRES] = {
        [ENG_Q] = 3,  [ENG_K] = 4, [ENG_V] = 4,    [ENG_O] = 4,  [ENG_YO] = 6, [ENG_G] = 4,
        [ENG_P] = 4,  [ENG_H] = 6, [ENG_YD] = 8,   [ENG_X] = 10, [ENG_UQ] = 4, [ENG_UK] = 5,
        [ENG_UV] = 4, [ENG_A] = 7, [ENG_AOWN] = 6, [ENG_UG] = 5, [ENG_UP] = 5};
    for (size_t l = 0; l < plan->layers; l++) {
        struct eng_layer_plan *layer = &plan->layer[l];
        memcpy(layer->bits, bits, sizeof bits);
        layer->bits[ENG_SCORE] = score_bits;
        for (int i = 0; i < ENG_NORMS; i++) {
            layer->low[i] = -5;
            layer->high[i] = 3;
        }
        eng_plan_derive_norms(plan, l, width, norm_eps);
    }
    plan->lm_bits = 6;
    plan->final_low = -5;
    plan->final_high = 3;
}

void eng_plan_set_cheap(struct eng_plan *plan, int range, int headroom)
{
    /* The smallest row maximum lies this far below zero; the largest scores this many bits below the guard's
     * cell. */
    const double lowest = 5.5;
    const int margin = 4;
    int ceiling = (int)((headroom / M_LOG2E - lowest) * ENG_CEILING_UNITS);
    for (size_t l = 0; l < plan->layers; l++) {
        struct eng_layer_plan *layer = &plan->layer[l];
        layer->attention = ENG_ATTENTION_CEILINGS;
        layer->headroom = headroom;
        layer->range[0] = (struct eng_range_plan){range, ENG_GUARD_LOG_CELLS};
        layer->sum = eng_plan_log_context(plan) - eng_range_empty(&layer->range[0]) - margin;
        layer->range[1] = (struct eng_range_plan){0};
        for (int h = 0; h < plan->heads; h++)
            plan->head[l * (size_t)plan->heads + (size_t)h] =
                (struct eng_head_plan){ceiling, ENG_FROM_ZERO, 0};
        int scale = (int)ceil(log2(eng_plan_query_scale(plan, l, 0)));
        layer->bits[ENG_Q] += scale;
        layer->bits[ENG_UQ] += scale;
        layer->wave = ENG_WAVE_WIDE;
    }
}

void eng_plan_set_general(struct eng_plan *plan)
{
    for (size_t l = 0; l < plan->layers; l++) {
        plan->layer[l].attention = ENG_ATTENTION_MAXIMUM;
        plan->layer[l].wave = ENG_WAVE_NONE;
    }
}

void eng_plan_set_pair(struct eng_plan *plan)
{
    eng_plan_set_general(plan);
    plan->pair = true;
    plan->fold = 1;
    plan->bin = 0;
    plan->cell = 0;
}

int eng_plan_ft2(const struct eng_plan *plan, size_t layer)
{
    return base_smaller(30, 2 * plan->layer[layer].ft[ENG_NORM_ATTENTION] - 13);
}

int eng_plan_score_bits(const struct eng_plan *plan, size_t layer)
{
    return base_larger(plan->layer[layer].bits[ENG_SCORE], plan->bin + 2);
}

int eng_plan_histogram_ring(const struct eng_plan *plan, size_t layer)
{
    return plan->fs + eng_plan_score_bits(plan, layer) + 1;
}

int eng_plan_score_ring(const struct eng_plan *plan, size_t layer)
{
    return eng_plan_histogram_ring(plan, layer) + 1;
}

int eng_plan_output_ring(const struct eng_plan *plan, int product_bits, int input_bits)
{
    int product = plan->fwo + base_larger(product_bits, 1 - plan->fx), input = base_larger(input_bits, 1 - plan->fu);
    return plan->fu + base_larger(product, input) + 2;
}

int eng_plan_final_fs(const struct eng_plan *plan, size_t width)
{
    /* Any epsilon that a model may have is below 1: one bit more at most. */
    return base_smaller(plan->kn - base_log_ceil(width) - base_larger(plan->final_high, 0) - 1, 2 * plan->fx);
}

int eng_plan_root_bits(const struct eng_plan *plan)
{
    return base_larger((plan->final_high + 1) / 2, 0) + 1;
}

int eng_plan_root_ring(const struct eng_plan *plan)
{
    int logits = plan->fx + plan->fw - ENG_LOGIT_FRACTION + base_larger(1, ENG_LOGIT_FRACTION + plan->lm_bits);
    return base_larger(logits, plan->fx + eng_plan_root_bits(plan)) + 2;
}

int eng_plan_root_table(const struct eng_plan *plan)
{
    return plan->ring - eng_plan_root_ring(plan) + plan->fx;
}

int eng_plan_embedding_bound(const struct eng_plan *plan)
{
    return plan->fx + plan->layer[0].bits[ENG_X] + 1;
}

double eng_plan_wave_span(enum eng_wave wave)
{
    return wave == ENG_WAVE_NARROW ? 7.5 : wave == ENG_WAVE_WIDE ? 22.5 : 0;
}

int eng_plan_wave_log_cell(enum eng_wave wave)
{
    return wave == ENG_WAVE_WIDE ? 2 : 0;
}

/* Half of the allowed cells but the first and the last one, which a reading may round out of. */
double eng_plan_wave_quiet(enum eng_wave wave)
{
    double cell = base_power_of_two(eng_plan_wave_log_cell(wave));
    return (floor(2 * eng_plan_wave_span(wave) / cell) / 2 - 1) * cell;
}

int eng_plan_log_context(const struct eng_plan *plan)
{
    return base_log_ceil((size_t)plan->context + 1);
}

/* --- ceilings ------------------------------------------------------------------------------------------ */

const struct eng_head_plan *eng_plan_heads(const struct eng_plan *plan, size_t layer)
{
    return plan->head + layer * (size_t)plan->heads;
}

int eng_range_units(const struct eng_range_plan *range)
{
    return ENG_CEILING_SCORE + base_log_ceil((size_t)range->bits);
}

int eng_range_empty(const struct eng_range_plan *range)
{
    return 2 * range->bits >> range->log_cells;
}

int eng_range_log_bins(const struct eng_range_plan *range)
{
    /* A bin is no wider than the guard's empty cell: the top one stays empty. */
    int log_bins = range->log_cells - 1;
    while (2 * range->bits >> log_bins > 20)
        log_bins++;
    return log_bins;
}

int eng_range_slack(const struct eng_range_plan *range)
{
    return (2 * range->bits >> eng_range_log_bins(range)) + 1;
}

int eng_plan_maximum_range(const struct eng_plan *plan, size_t layer)
{
    const struct eng_head_plan *head = eng_plan_heads(plan, layer);
    for (int h = 0; h < plan->heads; h++)
        if (head[h].from == ENG_FROM_MAXIMUM)
            return head[h].range;
    return -1;
}

double eng_plan_query_scale(const struct eng_plan *plan, size_t layer, size_t head)
{
    const struct eng_layer_plan *l = &plan->layer[layer];
    if (l->attention != ENG_ATTENTION_CEILINGS)
        return 1;
    const struct eng_range_plan *range = &l->range[eng_plan_heads(plan, layer)[head].range];
    return M_LOG2E * base_power_of_two(eng_range_units(range) - ENG_CEILING_SCORE) / range->bits;
}

struct eng_ceiling_widths eng_plan_ceiling_widths(const struct eng_plan *plan, size_t layer)
{
    const struct eng_layer_plan *l = &plan->layer[layer];
    int log_context = eng_plan_log_context(plan);
    struct eng_ceiling_widths w = {.empty = log_context,
                                   .v_frac = base_smaller(10, base_larger(6, 13 - l->bits[ENG_V])),
                                   .o_ring = eng_plan_output_ring(plan, l->bits[ENG_YO], l->bits[ENG_O]),
                                   .score_cut = 2 * plan->fu - ENG_CEILING_SCORE};
    /* No more than the context: one score that the guard lets pass in its first cell must not make a sum
     * wrap. */
    for (int r = 0; r < ENG_RANGES && l->range[r].bits > 0; r++) {
        w.empty = base_smaller(w.empty, eng_range_empty(&l->range[r]));
        w.score = base_larger(w.score, eng_range_units(&l->range[r]) + 1);
    }
    if (eng_plan_maximum_range(plan, layer) >= 0)
        w.empty = 0;
    int most = log_context - w.empty;
    w.sum = base_smaller(l->sum, most);
    /* Where S lies at the lower end of either window, o' keeps eleven bits of v. */
    w.window = base_larger(6, (l->headroom + 1) / 2);
    w.read_frac = base_larger(22, base_larger(w.window, l->headroom - w.window) + 11);
    w.sum_frac = w.read_frac + w.window;
    w.inverse_frac = base_smaller(18, plan->ring - w.o_ring + plan->fu - w.read_frac);
    int v = base_larger(l->bits[ENG_V], 1 - w.v_frac);
    w.v_ring = w.v_frac + v + 2;
    /* Twelve bits below the largest e of any row; and o' keeps its fraction. e's ring holds sum e v, and S
     * whatever the scores that the guard lets pass, so that a sum beyond its bound is seen and does not wrap.
     * V is extended by a bit at least. */
    w.e_frac = base_larger(l->headroom + 12, w.sum_frac - w.v_frac);
    w.sum_bits = base_larger(w.e_frac + most, w.e_frac) + 1;
    w.e_ring = base_larger(w.e_frac + w.sum + w.v_frac + v + 2, base_larger(w.sum_bits, w.v_ring) + 1);
    return w;
}
