#include "kvcache/gather.h"

#include "base/bits.h"
#include "mpc/lift.h"

static struct mpc_wire move(struct mpc_party *p, const struct kv_gather *g, struct mpc_wire hot, bool values)
{
    const struct kv_form *form = &g->store->form;
    int sum = g->sum ? base_log_ceil(g->units.rows) : 0, full = values ? form->ring_v : form->ring_k,
        ring = values && form->moved_v + sum < full ? form->moved_v + sum : full;
    size_t width = (g->sum ? 1 : g->units.rows) * form->head_dim, per_head = g->count * width,
           n = g->units.count, group = g->heads / form->kv_heads;
    struct mpc_share out = mpc_share_make(p, g->heads * per_head, ring, values ? form->frac_v : form->frac_k);
    for (size_t h = 0; h < g->heads && !mpc_failed(p); h++) {
        size_t mark = base_arena_mark(&p->arena), set = h * g->sets / g->heads;
        struct mpc_matrix columns = kv_store_units(g->store, p, h / group, values, g->units, ring, g->sum);
        struct mpc_wire rows = mpc_slice(hot, (set * g->stride + g->first) * n, g->count * n);
        mpc_share_matmul_at(p, rows, g->count, &columns, &out, h * per_head, width);
        base_arena_release(&p->arena, mark);
    }
    return mpc_cut(p, out, ring, 0, (values ? form->bound_v : form->bound_k) + sum, false,
                   values ? "moved v" : "moved k");
}

struct kv_rows kv_gather_queue(struct mpc_party *p, const struct kv_gather *gather, struct mpc_wire hot)
{
    struct kv_rows rows = {.k = move(p, gather, hot, false)};
    rows.v = move(p, gather, hot, true);
    return rows;
}

/* The sum of 2^log rows as their mean, in a ring smaller by `log` bits. */
static struct mpc_wire mean(struct mpc_party *p, struct mpc_wire w, int log)
{
    int frac = w.frac;
    w = mpc_truncate(p, w, log, w.bound - log, "mean row");
    w.frac = frac;
    return w;
}

bool kv_gather_extend(struct mpc_party *p, const struct kv_form *form, int log_rows, struct kv_rows *rows)
{
    bool queued = false;
    if (log_rows > 0) {
        rows->k = mean(p, rows->k, log_rows);
        rows->v = mean(p, rows->v, log_rows);
    }
    if (rows->k.ring < form->ring_k) {
        rows->k = mpc_extend(p, rows->k, form->ring_k, "extend moved k");
        queued = true;
    }
    if (rows->v.ring < form->ring_v) {
        rows->v = mpc_extend(p, rows->v, form->ring_v, "extend moved v");
        queued = true;
    }
    return queued;
}
