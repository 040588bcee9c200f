/* Leaf conversions over VAES.
 *
 * The AES rounds set the pace: all other vector work has to fit beside them. So counters come folded into the first and
 * last round key, a leaf is loaded once for all its blocks, and words go from registers to their row. */
#include "kernels/avx512/fss.h"

enum { MAX_VECTORS = 2 * KERN_FSS_VALUE_BLOCKS };

/* Round keys of the leaf hash; `first` and `last` of the k-th input block hold its counter as well. */
struct leaf_keys {
    __m512i first[KERN_FSS_VALUE_BLOCKS], middle[AES_ROUNDS - 1], last[KERN_FSS_VALUE_BLOCKS];
};

/* What turns conversion words into shares. */
struct finish {
    __mmask8 negate;
    __m512i mask;
};

VAES_INLINE __m512i finish_words(struct finish f, __m512i words, __mmask8 controls, __m512i final)
{
    __m512i value = _mm512_mask_add_epi64(words, controls, words, final);
    return _mm512_and_si512(_mm512_mask_sub_epi64(value, f.negate, _mm512_setzero_si512(), value), f.mask);
}

VAES_INLINE __mmask8 negated_lanes(const struct kern_fss_leaf *job)
{
    return (__mmask8)(0 - job->side);
}

VAES_INLINE const uint8_t *round_key(int round)
{
    return kern_fss_round_keys[round][KERN_FSS_LEAF];
}

/* Input k has the counters `counter` + k in its odd words. */
static void fill_keys(struct leaf_keys *ret, __m512i counter, int inputs)
{
    for (int k = 0; k < inputs; k++) {
        __m512i count = _mm512_slli_epi64(_mm512_maskz_add_epi64(0xaa, counter, _mm512_set1_epi64(k)), 56);
        ret->first[k] = _mm512_xor_si512(vaes_broadcast(round_key(0)), count);
        ret->last[k] = _mm512_xor_si512(vaes_broadcast(round_key(AES_ROUNDS)), count);
    }
    for (int r = 1; r < AES_ROUNDS; r++)
        ret->middle[r - 1] = vaes_broadcast(round_key(r));
}

/* x[i] = the hash of seed[i], all as input 0. */
VAES_INLINE void convert(__m512i *x, const __m512i *seed, int vectors, const struct leaf_keys *keys)
{
    VAES_UNROLL
    for (int i = 0; i < vectors; i++)
        x[i] = _mm512_xor_si512(seed[i], keys->first[0]);
    VAES_UNROLL
    for (int r = 0; r < AES_ROUNDS - 1; r++)
        VAES_UNROLL
        for (int i = 0; i < vectors; i++)
            x[i] = _mm512_aesenc_epi128(x[i], keys->middle[r]);
    VAES_UNROLL
    for (int i = 0; i < vectors; i++)
        x[i] = _mm512_aesenclast_epi128(x[i], _mm512_xor_si512(seed[i], keys->last[0]));
}

/* ---- one group, copies a power of two above one: the conversion blocks are the output in order ---- */

/* Nodes, counters and final words of four conversion blocks from block `at` on: 2^bits blocks a leaf, class 0 standing
 * for one block, 1 for two, 2 for four or more, of which the first four have these counters. */
VAES_INLINE __m512i row_nodes(const struct kern_fss_leaf *job, size_t at, int bits, int class)
{
    const struct kern_block *leaf = job->leaves + (at >> bits);
    return class == 0 ? vaes_load(leaf) : class == 1 ? vaes_load_doubled(leaf) : vaes_broadcast(leaf);
}

