/* Every condition of the layer graph on rings and bounds, by name. */
#include "engine/plan.h"

#include "base/bits.h"
#include "base/realmath.h"
#include "protocols/reciprocal_two.h"
#include "protocols/wave.h"

#include <math.h>

static int exp_ring(const struct eng_plan *plan)
{
    return plan->ring - (plan->fb + plan->fe - plan->fo);
}

static int sum_ring(const struct eng_plan *plan, size_t layer)
{
    if (plan->ring_sv != 0)
        return plan->ring_sv;
    return base_smaller(exp_ring(plan), plan->ring - plan->layer[layer].ft[ENG_NORM_ATTENTION]);
}

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

/* Of a product with the residual, cut to fu fraction bits. */
static int linear_ring(const struct eng_plan *p, size_t layer, enum eng_product product)
{
    return eng_plan_product_ring(p, layer, product) - eng_plan_linear_cut(p);
}

static void check_projections(const struct eng_plan *p, struct checker *c)
{
    const int *b = p->layer[c->layer].bits;
    int rotated = p->fx + p->fw + p->fc, ring_uq = p->ring - (rotated - p->fu),
        widest = base_larger(b[ENG_UQ], b[ENG_UK]);
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
    if (c->status != BASE_OK)
        return false;
    int found = eng_plan_maximum_range(p, c->layer);
    for (int h = 0; h < p->heads; h++) {
        need(c, "range of a head", 4, l->range[head[h].range].bits);
        if (head[h].from == ENG_FROM_MAXIMUM) {
            need(c, "range of heads that find a maximum", head[h].range, found);
            need(c, "range of heads that find a maximum, least", found, head[h].range);
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
    need(c, "q or k", p->fu + base_larger(b[ENG_Q], b[ENG_K]), ring - 1);
    need(c, "product of q", ring + ft, p->ring);
    need(c, "fraction of v", w.v_frac, ft + p->fu);
    need(c, "empty cell", w.empty, l->headroom);
    need(c, "sum of weights, least", 1 - w.window, w.sum);
    need(c, "product of v", w.v_ring + ft + p->fu - w.v_frac, p->ring);
    need(c, "u_v", p->fu + b[ENG_UV], linear_ring(p, c->layer, ENG_PRODUCT_V) - 2);
    need(c, "sum e v", w.e_ring, p->ring);
    need(c, "S", w.sum_bits, SEC_RECIPROCAL_TWO_MOST_BITS);
    need(c, "o' in the low window", w.read_frac + b[ENG_V] + 3, w.e_ring - (w.e_frac + w.v_frac - w.sum_frac));
    need(c, "o", w.o_ring + w.read_frac + w.inverse_frac - p->fu, p->ring);
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
        need(c, "deferred scores", 2 * p->fu + base_larger(b[ENG_A], b[ENG_AOWN]), ring_uq - 2);
    need(c, "q or k", p->fu + base_larger(b[ENG_Q], b[ENG_K]), eng_plan_key_ring(p, c->layer) - 2);
    need(c, "q . k as a score is read", 2 * p->fu - p->fs + eng_plan_score_ring(p, c->layer), eng_plan_key_ring(p, c->layer));
    need(c, "sum e v", p->fo + p->fu + eng_plan_log_context(p) + b[ENG_V], sum_ring(p, c->layer) - 2);
    int ring_o = p->ring - (p->fo2 + p->fy - p->fu);
    need(c, "o", p->fo2 + p->fy + b[ENG_O] + 1, p->ring - 1);
    check_output(p, c, ring_o);
    int bt = l->bt[ENG_NORM_ATTENTION], ft = l->ft[ENG_NORM_ATTENTION];
    need(c, "t^2", 2 * (bt - ft) + ENG_NORM_FRACTION + 1, p->ring - 1);
}

/* The rings that mlp.c opens no wider than they are read. */
static void check_mlp(const struct eng_plan *p, struct checker *c)
{
    const struct eng_layer_plan *l = &p->layer[c->layer];
    const int *b = l->bits;
    bool wave = l->wave != ENG_WAVE_NONE;
    struct eng_reading g = eng_plan_activation_reading(p, c->layer);
    int ft = l->ft[ENG_NORM_MLP], up = ft + base_larger(1, p->fu + b[ENG_P]) + 2;
    need(c, "fraction of g", g.fraction, ft + p->fu);
    need(c, "product of g", g.cut + g.ring, p->ring);
    need(c, "u_gate", p->fu + b[ENG_UG], linear_ring(p, c->layer, ENG_PRODUCT_GATE) - 2);
    need(c, "u_up", p->fu + b[ENG_UP], linear_ring(p, c->layer, ENG_PRODUCT_UP) - 2);
    need(c, "product of p", up, p->ring);
    if (wave)
        need(c, "product of h", eng_plan_output_ring(p, b[ENG_YD], b[ENG_H]) + SEC_WAVE_OUTPUT, p->ring);
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
        need(c, "fraction of h after a wave", p->fu, SEC_WAVE_OUTPUT);
    }
    int ring = l->wave == ENG_WAVE_NONE ? p->ring - p->f_silu : eng_plan_output_ring(p, b[ENG_YD], b[ENG_H]);
    need(c, "W_down h", p->fu + p->fwo + b[ENG_YD], ring - 2);
    need(c, "W_down h cut", p->fx + b[ENG_YD], ring - (p->fu + p->fwo - p->fx) - 2);
    need(c, "x", p->fx + b[ENG_X] + 2, p->ring - 2);
    need(c, "sum x^2", 2 * p->fx + l->high[ENG_NORM_ATTENTION] + 14, p->ring - 1);
    for (int i = 0; i < ENG_NORMS; i++)
        need(c, "1/rms", l->bt[i] + 2, p->ring - (eng_plan_norm_fraction(p, c->layer, i) - l->ft[i]) - 2);
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

/* The rms that multiplies the logits' biases. Where they have none both ends of its range are 0. */
static void check_root(const struct eng_plan *p, struct checker *c)
{
    int ring = eng_plan_root_ring(p), table = eng_plan_root_table(p), bits = eng_plan_root_bits(p);
    need(c, "range of the final mean square", p->final_low, p->final_high);
    if (p->final_low == p->final_high)
        return;
    need(c, "final sum x^2", 2 * p->fx + base_larger(p->final_high, 0) + 14, p->ring - 1);
    need(c, "rms of the logits' biases", ring, p->ring);
    need(c, "table of that rms", table + bits, p->ring - 2);
    need(c, "fraction of that rms", p->fx, table);
}

enum base_status eng_plan_check(const struct eng_plan *p, struct base_error *error)
{
    struct checker c = {.error = error};
    /* Of S below a row's true sum, and of e above 1 within a cell: a reading of two parties may lie a bin and a cell further. */
    double slack = base_power_of_two(p->bin) * (p->pair ? 3 : 2) * 1.4427, over = base_power_of_two(p->cell) * (p->pair ? 3 : 1.5);
    for (c.layer = 0; c.layer < p->layers; c.layer++) {
        check_widths(p, &c);
        if (p->layer[c.layer].attention == ENG_ATTENTION_CEILINGS) {
            check_ceilings(p, &c);
        } else {
            check_maximum(p, &c);
            need(&c, "exp table", eng_plan_score_ring(p, c.layer), 24);
        }
        check_mlp(p, &c);
        check_rest(p, &c);
    }
    c.layer = 0;
    need(&c, "logits", ENG_LOGIT_FRACTION + p->lm_bits, eng_plan_product_ring(p, 0, ENG_PRODUCT_HEAD) - (p->fx + p->fw - ENG_LOGIT_FRACTION) - 1);
    check_root(p, &c);
    need(&c, "embedding", eng_plan_embedding_bound(p), 32 - 2);
    need(&c, "1/S", p->f_reciprocal + slack + 1, p->ring - 1);
    need(&c, "lift of 1/S", p->fy + slack + 1, p->ring - (p->f_reciprocal - p->fy) - 2);
    need(&c, "e", p->fo, exp_ring(p) - 2);
    need(&c, "exp", p->fb + p->fe + over, p->ring - 1);
    return c.status;
}
