#include "protocols/grid.h"

#include "base/bits.h"
#include "base/memory.h"
#include "base/realmath.h"
#include "protocols/pieces.h"

#include <math.h>

/* --- tables ----------------------------------------------------------------------------------------------------------------- */

/* Piece q through three Chebyshev nodes of [-2 w, w] around its lower end, in units of the cut x. The square's coefficient is rounded first: what that
 * leaves, `lost` d^2, the constant halves. */
static void fit_piece(struct sec_grid *gate, int e, size_t q)
{
    double w = base_power_of_two(gate->s), unit = base_power_of_two(gate->cut), scale = base_power_of_two(gate->form.F);
    double at = (double)q * w, middle = -w / 2, t = 0.8660254037844386 * 1.5 * w, lowest = (double)gate->form.low / unit, c[3] = {0};
    if (at - 2 * w < lowest / 2) {
        c[0] = gate->form.value(gate->form.context, e, (double)gate->form.low);
    } else {
        double y[3];
        for (int i = 0; i < 3; i++)
            y[i] = gate->form.value(gate->form.context, e, (at + middle + (i - 1) * t) * unit);
        double slope = (y[2] - y[0]) / (2 * t), exact = (y[2] - 2 * y[1] + y[0]) / (2 * t * t),
               bend = (double)sec_pieces_nearest(exact * scale) * base_power_of_two(-gate->form.F), lost = exact - bend;
        c[0] = y[1] + lost * (1.5 * w) * (1.5 * w) / 2 + middle * (bend * middle - slope);
        c[1] = slope - 2 * bend * middle;
        c[2] = bend;
    }
    for (int i = 0; i < 3; i++)
        gate->coefficient[e][((size_t)i << gate->h) + q] = sec_pieces_nearest(c[i] * scale);
}

static void reverse(struct sec_grid *gate, int e)
{
    size_t cells = (size_t)1 << gate->h;
    for (size_t c = 0; c < 3; c++)
        for (size_t i = 0; i < 2 * cells; i++)
            gate->reversed[e][c * 2 * cells + i] = (uint64_t)gate->coefficient[e][c * cells + (2 * cells - i) % cells];
}

void sec_grid_begin(struct sec_grid *gate, int e, size_t cell)
{
    for (size_t c = 0; c < 3; c++)
        for (size_t q = 0; q < cell; q++)
            gate->coefficient[e][(c << gate->h) + q] = 0;
    reverse(gate, e);
}

int64_t sec_grid_piece(const struct sec_grid *gate, int e, int64_t cell, int64_t x)
{
    size_t cells = (size_t)1 << gate->h;
    const int64_t *c = gate->coefficient[e] + cell;
    uint64_t d = (uint64_t)(x - cell * (INT64_C(1) << gate->s));
    return (int64_t)((uint64_t)c[0] + (uint64_t)c[cells] * d + (uint64_t)c[2 * cells] * d * d);
}

/* Against the function, and between the pieces that may be read; at places that are dense where x is small. */
static void measure(struct sec_grid *gate, int e)
{
    double scale = base_power_of_two(-gate->form.F), unit = base_power_of_two(gate->cut), worst = 0;
    int64_t low = gate->form.low >> gate->cut, high = gate->form.high >> gate->cut;
    for (int64_t x = low; x < high; x += 1 + x / 8192) {
        int64_t q = x >> gate->s, first = sec_grid_piece(gate, e, q, x);
        double exact = gate->form.value(gate->form.context, e, (double)x * unit);
        for (int64_t up = q; up <= q + 2; up++) {
            int64_t y = sec_grid_piece(gate, e, up, x);
            gate->error[e] = fmax(gate->error[e], fabs((double)y * scale / exact - 1));
            worst = fmax(worst, fabs((double)(y - first)));
        }
    }
    gate->ulp[e] = 1.25 * worst * base_power_of_two(gate->form.fo[e] - gate->form.F) + 0.5;
}

