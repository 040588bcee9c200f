/* Dealt material: what P0 makes and P1 and P2 take, in one order on all three.
 *
 * A dealt field is an array of secret-shared words. P0 shares it so that both of its links carry half of it:
 *
 *   elements [0, h)      P1 draws its half from s1, P2 receives value - draw
 *   elements [h, count)  P2 draws its half from s2, P1 receives value - draw
 *
 * Every call draws from s1 and from s2 and sends to P1 and to P2, so all roles make their calls in one order.
 * Safe: of an element one party has a draw, which does not depend on the value; the other receives the value
 * minus that draw, which is fresh and which it cannot make: uniform.
 * Source: specification, dealt.py (deal_split, deal_wide) and README, "Dealt bytes" item 7. */
#ifndef CACHET_MPC_DEAL_H
#define CACHET_MPC_DEAL_H

#include "mpc/party.h"

/* Fields of fewer bytes go to P2 whole: a second frame costs more than it takes off the link. */
enum { MPC_DEAL_WHOLE = 512, MPC_DEAL_MOST_BITS = 512 };

/* h of a field of `count` elements of `ring` bits (1 to MPC_DEAL_MOST_BITS): nearest to the middle of all h
 * whose elements fill whole bytes, so that a field costs mpc_bits(count, ring) whether it is divided or not.
 * The two parts of a divided field differ by at most `ring` bytes. */
size_t mpc_deal_split(size_t count, int ring);

/* Fresh mask halves of one output, ring `ring`: *ret1 drawn from s1 and *ret2 from s2 as far as the role
 * holds them (NULL otherwise). */
void mpc_fresh(struct mpc_party *p, size_t count, int ring, uint64_t **ret1, uint64_t **ret2);

/* The same between kern_hold and kern_settle (kernels/gather.h), where the draws may arrive as late as in kern_settle. */
void mpc_fresh_later(struct mpc_party *p, size_t count, int ring, uint64_t **ret1, uint64_t **ret2);

/* P0 shares `value` [count] additively between P1 and P2 in Z_2^ring. P1 and P2 get their halves, reduced; P0
 * (which alone passes a value), the twin and the count role get NULL.
 * Cost: mpc_bits(count, ring) offline. Reveals: nothing (above). Errors: of the source, through the party. */
uint64_t *mpc_deal(struct mpc_party *p, size_t count, int ring, const uint64_t *value);

/* The same where P0 keeps the halves: the mask of a wire, of which P1 gets *ret1, P2 *ret2 and P0 both,
 * reduced; NULL where a role does not hold one. `value` is P0's and is used up: it becomes *ret2. The draws
 * are fresh. A caller must never deal a mask by hand as the mask minus a draw that was used before: with s2
 * on the wire, P2 would read z0 >> f from s2 - (z0 >> f), and P1 the same from g1. */
void mpc_deal_halves(struct mpc_party *p, size_t count, int ring, uint64_t *value, uint64_t **ret1,
                     uint64_t **ret2);

/* The same as mpc_deal for words of `ring` bits up to MPC_DEAL_MOST_BITS: [limbs][count] limbs of 64 bits,
 * least first, the last one of what is left; the borrow of value - draw goes from limb to limb. `value` is
 * reduced but for its last limbs. Cost: whole bytes for each limb, a message each per party. Errors:
 * BASE_ERR_INTERNAL unless limbs = ceil(ring / 64). */
uint64_t *mpc_deal_limbs(struct mpc_party *p, size_t count, int limbs, int ring, const uint64_t *value);
struct mpc_cost mpc_deal_limbs_cost(size_t count, int limbs, int ring);

/* The same as mpc_deal with halves whose XOR is the value: tables of bits. `ring` is 64 at most. */
uint64_t *mpc_deal_xor(struct mpc_party *p, size_t count, int ring, const uint64_t *value);

/* What the functions above are made of; halves and cost as theirs. */
struct mpc_field {
    size_t count;
    int ring;    /* bits of a word */
    int limbs;   /* of a word */
    int limb;    /* bits of each limb but the last, which has what is left of `ring`: 1 to 64 */
    bool by_xor; /* halves whose XOR, not whose sum, is the value */
};
uint64_t *mpc_deal_field(struct mpc_party *p, struct mpc_field field, const uint64_t *value);

/* mpc_deal_halves in two steps, for P0, P1 and P2: `begin` draws, between kern_hold and kern_settle, so that an accelerator makes the draws beside
 * what comes before their use; `end`, after kern_settle, does the rest. */
struct mpc_halves {
    struct mpc_field field;
    size_t split;
    uint64_t *words;
};
struct mpc_halves mpc_halves_begin(struct mpc_party *p, size_t count, int ring);
void mpc_halves_end(struct mpc_party *p, const struct mpc_halves *halves, uint64_t *value, uint64_t **ret1, uint64_t **ret2);

/* P0 sends the same bytes to P1 and P2 (keys); they receive into `data`. Cost: 2 size offline. */
void mpc_deal_both_bytes(struct mpc_party *p, uint8_t *data, size_t size);
/* P0 sends a packed field to one party (1 or 2); that party receives it; no-op elsewhere. Cost:
 * mpc_bits(count, ring) offline. The caller answers for what it reveals. */
void mpc_deal_to(struct mpc_party *p, int to, uint64_t *data, size_t count, int ring);

#endif
