#include "engine/plan.h"

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

static int minimum(int a, int b)
{
    return a < b ? a : b;
}

static int maximum(int a, int b)
{
    return a > b ? a : b;
}

enum base_status eng_plan_init(struct eng_plan *ret, size_t layers, size_t context, struct base_error *error)
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
                            .layers = layers};
    enum base_status status = base_alloc(&plan.layer, layers, sizeof *plan.layer, error);
    if (status == BASE_OK)
        *ret = plan;
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
}

enum base_status eng_plan_copy(struct eng_plan *ret, const struct eng_plan *plan, struct base_error *error)
{
    struct eng_plan copy = *plan;
    enum base_status status = base_alloc(&copy.layer, plan->layers, sizeof *copy.layer, error);
    if (status != BASE_OK)
        return status;
    memcpy(copy.layer, plan->layer, plan->layers * sizeof *copy.layer);
    *ret = copy;
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

int eng_plan_log_context(const struct eng_plan *plan)
{
    int bits = 0;
    while ((INT64_C(1) << bits) < (int64_t)plan->context + 1)
        bits++;
    return bits;
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

static void check_attention(const struct eng_plan *p, struct checker *c)
{
    const struct eng_layer_plan *l = &p->layer[c->layer];
    const int *b = l->bits;
    int rotated = p->fx + p->fw + p->fc, ring_uq = p->ring - (rotated - p->fu),
        widest = maximum(b[ENG_UQ], b[ENG_UK]);
    need(c, "u with RoPE", rotated + widest + 1, p->ring - 1);
    need(c, "lift of u_q", p->fu + widest, ring_uq - 2);
    if (!p->fold)
        need(c, "deferred scores", 2 * p->fu + maximum(b[ENG_A], b[ENG_AOWN]), ring_uq - 2);
    need(c, "sum e v", p->fo + p->fu + eng_plan_log_context(p) + b[ENG_V], sum_ring(p, c->layer) - 2);
    int ring_o = p->ring - (p->fo2 + p->fy - p->fu);
    need(c, "o", p->fo2 + p->fy + b[ENG_O] + 1, p->ring - 1);
    need(c, "W_o o", p->fu + p->fwo + b[ENG_YO], ring_o - 2);
    need(c, "W_o o cut", p->fx + b[ENG_YO], ring_o - (p->fu + p->fwo - p->fx) - 2);
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
        need(c, "g as a wave", SEC_WAVE_INPUT + b[ENG_G], SEC_WAVE_RING - 4);
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
        check_attention(p, &c);
        check_rest(p, &c);
        need(&c, "exp table", eng_plan_score_ring(p, c.layer), 24);
    }
    c.layer = 0;
    need(&c, "embedding", eng_plan_embedding_bound(p), 32 - 2);
    need(&c, "1/S", p->f_reciprocal + slack + 1, p->ring - 1);
    need(&c, "lift of 1/S", p->fy + slack + 1, p->ring - (p->f_reciprocal - p->fy) - 2);
    need(&c, "e", p->fo, exp_ring(p) - 2);
    need(&c, "exp", p->fb + p->fe + 1.5 * base_power_of_two(p->cell), p->ring - 1);
    return c.status;
}
