/* What travels looks like fair coins, whatever it is about: every kind of job with constant inputs, and each bit position of each field
 * that a party receives is counted. A position of n words is outside of 7 standard deviations once in 4 10^11: some 6000 positions, 2 10^-8 in
 * all; seeds are fixed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/pair/support.h"

#include "pair/and.h"
#include "pair/bits.h"
#include "pair/choose.h"
#include "pair/gilboa.h"
#include "pair/payload.h"
#include "pair/permutation.h"
#include "pair/point.h"
#include "pair/rlwe.h"
#include "pair/table.h"

enum { N = 1000, H = 4, ALL = 1 << H, COLUMNS = 2, WIDTH = 20, ROWS = 60 };

/* A kernel table per party that looks at what is unpacked. */
struct collector {
    struct kern_table table;
    size_t fields, positions, unfair, words;
    char first[120]; /* the first unfair one */
};

static struct collector collectors[3];

static void collect(struct collector *c, const uint64_t *words, size_t count, int ring)
{
    c->fields++;
    c->words += count;
    for (int bit = 0; bit < ring; bit++) {
        int64_t off = -(int64_t)count;
        for (size_t i = 0; i < count; i++)
            off += 2 * (int64_t)(words[i] >> bit & 1);
        c->positions++;
        if (off * off < 49 * (int64_t)count)
            continue;
        if (c->unfair++ == 0)
            (void)snprintf(c->first, sizeof c->first, "field %zu of %zu words of %d bits, bit %d: off by %lld", c->fields, count, ring, bit,
                           (long long)off);
    }
}

static void unpack_1(uint64_t *out, const uint8_t *in, size_t count, int ring)
{
    kern_table_select(0)->unpack_bits(out, in, count, ring);
    collect(&collectors[1], out, count, ring);
}

static void unpack_2(uint64_t *out, const uint8_t *in, size_t count, int ring)
{
    kern_table_select(0)->unpack_bits(out, in, count, ring);
    collect(&collectors[2], out, count, ring);
}

/* Inputs and results of both; `same` fills all inputs with one word. */
struct constant {
    uint64_t input[N * ALL], index[N];
    uint32_t order[ROWS];
    uint64_t share[3][12][N * ALL];
};

static enum base_status run_jobs(struct pair_party *p, struct constant *c, struct base_error *error)
{
    enum base_status status;
    struct pair_cross cross, scalars, squares;
    struct pair_and and;
    struct pair_point point;
    struct pair_point_keys keys;
    struct pair_table table;
    struct pair_permutation permutation;
    struct pair_factors factors;
    struct pair_bits bits;
    struct pair_choose choose;
    struct pair_job *jobs[] = {&cross.job, &scalars.job, &squares.job, &and.job, &point.job, &table.job, &permutation.job, &factors.job, &bits.job, &choose.job};
    uint64_t(*share)[N * ALL] = c->share[p->id];
    struct pair_point_form points = {.count = N, .h = H, .groups = 2, .rings = {64, 24}};
    struct pair_permutation_form rows = {.owner = 1, .rows = ROWS, .width = WIDTH, .ring = 64, .given = true};
    TRY(pair_cross_init(&cross, p, (struct pair_cross_form){.count = N, .group = 1, .ring = 32}, c->input, c->input, share[0], error));
    TRY(pair_cross_init(&scalars, p, (struct pair_cross_form){.count = N, .group = 4, .ring = 16, .scalars = true}, c->input, c->input, share[1], error));
    TRY(pair_cross_init(&squares, p, (struct pair_cross_form){.count = N, .group = N, .ring = 20, .squares = true}, c->input, NULL, share[2], error));
    TRY(pair_and_init(&and, p, (struct pair_and_form){.sender = 2, .count = N, .ring = 40}, share[3], share[4], error));
    TRY(pair_point_init(&point, p, points, c->index, c->input, &keys, error));
    TRY(pair_table_init(&table, p, (struct pair_table_form){.owner = 2, .count = N, .h = H, .ring = 24}, c->index, c->input, share[5], error));
    TRY(pair_permutation_init(&permutation, p, rows, c->order, c->input, share[6], share[7], error));
    TRY(pair_factors_init(&factors, p, (struct pair_factors_form){.count = N, .bits = 17, .frac = 13, .ring = 64}, c->index, share[8], error));
    TRY(pair_bits_init(&bits, p, (struct pair_bits_form){.count = N, .bits = 3, .ring = 11}, c->index, share[9], error));
    TRY(pair_choose_init(&choose, p, (struct mpc_chosen_form){.count = N, .k = 34, .ring = 64}, c->input, c->input, share[10], share[11], error));
    TRY(pair_run(p, jobs, sizeof jobs / sizeof *jobs, error));
    pair_point_keys_finish(&keys);
out:
    return status;
}

