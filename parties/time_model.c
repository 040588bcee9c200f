#include "parties/time_model.h"

#include "base/clock.h"
#include "base/memory.h"
#include "kernels/threads.h"
#include "parties/relay_link.h"

#include <pthread.h>
#include <unistd.h>

/* --- the network --------------------------------------------------------------------------------------- */

enum base_status time_link_parse(const char *text, struct time_link *ret, struct base_error *error)
{
    static const double loopback_mbit = 20000, loopback_rtt_ms = 0.1;
    enum base_status status = BASE_OK;
    struct relay_link link;
    TRY(relay_link_parse(text, &link, error));
    double rtt = link.delay_ms[0] + link.delay_ms[1],
           mbit = link.mbit[1] > 0 && (link.mbit[0] == 0 || link.mbit[1] < link.mbit[0]) ? link.mbit[1] : link.mbit[0];
    *ret = (struct time_link){.rtt_ms = rtt > loopback_rtt_ms ? rtt : loopback_rtt_ms,
                              .mbit = mbit > 0 ? mbit : loopback_mbit};
out:
    return status;
}

double time_on_link(const struct time_link *link, const struct time_work *work)
{
    double bytes_per_second = link->mbit * 1e6 / 8, trip = link->rtt_ms * 1e-3,
           online = (double)work->cost.rounds * trip / 2 + (double)work->cost.online / 2 / bytes_per_second,
           dealt = (double)work->cost.offline / 2 / bytes_per_second,
           client = (double)work->client.turns * trip +
                    (double)(work->client.sent + work->client.received) / 2 / bytes_per_second;
    return (online > dealt ? online : dealt) + client;
}

/* --- the machine --------------------------------------------------------------------------------------- */

/* Seconds of processor time per byte that was dealt, all three parties together: gates, masks, sending. Fitted on the shapes of
 * bench/README.md; an error of a factor of two moves no prediction on a slow link by more than a few percent. */
static const double SECONDS_PER_DEALT_BYTE = 2e-8;
/* Of each round on one machine: three processes wake each other. */
static const double SECONDS_PER_ROUND = 1e-4;
/* P1 and P2 do two products where P0 does one. */
static const double PARTIES_WORK = 2.5;

/* One core's products while the others do the same: weights come from memory, which all share. */
struct product {
    size_t rows;
    double rate; /* weights times rows per second */
    enum base_status status;
    struct base_error error;
};

static enum base_status multiply(struct product *job, struct mpc_party *p)
{
    enum { OUTS = 1024, INNER = 4096, TIMES = 4, MANY_OUTS = 128 };
    enum base_status status = BASE_OK;
    struct mpc_matrix w = {.ring = 64, .frac = 0, .bound = 63, .outs = job->rows == 1 ? OUTS : MANY_OUTS, .inner = INNER};
    double best = 0;
    w.stride = mpc_matrix_stride(p->role, w.ring, INNER);
    TRY(base_alloc(&w.data, w.outs * w.stride, 1, &job->error));
    for (size_t i = 0; i < w.outs * w.stride; i++)
        w.data[i] = (uint8_t)(i * 0x9e3779b97f4a7c15u >> 56);
    for (int i = 0; i < TIMES; i++) {
        size_t mark = base_arena_mark(&p->arena);
        struct mpc_wire x = mpc_wire_make(p, job->rows * INNER, 64, 0, 63);
        double start = base_clock_seconds();
        (void)mpc_share_matmul(p, x, job->rows, &w);
        double seconds = base_clock_seconds() - start;
        best = best == 0 || seconds < best ? seconds : best;
        base_arena_release(&p->arena, mark);
    }
    TRY_THAT(p->status == BASE_OK, &job->error, p->status, "%s", p->error.text);
    job->rate = (double)w.outs * INNER * (double)job->rows / best;
out:
    base_free(&w.data);
    return status;
}

static void *run_product(void *context)
{
    enum { WORK = 32 << 20 };
    struct product *job = context;
    struct mpc_party *p = NULL;
    job->status = base_alloc(&p, 1, sizeof *p, &job->error);
    if (job->status == BASE_OK)
        job->status = mpc_party_init(p, MPC_LEFT, kern_table_select(~0u), WORK, &job->error);
    if (job->status == BASE_OK)
        job->status = multiply(job, p);
    if (p != NULL)
        mpc_party_finish(p);
    base_free(&p);
    return NULL;
}

/* The slowest of `cores` that work at once. */
static enum base_status rate_of(size_t rows, unsigned cores, double *ret, struct base_error *error)
{
    enum { MOST = 4 };
    enum base_status status = BASE_OK;
    struct product job[MOST];
    pthread_t thread[MOST];
    unsigned count = cores < MOST ? cores : MOST, started = 0;
    for (unsigned i = 0; i < count; i++)
        job[i] = (struct product){.rows = rows};
    while (started < count && pthread_create(&thread[started], NULL, run_product, &job[started]) == 0)
        started++;
    for (unsigned i = 0; i < started; i++)
        (void)pthread_join(thread[i], NULL);
    TRY_THAT(started == count, error, BASE_ERR_MEMORY, "cannot start %u threads to time products", count);
    *ret = 0;
    for (unsigned i = 0; i < count; i++) {
        TRY_THAT(job[i].status == BASE_OK, error, job[i].status, "%s", job[i].error.text);
        *ret = i == 0 || job[i].rate < *ret ? job[i].rate : *ret;
    }
out:
    return status;
}

enum base_status time_machine_measure(struct time_machine *ret, struct base_error *error)
{
    enum { MANY = 16 };
    enum base_status status = BASE_OK;
    struct time_machine machine = {.cores = (unsigned)kern_cores()};
    TRY(rate_of(1, machine.cores, &machine.weights_per_second, error));
    TRY(rate_of(MANY, machine.cores, &machine.rows_per_second, error));
    *ret = machine;
out:
    return status;
}

double time_computing(const struct time_machine *m, const struct time_work *work)
{
    double rate = work->many ? m->rows_per_second : m->weights_per_second,
           one = (double)work->weights * (double)work->rows / rate,
           gates = (double)work->cost.offline * SECONDS_PER_DEALT_BYTE,
           turns = (double)work->cost.rounds * SECONDS_PER_ROUND, party = one + gates / 3 + turns,
           all = (one * PARTIES_WORK + gates) / m->cores + turns;
    return m->shared && all > party ? all : party;
}

/* --- work ---------------------------------------------------------------------------------------------- */

/* Weights of the layers, and of the head where its rows are counted one by one. */
static uint64_t layer_weights(const struct eng_model_shape *shape)
{
    struct eng_model_shape whole = *shape;
    whole.one_layer = false;
    size_t rows, columns;
    eng_tensor_extent(shape, ENG_TENSOR_POSITION, &rows, &columns);
    return eng_weights_count(&whole) - 2 * shape->vocab * shape->width - rows * columns;
}

struct time_work time_of_prefill(const struct eng_cost *cost, const struct eng_model_shape *shape, size_t prompt)
{
    return (struct time_work){.cost = cost->prefill,
                              .client = cost->prefill_client,
                              .weights = layer_weights(shape),
                              .rows = prompt,
                              .many = true};
}

struct time_work time_of_decode(const struct eng_cost *cost, const struct eng_model_shape *shape)
{
    return (struct time_work){.cost = cost->decode,
                              .client = cost->client,
                              .weights = layer_weights(shape) + shape->vocab * shape->width * 3 / 2, /* head and embedding */
                              .rows = cost->steps};
}
