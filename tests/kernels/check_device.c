/* The interface of an accelerator over the emulated device: every way of multiplying, placed matrices, gates in one go, what it refuses, what it
 * leaves in memory, and every call of CUDA failing in turn. */
#include "tests/kernels/device_work.h"
#include "kernels/cuda/faults.h"
#include "kernels/gather.h"
#include "kernels/limb/limb.h"
#include "kernels/threads.h"
#include "tests/kernels/emulated_device.h"

enum { WORK_BYTES = 64 << 20, SMALL_WORK_BYTES = 2 << 20, FAULT_WORK_BYTES = 4 << 20 };

/* ---- names and refusals ---- */

static void expect_refusal(const char *name, enum base_status code, const char *words)
{
    struct kern_device_options options = {0};
    struct kern_device *device = NULL;
    struct base_error error = {0};
    assert_int_equal(kern_device_open(&device, name, &options, &error), code);
    assert_null(device);
    assert_non_null(strstr(error.text, words));
}

static void test_refusals(void **state)
{
    (void)state;
    struct kern_device_options options = {.work_bytes = WORK_BYTES, .crossover = &always};
    struct kern_device *device = open_device(WORK_BYTES), *second = NULL;
    struct kern_placed *placed = NULL;
    struct base_error error = {0}, memory = {0}, shape = {0};
    static const char *const no_names[] = {"", "gpu", "cuda", "cuda:", "cuda:x", "cuda:-1", "cuda:0x", "cuda:0 ", "cuda:99999", "CUDA:0"};
    for (size_t i = 0; i < sizeof no_names / sizeof *no_names; i++)
        expect_refusal(no_names[i], BASE_ERR_ARGUMENT, "cuda:");
    assert_int_equal(kern_device_open_backend(&second, kern_emulated_backend(), 0, &options, &error), BASE_ERR_ARGUMENT);
    assert_non_null(strstr(error.text, "open already"));
    uint64_t *huge = must_alloc(1 << 20, 8);
    kern_emulator_limit(WORK_BYTES + (1 << 20));
    assert_int_equal(kern_device_place(device, &placed, KERN_WORD_64, huge, 8 << 10, 1 << 10, 1 << 10, false, &memory), BASE_ERR_MEMORY);
    assert_non_null(strstr(memory.text, "1024 rows of 1024 elements, 8 MiB"));
    kern_emulator_limit((size_t)4 << 30);
    assert_int_equal(kern_device_place(device, &placed, KERN_WORD_64, huge, 8, 3, 2, false, &shape), BASE_ERR_ARGUMENT);
    free(huge);
    struct device_work *work = device_work_make(); /* which is used on */
    device_work_run(work, kern_device_table(device));
    device_work_free(work);
    close_device(&device, true);
    kern_emulator_limit(1 << 20);
    struct base_error room = {0};
    assert_int_equal(kern_device_open_backend(&device, kern_emulated_backend(), 0, &options, &room), BASE_ERR_MEMORY);
    assert_non_null(strstr(room.text, "a work area of 64 MiB"));
    assert_int_equal(kern_emulator_alive(), 0);
    kern_emulator_limit((size_t)4 << 30);
}

/* Without a device, the table of one that was closed runs on the CPU. */
static void test_after_close(void **state)
{
    (void)state;
    struct kern_device *device = open_device(WORK_BYTES);
    const struct kern_table *table = kern_device_table(device);
    struct device_work *work = device_work_make();
    close_device(&device, true);
    device_work_run(work, table);
    device_work_free(work);
}

/* ---- products ---- */

