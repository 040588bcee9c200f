#include "kernels/timed.h"

#include "base/clock.h"
#include "kernels/gather.h"
#include "kernels/internal.h"

#include <stdbool.h>

enum { MANY_ROWS = 16 };

static struct kern_table timed;
static const struct kern_table *plain;
static _Thread_local struct kern_times times;

static void gemm(enum kern_word word, KERN_GEMM_PARAMETERS)
{
    bool many = rows >= MANY_ROWS;
    double start = base_clock_seconds(), cpu = many ? base_thread_seconds() : 0;
    plain->gemm[word](y, y_stride, a, a_stride, rows, w, w_stride, outs, inner);
    times.seconds += base_clock_seconds() - start;
    if (many) {
        times.gemm_seconds[word] += base_thread_seconds() - cpu;
        times.gemm_products[word] += (double)rows * (double)outs * (double)inner;
    }
}

static void gemm64(KERN_GEMM_PARAMETERS)
{
    gemm(KERN_WORD_64, y, y_stride, a, a_stride, rows, w, w_stride, outs, inner);
}

static void gemm48(KERN_GEMM_PARAMETERS)
{
    gemm(KERN_WORD_48, y, y_stride, a, a_stride, rows, w, w_stride, outs, inner);
}

static void gemm32(KERN_GEMM_PARAMETERS)
{
    gemm(KERN_WORD_32, y, y_stride, a, a_stride, rows, w, w_stride, outs, inner);
}

/* A slot of the same parameters that gives nothing back, and one that gives a sum. */
#define SLOT(name, parameters, arguments)                                                                              \
    static void name parameters                                                                                        \
    {                                                                                                                  \
        double start = base_clock_seconds();                                                                           \
        plain->name arguments;                                                                                         \
        times.seconds += base_clock_seconds() - start;                                                                 \
    }
#define SUM(name, parameters, arguments)                                                                               \
    static uint64_t name parameters                                                                                    \
    {                                                                                                                  \
        double start = base_clock_seconds();                                                                           \
        uint64_t sum = plain->name arguments;                                                                          \
        times.seconds += base_clock_seconds() - start;                                                                 \
        return sum;                                                                                                    \
    }

SLOT(combine32, (uint32_t *y, const uint32_t *a, size_t a_stride, size_t rows, const uint32_t *w, size_t width, size_t count),
     (y, a, a_stride, rows, w, width, count))
SUM(dot, (const uint64_t *a, const uint64_t *b, size_t count), (a, b, count))
SLOT(prg_fill, (const struct kern_aes_key *key, uint64_t counter, uint64_t first_block, uint8_t *out, size_t bytes),
     (key, counter, first_block, out, bytes))
SLOT(prg_words, (const struct kern_aes_key *key, uint64_t counter, uint64_t *out, size_t count, int ring), (key, counter, out, count, ring))
SLOT(hash_tweaked, (uint8_t *out, const uint8_t *in, size_t count, uint64_t low, uint64_t step, uint64_t high),
     (out, in, count, low, step, high))
SLOT(dpf_generate,
     (const struct kern_dpf_keys *keys, const uint64_t *alpha, const uint64_t *beta, const uint8_t *root0, const uint8_t *root1),
     (keys, alpha, beta, root0, root1))
SLOT(dpf_full,
     (const struct kern_dpf_keys *keys, int side, const uint8_t *root, size_t first, size_t count, uint64_t *out, void *scratch),
     (keys, side, root, first, count, out, scratch))
SLOT(dpf_point, (const struct kern_dpf_keys *keys, int side, const uint8_t *root, const uint64_t *x, uint64_t *out),
     (keys, side, root, x, out))
SLOT(bit_generate,
     (int k, size_t n, const uint64_t *alpha, const uint8_t *root0, const uint8_t *root1, uint8_t *seed_words, uint8_t *bit_words,
      uint8_t *block_words),
     (k, n, alpha, root0, root1, seed_words, bit_words, block_words))
SLOT(bit_less,
     (int k, size_t n, int side, const uint8_t *root, const uint8_t *seed_words, const uint8_t *bit_words, const uint8_t *block_words,
      const uint64_t *x, uint8_t *out),
     (k, n, side, root, seed_words, bit_words, block_words, x, out))
SLOT(dcf_generate,
     (const struct kern_dcf_keys *keys, const uint64_t *alpha, const uint64_t *beta, const uint8_t *root0, const uint8_t *root1),
     (keys, alpha, beta, root0, root1))
