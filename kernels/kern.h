/* The table of local ring arithmetic: every slot computes on arrays, knows no party, no session and no protocol, never
 * allocates, and gives the same bits at every level of acceleration.
 *
 * Ring elements sit in uint64_t and are sums mod 2^64; "reduced to R" means that the bits from R up are zero.
 * A table is chosen once with kern_table_select and passed around by pointer. */
#ifndef CACHET_KERNELS_KERN_H
#define CACHET_KERNELS_KERN_H

#include "base/exact.h"

#include <stddef.h>
#include <stdint.h>

enum {
    KERN_BLOCK = 8,            /* elements of one half of an interleaved block: see mpc/matrix.h */
    KERN_MAX_GROUPS = 9,       /* payload words of one DPF or DCF key */
    KERN_MAX_LIMBS = 8,        /* of a word that power_words scales */
    KERN_MAX_CONVERT_WORDS = 264, /* groups << nu: the rule of kern_dpf_choose_nu gives 260 at most */
};

/* Small functions that the kernels of an accelerator call, too. */
#ifdef __CUDACC__
#define KERN_INLINE static inline __host__ __device__
#else
#define KERN_INLINE static inline
#endif

/* The bits of Z_2^ring, ring 0 to 64. */
KERN_INLINE uint64_t kern_ring_mask(int ring)
{
    return ring >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << ring) - 1;
}

/* How the elements of a matrix lie in memory: little-endian words without gaps, as small as its ring allows. Decoding is
 * bound by memory, so bytes per weight are its speed. */
enum kern_word { KERN_WORD_64, KERN_WORD_48, KERN_WORD_32, KERN_WORDS };

static inline enum kern_word kern_word_of(int ring)
{
    return ring > 48 ? KERN_WORD_64 : ring > 32 ? KERN_WORD_48 : KERN_WORD_32;
}

KERN_INLINE size_t kern_word_bytes(enum kern_word word)
{
    return word == KERN_WORD_64 ? 8 : word == KERN_WORD_48 ? 6 : 4;
}

/* Acceleration levels, lowest first. Each one needs the CPU to offer what its name says. */
enum kern_level {
    KERN_LEVEL_SCALAR, /* portable C; AES through OpenSSL is not used here: a constant-time portable AES */
    KERN_LEVEL_AVX2,   /* AVX2 and AES-NI */
    KERN_LEVEL_VAES,   /* these and VAES on 256-bit vectors: streams alone are faster */
    KERN_LEVEL_AVX512, /* AVX-512 F/BW/DQ/VL and VAES */
    KERN_LEVEL_CUDA,   /* an accelerator (kernels/device.h), which kern_table_select never chooses */
    KERN_LEVEL_COUNT,
};

/* AES-128 round keys in the byte order of AES-NI. Secret when the key is. */
struct kern_aes_key {
    _Alignas(16) uint8_t round[11][16];
};

/* The form of a batch of DPF keys: domain [0, 2^domain_bits), `groups` payload words, group g in Z_2^rings[g].
 * Early termination: the last `nu` levels are replaced by a leaf word of 2^nu entries per group; levels = domain_bits - nu. */
struct kern_dpf_shape {
    int domain_bits;
    int nu;
    int groups;
    int rings[KERN_MAX_GROUPS];
};

/* A batch of n DPF keys as it travels (the same words go to both holders) plus the holder's root seeds.
 *   seed_words  [n][levels][16]
 *   bit_words   [n][ceil(2 levels / 8)]      bit 2 i: left, bit 2 i + 1: right correction of level i, least bit first
 *   final_words [groups][n][2^nu]            reduced to rings[g] */
struct kern_dpf_keys {
    struct kern_dpf_shape shape;
    size_t count;
    uint8_t *seed_words;
    uint8_t *bit_words;
    uint64_t *final_words;
};

/* A batch of n DCF keys: f(x) = beta * [x < alpha].
 *   seed_words [n][k][16], bit_words [n][ceil(2 k / 8)], value_words [groups][n][k + 1] (the last one is the final word) */
struct kern_dcf_keys {
    struct kern_dpf_shape shape; /* nu is 0 */
    size_t count;
    uint8_t *seed_words;
    uint8_t *bit_words;
    uint64_t *value_words;
};

/* Public factors of a turn: cos(2 pi t / 2^log_period) with 30 fraction bits, of which the first quarter is stored. */
struct kern_turn {
    const int32_t *quarter; /* [2^(log_period - 2) + 1] */
    int log_period;         /* 3 to 30 */
    uint64_t multiple, offset;
    int down; /* fraction bits that a factor loses by rounding, 0 to 30 */
    int up;   /* what a product is shifted up by */
};

