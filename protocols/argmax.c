#include "protocols/argmax.h"

struct mpc_cost sec_argmax_cost(const struct sec_max_step *step, size_t n)
{
    struct mpc_cost cost = {0, 0, 0};
    for (; n > 1; n -= n / 2)
        cost = mpc_cost_add(cost, sec_max_step_cost(step, n / 2));
    return cost;
}

/* One round of the tournament over the first n pairs of *all, in place: winners move to the front, a last pair without a
 * neighbour follows them. */
static enum base_status play(struct mpc_party *p, const struct sec_max_step *step, struct sec_ranked *all, size_t n)
{
    enum base_status status = BASE_OK;
    size_t pairs = n / 2, mark = base_arena_mark(&p->arena);
    uint32_t *left = mpc_bytes(p, pairs * sizeof *left), *right = mpc_bytes(p, pairs * sizeof *right);
    for (size_t i = 0; !mpc_failed(p) && i < pairs; i++) {
        left[i] = (uint32_t)(2 * i);
        right[i] = left[i] + 1;
    }
    struct sec_ranked high;
    TRY(sec_max_step_eval(p, step, sec_ranked_gather(p, *all, left, pairs), sec_ranked_gather(p, *all, right, pairs), &high, NULL));
    if (n % 2 == 1) {
        const uint32_t last = (uint32_t)(n - 1), to = (uint32_t)pairs;
        sec_ranked_put(all, &to, sec_ranked_gather(p, *all, &last, 1));
    }
    sec_ranked_put(all, NULL, high);
    status = p->status;
out:
    base_arena_release(&p->arena, mark);
    return status;
}

enum base_status sec_argmax_eval(struct mpc_party *p, const struct sec_max_step *step, struct mpc_wire x, struct sec_ranked *ret)
{
    enum base_status status = BASE_OK;
    if (x.count == 0)
        mpc_fail(p, BASE_ERR_ARGUMENT, "argmax of no values");
    struct sec_ranked all = sec_ranked_start(p, step, x, x.count);
    for (size_t n = x.count; n > 1; n -= n / 2)
        TRY(play(p, step, &all, n));
    *ret = (struct sec_ranked){mpc_slice(all.value, 0, 1), mpc_slice(all.id, 0, 1)};
    status = p->status;
out:
    return status;
}

/* --- conformance -------------------------------------------------------------------------------------------------------------------------- */

static enum base_status run(struct mpc_party *p, struct mpc_wire x, struct mpc_wire *ret)
{
    struct sec_max_step step = sec_max_step_for(SEC_RANKED_SAMPLE_BOUND, x.count);
    struct sec_ranked best;
    enum base_status status = sec_argmax_eval(p, &step, x, &best);
    if (status == BASE_OK)
        *ret = best.id;
    return status;
}

static struct mpc_cost cost(size_t count)
{
    struct sec_max_step step = sec_max_step_for(SEC_RANKED_SAMPLE_BOUND, count);
    return sec_argmax_cost(&step, count);
}

const struct sec_gate sec_gate_argmax = {.name = "argmax", .source = "specification, compare.py: Argmax", .input_ring = 40,
                                         .input_frac = 4, .input_bound = SEC_RANKED_SAMPLE_BOUND, .unit = 1, .sample = sec_ranked_sample, .run = run,
                                         .cost = cost};
