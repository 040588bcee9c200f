#include "kvcache/cache.h"

/* Address space of what outlives a step; pages are touched on use. */
enum { ARENA_LOG = 32 };
/* Layers whose evictions share their rounds: what they need between the rounds is in memory together. */
enum { EVICTED_TOGETHER = 8 };

static const struct kv_layer_plan *plan_of(const struct kv_cache *c)
{
    return &c->plan->layer[c->layer];
}

/* Boxes are made once: then rows of the answer are attended to as they come. */
static bool reads_boxes(const struct kv_selection_plan *s)
{
    return s->score == KV_SCORE_BOX || s->score == KV_SCORE_ALPHA;
}

static struct kv_form active_form(const struct kv_cache *c)
{
    const struct kv_selection_plan *s = &plan_of(c)->select;
    struct kv_form form = c->all.form;
    if (!reads_boxes(s))
        form.capacity = s->first + s->units * s->unit + s->last + 2 * s->unit + 2 * s->reuse + 1;
    if (s->per_query_head)
        form.kv_heads = c->plan->dims.heads;
    return form;
}

static bool outlives(const struct kv_layer_plan *plan)
{
    return plan->evict.keep != 0 || plan->select.units != 0;
}

enum base_status kv_cache_init(struct kv_cache *ret, enum mpc_role role, struct kv_form form,
                               struct kv_score_form score, const struct kv_plan *plan, size_t layer,
                               struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct kv_cache c = {.plan = plan, .layer = layer, .selection.scorer.form = score};
    const struct kv_layer_plan *own = plan_of(&c);
    form.capacity = own->capacity;
    if (own->select.units != 0 && kv_scorer_ring(&score, &own->select, form.kv_heads) > form.ring_k)
        form.ring_k = kv_scorer_ring(&score, &own->select, form.kv_heads);
    TRY(kv_store_init(&c.all, role, form, error));
    if (own->select.units != 0)
        TRY(kv_store_init(&c.active, role, active_form(&c), error));
    if (outlives(own))
        TRY(base_arena_init(&c.arena, (size_t)1 << ARENA_LOG, error));
    *ret = c;
    return BASE_OK;
out:
    kv_cache_finish(&c);
    return status;
}

void kv_cache_finish(struct kv_cache *c)
{
    kv_store_finish(&c->all);
    kv_store_finish(&c->active);
    if (c->arena.memory != NULL)
        base_arena_trim(&c->arena);
    base_arena_finish(&c->arena);
}

size_t kv_cache_size(const struct kv_cache *c, enum mpc_role role)
{
    return kv_store_size(role, c->all.form) + (c->active.k == NULL ? 0 : kv_store_size(role, c->active.form));
}

/* The party's work area is exchanged for the cache's, and back. */
static void swap_arena(struct kv_cache *c, struct mpc_party *p)
{
    struct base_arena other = p->arena;
    p->arena = c->arena;
    c->arena = other;
}

static size_t sums_of(const struct kv_cache *c, size_t rows)
{
    return (c->all.form.capacity + rows - 1) / rows + 1;
}

/* What an eviction ranks, and what a selection by attention does. */
static void make_scores(struct kv_cache *c, struct mpc_party *p)
{
    const struct kv_eviction_plan *e = &plan_of(c)->evict;
    const struct kv_selection_plan *s = &plan_of(c)->select;
    const struct kv_dims *d = &c->plan->dims;
    size_t rows = e->queries == KV_QUERIES_ALL    ? d->context
                  : e->queries == KV_QUERIES_LAST ? e->query_rows
                                                  : 1;
    c->scores = (struct kv_scores){.first = e->first,
                                   .unit = e->unit,
                                   .sets = e->per_head ? d->kv_heads : 1,
                                   .units = sums_of(c, e->unit),
                                   .bits = KV_EVICTION_BITS};
    if (e->keep != 0)
        kv_scores_make(&c->scores, p, d->heads / c->scores.sets * rows);
    if (s->units == 0 || s->score != KV_SCORE_ATTENTION)
        return;
    struct kv_scores *attention = &c->selection.attention;
    *attention = (struct kv_scores){.first = s->first,
                                    .unit = s->probe,
                                    .sets = kv_scorer_sets(&c->selection.scorer),
                                    .units = sums_of(c, s->probe),
                                    .bits = KV_ATTENTION_BITS};
    kv_scores_make(attention, p, d->heads / attention->sets);
}

