/* Every kind of job of a pair, two parties as two threads over a link in memory. Secret are both parties' generators, from their key
 * schedule on, and all that is given to jobs: masks, indices, payloads, tables, rows, matrices. So all that is drawn, every Delta, seed, pad,
 * share and message is secret, too.
 *
 * WHAT IS ALLOWED to decide where a party jumps and what it reads, and nothing else:
 *
 *  1. and 3. of watched_pair.h.
 *  2. The permutation of a permutation job, which indexes the rows that move, at its holder's own desk.
 *  4. The distance by which a point key's domain is turned: both parties open it, and it is uniform by the random index. */
#include "tests/constant_time/leaks.h"
#include "tests/constant_time/secret.h"
#include "tests/constant_time/watched_pair.h"

#include "base/memory.h"
#include "net/memory_link.h"
#include "pair/and.h"
#include "pair/bits.h"
#include "pair/choose.h"
#include "pair/cot.h"
#include "pair/maker.h"
#include "pair/payload.h"
#include "pair/permutation.h"
#include "pair/point.h"
#include "pair/rlwe.h"
#include "pair/table.h"

#include <pthread.h>
#include <stdlib.h>

enum { N = 9, H = 4, ALL = 1 << H, COLUMNS = 2, ROWS = 5, WORDS = N * ALL };

/* --- both parties ------------------------------------------------------------------------------------------------------------------- */

struct end {
    int id, k;
    unsigned mask;
    struct net_link *link;
    void (*leak)(const uint64_t *word); /* a control: reads a share so */
    bool well;
    enum base_status status;
    struct base_error error;
    uint64_t given[6][WORDS], got[11][WORDS];
    uint32_t order[N];
    struct pair_point_keys keys;
    pthread_t thread;
};

/* A result that stayed public was not computed from secrets: then nothing was checked. */
static void expect_secret(struct end *end, const char *what, const void *memory, size_t size)
{
    if (is_secret(memory, size))
        return;
    (void)printf("%s: not secret at P%d\n", what, end->id);
    end->well = false;
}

static void give(struct end *end)
{
    for (size_t i = 0; i < sizeof end->given / sizeof **end->given; i++)
        end->given[i / WORDS][i % WORDS] = i * 2654435761u + (uint64_t)end->id;
    for (size_t i = 0; i < N; i++) {
        end->given[2][i] %= ALL;
        end->order[i] = (uint32_t)((i * 2 + 1) % N);
    }
    make_secret(end->given, sizeof end->given);
}

static enum base_status run_products(struct pair_party *p, struct end *end, struct base_error *error)
{
    enum base_status status;
    struct pair_cross cross, scalars, squares;
    struct pair_and and;
    struct pair_powers powers;
    struct pair_factors factors;
    struct pair_bits bits;
    struct pair_choose choose;
    struct pair_powers_form form = {.count = N, .bits = 7, .ring = 40, .times = true};
    struct pair_job *jobs[] = {&cross.job, &scalars.job, &squares.job, &and.job, &powers.job, &factors.job, &bits.job, &choose.job};
    TRY(pair_cross_init(&cross, p, (struct pair_cross_form){.count = N, .group = 3, .ring = 50}, end->given[0], end->given[1], end->got[0], error));
    TRY(pair_cross_init(&scalars, p, (struct pair_cross_form){.count = N, .group = 3, .ring = 64, .scalars = true}, end->given[0], end->given[1],
                        end->got[1], error));
    TRY(pair_cross_init(&squares, p, (struct pair_cross_form){.count = N, .group = 9, .ring = 20, .squares = true}, end->given[0], NULL, end->got[2],
                        error));
    TRY(pair_and_init(&and, p, (struct pair_and_form){.sender = 1, .count = N, .ring = 17}, end->got[3], end->got[4], error));
    TRY(pair_powers_init(&powers, p, form, end->given[2], end->got[5], error));
    TRY(pair_factors_init(&factors, p, (struct pair_factors_form){.count = N, .bits = 17, .frac = 13, .ring = 64}, end->given[2], end->got[6], error));
    TRY(pair_bits_init(&bits, p, (struct pair_bits_form){.count = N, .bits = 3, .ring = 11}, end->given[2], end->got[8], error));
    TRY(pair_choose_init(&choose, p, (struct mpc_chosen_form){.count = N, .k = 34, .ring = 64}, end->given[0], end->given[1], end->got[9], end->got[10], error));
    TRY(pair_run(p, jobs, sizeof jobs / sizeof *jobs, error));
    expect_secret(end, "a bit times wraps", end->got[9], 8 * N * 8);
    expect_secret(end, "a bit times a mask", end->got[10], 2 * N * 8);
    expect_secret(end, "a product of bits", end->got[8], N * 8);
    expect_secret(end, "a power", end->got[5] + N, 5 * N * 8);
    expect_secret(end, "a product of factors", end->got[6], N * 8);
    for (int i = 0; i < 5; i++)
        expect_secret(end, "a product", end->got[i], 8);
out:
    return status;
}

