#include "protocols/windows.h"

#include "base/bits.h"
#include "base/realmath.h"
#include "mpc/choose.h"

#include <math.h>

/* Cells of `high` below its own: a reading may lie two further up. */
enum { BORDER = SEC_GRID_LOWEST + 2 };

/* --- tables ----------------------------------------------------------------------------------------------------------------- */

/* A window's part of the function, on its own x. */
static int64_t reading_of(const struct sec_grid *grid, int64_t x, int64_t up)
{
    int64_t cut = mpc_round_shift(x, grid->cut), last = (INT64_C(1) << grid->h) - 1, cell = (cut >> grid->s) + up;
    return sec_grid_piece(grid, 0, cell > last ? last : cell, cut);
}

static bool below(const struct sec_windows *gate, int64_t x, int64_t up)
{
    return (mpc_round_shift(x, gate->high.cut) >> gate->high.s) + up < gate->border;
}

static int64_t value(const struct sec_windows *gate, int64_t x)
{
    return reading_of(below(gate, x, 0) ? &gate->low : &gate->high, x, 0);
}

/* Every pair of readings that shares may have, at x and where a cut by shares may put it. */
static void measure(struct sec_windows *gate, const struct sec_grid_form *form)
{
    double scale = base_power_of_two(-form->F), worst = 0;
    for (int64_t x = form->low; x < form->high; x += 1 + x / 8192) {
        double exact = form->value(form->context, 0, (double)x);
        int64_t twin = value(gate, x);
        for (int64_t up = 0; up < 9; up++) {
            const struct sec_grid *grid = below(gate, x, up / 3) ? &gate->low : &gate->high;
            int64_t got = reading_of(grid, x, grid == &gate->low ? up % 3 : up / 3);
            gate->error = fmax(gate->error, fabs((double)got * scale / exact - 1));
            worst = fmax(worst, fabs((double)(got - twin)));
        }
        int64_t cut = below(gate, x, 0) ? gate->low.cut : gate->high.cut, off = cut == 0 ? 0 : INT64_C(3) << (cut - 1);
        double slope = fabs(form->value(form->context, 0, (double)(x - off > form->low ? x - off : form->low)) - exact);
        gate->ulp = fmax(gate->ulp, slope * base_power_of_two(form->fo[0]));
    }
    gate->ulp += 1.25 * worst * base_power_of_two(form->fo[0] - form->F) + 0.5;
}

enum base_status sec_windows_init(struct sec_windows *ret, struct sec_grid_form form, struct base_error *error)
{
    enum base_status status;
    struct sec_windows gate = {.border = BORDER};
    struct sec_grid_form low = form, high = form;
    int s = 0; /* log2 of a cell of `low` */
    TRY_THAT(form.functions == 1 && form.low >= SEC_GRID_LOWEST && form.k <= 60, error, BASE_ERR_RANGE, "windows over %lld..%lld of %d bits do not fit",
             (long long)form.low, (long long)form.high, form.k);
    while (form.low >> (s + 1) >= SEC_GRID_LOWEST)
        s++;
    do {
        high.h++;
        high.low = (int64_t)SEC_GRID_LOWEST << (form.k - high.h);
        low.high = (int64_t)BORDER << (form.k - high.h);
        low.h = base_log_ceil((size_t)(low.high >> s) + 2);
    } while (low.h > high.h);
    low.k = s + low.h;
    if (high.low < form.low)
        high.low = form.low;
    TRY(sec_grid_init(&gate.low, low, error));
    TRY(sec_grid_init(&gate.high, high, error));
    sec_grid_begin(&gate.high, 0, BORDER);
    measure(&gate, &form);
    *ret = gate;
    return BASE_OK;
out:
    sec_windows_finish(&gate);
    return status;
}

void sec_windows_finish(struct sec_windows *gate)
{
    sec_grid_finish(&gate->low);
    sec_grid_finish(&gate->high);
}

/* --- the gate ---------------------------------------------------------------------------------------------------------------- */

/* Of each element, a share or the twin's value. */
struct shares {
    uint64_t *bit, *low, *high;
};

struct reading {
    struct mpc_party *p;
    const struct sec_windows *gate;
    const uint64_t *m;
    struct shares to;
};

static void read_low(void *context, size_t i, const uint64_t *hot)
{
    const struct reading *r = context;
    r->to.low[i] = sec_grid_share(r->p, &r->gate->low, 0, r->m[i], hot);
}

