#include "kvcache/plan.h"

#include "base/memory.h"
#include "kvcache/policy.h"
#include "protocols/choice.h"
#include "protocols/sign.h"

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

bool kv_eviction_sizes(const struct kv_eviction_plan *plan, size_t used, struct kv_eviction_sizes *ret)
{
    if (plan->keep == 0 || used < plan->first + plan->last + plan->unit)
        return false;
    size_t units = (used - plan->first - plan->last) / plan->unit,
           tail = used - plan->first - units * plan->unit,
           kept = (plan->keep - plan->first - tail) / plan->unit;
    *ret = (struct kv_eviction_sizes){.units = units, .kept = kept, .tail = tail};
    return kept < units;
}

static bool is_unit(size_t rows)
{
    return rows >= 1 && rows <= 64 && (rows & (rows - 1)) == 0;
}

static enum base_status check_eviction(const struct kv_plan *plan, const struct kv_eviction_plan *e,
                                       const char *name, struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t least = e->first + e->last + 2 * e->unit - 1;
    if (e->keep == 0)
        return BASE_OK;
    TRY_THAT(is_unit(e->unit), error, BASE_ERR_ARGUMENT,
             "policy %s: units of %zu rows: must be 1, 2, 4, .. 64", name, e->unit);
    TRY(kv_check_budget(name, e->keep, plan->dims.prompt, least, error));
    TRY_THAT(e->pool % 2 == 1, error, BASE_ERR_ARGUMENT, "policy %s: pool is %zu: must be odd", name,
             e->pool);
    TRY_THAT(e->chunk == 0 || e->chunk % e->unit == 0, error, BASE_ERR_ARGUMENT,
             "policy %s: chunks of %zu rows are not whole units of %zu", name, e->chunk, e->unit);
    TRY_THAT(e->every == 0 || e->every % e->unit == 0, error, BASE_ERR_ARGUMENT,
             "policy %s: an eviction every %zu rows: must be whole units of %zu", name, e->every, e->unit);
    TRY_THAT(!e->means || (e->chunk == 0 && e->every == 0 && !e->per_head && e->unit > 1), error,
             BASE_ERR_ARGUMENT, "policy %s: mean rows need units of 2 rows or more, and one eviction", name);
out:
    return status;
}

static enum base_status check_selection(const struct kv_plan *plan, size_t layer, const char *name,
                                        struct base_error *error)
{
    enum base_status status = BASE_OK;
    const struct kv_selection_plan *s = &plan->layer[layer].select, *of;
    if (s->units == 0)
        return BASE_OK;
    TRY_THAT(is_unit(s->unit), error, BASE_ERR_ARGUMENT,
             "policy %s: units of %zu rows: must be 1, 2, 4, .. 64", name, s->unit);
    TRY_THAT(!plan->dims.pair || !kv_reads_boxes(s), error, BASE_ERR_SUPPORT,
             "policy %s: a choice by boxes of keys compares whole keys, which two parties without P0 cannot do: choose by means (select:score=mean) or by "
             "attention (refresh)", name);
    TRY_THAT(!plan->layer[layer].evict.means, error, BASE_ERR_ARGUMENT,
             "policy %s: a selection cannot rank mean rows", name);
    TRY_THAT(s->score != KV_SCORE_ATTENTION || plan->layer[layer].evict.keep == 0, error, BASE_ERR_ARGUMENT,
             "policy %s: a selection by attention cannot follow an eviction", name);
    TRY_THAT(plan->layer[layer].evict.every == 0, error, BASE_ERR_ARGUMENT,
             "policy %s: a selection needs rows that stay where they are while decoding", name);
    TRY_THAT(s->score != KV_SCORE_ATTENTION || (s->unit % s->probe == 0 && s->before % s->probe == 0), error,
             BASE_ERR_ARGUMENT,
             "policy %s: units of %zu rows and the %zu before them are not whole probes of %zu", name,
             s->unit, s->before, s->probe);
    of = &plan->layer[s->set_of].select;
    TRY_THAT(!s->ahead || s->set_of == layer, error, BASE_ERR_ARGUMENT,
             "policy %s: layers that choose ahead cannot share sets: drop one of the two", name);
    TRY_THAT(s->set_of <= layer && of->set_of == s->set_of && of->units == s->units && of->unit == s->unit,
             error, BASE_ERR_ARGUMENT, "policy %s: layer %zu cannot share the sets of layer %zu", name, layer,
             s->set_of);
    TRY_THAT(s->unit >= 2 || !kv_reads_boxes(s), error, BASE_ERR_ARGUMENT,
             "policy %s: boxes need units of 2 rows or more", name);
    TRY_THAT(!s->ahead || s->score != KV_SCORE_BOX, error, BASE_ERR_ARGUMENT,
             "policy %s: scores by boxes cannot be chosen ahead: their queries need rounds of their own",
             name);
out:
    return status;
}

static enum base_status check_profile(const struct kv_plan *plan, const char *name, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const struct kv_dims *d = &plan->dims;
    const struct kv_profile *p = d->profile;
    TRY_THAT(p != NULL && p->layers != 0, error, BASE_ERR_ARGUMENT,
             "policy %s needs a profile of the model's heads, and the numeric plan has none: make the plan "
             "again with `cachet plan`, from calibration text of 16 tokens or more",
             name);
    TRY_THAT(p->layers == d->layers && p->kv_heads == d->kv_heads, error, BASE_ERR_ARGUMENT,
             "policy %s: the plan's profile has %zu layers of %zu KV heads, the model %zu of %zu: make the "
             "plan again with `cachet plan`",
             name, p->layers, p->kv_heads, d->layers, d->kv_heads);
out:
    return status;
}