void kv_cache_clear(struct kv_cache *c)
{
    kv_store_clear(&c->all);
    if (c->active.k != NULL)
        kv_store_clear(&c->active);
    base_arena_release(&c->arena, 0);
    if (c->arena.memory != NULL)
        base_arena_trim(&c->arena);
}

void kv_cache_begin(struct kv_cache *c, const struct kv_plan *plan, struct mpc_party *p)
{
    c->plan = plan;
    c->position = c->next = c->next_active = 0;
    c->uses_active = c->hidden = false;
    kv_store_set_used(&c->all, 0);
    kv_store_set_used(&c->active, 0);
    struct kv_score_form form = c->selection.scorer.form;
    c->selection =
        (struct kv_selection){.scorer = {.plan = &plan_of(c)->select, .all = &c->all, .form = form}};
    if (c->arena.memory == NULL)
        return;
    base_arena_release(&c->arena, 0);
    base_arena_trim(&c->arena);
    swap_arena(c, p);
    make_scores(c, p);
    swap_arena(c, p);
    c->mark = base_arena_mark(&c->arena);
}

/* --- selection --------------------------------------------------------------------------------------- */

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
        if (plan_of(&caches[l])->select.set_of == layer)
            *ring = larger(*ring, larger(caches[l].all.form.ring_k, caches[l].all.form.moved_v));
}

/* A choice that lives in the cache's own work area. */
static void open_run(struct kv_cache *caches, struct kv_cache *c, struct mpc_party *p)
{
    set_ring(caches, c->plan->dims.layers, c->layer);
    swap_arena(c, p);
    base_arena_release(&p->arena, c->mark);
}

static enum base_status start_by_query(struct kv_cache *caches, struct kv_cache *c, struct mpc_party *p,
                                       struct kv_units units, struct mpc_wire q)
{
    open_run(caches, c, p);
    enum base_status status = kv_selection_by_query(&c->selection, p, units, q);
    swap_arena(c, p);
    return status;
}

static void start_by_attention(struct kv_cache *caches, struct kv_cache *c, struct mpc_party *p,
                               struct kv_units units)
{
    open_run(caches, c, p);
    kv_selection_by_attention(&c->selection, p, units);
    swap_arena(c, p);
}

static void start_by_rows(struct kv_cache *caches, struct kv_cache *c, struct mpc_party *p)
{
    const struct kv_selection *of = &caches[c->selection.scorer.plan->set_of].selection;
    open_run(caches, c, p);
    kv_selection_by_rows(&c->selection, of->units, of->hot);
    swap_arena(c, p);
}

/* The units that can be chosen from now. */
static bool find_units(const struct kv_cache *c, struct kv_units *ret)
{
    const struct kv_scorer *scorer = &c->selection.scorer;
    if (!reads_boxes(scorer->plan))
        return kv_selection_units(scorer->plan, c->all.used, ret);
    *ret = (struct kv_units){
        .first = scorer->plan->first, .count = scorer->boxed[0], .rows = scorer->plan->unit};
    return ret->count > 0;
}

static bool queue(struct kv_cache *c, struct mpc_party *p)
{
    swap_arena(c, p);
    bool more = kv_selection_queue(p, &c->selection);
    swap_arena(c, p);
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
    struct kv_units units;
    if (!c->selection.scoring)
        return;
    c->selection.scoring = false;
    if (find_units(c, &units))
        start_by_attention(caches, c, p, units);
    kv_scores_clear(&c->selection.attention);
}