SLOT(dcf_eval, (const struct kern_dcf_keys *keys, int side, const uint8_t *root, const uint64_t *x, size_t points, uint64_t *out),
     (keys, side, root, x, points, out))
SLOT(pack_bits, (uint8_t *out, const uint64_t *in, size_t count, int ring), (out, in, count, ring))
SLOT(unpack_bits, (uint64_t *out, const uint8_t *in, size_t count, int ring), (out, in, count, ring))
SLOT(unpack_add, (uint64_t *out, const uint8_t *in, size_t count, int ring), (out, in, count, ring))
SLOT(round_shift, (uint64_t *z, const uint64_t *x, size_t count, int ring, int f), (z, x, count, ring, f))
SUM(grid_dot, (const uint64_t *hot, const uint64_t *table, uint64_t m, int h, int s), (hot, table, m, h, s))
SLOT(segment_dot, (uint64_t *ret, const uint64_t *hot, const uint64_t *const c[3], uint64_t j, size_t cells, int triples),
     (ret, hot, c, j, cells, triples))
SLOT(turn_add, (uint64_t *share, const uint64_t *word, const uint64_t *m, size_t n, const struct kern_turn *turn), (share, word, m, n, turn))
SLOT(power_words,
     (uint64_t *out, const uint64_t *words, size_t stride, int limbs, const uint64_t *m, size_t n, const struct base_exact_power *factor,
      int s),
     (out, words, stride, limbs, m, n, factor, s))

/* What an accelerator adds. */
static void hold(void)
{
    plain->more->hold();
}

static void bring(void)
{
    plain->more->bring();
}

static void settle(void)
{
    double start = base_clock_seconds();
    plain->more->settle();
    times.seconds += base_clock_seconds() - start;
}

#define MORE(name, parameters, arguments)                                                                                                     \
    static bool name parameters                                                                                        \
    {                                                                                                                  \
        double start = base_clock_seconds();                                                                           \
        bool done = plain->more->name arguments;                                                                       \
        times.seconds += base_clock_seconds() - start;                                                                 \
        return done;                                                                                                   \
    }
MORE(grid_sums, (const struct kern_gate_keys *gate, const uint64_t *table, int s, uint64_t *out, const struct kern_gate_room *room),
     (gate, table, s, out, room))
MORE(segment_sums, (const struct kern_gate_keys *gate, const uint64_t *c, int s, uint64_t *out, const struct kern_gate_room *room),
     (gate, c, s, out, room))
MORE(dcf_later, (const struct kern_dcf_keys *keys, int side, const uint8_t *root, const uint64_t *x, size_t points, uint64_t *out),
     (keys, side, root, x, points, out))
MORE(words_later, (const struct kern_aes_key *key, uint64_t counter, uint64_t *out, size_t count, int ring), (key, counter, out, count, ring))
MORE(pack_later, (uint8_t *out, const uint64_t *in, size_t count, int ring), (out, in, count, ring))
MORE(unpack_add_later, (uint64_t *out, const uint8_t *in, size_t count, int ring), (out, in, count, ring))

static const struct kern_accelerated accelerated = {hold, settle, bring, grid_sums, segment_sums, dcf_later, words_later, pack_later, unpack_add_later};

const struct kern_table *kern_table_timed(const struct kern_table *table)
{
    plain = table;
    timed = (struct kern_table){.level = table->level,
                                .more = table->more == NULL ? NULL : &accelerated,
                                .gemm = {gemm64, gemm48, gemm32},
                                .combine32 = combine32,
                                .dot = dot,
                                .prg_fill = prg_fill,
                                .prg_words = prg_words,
                                .hash_tweaked = hash_tweaked,
                                .dpf_generate = dpf_generate,
                                .dpf_full = dpf_full,
                                .dpf_point = dpf_point,
                                .bit_generate = bit_generate,
                                .bit_less = bit_less,
                                .dcf_generate = dcf_generate,
                                .dcf_eval = dcf_eval,
                                .pack_bits = pack_bits,
                                .unpack_bits = unpack_bits,
                                .unpack_add = unpack_add,
                                .round_shift = round_shift,
                                .grid_dot = grid_dot,
                                .segment_dot = segment_dot,
                                .turn_add = turn_add,
                                .power_words = power_words};
    return &timed;
}

struct kern_times kern_times(void)
{
    return times;
}
