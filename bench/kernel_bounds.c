#include "bench/kernel_bounds.h"

#include "kernels/threads.h"

#include <openssl/evp.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* ---- reading ---- */

struct reading {
    const uint64_t *memory;
    uint64_t sum;
};

enum { LANES = 8 };

/* Compiled for the widest vectors that there are: a sum in plain C else. */
#define READ_BODY                                                                                                      \
    uint64_t sum[4 * LANES] = {0}, all = 0;                                                                            \
    for (size_t i = 0; i < words; i += 4 * LANES)                                                                      \
        for (int j = 0; j < 4 * LANES; j++)                                                                            \
            sum[j] += from[i + (size_t)j];                                                                             \
    for (int j = 0; j < 4 * LANES; j++)                                                                                \
        all += sum[j];                                                                                                 \
    return all;

static uint64_t read_plain(const uint64_t *from, size_t words)
{
    READ_BODY
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static uint64_t read_avx2(const uint64_t *from, size_t words)
{
    READ_BODY
}

__attribute__((target("avx512f"))) static uint64_t read_avx512(const uint64_t *from, size_t words)
{
    READ_BODY
}
#endif

static void read_range(void *context, size_t first, size_t end)
{
    struct reading *r = context;
    const uint64_t *from = r->memory + first * 4 * LANES;
    size_t words = (end - first) * 4 * LANES;
    uint64_t sum;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f"))
        sum = read_avx512(from, words);
    else if (__builtin_cpu_supports("avx2"))
        sum = read_avx2(from, words);
    else
#endif
        sum = read_plain(from, words);
    __atomic_fetch_add(&r->sum, sum, __ATOMIC_RELAXED);
}

uint64_t bench_read(const uint64_t *memory, size_t words)
{
    struct reading r = {.memory = memory};
    kern_over_threads(words / (4 * LANES), 1 << 10, read_range, &r);
    return r.sum;
}

/* ---- AES ---- */

uint64_t bench_evp(uint8_t *memory, size_t bytes, const uint8_t key[32])
{
    int length = 0;
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    if (context != NULL && EVP_EncryptInit_ex(context, EVP_aes_128_ctr(), NULL, key, key + 16) == 1)
        (void)EVP_EncryptUpdate(context, memory, &length, memory, (int)bytes);
    EVP_CIPHER_CTX_free(context);
    return (uint64_t)length;
}

/* ---- multiplying ---- */

/* The compiler must not see that a factor stays the same. */
#define HIDE(x) __asm__ volatile("" : "+r"(x))
#define HIDE_VECTOR(x) __asm__ volatile("" : "+v"(x))

enum { CHAINS = 12 };

static uint64_t multiply_scalar(uint64_t seed, int bits)
{
    uint64_t sum[CHAINS] = {0}, x = seed | 1, y = seed ^ 77;
    for (size_t i = 0; i < BENCH_MULTIPLIES / CHAINS; i++)
        for (int j = 0; j < CHAINS; j++) {
            HIDE(x);
            if (bits == 32)
                sum[j] += (uint32_t)x * (uint32_t)y;
            else
                sum[j] += x * y;
        }
    for (int j = 1; j < CHAINS; j++)
        sum[0] += sum[j];
    return sum[0];
}

#if defined(__x86_64__)
/* The two multiplications for four products of avx2/multiply.h. */
__attribute__((target("avx2"))) static uint64_t multiply_avx2(uint64_t seed, int bits)
{
    __m256i x = _mm256_set1_epi64x((long long)seed), y = _mm256_set1_epi64x(77), low[CHAINS / 2], cross[CHAINS / 2];
    for (int j = 0; j < CHAINS / 2; j++)
        low[j] = cross[j] = _mm256_setzero_si256();
    size_t turns = (size_t)BENCH_MULTIPLIES / (bits == 32 ? 8 * CHAINS : 4 * CHAINS / 2);
    for (size_t i = 0; i < turns; i++)
#pragma GCC unroll 6
        for (int j = 0; j < CHAINS / 2; j++) {
            HIDE_VECTOR(x);
            if (bits == 32) {
                low[j] = _mm256_add_epi32(low[j], _mm256_mullo_epi32(x, y));
                HIDE_VECTOR(x);
                cross[j] = _mm256_add_epi32(cross[j], _mm256_mullo_epi32(x, y));
            } else {
                low[j] = _mm256_add_epi64(low[j], _mm256_mul_epu32(x, y));
                cross[j] = _mm256_add_epi32(cross[j], _mm256_mullo_epi32(x, y));
            }
        }
    for (int j = 0; j < CHAINS / 2; j++)
        low[0] = _mm256_xor_si256(low[0], _mm256_xor_si256(low[j], cross[j]));
    return (uint64_t)_mm256_extract_epi64(low[0], 0);
}

__attribute__((target("avx512f,avx512dq"))) static uint64_t multiply_avx512(uint64_t seed, int bits)
{
    __m512i x = _mm512_set1_epi64((long long)seed), y = _mm512_set1_epi64(77), sum[CHAINS];
    for (int j = 0; j < CHAINS; j++)
        sum[j] = _mm512_setzero_si512();
    size_t turns = (size_t)BENCH_MULTIPLIES / (CHAINS * (bits == 32 ? 16 : 8));
    for (size_t i = 0; i < turns; i++)
#pragma GCC unroll 12
        for (int j = 0; j < CHAINS; j++) {
            HIDE_VECTOR(x);
            sum[j] = bits == 32 ? _mm512_add_epi32(sum[j], _mm512_mullo_epi32(x, y)) : _mm512_add_epi64(sum[j], _mm512_mullo_epi64(x, y));
        }
    for (int j = 1; j < CHAINS; j++)
        sum[0] = _mm512_xor_si512(sum[0], sum[j]);
    return (uint64_t)_mm_cvtsi128_si64(_mm512_castsi512_si128(sum[0]));
}
#endif

uint64_t bench_multiply(enum kern_level level, enum kern_word word, uint64_t seed)
{
    int bits = word == KERN_WORD_32 ? 32 : 64;
#if defined(__x86_64__)
    if (level == KERN_LEVEL_AVX512)
        return multiply_avx512(seed, bits);
    if (level == KERN_LEVEL_AVX2 || level == KERN_LEVEL_VAES)
        return multiply_avx2(seed, bits);
#endif
    return multiply_scalar(seed, bits);
}
