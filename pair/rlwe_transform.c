/* Products by a ternary polynomial (pair/rlwe_ring.h) through number-theoretic transforms: the product of c and s in integers is below 2^(bits + 13), so
 * its residues modulo enough primes below 2^30 say what it is. A lane of 32 bits for each prime, and all lanes side by side: every stage of a transform is
 * the same few instructions over vectors, whatever the processor's width, and no carry and no branch depends on a value.
 *
 * Transforms: negacyclic, decimation in time by Harvey's lazy butterflies (values below 4 p), twiddles in bit-reversed order; the inverse reads the same
 * table backwards, as psi^-e = -psi^(N - e). Sources: D. Harvey, Faster arithmetic for number-theoretic transforms, J. Symb. Comp. 2014; P. Longa,
 * M. Naehrig, CANS 2016; P. Montgomery, Math. Comp. 1985. */
#include "pair/rlwe_ring.h"

#include "base/memory.h"

#include <pthread.h>
#include <string.h>

enum { N = PAIR_RLWE_N, LOG_N = 13, LANES = 8, PRIMES = 7, PRIME_BITS = 30, CARRY_BITS = 60 };

#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
#define WIDEST __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WIDEST
#endif
#define INLINE static inline __attribute__((always_inline))

typedef uint32_t lanes[LANES];

/* The largest primes below 2^30 that are 1 mod 2 N, and a root of X^N + 1 for each. The last lane repeats one, and is not read. */
static const uint32_t prime[LANES] = {1073692673, 1073643521, 1073479681, 1073430529, 1073299457, 1073233921, 1073184769, 1073692673};
static const uint32_t root[LANES] = {52921, 97548, 32138, 170252, 5142, 224084, 101208, 52921};

static struct {
    lanes twiddle[N], shoup[N]; /* psi^e, e in bit-reversed order, and floor(2^32 psi^e / p) */
    lanes minus_inverse;        /* -1 / p mod 2^32 */
    lanes half[2 * PAIR_RLWE_MOST_LIMBS], half_shoup[2 * PAIR_RLWE_MOST_LIMBS]; /* 2^(32 h) */
} table;

/* --- tables: public ---------------------------------------------------------------------------------------------------------------- */

static uint32_t times(uint32_t a, uint32_t b, uint32_t p)
{
    uint64_t public_product = (uint64_t)a * b;
    return (uint32_t)(public_product % p);
}

static uint32_t inverse(uint32_t a, uint32_t p)
{
    uint32_t product = 1;
    for (uint32_t e = p - 2; e > 0; e >>= 1, a = times(a, a, p))
        if (e & 1)
            product = times(product, a, p);
    return product;
}

static uint32_t shoup(uint32_t w, uint32_t p)
{
    return (uint32_t)(((uint64_t)w << 32) / p);
}

static size_t reversed(size_t e)
{
    size_t r = 0;
    for (int b = 0; b < LOG_N; b++)
        r |= (e >> b & 1) << (LOG_N - 1 - b);
    return r;
}

static void fill_table(void)
{
    for (int l = 0; l < LANES; l++) {
        uint32_t p = prime[l], power = 1;
        for (size_t e = 0; e < N; e++, power = times(power, root[l], p)) {
            table.twiddle[reversed(e)][l] = power;
            table.shoup[reversed(e)][l] = shoup(power, p);
        }
        uint32_t inv = p; /* Newton: three bits right at first */
        for (int turn = 0; turn < 4; turn++)
            inv *= 2 - p * inv;
        table.minus_inverse[l] = 0 - inv;
        power = 1;
        for (int h = 0; h < 2 * PAIR_RLWE_MOST_LIMBS; h++, power = times(power, (uint32_t)((UINT64_C(1) << 32) % p), p)) {
            table.half[h][l] = power;
            table.half_shoup[h][l] = shoup(power, p);
        }
    }
}

/* --- lanes ------------------------------------------------------------------------------------------------------------------------- */

/* x or x - bound, whichever is smaller as an unsigned number. */
INLINE uint32_t less(uint32_t x, uint32_t bound)
{
    uint32_t y = x - bound;
    return y < x ? y : x;
}

/* x w mod p, below 2 p, for any x. */
INLINE uint32_t times_shoup(uint32_t x, uint32_t w, uint32_t w_shoup, uint32_t p)
{
    return x * w - (uint32_t)((uint64_t)x * w_shoup >> 32) * p;
}

/* (x, y) -> (x + w y, x - w y); all below 4 p. */
INLINE void join(uint32_t *restrict x, uint32_t *restrict y, const uint32_t *restrict w, const uint32_t *restrict ws)
{
    for (int l = 0; l < LANES; l++) {
        uint32_t u = less(x[l], 2 * prime[l]), v = times_shoup(y[l], w[l], ws[l], prime[l]);
        x[l] = u + v;
        y[l] = u - v + 2 * prime[l];
    }
}

/* (x, y) -> (x + y, (y - x) w); all below 2 p. */
INLINE void part(uint32_t *restrict x, uint32_t *restrict y, const uint32_t *restrict w, const uint32_t *restrict ws)
{
    for (int l = 0; l < LANES; l++) {
        uint32_t u = x[l], v = y[l];
        x[l] = less(u + v, 2 * prime[l]);
        y[l] = times_shoup(v - u + 2 * prime[l], w[l], ws[l], prime[l]);
    }
}

WIDEST static void forward(lanes *restrict a)
{
    for (size_t m = 1, t = N / 2; m < N; m *= 2, t /= 2)
        for (size_t i = 0; i < m; i++)
            for (size_t j = 2 * i * t; j < 2 * i * t + t; j++)
                join(a[j], a[j + t], table.twiddle[m + i], table.shoup[m + i]);
}

