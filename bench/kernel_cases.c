#include "bench/kernel_cases.h"

#include "base/memory.h"
#include "bench/kernel_bounds.h"
#include "kernels/threads.h"

#include <string.h>

enum { ROW_WORDS = 4096, TILE_ROWS = 64, TILE_OUTS = 512, STREAM_BYTES = 1 << 16, WIRE_WORDS = 1 << 16, GATE_WORDS = 1 << 12, COMBINED_ROWS = 1 << 18 };

/* The gates evaluate a few keys at a time into the same memory. */
enum { ROWS_BATCH = 4, ONE_BATCH = 16 };

/* ---- bounds ---- */

static void run_read(struct bench_memory *m, const struct kern_table *table)
{
    m->sink += bench_read(m->big, BENCH_BIG_BYTES / 8);
}

static void run_evp(struct bench_memory *m, const struct kern_table *table)
{
    for (int i = 0; i < 16; i++)
        m->sink += bench_evp((uint8_t *)m->y, STREAM_BYTES, m->roots);
}

static void run_multiply_64(struct bench_memory *m, const struct kern_table *table)
{
    m->sink += bench_multiply(table->level, KERN_WORD_64, m->sink);
}

static void run_multiply_32(struct bench_memory *m, const struct kern_table *table)
{
    m->sink += bench_multiply(table->level, KERN_WORD_32, m->sink);
}

/* ---- products ---- */

/* One row against as much of `big` as whole rows of `inner` words fill; rows of 576 and 1536 interleaved pairs, and of 576 masks. */
#define ROW_OUTS(inner, bytes) (BENCH_BIG_BYTES / ((size_t)(inner) * (bytes)))

static void row(struct bench_memory *m, const struct kern_table *table, enum kern_word word, size_t inner)
{
    size_t bytes = kern_word_bytes(word);
    kern_gemm_over_threads(table, word, m->y, BENCH_SMALL_WORDS, m->a, inner, 1, m->big, inner * bytes, ROW_OUTS(inner, bytes), inner);
}

static void tile(struct bench_memory *m, const struct kern_table *table, enum kern_word word, size_t inner)
{
    kern_gemm_over_threads(table, word, m->y, TILE_OUTS, m->a, inner, TILE_ROWS, m->big, inner * kern_word_bytes(word), TILE_OUTS, inner);
}

