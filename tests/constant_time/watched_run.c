#include "tests/constant_time/watched_run.h"

#include "tests/constant_time/secret.h"

#include <stdlib.h>

static bool secret_words(const uint64_t *words, size_t count)
{
    return words != NULL && is_secret(words, count * sizeof *words);
}

static void observe(void *context, struct mpc_party *p, const char *label, const struct mpc_wire *wire, double ulp)
{
    struct watch *watch = context;
    int at = p->role == MPC_HELPER ? TRIO_P0 : p->role == MPC_LEFT ? TRIO_P1 : TRIO_P2;
    (void)label;
    (void)ulp;
    if (secret_words(p->role == MPC_RIGHT ? wire->l2 : wire->l1, wire->count))
        watch->secret_mask[at] = true;
    if (secret_words(wire->m, wire->count))
        watch->secret_share[at] = true;
    /* Allowance 1. */
    if (mpc_computes(p) && wire->m != NULL)
        make_public(wire->m, wire->count * sizeof *wire->m);
}

void watch_party(struct mpc_party *p, struct watch *watch)
{
    p->observe = observe;
    p->observe_context = watch;
}

struct mpc_wire watch_input(struct mpc_party *p, const struct trio_job *job, size_t which)
{
    struct mpc_wire x = trio_input(p, job, which);
    if (!mpc_failed(p))
        observe(p->observe_context, p, "input", &x, 0);
    return x;
}

bool watch_run(const char *name, struct trio_job job)
{
    struct trio trio = {0};
    struct base_error error = {0};
    job.no_twin = true;
    for (size_t i = 0; i < job.input_count; i++)
        make_secret(job.inputs[i].x, job.inputs[i].count * sizeof *job.inputs[i].x);
    enum base_status status = trio_run(&job, &trio, &error);
    if (status != BASE_OK)
        (void)printf("%s: %s\n", name, error.text);
    trio_finish(&trio);
    return status == BASE_OK;
}

bool watch_passes(const char *name, struct trio_job job, struct watch *watch)
{
    unsigned before = reports();
    bool ran = watch_run(name, job), arrived = watch->secret_share[TRIO_P1] && watch->secret_share[TRIO_P2];
    for (int r = 0; r < TRIO_PARTIES; r++)
        arrived = arrived && watch->secret_mask[r];
    if (!arrived)
        (void)printf("%s: a party's masks or shares are not secret\n", name);
    (void)printf("%-14s %u reports\n", name, reports() - before);
    return ran && arrived && reports() == before;
}

struct gate_run {
    const struct sec_gate *gate;
    struct watch watch;
};

static enum base_status run_gate(struct mpc_party *p, const struct trio_job *job)
{
    struct gate_run *run = (struct gate_run *)job->context;
    struct mpc_wire result = {0};
    watch_party(p, &run->watch);
    return run->gate->run(p, watch_input(p, job, 0), &result);
}

bool watch_gate(const struct sec_gate *gate, size_t units, struct trio_job job)
{
    struct gate_run run = {.gate = gate};
    size_t count = units * gate->unit;
    int64_t *x = calloc(count, sizeof *x);
    if (x == NULL)
        abort();
    gate->sample(x, count, units);
    struct trio_input input = {x, count, gate->input_ring, gate->input_frac, gate->input_bound};
    job.program = run_gate;
    job.context = &run;
    job.inputs = &input;
    job.input_count = 1;
    job.seed = units;
    bool passes = watch_passes(gate->name, job, &run.watch);
    free(x);
    return passes;
}
