/* Gilboa products, cross terms and ANDs: exact for random and extreme words in every ring, bytes and exchanges as declared, transcripts of
 * one size, and what travels uniform. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/pair/support.h"

#include "pair/and.h"
#include "pair/bits.h"
#include "pair/choose.h"
#include "pair/gilboa.h"

/* --- one private word times another ------------------------------------------------------------------------------------------------ */

struct products {
    struct pair_gilboa_form form;
    uint64_t *own[3], *share[3];
};

static enum base_status multiply(struct pair_party *p, void *context, struct base_error *error)
{
    struct products *c = context;
    struct pair_gilboa job;
    struct pair_job *jobs[1] = {&job.job};
    enum base_status status = pair_gilboa_init(&job, p, c->form, c->own[p->id], c->share[p->id], error);
    return status == BASE_OK ? pair_run(p, jobs, 1, error) : status;
}

static int ring_of(const struct pair_gilboa_form *form, size_t w)
{
    return form->rings != NULL ? form->rings[w] : form->ring;
}

/* Runs it; returns the digest of the transcript's sizes. */
static uint64_t check_product(struct pair_gilboa_form form, uint64_t seed)
{
    struct products c = {.form = form};
    struct pair_ran ran;
    size_t n = form.count, all = n * form.width;
    int chooser = 3 - form.sender;
    c.own[chooser] = pair_test_words(seed, n, form.bits);
    c.own[form.sender] = pair_test_words(seed + 1, all, 64);
    for (int id = 1; id <= 2; id++)
        c.share[id] = pair_test_alloc(all, 8);
    pair_run_well((struct pair_run_options){.k = 4, .seed = seed}, multiply, &c, &ran);
    for (size_t w = 0; w < form.width; w++)
        for (size_t i = 0; i < n; i++) {
            uint64_t keep = kern_ring_mask(ring_of(&form, w)), x = c.own[chooser][i], y = c.own[form.sender][w * n + i];
            assert_int_equal((c.share[1][w * n + i] + c.share[2][w * n + i]) & keep, (x * y) & keep);
            assert_int_equal(c.share[1][w * n + i] & ~keep, 0);
        }
    for (int id = 1; id <= 2; id++) {
        base_free(&c.own[id]);
        base_free(&c.share[id]);
    }
    return ran.frames;
}

static void test_gilboa(void **state)
{
    static const int rings[PAIR_MOST_WORDS] = {64, 1, 0, 33, 20, 7, 2, 63, 5};
    for (int ring = 1; ring <= 64; ring += ring < 8 ? 1 : 7)
        check_product((struct pair_gilboa_form){.sender = 1 + ring % 2, .count = 37, .bits = ring, .width = 1, .ring = ring}, (uint64_t)ring);
    check_product((struct pair_gilboa_form){.sender = 2, .count = 5, .bits = 64, .width = 50, .ring = 64}, 100);
    check_product((struct pair_gilboa_form){.sender = 1, .count = 129, .bits = 17, .width = 3, .ring = 36}, 101);
    check_product((struct pair_gilboa_form){.sender = 1, .count = 21, .bits = 40, .width = 2, .ring = 8}, 102); /* more bits than ring */
    check_product((struct pair_gilboa_form){.sender = 2, .count = 43, .bits = 30, .width = PAIR_MOST_WORDS, .rings = rings}, 103);
    check_product((struct pair_gilboa_form){.sender = 2, .count = 1, .bits = 1, .width = 1, .ring = 64}, 104);
    struct pair_gilboa_form form = {.sender = 1, .count = 65, .bits = 20, .width = 2, .ring = 40};
    assert_int_equal(check_product(form, 7), check_product(form, 8));
}

/* One product of 48 bits: 48 COTs, 48 choice bits, 48 49 / 2 bits of words, as the design counts. */
static void test_cost(void **state)
{
    struct pair_cost cost = pair_gilboa_cost((struct pair_gilboa_form){.sender = 1, .count = 8, .bits = 48, .width = 1, .ring = 48});
    assert_int_equal(cost.exchanges, 2);
    assert_int_equal(cost.bytes[2], 48);
    assert_int_equal(cost.bytes[1], 48 * 49 / 2);
    assert_int_equal(cost.cots[1], 8 * 48);
    assert_int_equal(cost.cots[2], 0);
}

/* --- cross terms ------------------------------------------------------------------------------------------------------------------- */

struct crossed {
    struct pair_cross_form form;
    uint64_t *x[3], *y[3], *share[3];
};

