/* A set of k of n items in each of `groups` groups that nobody knows, at shuffled places that P1 and P2 know:
 * what belongs to the items moves there and back, and what is expensive to move stays.
 *
 * The flags of a choice move by a fresh permutation pi2 o pi1 (shuffle.h) and are opened to P1 and P2: a
 * uniform set of k places whatever was chosen. From then on the set may carry any number of wires to its
 * places and return weights from them: every move has fresh masks and opens nothing, so a set serves many
 * steps. A NEW CHOICE NEEDS A NEW SET.
 *
 * A move ends in additive shares. e from (P0,P1) is P1's share; B from (P0,P2):
 *   dealt    to P1  d = -pi1(lambda) - B - pi2^-1(e)
 *   round 1  P1 to P2: pi1(m) + d = pi1(x) - B - pi2^-1(e); P2's share: pi2(B + what came) = pi2(pi1(x)) - e
 * A return of shares z1 + z2 at the places, 0 at the others. A, l1' from (P0,P1), C, l2' from (P0,P2):
 *   dealt    to P1  d = l1' + l2' - pi1^-1(pi2^-1(A) + C)
 *   round 1  P1 to P2: z1 + A
 *   round 2  P2 to P1: pi2^-1(z1 + A + z2) + C
 *   round 3  P1 to P2: m' = pi1^-1(what came) + d
 * Safe: P1 sees d, uniform by B or by l2', and one message, uniform by C; P2 sees messages uniform by e, by A
 * and by l1', none of which it holds. Shares of a move are opened under fresh masks, but for those of flags,
 * which the flags and the own share determine.
 * P0 knows the permutations: it must never learn the places.
 * Source: specification, rank.py (Perm, reveal, Unshuffle) and kv.py (Selection, carry), where a move deals
 * two words for one. */
#ifndef CACHET_PROTOCOLS_HIDDEN_SET_H
#define CACHET_PROTOCOLS_HIDDEN_SET_H

#include "mpc/opening.h"
#include "protocols/gate.h"

/* Arrays come from p->arena and live as long as what was taken there. The twin takes the order that the
 * parties drew where an observer shows it, and else keeps its own. */
struct sec_hidden_set {
    size_t groups, n, k; /* 0 < k <= n */
    uint32_t *pi1, *pi2; /* [groups][n], where held; the twin: the whole order, and NULL */
    uint64_t *opened;    /* flags in the shuffled order, after their round: P1, P2, the twin */
    uint32_t *place;     /* [groups][k], ascending: P1, P2, the twin */
};

/* What a move leaves. */
struct sec_carried {
    int ring, frac, bound;
    size_t count;
    uint64_t *words; /* P1: its share; P2, after the round: its share in the order of pi1; the twin: values */
};

/* A return, round by round. */
struct sec_return {
    const struct sec_hidden_set *set;
    size_t width;
    struct mpc_opening_form form; /* f = 0 */
    uint64_t *share;              /* [groups][k][width]: P1, P2, the twin */
    int stage;
    uint64_t *words, *d, *C;
    struct mpc_wire wire; /* complete once sec_return_queue has answered false */
};

/* Draws the permutations of a new set. Cost: 0 rounds, 0 bytes.
 * Errors: BASE_ERR_INTERNAL unless 0 < k <= n and 0 < groups. */
void sec_hidden_set_draw(struct mpc_party *p, struct sec_hidden_set *ret, size_t groups, size_t n, size_t k);

/* Queues the move of w to the shuffled order; exact.
 * Shapes: w [groups][n][width], which may be gate-only.
 * Cost: 1 round; N ring bits online, N ring bits offline, N elements in all.
 * Reveals: nothing. Errors: BASE_ERR_INTERNAL if w is not of that shape. */
struct sec_carried sec_carry(struct mpc_party *p, const struct sec_hidden_set *set, struct mpc_wire w,
                             const char *label);
struct mpc_cost sec_carry_cost(size_t count, int ring);

/* The round after flags [groups][n] were carried, 0 or 1, k ones in each group: queues their opening to P1
 * and P2. After the next round sec_hidden_set_take makes the places.
 * Cost: 1 round; 2 groups n ring bits online.
 * Reveals: a uniform set of k places of each group, to P1 and P2 (registry entry shuffled-flags).
 * Errors: BASE_ERR_INTERNAL if a group has another number of flags. */
void sec_hidden_set_open(struct mpc_party *p, struct sec_hidden_set *set, const struct sec_carried *flags);
void sec_hidden_set_take(struct mpc_party *p, struct sec_hidden_set *set);
struct mpc_cost sec_hidden_set_open_cost(size_t count, int ring);

/* Queues the opening of what was carried to the set's places, under fresh masks; exact.
 * Shapes: [groups][k][width], places in their own order.
 * Cost: 1 round; 2 groups k width ring bits online. Reveals: nothing. */
struct mpc_wire sec_carried_kept(struct mpc_party *p, const struct sec_hidden_set *set,
                                 const struct sec_carried *carried, const char *label);

/* Additive shares at the set's places to a wire in the order of the items, 0 for those outside; exact.
 * sec_return_queue takes what the last round brought and queues the next message; false when nothing is left
 * to do or the party has failed. Between two calls lies exactly one mpc_round.
 * Shapes: share [groups][k][width], NULL where a role has none -> [groups][n][width].
 * Cost: 3 rounds; 3 N ring bits online, N ring bits offline, N elements of the result. Reveals: nothing. */
void sec_return_start(struct sec_return *ret, const struct sec_hidden_set *set, uint64_t *share, size_t width,
                      struct mpc_opening_form form);
bool sec_return_queue(struct mpc_party *p, struct sec_return *back);
struct mpc_cost sec_return_cost(size_t count, int ring);

extern const struct sec_gate sec_gate_hidden_set;

#endif