/* The first word of a key is 1 at its place: summed over the cells below the border. */
static void read_high(void *context, size_t i, const uint64_t *hot)
{
    const struct reading *r = context;
    const struct sec_grid *grid = &r->gate->high;
    size_t cells = (size_t)1 << grid->h, at = r->m[i] >> grid->s;
    uint64_t bit = 0;
    for (size_t cell = 0; cell < (size_t)r->gate->border; cell++)
        bit += hot[(at - cell) & (cells - 1)];
    r->to.bit[i] = bit;
    r->to.high[i] = sec_grid_share(r->p, grid, 0, r->m[i], hot);
}

static void clear(struct mpc_party *p, const struct sec_windows *gate, const uint64_t *x, size_t n, uint64_t *y, struct shares to)
{
    const struct sec_grid_form *form = &gate->high.form;
    mpc_check_range(p, "windows input", x, n, gate->low.form.low, form->high);
    for (size_t i = 0; !mpc_failed(p) && i < n; i++) {
        int64_t v = (int64_t)x[i] < gate->low.form.low ? gate->low.form.low : (int64_t)x[i] > form->high ? form->high : (int64_t)x[i];
        to.bit[i] = below(gate, v, 0);
        y[i] = (uint64_t)mpc_round_shift(value(gate, v), form->F - form->fo[0]);
        to.low[i] = y[i] & (0 - to.bit[i]);
        to.high[i] = y[i] & (to.bit[i] - 1);
    }
}

struct sec_windows_reading sec_windows_eval(struct mpc_party *p, const struct sec_windows *gate, struct mpc_wire x, const char *label)
{
    const struct sec_grid *low = &gate->low, *high = &gate->high;
    const struct sec_grid_form *form = &high->form;
    size_t n = x.count;
    struct shares to = {NULL, NULL, NULL};
    struct sec_windows_reading ret = {{0}, {0}, {0}, NULL};
    int bound_low = x.bound - low->cut, bound_high = x.bound - high->cut;
    if (!mpc_failed(p) && p->maker == NULL)
        mpc_fail(p, BASE_ERR_INTERNAL, "%s: a gate of two parties where P0 deals", label);
    struct mpc_wire of_low = mpc_truncate(p, x, low->cut, bound_low < 1 ? 1 : bound_low, label);
    struct mpc_wire of_high = mpc_truncate(p, x, high->cut, bound_high < 1 ? 1 : bound_high, label);
    if (mpc_failed(p))
        return ret;
    if (p->role == MPC_CLEAR || mpc_computes(p))
        to = (struct shares){mpc_words(p, n), mpc_words(p, n), mpc_words(p, n)};
    if (mpc_notes(p)) {
        sec_points_note(p, sec_grid_points(low), sec_read_mask(p, of_low, low->h + low->s), n, low->s, NULL, NULL);
        sec_points_note(p, sec_grid_points(high), sec_read_mask(p, of_high, high->h + high->s), n, high->s, NULL, NULL);
    } else if (p->role == MPC_CLEAR) {
        ret.clear = mpc_words(p, n);
        clear(p, gate, x.x, n, ret.clear, to);
    } else {
        sec_points_read(p, sec_grid_points(low), n, read_low, &(struct reading){p, gate, sec_read_open(p, of_low, low->h + low->s, 0), to});
        sec_points_read(p, sec_grid_points(high), n, read_high, &(struct reading){p, gate, sec_read_open(p, of_high, high->h + high->s, 0), to});
    }
    struct mpc_opening_form opening = {.ring = form->ring, .f = form->F - form->fo[0], .frac = form->fo[0], .bound = form->bound[0],
                                       .ulp = base_power_of_two(form->bound[0] + 1), .label = label};
    ret.bit = mpc_open_share(p, to.bit, n, (struct mpc_opening_form){.ring = 1, .bound = 1, .ulp = 1, .label = label});
    ret.low = mpc_open_share(p, to.low, n, opening);
    ret.high = mpc_open_share(p, to.high, n, opening);
    return ret;
}

struct mpc_wire sec_windows_choose(struct mpc_party *p, const struct sec_windows *gate, const struct sec_windows_reading *reading, int ring, const char *label)
{
    struct mpc_share share = mpc_share_choose(p, reading->bit, reading->low, reading->high, ring);
    if (p->role == MPC_CLEAR && !mpc_failed(p))
        share.z = reading->clear;
    share.slack = gate->ulp + 1;
    return mpc_cut(p, share, ring, 0, gate->high.form.bound[0], false, label);
}
