#include "tests/kernels/device_work.h"

#include "base/exact.h"

enum { OUTS = 37, INNER = 75, ROWS = 6, COUNT = 150, KEYS = 6, BITS = 5, K = 12, WIDTH = 9, LIMBS = 3, UNITS = 3, LOG_PERIOD = 5 };

/* What the slots give. */
struct results {
    uint64_t y[KERN_WORDS][2][ROWS * OUTS], dot, words[COUNT], unpacked[COUNT], added[COUNT], shifted[COUNT], grid, segment, turned[COUNT];
    uint64_t powers[COUNT], full[KEYS * 3 << BITS], point[3 * KEYS], compared[2 * KEYS * 2];
    uint32_t combined[2 * WIDTH];
    uint8_t stream[777], packed[COUNT * 5], hashed[16 * KEYS], less[KEYS], bit_seeds[KEYS * (K - 7) * 16], bits[KEYS * 2], bit_blocks[KEYS * 16];
    uint64_t dpf_final[KEYS * 3], dcf_values[KEYS * 2 * (K + 1)];
    uint8_t dpf_seeds[KEYS * BITS * 16], dpf_bits[KEYS * 2], dcf_seeds[KEYS * K * 16], dcf_bits[KEYS * 3];
};

struct device_work {
    uint8_t w[OUTS * INNER * 8];
    uint64_t a[ROWS * INNER], words[16 * COUNT], m[COUNT];
    int32_t quarter[(1 << (LOG_PERIOD - 2)) + 1];
    struct base_exact_power factor[1 << UNITS];
    struct dpf_case dpf;
    struct dcf_case dcf;
    struct results expected, got;
};

struct device_work *device_work_make(void)
{
    struct device_work *work = must_alloc(1, sizeof *work);
    struct rng rng = {71};
    struct kern_dpf_shape dpf = {BITS, 0, 3, {64, 33, 48}}, dcf = {K, 0, 2, {64, 20}};
    rng_bytes(&rng, work->w, sizeof work->w);
    rng_words(&rng, work->a, ROWS * INNER);
    rng_words(&rng, work->words, 16 * COUNT);
    for (size_t i = 0; i < COUNT; i++)
        work->m[i] = rng_below(&rng, 2 << UNITS);
    for (size_t i = 0; i < sizeof work->quarter / sizeof *work->quarter; i++)
        work->quarter[i] = (int32_t)rng_below(&rng, 1 << 30);
    for (size_t i = 0; i < 1 << UNITS; i++)
        work->factor[i] = (struct base_exact_power){(uint32_t)rng_next(&rng), 1 + (uint32_t)rng_below(&rng, 64 * LIMBS)};
    dpf_case_init(&work->dpf, &rng, &dpf, KEYS);
    dcf_case_init(&work->dcf, &rng, &dcf, KEYS);
    return work;
}

void device_work_free(struct device_work *work)
{
    dpf_case_finish(&work->dpf);
    dcf_case_finish(&work->dcf);
    free(work);
}

const uint8_t *device_work_matrix(const struct device_work *work, enum kern_word word, size_t *ret_stride, size_t *ret_outs, size_t *ret_inner)
{
    *ret_stride = INNER * kern_word_bytes(word);
    *ret_outs = OUTS;
    *ret_inner = INNER;
    return work->w;
}

static void products(struct device_work *work, const struct kern_table *t, struct results *r)
{
    for (int word = 0; word < KERN_WORDS; word++) {
        size_t stride = INNER * kern_word_bytes((enum kern_word)word);
        t->gemm[word](r->y[word][0], OUTS, work->a, INNER, ROWS, work->w, stride, OUTS, INNER);
        t->gemm[word](r->y[word][1], OUTS, work->a, INNER, 2, work->w + 5 * stride, stride, OUTS - 7, INNER);
    }
    r->dot = t->dot(work->a, work->words, COUNT);
    memcpy(r->combined, work->words, sizeof r->combined);
    t->combine32(r->combined, (const uint32_t *)(const void *)work->a, 70, 2, (const uint32_t *)(const void *)work->w, WIDTH, 66);
}

