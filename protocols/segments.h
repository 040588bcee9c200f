/* f(g), or f(g) u for a second wire u, by 2^h quadratic segments, one round: SiLU and GELU.
 *
 * A DPF over the high bits with payload (1, b, b^2) x (1, D_u, B_u): v = c0_q + c1_q (j - b) + c2_q (j - b)^2 with PUBLIC coefficients,
 * q = (i - pos) mod 2^h, so every piece fits two widths. With u = M - D + 2^ku A B (mpc/lift.h): v u = v M - v D + 2^ku A (v B), the last
 * group in Z_2^(ring - ku); only two groups when ku >= ring.
 * Units: g has fg fraction bits and |g| < 2^(k-1) less the top segment; result fraction F + frac(u) - f in Z_2^(ring - f). Error at most
 * 2 err 2^F units of v before the cut (err: measured when the table is made), times |u|, plus 1.
 * Cost: 1 round, 2 n (ring - f) bits online, two DPF keys per element offline (sec_segments_cost). Reveals: nothing.
 * Errors: inputs outside the range alias silently on shares; the twin counts them.
 * Source: specification, curves.py (Segments); PROTOCOL section 5. */
#ifndef CACHET_PROTOCOLS_SEGMENTS_H
#define CACHET_PROTOCOLS_SEGMENTS_H

#include "protocols/gate.h"

enum sec_curve { SEC_CURVE_SILU, SEC_CURVE_GELU };

struct sec_segments_form {
    enum sec_curve curve;
    int k;  /* bits of g as read, around 0 */
    int h;  /* log2 of the number of segments */
    int fg; /* fraction bits of g */
    int F;  /* fraction bits of v */
    int ring;
    bool pair; /* between two parties without P0: three widths, two unusable cells, `times` in the whole ring */
};

struct sec_segments {
    struct sec_segments_form form;
    int s;
    double error;          /* sup error of the integer polynomials under both readings of q */
    int64_t *coefficient;  /* [3][2^h] */
    uint64_t *reversed;    /* [3][2 * 2^h]: entry t is coefficient (-t) mod 2^h, so that a rotation is a window */
};

/* The real function. */
double sec_curve_value(enum sec_curve curve, double x);

BASE_MUST_USE enum base_status sec_segments_init(struct sec_segments *ret, struct sec_segments_form form,
                                                 struct base_error *error);
void sec_segments_finish(struct sec_segments *gate);

/* Shapes: g [n], times [n] or NULL -> [n]. The result is cut by f and bounded by 2^bound. Queues one opening. */
struct mpc_wire sec_segments_eval(struct mpc_party *p, const struct sec_segments *gate, struct mpc_wire g,
                                  const struct mpc_wire *times, int f, int bound, const char *label);
/* ku: ring of `times`, 0 without. */
struct mpc_cost sec_segments_cost(const struct sec_segments *gate, size_t n, int ku, int f);

extern const struct sec_gate sec_gate_silu_times, sec_gate_gelu;

#endif
