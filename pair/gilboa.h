/* Products of two private words from COTs (Gilboa): x known to one party bit by bit, y to the other; shares mod 2^R of x y.
 *
 * Bit i of x needs its OT only mod 2^(R - i). Rings 1 to 64, for each word of a row its own.
 *
 * Cost, n scalars of `bits` bits times `width` words: 2 exchanges, n bits COTs with y's owner as their sender; x's owner sends n bits (one
 * field for each bit), y's owner sends n (R - i) for bit i and word. Reveals: nothing (pair/ot.h). Statistical distance: none.
 * Source: N. Gilboa, Two party RSA key generation, CRYPTO 1999. */
#ifndef CACHET_PAIR_GILBOA_H
#define CACHET_PAIR_GILBOA_H

#include "pair/party.h"

enum { PAIR_MOST_WORDS = KERN_MAX_GROUPS };

struct pair_gilboa_form {
    int sender;       /* who knows y; the other one knows x */
    size_t count;     /* n */
    int bits;         /* of x; 1 gives bit times word */
    size_t width;     /* words that each x meets */
    int ring;         /* R of every word, unless: */
    const int *rings; /* [width], borrowed, for width <= PAIR_MOST_WORDS; 0 drops a word; or NULL */
};

struct pair_gilboa {
    struct pair_job job;
    struct pair_gilboa_form form;
    const uint64_t *own; /* x [count] or y [width][count], read in stage 0 (x) and 1 (y) */
    uint64_t *share;     /* [width][count], complete after the job */
    uint64_t *asked, *sent, *plane;
    struct pair_block *scratch;
    uint64_t first; /* the job's COTs: one plane of `count` for each bit */
    const struct pair_block *key;
    const uint8_t *choice;
};

/* The job owns nothing of the caller's; `own` and `share` must live until it has run. Errors: BASE_ERR_MEMORY, BASE_ERR_INTERNAL (form). */
BASE_MUST_USE enum base_status pair_gilboa_init(struct pair_gilboa *ret, const struct pair_party *p, struct pair_gilboa_form form,
                                                const uint64_t *own, uint64_t *share, struct base_error *error);
struct pair_cost pair_gilboa_cost(struct pair_gilboa_form form);

/* What a product of two wires needs, elementwise and summed over runs: shares mod 2^R of  sum over runs of `group` of l1x l2y + l2x l1y,
 * each party giving its own masks of x and y. scalars: x[i] meets `group` words y [i group ..] and nothing is summed. squares: y is x, both
 * terms are one, and one Gilboa mod 2^(R - 1) makes it.
 * Cost: 2 exchanges; both directions alike, as two Gilboas of R bits (squares: one, P2 sending). */
struct pair_cross_form {
    size_t count; /* words of y */
    size_t group;
    int ring;
    bool scalars, squares;
};

struct pair_cross {
    struct pair_job job;
    struct pair_cross_form form;
    uint64_t *share; /* [count / group], or [count] for scalars */
    uint64_t *y;     /* own words as Gilboa takes them */
    uint64_t *part[2];
    struct pair_gilboa product[2];
};

BASE_MUST_USE enum base_status pair_cross_init(struct pair_cross *ret, const struct pair_party *p, struct pair_cross_form form,
                                               const uint64_t *x, const uint64_t *y, uint64_t *share, struct base_error *error);
struct pair_cost pair_cross_cost(struct pair_cross_form form);

#endif
