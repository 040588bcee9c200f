/* Root-to-leaf paths over AES-NI: eight lanes, each with its own round keys. Their address depends on the public point
 * only. */
#include "kernels/avx2/aes.h"
#include "kernels/avx2/slots.h"

enum mode { PLAIN, PREFIX, VALUE };

struct lanes {
    __m128i node[AES_FLIGHT];
    __m128i seed[AES_FLIGHT];
    const uint8_t *schedule[AES_FLIGHT];        /* of the child on the path */
    const struct kern_block *words[AES_FLIGHT]; /* of the current level */
    size_t side[AES_FLIGHT];
};

AES_INLINE void hash_lanes(__m128i x[AES_FLIGHT], const __m128i in[AES_FLIGHT],
                           const uint8_t *const schedule[AES_FLIGHT], size_t skip)
{
#pragma GCC unroll 8
    for (int i = 0; i < AES_FLIGHT; i++)
        x[i] = _mm_xor_si128(in[i], aes_load(schedule[i] + skip));
#pragma GCC unroll 10
    for (size_t r = 1; r < AES_ROUNDS; r++)
#pragma GCC unroll 8
        for (int i = 0; i < AES_FLIGHT; i++)
            x[i] = _mm_aesenc_si128(x[i], aes_load(schedule[i] + skip + r * FSS_STRIDE));
#pragma GCC unroll 8
    for (int i = 0; i < AES_FLIGHT; i++)
        x[i] = _mm_aesenclast_si128(
            x[i], _mm_xor_si128(in[i], aes_load(schedule[i] + skip + AES_ROUNDS * FSS_STRIDE)));
}

AES_INLINE __m128i corrected(__m128i child, __m128i node, const struct kern_block *word)
{
    return _mm_xor_si128(child, _mm_and_si128(aes_control_mask(node), aes_load(word)));
}

AES_INLINE void step_values(struct lanes *l, const struct kern_fss_walk *job)
{
    const size_t to_values = 16 * (KERN_FSS_VALUE_LEFT - KERN_FSS_LEFT);
    __m128i in[AES_FLIGHT], out[AES_FLIGHT];
    for (int j = 0; j < job->value_blocks; j++) {
#pragma GCC unroll 8
        for (int i = 0; i < AES_FLIGHT; i++)
            in[i] = aes_counted(l->seed[i], (uint64_t)j + 1);
        hash_lanes(out, in, l->schedule, to_values);
#pragma GCC unroll 8
        for (int i = 0; i < AES_FLIGHT; i++) {
            struct kern_block *value = &job->value[i * job->value_blocks + j];
            __m128i word = _mm_and_si128(aes_control_mask(l->node[i]), aes_load(l->words[i] + 2 + j));
            aes_store(value, _mm_add_epi64(aes_load(value), _mm_add_epi64(out[i], word)));
        }
    }
}

/* Lanes that go right collect the control bit of the left child they pass. */
AES_INLINE void step_prefix(struct lanes *l, const struct kern_fss_walk *job)
{
    __m128i left[AES_FLIGHT];
#pragma GCC unroll 8
    for (int i = 0; i < AES_FLIGHT; i++)
        left[i] = l->seed[i];
    aes_encrypt8(left, fss_schedule(KERN_FSS_LEFT), FSS_STRIDE);
#pragma GCC unroll 8
    for (int i = 0; i < AES_FLIGHT; i++) {
        __m128i child = corrected(_mm_xor_si128(left[i], l->seed[i]), l->node[i], l->words[i]);
        job->prefix[i] ^= (uint8_t)((size_t)_mm_cvtsi128_si32(child) & l->side[i]);
    }
}

AES_INLINE void walk_group(const struct kern_fss_walk *job, enum mode mode)
{
    struct lanes l;
    size_t skip = (size_t)job->from * (size_t)(2 + job->value_blocks);
    for (size_t i = 0; i < AES_FLIGHT; i++) {
        l.node[i] = aes_load(job->state + i);
        l.words[i] = job->program + (job->offset == NULL ? 0 : job->offset[i]) + skip;
    }
    for (int level = job->from; level < job->to; level++) {
        __m128i child[AES_FLIGHT];
#pragma GCC unroll 8
        for (int i = 0; i < AES_FLIGHT; i++) {
            l.side[i] = job->x[i] >> (job->k - 1 - level) & 1;
            l.schedule[i] = fss_schedule(KERN_FSS_LEFT) + 16 * l.side[i];
            l.seed[i] = aes_seed(l.node[i]);
        }
        hash_lanes(child, l.seed, l.schedule, 0);
        if (mode == VALUE)
            step_values(&l, job);
        if (mode == PREFIX)
            step_prefix(&l, job);
#pragma GCC unroll 8
        for (int i = 0; i < AES_FLIGHT; i++) {
            l.node[i] = corrected(child[i], l.node[i], l.words[i] + l.side[i]);
            l.words[i] += 2 + job->value_blocks;
        }
    }
    for (int i = 0; i < AES_FLIGHT; i++)
        aes_store(job->state + i, l.node[i]);
}

static void group_plain(const struct kern_fss_walk *job, const void *keys)
{
    walk_group(job, PLAIN);
}

static void group_with_prefix(const struct kern_fss_walk *job, const void *keys)
{
    walk_group(job, PREFIX);
}

static void group_with_value(const struct kern_fss_walk *job, const void *keys)
{
    walk_group(job, VALUE);
}

void kern_avx2_walk(const struct kern_fss_walk *job)
{
    kern_fss_walk_groups(job, AES_FLIGHT, group_plain, NULL);
}

void kern_avx2_walk_prefix(const struct kern_fss_walk *job)
{
    kern_fss_walk_groups(job, AES_FLIGHT, group_with_prefix, NULL);
}

void kern_avx2_walk_value(const struct kern_fss_walk *job)
{
    kern_fss_walk_groups(job, AES_FLIGHT, group_with_value, NULL);
}
