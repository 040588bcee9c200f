/* What an accelerator does beside single calls, over the emulated device: matrices that grow, and products that are waited for together. */
#include "tests/kernels/support.h"
#include "kernels/cuda/faults.h"
#include "kernels/device.h"
#include "kernels/gather.h"
#include "tests/kernels/emulated_device.h"

enum { WORK_BYTES = 64 << 20, SMALL_WORK_BYTES = 512 << 10 };

/* A cache that grows: rows and columns change, products read the beginnings of rows, and it is wiped. */
static void test_growing(void **state)
{
    (void)state;
    enum { OUTS = 9, MOST = 48, STRIDE = MOST * 8 + 16 };
    struct kern_device *device = open_device(WORK_BYTES);
    struct kern_placed *placed;
    struct rng rng = {87};
    static uint8_t w[OUTS * STRIDE];
    uint64_t a[6 * MOST], y[6 * OUTS], expected[6 * OUTS];
    rng_words(&rng, a, 6 * MOST);
    for (int word = 0; word < KERN_WORDS; word++)
        for (int limbs = 0; limbs < 2; limbs++) {
            size_t bytes = kern_word_bytes((enum kern_word)word), on_device = kern_device_counts(device).on_device, products = 0;
            memset(w, 0, sizeof w);
            assert_int_equal(kern_device_place(device, &placed, (enum kern_word)word, w, STRIDE, OUTS, MOST, limbs, NULL), BASE_OK);
            for (size_t used = 1; used <= MOST; used += used < 4 ? 1 : 11)
                for (size_t rows = 1; rows <= 6; rows += 5) {
                    struct kern_part column = {0, OUTS, used - 1, 1}, row = {rng_below(&rng, OUTS), 1, rng_below(&rng, used), 0};
                    row.columns = used - row.column;
                    for (size_t r = 0; r < OUTS; r++)
                        rng_bytes(&rng, w + r * STRIDE + column.column * bytes, bytes);
                    rng_bytes(&rng, w + row.row * STRIDE + row.column * bytes, row.columns * bytes);
                    kern_device_changed(device, placed, column);
                    kern_device_changed(device, placed, row);
                    kern_table_select(0)->gemm[word](expected, OUTS, a, MOST, rows, w, STRIDE, OUTS, used);
                    kern_device_table(device)->gemm[word](y, OUTS, a, MOST, rows, w, STRIDE, OUTS, used);
                    assert_memory_equal(y, expected, rows * OUTS * 8);
                    products++;
                }
            assert_int_equal(kern_device_counts(device).on_device - on_device, products);
            uint8_t seen[16];
            memcpy(seen, w + 4 * STRIDE, sizeof seen);
            assert_true(kern_emulator_holds(seen, sizeof seen));
            memset(w, 0, sizeof w);
            kern_device_wipe(device, placed);
            assert_false(kern_emulator_holds(seen, sizeof seen));
            kern_device_table(device)->gemm[word](y, OUTS, a, MOST, 2, w, STRIDE, OUTS, MOST);
            for (size_t i = 0; i < 2 * OUTS; i++)
                assert_int_equal(y[i], 0);
            kern_device_forget(device, &placed);
        }
    close_device(&device, true);
}

/* Products between kern_hold and kern_settle: activations may go at once, results are there at the end; more than are held at a time, and with
 * other slots between them. */
enum { HELD = 150, HELD_OUTS = 21, HELD_INNER = 40 };
struct held_work {
    uint64_t w[HELD_OUTS * HELD_INNER], y[HELD][6 * HELD_OUTS], expected[HELD][6 * HELD_OUTS];
};

