/* What the gates share: reading a wire at its mask, FSS keys as dealt messages, and how a gate presents itself to the
 * conformance suite.
 *
 * A gate is any function of one wire in one round: m is known to P1 and P2 and the mask to P0, so P0 deals material indexed by
 * the mask, P1 and P2 read it at m, and the additive result is opened under a fresh mask. Simulation argument of every gate
 * unless its file says otherwise: P0 sees its own streams only; P1 sees its draws, dealt halves (uniform by draws of P2), correction
 * words (pseudorandom without the other root seed) and one message, uniform by P2's fresh mask; P2 the same with P1's.
 *
 * THE GRID. m = (i, j), lambda = (a, b): high h bits and low s bits. For public i the value is x = 2^s (i - a) + (j - b) with
 * j - b in (-2^s, 2^s): cell q = (i - a) mod 2^h is the true one or the one above it, and nobody knows which. So a function indexed by
 * q must be good on two widths, unless P0 folds b into what it deals; and the top cell is unusable.
 * Source: PROTOCOL section 5; specification, gates.py and material.py. */
#ifndef CACHET_PROTOCOLS_GATE_H
#define CACHET_PROTOCOLS_GATE_H

#include "mpc/deal.h"
#include "mpc/maker.h"
#include "mpc/opening.h"
#include "mpc/product.h"

/* w + offset in [0, 2^k): m at P1 and P2, x + offset at the twin, NULL elsewhere. */
uint64_t *sec_read_open(struct mpc_party *p, struct mpc_wire w, int k, uint64_t offset);
/* The mask of w in Z_2^k at P0, NULL elsewhere. */
uint64_t *sec_read_mask(struct mpc_party *p, struct mpc_wire w, int k);

/* Root seeds of n key pairs: *ret1 from s1 (P0, P1), *ret2 from s2 (P0, P2), [n][16]; NULL where not held. 0 bytes. */
void sec_roots(struct mpc_party *p, size_t n, uint8_t **ret1, uint8_t **ret2);

/* Bytes of n DPF keys, one copy; twice that is dealt. Messages of a multiple of 8 keys each add up to the same. */
uint64_t sec_dpf_size(const struct kern_dpf_shape *shape, size_t n);
/* Declares only the dealt bytes of a gate's cost: its openings and rounds declare their own. */
void sec_declare_dealt(struct mpc_party *p, struct mpc_cost cost);
/* P0: generates and deals n keys at alpha with payloads beta [groups][n]. */
void sec_dpf_deal(struct mpc_party *p, const struct kern_dpf_shape *shape, size_t n, const uint64_t *alpha, const uint64_t *beta,
                  const uint8_t *root1, const uint8_t *root2);
/* P1, P2: receives them; false after a failure. */
bool sec_dpf_receive(struct mpc_party *p, const struct kern_dpf_shape *shape, size_t n, struct kern_dpf_keys *ret);

/* --- two parties without P0 (mpc/maker.h): point keys at a1 + a2, a_i the high bits of P_i's own mask. The cell that is read is the true one or one of the
 * TWO above it, so what is indexed by it must be good on three widths, and two top cells are unusable. --- */

/* Notes keys for n masks of h + s bits (NULL in the count role): index mask >> s, and `low` [n] (NULL: the low s bits). form.count is chosen here. */
void sec_points_note(struct mpc_party *p, struct mpc_point_form form, const uint64_t *mask, size_t n, int s, const uint64_t *low, const uint64_t *times);
/* P1, P2: reads the keys of n elements, and gives their shares everywhere, [words][2^h] of one element after the other. */
typedef void (*sec_points_fn)(void *context, size_t element, const uint64_t *hot);
void sec_points_read(struct mpc_party *p, struct mpc_point_form form, size_t n, sec_points_fn each, void *context);

/* The same for DCF keys (shape->nu is 0). */
uint64_t sec_dcf_size(const struct kern_dpf_shape *shape, size_t n);
void sec_dcf_deal(struct mpc_party *p, const struct kern_dpf_shape *shape, size_t n, const uint64_t *alpha, const uint64_t *beta,
                  const uint8_t *root1, const uint8_t *root2);
bool sec_dcf_receive(struct mpc_party *p, const struct kern_dpf_shape *shape, size_t n, struct kern_dcf_keys *ret);

static inline int sec_side(const struct mpc_party *p)
{
    return p->role == MPC_LEFT ? 0 : 1;
}

/* Steps the generator of sample inputs (not for secrets); the high bits of *seed are the random ones. */
static inline void sec_sample_step(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
}

/* Sample inputs of 0 <= x < limit, edges first. */
void sec_sample_below(int64_t *ret_x, size_t count, uint64_t seed, int64_t limit);

/* How a gate presents itself: one standard instance that the conformance suite runs against its twin, its declared cost
 * and its transcript. Every gate file exports one of these. */
struct sec_gate {
    const char *name;
    const char *source;
    int input_ring, input_frac, input_bound;
    /* Number of input elements is `unit` times what the suite chooses; sample fills count inputs, edges first. */
    size_t unit;
    void (*sample)(int64_t *ret_x, size_t count, uint64_t seed);
    /* Builds the instance, runs it on x with all its rounds; *ret holds the result. */
    enum base_status (*run)(struct mpc_party *p, struct mpc_wire x, struct mpc_wire *ret);
    /* Declared cost of run on `count` inputs, rounds included. */
    struct mpc_cost (*cost)(size_t count);
    /* Values that run opens, and the entry of the registry; NULL: the gate opens nothing. */
    uint64_t (*opens)(size_t count);
    enum mpc_opening opens_as;
};

#endif
