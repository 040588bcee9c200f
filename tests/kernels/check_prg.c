/* AES against FIPS-197, the streams against OpenSSL, the levels against each other. */
#include "tests/kernels/support.h"
#include "kernels/fss/core.h"

#include <openssl/evp.h>

static void test_fips197_vectors(void **state)
{
    (void)state;
    static const uint8_t key_a1[16] = {0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2, 0xa6,
                                       0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf, 0x4f, 0x3c};
    static const uint8_t last_a1[16] = {0xd0, 0x14, 0xf9, 0xa8, 0xc9, 0xee, 0x25, 0x89,
                                        0xe1, 0x3f, 0x0c, 0xc8, 0xb6, 0x63, 0x0c, 0xa6};
    static const uint8_t plain_b[16] = {0x32, 0x43, 0xf6, 0xa8, 0x88, 0x5a, 0x30, 0x8d,
                                        0x31, 0x31, 0x98, 0xa2, 0xe0, 0x37, 0x07, 0x34};
    static const uint8_t cipher_b[16] = {0x39, 0x25, 0x84, 0x1d, 0x02, 0xdc, 0x09, 0xfb,
                                         0xdc, 0x11, 0x85, 0x97, 0x19, 0x6a, 0x0b, 0x32};
    static const uint8_t cipher_c1[16] = {0x69, 0xc4, 0xe0, 0xd8, 0x6a, 0x7b, 0x04, 0x30,
                                          0xd8, 0xcd, 0xb7, 0x80, 0x70, 0xb4, 0xc5, 0x5a};
    struct kern_aes_key key;
    uint8_t out[16], key_c1[16], plain_c1[16];
    struct kern_block block = kern_load_block(plain_b);
    kern_aes_expand(&key, key_a1);
    assert_memory_equal(key.round[10], last_a1, 16);
    kern_scalar_aes_encrypt(&key, &block, &block, 1);
    kern_store_block(out, block);
    assert_memory_equal(out, cipher_b, 16);
    for (int i = 0; i < 16; i++) {
        key_c1[i] = (uint8_t)i;
        plain_c1[i] = (uint8_t)(0x11 * i);
    }
    kern_aes_expand(&key, key_c1);
    block = kern_load_block(plain_c1);
    kern_scalar_aes_encrypt(&key, &block, &block, 1);
    kern_store_block(out, block);
    assert_memory_equal(out, cipher_c1, 16);
}

static void test_fixed_keys(void **state)
{
    (void)state;
    for (int i = 0; i < KERN_FSS_KEYS; i++) {
        uint8_t bytes[16];
        struct kern_aes_key key;
        memset(bytes, i + 1, sizeof bytes);
        kern_aes_expand(&key, bytes);
        for (int r = 0; r < 11; r++)
            assert_memory_equal(key.round[r], kern_fss_round_keys[r][i], 16);
    }
}

static void openssl_stream(const uint8_t key[16], uint64_t counter, uint64_t first_block, uint8_t *out, size_t bytes)
{
    uint8_t iv[16];
    int length;
    for (int i = 0; i < 8; i++) {
        iv[i] = (uint8_t)(counter >> (56 - 8 * i));
        iv[8 + i] = (uint8_t)(first_block >> (56 - 8 * i));
    }
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    memset(out, 0, bytes);
    assert_int_equal(EVP_EncryptInit_ex(context, EVP_aes_128_ctr(), NULL, key, iv), 1);
    assert_int_equal(EVP_EncryptUpdate(context, out, &length, out, (int)bytes), 1);
    EVP_CIPHER_CTX_free(context);
}

