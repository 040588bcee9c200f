/* Every registered gate, and the linear work between gates, on P0, P1, P2 and the client in one process. What is secret and what is
 * allowed: watched_run.h. */
#include "tests/constant_time/leaks.h"
#include "tests/constant_time/linear.h"
#include "tests/constant_time/secret.h"
#include "tests/constant_time/watched_run.h"

#include "protocols/guard.h"
#include "protocols/registry.h"

#include <stdlib.h>

enum { ARENA = 256 << 20 };

/* --- the guard word, from the readings to the client's bit: no party and no client does anything that depends on it ----------- */

static enum base_status run_word(struct mpc_party *p, const struct trio_job *job)
{
    static const struct sec_guard guard = {.k = 17, .h = 5, .top = 16};
    watch_party(p, (struct watch *)job->context);
    sec_guard_eval(p, &guard, watch_input(p, job, 0), 0, "guard");
    if (mpc_computes(p) && !is_secret(&p->guard, sizeof p->guard))
        mpc_fail(p, BASE_ERR_INTERNAL, "the guard word is not secret");
    return mpc_failed(p) ? p->status : mpc_open_guard(p);
}

static enum base_status take_word(struct mpc_client *client, const struct trio_job *job, struct base_error *error)
{
    bool is_void;
    enum base_status status = mpc_client_take_guard(client, &is_void, error);
    (void)job;
    if (status == BASE_OK && !is_secret(&is_void, sizeof is_void))
        status = base_fail(error, BASE_ERR_INTERNAL, "the bit is not secret");
    return status;
}

static bool check_word(void)
{
    struct watch watch = {0};
    int64_t x[5] = {1 << 12, -1, 16 << 12, 20000, 0};
    struct trio_input input = {x, sizeof x / sizeof *x, 20, 0, 17};
    return watch_passes("guard word", (struct trio_job){.program = run_word, .client = take_word, .context = &watch, .inputs = &input,
                                                        .input_count = 1, .seed = 3, .arena_size = ARENA}, &watch);
}

static int check_gates(void)
{
    const struct trio_job any = {.arena_size = ARENA};
    static const size_t units[] = {2, 37}; /* the second is more than the batches of most gates and kernels */
    size_t count;
    const struct sec_gate *const *gates = sec_gates(&count);
    bool well = true;
    for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
        (void)printf("%zu units of input\n", units[u]);
        well = watch_gate(&linear_gate, units[u], any) && well;
        for (size_t i = 0; i < count; i++)
            well = watch_gate(gates[i], units[u], any) && well;
    }
    well = check_word() && well;
    return well ? PASSED : FAILED;
}

/* --- controls: x squared, with a step that leaks at one role ------------------------------------------------------------------- */

struct leaking_run {
    const char *name;
    void (*leak)(const uint64_t *word);
    enum mpc_role role;
    bool before_round; /* at the own masked share, which is m only after the round; else at the mask, or the own half of it */
    struct watch watch;
};

static void step_that_leaks(struct mpc_party *p, const struct leaking_run *run, const struct mpc_wire *x, const struct mpc_wire *z)
{
    const uint64_t *word = run->before_round ? z->m : p->role == MPC_RIGHT ? x->l2 : x->l1;
    if (!mpc_failed(p) && p->role == run->role && !leak_is_reported(run->name, run->leak, word))
        mpc_fail(p, BASE_ERR_INTERNAL, "a leak was not reported");
}

static enum base_status run_leaking(struct mpc_party *p, const struct trio_job *job)
{
    struct leaking_run *run = (struct leaking_run *)job->context;
    watch_party(p, &run->watch);
    struct mpc_wire x = watch_input(p, job, 0);
    struct mpc_wire z = mpc_cut(p, mpc_share_dot(p, x, x, 1), x.ring, x.frac, 2 * x.bound - x.frac, false, "square");
    step_that_leaks(p, run, &x, &z);
    enum base_status status = mpc_round(p);
    /* Allowance 1 does what it says. */
    unsigned before = reports();
    if (status == BASE_OK && mpc_computes(p)) {
        leak_by_branch(z.m);
        leak_by_address(z.m);
        if (reports() != before)
            mpc_fail(p, BASE_ERR_INTERNAL, "reading at a masked value was reported");
    }
    return p->status;
}

static int check_leaks(void)
{
    static const struct {
        const char *name;
        enum mpc_role role;
        bool before_round;
    } places[] = {{"at P0, its mask", MPC_HELPER, false},
                  {"at P1, its half of a mask", MPC_LEFT, false},
                  {"at P2, its half of a mask", MPC_RIGHT, false},
                  {"at P1, its share before a round", MPC_LEFT, true},
                  {"at P2, its share before a round", MPC_RIGHT, true}};
    bool well = true;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        for (int address = 0; address < 2; address++) {
            int64_t x[3] = {1, -77, 4000};
            struct trio_input input = {x, sizeof x / sizeof *x, 40, 4, 12};
            struct leaking_run run = {.name = places[i].name, .leak = address ? leak_by_address : leak_by_branch, .role = places[i].role,
                                      .before_round = places[i].before_round};
            well = watch_run(run.name, (struct trio_job){.program = run_leaking, .context = &run, .inputs = &input, .input_count = 1,
                                                         .seed = 1, .arena_size = ARENA}) && well;
        }
    return well ? PASSED : FAILED;
}

int main(int argc, char **argv)
{
    if (!can_watch())
        return SKIPPED;
    return argc > 1 && strcmp(argv[1], "leaks") == 0 ? check_leaks() : check_gates();
}