static enum base_status cross(struct pair_party *p, void *context, struct base_error *error)
{
    struct crossed *c = context;
    struct pair_cross job;
    struct pair_job *jobs[1] = {&job.job};
    enum base_status status = pair_cross_init(&job, p, c->form, c->x[p->id], c->y[p->id], c->share[p->id], error);
    return status == BASE_OK ? pair_run(p, jobs, 1, error) : status;
}

/* Term i of word w, or the only one. */
static uint64_t cross_term(const struct crossed *c, size_t i, size_t j)
{
    return c->x[1][i] * c->y[2][j] + c->x[2][i] * c->y[1][j];
}

static void check_cross(struct pair_cross_form form, uint64_t seed)
{
    struct crossed c = {.form = form};
    struct pair_ran ran;
    size_t n = form.count, results = form.scalars ? n : n / form.group;
    uint64_t keep = kern_ring_mask(form.ring);
    for (int id = 1; id <= 2; id++) {
        c.x[id] = pair_test_words(seed + (uint64_t)id, form.scalars ? n / form.group : n, form.ring);
        c.y[id] = form.squares ? c.x[id] : pair_test_words(seed + 10 + (uint64_t)id, n, form.ring);
        c.share[id] = pair_test_alloc(results, 8);
    }
    pair_run_well((struct pair_run_options){.k = 8, .seed = seed}, cross, &c, &ran);
    for (size_t r = 0; r < results; r++) {
        uint64_t want = form.scalars ? cross_term(&c, r / form.group, r) : 0;
        for (size_t i = r * form.group; !form.scalars && i < (r + 1) * form.group; i++)
            want += cross_term(&c, i, i);
        assert_int_equal((c.share[1][r] + c.share[2][r]) & keep, want & keep);
    }
    for (int id = 1; id <= 2; id++) {
        base_free(&c.x[id]);
        if (!form.squares)
            base_free(&c.y[id]);
        base_free(&c.share[id]);
    }
}

static void test_cross(void **state)
{
    for (int ring = 1; ring <= 64; ring += 9) {
        check_cross((struct pair_cross_form){.count = 60, .group = 1, .ring = ring}, (uint64_t)ring);
        check_cross((struct pair_cross_form){.count = 60, .group = 12, .ring = ring}, (uint64_t)ring + 100);
        check_cross((struct pair_cross_form){.count = 60, .group = 20, .ring = ring, .scalars = true}, (uint64_t)ring + 200);
        check_cross((struct pair_cross_form){.count = 60, .group = 30, .ring = ring, .squares = true}, (uint64_t)ring + 300);
    }
}

/* --- ANDs -------------------------------------------------------------------------------------------------------------------------- */

enum { ANDS = 3000 };

struct ands {
    struct pair_and_form form;
    uint64_t rho[3][ANDS], share[3][ANDS];
};

static enum base_status draw_ands(struct pair_party *p, void *context, struct base_error *error)
{
    struct ands *c = context;
    struct pair_and job;
    struct pair_job *jobs[1] = {&job.job};
    enum base_status status = pair_and_init(&job, p, c->form, c->rho[p->id], c->share[p->id], error);
    return status == BASE_OK ? pair_run(p, jobs, 1, error) : status;
}

static void test_and(void **state)
{
    for (int sender = 1; sender <= 2; sender++)
        for (int ring = 1; ring <= 64; ring += 21) {
            struct ands *c = pair_test_alloc(1, sizeof *c);
            struct pair_ran ran;
            size_t seen[2][2] = {{0}};
            c->form = (struct pair_and_form){.sender = sender, .count = ANDS, .ring = ring};
            pair_run_well((struct pair_run_options){.k = 4, .seed = (uint64_t)ring}, draw_ands, c, &ran);
            for (size_t i = 0; i < ANDS; i++) {
                assert_int_equal((c->share[1][i] + c->share[2][i]) & kern_ring_mask(ring), c->rho[1][i] & c->rho[2][i]);
                seen[c->rho[1][i]][c->rho[2][i]]++;
            }
            /* Each pair of bits a quarter of the time: outside of 7 standard deviations once in 10^11 runs; seeds are fixed. */
            for (int a = 0; a < 2; a++)
                for (int b = 0; b < 2; b++)
                    assert_in_range(seen[a][b], ANDS / 4 - 166, ANDS / 4 + 166);
            base_free(&c);
        }
}

/* --- side by side ------------------------------------------------------------------------------------------------------------------ */

struct beside {
    struct products product;
    struct ands ands;
};

