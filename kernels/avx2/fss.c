/* The core of FSS keys over AES-NI: eight blocks in flight, one tree level or leaf of several nodes at once. Paths
 * are in walk.c. */
#include "kernels/avx2/aes.h"
#include "kernels/avx2/slots.h"

static void hash(enum kern_fss_key key, const struct kern_block *in, struct kern_block *out, size_t count)
{
    __m128i x[AES_FLIGHT], copy[AES_FLIGHT];
    const uint8_t *schedule = fss_schedule((int)key);
    size_t at = 0;
    for (; at + AES_FLIGHT <= count; at += AES_FLIGHT) {
        for (int i = 0; i < AES_FLIGHT; i++)
            x[i] = aes_load(in + at + i);
        aes_encrypt8(x, schedule, FSS_STRIDE);
        for (int i = 0; i < AES_FLIGHT; i++)
            aes_store(out + at + i, _mm_xor_si128(x[i], aes_load(in + at + i)));
    }
    if (at == count)
        return;
    memset(x, 0, sizeof x);
    memcpy(x, in + at, (count - at) * sizeof *x);
    memcpy(copy, x, sizeof copy);
    aes_encrypt8(x, schedule, FSS_STRIDE);
    for (size_t i = 0; i < count - at; i++)
        aes_store(out + at + i, _mm_xor_si128(x[i], copy[i]));
}

/* ---- one level of trees ---- */

/* Children of four parents: their left halves are x[0..3], the right ones x[4..7]. */
AES_INLINE void children4(__m128i x[AES_FLIGHT], const __m128i node[4])
{
    const uint8_t *left = fss_schedule(KERN_FSS_LEFT), *right = fss_schedule(KERN_FSS_RIGHT);
    __m128i kl = aes_load(left), kr = aes_load(right);
    for (int i = 0; i < 4; i++) {
        x[i] = _mm_xor_si128(aes_seed(node[i]), kl);
        x[i + 4] = _mm_xor_si128(aes_seed(node[i]), kr);
    }
#pragma GCC unroll 10
    for (int r = 1; r < AES_ROUNDS; r++) {
        kl = aes_load(left + r * FSS_STRIDE);
        kr = aes_load(right + r * FSS_STRIDE);
        for (int i = 0; i < 4; i++) {
            x[i] = _mm_aesenc_si128(x[i], kl);
            x[i + 4] = _mm_aesenc_si128(x[i + 4], kr);
        }
    }
    kl = aes_load(left + AES_ROUNDS * FSS_STRIDE);
    kr = aes_load(right + AES_ROUNDS * FSS_STRIDE);
    for (int i = 0; i < 4; i++) {
        x[i] = _mm_aesenclast_si128(x[i], _mm_xor_si128(kl, aes_seed(node[i])));
        x[i + 4] = _mm_aesenclast_si128(x[i + 4], _mm_xor_si128(kr, aes_seed(node[i])));
    }
}

AES_INLINE void store_children(struct kern_block *out, __m128i node, __m128i left, __m128i right,
                               const struct kern_block words[2])
{
    __m128i control = aes_control_mask(node);
    aes_store(out, _mm_xor_si128(left, _mm_and_si128(control, aes_load(&words[0]))));
    aes_store(out + 1, _mm_xor_si128(right, _mm_and_si128(control, aes_load(&words[1]))));
}

static void expand(const struct kern_block *in, struct kern_block *out, size_t parents,
                   const struct kern_block (*words)[2], int shift)
{
    __m128i node[4], x[AES_FLIGHT];
    size_t at = 0;
    for (; at + 4 <= parents; at += 4) {
        for (int i = 0; i < 4; i++)
            node[i] = aes_load(in + at + i);
        children4(x, node);
        for (size_t i = 0; i < 4; i++)
            store_children(out + 2 * (at + i), node[i], x[i], x[i + 4], words[(at + i) >> shift]);
    }
    if (at == parents)
        return;
    for (size_t i = 0; i < 4; i++)
        node[i] = aes_load(in + (at + i < parents ? at + i : at));
    children4(x, node);
    for (size_t i = 0; at + i < parents; i++)
        store_children(out + 2 * (at + i), node[i], x[i], x[i + 4], words[(at + i) >> shift]);
}

/* ---- leaves ---- */

struct finish {
    __m128i sign, mask;
};

AES_INLINE __m128i finish_words(struct finish f, __m128i words, __m128i control, __m128i final)
{
    __m128i value = _mm_add_epi64(words, _mm_and_si128(control, final));
    return _mm_and_si128(_mm_sub_epi64(_mm_xor_si128(value, f.sign), f.sign), f.mask);
}

