/* Wire words bit by bit, and the rounding shift at its edges. */
#include "tests/kernels/support.h"

static bool bit_of(const uint8_t *bytes, size_t bit)
{
    return bytes[bit / 8] >> bit % 8 & 1;
}

static void check_width(struct rng *rng, int ring, size_t count)
{
    const struct kern_table *tables[KERN_LEVEL_COUNT];
    size_t levels = all_tables(tables), bytes = (count * (size_t)ring + 7) / 8, offset = rng_below(rng, 20);
    uint64_t *in = must_alloc(count, 8), mask = kern_ring_mask(ring);
    rng_words(rng, in, count);
    for (size_t t = 0; t < levels; t++) {
        uint8_t *wire = guard_alloc(bytes, offset);
        uint64_t *out = guard_alloc(8 * count, 8), *sum = guard_alloc(8 * count, 8);
        tables[t]->pack_bits(wire, in, count, ring);
        for (size_t bit = 0; bit < 8 * bytes; bit++) {
            bool expected = bit < count * (size_t)ring && in[bit / (size_t)ring] >> bit % (size_t)ring & 1;
            assert_int_equal(bit_of(wire, bit), expected);
        }
        tables[t]->unpack_bits(out, wire, count, ring);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(out[i], in[i] & mask);
            sum[i] = in[i] * 3 + i; /* not reduced: the slot reduces */
        }
        tables[t]->unpack_add(sum, wire, count, ring);
        for (size_t i = 0; i < count; i++)
            assert_int_equal(sum[i], (in[i] * 4 + i) & mask);
        guard_free(wire, bytes, offset);
        guard_free(out, 8 * count, 8);
        guard_free(sum, 8 * count, 8);
    }
    free(in);
}

static void test_wire_words(void **state)
{
    (void)state;
    struct rng rng = {41};
    for (int ring = 1; ring <= 64; ring++)
        for (size_t count = 0; count < 150; count += count < 40 ? 1 : 13)
            check_width(&rng, ring, count);
}

static uint64_t rounded(uint64_t x, int ring, int f)
{
    unsigned __int128 wide = x & kern_ring_mask(ring);
    if (f > 0)
        wide = (wide + ((unsigned __int128)1 << (f - 1))) >> f;
    return (uint64_t)wide & kern_ring_mask(ring - f);
}

static void test_round_shift(void **state)
{
    (void)state;
    struct rng rng = {42};
    const struct kern_table *tables[KERN_LEVEL_COUNT];
    size_t levels = all_tables(tables);
    for (int ring = 1; ring <= 64; ring++)
        for (int f = 0; f <= ring; f++) {
            size_t n = rng_below(&rng, 30);
            uint64_t x[40], half = f > 0 ? UINT64_C(1) << (f - 1) : 0, edges[6] = {0, half, half - 1, ~half, ~UINT64_C(0)};
            edges[5] = kern_ring_mask(ring) - half;
            rng_words(&rng, x, 40);
            for (size_t i = 0; i < n && i < 6; i++)
                x[i] = edges[i];
            for (size_t t = 0; t < levels; t++) {
                uint64_t *z = guard_alloc(8 * n, 8), *same = guard_alloc(8 * n, 0);
                tables[t]->round_shift(z, x, n, ring, f);
                memcpy(same, x, 8 * n);
                tables[t]->round_shift(same, same, n, ring, f);
                for (size_t i = 0; i < n; i++) {
                    assert_int_equal(z[i], rounded(x[i], ring, f));
                    assert_int_equal(same[i], z[i]);
                }
                guard_free(z, 8 * n, 8);
                guard_free(same, 8 * n, 0);
            }
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wire_words),
        cmocka_unit_test(test_round_shift),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
