/* The core of FSS keys over VAES: tree levels and leaves. Paths are in walk.c. */
#include "kernels/avx512/fss.h"

/* ---- plain hashing ---- */

VAES_INLINE void hash_vectors(__m512i x[FLIGHT], const __m512i in[FLIGHT], const uint8_t *schedule)
{
    __m512i key = vaes_broadcast(schedule);
#pragma GCC unroll 4
    for (int i = 0; i < FLIGHT; i++)
        x[i] = _mm512_xor_si512(in[i], key);
#pragma GCC unroll 10
    for (size_t r = 1; r < AES_ROUNDS; r++) {
        key = vaes_broadcast(schedule + r * FSS_STRIDE);
#pragma GCC unroll 4
        for (int i = 0; i < FLIGHT; i++)
            x[i] = _mm512_aesenc_epi128(x[i], key);
    }
    key = vaes_broadcast(schedule + AES_ROUNDS * FSS_STRIDE);
#pragma GCC unroll 4
    for (int i = 0; i < FLIGHT; i++)
        x[i] = _mm512_aesenclast_epi128(x[i], _mm512_xor_si512(in[i], key));
}

static void hash(enum kern_fss_key key, const struct kern_block *in, struct kern_block *out, size_t count)
{
    const uint8_t *schedule = kern_fss_round_keys[0][key];
    __m512i x[FLIGHT], blocks[FLIGHT];
    for (size_t at = 0; at < count; at += 4 * FLIGHT) {
        __mmask8 lanes[FLIGHT];
        for (size_t i = 0; i < FLIGHT; i++) {
            size_t left = count - at > 4 * i ? count - at - 4 * i : 0;
            lanes[i] = (__mmask8)(left >= 4 ? 0xff : (1u << 2 * left) - 1);
            blocks[i] = _mm512_maskz_loadu_epi64(lanes[i], in + at + 4 * i);
        }
        hash_vectors(x, blocks, schedule);
        for (size_t i = 0; i < FLIGHT; i++)
            _mm512_mask_storeu_epi64(out + at + 4 * i, lanes[i], x[i]);
    }
}

/* ---- one level of trees ---- */

/* Left and right keys side by side turn a pair of equal blocks into both children in place: a vector holds the children
 * of two parents in the order of the output. */
static void load_pair_schedule(__m512i key[AES_ROUNDS + 1])
{
    for (int r = 0; r <= AES_ROUNDS; r++)
        key[r] = vaes_broadcast_pair(kern_fss_round_keys[r][KERN_FSS_LEFT]);
}

VAES_INLINE __m512i doubled_nodes(const struct kern_block *nodes)
{
    __m256i two = _mm256_loadu_si256((const __m256i *)(const void *)nodes);
    return _mm512_shuffle_i64x2(_mm512_castsi256_si512(two), _mm512_castsi256_si512(two), 0x50);
}

/* Children of 2 FLIGHT parents. */
VAES_INLINE void children(__m512i x[FLIGHT], const __m512i node[FLIGHT], const __m512i key[AES_ROUNDS + 1])
{
#pragma GCC unroll 4
    for (int i = 0; i < FLIGHT; i++)
        x[i] = _mm512_xor_si512(vaes_seeds(node[i]), key[0]);
#pragma GCC unroll 10
    for (int r = 1; r < AES_ROUNDS; r++)
#pragma GCC unroll 4
        for (int i = 0; i < FLIGHT; i++)
            x[i] = _mm512_aesenc_epi128(x[i], key[r]);
#pragma GCC unroll 4
    for (int i = 0; i < FLIGHT; i++)
        x[i] = _mm512_aesenclast_epi128(x[i], _mm512_xor_si512(vaes_seeds(node[i]), key[AES_ROUNDS]));
}