static void check_product(const struct kern_backend *backend, void *handle, struct rng *rng, enum kern_word word, size_t rows, size_t outs,
                          size_t inner, int placing)
{
    size_t a_size = word == KERN_WORD_32 ? 4 : 8, a_stride = inner + rng_below(rng, 3), first = placing ? rng_below(rng, 20) : 0;
    size_t w_stride = inner * kern_word_bytes(word) + rng_below(rng, 9), all = outs + first + (placing ? 3 : 0);
    uint8_t *a = must_alloc(rows * a_stride, a_size), *w = must_alloc(all, w_stride);
    uint64_t *y = must_alloc(rows * (outs + 1), 8), *expected = must_alloc(rows * (outs + 1), 8), least = 0 - UINT64_C(0x8080808080808080);
    rng_bytes(rng, a, rows * a_stride * a_size);
    rng_bytes(rng, w, all * w_stride);
    for (size_t i = 0; i < inner && inner > 1000; i++) { /* where sums are longest, all limbs are -128 */
        memcpy(a + i * a_size, &least, a_size);
        memcpy(w + first * w_stride + i * kern_word_bytes(word), &least, kern_word_bytes(word));
    }
    struct kern_product job = {.word = word, .y = y, .y_stride = outs + 1, .a = a, .a_stride = a_stride, .rows = rows, .w = w, .w_stride = w_stride,
                               .outs = all, .inner = inner};
    if (placing)
        assert_int_equal(backend->place(handle, &job.placed, &job, placing == 2, NULL), BASE_OK);
    job.first = first;
    job.w = w + first * w_stride;
    job.outs = outs;
    kern_table_select(0)->gemm[word](expected, outs + 1, a, a_stride, rows, job.w, w_stride, outs, inner);
    assert_int_equal(backend->gemm(handle, &job, NULL), BASE_OK);
    assert_memory_equal(y, expected, 8 * rows * (outs + 1));
    if (placing)
        backend->forget(handle, job.placed);
    free(a);
    free(w);
    free(y);
    free(expected);
}

static void test_ways(void **state)
{
    (void)state;
    static const size_t sizes[][3] = {{5, 3, 17}, {16, 130, 64}, {70, 9, 300}, {130, 140, 129}, {1, 300, 700}, {4, 5, 1031}};
    const struct kern_backend *backend = kern_emulated_backend();
    struct rng rng = {81};
    void *handle;
    assert_int_equal(backend->open(&handle, 0, WORK_BYTES, NULL), BASE_OK);
    for (int way = 0; way < backend->ways; way++) {
        assert_true(backend->way_offered(handle, way));
        backend->choose(handle, way);
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            for (int word = 0; word < KERN_WORDS; word++)
                check_product(backend, handle, &rng, (enum kern_word)word, sizes[i][0], sizes[i][1], sizes[i][2], (int)(i + (size_t)word) % 3);
    }
    backend->close(handle);
    assert_int_equal(kern_emulator_alive(), 0);
}

/* Rows on both sides of where sums of 32 bits are exact, and of where kernels fold them. */
static void test_long_rows(void **state)
{
    (void)state;
    const struct kern_backend *backend = kern_emulated_backend();
    struct rng rng = {82};
    void *handle;
    assert_int_equal(backend->open(&handle, 0, WORK_BYTES, NULL), BASE_OK);
    for (int way = 0; way < backend->ways; way++) {
        backend->choose(handle, way);
        check_product(backend, handle, &rng, KERN_WORD_64, 5, 2, kern_limb_max_inner(KERN_WORD_64), 0);
        check_product(backend, handle, &rng, KERN_WORD_64, 5, 2, kern_limb_max_inner(KERN_WORD_64) + 1, 0);
        check_product(backend, handle, &rng, KERN_WORD_48, 5, 2, kern_limb_max_inner(KERN_WORD_48), 0);
        check_product(backend, handle, &rng, KERN_WORD_32, 5, 2, 65537, 0);
    }
    backend->close(handle);
}

/* A work area that holds a part of the outs, of the keys and of the stream at a time. */
static void test_parts(void **state)
{
    (void)state;
    const struct kern_backend *backend = kern_emulated_backend();
    struct rng rng = {83};
    void *handle;
    assert_int_equal(backend->open(&handle, 0, SMALL_WORK_BYTES, NULL), BASE_OK);
    for (int way = -1; way < backend->ways; way += 2)
        for (int word = 0; word < KERN_WORDS; word++) {
            backend->choose(handle, way);
            check_product(backend, handle, &rng, (enum kern_word)word, way < 0 ? 3 : 6, 900, 1100, 0);
        }
    check_product(backend, handle, &rng, KERN_WORD_32, 600, 20, 40, 0); /* more rows than go at once */
    struct kern_product too_long = {.word = KERN_WORD_64, .rows = 1, .outs = 1, .inner = SMALL_WORK_BYTES, .a_stride = SMALL_WORK_BYTES};
    assert_int_equal(backend->gemm(handle, &too_long, NULL), BASE_ERR_SUPPORT);
    backend->close(handle);
    assert_int_equal(kern_emulator_alive(), 0);
}

