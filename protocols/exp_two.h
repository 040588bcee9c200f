/* e = 2^-y for 0 <= y < t bits in one round, from two dealt words per element, whatever the range t.
 *
 * y = u Y with 0 <= Y < 2^s and u = t / 2^s bits, read in Z_2^(s+1). m = (i, j) and lambda = (a, b) with one
 * high bit each: y = t ((i - a) mod 2) + u (j - b) for every y of the range and both borrows. So
 *   word[i] = round(2^(fo + u b - t ((i - a) mod 2)))   of P0, dealt in Z_2^R, R = ring + w + J_last
 *   2^(-u j) = mu_j 2^-(w + J_j), J_j = floor(u j)      public: a mantissa of w + 1 bits and a shift
 *   share    = (word[i] mu_j) >> (w + J_j) mod 2^ring   at P1 and P2, opened under fresh masks
 * A share shifted by f lives in Z_2^(R - f), which contains Z_2^ring for every f: exact, no wrap. R may
 * exceed 64 bits: words are dealt as limbs of 64 bits, least first (mpc_deal_limbs).
 *
 * With fo = G + 13 the relative precision is 2^-13 for rows whose largest e is 2^-G: rows need no maximum.
 * Shapes: y [n] -> [n]. Queues one opening.
 * Units: result in Z_2^ring, fraction fo, 0 <= e <= 1; error e 2^-w + 1.5 2^-fo. The fraction of y is not
 * looked at: its unit is u.
 * Cost: 1 round; 2 n ring bits online; 2 n R bits offline, whole bytes for each limb (sec_exp_two_cost).
 * Reveals: nothing. Each party's words are its draws or uniform by the other's, the opened e by the peer's mask; i, j and
 * the shift are functions of m.
 * Errors: inputs outside the range alias silently on shares; the twin counts them.
 * Source: specification, dealt.py (ExpTwo) and README, "Dealt bytes" items 3 and 4. */
#ifndef CACHET_PROTOCOLS_EXP_TWO_H
#define CACHET_PROTOCOLS_EXP_TWO_H

#include "base/exact.h"
#include "protocols/gate.h"

enum {
    SEC_EXP_TWO_LIMBS = KERN_MAX_LIMBS,
    SEC_EXP_TWO_MOST_RANGE = 440,
    SEC_EXP_TWO_MOST_BITS = 20,
    SEC_EXP_TWO_MOST_MANTISSA = 30
};

struct sec_exp_two_form {
    int s;    /* log2 of the number of units in the range: 1 to SEC_EXP_TWO_MOST_BITS */
    double t; /* the range in bits: [1/8, SEC_EXP_TWO_MOST_RANGE] */
    int w;    /* relative precision in bits: 1 to SEC_EXP_TWO_MOST_MANTISSA */
    int fo;   /* fraction bits of e: below ring */
    int ring;
};

struct sec_exp_two {
    struct sec_exp_two_form form;
    uint64_t range; /* t with 54 fraction bits: exact */
    int wide;       /* R */
    int limbs;
    struct base_exact_power *factor; /* [2^s]: 2^(-u j), the mantissa to nearest, exact on every machine */
};

/* Errors: BASE_ERR_RANGE for a form that does not fit; BASE_ERR_MEMORY; BASE_ERR_INTERNAL
 * (base/exact.h). Free with sec_exp_two_finish. */
BASE_MUST_USE enum base_status sec_exp_two_init(struct sec_exp_two *ret, struct sec_exp_two_form form,
                                                struct base_error *error);
void sec_exp_two_finish(struct sec_exp_two *gate);
bool sec_exp_two_same(const struct sec_exp_two_form *a, const struct sec_exp_two_form *b);

struct mpc_wire sec_exp_two_eval(struct mpc_party *p, const struct sec_exp_two *gate, struct mpc_wire y,
                                 const char *label);
struct mpc_cost sec_exp_two_cost(struct sec_exp_two_form form, size_t n);
/* The same, not opened: additive shares at P1 and P2, values at the twin, NULL elsewhere; *ret_form is how
 * sec_exp_two_eval opens them. Cost: what is dealt. */
uint64_t *sec_exp_two_shares(struct mpc_party *p, const struct sec_exp_two *gate, struct mpc_wire y,
                             struct mpc_opening_form *ret_form, const char *label);

/* 44 nats and 96 bits of range. */
extern const struct sec_gate sec_gate_exp_two, sec_gate_exp_two_long;

#endif