/* The same for one parent: the ends of odd batches. */
static void children_of_one(const struct kern_block *in, struct kern_block *out, const struct kern_block words[2])
{
    __m256i node = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)in));
    __m256i seed = _mm256_andnot_si256(_mm512_castsi512_si256(vaes_control_bits()), node), x = seed;
    for (int r = 0; r <= AES_ROUNDS; r++) {
        __m256i key = _mm256_loadu_si256((const __m256i *)(const void *)kern_fss_round_keys[r][KERN_FSS_LEFT]);
        if (r == 0)
            x = _mm256_xor_si256(x, key);
        else if (r < AES_ROUNDS)
            x = _mm256_aesenc_epi128(x, key);
        else
            x = _mm256_aesenclast_epi128(x, _mm256_xor_si256(seed, key));
    }
    __mmask8 controls = _mm256_test_epi64_mask(_mm256_unpacklo_epi64(node, node), _mm256_set1_epi64x(1));
    __m256i word = _mm256_loadu_si256((const __m256i *)(const void *)words);
    _mm256_storeu_si256((__m256i *)(void *)out, _mm256_mask_xor_epi64(x, controls, x, word));
}

static void expand(const struct kern_block *in, struct kern_block *out, size_t parents,
                   const struct kern_block (*words)[2], int shift)
{
    __m512i key[AES_ROUNDS + 1], node[FLIGHT], x[FLIGHT];
    size_t at = 0;
    load_pair_schedule(key);
    for (; at + 2 * FLIGHT <= parents; at += 2 * FLIGHT) {
        for (size_t i = 0; i < FLIGHT; i++)
            node[i] = doubled_nodes(in + at + 2 * i);
        children(x, node, key);
        for (size_t i = 0; i < FLIGHT; i++) {
            size_t parent = at + 2 * i;
            __m512i word = shift == 0 ? vaes_load(words[parent]) : vaes_broadcast_pair(words[parent >> shift]);
            vaes_store(out + 2 * parent, vaes_xor_if(x[i], vaes_controls(node[i]), word));
        }
    }
    for (; at < parents; at++)
        children_of_one(in + at, out + 2 * at, words[at >> shift]);
}

/* ---- leaves ---- */

struct finish {
    __m512i sign, mask;
};

VAES_INLINE __m512i finish_words(struct finish f, __m512i words, __mmask8 controls, __m512i final)
{
    __m512i value = _mm512_mask_add_epi64(words, controls, words, final);
    return _mm512_and_si512(_mm512_sub_epi64(_mm512_xor_si512(value, f.sign), f.sign), f.mask);
}

/* Nodes, counters and final words of four conversion blocks from block `at` on, one group: 2^block_bits blocks a leaf,
 * 0 standing for one block, 1 for two, 2 for four or more. */
VAES_INLINE __m512i row_nodes(const struct kern_fss_leaf *job, size_t at, int bits, int class)
{
    const struct kern_block *leaf = job->leaves + (at >> bits);
    return class == 0 ? vaes_load(leaf) : class == 1 ? doubled_nodes(leaf) : vaes_broadcast(leaf);
}

VAES_INLINE __m512i row_counters(size_t at, int bits, int class)
{
    if (class == 0)
        return _mm512_set_epi64(1, 0, 1, 0, 1, 0, 1, 0);
    if (class == 1)
        return _mm512_set_epi64(2, 0, 1, 0, 2, 0, 1, 0);
    __m512i first = _mm512_set1_epi64((long long)(at & (((size_t)1 << bits) - 1)));
    return _mm512_maskz_add_epi64(0xaa, first, _mm512_set_epi64(4, 0, 3, 0, 2, 0, 1, 0));
}

VAES_INLINE __m512i row_final(const struct kern_fss_leaf *job, size_t at, int bits, int class)
{
    const uint64_t *final = job->final + (at >> bits >> job->levels) * (size_t)job->copies;
    if (class == 0)
        return vaes_broadcast(final);
    if (class == 1)
        return vaes_broadcast_pair(final);
    return vaes_load(final + 2 * (at & (((size_t)1 << bits) - 1)));
}