static enum base_status both(struct pair_party *p, void *context, struct base_error *error)
{
    struct beside *c = context;
    struct pair_gilboa product;
    struct pair_and and;
    struct pair_job *jobs[2] = {&product.job, &and.job};
    enum base_status status;
    TRY(pair_gilboa_init(&product, p, c->product.form, c->product.own[p->id], c->product.share[p->id], error));
    TRY(pair_and_init(&and, p, c->ands.form, c->ands.rho[p->id], c->ands.share[p->id], error));
    TRY(pair_run(p, jobs, 2, error));
out:
    return status;
}

/* Two jobs of a batch share their exchanges: two for setup, one for COTs, two for both jobs. */
static void test_jobs_share_exchanges(void **state)
{
    struct beside *c = pair_test_alloc(1, sizeof *c);
    struct pair_ran ran;
    c->product.form = (struct pair_gilboa_form){.sender = 2, .count = 10, .bits = 16, .width = 1, .ring = 16};
    c->ands.form = (struct pair_and_form){.sender = 1, .count = 50, .ring = 30};
    for (int id = 1; id <= 2; id++) {
        c->product.own[id] = pair_test_words(3 + (uint64_t)id, 10, 16);
        c->product.share[id] = pair_test_alloc(10, 8);
    }
    pair_run_well((struct pair_run_options){.k = 4}, both, c, &ran);
    assert_int_equal(ran.exchanges[1], 2 + 1 + 2);
    for (size_t i = 0; i < 10; i++)
        assert_int_equal((c->product.share[1][i] + c->product.share[2][i]) & 0xffff, c->product.own[1][i] * c->product.own[2][i] & 0xffff);
    for (size_t i = 0; i < 50; i++)
        assert_int_equal((c->ands.share[1][i] + c->ands.share[2][i]) & kern_ring_mask(30), c->ands.rho[1][i] & c->ands.rho[2][i]);
    for (int id = 1; id <= 2; id++) {
        base_free(&c->product.own[id]);
        base_free(&c->product.share[id]);
    }
    base_free(&c);
}

/* --- products of XOR-shared bits --------------------------------------------------------------------------------------------------- */

struct bit_products {
    struct pair_bits_form form;
    uint64_t *own[3], *share[3];
};

static enum base_status multiply_bits(struct pair_party *p, void *context, struct base_error *error)
{
    struct bit_products *c = context;
    struct pair_bits job;
    struct pair_job *jobs[1] = {&job.job};
    enum base_status status = pair_bits_init(&job, p, c->form, c->own[p->id], c->share[p->id], error);
    return status == BASE_OK ? pair_run(p, jobs, 1, error) : status;
}

/* Every pair of both parties' numbers. */
static uint64_t check_bits(int bits, int ring, uint64_t seed)
{
    size_t all = (size_t)1 << bits, n = all * all;
    struct bit_products c = {.form = {.count = n, .bits = bits, .ring = ring}};
    struct pair_ran ran;
    for (int id = 1; id <= 2; id++) {
        c.own[id] = pair_test_alloc(n, 8);
        c.share[id] = pair_test_alloc(n, 8);
        for (size_t i = 0; i < n; i++)
            c.own[id][i] = id == 1 ? i % all : i / all;
    }
    pair_run_well((struct pair_run_options){.k = 8, .seed = seed}, multiply_bits, &c, &ran);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal((c.share[1][i] + c.share[2][i]) & kern_ring_mask(ring), (i % all ^ i / all) == all - 1);
        assert_int_equal(c.share[1][i] & ~kern_ring_mask(ring), 0);
    }
    for (int id = 1; id <= 2; id++) {
        base_free(&c.own[id]);
        base_free(&c.share[id]);
    }
    return ran.frames;
}

static void test_bits(void **state)
{
    static const int rings[] = {1, 4, 17, 64};
    struct base_error error = {0};
    struct pair_bits job;
    (void)state;
    for (int bits = 1; bits <= PAIR_BITS_MOST; bits++)
        for (size_t r = 0; r < sizeof rings / sizeof *rings; r++)
            (void)check_bits(bits, rings[r], (uint64_t)(10 * bits) + r);
    assert_int_equal(check_bits(3, 10, 1), check_bits(3, 10, 2));
    assert_int_equal(pair_bits_cost((struct pair_bits_form){.count = 8, .bits = 3, .ring = 10}).cots[1], 8 * 7);
    struct pair_party p = {.id = 1};
    for (int bits = 0; bits <= PAIR_BITS_MOST + 1; bits += PAIR_BITS_MOST + 1)
        assert_int_equal(pair_bits_init(&job, &p, (struct pair_bits_form){.count = 1, .bits = bits, .ring = 8}, NULL, NULL, &error), BASE_ERR_INTERNAL);
}

