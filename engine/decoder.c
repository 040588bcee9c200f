#include "engine/decoder.h"

#include "base/memory.h"
#include "base/random.h"
#include "base/realmath.h"
#include "engine/layer.h"

#include <string.h>

const char *eng_class_name(enum eng_class class)
{
    static const char *const names[ENG_CLASSES] = {"linear", "softmax", "activation", "norm", "selection", "head"};
    return names[class];
}

/* Scores of one prefill step, over all heads: what bounds its work area. */
enum { PAIRS_PER_STEP = 1 << 18, LARGEST_CHUNK = 128 };

size_t eng_decoder_choose_chunk(const struct eng_model_shape *shape, size_t context)
{
    size_t rows = PAIRS_PER_STEP / (shape->heads * (context > 0 ? context : 1));
    return rows < 1 ? 1 : rows > LARGEST_CHUNK ? LARGEST_CHUNK : rows;
}

static struct kv_form cache_form(const struct eng_decoder *d, size_t layer)
{
    const struct eng_plan *plan = d->form.plan;
    const struct eng_layer_plan *l = &plan->layer[layer];
    int ring = plan->ring - l->ft[ENG_NORM_ATTENTION], ring_v = plan->ring_sv != 0 ? plan->ring_sv : ring;
    struct kv_form form = {.kv_heads = d->form.shape->kv_heads,
                           .head_dim = d->form.shape->head_dim,
                           .ring_k = eng_plan_key_ring(plan, layer),
                           .frac_k = plan->fu,
                           .bound_k = eng_bound(plan->fu, l->bits[ENG_K]),
                           .ring_v = ring_v,
                           .frac_v = plan->fu,
                           .bound_v = eng_bound(plan->fu, l->bits[ENG_V])};
    if (l->attention == ENG_ATTENTION_CEILINGS) {
        struct eng_ceiling_widths w = eng_plan_ceiling_widths(plan, layer);
        form.ring_v = w.e_ring;
        form.frac_v = w.v_frac;
        form.bound_v = eng_bound(w.v_frac, l->bits[ENG_V]);
    }
    /* Whatever is extended must leave the wrap room: |x| <= 2^(ring - 2). */
    form.moved_v = form.bound_v + 2 < form.ring_v ? form.bound_v + 2 : form.ring_v;
    return form;
}

/* A score of 2^bits nats as the product of q and k counts it. */
static struct kv_score_form score_form(const struct eng_decoder *d, size_t layer)
{
    const struct eng_plan *plan = d->form.plan;
    struct eng_ceiling_widths w = eng_plan_ceiling_widths(plan, layer);
    double scale = 1;
    int log = 0, ring = plan->layer[layer].attention == ENG_ATTENTION_CEILINGS
                            ? w.score_cut + w.score
                            : 2 * plan->fu - plan->fs + eng_plan_score_ring(plan, layer);
    for (size_t h = 0; h < d->form.shape->heads; h++)
        if (eng_plan_query_scale(plan, layer, h) > scale)
            scale = eng_plan_query_scale(plan, layer, h);
    while (base_power_of_two(log) < scale)
        log++;
    return (struct kv_score_form){.heads = d->form.shape->heads,
                                  .ring = ring,
                                  .product_bits = 2 * plan->fu + plan->layer[layer].bits[ENG_SCORE] + log};
}

static struct kv_dims dims_of(const struct eng_decoder_form *form, size_t prompt, size_t context)
{
    return (struct kv_dims){.layers = form->plan->layers,
                            .heads = form->shape->heads,
                            .kv_heads = form->shape->kv_heads,
                            .prompt = prompt,
                            .context = context,
                            .pair = form->plan->pair,
                            .profile = &form->plan->profile,
                            .chunk = form->chunk != 0 ? form->chunk
                                                      : eng_decoder_choose_chunk(form->shape, form->context)};
}

static size_t most_slots(const struct eng_decoder *d)
{
    size_t most = 0;
    for (size_t l = 0; l < d->form.plan->layers; l++)
        if (d->kv.layer[l].capacity > most)
            most = d->kv.layer[l].capacity;
    return most;
}

/* Where the caller leaves the rows of a step to us, a policy that holds fewer rows than the context allows
 * more of them. */
