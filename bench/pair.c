/* bench_pair [--json] [--k 4|8] [PREFIX]: what two parties make with each other in a second, both on this machine, over a link in memory.
 * Every row checks that declared bytes and exchanges are the counted ones. */
#include "base/clock.h"
#include "base/memory.h"
#include "net/memory_link.h"
#include "pair/and.h"
#include "pair/cot.h"
#include "pair/payload.h"
#include "pair/permutation.h"
#include "pair/point.h"
#include "pair/rlwe.h"
#include "pair/table.h"

#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINK_ROOM = 1 << 26 };

/* One party's half of a row. */
struct end {
    const struct row *row;
    int k, id;
    struct net_link *link;
    double seconds; /* of what is measured */
    struct pair_cost cost;
    uint64_t bytes, exchanges; /* counted, of the same */
    enum base_status status;
    struct base_error error;
    pthread_t thread;
};

struct row {
    const char *name, *unit;
    size_t count; /* units that the row makes, both directions together */
    enum base_status (*run)(struct pair_party *p, struct end *end, struct base_error *error);
};

/* --- measuring --------------------------------------------------------------------------------------------------------------------- */

static void start(struct pair_party *p, struct end *end)
{
    net_link_reset_count(p->link);
    p->declared = (struct pair_cost){0};
    end->seconds = -base_clock_seconds();
}

static void stop(struct pair_party *p, struct end *end)
{
    const struct net_count *count = net_link_count(p->link, NET_PHASE_SETUP);
    end->seconds += base_clock_seconds();
    end->cost = p->declared;
    end->bytes = count->payload_bytes;
    end->exchanges = count->rounds;
}

/* Runs jobs between start and stop. */
static enum base_status measure_all(struct pair_party *p, struct end *end, struct pair_job *const *jobs, size_t count, struct base_error *error)
{
    start(p, end);
    enum base_status status = pair_run(p, jobs, count, error);
    stop(p, end);
    return status;
}

static enum base_status measure(struct pair_party *p, struct end *end, struct pair_job *job, struct base_error *error)
{
    return measure_all(p, end, &job, 1, error);
}

/* Random words; NULL on failure. */
static uint64_t *draw(struct pair_party *p, size_t count, int ring, enum base_status *status, struct base_error *error)
{
    uint64_t *words = NULL;
    if (*status == BASE_OK && (*status = base_alloc(&words, count, sizeof *words, error)) == BASE_OK)
        mpc_stream_words(&p->own, words, count, ring);
    return words;
}

/* --- rows -------------------------------------------------------------------------------------------------------------------------- */

static enum base_status run_start(struct pair_party *p, struct end *end, struct base_error *error)
{
    start(p, end);
    enum base_status status = pair_cot_start(p, end->k, error);
    stop(p, end);
    return status;
}

static enum base_status run_cots(struct pair_party *p, struct end *end, struct base_error *error)
{
    uint64_t count[3] = {0, end->row->count / 2, end->row->count / 2};
    start(p, end);
    enum base_status status = pair_cot_reserve(p, count, error);
    stop(p, end);
    return status;
}

static enum base_status run_and(struct pair_party *p, struct end *end, struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t n = end->row->count;
    uint64_t *rho = draw(p, n, 1, &status, error), *share = draw(p, n, 1, &status, error);
    struct pair_and job;
    if (status == BASE_OK)
        status = pair_and_init(&job, p, (struct pair_and_form){.sender = 1, .count = n, .ring = 30}, rho, share, error);
    if (status == BASE_OK)
        status = measure(p, end, &job.job, error);
    base_free_secret(&rho);
    base_free_secret(&share);
    return status;
}

static enum base_status run_cross(struct pair_party *p, struct end *end, struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t n = end->row->count;
    uint64_t *x = draw(p, n, 64, &status, error), *y = draw(p, n, 64, &status, error), *share = draw(p, n, 64, &status, error);
    struct pair_cross job;
    if (status == BASE_OK)
        status = pair_cross_init(&job, p, (struct pair_cross_form){.count = n, .group = 1, .ring = 64}, x, y, share, error);
    if (status == BASE_OK)
        status = measure(p, end, &job.job, error);
    base_free_secret(&x);
    base_free_secret(&y);
    base_free_secret(&share);
    return status;
}

