/* Root-to-leaf paths over VAES: sixteen lanes, four to a vector.
 *
 * A lane's public bit selects its round keys. Selecting them with logic takes turns with the AES rounds on the same
 * execution ports; instead the keys of the sixteen patterns of four lanes lie ready in memory, which the level-one cache
 * holds, and a round takes its key from there. */
#include "kernels/avx512/fss.h"

#include <stdbool.h>

enum { LANES = 4 * FLIGHT, PATTERNS = 16 };

enum mode { PLAIN, PREFIX, VALUE, VALUES /* more than one block each */ };

/* Bit i of a pattern: lane i goes right. */
struct side_keys {
    __m512i round[AES_ROUNDS + 1][PATTERNS];
};

struct walk_keys {
    struct side_keys child, value;
};

static void fill_side_keys(struct side_keys *ret, enum kern_fss_key left)
{
    for (int r = 0; r <= AES_ROUNDS; r++) {
        __m512i left_key = vaes_broadcast(kern_fss_round_keys[r][left]);
        __m512i right_key = vaes_broadcast(kern_fss_round_keys[r][left + 1]);
        for (unsigned pattern = 0; pattern < PATTERNS; pattern++) {
            unsigned words = (pattern & 1) * 3 | (pattern & 2) * 6 | (pattern & 4) * 12 | (pattern & 8) * 24;
            ret->round[r][pattern] = _mm512_mask_blend_epi64((__mmask8)words, left_key, right_key);
        }
    }
}

/* Round r of H: round 0 whitens, the last one also adds the input. */
VAES_INLINE void hash_round(__m512i x[FLIGHT], const __m512i in[FLIGHT], const struct side_keys *keys,
                            const size_t pattern[FLIGHT], int r)
{
#pragma GCC unroll 4
    for (int i = 0; i < FLIGHT; i++) {
        __m512i key = keys->round[r][pattern[i]];
        if (r == 0)
            x[i] = _mm512_xor_si512(in[i], key);
        else if (r < AES_ROUNDS)
            x[i] = _mm512_aesenc_epi128(x[i], key);
        else
            x[i] = _mm512_aesenclast_epi128(x[i], _mm512_xor_si512(in[i], key));
    }
}

VAES_INLINE void hash_sides(__m512i x[FLIGHT], const __m512i in[FLIGHT], const struct side_keys *keys,
                            const size_t pattern[FLIGHT])
{
#pragma GCC unroll 11
    for (int r = 0; r <= AES_ROUNDS; r++)
        hash_round(x, in, keys, pattern, r);
}

/* Children, and the values of the same sides, round by round: four vectors just cover the latency of a round, and the
 * queue of waiting instructions is too short for two hashes in a row to overlap well. */
VAES_INLINE void hash_both(__m512i x[FLIGHT], const __m512i x_in[FLIGHT], __m512i y[FLIGHT], const __m512i y_in[FLIGHT],
                           const struct walk_keys *keys, const size_t pattern[FLIGHT])
{
#pragma GCC unroll 11
    for (int r = 0; r <= AES_ROUNDS; r++) {
        hash_round(x, x_in, &keys->child, pattern, r);
        hash_round(y, y_in, &keys->value, pattern, r);
    }
}

/* Children, and the left children of all lanes. */
VAES_INLINE void hash_prefix(__m512i x[FLIGHT], __m512i left[FLIGHT], const __m512i in[FLIGHT],
                             const struct walk_keys *keys, const size_t pattern[FLIGHT])
{
    static const size_t all_left[FLIGHT] = {0};
#pragma GCC unroll 11
    for (int r = 0; r <= AES_ROUNDS; r++) {
        hash_round(x, in, &keys->child, pattern, r);
        hash_round(left, in, &keys->child, all_left, r);
    }
}

/* Blocks from four addresses. */
VAES_INLINE __m512i load_four(const struct kern_block *const from[4], size_t skip)
{
    __m256i low = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const void *)(from[0] + skip))),
                                          _mm_loadu_si128((const void *)(from[1] + skip)), 1);
    __m256i high = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const void *)(from[2] + skip))),
                                           _mm_loadu_si128((const void *)(from[3] + skip)), 1);
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

