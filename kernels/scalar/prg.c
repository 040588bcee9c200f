/* Portable AES-128 without tables: bitsliced, so that time and addresses do not depend on key or data.
 *
 * Four blocks fill eight 64-bit planes, one per bit of a byte; bit 16 row + 4 column + block of a plane belongs to that
 * byte of that block, which makes ShiftRows a rotation inside 16 bits and MixColumns a rotation of the whole plane by 16.
 * A plane is a vector of two such words: eight blocks at a time. */
#include "kernels/internal.h"

#include "base/memory.h"

enum { GROUP = 8 };

typedef uint64_t plane __attribute__((vector_size(16)));

static inline void swap_bits(plane *x, plane *y, uint64_t low, int shift)
{
    plane a = *x, b = *y;
    *x = (a & low) | ((b & low) << shift);
    *y = ((a & (low << shift)) >> shift) | (b & (low << shift));
}

/* Transposes the 8 x 8 bit matrices that the planes hold bytewise; its own inverse. */
static inline void transpose(plane q[8])
{
    for (int i = 0; i < 8; i += 2)
        swap_bits(&q[i], &q[i + 1], UINT64_C(0x5555555555555555), 1);
    for (int i = 0; i < 8; i += 4) {
        swap_bits(&q[i], &q[i + 2], UINT64_C(0x3333333333333333), 2);
        swap_bits(&q[i + 1], &q[i + 3], UINT64_C(0x3333333333333333), 2);
    }
    for (int i = 0; i < 4; i++)
        swap_bits(&q[i], &q[i + 4], UINT64_C(0x0f0f0f0f0f0f0f0f), 4);
}

static inline uint64_t spread(uint64_t x)
{
    x = (x | x << 16) & UINT64_C(0x0000ffff0000ffff);
    return (x | x << 8) & UINT64_C(0x00ff00ff00ff00ff);
}

static inline uint64_t gather(uint64_t x)
{
    x &= UINT64_C(0x00ff00ff00ff00ff);
    x = (x | x >> 8) & UINT64_C(0x0000ffff0000ffff);
    return (x | x >> 16) & UINT64_C(0x00000000ffffffff);
}

static inline void blocks_in(plane q[8], const struct kern_block in[GROUP])
{
    for (int lane = 0; lane < 2; lane++)
        for (int i = 0; i < 4; i++) {
            const uint64_t *w = in[4 * lane + i].word;
            q[i][lane] = spread((uint32_t)w[0]) | spread((uint32_t)w[1]) << 8;
            q[i + 4][lane] = spread(w[0] >> 32) | spread(w[1] >> 32) << 8;
        }
    transpose(q);
}

static inline void blocks_out(struct kern_block out[GROUP], plane q[8])
{
    transpose(q);
    for (int lane = 0; lane < 2; lane++)
        for (int i = 0; i < 4; i++) {
            uint64_t *w = out[4 * lane + i].word;
            w[0] = gather(q[i][lane]) | gather(q[i + 4][lane]) << 32;
            w[1] = gather(q[i][lane] >> 8) | gather(q[i + 4][lane] >> 8) << 32;
        }
}

/* S-box circuit of Boyar and Peralta ("A small depth-16 circuit for the AES S-box", 2012); names as there, x[0] and s[0]
 * the most significant bit. First the linear layer on top. */
static inline void sbox_top(plane y[22], const plane x[8])
{
    plane t0 = x[1] ^ x[2];
    y[14] = x[3] ^ x[5];
    y[13] = x[0] ^ x[6];
    y[9] = x[0] ^ x[3];
    y[8] = x[0] ^ x[5];
    y[1] = t0 ^ x[7];
    y[4] = y[1] ^ x[3];
    y[12] = y[13] ^ y[14];
    y[2] = y[1] ^ x[0];
    y[5] = y[1] ^ x[6];
    y[3] = y[5] ^ y[8];
    plane t1 = x[4] ^ y[12];
    y[15] = t1 ^ x[5];
    y[20] = t1 ^ x[1];
    y[6] = y[15] ^ x[7];
    y[10] = y[15] ^ t0;
    y[11] = y[20] ^ y[9];
    y[7] = x[7] ^ y[11];
    y[17] = y[10] ^ y[11];
    y[19] = y[10] ^ y[8];
    y[16] = t0 ^ y[11];
    y[21] = y[13] ^ y[16];
    y[18] = x[0] ^ y[16];
}

