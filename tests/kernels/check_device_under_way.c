/* What an accelerator has under way together, over the emulated device: products, keystreams in a stream of their own, DCF values, gates and wire words between
 * kern_hold and kern_settle are waited for once, whatever order the device takes streams in; a wait or an event that is left out shows; and each call of
 * CUDA's failing in turn leaves what the CPU gives. */
#include "tests/kernels/support.h"
#include "kernels/cuda/faults.h"
#include "kernels/device.h"
#include "kernels/gather.h"
#include "tests/kernels/emulated_device.h"

enum { WORK_BYTES = 64 << 20, SMALL_WORK_BYTES = 1 << 20, OUTS = 21, INNER = 40, ROWS = 6, WORDS = 500, KEYS = 6, BITS = 5, SHIFT = 2, K = 12, RING = 41 };

struct results {
    uint64_t y[2][ROWS * OUTS], stream[3][WORDS], compared[2 * KEYS * 2], grid[KEYS * 3], segments[KEYS], added[WORDS];
    uint8_t packed[WORDS * 8];
};

struct work {
    uint64_t w[OUTS * INNER], a[ROWS * INNER], words[WORDS], table[6 << (BITS + SHIFT)], m[KEYS], x[2 * KEYS];
    struct kern_aes_key key[2];
    struct dpf_case dpf;
    struct dcf_case dcf;
    struct kern_gate_room room;
    uint64_t hot[2 * 3 << BITS];
    uint8_t *scratch;
    struct results expected, got;
};

static struct work *make_work(void)
{
    struct work *work = must_alloc(1, sizeof *work);
    struct rng rng = {91};
    struct kern_dpf_shape dpf = {BITS, 1, 3, {64, 33, 48}}, dcf = {K, 0, 2, {64, 20}};
    rng_words(&rng, work->w, OUTS * INNER);
    rng_words(&rng, work->a, ROWS * INNER);
    rng_words(&rng, work->words, WORDS);
    rng_words(&rng, work->table, 6 << (BITS + SHIFT));
    for (size_t i = 0; i < 2 * KEYS; i++)
        work->x[i] = rng_below(&rng, 1 << K);
    for (size_t i = 0; i < KEYS; i++)
        work->m[i] = rng_below(&rng, 1 << (BITS + SHIFT));
    for (int i = 0; i < 2; i++)
        kern_aes_expand(&work->key[i], (const uint8_t *)(work->words + 2 * i));
    dpf_case_init(&work->dpf, &rng, &dpf, KEYS);
    dcf_case_init(&work->dcf, &rng, &dcf, KEYS);
    dpf_case_generate(&work->dpf, kern_table_select(0));
    dcf_case_generate(&work->dcf, kern_table_select(0));
    work->scratch = guard_alloc(kern_dpf_scratch(&dpf), 0);
    work->room = (struct kern_gate_room){2, work->hot, work->scratch};
    return work;
}

static void free_work(struct work *work)
{
    dpf_case_finish(&work->dpf);
    dcf_case_finish(&work->dcf);
    free(work->scratch - CANARY);
    free(work);
}

/* Everything that may be under way, some of it twice. Inputs that may go at once are overwritten before the end. */
static void start_all(struct work *work, const struct kern_table *t, struct results *r)
{
    uint64_t a[ROWS * INNER], words[WORDS], m[KEYS], x[2 * KEYS];
    struct kern_dcf_keys dcf = work->dcf.keys;
    memcpy(a, work->a, sizeof a);
    memcpy(words, work->words, sizeof words);
    memcpy(m, work->m, sizeof m);
    memcpy(x, work->x, sizeof x);
    memcpy(r->added, work->words, sizeof r->added);
    struct kern_gate_keys gate = {&work->dpf.keys, 1, work->dpf.root[1], 1, KEYS - 1, m};
    t->gemm[KERN_WORD_64](r->y[0], OUTS, a, INNER, 1, work->w, 8 * INNER, OUTS, INNER);
    kern_words_later(t, &work->key[0], 3, r->stream[0], WORDS, RING);
    kern_words_later(t, &work->key[1], 4, r->stream[1], WORDS - 3, 64);
    kern_dcf_later(t, &dcf, 1, work->dcf.root[1], x, 2, r->compared);
    kern_grid_sums(t, &gate, work->table, SHIFT, r->grid, &work->room);
    t->gemm[KERN_WORD_64](r->y[1], OUTS, a, INNER, ROWS, work->w, 8 * INNER, OUTS, INNER);
    kern_segment_sums(t, &gate, work->table, SHIFT, r->segments, &work->room);
    kern_pack_later(t, r->packed, words, WORDS, RING);
    kern_unpack_add_later(t, r->added, (const uint8_t *)words, WORDS, RING);
    kern_words_later(t, &work->key[0], 5, r->stream[2], 7, 1);
    memset(a, 0x55, sizeof a);
    memset(words, 0x55, sizeof words);
    memset(m, 0, sizeof m);
    memset(x, 0, sizeof x);
}