/* One group, copies a power of two above one: the conversion blocks are the output in order. */
VAES_INLINE void leaf_rows(const struct kern_fss_leaf *job, int class)
{
    struct finish f = {_mm512_set1_epi64(-(long long)job->side), _mm512_set1_epi64((long long)job->masks[0])};
    int bits = __builtin_ctz((unsigned)job->copies) - 1;
    size_t blocks = job->keys << job->levels << bits;
    const uint8_t *schedule = kern_fss_round_keys[0][KERN_FSS_LEAF];
    for (size_t at = 0; at < blocks; at += 4 * FLIGHT) {
        __m512i node[FLIGHT], in[FLIGHT], x[FLIGHT];
        size_t n = blocks - at < 4 * FLIGHT ? (blocks - at) / 4 : FLIGHT;
        for (size_t i = 0; i < FLIGHT; i++) {
            size_t block = i < n ? at + 4 * i : at;
            node[i] = row_nodes(job, block, bits, class);
            in[i] = _mm512_xor_si512(vaes_seeds(node[i]), _mm512_slli_epi64(row_counters(block, bits, class), 56));
        }
        hash_vectors(x, in, schedule);
        for (size_t i = 0; i < n; i++) {
            size_t block = at + 4 * i;
            __m512i final = row_final(job, block, bits, class);
            vaes_store(job->out + 2 * block, finish_words(f, x[i], vaes_controls(node[i]), final));
        }
    }
}

/* One copy, eight leaves: the even ones in node[0], the odd ones in node[1]; two conversion blocks of each at a time
 * unpack to eight entries in order of four groups. */
VAES_INLINE void column_blocks(const struct kern_fss_leaf *job, size_t key, size_t leaf, const __m512i node[2], int j)
{
    __m512i in[FLIGHT], x[FLIGHT], sign = _mm512_set1_epi64(-(long long)job->side);
    const __m512i counter = _mm512_set_epi64(1, 0, 1, 0, 1, 0, 1, 0);
    for (int i = 0; i < FLIGHT; i++) {
        __m512i count = _mm512_maskz_add_epi64(0xaa, counter, _mm512_set1_epi64(j + i / 2));
        in[i] = _mm512_xor_si512(vaes_seeds(node[i % 2]), _mm512_slli_epi64(count, 56));
    }
    hash_vectors(x, in, kern_fss_round_keys[0][KERN_FSS_LEAF]);
    __mmask8 controls = _mm512_test_epi64_mask(_mm512_unpacklo_epi64(node[0], node[1]), _mm512_set1_epi64(1));
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        size_t g = (size_t)(2 * j + i);
        if (g >= (size_t)job->groups)
            break;
        struct finish f = {sign, _mm512_set1_epi64((long long)job->masks[g])};
        __m512i final = _mm512_set1_epi64((long long)job->final[g * job->final_stride + key]);
        __m512i even = x[i / 2 * 2], odd = x[i / 2 * 2 + 1];
        __m512i words = i % 2 ? _mm512_unpackhi_epi64(even, odd) : _mm512_unpacklo_epi64(even, odd);
        uint64_t *out = job->out + ((key * (size_t)job->groups + g) << job->levels) + leaf;
        vaes_store(out, finish_words(f, words, controls, final));
    }
}

static void leaf_columns(const struct kern_fss_leaf *job)
{
    for (size_t key = 0; key < job->keys; key++)
        for (size_t leaf = 0; leaf < (size_t)1 << job->levels; leaf += 8) {
            const struct kern_block *leaves = job->leaves + (key << job->levels) + leaf;
            __m512i low = vaes_load(leaves), high = vaes_load(leaves + 4);
            __m512i node[2] = {_mm512_shuffle_i64x2(low, high, 0x88), _mm512_shuffle_i64x2(low, high, 0xdd)};
            for (int j = 0; 2 * j < job->groups; j += 2)
                column_blocks(job, key, leaf, node, j);
        }
}

static void leaf(const struct kern_fss_leaf *job)
{
    if (job->groups == 1 && job->copies == 2 && job->levels >= 2)
        leaf_rows(job, 0);
    else if (job->groups == 1 && job->copies == 4 && job->levels >= 1)
        leaf_rows(job, 1);
    else if (job->groups == 1 && job->copies >= 8)
        leaf_rows(job, 2);
    else if (job->copies == 1 && job->levels >= 3)
        leaf_columns(job);
    else
        kern_fss_leaf_any(&kern_avx512_fss, job);
}

const struct kern_fss_core kern_avx512_fss = {
    .hash = hash,
    .expand = expand,
    .leaf = leaf,
    .walk = kern_avx512_walk,
    .walk_prefix = kern_avx512_walk_prefix,
    .walk_value = kern_avx512_walk_value,
};