enum base_status sec_grid_init(struct sec_grid *ret, struct sec_grid_form form, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct sec_grid gate = {.form = form, .s = SEC_GRID_LOW_BITS};
    for (int e = 0; e < form.functions; e++)
        gate.s = base_smaller(gate.s, base_larger(1, (form.F - form.fo[e] + 1) / 2));
    int64_t lowest = base_larger(SEC_GRID_LOWEST, 1 << base_larger(0, SEC_GRID_LOW_RESOLUTION - gate.s));
    gate.h = form.h;
    while (form.h == 0 && gate.h < form.k && (form.low >> (form.k - gate.h) < SEC_GRID_LOWEST ||
                                              (gate.h < SEC_GRID_MOST_BITS && form.low >> (form.k - gate.h) < lowest)))
        gate.h++;
    gate.s = base_smaller(gate.s, form.k - gate.h);
    gate.cut = form.k - gate.h - gate.s;
    size_t cells = (size_t)1 << gate.h;
    TRY_THAT(gate.h <= SEC_GRID_MOST_BITS && gate.s >= 1 && form.low > 0 && form.functions <= SEC_GRID_FUNCTIONS, error, BASE_ERR_RANGE,
             "between two parties the range %lld..%lld of %d bits takes 2^%d cells: 2^%d at most; use a narrower range",
             (long long)form.low, (long long)form.high, form.k, gate.h, SEC_GRID_MOST_BITS);
    TRY_THAT(form.high <= (INT64_C(1) << form.k) - (INT64_C(2) << (form.k - gate.h)), error, BASE_ERR_RANGE,
             "between two parties %lld leaves no two cells of %d bits empty: recompute the plan", (long long)form.high, form.k);
    for (int e = 0; e < form.functions; e++) {
        TRY(base_alloc(&gate.coefficient[e], 3 * cells, sizeof *gate.coefficient[e], error));
        TRY(base_alloc(&gate.reversed[e], 6 * cells, sizeof *gate.reversed[e], error));
        for (size_t q = 0; q < cells; q++)
            fit_piece(&gate, e, q);
        reverse(&gate, e);
        measure(&gate, e);
    }
    gate.form.context = NULL;
    *ret = gate;
    return BASE_OK;
out:
    sec_grid_finish(&gate);
    return status;
}

void sec_grid_finish(struct sec_grid *gate)
{
    for (int e = 0; e < SEC_GRID_FUNCTIONS; e++) {
        base_free(&gate->coefficient[e]);
        base_free(&gate->reversed[e]);
    }
}

/* --- the gate ---------------------------------------------------------------------------------------------------------------- */

struct mpc_point_form sec_grid_points(const struct sec_grid *gate)
{
    return (struct mpc_point_form){.h = gate->h, .ring = gate->form.ring, .payload = MPC_PAYLOAD_POWERS, .bits = gate->s};
}

static void clear(struct mpc_party *p, const struct sec_grid *gate, const uint64_t *x, size_t n, uint64_t **ret)
{
    int64_t last = (INT64_C(1) << gate->h) - 1;
    mpc_check_range(p, "grid input", x, n, gate->form.low >> gate->cut, (gate->form.high >> gate->cut) + 1);
    for (int e = 0; e < gate->form.functions; e++) {
        ret[e] = mpc_words(p, n);
        for (size_t i = 0; ret[e] != NULL && i < n; i++) {
            int64_t v = (int64_t)x[i], q = v < 0 ? 0 : v >> gate->s;
            ret[e][i] = (uint64_t)mpc_round_shift(sec_grid_piece(gate, e, q > last ? last : q, v), gate->form.F - gate->form.fo[e]);
        }
    }
}

struct reading {
    struct mpc_party *p;
    const struct sec_grid *gate;
    const uint64_t *m;
    uint64_t **share;
};

uint64_t sec_grid_share(const struct mpc_party *p, const struct sec_grid *gate, int e, uint64_t m, const uint64_t *hot)
{
    size_t cells = (size_t)1 << gate->h;
    const uint64_t *c0 = gate->reversed[e] + (cells - (m >> gate->s)), *const c[3] = {c0, c0 + 2 * cells, c0 + 4 * cells};
    uint64_t share;
    p->kern->segment_dot(&share, hot, c, m & kern_ring_mask(gate->s), cells, 1);
    return share;
}

static void read_one(void *context, size_t i, const uint64_t *hot)
{
    const struct reading *r = context;
    for (int e = 0; e < r->gate->form.functions; e++)
        r->share[e][i] = sec_grid_share(r->p, r->gate, e, r->m[i], hot);
}

void sec_grid_eval(struct mpc_party *p, const struct sec_grid *gate, struct mpc_wire x, struct mpc_wire *ret, const char *label)
{
    int k = gate->h + gate->s, bound = x.bound - gate->cut;
    uint64_t *share[SEC_GRID_FUNCTIONS] = {NULL};
    if (!mpc_failed(p) && p->maker == NULL)
        mpc_fail(p, BASE_ERR_INTERNAL, "%s: a gate of two parties where P0 deals", label);
    x = mpc_truncate(p, x, gate->cut, bound < 1 ? 1 : bound, label);
    if (mpc_failed(p))
        return;
    if (mpc_notes(p)) {
        sec_points_note(p, sec_grid_points(gate), sec_read_mask(p, x, k), x.count, gate->s, NULL, NULL);
    } else if (p->role == MPC_CLEAR) {
        clear(p, gate, x.x, x.count, share);
    } else {
        for (int e = 0; e < gate->form.functions; e++)
            share[e] = mpc_words(p, x.count);
        sec_points_read(p, sec_grid_points(gate), x.count, read_one, &(struct reading){p, gate, sec_read_open(p, x, k, 0), share});
    }
    for (int e = 0; e < gate->form.functions; e++)
        ret[e] = mpc_open_share(p, share[e], x.count, (struct mpc_opening_form){.ring = gate->form.ring, .f = gate->form.F - gate->form.fo[e],
                                .frac = gate->form.fo[e], .bound = gate->form.bound[e], .ulp = gate->ulp[e], .label = label});
}