/* Block `skip` of the current level of the programs of vector i: one program, or one for each lane. */
VAES_INLINE __m512i program_blocks(const struct kern_block *const words[LANES], int i, size_t skip, bool shared)
{
    return shared ? vaes_broadcast(words[0] + skip) : load_four(words + 4 * i, skip);
}

/* value[lane][j] += the conversion and the value words of the level. */
VAES_INLINE void add_value(const struct kern_fss_walk *job, size_t lane, int j, __m512i sum)
{
    struct kern_block add[4];
    vaes_store(add, sum);
    for (size_t i = 0; i < 4; i++) {
        struct kern_block *value = &job->value[(lane + i) * (size_t)job->value_blocks + (size_t)j];
        value->word[0] += add[i].word[0];
        value->word[1] += add[i].word[1];
    }
}

struct group {
    __m512i node[FLIGHT];
    __m512i x[FLIGHT];      /* each point twice, so that a test gives the mask of its block */
    __m512i points[2];
    __m512i prefix[FLIGHT]; /* bit 0 of each block counts */
    __m512i value[FLIGHT];  /* where there is one value block */
    const struct kern_block *words[LANES];
};

VAES_INLINE void group_open(struct group *g, const struct kern_fss_walk *job, enum mode mode)
{
    size_t skip = (size_t)job->from * (size_t)(2 + job->value_blocks);
    for (size_t i = 0; i < LANES; i++)
        g->words[i] = job->program + (job->offset == NULL ? 0 : job->offset[i]) + skip;
    g->points[0] = vaes_load(job->x);
    g->points[1] = vaes_load(job->x + 8);
    for (size_t i = 0; i < FLIGHT; i++) {
        __m512i four = _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)(const void *)(job->x + 4 * i)));
        g->x[i] = _mm512_permutexvar_epi64(_mm512_set_epi64(3, 3, 2, 2, 1, 1, 0, 0), four);
        g->node[i] = vaes_load(job->state + 4 * i);
        g->prefix[i] = _mm512_setzero_si512();
        if (mode == VALUE)
            g->value[i] = vaes_load(job->value + 4 * i);
    }
}

VAES_INLINE void group_close(struct group *g, const struct kern_fss_walk *job, enum mode mode)
{
    for (size_t i = 0; i < FLIGHT; i++) {
        vaes_store(job->state + 4 * i, g->node[i]);
        if (mode == VALUE)
            vaes_store(job->value + 4 * i, g->value[i]);
        if (mode == PREFIX) {
            unsigned bits = _mm512_test_epi64_mask(g->prefix[i], vaes_control_bits());
            for (size_t j = 0; j < 4; j++)
                job->prefix[4 * i + j] ^= (uint8_t)(bits >> 2 * j & 1);
        }
    }
}

VAES_INLINE void value_inputs(__m512i in[FLIGHT], const __m512i seed[FLIGHT], int j)
{
    const __m512i counter = _mm512_maskz_set1_epi64(0xaa, (long long)((uint64_t)(j + 1) << 56));
#pragma GCC unroll 4
    for (int i = 0; i < FLIGHT; i++)
        in[i] = _mm512_xor_si512(seed[i], counter);
}

VAES_INLINE void take_values(struct group *g, const struct kern_fss_walk *job, const __m512i words[FLIGHT], int j,
                             enum mode mode, bool shared)
{
#pragma GCC unroll 4
    for (int i = 0; i < FLIGHT; i++) {
        __m512i word = program_blocks(g->words, i, 2 + (size_t)j, shared);
        __m512i sum = _mm512_mask_add_epi64(words[i], vaes_controls(g->node[i]), words[i], word);
        if (mode == VALUE)
            g->value[i] = _mm512_add_epi64(g->value[i], sum);
        else
            add_value(job, 4 * (size_t)i, j, sum);
    }
}

