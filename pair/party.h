/* One of two parties that make correlated randomness with each other over one link, and nobody else; semi-honest.
 *
 * Work is a job: stages that queue messages and read those of the stage before. pair_run drives any number of jobs side by side and puts
 * what all of them send in one stage into ONE exchange, so a batch of gates, layers and tokens costs the exchanges of its longest job.
 * Both parties run the same jobs in the same order with the same public shapes: that order is all that says what belongs together, and
 * sizes depend on shapes alone.
 *
 * No branch, index or size here depends on a secret. Jobs declare their cost before they run; the link counts. */
#ifndef CACHET_PAIR_PARTY_H
#define CACHET_PAIR_PARTY_H

#include "mpc/cost.h"
#include "mpc/stream.h"
#include "net/link.h"

enum { PAIR_SESSION = 16, PAIR_SEED = 16 };

/* A block of 128 bits: bytes 0 .. 7 little-endian in word[0]. */
struct pair_block {
    uint64_t word[2];
};

/* What both ends send and use up. Arrays: by party number, place 0 is empty. */
struct pair_cost {
    uint64_t exchanges;
    uint64_t bytes[3]; /* payload that a party sends */
    uint64_t cots[3];  /* correlated OTs with that party as their sender; their bytes are pair_cot_extend_cost */
};

/* Side by side: bytes and COTs add up, exchanges overlap. */
static inline struct pair_cost pair_cost_beside(struct pair_cost a, struct pair_cost b)
{
    struct pair_cost sum = {.exchanges = a.exchanges > b.exchanges ? a.exchanges : b.exchanges};
    for (int i = 1; i <= 2; i++) {
        sum.bytes[i] = a.bytes[i] + b.bytes[i];
        sum.cots[i] = a.cots[i] + b.cots[i];
    }
    return sum;
}

/* One after the other. */
static inline struct pair_cost pair_cost_then(struct pair_cost a, struct pair_cost b)
{
    struct pair_cost sum = pair_cost_beside(a, b);
    sum.exchanges = a.exchanges + b.exchanges;
    return sum;
}

/* Where words of the next exchange go: [count] of `ring` bits, or bytes (ring 0). */
struct pair_awaited {
    void *to;
    size_t count;
    int ring;
};

struct pair_cot;

struct pair_party {
    int id; /* 1 or 2, as P1 and P2 */
    const struct kern_table *kern;
    struct net_link *link;
    uint8_t session[PAIR_SESSION];
    struct mpc_stream own; /* this party's generator, which nobody shares: its masks, roots, scalars and noise */
    bool base_ots;         /* have been begun: once in a session */
    struct pair_cot *cot;  /* NULL until pair_cot_start */
    uint64_t next_tree;    /* number of the next point tree (pair/point.h): goes forward only, alike at both */
    uint32_t step;         /* exchanges so far: the step id of frames */
    struct pair_cost declared;
    uint8_t *outgoing; /* queued for the next exchange */
    size_t outgoing_size, outgoing_room;
    struct pair_awaited *awaited;
    size_t awaited_count, awaited_room, awaited_size; /* size in bytes */
};

/* A party over a link (borrowed). `session` is what both ends agreed on (net_hello); base OTs are bound to it. `seed` NULL: from the
 * system; tests and replays give one, and never the same twice. Errors: BASE_ERR_ARGUMENT (id; a session of zeros, which nobody agreed
 * on), BASE_ERR_INTERNAL (libsodium). */
BASE_MUST_USE enum base_status pair_party_init(struct pair_party *p, int id, const struct kern_table *kern, struct net_link *link,
                                               const uint8_t session[PAIR_SESSION], const uint8_t seed[PAIR_SEED],
                                               struct base_error *error);
/* Wipes the generator, the COTs and the boxes. */
void pair_party_finish(struct pair_party *p);

static inline int pair_peer(const struct pair_party *p)
{
    return 3 - p->id;
}

/* --- messages ---------------------------------------------------------------------------------------------------------------------- */

/* Queues words for the next exchange, packed to `ring` bits (0: nothing at all), or bytes as they are. */
BASE_MUST_USE enum base_status pair_put(struct pair_party *p, const uint64_t *words, size_t count, int ring, struct base_error *error);
BASE_MUST_USE enum base_status pair_put_bytes(struct pair_party *p, const void *bytes, size_t size, struct base_error *error);
/* Names where words or bytes of the peer go; filled by pair_exchange, in the order of the peer's puts. */
BASE_MUST_USE enum base_status pair_await(struct pair_party *p, uint64_t *ret, size_t count, int ring, struct base_error *error);
BASE_MUST_USE enum base_status pair_await_bytes(struct pair_party *p, void *ret, size_t size, struct base_error *error);
/* Sends what is queued and fills what is awaited. Nothing either way: no exchange. Errors: those of net_link_exchange. */
BASE_MUST_USE enum base_status pair_exchange(struct pair_party *p, struct base_error *error);

/* --- jobs -------------------------------------------------------------------------------------------------------------------------- */

struct pair_job {
    /* Stage 0 .. exchanges - 1: reads what the last exchange brought and queues for the next; stage `exchanges` reads the last. */
    enum base_status (*step)(struct pair_party *p, struct pair_job *job, int stage, struct base_error *error);
    /* Frees and wipes what the job holds: pair_run calls it, and who has a job that never runs. */
    void (*finish)(struct pair_job *job);
    struct pair_cost cost; /* declared; COTs are taken from the pool, which pair_run fills */
};

/* Runs jobs side by side, then finishes each of them. Cost: the jobs' beside each other, and one exchange before for the COTs that the
 * pool lacks. Errors: the first one of a stage or of the link; results are then of no meaning, and the party is of no further use. */
BASE_MUST_USE enum base_status pair_run(struct pair_party *p, struct pair_job *const *jobs, size_t count, struct base_error *error);

#endif
