#include "engine/layer.h"

struct mpc_wire eng_sum_squares(const struct eng_step *step, struct mpc_wire x, int norm)
{
    const struct eng_plan *plan = step->decoder->form.plan;
    int cut = 2 * plan->fx - plan->layer[step->layer].fs[norm], ring = cut + plan->kn;
    struct mpc_share s = mpc_share_dot(step->p, x, x, step->decoder->form.shape->width);
    return mpc_cut(step->p, s, ring < plan->ring ? ring : plan->ring, cut, plan->kn - 1, true, "sum x^2");
}

enum base_status eng_residual_add(const struct eng_step *step, struct mpc_wire x, struct mpc_wire h,
                                  const struct mpc_matrix *w, enum eng_wire bits, struct mpc_wire *ret)
{
    struct mpc_party *p = step->p;
    const struct eng_plan *plan = step->decoder->form.plan;
    const int *b = plan->layer[step->layer].bits;
    enum base_status status = BASE_OK;
    struct mpc_share share = mpc_share_matmul(p, h, step->n, w);
    struct mpc_wire y = mpc_cut(p, share, share.ring, h.frac + w->frac - plan->fx,
                                eng_bound(plan->fx, b[bits]), false, eng_wire_name(bits));
    TRY(mpc_round(p));
    y = mpc_extend(p, y, plan->ring, "extend");
    TRY(mpc_round(p));
    *ret = mpc_add(p, x, y, 1, eng_bound(plan->fx, b[ENG_X] + 1));
    mpc_check_bound(p, "x", ret);
out:
    return status;
}

/* SiLU(gate) up: u_gate, u_up and sum x^2; t = rho / rms; g and p; h. Four rounds. */
static enum base_status gated(const struct eng_step *step, struct mpc_wire x, struct mpc_wire *ret_h)
{
    struct mpc_party *p = step->p;
    const struct eng_decoder *d = step->decoder;
    const struct eng_plan *plan = d->form.plan;
    const struct eng_layer_weights *w = &d->form.weights->layer[step->layer];
    const struct eng_layer_plan *l = &plan->layer[step->layer];
    const int *b = l->bits;
    size_t ffn = d->form.shape->ffn;
    int fu = plan->fu, cut = plan->fx + plan->fw - fu, ft = l->ft[ENG_NORM_MLP];
    enum base_status status = BASE_OK;

    struct mpc_wire ug = mpc_cut(p, mpc_share_matmul(p, x, step->n, &w->gate), plan->ring, cut,
                                 eng_bound(fu, b[ENG_UG]), false, "u_gate");
    struct mpc_wire up = mpc_cut(p, mpc_share_matmul(p, x, step->n, &w->up), plan->ring, cut,
                                 eng_bound(fu, b[ENG_UP]), false, "u_up");
    struct mpc_wire s = eng_sum_squares(step, x, ENG_NORM_MLP), t;
    TRY(mpc_round(p));

    sec_spline_eval(p, &d->form.gates->layer[step->layer].norm[ENG_NORM_MLP], s, &t, "rsqrt");
    TRY(mpc_round(p));

    /* g is read by the SiLU gate alone: kg bits, and nothing is dealt for its mask. */
    int cut_g = ft + fu - plan->fg;
    struct mpc_wire g = mpc_cut(p, mpc_share_mul(p, ug, t, ffn, cut_g + plan->kg), cut_g + plan->kg, cut_g,
                                eng_bound(plan->fg, b[ENG_G]), true, "g");
    struct mpc_wire u = mpc_cut(p, mpc_share_mul(p, up, t, ffn, plan->ring), plan->ring, ft,
                                eng_bound(fu, b[ENG_P]), false, "p");
    TRY(mpc_round(p));

    *ret_h = sec_segments_eval(p, &d->form.gates->activation, g, &u, plan->f_silu, eng_bound(fu, b[ENG_H]),
                               "silu(g) p");
    TRY(mpc_round(p));
out:
    return status;
}

/* GELU(up): one projection and two dealt groups less. Four rounds. */
static enum base_status plain(const struct eng_step *step, struct mpc_wire x, struct mpc_wire *ret_h)
{
    struct mpc_party *p = step->p;
    const struct eng_decoder *d = step->decoder;
    const struct eng_plan *plan = d->form.plan;
    const struct eng_layer_plan *l = &plan->layer[step->layer];
    const int *b = l->bits;
    int fu = plan->fu, cut = plan->fx + plan->fw - fu, cut_g = l->ft[ENG_NORM_MLP] + fu - plan->fg;
    enum base_status status = BASE_OK;

    struct mpc_share share = mpc_share_matmul(p, x, step->n, &d->form.weights->layer[step->layer].up);
    struct mpc_wire u = mpc_cut(p, share, plan->ring, cut, eng_bound(fu, b[ENG_UG]), false, "u_up");
    struct mpc_wire s = eng_sum_squares(step, x, ENG_NORM_MLP), t;
    TRY(mpc_round(p));

    sec_spline_eval(p, &d->form.gates->layer[step->layer].norm[ENG_NORM_MLP], s, &t, "rsqrt");
    TRY(mpc_round(p));

    share = mpc_share_mul(p, u, t, d->form.shape->ffn, cut_g + plan->kg);
    struct mpc_wire g = mpc_cut(p, share, cut_g + plan->kg, cut_g, eng_bound(plan->fg, b[ENG_G]), true, "g");
    TRY(mpc_round(p));

    *ret_h = sec_segments_eval(p, &d->form.gates->activation, g, NULL, plan->f_silu - fu,
                               eng_bound(fu, b[ENG_H]), "gelu(g)");
    TRY(mpc_round(p));
out:
    return status;
}

enum base_status eng_mlp_run(const struct eng_step *step, struct mpc_wire x, struct mpc_wire *ret)
{
    enum base_status status = BASE_OK;
    struct mpc_wire h;
    TRY(step->decoder->form.shape->activation == ENG_ACTIVATION_GELU ? plain(step, x, &h)
                                                                     : gated(step, x, &h));
    TRY(eng_residual_add(step, x, h, &step->decoder->form.weights->layer[step->layer].down, ENG_YD, ret));
out:
    return status;
}

enum base_status eng_layer_run(const struct eng_step *step, struct mpc_wire x, struct mpc_wire *ret)
{
    enum base_status status = BASE_OK;
    struct mpc_wire o, middle;
    TRY(eng_attention_run(step, x, &o));
    TRY(eng_residual_add(step, x, o, &step->decoder->form.weights->layer[step->layer].o, ENG_YO, &middle));
    TRY(eng_mlp_run(step, middle, ret));
out:
    return status;
}
