/* Tables at a secret sum and permutation correlations: exact for random and extreme inputs, bytes and exchanges as declared, transcripts of
 * one size, shares that alone say nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/pair/support.h"

#include "pair/permutation.h"
#include "pair/table.h"

/* --- tables ------------------------------------------------------------------------------------------------------------------------ */

struct tables {
    struct pair_table_form form;
    uint64_t *index, *table, *share[3];
};

static enum base_status turn(struct pair_party *p, void *context, struct base_error *error)
{
    struct tables *c = context;
    struct pair_table job;
    struct pair_job *jobs[1] = {&job.job};
    bool owns = p->id == c->form.owner;
    enum base_status status = pair_table_init(&job, p, c->form, owns ? NULL : c->index, owns ? c->table : NULL, c->share[p->id], error);
    return status == BASE_OK ? pair_run(p, jobs, 1, error) : status;
}

static uint64_t check_tables(struct pair_table_form form, uint64_t seed)
{
    struct tables c = {.form = form};
    struct pair_ran ran;
    size_t all = (size_t)1 << form.h, words = form.count * all;
    uint64_t keep = kern_ring_mask(form.ring);
    c.index = pair_test_words(seed, form.count, form.h);
    c.table = pair_test_words(seed + 1, words, form.ring);
    for (int id = 1; id <= 2; id++)
        c.share[id] = pair_test_alloc(words, 8);
    pair_run_well((struct pair_run_options){.k = 4, .seed = seed}, turn, &c, &ran);
    for (size_t k = 0; k < form.count; k++)
        for (size_t i = 0; i < all; i++)
            assert_int_equal((c.share[1][k * all + i] + c.share[2][k * all + i]) & keep, c.table[k * all + ((i - c.index[k]) & (all - 1))]);
    for (int id = 1; id <= 2; id++) {
        size_t high = 0;
        for (size_t i = 0; i < words; i++)
            high += c.share[id][i] >> (form.ring - 1) & 1;
        /* The top bit of a share is a fair coin: outside of 7 standard deviations once in 4 10^11 runs; seeds are fixed. */
        int64_t off = 2 * (int64_t)high - (int64_t)words;
        assert_true(off * off < 49 * (int64_t)words);
        base_free(&c.share[id]);
    }
    base_free(&c.index);
    base_free(&c.table);
    return ran.frames;
}

static void test_tables(void **state)
{
    for (int h = 1; h <= 6; h++)
        check_tables((struct pair_table_form){.owner = 1 + h % 2, .count = 40, .h = h, .ring = 11 * h - 2}, (uint64_t)h);
    check_tables((struct pair_table_form){.owner = 2, .count = 3, .h = 9, .ring = 1}, 20);
    struct pair_table_form form = {.owner = 1, .count = 9, .h = 5, .ring = 24};
    assert_int_equal(check_tables(form, 30), check_tables(form, 31));
    struct pair_cost cost = pair_table_cost((struct pair_table_form){.owner = 2, .count = 8, .h = 5, .ring = 24});
    assert_int_equal(cost.bytes[2], 8 * (16 * 5 + 32 * 3)); /* the design's 32 k + 2^k w, half of it as half-trees */
    assert_int_equal(cost.bytes[1], 5);
    assert_int_equal(cost.cots[2], 8 * 5);
}

