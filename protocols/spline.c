#include "protocols/spline.h"

#include "base/memory.h"
#include "base/realmath.h"
#include "protocols/pieces.h"
#include "protocols/windows.h"

#include <math.h>

static double function_value(const struct sec_spline_function *f, double x)
{
    double inner = x * f->unit + f->offset;
    switch (f->power) {
    case SEC_POWER_INVERSE:
        return f->scale / inner;
    case SEC_POWER_INVERSE_ROOT:
        return f->scale / sqrt(inner);
    case SEC_POWER_ROOT:
        break;
    }
    return f->scale * sqrt(inner);
}

/* --- tables ----------------------------------------------------------------------------------------------------------------- */

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
    int64_t B = sec_pieces_nearest(slope * scale), A = sec_pieces_nearest((first + (high + low) / 2) * scale);
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
            gate->value[e][i] = sec_pieces_nearest(end * base_power_of_two(gate->form.F));
            gate->slope[e][i] = 0;
        }
}

static double grid_value(const void *context, int e, double x)
{
    const struct sec_spline_form *form = context;
    return function_value(&form->function[e], x);
}

static enum base_status init_grid(struct sec_spline *gate, struct base_error *error)
{
    const struct sec_spline_form *form = &gate->form;
    struct sec_grid_form grid = {.k = form->k, .low = form->low, .high = form->high, .F = form->F, .ring = form->ring, .functions = form->functions,
                                 .value = grid_value, .context = form};
    for (int e = 0; e < form->functions; e++) {
        grid.fo[e] = form->function[e].fo;
        grid.bound[e] = form->function[e].bound;
    }
    return sec_grid_init(&gate->grid, grid, error);
}

enum base_status sec_spline_init(struct sec_spline *ret, struct sec_spline_form form, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct sec_spline gate = {.form = form};
    TRY_THAT(form.low > 0 && form.low < form.high && form.high <= INT64_C(1) << form.k && form.k <= 40, error, BASE_ERR_RANGE,
             "spline: the range %lld..%lld does not fit %d bits: recompute the plan", (long long)form.low, (long long)form.high, form.k);
    gate.pieces = sec_pieces_place(form.k, form.low, form.high, form.per_octave, NULL);
    TRY(base_alloc(&gate.knot, gate.pieces + 1, sizeof *gate.knot, error));
    for (int e = 0; e < form.functions; e++) {
        TRY(base_alloc(&gate.value[e], gate.pieces, sizeof *gate.value[e], error));
        TRY(base_alloc(&gate.slope[e], gate.pieces, sizeof *gate.slope[e], error));
    }
    (void)sec_pieces_place(form.k, form.low, form.high, form.per_octave, gate.knot);
    fit(&gate);
    if (form.pair)
        TRY(init_grid(&gate, error));
    *ret = gate;
    return BASE_OK;
out:
    sec_spline_finish(&gate);
    return status;
}

void sec_spline_finish(struct sec_spline *gate)
{
    base_free(&gate->knot);
    sec_grid_finish(&gate->grid);
    for (int e = 0; e < SEC_SPLINE_FUNCTIONS; e++) {
        base_free(&gate->value[e]);
        base_free(&gate->slope[e]);
    }
}

/* --- the gate ---------------------------------------------------------------------------------------------------------------- */

static struct sec_pieces pieces_of(const struct sec_spline *gate)
{
    return (struct sec_pieces){.k = gate->form.k, .ring = gate->form.ring, .payloads = 2, .count = gate->pieces, .knot = gate->knot,
                               .short_from = gate->pieces,
                               .good = sec_pieces_good(gate->form.k, gate->form.high, gate->pieces)};
}

struct mpc_cost sec_spline_cost(const struct sec_spline *gate, size_t n)
{
    struct mpc_cost cost = sec_pieces_cost(gate->form.k, gate->form.ring, 2, n);
    for (int e = 0; e < gate->form.functions; e++)
        cost = mpc_cost_add(cost, mpc_open_share_cost(n, gate->form.ring, gate->form.F - gate->form.function[e].fo));
    return cost;
}