/* One group, an even number of copies: the conversion blocks are the output in order. `count` blocks from block `at`. */
AES_INLINE void row_blocks(const struct kern_fss_leaf *job, struct finish f, size_t at, size_t count, int block_bits)
{
    __m128i x[AES_FLIGHT], node[AES_FLIGHT];
    size_t in_leaf = ((size_t)1 << block_bits) - 1, copies = (size_t)job->copies;
    for (size_t i = 0; i < AES_FLIGHT; i++) {
        size_t block = i < count ? at + i : at;
        node[i] = aes_load(job->leaves + (block >> block_bits));
        x[i] = aes_counted(aes_seed(node[i]), (block & in_leaf) + 1);
    }
    __m128i copy[AES_FLIGHT];
    for (int i = 0; i < AES_FLIGHT; i++)
        copy[i] = x[i];
    aes_encrypt8(x, fss_schedule(KERN_FSS_LEAF), FSS_STRIDE);
    for (size_t i = 0; i < count; i++) {
        size_t block = at + i, key = block >> block_bits >> job->levels;
        __m128i final = aes_load(job->final + key * copies + 2 * (block & in_leaf));
        __m128i words = _mm_xor_si128(x[i], copy[i]);
        aes_store(job->out + 2 * block, finish_words(f, words, aes_control_mask(node[i]), final));
    }
}

static void leaf_rows(const struct kern_fss_leaf *job)
{
    struct finish f = {_mm_set1_epi64x(-(long long)job->side), _mm_set1_epi64x((long long)job->masks[0])};
    int block_bits = __builtin_ctz((unsigned)job->copies) - 1;
    size_t blocks = job->keys << job->levels << block_bits, at = 0;
    for (; at + AES_FLIGHT <= blocks; at += AES_FLIGHT)
        row_blocks(job, f, at, AES_FLIGHT, block_bits);
    if (at < blocks)
        row_blocks(job, f, at, blocks - at, block_bits);
}

/* One copy, at least eight leaves: block j of eight leaves holds eight entries of group 2 j and eight of 2 j + 1. */
AES_INLINE void column_blocks(const struct kern_fss_leaf *job, size_t key, size_t leaf, int j)
{
    const struct kern_block *leaves = job->leaves + (key << job->levels) + leaf;
    __m128i x[AES_FLIGHT], sign = _mm_set1_epi64x(-(long long)job->side);
    for (int i = 0; i < AES_FLIGHT; i++)
        x[i] = aes_counted(aes_seed(aes_load(leaves + i)), (uint64_t)j + 1);
    aes_encrypt8(x, fss_schedule(KERN_FSS_LEAF), FSS_STRIDE);
    for (int i = 0; i < AES_FLIGHT; i++)
        x[i] = _mm_xor_si128(x[i], aes_counted(aes_seed(aes_load(leaves + i)), (uint64_t)j + 1));
    for (int half = 0; half < 2 && 2 * j + half < job->groups; half++) {
        size_t g = (size_t)(2 * j + half);
        struct finish f = {sign, _mm_set1_epi64x((long long)job->masks[g])};
        __m128i final = _mm_set1_epi64x((long long)job->final[g * job->final_stride + key]);
        uint64_t *out = job->out + ((key * (size_t)job->groups + g) << job->levels) + leaf;
        for (int i = 0; i < AES_FLIGHT; i += 2) {
            __m128i nodes = _mm_unpacklo_epi64(aes_load(leaves + i), aes_load(leaves + i + 1));
            __m128i control = _mm_sub_epi64(_mm_setzero_si128(), _mm_and_si128(nodes, _mm_set1_epi64x(1)));
            __m128i words = half ? _mm_unpackhi_epi64(x[i], x[i + 1]) : _mm_unpacklo_epi64(x[i], x[i + 1]);
            aes_store(out + i, finish_words(f, words, control, final));
        }
    }
}

static void leaf_columns(const struct kern_fss_leaf *job)
{
    for (size_t key = 0; key < job->keys; key++)
        for (size_t leaf = 0; leaf < (size_t)1 << job->levels; leaf += AES_FLIGHT)
            for (int j = 0; 2 * j < job->groups; j++)
                column_blocks(job, key, leaf, j);
}

static void leaf(const struct kern_fss_leaf *job)
{
    if (job->groups == 1 && job->copies >= 2)
        leaf_rows(job);
    else if (job->copies == 1 && job->levels >= 3)
        leaf_columns(job);
    else
        kern_fss_leaf_any(&kern_avx2_fss, job);
}

const struct kern_fss_core kern_avx2_fss = {
    .hash = hash,
    .expand = expand,
    .leaf = leaf,
    .walk = kern_avx2_walk,
    .walk_prefix = kern_avx2_walk_prefix,
    .walk_value = kern_avx2_walk_value,
};
