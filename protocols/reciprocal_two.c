#include "protocols/reciprocal_two.h"

#include "base/memory.h"
#include "base/realmath.h"
#include "mpc/lift.h"
#include "protocols/pieces.h"

#include <math.h>

/* 1, D >> z, D: the high window, which has most of the pieces and the deepest ones, reads the first two. */
enum { PAYLOADS = 3 };

/* --- tables -------------------------------------------------------------------------------------------- */

static int64_t low_of(const struct sec_reciprocal_two_form *form)
{
    return INT64_C(1) << (form->frac - form->G);
}

static int64_t cut_of(const struct sec_reciprocal_two_form *form)
{
    return INT64_C(1) << (form->frac - form->tau);
}

static int window_of(const struct sec_reciprocal_two *gate, size_t piece)
{
    return piece >= gate->first_high ? SEC_WINDOW_HIGH : SEC_WINDOW_LOW;
}

/* Low bits of x that the window does not read. */
static int shift_of(const struct sec_reciprocal_two *gate, int window)
{
    return window == SEC_WINDOW_HIGH ? gate->form.z : 0;
}

static int bound_of(const struct sec_reciprocal_two_form *form, int window)
{
    return form->fy + (window == SEC_WINDOW_HIGH ? form->tau : form->G - form->tau);
}

/* A line of slope B through (centre, y) in the units of the table: its relative distance from scale / x on
 * [x0, x1), when what it reads of x is off by up to one unit to either side. */
static double line_error(double scale, int64_t x0, int64_t x1, double centre, double y, double B, int z)
{
    enum { SAMPLES = 17 };
    double unit = base_power_of_two(z), off = z == 0 ? 0 : 1, worst = 0;
    for (int s = 0; s < SAMPLES; s++) {
        double x = (double)x0 + (double)(x1 - 1 - x0) * s / (SAMPLES - 1), line = y + B * (x / unit - centre);
        worst = fmax(worst, fabs((line - off * B) * x / scale - 1));
        worst = fmax(worst, fabs((line + off * B) * x / scale - 1));
    }
    return worst;
}

/* The chord of scale / x on [x0, x1], lowered so that the errors at its ends and at its middle are equal. */
static void fit_piece(struct sec_reciprocal_two *gate, size_t i, int64_t x0, int64_t x1)
{
    const struct sec_reciprocal_two_form *form = &gate->form;
    int window = window_of(gate, i), z = shift_of(gate, window);
    double scale = base_power_of_two(form->frac - (window == SEC_WINDOW_HIGH ? 0 : form->tau));
    double one = base_power_of_two(form->F), start = (double)x0, first = scale / start;
    if (x1 <= x0) {
        gate->value[i] = sec_pieces_nearest(first * one);
        gate->slope[i] = 0;
        return;
    }
    double product = start * (double)x1, slope = -scale / product, middle = sqrt(product);
    double a = (first - slope * start + scale / middle - slope * middle) / 2;
    int64_t centre = (x0 + x1) / 2, y = sec_pieces_nearest((a + slope * (double)centre) * one);
    int64_t B = sec_pieces_nearest(slope * base_power_of_two(form->F + z));
    gate->slope[i] = B;
    gate->value[i] = (int64_t)((uint64_t)y - (uint64_t)B * (uint64_t)(centre >> z));
    double error = line_error(scale * one, x0, x1, (double)(centre >> z), (double)y, (double)B, z);
    gate->error[window] = fmax(gate->error[window], error);
    if (z > 0)
        gate->ulp[window] =
            fmax(gate->ulp[window], 0.5 + fabs((double)B) * base_power_of_two(form->fy - form->F));
}

