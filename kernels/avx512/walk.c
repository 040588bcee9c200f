/* Root-to-leaf paths over VAES: sixteen lanes, four to a vector. Each lane's public bit selects its round keys by a
 * blend, so that lanes of either direction share a vector. */
#include "kernels/avx512/fss.h"

#include "base/memory.h"

#include <stdbool.h>

enum { LANES = 4 * FLIGHT };

enum mode { PLAIN, PREFIX, VALUE };

/* in: seeds. Lanes of `right` use the schedule 16 bytes after `schedule`. */
VAES_INLINE void hash_sides(__m512i x[FLIGHT], const __m512i in[FLIGHT], const __mmask8 right[FLIGHT],
                            const uint8_t *schedule)
{
    __m512i left_key = vaes_broadcast(schedule), right_key = vaes_broadcast(schedule + 16);
#pragma GCC unroll 4
    for (int i = 0; i < FLIGHT; i++)
        x[i] = _mm512_xor_si512(in[i], _mm512_mask_blend_epi64(right[i], left_key, right_key));
#pragma GCC unroll 10
    for (size_t r = 1; r < AES_ROUNDS; r++) {
        left_key = vaes_broadcast(schedule + r * FSS_STRIDE);
        right_key = vaes_broadcast(schedule + r * FSS_STRIDE + 16);
#pragma GCC unroll 4
        for (int i = 0; i < FLIGHT; i++)
            x[i] = _mm512_aesenc_epi128(x[i], _mm512_mask_blend_epi64(right[i], left_key, right_key));
    }
    left_key = vaes_broadcast(schedule + AES_ROUNDS * FSS_STRIDE);
    right_key = vaes_broadcast(schedule + AES_ROUNDS * FSS_STRIDE + 16);
#pragma GCC unroll 4
    for (int i = 0; i < FLIGHT; i++) {
        __m512i last = _mm512_mask_blend_epi64(right[i], left_key, right_key);
        x[i] = _mm512_aesenclast_epi128(x[i], _mm512_xor_si512(in[i], last));
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
    __m512i prefix[FLIGHT]; /* bit 0 of each block counts */
    __m512i value[FLIGHT];  /* where there is one value block */
    const struct kern_block *words[LANES];
};

VAES_INLINE void group_open(struct group *g, const struct kern_fss_walk *job, size_t at, enum mode mode)
{
    size_t skip = (size_t)job->from * (size_t)(2 + job->value_blocks);
    for (size_t i = 0; i < LANES; i++)
        g->words[i] = job->program + (job->offset == NULL ? 0 : job->offset[at + i]) + skip;
    for (size_t i = 0; i < FLIGHT; i++) {
        __m512i four = _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)(const void *)(job->x + at + 4 * i)));
        g->x[i] = _mm512_permutexvar_epi64(_mm512_set_epi64(3, 3, 2, 2, 1, 1, 0, 0), four);
        g->node[i] = vaes_load(job->state + at + 4 * i);
        g->prefix[i] = _mm512_setzero_si512();
        if (mode == VALUE && job->value_blocks == 1)
            g->value[i] = vaes_load(job->value + at + 4 * i);
    }
}

VAES_INLINE void group_close(struct group *g, const struct kern_fss_walk *job, size_t at, enum mode mode)
{
    for (size_t i = 0; i < FLIGHT; i++) {
        vaes_store(job->state + at + 4 * i, g->node[i]);
        if (mode == VALUE && job->value_blocks == 1)
            vaes_store(job->value + at + 4 * i, g->value[i]);
        if (mode == PREFIX) {
            unsigned bits = _mm512_test_epi64_mask(g->prefix[i], vaes_control_bits());
            for (size_t j = 0; j < 4; j++)
                job->prefix[at + 4 * i + j] ^= (uint8_t)(bits >> 2 * j & 1);
        }
    }
}

VAES_INLINE void group_values(struct group *g, const struct kern_fss_walk *job, size_t at, const __m512i seed[FLIGHT],
                              const __mmask8 right[FLIGHT], bool shared)
{
    const uint8_t *schedule = kern_fss_round_keys[0][KERN_FSS_VALUE_LEFT];
    for (int j = 0; j < job->value_blocks; j++) {
        __m512i in[FLIGHT], x[FLIGHT], counter = _mm512_maskz_set1_epi64(0xaa, (long long)((uint64_t)(j + 1) << 56));
#pragma GCC unroll 4
        for (int i = 0; i < FLIGHT; i++)
            in[i] = _mm512_xor_si512(seed[i], counter);
        hash_sides(x, in, right, schedule);
#pragma GCC unroll 4
        for (int i = 0; i < FLIGHT; i++) {
            __m512i word = program_blocks(g->words, i, 2 + (size_t)j, shared);
            __m512i sum = _mm512_mask_add_epi64(x[i], vaes_controls(g->node[i]), x[i], word);
            if (job->value_blocks == 1)
                g->value[i] = _mm512_add_epi64(g->value[i], sum);
            else
                add_value(job, at + 4 * (size_t)i, j, sum);
        }
    }
}