/* Lanes that go right collect the control bit of the left child they pass. */
VAES_INLINE void take_prefix(struct group *g, const __m512i left[FLIGHT], const __mmask8 right[FLIGHT], bool shared)
{
#pragma GCC unroll 4
    for (int i = 0; i < FLIGHT; i++) {
        __m512i child = vaes_xor_if(left[i], vaes_controls(g->node[i]), program_blocks(g->words, i, 0, shared));
        g->prefix[i] = vaes_xor_if(g->prefix[i], right[i], child);
    }
}

VAES_INLINE void group_step(struct group *g, const struct kern_fss_walk *job, const struct walk_keys *keys, int level,
                            enum mode mode, bool shared)
{
    const __m512i bit = _mm512_set1_epi64((long long)(UINT64_C(1) << (job->k - 1 - level)));
    unsigned sides = _mm512_test_epi64_mask(g->points[0], bit) | (unsigned)_mm512_test_epi64_mask(g->points[1], bit) << 8;
    __mmask8 right[FLIGHT];
    size_t pattern[FLIGHT];
    __m512i seed[FLIGHT], x[FLIGHT], y[FLIGHT], in[FLIGHT];
#pragma GCC unroll 4
    for (int i = 0; i < FLIGHT; i++) {
        right[i] = _mm512_test_epi64_mask(g->x[i], bit);
        pattern[i] = sides >> 4 * i & 15;
        seed[i] = vaes_seeds(g->node[i]);
    }
    if (mode == PLAIN) {
        hash_sides(x, seed, &keys->child, pattern);
    } else if (mode == PREFIX) {
        hash_prefix(x, y, seed, keys, pattern);
        take_prefix(g, y, right, shared);
    } else {
        value_inputs(in, seed, 0);
        hash_both(x, seed, y, in, keys, pattern);
        take_values(g, job, y, 0, mode, shared);
        for (int j = 1; mode == VALUES && j < job->value_blocks; j++) {
            value_inputs(in, seed, j);
            hash_sides(y, in, &keys->value, pattern);
            take_values(g, job, y, j, mode, shared);
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < FLIGHT; i++) {
        __m512i left_word = program_blocks(g->words, i, 0, shared), right_word = program_blocks(g->words, i, 1, shared);
        __m512i word = _mm512_mask_blend_epi64(right[i], left_word, right_word);
        g->node[i] = vaes_xor_if(x[i], vaes_controls(g->node[i]), word);
    }
    for (int i = 0; i < (shared ? 1 : LANES); i++)
        g->words[i] += mode == VALUE ? 3 : 2 + job->value_blocks;
}

VAES_INLINE void walk_group(const struct kern_fss_walk *job, const struct walk_keys *keys, enum mode mode, bool shared)
{
    struct group g;
    group_open(&g, job, mode);
    for (int level = job->from; level < job->to; level++)
        group_step(&g, job, keys, level, mode, shared);
    group_close(&g, job, mode);
}

#define WALK_GROUP(name, mode)                                                                                         \
    static void name(const struct kern_fss_walk *job, const void *keys)                                                \
    {                                                                                                                  \
        if (job->offset == NULL)                                                                                       \
            walk_group(job, keys, mode, true);                                                                         \
        else                                                                                                           \
            walk_group(job, keys, mode, false);                                                                        \
    }

WALK_GROUP(group_plain, PLAIN)
WALK_GROUP(group_with_prefix, PREFIX)
WALK_GROUP(group_with_value, VALUE)
WALK_GROUP(group_with_values, VALUES)

static void walk_groups(const struct kern_fss_walk *job, kern_fss_group group)
{
    struct walk_keys keys;
    fill_side_keys(&keys.child, KERN_FSS_LEFT);
    if (job->value_blocks > 0)
        fill_side_keys(&keys.value, KERN_FSS_VALUE_LEFT);
    kern_fss_walk_groups(job, LANES, group, &keys);
}

void kern_avx512_walk(const struct kern_fss_walk *job)
{
    walk_groups(job, group_plain);
}

void kern_avx512_walk_prefix(const struct kern_fss_walk *job)
{
    walk_groups(job, group_with_prefix);
}

void kern_avx512_walk_value(const struct kern_fss_walk *job)
{
    walk_groups(job, job->value_blocks == 1 ? group_with_value : group_with_values);
}
