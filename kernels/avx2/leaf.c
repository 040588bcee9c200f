/* Leaf conversions over AES-NI, eight blocks in flight.
 *
 * The AES rounds set the pace: all other vector work has to fit beside them. So counters come folded into the first and
 * last round key, seeds are cleared once for all blocks of a leaf, and entries are finished four at a time. */
#include "kernels/avx2/aes.h"
#include "kernels/avx2/slots.h"

#include "base/memory.h"

/* Sixteen registers do not hold eight blocks in flight beside what they started from. Left to itself a compiler tries
 * to, and moves the blocks in flight to memory and back every round. */
struct seeds {
    __m128i node[AES_FLIGHT];
};

AES_INLINE void keep_in_memory(struct seeds *seeds)
{
    __asm__("" : "+m"(*seeds));
}

/* x[i] = the hash of seed i with `even` or `odd` XORed in. */
AES_INLINE void convert8(__m128i x[AES_FLIGHT], const struct seeds *seeds, __m128i even, __m128i odd)
{
    const uint8_t *schedule = aes_reload(fss_schedule(KERN_FSS_LEAF));
    __m128i key = aes_load(schedule), keys[2] = {_mm_xor_si128(key, even), _mm_xor_si128(key, odd)};
#pragma GCC unroll 8
    for (int i = 0; i < AES_FLIGHT; i++)
        x[i] = _mm_xor_si128(seeds->node[i], keys[i % 2]);
#pragma GCC unroll 10
    for (int r = 1; r < AES_ROUNDS; r++) {
        key = aes_load(schedule + (size_t)r * FSS_STRIDE);
#pragma GCC unroll 8
        for (int i = 0; i < AES_FLIGHT; i++)
            x[i] = _mm_aesenc_si128(x[i], key);
    }
    key = aes_load(schedule + AES_ROUNDS * FSS_STRIDE);
    keys[0] = _mm_xor_si128(key, even);
    keys[1] = _mm_xor_si128(key, odd);
#pragma GCC unroll 8
    for (int i = 0; i < AES_FLIGHT; i++)
        x[i] = _mm_aesenclast_si128(x[i], _mm_xor_si128(seeds->node[i], keys[i % 2]));
}

struct finish {
    __m256i sign, mask;
};

AES_INLINE __m256i finish_words(struct finish f, __m256i words, __m256i control, __m256i final)
{
    __m256i value = _mm256_add_epi64(words, _mm256_and_si256(control, final));
    return _mm256_and_si256(_mm256_sub_epi64(_mm256_xor_si256(value, f.sign), f.sign), f.mask);
}

AES_INLINE __m256i pair(__m128i low, __m128i high)
{
    return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
}

/* ---- one copy ---- */

/* What eight leaves share among their conversion blocks. */
struct eight {
    struct seeds seeds;
    __m256i control[2]; /* of leaves 0 to 3 and 4 to 7 */
};

AES_INLINE void open_eight(struct eight *ret, const struct kern_block *leaves)
{
#pragma GCC unroll 8
    for (int i = 0; i < AES_FLIGHT; i++)
        ret->seeds.node[i] = aes_seed(aes_load(leaves + i));
#pragma GCC unroll 2
    for (int h = 0; h < 2; h++) {
        const struct kern_block *four = leaves + 4 * h;
        __m256i even = pair(aes_load(four), aes_load(four + 2)), odd = pair(aes_load(four + 1), aes_load(four + 3));
        __m256i bits = _mm256_and_si256(_mm256_unpacklo_epi64(even, odd), _mm256_set1_epi64x(1));
        ret->control[h] = _mm256_sub_epi64(_mm256_setzero_si256(), bits);
    }
    keep_in_memory(&ret->seeds);
}

/* Block j of eight leaves holds eight entries of group 2 j and eight of 2 j + 1. */
AES_INLINE void column_block(const struct kern_fss_leaf *job, const struct eight *e, size_t key, size_t leaf, int j)
{
    __m128i x[AES_FLIGHT];
    size_t g = 2 * (size_t)j, stride = (size_t)1 << job->levels;
    uint64_t *out = job->out + (key * (size_t)job->groups + g) * stride + leaf;
    int both = g + 1 < (size_t)job->groups;
    const uint64_t *final = job->final + g * job->final_stride + key;
    __m256i sign = _mm256_set1_epi64x(-(long long)job->side);
    __m256i final_low = _mm256_set1_epi64x((long long)final[0]);
    __m256i final_high = _mm256_set1_epi64x(both ? (long long)final[job->final_stride] : 0);
    struct finish low = {sign, _mm256_set1_epi64x((long long)job->masks[g])};
    struct finish high = {sign, _mm256_set1_epi64x(both ? (long long)job->masks[g + 1] : 0)};
    __m128i counter = aes_counted(_mm_setzero_si128(), (uint64_t)j + 1);
    convert8(x, &e->seeds, counter, counter);
#pragma GCC unroll 2
    for (int h = 0; h < 2; h++) {
        __m256i even = pair(x[4 * h], x[4 * h + 2]), odd = pair(x[4 * h + 1], x[4 * h + 3]);
        __m256i first = finish_words(low, _mm256_unpacklo_epi64(even, odd), e->control[h], final_low);
        _mm256_storeu_si256((__m256i *)(void *)(out + 4 * h), first);
        if (both) {
            __m256i second = finish_words(high, _mm256_unpackhi_epi64(even, odd), e->control[h], final_high);
            _mm256_storeu_si256((__m256i *)(void *)(out + stride + 4 * h), second);
        }
    }
}