#define GEMM_CASES(bits)                                                                                               \
    static void run_gemm##bits##_row_576(struct bench_memory *m, const struct kern_table *table)                      \
    {                                                                                                                  \
        row(m, table, KERN_WORD_##bits, 576);                                                                          \
    }                                                                                                                  \
    static void run_gemm##bits##_row_1152(struct bench_memory *m, const struct kern_table *table)                     \
    {                                                                                                                  \
        row(m, table, KERN_WORD_##bits, 1152);                                                                         \
    }                                                                                                                  \
    static void run_gemm##bits##_row_3072(struct bench_memory *m, const struct kern_table *table)                     \
    {                                                                                                                  \
        row(m, table, KERN_WORD_##bits, 3072);                                                                         \
    }                                                                                                                  \
    static void run_gemm##bits##_tile_1152(struct bench_memory *m, const struct kern_table *table)                    \
    {                                                                                                                  \
        tile(m, table, KERN_WORD_##bits, 1152);                                                                        \
    }

GEMM_CASES(64)
GEMM_CASES(48)
GEMM_CASES(32)

static void run_combine32(struct bench_memory *m, const struct kern_table *table)
{
    table->combine32((uint32_t *)m->y, (const uint32_t *)m->a, COMBINED_ROWS, 1, (const uint32_t *)m->big, 576, COMBINED_ROWS);
}

static void run_dot(struct bench_memory *m, const struct kern_table *table)
{
    m->sink += table->dot(m->a, m->b, ROW_WORDS);
}

static void run_grid_dot_0(struct bench_memory *m, const struct kern_table *table)
{
    m->sink += table->grid_dot(m->a, m->b, m->sink, 8, 0);
}

static void run_grid_dot_4(struct bench_memory *m, const struct kern_table *table)
{
    m->sink += table->grid_dot(m->a, m->b, m->sink, 8, 4);
}

static void run_segment_dot(struct bench_memory *m, const struct kern_table *table)
{
    const uint64_t *c[3] = {m->b + 77, m->b + 512 + 77, m->b + 1024 + 77};
    for (size_t i = 0; i < ROWS_BATCH; i++)
        table->segment_dot(m->y, m->a + i * 9 * 256, c, m->sink + i, 256, 3);
}

static void run_turn_add(struct bench_memory *m, const struct kern_table *table)
{
    struct kern_turn turn = {(const int32_t *)m->b, 19, 7, 1 << 17, 12, 2};
    table->turn_add(m->y, m->a, m->b, GATE_WORDS, &turn);
}

/* Masked words of a power: two limbs, 2^16 factors. */
static void prepare_powers(struct bench_memory *m, const struct kern_table *best)
{
    struct base_exact_power *factor = (struct base_exact_power *)m->words;
    for (size_t i = 0; i < BENCH_KEYS * 8; i++)
        factor[i] = (struct base_exact_power){(uint32_t)(m->b[i] >> 50) | 1 << 14, 14 + (uint32_t)(m->a[i] >> 58)};
    for (size_t i = 0; i < BENCH_KEYS; i++)
        m->points[i] = m->a[i] >> 47;
}

static void run_power_words(struct bench_memory *m, const struct kern_table *table)
{
    table->power_words(m->y, m->a, 2 * GATE_WORDS, 2, m->points, GATE_WORDS, (const struct base_exact_power *)m->words, 16);
}

/* ---- streams and wire words ---- */

static void run_prg_fill(struct bench_memory *m, const struct kern_table *table)
{
    for (uint64_t i = 0; i < 16; i++)
        table->prg_fill(&m->key, i, 0, (uint8_t *)m->y, STREAM_BYTES);
}

static void run_hash_tweaked(struct bench_memory *m, const struct kern_table *table)
{
    table->hash_tweaked((uint8_t *)m->y, (const uint8_t *)m->big, STREAM_BYTES / 16, 0, 1, 0);
}

static void run_prg_words(struct bench_memory *m, const struct kern_table *table)
{
    table->prg_words(&m->key, 1, m->y, STREAM_BYTES / 8, 40);
}

static void run_pack(struct bench_memory *m, const struct kern_table *table)
{
    table->pack_bits((uint8_t *)m->y, m->a, WIRE_WORDS, 40);
}

static void run_unpack(struct bench_memory *m, const struct kern_table *table)
{
    table->unpack_bits(m->y, (const uint8_t *)m->a, WIRE_WORDS, 40);
}

static void run_unpack_add(struct bench_memory *m, const struct kern_table *table)
{
    table->unpack_add(m->y, (const uint8_t *)m->a, WIRE_WORDS, 27);
}

static void run_round_shift(struct bench_memory *m, const struct kern_table *table)
{
    table->round_shift(m->y, m->a, WIRE_WORDS, 60, 12);
}

/* ---- keys ---- */

static const struct kern_dpf_shape rows_shape = {8, 0, 9, {64, 64, 64, 64, 64, 64, 16, 16, 16}};
static const struct kern_dpf_shape one_4 = {4, 2, 1, {64}}, one_5 = {5, 2, 1, {64}};
static const struct kern_dpf_shape one_6 = {6, 2, 1, {64}}, one_8 = {8, 2, 1, {64}};
static const struct kern_dpf_shape wide_shape = {11, 2, 1, {64}}, point_shape = {20, 2, 1, {64}};
static const struct kern_dpf_shape compare_shape = {30, 0, 2, {64, 64}};

enum { ROWS_KEYS = 300, ONE_KEYS = 5000, WIDE_KEYS = 50, POINT_KEYS = 4096, COMPARE_KEYS = 100, MANY_POINTS = 500 };

/* AES blocks of one key: two for each inner node, `blocks` for each leaf. */
#define FULL_BLOCKS(levels, blocks) (2.0 * ((1 << (levels)) - 1) + (double)(blocks) * (1 << (levels)))

static struct kern_dpf_keys dpf_keys(const struct bench_memory *m, const struct kern_dpf_shape *shape, size_t count)
{
    return (struct kern_dpf_keys){*shape, count, m->seed_words, m->bit_words, m->words};
}

static struct kern_dcf_keys dcf_keys(const struct bench_memory *m, size_t count)
{
    return (struct kern_dcf_keys){compare_shape, count, m->seed_words, m->bit_words, m->words};
}

static void points_below(struct bench_memory *m, int domain_bits)
{
    for (size_t i = 0; i < BENCH_KEYS; i++) {
        m->alpha[i] = m->b[i] >> (64 - domain_bits);
        m->points[i] = m->a[i] >> (64 - domain_bits);
    }
}

static void full(struct bench_memory *m, const struct kern_table *table, const struct kern_dpf_shape *shape, size_t count)
{
    struct kern_dpf_keys keys = dpf_keys(m, shape, count);
    table->dpf_full(&keys, 1, m->roots, 0, count, m->y, m->scratch);
}

static void full_in_batches(struct bench_memory *m, const struct kern_table *table, const struct kern_dpf_shape *shape,
                            size_t count, size_t batch)
{
    struct kern_dpf_keys keys = dpf_keys(m, shape, count);
    for (size_t first = 0; first < count; first += batch)
        table->dpf_full(&keys, 1, m->roots, first, count - first < batch ? count - first : batch, m->y, m->scratch);
}

static void run_gate_rows(struct bench_memory *m, const struct kern_table *table)
{
    full_in_batches(m, table, &rows_shape, ROWS_KEYS, ROWS_BATCH);
}

static void run_gate_one(struct bench_memory *m, const struct kern_table *table)
{
    full_in_batches(m, table, &one_5, ONE_KEYS, ONE_BATCH);
}

static void run_full_rows(struct bench_memory *m, const struct kern_table *table)
{
    full(m, table, &rows_shape, ROWS_KEYS);
}

static void run_full_4(struct bench_memory *m, const struct kern_table *table)
{
    full(m, table, &one_4, ONE_KEYS);
}

static void run_full_6(struct bench_memory *m, const struct kern_table *table)
{
    full(m, table, &one_6, ONE_KEYS);
}

static void run_full_8(struct bench_memory *m, const struct kern_table *table)
{
    full(m, table, &one_8, ONE_KEYS);
}

static void run_full_11(struct bench_memory *m, const struct kern_table *table)
{
    full(m, table, &wide_shape, WIDE_KEYS);
}

static void prepare_rows(struct bench_memory *m, const struct kern_table *table)
{
    points_below(m, rows_shape.domain_bits);
}

static void run_rows_generate(struct bench_memory *m, const struct kern_table *table)
{
    struct kern_dpf_keys keys = dpf_keys(m, &rows_shape, ROWS_KEYS);
    table->dpf_generate(&keys, m->alpha, m->b, m->roots, m->roots + 16 * BENCH_KEYS);
}

static void prepare_point(struct bench_memory *m, const struct kern_table *table)
{
    points_below(m, point_shape.domain_bits);
}

static void run_dpf_generate(struct bench_memory *m, const struct kern_table *table)
{
    struct kern_dpf_keys keys = dpf_keys(m, &point_shape, POINT_KEYS);
    table->dpf_generate(&keys, m->alpha, m->b, m->roots, m->roots + 16 * BENCH_KEYS);
}

static void run_dpf_point(struct bench_memory *m, const struct kern_table *table)
{
    struct kern_dpf_keys keys = dpf_keys(m, &point_shape, POINT_KEYS);
    table->dpf_point(&keys, 1, m->roots, m->points, m->y);
}

static void prepare_bit(struct bench_memory *m, const struct kern_table *table)
{
    points_below(m, 30);
}

static void run_bit_generate(struct bench_memory *m, const struct kern_table *table)
{
    table->bit_generate(30, POINT_KEYS, m->alpha, m->roots, m->roots + 16 * BENCH_KEYS, m->seed_words, m->bit_words,
                        (uint8_t *)m->words);
}

static void run_bit_less(struct bench_memory *m, const struct kern_table *table)
{
    table->bit_less(30, POINT_KEYS, 1, m->roots, m->seed_words, m->bit_words, (const uint8_t *)m->words, m->points,
                    (uint8_t *)m->y);
}

static void run_dcf_generate(struct bench_memory *m, const struct kern_table *table)
{
    struct kern_dcf_keys keys = dcf_keys(m, COMPARE_KEYS);
    table->dcf_generate(&keys, m->alpha, m->b, m->roots, m->roots + 16 * BENCH_KEYS);
}

static void run_dcf_many(struct bench_memory *m, const struct kern_table *table)
{
    struct kern_dcf_keys keys = dcf_keys(m, 4);
    table->dcf_eval(&keys, 1, m->roots, m->points, MANY_POINTS, m->y);
}

static void run_dcf_few(struct bench_memory *m, const struct kern_table *table)
{
    struct kern_dcf_keys keys = dcf_keys(m, COMPARE_KEYS);
    table->dcf_eval(&keys, 1, m->roots, m->points, 5, m->y);
}

static void prepare_near(struct bench_memory *m, const struct kern_table *table)
{
    points_below(m, 30);
    for (size_t i = 0; i < BENCH_KEYS; i++)
        m->points[i] = m->points[i] >> 10 | UINT64_C(5) << 20;
}

/* A bound that follows from the level is measured at each level; `threads`: also with as many threads as were asked for. */
static const struct bench_kernel_case cases[] = {
    {"read", "byte", BENCH_BIG_BYTES, .bound = NULL, .once = true, .threads = true, .run = run_read},
    {"evp_aes128_ctr", "byte", 16.0 * STREAM_BYTES, .bound = NULL, .once = true, .run = run_evp},
    {"multiply_64", "mac", BENCH_MULTIPLIES, .bound = NULL, .cpu = true, .run = run_multiply_64},
    {"multiply_32", "mac", BENCH_MULTIPLIES, .bound = NULL, .cpu = true, .run = run_multiply_32},
    {"gemm64_row_576", "byte", 8.0 * 576 * ROW_OUTS(576, 8), .bound = "read", .threads = true, .word = KERN_WORD_64, .inner = 576, .run = run_gemm64_row_576},
    {"gemm64_row_1152", "byte", 8.0 * 1152 * ROW_OUTS(1152, 8), .bound = "read", .threads = true, .word = KERN_WORD_64, .inner = 1152, .run = run_gemm64_row_1152},
    {"gemm64_row_3072", "byte", 8.0 * 3072 * ROW_OUTS(3072, 8), .bound = "read", .threads = true, .word = KERN_WORD_64, .inner = 3072, .run = run_gemm64_row_3072},
    {"gemm48_row_576", "byte", 6.0 * 576 * ROW_OUTS(576, 6), .bound = "read", .threads = true, .word = KERN_WORD_48, .inner = 576, .run = run_gemm48_row_576},
    {"gemm48_row_1152", "byte", 6.0 * 1152 * ROW_OUTS(1152, 6), .bound = "read", .threads = true, .word = KERN_WORD_48, .inner = 1152, .run = run_gemm48_row_1152},
    {"gemm48_row_3072", "byte", 6.0 * 3072 * ROW_OUTS(3072, 6), .bound = "read", .threads = true, .word = KERN_WORD_48, .inner = 3072, .run = run_gemm48_row_3072},
    {"gemm32_row_576", "byte", 4.0 * 576 * ROW_OUTS(576, 4), .bound = "read", .threads = true, .word = KERN_WORD_32, .inner = 576, .run = run_gemm32_row_576},
    {"gemm32_row_1152", "byte", 4.0 * 1152 * ROW_OUTS(1152, 4), .bound = "read", .threads = true, .word = KERN_WORD_32, .inner = 1152, .run = run_gemm32_row_1152},
    {"gemm32_row_3072", "byte", 4.0 * 3072 * ROW_OUTS(3072, 4), .bound = "read", .threads = true, .word = KERN_WORD_32, .inner = 3072, .run = run_gemm32_row_3072},
    {"gemm64_64x1152x512", "mac", 1.0 * TILE_ROWS * TILE_OUTS * 1152, .bound = "multiply_64", .threads = true, .word = KERN_WORD_64, .inner = 1152, .run = run_gemm64_tile_1152},
    {"gemm48_64x1152x512", "mac", 1.0 * TILE_ROWS * TILE_OUTS * 1152, .bound = "multiply_64", .threads = true, .word = KERN_WORD_48, .inner = 1152, .run = run_gemm48_tile_1152},
    {"gemm32_64x1152x512", "mac", 1.0 * TILE_ROWS * TILE_OUTS * 1152, .bound = "multiply_32", .threads = true, .word = KERN_WORD_32, .inner = 1152, .run = run_gemm32_tile_1152},
    {"combine32_576", "byte", 4.0 * 576 * COMBINED_ROWS, .bound = "read", .word = KERN_WORD_32, .inner = 576, .run = run_combine32},
    {"dot_4096", "mac", ROW_WORDS, .bound = "multiply_64", .run = run_dot},
    {"grid_dot_8_0", "mac", 256, .bound = "multiply_64", .run = run_grid_dot_0},
    {"grid_dot_8_4", "mac", 256, .bound = "multiply_64", .run = run_grid_dot_4},
    {"segment_dot_8_3", "mac", ROWS_BATCH * 9 * 256, .bound = "multiply_64", .run = run_segment_dot},
    {"turn_add", "word", GATE_WORDS, .bound = NULL, .run = run_turn_add},
    {"power_words_2", "word", GATE_WORDS, .bound = NULL, .prepare = prepare_powers, .run = run_power_words},
    {"prg_fill", "byte", 16.0 * STREAM_BYTES, .bound = "evp_aes128_ctr", .run = run_prg_fill},
    {"prg_words", "byte", STREAM_BYTES, .bound = "evp_aes128_ctr", .run = run_prg_words},
    {"pack_bits_40", "word", WIRE_WORDS, .bound = NULL, .run = run_pack},
    {"unpack_bits_40", "word", WIRE_WORDS, .bound = NULL, .run = run_unpack},
    {"unpack_add_27", "word", WIRE_WORDS, .bound = NULL, .run = run_unpack_add},
    {"round_shift", "word", WIRE_WORDS, .bound = NULL, .run = run_round_shift},
    {"dpf_full_8_nu0_g9", "block", ROWS_KEYS *FULL_BLOCKS(8, 5), .bound = "prg_fill", .run = run_full_rows},
    {"dpf_full_8_nu0_g9_gate", "block", ROWS_KEYS *FULL_BLOCKS(8, 5), .bound = "prg_fill", .run = run_gate_rows},
    {"dpf_full_5_nu2_g1_gate", "block", ONE_KEYS *FULL_BLOCKS(3, 2), .bound = "prg_fill", .run = run_gate_one},
    {"dpf_full_4_nu2_g1", "block", ONE_KEYS *FULL_BLOCKS(2, 2), .bound = "prg_fill", .run = run_full_4},
    {"dpf_full_6_nu2_g1", "block", ONE_KEYS *FULL_BLOCKS(4, 2), .bound = "prg_fill", .run = run_full_6},
    {"dpf_full_8_nu2_g1", "block", ONE_KEYS *FULL_BLOCKS(6, 2), .bound = "prg_fill", .run = run_full_8},
    {"dpf_full_11_nu2_g1", "block", WIDE_KEYS *FULL_BLOCKS(9, 2), .bound = "prg_fill", .run = run_full_11},
    {"dpf_generate_8_nu0_g9", "block", ROWS_KEYS *(4.0 * 8 + 10), .bound = "prg_fill", .prepare = prepare_rows, .run = run_rows_generate},
    {"dpf_generate_20", "block", POINT_KEYS *(4.0 * 18 + 4), .bound = "prg_fill", .prepare = prepare_point, .run = run_dpf_generate},
    {"dpf_point_20", "block", POINT_KEYS * 19.0, .bound = "prg_fill", .prepare = prepare_point, .run = run_dpf_point},
    {"bit_generate_30", "block", POINT_KEYS *(4.0 * 23 + 2), .bound = "prg_fill", .prepare = prepare_bit, .run = run_bit_generate},
    {"bit_less_30", "block", POINT_KEYS *(2.0 * 23 + 1), .bound = "prg_fill", .prepare = prepare_bit, .run = run_bit_less},
    {"dcf_generate_30_g2", "block", COMPARE_KEYS *(8.0 * 30 + 2), .bound = "prg_fill", .prepare = prepare_bit, .run = run_dcf_generate},
    {"dcf_eval_30_g2_4x500", "block", 4 * MANY_POINTS *(2.0 * 30 + 1), .bound = "prg_fill", .prepare = prepare_bit, .run = run_dcf_many},
    {"dcf_eval_30_g2_near", "block", 4 * MANY_POINTS *(2.0 * 30 + 1), .bound = "prg_fill", .prepare = prepare_near, .run = run_dcf_many},
    {"dcf_eval_30_g2_100x5", "block", COMPARE_KEYS * 5 * (2.0 * 30 + 1), .bound = "prg_fill", .prepare = prepare_bit, .run = run_dcf_few},
    {"hash_tweaked", "block", STREAM_BYTES / 16, .bound = "prg_fill", .run = run_hash_tweaked},
};

const struct bench_kernel_case *bench_kernel_cases(size_t *ret_count)
{
    *ret_count = sizeof cases / sizeof *cases;
    return cases;
}

enum base_status bench_memory_init(struct bench_memory *ret, struct base_error *error)
{
    static const uint8_t key[16] = {7};
    struct bench_memory m = {0};
    enum base_status status;
    TRY(base_alloc(&m.big, BENCH_BIG_BYTES, 1, error));
    TRY(base_alloc(&m.a, BENCH_SMALL_WORDS, 8, error));
    TRY(base_alloc(&m.b, BENCH_SMALL_WORDS, 8, error));
    TRY(base_alloc(&m.y, BENCH_SMALL_WORDS, 8, error));
    TRY(base_alloc(&m.seed_words, BENCH_SEED_BYTES, 1, error));
    TRY(base_alloc(&m.bit_words, BENCH_KEYS, 8, error));
    TRY(base_alloc(&m.roots, 2 * BENCH_KEYS, 16, error));
    TRY(base_alloc(&m.words, BENCH_KEYS, 9 * 8, error));
    TRY(base_alloc(&m.alpha, BENCH_KEYS, 8, error));
    TRY(base_alloc(&m.points, BENCH_KEYS, 8, error));
    TRY(base_alloc(&m.scratch, kern_dpf_scratch(&wide_shape), 1, error));
    kern_aes_expand(&m.key, key);
    const struct kern_table *best = kern_table_select(~0u);
    best->prg_fill(&m.key, 0, 0, (uint8_t *)m.big, BENCH_BIG_BYTES);
    best->prg_words(&m.key, 1, m.a, BENCH_SMALL_WORDS, 64);
    best->prg_words(&m.key, 2, m.b, BENCH_SMALL_WORDS, 64);
    best->prg_fill(&m.key, 3, 0, m.roots, 2 * BENCH_KEYS * 16);
    best->prg_fill(&m.key, 4, 0, m.seed_words, BENCH_SEED_BYTES);
    best->prg_fill(&m.key, 5, 0, m.bit_words, BENCH_KEYS * 8);
    *ret = m;
    return BASE_OK;
out:
    bench_memory_finish(&m);
    return status;
}

void bench_memory_finish(struct bench_memory *memory)
{
    base_free(&memory->big);
    base_free(&memory->a);
    base_free(&memory->b);
    base_free(&memory->y);
    base_free(&memory->seed_words);
    base_free(&memory->bit_words);
    base_free(&memory->roots);
    base_free(&memory->words);
    base_free(&memory->alpha);
    base_free(&memory->points);
    base_free(&memory->scratch);
}
