/* One step of the decoder: embedding, layers, logits; for the rows of one request or of several. */
#include "base/realmath.h"
#include "engine/layer.h"
#include "engine/weights_layout.h"

#include <string.h>

/* The followers have seen n rows more. */
static enum base_status advance_followers(struct eng_decoder *d, struct mpc_party *p, size_t n)
{
    enum base_status status = BASE_OK;
    for (size_t i = 0; i < d->follower_count && d->position <= d->request.dims.prompt; i++) {
        struct eng_decoder *f = d->followers[i];
        for (size_t l = 0; l < f->form.plan->layers; l++)
            kv_cache_advance(&f->cache[l], n);
        f->position += n;
        TRY(kv_caches_close(f->cache, f->form.plan->layers, p));
    }
out:
    return status;
}

/* Whose row i of a step is, and its position. */
struct place {
    struct eng_decoder *decoder;
    size_t position;
};

static struct place place_of(const struct eng_step *step, size_t i)
{
    if (step->lanes != NULL)
        return (struct place){step->lanes->lane[i], step->lanes->lane[i]->position};
    return (struct place){step->decoder, step->first + i};
}

/* cos and sin of a step's rows, as integers with fc fraction bits. */
static void rope_tables(const struct eng_step *step, int64_t *cosines, int64_t *sines)
{
    const struct eng_decoder *d = step->decoder;
    size_t half = d->form.shape->head_dim / 2;
    double scale = base_power_of_two(d->form.plan->fc);
    for (size_t i = 0; i < step->n; i++)
        for (size_t c = 0; c < half; c++) {
            double cosine, sine;
            base_cos_sin(d->turn[c] * (uint64_t)place_of(step, i).position, &cosine, &sine);
            cosines[i * half + c] = base_nearest(cosine * scale);
            sines[i * half + c] = base_nearest(sine * scale);
        }
}

/* The learned rows of the positions of a step. */
static struct mpc_share position_rows(const struct eng_step *step)
{
    struct mpc_party *p = step->p;
    const struct sec_row_table *positions = &step->decoder->form.weights->positions;
    if (step->lanes == NULL)
        return sec_row_table_share(p, positions, step->first, step->n);
    struct mpc_share all = {0};
    for (size_t i = 0; i < step->n; i++) {
        struct mpc_share row = sec_row_table_share(p, positions, place_of(step, i).position, 1);
        if (i == 0)
            all = mpc_share_make(p, step->n * row.count, row.ring, row.frac);
        all.slack = row.slack;
        if (row.z != NULL && all.z != NULL)
            memcpy(all.z + i * row.count, row.z, row.count * sizeof *row.z);
    }
    return all;
}

/* The rows of the embedding table at the client's secret indices, and those of the public positions where the
 * model has learned them, in the residual's ring: two rounds. */