static enum base_status run_places(struct pair_party *p, struct end *end, struct base_error *error)
{
    enum base_status status;
    bool owns = p->id == 2;
    struct pair_point point;
    struct pair_table table;
    struct pair_permutation permutation;
    struct pair_job *jobs[] = {&point.job, &table.job, &permutation.job};
    struct pair_point_form form = {.count = N, .h = H, .groups = 3, .rings = {64, 1, 20}};
    uint64_t *read = NULL, scratch[ALL];
    TRY(base_alloc(&read, N * 3 * ALL, sizeof *read, error));
    pair_table_turn(end->given[3], H, end->given[2][0], scratch);
    TRY(pair_point_init(&point, p, form, end->given[2], end->given[1], &end->keys, error));
    TRY(pair_table_init(&table, p, (struct pair_table_form){.owner = 2, .count = N, .h = H, .ring = 30}, end->given[2], end->given[3], end->got[5],
                        error));
    TRY(pair_permutation_init(&permutation, p, (struct pair_permutation_form){.owner = 2, .rows = N, .width = 3, .ring = 64, .given = true},
                              end->order, end->given[4], end->got[6], end->got[7], error));
    make_secret(permutation.index, owns ? 0 : N * sizeof *permutation.index); /* as indices of trees they are secret */
    TRY(pair_run(p, jobs, sizeof jobs / sizeof *jobs, error));
    make_public(end->keys.shift, N * sizeof *end->keys.shift); /* allowance 4 */
    TRY(pair_point_expand(p, &end->keys, 0, N, read, error));
    expect_secret(end, "a point key's share", read, N * 3 * ALL * sizeof *read);
    expect_secret(end, "a turned table", end->got[5], WORDS * 8);
    expect_secret(end, "a permuted row", end->got[7], 8);
out:
    base_free(&read);
    return status;
}

static enum base_status run_matrix(struct pair_party *p, struct end *end, struct base_error *error)
{
    enum base_status status;
    struct pair_rlwe rlwe;
    struct pair_rlwe_columns columns;
    struct pair_rlwe_rows rows = {0};
    struct pair_rlwe_encrypt encrypt;
    struct pair_rlwe_product product;
    struct pair_job *first[] = {&encrypt.job}, *second[] = {&product.job};
    TRY(pair_rlwe_start(&rlwe, p, &pair_rlwe_64, error));
    pair_rlwe_columns_new(&rlwe, 2, COLUMNS, &columns);
    TRY(pair_rlwe_encrypt_init(&encrypt, p, (struct pair_rlwe_encrypt_form){.rlwe = &rlwe, .columns = &columns, .rows = ROWS}, end->given[5], &rows, error));
    TRY(pair_run(p, first, 1, error));
    struct pair_rlwe_product_form form = {.rlwe = &rlwe, .owner = 2, .block = {&rows}, .blocks = 1, .vectors = 1, .ring = 50};
    TRY(pair_rlwe_product_init(&product, p, form, end->given[0], end->got[0], error));
    TRY(pair_run(p, second, 1, error));
    expect_secret(end, "a row of a matrix product", end->got[0], ROWS * 8);
out:
    pair_rlwe_rows_finish(&rows);
    pair_rlwe_finish(&rlwe);
    return status;
}

