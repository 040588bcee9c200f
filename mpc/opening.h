/* Values that leave the shares. One function per receiver opens them (mpc_open_to_client, mpc_open_to_parties), and each call site names an entry of this registry;
 * parties count what they opened per entry, and the leakage page is printed from the same table. */
#ifndef CACHET_MPC_OPENING_H
#define CACHET_MPC_OPENING_H

#include "mpc/party.h"

enum mpc_opening {
    MPC_OPEN_LOGITS,
    MPC_OPEN_FINAL_SQUARES,
    MPC_OPEN_TOKEN,
    MPC_OPEN_TOP_TOKENS,
    MPC_OPEN_TOP_LOGITS,
    MPC_OPEN_SHUFFLED_BITS,
    MPC_OPEN_SHUFFLED_FLAGS,
    MPC_OPEN_GUARD,
    MPC_OPEN_TEST,
    MPC_OPENING_COUNT,
};

struct mpc_opening_entry {
    const char *name;
    const char *what;
    const char *to;
    const char *why_safe;
};

const struct mpc_opening_entry *mpc_opening_entry(enum mpc_opening opening);

/* Opens w to the client only: P1 sends (m, l1), P2 a digest of m and l2, packed. Cost: mpc_open_to_client_bytes to the client; no round
 * between parties. The masks belong to this wire alone and are never used again. */
enum { MPC_OPEN_DIGEST = 32 };
/* From P1 and P2 together. */
static inline uint64_t mpc_open_to_client_bytes(size_t count, int ring)
{
    return 3 * (uint64_t)mpc_bits(count, ring) + MPC_OPEN_DIGEST;
}
BASE_MUST_USE enum base_status mpc_open_to_client(struct mpc_party *p, struct mpc_wire w, enum mpc_opening opening);

/* Queues the opening of additive shares to P1 and P2, never to P0; the twin passes its values. Returns the values, complete after the
 * round (NULL at P0). Nothing masks them: what is opened must be a function of freshly shuffled data, as its entry says.
 * Cost: 2 n ring bits online in the next round. */
uint64_t *mpc_open_to_parties(struct mpc_party *p, const uint64_t *share, size_t count, int ring, enum mpc_opening opening,
                              const char *label);

/* Queues words that go one way, from `sender` (P1 or P2); the other adds what comes to its own ones, mod 2^ring after the round. Arrays are
 * NULL where a role has none. The caller answers for what its words reveal.
 * Cost: n ring bits online in the next round. */
void mpc_pass(struct mpc_party *p, enum mpc_role sender, uint64_t *words, size_t count, int ring, const char *label);
/* The same for the m of a wire, complete after the round: the whole m at the sender, zero at the other. */
struct mpc_wire mpc_pass_wire(struct mpc_party *p, enum mpc_role sender, struct mpc_wire w, double ulp, const char *label);

/* Opens the guard word to the client only, as one value, and starts a new one: p->guard is 0 after it. P1 and P2 first add one more word
 * of their common stream to both words. So the client sees (u, u) or (u, u + d) with u uniform, and d uniform unless nothing was reported:
 * one bit and nothing else, not even how many readings or whether there was a guard at all.
 * Cost: 8 bytes from each of P1 and P2 to the client; no round between parties. Reveals: the bit, to the client; to P0, P1 and P2
 * nothing. No branch of a party depends on the word. Source: specification, dealt.py (guard_to_client). */
BASE_MUST_USE enum base_status mpc_open_guard(struct mpc_party *p);

/* The client's half: the values, after checking that P1 and P2 sent the same m.
 * Errors: BASE_ERR_PEER when they differ (one of them computed something else). */
struct mpc_client {
    const struct kern_table *kern;
    struct mpc_stream o1, o2; /* shared with (P0,P1) and with (P0,P2) */
    struct net_link *link[3]; /* to P0, P1, P2 */
    uint32_t step;            /* messages to and from each party so far */
};
BASE_MUST_USE enum base_status mpc_client_take(struct mpc_client *client, size_t count, int ring, int64_t *ret_values,
                                               struct base_error *error);

/* The client's half of mpc_open_guard: *ret_void says whether a reading was reported since the last one (or, with probability 2^-64, not
 * although one was). Errors: those of the links; *ret_void is true then. Source: specification, dealt.py (guard_take). */
BASE_MUST_USE enum base_status mpc_client_take_guard(struct mpc_client *client, bool *ret_void, struct base_error *error);

/* The client shares x: m = x + o1 + o2 goes to P1 and P2, the mask halves come from the streams. P0 receives nothing. */
BASE_MUST_USE enum base_status mpc_client_give(struct mpc_client *client, const int64_t *x, size_t count, int ring,
                                               struct base_error *error);

/* The parties' half: a wire whose owner sent m. Cost: none between parties. `x` is the twin's input (other roles pass
 * NULL). */
struct mpc_wire mpc_input(struct mpc_party *p, const int64_t *x, size_t count, int ring, int frac, int bound);

/* Public bytes to the client, P0's, too: word that something is done. A client that is gone is no failure here: mpc_party.client_lost. */
void mpc_tell_client(struct mpc_party *p, const void *bytes, size_t size);

#endif
