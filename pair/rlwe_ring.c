#include "pair/rlwe_ring.h"

#include "base/memory.h"

#include <string.h>

/* --- drawing ----------------------------------------------------------------------------------------------------------------------- */

void pair_ring_draw_small(struct mpc_stream *stream, int8_t ret[PAIR_RLWE_N], uint64_t scratch[PAIR_RLWE_N])
{
    mpc_stream_words(stream, scratch, PAIR_RLWE_N, 64);
    for (size_t i = 0; i < PAIR_RLWE_N; i++)
        ret[i] = (int8_t)((int)((unsigned __int128)scratch[i] * 3 >> 64) - 1);
    base_wipe(scratch, PAIR_RLWE_N * sizeof *scratch);
}

/* Set bits, without a table: where a processor has no instruction for it, the compiler's own function reads one. */
static uint64_t count_bits(uint64_t x)
{
    x -= x >> 1 & UINT64_C(0x5555555555555555);
    x = (x & UINT64_C(0x3333333333333333)) + (x >> 2 & UINT64_C(0x3333333333333333));
    x = (x + (x >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    return x * UINT64_C(0x0101010101010101) >> 56;
}

void pair_ring_draw_noise(struct mpc_stream *stream, int64_t *ret, size_t count)
{
    enum { COINS = 42 };
    mpc_stream_words(stream, (uint64_t *)ret, count, COINS);
    for (size_t i = 0; i < count; i++)
        ret[i] = (int64_t)count_bits((uint64_t)ret[i]) - COINS / 2;
}

/* --- sums of products ------------------------------------------------------------------------------------------------------------- */

static void add_times_2(uint64_t *sum, const uint64_t *c, size_t count, uint64_t v)
{
    for (size_t i = 0; i < count; i++, sum += 2, c += 2) {
        unsigned __int128 low = (unsigned __int128)c[0] * v + sum[0];
        sum[0] = (uint64_t)low;
        sum[1] += c[1] * v + (uint64_t)(low >> 64);
    }
}

static void add_times_3(uint64_t *sum, const uint64_t *c, size_t count, uint64_t v)
{
    for (size_t i = 0; i < count; i++, sum += 3, c += 3)
        pair_ring_add_multiple(sum, c, v);
}

void pair_ring_add_times(uint64_t *sum, const uint64_t *c, size_t count, int limbs, uint64_t v)
{
    (limbs == 2 ? add_times_2 : add_times_3)(sum, c, count, v);
}

/* --- coefficients ------------------------------------------------------------------------------------------------------------------ */

void pair_ring_add(uint64_t *c, int limbs, int64_t value, int shift)
{
    uint64_t addend[PAIR_RLWE_MOST_LIMBS], sign = (uint64_t)(value >> 63);
    int whole = shift / 64, part = shift % 64;
    for (int l = 0; l < limbs; l++) {
        uint64_t low = l == whole ? (uint64_t)value : l > whole ? sign : 0, below = l - 1 == whole ? (uint64_t)value : l - 1 > whole ? sign : 0;
        addend[l] = part == 0 ? low : low << part | below >> (64 - part);
    }
    (void)mpn_add_n(c, c, addend, limbs);
}

/* --- single coefficients ----------------------------------------------------------------------------------------------------------- */

/* sum_j s[top - j] c_j over [first, end), times `sign`: halves of limbs add up on their own, below 2^32 N. */
static void add_run(int64_t half[2 * PAIR_RLWE_MOST_LIMBS], const uint64_t *c, int limbs, const int8_t *s, size_t top, size_t first, size_t end, int64_t sign)
{
    int64_t sum[2 * PAIR_RLWE_MOST_LIMBS] = {0};
    for (size_t j = first; j < end; j++) {
        int64_t factor = s[top - j], keep = -(factor & 1), flip = factor >> 63;
        for (int l = 0; l < limbs; l++) {
            uint64_t x = c[j * (size_t)limbs + (size_t)l];
            sum[2 * l] += (((int64_t)(x & 0xffffffff) & keep) ^ flip) - flip;
            sum[2 * l + 1] += (((int64_t)(x >> 32) & keep) ^ flip) - flip;
        }
    }
    for (int h = 0; h < 2 * limbs; h++)
        half[h] += sign * sum[h];
    base_wipe(sum, sizeof sum);
}

void pair_ring_times_small_at(uint64_t *ret, const uint64_t *c, int limbs, const int8_t s[PAIR_RLWE_N], size_t at, size_t count)
{
    int64_t half[2 * PAIR_RLWE_MOST_LIMBS];
    for (size_t i = 0; i < count; i++, at++, ret += limbs) {
        memset(half, 0, sizeof half);
        add_run(half, c, limbs, s, at, 0, at + 1, 1);
        add_run(half, c, limbs, s, at + PAIR_RLWE_N, at + 1, PAIR_RLWE_N, -1);
        memset(ret, 0, (size_t)limbs * sizeof *ret);
        for (int h = 0; h < 2 * limbs; h++)
            pair_ring_add(ret, limbs, half[h], 32 * h);
    }
    base_wipe(half, sizeof half);
}
