/* Distributed point functions with arithmetic payloads [Boyle, Gilboa, Ishai, CCS 2016], early termination included. */
#include "kernels/fss/generate.h"

#include "base/memory.h"

enum {
    FULL_NODES = 512,         /* nodes that dpf_full keeps in the level-one cache: small trees go in batches */
    POINT_LANES = 128,
    POINT_PROGRAM = 2048,     /* blocks of correction words of one batch of walks */
};

/* 2^levels nodes or FULL_NODES of them, in two buffers, and one pair of correction words for each tree of a batch. */
size_t kern_dpf_scratch(const struct kern_dpf_shape *shape)
{
    size_t nodes = (size_t)1 << (shape->domain_bits - shape->nu);
    if (nodes < FULL_NODES)
        nodes = FULL_NODES;
    return (2 * nodes + 2 * FULL_NODES) * sizeof(struct kern_block);
}

int kern_dpf_choose_nu(int domain_bits, int payload_bits)
{
    int nu = 0;
    while (nu < domain_bits && (int64_t)payload_bits << nu <= 130)
        nu++;
    return nu;
}

static int convert_blocks(const struct kern_dpf_shape *shape)
{
    return ((shape->groups << shape->nu) + 1) / 2;
}

/* ---- generation ---- */

/* Words of all leaf conversions of one party's end nodes: out [count][2 * blocks]. */
static void convert_nodes(const struct kern_fss_core *core, const struct kern_block *node, size_t count, int blocks,
                          struct kern_block *out)
{
    for (size_t i = 0; i < count; i++)
        for (int j = 0; j < blocks; j++)
            out[i * (size_t)blocks + (size_t)j] = kern_fss_counted(kern_fss_seed(node[i]), j + 1);
    core->hash(KERN_FSS_LEAF, out, out, count * (size_t)blocks);
}

/* final = (-1)^t1 (beta e_low - conv(s0) + conv(s1)) for key `key`. */
static void final_words(const struct kern_dpf_keys *keys, size_t key, uint64_t alpha, const uint64_t *beta,
                        const struct kern_block *words[2], uint64_t sign)
{
    const struct kern_dpf_shape *shape = &keys->shape;
    size_t copies = (size_t)1 << shape->nu;
    uint64_t low = alpha & (copies - 1);
    for (int g = 0; g < shape->groups; g++) {
        uint64_t mask = kern_ring_mask(shape->rings[g]);
        uint64_t *out = keys->final_words + ((size_t)g * keys->count + key) * copies;
        for (size_t c = 0; c < copies; c++) {
            size_t at = c * (size_t)shape->groups + (size_t)g;
            uint64_t hot = ((c ^ low) - 1) >> 63;
            uint64_t value = kern_bit_mask(hot) & beta[(size_t)g * keys->count + key];
            value += words[1][at / 2].word[at % 2] - words[0][at / 2].word[at % 2];
            out[c] = ((value ^ sign) - sign) & mask;
        }
    }
}

void kern_fss_dpf_generate(const struct kern_fss_core *core, const struct kern_dpf_keys *keys, const uint64_t *alpha,
                           const uint64_t *beta, const uint8_t *root0, const uint8_t *root1)
{
    const struct kern_dpf_shape *shape = &keys->shape;
    int levels = shape->domain_bits - shape->nu, blocks = convert_blocks(shape);
    struct kern_fss_pair pair;
    struct kern_block words[2][KERN_FSS_MAX_BLOCKS];
    for (size_t at = 0; at < keys->count; at += KERN_FSS_BATCH) {
        size_t n = keys->count - at < KERN_FSS_BATCH ? keys->count - at : KERN_FSS_BATCH;
        struct kern_fss_trail trail = {shape->domain_bits, levels, alpha + at,
                                       keys->seed_words + at * (size_t)levels * 16,
                                       keys->bit_words + at * kern_bit_words_size(levels)};
        kern_fss_pair_start(&pair, &trail, root0 + 16 * at, root1 + 16 * at, n);
        for (int i = 0; i < levels; i++)
            kern_fss_pair_advance(core, &pair, &trail, i, n);
        size_t step = KERN_FSS_MAX_BLOCKS / (size_t)blocks;
        for (size_t i = 0; i < n; i += step) {
            size_t some = n - i < step ? n - i : step;
            for (int party = 0; party < 2; party++)
                convert_nodes(core, pair.node[party] + i, some, blocks, words[party]);
            for (size_t j = 0; j < some; j++) {
                const struct kern_block *ends[2] = {words[0] + j * (size_t)blocks, words[1] + j * (size_t)blocks};
                final_words(keys, at + i + j, alpha[at + i + j], beta, ends,
                            kern_bit_mask(pair.node[1][i + j].word[0] & 1));
            }
        }
    }
    base_wipe(&pair, sizeof pair);
    base_wipe(words, sizeof words);
}

/* ---- full-domain evaluation ---- */

/* Breadth first, a batch of trees side by side: node j of tree i at level l is element i 2^l + j. */
static const struct kern_block *expand_trees(const struct kern_fss_core *core, const struct kern_dpf_keys *keys,
                                             size_t first, size_t count, struct kern_block *nodes[2],
                                             struct kern_block (*words)[2])
{
    int levels = keys->shape.domain_bits - keys->shape.nu;
    size_t bit_size = kern_bit_words_size(levels);
    for (int level = 0; level < levels; level++) {
        for (size_t i = 0; i < count; i++)
            kern_fss_corrections(words[i],
                                 keys->seed_words + 16 * ((first + i) * (size_t)levels + (size_t)level),
                                 keys->bit_words + (first + i) * bit_size, level);
        core->expand(nodes[level % 2], nodes[(level + 1) % 2], count << level,
                     (const struct kern_block(*)[2])words, level);
    }
    return nodes[levels % 2];
}