void kv_cache_keep_query(struct kv_cache *c, struct mpc_party *p, struct mpc_wire q, size_t n)
{
    size_t dim = c->all.form.head_dim, count = q.count / n;
    const struct kv_selection_plan *s = &plan_of(c)->select;
    if (!s->ahead || s->score == KV_SCORE_ATTENTION || c->position + n != c->plan->dims.prompt)
        return;
    swap_arena(c, p);
    uint32_t *index = mpc_bytes(p, count * sizeof *index);
    for (size_t i = 0; index != NULL && i < count; i++)
        index[i] = (uint32_t)((i / dim * n + n - 1) * dim + i % dim);
    c->selection.kept_query = mpc_gather(p, q, index, index == NULL ? 0 : count);
    c->mark = base_arena_mark(&p->arena);
    swap_arena(c, p);
}

/* --- rows -------------------------------------------------------------------------------------------- */

struct kv_store *kv_cache_store(struct kv_cache *c)
{
    return c->uses_active ? &c->active : &c->all;
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

static uint32_t slot_of(const struct kv_cache *c, size_t i)
{
    const struct kv_layer_plan *plan = plan_of(c);
    size_t at = c->next + i, sinks = plan->prompt[0].sinks, capacity = c->all.form.capacity;
    if (!plan->rolls || at < capacity)
        return (uint32_t)at;
    return (uint32_t)(sinks + (at - sinks) % (capacity - sinks));
}

void kv_cache_slots(const struct kv_cache *c, size_t n, uint32_t *ret_slots)
{
    for (size_t i = 0; i < n; i++)
        ret_slots[i] = c->uses_active ? (uint32_t)(c->next_active + i) : slot_of(c, i);
}

void kv_cache_append(struct kv_cache *c, struct mpc_party *p, struct mpc_wire k, struct mpc_wire v, size_t n)
{
    size_t mark = base_arena_mark(&p->arena);
    uint32_t *slots = mpc_bytes(p, n * sizeof *slots);
    if (slots == NULL)
        return;
    for (size_t i = 0; i < n; i++)
        slots[i] = slot_of(c, i);
    kv_store_append(&c->all, p, k, v, c->position, slots, n);
    if (c->uses_active) {
        kv_cache_slots(c, n, slots);
        kv_store_append(&c->active, p, k, v, c->position, slots, n);
    }
    base_arena_release(&p->arena, mark);
}

struct kv_span kv_cache_span(const struct kv_cache *c, size_t kv_head, size_t query)
{
    const struct kv_layer_plan *plan = plan_of(c);
    return query < c->plan->dims.prompt ? plan->prompt[kv_head] : plan->decode[kv_head];
}

void kv_cache_advance(struct kv_cache *c, size_t n)
{
    c->position += n;
    c->next += n;
    c->next_active += c->uses_active ? n : 0;
    c->uses_active = false;
}

/* --- eviction ---------------------------------------------------------------------------------------- */

/* Rows after which the next eviction comes, at `position` or later; SIZE_MAX: none does. */
static size_t next_eviction(const struct kv_cache *c, size_t position)
{
    const struct kv_eviction_plan *e = &plan_of(c)->evict;
    size_t prompt = c->plan->dims.prompt;
    if (e->keep == 0)
        return SIZE_MAX;
    if (position <= prompt) {
        size_t next = e->chunk == 0 ? prompt : (position + e->chunk - 1) / e->chunk * e->chunk;
        return next < prompt ? next : prompt;
    }
    return e->every == 0 ? SIZE_MAX : prompt + (position - prompt + e->every - 1) / e->every * e->every;
}

struct kv_scores *kv_cache_scored(struct kv_cache *c, size_t n, size_t *ret_rows)
{
    const struct kv_eviction_plan *e = &plan_of(c)->evict;
    const struct kv_selection_plan *s = &plan_of(c)->select;
    size_t end = c->position + n, next = next_eviction(c, end),
           rows = e->queries == KV_QUERIES_NEWEST ? 1 : e->query_rows, low;
    *ret_rows = 1;
    if (e->keep == 0 && s->units != 0 && s->score == KV_SCORE_ATTENTION)
        return c->selection.scoring || end == c->plan->dims.prompt ? &c->selection.attention : NULL;
    if (c->selection.scoring)
        return &c->selection.attention;
    if (next == SIZE_MAX)
        return NULL;
    low = e->queries == KV_QUERIES_ALL || next < rows ? 0 : next - rows;
    *ret_rows = end <= low ? 0 : end - low < n ? end - low : n;
    return *ret_rows == 0 ? NULL : &c->scores;
}

static enum base_status evict(struct kv_cache *caches, size_t count, struct mpc_party *p)
{
    enum base_status status = BASE_OK;
    struct kv_eviction run[EVICTED_TOGETHER];
    struct kv_cache *of[EVICTED_TOGETHER];
    size_t mark = base_arena_mark(&p->arena), started = 0;
    for (size_t i = 0; i < count; i++) {
        struct kv_cache *c = &caches[i];
        bool due = next_eviction(c, c->position) == c->position;
        of[started] = c;
        started += due && kv_eviction_start(&run[started], &plan_of(c)->evict, &c->all, &c->scores, p);
    }
    for (bool queued = started > 0; queued;) {
        queued = false;
        for (size_t i = 0; i < started; i++)
            queued = kv_eviction_queue(p, &run[i]) || queued;
        if (queued)
            TRY(mpc_round(p));
    }
    for (size_t i = 0; i < started; i++)
        of[i]->next = of[i]->all.used;
    status = p->status;
out:
    base_arena_release(&p->arena, mark);
    return status;
}

/* The first set of every layer that is chosen ahead, from the last prompt row. */
static enum base_status choose_first(struct kv_cache *caches, size_t layers, struct mpc_party *p)
{
    enum base_status status = BASE_OK;
    struct kv_units units;
    for (size_t l = 0; l < layers; l++) {
        struct kv_cache *c = &caches[l];
        const struct kv_selection_plan *s = c->selection.scorer.plan;
        if (!s->ahead || !find_units(c, &units))
            continue;
        if (s->score != KV_SCORE_ATTENTION)
            TRY(start_by_query(caches, c, p, units, c->selection.kept_query));
        else if (plan_of(c)->evict.keep == 0)
            start_by_attention(caches, c, p, units);
    }
    TRY(complete(caches, layers, p));
    for (size_t l = 0; l < layers; l++)
        if (caches[l].selection.attention.units > 0)
            kv_scores_clear(&caches[l].selection.attention);
out:
    return status;
}

/* Boxes of the prompt's rows, in memory that lasts as long as the request. */
static enum base_status box(struct kv_cache *c, struct mpc_party *p)
{
    enum base_status status = BASE_OK;
    const struct kv_selection_plan *s = c->selection.scorer.plan;
    struct kv_units units;
    if (!reads_boxes(s) || s->set_of != c->layer || !kv_selection_units(s, c->all.used, &units))
        return BASE_OK;
    swap_arena(c, p);
    status = kv_scorer_box(&c->selection.scorer, p, units);
    c->mark = base_arena_mark(&p->arena);
    swap_arena(c, p);
    return status;
}

enum base_status kv_caches_close(struct kv_cache *caches, size_t layers, struct mpc_party *p)
{
    enum base_status status = BASE_OK;
    for (size_t l = 0; l < layers; l += EVICTED_TOGETHER) {
        size_t left = layers - l;
        TRY(evict(&caches[l], left < EVICTED_TOGETHER ? left : EVICTED_TOGETHER, p));
    }
    if (caches[0].position != caches[0].plan->dims.prompt)
        return BASE_OK;
    for (size_t l = 0; l < layers; l++)
        TRY(box(&caches[l], p));
    TRY(choose_first(caches, layers, p));
out:
    return status;
}
