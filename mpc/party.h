/* One role's whole state, and the round: ONE message each way for everything that waits to be opened.
 *
 * The same graph code runs for every role; the role decides which half of an operation runs:
 *   helper (P0)  deals; a function of public shapes and its streams only; runs ahead, receives nothing
 *   left (P1), right (P2)  compute on masked values and exchange masked shares
 *   clear        the plaintext twin: the same graph on the same fixed-point integers
 *   count        no values at all: adds up declared costs
 *
 * Operations return wires and report failure through the party: after the first failure every operation returns an
 * empty wire, nothing is sent, and mpc_round answers with the first error. So a graph reads as its mathematics and
 * checks once per round. */
#ifndef CACHET_MPC_PARTY_H
#define CACHET_MPC_PARTY_H

#include "base/arena.h"
#include "mpc/cost.h"
#include "mpc/source.h"
#include "mpc/stream.h"
#include "mpc/wire.h"
#include "net/link.h"

#include <stdbool.h>

/* The first three are P0, P1 and P2 by their numbers. */
enum mpc_role { MPC_HELPER, MPC_LEFT, MPC_RIGHT, MPC_CLEAR, MPC_COUNT };

enum { MPC_MAX_PENDING = 512, MPC_MAX_OPENINGS = 16 };

struct mpc_party;
struct mpc_pending;
struct mpc_maker;
struct mpc_strand;
typedef void (*mpc_finish_fn)(struct mpc_party *p, struct mpc_pending *pending);

/* A share that waits for the next round. */
struct mpc_pending {
    const char *label;
    struct mpc_wire wire; /* the result; its arrays are complete after the round */
    uint64_t *opened;     /* P1, P2: own masked share in Z_2^ring, after the round the opened value */
    size_t count;
    int ring;
    double ulp;           /* |value - twin's value| is at most this, in units of the wire, for equal inputs */
    enum mpc_role sender; /* MPC_HELPER: P1 and P2 send each other their words; else the one that sends, and the other adds what comes */
    mpc_finish_fn finish; /* turns the opened value into wire.m; NULL when opened is wire.m */
    uint64_t *extra;      /* for finish */
};

/* Sees every completed wire: tests compare against the twin, the plan checker looks at ranges. In the clear role it may
 * overwrite wire->x, which makes the twin go on from another run's values. */
typedef void (*mpc_observe_fn)(void *context, struct mpc_party *p, const char *label, const struct mpc_wire *wire,
                               double ulp);

/* Where a dealt field of public size is divided between the links of P0 (mpc/deal.h). */
typedef size_t (*mpc_split_fn)(const struct mpc_party *p, size_t count, int ring);

struct mpc_party {
    enum mpc_role role;
    const struct kern_table *kern;
    struct base_arena arena;
    struct mpc_stream s1, s2;   /* (P0,P1) and (P0,P2) */
    struct mpc_stream o1, o2;   /* input owner with (P0,P1) and with (P0,P2) */
    struct mpc_stream s12;      /* (P1,P2): words of the guard. P0 and the client never hold it */
    struct mpc_source source;
    const struct mpc_maker *maker; /* one of two parties that have no P0 (mpc/maker.h); NULL: P0 deals */
    mpc_split_fn split;         /* NULL: mpc_deal_split. Any is safe that all roles share; one at whole bytes keeps declared costs */
    struct net_link *peer;      /* P1 <-> P2 */
    struct net_link *client;    /* P1, P2: the client */
    struct mpc_pending pending[MPC_MAX_PENDING];
    size_t pending_count;
    uint32_t step;              /* number of rounds so far: the step id of frames between parties */
    uint32_t client_step;       /* messages from and to the client so far: the step id of its frames */
    struct mpc_cost declared;
    struct mpc_cost *account;   /* where what is declared is added, too; NULL: nowhere else */
    uint64_t openings[MPC_MAX_OPENINGS]; /* values opened, by entry of the registry (mpc/opening.h) */
    uint64_t guard;             /* P1, P2: XOR word of the guards since it was last opened, a share: secret.
                                 * clear: readings outside a guard's range since then; not 0 is void. See protocols/guard.h */
    uint64_t violations;        /* clear: values seen outside a declared bound or range */
    const char *violation;      /* clear: label of the first one */
    mpc_observe_fn observe;
    void *observe_context;
    /* Called first in every round: may queue openings of its own, whose rounds are thus hidden behind this work. NULL: nothing. */
    void (*before_round)(void *context, struct mpc_party *p);
    void *before_round_context;
    struct mpc_strand *strand; /* the one that runs (mpc/strands.h); NULL outside */
    /* Whether this end wants its work to end early; public, asked in every round. NULL: never. P1 and P2 tell each other in passing
     * (net_link_set_note), and both fail in the round in which either did; P0 fails for itself. */
    bool (*wants_stop)(void *context);
    void *wants_stop_context;
    /* Asked before everything that this party sends: whether what its local work runs on still works, an accelerator say. Public. NULL: it does. */
    enum base_status (*may_send)(void *context, struct base_error *error);
    void *may_send_context;
    /* Told after each layer, where the graph has layers. NULL: nobody. */
    void (*layer_done)(void *context, size_t layer);
    void *layer_done_context;
    bool stopped;     /* it has failed because of that */
    bool client_lost; /* P1, P2: the client's link ended while its input was due, and zeros stand for what did not come */
    enum base_status status;
    struct base_error error;
};

/* A party without streams, links and source (the caller sets what its role holds). arena_size: bytes of work area. */
BASE_MUST_USE enum base_status mpc_party_init(struct mpc_party *p, enum mpc_role role, const struct kern_table *kern,
                                              size_t arena_size, struct base_error *error);
/* Wipes streams and work area. Links and source belong to the caller. */
void mpc_party_finish(struct mpc_party *p);

static inline bool mpc_computes(const struct mpc_party *p)
{
    return p->role == MPC_LEFT || p->role == MPC_RIGHT;
}

static inline bool mpc_failed(const struct mpc_party *p)
{
    return p->status != BASE_OK;
}

/* Records the first failure of a party. */
__attribute__((format(printf, 3, 4))) void mpc_fail(struct mpc_party *p, enum base_status status, const char *format, ...);

/* Asks may_send; false, and the party has failed, where it or anything before it did. Before every message. */
bool mpc_may_send(struct mpc_party *p);

/* Arrays from the work area; NULL (and a recorded failure) when it is used up. */
uint64_t *mpc_words(struct mpc_party *p, size_t count);
void *mpc_bytes(struct mpc_party *p, size_t size);

/* Adds a declared cost; rounds are declared by mpc_round. */
void mpc_declare(struct mpc_party *p, struct mpc_cost cost);

/* Queues an opening for the next round and returns its wire. */
struct mpc_wire mpc_queue(struct mpc_party *p, const struct mpc_pending *pending);

/* One round. Cost: 1 round. Errors: the first failure of any operation since the last round, or of the link. */
BASE_MUST_USE enum base_status mpc_round(struct mpc_party *p);


/* Clear: records |x| > 2^bound. Elsewhere nothing. */
void mpc_check_bound(struct mpc_party *p, const char *label, const struct mpc_wire *w);
void mpc_check_range(struct mpc_party *p, const char *label, const uint64_t *x, size_t count, int64_t low, int64_t high);

#endif
