/* What decode steps of several requests do apart from each other: attention to their own rows, and their cache policies. Each lane is a
 * strand, so that all of them share the rounds of one. */
#include "engine/attention.h"

struct parts {
    const struct eng_step *step;
    const struct eng_projections *u;
    struct mpc_wire *o; /* [lanes] */
};

static struct mpc_wire row_of(struct mpc_wire w, size_t rows, size_t row)
{
    size_t width = w.count / rows;
    return mpc_slice(w, row * width, width);
}

static void enter_lane(struct mpc_party *p, struct eng_decoder *d)
{
    p->before_round = eng_before_round;
    p->before_round_context = d;
}

static enum base_status attend(void *context, size_t i, struct mpc_party *p)
{
    struct parts *parts = context;
    const struct eng_projections *all = parts->u;
    size_t half = parts->step->decoder->form.shape->head_dim / 2, n = parts->step->n;
    struct eng_step step = *parts->step;
    struct eng_projections u = {.q = row_of(all->q, n, i),
                                .k = row_of(all->k, n, i),
                                .v = row_of(all->v, n, i),
                                .squares = row_of(all->squares, n, i)};
    step.decoder = parts->step->lanes->lane[i];
    step.lanes = NULL;
    step.n = 1;
    step.first = step.decoder->position;
    step.cos += i * half;
    step.sin += i * half;
    step.slots += i;
    enter_lane(p, step.decoder);
    return eng_attend(&step, &u, &parts->o[i]);
}

enum base_status eng_attention_lanes(const struct eng_step *step, const struct eng_projections *u, struct mpc_wire *ret_o)
{
    struct mpc_party *p = step->p;
    const struct eng_lanes *lanes = step->lanes;
    enum base_status status = BASE_OK;
    struct parts parts = {.step = step, .u = u, .o = mpc_bytes(p, lanes->count * sizeof *parts.o)};
    TRY(p->status);
    TRY(mpc_strands_run(lanes->strands, p, lanes->count, attend, &parts));
    *ret_o = mpc_copy(p, parts.o[0]);
    for (size_t i = 1; i < lanes->count; i++)
        *ret_o = mpc_concat(p, *ret_o, parts.o[i]);
    mpc_strands_release(lanes->strands, false);
    TRY(p->status);
out:
    return status;
}

static enum base_status close_lane(void *context, size_t i, struct mpc_party *p)
{
    const struct eng_lanes *lanes = context;
    struct eng_decoder *d = lanes->lane[i];
    enter_lane(p, d);
    p->account = &d->account[ENG_CLASS_SELECTION];
    return kv_caches_close(d->cache, d->form.plan->layers, p);
}

enum base_status eng_close_lanes(const struct eng_lanes *lanes, struct mpc_party *p)
{
    struct eng_lanes own = *lanes;
    enum base_status status = mpc_strands_run(lanes->strands, p, lanes->count, close_lane, &own);
    mpc_strands_release(lanes->strands, false);
    return status;
}

void eng_before_round(void *decoder, struct mpc_party *p)
{
    struct eng_decoder *d = decoder;
    struct mpc_cost *before = p->account;
    p->account = &d->account[ENG_CLASS_SELECTION];
    kv_caches_before_round(d->cache, d->form.plan->layers, p);
    p->account = before;
}

void eng_before_round_of_lanes(void *lanes, struct mpc_party *p)
{
    const struct eng_lanes *own = lanes;
    for (size_t i = 0; i < own->count; i++)
        eng_before_round(own->lane[i], p);
}
