/* The maker of two parties (mpc/maker.h): from what the graph notes ahead of time to jobs of the pair, and from these to records on a tape.
 *
 * Notes copy the masks that they need; a batch of them runs side by side, so it costs the exchanges of its longest job. Both parties note the same
 * forms in the same order and run batches at the same places: all of it follows from public shapes.
 *
 * | note     | jobs                                              | record                                    |
 * |----------|---------------------------------------------------|-------------------------------------------|
 * | product  | a Gilboa each way for each row of x; for a matrix | own l l + share of l1x l2w + l2x l1w      |
 * |          | that stays: encrypted masks (pair/lasting.h)      |                                           |
 * | cross    | a Gilboa each way, one for squares; for scalars   | the same                                  |
 * |          | with many words: these encrypted as one column    |                                           |
 * | wraps    | thermometer bits of a2 times rows of P1's         | share of V for each reading M             |
 * | chosen   | a masked bit times a small ring (pair/choose.h)    | shares of V and rho V; of rho l and rho   |
 * | points   | payload, trees (pair/payload.h, pair/point.h)     | keys (pair_point_pack)                    |
 * | turned   | P2's pattern at P1's place (pair/table.h)         | one word of 2^h bits                      |
 * | bits     | P2's bits choose words of P1 (pair/bits.h)        | share of the product                      |
 *
 * wraps: V(a1, a2) = V(a1, 0) + sum over j = 1 .. 3 of [a2 >= j] (V(a1, j) - V(a1, j - 1)), so three bits of P2 choose among words of P1.
 * Cost: 2 exchanges; per element 3 COTs with P1 as sender, 3 bits from P2, 12 words from P1.
 *
 * Reveals: nothing beyond its jobs. */
#ifndef CACHET_PAIR_MAKER_H
#define CACHET_PAIR_MAKER_H

#include "mpc/maker.h"
#include "pair/lasting.h"
#include "pair/party.h"
#include "pair/tape.h"

struct pair_note;

/* How products are made: each in the way that sends less, keys and weights not counted; all by Gilboa, the oracle of the other; encrypted wherever that is
 * possible, for tests. Both parties choose alike. */
enum pair_linear { PAIR_LINEAR_CHEAPER, PAIR_LINEAR_GILBOA, PAIR_LINEAR_ENCRYPTED };

/* A party ahead of time. */
struct pair_maker {
    struct mpc_maker of_party; /* mpc_party.maker */
    struct pair_party *party;  /* NULL: only counts */
    struct pair_tape *tape;
    struct pair_note *first, *last;
    struct pair_cost noted; /* of the batch that waits */
    uint64_t weight;        /* about its memory */
    uint64_t batch;         /* runs at this weight; 0: PAIR_MAKER_BATCH */
    uint64_t pool[3];       /* the count role: COTs that are left */
    int k;
    enum pair_linear linear;
    struct pair_store text;   /* encrypted K and V, and keys of this maker's life, for all that is no weight */
    struct pair_store *model; /* encrypted weights and their keys; own_model unless the caller has one that outlives the maker */
    struct pair_store own_model;
    bool weights_only;        /* nothing is noted: weights that are new are encrypted, and that is all */
    uint64_t unsaid;          /* bytes that were made and of which `run` has not told yet */
    struct pair_cost made;  /* all batches, COT extensions included */
    struct pair_cost once;  /* keys, once per maker (and once per model), and weights, once per model: beside what was made */
    /* Told of each message of encrypted weights: of a matrix of so many outs and columns, how many columns are done. NULL: nobody. */
    void (*told)(void *context, size_t outs, size_t columns, size_t done);
    void *told_context;
};
enum { PAIR_MAKER_BATCH = 256 << 20 };

/* Over a party whose COTs are started, and a tape; both borrowed. */
void pair_maker_init(struct pair_maker *ret, struct pair_party *party, struct pair_tape *tape);
/* The count role of it. k: of the COTs. */
void pair_maker_count(struct pair_maker *ret, int k);
/* Of `once`, the keys that texts use: sent when the first text meets them. */
struct pair_cost pair_maker_text_keys(const struct pair_maker *maker);
/* Drops and wipes what was noted and not made, and the texts; drop: to note something else after it. */
void pair_maker_drop(struct pair_maker *maker);
void pair_maker_finish(struct pair_maker *maker);

/* The online half: reads keys with the party's own Delta. */
struct pair_reader {
    struct mpc_maker of_party;
    struct pair_party view; /* what reading needs of the party that made the keys */
    struct pair_tape *tape;
};
void pair_reader_init(struct pair_reader *ret, const struct pair_party *party, struct pair_tape *tape);

#endif