static void leaf_columns(const struct kern_fss_leaf *job)
{
    struct eight e;
    for (size_t key = 0; key < job->keys; key++)
        for (size_t leaf = 0; leaf < (size_t)1 << job->levels; leaf += AES_FLIGHT) {
            open_eight(&e, job->leaves + (key << job->levels) + leaf);
            for (int j = 0; 2 * j < job->groups; j++)
                column_block(job, &e, key, leaf, j);
        }
    base_wipe(&e, sizeof e);
}

/* ---- one group, an even number of copies: the conversion blocks are the output in order ---- */

/* The nodes of blocks `at` and `at` + 1, 2^bits blocks a leaf. */
AES_INLINE __m256i row_nodes(const struct kern_fss_leaf *job, size_t at, int bits)
{
    const struct kern_block *leaf = job->leaves + (at >> bits);
    if (bits == 0)
        return _mm256_loadu_si256((const __m256i *)(const void *)leaf);
    return _mm256_broadcastsi128_si256(aes_load(leaf));
}

AES_INLINE __m256i row_final(const struct kern_fss_leaf *job, size_t at, int bits)
{
    const uint64_t *final = job->final + (at >> bits >> job->levels) * (size_t)job->copies;
    if (bits == 0)
        return _mm256_broadcastsi128_si256(aes_load(final));
    return _mm256_loadu_si256((const __m256i *)(const void *)(final + 2 * (at & (((size_t)1 << bits) - 1))));
}

/* Eight blocks from block `at` on; `seeds` is work space. */
AES_INLINE void row_blocks(const struct kern_fss_leaf *job, struct finish f, struct seeds *seeds, size_t at, int bits)
{
    __m128i x[AES_FLIGHT];
#pragma GCC unroll 8
    for (int i = 0; i < AES_FLIGHT; i++) {
        size_t block = at + (size_t)i;
        seeds->node[i] = aes_seed(aes_load(job->leaves + (block >> bits)));
        if (bits > 1)
            seeds->node[i] = aes_counted(seeds->node[i], (block & (((size_t)1 << bits) - 1)) + 1);
    }
    __m128i one = aes_counted(_mm_setzero_si128(), 1), two = aes_counted(_mm_setzero_si128(), 2);
    if (bits > 1)
        one = two = _mm_setzero_si128();
    keep_in_memory(seeds);
    convert8(x, seeds, one, bits == 1 ? two : one);
#pragma GCC unroll 4
    for (int i = 0; i < AES_FLIGHT; i += 2) {
        size_t block = at + (size_t)i;
        __m256i node = row_nodes(job, block, bits), low = _mm256_unpacklo_epi64(node, node);
        __m256i control = _mm256_sub_epi64(_mm256_setzero_si256(), _mm256_and_si256(low, _mm256_set1_epi64x(1)));
        __m256i words = finish_words(f, pair(x[i], x[i + 1]), control, row_final(job, block, bits));
        _mm256_storeu_si256((__m256i *)(void *)(job->out + 2 * block), words);
    }
}

AES_INLINE void leaf_rows(const struct kern_fss_leaf *job, int bits)
{
    struct finish f = {_mm256_set1_epi64x(-(long long)job->side), _mm256_set1_epi64x((long long)job->masks[0])};
    struct kern_fss_leaf local = *job; /* which no store to the output can change */
    size_t blocks = job->keys << job->levels << bits;
    struct seeds seeds;
    for (size_t at = 0; at < blocks; at += AES_FLIGHT)
        row_blocks(&local, f, &seeds, at, bits);
    base_wipe(&seeds, sizeof seeds);
}

/* A pair of blocks belongs to one key, and eight blocks are at hand: all but a few trees of very few leaves. */
static int leaf_is_row(const struct kern_fss_leaf *job)
{
    size_t words = (size_t)job->copies << job->levels;
    return job->groups == 1 && job->copies >= 2 && words >= 4 && job->keys * words % (2 * AES_FLIGHT) == 0;
}

void kern_avx2_leaf(const struct kern_fss_leaf *job)
{
    int bits = __builtin_ctz((unsigned)job->copies) - 1;
    if (leaf_is_row(job) && bits == 0)
        leaf_rows(job, 0);
    else if (leaf_is_row(job) && bits == 1)
        leaf_rows(job, 1);
    else if (leaf_is_row(job))
        leaf_rows(job, bits);
    else if (job->copies == 1 && job->levels >= 3)
        leaf_columns(job);
    else
        kern_fss_leaf_any(&kern_avx2_fss, job);
}