/* Notes of a maker: K of two heads, encrypted as it comes, and scalars with their words; what they leave on the tape. */
static enum base_status run_notes(struct pair_party *p, struct end *end, struct base_error *error)
{
    enum { HEADS = 2, SLOTS = 2, RING = 40 };
    enum base_status status;
    struct pair_maker m;
    struct pair_tape *tape = NULL;
    uint64_t bytes;
    uint8_t record[8 * HEADS * SLOTS];
    static const uint32_t stamp[SLOTS] = {0, 1};
    const struct mpc_maker *maker = &m.of_party;
    pair_maker_init(&m, p, NULL);
    TRY(pair_tape_create(&tape, error));
    m.tape = tape;
    m.linear = PAIR_LINEAR_ENCRYPTED;
    struct mpc_identity which = {.lasting = MPC_KEYS, .of = stamp, .stamp = stamp, .room = SLOTS, .copies = 1};
    struct mpc_product_form form = {.heads = HEADS, .rows = 1, .outs = SLOTS, .inner = COLUMNS, .ring = RING, .which = which};
    TRY(maker->product(&m, form, end->given[0], end->given[5], error));
    TRY(maker->cross(&m, (struct mpc_cross_form){.count = ROWS, .group = ROWS, .ring = RING, .scalars = true}, end->given[0], end->given[5], error));
    TRY(maker->run(&m, true, &bytes, error));
    TRY(pair_tape_take(tape, record, mpc_bits(HEADS * SLOTS, RING), error));
    expect_secret(end, "a record of a product", record, mpc_bits(HEADS * SLOTS, RING));
out:
    pair_maker_finish(&m);
    pair_tape_destroy(&tape);
    return status;
}

static enum base_status run_end(struct end *end)
{
    enum base_status status;
    struct pair_party p = {0};
    static const uint8_t session[PAIR_SESSION] = {3}, seeds[3][PAIR_SEED] = {{0}, {1}, {2}};
    net_link_set_timeout(end->link, 120000);
    give(end);
    TRY(pair_party_init(&p, end->id, kern_table_select(end->mask), end->link, session, seeds[end->id], &end->error));
    TRY(pair_cot_start(&p, end->k, &end->error));
    TRY(run_products(&p, end, &end->error));
    if (end->leak != NULL) {
        end->well = end->well && leak_is_reported("of a product's share", end->leak, &end->got[0][0]);
        goto out;
    }
    TRY(run_places(&p, end, &end->error));
    TRY(run_matrix(&p, end, &end->error));
    TRY(run_notes(&p, end, &end->error));
out:
    pair_point_keys_finish(&end->keys);
    pair_party_finish(&p);
    return status;
}

static void *run_thread(void *context)
{
    struct end *end = context;
    end->well = true;
    end->status = run_end(end);
    return NULL;
}

/* Whether both ran, and all that should be is secret. */
static bool run_both(int k, unsigned mask, void (*leak)(const uint64_t *word))
{
    struct end *ends = calloc(3, sizeof *ends);
    struct net_link *link[3] = {NULL, NULL, NULL};
    struct base_error error = {0};
    bool well = ends != NULL && net_memory_pair_create(&link[1], &link[2], "P1", "P2", 0, 1 << 24, &error) == BASE_OK;
    for (int id = 1; well && id <= 2; id++) {
        ends[id].id = id;
        ends[id].k = k;
        ends[id].mask = mask;
        ends[id].link = link[id];
        ends[id].leak = leak;
        well = pthread_create(&ends[id].thread, NULL, run_thread, &ends[id]) == 0;
    }
    for (int id = 1; well && id <= 2; id++)
        (void)pthread_join(ends[id].thread, NULL);
    for (int id = 1; well && id <= 2; id++)
        if (ends[id].status != BASE_OK || !ends[id].well) {
            (void)printf("P%d: %s\n", id, ends[id].error.text);
            well = false;
        }
    net_link_destroy(&link[1]);
    net_link_destroy(&link[2]);
    free(ends);
    return well;
}

int main(int argc, char **argv)
{
    if (!can_watch())
        return SKIPPED;
    watched_making = true;
    if (argc > 1 && strcmp(argv[1], "leaks") == 0)
        return run_both(4, 1, leak_by_branch) && run_both(4, 1, leak_by_address) ? PASSED : FAILED;
    bool well = true;
    for (unsigned mask = 1; mask <= 3; mask += 2) {
        unsigned before = reports();
        well = run_both(mask == 1 ? 4 : 8, mask, NULL) && reports() == before && well;
        (void)printf("%-14s %u reports\n", mask == 1 ? "scalar, k = 4" : "avx2, k = 8", reports() - before);
    }
    return well ? PASSED : FAILED;
}