static void clear(struct mpc_party *p, const struct sec_spline *gate, const uint64_t *x, size_t n, uint64_t **ret)
{
    struct sec_pieces pieces = pieces_of(gate);
    mpc_check_range(p, "spline input", x, n, gate->form.low, gate->form.high);
    sec_pieces_watch(p, &pieces, x, n);
    for (int e = 0; e < gate->form.functions; e++) {
        ret[e] = mpc_words(p, n);
        for (size_t i = 0; ret[e] != NULL && i < n; i++) {
            size_t piece = sec_pieces_find(&pieces, (int64_t)x[i]);
            uint64_t y = (uint64_t)gate->value[e][piece] + (uint64_t)gate->slope[e][piece] * x[i];
            ret[e][i] = (uint64_t)mpc_round_shift((int64_t)y, gate->form.F - gate->form.function[e].fo);
        }
    }
}

static void combine(const void *context, uint64_t m, const struct sec_piece_shares *shares, uint64_t *ret)
{
    const struct sec_spline *gate = context;
    for (int e = 0; e < gate->form.functions; e++) {
        ret[e] = 0;
        for (size_t i = 0; i < gate->pieces; i++)
            ret[e] += sec_piece_line(shares, i, 0, (uint64_t)gate->value[e][i], (uint64_t)gate->slope[e][i], m, UINT64_C(1) << gate->form.k);
    }
}

void sec_spline_eval(struct mpc_party *p, const struct sec_spline *gate, struct mpc_wire x, struct mpc_wire *ret,
                     const char *label)
{
    size_t n = x.count;
    struct sec_pieces pieces = pieces_of(gate);
    uint64_t *share[SEC_SPLINE_FUNCTIONS] = {NULL};
    if (!mpc_failed(p) && gate->form.pair)
        sec_grid_eval(p, &gate->grid, x, ret, label);
    if (mpc_failed(p) || gate->form.pair)
        return;
    sec_declare_dealt(p, sec_spline_cost(gate, n));
    if (p->role == MPC_HELPER) {
        const uint64_t *mask = sec_read_mask(p, x, gate->form.k);
        sec_pieces_deal(p, &pieces, mask, mask, n);
    } else if (p->role == MPC_CLEAR)
        clear(p, gate, x.x, n, share);
    else if (mpc_computes(p))
        sec_pieces_eval(p, &pieces, sec_read_open(p, x, gate->form.k, 0), n, combine, gate, gate->form.functions, share);
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
    form.pair = p->maker != NULL;
    if (form.pair) { /* the samples' range, and two cells more */
        form.k = 25;
        form.low = 1 << 14;
        form.high = 1 << 24;
    }
    TRY(sec_spline_init(&gate, form, &p->error));
    sec_spline_eval(p, &gate, x, y, "spline");
    TRY(mpc_round(p));
    *ret = y[0];
out:
    sec_spline_finish(&gate);
    return status;
}

/* Between two parties by windows, and in the whole ring. */
static enum base_status run_windows(struct mpc_party *p, struct mpc_wire x, struct mpc_wire *ret)
{
    struct sec_windows gate = {0};
    struct sec_windows_reading reading;
    enum base_status status = BASE_OK;
    struct sec_spline_form form = standard_reciprocal;
    struct sec_grid_form grid = {.k = form.k + 1, .low = form.low, .high = form.high, .F = form.F, .ring = form.ring, .functions = 1,
                                 .fo = {form.function[0].fo}, .bound = {form.function[0].bound}, .value = grid_value, .context = &form};
    TRY(sec_windows_init(&gate, grid, &p->error));
    reading = sec_windows_eval(p, &gate, x, "windows");
    TRY(mpc_round(p));
    *ret = sec_windows_choose(p, &gate, &reading, form.ring, "chosen");
    TRY(mpc_round(p));
out:
    sec_windows_finish(&gate);
    return status;
}

static enum base_status run_reciprocal(struct mpc_party *p, struct mpc_wire x, struct mpc_wire *ret)
{
    return p->maker != NULL ? run_windows(p, x, ret) : run_form(p, standard_reciprocal, x, ret);
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
