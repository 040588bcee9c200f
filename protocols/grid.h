/* Functions over many octaves between two parties without P0: quadratic pieces on a uniform grid, read by ONE point key per element (mpc/maker.h).
 *
 * What sec_spline reads by a comparison key over its whole domain, which two parties cannot make: x, cut to k = h + s bits, in 2^h cells, payload
 * (1, b, b^2). A reading is off by two cells at most, so a piece fits three widths; h is such that the lowest x lies SEC_GRID_LOWEST cells up, where
 * three widths are narrow enough. Below half of that pieces are constant. A cell has 2^s steps: the coefficient of b^2 has F fraction bits, and what its
 * rounding leaves after the fit of the others, 1.1 * 2^(2 s - F - 1), is about a unit of y at most: 2 s <= F - fo + 1. Smaller cells are more of them,
 * so that the lowest x keeps SEC_GRID_LOW_RESOLUTION bits, as far as SEC_GRID_MOST_BITS allows. A range that takes more of them is read by windows
 * (protocols/windows.h).
 * Units: y_e has fo[e] fraction bits in Z_2^(ring - (F - fo[e])); `error[e]` and `ulp[e]` are measured when the table is made: relative, against the
 * function; and share against twin.
 * Cost: 1 round, 2 n sum(ring - F + fo) bits online; ahead of time a key of h bits with three words. Reveals: nothing.
 * Errors: x in the two top cells, or beyond, aliases silently on shares; the twin counts x outside [low, high]. No guard watches it. */
#ifndef CACHET_PROTOCOLS_GRID_H
#define CACHET_PROTOCOLS_GRID_H

#include "protocols/gate.h"

enum { SEC_GRID_FUNCTIONS = 2, SEC_GRID_LOWEST = 24, SEC_GRID_LOW_BITS = 11, SEC_GRID_LOW_RESOLUTION = 13, SEC_GRID_MOST_BITS = 18 };

struct sec_grid_form {
    int k;             /* bits of x */
    int h;             /* log2 of the number of cells; 0: as few as the range and the resolution allow */
    int64_t low, high; /* of x */
    int F, ring;
    int functions;
    int fo[SEC_GRID_FUNCTIONS], bound[SEC_GRID_FUNCTIONS];
    double (*value)(const void *context, int e, double x);
    const void *context; /* only read by init */
};

struct sec_grid {
    struct sec_grid_form form;
    int h, s, cut; /* x loses `cut` bits before it is read */
    int64_t *coefficient[SEC_GRID_FUNCTIONS]; /* [3][2^h] */
    uint64_t *reversed[SEC_GRID_FUNCTIONS];   /* [3][2 * 2^h], as in sec_segments */
    double error[SEC_GRID_FUNCTIONS], ulp[SEC_GRID_FUNCTIONS];
};

BASE_MUST_USE enum base_status sec_grid_init(struct sec_grid *ret, struct sec_grid_form form, struct base_error *error);
void sec_grid_finish(struct sec_grid *gate);

/* Shapes: x [n] -> ret[form.functions] wires [n]. Queues one opening per function. */
void sec_grid_eval(struct mpc_party *p, const struct sec_grid *gate, struct mpc_wire x, struct mpc_wire *ret, const char *label);

/* Parts of it, for a gate that is made of grids. The form of its keys; the piece of `cell` at a cut x, F fraction bits; and a party's share of output e, F
 * fraction bits, for one key's shares and m of h + s bits. */
struct mpc_point_form sec_grid_points(const struct sec_grid *gate);
int64_t sec_grid_piece(const struct sec_grid *gate, int e, int64_t cell, int64_t x);
uint64_t sec_grid_share(const struct mpc_party *p, const struct sec_grid *gate, int e, uint64_t m, const uint64_t *hot);
/* Makes the pieces below `cell` zero. */
void sec_grid_begin(struct sec_grid *gate, int e, size_t cell);

#endif
