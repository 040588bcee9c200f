#include "engine/plan.h"

#include "base/memory.h"
#include "base/realmath.h"
#include "protocols/reciprocal_two.h"
#include "protocols/wave.h"

#include <math.h>
#include <string.h>

const char *eng_wire_name(enum eng_wire wire)
{
    static const char *const names[ENG_WIRES] = {"q", "k",     "v",  "o",  "yo", "g", "p",    "h",  "yd",
                                                 "x", "score", "uq", "uk", "uv", "a", "aown", "ug", "up"};
    return names[wire];
}

static const double LOG2_E = 0x1.71547652b82fep+0;

static int minimum(int a, int b)
{
    return a < b ? a : b;
}

static int maximum(int a, int b)
{
    return a > b ? a : b;
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
}

enum base_status eng_plan_copy(struct eng_plan *ret, const struct eng_plan *plan, struct base_error *error)
{
    struct eng_plan copy;
    enum base_status status =
        eng_plan_init(&copy, plan->layers, (size_t)plan->heads, (size_t)plan->context, error);
    if (status != BASE_OK)
        return status;
    memcpy(copy.layer, plan->layer, plan->layers * sizeof *copy.layer);
    memcpy(copy.head, plan->head, plan->layers * (size_t)plan->heads * sizeof *copy.head);
    *ret = *plan;
    ret->layer = copy.layer;
    ret->head = copy.head;
    return BASE_OK;
}

