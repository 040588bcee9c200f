/* The one-hot row of a secret digit as additive shares, without a round: [x = v] for v = 0 .. 2^bits - 1, and
 * if asked for the same times a word of each element that P0 alone knows.
 *
 * x = m - lambda, so [x = v] = [lambda = m - v]: P0 deals the one-hot row of lambda mod 2^bits, as a one-time
 * table of 2^bits words or as a DPF with payload (1, word), whichever has fewer bytes, and P1 and P2 read it
 * backwards from the public m. Shapes: x [n] -> n rows [groups][2^bits], handed out one after the other, so
 * that no more than a block of them exists at a time. Units: x is read mod 2^bits; shares in Z_2^ring. Cost:
 * 0 rounds, 0 online; offline the smaller of groups n 2^bits ring bits and two DPF keys per element. Two parties
 * make a point key of `bits` levels for each element; the word is then a bit, an XOR of one of each. Reveals:
 * nothing (dealt halves, or keys). Errors: of the source, through the party. Source: specification, rank.py
 * (one_hot, hot_bytes). */
#ifndef CACHET_PROTOCOLS_ONE_HOT_H
#define CACHET_PROTOCOLS_ONE_HOT_H

#include "protocols/gate.h"

enum { SEC_ONE_HOT_MAX_BITS = 14 };

struct sec_one_hot {
    int bits; /* 1 to SEC_ONE_HOT_MAX_BITS */
    int ring;
    bool times; /* a second group: the first times a word of each element */
};

/* Sees the rows in order: hot [groups][2^bits] of one element, mod 2^64 of which the low `ring` bits count.
 * Valid during the call. */
typedef void (*sec_one_hot_fn)(void *context, size_t element, const uint64_t *hot);

/* `times` [n] is P0's, and the twin's own; NULL at P1 and P2. (Two parties: own bits, ahead of time.) `take` is called at P1 and P2 (shares) and at
 * the twin (values). */
void sec_one_hot_read(struct mpc_party *p, struct sec_one_hot form, struct mpc_wire x, const uint64_t *times,
                      sec_one_hot_fn take, void *context);
struct mpc_cost sec_one_hot_cost(struct sec_one_hot form, size_t n);

/* How values 0 and 1 are opened. (A wire of one bit fills its ring, so that its 1 is not read as -1.) */
static inline struct mpc_opening_form sec_one_hot_opening(int ring, const char *label)
{
    return (struct mpc_opening_form){.ring = ring, .bound = ring == 1, .ulp = -1, .label = label};
}

extern const struct sec_gate sec_gate_one_hot_table, sec_gate_one_hot_dpf;

#endif
