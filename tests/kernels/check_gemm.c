/* Products against sums of 128-bit products, at sizes around the vector width, with odd strides and addresses. */
#include "tests/kernels/support.h"

/* A byte buffer seen as words at any address: what the slots are promised to accept. */
static uint64_t *unaligned(uint8_t *bytes)
{
    return (uint64_t *)(void *)bytes;
}

static uint64_t word_at(const uint64_t *words, size_t i)
{
    return kern_load64((const uint8_t *)words + 8 * i);
}

static uint64_t reference(const uint64_t *a, const uint64_t *w, size_t inner)
{
    unsigned __int128 sum = 0;
    for (size_t i = 0; i < inner; i++)
        sum += (unsigned __int128)word_at(a, i) * word_at(w, i);
    return (uint64_t)sum;
}

static const int word_bits[KERN_WORDS] = {[KERN_WORD_64] = 64, [KERN_WORD_48] = 48, [KERN_WORD_32] = 32};

static uint64_t element(const uint8_t *bytes, size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++)
        value |= (uint64_t)bytes[i] << 8 * i;
    return value;
}

struct size_case {
    size_t rows, outs, inner;
};

struct operands {
    enum kern_word word;
    size_t rows, outs, inner, a_stride, w_stride, y_stride, offset, a_size; /* w_stride in bytes */
    uint8_t *a, *w; /* guarded, exactly as long as promised */
    size_t a_bytes, w_bytes;
};

/* `extreme`: all ones, the operand on which a lost carry between parts of a word shows. */
static void make_operands(struct operands *ret, struct rng *rng, const struct size_case *size, enum kern_word word, bool extreme)
{
    size_t row = size->inner * kern_word_bytes(word);
    *ret = (struct operands){.word = word, .rows = size->rows, .outs = size->outs, .inner = size->inner};
    ret->a_size = word == KERN_WORD_32 ? 4 : 8;
    ret->a_stride = size->inner + rng_below(rng, 5);
    ret->w_stride = row + rng_below(rng, 40);
    ret->y_stride = size->outs + rng_below(rng, 3);
    ret->offset = rng_below(rng, 3) ? 0 : rng_below(rng, 64);
    ret->a_bytes = ret->a_size * ((size->rows - 1) * ret->a_stride + size->inner);
    ret->w_bytes = (size->outs - 1) * ret->w_stride + row;
    ret->a = guard_alloc(ret->a_bytes, ret->offset);
    ret->w = guard_alloc(ret->w_bytes, ret->offset);
    rng_bytes(rng, ret->a, ret->a_bytes);
    rng_bytes(rng, ret->w, ret->w_bytes);
    if (extreme) {
        memset(ret->a, 0xff, ret->a_bytes);
        memset(ret->w, 0xff, ret->w_bytes);
    }
}

static void free_operands(struct operands *op)
{
    guard_free(op->a, op->a_bytes, op->offset);
    guard_free(op->w, op->w_bytes, op->offset);
}

static uint64_t expected(const struct operands *op, size_t r, size_t o)
{
    size_t size = kern_word_bytes(op->word);
    unsigned __int128 sum = 0;
    for (size_t i = 0; i < op->inner; i++)
        sum += (unsigned __int128)element(op->a + op->a_size * (r * op->a_stride + i), op->a_size) *
               element(op->w + o * op->w_stride + size * i, size);
    return (uint64_t)sum & kern_ring_mask(word_bits[op->word]);
}

static void check_size(struct rng *rng, const struct size_case *size, enum kern_word word, bool extreme)
{
    const struct kern_table *tables[KERN_LEVEL_COUNT];
    size_t levels = all_tables(tables);
    struct operands op;
    make_operands(&op, rng, size, word, extreme);
    size_t y_words = (size->rows - 1) * op.y_stride + size->outs;
    for (size_t t = 0; t < levels; t++) {
        uint64_t *y = guard_alloc(8 * y_words, 8);
        tables[t]->gemm[word](y, op.y_stride, op.a, op.a_stride, op.rows, op.w, op.w_stride, op.outs, op.inner);
        for (size_t i = 0; i < y_words; i++) {
            size_t r = i / op.y_stride, o = i % op.y_stride;
            /* between rows: untouched */
            assert_int_equal(y[i], o < op.outs ? expected(&op, r, o) : UINT64_C(0xc5c5c5c5c5c5c5c5));
        }
        guard_free(y, 8 * y_words, 8);
    }
    free_operands(&op);
}

static void check_words(struct rng *rng, const struct size_case *size)
{
    for (int word = 0; word < KERN_WORDS; word++)
        for (int extreme = 0; extreme < 2; extreme++)
            check_size(rng, size, (enum kern_word)word, extreme);
}

