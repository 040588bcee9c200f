/* Trees of seeds (Goldreich, Goldwasser, Micali; half-trees: Guo et al.), local work: one party grows whole trees; the other, which got on every level the sum of
 * the nodes on the side where its secret path does not go, grows all but the path.
 *
 * Who grows without the path numbers nodes RELATIVE to it: place y of a level holds node y xor path, place 0 is the path's own node and
 * stays zero. A half-tree has a Delta of its grower: its first two nodes, and so the left and right sums of every level, differ by it, and a right node is
 * its parent plus the left one: one hash and one sum for a level instead of two. Its leaves add up to Delta: they serve as inputs of the hash alone.
 * So no memory access depends on the path; pair_ggm_absolute brings leaves into their own order without one, too. */
#ifndef CACHET_PAIR_GGM_H
#define CACHET_PAIR_GGM_H

#include "pair/party.h"

/* What the tweaks of the hash separate (kern_table.hash_tweaked): the upper half of their high word. */
enum pair_domain {
    PAIR_HASH_PAD = 1, /* of COTs as words: low = number of the COT, high also sender and block */
    PAIR_HASH_LEFT,    /* children of a seed tree: low = level */
    PAIR_HASH_RIGHT,
    PAIR_HASH_NODE,    /* a level of a point tree: low = level */
    PAIR_HASH_LEAF,    /* its leaves as words: low = block */
    PAIR_HASH_ROW,     /* leaves of seed trees as rows of words: low = block */
    PAIR_HASH_HALF,    /* left children of a half-tree: low = level */
};

static inline uint64_t pair_hash_high(enum pair_domain domain, uint32_t below)
{
    return (uint64_t)domain << 32 | below;
}

static inline struct pair_block pair_xor(struct pair_block a, struct pair_block b)
{
    return (struct pair_block){{a.word[0] ^ b.word[0], a.word[1] ^ b.word[1]}};
}

/* b where bit is 1, zero where it is 0. */
static inline struct pair_block pair_times(struct pair_block b, uint64_t bit)
{
    return (struct pair_block){{b.word[0] & (0 - bit), b.word[1] & (0 - bit)}};
}

/* Swaps a and b where bit is 1, without a branch. */
static inline void pair_swap_if(struct pair_block *a, struct pair_block *b, uint64_t bit)
{
    struct pair_block d = pair_times(pair_xor(*a, *b), bit);
    *a = pair_xor(*a, d);
    *b = pair_xor(*b, d);
}

/* Hashes in place of the kernel table for blocks. */
static inline void pair_hash(const struct pair_party *p, struct pair_block *out, const struct pair_block *in, size_t count, uint64_t low,
                             uint64_t step, uint64_t high)
{
    p->kern->hash_tweaked((uint8_t *)out, (const uint8_t *)in, count, low, step, high);
}

/* n trees of 2^h leaves from random roots; half-trees of delta, unless it is NULL. ret_leaves [n][2^h]; ret_sums [h][n][2]: XOR of the left and of the
 * right nodes of each level.
 * Cost: none. Errors: BASE_ERR_MEMORY. */
BASE_MUST_USE enum base_status pair_ggm_grow(struct pair_party *p, size_t n, int h, const struct pair_block *delta,
                                             struct pair_block *ret_leaves, struct pair_block (*ret_sums)[2], struct base_error *error);

/* The same trees, `half` or not, without the leaves at path[n] (secret, h bits). sums [h][n]: of the level's nodes on the other side than the path's.
 * ret_leaves [n][2^h] by relative places, [..][0] zero. */
BASE_MUST_USE enum base_status pair_ggm_grow_around(struct pair_party *p, size_t n, int h, bool half, const uint64_t *path,
                                                    const struct pair_block *sums, struct pair_block *ret_leaves, struct base_error *error);

/* Relative places into absolute ones, in place. */
void pair_ggm_absolute(size_t n, int h, const uint64_t *path, struct pair_block *leaves);

/* Bit of `path` at a level, the highest first. */
static inline uint64_t pair_path_bit(uint64_t path, int h, int level)
{
    return path >> (h - 1 - level) & 1;
}

#endif
