#include "protocols/spline.h"

#include "base/memory.h"
#include "base/realmath.h"

#include <math.h>
#include <string.h>

static double function_value(const struct sec_spline_function *f, double x)
{
    double inner = x * f->unit + f->offset;
    return f->power == SEC_POWER_INVERSE ? f->scale / inner : f->scale / sqrt(inner);
}

/* --- tables ----------------------------------------------------------------------------------------------------------------- */

static int64_t next_knot(int64_t x, int64_t high, int per_octave)
{
    int64_t base = INT64_C(1) << (63 - __builtin_clzll((unsigned long long)x)), step = base / per_octave;
    step = step < 1 ? 1 : step;
    int64_t next = (x / step + 1) * step;
    return next > high ? high : next;
}

static size_t place_knots(const struct sec_spline_form *form, int64_t *ret_knot)
{
    size_t n = 0;
    int64_t x = form->low;
    if (ret_knot != NULL) {
        ret_knot[0] = 0;
        ret_knot[1] = x;
    }
    for (n = 2; x < form->high; n++) {
        x = next_knot(x, form->high, form->per_octave);
        if (ret_knot != NULL)
            ret_knot[n] = x;
    }
    return x >= INT64_C(1) << form->k ? n - 1 : n;
}

/* Nearest integer at any size: from 2^51 on a double has at most one fraction bit, which may be dropped. */
static int64_t nearest(double x)
{
    return fabs(x) < 0x1p51 ? base_nearest(x) : (int64_t)x;
}

/* The line through both ends of [x0, x1), shifted so that the largest errors above and below are equal. */
static void fit_piece(struct sec_spline *gate, int e, size_t i, int64_t x0, int64_t x1)
{
    enum { SAMPLES = 9 };
    const struct sec_spline_function *f = &gate->form.function[e];
    double scale = base_power_of_two(gate->form.F), first = function_value(f, (double)x0), slope = 0, high = 0, low = 0;
    int64_t length = x1 - 1 - x0;
    if (length > 0)
        slope = (function_value(f, (double)(x1 - 1)) - first) / (double)length;
    for (int s = 0; s < SAMPLES && length > 0; s++) {
        double t = (double)length * s / (SAMPLES - 1), d = function_value(f, (double)x0 + t) - (first + slope * t);
        high = fmax(high, d);
        low = fmin(low, d);
    }
    int64_t B = nearest(slope * scale), A = nearest((first + (high + low) / 2) * scale);
    gate->slope[e][i] = B;
    gate->value[e][i] = (int64_t)((uint64_t)A - (uint64_t)B * (uint64_t)x0);
    for (int s = 0; s < SAMPLES; s++) {
        double t = (double)length * s / (SAMPLES - 1), exact = function_value(f, (double)x0 + t);
        gate->error[e] = fmax(gate->error[e], fabs(((double)A + (double)B * t) / scale / exact - 1));
    }
}

static void fit(struct sec_spline *gate)
{
    for (int e = 0; e < gate->form.functions; e++)
        for (size_t i = 0; i < gate->pieces; i++) {
            int64_t x0 = gate->knot[i], x1 = i + 1 < gate->pieces ? gate->knot[i + 1] : INT64_C(1) << gate->form.k;
            if (i > 0 && x0 < gate->form.high) {
                fit_piece(gate, e, i, x0, x1);
                continue;
            }
            double end = function_value(&gate->form.function[e], (double)(i == 0 ? gate->form.low : gate->form.high));
            gate->value[e][i] = nearest(end * base_power_of_two(gate->form.F));
            gate->slope[e][i] = 0;
        }
}

