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

/* g = t u as the layer's activation reads it: by segments a few bits, whose mask nobody is dealt; by a wave a
 * wire of its own, because g / 2 is added to what the wave gives. Queues one opening. */
static struct mpc_wire activation_input(const struct eng_step *step, struct mpc_wire u, struct mpc_wire t)
{
    struct mpc_party *p = step->p;
    const struct eng_plan *plan = step->decoder->form.plan;
    const struct eng_layer_plan *l = &plan->layer[step->layer];
    bool wave = l->wave != ENG_WAVE_NONE;
    int fraction = wave ? SEC_WAVE_INPUT : plan->fg, bits = wave ? SEC_WAVE_RING : plan->kg;
    int cut = l->ft[ENG_NORM_MLP] + plan->fu - fraction;
    struct mpc_share share = mpc_share_mul(p, u, t, step->decoder->form.shape->ffn, cut + bits);
    return mpc_cut(p, share, cut + bits, cut, eng_bound(fraction, l->bits[ENG_G]), !wave, "g");
}

/* h = f(g) times, or f(g) without: one round by segments, two by a wave. */
static enum base_status activate(const struct eng_step *step, struct mpc_wire g, const struct mpc_wire *times,
                                 struct mpc_wire *ret_h)
{
    struct mpc_party *p = step->p;
    const struct eng_plan *plan = step->decoder->form.plan;
    const struct eng_gates *gates = step->decoder->form.gates;
    const struct eng_layer_plan *l = &plan->layer[step->layer];
    int bound = eng_bound(plan->fu, l->bits[ENG_H]), ring = plan->ring - plan->f_silu,
        more = SEC_WAVE_OUTPUT - plan->fu;
    enum base_status status = BASE_OK;
    if (l->wave == ENG_WAVE_NONE) {
        *ret_h = sec_segments_eval(p, &gates->activation, g, times,
                                   times != NULL ? plan->f_silu : plan->f_silu - plan->fu, bound,
                                   times != NULL ? "silu(g) p" : "gelu(g)");
        return mpc_round(p);
    }
    struct mpc_wire psi = sec_wave_eval(p, &gates->wave[l->wave], g, "wave");
    TRY(mpc_round(p));
    struct mpc_wire v = sec_wave_add(p, psi, g, SEC_WAVE_RING - 3);
    if (times != NULL)
        *ret_h = mpc_cut(p, mpc_share_mul(p, v, *times, 1, ring + SEC_WAVE_OUTPUT), ring + SEC_WAVE_OUTPUT,
                         SEC_WAVE_OUTPUT, bound, false, "activation");
    else
        *ret_h = mpc_extend(p, v, ring + more, "activation");
    TRY(mpc_round(p));
    if (times == NULL)
        *ret_h = mpc_truncate(p, *ret_h, more, bound, "h");
out:
    return status;
}

/* SiLU(gate) up: u_gate, u_up and sum x^2; t = rho / rms; g and p; h. Four rounds, five by a wave. */
static enum base_status gated(const struct eng_step *step, struct mpc_wire x, struct mpc_wire *ret_h)
{
    struct mpc_party *p = step->p;
    const struct eng_decoder *d = step->decoder;
    const struct eng_plan *plan = d->form.plan;
    const struct eng_layer_weights *w = &d->form.weights->layer[step->layer];
    const struct eng_layer_plan *l = &plan->layer[step->layer];
    const int *b = l->bits;
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

    struct mpc_wire g = activation_input(step, ug, t);
    struct mpc_wire u = mpc_cut(p, mpc_share_mul(p, up, t, d->form.shape->ffn, plan->ring), plan->ring, ft,
                                eng_bound(fu, b[ENG_P]), false, "p");
    TRY(mpc_round(p));
    TRY(activate(step, g, &u, ret_h));
out:
    return status;
}

/* GELU(up): one projection and two dealt groups less. */
static enum base_status plain(const struct eng_step *step, struct mpc_wire x, struct mpc_wire *ret_h)
{
    struct mpc_party *p = step->p;
    const struct eng_decoder *d = step->decoder;
    const struct eng_plan *plan = d->form.plan;
    int fu = plan->fu, cut = plan->fx + plan->fw - fu;
    enum base_status status = BASE_OK;

    struct mpc_share share = mpc_share_matmul(p, x, step->n, &d->form.weights->layer[step->layer].up);
    struct mpc_wire u = mpc_cut(p, share, plan->ring, cut,
                                eng_bound(fu, plan->layer[step->layer].bits[ENG_UG]), false, "u_up");
    struct mpc_wire s = eng_sum_squares(step, x, ENG_NORM_MLP), t;
    TRY(mpc_round(p));

    sec_spline_eval(p, &d->form.gates->layer[step->layer].norm[ENG_NORM_MLP], s, &t, "rsqrt");
    TRY(mpc_round(p));

    struct mpc_wire g = activation_input(step, u, t);
    TRY(mpc_round(p));
    TRY(activate(step, g, NULL, ret_h));
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
