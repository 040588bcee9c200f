/* The core of FSS keys over VAES: hashing and tree levels. Leaves are in leaf.c, paths in walk.c. */
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
            node[i] = vaes_load_doubled(in + at + 2 * i);
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

const struct kern_fss_core kern_avx512_fss = {
    .hash = hash,
    .expand = expand,
    .leaf = kern_avx512_leaf,
    .walk = kern_avx512_walk,
    .walk_prefix = kern_avx512_walk_prefix,
    .walk_value = kern_avx512_walk_value,
};