static void test_fill_equals_openssl(void **state)
{
    (void)state;
    struct rng rng = {1};
    const struct kern_table *tables[KERN_LEVEL_COUNT];
    size_t count = all_tables(tables);
    for (size_t bytes = 0; bytes <= 700; bytes += bytes < 300 ? 1 : 37) {
        uint8_t raw[16], expected[700];
        uint64_t counter = rng_next(&rng), first = bytes % 3 ? rng_next(&rng) >> 1 : 0xfffffffcu;
        struct kern_aes_key key;
        rng_bytes(&rng, raw, sizeof raw);
        kern_aes_expand(&key, raw);
        openssl_stream(raw, counter, first, expected, bytes);
        for (size_t t = 0; t < count; t++) {
            uint8_t *out = guard_alloc(bytes, bytes % 17);
            tables[t]->prg_fill(&key, counter, first, out, bytes);
            assert_memory_equal(out, expected, bytes);
            guard_free(out, bytes, bytes % 17);
        }
    }
}

static void test_words_are_the_stream(void **state)
{
    (void)state;
    struct rng rng = {2};
    const struct kern_table *tables[KERN_LEVEL_COUNT];
    size_t count = all_tables(tables);
    for (size_t n = 0; n < 160; n++) {
        uint8_t raw[16], stream[160 * 8];
        struct kern_aes_key key;
        int ring = 1 + (int)rng_below(&rng, 64);
        rng_bytes(&rng, raw, sizeof raw);
        kern_aes_expand(&key, raw);
        openssl_stream(raw, n, 0, stream, n * 8);
        for (size_t t = 0; t < count; t++) {
            uint64_t *out = guard_alloc(n * 8, 8 * (n % 5));
            tables[t]->prg_words(&key, n, out, n, ring);
            for (size_t i = 0; i < n; i++)
                assert_int_equal(out[i], kern_load64(stream + 8 * i) & kern_ring_mask(ring));
            guard_free(out, n * 8, 8 * (n % 5));
        }
    }
}

static void openssl_block(EVP_CIPHER_CTX *context, const uint8_t in[16], uint8_t out[16])
{
    int length;
    assert_int_equal(EVP_EncryptUpdate(context, out, &length, in, 16), 1);
}

/* pi(pi(x) xor t) xor pi(x) with OpenSSL's AES, at every level, every tail and in place. */
static void test_tweaked_hash_equals_openssl(void **state)
{
    enum { MOST = 150 };
    static const uint8_t fixed[16] = {6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6};
    (void)state;
    struct rng rng = {3};
    const struct kern_table *tables[KERN_LEVEL_COUNT];
    size_t count = all_tables(tables);
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    assert_int_equal(EVP_EncryptInit_ex(context, EVP_aes_128_ecb(), NULL, fixed, NULL), 1);
    assert_int_equal(EVP_CIPHER_CTX_set_padding(context, 0), 1);
    for (size_t n = 0; n <= MOST; n += n < 20 ? 1 : 13) {
        uint8_t in[16 * MOST], expected[16 * MOST], tweaked[16], once[16], tweak[16];
        uint64_t low = rng_next(&rng), high = rng_next(&rng), step = n % 2;
        rng_bytes(&rng, in, 16 * n);
        for (size_t i = 0; i < n; i++) {
            openssl_block(context, in + 16 * i, once);
            kern_store64(tweak, low + i * step);
            kern_store64(tweak + 8, high);
            for (int b = 0; b < 16; b++)
                tweaked[b] = once[b] ^ tweak[b];
            openssl_block(context, tweaked, expected + 16 * i);
            for (int b = 0; b < 16; b++)
                expected[16 * i + (size_t)b] ^= once[b];
        }
        for (size_t t = 0; t < count; t++) {
            uint8_t *out = guard_alloc(16 * n, n % 17);
            tables[t]->hash_tweaked(out, in, n, low, step, high);
            assert_memory_equal(out, expected, 16 * n);
            memcpy(out, in, 16 * n);
            tables[t]->hash_tweaked(out, out, n, low, step, high);
            assert_memory_equal(out, expected, 16 * n);
            guard_free(out, 16 * n, n % 17);
        }
    }
    EVP_CIPHER_CTX_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fips197_vectors),
        cmocka_unit_test(test_fixed_keys),
        cmocka_unit_test(test_fill_equals_openssl),
        cmocka_unit_test(test_words_are_the_stream),
        cmocka_unit_test(test_tweaked_hash_equals_openssl),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