void eng_plan_derive_norms(struct eng_plan *plan, size_t layer, size_t width, double norm_eps)
{
    struct eng_layer_plan *l = &plan->layer[layer];
    for (int i = 0; i < ENG_NORMS; i++) {
        double low = base_power_of_two(l->low[i]) + norm_eps, high = base_power_of_two(l->high[i]) + norm_eps;
        double rho = base_power_of_two(l->rho[i]);
        l->ft[i] = minimum(20, maximum(14, 13 + (int)ceil(log2(sqrt(high) / rho))));
        l->bt[i] = l->ft[i] + maximum(1, (int)ceil(log2(rho / sqrt(low)) + 0.1));
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
}

void eng_plan_set_cheap(struct eng_plan *plan, int range, int headroom)
{
    /* The smallest row maximum lies this far below zero. */
    const double lowest = 5.5;
    int ceiling = (int)((headroom / LOG2_E - lowest) * ENG_CEILING_UNITS);
    for (size_t l = 0; l < plan->layers; l++) {
        struct eng_layer_plan *layer = &plan->layer[l];
        layer->attention = ENG_ATTENTION_CEILINGS;
        layer->headroom = headroom;
        layer->range[0] = (struct eng_range_plan){range, ENG_GUARD_LOG_CELLS};
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

int eng_plan_ft2(const struct eng_plan *plan, size_t layer)
{
    return minimum(30, 2 * plan->layer[layer].ft[ENG_NORM_ATTENTION] - 13);
}

int eng_plan_score_bits(const struct eng_plan *plan, size_t layer)
{
    return maximum(plan->layer[layer].bits[ENG_SCORE], plan->bin + 2);
}

int eng_plan_histogram_ring(const struct eng_plan *plan, size_t layer)
{
    return plan->fs + eng_plan_score_bits(plan, layer) + 1;
}

int eng_plan_score_ring(const struct eng_plan *plan, size_t layer)
{
    return eng_plan_histogram_ring(plan, layer) + 1;
}

static int exp_ring(const struct eng_plan *plan)
{
    return plan->ring - (plan->fb + plan->fe - plan->fo);
}

static int sum_ring(const struct eng_plan *plan, size_t layer)
{
    if (plan->ring_sv != 0)
        return plan->ring_sv;
    return minimum(exp_ring(plan), plan->ring - plan->layer[layer].ft[ENG_NORM_ATTENTION]);
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
    int bits = 0;
    while ((INT64_C(1) << bits) < (int64_t)plan->context + 1)
        bits++;
    return bits;
}

/* --- ceilings ------------------------------------------------------------------------------------------ */

const struct eng_head_plan *eng_plan_heads(const struct eng_plan *plan, size_t layer)
{
    return plan->head + layer * (size_t)plan->heads;
}

int eng_range_units(const struct eng_range_plan *range)
{
    int bits = 0;
    while (1 << bits < range->bits)
        bits++;
    return ENG_CEILING_SCORE + bits;
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
    return LOG2_E * base_power_of_two(eng_range_units(range) - ENG_CEILING_SCORE) / range->bits;
}

struct eng_ceiling_widths eng_plan_ceiling_widths(const struct eng_plan *plan, size_t layer)
{
    const struct eng_layer_plan *l = &plan->layer[layer];
    int values = l->bits[ENG_V] + eng_plan_log_context(plan);
    struct eng_ceiling_widths w = {.empty = eng_range_empty(&l->range[0]),
                                   .v_frac = minimum(10, maximum(6, 13 - l->bits[ENG_V])),
                                   .o_ring =
                                       plan->fu + maximum(plan->fwo + l->bits[ENG_YO], l->bits[ENG_O]) + 2,
                                   .score_cut = 2 * plan->fu - ENG_CEILING_SCORE};
    for (int r = 0; r < ENG_RANGES && l->range[r].bits > 0; r++) {
        w.empty = minimum(w.empty, eng_range_empty(&l->range[r]));
        w.score = maximum(w.score, eng_range_units(&l->range[r]) + 1);
    }
    if (eng_plan_maximum_range(plan, layer) >= 0)
        w.empty = 0;
    /* Where S lies at the lower end of either window, o' keeps eleven bits of v. */
    w.window = maximum(6, (l->headroom + 1) / 2);
    w.read_frac = maximum(22, maximum(w.window, l->headroom - w.window) + 11);
    w.sum_frac = w.read_frac + w.window;
    w.inverse_frac = minimum(18, plan->ring - w.o_ring + plan->fu - w.read_frac);
    w.v_ring = maximum(1, w.v_frac + l->bits[ENG_V]) + 2;
    /* Twelve bits below the largest e of any row; and o' keeps its fraction. V is extended by a bit at least.
     */
    w.e_frac = maximum(l->headroom + 12, w.sum_frac - w.v_frac);
    w.e_ring = maximum(w.e_frac - w.empty + w.v_frac + values + 2, w.v_ring + 1);
    w.sum_bits = maximum(w.e_frac - w.empty + eng_plan_log_context(plan), w.e_frac) + 1;
    return w;
}

/* --- conditions ---------------------------------------------------------------------------------------- */

struct checker {
    struct base_error *error;
    enum base_status status;
    size_t layer;
};

static void need(struct checker *c, const char *name, double have, int room)
{
    if (have > room && c->status == BASE_OK)
        c->status =
            base_fail(c->error, BASE_ERR_RANGE,
                      "plan: layer %zu, %s needs %.1f bits and has %d: lower a width or shorten the context",
                      c->layer, name, have, room);
}

static void check_projections(const struct eng_plan *p, struct checker *c)
{
    const int *b = p->layer[c->layer].bits;
    int rotated = p->fx + p->fw + p->fc, ring_uq = p->ring - (rotated - p->fu),
        widest = maximum(b[ENG_UQ], b[ENG_UK]);
    need(c, "u with RoPE", rotated + widest + 1, p->ring - 1);
    need(c, "lift of u_q", p->fu + widest, ring_uq - 2);
}

static void check_output(const struct eng_plan *p, struct checker *c, int ring_o)
{
    const int *b = p->layer[c->layer].bits;
    need(c, "W_o o", p->fu + p->fwo + b[ENG_YO], ring_o - 2);
    need(c, "W_o o cut", p->fx + b[ENG_YO], ring_o - (p->fu + p->fwo - p->fx) - 2);
}

/* Ranges that the gates of a layer with ceilings can have, before their widths are derived. */
static bool check_ranges(const struct eng_plan *p, struct checker *c)
{
    const struct eng_layer_plan *l = &p->layer[c->layer];
    const struct eng_head_plan *head = eng_plan_heads(p, c->layer);
    need(c, "headroom", l->headroom, ENG_CEILING_MOST_HEADROOM);
    need(c, "headroom, least", 1, l->headroom);
    need(c, "first range of scores, least", 4, l->range[0].bits);
    for (int r = 0; r < ENG_RANGES; r++) {
        need(c, "range of scores", l->range[r].bits, ENG_MOST_RANGE);
        need(c, "range of scores, least", 0, l->range[r].bits);
        need(c, "cells of the guard", l->range[r].log_cells, 6);
        need(c, "cells of the guard, least", l->range[r].bits > 0 ? 4 : 0, l->range[r].log_cells);
    }
    int found = eng_plan_maximum_range(p, c->layer);
    for (int h = 0; h < p->heads; h++) {
        need(c, "range of a head", 4, l->range[head[h].range].bits);
        if (head[h].from == ENG_FROM_MAXIMUM) {
            need(c, "range of heads that find a maximum", head[h].range, found);
            need(c, "headroom of heads that find a maximum", eng_range_slack(&l->range[found]), l->headroom);
        }
    }
    return c->status == BASE_OK;
}

static void check_ceilings(const struct eng_plan *p, struct checker *c)
{
    const struct eng_layer_plan *l = &p->layer[c->layer];
    const int *b = l->bits;
    if (!check_ranges(p, c))
        return;
    struct eng_ceiling_widths w = eng_plan_ceiling_widths(p, c->layer);
    int ft = l->ft[ENG_NORM_ATTENTION], ring = w.score_cut + w.score;
    check_projections(p, c);
    need(c, "fraction of scores", ENG_CEILING_SCORE, 2 * p->fu);
    need(c, "q or k", p->fu + maximum(b[ENG_Q], b[ENG_K]), ring - 1);
    need(c, "product of q", ring + ft, p->ring);
    need(c, "fraction of v", w.v_frac, ft + p->fu);
    need(c, "product of v", w.v_ring + ft + p->fu - w.v_frac, p->ring);
    need(c, "u_v", p->fu + b[ENG_UV], w.v_ring + ft + p->fu - w.v_frac - 2);
    need(c, "sum e v", w.e_ring, p->ring);
    need(c, "S", w.sum_bits, SEC_RECIPROCAL_TWO_MOST_BITS);
    need(c, "o' in the low window", w.read_frac + b[ENG_V] + 3, p->ring);
    need(c, "fraction of 1 / S, least", ENG_CEILING_LEAST_INVERSE, w.inverse_frac);
    check_output(p, c, w.o_ring);
}

static void check_maximum(const struct eng_plan *p, struct checker *c)
{
    const struct eng_layer_plan *l = &p->layer[c->layer];
    const int *b = l->bits;
    int ring_uq = p->ring - (p->fx + p->fw + p->fc - p->fu);
    check_projections(p, c);
    if (!p->fold)
        need(c, "deferred scores", 2 * p->fu + maximum(b[ENG_A], b[ENG_AOWN]), ring_uq - 2);
    need(c, "sum e v", p->fo + p->fu + eng_plan_log_context(p) + b[ENG_V], sum_ring(p, c->layer) - 2);
    int ring_o = p->ring - (p->fo2 + p->fy - p->fu);
    need(c, "o", p->fo2 + p->fy + b[ENG_O] + 1, p->ring - 1);
    check_output(p, c, ring_o);
    int bt = l->bt[ENG_NORM_ATTENTION], ft = l->ft[ENG_NORM_ATTENTION];
    need(c, "t^2", 2 * (bt - ft) + ENG_NORM_FRACTION + 1, p->ring - 1);
}

static void check_rest(const struct eng_plan *p, struct checker *c)
{
    const struct eng_layer_plan *l = &p->layer[c->layer];
    const int *b = l->bits;
    if (l->wave == ENG_WAVE_NONE) {
        need(c, "g", p->fg + b[ENG_G], p->kg - 1);
        need(c, "h", p->f_silu + p->fu + b[ENG_H], p->ring - 1);
    } else {
        need(c, "g as a wave", SEC_WAVE_INPUT + b[ENG_G],
             sec_wave_ring(eng_plan_wave_span((enum eng_wave)l->wave)) - 1);
        need(c, "fraction of g as a wave", SEC_WAVE_INPUT, l->ft[ENG_NORM_MLP] + p->fu);
        need(c, "fraction of h after a wave", p->fu, SEC_WAVE_OUTPUT);
        need(c, "h after a wave", p->fu + b[ENG_H], p->ring - p->f_silu - 2);
    }
    need(c, "W_down h", p->fu + p->fwo + b[ENG_YD], p->ring - p->f_silu - 2);
    need(c, "W_down h cut", p->fx + b[ENG_YD], p->ring - p->f_silu - (p->fu + p->fwo - p->fx) - 2);
    need(c, "x", p->fx + b[ENG_X] + 2, p->ring - 2);
    need(c, "sum x^2", 2 * p->fx + l->high[ENG_NORM_ATTENTION] + 14, p->ring - 1);
    for (int i = 0; i < ENG_NORMS; i++)
        need(c, "1/rms", l->bt[i] + 2, p->ring - (ENG_NORM_FRACTION - l->ft[i]) - 2);
}

/* Every shift is to the right and every small ring has room: what a hostile plan could break before any bound
 * does. */
static void check_widths(const struct eng_plan *p, struct checker *c)
{
    const struct eng_layer_plan *l = &p->layer[c->layer];
    need(c, "fraction of scores", p->fs, 2 * p->fu);
    need(c, "fraction of the residual after W_o", p->fx, p->fu + p->fwo);
    need(c, "fraction of o' = sum e v", p->fo2, p->fo + p->fu);
    need(c, "fraction of o", p->fu, p->fo2 + p->fy);
    need(c, "fraction of e", p->fo, p->fb + p->fe);
    need(c, "fraction of h", p->fu, p->f_silu);
    need(c, "fraction of RoPE", p->fc, p->fu + l->ft[ENG_NORM_ATTENTION]);
    need(c, "fraction of the logits", ENG_LOGIT_FRACTION, p->fx + p->fw);
    need(c, "fraction of the final sum of squares", ENG_SQUARES_CUT, 2 * p->fx);
    need(c, "fraction of 1 / S", p->fy, p->f_reciprocal);
    need(c, "segments of the activation", p->hs + 1, p->kg);
    need(c, "ring of sum e v", p->ring_sv, p->ring);
    need(c, "cells of exp", p->cell + 1, eng_plan_score_bits(p, c->layer) + 2);
    for (int i = 0; i < ENG_NORMS; i++) {
        int cut = 2 * p->fx - l->fs[i];
        need(c, "fraction of sum x^2", l->fs[i], 2 * p->fx);
        need(c, "sum x^2 as the norm reads it", cut + p->kn, p->ring);
        need(c, "range of the mean square", l->low[i], l->high[i]);
        need(c, "fraction of 1 / rms", l->ft[i], 30);
        need(c, "fraction of 1 / rms, least", 8, l->ft[i]);
        need(c, "bound of 1 / rms", l->bt[i], l->ft[i] + 20);
        need(c, "bound of 1 / rms, least", l->ft[i], l->bt[i]);
        need(c, "fraction of g", p->fg, l->ft[i] + p->fu);
        need(c, "ring of g", l->ft[i] + p->fu - p->fg + p->kg, p->ring);
        need(c, "ring of scores", l->ft[i] + eng_plan_score_ring(p, c->layer), p->ring);
    }
}

enum base_status eng_plan_check(const struct eng_plan *p, struct base_error *error)
{
    struct checker c = {.error = error};
    double slack = base_power_of_two(p->bin + 1) * 1.4427;
    for (c.layer = 0; c.layer < p->layers; c.layer++) {
        check_widths(p, &c);
        if (p->layer[c.layer].attention == ENG_ATTENTION_CEILINGS) {
            check_ceilings(p, &c);
        } else {
            check_maximum(p, &c);
            need(&c, "exp table", eng_plan_score_ring(p, c.layer), 24);
        }
        check_rest(p, &c);
    }
    c.layer = 0;
    need(&c, "embedding", eng_plan_embedding_bound(p), 32 - 2);
    need(&c, "1/S", p->f_reciprocal + slack + 1, p->ring - 1);
    need(&c, "lift of 1/S", p->fy + slack + 1, p->ring - (p->f_reciprocal - p->fy) - 2);
    need(&c, "e", p->fo, exp_ring(p) - 2);
    need(&c, "exp", p->fb + p->fe + 1.5 * base_power_of_two(p->cell), p->ring - 1);
    return c.status;
}
