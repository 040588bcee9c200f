/* Every slot of the kernel table, at every level that memcheck knows (AVX-512 it does not): operands, keys, seeds, points alpha and
 * payloads are secret; shapes, the points where a key is read and the tables read there are public. */
#include "base/random.h"
#include "kernels/kern.h"
#include "tests/constant_time/leaks.h"
#include "tests/constant_time/secret.h"

#include <stdlib.h>

struct rng {
    uint64_t state;
};

static uint64_t next(struct rng *rng)
{
    return base_random_next(&rng->state);
}

static void *allocate(size_t size)
{
    void *memory = aligned_alloc(64, (size + 64) / 64 * 64);
    if (memory == NULL)
        abort();
    return memory;
}

/* Random words below 2^bits. */
static uint64_t *public_words(struct rng *rng, size_t count, int bits)
{
    uint64_t *words = allocate(count * sizeof *words);
    for (size_t i = 0; i < count; i++)
        words[i] = next(rng) & kern_ring_mask(bits);
    return words;
}

static uint64_t *secret_words(struct rng *rng, size_t count, int bits)
{
    uint64_t *words = public_words(rng, count, bits);
    make_secret(words, count * sizeof *words);
    return words;
}

static uint8_t *secret_bytes(struct rng *rng, size_t size)
{
    return (uint8_t *)secret_words(rng, size / 8 + 1, 64);
}

/* An output, public until a slot writes to it. */
static void *result(size_t size)
{
    void *memory = allocate(size);
    memset(memory, 0, size);
    return memory;
}

static void free_all(void *const *memory, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(memory[i]);
}

static bool all_well;

/* A result that stayed public was not computed from the secrets, or they were lost on the way: then nothing was checked. */
static void expect_secret(const void *memory, size_t size)
{
    if (is_secret(memory, size))
        return;
    (void)printf("  a result does not depend on the secrets\n");
    all_well = false;
}

/* --- products ------------------------------------------------------------------------------------------------------------- */

/* Rows, outs, inner: one row and tiles, short and long rows, with tails. */
static const size_t products[][3] = {{1, 9, 40}, {1, 6, 1601}, {5, 7, 37}, {34, 18, 19}};

static void run_gemm(const struct kern_table *t, struct rng *rng)
{
    for (size_t i = 0; i < sizeof products / sizeof *products; i++)
        for (int word = 0; word < KERN_WORDS; word++) {
            size_t rows = products[i][0], outs = products[i][1], inner = products[i][2];
            uint64_t *a = secret_words(rng, rows * inner, 64), *w = secret_words(rng, outs * inner, 64), *y = result(rows * outs * 8);
            t->gemm[word](y, outs, a, inner, rows, w, inner * kern_word_bytes((enum kern_word)word), outs, inner);
            for (size_t j = 0; j < rows * outs; j++)
                expect_secret(&y[j], word == KERN_WORD_64 ? 8 : word == KERN_WORD_48 ? 6 : 4);
            free_all((void *[]){a, w, y}, 3);
        }
}

static void run_dot(const struct kern_table *t, struct rng *rng)
{
    for (size_t count = 1; count < 80; count += 13) {
        uint64_t *a = secret_words(rng, count, 64), *b = secret_words(rng, count, 64), sum = t->dot(a, b, count);
        expect_secret(&sum, sizeof sum);
        free(a);
        free(b);
    }
}

static void run_grid_dot(const struct kern_table *t, struct rng *rng)
{
    for (int h = 1; h <= 9; h += 4)
        for (int s = 0; s <= 6; s += 3) {
            uint64_t *hot = secret_words(rng, (size_t)1 << h, 64), *table = public_words(rng, (size_t)1 << (h + s), 64);
            uint64_t sum = t->grid_dot(hot, table, next(rng) & kern_ring_mask(h + s), h, s);
            expect_secret(&sum, sizeof sum);
            free(hot);
            free(table);
        }
}

