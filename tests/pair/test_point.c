/* Point keys: exact at every place of the domain for random and extreme indices and payloads, bytes and exchanges as declared and as the
 * design counts them, one size of transcript, fair words, and tree numbers that never come twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/pair/support.h"

#include "pair/point.h"

struct points {
    struct pair_point_form form;
    uint64_t *index[3], *beta[3], *share[3];
    struct pair_point_keys keys[3];
};

static enum base_status make(struct pair_party *p, void *context, struct base_error *error)
{
    struct points *c = context;
    enum base_status status;
    struct pair_point *job = NULL;
    struct pair_point_keys again = {0}, foreign;
    uint8_t *record = NULL;
    size_t half = c->form.count / 2;
    TRY(base_alloc(&job, 1, sizeof *job, error));
    TRY(pair_point_init(job, p, c->form, c->index[p->id], c->beta[p->id], &c->keys[p->id], error));
    struct pair_job *jobs[1] = {&job->job};
    TRY(pair_run(p, jobs, 1, error));
    /* Keys are read from their record, the later half first. */
    TRY(base_alloc(&record, pair_point_record_size(&c->form), 1, error));
    pair_point_pack(p, &c->keys[p->id], record);
    TRY(pair_point_unpack(p, c->form, record, &again, error));
    TRY(pair_point_expand(p, &again, half, c->form.count - half, c->share[p->id] + (half * (size_t)c->form.groups << c->form.h), error));
    TRY(pair_point_expand(p, &again, 0, half, c->share[p->id], error));
    base_store_u64(record, p->next_tree - c->form.count + 1);
    TRY_THAT(pair_point_unpack(p, c->form, record, &foreign, NULL) == BASE_ERR_FORMAT, error, BASE_ERR_ARGUMENT, "trees that were not made are read");
out:
    base_free(&job);
    base_free(&record);
    pair_point_keys_finish(&again);
    return status;
}

static void open_points(struct points *c, struct pair_point_form form, uint64_t seed)
{
    size_t n = form.count;
    c->form = form;
    for (int id = 1; id <= 2; id++) {
        c->index[id] = pair_test_words(seed + (uint64_t)id, n, form.h);
        c->beta[id] = pair_test_words(seed + 10 + (uint64_t)id, n * (size_t)form.groups, 64);
        c->share[id] = pair_test_alloc(n * (size_t)form.groups << form.h, 8);
    }
}

static void close_points(struct points *c)
{
    for (int id = 1; id <= 2; id++) {
        base_free(&c->index[id]);
        base_free(&c->beta[id]);
        base_free(&c->share[id]);
        pair_point_keys_finish(&c->keys[id]);
    }
}

static void check_point_function(const struct points *c, size_t k, int g)
{
    size_t all = (size_t)1 << c->form.h, at = (k * (size_t)c->form.groups + (size_t)g) * all;
    uint64_t keep = kern_ring_mask(c->form.rings[g]), where = (c->index[1][k] + c->index[2][k]) & (all - 1);
    for (size_t i = 0; i < all; i++) {
        uint64_t beta = c->beta[1][(size_t)g * c->form.count + k] + c->beta[2][(size_t)g * c->form.count + k];
        assert_int_equal((c->share[1][at + i] + c->share[2][at + i]) & keep, i == where ? beta & keep : 0);
    }
}

/* P1 computes with its own level of kernels: machines differ. */
static uint64_t check_case(struct pair_point_form form, uint64_t seed)
{
    struct points c;
    struct pair_ran ran;
    memset(&c, 0, sizeof c);
    open_points(&c, form, seed);
    pair_run_well((struct pair_run_options){.k = 4, .seed = seed, .kern = {NULL, kern_table_select(seed % 2 == 0 ? 1u : 3u), NULL}}, make, &c, &ran);
    for (size_t k = 0; k < form.count; k++)
        for (int g = 0; g < form.groups; g++)
            check_point_function(&c, k, g);
    assert_memory_equal(c.keys[1].words, c.keys[2].words, form.count * (size_t)form.h * 16);
    assert_memory_equal(c.keys[1].shift, c.keys[2].shift, form.count * 8);
    assert_memory_equal(c.keys[1].last, c.keys[2].last, form.count * (size_t)form.groups * 8);
    close_points(&c);
    return ran.frames;
}

static void test_points(void **state)
{
    for (int h = 1; h <= 10; h++)
        check_case((struct pair_point_form){.count = 24, .h = h, .groups = 1, .rings = {64}}, (uint64_t)h);
    check_case((struct pair_point_form){.count = 33, .h = 5, .groups = 3, .rings = {64, 64, 64}}, 50);
    check_case((struct pair_point_form){.count = 17, .h = 6, .groups = PAIR_MOST_WORDS, .rings = {1, 64, 16, 24, 2, 63, 48, 33, 8}}, 51);
    check_case((struct pair_point_form){.count = 3, .h = 13, .groups = 3, .rings = {64, 40, 30}}, 52);
    check_case((struct pair_point_form){.count = 40, .h = 4, .groups = 1, .rings = {1}}, 53);
    check_case((struct pair_point_form){.count = 1, .h = 7, .groups = 2, .rings = {20, 64}}, 54);
    struct pair_point_form form = {.count = 20, .h = 6, .groups = 2, .rings = {64, 20}};
    assert_int_equal(check_case(form, 1), check_case(form, 2));
}