/* Slots that rows take which leave by their position alone; 0: not all do. */
static size_t rolling_slots(const struct kv_plan *plan, const struct kv_layer_plan *layer)
{
    size_t most = 0;
    if (layer->evict.keep != 0 || layer->select.units != 0)
        return 0;
    for (size_t h = 0; h < plan->dims.kv_heads; h++) {
        const struct kv_span *span[] = {&layer->prompt[h], &layer->decode[h]};
        for (int i = 0; i < 2; i++) {
            if (span[i]->window == 0 || span[i]->sinks != layer->prompt[0].sinks)
                return 0;
            most = larger(most, span[i]->sinks + span[i]->window);
        }
    }
    return most + plan->chunk;
}

/* Slots of a layer that evicts. */
static size_t evicting_slots(const struct kv_plan *plan, const struct kv_eviction_plan *e)
{
    size_t prompt = plan->dims.prompt, answer = plan->dims.context - prompt, left = e->keep + e->unit,
           peak = e->chunk == 0 || left + e->chunk > prompt ? prompt : left + e->chunk;
    if (e->means)
        left += prompt / e->unit;
    left += e->every != 0 && e->every + e->unit < answer ? e->every + e->unit : answer;
    return larger(peak, left);
}

/* Counts of units are read in as many bits as two parties can take the sign of. */
enum { PAIR_MOST_UNITS = (1 << (SEC_SIGN_TABLE_BITS - 1)) - 1 };

/* Units that one choice ranks at most. */
static enum base_status check_choices(const struct kv_plan *plan, const struct kv_layer_plan *layer,
                                      const char *name, struct base_error *error)
{
    const struct kv_eviction_plan *e = &layer->evict;
    const struct kv_selection_plan *s = &layer->select;
    size_t rows = e->every == 0 && plan->dims.prompt < layer->capacity ? plan->dims.prompt : layer->capacity,
           evicted = e->keep == 0 || e->keep >= rows ? 0 : (rows - e->first - e->last) / e->unit,
           selected = s->units == 0 || layer->capacity < s->first + s->last
                          ? 0
                          : (layer->capacity - s->first - s->last) / s->unit,
           most = larger(evicted, selected), unit = evicted > selected ? e->unit : s->unit;
    size_t limit = plan->dims.pair ? PAIR_MOST_UNITS : SEC_CHOICE_MOST_N;
    if (most <= limit)
        return BASE_OK;
    return base_fail(
        error, BASE_ERR_ARGUMENT,
        "policy %s: %zu units of %zu rows to choose from: %zu at most%s, raise unit or shorten the prompt", name,
        most, unit, limit, plan->dims.pair ? " between two parties" : "");
}

static void set_capacity(const struct kv_plan *plan, struct kv_layer_plan *layer)
{
    size_t context = plan->dims.context, slots = rolling_slots(plan, layer);
    layer->rolls = slots != 0;
    if (!layer->rolls)
        slots = layer->evict.keep == 0 ? context : evicting_slots(plan, &layer->evict);
    layer->capacity = slots < context ? slots : context;
}

static enum base_status allocate(struct kv_plan *plan, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const struct kv_dims *d = &plan->dims;
    TRY(base_alloc(&plan->layer, d->layers, sizeof *plan->layer, error));
    TRY(base_alloc(&plan->spans, 2 * d->layers * d->kv_heads, sizeof *plan->spans, error));
    for (size_t l = 0; l < d->layers; l++) {
        plan->layer[l].prompt = plan->spans + 2 * l * d->kv_heads;
        plan->layer[l].decode = plan->layer[l].prompt + d->kv_heads;
        plan->layer[l].evict = (struct kv_eviction_plan){.unit = 1, .pool = 1};
        plan->layer[l].select = (struct kv_selection_plan){.unit = 1, .reuse = 1, .set_of = l};
    }
out:
    return status;
}

enum base_status kv_plan_make(struct kv_plan *ret, const struct kv_policy *policy,
                              const struct kv_config *config, struct kv_dims dims, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct kv_plan plan = {.dims = dims, .chunk = dims.chunk};
    TRY(allocate(&plan, error));
    if (policy->reads_profile)
        TRY(check_profile(&plan, policy->name, error));
    TRY(policy->plan(config, &plan, error));
    plan.dims.profile = NULL;
    for (size_t l = 0; l < dims.layers; l++) {
        size_t rows = plan.layer[l].evict.chunk;
        TRY(check_eviction(&plan, &plan.layer[l].evict, policy->name, error));
        TRY(check_selection(&plan, l, policy->name, error));
        /* An eviction falls between two prefill steps. */
        while (rows != 0 && rows % plan.chunk != 0)
            plan.chunk--;
    }
    for (size_t l = 0; l < dims.layers; l++) {
        set_capacity(&plan, &plan.layer[l]);
        TRY(check_choices(&plan, &plan.layer[l], policy->name, error));
    }
    *ret = plan;
    return BASE_OK;
out:
    kv_plan_finish(&plan);
    return status;
}

void kv_plan_finish(struct kv_plan *plan)
{
    base_free(&plan->layer);
    base_free(&plan->spans);
}
