/* A function over so many octaves that one grid (protocols/grid.h) would take too many cells, between two parties: 1/S of a softmax whose sum lies between
 * exp(-3) and the number of rows. Two grids of some 2^13 cells instead of one of 2^19 and more, and a bit that says which; two rounds.
 *
 * x in [low, 2^k) is read twice. `high` has all k bits in wide cells, of which those below `border` hold nothing; `low` has the low bits of x alone, in narrow
 * cells, so what it reads beyond its own range aliases. The bit is [cell of `high` < border], summed from the shares of the same key's payload 1: it agrees with
 * what `high` has read, whichever of three cells that is. Where it is 1, x lies below the border and in the range of `low`:
 *     y = bit low + high,
 * exact in a larger ring at once (mpc/choose.h): the round that extends y anyhow. Pieces fit three widths, so both grids are good on both sides of the border.
 *
 * Units: y has fo[0] fraction bits. `error` relative against the function, `ulp` of y against the twin's own reading, are measured when the tables are made; the
 * three openings between are judged by nothing (the bit and the readings may differ from the twin's), and y is.
 * Cost: 1 round of 2 n (1 + 2 (ring - F + fo)) bits, 1 round of 2 n R bits in a ring R; ahead of time two keys of three words and one choice.
 * Reveals: nothing. Errors: x outside [low, high] aliases silently on shares; the twin counts it. No guard watches it. */
#ifndef CACHET_PROTOCOLS_WINDOWS_H
#define CACHET_PROTOCOLS_WINDOWS_H

#include "protocols/grid.h"

struct sec_windows {
    struct sec_grid low, high;
    int64_t border; /* cells of `high` */
    double error, ulp;
};

/* What the first round brings. */
struct sec_windows_reading {
    struct mpc_wire bit, low, high;
    uint64_t *clear; /* the twin's y */
};

/* One function; form.h is chosen here. */
BASE_MUST_USE enum base_status sec_windows_init(struct sec_windows *ret, struct sec_grid_form form, struct base_error *error);
void sec_windows_finish(struct sec_windows *gate);

/* Shapes: x [n]. Queues three openings. */
struct sec_windows_reading sec_windows_eval(struct mpc_party *p, const struct sec_windows *gate, struct mpc_wire x, const char *label);
/* After the round: y [n] in Z_2^ring. Queues one opening. */
struct mpc_wire sec_windows_choose(struct mpc_party *p, const struct sec_windows *gate, const struct sec_windows_reading *reading, int ring, const char *label);

#endif