static enum base_status plan_cache(struct eng_decoder *d, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const struct eng_decoder_form *form = &d->form;
    size_t prompt = form->prompt != 0 ? form->prompt : form->context;
    struct kv_dims dims = dims_of(form, prompt, form->context);
    TRY(kv_plan_make(&d->kv, form->policy, &form->config, dims, error));
    dims.chunk = eng_decoder_choose_chunk(form->shape, most_slots(d));
    if (form->chunk == 0 && dims.chunk > d->kv.chunk) {
        kv_plan_finish(&d->kv);
        TRY(kv_plan_make(&d->kv, form->policy, &form->config, dims, error));
    }
    d->form.chunk = d->kv.chunk;
    /* The answer to a shorter prompt may be longer, and evictions between chunks of a prompt leave all of it.
     */
    for (size_t l = 0; form->prompt == 0 && l < form->plan->layers; l++)
        if (d->kv.layer[l].evict.chunk != 0)
            d->kv.layer[l].capacity = form->context;
out:
    return status;
}

enum base_status eng_decoder_chunk(const struct eng_decoder_form *form, size_t *ret, struct base_error *error)
{
    struct eng_decoder d = {.form = *form};
    enum base_status status = plan_cache(&d, error);
    *ret = d.form.chunk;
    kv_plan_finish(&d.kv);
    return status;
}

enum base_status eng_decoder_init(struct eng_decoder *ret, enum mpc_role role, struct eng_decoder_form form,
                                  struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_decoder d = {.form = form};
    size_t half = form.shape->head_dim / 2;
    TRY_THAT(form.context >= 1 && form.context <= (size_t)form.plan->context, error, BASE_ERR_RANGE,
             "a context of %zu tokens: the plan was made for at most %d; make one with `cachet plan "
             "--context %zu`",
             form.context, form.plan->context, form.context);
    /* What a longer one would cost may be asked all the same. */
    TRY_THAT(role == MPC_COUNT || !form.shape->positions || form.context <= form.shape->context, error,
             BASE_ERR_RANGE, "a context of %zu tokens: the model has learned positions for %zu", form.context,
             form.shape->context);
    TRY(plan_cache(&d, error));
    TRY(base_alloc(&d.cache, form.plan->layers, sizeof *d.cache, error));
    TRY(base_alloc(&d.turn, half, sizeof *d.turn, error));
    eng_model_rope_turns(form.shape, d.turn);
    for (size_t l = 0; l < form.plan->layers; l++)
        TRY(kv_cache_init(&d.cache[l], role, cache_form(&d, l), score_form(&d, l), &d.kv, l, error));
    *ret = d;
    return BASE_OK;
out:
    eng_decoder_finish(&d);
    return status;
}

void eng_decoder_finish(struct eng_decoder *decoder)
{
    for (size_t l = 0; decoder->cache != NULL && l < decoder->form.plan->layers; l++)
        kv_cache_finish(&decoder->cache[l]);
    base_free(&decoder->cache);
    base_free(&decoder->turn);
    kv_plan_finish(&decoder->kv);
    kv_plan_finish(&decoder->request);
}

void eng_decoder_reset(struct eng_decoder *decoder)
{
    decoder->position = 0;
    decoder->begun = false;
    for (size_t l = 0; l < decoder->form.plan->layers; l++)
        kv_cache_clear(&decoder->cache[l]);
}

enum base_status eng_decoder_allows(const struct eng_decoder_form *form, size_t prompt, size_t new_tokens,
                                    struct base_error *error)
{
    struct kv_plan plan = {0};
    enum base_status status =
        kv_plan_make(&plan, form->policy, &form->config, dims_of(form, prompt, prompt + new_tokens), error);
    kv_plan_finish(&plan);
    return status;
}

enum base_status eng_decoder_period(const struct eng_decoder_form *form, size_t prompt, size_t *ret,
                                    struct base_error *error)
{
    struct kv_plan plan = {0};
    enum base_status status =
        kv_plan_make(&plan, form->policy, &form->config, dims_of(form, prompt, prompt + 1), error);
    *ret = 1;
    for (size_t l = 0; status == BASE_OK && l < form->plan->layers; l++) {
        const struct kv_layer_plan *layer = &plan.layer[l];
        size_t period = layer->select.units != 0 ? layer->select.reuse : layer->evict.every;
        *ret = period > *ret ? period : *ret;
    }
    kv_plan_finish(&plan);
    return status;
}

