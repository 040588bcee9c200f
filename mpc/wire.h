/* Wires: shared tensors that carry their type, and what can be done to them locally (0 rounds, 0 bytes).
 *
 *   m = x + l1 + l2  mod 2^ring        P0 holds (l1, l2), P1 holds (m, l1), P2 holds (m, l2), the twin holds x
 *
 * Arrays that a role does not hold are NULL. Components are reduced to the ring, except x, which is a 64-bit
 * two's-complement integer. `ring`, `frac` (fraction bits) and `bound` (|x| <= 2^bound in ring units) are public.
 *
 * A gate-only wire has masks that P0 knows but nobody dealt: P1 and P2 hold m alone and P0 holds l1 = the whole mask,
 * l2 = NULL. Gates can read it; every other use is an error. */
#ifndef CACHET_MPC_WIRE_H
#define CACHET_MPC_WIRE_H

#include "kernels/kern.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mpc_party;

struct mpc_wire {
    int ring;
    int frac;
    int bound;
    bool gate_only;
    size_t count;
    uint64_t *m, *l1, *l2, *x;
};

/* The representative of v mod 2^ring in [-2^(ring-1), 2^(ring-1)). */
static inline int64_t mpc_signed(uint64_t v, int ring)
{
    return (int64_t)(v << (64 - ring)) >> (64 - ring);
}

/* A wire with the arrays that the role holds, contents undefined. */
struct mpc_wire mpc_wire_make(struct mpc_party *p, size_t count, int ring, int frac, int bound);

/* Public integers as a wire: masks zero. */
struct mpc_wire mpc_public(struct mpc_party *p, const int64_t *x, size_t count, int ring, int frac, int bound);

/* The same value read in a smaller ring; the value must fit where it is next read as an integer. Shares the arrays when
 * the ring is equal. */
struct mpc_wire mpc_reduce(struct mpc_party *p, struct mpc_wire w, int ring);

/* The same value as a gate-only wire (what was dealt for its mask is dropped). */
struct mpc_wire mpc_as_gate_only(struct mpc_party *p, struct mpc_wire w);

/* x + sign * y, sign 1 or -1, in the smaller of the two rings; frac must agree; `bound` is the caller's claim. Gate-only if
 * either operand is. */
struct mpc_wire mpc_add(struct mpc_party *p, struct mpc_wire x, struct mpc_wire y, int sign, int bound);

/* x * c (one public integer for all); `bound` is the caller's claim. */
struct mpc_wire mpc_times(struct mpc_party *p, struct mpc_wire w, int64_t c, int bound);

/* x + c (one public integer for all): only m moves. */
struct mpc_wire mpc_add_const(struct mpc_party *p, struct mpc_wire w, int64_t c);

/* Elements index[i] of w (public indices); index UINT32_MAX gives a public zero. */
struct mpc_wire mpc_gather(struct mpc_party *p, struct mpc_wire w, const uint32_t *index, size_t count);
/* The whole wire, in the work area as it is now: for what outlives the one that w was made in. */
struct mpc_wire mpc_copy(struct mpc_party *p, struct mpc_wire w);

/* x followed by y, of one type; the larger bound. */
struct mpc_wire mpc_concat(struct mpc_party *p, struct mpc_wire x, struct mpc_wire y);

/* Elements [first, first + count) as a view. */
struct mpc_wire mpc_slice(struct mpc_wire w, size_t first, size_t count);

/* Sums of consecutive runs: out[r] = sum of w[starts[r] .. starts[r + 1]), starts has rows + 1 entries. */
struct mpc_wire mpc_sum_runs(struct mpc_party *p, struct mpc_wire w, const uint32_t *starts, size_t rows, int bound);

/* x / 2^f in Z_2^(ring - f), every component shifted on its own. Error within 1.5 units, for every value: m - l1 - l2 loses
 * the low parts, which lie in (-2^(f+1), 2^f); 2^(f-1) is subtracted from m first so that the mean error is 0. (A gate-only wire of P0's loses
 * m - l alone: nothing is subtracted, and the error is within 1.)
 * Source: PROTOCOL section 4 and specification, trunc_free. */
struct mpc_wire mpc_truncate(struct mpc_party *p, struct mpc_wire w, int f, int bound, const char *label);

/* The whole mask l1 + l2 mod 2^ring: P0 only; NULL elsewhere. */
uint64_t *mpc_mask(struct mpc_party *p, const struct mpc_wire *w);

/* The twin's truncation: to nearest. */
static inline int64_t mpc_round_shift(int64_t x, int f)
{
    return f == 0 ? x : (int64_t)((uint64_t)x + (UINT64_C(1) << (f - 1))) >> f;
}

#endif
