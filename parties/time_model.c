#include "parties/time_model.h"

#include "base/clock.h"
#include "base/memory.h"
#include "parties/relay_link.h"

#include <stdalign.h>
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
static const double SECONDS_PER_DEALT_BYTE = 6e-9;
/* P1 and P2 do two products where P0 does one. */
static const double PARTIES_WORK = 2.5;

static enum base_status multiply(struct mpc_party *p, size_t rows, double *ret_rate, struct base_error *error)
{
    enum { OUTS = 512, INNER = 4096, TIMES = 6 };
    enum base_status status = BASE_OK;
    struct mpc_matrix w = {.ring = 64, .frac = 0, .bound = 63, .outs = OUTS, .inner = INNER};
    double best = 0;
    w.stride = mpc_matrix_stride(p->role, INNER);
    TRY(base_alloc(&w.data, OUTS * w.stride, sizeof *w.data, error));
    for (size_t i = 0; i < OUTS * w.stride; i++)
        w.data[i] = i * 0x9e3779b97f4a7c15u;
    for (int i = 0; i < TIMES; i++) {
        size_t mark = base_arena_mark(&p->arena);
        struct mpc_wire x = mpc_wire_make(p, rows * INNER, 64, 0, 63);
        double start = base_clock_seconds();
        (void)mpc_share_matmul(p, x, rows, &w);
        double seconds = base_clock_seconds() - start;
        best = best == 0 || seconds < best ? seconds : best;
        base_arena_release(&p->arena, mark);
    }
    TRY_THAT(p->status == BASE_OK, error, p->status, "%s", p->error.text);
    *ret_rate = (double)OUTS * INNER * (double)rows / best;
out:
    base_free(&w.data);
    return status;
}

enum base_status time_machine_measure(struct time_machine *ret, struct base_error *error)
{
    enum { MANY = 16, WORK = 32 << 20 };
    enum base_status status = BASE_OK;
    struct mpc_party *p = NULL;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    struct time_machine machine = {.cores = cores < 1 ? 1 : (unsigned)cores};
    TRY(base_alloc(&p, 1, sizeof *p, error));
    TRY(mpc_party_init(p, MPC_LEFT, kern_table_select(~0u), WORK, error));
    TRY(multiply(p, 1, &machine.weights_per_second, error));
    TRY(multiply(p, MANY, &machine.rows_per_second, error));
    *ret = machine;
out:
    if (p != NULL)
        mpc_party_finish(p);
    base_free(&p);
    return status;
}

double time_computing(const struct time_machine *m, const struct time_work *work)
{
    double rate = work->many ? m->rows_per_second : m->weights_per_second,
           one = (double)work->weights * (double)work->rows / rate,
           gates = (double)work->cost.offline * SECONDS_PER_DEALT_BYTE,
           party = one + gates / 3, all = (one * PARTIES_WORK + gates) / m->cores;
    return m->shared && all > party ? all : party;
}

/* --- work ---------------------------------------------------------------------------------------------- */

/* Weights of the layers, and of the head where its rows are counted one by one. */
static uint64_t layer_weights(const struct eng_model_shape *shape)
{
    struct eng_model_shape whole = *shape;
    whole.one_layer = false;
    return eng_weights_count(&whole) - 2 * shape->vocab * shape->width;
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
                              .weights = layer_weights(shape) + shape->vocab * shape->width,
                              .rows = cost->steps};
}