static void run_segment_dot(const struct kern_table *t, struct rng *rng)
{
    for (int triples = 1; triples <= KERN_MAX_GROUPS / 3; triples++)
        for (size_t cells = 2; cells <= 256; cells *= 8) {
            uint64_t *hot = secret_words(rng, 3 * (size_t)triples * cells, 64), sum[KERN_MAX_GROUPS / 3] = {0};
            uint64_t *c0 = public_words(rng, cells, 64), *c1 = public_words(rng, cells, 64), *c2 = public_words(rng, cells, 64);
            const uint64_t *const c[3] = {c0, c1, c2};
            t->segment_dot(sum, hot, c, next(rng) & 127, cells, triples);
            for (int i = 0; i < triples; i++)
                expect_secret(&sum[i], sizeof sum[i]);
            free_all((void *[]){hot, c0, c1, c2}, 4);
        }
}

static void run_combine32(const struct kern_table *t, struct rng *rng)
{
    for (size_t width = 1; width < 60; width += 13) {
        uint64_t *a = secret_words(rng, 7, 64), *w = secret_words(rng, 7 * width, 64), *y = result(8 * width);
        t->combine32((uint32_t *)y, (const uint32_t *)a, 7, 2, (const uint32_t *)w, width, 7);
        expect_secret(y, 8 * width);
        free_all((void *[]){a, w, y}, 3);
    }
}

static void run_turn_add(const struct kern_table *t, struct rng *rng)
{
    static const int32_t quarter[] = {1 << 30, 992008094, 759250125, 410903207, 0};
    struct kern_turn turn = {quarter, 4, 3, 4, 12, 2};
    uint64_t *word = secret_words(rng, 21, 64), *m = public_words(rng, 21, 64), *share = secret_words(rng, 21, 64);
    t->turn_add(share, word, m, 21, &turn);
    expect_secret(share, 21 * 8);
    free_all((void *[]){word, m, share}, 3);
}

static void run_power_words(const struct kern_table *t, struct rng *rng)
{
    static const struct base_exact_power factor[] = {{16384, 14}, {11585, 15}};
    for (int limbs = 1; limbs <= 3; limbs++) {
        uint64_t *word = secret_words(rng, 42 * (size_t)limbs, 64), *m = public_words(rng, 21, 2), *out = result(21 * 8);
        t->power_words(out, word, 42, limbs, m, 21, factor, 1);
        expect_secret(out, 21 * 8);
        free_all((void *[]){word, m, out}, 3);
    }
}

/* --- keystreams ------------------------------------------------------------------------------------------------------------- */

/* The schedule of a secret key is part of what is checked. */
static struct kern_aes_key secret_key(struct rng *rng)
{
    struct kern_aes_key key;
    uint8_t *bytes = secret_bytes(rng, 16);
    kern_aes_expand(&key, bytes);
    expect_secret(&key, sizeof key);
    free(bytes);
    return key;
}

static void run_prg_fill(const struct kern_table *t, struct rng *rng)
{
    struct kern_aes_key key = secret_key(rng);
    for (size_t size = 1; size < 700; size = 2 * size + 7) {
        uint8_t *out = result(size);
        t->prg_fill(&key, 5, 1, out, size);
        expect_secret(out, size);
        free(out);
    }
}

static void run_prg_words(const struct kern_table *t, struct rng *rng)
{
    struct kern_aes_key key = secret_key(rng);
    for (int ring = 1; ring <= 64; ring += 21) {
        uint64_t *out = result(83 * 8);
        t->prg_words(&key, 5, out, 83, ring);
        expect_secret(out, 83 * 8);
        free(out);
    }
}

static void run_hash_tweaked(const struct kern_table *t, struct rng *rng)
{
    uint8_t *in = secret_bytes(rng, 16 * 83), *out = result(16 * 83);
    t->hash_tweaked(out, in, 83, 7, 1, 3);
    expect_secret(out, 16 * 83);
    free(in);
    free(out);
}

/* --- keys of point and comparison functions ------------------------------------------------------------------------------------- */

enum { FEW_KEYS = 3, MANY_KEYS = 67 }; /* the second is more than one batch of the generators */

struct key_words {
    size_t keys;
    uint8_t *seeds, *bits, *blocks, *root[2];
    uint64_t *values, *alpha, *beta;
};