static void test_every_small_size(void **state)
{
    (void)state;
    struct rng rng = {31};
    for (size_t rows = 1; rows <= 9; rows++)
        for (size_t outs = 1; outs <= 9; outs++)
            for (size_t inner = 1; inner <= 35; inner += 1 + rng_below(&rng, 3)) {
                struct size_case size = {rows, outs, inner};
                check_words(&rng, &size);
            }
}

static void test_large_sizes(void **state)
{
    (void)state;
    struct rng rng = {32};
    static const struct size_case sizes[] = {{1, 192, 576},  {1, 33, 1536}, {16, 17, 1031}, {33, 20, 300},
                                             {17, 70, 129},  {64, 9, 257},  {2, 50, 2049},  {5, 5, 4096},
                                             {1, 3, 10000}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        check_words(&rng, &sizes[i]);
}

/* All ones is the operand on which a lost carry between 32-bit halves shows. */
static void test_extreme_words(void **state)
{
    (void)state;
    const struct kern_table *tables[KERN_LEVEL_COUNT];
    size_t levels = all_tables(tables);
    static const uint64_t values[] = {0, 1, UINT32_MAX, UINT64_C(1) << 32, UINT64_C(1) << 63, UINT64_MAX};
    uint64_t a[40], w[40], y;
    for (size_t i = 0; i < 36; i++)
        for (size_t t = 0; t < levels; t++) {
            for (size_t j = 0; j < 40; j++) {
                a[j] = values[i / 6];
                w[j] = values[i % 6];
            }
            uint64_t product = values[i / 6] * values[i % 6];
            tables[t]->gemm[KERN_WORD_64](&y, 1, a, 40, 1, w, sizeof w, 1, 40);
            assert_int_equal(y, 40 * product);
            assert_int_equal(tables[t]->dot(a, w, 39), 39 * product);
        }
}

static void test_dot(void **state)
{
    (void)state;
    struct rng rng = {33};
    const struct kern_table *tables[KERN_LEVEL_COUNT];
    size_t levels = all_tables(tables);
    for (size_t n = 0; n < 200; n++) {
        size_t offset = rng_below(&rng, 64);
        uint8_t *a = guard_alloc(8 * n, offset), *b = guard_alloc(8 * n, 0);
        rng_bytes(&rng, a, 8 * n);
        rng_bytes(&rng, b, 8 * n);
        uint64_t expected = reference(unaligned(a), unaligned(b), n);
        for (size_t t = 0; t < levels; t++)
            assert_int_equal(tables[t]->dot(unaligned(a), unaligned(b), n), expected);
        guard_free(a, 8 * n, offset);
        guard_free(b, 8 * n, 0);
    }
}

static void test_combine32(void **state)
{
    (void)state;
    struct rng rng = {36};
    const struct kern_table *tables[KERN_LEVEL_COUNT];
    size_t levels = all_tables(tables);
    for (size_t width = 1; width <= 70; width += 1 + rng_below(&rng, 4))
        for (size_t count = 1; count <= 11; count++) {
            size_t rows = 1 + rng_below(&rng, 3), stride = count + rng_below(&rng, 3);
            uint32_t *a = guard_alloc(4 * rows * stride, 0), *w = guard_alloc(4 * count * width, 4 * rng_below(&rng, 16));
            size_t offset = (uintptr_t)w % 64;
            rng_bytes(&rng, (uint8_t *)a, 4 * rows * stride);
            rng_bytes(&rng, (uint8_t *)w, 4 * count * width);
            for (size_t t = 0; t < levels; t++) {
                uint32_t *y = guard_alloc(4 * rows * width, 4);
                for (size_t i = 0; i < rows * width; i++)
                    y[i] = (uint32_t)i * 77;
                tables[t]->combine32(y, a, stride, rows, w, width, count);
                for (size_t i = 0; i < rows * width; i++) {
                    uint64_t sum = i * 77;
                    for (size_t v = 0; v < count; v++)
                        sum += (uint64_t)a[i / width * stride + v] * w[v * width + i % width];
                    assert_int_equal(y[i], (uint32_t)sum);
                }
                guard_free(y, 4 * rows * width, 4);
            }
            guard_free(a, 4 * rows * stride, 0);
            guard_free(w, 4 * count * width, offset);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_small_size), cmocka_unit_test(test_large_sizes),
        cmocka_unit_test(test_extreme_words),    cmocka_unit_test(test_dot),
        cmocka_unit_test(test_combine32),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
