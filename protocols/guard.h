/* The guard: has a value left its range? One bit of a whole step, for the client alone.
 *
 * Y = y + offset is read in Z_2^k, in 2^h cells of 2^(k-h) units. BAD are cell 0 and the cells from `top` on.
 * m = (i, j), lambda = (a, b) with h high bits: the reading q = (i - a) mod 2^h is the true cell or the one
 * above it.
 *   word      one of 2^h bits per element, dealt in XOR shares: bit i = bad((i - a) mod 2^h), so the public
 *             pattern turned by a
 *   P1, P2    p->guard ^= r where the own share's bit i is 1, with r a common word of 64 bits per element
 * The two guard words differ by the XOR of r over all bad readings: by 0 if there is none, else by a uniform
 * word. mpc_open_guard (mpc/opening.h) sends them to the client, once per step.
 *
 * GUARANTEE, whatever the masks:
 *   always reported (but for 2^-64 per step)   Y < 0 down to -(2^h - top) cells; Y >= `top` cells, below 2^k
 *   never reported                             Y in the cells 1 to top - 2
 *   either, as the masks fall                  Y in cell 0 or in cell top - 1
 * Two parties without P0 read the true cell or one of the two above: cell 1 is bad, too, and `never` begins one cell later and ends one earlier.
 * Further out Y aliases. So plan the range of good values into cells 1 to top - 2.
 *
 * Shapes: y [n] or gate-only, any fraction. Local but for the dealt bits: queues no opening, takes no round.
 * Cost: n 2^h bits offline (sec_guard_cost), whole bytes for h >= 3.
 * Reveals: to P0, P1 and P2 nothing. The client learns with mpc_open_guard whether any reading was bad, not
 * which, how many, where or by how much.
 * Safe: P0 sees its streams only. P2's dealt words are uniform by P1's half, and P1 has its half from its
 * stream; i is a function of m, and r comes from a stream of nothing else. The simulator draws all of them
 * uniformly. To the client: u and u if no reading was bad, else two independent uniform words. Neither P0 nor
 * the client may hold the stream s12: whoever knows the r reads off the two words which elements were bad.
 *
 * The twin reads the cell of Y itself, and counts the bad ones in p->guard alone. p->violations counts values
 * outside the ranges that gates and wires declare; the gate that reads the guarded wire counts there.
 *
 * Errors: BASE_ERR_RANGE for a guard that does not fit; BASE_ERR_INTERNAL at P1 and P2 without s12.
 * Source: specification, dealt.py (Guard) and README, "Dealt bytes" item 8. */
#ifndef CACHET_PROTOCOLS_GUARD_H
#define CACHET_PROTOCOLS_GUARD_H

#include "protocols/gate.h"

enum { SEC_GUARD_MOST_CELLS_LOG = 6 };

struct sec_guard {
    int k;   /* bits of Y: h to 63, and at most the ring of y */
    int h;   /* log2 of the number of cells: 2 to SEC_GUARD_MOST_CELLS_LOG; 3 or more for whole bytes */
    int top; /* the first bad cell above: 3 to 2^h, and at 2^h cell 0 alone is bad */
};

/* offset: a public integer, the same for all elements. label: for errors. */
void sec_guard_eval(struct mpc_party *p, const struct sec_guard *guard, struct mpc_wire y, uint64_t offset,
                    const char *label);
/* P1, P2: joins bits that are already shared: the XOR of the two parties' lowest bits of share[i] says whether
 * element i is bad. Additive shares of a bit mod 2^R are such shares: gates that know their own range
 * (pieces.h) watch it for nothing. Draws one word of s12 per element. Other roles: nothing; the twin counts in
 * p->guard where it knows. */
void sec_guard_join(struct mpc_party *p, const uint64_t *share, size_t n, const char *label);
struct mpc_cost sec_guard_cost(const struct sec_guard *guard, size_t n);

/* 32 cells of a reading of 17 bits; its result is its input. */
extern const struct sec_gate sec_gate_guard;

#endif