/* Everything secret; `levels` seed words per key, `values` words in all. */
static struct key_words make_keys(struct rng *rng, size_t keys, int levels, size_t values, int domain_bits, int groups)
{
    struct key_words made = {.keys = keys,
                             .seeds = secret_bytes(rng, keys * (size_t)levels * 16),
                             .bits = secret_bytes(rng, keys * kern_bit_words_size(levels)),
                             .blocks = secret_bytes(rng, keys * 16),
                             .root = {secret_bytes(rng, keys * 16), secret_bytes(rng, keys * 16)},
                             .values = secret_words(rng, values, 64),
                             .alpha = secret_words(rng, keys, domain_bits),
                             .beta = secret_words(rng, keys * (size_t)groups, 64)};
    return made;
}

static void free_keys(struct key_words *made)
{
    free_all((void *[]){made->seeds, made->bits, made->blocks, made->root[0], made->root[1], made->values, made->alpha, made->beta}, 8);
}

/* Payloads as in the gates: one word, several, none of them 64 bits, and as many as there can be. */
static const struct kern_dpf_shape dpf_shapes[] = {
    {5, 1, 1, {64}}, {8, 3, 1, {17}}, {4, 4, 1, {5}}, {6, 0, 6, {64, 64, 64, 48, 48, 48}}, {6, 0, 9, {64, 64, 64, 64, 64, 64, 16, 16, 16}},
};

static const struct kern_dpf_shape dcf_shapes[] = {{9, 0, 1, {64}}, {13, 0, 3, {18, 18, 6}}, {6, 0, 9, {9, 9, 9, 9, 9, 9, 9, 9, 9}}};

static struct kern_dpf_keys dpf_keys(struct rng *rng, const struct kern_dpf_shape *shape, size_t keys, struct key_words *ret)
{
    int levels = shape->domain_bits - shape->nu;
    *ret = make_keys(rng, keys, levels, (keys * (size_t)shape->groups) << shape->nu, shape->domain_bits, shape->groups);
    return (struct kern_dpf_keys){*shape, keys, ret->seeds, ret->bits, ret->values};
}

static struct kern_dcf_keys dcf_keys(struct rng *rng, const struct kern_dpf_shape *shape, size_t keys, struct key_words *ret)
{
    int k = shape->domain_bits;
    *ret = make_keys(rng, keys, k, keys * (size_t)shape->groups * (size_t)(k + 1), k, shape->groups);
    return (struct kern_dcf_keys){*shape, keys, ret->seeds, ret->bits, ret->values};
}

static void run_dpf_generate(const struct kern_table *t, struct rng *rng)
{
    for (size_t i = 0; i < sizeof dpf_shapes / sizeof *dpf_shapes; i++) {
        const struct kern_dpf_shape *shape = &dpf_shapes[i];
        struct key_words made;
        struct kern_dpf_keys keys = dpf_keys(rng, shape, i == 0 ? MANY_KEYS : FEW_KEYS, &made);
        t->dpf_generate(&keys, made.alpha, made.beta, made.root[0], made.root[1]);
        expect_secret(made.values, 8);
        free_keys(&made);
    }
}

static void run_dpf_full(const struct kern_table *t, struct rng *rng)
{
    for (size_t i = 0; i < sizeof dpf_shapes / sizeof *dpf_shapes; i++)
        for (int side = 0; side < 2; side++) {
            const struct kern_dpf_shape *shape = &dpf_shapes[i];
            struct key_words made;
            struct kern_dpf_keys keys = dpf_keys(rng, shape, FEW_KEYS, &made);
            size_t words = (FEW_KEYS * (size_t)shape->groups) << shape->domain_bits;
            uint64_t *out = result(words * 8);
            void *scratch = result(kern_dpf_scratch(shape));
            t->dpf_full(&keys, side, made.root[side], 1, FEW_KEYS - 1, out, scratch);
            expect_secret(out, words * 8);
            free(out);
            free(scratch);
            free_keys(&made);
        }
}

static void run_dpf_point(const struct kern_table *t, struct rng *rng)
{
    for (size_t i = 0; i < sizeof dpf_shapes / sizeof *dpf_shapes; i++)
        for (int side = 0; side < 2; side++) {
            const struct kern_dpf_shape *shape = &dpf_shapes[i];
            struct key_words made;
            struct kern_dpf_keys keys = dpf_keys(rng, shape, MANY_KEYS, &made);
            uint64_t *x = public_words(rng, MANY_KEYS, shape->domain_bits), *out = result(MANY_KEYS * (size_t)shape->groups * 8);
            t->dpf_point(&keys, side, made.root[side], x, out);
            expect_secret(out, MANY_KEYS * (size_t)shape->groups * 8);
            free(x);
            free(out);
            free_keys(&made);
        }
}