static void test_placed(void **state)
{
    (void)state;
    struct kern_device *device = open_device(WORK_BYTES);
    struct device_work *work = device_work_make();
    struct kern_placed *placed[KERN_WORDS];
    for (int limbs = 0; limbs < 2; limbs++) {
        for (int word = 0; word < KERN_WORDS; word++) {
            size_t stride, outs, inner;
            const uint8_t *w = device_work_matrix(work, (enum kern_word)word, &stride, &outs, &inner);
            assert_int_equal(kern_device_place(device, &placed[word], (enum kern_word)word, w, stride, outs, inner, limbs, NULL), BASE_OK);
        }
        device_work_run(work, kern_device_table(device));
        for (int word = 0; word < KERN_WORDS; word++)
            kern_device_forget(device, &placed[word]);
    }
    device_work_free(work);
    close_device(&device, true);
}

/* That products read the copy on the device: after a change of the host's words, which callers must not make, the old ones count. */
static void test_placed_is_a_copy(void **state)
{
    (void)state;
    struct kern_device *device = open_device(WORK_BYTES);
    struct kern_placed *placed;
    uint64_t w[40], a[20], y[2];
    for (size_t i = 0; i < 40; i++)
        w[i] = 1 + i / 20;
    for (size_t i = 0; i < 20; i++)
        a[i] = 3;
    assert_int_equal(kern_device_place(device, &placed, KERN_WORD_64, w, 160, 2, 20, false, NULL), BASE_OK);
    memset(w, 0, sizeof w);
    kern_device_table(device)->gemm[KERN_WORD_64](y, 2, a, 20, 1, w, 160, 2, 20);
    assert_int_equal(y[0], 60);
    assert_int_equal(y[1], 120);
    kern_device_table(device)->gemm[KERN_WORD_64](y, 1, a, 20, 1, w + 20, 160, 1, 20); /* its second row */
    assert_int_equal(y[0], 120);
    kern_device_gemm(device, placed, y, 2, a, 20, 1);
    assert_int_equal(y[0], 60);
    kern_device_forget(device, &placed);
    kern_device_table(device)->gemm[KERN_WORD_64](y, 2, a, 20, 1, w, 160, 2, 20);
    assert_int_equal(y[0], 0);
    close_device(&device, true);
}

/* Threads take turns; what one holds is its own, and the others' products are there at once. */
enum { MANY = 1200, LONG = 64, PIECE = 30 };
struct threads_work {
    const struct kern_table *t;
    uint64_t w[MANY * LONG], a[LONG], y[MANY], expected[MANY];
};

static void multiply_range(void *context, size_t first, size_t end)
{
    struct threads_work *work = context;
    bool holds = first % 2 == 0;
    if (holds)
        kern_hold(work->t);
    for (size_t at = first * PIECE; at < end * PIECE; at += PIECE) {
        work->t->gemm[KERN_WORD_64](work->y + at, PIECE, work->a, LONG, 1, work->w + at * LONG, 8 * LONG, PIECE, LONG);
        if (!holds)
            assert_memory_equal(work->y + at, work->expected + at, 8 * PIECE);
    }
    if (holds)
        kern_settle(work->t);
}

static void test_threads(void **state)
{
    (void)state;
    static struct threads_work work;
    struct kern_device *device = open_device(WORK_BYTES);
    struct kern_placed *placed;
    struct rng rng = {84};
    work.t = kern_device_table(device);
    rng_words(&rng, work.w, MANY * LONG);
    rng_words(&rng, work.a, LONG);
    kern_table_select(0)->gemm[KERN_WORD_64](work.expected, MANY, work.a, LONG, 1, work.w, 8 * LONG, MANY, LONG);
    assert_int_equal(kern_device_place(device, &placed, KERN_WORD_64, work.w, 8 * LONG, MANY, LONG, KERN_PLACE_WORDS, NULL), BASE_OK);
    kern_set_threads(4);
    kern_gemm_over_threads(work.t, KERN_WORD_64, work.y, MANY, work.a, LONG, 1, work.w, 8 * LONG, MANY, LONG); /* in one piece */
    assert_int_equal(kern_device_counts(device).on_device, 1);
    assert_memory_equal(work.y, work.expected, sizeof work.y);
    memset(work.y, 0, sizeof work.y);
    kern_over_threads(MANY / PIECE, 1, multiply_range, &work);
    kern_set_threads(1);
    assert_memory_equal(work.y, work.expected, sizeof work.y);
    kern_device_forget(device, &placed);
    close_device(&device, true);
}

/* ---- gates in one go ---- */