static void fit(struct sec_reciprocal_two *gate)
{
    int64_t low = low_of(&gate->form), high = gate->form.high;
    while (gate->knot[gate->first_high] < cut_of(&gate->form))
        gate->first_high++;
    for (int e = 0; e < SEC_WINDOWS; e++)
        gate->ulp[e] = 0.5;
    for (size_t i = 0; i < gate->pieces; i++) {
        int64_t end = i + 1 < gate->pieces ? gate->knot[i + 1] : INT64_C(1) << gate->form.k;
        fit_piece(gate, i, i == 0 ? low : gate->knot[i], end < high ? end : high);
    }
}

static bool fits(const struct sec_reciprocal_two_form *form)
{
    bool windows = form->tau > 0 && form->tau < form->G && form->G <= form->frac && form->frac < form->k &&
                   form->k <= SEC_RECIPROCAL_TWO_MOST_BITS;
    bool reading = form->z >= 0 && form->z < form->frac - form->tau;
    bool knots = form->per_octave > 0 && (form->per_octave & (form->per_octave - 1)) == 0;
    bool words = form->fy >= 0 && form->fy <= form->F && form->ring <= 64 &&
                 form->tau + form->F <= form->ring - 2 && form->G - form->tau + form->F <= form->ring - 2;
    return windows && reading && knots && words && form->high > cut_of(form) &&
           form->high <= INT64_C(1) << form->k;
}

enum base_status sec_reciprocal_two_init(struct sec_reciprocal_two *ret, struct sec_reciprocal_two_form form,
                                         struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct sec_reciprocal_two gate = {.form = form};
    TRY_THAT(fits(&form), error, BASE_ERR_RANGE,
             "1/S: windows from 2^-%d and 2^-%d of %d bits with %d fraction bits do not fit a ring of %d: "
             "recompute the plan",
             form.G, form.tau, form.k, form.F, form.ring);
    gate.pieces = sec_pieces_place(form.k, low_of(&form), form.high, form.per_octave, NULL);
    TRY(base_alloc(&gate.knot, gate.pieces + 1, sizeof *gate.knot, error));
    TRY(base_alloc(&gate.value, gate.pieces, sizeof *gate.value, error));
    TRY(base_alloc(&gate.slope, gate.pieces, sizeof *gate.slope, error));
    (void)sec_pieces_place(form.k, low_of(&form), form.high, form.per_octave, gate.knot);
    fit(&gate);
    *ret = gate;
    return BASE_OK;
out:
    sec_reciprocal_two_finish(&gate);
    return status;
}

bool sec_reciprocal_two_same(const struct sec_reciprocal_two_form *a, const struct sec_reciprocal_two_form *b)
{
    return a->k == b->k && a->frac == b->frac && a->tau == b->tau && a->G == b->G && a->high == b->high &&
           a->z == b->z && a->per_octave == b->per_octave && a->F == b->F && a->fy == b->fy && a->ring == b->ring;
}

void sec_reciprocal_two_finish(struct sec_reciprocal_two *gate)
{
    base_free(&gate->knot);
    base_free(&gate->value);
    base_free(&gate->slope);
}

/* --- the gate ------------------------------------------------------------------------------------------ */

static struct sec_pieces pieces_of(const struct sec_reciprocal_two *gate)
{
    return (struct sec_pieces){.k = gate->form.k,
                               .ring = gate->form.ring,
                               .payloads = PAYLOADS,
                               .count = gate->pieces,
                               .knot = gate->knot,
                               .short_from = gate->first_high,
                               .good = sec_pieces_good(gate->form.k, gate->form.high, gate->pieces)};
}

struct mpc_cost sec_reciprocal_two_cost(const struct sec_reciprocal_two *gate, size_t n)
{
    struct mpc_cost cost = sec_pieces_cost(gate->form.k, gate->form.ring, PAYLOADS, n);
    for (int e = 0; e < SEC_WINDOWS; e++)
        cost = mpc_cost_add(cost, mpc_open_share_cost(n, gate->form.ring, gate->form.F - gate->form.fy));
    return cost;
}