void kern_fss_dpf_full(const struct kern_fss_core *core, const struct kern_dpf_keys *keys, int side, const uint8_t *root,
                       size_t first, size_t count, uint64_t *out, void *scratch)
{
    const struct kern_dpf_shape *shape = &keys->shape;
    int levels = shape->domain_bits - shape->nu;
    size_t leaves = (size_t)1 << levels, nodes = leaves < FULL_NODES ? FULL_NODES : leaves;
    size_t batch = leaves < FULL_NODES ? FULL_NODES >> levels : 1;
    struct kern_block *buffers[2] = {scratch, (struct kern_block *)scratch + nodes};
    struct kern_block(*words)[2] = (struct kern_block(*)[2])(buffers[1] + nodes);
    struct kern_fss_leaf job = {.levels = levels, .copies = 1 << shape->nu, .groups = shape->groups, .side = side};
    job.final_stride = keys->count << shape->nu;
    for (int g = 0; g < shape->groups; g++)
        job.masks[g] = kern_ring_mask(shape->rings[g]);
    for (size_t at = 0; at < count; at += batch) {
        job.keys = count - at < batch ? count - at : batch;
        for (size_t i = 0; i < job.keys; i++)
            buffers[0][i] = kern_fss_root(root + 16 * (first + at + i), side);
        job.leaves = expand_trees(core, keys, first + at, job.keys, buffers, words);
        job.final = keys->final_words + ((first + at) << shape->nu);
        job.out = out + ((at * (size_t)shape->groups) << shape->domain_bits);
        core->leaf(&job);
    }
}

/* ---- one point per key ---- */

struct point_batch {
    struct kern_block node[POINT_LANES];
    struct kern_block input[POINT_LANES * KERN_FSS_VALUE_BLOCKS];
    struct kern_block program[POINT_PROGRAM];
    uint32_t offset[POINT_LANES];
};

/* Words of entry c = x mod 2^nu only: `groups` consecutive words from c * groups on. They start inside a block only where
 * `groups` is odd, and then (groups + 1) / 2 blocks still hold them. */
static void point_outputs(const struct kern_fss_core *core, const struct kern_dpf_keys *keys, int side, size_t first,
                          size_t count, const uint64_t *x, uint64_t *out, struct point_batch *batch)
{
    const struct kern_dpf_shape *shape = &keys->shape;
    size_t copies = (size_t)1 << shape->nu, groups = (size_t)shape->groups, blocks = (groups + 1) / 2;
    uint64_t sign = kern_bit_mask((uint64_t)side);
    for (size_t i = 0; i < count; i++) {
        size_t word = (x[first + i] & (copies - 1)) * groups;
        for (size_t j = 0; j < blocks; j++)
            batch->input[i * blocks + j] = kern_fss_counted(kern_fss_seed(batch->node[i]), (int)(word / 2 + j + 1));
    }
    core->hash(KERN_FSS_LEAF, batch->input, batch->input, count * blocks);
    for (size_t i = 0; i < count; i++) {
        size_t entry = x[first + i] & (copies - 1);
        uint64_t control = kern_bit_mask(batch->node[i].word[0] & 1);
        for (size_t g = 0; g < groups; g++) {
            size_t word = entry * groups % 2 + g;
            uint64_t value = batch->input[i * blocks + word / 2].word[word % 2];
            value += control & keys->final_words[(g * keys->count + first + i) * copies + entry];
            out[g * keys->count + first + i] = ((value ^ sign) - sign) & kern_ring_mask(shape->rings[g]);
        }
    }
}

void kern_fss_dpf_point(const struct kern_fss_core *core, const struct kern_dpf_keys *keys, int side,
                        const uint8_t *root, const uint64_t *x, uint64_t *out)
{
    int levels = keys->shape.domain_bits - keys->shape.nu;
    size_t bit_size = kern_bit_words_size(levels), length = 2 * (size_t)levels;
    size_t lanes = length * POINT_LANES <= POINT_PROGRAM ? POINT_LANES : POINT_PROGRAM / length;
    struct point_batch batch;
    for (size_t at = 0; at < keys->count; at += lanes) {
        size_t n = keys->count - at < lanes ? keys->count - at : lanes;
        for (size_t i = 0; i < n; i++) {
            batch.node[i] = kern_fss_root(root + 16 * (at + i), side);
            batch.offset[i] = (uint32_t)(i * length);
            for (int level = 0; level < levels; level++)
                kern_fss_corrections(batch.program + i * length + 2 * (size_t)level,
                                     keys->seed_words + 16 * ((at + i) * (size_t)levels + (size_t)level),
                                     keys->bit_words + (at + i) * bit_size, level);
        }
        struct kern_fss_walk walk = {.lanes = n, .state = batch.node, .x = x + at, .program = batch.program,
                                     .offset = batch.offset, .k = keys->shape.domain_bits, .to = levels};
        core->walk(&walk);
        point_outputs(core, keys, side, at, n, x, out, &batch);
    }
    base_wipe(&batch, sizeof batch);
}