static void test_gates(void **state)
{
    (void)state;
    struct rng rng = {85};
    const struct kern_table *scalar = kern_table_select(0);
    enum { KEYS = 700, BITS = 7, CELLS = 1 << BITS, SHIFT = 3, GROUPS = 6 };
    struct kern_device *device = open_device(SMALL_WORK_BYTES); /* some 300 keys at a time */
    struct kern_dpf_shape shape = random_shape(&rng, BITS, 0, GROUPS);
    struct dpf_case keys;
    dpf_case_init(&keys, &rng, &shape, KEYS);
    dpf_case_generate(&keys, scalar);
    uint64_t *table = must_alloc(CELLS << SHIFT, 8), *m = must_alloc(KEYS, 8), *out = must_alloc(KEYS * GROUPS, 8), hot[4 * GROUPS * CELLS];
    uint8_t *scratch = must_alloc(1, kern_dpf_scratch(&shape) + 64);
    void *aligned = (void *)(((uintptr_t)scratch + 63) / 64 * 64);
    rng_words(&rng, table, CELLS << SHIFT);
    rng_words(&rng, m, KEYS);
    struct kern_gate_room room = {4, hot, aligned};
    struct kern_gate_keys gate = {&keys.keys, 1, keys.root[1], 2, KEYS - 2, m};
    size_t before = kern_device_counts(device).on_device;
    for (size_t i = 0; i < KEYS; i++)
        m[i] &= (CELLS << SHIFT) - 1;
    for (int placing = 0; placing < 2; placing++) { /* the table, as one row of words */
        struct kern_placed *placed = NULL;
        if (placing)
            assert_int_equal(kern_device_place(device, &placed, KERN_WORD_64, table, 8 * (CELLS << SHIFT), 1, CELLS << SHIFT, false, NULL), BASE_OK);
        memset(out, 0, KEYS * GROUPS * 8);
        kern_grid_sums(kern_device_table(device), &gate, table, SHIFT, out, &room);
        for (size_t i = 0; i < KEYS - 2; i++) {
            scalar->dpf_full(&keys.keys, 1, keys.root[1], 2 + i, 1, hot, aligned);
            for (size_t g = 0; g < GROUPS; g++)
                assert_int_equal(out[i * GROUPS + g], scalar->grid_dot(hot + g * CELLS, table, m[i], BITS, SHIFT));
        }
        if (placing)
            kern_device_forget(device, &placed);
    }
    gate = (struct kern_gate_keys){&keys.keys, 0, keys.root[0], 0, KEYS, m};
    kern_segment_sums(kern_device_table(device), &gate, table, SHIFT, out, &room);
    assert_int_equal(kern_device_counts(device).on_device - before, 3);
    for (size_t i = 0; i < KEYS; i++) {
        uint64_t expected[GROUPS / 3];
        const uint64_t *c0 = table + (CELLS - (m[i] >> SHIFT)), *const c[3] = {c0, c0 + 2 * CELLS, c0 + 4 * CELLS};
        scalar->dpf_full(&keys.keys, 0, keys.root[0], i, 1, hot, aligned);
        scalar->segment_dot(expected, hot, c, m[i] & ((1 << SHIFT) - 1), CELLS, GROUPS / 3);
        assert_memory_equal(out + i * (GROUPS / 3), expected, sizeof expected);
    }
    free(table);
    free(m);
    free(out);
    free(scratch);
    dpf_case_finish(&keys);
    close_device(&device, true);
}

/* ---- what stays in memory ---- */

static void test_nothing_stays(void **state)
{
    (void)state;
    static uint64_t secret[64], y[1], w[64];
    struct kern_device *device = open_device(WORK_BYTES);
    struct kern_placed *placed;
    void *host = NULL;
    struct rng rng = {86};
    rng_words(&rng, secret, 64);
    kern_emulator_forbid(secret + 8, 16);
    kern_device_table(device)->gemm[KERN_WORD_64](y, 1, secret, 64, 1, w, 512, 1, 64);
    assert_false(kern_emulator_holds(secret + 8, 16));
    kern_device_table(device)->round_shift(w, secret, 64, 64, 0);
    assert_memory_equal(w, secret, sizeof w);
    assert_false(kern_emulator_holds(secret + 8, 16));
    assert_int_equal(kern_device_place(device, &placed, KERN_WORD_64, secret, 64, 8, 8, true, NULL), BASE_OK);
    assert_true(kern_emulator_holds(secret + 8, 16));
    kern_device_forget(device, &placed); /* freed: see kern_emulator_forbid */
    assert_int_equal(kern_device_host_alloc(device, &host, sizeof secret, NULL), BASE_OK);
    memcpy(host, secret, sizeof secret);
    assert_true(kern_emulator_holds(secret + 8, 16));
    kern_device_table(device)->round_shift(w, host, 64, 64, 0); /* without staging */
    assert_memory_equal(w, secret, sizeof w);
    kern_device_host_free(device, &host);
    assert_null(host);
    assert_int_equal(kern_device_place(device, &placed, KERN_WORD_64, secret, 64, 8, 8, true, NULL), BASE_OK);
    close_device(&device, true); /* with the matrix in place */
    kern_emulator_forbid(NULL, 0);
}

