#include "engine/layer.h"

struct mpc_wire eng_sum_squares(const struct eng_step *step, struct mpc_wire x, int norm)
{
    const struct eng_plan *plan = step->decoder->form.plan;
    int cut = 2 * plan->fx - plan->layer[step->layer].fs[norm], ring = cut + plan->kn;
    struct mpc_cost *before = eng_account(step, ENG_CLASS_NORM);
    ring = ring < plan->ring ? ring : plan->ring;
    struct mpc_share s = mpc_share_squares(step->p, mpc_reduce(step->p, x, ring), step->decoder->form.shape->width);
    struct mpc_wire sum = mpc_cut(step->p, s, ring, cut, plan->kn - 1, true, "sum x^2");
    step->p->account = before;
    return sum;
}

enum base_status eng_residual_add(const struct eng_step *step, struct mpc_wire x, struct mpc_wire h,
                                  struct eng_output output, struct mpc_wire *ret)
{
    struct mpc_party *p = step->p;
    const struct eng_plan *plan = step->decoder->form.plan;
    const int *b = plan->layer[step->layer].bits;
    enum base_status status = BASE_OK;
    (void)eng_account(step, ENG_CLASS_LINEAR);
    struct mpc_share bias = {0};
    if (output.bias->outs > 0)
        bias = mpc_share_of_row(p, output.bias, step->n);
    struct mpc_wire y = mpc_cut_matmul(p, h, step->n, output.matrix, output.bias->outs > 0 ? &bias : NULL,
                                       (struct mpc_cut_form){plan->fx, eng_bound(plan->fx, b[output.wire]), eng_wire_name(output.wire)});
    TRY(mpc_round(p));
    y = mpc_extend(p, y, plan->ring, "extend");
    TRY(mpc_round(p));
    *ret = mpc_add(p, x, y, 1, eng_bound(plan->fx, b[ENG_X] + 1));
    mpc_check_bound(p, "x", ret);
out:
    return status;
}

/* x W, of gate and up or one of them, in the ring of their weights. Queues an opening for each. */
static void project(const struct eng_step *step, struct mpc_wire x, const struct mpc_matrix *const *w, const enum eng_wire *wire, size_t count,
                    struct mpc_wire *ret)
{
    const struct eng_plan *plan = step->decoder->form.plan;
    struct mpc_share share[2];
    mpc_share_matmul_stacked(step->p, x, step->n, w, count, share);
    for (size_t i = 0; i < count; i++)
        ret[i] = mpc_cut(step->p, share[i], share[i].ring, eng_plan_linear_cut(plan), eng_bound(plan->fu, plan->layer[step->layer].bits[wire[i]]), false,
                         wire[i] == ENG_UG ? "u_gate" : "u_up");
}

static struct eng_reading reading_of(const struct eng_step *step)
{
    const struct eng_layer_plan *l = &step->decoder->form.plan->layer[step->layer];
    struct eng_reading r = eng_plan_activation_reading(step->decoder->form.plan, step->layer);
    if (l->wave != ENG_WAVE_NONE)
        r.ring = step->decoder->form.gates->wave[l->wave].k;
    return r;
}

/* g = t u from its share, and its bias where the MLP has no gate: for segments a few bits, whose mask nobody is dealt; for a
 * wave a wire of its own, because g / 2 is added to what the wave gives. Queues one opening. */
static struct mpc_wire activation_input(const struct eng_step *step, struct mpc_share share)
{
    struct mpc_party *p = step->p;
    const struct eng_layer_plan *l = &step->decoder->form.plan->layer[step->layer];
    struct eng_reading r = reading_of(step);
    const struct mpc_matrix *bias = &step->decoder->form.weights->layer[step->layer].up_bias;
    if (bias->outs > 0)
        mpc_share_add(p, &share, mpc_share_of_row(p, bias, step->n));
    return mpc_cut(p, share, r.cut + r.ring, r.cut, eng_bound(r.fraction, l->bits[ENG_G]),
                   l->wave == ENG_WAVE_NONE, "g");
}