static const int bit_domains[] = {3, 7, 8, 19};

static int bit_levels(int k)
{
    return k > 7 ? k - 7 : 0;
}

static void run_bit_generate(const struct kern_table *t, struct rng *rng)
{
    for (size_t i = 0; i < sizeof bit_domains / sizeof *bit_domains; i++) {
        int k = bit_domains[i];
        struct key_words made = make_keys(rng, MANY_KEYS, bit_levels(k), 1, k, 1);
        t->bit_generate(k, MANY_KEYS, made.alpha, made.root[0], made.root[1], made.seeds, made.bits, made.blocks);
        expect_secret(made.blocks, MANY_KEYS * 16);
        free_keys(&made);
    }
}

static void run_bit_less(const struct kern_table *t, struct rng *rng)
{
    for (size_t i = 0; i < sizeof bit_domains / sizeof *bit_domains; i++)
        for (int side = 0; side < 2; side++) {
            int k = bit_domains[i];
            struct key_words made = make_keys(rng, MANY_KEYS, bit_levels(k), 1, k, 1);
            uint64_t *x = public_words(rng, MANY_KEYS, k);
            uint8_t *out = result(MANY_KEYS);
            t->bit_less(k, MANY_KEYS, side, made.root[side], made.seeds, made.bits, made.blocks, x, out);
            expect_secret(out, MANY_KEYS);
            free(x);
            free(out);
            free_keys(&made);
        }
}

static void run_dcf_generate(const struct kern_table *t, struct rng *rng)
{
    for (size_t i = 0; i < sizeof dcf_shapes / sizeof *dcf_shapes; i++) {
        struct key_words made;
        struct kern_dcf_keys keys = dcf_keys(rng, &dcf_shapes[i], i == 0 ? MANY_KEYS : FEW_KEYS, &made);
        t->dcf_generate(&keys, made.alpha, made.beta, made.root[0], made.root[1]);
        expect_secret(made.values, 8);
        free_keys(&made);
    }
}

static void run_dcf_eval(const struct kern_table *t, struct rng *rng)
{
    static const size_t points[] = {1, 2, 21}; /* of many keys side by side, and of one key with shared nodes */
    for (size_t i = 0; i < sizeof dcf_shapes / sizeof *dcf_shapes; i++)
        for (size_t q = 0; q < sizeof points / sizeof *points; q++) {
            const struct kern_dpf_shape *shape = &dcf_shapes[i];
            int side = (int)(i + q) % 2;
            struct key_words made;
            struct kern_dcf_keys keys = dcf_keys(rng, shape, FEW_KEYS, &made);
            size_t words = FEW_KEYS * points[q] * (size_t)shape->groups;
            uint64_t *x = public_words(rng, FEW_KEYS * points[q], shape->domain_bits), *out = result(words * 8);
            t->dcf_eval(&keys, side, made.root[side], x, points[q], out);
            expect_secret(out, words * 8);
            free(x);
            free(out);
            free_keys(&made);
        }
}

/* --- wire words -------------------------------------------------------------------------------------------------------------------- */

static const int rings[] = {1, 7, 20, 33, 57, 58, 64};

static void run_pack_bits(const struct kern_table *t, struct rng *rng)
{
    for (size_t i = 0; i < sizeof rings / sizeof *rings; i++) {
        uint64_t *in = secret_words(rng, 41, 64);
        uint8_t *out = result(41 * 8);
        t->pack_bits(out, in, 41, rings[i]);
        expect_secret(out, 41 * 8);
        free(in);
        free(out);
    }
}

static void unpack(void (*slot)(uint64_t *, const uint8_t *, size_t, int), struct rng *rng)
{
    for (size_t i = 0; i < sizeof rings / sizeof *rings; i++) {
        uint64_t *out = secret_words(rng, 41, rings[i]);
        uint8_t *in = secret_bytes(rng, 41 * 8);
        slot(out, in, 41, rings[i]);
        expect_secret(out, 41 * 8);
        free(in);
        free(out);
    }
}

