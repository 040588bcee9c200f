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

static inline struct kern_block choose(uint64_t mask, struct kern_block if_set, struct kern_block if_clear)
{
    for (int i = 0; i < 2; i++)
        if_clear.word[i] ^= mask & (if_set.word[i] ^ if_clear.word[i]);
    return if_clear;
}

/* Moves one party's node to the child on the path. */
static inline struct kern_block keep_child(const struct kern_block children[2], uint64_t right, struct kern_block node,
                                           struct kern_block correction)
{
    struct kern_block child = choose(right, children[1], children[0]);
    uint64_t control = kern_bit_mask(node.word[0] & 1);
    child.word[0] ^= control & correction.word[0];
    child.word[1] ^= control & correction.word[1];
    return child;
}

void kern_fss_pair_advance(const struct kern_fss_core *core, struct kern_fss_pair *pair,
                           const struct kern_fss_trail *trail, int level, size_t count)
{
    static const struct kern_block none[1][2] = {{{{0, 0}}, {{0, 0}}}};
    size_t bit_size = kern_bit_words_size(trail->levels);
    for (int party = 0; party < 2; party++)
        core->expand(pair->node[party], pair->children[party], count, none, 63);
    for (size_t i = 0; i < count; i++) {
        const struct kern_block *c0 = pair->children[0] + 2 * i, *c1 = pair->children[1] + 2 * i;
        uint64_t a = trail->alpha[i] >> (trail->bits - 1 - level) & 1, right = kern_bit_mask(a);
        struct kern_block left_sum = {{c0[0].word[0] ^ c1[0].word[0], c0[0].word[1] ^ c1[0].word[1]}};
        struct kern_block right_sum = {{c0[1].word[0] ^ c1[1].word[0], c0[1].word[1] ^ c1[1].word[1]}};
        uint64_t left_bit = (left_sum.word[0] ^ a ^ 1) & 1, right_bit = (right_sum.word[0] ^ a) & 1;
        struct kern_block word = kern_fss_seed(choose(right, left_sum, right_sum));
        kern_store_block(trail->seed_words + 16 * (i * (size_t)trail->levels + (size_t)level), word);
        trail->bit_words[i * bit_size + (size_t)level / 4] |=
            (uint8_t)((left_bit | right_bit << 1) << 2 * (level % 4));
        word.word[0] |= (right & right_bit) | (~right & left_bit);
        pair->node[0][i] = keep_child(c0, right, pair->node[0][i], word);
        pair->node[1][i] = keep_child(c1, right, pair->node[1][i], word);
    }
}
