/* e = exp(-y), one round: a DPF over the high bits with payload exp(u b), times one public table.
 *
 * y = Y u with u = 2^-frac nats, 0 <= Y < 2^k - 2^s, s = k - h (the top cell is unusable). exp(-u Y) = exp(u b) X[2^s q + j],
 * X[Y] = round(2^fe exp(-u Y)) public, q = (i - pos) mod 2^h. The payload lies in [1, exp(g)], g = 2^s u nats per cell, so fb bits
 * are a relative precision.
 * Units: result in Z_2^(ring - f), f = fb + fe - fo, fraction fo, 0 <= e <= 1; error e 2^(fo - fb - 1) + 2^(fo - fe - 1) exp(g) + 1.5.
 * Two parties without P0: exp(u b) = exp(u b1) exp(u b2), two top cells are unusable, b reaches over two: exp(2 g), and 4 times the first term.
 * Cost: 1 round, 2 n (ring - f) bits online, 2 DPF keys per element offline (sec_exp_cost). Reveals: nothing.
 * Errors: inputs outside the range alias silently on shares; the twin counts them.
 * Source: specification, tables.py (ExpDpf); PROTOCOL section 5. */
#ifndef CACHET_PROTOCOLS_EXP_H
#define CACHET_PROTOCOLS_EXP_H

#include "protocols/gate.h"

struct sec_exp {
    int k, h, s, frac, fb, fe, fo, ring, f;
    bool pair;
    int factor_bits; /* pair: of exp(u b_i) */
    double ulp;
    struct kern_dpf_shape shape;
    uint64_t *table; /* X, 2^k entries, fe fraction bits */
};

struct sec_exp_form {
    int k;    /* bits of Y */
    int h;    /* log2 of the number of cells */
    int frac; /* fraction bits of Y, in nats */
    int fb, fe, fo;
    int ring;
    bool pair; /* between two parties without P0 */
};

BASE_MUST_USE enum base_status sec_exp_init(struct sec_exp *ret, struct sec_exp_form form, struct base_error *error);
void sec_exp_finish(struct sec_exp *gate);

/* Shapes: y [n] -> [n]. Queues one opening. */
struct mpc_wire sec_exp_eval(struct mpc_party *p, const struct sec_exp *gate, struct mpc_wire y, const char *label);
struct mpc_cost sec_exp_cost(const struct sec_exp *gate, size_t n);

extern const struct sec_gate sec_gate_exp;

#endif
