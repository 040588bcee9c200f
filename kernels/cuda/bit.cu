/* Bit keys: kernels/fss/bit.c for a device. */
#include "kernels/cuda/fss.cuh"
#include "kernels/cuda/slots.cuh"

namespace KERN_CUDA_NAMESPACE {

enum { LEAF_BITS = 7 };

static int tree_levels(int k)
{
    return k > LEAF_BITS ? k - LEAF_BITS : 0;
}

static __global__ void __launch_bounds__(FSS_THREADS)
    bit_generate_kernel(struct batch keys, uint8_t *block_words, const uint64_t *alpha, const uint8_t *root0, const uint8_t *root1,
                        const uint64_t *fixed)
{
    size_t lane = first_lane();
    uint64_t at[QUAD];
    struct pair pair;
    if (lane >= keys.count)
        return;
    read_lanes(at, alpha, lane, keys.count);
    pair_start(&pair, root0, root1, lane, keys.count);
    for (int level = 0; level < keys.levels; level++)
        pair_advance(&pair, &keys, lane, at, level, fixed);
    for (int party = 0; party < 2; party++)
        hash(pair.node[party], pair.node[party], fixed, KERN_FSS_LEAF, KERN_FSS_LEAF, 0, 0);
    for (int i = 0; i < QUAD; i++) {
        uint64_t low = at[i] & 127, high_half = kern_bit_mask(low >> 6), one = UINT64_C(1) << (low & 63);
        struct kern_block word;
        word.word[0] = pair.node[0][i].word[0] ^ pair.node[1][i].word[0] ^ (one & ~high_half);
        word.word[1] = pair.node[0][i].word[1] ^ pair.node[1][i].word[1] ^ (one & high_half);
        if (lane + (size_t)i < keys.count)
            kern_store_block(block_words + 16 * (lane + (size_t)i), word);
    }
}

enum base_status bit_generate(void *device, int k, size_t n, const uint64_t *alpha, const uint8_t *root0, const uint8_t *root1,
                              uint8_t *seed_words, uint8_t *bit_words, uint8_t *block_words, struct base_error *error)
{
    struct call call = call_begin((struct device *)device, error);
    struct batch there = batch_out(&call, k, tree_levels(k), n, seed_words, bit_words);
    uint8_t *blocks = call_out(&call, block_words, 16 * n);
    const uint64_t *points = call_in(&call, alpha, n);
    const uint8_t *roots[2] = {call_in(&call, root0, 16 * n), call_in(&call, root1, 16 * n)};
    LAUNCH(&call, bit_generate_kernel, quads(n), FSS_THREADS, 0, there, blocks, points, roots[0], roots[1], call.device->fixed_keys);
    return call_end(&call);
}

/* Bits [0, low) of word `j` of a block; low is public. */
static __device__ uint64_t bits_below(uint64_t low, int j)
{
    uint64_t in_word = low < 64 * (uint64_t)j ? 0 : low - 64 * (uint64_t)j;
    return in_word >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << in_word) - 1;
}

static __global__ void __launch_bounds__(FSS_THREADS)
    bit_less_kernel(uint8_t *out, struct batch keys, int side, const uint8_t *block_words, const uint8_t *root, const uint64_t *x,
                    const uint64_t *fixed)
{
    size_t lane = first_lane();
    struct kern_block node[QUAD], left[QUAD], right[QUAD], words[2];
    uint64_t at[QUAD], parity[QUAD] = {};
    if (lane >= keys.count)
        return;
    for (int i = 0; i < QUAD; i++) {
        size_t key = lane_or_last(lane + (size_t)i, keys.count);
        node[i] = kern_fss_root(root + 16 * key, side);
        at[i] = x[key];
    }
    for (int level = 0; level < keys.levels; level++) {
        hash(left, node, fixed, KERN_FSS_LEFT, KERN_FSS_LEFT, 0, 0);
        hash(right, node, fixed, KERN_FSS_RIGHT, KERN_FSS_RIGHT, 0, 0);
        for (int i = 0; i < QUAD; i++) {
            bool goes_right = at[i] >> (keys.bits - 1 - level) & 1; /* public */
            corrections(words, &keys, lane_or_last(lane + (size_t)i, keys.count), level);
            struct kern_block sibling = corrected(left[i], node[i], words[0]);
            parity[i] ^= goes_right ? sibling.word[0] & 1 : 0;
            node[i] = goes_right ? corrected(right[i], node[i], words[1]) : sibling;
        }
    }
    hash(left, node, fixed, KERN_FSS_LEAF, KERN_FSS_LEAF, 0, 0);
    for (int i = 0; i < QUAD; i++) {
        size_t key = lane_or_last(lane + (size_t)i, keys.count);
        struct kern_block word = kern_load_block(block_words + 16 * key);
        uint64_t control = kern_bit_mask(node[i].word[0] & 1), bits = 0;
        for (int j = 0; j < 2; j++)
            bits ^= (left[i].word[j] ^ (control & word.word[j])) & bits_below(at[i] & 127, j);
        for (int shift = 32; shift > 0; shift /= 2)
            bits ^= bits >> shift;
        if (lane + (size_t)i < keys.count)
            out[key] = (uint8_t)((bits ^ parity[i]) & 1);
    }
}

enum base_status bit_less(void *device, int k, size_t n, int side, const uint8_t *root, const uint8_t *seed_words, const uint8_t *bit_words,
                          const uint8_t *block_words, const uint64_t *x, uint8_t *out, struct base_error *error)
{
    struct call call = call_begin((struct device *)device, error);
    struct batch there = batch_in(&call, k, tree_levels(k), n, seed_words, bit_words);
    const uint8_t *blocks = call_in(&call, block_words, 16 * n), *roots = call_in(&call, root, 16 * n);
    const uint64_t *points = call_in(&call, x, n);
    uint8_t *shares = call_out(&call, out, n);
    LAUNCH(&call, bit_less_kernel, quads(n), FSS_THREADS, 0, shares, there, side, blocks, roots, points, call.device->fixed_keys);
    return call_end(&call);
}

}
