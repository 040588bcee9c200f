#include "engine/decoder.h"

#include "base/memory.h"
#include "base/realmath.h"
#include "engine/layer.h"

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
    int ring = plan->ring - l->ft[ENG_NORM_ATTENTION];
    struct kv_form form = {.kv_heads = d->form.shape->kv_heads,
                            .head_dim = d->form.shape->head_dim,
                            .capacity = d->kv.capacity,
                            .ring_k = ring,
                            .frac_k = plan->fu,
                            .bound_k = eng_bound(plan->fu, l->bits[ENG_K]),
                            .ring_v = plan->ring_sv != 0 ? plan->ring_sv : ring,
                            .frac_v = plan->fu,
                            .bound_v = eng_bound(plan->fu, l->bits[ENG_V])};
    if (l->attention == ENG_ATTENTION_CEILINGS) {
        struct eng_ceiling_widths w = eng_plan_ceiling_widths(plan, layer);
        form.ring_k = w.score_cut + w.score;
        form.ring_v = w.e_ring;
        form.frac_v = w.v_frac;
        form.bound_v = eng_bound(w.v_frac, l->bits[ENG_V]);
    }
    return form;
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
    if (form.chunk == 0)
        d.form.chunk = eng_decoder_choose_chunk(form.shape, form.context);
    TRY(form.policy->plan(&form.config, form.context, d.form.chunk, &d.kv, error));
    TRY(base_alloc(&d.store, form.plan->layers, sizeof *d.store, error));
    TRY(base_alloc(&d.turn, half, sizeof *d.turn, error));
    eng_model_rope_turns(form.shape, d.turn);
    for (size_t l = 0; l < form.plan->layers; l++)
        TRY(kv_store_init(&d.store[l], role, cache_form(&d, l), error));
    *ret = d;
    return BASE_OK;
out:
    eng_decoder_finish(&d);
    return status;
}

void eng_decoder_finish(struct eng_decoder *decoder)
{
    for (size_t l = 0; decoder->store != NULL && l < decoder->form.plan->layers; l++)
        kv_store_finish(&decoder->store[l]);
    base_free(&decoder->store);
    base_free(&decoder->turn);
}

void eng_decoder_reset(struct eng_decoder *decoder)
{
    decoder->position = 0;
    for (size_t l = 0; l < decoder->form.plan->layers; l++)
        kv_store_clear(&decoder->store[l]);
}

size_t eng_decoder_work_size(const struct eng_decoder *decoder)
{
    const struct eng_model_shape *s = decoder->form.shape;
    size_t n = decoder->form.chunk, scores = n * s->heads * decoder->kv.capacity;
    size_t wide = n * (s->width + s->ffn + s->heads * s->head_dim), head = s->vocab * (n + 4);
    /* Arrays of 8 bytes alive together: about 40 per score, 60 per activation, 6 per logit or one-hot entry.
     */
    return (size_t)8 * (40 * scores + 60 * wide + 6 * head) + ((size_t)64 << 20);
}

/* cos and sin of n rows from position `first`, as integers with fc fraction bits. */
static void rope_tables(const struct eng_decoder *d, size_t first, size_t n, int64_t *cosines, int64_t *sines)
{
    size_t half = d->form.shape->head_dim / 2;
    double scale = base_power_of_two(d->form.plan->fc);
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < half; c++) {
            double cosine, sine;
            base_cos_sin(d->turn[c] * (uint64_t)(first + i), &cosine, &sine);
            cosines[i * half + c] = base_nearest(cosine * scale);
            sines[i * half + c] = base_nearest(sine * scale);
        }
}

/* The rows of the embedding table at the client's secret indices, in the residual's ring: two rounds. */
static enum base_status embed(struct eng_decoder *d, struct mpc_party *p, struct mpc_wire hot, size_t n,
                              struct mpc_wire *ret)
{
    enum base_status status = BASE_OK;
    struct mpc_wire x = sec_row_lookup(p, hot, n, &d->form.weights->embedding, "embedding");
    TRY(mpc_round(p));
    *ret = mpc_extend(p, x, d->form.plan->ring, "extend embedding");
    TRY(mpc_round(p));
out:
    return status;
}

/* Copies a wire over another one that was made before a mark, so that everything after the mark can be
 * released. */
static void keep(struct mpc_wire *kept, const struct mpc_wire *w)
{
    const uint64_t *from[] = {w->m, w->l1, w->l2, w->x};
    uint64_t *to[] = {kept->m, kept->l1, kept->l2, kept->x};
    for (int c = 0; c < 4; c++)
        for (size_t i = 0; to[c] != NULL && i < w->count; i++)
            to[c][i] = from[c][i];
    kept->bound = w->bound;
}

int eng_logit_bound(const struct eng_plan *plan)
{
    return eng_bound(ENG_LOGIT_FRACTION, plan->lm_bits);
}

int eng_logit_ring(const struct eng_plan *plan)
{
    return plan->ring - (plan->fx + plan->fw - ENG_LOGIT_FRACTION);
}

static enum base_status head(struct eng_decoder *d, struct mpc_party *p, struct mpc_wire x, size_t n,
                             size_t rows, struct eng_logits *ret)
{
    const struct eng_plan *plan = d->form.plan;
    size_t width = d->form.shape->width;
    enum base_status status = BASE_OK;
    x = mpc_slice(x, (n - rows) * width, rows * width);
    struct mpc_share logits = mpc_share_matmul(p, x, rows, &d->form.weights->head);
    ret->rows = rows;
    ret->logits = mpc_cut(p, logits, plan->ring, logits.frac - ENG_LOGIT_FRACTION, eng_logit_bound(plan),
                          false, "logits");
    ret->squares =
        mpc_cut(p, mpc_share_dot(p, x, x, width), plan->ring, ENG_SQUARES_CUT, 44, false, "final sum x^2");
    TRY(mpc_round(p));
out:
    return status;
}

enum base_status eng_decoder_step(struct eng_decoder *d, struct mpc_party *p, struct mpc_wire hot, size_t n,
                                  size_t logit_rows, struct eng_logits *ret)
{
    enum base_status status = BASE_OK;
    size_t half = d->form.shape->head_dim / 2;
    struct mpc_wire x, y;
    TRY_THAT(n >= 1 && n <= d->form.chunk && d->position + n <= (size_t)d->form.plan->context, &p->error,
             BASE_ERR_ARGUMENT, "a step of %zu rows at position %zu: at most %zu rows and %d positions", n,
             d->position, d->form.chunk, d->form.plan->context);
    TRY(embed(d, p, hot, n, &x));
    int64_t *cosines = mpc_bytes(p, n * half * sizeof *cosines),
            *sines = mpc_bytes(p, n * half * sizeof *sines);
    uint32_t *slots = mpc_bytes(p, n * sizeof *slots);
    TRY(p->status);
    rope_tables(d, d->position, n, cosines, sines);
    for (size_t i = 0; i < n; i++)
        slots[i] = (uint32_t)d->form.policy->slot(&d->form.config, &d->kv, d->position + i);
    for (size_t l = 0; l < d->form.plan->layers; l++) {
        size_t mark = base_arena_mark(&p->arena);
        struct eng_step step = {.decoder = d,
                                .p = p,
                                .layer = l,
                                .n = n,
                                .first = d->position,
                                .cos = cosines,
                                .sin = sines,
                                .slots = slots};
        TRY(eng_layer_run(&step, x, &y));
        keep(&x, &y);
        base_arena_release(&p->arena, mark);
    }
    d->position += n;
    if (logit_rows > 0)
        TRY(head(d, p, x, n, logit_rows, ret));
out:
    return status;
}
