/* The AES loops under the FSS keys. fss/{dpf,dcf,bit}.c hold the key algorithms once; each level of acceleration
 * supplies a core, and a slot is an algorithm bound to a core.
 *
 * PRG [Boyle-Gilboa-Ishai 2016, half-tree-free form]: H_k(s) = AES_k(s) xor s under public fixed keys.
 * A node is one block: 127 bits of seed and, in bit 0 of byte 0, its control bit. The seed of a node is the block with
 * that bit cleared. Correction blocks carry the control correction in the same bit. */
#ifndef CACHET_KERNELS_FSS_CORE_H
#define CACHET_KERNELS_FSS_CORE_H

#include "kernels/internal.h"

enum kern_fss_key {
    KERN_FSS_LEFT,
    KERN_FSS_RIGHT,
    KERN_FSS_LEAF,
    KERN_FSS_VALUE_LEFT,
    KERN_FSS_VALUE_RIGHT,
    KERN_FSS_TWEAKED, /* of hash_tweaked alone */
    KERN_FSS_KEYS,
};

enum {
    KERN_FSS_MAX_BLOCKS = KERN_MAX_CONVERT_WORDS / 2,     /* of one leaf conversion */
    KERN_FSS_VALUE_BLOCKS = (KERN_MAX_GROUPS + 1) / 2,    /* of one DCF value */
};

/* Round keys of the key bytes 01 01 .., 02 02 .., to 06 06 ..; by round first, so that left and right are neighbours. */
extern const uint8_t kern_fss_round_keys[11][KERN_FSS_KEYS][16];

/* Turns the leaves of `keys` trees into payload shares.
 *   leaves [keys][2^levels]
 *   out    [keys][groups][2^levels * copies]
 *   final  word c of group g of key i at final[g * final_stride + i * copies + c] */
struct kern_fss_leaf {
    int levels;
    int copies;
    int groups;
    int side;
    uint64_t masks[KERN_MAX_GROUPS];
    const uint64_t *final;
    size_t final_stride;
    const struct kern_block *leaves;
    size_t keys;
    uint64_t *out;
};

/* One root-to-leaf path per lane, levels [from, to) of k; level i goes right where bit k - 1 - i of x is set.
 * A lane's program is program + offset[lane] (offset NULL: all lanes share one program), per level 2 + value_blocks
 * blocks: the left and right corrections, then the value words two by two. Points are public; the rest is not. */
struct kern_fss_walk {
    size_t lanes;
    struct kern_block *state;
    const uint64_t *x;
    const struct kern_block *program;
    const uint32_t *offset;
    int k;
    int from;
    int to;
    int value_blocks;
    struct kern_block *value; /* walk_value: [lanes][value_blocks], value shares are added */
    uint8_t *prefix;          /* walk_prefix: XOR of the control bits of the left siblings passed */
};

struct kern_fss_core {
    /* out[i] = H_key(in[i]); out may be in. */
    void (*hash)(enum kern_fss_key key, const struct kern_block *in, struct kern_block *out, size_t count);
    /* out[2 p], out[2 p + 1] = corrected children of in[p]; the corrections of p are words[p >> shift]. out is not in. */
    void (*expand)(const struct kern_block *in, struct kern_block *out, size_t parents,
                   const struct kern_block (*words)[2], int shift);
    void (*leaf)(const struct kern_fss_leaf *job);
    void (*walk)(const struct kern_fss_walk *job);
    void (*walk_prefix)(const struct kern_fss_walk *job);
    void (*walk_value)(const struct kern_fss_walk *job);
};

extern const struct kern_fss_core kern_scalar_fss;

/* The leaf function for every shape, over a core's hash: what a level uses where it has nothing better. */
void kern_fss_leaf_any(const struct kern_fss_core *core, const struct kern_fss_leaf *job);

/* Walks a job in groups of exactly `width` lanes, 16 at most; `keys` is passed on. */
enum { KERN_FSS_MAX_LANES = 16 };
typedef void (*kern_fss_group)(const struct kern_fss_walk *job, const void *keys);
void kern_fss_walk_groups(const struct kern_fss_walk *job, size_t width, kern_fss_group group, const void *keys);

/* The algorithms. Parameters after the core are those of the slots in kern.h. */
void kern_fss_dpf_generate(const struct kern_fss_core *core, const struct kern_dpf_keys *keys, const uint64_t *alpha,
                           const uint64_t *beta, const uint8_t *root0, const uint8_t *root1);
void kern_fss_dpf_full(const struct kern_fss_core *core, const struct kern_dpf_keys *keys, int side, const uint8_t *root,
                       size_t first, size_t count, uint64_t *out, void *scratch);
void kern_fss_dpf_point(const struct kern_fss_core *core, const struct kern_dpf_keys *keys, int side,
                        const uint8_t *root, const uint64_t *x, uint64_t *out);
void kern_fss_bit_generate(const struct kern_fss_core *core, int k, size_t n, const uint64_t *alpha,
                           const uint8_t *root0, const uint8_t *root1, uint8_t *seed_words, uint8_t *bit_words,
                           uint8_t *block_words);
void kern_fss_bit_less(const struct kern_fss_core *core, int k, size_t n, int side, const uint8_t *root,
                       const uint8_t *seed_words, const uint8_t *bit_words, const uint8_t *block_words,
                       const uint64_t *x, uint8_t *out);
void kern_fss_dcf_generate(const struct kern_fss_core *core, const struct kern_dcf_keys *keys, const uint64_t *alpha,
                           const uint64_t *beta, const uint8_t *root0, const uint8_t *root1);
void kern_fss_dcf_eval(const struct kern_fss_core *core, const struct kern_dcf_keys *keys, int side, const uint8_t *root,
                       const uint64_t *x, size_t points, uint64_t *out);

void kern_fss_hash_tweaked(const struct kern_fss_core *core, uint8_t *out, const uint8_t *in, size_t count, uint64_t low, uint64_t step,
                           uint64_t high);

KERN_INLINE struct kern_block kern_fss_seed(struct kern_block node)
{
    node.word[0] &= ~UINT64_C(1);
    return node;
}

/* The root of side 0 has control bit 0, that of side 1 has 1. */
KERN_INLINE struct kern_block kern_fss_root(const uint8_t *root, int side)
{
    struct kern_block node = kern_fss_seed(kern_load_block(root));
    node.word[0] |= (uint64_t)side;
    return node;
}

/* Input block number `counter` (from 1) of a conversion: the counter is XORed into byte 15. */
KERN_INLINE struct kern_block kern_fss_counted(struct kern_block seed, int counter)
{
    seed.word[1] ^= (uint64_t)counter << 56;
    return seed;
}

KERN_INLINE void kern_fss_corrections(struct kern_block ret[2], const uint8_t *seed_word, const uint8_t *bit_words, int level)
{
    struct kern_block word = kern_fss_seed(kern_load_block(seed_word));
    unsigned bits = bit_words[level / 4] >> 2 * (level % 4);
    ret[0] = ret[1] = word;
    ret[0].word[0] |= bits & 1;
    ret[1].word[0] |= bits >> 1 & 1;
}

#endif
