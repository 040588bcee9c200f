/* A secret permutation of rows, and what it makes safe: opening comparison bits to P1 and P2, and keeping the rows they select.
 *
 * Rows move by pi2 o pi1, pi1 known to P0 and P1, pi2 to P0 and P2: neither P1 nor P2 knows the whole, and the output has a fresh mask.
 *   dealt    to P1  d1 = -pi1(lambda) - B           B from (P0,P2)
 *            to P2  d2 = pi2(A) + l1' + l2'         A, l1' from (P0,P1), l2' from (P0,P2)
 *   round 1  P1 to P2: pi1(m) + d1 - A = pi1(x) - B - A
 *   round 2  P2 to P1: m' = pi2(B + what came) + d2 = pi2(pi1(x)) + l1' + l2'
 * Safe: P1 sees d1, uniform by B, and m', uniform by l2'; P2 sees d2, uniform by l1', and one message, uniform by A.
 * P0 knows the permutation, so P0 must never learn what was opened on shuffled rows, nor which rows a selection kept.
 * Source: specification, rows.py (shuffle, open_bits, compact). */
#ifndef CACHET_PROTOCOLS_SHUFFLE_H
#define CACHET_PROTOCOLS_SHUFFLE_H

#include "mpc/opening.h"
#include "protocols/compare.h"

/* Shapes: w [rows][width] -> the same. Units unchanged, exact. Runs its two rounds, one message each; nothing may be queued.
 * Cost: 2 rounds, 2 n ring bits online, 2 n ring bits offline. Reveals: nothing.
 * The twin keeps the order of its rows (nobody knows the permutation whole but P0). */
BASE_MUST_USE enum base_status sec_shuffle(struct mpc_party *p, struct mpc_wire w, size_t rows, struct mpc_wire *ret);
struct mpc_cost sec_shuffle_cost(size_t count, int ring);

/* Queues the opening of bits of FRESHLY SHUFFLED rows with unique tie-break tags to P1 and P2; complete after the round, NULL at P0.
 * Cost: 2 n bits online, n bits offline. Reveals: the bits, to P1 and P2 (registry entry shuffled-bits). */
uint64_t *sec_open_bits(struct mpc_party *p, struct sec_masked_bit bit, const char *label);
struct mpc_cost sec_open_bits_cost(size_t n);

/* The rows keep[0 .. count) of w as a wire under fresh masks: additive shares, selected by P1 and P2 and opened again. P0 passes keep =
 * NULL: it knows the public count alone. Queues one opening.
 * Shapes: w [rows][width] -> [count][width]. Cost: 2 count width ring bits online. Reveals: nothing. */
struct mpc_wire sec_compact(struct mpc_party *p, struct mpc_wire w, size_t rows, const uint32_t *keep, size_t count,
                            const char *label);
struct mpc_cost sec_compact_cost(size_t count, size_t width, int ring);

/* `groups` orders of 0 .. n - 1 from a stream: [groups][n]; NULL where the role does not hold it. */
uint32_t *sec_draw_orders(struct mpc_party *p, struct mpc_stream *stream, size_t groups, size_t n);
/* Within each group item order[i] of v [groups][n][width] becomes item i; `back`: item i becomes item order[i]. A new array. */
struct sec_order_form {
    size_t groups, n, width;
    bool back;
};
uint64_t *sec_permute(struct mpc_party *p, const uint64_t *v, const uint32_t *order, struct sec_order_form form);

extern const struct sec_gate sec_gate_shuffle;

#endif
