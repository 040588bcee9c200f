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
    for (size_t i = 0; i < count; i++, sum += 3, c += 3) {
        unsigned __int128 low = (unsigned __int128)c[0] * v + sum[0];
        unsigned __int128 middle = (unsigned __int128)c[1] * v + sum[1] + (uint64_t)(low >> 64);
        sum[0] = (uint64_t)low;
        sum[1] = (uint64_t)middle;
        sum[2] += c[2] * v + (uint64_t)(middle >> 64);
    }
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

/* --- slots of any width ------------------------------------------------------------------------------------------------------------ */

/* A coefficient product is below 2 N 2^bits. */
static size_t slot_bits(int bits)
{
    return (size_t)bits + 14;
}

static size_t whole_limbs(size_t slots, int bits)
{
    return (slots * slot_bits(bits) + 63) / 64 + 1;
}

static void put_slot(mp_limb_t *big, size_t bit, const uint64_t *value, int limbs)
{
    size_t at = bit / 64, off = bit % 64;
    for (int l = 0; l < limbs; l++, at++) {
        big[at] |= value[l] << off;
        if (off != 0)
            big[at + 1] |= value[l] >> (64 - off);
    }
}

/* `bits` bits from there on as `limbs` limbs. */
static void get_slot(const mp_limb_t *big, size_t bit, size_t bits, uint64_t *ret, int limbs)
{
    size_t at = bit / 64, off = bit % 64;
    for (int l = 0; l < limbs; l++, at++, bits = bits > 64 ? bits - 64 : 0) {
        uint64_t word = bits == 0 ? 0 : big[at] >> off;
        if (bits != 0 && off != 0)
            word |= big[at + 1] << (64 - off);
        ret[l] = word & kern_ring_mask(bits > 64 ? 64 : (int)bits);
    }
}

/* ret_i = P_i - P_(i + N) - (2 prefix_i - total), where prefix_i = c_0 + .. + c_i. */
static void reduce(const mp_limb_t *product, uint64_t *ret, const uint64_t *c, int limbs, int bits)
{
    uint64_t total[PAIR_RLWE_MOST_LIMBS] = {0}, prefix[PAIR_RLWE_MOST_LIMBS] = {0}, value[PAIR_RLWE_MOST_LIMBS], high[PAIR_RLWE_MOST_LIMBS];
    size_t width = slot_bits(bits);
    for (size_t i = 0; i < PAIR_RLWE_N; i++)
        (void)mpn_add_n(total, total, c + i * (size_t)limbs, limbs);
    for (size_t i = 0; i < PAIR_RLWE_N; i++) {
        (void)mpn_add_n(prefix, prefix, c + i * (size_t)limbs, limbs);
        get_slot(product, i * width, width, value, limbs);
        get_slot(product, (i + PAIR_RLWE_N) * width, width, high, limbs);
        (void)mpn_sub_n(value, value, high, limbs);
        (void)mpn_sub_n(value, value, prefix, limbs);
        (void)mpn_sub_n(value, value, prefix, limbs);
        (void)mpn_add_n(ret + i * (size_t)limbs, value, total, limbs);
    }
    base_wipe(total, sizeof total);
    base_wipe(prefix, sizeof prefix);
    base_wipe(value, sizeof value);
    base_wipe(high, sizeof high);
}

enum base_status pair_ring_times_small(uint64_t *ret, const uint64_t *c, int limbs, int bits, const int8_t s[PAIR_RLWE_N],
                                       struct base_error *error)
{
    enum base_status status;
    size_t size = whole_limbs(PAIR_RLWE_N, bits), width = slot_bits(bits);
    mp_limb_t *big = NULL, *small, *product;
    TRY(base_alloc(&big, 4 * size, sizeof *big, error));
    small = big + size;
    product = small + size;
    for (size_t i = 0; i < PAIR_RLWE_N; i++) {
        uint64_t plus_one = (uint64_t)(s[i] + 1);
        put_slot(big, i * width, c + i * (size_t)limbs, limbs);
        put_slot(small, i * width, &plus_one, 1);
    }
    (void)mpn_mul(product, big, (mp_size_t)size, small, (mp_size_t)size);
    reduce(product, ret, c, limbs, bits);
out:
    base_free_secret(&big);
    return status;
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