/* pair_costs.point_bits of the design for 64 cells of one 64-bit word, 8 keys so that fields are whole bytes: bits and COTs per key. */
static void test_cost_is_the_design_s(void **state)
{
    struct pair_cost cost = pair_point_cost((struct pair_point_form){.count = 8, .h = 6, .groups = 1, .rings = {64}});
    assert_int_equal(cost.exchanges, 9);
    assert_int_equal(cost.bytes[1] + cost.bytes[2], 256 * 6 + (6 * 5 / 2 + 5) + 2 * 6 + 2 * 64 + 2 * 64);
    assert_int_equal(cost.cots[1] + cost.cots[2], 8 * (2 * 6 + 5 + 2));
}

/* One index and one payload at all keys: words, shifts and last words still look like fair coins. Each of 128 + 64 + 3 counts is outside
 * of 6 standard deviations once in 5 10^8: 4 10^-7 in all; seeds are fixed. */
static void test_keys_are_fair(void **state)
{
    enum { KEYS = 2000, H = 3 };
    struct points c;
    struct pair_ran ran;
    memset(&c, 0, sizeof c);
    open_points(&c, (struct pair_point_form){.count = KEYS, .h = H, .groups = 1, .rings = {64}}, 3);
    for (int id = 1; id <= 2; id++)
        for (size_t k = 0; k < KEYS; k++) {
            c.index[id][k] = 3;
            c.beta[id][k] = 1;
        }
    pair_run_well((struct pair_run_options){.k = 8, .seed = 77}, make, &c, &ran);
    for (int bit = 0; bit < 128 + 64 + H; bit++) {
        int64_t off = -KEYS;
        for (size_t k = 0; k < KEYS; k++) {
            uint64_t word = bit < 128 ? c.keys[1].words[KEYS + k].word[bit / 64] : bit < 192 ? c.keys[1].last[k] : c.keys[1].shift[k];
            off += 2 * (int64_t)(word >> (bit < 192 ? bit % 64 : bit - 192) & 1);
        }
        assert_true(off * off < 36 * KEYS);
    }
    close_points(&c);
}

/* --- tree numbers ------------------------------------------------------------------------------------------------------------------ */

struct numbers {
    struct points batch[3];
    bool goes_back;
};

static enum base_status number(struct pair_party *p, void *context, struct base_error *error)
{
    struct numbers *c = context;
    enum base_status status;
    TRY(make(p, &c->batch[0], error));
    TRY(make(p, &c->batch[1], error));
    TRY(pair_point_forward(p, c->goes_back ? 9 : 1000, error));
    TRY(make(p, &c->batch[2], error));
out:
    return status;
}

static void test_tree_numbers(void **state)
{
    static const uint64_t first[] = {0, 5, 1000};
    for (int back = 0; back < 2; back++) {
        struct numbers *c = pair_test_alloc(1, sizeof *c);
        struct pair_ran ran;
        c->goes_back = back;
        for (int b = 0; b < 3; b++)
            open_points(&c->batch[b], (struct pair_point_form){.count = 5, .h = 4, .groups = 1, .rings = {64}}, 9); /* equal inputs */
        pair_run_both((struct pair_run_options){.k = 4}, number, c, &ran);
        if (back)
            check_fails(ran.status[1], BASE_ERR_INTERNAL, &ran.error[1], "tree number 9 was used: the next one is 10");
        else
            check_ok(ran.status[1], &ran.error[1]);
        for (int b = 0; b < (back ? 2 : 3); b++) {
            assert_int_equal(c->batch[b].keys[1].first_tree, first[b]);
            assert_int_equal(c->batch[b].keys[2].first_tree, first[b]);
            for (int other = 0; other < b; other++)
                assert_memory_not_equal(c->batch[b].keys[1].words, c->batch[other].keys[1].words, 16);
        }
        for (int b = 0; b < 3; b++)
            close_points(&c->batch[b]);
        base_free(&c);
    }
}

static void test_forms_are_checked(void **state)
{
    static const struct pair_point_form bad[] = {
        {.count = 1, .h = 0, .groups = 1, .rings = {64}},
        {.count = 0, .h = 3, .groups = 1, .rings = {64}},
        {.count = 1, .h = 21, .groups = 1, .rings = {64}},
        {.count = 1, .h = 4, .groups = 0},
        {.count = 1, .h = 4, .groups = 2, .rings = {64, 65}},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct points c;
        struct pair_ran ran;
        memset(&c, 0, sizeof c);
        c.form = bad[i];
        pair_run_both((struct pair_run_options){.k = 4}, make, &c, &ran);
        check_fails(ran.status[1], BASE_ERR_INTERNAL, &ran.error[1], "point keys of");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_points),       cmocka_unit_test(test_cost_is_the_design_s), cmocka_unit_test(test_keys_are_fair),
        cmocka_unit_test(test_tree_numbers), cmocka_unit_test(test_forms_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
