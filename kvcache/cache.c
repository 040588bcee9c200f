#include "kvcache/cache_sets.h"

/* Address space of what outlives a step; pages are touched on use. */
enum { ARENA_LOG = 32 };
/* Layers whose evictions share their rounds: what they need between the rounds is in memory together. */
enum { EVICTED_TOGETHER = 8 };

static struct kv_form active_form(const struct kv_cache *c)
{
    const struct kv_selection_plan *s = &kv_cache_plan(c)->select;
    struct kv_form form = c->all.form;
    /* Behind the units: `last`, less than two units, a row while a choice runs, and a set's steps. */
    size_t rows = s->first + s->units * s->unit + s->last + 2 * s->unit + s->reuse;
    if (!kv_reads_boxes(s) && rows < form.capacity)
        form.capacity = rows;
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
    const struct kv_layer_plan *own = kv_cache_plan(&c);
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

size_t kv_cache_placed_bytes(const struct kv_cache *c, const struct kern_device *device)
{
    return kv_store_placed_bytes(&c->all, device) + (c->active.k == NULL ? 0 : kv_store_placed_bytes(&c->active, device));
}

enum base_status kv_cache_place(struct kv_cache *c, struct kern_device *device, struct base_error *error)
{
    enum base_status status = BASE_OK;
    TRY(kv_store_place(&c->all, device, error));
    if (c->active.k != NULL)
        TRY(kv_store_place(&c->active, device, error));
out:
    return status;
}

void kv_cache_unplace(struct kv_cache *c)
{
    kv_store_unplace(&c->all);
    kv_store_unplace(&c->active);
}

void kv_cache_swap_arena(struct kv_cache *c, struct mpc_party *p)
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
    const struct kv_eviction_plan *e = &kv_cache_plan(c)->evict;
    const struct kv_selection_plan *s = &kv_cache_plan(c)->select;
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
        (struct kv_selection){.scorer = {.plan = &kv_cache_plan(c)->select, .all = &c->all, .form = form}};
    if (c->arena.memory == NULL)
        return;
    base_arena_release(&c->arena, 0);
    base_arena_trim(&c->arena);
    kv_cache_swap_arena(c, p);
    make_scores(c, p);
    kv_cache_swap_arena(c, p);
    c->mark = base_arena_mark(&c->arena);
}

/* --- rows -------------------------------------------------------------------------------------------- */

struct kv_store *kv_cache_store(struct kv_cache *c)
{
    return c->uses_active ? &c->active : &c->all;
}

static uint32_t slot_of(const struct kv_cache *c, size_t i)
{
    const struct kv_layer_plan *plan = kv_cache_plan(c);
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
    const struct kv_layer_plan *plan = kv_cache_plan(c);
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
    const struct kv_eviction_plan *e = &kv_cache_plan(c)->evict;
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
    const struct kv_eviction_plan *e = &kv_cache_plan(c)->evict;
    const struct kv_selection_plan *s = &kv_cache_plan(c)->select;
    size_t end = c->position + n, next = next_eviction(c, end),
           rows = e->queries == KV_QUERIES_NEWEST ? 1 : e->query_rows, low;
    *ret_rows = 1;
    if (s->units != 0 && s->score == KV_SCORE_ATTENTION)
        return c->selection.scoring || end == c->plan->dims.prompt ? &c->selection.attention : NULL;
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
        started += due && kv_eviction_start(&run[started], &kv_cache_plan(c)->evict, &c->all, &c->scores, p);
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
        TRY(kv_cache_box(&caches[l], p));
    TRY(kv_caches_choose_first(caches, layers, p));
out:
    return status;
}
