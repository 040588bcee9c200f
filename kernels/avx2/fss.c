/* The core of FSS keys over AES-NI: eight blocks in flight. Leaves are in leaf.c, paths in walk.c. */
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

const struct kern_fss_core kern_avx2_fss = {
    .hash = hash,
    .expand = expand,
    .leaf = kern_avx2_leaf,
    .walk = kern_avx2_walk,
    .walk_prefix = kern_avx2_walk_prefix,
    .walk_value = kern_avx2_walk_value,
};