/* The table's value at turn t, any integer. */
KERN_INLINE int64_t kern_turn_at(const int32_t *quarter, int log_period, uint64_t t)
{
    int64_t half = INT64_C(1) << (log_period - 1), u = (int64_t)(t & (uint64_t)(half - 1)), beyond = u - half / 2;
    int64_t minus = -(int64_t)((t >> (log_period - 1) & 1) ^ (uint64_t)(beyond > 0));
    return (quarter[half / 2 - (beyond < 0 ? -beyond : beyond)] ^ minus) - minus;
}

/* What an accelerator's table has beside its slots: see kernels/gather.h, through which it is called. */
struct kern_accelerated;

struct kern_table {
    enum kern_level level;
    const struct kern_accelerated *more; /* NULL: a CPU's */

    /* By kern_word: y[r][o] = sum_k a[r][k] * w[o][k], reduced to the word's bits.
     * w: [outs][inner] words of that kind, w_stride bytes from row to row. a: [rows][inner], a_stride elements from row to row,
     * uint64_t (KERN_WORD_32: uint32_t), whose bits above the word's do not matter. y: [rows][outs], row stride y_stride. Any
     * inner >= 1; nothing past the last element of a row is read; `a` and `w` may be unaligned.
     * One row (decode) must run at memory bandwidth; 16 to 512 rows (prefill) must be tiled. */
    void (*gemm[KERN_WORDS])(uint64_t *y, size_t y_stride, const void *a, size_t a_stride, size_t rows, const void *w,
                             size_t w_stride, size_t outs, size_t inner);

    /* y[r][c] += sum_v a[r][v] * w[v][c] mod 2^32: rows of a table added up, the table read in order and once.
     * y: [rows][width], a: [rows][count] with row stride a_stride, w: [count][width], all native words. */
    void (*combine32)(uint32_t *y, const uint32_t *a, size_t a_stride, size_t rows, const uint32_t *w, size_t width, size_t count);

    /* sum_i a[i] * b[i] mod 2^64. */
    uint64_t (*dot)(const uint64_t *a, const uint64_t *b, size_t count);

    /* AES-128-CTR keystream: block j of the output is AES_key(counter as 8 bytes big-endian || first_block + j as 8 bytes
     * big-endian), which is OpenSSL's aes-128-ctr from the IV (counter || first_block). `bytes` need not be whole blocks. */
    void (*prg_fill)(const struct kern_aes_key *key, uint64_t counter, uint64_t first_block, uint8_t *out, size_t bytes);
    /* The same keystream from first_block 0, one little-endian 8-byte word per element, reduced to `ring` bits. */
    void (*prg_words)(const struct kern_aes_key *key, uint64_t counter, uint64_t *out, size_t count, int ring);

    /* out[i] = pi(pi(in[i]) xor t) xor pi(in[i]), pi AES-128 under a public fixed key, t = low + i step (8 bytes little-endian) || high (8
     * bytes little-endian): a tweakable circular correlation-robust hash in the ideal-permutation model, fit for inputs that differ by a
     * secret offset. in, out: [count][16]; out may be in.
     * Source: C. Guo, J. Katz, X. Wang, Y. Yu, Efficient and secure multiparty computation from fixed-key block ciphers, S&P 2020. */
    void (*hash_tweaked)(uint8_t *out, const uint8_t *in, size_t count, uint64_t low, uint64_t step, uint64_t high);

    /* DPF keys at points alpha[n] with payloads beta[groups][n]; root0, root1: [n][16]. Fills keys->*_words. */
    void (*dpf_generate)(const struct kern_dpf_keys *keys, const uint64_t *alpha, const uint64_t *beta,
                         const uint8_t *root0, const uint8_t *root1);
    /* Additive shares of beta * e_alpha of keys [first, first + count): out [count][groups][2^domain_bits], reduced.
     * side 0 for the holder of root0, 1 for root1; root: [n][16] of that holder. scratch: kern_dpf_scratch(shape) bytes,
     * 64-byte aligned; it holds seeds afterwards, so the caller wipes it. */
    void (*dpf_full)(const struct kern_dpf_keys *keys, int side, const uint8_t *root, size_t first, size_t count,
                     uint64_t *out, void *scratch);
    /* Shares of beta * [x == alpha] of every key at one public point each: x[n], out [groups][n], reduced. */
    void (*dpf_point)(const struct kern_dpf_keys *keys, int side, const uint8_t *root, const uint64_t *x, uint64_t *out);