static void expect(struct work *work)
{
    memset(&work->expected, 0, sizeof work->expected);
    start_all(work, kern_table_select(0), &work->expected);
}

static bool same(const struct work *work)
{
    return memcmp(&work->got, &work->expected, sizeof work->got) == 0;
}

static struct kern_device *open_with(struct work *work, size_t work_bytes, struct kern_placed **ret)
{
    struct kern_device *device = open_device(work_bytes);
    assert_int_equal(kern_device_place(device, ret, KERN_WORD_64, work->w, 8 * INNER, OUTS, INNER, KERN_PLACE_WORDS, NULL), BASE_OK);
    return device;
}

/* Also after a failure, which close_device does not take. */
static void end_with(struct kern_device *device, struct kern_placed **placed)
{
    kern_device_forget(device, placed);
    kern_device_close(&device);
    assert_int_equal(kern_emulator_alive(), 0);
}

static void run_held(struct work *work, struct kern_device *device)
{
    const struct kern_table *t = kern_device_table(device);
    memset(&work->got, 0, sizeof work->got);
    kern_hold(t);
    start_all(work, t, &work->got);
    kern_settle(t);
}

/* One wait for all of it, none of it there before, in either order of streams. */
static void test_one_wait(void **state)
{
    (void)state;
    struct work *work = make_work();
    struct kern_placed *placed;
    expect(work);
    for (int others_first = 0; others_first < 2; others_first++) {
        struct kern_device *device = open_with(work, WORK_BYTES, &placed);
        const struct kern_table *t = kern_device_table(device);
        kern_emulator_order(others_first);
        size_t waits = kern_device_counts(device).waits;
        memset(&work->got, 0, sizeof work->got);
        kern_hold(t);
        start_all(work, t, &work->got);
        assert_int_equal(kern_device_counts(device).waits, waits);
        assert_memory_not_equal(work->got.y[0], work->expected.y[0], sizeof work->got.y[0]);
        assert_memory_not_equal(work->got.stream[1], work->expected.stream[1], sizeof work->got.stream[1]);
        assert_memory_not_equal(work->got.grid, work->expected.grid, sizeof work->got.grid);
        kern_settle(t);
        assert_int_equal(kern_device_counts(device).waits, waits + 1);
        assert_int_equal(kern_device_counts(device).copies, 0);
        assert_true(same(work));
        kern_device_forget(device, &placed);
        close_device(&device, true);
    }
    kern_emulator_order(0);
    free_work(work);
}

/* A slot between takes what is under way along; a hold within a hold waits for what it started, and for nothing else. */
static void test_joined(void **state)
{
    (void)state;
    struct work *work = make_work();
    struct kern_placed *placed;
    struct kern_device *device = open_with(work, WORK_BYTES, &placed);
    const struct kern_table *t = kern_device_table(device);
    uint64_t shifted[WORDS];
    expect(work);
    memset(&work->got, 0, sizeof work->got);
    kern_hold(t);
    start_all(work, t, &work->got);
    size_t waits = kern_device_counts(device).waits;
    kern_hold(t);
    kern_settle(t);
    assert_int_equal(kern_device_counts(device).waits, waits);
    t->round_shift(shifted, work->words, WORDS, 40, 3);
    assert_int_equal(kern_device_counts(device).waits, waits + 1);
    assert_true(same(work));
    kern_settle(t);
    assert_int_equal(kern_device_counts(device).waits, waits + 1);
    assert_int_equal(shifted[7], ((work->words[7] & kern_ring_mask(40)) + 4) >> 3 & kern_ring_mask(37));
    kern_hold(t);
    kern_hold(t);
    kern_words_later(t, &work->key[0], 3, shifted, WORDS, RING);
    kern_settle(t);
    assert_memory_equal(shifted, work->expected.stream[0], sizeof shifted);
    kern_settle(t);
    /* Outside a hold everything is there at once. */
    memset(&work->got, 0, sizeof work->got);
    start_all(work, t, &work->got);
    assert_true(same(work));
    kern_device_forget(device, &placed);
    close_device(&device, true);
    free_work(work);
}

