/* Bitsliced AES rounds, for every core that has no AES instruction: time and addresses depend on neither key nor data.
 *
 * Eight planes, one per bit of a byte; bit 16 row + 4 column + block of 64 bits of a plane belongs to that byte of that
 * block, which makes ShiftRows a rotation inside 16 bits and MixColumns a rotation of the plane by 16.
 *
 * Before this file: `plane`, an unsigned 64-bit integer or a vector of them (four blocks for each), and KERN_BITSLICE, what
 * the functions are declared as. */
#ifndef CACHET_KERNELS_SCALAR_BITSLICE_H
#define CACHET_KERNELS_SCALAR_BITSLICE_H

#include <stdint.h>

#ifndef KERN_BITSLICE
#define KERN_BITSLICE static inline
typedef uint64_t plane;
#endif

KERN_BITSLICE void swap_bits(plane *x, plane *y, uint64_t low, int shift)
{
    plane a = *x, b = *y;
    *x = (a & low) | ((b & low) << shift);
    *y = ((a & (low << shift)) >> shift) | (b & (low << shift));
}

/* Transposes the 8 x 8 bit matrices that the planes hold bytewise; its own inverse. */
KERN_BITSLICE void transpose(plane q[8])
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

KERN_BITSLICE uint64_t spread(uint64_t x)
{
    x = (x | x << 16) & UINT64_C(0x0000ffff0000ffff);
    return (x | x << 8) & UINT64_C(0x00ff00ff00ff00ff);
}

KERN_BITSLICE uint64_t gather(uint64_t x)
{
    x &= UINT64_C(0x00ff00ff00ff00ff);
    x = (x | x >> 8) & UINT64_C(0x0000ffff0000ffff);
    return (x | x >> 16) & UINT64_C(0x00000000ffffffff);
}

/* S-box circuit of Boyar and Peralta ("A small depth-16 circuit for the AES S-box", 2012); names as there, x[0] and s[0]
 * the most significant bit. First the linear layer on top. */
KERN_BITSLICE void sbox_top(plane y[22], const plane x[8])
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
KERN_BITSLICE void sbox_invert(plane r[9], const plane y[22], plane x7)
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

KERN_BITSLICE void sbox_bottom(plane s[8], const plane z[18])
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

KERN_BITSLICE void sub_bytes(plane q[8])
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

KERN_BITSLICE void shift_rows(plane q[8])
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
KERN_BITSLICE void mix_columns(plane q[8])
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

KERN_BITSLICE void add_key(plane q[8], const plane key[8])
{
    for (int i = 0; i < 8; i++)
        q[i] ^= key[i];
}

#endif