WIDEST static void backward(lanes *restrict a)
{
    for (size_t m = N / 2, t = 1; m >= 1; m /= 2, t *= 2)
        for (size_t i = 0; i < m; i++)
            for (size_t j = 2 * i * t; j < 2 * i * t + t; j++)
                part(a[j], a[j + t], table.twiddle[2 * m - 1 - i], table.shoup[2 * m - 1 - i]);
}

/* a b / 2^32 mod p, from below 4 p to below 2 p. */
WIDEST static void pointwise(lanes *restrict a, const lanes *restrict b)
{
    for (size_t i = 0; i < N; i++)
        for (int l = 0; l < LANES; l++) {
            uint64_t z = (uint64_t)less(a[i][l], 2 * prime[l]) * less(b[i][l], 2 * prime[l]);
            uint32_t q = (uint32_t)z * table.minus_inverse[l];
            a[i][l] = (uint32_t)((z + (uint64_t)q * prime[l]) >> 32);
        }
}

/* Residues of coefficients, below 2 p. */
WIDEST static void reduce(lanes *restrict ret, const uint64_t *restrict c, int limbs)
{
    for (size_t i = 0; i < N; i++, c += limbs) {
        memset(ret[i], 0, sizeof ret[i]);
        for (int h = 0; h < 2 * limbs; h++) {
            uint32_t x = (uint32_t)(c[h / 2] >> 32 * (h % 2));
            for (int l = 0; l < LANES; l++)
                ret[i][l] = less(ret[i][l] + times_shoup(x, table.half[h][l], table.half_shoup[h][l], prime[l]), 2 * prime[l]);
        }
    }
}

WIDEST static void reduce_small(lanes *restrict ret, const int8_t *restrict s)
{
    for (size_t i = 0; i < N; i++) {
        uint32_t x = (uint32_t)s[i], negative = (uint32_t)(s[i] >> 7);
        for (int l = 0; l < LANES; l++)
            ret[i][l] = x + (prime[l] & negative);
    }
}

/* --- back to integers -------------------------------------------------------------------------------------------------------------- */

/* x = sum_i y_i P / p_i - k P with y_i = x (P / p_i)^-1 mod p_i and k = round(sum_i y_i / p_i), as |x| is far below P / 2. */
struct basis {
    int primes;
    uint32_t unit[PRIMES], unit_shoup[PRIMES]; /* 2^32 / N (P / p_i)^-1 mod p_i: undoes the factors of transforms and of Montgomery */
    uint64_t fraction[PRIMES];                 /* 2^60 / p_i */
    uint64_t rest[PRIMES][PAIR_RLWE_MOST_LIMBS], minus_whole[PAIR_RLWE_MOST_LIMBS]; /* P / p_i and -P */
};

static void fill_basis(struct basis *ret, int bits)
{
    uint64_t zero[PAIR_RLWE_MOST_LIMBS] = {0}, whole[PAIR_RLWE_MOST_LIMBS] = {1};
    *ret = (struct basis){.primes = (bits + LOG_N + 3) / PRIME_BITS + 1}; /* P above 2^(bits + 16) */
    for (int i = 0; i < ret->primes; i++) {
        uint32_t p = prime[i], product = times(N, inverse((uint32_t)((UINT64_C(1) << 32) % p), p), p);
        (void)mpn_mul_1(whole, whole, PAIR_RLWE_MOST_LIMBS, p);
        ret->rest[i][0] = 1;
        for (int j = 0; j < ret->primes; j++)
            if (j != i) {
                product = times(product, less(prime[j], p), p);
                (void)mpn_mul_1(ret->rest[i], ret->rest[i], PAIR_RLWE_MOST_LIMBS, prime[j]);
            }
        ret->unit[i] = inverse(product, p);
        ret->unit_shoup[i] = shoup(ret->unit[i], p);
        ret->fraction[i] = (UINT64_C(1) << CARRY_BITS) / p;
    }
    (void)mpn_sub_n(ret->minus_whole, zero, whole, PAIR_RLWE_MOST_LIMBS);
}

_Static_assert(PAIR_RLWE_MOST_LIMBS == 3, "pair_ring_add_multiple has as many");

static void lift(uint64_t *ret, const lanes *a, int limbs, const struct basis *basis)
{
    uint64_t sum[PAIR_RLWE_MOST_LIMBS] = {0};
    for (size_t i = 0; i < N; i++, ret += limbs) {
        uint64_t turns = UINT64_C(1) << (CARRY_BITS - 1);
        memset(sum, 0, sizeof sum);
        for (int l = 0; l < basis->primes; l++) {
            uint64_t y = less(times_shoup(a[i][l], basis->unit[l], basis->unit_shoup[l], prime[l]), prime[l]);
            turns += y * basis->fraction[l];
            pair_ring_add_multiple(sum, basis->rest[l], y);
        }
        pair_ring_add_multiple(sum, basis->minus_whole, turns >> CARRY_BITS);
        memcpy(ret, sum, (size_t)limbs * sizeof *ret);
    }
    base_wipe(sum, sizeof sum);
}

enum base_status pair_ring_times_small(uint64_t *ret, const uint64_t *c, int limbs, int bits, const int8_t s[PAIR_RLWE_N], struct base_error *error)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    enum base_status status;
    struct basis basis;
    lanes *work = NULL;
    (void)pthread_once(&once, fill_table);
    fill_basis(&basis, bits);
    TRY(base_alloc(&work, 2 * N, sizeof *work, error));
    reduce(work, c, limbs);
    reduce_small(work + N, s);
    forward(work);
    forward(work + N);
    pointwise(work, (const lanes *)(work + N));
    backward(work);
    lift(ret, (const lanes *)work, limbs, &basis);
out:
    base_free_secret(&work);
    return status;
}
