/* The sets of rows that decode steps attend to: when they are chosen, in whose rounds, and which layers share
 * them. */
#include "kvcache/cache_sets.h"

static int larger(int a, int b)
{
    return a > b ? a : b;
}

/* Layers that share a set may hold K in different rings. */
static void set_ring(struct kv_cache *caches, size_t layers, size_t layer)
{
    int *ring = &caches[layer].selection.hot_ring;
    *ring = 0;
    for (size_t l = 0; l < layers; l++)
        if (kv_cache_plan(&caches[l])->select.set_of == layer)
            *ring = larger(*ring, larger(caches[l].all.form.ring_k, caches[l].all.form.moved_v));
}

/* A choice that lives in the cache's own work area. */
static void open_run(struct kv_cache *caches, struct kv_cache *c, struct mpc_party *p)
{
    set_ring(caches, c->plan->dims.layers, c->layer);
    kv_cache_swap_arena(c, p);
    base_arena_release(&p->arena, c->mark);
}

static enum base_status start_by_query(struct kv_cache *caches, struct kv_cache *c, struct mpc_party *p,
                                       struct kv_units units, struct mpc_wire q)
{
    open_run(caches, c, p);
    enum base_status status = kv_selection_by_query(&c->selection, p, units, q);
    kv_cache_swap_arena(c, p);
    return status;
}

static void start_by_rows(struct kv_cache *caches, struct kv_cache *c, struct mpc_party *p)
{
    const struct kv_selection *of = &caches[c->selection.scorer.plan->set_of].selection;
    open_run(caches, c, p);
    kv_selection_by_rows(&c->selection, of->units, of->hot);
    kv_cache_swap_arena(c, p);
}

/* The units that can be chosen from now. */
static bool find_units(const struct kv_cache *c, struct kv_units *ret)
{
    const struct kv_scorer *scorer = &c->selection.scorer;
    if (!kv_reads_boxes(scorer->plan))
        return kv_selection_units(scorer->plan, c->all.used, ret);
    *ret = (struct kv_units){
        .first = scorer->plan->first, .count = scorer->boxed[0], .rows = scorer->plan->unit};
    return ret->count > 0;
}

/* The scores so far choose the next set, if there is anything to choose, and begin anew. */
static void start_by_attention(struct kv_cache *caches, struct kv_cache *c, struct mpc_party *p)
{
    struct kv_units units;
    if (find_units(c, &units)) {
        open_run(caches, c, p);
        kv_selection_by_attention(&c->selection, p, units);
        kv_cache_swap_arena(c, p);
    }
    kv_scores_clear(&c->selection.attention);
}

static bool queue(struct kv_cache *c, struct mpc_party *p)
{
    kv_cache_swap_arena(c, p);
    bool more = kv_selection_queue(p, &c->selection);
    kv_cache_swap_arena(c, p);
    return more;
}

/* Rounds until no selection under way has anything left to open. */
static enum base_status complete(struct kv_cache *caches, size_t count, struct mpc_party *p)
{
    for (bool queued = true; queued;) {
        queued = false;
        for (size_t i = 0; i < count; i++) {
            caches[i].hidden = false;
            queued = (caches[i].selection.running && queue(&caches[i], p)) || queued;
        }
        if (queued && mpc_round(p) != BASE_OK)
            break;
    }
    return p->status;
}

static void install(struct kv_cache *c, struct mpc_party *p)
{
    size_t mark = base_arena_mark(&p->arena);
    kv_selection_install(&c->selection, p, &c->active);
    c->next_active = c->active.used;
    base_arena_release(&p->arena, mark);
}

void kv_caches_before_round(struct kv_cache *caches, size_t layers, struct mpc_party *p)
{
    for (size_t l = 0; l < layers; l++)
        if (caches[l].hidden && caches[l].selection.running)
            (void)queue(&caches[l], p);
}

/* Brings a new set into use, if one is under way or can be chosen by q. */
static enum base_status renew(struct kv_cache *caches, struct kv_cache *c, struct mpc_party *p,
                              struct kv_units units, struct mpc_wire q)
{
    const struct kv_selection_plan *s = c->selection.scorer.plan;
    enum base_status status = BASE_OK;
    if (!c->selection.running && !c->selection.complete) {
        if (s->score == KV_SCORE_ATTENTION)
            return BASE_OK;
        if (s->set_of != c->layer)
            start_by_rows(caches, c, p);
        else
            TRY(start_by_query(caches, c, p, units, q));
    }
    TRY(complete(c, 1, p));
    install(c, p);
    c->uses_active = true;
out:
    return status;
}