/* h = f(g) times, or f(g) without: one round by segments, two by a wave. */
static enum base_status activate(const struct eng_step *step, struct mpc_wire g, const struct mpc_wire *times,
                                 struct mpc_wire *ret_h)
{
    struct mpc_party *p = step->p;
    const struct eng_plan *plan = step->decoder->form.plan;
    const struct eng_gates *gates = step->decoder->form.gates;
    const struct eng_layer_plan *l = &plan->layer[step->layer];
    int bound = eng_bound(plan->fu, l->bits[ENG_H]), ring = eng_plan_product_ring(plan, step->layer, ENG_PRODUCT_DOWN),
        more = SEC_WAVE_OUTPUT - plan->fu;
    enum base_status status = BASE_OK;
    const struct eng_layer_gates *own = &gates->layer[step->layer];
    (void)eng_account(step, ENG_CLASS_ACTIVATION);
    sec_guard_eval(p, &own->guard_activation, g, own->guard_activation_offset, "g");
    if (l->wave == ENG_WAVE_NONE) {
        *ret_h = sec_segments_eval(p, &gates->activation, g, times,
                                   times != NULL ? plan->f_silu : plan->f_silu - plan->fu, bound,
                                   times != NULL ? "silu(g) p" : "gelu(g)");
        return mpc_round(p);
    }
    struct mpc_wire psi = sec_wave_eval(p, &gates->wave[l->wave], g, "wave");
    TRY(mpc_round(p));
    struct mpc_wire v = sec_wave_add(p, &gates->wave[l->wave], psi, g);
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
    const struct eng_layer_plan *l = &d->form.plan->layer[step->layer];
    int ft = l->ft[ENG_NORM_MLP], fu = d->form.plan->fu;
    enum base_status status = BASE_OK;

    const struct eng_layer_weights *w = &d->form.weights->layer[step->layer];
    struct mpc_wire both[2], s, t;
    project(step, x, (const struct mpc_matrix *const[]){&w->gate, &w->up}, (const enum eng_wire[]){ENG_UG, ENG_UP}, 2, both);
    struct mpc_wire ug = both[0], up = both[1];
    s = eng_sum_squares(step, x, ENG_NORM_MLP);
    TRY(mpc_round(p));

    (void)eng_account(step, ENG_CLASS_NORM);
    sec_spline_eval(p, &d->form.gates->layer[step->layer].norm[ENG_NORM_MLP], s, &t, "rsqrt");
    struct eng_reading r = reading_of(step);
    int ring = eng_plan_up_ring(d->form.plan, step->layer), ring_g = r.cut + r.ring;
    ug = mpc_ready(p, ug, ring_g, "u_gate ready");
    up = mpc_ready(p, up, ring, "u_up ready");
    TRY(mpc_round(p));
    t = mpc_ready(p, t, ring > ring_g ? ring : ring_g, "t ready");
    TRY(eng_ready_round(step));

    size_t ffn = d->form.shape->ffn;
    struct mpc_factor factor[] = {{ug, ffn, ring_g}, {up, ffn, ring}};
    struct mpc_share times_t[2];
    mpc_share_mul_all(p, factor, 2, t, times_t);
    struct mpc_wire g = activation_input(step, times_t[0]), u = mpc_cut(p, times_t[1], ring, ft, eng_bound(fu, l->bits[ENG_P]), false, "p");
    TRY(mpc_round(p));
    u = mpc_ready(p, u, d->form.gates->activation.form.ring, "p ready");
    TRY(eng_ready_round(step));
    TRY(activate(step, g, &u, ret_h));
out:
    return status;
}

/* GELU(up): one projection and two dealt groups less. */
static enum base_status plain(const struct eng_step *step, struct mpc_wire x, struct mpc_wire *ret_h)
{
    struct mpc_party *p = step->p;
    const struct eng_decoder *d = step->decoder;
    enum base_status status = BASE_OK;

    const struct mpc_matrix *w = &d->form.weights->layer[step->layer].up;
    struct mpc_wire u, s, t;
    project(step, x, &w, (const enum eng_wire[]){ENG_UG}, 1, &u);
    s = eng_sum_squares(step, x, ENG_NORM_MLP);
    TRY(mpc_round(p));

    (void)eng_account(step, ENG_CLASS_NORM);
    sec_spline_eval(p, &d->form.gates->layer[step->layer].norm[ENG_NORM_MLP], s, &t, "rsqrt");
    struct eng_reading r = reading_of(step);
    u = mpc_ready(p, u, r.cut + r.ring, "u ready");
    TRY(mpc_round(p));
    t = mpc_ready(p, t, r.cut + r.ring, "t ready");
    TRY(eng_ready_round(step));

    struct mpc_wire g = activation_input(step, mpc_share_mul(p, u, t, d->form.shape->ffn, r.cut + r.ring));
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
    const struct eng_layer_weights *w = &step->decoder->form.weights->layer[step->layer];
    TRY(eng_residual_add(step, x, h, (struct eng_output){&w->down, &w->down_bias, ENG_YD}, ret));
out:
    return status;
}

enum base_status eng_layer_run(const struct eng_step *step, struct mpc_wire x, struct mpc_wire *ret)
{
    enum base_status status = BASE_OK;
    struct mpc_wire o, middle;
    TRY(eng_attention_run(step, x, &o));
    const struct eng_layer_weights *w = &step->decoder->form.weights->layer[step->layer];
    TRY(eng_residual_add(step, x, o, (struct eng_output){&w->o, &w->o_bias, ENG_YO}, &middle));
    TRY(eng_mlp_run(step, middle, ret));
out:
    return status;
}