static void elements(struct device_work *work, const struct kern_table *t, struct results *r)
{
    struct kern_aes_key key;
    kern_aes_expand(&key, work->w);
    t->prg_fill(&key, 5, 7, r->stream, sizeof r->stream);
    t->prg_words(&key, 6, r->words, COUNT, 41);
    t->pack_bits(r->packed, work->words, COUNT, 40);
    t->unpack_bits(r->unpacked, work->w, COUNT, 61);
    memcpy(r->added, work->words, sizeof r->added);
    t->unpack_add(r->added, work->w, COUNT, 33);
    memcpy(r->shifted, work->words, sizeof r->shifted);
    t->round_shift(r->shifted, r->shifted, COUNT, 50, 9);
}

static void gates(struct device_work *work, const struct kern_table *t, struct results *r)
{
    const uint64_t *c[3] = {work->words, work->words + 40, work->words + 80};
    struct kern_turn turn = {work->quarter, LOG_PERIOD, 3, 11, 4, 2};
    r->grid = t->grid_dot(work->a, work->words, 1234567, 4, 3);
    t->segment_dot(&r->segment, work->a, c, 99, 33, 1);
    memcpy(r->turned, work->words, sizeof r->turned);
    t->turn_add(r->turned, work->a, work->m, COUNT, &turn);
    t->power_words(r->powers, work->words, 2 * COUNT, LIMBS, work->m, COUNT, work->factor, UNITS);
}

/* Key words go to the results, and evaluation reads them there. */
static void keys(struct device_work *work, const struct kern_table *t, struct results *r)
{
    struct kern_dpf_keys dpf = work->dpf.keys;
    struct kern_dcf_keys dcf = work->dcf.keys;
    uint8_t *scratch = guard_alloc(kern_dpf_scratch(&dpf.shape), 0);
    uint64_t x[2 * KEYS];
    for (size_t i = 0; i < 2 * KEYS; i++)
        x[i] = work->dcf.alpha[i / 2] ^ (i & 1);
    dpf.seed_words = r->dpf_seeds;
    dpf.bit_words = r->dpf_bits;
    dpf.final_words = r->dpf_final;
    t->dpf_generate(&dpf, work->dpf.alpha, work->dpf.beta, work->dpf.root[0], work->dpf.root[1]);
    t->dpf_full(&dpf, 1, work->dpf.root[1], 1, KEYS - 1, r->full, scratch);
    t->dpf_point(&dpf, 0, work->dpf.root[0], work->dpf.alpha, r->point);
    dcf.seed_words = r->dcf_seeds;
    dcf.bit_words = r->dcf_bits;
    dcf.value_words = r->dcf_values;
    t->dcf_generate(&dcf, work->dcf.alpha, work->dcf.beta, work->dcf.root[0], work->dcf.root[1]);
    t->dcf_eval(&dcf, 1, work->dcf.root[1], x, 2, r->compared);
    memcpy(r->hashed, work->w, sizeof r->hashed);
    t->hash_tweaked(r->hashed, r->hashed, KEYS, 3, 5, 7); /* in place, as round_shift */
    t->bit_generate(K, KEYS, work->dcf.alpha, work->dcf.root[0], work->dcf.root[1], r->bit_seeds, r->bits, r->bit_blocks);
    t->bit_less(K, KEYS, 0, work->dcf.root[0], r->bit_seeds, r->bits, r->bit_blocks, x, r->less);
    free(scratch - CANARY);
}

static void run(struct device_work *work, const struct kern_table *table, struct results *ret)
{
    memset(ret, 0, sizeof *ret);
    products(work, table, ret);
    elements(work, table, ret);
    gates(work, table, ret);
    keys(work, table, ret);
}

void device_work_run(struct device_work *work, const struct kern_table *table)
{
    run(work, kern_table_select(0), &work->expected);
    run(work, table, &work->got);
    assert_memory_equal(&work->got, &work->expected, sizeof work->got);
}