static void clear(struct mpc_party *p, const struct sec_reciprocal_two *gate, const uint64_t *x, size_t n,
                  uint64_t **ret)
{
    struct sec_pieces pieces = pieces_of(gate);
    mpc_check_range(p, "1/S input", x, n, low_of(&gate->form), gate->form.high - 1);
    sec_pieces_watch(p, &pieces, x, n);
    for (int e = 0; e < SEC_WINDOWS; e++)
        ret[e] = mpc_words(p, n);
    for (size_t i = 0; !mpc_failed(p) && i < n; i++) {
        size_t piece = sec_pieces_find(&pieces, (int64_t)x[i]);
        int window = window_of(gate, piece);
        uint64_t read = x[i] >> shift_of(gate, window);
        int64_t y = (int64_t)((uint64_t)gate->value[piece] + (uint64_t)gate->slope[piece] * read);
        for (int e = 0; e < SEC_WINDOWS; e++)
            ret[e][i] = e == window ? (uint64_t)mpc_round_shift(y, gate->form.F - gate->form.fy) : 0;
    }
}

static void deal(struct mpc_party *p, const struct sec_reciprocal_two *gate, const uint64_t *mask, size_t n)
{
    struct sec_pieces pieces = pieces_of(gate);
    uint64_t *words = mpc_words(p, (PAYLOADS - 1) * n);
    for (size_t i = 0; !mpc_failed(p) && i < n; i++) {
        words[i] = mask[i] >> gate->form.z;
        words[n + i] = mask[i];
    }
    sec_pieces_deal(p, &pieces, mask, words, n);
}

static void combine(const void *context, uint64_t m, const struct sec_piece_shares *shares, uint64_t *ret)
{
    const struct sec_reciprocal_two *gate = context;
    ret[SEC_WINDOW_HIGH] = ret[SEC_WINDOW_LOW] = 0;
    for (size_t i = 0; i < gate->pieces; i++) {
        int window = window_of(gate, i), z = shift_of(gate, window), word = window == SEC_WINDOW_LOW;
        uint64_t a = (uint64_t)gate->value[i], b = (uint64_t)gate->slope[i];
        ret[window] += sec_piece_line(shares, i, word, a, b, m >> z, UINT64_C(1) << (gate->form.k - z));
    }
}

void sec_reciprocal_two_eval(struct mpc_party *p, const struct sec_reciprocal_two *gate, struct mpc_wire x,
                             struct mpc_wire *ret, const char *label)
{
    const struct sec_reciprocal_two_form *form = &gate->form;
    struct sec_pieces pieces = pieces_of(gate);
    size_t n = x.count;
    uint64_t *share[SEC_WINDOWS] = {NULL};
    if (mpc_failed(p))
        return;
    sec_declare_dealt(p, sec_reciprocal_two_cost(gate, n));
    if (p->role == MPC_HELPER)
        deal(p, gate, sec_read_mask(p, x, form->k), n);
    else if (p->role == MPC_CLEAR)
        clear(p, gate, x.x, n, share);
    else if (mpc_computes(p))
        sec_pieces_eval(p, &pieces, sec_read_open(p, x, form->k, 0), n, combine, gate, SEC_WINDOWS, share);
    for (int e = 0; e < SEC_WINDOWS; e++)
        ret[e] = mpc_open_share(p, share[e], n,
                                (struct mpc_opening_form){.ring = form->ring,
                                                          .f = form->F - form->fy,
                                                          .frac = form->fy,
                                                          .bound = bound_of(form, e),
                                                          .ulp = gate->ulp[e],
                                                          .label = label});
}

/* o as the low window reads it: in few bits, as o 2^tau. The twin, which has whole integers, reads 0 where the
 * window does not lie. */