    /* Bit keys (comparisons): levels = max(k - 7, 0), leaf block of 128 bits; block_words [n][16].
     * less: XOR shares (0 or 1) of [alpha < x], x[n] in [0, 2^k). */
    void (*bit_generate)(int k, size_t n, const uint64_t *alpha, const uint8_t *root0, const uint8_t *root1,
                         uint8_t *seed_words, uint8_t *bit_words, uint8_t *block_words);
    void (*bit_less)(int k, size_t n, int side, const uint8_t *root, const uint8_t *seed_words, const uint8_t *bit_words,
                     const uint8_t *block_words, const uint64_t *x, uint8_t *out);

    /* DCF: shares of beta * [x < alpha] at `points` public points per key: x [n][points], out [groups][n][points].
     * dcf_eval takes keys with a smaller keys->shape.groups than they were made with: it reads the leading payloads, with less work. */
    void (*dcf_generate)(const struct kern_dcf_keys *keys, const uint64_t *alpha, const uint64_t *beta,
                         const uint8_t *root0, const uint8_t *root1);
    void (*dcf_eval)(const struct kern_dcf_keys *keys, int side, const uint8_t *root, const uint64_t *x, size_t points,
                     uint64_t *out);

    /* k-bit wire words, packed without gaps, least significant bit first: ceil(count * ring / 8) bytes.
     * pack reduces to `ring`; padding bits of the last byte are zero. unpack gives reduced elements. */
    void (*pack_bits)(uint8_t *out, const uint64_t *in, size_t count, int ring);
    void (*unpack_bits)(uint64_t *out, const uint8_t *in, size_t count, int ring);
    /* out[i] = (out[i] + unpacked[i]) mod 2^ring: the opening of a masked value. */
    void (*unpack_add)(uint64_t *out, const uint8_t *in, size_t count, int ring);

    /* z[i] = (x[i] + 2^(f-1)) >> f of x reduced to ring, result reduced to ring - f; f = 0 reduces. in place allowed */
    void (*round_shift)(uint64_t *z, const uint64_t *x, size_t count, int ring, int f);
    /* sum over pos in [0, 2^h) of hot[pos] * table[(m - (pos << s)) mod 2^(h + s)]: the inner product of a DPF over the
     * high h bits with a public table read at the public m. */
    uint64_t (*grid_dot)(const uint64_t *hot, const uint64_t *table, uint64_t m, int h, int s);
    /* Shares of v = c0 + c1 (j - b) + c2 (j - b)^2 in one of `cells` segments, times each of `triples` factors:
     *   ret[t] = sum over i < cells of hot[3 t][i] (c0[i] + c1[i] j + c2[i] j^2) - hot[3 t + 1][i] (c1[i] + 2 c2[i] j)
     *                                + hot[3 t + 2][i] c2[i]
     * hot: [3 triples][cells] shares of factor, factor b and factor b^2 at the segment; c: three arrays of `cells`
     * coefficients; j public; 1 to KERN_MAX_GROUPS / 3 triples. */
    void (*segment_dot)(uint64_t *ret, const uint64_t *hot, const uint64_t *const c[3], uint64_t j, size_t cells,
                        int triples);
    /* share[i] += (word[i] * f) << up, f being turn's factor at multiple * m[i] - offset, rounded by `down` bits; m public. */
    void (*turn_add)(uint64_t *share, const uint64_t *word, const uint64_t *m, size_t n, const struct kern_turn *turn);
    /* out[i] = (word * mantissa + 2^(shift - 1)) >> shift, its low 64 bits: word has `limbs` (1 to KERN_MAX_LIMBS) words of 64 bits, limb l at
     * words[l * stride + 2 i + (m[i] >> s)]; (mantissa, shift) = factor[m[i] mod 2^s], 1 <= shift <= 64 limbs. m is public, below 2^(s+1). */
    void (*power_words)(uint64_t *out, const uint64_t *words, size_t stride, int limbs, const uint64_t *m, size_t n,
                        const struct base_exact_power *factor, int s);
};

/* The best level that the CPU offers and `mask` allows (bit l = level l; scalar is always allowed). */
const struct kern_table *kern_table_select(unsigned mask);
const char *kern_level_name(enum kern_level level);
/* The mask of a level and all below it, by the level's name; 0: no level of this processor's has that name (a device is opened, not chosen). */
unsigned kern_mask_up_to(const char *name);

/* Round keys of AES-128, constant time. */
void kern_aes_expand(struct kern_aes_key *ret, const uint8_t key[16]);

/* Bytes of one key's correction bits, of scratch of dpf_full, and the early termination that makes a key smallest:
 * while nu < domain_bits and payload bits << nu <= 130, nu grows (a level costs 130 bits). */
KERN_INLINE size_t kern_bit_words_size(int levels)
{
    return ((size_t)levels * 2 + 7) / 8;
}
size_t kern_dpf_scratch(const struct kern_dpf_shape *shape);
int kern_dpf_choose_nu(int domain_bits, int payload_bits);

#endif
