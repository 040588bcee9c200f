/* FSS keys by threads of four lanes each: four keys, four points or four nodes that share one bitsliced AES (aes.cuh). Lanes beyond the
 * last one repeat it and write nothing. The algorithms are those of kernels/fss/, where they are explained. */
#ifndef CACHET_KERNELS_CUDA_FSS_CUH
#define CACHET_KERNELS_CUDA_FSS_CUH

#include "kernels/cuda/aes.cuh"

namespace KERN_CUDA_NAMESPACE {

enum { FSS_THREADS = 64 };

struct rings {
    uint64_t mask[KERN_MAX_GROUPS];
};

static inline struct rings rings_of(const struct kern_dpf_shape *shape)
{
    struct rings ret = {};
    for (int g = 0; g < shape->groups; g++)
        ret.mask[g] = kern_ring_mask(shape->rings[g]);
    return ret;
}

/* Where the keys of a batch lie on the device; kern.h gives the layouts. */
struct batch {
    int bits, levels;   /* of the domain, of a key */
    size_t count;
    uint8_t *seed_words, *bit_words;
    size_t bit_size;    /* bytes of one key's correction bits */
};

/* First of this thread's four lanes. */
static inline __device__ size_t first_lane()
{
    return QUAD * thread_number();
}

static inline __device__ size_t lane_or_last(size_t lane, size_t lanes)
{
    return lane < lanes ? lane : lanes - 1;
}

/* Words of this thread's four lanes. */
static inline __device__ void read_lanes(uint64_t at[QUAD], const uint64_t *words, size_t lane, size_t lanes)
{
    for (int i = 0; i < QUAD; i++)
        at[i] = words[lane_or_last(lane + (size_t)i, lanes)];
}

/* out = H_key(in): the key `odd` at places of `choice`, else `even`; `counter` from 1 for conversions, 0 for children. out may be in. */
static inline __device__ void hash(struct kern_block out[QUAD], const struct kern_block in[QUAD], const uint64_t *keys, enum kern_fss_key even,
                                   enum kern_fss_key odd, uint64_t choice, int counter)
{
    struct kern_block seeds[QUAD], blocks[QUAD];
    for (int i = 0; i < QUAD; i++)
        seeds[i] = blocks[i] = kern_fss_counted(kern_fss_seed(in[i]), counter);
    encrypt(blocks, keys + even * AES_PLANES, keys + odd * AES_PLANES, choice);
    for (int i = 0; i < QUAD; i++) {
        out[i].word[0] = blocks[i].word[0] ^ seeds[i].word[0];
        out[i].word[1] = blocks[i].word[1] ^ seeds[i].word[1];
    }
}

/* The child with its parent's correction, where the parent's control bit is set. */
static inline __device__ struct kern_block corrected(struct kern_block child, struct kern_block parent, struct kern_block word)
{
    uint64_t control = kern_bit_mask(parent.word[0] & 1);
    child.word[0] ^= control & word.word[0];
    child.word[1] ^= control & word.word[1];
    return child;
}

/* Corrections of key `key` at `level`. */
static inline __device__ void corrections(struct kern_block ret[2], const struct batch *keys, size_t key, int level)
{
    kern_fss_corrections(ret, keys->seed_words + 16 * (key * (size_t)keys->levels + (size_t)level), keys->bit_words + key * keys->bit_size, level);
}

/* Places of lanes that go right at `level`; points are public. */
static inline __device__ uint64_t right_places(const uint64_t x[QUAD], int bits, int level)
{
    uint64_t places = 0;
    for (int i = 0; i < QUAD; i++)
        places |= place_mask(i) & kern_bit_mask(x[i] >> (bits - 1 - level) & 1);
    return places;
}

static inline __device__ uint64_t negate_if(uint64_t value, uint64_t sign)
{
    return (value ^ sign) - sign;
}

/* ---- generation, both parties at once ---- */

/* Nodes on the path to alpha. */
struct pair {
    struct kern_block node[2][QUAD];
};

static inline __device__ void pair_start(struct pair *pair, const uint8_t *root0, const uint8_t *root1, size_t lane, size_t lanes)
{
    for (int i = 0; i < QUAD; i++) {
        size_t key = lane_or_last(lane + (size_t)i, lanes);
        pair->node[0][i] = kern_fss_root(root0 + 16 * key, 0);
        pair->node[1][i] = kern_fss_root(root1 + 16 * key, 1);
    }
}

static inline __device__ uint64_t choose(uint64_t mask, uint64_t if_set, uint64_t if_clear)
{
    return if_clear ^ (mask & (if_set ^ if_clear));
}

/* One level: correction words of the keys, and the nodes one step on. */
static inline __device__ void pair_advance(struct pair *pair, const struct batch *keys, size_t lane, const uint64_t alpha[QUAD], int level,
                                           const uint64_t *fixed)
{
    struct kern_block left[2][QUAD], right[2][QUAD];
    for (int party = 0; party < 2; party++) {
        hash(left[party], pair->node[party], fixed, KERN_FSS_LEFT, KERN_FSS_LEFT, 0, 0);
        hash(right[party], pair->node[party], fixed, KERN_FSS_RIGHT, KERN_FSS_RIGHT, 0, 0);
    }
    for (int i = 0; i < QUAD; i++) {
        uint64_t a = alpha[i] >> (keys->bits - 1 - level) & 1, to_right = kern_bit_mask(a);
        uint64_t left_bit = (left[0][i].word[0] ^ left[1][i].word[0] ^ a ^ 1) & 1;
        uint64_t right_bit = (right[0][i].word[0] ^ right[1][i].word[0] ^ a) & 1;
        struct kern_block word;
        for (int j = 0; j < 2; j++)
            word.word[j] = choose(to_right, left[0][i].word[j] ^ left[1][i].word[j], right[0][i].word[j] ^ right[1][i].word[j]);
        word = kern_fss_seed(word);
        if (lane + (size_t)i < keys->count) {
            size_t key = lane + (size_t)i;
            uint8_t *bits = keys->bit_words + key * keys->bit_size + level / 4;
            kern_store_block(keys->seed_words + 16 * (key * (size_t)keys->levels + (size_t)level), word);
            *bits = (uint8_t)((level % 4 == 0 ? 0 : *bits) | (left_bit | right_bit << 1) << 2 * (level % 4));
        }
        word.word[0] |= choose(to_right, right_bit, left_bit);
        for (int party = 0; party < 2; party++) {
            struct kern_block child;
            for (int j = 0; j < 2; j++)
                child.word[j] = choose(to_right, right[party][i].word[j], left[party][i].word[j]);
            pair->node[party][i] = corrected(child, pair->node[party][i], word);
        }
    }
}

/* ---- the host's side ---- */

/* Uploads the keys' words, or makes room for them and registers them as outputs. */
struct batch batch_in(struct call *call, int bits, int levels, size_t count, const uint8_t *seed_words, const uint8_t *bit_words);
struct batch batch_out(struct call *call, int bits, int levels, size_t count, uint8_t *seed_words, uint8_t *bit_words);

static inline dim3 quads(size_t lanes)
{
    return cover((lanes + QUAD - 1) / QUAD, FSS_THREADS);
}

}

#endif