static struct mpc_wire read_low(struct mpc_party *p, const struct sec_reciprocal_two *gate, struct mpc_wire S,
                                struct mpc_wire o, int bound)
{
    size_t group = S.count > 0 ? o.count / S.count : 0;
    struct mpc_wire low = mpc_reduce(p, o, o.ring < bound + 2 ? o.ring : bound + 2);
    low.frac = o.frac - gate->form.tau;
    low.bound = bound;
    if (p->role != MPC_CLEAR || mpc_failed(p))
        return low;
    uint64_t *x = low.x = mpc_words(p, o.count), cut = (uint64_t)cut_of(&gate->form);
    for (size_t i = 0; x != NULL && i < o.count; i++)
        x[i] = S.x[i / group] < cut ? o.x[i] : 0;
    mpc_check_bound(p, "o in the low window", &low);
    return low;
}

struct mpc_share sec_reciprocal_two_divide(struct mpc_party *p, const struct sec_reciprocal_two *gate,
                                           struct mpc_wire S, const struct mpc_wire inv[SEC_WINDOWS],
                                           struct mpc_wire o, int bound, int ring)
{
    int tau = gate->form.tau;
    size_t group = S.count > 0 ? o.count / S.count : 0;
    struct mpc_wire low = read_low(p, gate, S, o, bound),
                    high = mpc_truncate(p, o, tau, o.bound > tau ? o.bound - tau : 1, "o in the high window");
    struct mpc_share sum = mpc_share_mul(p, high, inv[SEC_WINDOW_HIGH], group, ring);
    mpc_share_add(p, &sum, mpc_share_mul(p, low, inv[SEC_WINDOW_LOW], group, ring));
    sum.slack += base_power_of_two(low.ring);
    return sum;
}

/* --- conformance: S from 2^-26 to 100, windows parted at 2^-12 ----------------------------------------- */

static const struct sec_reciprocal_two_form standard = {.k = 44,
                                                        .frac = 37,
                                                        .tau = 12,
                                                        .G = 26,
                                                        .high = INT64_C(100) << 37,
                                                        .z = 13,
                                                        .per_octave = 4,
                                                        .F = 44,
                                                        .fy = 18,
                                                        .ring = 64};

/* Edges of the range and of the windows, then every octave alike. */
static void sample(int64_t *ret_x, size_t count, uint64_t seed)
{
    const int64_t low = low_of(&standard), cut = cut_of(&standard), high = standard.high;
    const int64_t edges[] = {low, high - 1, cut - 1, cut, cut + 1, low + 1, INT64_C(1) << standard.frac};
    for (size_t i = 0; i < count; i++) {
        sec_sample_step(&seed);
        int64_t x = (int64_t)(seed >> 20) & ((INT64_C(1) << standard.k) - 1);
        sec_sample_step(&seed);
        x = x >> (seed >> 40) % 34 | low;
        ret_x[i] = i < sizeof edges / sizeof *edges ? edges[i] : x < high ? x : x >> 1;
    }
}

static enum base_status run(struct mpc_party *p, struct mpc_wire x, struct mpc_wire *ret)
{
    struct sec_reciprocal_two gate = {0};
    struct mpc_wire y[SEC_WINDOWS] = {{0}};
    enum base_status status = BASE_OK;
    TRY(sec_reciprocal_two_init(&gate, standard, &p->error));
    sec_reciprocal_two_eval(p, &gate, x, y, "1/S");
    TRY(mpc_round(p));
    *ret = y[SEC_WINDOW_HIGH];
out:
    sec_reciprocal_two_finish(&gate);
    return status;
}

static struct mpc_cost cost(size_t count)
{
    struct sec_reciprocal_two gate = {.form = standard};
    struct mpc_cost total = sec_reciprocal_two_cost(&gate, count);
    total.rounds = 1;
    return total;
}

const struct sec_gate sec_gate_reciprocal_two = {.name = "reciprocal-two",
                                                 .source = "specification, dealt.py: RecipTwo",
                                                 .input_ring = 60,
                                                 .input_frac = 37,
                                                 .input_bound = 44,
                                                 .unit = 1,
                                                 .sample = sample,
                                                 .run = run,
                                                 .cost = cost};