static enum base_status run_matrix(struct pair_party *p, struct constant *c, const struct pair_rlwe_params *params, struct base_error *error)
{
    enum base_status status;
    struct pair_rlwe rlwe;
    struct pair_rlwe_columns columns;
    struct pair_rlwe_rows rows = {0};
    struct pair_rlwe_encrypt encrypt;
    struct pair_rlwe_product product;
    struct pair_job *first[] = {&encrypt.job}, *second[] = {&product.job};
    TRY(pair_rlwe_start(&rlwe, p, params, error));
    pair_rlwe_columns_new(&rlwe, 2, COLUMNS, &columns);
    TRY(pair_rlwe_encrypt_init(&encrypt, p, (struct pair_rlwe_encrypt_form){.rlwe = &rlwe, .columns = &columns, .rows = N}, c->input, &rows, error));
    TRY(pair_run(p, first, 1, error));
    struct pair_rlwe_product_form form = {.rlwe = &rlwe, .owner = 2, .block = {&rows}, .blocks = 1, .vectors = 1};
    TRY(pair_rlwe_product_init(&product, p, form, c->input, c->share[p->id][0], error));
    TRY(pair_run(p, second, 1, error));
out:
    pair_rlwe_rows_finish(&rows);
    pair_rlwe_finish(&rlwe);
    return status;
}

static enum base_status run_all(struct pair_party *p, void *context, struct base_error *error)
{
    enum base_status status = run_jobs(p, context, error);
    if (status == BASE_OK)
        status = run_matrix(p, context, &pair_rlwe_64, error);
    return status == BASE_OK ? run_matrix(p, context, &pair_rlwe_32, error) : status;
}

static void test_what_travels(void **state)
{
    struct constant *c = pair_test_alloc(1, sizeof *c);
    static const uint64_t inputs[] = {0, ~UINT64_C(0)};
    for (size_t k = 0; k < 2; k++) {
        struct pair_ran ran;
        struct pair_run_options options = {.k = k == 0 ? 4 : 8, .seed = 40 + k};
        for (int id = 1; id <= 2; id++) {
            collectors[id] = (struct collector){.table = *kern_table_select(~0u)};
            collectors[id].table.unpack_bits = id == 1 ? unpack_1 : unpack_2;
            options.kern[id] = &collectors[id].table;
        }
        for (size_t i = 0; i < sizeof c->input / sizeof *c->input; i++)
            c->input[i] = inputs[k];
        for (size_t i = 0; i < N; i++)
            c->index[i] = inputs[k] & (ALL - 1);
        for (uint32_t i = 0; i < ROWS; i++)
            c->order[i] = i;
        pair_run_well(options, run_all, c, &ran);
        for (int id = 1; id <= 2; id++) {
            if (collectors[id].unfair > 0)
                (void)fprintf(stderr, "P%d: %s\n", id, collectors[id].first);
            assert_int_equal(collectors[id].unfair, 0);
            assert_true(collectors[id].fields > 60 && collectors[id].positions > 1000);
        }
    }
    base_free(&c);
}

/* The count sees a word that is not masked. */
static enum base_status send_plainly(struct pair_party *p, void *context, struct base_error *error)
{
    enum base_status status;
    uint64_t mine[N], theirs[N];
    mpc_stream_words(&p->own, mine, N, 20);
    for (size_t i = 0; i < N; i++)
        mine[i] |= mine[i] >> 3 & 4; /* one bit is set three times out of four */
    TRY(pair_put(p, mine, N, 20, error));
    TRY(pair_await(p, theirs, N, 20, error));
    TRY(pair_exchange(p, error));
out:
    return status;
}

static void test_a_bias_is_seen(void **state)
{
    struct pair_ran ran;
    struct pair_run_options options = {0};
    collectors[1] = (struct collector){.table = *kern_table_select(~0u)};
    collectors[1].table.unpack_bits = unpack_1;
    options.kern[1] = &collectors[1].table;
    pair_run_both(options, send_plainly, NULL, &ran);
    check_ok(ran.status[1], &ran.error[1]);
    assert_int_equal(collectors[1].unfair, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_what_travels), cmocka_unit_test(test_a_bias_is_seen)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