/* More than finds room: work areas, the window and the list of jobs run full, and go on. */
static void test_much(void **state)
{
    (void)state;
    enum { LONG = 20000, STREAMS = 120, LAST = (8 << 20) / 8 - 52 * LONG };
    struct work *work = make_work();
    struct kern_placed *placed;
    uint64_t *streams = must_alloc(STREAMS, LONG * 8), *expected = must_alloc(LONG, 8), *big = must_alloc(1 << 18, 8), *right = must_alloc(1 << 18, 8);
    expect(work);
    for (int small = 0; small < 2; small++) {
        struct kern_device *device = open_with(work, small ? SMALL_WORK_BYTES : WORK_BYTES, &placed);
        const struct kern_table *t = kern_device_table(device);
        kern_hold(t);
        for (size_t i = 0; i < STREAMS; i++)
            kern_words_later(t, &work->key[i % 2], i, streams + i * LONG, LONG, 50);
        for (int i = 0; i < 15; i++)
            start_all(work, t, &work->got);
        kern_settle(t);
        assert_true(same(work));
        for (size_t i = 0; i < STREAMS; i++) {
            kern_table_select(0)->prg_words(&work->key[i % 2], i, expected, LONG, 50);
            assert_memory_equal(streams + i * LONG, expected, LONG * 8);
        }
        /* The window is full to its last piece, and one keystream more. */
        kern_hold(t);
        for (size_t i = 0; i < 54; i++)
            kern_words_later(t, &work->key[0], i, streams + i * LONG, i < 52 ? LONG : i == 52 ? LAST : 7, 50);
        kern_settle(t);
        for (size_t i = 50; i < 54; i++) {
            kern_table_select(0)->prg_words(&work->key[0], i, expected, i < 52 ? LONG : i == 52 ? LAST : 7, 50);
            assert_memory_equal(streams + i * LONG, expected, 8 * (i < 52 ? LONG : i == 52 ? LAST : 7));
        }
        /* Sums that are too long for it. */
        memset(big, 0, 8 << 18);
        memset(right, 0, 8 << 18);
        kern_hold(t);
        kern_unpack_add_later(t, big, (const uint8_t *)streams, 1 << 18, 60);
        kern_settle(t);
        kern_table_select(0)->unpack_add(right, (const uint8_t *)streams, 1 << 18, 60);
        assert_memory_equal(big, right, 8 << 18);
        kern_device_forget(device, &placed);
        close_device(&device, false);
    }
    free(streams);
    free(expected);
    free(big);
    free(right);
    free_work(work);
}

/* What changed of a placed matrix goes there while the party does something else. */
static void test_brought(void **state)
{
    (void)state;
    struct work *work = make_work();
    struct kern_placed *placed;
    uint64_t y[OUTS], expected[OUTS];
    for (long fault = -1; fault < 12; fault++) {
        struct kern_device *device = open_with(work, WORK_BYTES, &placed);
        const struct kern_table *t = kern_device_table(device);
        struct base_error error = {0};
        size_t waits = kern_device_counts(device).waits;
        work->w[3 * INNER + 5] += 77;
        kern_device_changed(device, placed, (struct kern_part){3, 1, 5, 1});
        kern_cuda_fault_at(fault);
        kern_bring(t);
        kern_bring(t);
        assert_true(fault >= 0 || kern_device_counts(device).waits == waits);
        kern_table_select(0)->gemm[KERN_WORD_64](expected, OUTS, work->a, INNER, 1, work->w, 8 * INNER, OUTS, INNER);
        t->gemm[KERN_WORD_64](y, OUTS, work->a, INNER, 1, work->w, 8 * INNER, OUTS, INNER);
        assert_memory_equal(y, expected, sizeof y);
        bool failed = fault >= 0 && kern_cuda_calls() > fault;
        kern_cuda_fault_at(-1);
        assert_int_equal(kern_device_failure(device, &error), failed ? BASE_ERR_IO : BASE_OK);
        assert_true(failed || kern_device_counts(device).waits == waits + 1);
        end_with(device, &placed);
    }
    free_work(work);
}

/* The tests above see a host that does not wait, and a stream that does not wait for the other one. */
static void test_missing_waits_show(void **state)
{
    (void)state;
    struct work *work = make_work();
    struct kern_placed *placed;
    expect(work);
    for (int waits = 1; waits <= 2; waits++) {
        struct kern_device *device = open_with(work, WORK_BYTES, &placed);
        kern_emulator_leave_out(waits);
        run_held(work, device);
        kern_emulator_leave_out(0);
        assert_memory_not_equal(work->got.stream, work->expected.stream, sizeof work->got.stream);
        assert_true(waits == 2 || memcmp(work->got.y, work->expected.y, sizeof work->got.y) != 0);
        end_with(device, &placed);
    }
    free_work(work);
}

static void test_every_call_fails(void **state)
{
    (void)state;
    struct work *work = make_work();
    struct kern_placed *placed;
    expect(work);
    long fault = 0;
    for (bool failed = true; failed; fault++) {
        struct kern_device *device = open_with(work, WORK_BYTES, &placed);
        struct base_error error = {0};
        kern_cuda_fault_at(fault);
        run_held(work, device);
        failed = kern_cuda_calls() > fault;
        kern_cuda_fault_at(-1);
        assert_true(same(work));
        assert_int_equal(kern_device_failure(device, &error), failed ? BASE_ERR_IO : BASE_OK);
        assert_true(!failed || kern_device_counts(device).on_device == 0);
        end_with(device, &placed);
    }
    print_message("%ld calls of CUDA failed in turn\n", fault - 1);
    assert_true(fault > 40);
    free_work(work);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_one_wait), cmocka_unit_test(test_joined), cmocka_unit_test(test_much),
                                       cmocka_unit_test(test_brought), cmocka_unit_test(test_missing_waits_show), cmocka_unit_test(test_every_call_fails)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