enum base_status sec_spline_init(struct sec_spline *ret, struct sec_spline_form form, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct sec_spline gate = {.form = form};
    TRY_THAT(form.low > 0 && form.low < form.high && form.high <= INT64_C(1) << form.k && form.k <= 40, error, BASE_ERR_RANGE,
             "spline: the range %lld..%lld does not fit %d bits: recompute the plan", (long long)form.low, (long long)form.high, form.k);
    gate.pieces = place_knots(&form, NULL);
    TRY(base_alloc(&gate.knot, gate.pieces + 1, sizeof *gate.knot, error));
    for (int e = 0; e < form.functions; e++) {
        TRY(base_alloc(&gate.value[e], gate.pieces, sizeof *gate.value[e], error));
        TRY(base_alloc(&gate.slope[e], gate.pieces, sizeof *gate.slope[e], error));
    }
    (void)place_knots(&form, gate.knot);
    fit(&gate);
    *ret = gate;
    return BASE_OK;
out:
    sec_spline_finish(&gate);
    return status;
}

void sec_spline_finish(struct sec_spline *gate)
{
    base_free(&gate->knot);
    for (int e = 0; e < SEC_SPLINE_FUNCTIONS; e++) {
        base_free(&gate->value[e]);
        base_free(&gate->slope[e]);
    }
}

/* --- the gate ---------------------------------------------------------------------------------------------------------------- */

static struct kern_dpf_shape shape_of(const struct sec_spline *gate)
{
    return (struct kern_dpf_shape){.domain_bits = gate->form.k, .groups = 2, .rings = {gate->form.ring, gate->form.ring}};
}

struct mpc_cost sec_spline_cost(const struct sec_spline *gate, size_t n)
{
    struct kern_dpf_shape shape = shape_of(gate);
    struct mpc_cost cost = {0, 0, 2 * sec_dcf_size(&shape, n) + mpc_bits(n, gate->form.ring)};
    for (int e = 0; e < gate->form.functions; e++)
        cost = mpc_cost_add(cost, mpc_open_share_cost(n, gate->form.ring, gate->form.F - gate->form.function[e].fo));
    return cost;
}

