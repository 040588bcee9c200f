/* Bit keys: a DPF whose leaf block holds 128 one-bit entries, used as a comparison. On the way to x the control bits of
 * the left siblings add up to [alpha in a subtree left of the path]; the leaf adds the entries below x. */
#include "kernels/fss/generate.h"

#include "base/memory.h"

enum {
    LEAF_BITS = 7,
    LANES = 128,
    PROGRAM = 2048, /* blocks */
};

static int tree_levels(int k)
{
    return k > LEAF_BITS ? k - LEAF_BITS : 0;
}

/* A block with bits [0, low) set, low < 128; low is public. */
static struct kern_block bits_below(uint64_t low)
{
    return (struct kern_block){{low < 64 ? (UINT64_C(1) << low) - 1 : ~UINT64_C(0),
                                low < 64 ? 0 : (UINT64_C(1) << (low - 64)) - 1}};
}

void kern_fss_bit_generate(const struct kern_fss_core *core, int k, size_t n, const uint64_t *alpha,
                           const uint8_t *root0, const uint8_t *root1, uint8_t *seed_words, uint8_t *bit_words,
                           uint8_t *block_words)
{
    int levels = tree_levels(k);
    struct kern_fss_pair pair;
    for (size_t at = 0; at < n; at += KERN_FSS_BATCH) {
        size_t count = n - at < KERN_FSS_BATCH ? n - at : KERN_FSS_BATCH;
        struct kern_fss_trail trail = {k, levels, alpha + at, seed_words + at * (size_t)levels * 16,
                                       bit_words + at * kern_bit_words_size(levels)};
        kern_fss_pair_start(&pair, &trail, root0 + 16 * at, root1 + 16 * at, count);
        for (int i = 0; i < levels; i++)
            kern_fss_pair_advance(core, &pair, &trail, i, count);
        for (int party = 0; party < 2; party++) {
            for (size_t i = 0; i < count; i++)
                pair.node[party][i] = kern_fss_seed(pair.node[party][i]);
            core->hash(KERN_FSS_LEAF, pair.node[party], pair.node[party], count);
        }
        for (size_t i = 0; i < count; i++) {
            uint64_t low = alpha[at + i] & 127, high_half = kern_bit_mask(low >> 6), one = UINT64_C(1) << (low & 63);
            struct kern_block word = {{pair.node[0][i].word[0] ^ pair.node[1][i].word[0] ^ (one & ~high_half),
                                       pair.node[0][i].word[1] ^ pair.node[1][i].word[1] ^ (one & high_half)}};
            kern_store_block(block_words + 16 * (at + i), word);
        }
    }
    base_wipe(&pair, sizeof pair);
}

struct less_batch {
    struct kern_block node[LANES];
    struct kern_block leaf[LANES];
    struct kern_block program[PROGRAM];
    uint32_t offset[LANES];
};

static void add_leaf_parity(const struct less_batch *batch, const uint8_t *block_words, const uint64_t *x, size_t count,
                            uint8_t *out)
{
    for (size_t i = 0; i < count; i++) {
        struct kern_block word = kern_load_block(block_words + 16 * i), below = bits_below(x[i] & 127);
        uint64_t control = kern_bit_mask(batch->node[i].word[0] & 1), bits = 0;
        for (int j = 0; j < 2; j++)
            bits ^= (batch->leaf[i].word[j] ^ (control & word.word[j])) & below.word[j];
        for (int shift = 32; shift > 0; shift /= 2)
            bits ^= bits >> shift;
        out[i] ^= (uint8_t)(bits & 1);
    }
}

void kern_fss_bit_less(const struct kern_fss_core *core, int k, size_t n, int side, const uint8_t *root,
                       const uint8_t *seed_words, const uint8_t *bit_words, const uint8_t *block_words,
                       const uint64_t *x, uint8_t *out)
{
    int levels = tree_levels(k);
    size_t bit_size = kern_bit_words_size(levels), length = 2 * (size_t)levels;
    size_t lanes = length * LANES <= PROGRAM ? LANES : PROGRAM / length;
    struct less_batch batch;
    memset(out, 0, n);
    for (size_t at = 0; at < n; at += lanes) {
        size_t count = n - at < lanes ? n - at : lanes;
        for (size_t i = 0; i < count; i++) {
            batch.node[i] = kern_fss_root(root + 16 * (at + i), side);
            batch.offset[i] = (uint32_t)(i * length);
            for (int level = 0; level < levels; level++)
                kern_fss_corrections(batch.program + i * length + 2 * (size_t)level,
                                     seed_words + 16 * ((at + i) * (size_t)levels + (size_t)level),
                                     bit_words + (at + i) * bit_size, level);
        }
        struct kern_fss_walk walk = {.lanes = count, .state = batch.node, .x = x + at, .program = batch.program,
                                     .offset = batch.offset, .k = k, .to = levels, .prefix = out + at};
        core->walk_prefix(&walk);
        for (size_t i = 0; i < count; i++)
            batch.leaf[i] = kern_fss_seed(batch.node[i]);
        core->hash(KERN_FSS_LEAF, batch.leaf, batch.leaf, count);
        add_leaf_parity(&batch, block_words + 16 * at, x + at, count, out + at);
    }
    base_wipe(&batch, sizeof batch);
}
