#include "protocols/segments.h"

#include "base/memory.h"
#include "base/realmath.h"
#include "kernels/gather.h"
#include "mpc/lift.h"

#include <math.h>
#include <string.h>

enum { CHUNK = 512, BATCH = 4 };

double sec_curve_value(enum sec_curve curve, double x)
{
    if (curve == SEC_CURVE_SILU)
        return x / (1.0 + base_exp(-x));
    /* tanh form of GELU: 0.5 x (1 + tanh z) = x / (1 + exp(-2 z)) */
    double z = 0.7978845608028654 * (x + 0.044715 * x * x * x);
    return x / (1.0 + base_exp(-2.0 * z));
}

/* Widths that a reading may be off by, and the segment's own. */
static int widths_of(const struct sec_segments *gate)
{
    return gate->form.pair ? 3 : 2;
}

/* Coefficients through three Chebyshev nodes of [-w, w], or [-2 w, w], around the segment's lower end: all readings lie in it. */
static void fit(struct sec_segments *gate)
{
    size_t n = (size_t)1 << gate->form.h;
    double w = base_power_of_two(gate->s - gate->form.fg), low = -base_power_of_two(gate->form.k - 1 - gate->form.fg);
    double middle_at = gate->form.pair ? -w / 2 : 0, t = 0.8660254037844386 * w * widths_of(gate) / 2; /* cos(pi / 6) */
    for (size_t q = 0; q < n; q++) {
        double x = low + (double)q * w + middle_at;
        double minus = sec_curve_value(gate->form.curve, x - t), middle = sec_curve_value(gate->form.curve, x);
        double plus = sec_curve_value(gate->form.curve, x + t);
        double c[3] = {middle, (plus - minus) / (2 * t), (plus - 2 * middle + minus) / (2 * t * t)};
        if (gate->form.pair) {
            c[0] += middle_at * (c[2] * middle_at - c[1]);
            c[1] -= 2 * c[2] * middle_at;
        }
        for (int e = 0; e < 3; e++)
            gate->coefficient[(size_t)e * n + q] = base_nearest(c[e] * base_power_of_two(gate->form.F - e * gate->form.fg));
    }
    for (int e = 0; e < 3; e++)
        for (size_t i = 0; i < 2 * n; i++)
            gate->reversed[(size_t)e * 2 * n + i] = (uint64_t)gate->coefficient[(size_t)e * n + (2 * n - i) % n];
}

static int64_t polynomial(const struct sec_segments *gate, int64_t x, int64_t q)
{
    size_t n = (size_t)1 << gate->form.h;
    int64_t d = x - q * (INT64_C(1) << gate->s);
    return gate->coefficient[q] + gate->coefficient[n + (size_t)q] * d + gate->coefficient[2 * n + (size_t)q] * d * d;
}

static double measure_error(const struct sec_segments *gate)
{
    int64_t end = (INT64_C(1) << gate->form.k) - (INT64_C(1) << gate->s), half = INT64_C(1) << (gate->form.k - 1);
    if (gate->form.pair)
        end -= INT64_C(1) << gate->s;
    int64_t stride = end / 20000 + 1, last = (INT64_C(1) << gate->form.h) - 1;
    double worst = 0, scale = base_power_of_two(-gate->form.F), unit = base_power_of_two(-gate->form.fg);
    for (int64_t x = 0; x < end; x += stride) {
        double exact = sec_curve_value(gate->form.curve, (double)(x - half) * unit);
        for (int64_t q = x >> gate->s, up = q; up < q + widths_of(gate); up++)
            worst = fmax(worst, fabs((double)polynomial(gate, x, up > last ? last : up) * scale - exact));
    }
    return worst;
}

enum base_status sec_segments_init(struct sec_segments *ret, struct sec_segments_form form, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct sec_segments gate = {.form = form, .s = form.k - form.h};
    size_t n = (size_t)1 << form.h;
    TRY_THAT(form.h >= 1 && form.h <= 12 && gate.s >= 0 && form.k <= 30 && form.F <= 40 && form.ring <= 64, error, BASE_ERR_RANGE,
             "segments: %d bits in 2^%d cells with %d fraction bits are not supported", form.k, form.h, form.F);
    TRY(base_alloc(&gate.coefficient, 3 * n, sizeof *gate.coefficient, error));
    TRY(base_alloc(&gate.reversed, 6 * n, sizeof *gate.reversed, error));
    fit(&gate);
    gate.error = measure_error(&gate);
    *ret = gate;
    return BASE_OK;
out:
    sec_segments_finish(&gate);
    return status;
}