static size_t find_piece(const struct sec_spline *gate, int64_t x)
{
    size_t low = 0, high = gate->pieces;
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        if (gate->knot[middle] <= x)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static void clear(struct mpc_party *p, const struct sec_spline *gate, const uint64_t *x, size_t n, uint64_t **ret)
{
    mpc_check_range(p, "spline input", x, n, gate->form.low, gate->form.high);
    for (int e = 0; e < gate->form.functions; e++) {
        ret[e] = mpc_words(p, n);
        for (size_t i = 0; ret[e] != NULL && i < n; i++) {
            size_t piece = find_piece(gate, (int64_t)x[i]);
            uint64_t y = (uint64_t)gate->value[e][piece] + (uint64_t)gate->slope[e][piece] * x[i];
            ret[e][i] = (uint64_t)mpc_round_shift((int64_t)y, gate->form.F - gate->form.function[e].fo);
        }
    }
}

static void deal(struct mpc_party *p, const struct sec_spline *gate, const uint64_t *mask, size_t n)
{
    uint8_t *root1, *root2;
    struct kern_dpf_shape shape = shape_of(gate);
    sec_roots(p, n, &root1, &root2);
    uint64_t *beta = mpc_words(p, 2 * n);
    for (size_t i = 0; !mpc_failed(p) && i < n; i++) {
        beta[i] = 1;
        beta[n + i] = mask[i];
    }
    sec_dcf_deal(p, &shape, n, mask, beta, root1, root2);
    if (!mpc_failed(p))
        mpc_deal(p, n, gate->form.ring, mask);
}

/* Share of the payload on {x >= knot_i, x < knot_(i+1)}, split into the part with w = 0 (ret0) and w = 1 (ret1), from the DCF at
 * the points tau_i - 1 mod 2^k, tau_i = m + 1 - knot_i. upper(tau) = share of beta [lambda >= tau]. */
static void piece_shares(int64_t high, int64_t low, const uint64_t *at, uint64_t total, uint64_t *ret0, uint64_t *ret1)
{
    /* at[0] belongs to high = tau_i, at[1] to low = tau_(i+1) <= high; a DCF value at point -1 mod 2^k stands for tau = 0. All
     * conditions are on public numbers. */
    uint64_t from_low = low <= 0 ? total : at[1];
    *ret0 = high > 0 ? from_low - at[0] : 0;
    uint64_t negative_low = low == 0 ? 0 : at[1], negative_high = high >= 0 ? 0 : at[0];
    *ret1 = low < 0 ? negative_low - negative_high : 0;
}

/* dcf: f(x) = beta [x < lambda] at x = tau - 1 mod 2^k is beta [lambda >= tau] for tau in [1, 2^k]. */
static void eval_one(const struct sec_spline *gate, uint64_t m, const uint64_t *at, const uint64_t *total, uint64_t **ret, size_t row)
{
    size_t points = gate->pieces + 1;
    uint64_t N = UINT64_C(1) << gate->form.k, sum[SEC_SPLINE_FUNCTIONS] = {0};
    for (size_t i = 0; i < gate->pieces; i++) {
        int64_t high = (int64_t)m + 1 - gate->knot[i];
        int64_t low = (int64_t)m + 1 - (i + 1 < gate->pieces ? gate->knot[i + 1] : (int64_t)N);
        uint64_t one0, one1, mask0, mask1;
        piece_shares(high, low, at + i, total[0], &one0, &one1);
        piece_shares(high, low, at + points + i, total[1], &mask0, &mask1);
        for (int e = 0; e < gate->form.functions; e++) {
            uint64_t a = (uint64_t)gate->value[e][i], b = (uint64_t)gate->slope[e][i];
            sum[e] += (a + b * m) * one0 + (a + b * (m + N)) * one1 - b * (mask0 + mask1);
        }
    }
    for (int e = 0; e < gate->form.functions; e++)
        ret[e][row] = sum[e];
}

static void eval(struct mpc_party *p, const struct sec_spline *gate, const uint64_t *m, size_t n, uint64_t **ret)
{
    uint8_t *root1, *root2;
    struct kern_dpf_shape shape = shape_of(gate);
    struct kern_dcf_keys keys;
    size_t points = gate->pieces + 1;
    sec_roots(p, n, &root1, &root2);
    if (!sec_dcf_receive(p, &shape, n, &keys))
        return;
    const uint64_t *total = mpc_deal(p, n, gate->form.ring, NULL);
    uint64_t *x = mpc_words(p, n * points), *values = mpc_words(p, 2 * n * points), *at = mpc_words(p, 2 * points);
    for (int e = 0; e < gate->form.functions; e++)
        ret[e] = mpc_words(p, n);
    if (mpc_failed(p))
        return;
    uint64_t keep = kern_ring_mask(gate->form.k);
    for (size_t i = 0; i < n; i++)
        for (size_t q = 0; q < points; q++)
            x[i * points + q] = (m[i] - (q < gate->pieces ? (uint64_t)gate->knot[q] : UINT64_C(1) << gate->form.k)) & keep;
    p->kern->dcf_eval(&keys, sec_side(p), p->role == MPC_LEFT ? root1 : root2, x, points, values);
    for (size_t i = 0; i < n; i++) {
        uint64_t whole[2] = {p->role == MPC_RIGHT, total[i]};
        memcpy(at, values + i * points, points * sizeof *at);
        memcpy(at + points, values + (n + i) * points, points * sizeof *at);
        eval_one(gate, m[i], at, whole, ret, i);
    }
}

void sec_spline_eval(struct mpc_party *p, const struct sec_spline *gate, struct mpc_wire x, struct mpc_wire *ret,
                     const char *label)
{
    size_t n = x.count;
    uint64_t *share[SEC_SPLINE_FUNCTIONS] = {NULL};
    if (mpc_failed(p))
        return;
    sec_declare_dealt(p, sec_spline_cost(gate, n));
    if (p->role == MPC_HELPER)
        deal(p, gate, sec_read_mask(p, x, gate->form.k), n);
    else if (p->role == MPC_CLEAR)
        clear(p, gate, x.x, n, share);
    else if (mpc_computes(p))
        eval(p, gate, sec_read_open(p, x, gate->form.k, 0), n, share);
    for (int e = 0; e < gate->form.functions; e++) {
        const struct sec_spline_function *f = &gate->form.function[e];
        ret[e] = mpc_open_share(p, share[e], n, (struct mpc_opening_form){.ring = gate->form.ring, .f = gate->form.F - f->fo,
                                .frac = f->fo, .bound = f->bound, .ulp = 0.5, .label = label});
    }
}

/* --- conformance --------------------------------------------------------------------------------------------------------------- */

static const struct sec_spline_form standard_reciprocal = {
    .k = 24, .low = 1 << 12, .high = 1 << 24, .per_octave = 16, .F = 48, .ring = 64, .functions = 1,
    .function = {{SEC_POWER_INVERSE, .scale = 4096.0, .unit = 1.0, .fo = 18, .bound = 19}}};
static const struct sec_spline_form standard_root = {
    .k = 28, .low = 1 << 14, .high = 1 << 28, .per_octave = 32, .F = 44, .ring = 64, .functions = 2,
    .function = {{SEC_POWER_INVERSE_ROOT, .scale = 1.0, .unit = 0x1p-20, .offset = 1e-5, .fo = 16, .bound = 20},
                 {SEC_POWER_INVERSE, .scale = 1.0, .unit = 0x1p-20, .offset = 1e-5, .fo = 14, .bound = 21}}};

static void sample(int64_t *ret_x, size_t count, uint64_t seed)
{
    const int64_t low = 1 << 14, high = (1 << 24) - 1, edges[] = {low, low + 1, high, 1 << 20, (1 << 20) - 1};
    for (size_t i = 0; i < count; i++) {
        sec_sample_step(&seed);
        int64_t x = low + (int64_t)((seed >> 20) % (uint64_t)(high - low));
        ret_x[i] = i < sizeof edges / sizeof *edges ? edges[i] : x >> (seed % 10) < low ? low : x >> (seed % 10);
    }
}

static enum base_status run_form(struct mpc_party *p, struct sec_spline_form form, struct mpc_wire x, struct mpc_wire *ret)
{
    struct sec_spline gate = {0};
    struct mpc_wire y[SEC_SPLINE_FUNCTIONS] = {{0}};
    enum base_status status = BASE_OK;
    TRY(sec_spline_init(&gate, form, &p->error));
    sec_spline_eval(p, &gate, x, y, "spline");
    TRY(mpc_round(p));
    *ret = y[0];
out:
    sec_spline_finish(&gate);
    return status;
}

static enum base_status run_reciprocal(struct mpc_party *p, struct mpc_wire x, struct mpc_wire *ret)
{
    return run_form(p, standard_reciprocal, x, ret);
}

static enum base_status run_root(struct mpc_party *p, struct mpc_wire x, struct mpc_wire *ret)
{
    return run_form(p, standard_root, x, ret);
}

static struct mpc_cost cost_reciprocal(size_t count)
{
    struct sec_spline gate = {.form = standard_reciprocal};
    struct mpc_cost cost = sec_spline_cost(&gate, count);
    cost.rounds = 1;
    return cost;
}

static struct mpc_cost cost_root(size_t count)
{
    struct sec_spline gate = {.form = standard_root};
    struct mpc_cost cost = sec_spline_cost(&gate, count);
    cost.rounds = 1;
    return cost;
}

const struct sec_gate sec_gate_reciprocal = {.name = "reciprocal", .source = "specification, curves.py: Spline", .input_ring = 40,
                                             .input_frac = 0, .input_bound = 25, .unit = 1, .sample = sample, .run = run_reciprocal,
                                             .cost = cost_reciprocal};
const struct sec_gate sec_gate_inverse_root = {.name = "inverse-root", .source = "specification, curves.py: Spline", .input_ring = 40,
                                               .input_frac = 0, .input_bound = 25, .unit = 1, .sample = sample, .run = run_root,
                                               .cost = cost_root};
