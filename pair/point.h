/* Keys of point functions at a secret sum of two private indices, made by the two who will read them.
 *
 * Key t: shares of beta e_a in Z_2^R, a = a1 + a2 mod 2^h with a_i known to P_i alone, beta = beta1 + beta2 likewise: what a gate reads at
 * a masked value, a_i being the high part of P_i's own mask.
 *
 * Tree: half-tree, made as Doerner and shelat do: each party expands its whole tree, 2^h leaves, h <= 20. A node s has control bit
 * t = lsb(s); left = H(s) xor t C, right = left xor s; on the path the two parties' nodes differ by Delta = Delta_1 xor Delta_2, elsewhere
 * they are equal. Level i: the path bit is alpha1_i xor alpha2_i, both COT choice bits, and (1 - alpha_i) Delta is XOR-shared by two COTs, so
 * C_i = both parties' XOR over H of their nodes, xor those shares: ONE exchange of 16 bytes each way for a level, for all keys of a batch.
 * The index alpha is random; it becomes additive by h - 1 short OTs, and the parties open (a1 + a2) - alpha and turn the domain by it.
 * Payload: the sign of the last word is (-1)^(g1 xor g2) with g_i a bit that P_i has: one OT of a row of words each way.
 *
 * A party keeps the key (h + 1 words as a dealt key has) and expands it again where it is read, with its own Delta.
 *
 * Every tree has its own public number in its root. A number used twice would repeat a tree under another correction, and give Delta away:
 * numbers come from pair_party.next_tree, which goes forward only (pair_point_forward).
 *
 * Cost, n keys: h + 3 exchanges; each way 16 h bytes per key for the tree, h bits for the index, R - 1 bits per word and 1 bit for the sign,
 * R bits per word at the end; P1 sends h - 1 bits more, P2 1 + 2 + .. + (h - 1) bits (pair_point_cost). COTs: h + 1 with P1 as sender,
 * 2 h with P2. Hashes at each end: one for each node and one for each leaf and two words, 2^h (1 + ceil(words / 2)). Memory: 24 2^h bytes per key of a batch.
 * Reveals: nothing: what a party sends for a level holds H of its node on the path, which the other knows up to Delta; the opened index is
 * masked by alpha, words by OT pads.
 * Assumption: the hash is circular correlation robust (ideal permutation) under Delta: 127 bits of entropy. Statistical distance: none.
 * Source: J. Doerner, a. shelat, Scaling ORAM for secure computation, CCS 2017; X. Guo et al., Half-tree, EUROCRYPT 2023. */
#ifndef CACHET_PAIR_POINT_H
#define CACHET_PAIR_POINT_H

#include "pair/gilboa.h"

enum { PAIR_POINT_MOST_BITS = 20 };

struct pair_point_form {
    size_t count;
    int h;
    int groups; /* payload words, 1 to PAIR_MOST_WORDS */
    int rings[PAIR_MOST_WORDS];
};

/* A batch of keys, the same words at both parties. */
struct pair_point_keys {
    struct pair_point_form form;
    uint64_t first_tree;      /* number of key 0's tree */
    struct pair_block *words; /* [h][count] */
    uint64_t *last;           /* [groups][count] */
    uint64_t *shift;          /* [count]: the domain is turned by it */
};

void pair_point_keys_finish(struct pair_point_keys *keys);

struct pair_point {
    struct pair_job job;
    struct pair_point_keys *keys; /* complete after the job; the caller's */
    const uint64_t *index, *beta;
    struct pair_block *node, *hashed; /* [count][2^level] */
    struct pair_block *half;          /* [h][count]: own share of (1 - alpha) Delta */
    struct pair_block *sum[2];        /* [count]: own and the peer's half of a level's word */
    uint64_t *alpha;                  /* [h][count]: own share of the path's bits */
    uint64_t *product;                /* [h][count]: of the OTs that make the index additive */
    uint64_t *opened[2];              /* [count], own and the peer's */
    uint64_t *sign, *base;            /* [count] g, [groups][count] B: own */
    uint64_t *turned[2];              /* [groups][count] each */
    uint64_t *last;                   /* [groups][count]: the peer's */
    struct pair_gilboa additive[PAIR_POINT_MOST_BITS], turn[2];
    int turn_rings[PAIR_MOST_WORDS];
};

/* index [count]: own a_i, reduced to h bits; read in stage 2. beta [groups][count]: own share of the payload, read in stage h: a job of at
 * most h exchanges beside this one may still make it. Both are borrowed. ret_keys is allocated here.
 * Errors: BASE_ERR_INTERNAL (form), BASE_ERR_MEMORY. */
BASE_MUST_USE enum base_status pair_point_init(struct pair_point *ret, const struct pair_party *p, struct pair_point_form form,
                                               const uint64_t *index, const uint64_t *beta, struct pair_point_keys *ret_keys,
                                               struct base_error *error);
struct pair_cost pair_point_cost(struct pair_point_form form);

/* Own shares of keys first .. first + count - 1 everywhere: ret [count][groups][2^h], reduced. Local. */
BASE_MUST_USE enum base_status pair_point_expand(struct pair_party *p, const struct pair_point_keys *keys, size_t first, size_t count,
                                                 uint64_t *ret, struct base_error *error);

/* Keys as bytes, for a spool: tree number, words, last words, shifts; no secret without Delta, but each party's own. Words are packed.
 * unpack allocates ret_keys. Errors: BASE_ERR_FORMAT for trees that this party has not made, BASE_ERR_INTERNAL (form), BASE_ERR_MEMORY. */
size_t pair_point_record_size(const struct pair_point_form *form);
void pair_point_pack(const struct pair_party *p, const struct pair_point_keys *keys, uint8_t *ret);
BASE_MUST_USE enum base_status pair_point_unpack(const struct pair_party *p, struct pair_point_form form, const uint8_t *record,
                                                 struct pair_point_keys *ret_keys, struct base_error *error);

/* The next tree gets `number`: after a restart, from what was kept. Errors: BASE_ERR_INTERNAL for a number that may have been used. */
BASE_MUST_USE enum base_status pair_point_forward(struct pair_party *p, uint64_t number, struct base_error *error);

#endif