enum base_status eng_decoder_begin(struct eng_decoder *d, struct mpc_party *p, size_t prompt,
                                   size_t new_tokens, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct kv_plan plan = {0};
    TRY_THAT(prompt >= 1 && prompt + new_tokens <= d->form.context, error, BASE_ERR_ARGUMENT,
             "a prompt of %zu rows and %zu new ones: at least 1, and %zu at most together", prompt,
             new_tokens, d->form.context);
    TRY(kv_plan_make(&plan, d->form.policy, &d->form.config, dims_of(&d->form, prompt, prompt + new_tokens),
                     error));
    for (size_t l = 0; l < d->form.plan->layers; l++)
        TRY_THAT(plan.chunk == d->form.chunk && plan.layer[l].capacity <= d->kv.layer[l].capacity, error,
                 BASE_ERR_INTERNAL, "policy %s: a shorter request needs a larger cache",
                 d->form.policy->name);
    kv_plan_finish(&d->request);
    d->request = plan;
    plan = (struct kv_plan){0};
    d->position = 0;
    for (size_t l = 0; l < d->form.plan->layers; l++)
        kv_cache_begin(&d->cache[l], &d->request, p);
    TRY(p->status);
    p->before_round = eng_before_round;
    p->before_round_context = d;
    d->begun = true;
out:
    kv_plan_finish(&plan);
    return status;
}

/* K or V of n rows: numbers below a quarter of one. */
static struct mpc_wire made_up(struct mpc_party *p, size_t count, uint64_t seed, int ring, int frac)
{
    enum { WORD = 64, QUARTER = 2 };
    int bits = frac > QUARTER ? frac - QUARTER : 1;
    int64_t *x = mpc_bytes(p, count * sizeof *x);
    for (size_t i = 0; x != NULL && i < count; i++)
        x[i] = (int64_t)base_random_mix(seed + i) >> (WORD - 1 - bits);
    return x == NULL ? (struct mpc_wire){0} : mpc_public(p, x, count, ring, frac, bits);
}

enum base_status eng_decoder_make_up(struct eng_decoder *d, struct mpc_party *p, size_t rows)
{
    enum base_status status = BASE_OK;
    size_t layers = d->form.plan->layers, row = d->form.shape->kv_heads * d->form.shape->head_dim;
    for (size_t at = 0; at < rows;) {
        size_t n = rows - at < d->form.chunk ? rows - at : d->form.chunk;
        for (size_t l = 0; l < layers; l++) {
            const struct kv_form *form = &d->cache[l].all.form;
            size_t mark = base_arena_mark(&p->arena);
            uint64_t seed = (uint64_t)(l + 1) << 40 | (uint64_t)at * row;
            struct mpc_wire k = made_up(p, n * row, seed, form->ring_k, form->frac_k),
                            v = made_up(p, n * row, ~seed, form->ring_v, form->frac_v);
            kv_cache_append(&d->cache[l], p, k, v, n);
            kv_cache_advance(&d->cache[l], n);
            base_arena_release(&p->arena, mark);
        }
        at += n;
        d->position += n;
        TRY(kv_caches_close(d->cache, layers, p));
    }
    TRY(p->status);
out:
    return status;
}

size_t eng_decoder_work_size(const struct eng_decoder *decoder)
{
    const struct eng_model_shape *s = decoder->form.shape;
    size_t n = decoder->form.chunk, scores = n * s->heads * most_slots(decoder);
    size_t wide = n * (s->width + s->ffn + s->heads * s->head_dim), head = s->vocab * (n + 4);
    /* Arrays of 8 bytes alive together: about 40 per score, 60 per activation, 6 per logit or one-hot entry;
     * and what a follower adds up of the scores. */
    return (size_t)8 * ((40 + 6 * decoder->form.followers) * scores + 60 * wide + 6 * head) +
           ((size_t)64 << 20);
}

static bool reads_densely(const struct eng_decoder *d)
{
    bool dense = true;
    for (size_t l = 0; l < d->form.plan->layers; l++)
        for (size_t h = 0; h < d->form.shape->kv_heads; h++)
            dense =
                dense && d->request.layer[l].prompt[h].window == 0 && d->request.layer[l].evict.chunk == 0;
    return dense;
}

enum base_status eng_decoder_follow(struct eng_decoder *decoder, struct eng_decoder **followers, size_t count,
                                    struct base_error *error)
{
    enum base_status status = BASE_OK;
    for (size_t i = 0; i < count; i++)
        TRY_THAT(reads_densely(decoder) && reads_densely(followers[i]) &&
                     followers[i]->form.plan == decoder->form.plan &&
                     followers[i]->request.dims.prompt == decoder->request.dims.prompt,
                 error, BASE_ERR_ARGUMENT, "policy %s reads a prompt otherwise than policy %s",
                 followers[i]->form.policy->name, decoder->form.policy->name);
    decoder->followers = followers;
    decoder->follower_count = count;
out:
    return status;
}