static void run_held(struct held_work *work, struct rng *rng, const struct kern_table *t, bool between)
{
    uint64_t a[6 * HELD_INNER], part[HELD_INNER], shifted[HELD_INNER];
    memset(work->y, 0, sizeof work->y);
    kern_hold(t);
    for (size_t i = 0; i < HELD; i++) {
        size_t rows = i % 3 == 0 ? 6 : 1;
        rng_words(rng, a, 6 * HELD_INNER);
        kern_table_select(0)->gemm[KERN_WORD_64](work->expected[i], HELD_OUTS, a, HELD_INNER, rows, work->w, 8 * HELD_INNER, HELD_OUTS, HELD_INNER);
        t->gemm[KERN_WORD_64](work->y[i], HELD_OUTS, a, HELD_INNER, rows, work->w, 8 * HELD_INNER, HELD_OUTS, HELD_INNER);
        memset(a, 0x55, sizeof a);
        if (between && i % 40 == 39) {
            rng_words(rng, part, HELD_INNER);
            t->round_shift(shifted, part, HELD_INNER, 40, 3);
            assert_int_equal(shifted[7], ((part[7] & kern_ring_mask(40)) + 4) >> 3 & kern_ring_mask(37));
        }
    }
    kern_settle(t);
    for (size_t i = 0; i < HELD; i++)
        assert_memory_equal(work->y[i], work->expected[i], (i % 3 == 0 ? 6 : 1) * HELD_OUTS * 8);
}

static void test_held(void **state)
{
    (void)state;
    static struct held_work work;
    struct rng rng = {88};
    struct kern_placed *placed;
    uint64_t a[HELD_INNER], y[HELD_OUTS] = {0}, expected[HELD_OUTS];
    rng_words(&rng, work.w, HELD_OUTS * HELD_INNER);
    for (int small = 0; small < 2; small++) { /* a work area for all of them, and for few at a time */
        struct kern_device *device = open_device(small ? SMALL_WORK_BYTES : WORK_BYTES);
        const struct kern_table *t = kern_device_table(device);
        run_held(&work, &rng, t, false); /* a matrix that is not placed */
        assert_int_equal(kern_device_place(device, &placed, KERN_WORD_64, work.w, 8 * HELD_INNER, HELD_OUTS, HELD_INNER, small, NULL), BASE_OK);
        run_held(&work, &rng, t, false);
        run_held(&work, &rng, t, true);
        /* One that is held is not there before: the emulated device makes it when it is waited for. */
        rng_words(&rng, a, HELD_INNER);
        kern_table_select(0)->gemm[KERN_WORD_64](expected, HELD_OUTS, a, HELD_INNER, 1, work.w, 8 * HELD_INNER, HELD_OUTS, HELD_INNER);
        kern_hold(t);
        t->gemm[KERN_WORD_64](y, HELD_OUTS, a, HELD_INNER, 1, work.w, 8 * HELD_INNER, HELD_OUTS, HELD_INNER);
        assert_memory_not_equal(y, expected, sizeof y);
        kern_settle(t);
        assert_memory_equal(y, expected, sizeof y);
        kern_device_forget(device, &placed);
        close_device(&device, true);
    }
}

/* Each call of CUDA's failing while products are under way: the CPU makes them anew. */
static void test_held_fail(void **state)
{
    (void)state;
    static struct held_work work;
    struct rng rng = {89};
    rng_words(&rng, work.w, HELD_OUTS * HELD_INNER);
    long fault = 0;
    for (bool failed = true; failed; fault += 1 + fault / 12) {
        struct kern_device *device = open_device(WORK_BYTES);
        struct kern_placed *placed;
        struct base_error error = {0};
        assert_int_equal(kern_device_place(device, &placed, KERN_WORD_64, work.w, 8 * HELD_INNER, HELD_OUTS, HELD_INNER, false, NULL), BASE_OK);
        kern_cuda_fault_at(fault);
        run_held(&work, &rng, kern_device_table(device), fault % 2 == 0);
        failed = kern_cuda_calls() > fault;
        assert_int_equal(kern_device_failure(device, &error), failed ? BASE_ERR_IO : BASE_OK);
        kern_device_close(&device);
        assert_int_equal(kern_emulator_alive(), 0);
    }
    assert_true(fault > 300);
    kern_cuda_fault_at(-1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_growing), cmocka_unit_test(test_held), cmocka_unit_test(test_held_fail)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
