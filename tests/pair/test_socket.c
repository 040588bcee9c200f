/* Everything once over a real socket: two contexts with CURVE, a session id from net_hello, and one batch of every kind of job at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/net/zmq_support.h"
#include "tests/pair/support.h"

#include "pair/and.h"
#include "pair/gilboa.h"
#include "pair/permutation.h"
#include "pair/point.h"
#include "pair/rlwe.h"
#include "pair/table.h"

enum { N = 20, H = 5, ALL = 1 << H, COLUMNS = 3, ROWS = 8, BATCHES = 2 };

/* What a party gives and gets in one batch. */
struct half {
    uint64_t x[N], y[N], cross[N];
    uint64_t rho[N], and[N];
    uint64_t index[N], beta[N], point[N * ALL];
    uint64_t turned[N * ALL];
    uint64_t first[N], second[N];
    uint64_t matrix[ROWS * COLUMNS], vector[COLUMNS], product[ROWS];
};

struct everything {
    struct half half[3][BATCHES];
    uint64_t table[N * ALL];
    uint32_t order[N];
};

static void fill(struct everything *e)
{
    uint64_t state = 11;
    for (int id = 1; id <= 2; id++)
        for (int b = 0; b < BATCHES; b++) {
            struct half *h = &e->half[id][b];
            uint64_t *const words[] = {h->x, h->y, h->index, h->beta, h->matrix, h->vector};
            const size_t counts[] = {N, N, N, N, ROWS * COLUMNS, COLUMNS};
            for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
                for (size_t k = 0; k < counts[i]; k++)
                    words[i][k] = i == 2 ? base_random_next(&state) % ALL : base_random_next(&state);
        }
    for (size_t i = 0; i < N * ALL; i++)
        e->table[i] = base_random_next(&state);
    for (uint32_t i = 0; i < N; i++)
        e->order[i] = (i * 7 + 3) % N;
}

/* P2 owns tables, rows and the matrix. */
static enum base_status one_batch(struct pair_party *p, struct everything *e, struct half *h, struct pair_rlwe *rlwe,
                                  const struct pair_rlwe_rows *rows, struct base_error *error)
{
    enum base_status status;
    bool owns = p->id == 2;
    struct pair_cross cross;
    struct pair_and and;
    struct pair_point point;
    struct pair_point_keys keys;
    struct pair_table table;
    struct pair_permutation permutation;
    struct pair_rlwe_product product;
    struct pair_job *jobs[] = {&cross.job, &and.job, &point.job, &table.job, &permutation.job, &product.job};
    TRY(pair_cross_init(&cross, p, (struct pair_cross_form){.count = N, .group = 1, .ring = 64}, h->x, h->y, h->cross, error));
    TRY(pair_and_init(&and, p, (struct pair_and_form){.sender = 1, .count = N, .ring = 40}, h->rho, h->and, error));
    TRY(pair_point_init(&point, p, (struct pair_point_form){.count = N, .h = H, .groups = 1, .rings = {64}}, h->index, h->beta, &keys, error));
    TRY(pair_table_init(&table, p, (struct pair_table_form){.owner = 2, .count = N, .h = H, .ring = 64}, owns ? NULL : h->index,
                        owns ? e->table : NULL, h->turned, error));
    TRY(pair_permutation_init(&permutation, p, (struct pair_permutation_form){.owner = 2, .rows = N, .width = 1, .ring = 64},
                              owns ? NULL : e->order, NULL, owns ? h->first : NULL, h->second, error));
    struct pair_rlwe_product_form encrypted = {.rlwe = rlwe, .owner = 2, .block = {rows}, .blocks = 1, .vectors = 1};
    TRY(pair_rlwe_product_init(&product, p, encrypted, owns ? NULL : h->vector, h->product, error));
    TRY(pair_run(p, jobs, sizeof jobs / sizeof *jobs, error));
    TRY(pair_point_expand(p, &keys, 0, N, h->point, error));
    pair_point_keys_finish(&keys);
out:
    return status;
}