/* Keys as they are made, or as they are read. */
static enum base_status point_keys(struct pair_party *p, struct end *end, struct pair_point_form form, bool read, struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t words = form.count * (size_t)form.groups;
    uint64_t *index = draw(p, form.count, form.h, &status, error), *beta = draw(p, words, 64, &status, error);
    uint64_t *share = draw(p, read ? words << form.h : 1, 64, &status, error);
    struct pair_point *job = NULL;
    struct pair_point_keys keys = {0};
    TRY(status);
    TRY(base_alloc(&job, 1, sizeof *job, error));
    TRY(pair_point_init(job, p, form, index, beta, &keys, error));
    TRY(measure(p, end, &job->job, error));
    if (read) {
        start(p, end);
        TRY(pair_point_expand(p, &keys, 0, form.count, share, error));
        stop(p, end);
    }
out:
    base_free(&job);
    base_free_secret(&index);
    base_free_secret(&beta);
    base_free_secret(&share);
    pair_point_keys_finish(&keys);
    return status;
}

static enum base_status run_point_6(struct pair_party *p, struct end *end, struct base_error *error)
{
    return point_keys(p, end, (struct pair_point_form){.count = end->row->count, .h = 6, .groups = 1, .rings = {64}}, false, error);
}

static enum base_status run_point_9(struct pair_party *p, struct end *end, struct base_error *error)
{
    return point_keys(p, end, (struct pair_point_form){.count = end->row->count, .h = 9, .groups = 3, .rings = {64, 64, 64}}, false, error);
}

static enum base_status run_expand_9(struct pair_party *p, struct end *end, struct base_error *error)
{
    return point_keys(p, end, (struct pair_point_form){.count = end->row->count, .h = 9, .groups = 3, .rings = {64, 64, 64}}, true, error);
}

/* Keys with the job that makes their payload. */
static enum base_status whole_gate(struct pair_party *p, struct end *end, struct pair_point_form form, bool is_exp, struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t n = form.count;
    uint64_t *index = draw(p, n, form.h, &status, error), *own = draw(p, 2 * n, 7, &status, error);
    uint64_t *beta = draw(p, 6 * n, 64, &status, error);
    struct pair_point *job = NULL;
    struct pair_point_keys keys = {0};
    struct pair_powers powers = {0};
    struct pair_factors factors = {0};
    TRY(status);
    TRY(base_alloc(&job, 1, sizeof *job, error));
    if (is_exp)
        TRY(pair_factors_init(&factors, p, (struct pair_factors_form){.count = n, .bits = 17, .frac = 13, .ring = 64}, own, beta, error));
    else
        TRY(pair_powers_init(&powers, p, (struct pair_powers_form){.count = n, .bits = 7, .ring = 64, .times = form.groups == 6}, own, beta, error));
    TRY(pair_point_init(job, p, form, index, beta, &keys, error));
    struct pair_job *jobs[2] = {is_exp ? &factors.job : &powers.job, &job->job};
    TRY(measure_all(p, end, jobs, 2, error));
out:
    base_free(&job);
    base_free_secret(&index);
    base_free_secret(&own);
    base_free_secret(&beta);
    pair_point_keys_finish(&keys);
    return status;
}

static enum base_status run_exp(struct pair_party *p, struct end *end, struct base_error *error)
{
    return whole_gate(p, end, (struct pair_point_form){.count = end->row->count, .h = 6, .groups = 1, .rings = {64}}, true, error);
}

static enum base_status run_gelu(struct pair_party *p, struct end *end, struct base_error *error)
{
    return whole_gate(p, end, (struct pair_point_form){.count = end->row->count, .h = 9, .groups = 3, .rings = {64, 64, 64}}, false, error);
}

static enum base_status run_silu_times(struct pair_party *p, struct end *end, struct base_error *error)
{
    struct pair_point_form form = {.count = end->row->count, .h = 9, .groups = 6, .rings = {64, 64, 64, 64, 64, 64}};
    return whole_gate(p, end, form, false, error);
}

static enum base_status run_table(struct pair_party *p, struct end *end, struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t n = end->row->count;
    uint64_t *index = draw(p, n, 5, &status, error), *table = draw(p, n << 5, 24, &status, error), *share = draw(p, n << 5, 24, &status, error);
    struct pair_table job;
    if (status == BASE_OK)
        status = pair_table_init(&job, p, (struct pair_table_form){.owner = 2, .count = n, .h = 5, .ring = 24}, index, table, share, error);
    if (status == BASE_OK)
        status = measure(p, end, &job.job, error);
    base_free_secret(&index);
    base_free_secret(&table);
    base_free_secret(&share);
    return status;
}