void sec_segments_finish(struct sec_segments *gate)
{
    base_free(&gate->coefficient);
    base_free(&gate->reversed);
}

static struct kern_dpf_shape shape_for(const struct sec_segments *gate, int ku)
{
    int R = gate->form.ring;
    struct kern_dpf_shape shape = {.domain_bits = gate->form.h, .groups = ku == 0 ? 3 : ku >= R ? 6 : 9};
    int payload = 0;
    for (int g = 0; g < shape.groups; g++) {
        shape.rings[g] = g < 6 ? R : R - ku;
        payload += shape.rings[g];
    }
    shape.nu = kern_dpf_choose_nu(shape.domain_bits, payload);
    return shape;
}

struct mpc_cost sec_segments_cost(const struct sec_segments *gate, size_t n, int ku, int f)
{
    struct kern_dpf_shape shape = shape_for(gate, ku);
    struct mpc_cost cost = mpc_open_share_cost(n, gate->form.ring, f);
    cost.offline += 2 * sec_dpf_size(&shape, n);
    return cost;
}

static uint64_t *clear(struct mpc_party *p, const struct sec_segments *gate, struct mpc_wire g, const struct mpc_wire *times, int f)
{
    int64_t half = INT64_C(1) << (gate->form.k - 1), end = 2 * half - (INT64_C(1) << (gate->s + gate->form.pair));
    uint64_t *y = mpc_words(p, g.count);
    mpc_check_range(p, "segments input", g.x, g.count, -half, end - half - 1);
    for (size_t i = 0; y != NULL && i < g.count; i++) {
        int64_t x = (int64_t)g.x[i] + half;
        x = x < 0 ? 0 : x >= end ? end - 1 : x; /* a violation is counted above; the table is not left */
        uint64_t v = (uint64_t)polynomial(gate, x, x >> gate->s);
        y[i] = (uint64_t)mpc_round_shift((int64_t)(times == NULL ? v : v * times->x[i]), f);
    }
    return y;
}

/* Payloads (1, b, b^2), times D, times B. */
static void deal(struct mpc_party *p, const struct sec_segments *gate, const uint64_t *mask, size_t n,
                 const struct kern_dpf_shape *shape, const uint64_t *D, const uint64_t *B)
{
    uint8_t *root1, *root2;
    sec_roots(p, n, &root1, &root2);
    uint64_t *a = mpc_words(p, CHUNK), *beta = mpc_words(p, (size_t)shape->groups * CHUNK);
    for (size_t at = 0; at < n && !mpc_failed(p); at += CHUNK) {
        size_t count = n - at < CHUNK ? n - at : CHUNK, mark = base_arena_mark(&p->arena);
        for (size_t i = 0; i < count; i++) {
            uint64_t b = mask[at + i] & kern_ring_mask(gate->s), power[3] = {1, b, b * b};
            a[i] = mask[at + i] >> gate->s;
            for (int g = 0; g < shape->groups; g++) {
                uint64_t factor = g < 3 ? 1 : g < 6 ? D[at + i] : B[at + i];
                beta[(size_t)g * count + i] = power[g % 3] * factor & kern_ring_mask(shape->rings[g]);
            }
        }
        sec_dpf_deal(p, shape, count, a, beta, root1 + 16 * at, root2 + 16 * at);
        base_arena_release(&p->arena, mark);
    }
}

/* Shares of v, v D, v B of one element, one for every group of three: the coefficients by position, from the segment of m down. */
static void contract(struct mpc_party *p, const struct sec_segments *gate, const uint64_t *hot, int groups, uint64_t m, uint64_t *ret)
{
    size_t n = (size_t)1 << gate->form.h;
    const uint64_t *c0 = gate->reversed + (n - (m >> gate->s)), *const c[3] = {c0, c0 + 2 * n, c0 + 4 * n};
    p->kern->segment_dot(ret, hot, c, m & kern_ring_mask(gate->s), n, groups / 3);
}