/* Inversion in GF(2^8) through GF(2^4): r[0..8] are the factors t44, t37, t33, t43, t40, t29, t42, t45, t41. */
static inline void sbox_invert(plane r[9], const plane y[22], plane x7)
{
    plane t2 = y[12] & y[15];
    plane t7 = y[13] & y[16];
    plane t12 = y[9] & y[11];
    plane t14 = (y[14] & y[17]) ^ t12;
    plane t16 = (y[8] & y[10]) ^ t12;
    plane t21 = (y[3] & y[6]) ^ t2 ^ t14 ^ y[20];
    plane t22 = (y[4] & x7) ^ t2 ^ t16 ^ y[19];
    plane t23 = (y[5] & y[1]) ^ t7 ^ t14 ^ y[21];
    plane t24 = (y[2] & y[7]) ^ t7 ^ t16 ^ y[18];
    plane t25 = t21 ^ t22;
    plane t26 = t21 & t23;
    plane t27 = t24 ^ t26;
    plane t29 = (t25 & t27) ^ t22;
    plane t33 = ((t22 ^ t26) & (t23 ^ t24)) ^ t24;
    plane t36 = t24 & (t27 ^ t33);
    plane t37 = t36 ^ t23 ^ t33;
    plane t40 = t25 ^ (t29 & (t27 ^ t36));
    plane t41 = t40 ^ t37;
    plane t42 = t29 ^ t33;
    r[0] = t33 ^ t37;
    r[1] = t37;
    r[2] = t33;
    r[3] = t29 ^ t40;
    r[4] = t40;
    r[5] = t29;
    r[6] = t42;
    r[7] = t42 ^ t41;
    r[8] = t41;
}

static inline void sbox_bottom(plane s[8], const plane z[18])
{
    plane t46 = z[15] ^ z[16];
    plane t48 = z[5] ^ z[13];
    plane t53 = z[0] ^ z[3];
    plane t54 = z[6] ^ z[7];
    plane t57 = z[2] ^ z[12] ^ t53;
    plane t58 = z[4] ^ t46;
    plane t59 = z[3] ^ t54;
    plane t62 = z[7] ^ z[8] ^ t58;
    plane t63 = z[9] ^ z[10] ^ t58;
    plane t64 = z[4] ^ t59;
    plane t65 = z[14] ^ t57 ^ t62;
    plane t66 = z[1] ^ t63;
    s[0] = t59 ^ t63;
    s[6] = z[12] ^ t48 ^ ~t62;
    s[7] = t48 ^ ~(t46 ^ t57);
    s[3] = t53 ^ t66;
    s[4] = z[2] ^ z[5] ^ t66;
    s[5] = z[10] ^ z[11] ^ t65;
    s[1] = t64 ^ ~s[3];
    s[2] = z[16] ^ z[17] ^ ~(t64 ^ t65);
}

static inline void sub_bytes(plane q[8])
{
    plane x[8], y[22], r[9], z[18], s[8];
    for (int i = 0; i < 8; i++)
        x[i] = q[7 - i];
    sbox_top(y, x);
    sbox_invert(r, y, x[7]);
    const plane high[9] = {y[15], y[6], x[7], y[16], y[1], y[7], y[11], y[17], y[10]};
    const plane low[9] = {y[12], y[3], y[4], y[13], y[5], y[2], y[9], y[14], y[8]};
    for (int i = 0; i < 9; i++) {
        z[i] = r[i] & high[i];
        z[i + 9] = r[i] & low[i];
    }
    sbox_bottom(s, z);
    for (int i = 0; i < 8; i++)
        q[i] = s[7 - i];
}

static inline void shift_rows(plane q[8])
{
    for (int i = 0; i < 8; i++) {
        plane x = q[i];
        q[i] = (x & UINT64_C(0x000000000000ffff)) | (x & UINT64_C(0x00000000fff00000)) >> 4 |
               (x & UINT64_C(0x00000000000f0000)) << 12 | (x & UINT64_C(0x0000ff0000000000)) >> 8 |
               (x & UINT64_C(0x000000ff00000000)) << 8 | (x & UINT64_C(0xf000000000000000)) >> 12 |
               (x & UINT64_C(0x0fff000000000000)) << 4;
    }
}

/* Column (a0 a1 a2 a3) to 2 a0 + 3 a1 + a2 + a3 and its rotations: doubled(a0 + a1) + a1 + (a2 + a3). */
static inline void mix_columns(plane q[8])
{
    plane pair[8], next[8];
    for (int i = 0; i < 8; i++) {
        next[i] = q[i] >> 16 | q[i] << 48;
        pair[i] = q[i] ^ next[i];
    }
    for (int i = 0; i < 8; i++) {
        plane doubled = pair[(i + 7) % 8];
        if (i == 1 || i == 3 || i == 4)
            doubled ^= pair[7];
        q[i] = doubled ^ next[i] ^ (pair[i] >> 32 | pair[i] << 32);
    }
}