static enum base_status run_permutation(struct pair_party *p, struct end *end, struct base_error *error)
{
    enum { WIDTH = 64 };
    enum base_status status = BASE_OK;
    size_t n = end->row->count;
    uint64_t *first = draw(p, n * WIDTH, 64, &status, error), *second = draw(p, n * WIDTH, 64, &status, error);
    uint32_t *order = NULL;
    struct pair_permutation job;
    TRY(status);
    TRY(base_alloc(&order, n, sizeof *order, error));
    mpc_stream_permutation(&p->own, order, n, first);
    TRY(pair_permutation_init(&job, p, (struct pair_permutation_form){.owner = 2, .rows = n, .width = WIDTH, .ring = 64}, order, NULL, first, second,
                              error));
    TRY(measure(p, end, &job.job, error));
out:
    base_free_secret(&order);
    base_free_secret(&first);
    base_free_secret(&second);
    return status;
}

/* A matrix of `columns` by `rows` at P2: encrypted, or multiplied by `vectors` vectors of P1. */
static enum base_status matrix(struct pair_party *p, struct end *end, size_t columns, size_t rows, size_t vectors, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct pair_rlwe rlwe = {0};
    struct pair_rlwe_columns numbers;
    struct pair_rlwe_rows body = {0};
    struct pair_rlwe_encrypt encrypt;
    struct pair_rlwe_product product;
    uint64_t *words = draw(p, columns * rows, 64, &status, error), *share = NULL;
    TRY(status);
    TRY(base_alloc(&share, vectors * rows + 1, sizeof *share, error));
    TRY(pair_rlwe_start(&rlwe, p, &pair_rlwe_64, error));
    pair_rlwe_columns_new(&rlwe, 2, columns, &numbers);
    TRY(pair_rlwe_encrypt_init(&encrypt, p, (struct pair_rlwe_encrypt_form){.rlwe = &rlwe, .columns = &numbers, .rows = rows}, words, &body, error));
    TRY(measure(p, end, &encrypt.job, error));
    if (vectors == 0)
        goto out;
    struct pair_rlwe_product_form form = {.rlwe = &rlwe, .owner = 2, .block = {&body}, .blocks = 1, .vectors = vectors};
    TRY(pair_rlwe_product_init(&product, p, form, words, share, error));
    TRY(measure(p, end, &product.job, error));
out:
    base_free_secret(&words);
    base_free_secret(&share);
    pair_rlwe_rows_finish(&body);
    pair_rlwe_finish(&rlwe);
    return status;
}

static enum base_status run_encrypt(struct pair_party *p, struct end *end, struct base_error *error)
{
    return matrix(p, end, end->row->count, 768, 0, error);
}

static enum base_status run_product_1(struct pair_party *p, struct end *end, struct base_error *error)
{
    return matrix(p, end, end->row->count, 768, 1, error);
}

static enum base_status run_product_8(struct pair_party *p, struct end *end, struct base_error *error)
{
    return matrix(p, end, end->row->count / 8, 768, 8, error);
}

static const struct row rows[] = {
    {"start", "setups", 1, run_start},
    {"cots", "COTs", 1 << 22, run_cots},
    {"and_30", "ANDs", 1 << 18, run_and},
    {"cross_64", "products", 4096, run_cross},
    {"point_6_1x64", "keys", 8192, run_point_6},
    {"point_9_3x64", "keys", 2048, run_point_9},
    {"read_9_3x64", "keys", 2048, run_expand_9},
    {"exp_64", "gates", 6144, run_exp},
    {"gelu_512", "gates", 3072, run_gelu},
    {"silu_times_512", "gates", 1536, run_silu_times},
    {"table_5_24", "tables", 8192, run_table},
    {"permutation_512_64", "rows", 512, run_permutation},
    {"encrypt_768", "columns", 64, run_encrypt},
    {"product_768", "columns", 512, run_product_1},
    {"product_768_by_8", "columns", 8 * 512, run_product_8},
};