VAES_INLINE __m512i row_counters(int class)
{
    return class == 0 ? _mm512_set_epi64(1, 0, 1, 0, 1, 0, 1, 0) : class == 1 ? _mm512_set_epi64(2, 0, 1, 0, 2, 0, 1, 0)
                      : _mm512_set_epi64(4, 0, 3, 0, 2, 0, 1, 0);
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

/* From the counters in the keys to those of class 2 at `block`: a difference of bytes, made an exclusive or. */
VAES_INLINE __m512i row_recount(__m512i seed, size_t block, int bits)
{
    __m512i low = row_counters(2), skip = _mm512_set1_epi64((long long)(block & (((size_t)1 << bits) - 1)));
    __m512i change = _mm512_xor_si512(low, _mm512_maskz_add_epi64(0xaa, low, skip));
    return _mm512_xor_si512(seed, _mm512_slli_epi64(change, 56));
}

VAES_INLINE void row_vectors(const struct kern_fss_leaf *job, const struct leaf_keys *keys, size_t at, int vectors,
                             int bits, int class)
{
    struct finish f = {negated_lanes(job), _mm512_set1_epi64((long long)job->masks[0])};
    __m512i seed[FLIGHT], x[FLIGHT];
    __mmask8 controls[FLIGHT];
    VAES_UNROLL
    for (int i = 0; i < vectors; i++) {
        size_t block = at + 4 * (size_t)i;
        __m512i node = row_nodes(job, block, bits, class);
        controls[i] = vaes_controls(node);
        seed[i] = vaes_seeds(node);
        if (class == 2)
            seed[i] = row_recount(seed[i], block, bits);
    }
    convert(x, seed, vectors, keys);
    VAES_UNROLL
    for (int i = 0; i < vectors; i++) {
        size_t block = at + 4 * (size_t)i;
        vaes_store(job->out + 2 * block, finish_words(f, x[i], controls[i], row_final(job, block, bits, class)));
    }
}

VAES_INLINE void leaf_rows(const struct kern_fss_leaf *job, int class)
{
    int bits = __builtin_ctz((unsigned)job->copies) - 1;
    size_t blocks = job->keys << job->levels << bits, at = 0;
    struct kern_fss_leaf local = *job; /* which no store to the output can change */
    struct leaf_keys keys;
    fill_keys(&keys, row_counters(class), 1);
    for (; at + 4 * FLIGHT <= blocks; at += 4 * FLIGHT)
        row_vectors(&local, &keys, at, FLIGHT, bits, class);
    for (; at < blocks; at += 4)
        row_vectors(&local, &keys, at, 1, bits, class);
}

/* ---- one copy ---- */

/* What all leaves of a key share. It lies in local memory: a store to the output could change a job for all that the
 * compiler knows. */
struct columns {
    struct leaf_keys keys;
    __mmask8 negate;
    int odd; /* the last block has one group only */
    size_t leaves;
    uint64_t masks[KERN_MAX_GROUPS], final[KERN_MAX_GROUPS];
};

/* Eight leaves, converted. The even leaves sit in one vector and the odd ones in another, so that the words of block j
 * unpack to eight entries in order of group 2 j and eight of group 2 j + 1. */
struct eight {
    __m512i x[MAX_VECTORS];
    __mmask8 controls;
    uint64_t *out;
};

/* Stores eight entries of group g, if there is such a group. */
VAES_INLINE void finish_group(const struct columns *c, const struct eight *done, int g, int blocks)
{
    if (g >= 2 * blocks || (g == 2 * blocks - 1 && c->odd))
        return;
    struct finish f = {c->negate, _mm512_set1_epi64((long long)c->masks[g])};
    __m512i even = done->x[g / 2 * 2], odd = done->x[g / 2 * 2 + 1];
    __m512i words = g % 2 ? _mm512_unpackhi_epi64(even, odd) : _mm512_unpacklo_epi64(even, odd);
    __m512i final = _mm512_set1_epi64((long long)c->final[g]);
    vaes_store(done->out + (size_t)g * c->leaves, finish_words(f, words, done->controls, final));
}

/* Converts eight leaves into `ret`, which may be `done`. Between its rounds it finishes `done`, the eight before them,
 * one group a round: finished all at once, they would keep the AES units, which also add and mask, from their rounds. */
VAES_INLINE void convert_eight(const struct columns *c, struct eight *ret, const struct kern_block *leaf, uint64_t *out,
                               int blocks, const struct eight *done)
{
    __m512i low = vaes_load(leaf), high = vaes_load(leaf + 4), x[MAX_VECTORS];
    __m512i node[2] = {_mm512_shuffle_i64x2(low, high, 0x88), _mm512_shuffle_i64x2(low, high, 0xdd)};
    __m512i seed[2] = {vaes_seeds(node[0]), vaes_seeds(node[1])};
    __mmask8 controls = _mm512_test_epi64_mask(_mm512_unpacklo_epi64(node[0], node[1]), _mm512_set1_epi64(1));
    VAES_UNROLL
    for (int i = 0; i < 2 * blocks; i++)
        x[i] = _mm512_xor_si512(seed[i % 2], c->keys.first[i / 2]);
    VAES_UNROLL
    for (int r = 0; r < AES_ROUNDS - 1; r++) {
        VAES_UNROLL
        for (int i = 0; i < 2 * blocks; i++)
            x[i] = _mm512_aesenc_epi128(x[i], c->keys.middle[r]);
        if (done != NULL)
            finish_group(c, done, r, blocks);
    }
    VAES_UNROLL
    for (int i = 0; i < 2 * blocks; i++)
        ret->x[i] = _mm512_aesenclast_epi128(x[i], _mm512_xor_si512(seed[i % 2], c->keys.last[i / 2]));
    ret->controls = controls;
    ret->out = out;
}

_Static_assert(KERN_MAX_GROUPS <= AES_ROUNDS - 1, "a round for each group");

VAES_INLINE void leaf_columns(const struct kern_fss_leaf *job, int blocks)
{
    size_t groups = (size_t)job->groups, leaves = (size_t)1 << job->levels;
    struct columns c = {.negate = negated_lanes(job), .odd = job->groups % 2, .leaves = leaves};
    fill_keys(&c.keys, _mm512_set_epi64(1, 0, 1, 0, 1, 0, 1, 0), blocks);
    memcpy(c.masks, job->masks, sizeof c.masks);
    for (size_t key = 0; key < job->keys; key++) {
        const struct kern_block *nodes = job->leaves + key * leaves;
        uint64_t *out = job->out + key * groups * leaves;
        struct eight done;
        for (size_t g = 0; g < groups; g++)
            c.final[g] = job->final[g * job->final_stride + key];
        convert_eight(&c, &done, nodes, out, blocks, NULL);
        for (size_t leaf = 8; leaf < leaves; leaf += 8)
            convert_eight(&c, &done, nodes + leaf, out + leaf, blocks, &done);
        VAES_UNROLL
        for (int g = 0; g < KERN_MAX_GROUPS; g++)
            finish_group(&c, &done, g, blocks);
    }
}

#define LEAF_COLUMNS(blocks)                                                                                           \
    static void leaf_columns_##blocks(const struct kern_fss_leaf *job)                                                 \
    {                                                                                                                  \
        leaf_columns(job, blocks);                                                                                     \
    }

LEAF_COLUMNS(1)
LEAF_COLUMNS(2)
LEAF_COLUMNS(3)
LEAF_COLUMNS(4)
LEAF_COLUMNS(5)

/* By the blocks of a leaf. */
static void (*const columns_of[])(const struct kern_fss_leaf *) = {leaf_columns_1, leaf_columns_2, leaf_columns_3,
                                                                   leaf_columns_4, leaf_columns_5};

_Static_assert(sizeof columns_of / sizeof *columns_of == KERN_FSS_VALUE_BLOCKS, "a function for each number of blocks");

void kern_avx512_leaf(const struct kern_fss_leaf *job)
{
    if (job->groups == 1 && job->copies == 2 && job->levels >= 2)
        leaf_rows(job, 0);
    else if (job->groups == 1 && job->copies == 4 && job->levels >= 1)
        leaf_rows(job, 1);
    else if (job->groups == 1 && job->copies >= 8)
        leaf_rows(job, 2);
    else if (job->copies == 1 && job->levels >= 3)
        columns_of[(job->groups - 1) / 2](job);
    else
        kern_fss_leaf_any(&kern_avx512_fss, job);
}