static inline void add_key(plane q[8], const plane key[8])
{
    for (int i = 0; i < 8; i++)
        q[i] ^= key[i];
}

static void slice_key(plane ret[11][8], const struct kern_aes_key *key)
{
    for (int r = 0; r < 11; r++) {
        struct kern_block copies[GROUP];
        for (int i = 0; i < GROUP; i++)
            copies[i] = kern_load_block(key->round[r]);
        blocks_in(ret[r], copies);
        base_wipe(copies, sizeof copies);
    }
}

static void encrypt_group(struct kern_block blocks[GROUP], plane key[11][8])
{
    plane q[8];
    blocks_in(q, blocks);
    add_key(q, key[0]);
    for (int r = 1; r < 10; r++) {
        sub_bytes(q);
        shift_rows(q);
        mix_columns(q);
        add_key(q, key[r]);
    }
    sub_bytes(q);
    shift_rows(q);
    add_key(q, key[10]);
    blocks_out(blocks, q);
}

void kern_scalar_aes_encrypt(const struct kern_aes_key *key, const struct kern_block *in, struct kern_block *out,
                             size_t count)
{
    plane sliced[11][8];
    struct kern_block group[GROUP] = {{{0}}};
    slice_key(sliced, key);
    for (size_t i = 0; i < count; i += GROUP) {
        size_t n = count - i < GROUP ? count - i : GROUP;
        memcpy(group, in + i, n * sizeof *group);
        encrypt_group(group, sliced);
        memcpy(out + i, group, n * sizeof *group);
    }
    base_wipe(sliced, sizeof sliced);
    base_wipe(group, sizeof group);
}

static uint32_t sub_word(uint32_t word)
{
    struct kern_block blocks[GROUP] = {{{word}}};
    plane q[8];
    blocks_in(q, blocks);
    sub_bytes(q);
    blocks_out(blocks, q);
    return (uint32_t)blocks[0].word[0];
}

void kern_aes_expand(struct kern_aes_key *ret, const uint8_t key[16])
{
    static const uint8_t constants[10] = {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0x1b, 0x36};
    struct kern_block block = kern_load_block(key);
    uint32_t w[4] = {(uint32_t)block.word[0], (uint32_t)(block.word[0] >> 32), (uint32_t)block.word[1],
                     (uint32_t)(block.word[1] >> 32)};
    kern_store_block(ret->round[0], block);
    for (int r = 1; r < 11; r++) {
        w[0] ^= sub_word(w[3] >> 8 | w[3] << 24) ^ constants[r - 1];
        for (int i = 1; i < 4; i++)
            w[i] ^= w[i - 1];
        block.word[0] = w[0] | (uint64_t)w[1] << 32;
        block.word[1] = w[2] | (uint64_t)w[3] << 32;
        kern_store_block(ret->round[r], block);
    }
    base_wipe(w, sizeof w);
    base_wipe(&block, sizeof block);
}

static void stream_group(struct kern_block group[GROUP], plane key[11][8], uint64_t counter, uint64_t block)
{
    for (int i = 0; i < GROUP; i++) {
        group[i].word[0] = __builtin_bswap64(counter);
        group[i].word[1] = __builtin_bswap64(block + (uint64_t)i);
    }
    encrypt_group(group, key);
}

void kern_scalar_prg_fill(const struct kern_aes_key *key, uint64_t counter, uint64_t first_block, uint8_t *out,
                          size_t bytes)
{
    plane sliced[11][8];
    struct kern_block group[GROUP];
    uint8_t stream[16 * GROUP];
    slice_key(sliced, key);
    for (size_t at = 0; at < bytes; at += sizeof stream) {
        stream_group(group, sliced, counter, first_block + at / 16);
        for (int i = 0; i < GROUP; i++)
            kern_store_block(stream + 16 * i, group[i]);
        memcpy(out + at, stream, bytes - at < sizeof stream ? bytes - at : sizeof stream);
    }
    base_wipe(sliced, sizeof sliced);
    base_wipe(group, sizeof group);
    base_wipe(stream, sizeof stream);
}

void kern_scalar_prg_words(const struct kern_aes_key *key, uint64_t counter, uint64_t *out, size_t count, int ring)
{
    plane sliced[11][8];
    struct kern_block group[GROUP];
    uint64_t mask = kern_ring_mask(ring);
    slice_key(sliced, key);
    for (size_t at = 0; at < count; at += 2 * GROUP) {
        stream_group(group, sliced, counter, at / 2);
        size_t n = count - at < 2 * GROUP ? count - at : 2 * GROUP;
        for (size_t i = 0; i < n; i++)
            out[at + i] = group[i / 2].word[i % 2] & mask;
    }
    base_wipe(sliced, sizeof sliced);
    base_wipe(group, sizeof group);
}