/* --- the table --------------------------------------------------------------------------------------------------------------------- */

static void *run_end(void *context)
{
    struct end *end = context;
    struct pair_party p = {0};
    enum base_status status;
    static const uint8_t session[PAIR_SESSION] = {1};
    TRY(pair_party_init(&p, end->id, kern_table_select(~0u), end->link, session, NULL, &end->error));
    if (end->row->run != run_start)
        TRY(pair_cot_start(&p, end->k, &end->error));
    TRY(end->row->run(&p, end, &end->error));
out:
    end->status = status;
    if (status != BASE_OK)
        net_link_abort(end->link, &end->error);
    pair_party_finish(&p);
    return NULL;
}

static void print_row(const struct row *row, const struct end ends[3], bool json, bool last)
{
    double seconds = ends[1].seconds > ends[2].seconds ? ends[1].seconds : ends[2].seconds;
    double each = (double)(ends[1].bytes + ends[2].bytes) / (double)row->count;
    if (json)
        (void)printf("  {\"name\": \"%s\", \"unit\": \"%s\", \"count\": %zu, \"seconds\": %.6f, \"bytes_each\": %.3f, \"exchanges\": %llu}%s\n", row->name,
                     row->unit, row->count, seconds, each, (unsigned long long)ends[1].exchanges, last ? "" : ",");
    else
        (void)printf("%-20s %8zu %-9s %9.4f s %12.0f /s %10.2f us %12.2f B %4llu exchanges\n", row->name, row->count, row->unit, seconds,
                     (double)row->count / seconds, seconds * 1e6 / (double)row->count, each, (unsigned long long)ends[1].exchanges);
}

static enum base_status run_row(const struct row *row, int k, bool json, bool last, struct base_error *error)
{
    struct end ends[3];
    struct net_link *link[3] = {NULL, NULL, NULL};
    memset(ends, 0, sizeof ends);
    enum base_status status = net_memory_pair_create(&link[1], &link[2], "P1", "P2", 0, LINK_ROOM, error);
    if (status != BASE_OK)
        return status;
    for (int id = 1; id <= 2; id++) {
        ends[id].row = row;
        ends[id].k = k;
        ends[id].id = id;
        ends[id].link = link[id];
        net_link_set_timeout(link[id], 600000);
        if (pthread_create(&ends[id].thread, NULL, run_end, &ends[id]) != 0)
            abort();
    }
    for (int id = 1; id <= 2; id++)
        (void)pthread_join(ends[id].thread, NULL);
    for (int id = 1; id <= 2 && status == BASE_OK; id++) {
        status = ends[id].status;
        if (status != BASE_OK)
            *error = ends[id].error;
        else if (ends[id].bytes != ends[id].cost.bytes[id] || ends[id].exchanges != ends[id].cost.exchanges)
            status = base_fail(error, BASE_ERR_INTERNAL, "%s: P%d has sent other bytes than it declared", row->name, id);
    }
    if (status == BASE_OK)
        print_row(row, ends, json, last);
    net_link_destroy(&link[1]);
    net_link_destroy(&link[2]);
    return status;
}

int main(int argc, char **argv)
{
    struct base_error error = {0};
    enum base_status status = BASE_OK;
    bool json = false, well = true;
    const char *prefix = "";
    int k = 8;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            json = true;
        else if (strcmp(argv[i], "--k") == 0 && i + 1 < argc)
            k = atoi(argv[++i]);
        else if (argv[i][0] != '-')
            prefix = argv[i];
        else
            well = false;
    }
    if (!well || sodium_init() < 0) {
        (void)fprintf(stderr, "usage: bench_pair [--json] [--k 4|8] [PREFIX]\n");
        return 2;
    }
    if (json)
        (void)printf("{\"bench\": \"pair\", \"k\": %d, \"results\": [\n", k);
    const struct row *chosen[sizeof rows / sizeof *rows];
    size_t count = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strncmp(rows[i].name, prefix, strlen(prefix)) == 0)
            chosen[count++] = &rows[i];
    for (size_t i = 0; i < count && status == BASE_OK; i++)
        status = run_row(chosen[i], k, json, i + 1 == count, &error);
    if (json)
        (void)printf("]}\n");
    if (status != BASE_OK)
        (void)fprintf(stderr, "bench_pair: %s\n", error.text);
    return base_status_exit_code(status);
}