/* ---- crossovers ---- */

static void test_crossovers(void **state)
{
    (void)state;
    struct kern_crossover never;
    struct kern_device *device = NULL;
    struct kern_device_options options = {.work_bytes = WORK_BYTES, .crossover = &never};
    struct device_work *work = device_work_make();
    memset(&never, 0xff, sizeof never);
    assert_int_equal(kern_device_open_backend(&device, kern_emulated_backend(), 0, &options, NULL), BASE_OK);
    device_work_run(work, kern_device_table(device));
    assert_int_equal(kern_device_counts(device).on_device, 0);
    close_device(&device, false);
    options.crossover = NULL; /* measured: emulation loses everywhere, and the calls stay on the CPU */
    assert_int_equal(kern_device_open_backend(&device, kern_emulated_backend(), 0, &options, NULL), BASE_OK);
    for (int word = 0; word < KERN_WORDS; word++)
        assert_true(kern_device_crossover(device)->gemm[word][1] > 1 << 20);
    device_work_run(work, kern_device_table(device));
    assert_non_null(strstr(kern_device_text(device), "emulated device, compute capability 9.0"));
    close_device(&device, false);
    device_work_free(work);
}

/* ---- failures ---- */

static void count_report(void *context, const char *text)
{
    assert_non_null(strstr(text, "device: "));
    ++*(int *)context;
}

/* All the work while call `fault` of CUDA's fails; true when there are fewer calls than that. */
static bool survive(struct device_work *work, long fault, bool allow_fallback)
{
    struct kern_device *device = NULL;
    struct base_error error = {0}, failure = {0};
    int reports = 0;
    struct kern_device_options options = {.work_bytes = FAULT_WORK_BYTES, .crossover = &always, .allow_fallback = allow_fallback,
                                          .report = count_report, .context = &reports};
    size_t stride, outs, inner;
    const uint8_t *w = device_work_matrix(work, KERN_WORD_48, &stride, &outs, &inner);
    struct kern_placed *placed = NULL;
    kern_cuda_fault_at(fault);
    enum base_status status = kern_device_open_backend(&device, kern_emulated_backend(), 0, &options, &error);
    assert_true((status == BASE_OK) == (device != NULL));
    assert_true(status == BASE_OK || (error.code == status && error.text[0] != 0));
    if (device == NULL) {
        assert_int_equal(kern_emulator_alive(), 0);
        return false;
    }
    assert_int_equal(kern_device_place(device, &placed, KERN_WORD_48, w, stride, outs, inner, true, &error), BASE_OK);
    device_work_run(work, kern_device_table(device));
    status = kern_device_failure(device, &failure);
    size_t on_cpu = kern_device_counts(device).on_cpu;
    bool failed = on_cpu > 0 || status != BASE_OK || reports > 0;
    assert_int_equal(reports, failed ? 1 : 0);
    assert_int_equal(status != BASE_OK, failed && !allow_fallback);
    assert_true(status == BASE_OK || strstr(failure.text, "failed") != NULL);
    long calls = kern_cuda_calls();
    kern_device_close(&device);
    assert_int_equal(kern_emulator_alive(), 0);
    return calls <= fault;
}

static void test_every_call_fails(void **state)
{
    (void)state;
    struct device_work *work = device_work_make();
    long fault = 0;
    while (!survive(work, fault, fault % 2))
        fault++;
    assert_true(fault > 200);
    print_message("%ld calls of CUDA failed in turn\n", fault);
    assert_true(survive(work, fault + 1000, false));
    kern_cuda_fault_at(-1);
    device_work_free(work);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),      cmocka_unit_test(test_after_close), cmocka_unit_test(test_ways),
        cmocka_unit_test(test_long_rows),     cmocka_unit_test(test_parts),       cmocka_unit_test(test_placed),
        cmocka_unit_test(test_placed_is_a_copy), cmocka_unit_test(test_threads),  cmocka_unit_test(test_gates),
        cmocka_unit_test(test_nothing_stays), cmocka_unit_test(test_crossovers),  cmocka_unit_test(test_every_call_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
