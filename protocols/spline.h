/* Smooth functions over many octaves, one round: 1/x, sqrt, 1/sqrt and its square, several from ONE key.
 *
 * y_e = f_e(x), 0 <= x < 2^k, piecewise linear with `per_octave` pieces per octave on [low, high], constant below low. One DCF key
 * per element with payload (1, D), D = mask of x as an integer (pieces.h). Exact: the share's piece is always the twin's.
 * Units: x is an integer of k bits; output e has fo[e] fraction bits in Z_2^(ring - (F - fo[e])). Error of the twin: relative
 * `error[e]` on [low, high) (measured when the table is made); share against twin: 1.5 units.
 * Cost: 1 round, 2 n sum(ring - F + fo) bits online, two DCF keys and one word per element offline. Reveals: nothing.
 * Errors: x outside [0, 2^k) aliases silently on shares; the twin counts x outside [low, high].
 * Source: specification, curves.py (Spline); PROTOCOL section 5. */
#ifndef CACHET_PROTOCOLS_SPLINE_H
#define CACHET_PROTOCOLS_SPLINE_H

#include "protocols/grid.h"

enum { SEC_SPLINE_FUNCTIONS = 2 };

/* scale * (x * unit + offset)^(-1), ^(-1/2) or ^(1/2): division and square root are exact IEEE operations, so that tables agree. */
enum sec_power { SEC_POWER_INVERSE, SEC_POWER_INVERSE_ROOT, SEC_POWER_ROOT };

struct sec_spline_function {
    enum sec_power power;
    double scale, unit, offset;
    int fo;    /* fraction bits of the output */
    int bound; /* |y| <= 2^bound in units of 2^-fo */
};

struct sec_spline_form {
    int k;
    int64_t low, high;
    int per_octave;
    int F;
    int ring;
    int functions;
    struct sec_spline_function function[SEC_SPLINE_FUNCTIONS];
    bool pair; /* between two parties without P0: read on a grid (grid.h) */
};

struct sec_spline {
    struct sec_spline_form form;
    size_t pieces;
    int64_t *knot;                          /* first x of each piece; knot[0] = 0, knot[1] = low */
    int64_t *value[SEC_SPLINE_FUNCTIONS];   /* y = value + slope x, F fraction bits */
    int64_t *slope[SEC_SPLINE_FUNCTIONS];
    double error[SEC_SPLINE_FUNCTIONS];
    struct sec_grid grid; /* pair */
};

BASE_MUST_USE enum base_status sec_spline_init(struct sec_spline *ret, struct sec_spline_form form, struct base_error *error);
void sec_spline_finish(struct sec_spline *gate);

/* Shapes: x [n] -> ret[form.functions] wires [n]. Queues one opening per function. */
void sec_spline_eval(struct mpc_party *p, const struct sec_spline *gate, struct mpc_wire x, struct mpc_wire *ret,
                     const char *label);
struct mpc_cost sec_spline_cost(const struct sec_spline *gate, size_t n);

extern const struct sec_gate sec_gate_reciprocal, sec_gate_inverse_root;

#endif
