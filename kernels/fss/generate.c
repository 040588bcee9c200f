#include "kernels/fss/generate.h"

void kern_fss_pair_start(struct kern_fss_pair *pair, const struct kern_fss_trail *trail, const uint8_t *root0,
                         const uint8_t *root1, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        pair->node[0][i] = kern_fss_root(root0 + 16 * i, 0);
        pair->node[1][i] = kern_fss_root(root1 + 16 * i, 1);
    }
    memset(trail->bit_words, 0, count * kern_bit_words_size(trail->levels));
}

/* One block in a register of any machine that has 128-bit ones: between expansions that run at full width, arithmetic
 * on halves of blocks would take most of the time. */
typedef uint64_t block_vector __attribute__((vector_size(16)));

static inline block_vector load_vector(const struct kern_block *from)
{
    block_vector v;
    memcpy(&v, from, sizeof v);
    return v;
}

static inline struct kern_block block_of(block_vector v)
{
    return (struct kern_block){{v[0], v[1]}};
}

/* All ones for 1, zero for 0, in both words. */
static inline block_vector spread(uint64_t bit)
{
    return (block_vector){kern_bit_mask(bit), kern_bit_mask(bit)};
}

static inline block_vector choose(block_vector mask, block_vector if_set, block_vector if_clear)
{
    return if_clear ^ (mask & (if_set ^ if_clear));
}

/* Moves one party's node to the child on the path. */
static inline void keep_child(struct kern_block *node, block_vector child, block_vector correction)
{
    *node = block_of(child ^ (spread(node->word[0] & 1) & correction));
}

/* Key i of a batch; its children are ready. */
static inline void advance_key(struct kern_fss_pair *pair, const struct kern_fss_trail *trail, int level, size_t i)
{
    const struct kern_block *c0 = pair->children[0] + 2 * i, *c1 = pair->children[1] + 2 * i;
    block_vector left[2] = {load_vector(&c0[0]), load_vector(&c1[0])}, left_sum = left[0] ^ left[1];
    block_vector right[2] = {load_vector(&c0[1]), load_vector(&c1[1])}, right_sum = right[0] ^ right[1];
    uint64_t a = trail->alpha[i] >> (trail->bits - 1 - level) & 1;
    uint64_t left_bit = (left_sum[0] ^ a ^ 1) & 1, right_bit = (right_sum[0] ^ a) & 1;
    block_vector to_right = spread(a), one = {1, 0}, word = choose(to_right, left_sum, right_sum) & ~one;
    kern_store_block(trail->seed_words + 16 * (i * (size_t)trail->levels + (size_t)level), block_of(word));
    trail->bit_words[i * kern_bit_words_size(trail->levels) + (size_t)level / 4] |=
        (uint8_t)((left_bit | right_bit << 1) << 2 * (level % 4));
    word |= ~choose(to_right, right_sum, left_sum) & one; /* the control correction of the kept side */
    for (int party = 0; party < 2; party++)
        keep_child(&pair->node[party][i], choose(to_right, right[party], left[party]), word);
}

void kern_fss_pair_advance(const struct kern_fss_core *core, struct kern_fss_pair *pair,
                           const struct kern_fss_trail *trail, int level, size_t count)
{
    static const struct kern_block none[1][2] = {{{{0, 0}}, {{0, 0}}}};
    struct kern_fss_trail local = *trail; /* which no store of a byte can change */
    for (int party = 0; party < 2; party++)
        core->expand(pair->node[party], pair->children[party], count, none, 63);
    for (size_t i = 0; i < count; i++)
        advance_key(pair, &local, level, i);
}