enum base_status kv_cache_select(struct kv_cache *caches, size_t layer, struct mpc_party *p,
                                 struct mpc_wire q)
{
    struct kv_cache *c = &caches[layer];
    const struct kv_selection_plan *s = c->selection.scorer.plan;
    bool by_attention = s->score == KV_SCORE_ATTENTION;
    enum base_status status = BASE_OK;
    struct kv_units units;
    c->uses_active = c->selection.scoring = false;
    if (s->units == 0 || !find_units(c, &units))
        return BASE_OK;
    c->uses_active = c->active.used != 0 && c->selection.age < s->reuse;
    if (!c->uses_active)
        TRY(renew(caches, c, p, units, q));
    c->selection.age += c->uses_active;
    if (!c->uses_active || (s->ahead && c->selection.age == s->reuse)) {
        /* The last step of a set: the next one is chosen now, while other layers work. */
        c->hidden = true;
        c->selection.scoring = by_attention;
        c->uses_active = c->uses_active && !(by_attention && s->dense);
        if (!by_attention)
            TRY(start_by_query(caches, c, p, units, q));
    }
out:
    return status;
}

void kv_cache_rank(struct kv_cache *caches, size_t layer, struct mpc_party *p)
{
    struct kv_cache *c = &caches[layer];
    if (!c->selection.scoring)
        return;
    c->selection.scoring = false;
    start_by_attention(caches, c, p);
}

void kv_cache_keep_query(struct kv_cache *c, struct mpc_party *p, struct mpc_wire q, size_t n)
{
    size_t dim = c->all.form.head_dim, count = q.count / n;
    const struct kv_selection_plan *s = &kv_cache_plan(c)->select;
    if (!s->ahead || s->score == KV_SCORE_ATTENTION || c->position + n != c->plan->dims.prompt)
        return;
    kv_cache_swap_arena(c, p);
    uint32_t *index = mpc_bytes(p, count * sizeof *index);
    for (size_t i = 0; index != NULL && i < count; i++)
        index[i] = (uint32_t)((i / dim * n + n - 1) * dim + i % dim);
    c->selection.kept_query = mpc_gather(p, q, index, index == NULL ? 0 : count);
    c->mark = base_arena_mark(&p->arena);
    kv_cache_swap_arena(c, p);
}

struct kv_units kv_cache_probes(const struct kv_cache *c)
{
    const struct kv_selection_plan *s = c->selection.scorer.plan;
    struct kv_units units;
    if (!c->selection.scoring || !c->uses_active || !find_units(c, &units))
        return (struct kv_units){0};
    return (struct kv_units){
        .first = units.first, .count = units.count * (s->unit / s->probe), .rows = s->probe};
}

/* The first set of every layer that is chosen ahead, from the last prompt row. */
enum base_status kv_caches_choose_first(struct kv_cache *caches, size_t layers, struct mpc_party *p)
{
    enum base_status status = BASE_OK;
    struct kv_units units;
    for (size_t l = 0; l < layers; l++) {
        struct kv_cache *c = &caches[l];
        const struct kv_selection_plan *s = c->selection.scorer.plan;
        if (!s->ahead)
            continue;
        if (s->score == KV_SCORE_ATTENTION)
            start_by_attention(caches, c, p);
        else if (find_units(c, &units))
            TRY(start_by_query(caches, c, p, units, c->selection.kept_query));
    }
    TRY(complete(caches, layers, p));
out:
    return status;
}

/* Boxes of the prompt's rows, in memory that lasts as long as the request. */
enum base_status kv_cache_box(struct kv_cache *c, struct mpc_party *p)
{
    enum base_status status = BASE_OK;
    const struct kv_selection_plan *s = c->selection.scorer.plan;
    struct kv_units units;
    if (!kv_reads_boxes(s) || !kv_selection_units(s, c->all.used, &units))
        return BASE_OK;
    struct kv_scorer *scorer = &c->selection.scorer;
    size_t mark = base_arena_mark(&p->arena);
    scorer->boxed[0] = units.count; /* also where the boxes are another layer's */
    if (s->set_of != c->layer)
        return BASE_OK;
    TRY(kv_scorer_box(scorer, p, units));
    /* The keys that they were made of take many times their room. */
    kv_cache_swap_arena(c, p);
    kv_scorer_keep(scorer, p);
    c->mark = base_arena_mark(&p->arena);
    kv_cache_swap_arena(c, p);
    status = p->status;
out:
    base_arena_release(&p->arena, mark);
    return status;
}