/* A public table read at the sum of two private masks: all of it is T[m - l1 - l2]. */
static void test_public_table(void **state)
{
    enum { H = 5, ALL = 1 << H, COUNT = 64 };
    struct tables c = {.form = {.owner = 2, .count = COUNT, .h = H, .ring = 30}};
    struct pair_ran ran;
    uint64_t *T = pair_test_words(1, ALL, 30), *l2 = pair_test_words(2, COUNT, H), scratch[ALL];
    c.index = pair_test_words(3, COUNT, H);
    c.table = pair_test_alloc(COUNT * ALL, 8);
    for (size_t k = 0; k < COUNT; k++) {
        memcpy(c.table + k * ALL, T, ALL * 8);
        pair_table_turn(c.table + k * ALL, H, l2[k], scratch);
    }
    for (int id = 1; id <= 2; id++)
        c.share[id] = pair_test_alloc(COUNT * ALL, 8);
    pair_run_well((struct pair_run_options){.k = 8}, turn, &c, &ran);
    for (size_t k = 0; k < COUNT; k++)
        for (size_t x = 0; x < ALL; x++) {
            size_t m = (x + c.index[k] + l2[k]) & (ALL - 1);
            assert_int_equal((c.share[1][k * ALL + m] + c.share[2][k * ALL + m]) & kern_ring_mask(30), T[x]);
        }
    void *all[] = {T, l2, c.index, c.table, c.share[1], c.share[2]};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        base_free(&all[i]);
}

/* --- permutations ------------------------------------------------------------------------------------------------------------------ */

struct permutations {
    struct pair_permutation_form form;
    uint32_t *order;
    uint64_t *given, *first, *second[3];
};

static enum base_status permute(struct pair_party *p, void *context, struct base_error *error)
{
    struct permutations *c = context;
    struct pair_permutation job;
    struct pair_job *jobs[1] = {&job.job};
    bool owns = p->id == c->form.owner;
    enum base_status status = pair_permutation_init(&job, p, c->form, owns ? NULL : c->order, owns ? c->given : NULL, owns ? c->first : NULL,
                                                    c->second[p->id], error);
    return status == BASE_OK ? pair_run(p, jobs, 1, error) : status;
}

static uint64_t check_permutation(struct pair_permutation_form form, uint64_t seed)
{
    struct permutations c = {.form = form};
    struct pair_ran ran;
    size_t words = form.rows * form.width, other = (size_t)(3 - form.owner);
    uint64_t keep = kern_ring_mask(form.ring), state = seed;
    c.order = pair_test_alloc(form.rows, sizeof *c.order);
    for (uint32_t i = 0; i < form.rows; i++) {
        uint32_t j = (uint32_t)(base_random_next(&state) % (i + 1));
        c.order[i] = c.order[j];
        c.order[j] = i;
    }
    c.given = pair_test_words(seed, words, form.ring);
    c.first = pair_test_alloc(words, 8);
    for (int id = 1; id <= 2; id++)
        c.second[id] = pair_test_alloc(words, 8);
    pair_run_well((struct pair_run_options){.k = 4, .seed = seed}, permute, &c, &ran);
    for (size_t j = 0; j < form.rows; j++)
        for (size_t w = 0; w < form.width; w++) {
            size_t at = j * form.width + w, from = c.order[j] * form.width + w;
            if (form.given)
                assert_int_equal((c.second[1][at] + c.second[2][at]) & keep, c.given[from]);
            else
                assert_int_equal(c.second[other][at], (c.first[from] - c.second[form.owner][at]) & keep);
        }
    base_free(&c.order);
    base_free(&c.given);
    base_free(&c.first);
    base_free(&c.second[1]);
    base_free(&c.second[2]);
    return ran.frames;
}

static void test_permutations(void **state)
{
    static const size_t rows[] = {1, 2, 3, 17, 64, 100};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int given = 0; given < 2; given++)
            check_permutation((struct pair_permutation_form){.owner = 1 + (int)i % 2, .rows = rows[i], .width = 1 + i, .ring = 64 - 7 * (int)i,
                                                             .given = given}, 10 * i + (uint64_t)given);
    struct pair_permutation_form form = {.owner = 2, .rows = 20, .width = 3, .ring = 20, .given = true};
    assert_int_equal(check_permutation(form, 200), check_permutation(form, 201));
    struct pair_cost cost = pair_permutation_cost((struct pair_permutation_form){.owner = 2, .rows = 64, .width = 5, .ring = 48, .given = true});
    assert_int_equal(cost.bytes[2] * 8, 64 * 6 * 128 + 64 * 5 * 48); /* as the design's test counts, half of it as half-trees */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_public_table),
        cmocka_unit_test(test_permutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