/* --- a bit times a small ring ------------------------------------------------------------------------------------------------------ */

struct choices {
    struct mpc_chosen_form form;
    uint64_t *rho[3], *l[3], *wraps[3], *rest[3];
};

static enum base_status choose(struct pair_party *p, void *context, struct base_error *error)
{
    struct choices *c = context;
    struct pair_choose job;
    struct pair_job *jobs[1] = {&job.job};
    enum base_status status = pair_choose_init(&job, p, c->form, c->rho[p->id], c->l[p->id], c->wraps[p->id], c->rest[p->id], error);
    return status == BASE_OK ? pair_run(p, jobs, 1, error) : status;
}

/* Both bits and both masks' highest bits in every combination, over extreme and random low ones. */
static uint64_t check_choices(int k, int ring, uint64_t seed)
{
    enum { N = 640 };
    struct choices c = {.form = {.count = N, .k = k, .ring = ring}};
    struct pair_ran ran;
    uint64_t keep = kern_ring_mask(ring - k), whole = kern_ring_mask(ring);
    for (int id = 1; id <= 2; id++) {
        c.rho[id] = pair_test_alloc(N, 8);
        c.l[id] = pair_test_words(seed + (uint64_t)id, N, k);
        c.wraps[id] = pair_test_alloc((size_t)8 * N, 8);
        c.rest[id] = pair_test_alloc((size_t)2 * N, 8);
        for (size_t i = 0; i < N; i++) {
            uint64_t number = id == 1 ? i : i >> 3;
            c.rho[id][i] = number & 1;
            c.l[id][i] = (c.l[id][i] & kern_ring_mask(k - 2)) | (number >> 1 & 3) << (k - 2);
        }
    }
    pair_run_well((struct pair_run_options){.k = 8, .seed = seed}, choose, &c, &ran);
    for (size_t i = 0; i < N; i++) {
        uint64_t rho = c.rho[1][i] ^ c.rho[2][i];
        for (uint64_t M = 0; M < MPC_WRAPS_READINGS; M++) {
            uint64_t V = pair_wraps_of((c.l[1][i] >> (k - 2)) + (c.l[2][i] >> (k - 2)), M);
            assert_int_equal((c.wraps[1][M * N + i] + c.wraps[2][M * N + i]) & keep, V & keep);
            assert_int_equal((c.wraps[1][(M + 4) * N + i] + c.wraps[2][(M + 4) * N + i]) & keep, rho * V & keep);
        }
        assert_int_equal((c.rest[1][i] + c.rest[2][i]) & whole, rho * (c.l[1][i] + c.l[2][i]) & whole);
        assert_int_equal((c.rest[1][N + i] + c.rest[2][N + i]) & whole, rho);
    }
    for (int id = 1; id <= 2; id++) {
        uint64_t **own[] = {&c.rho[id], &c.l[id], &c.wraps[id], &c.rest[id]};
        for (size_t i = 0; i < sizeof own / sizeof *own; i++)
            base_free(own[i]);
    }
    return ran.frames;
}

static void test_choices(void **state)
{
    struct base_error error = {0};
    struct pair_choose job;
    struct pair_party p = {.id = 1};
    struct pair_cost cost = pair_choose_cost((struct mpc_chosen_form){.count = 8, .k = 34, .ring = 64});
    (void)state;
    assert_int_equal(check_choices(34, 64, 1), check_choices(34, 64, 5));
    (void)check_choices(2, 3, 2);
    (void)check_choices(10, 33, 3);
    (void)check_choices(62, 64, 4);
    assert_int_equal(cost.cots[1], 8 * 8);
    assert_int_equal(cost.cots[2], 8);
    assert_int_equal(cost.bytes[1], 1 + 40 * 30 + 2 * 64);
    assert_int_equal(cost.bytes[2], 8 + 64);
    assert_int_equal(pair_choose_init(&job, &p, (struct mpc_chosen_form){.count = 1, .k = 64, .ring = 64}, NULL, NULL, NULL, NULL, &error), BASE_ERR_INTERNAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gilboa), cmocka_unit_test(test_bits), cmocka_unit_test(test_choices), cmocka_unit_test(test_cost), cmocka_unit_test(test_cross),
        cmocka_unit_test(test_and),    cmocka_unit_test(test_jobs_share_exchanges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