/* Lanes that go right collect the control bit of the left child they pass. */
VAES_INLINE void group_prefix(struct group *g, const __m512i seed[FLIGHT], const __mmask8 right[FLIGHT], bool shared)
{
    static const __mmask8 all_left[FLIGHT] = {0};
    __m512i x[FLIGHT];
    hash_sides(x, seed, all_left, kern_fss_round_keys[0][KERN_FSS_LEFT]);
    for (int i = 0; i < FLIGHT; i++) {
        __m512i left = vaes_xor_if(x[i], vaes_controls(g->node[i]), program_blocks(g->words, i, 0, shared));
        g->prefix[i] = vaes_xor_if(g->prefix[i], right[i], left);
    }
}

VAES_INLINE void group_step(struct group *g, const struct kern_fss_walk *job, size_t at, int level, enum mode mode,
                            bool shared)
{
    const __m512i bit = _mm512_set1_epi64((long long)(UINT64_C(1) << (job->k - 1 - level)));
    __mmask8 right[FLIGHT];
    __m512i seed[FLIGHT], x[FLIGHT];
#pragma GCC unroll 4
    for (int i = 0; i < FLIGHT; i++) {
        right[i] = _mm512_test_epi64_mask(g->x[i], bit);
        seed[i] = vaes_seeds(g->node[i]);
    }
    hash_sides(x, seed, right, kern_fss_round_keys[0][KERN_FSS_LEFT]);
    if (mode == VALUE)
        group_values(g, job, at, seed, right, shared);
    if (mode == PREFIX)
        group_prefix(g, seed, right, shared);
#pragma GCC unroll 4
    for (int i = 0; i < FLIGHT; i++) {
        __m512i left_word = program_blocks(g->words, i, 0, shared), right_word = program_blocks(g->words, i, 1, shared);
        __m512i word = _mm512_mask_blend_epi64(right[i], left_word, right_word);
        g->node[i] = vaes_xor_if(x[i], vaes_controls(g->node[i]), word);
    }
    for (int i = 0; i < (shared ? 1 : LANES); i++)
        g->words[i] += 2 + job->value_blocks;
}

VAES_INLINE void walk_group(const struct kern_fss_walk *job, size_t at, enum mode mode, bool shared)
{
    struct group g;
    group_open(&g, job, at, mode);
    for (int level = job->from; level < job->to; level++)
        group_step(&g, job, at, level, mode, shared);
    group_close(&g, job, at, mode);
}

VAES_INLINE void walk_any(const struct kern_fss_walk *job, enum mode mode)
{
    if (job->offset == NULL)
        walk_group(job, 0, mode, true);
    else
        walk_group(job, 0, mode, false);
}

/* The part of a job that starts at lane `at`. */
static struct kern_fss_walk rest_of(const struct kern_fss_walk *job, size_t at)
{
    struct kern_fss_walk rest = *job;
    rest.lanes -= at;
    rest.state += at;
    rest.x += at;
    rest.offset = job->offset == NULL ? NULL : job->offset + at;
    rest.value = job->value == NULL ? NULL : job->value + at * (size_t)job->value_blocks;
    rest.prefix = job->prefix == NULL ? NULL : job->prefix + at;
    return rest;
}

/* Fewer lanes than a group holds: spare lanes repeat the first one, in copies. */
static void walk_few(const struct kern_fss_walk *job, void (*walk)(const struct kern_fss_walk *))
{
    struct kern_block state[LANES], value[LANES * KERN_FSS_VALUE_BLOCKS];
    uint64_t x[LANES];
    uint32_t offset[LANES];
    uint8_t prefix[LANES];
    struct kern_fss_walk copy = *job;
    size_t values = job->lanes * (size_t)job->value_blocks;
    for (size_t i = 0; i < LANES; i++) {
        size_t from = i < job->lanes ? i : 0;
        state[i] = job->state[from];
        x[i] = job->x[from];
        offset[i] = job->offset == NULL ? 0 : job->offset[from];
        prefix[i] = 0;
    }
    memset(value, 0, sizeof value);
    if (job->value != NULL)
        memcpy(value, job->value, values * sizeof *value);
    copy.lanes = LANES;
    copy.state = state;
    copy.x = x;
    copy.offset = job->offset == NULL ? NULL : offset;
    copy.value = value;
    copy.prefix = prefix;
    walk(&copy);
    memcpy(job->state, state, job->lanes * sizeof *state);
    if (job->value != NULL)
        memcpy(job->value, value, values * sizeof *value);
    for (size_t i = 0; job->prefix != NULL && i < job->lanes; i++)
        job->prefix[i] ^= prefix[i];
    base_wipe(state, sizeof state);
    base_wipe(value, sizeof value);
}

static void group_plain(const struct kern_fss_walk *job)
{
    walk_any(job, PLAIN);
}

static void group_with_prefix(const struct kern_fss_walk *job)
{
    walk_any(job, PREFIX);
}

static void group_with_value(const struct kern_fss_walk *job)
{
    walk_any(job, VALUE);
}

static void walk_groups(const struct kern_fss_walk *job, void (*walk)(const struct kern_fss_walk *))
{
    size_t at = 0;
    for (; at + LANES <= job->lanes; at += LANES) {
        struct kern_fss_walk group = rest_of(job, at);
        walk(&group);
    }
    if (at < job->lanes) {
        struct kern_fss_walk rest = rest_of(job, at);
        walk_few(&rest, walk);
    }
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
    walk_groups(job, group_with_value);
}