static enum base_status all_of_it(struct pair_party *p, void *context, struct base_error *error)
{
    enum base_status status;
    struct everything *e = context;
    struct pair_rlwe rlwe;
    struct pair_rlwe_columns columns;
    struct pair_rlwe_rows rows = {0};
    struct pair_rlwe_encrypt encrypt;
    struct pair_job *jobs[1] = {&encrypt.job};
    TRY(pair_rlwe_start(&rlwe, p, &pair_rlwe_64, error));
    pair_rlwe_columns_new(&rlwe, 2, COLUMNS, &columns);
    TRY(pair_rlwe_encrypt_init(&encrypt, p, (struct pair_rlwe_encrypt_form){.rlwe = &rlwe, .columns = &columns, .rows = ROWS},
                               p->id == 2 ? e->half[2][0].matrix : NULL, &rows, error));
    TRY(pair_run(p, jobs, 1, error));
    for (int b = 0; b < BATCHES; b++)
        TRY(one_batch(p, e, &e->half[p->id][b], &rlwe, &rows, error));
out:
    pair_rlwe_rows_finish(&rows);
    pair_rlwe_finish(&rlwe);
    return status;
}

static void check_batch(const struct everything *e, const struct half *one, const struct half *two)
{
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(one->cross[i] + two->cross[i], one->x[i] * two->y[i] + two->x[i] * one->y[i]);
        assert_int_equal((one->and[i] + two->and[i]) & kern_ring_mask(40), one->rho[i] & two->rho[i]);
        assert_int_equal(one->second[i], two->first[e->order[i]] - two->second[i]);
        for (size_t j = 0; j < ALL; j++) {
            bool here = j == ((one->index[i] + two->index[i]) & (ALL - 1));
            assert_int_equal(one->point[i * ALL + j] + two->point[i * ALL + j], here ? one->beta[i] + two->beta[i] : 0);
            assert_int_equal(one->turned[i * ALL + j] + two->turned[i * ALL + j], e->table[i * ALL + ((j - one->index[i]) & (ALL - 1))]);
        }
    }
}

static void test_over_a_socket(void **state)
{
    struct side p1, p2;
    struct pair_ran ran;
    struct everything *e = pair_test_alloc(1, sizeof *e);
    fill(e);
    side_open(&p1, NULL);
    side_open(&p2, NULL);
    struct net_peer_key allowed = side_peer(&p1, "P1");
    struct net_listener *listener = listen_for(&p2, 0, NET_PEER_PARTY, &allowed, 1);
    struct net_endpoint_config endpoint = endpoint_of(&p2, net_listener_port(listener), NET_PEER_PARTY);
    struct pair_run_options options = {.k = 4, .hello = true};
    join(listener, &p1, &endpoint, &options.link[1], &options.link[2]);
    pair_run_well(options, all_of_it, e, &ran);
    for (int b = 0; b < BATCHES; b++) {
        check_batch(e, &e->half[1][b], &e->half[2][b]);
        for (size_t r = 0; r < ROWS; r++) {
            uint64_t want = 0;
            for (size_t j = 0; j < COLUMNS; j++)
                want += e->half[2][0].matrix[r * COLUMNS + j] * e->half[1][b].vector[j];
            assert_int_equal(e->half[1][b].product[r] + e->half[2][b].product[r], want);
        }
    }
    /* setup, keys, matrix; then COTs and the longest job, twice */
    assert_int_equal(ran.exchanges[1], 2 + 1 + 1 + BATCHES * (1 + H + 3));
    net_listener_destroy(&listener);
    net_context_destroy(&p1.context);
    net_context_destroy(&p2.context);
    base_free(&e);
}

/* Ends that run other jobs: sizes differ, and the link says so instead of giving words of no meaning. */
static enum base_status other_jobs(struct pair_party *p, void *context, struct base_error *error)
{
    struct half *h = context;
    struct pair_and and;
    struct pair_job *jobs[1] = {&and.job};
    enum base_status status = pair_and_init(&and, p, (struct pair_and_form){.sender = 1, .count = N, .ring = 8 * p->id}, h->rho, h->and, error);
    return status == BASE_OK ? pair_run(p, jobs, 1, error) : status;
}

static void test_other_jobs(void **state)
{
    static struct half scratch[3];
    struct pair_ran ran;
    pair_run_both((struct pair_run_options){.k = 4}, other_jobs, scratch, &ran);
    check_fails(ran.status[2], BASE_ERR_PEER, &ran.error[2], "P1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_over_a_socket), cmocka_unit_test(test_other_jobs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