static enum base_status embed(const struct eng_step *step, struct mpc_wire hot, struct mpc_wire *ret)
{
    struct mpc_party *p = step->p;
    const struct eng_decoder *d = step->decoder;
    enum base_status status = BASE_OK;
    const struct sec_row_table *table = &d->form.weights->embedding, *positions = &d->form.weights->positions;
    struct mpc_share rows = sec_row_lookup_share(p, hot, step->n, table, "embedding");
    if (positions->rows > 0)
        mpc_share_add(p, &rows, position_rows(step));
    struct mpc_wire x =
        mpc_cut(p, rows, SEC_ROW_RING, 0, table->bound + (positions->rows > 0), false, "embedding");
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

int eng_logit_ring(const struct eng_model_shape *shape, const struct eng_plan *plan)
{
    return eng_head_ring(plan, shape) - (plan->fx + plan->fw - ENG_LOGIT_FRACTION);
}

/* Rows of x, each with its rms behind it: two rounds, of which the first one opens what waits beside it. The
 * small ring of the rms is all that the logits need. */
static enum base_status add_rms(struct eng_decoder *d, struct mpc_party *p, size_t rows,
                                struct mpc_share squares, struct mpc_wire *x)
{
    const struct eng_plan *plan = d->form.plan;
    enum base_status status = BASE_OK;
    size_t width = d->form.shape->width;
    int cut = 2 * plan->fx - eng_plan_final_fs(plan, width), ring = cut + plan->kn;
    struct mpc_wire r, s = mpc_cut(p, squares, ring < plan->ring ? ring : plan->ring, cut, plan->kn - 1, true,
                                   "final sum x^2 as its root reads it");
    uint32_t *index = mpc_bytes(p, rows * (width + 1) * sizeof *index);
    TRY(mpc_round(p));
    for (size_t i = 0; i < rows; i++)
        for (size_t c = 0; c <= width; c++)
            index[i * (width + 1) + c] = (uint32_t)(c < width ? i * width + c : rows * width + i);
    sec_spline_eval(p, &d->form.gates->root, s, &r, "rms");
    TRY(mpc_round(p));
    *x = mpc_gather(p, mpc_concat(p, mpc_reduce(p, *x, r.ring), r), index, rows * (width + 1));
out:
    return status;
}

static enum base_status head(struct eng_decoder *d, struct mpc_party *p, struct mpc_wire x, size_t n,
                             size_t rows, struct eng_logits *ret)
{
    const struct eng_plan *plan = d->form.plan;
    size_t width = d->form.shape->width;
    enum base_status status = BASE_OK;
    x = mpc_slice(x, (n - rows) * width, rows * width);
    struct mpc_share squares = mpc_share_squares(p, x, width);
    ret->rows = rows;
    ret->squares = mpc_cut(p, squares, plan->ring, ENG_SQUARES_CUT, 44, false, "final sum x^2");
    if (d->form.shape->layer_norm)
        TRY(add_rms(d, p, rows, squares, &x));
    ret->logits = mpc_cut_matmul(p, x, rows, &d->form.weights->head, NULL, (struct mpc_cut_form){ENG_LOGIT_FRACTION, eng_logit_bound(plan), "logits"});
    TRY(mpc_round(p));
out:
    return status;
}

/* A step's rows are in the caches. */
static enum base_status finish_rows(const struct eng_step *step)
{
    struct mpc_party *p = step->p;
    struct eng_decoder *d = step->decoder;
    enum base_status status = BASE_OK;
    p->account = &d->account[ENG_CLASS_SELECTION];
    if (step->lanes != NULL) {
        for (size_t i = 0; i < step->n; i++)
            step->lanes->lane[i]->position++;
        return eng_close_lanes(step->lanes, p);
    }
    d->position += step->n;
    TRY(kv_caches_close(d->cache, d->form.plan->layers, p));
    TRY(advance_followers(d, p, step->n));
out:
    return status;
}

static void advance_layer(const struct eng_step *step, size_t layer)
{
    if (step->lanes == NULL)
        kv_cache_advance(&step->decoder->cache[layer], step->n);
    for (size_t i = 0; step->lanes != NULL && i < step->n; i++)
        kv_cache_advance(&step->lanes->lane[i]->cache[layer], 1);
}

static enum base_status run_rows(struct eng_step *step, struct mpc_wire hot, size_t logit_rows,
                                 struct eng_logits *ret)
{
    enum base_status status = BASE_OK;
    struct eng_decoder *d = step->decoder;
    struct mpc_party *p = step->p;
    size_t half = d->form.shape->head_dim / 2;
    struct mpc_wire x, y;
    struct mpc_cost *before = p->account;
    p->account = &d->account[ENG_CLASS_HEAD];
    TRY(embed(step, hot, &x));
    int64_t *cosines = mpc_bytes(p, step->n * half * sizeof *cosines),
            *sines = mpc_bytes(p, step->n * half * sizeof *sines);
    step->slots = mpc_bytes(p, step->n * sizeof *step->slots);
    TRY(p->status);
    rope_tables(step, cosines, sines);
    step->cos = cosines;
    step->sin = sines;
    for (step->layer = 0; step->layer < d->form.plan->layers; step->layer++) {
        size_t mark = base_arena_mark(&p->arena);
        TRY(eng_layer_run(step, x, &y));
        advance_layer(step, step->layer);
        keep(&x, &y);
        base_arena_release(&p->arena, mark);
        if (p->layer_done != NULL && !mpc_failed(p))
            p->layer_done(p->layer_done_context, step->layer + 1);
        TRY(p->status);
    }
    TRY(finish_rows(step));
    p->account = &d->account[ENG_CLASS_HEAD];
    if (logit_rows > 0)
        TRY(head(d, p, x, step->n, logit_rows, ret));
out:
    p->account = before;
    return status;
}

static bool fits(const struct eng_decoder *d, struct mpc_party *p, size_t n)
{
    if (n >= 1 && n <= d->form.chunk && d->position + n <= (size_t)d->form.plan->context)
        return true;
    mpc_fail(p, BASE_ERR_ARGUMENT, "a step of %zu rows at position %zu: at most %zu rows and %d positions", n,
             d->position, d->form.chunk, d->form.plan->context);
    return false;
}

enum base_status eng_decoder_step(struct eng_decoder *d, struct mpc_party *p, struct mpc_wire hot, size_t n,
                                  size_t logit_rows, struct eng_logits *ret)
{
    enum base_status status = BASE_OK;
    struct eng_step step = {.decoder = d, .p = p, .n = n, .first = d->position};
    if (!fits(d, p, n))
        return p->status;
    if (!d->begun)
        TRY(eng_decoder_begin(d, p, d->form.context, 0, &p->error));
    p->before_round = eng_before_round;
    p->before_round_context = d;
    status = run_rows(&step, hot, logit_rows, ret);
out:
    return status;
}

size_t eng_decoder_lane_size(const struct eng_decoder *decoder)
{
    struct eng_decoder row = *decoder;
    row.form.chunk = 1;
    return eng_decoder_work_size(&row);
}

enum base_status eng_decoder_step_lanes(const struct eng_lanes *lanes, struct mpc_party *p,
                                        struct mpc_wire hot, struct eng_logits *ret)
{
    struct eng_lanes own = *lanes;
    struct eng_step step = {
        .decoder = lanes->lane[0], .p = p, .n = lanes->count, .first = lanes->lane[0]->position, .lanes = &own};
    if (lanes->count < 1 || lanes->count > lanes->lane[0]->form.chunk)
        mpc_fail(p, BASE_ERR_ARGUMENT, "a step of %zu lanes: 1 to %zu, the rows of a chunk", lanes->count, lanes->lane[0]->form.chunk);
    for (size_t i = 0; i < lanes->count && !mpc_failed(p); i++)
        (void)fits(lanes->lane[i], p, 1);
    if (mpc_failed(p))
        return p->status;
    p->before_round = eng_before_round_of_lanes;
    p->before_round_context = &own;
    enum base_status status = run_rows(&step, hot, lanes->count, ret);
    p->before_round = NULL;
    return status;
}