static void run_unpack_bits(const struct kern_table *t, struct rng *rng)
{
    unpack(t->unpack_bits, rng);
}

static void run_unpack_add(const struct kern_table *t, struct rng *rng)
{
    unpack(t->unpack_add, rng);
}

static void run_round_shift(const struct kern_table *t, struct rng *rng)
{
    for (size_t i = 0; i < sizeof rings / sizeof *rings; i++)
        for (int f = 0; f < rings[i]; f += 6) {
            uint64_t *x = secret_words(rng, 41, 64), *z = result(41 * 8);
            t->round_shift(z, x, 41, rings[i], f);
            expect_secret(z, 41 * 8);
            free(x);
            free(z);
        }
}

/* --- all of them -------------------------------------------------------------------------------------------------------------------- */

static const struct slot {
    const char *name;
    void (*run)(const struct kern_table *t, struct rng *rng);
} slots[] = {
    {"gemm", run_gemm},
    {"combine32", run_combine32},
    {"dot", run_dot},
    {"prg_fill", run_prg_fill},
    {"prg_words", run_prg_words},
    {"hash_tweaked", run_hash_tweaked},
    {"dpf_generate", run_dpf_generate},
    {"dpf_full", run_dpf_full},
    {"dpf_point", run_dpf_point},
    {"bit_generate", run_bit_generate},
    {"bit_less", run_bit_less},
    {"dcf_generate", run_dcf_generate},
    {"dcf_eval", run_dcf_eval},
    {"pack_bits", run_pack_bits},
    {"unpack_bits", run_unpack_bits},
    {"unpack_add", run_unpack_add},
    {"round_shift", run_round_shift},
    {"grid_dot", run_grid_dot},
    {"segment_dot", run_segment_dot},
    {"turn_add", run_turn_add},
    {"power_words", run_power_words},
};

/* A new slot needs a line above; gemm is one for each word. Before them stand two words that are none. */
_Static_assert(sizeof(struct kern_table) == (1 + KERN_WORDS + sizeof slots / sizeof *slots) * sizeof(void (*)(void)), "one case for each slot");

static int check_slots(void)
{
    struct rng rng = {1};
    all_well = true;
    for (int level = 0; level < KERN_LEVEL_COUNT; level++) {
        const struct kern_table *t = kern_table_select(1u << level);
        if ((int)t->level != level) {
            (void)printf("%s: not offered here\n", kern_level_name((enum kern_level)level));
            continue;
        }
        for (size_t i = 0; i < sizeof slots / sizeof *slots; i++) {
            unsigned before = reports();
            slots[i].run(t, &rng);
            if (reports() != before)
                (void)printf("%s %s: %u reports\n", kern_level_name(t->level), slots[i].name, reports() - before);
            all_well = all_well && reports() == before;
        }
        (void)printf("%s: %zu slots\n", kern_level_name(t->level), sizeof slots / sizeof *slots);
    }
    return all_well ? PASSED : FAILED;
}

/* The controls, on the output of a kernel, so that the way of the secrets through it is looked at too. */
static int check_leaks(void)
{
    struct rng rng = {1};
    bool reported = true;
    all_well = true;
    for (int level = 0; level < KERN_LEVEL_COUNT; level++) {
        const struct kern_table *t = kern_table_select(1u << level);
        if ((int)t->level != level)
            continue;
        struct kern_aes_key key = secret_key(&rng);
        uint64_t words[2] = {0}, larger;
        t->prg_words(&key, 5, words, 2, 64);
        reported = leak_is_reported("by a branch", leak_by_branch, &words[0]) && reported;
        reported = leak_is_reported("by an address", leak_by_address, &words[1]) && reported;
        unsigned before = reports();
        select_larger(&words[0], &words[1], &larger);
        all_well = all_well && reports() == before;
        expect_secret(&larger, sizeof larger);
    }
    return reported && all_well ? PASSED : FAILED;
}

int main(int argc, char **argv)
{
    if (!can_watch())
        return SKIPPED;
    return argc > 1 && strcmp(argv[1], "leaks") == 0 ? check_leaks() : check_slots();
}
