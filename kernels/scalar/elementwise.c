/* Wire words of any width, and the rounding shift. Eight words of r bits are r whole bytes, which bounds every tail. */
#include "kernels/internal.h"

void kern_scalar_pack_bits(uint8_t *out, const uint64_t *in, size_t count, int ring)
{
    uint64_t mask = kern_ring_mask(ring), pending = 0;
    int bits = 0; /* of `pending`, below 64 between words */
    for (size_t i = 0; i < count; i++) {
        uint64_t word = in[i] & mask;
        pending |= word << bits;
        bits += ring;
        if (bits >= 64) {
            kern_store64(out, pending);
            out += 8;
            bits -= 64;
            pending = bits == 0 ? 0 : word >> (ring - bits);
        }
    }
    for (; bits > 0; bits -= 8, pending >>= 8)
        *out++ = (uint8_t)pending;
}

/* Word `i` read bytewise: for the end of the input, where eight bytes may not be there. */
static uint64_t unpack_one(const uint8_t *in, size_t i, int ring)
{
    size_t first = i * (size_t)ring, last = first + (size_t)ring - 1;
    uint64_t word = in[first / 8] >> first % 8;
    for (size_t byte = first / 8 + 1; byte <= last / 8; byte++)
        word |= (uint64_t)in[byte] << (8 * byte - first);
    return word & kern_ring_mask(ring);
}

/* How many leading words can be read with eight-byte loads (nine bytes where a word can straddle them). */
static size_t safe_words(size_t count, int ring)
{
    size_t bits = count * (size_t)ring, reach = 72;
    return bits <= reach ? 0 : (bits - reach) / (size_t)ring;
}

static inline uint64_t unpack_wide(const uint8_t *in, size_t i, int ring, uint64_t mask)
{
    size_t bit = i * (size_t)ring;
    uint64_t word = kern_load64(in + bit / 8) >> bit % 8;
    if (ring > 57)
        word |= (uint64_t)in[bit / 8 + 8] << 1 << (63 - bit % 8);
    return word & mask;
}

void kern_scalar_unpack_bits(uint64_t *out, const uint8_t *in, size_t count, int ring)
{
    uint64_t mask = kern_ring_mask(ring);
    size_t safe = safe_words(count, ring), i = 0;
    for (; i < safe; i++)
        out[i] = unpack_wide(in, i, ring, mask);
    for (; i < count; i++)
        out[i] = unpack_one(in, i, ring);
}

void kern_scalar_unpack_add(uint64_t *out, const uint8_t *in, size_t count, int ring)
{
    uint64_t mask = kern_ring_mask(ring);
    size_t safe = safe_words(count, ring), i = 0;
    for (; i < safe; i++)
        out[i] = (out[i] + unpack_wide(in, i, ring, mask)) & mask;
    for (; i < count; i++)
        out[i] = (out[i] + unpack_one(in, i, ring)) & mask;
}

/* (x + 2^(f-1)) >> f as (x >> f) + bit f - 1 of x: the sum cannot overflow. */
void kern_scalar_round_shift(uint64_t *z, const uint64_t *x, size_t count, int ring, int f)
{
    uint64_t in_mask = kern_ring_mask(ring), out_mask = kern_ring_mask(ring - f);
    if (f == 0) {
        for (size_t i = 0; i < count; i++)
            z[i] = x[i] & in_mask;
        return;
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t half = (x[i] & in_mask) >> (f - 1);
        z[i] = ((half >> 1) + (half & 1)) & out_mask;
    }
}
