/* Trees of seeds of which one party holds all leaves and the other all but the one at its own secret index: one COT per level.
 *
 * Half-trees of the owner's own Delta: the sum of the nodes of a level that the index's owner wants, side b = 1 where its path goes left, is the left one
 * plus b Delta. It asks with e = b xor c, c the COT's choice bit; the trees' owner sends the left sum + K + e Delta, of which M = K + c Delta leaves the wanted
 * one. All levels and trees travel together. Leaves are inputs of a hash, never words themselves (pair/ggm.h). A part of jobs (tables, permutations), which
 * call its stages.
 *
 * Cost, n trees of 2^h leaves: 2 exchanges; n h COTs with the trees' owner as their sender; the other sends n h bits, the owner 16 n h
 * bytes. Reveals: nothing; a COT's key is a pad of one block, used once. Assumes what COTs' pads and point trees do (kern_table.hash_tweaked).
 * Source: P. Schoppmann et al., Distributed vector-OLE, CCS 2019; E. Boyle et al., CCS 2019; half-trees: X. Guo et al., EUROCRYPT 2023. */
#ifndef CACHET_PAIR_SEEDS_H
#define CACHET_PAIR_SEEDS_H

#include "pair/ggm.h"

enum { PAIR_SEEDS_MOST_BITS = 16 };

struct pair_seeds_form {
    int owner; /* of the trees */
    size_t count;
    int h;
};

struct pair_seeds {
    struct pair_seeds_form form;
    const uint64_t *index;    /* [count], at the other party; borrowed, read in stage 0 and 2 */
    struct pair_block *leaf;  /* [count][2^h] after stage 1 at the owner, after stage 2 at the other: there the one at the index is zero */
    struct pair_block *sum;   /* [h][count]: under COTs */
    struct pair_block *own;   /* [h][count][2]: the owner's sums; the other's chosen ones in the first half */
    uint64_t *asked;          /* [h][count] */
    const struct pair_block *key; /* of the COTs */
};

BASE_MUST_USE enum base_status pair_seeds_init(struct pair_seeds *ret, struct pair_seeds_form form, const uint64_t *index,
                                               struct base_error *error);
/* Stages 0 to 2. */
BASE_MUST_USE enum base_status pair_seeds_step(struct pair_party *p, struct pair_seeds *seeds, int stage, struct base_error *error);
void pair_seeds_finish(struct pair_seeds *seeds);
struct pair_cost pair_seeds_cost(struct pair_seeds_form form);

/* All ones where a and b differ, zero where they are equal; both below 2^63. */
static inline uint64_t pair_differ_mask(uint64_t a, uint64_t b)
{
    return (((a ^ b) - 1) >> 63) - 1;
}

#endif
