/* Comparison functions: kernels/fss/dcf.c for a device. Every point walks alone: sharing the nodes above neighbouring points, as the CPU
 * does, would leave most threads of a device without work. */
#include "kernels/cuda/fss.cuh"
#include "kernels/cuda/slots.cuh"

namespace KERN_CUDA_NAMESPACE {

enum { VALUE_WORDS = 2 * KERN_FSS_VALUE_BLOCKS };

/* ---- generation ---- */

struct value_words {
    uint64_t *words; /* [groups][count][k + 1] */
    int groups;
    struct rings rings;
};

static __device__ uint64_t *value_at(const struct value_words *v, const struct batch *keys, int g, size_t key, int level)
{
    return v->words + ((size_t)g * keys->count + key) * (size_t)(keys->bits + 1) + (size_t)level;
}

/* Value words of one level; sum: party 1 minus party 0 along the path so far. */
static __device__ void level_values(const struct value_words *v, const struct batch *keys, const struct pair *pair, size_t lane,
                                    const uint64_t alpha[QUAD], const uint64_t *beta, int level, uint64_t sum[VALUE_WORDS][QUAD],
                                    const uint64_t *fixed)
{
    for (int j = 0; j < (v->groups + 1) / 2; j++) {
        struct kern_block left[2][QUAD], right[2][QUAD];
        for (int party = 0; party < 2; party++) {
            hash(left[party], pair->node[party], fixed, KERN_FSS_VALUE_LEFT, KERN_FSS_VALUE_LEFT, 0, j + 1);
            hash(right[party], pair->node[party], fixed, KERN_FSS_VALUE_RIGHT, KERN_FSS_VALUE_RIGHT, 0, j + 1);
        }
        for (int i = 0; i < QUAD; i++)
            for (int half = 0; half < 2 && 2 * j + half < v->groups; half++) {
                int g = 2 * j + half;
                size_t key = lane_or_last(lane + (size_t)i, keys->count);
                uint64_t to_right = kern_bit_mask(alpha[i] >> (keys->bits - 1 - level) & 1), sign = kern_bit_mask(pair->node[1][i].word[0] & 1);
                uint64_t on_left = left[1][i].word[half] - left[0][i].word[half], on_right = right[1][i].word[half] - right[0][i].word[half];
                uint64_t lose = choose(to_right, on_left, on_right), keep = choose(to_right, on_right, on_left);
                uint64_t word = lose - sum[g][i] + (to_right & beta[(size_t)g * keys->count + key]);
                word = negate_if(word, sign) & v->rings.mask[g];
                if (lane + (size_t)i < keys->count)
                    *value_at(v, keys, g, key, level) = word;
                sum[g][i] += negate_if(word, sign) - keep;
            }
    }
}

static __device__ void last_values(const struct value_words *v, const struct batch *keys, const struct pair *pair, size_t lane,
                                   uint64_t sum[VALUE_WORDS][QUAD], const uint64_t *fixed)
{
    for (int j = 0; j < (v->groups + 1) / 2; j++) {
        struct kern_block words[2][QUAD];
        for (int party = 0; party < 2; party++)
            hash(words[party], pair->node[party], fixed, KERN_FSS_LEAF, KERN_FSS_LEAF, 0, j + 1);
        for (int i = 0; i < QUAD; i++)
            for (int half = 0; half < 2 && 2 * j + half < v->groups; half++) {
                int g = 2 * j + half;
                uint64_t sign = kern_bit_mask(pair->node[1][i].word[0] & 1);
                uint64_t word = words[1][i].word[half] - words[0][i].word[half] - sum[g][i];
                if (lane + (size_t)i < keys->count)
                    *value_at(v, keys, g, lane + (size_t)i, keys->bits) = negate_if(word, sign) & v->rings.mask[g];
            }
    }
}

static __global__ void __launch_bounds__(FSS_THREADS)
    dcf_generate_kernel(struct batch keys, struct value_words v, const uint64_t *alpha, const uint64_t *beta, const uint8_t *root0,
                        const uint8_t *root1, const uint64_t *fixed)
{
    size_t lane = first_lane();
    uint64_t at[QUAD], sum[VALUE_WORDS][QUAD] = {};
    struct pair pair;
    if (lane >= keys.count)
        return;
    read_lanes(at, alpha, lane, keys.count);
    pair_start(&pair, root0, root1, lane, keys.count);
    for (int level = 0; level < keys.levels; level++) {
        level_values(&v, &keys, &pair, lane, at, beta, level, sum, fixed);
        pair_advance(&pair, &keys, lane, at, level, fixed);
    }
    last_values(&v, &keys, &pair, lane, sum, fixed);
}

enum base_status dcf_generate(void *device, const struct kern_dcf_keys *keys, const uint64_t *alpha, const uint64_t *beta,
                              const uint8_t *root0, const uint8_t *root1, struct base_error *error)
{
    struct call call = call_begin((struct device *)device, error);
    size_t n = keys->count, groups = (size_t)keys->shape.groups;
    int k = keys->shape.domain_bits;
    struct batch there = batch_out(&call, k, k, n, keys->seed_words, keys->bit_words);
    struct value_words v = {call_out(&call, keys->value_words, groups * n * (size_t)(k + 1)), keys->shape.groups, rings_of(&keys->shape)};
    const uint64_t *points = call_in(&call, alpha, n), *payloads = call_in(&call, beta, groups * n);
    const uint8_t *roots[2] = {call_in(&call, root0, 16 * n), call_in(&call, root1, 16 * n)};
    LAUNCH(&call, dcf_generate_kernel, quads(n), FSS_THREADS, 0, there, v, points, payloads, roots[0], roots[1], call.device->fixed_keys);
    return call_end(&call);
}

/* ---- evaluation ---- */

/* Adds one conversion of four lanes to their values: `odd` at places of `choice`. */
static __device__ void add_values(uint64_t value[VALUE_WORDS][QUAD], const struct kern_block node[QUAD], int groups, const uint64_t *fixed,
                                  enum kern_fss_key even, enum kern_fss_key odd, uint64_t choice)
{
    for (int j = 0; j < (groups + 1) / 2; j++) {
        struct kern_block words[QUAD];
        hash(words, node, fixed, even, odd, choice, j + 1);
        for (int i = 0; i < QUAD; i++)
            for (int half = 0; half < 2; half++)
                value[2 * j + half][i] += words[i].word[half];
    }
}

/* Adds the value words of a level where the lane's control bit is set. */
static __device__ void add_words(uint64_t value[VALUE_WORDS][QUAD], const struct value_words *v, const struct batch *keys,
                                 const struct kern_block node[QUAD], const size_t key[QUAD], int level)
{
    for (int g = 0; g < v->groups; g++)
        for (int i = 0; i < QUAD; i++)
            value[g][i] += kern_bit_mask(node[i].word[0] & 1) & *value_at(v, keys, g, key[i], level);
}

/* A lane is a point of a key: lane = key * points + point. */
static __global__ void __launch_bounds__(FSS_THREADS)
    dcf_eval_kernel(uint64_t *out, struct batch keys, struct value_words v, int side, const uint8_t *root, const uint64_t *x, size_t points,
                    const uint64_t *fixed)
{
    size_t lane = first_lane(), lanes = keys.count * points, key[QUAD];
    struct kern_block node[QUAD], child[QUAD], words[2];
    uint64_t at[QUAD], value[VALUE_WORDS][QUAD] = {};
    if (lane >= lanes)
        return;
    for (int i = 0; i < QUAD; i++) {
        size_t from = lane_or_last(lane + (size_t)i, lanes);
        key[i] = from / points;
        node[i] = kern_fss_root(root + 16 * key[i], side);
        at[i] = x[from];
    }
    for (int level = 0; level < keys.levels; level++) {
        uint64_t to_right = right_places(at, keys.bits, level);
        add_values(value, node, v.groups, fixed, KERN_FSS_VALUE_LEFT, KERN_FSS_VALUE_RIGHT, to_right);
        add_words(value, &v, &keys, node, key, level);
        hash(child, node, fixed, KERN_FSS_LEFT, KERN_FSS_RIGHT, to_right, 0);
        for (int i = 0; i < QUAD; i++) {
            corrections(words, &keys, key[i], level);
            node[i] = corrected(child[i], node[i], words[at[i] >> (keys.bits - 1 - level) & 1]);
        }
    }
    add_values(value, node, v.groups, fixed, KERN_FSS_LEAF, KERN_FSS_LEAF, 0);
    add_words(value, &v, &keys, node, key, keys.bits);
    for (int i = 0; i < QUAD; i++)
        for (int g = 0; lane + (size_t)i < lanes && g < v.groups; g++)
            out[((size_t)g * keys.count + key[i]) * points + (lane + (size_t)i) % points] =
                negate_if(value[g][i], kern_bit_mask((uint64_t)side)) & v.rings.mask[g];
}

enum base_status dcf_eval(void *device, const struct kern_dcf_keys *keys, int side, const uint8_t *root, const uint64_t *x, size_t points,
                          uint64_t *out, bool later, struct base_error *error)
{
    struct call call = call_begin((struct device *)device, error);
    size_t n = keys->count, groups = (size_t)keys->shape.groups;
    int k = keys->shape.domain_bits;
    struct batch there = batch_in(&call, k, k, n, keys->seed_words, keys->bit_words);
    struct value_words v = {call_in(&call, keys->value_words, groups * n * (size_t)(k + 1)), keys->shape.groups, rings_of(&keys->shape)};
    const uint8_t *roots = call_in(&call, root, 16 * n);
    const uint64_t *at = call_in(&call, x, n * points);
    uint64_t *shares = call_out(&call, out, groups * n * points);
    LAUNCH(&call, dcf_eval_kernel, quads(n * points), FSS_THREADS, 0, shares, there, v, side, roots, at, points, call.device->fixed_keys);
    return later ? call_leave(&call) : call_end(&call);
}

}