static uint64_t *eval(struct mpc_party *p, const struct sec_segments *gate, const uint64_t *m, size_t n,
                      const struct kern_dpf_shape *shape)
{
    uint8_t *root1, *root2;
    sec_roots(p, n, &root1, &root2);
    const uint8_t *root = p->role == MPC_LEFT ? root1 : root2;
    size_t cells = (size_t)1 << gate->form.h, width = (size_t)shape->groups * cells;
    size_t groups = (size_t)shape->groups, triples = groups / 3;
    uint64_t *parts = mpc_words(p, triples * n), *hot = mpc_words(p, BATCH * width);
    void *scratch = mpc_bytes(p, kern_dpf_scratch(shape));
    kern_hold(p->kern); /* all chunks are waited for together */
    for (size_t at = 0; at < n && !mpc_failed(p); at += CHUNK) {
        size_t count = n - at < CHUNK ? n - at : CHUNK, mark = base_arena_mark(&p->arena);
        struct kern_dpf_keys keys;
        if (!sec_dpf_receive(p, shape, count, &keys))
            break;
        kern_segment_sums(p->kern, &(struct kern_gate_keys){&keys, sec_side(p), root + 16 * at, 0, count, m + at}, gate->reversed, gate->s,
                          parts + triples * at, &(struct kern_gate_room){BATCH, hot, scratch});
        base_arena_release(&p->arena, mark);
    }
    kern_settle(p->kern);
    return parts;
}

/* P1, P2: shares of v u from shares of (v, v D, v B), `triples` words of each element. */
static uint64_t *combine(struct mpc_party *p, const uint64_t *parts, size_t triples, const struct mpc_wire *u, int ku, size_t n)
{
    uint64_t *share = mpc_words(p, n), *m = NULL, *A = NULL;
    if (u != NULL && ku < 64)
        A = mpc_wrap_open_bit(p, u, &m);
    for (size_t i = 0; !mpc_failed(p) && i < n; i++) {
        const uint64_t *v = parts + triples * i;
        if (u == NULL)
            share[i] = v[0];
        else if (A == NULL)
            share[i] = v[0] * u->m[i] - v[1];
        else
            share[i] = v[0] * (m[i] - (UINT64_C(1) << u->bound)) - v[1] + ((A[i] * v[2]) << ku);
    }
    return share;
}

/* --- two parties --- */

static struct mpc_point_form points_of(const struct sec_segments *gate, bool times)
{
    return (struct mpc_point_form){.h = gate->form.h, .ring = gate->form.ring, .payload = times ? MPC_PAYLOAD_TIMES : MPC_PAYLOAD_POWERS, .bits = gate->s};
}

struct reading {
    struct mpc_party *p;
    const struct sec_segments *gate;
    size_t triples;
    const uint64_t *m;
    uint64_t *parts;
};

static void read_one(void *context, size_t i, const uint64_t *hot)
{
    const struct reading *r = context;
    contract(r->p, r->gate, hot, 3 * (int)r->triples, r->m[i], r->parts + r->triples * i);
}

static uint64_t *eval_made(struct mpc_party *p, const struct sec_segments *gate, const uint64_t *m, size_t n, bool times)
{
    struct reading reading = {p, gate, times ? 2 : 1, m, mpc_words(p, (times ? 2 : 1) * n)};
    sec_points_read(p, points_of(gate, times), n, read_one, &reading);
    return reading.parts;
}

struct mpc_wire sec_segments_eval(struct mpc_party *p, const struct sec_segments *gate, struct mpc_wire g,
                                  const struct mpc_wire *times, int f, int bound, const char *label)
{
    if (mpc_failed(p))
        return (struct mpc_wire){0};
    size_t n = g.count;
    int R = gate->form.ring, ku = times == NULL ? 0 : times->ring;
    struct mpc_wire whole;
    if (times != NULL && ku >= R) {
        whole = mpc_reduce(p, *times, R);
        times = &whole;
    }
    if (times != NULL && (ku < R || times->gate_only) && !mpc_wrap_fits(p, times))
        return (struct mpc_wire){0};
    struct kern_dpf_shape shape = shape_for(gate, ku);
    if (p->maker == NULL)
        sec_declare_dealt(p, sec_segments_cost(gate, n, ku, f));
    else if (times != NULL && ku < R)
        mpc_fail(p, BASE_ERR_INTERNAL, "%s: times a wire of %d bits; two parties extend it to %d before", label, ku, R);
    double size_u = times == NULL ? 1 : base_power_of_two(times->bound);
    struct mpc_opening_form form = {.ring = R, .f = f, .frac = gate->form.F + (times == NULL ? 0 : times->frac) - f, .bound = bound,
                                    .ulp = 2 * gate->error * base_power_of_two(gate->form.F - f) * size_u + 0.5, .label = label};
    const uint64_t *share = NULL;
    if (mpc_notes(p)) {
        sec_points_note(p, points_of(gate, times != NULL), sec_read_mask(p, g, gate->form.k), n, gate->s, NULL, times == NULL ? NULL : times->l1);
    } else if (p->role == MPC_HELPER) {
        bool wraps = times != NULL && ku < R;
        deal(p, gate, sec_read_mask(p, g, gate->form.k), n, &shape, times == NULL ? NULL : mpc_mask(p, times),
             wraps ? mpc_wrap_mask_bit(p, times) : NULL);
    } else if (p->role == MPC_CLEAR) {
        share = clear(p, gate, g, times, f);
    } else if (mpc_computes(p)) {
        const uint64_t *m = sec_read_open(p, g, gate->form.k, UINT64_C(1) << (gate->form.k - 1));
        const uint64_t *parts = p->maker != NULL ? eval_made(p, gate, m, n, times != NULL) : eval(p, gate, m, n, &shape);
        if (!mpc_failed(p))
            share = combine(p, parts, times == NULL ? 1 : p->maker != NULL || ku >= R ? 2 : 3, times, ku >= R ? 64 : ku, n);
    }
    return mpc_open_share(p, share, n, form);
}

/* --- conformance ------------------------------------------------------------------------------------------------------------- */

static const struct sec_segments_form standard_silu = {SEC_CURVE_SILU, .k = 15, .h = 8, .fg = 9, .F = 26, .ring = 64};
static const struct sec_segments_form standard_gelu = {SEC_CURVE_GELU, .k = 14, .h = 8, .fg = 9, .F = 26, .ring = 64};

static void sample(int64_t *ret_x, size_t count, uint64_t seed)
{
    /* Below the shared range of both standard instances: 2^13 less two segments of the coarser. */
    int64_t limit = (1 << 13) - 2 * (1 << 7) - 1; /* between two parties two segments are unusable */
    const int64_t edges[] = {0, 1, -1, limit, -limit, 127, 128, -128};
    for (size_t i = 0; i < count; i++) {
        sec_sample_step(&seed);
        ret_x[i] = i < sizeof edges / sizeof *edges ? edges[i] : (int64_t)((seed >> 33) % (uint64_t)(2 * limit)) - limit;
    }
}

/* The input is read twice: first half as g, second half as u in a ring of 48 bits. */
static enum base_status run_silu(struct mpc_party *p, struct mpc_wire x, struct mpc_wire *ret)
{
    struct sec_segments gate = {0};
    enum base_status status = BASE_OK;
    size_t n = x.count / 2;
    struct sec_segments_form form = standard_silu;
    form.pair = p->maker != NULL;
    TRY(sec_segments_init(&gate, form, &p->error));
    struct mpc_wire u = mpc_ready(p, mpc_slice(x, n, n), form.ring, "ready");
    if (form.pair)
        TRY(mpc_round(p));
    *ret = sec_segments_eval(p, &gate, mpc_slice(x, 0, n), &u, 26, 20, "silu(g) u");
    TRY(mpc_round(p));
out:
    sec_segments_finish(&gate);
    return status;
}

static struct mpc_cost cost_silu(size_t count)
{
    struct sec_segments gate = {.form = standard_silu};
    struct mpc_cost cost = sec_segments_cost(&gate, count / 2, 48, 26);
    cost.rounds = 1;
    return cost;
}

static enum base_status run_gelu(struct mpc_party *p, struct mpc_wire x, struct mpc_wire *ret)
{
    struct sec_segments gate = {0};
    enum base_status status = BASE_OK;
    struct sec_segments_form form = standard_gelu;
    form.pair = p->maker != NULL;
    TRY(sec_segments_init(&gate, form, &p->error));
    *ret = sec_segments_eval(p, &gate, x, NULL, 14, 20, "gelu");
    TRY(mpc_round(p));
out:
    sec_segments_finish(&gate);
    return status;
}

static struct mpc_cost cost_gelu(size_t count)
{
    struct sec_segments gate = {.form = standard_gelu};
    struct mpc_cost cost = sec_segments_cost(&gate, count, 0, 14);
    cost.rounds = 1;
    return cost;
}

const struct sec_gate sec_gate_silu_times = {.name = "silu-times", .source = "specification, curves.py: Segments with times",
                                             .input_ring = 48, .input_frac = 9, .input_bound = 14, .unit = 2, .sample = sample,
                                             .run = run_silu, .cost = cost_silu};
const struct sec_gate sec_gate_gelu = {.name = "gelu", .source = "specification, curves.py: Segments", .input_ring = 48,
                                       .input_frac = 9, .input_bound = 14, .unit = 1, .sample = sample, .run = run_gelu,
                                       .cost = cost_gelu};
