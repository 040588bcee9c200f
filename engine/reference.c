#include "engine/reference.h"

#include "base/memory.h"
#include "base/realmath.h"

#include <math.h>
#include <string.h>

enum { BATCH = ENG_REFERENCE_ROWS };

struct reference_layer {
    float *q, *k, *v, *o, *gate, *up, *down; /* gains and 1 / sqrt(head_dim) folded in */
    /* Of q, k, v and g: own biases and what the norm's bias adds; NULL where the model has none. */
    float *q_bias, *k_bias, *v_bias, *o_bias, *up_bias, *down_bias;
};

/* Activations of one batch. */
struct reference_work {
    float *x, *u, *q, *k, *v, *uq, *uk, *uv, *o, *y, *g, *p, *h, *a, *mean, *score;
};

struct eng_reference {
    struct eng_model_shape shape;
    size_t context, position, wide, narrow; /* wide: heads * head_dim, narrow: kv_heads * head_dim */
    float *weights;                         /* one block */
    struct reference_layer *layer;
    float *embedding, *positions, *head, *head_bias; /* NULL where the model has none */
    float *keys, *values; /* [layers][context][narrow] */
    float *memory;
    struct reference_work w;
    uint64_t *turn;
    float *cosine, *sine; /* [BATCH][head_dim / 2] */
    eng_probe_fn probe;
    void *probe_context;
};

static void see(const struct eng_reference *r, int wire, size_t layer, const float *v, size_t count)
{
    if (r->probe != NULL)
        r->probe(r->probe_context, wire, layer, 0, v, count);
}

/* y [n][outs] = x [n][inner] W^T. */
static void matmul(float *y, const float *x, size_t n, const float *w, size_t outs, size_t inner)
{
    for (size_t o = 0; o < outs; o++)
        for (size_t i = 0; i < n; i++) {
            const float *a = x + i * inner, *b = w + o * inner;
            float sum = 0;
#pragma omp simd reduction(+ : sum)
            for (size_t c = 0; c < inner; c++)
                sum += a[c] * b[c];
            y[i * outs + o] = sum;
        }
}

static float dot(const float *a, const float *b, size_t count)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < count; i++)
        sum += a[i] * b[i];
    return sum;
}

/* --- loading ------------------------------------------------------------------------------------------- */

struct loader {
    const struct eng_weight_source *source;
    float *at;          /* where the next tensor goes: zeros */
    float *gain, *bias; /* [width], of the norm that the next matrices read */
};

/* *ret is NULL where the model has no such tensor. */
static enum base_status load(struct loader *l, enum eng_tensor tensor, size_t layer, float **ret,
                             struct base_error *error)
{
    size_t rows, columns;
    eng_tensor_extent(l->source->shape, tensor, &rows, &columns);
    *ret = rows == 0 ? NULL : l->at;
    l->at += rows * columns;
    if (rows == 0)
        return BASE_OK;
    return l->source->read(l->source->context, tensor, layer, (struct eng_row_range){0, rows}, *ret, error);
}

static enum base_status load_norm(struct loader *l, enum eng_tensor gain, enum eng_tensor bias, size_t layer,
                                  struct base_error *error)
{
    const struct eng_row_range one = {0, 1};
    enum base_status status = BASE_OK;
    TRY(l->source->read(l->source->context, gain, layer, one, l->gain, error));
    if (l->source->shape->layer_norm)
        TRY(l->source->read(l->source->context, bias, layer, one, l->bias, error));
out:
    return status;
}

/* A matrix that reads a norm: the gain goes into it, what the norm's bias makes of it into its own one. */
struct reader {
    enum eng_tensor matrix, bias; /* bias ENG_TENSORS: the model has none, but the norm's may ask for one */
    float scale;
};

static enum base_status load_reader(struct loader *l, struct reader reader, size_t layer, float **ret,
                                    float **ret_bias, struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t rows, columns;
    bool layer_norm = l->source->shape->layer_norm;
    eng_tensor_extent(l->source->shape, reader.matrix, &rows, &columns);
    TRY(load(l, reader.matrix, layer, ret, error));
    if (reader.bias != ENG_TENSORS) {
        TRY(load(l, reader.bias, layer, ret_bias, error));
    } else {
        *ret_bias = layer_norm ? l->at : NULL;
        l->at += layer_norm ? rows : 0;
    }
    for (size_t o = 0; o < rows && *ret_bias != NULL; o++) {
        float more = layer_norm ? dot(*ret + o * columns, l->bias, columns) : 0;
        (*ret_bias)[o] = reader.scale * ((*ret_bias)[o] + more);
    }
    for (size_t i = 0; i < rows * columns; i++)
        (*ret)[i] *= reader.scale * l->gain[i % columns];
out:
    return status;
}

static enum base_status load_layer(struct loader *from, size_t layer, struct reference_layer *w,
                                   struct base_error *error)
{
    const float scale = 1 / sqrtf((float)from->source->shape->head_dim);
    const struct reader q = {ENG_TENSOR_Q, ENG_TENSOR_Q_BIAS, scale},
                        k = {ENG_TENSOR_K, ENG_TENSOR_K_BIAS, 1}, v = {ENG_TENSOR_V, ENG_TENSOR_V_BIAS, 1},
                        gate = {ENG_TENSOR_GATE, ENG_TENSORS, 1}, up = {ENG_TENSOR_UP, ENG_TENSOR_UP_BIAS, 1};
    enum base_status status = BASE_OK;
    float *none;
    TRY(load_norm(from, ENG_TENSOR_ATTENTION_NORM, ENG_TENSOR_ATTENTION_NORM_BIAS, layer, error));
    TRY(load_reader(from, q, layer, &w->q, &w->q_bias, error));
    TRY(load_reader(from, k, layer, &w->k, &w->k_bias, error));
    TRY(load_reader(from, v, layer, &w->v, &w->v_bias, error));
    TRY(load(from, ENG_TENSOR_O, layer, &w->o, error));
    TRY(load(from, ENG_TENSOR_O_BIAS, layer, &w->o_bias, error));
    TRY(load_norm(from, ENG_TENSOR_MLP_NORM, ENG_TENSOR_MLP_NORM_BIAS, layer, error));
    TRY(load_reader(from, gate, layer, &w->gate, &none, error));
    TRY(load_reader(from, up, layer, &w->up, &w->up_bias, error));
    TRY(load(from, ENG_TENSOR_DOWN, layer, &w->down, error));
    TRY(load(from, ENG_TENSOR_DOWN_BIAS, layer, &w->down_bias, error));
out:
    return status;
}

static enum base_status load_weights(struct eng_reference *r, const struct eng_weight_source *source,
                                     float *norm /* [2][width] */, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct loader from = {source, r->weights, norm, norm + r->shape.width};
    TRY(load(&from, ENG_TENSOR_EMBEDDING, 0, &r->embedding, error));
    TRY(load(&from, ENG_TENSOR_POSITION, 0, &r->positions, error));
    for (size_t l = 0; l < r->shape.layers; l++)
        TRY(load_layer(&from, l, &r->layer[l], error));
    TRY(load_norm(&from, ENG_TENSOR_FINAL_NORM, ENG_TENSOR_FINAL_NORM_BIAS, 0, error));
    TRY(load_reader(&from, (struct reader){ENG_TENSOR_HEAD, ENG_TENSORS, 1}, 0, &r->head, &r->head_bias, error));
out:
    return status;
}

/* Floats of all tensors, and the biases of the logits. */
static size_t weights_size(const struct eng_model_shape *shape)
{
    size_t size = shape->vocab;
    for (enum eng_tensor tensor = 0; tensor < ENG_TENSORS; tensor++) {
        size_t rows, columns;
        eng_tensor_extent(shape, tensor, &rows, &columns);
        size += (eng_tensor_has_layer(tensor) ? shape->layers : 1) * rows * columns;
    }
    return size;
}

static void lay_out_work(struct eng_reference *r, float *at)
{
    const struct eng_model_shape *s = &r->shape;
    struct reference_work *w = &r->w;
    struct {
        float **field;
        size_t row;
    } fields[] = {{&w->x, s->width},  {&w->u, s->width}, {&w->q, r->wide},    {&w->k, r->narrow},
                  {&w->v, r->narrow}, {&w->uq, r->wide}, {&w->uk, r->narrow}, {&w->uv, r->narrow},
                  {&w->o, r->wide},   {&w->y, s->width}, {&w->g, s->ffn},     {&w->p, s->ffn},
                  {&w->h, s->ffn},    {&w->mean, 1}};
    for (size_t f = 0; f < sizeof fields / sizeof *fields; f++) {
        *fields[f].field = at;
        at += BATCH * fields[f].row;
    }
    w->a = at;
    w->score = at + r->context;
}

enum base_status eng_reference_create(struct eng_reference **ret, const struct eng_weight_source *source,
                                      size_t context, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_reference *r = NULL;
    const struct eng_model_shape *s = source->shape;
    float *gain = NULL;
    TRY_THAT(!s->positions || context <= s->context, error, BASE_ERR_RANGE,
             "a context of %zu tokens: the model has learned positions for %zu", context, s->context);
    TRY(base_alloc(&r, 1, sizeof *r, error));
    r->shape = *s;
    r->context = context;
    r->wide = s->heads * s->head_dim;
    r->narrow = s->kv_heads * s->head_dim;
    size_t work = BATCH * (3 * s->width + 3 * r->wide + 4 * r->narrow + 3 * s->ffn + 1) + 2 * context;
    TRY(base_alloc(&r->layer, s->layers, sizeof *r->layer, error));
    TRY(base_alloc(&r->weights, weights_size(s), sizeof *r->weights, error));
    TRY(base_alloc(&r->keys, s->layers * context * r->narrow, sizeof *r->keys, error));
    TRY(base_alloc(&r->values, s->layers * context * r->narrow, sizeof *r->values, error));
    TRY(base_alloc(&r->memory, work, sizeof *r->memory, error));
    TRY(base_alloc(&r->turn, s->head_dim / 2, sizeof *r->turn, error));
    TRY(base_alloc(&r->cosine, BATCH * s->head_dim / 2, sizeof *r->cosine, error));
    TRY(base_alloc(&r->sine, BATCH * s->head_dim / 2, sizeof *r->sine, error));
    TRY(base_alloc(&gain, 2 * s->width, sizeof *gain, error));
    lay_out_work(r, r->memory);
    eng_model_rope_turns(s, r->turn);
    TRY(load_weights(r, source, gain, error));
    *ret = r;
    r = NULL;
out:
    base_free(&gain);
    eng_reference_destroy(&r);
    return status;
}

void eng_reference_destroy(struct eng_reference **reference)
{
    struct eng_reference *r = *reference;
    if (r == NULL)
        return;
    base_free(&r->layer);
    base_free_secret(&r->weights);
    base_free_secret(&r->keys);
    base_free_secret(&r->values);
    base_free_secret(&r->memory);
    base_free(&r->turn);
    base_free(&r->cosine);
    base_free(&r->sine);
    base_free(reference);
}

void eng_reference_reset(struct eng_reference *r)
{
    r->position = 0;
}

void eng_reference_set_probe(struct eng_reference *r, eng_probe_fn probe, void *context)
{
    r->probe = probe;
    r->probe_context = context;
}

const float *eng_reference_values(const struct eng_reference *r, size_t layer)
{
    return r->values + layer * r->context * r->narrow;
}

/* --- forward ------------------------------------------------------------------------------------------- */

static void rotate(const struct eng_reference *r, float *v, size_t n, size_t heads)
{
    size_t half = r->shape.head_dim / 2;
    for (size_t i = 0; i < n * heads; i++) {
        float *z = v + i * 2 * half;
        const float *c = r->cosine + i / heads * half, *s = r->sine + i / heads * half;
        for (size_t j = 0; j < half; j++) {
            float a = z[j], b = z[j + half];
            z[j] = a * c[j] - b * s[j];
            z[j + half] = b * c[j] + a * s[j];
        }
    }
}

static void scale_rows(float *out, const float *in, const float *t, size_t n, size_t width)
{
    for (size_t i = 0; i < n * width; i++)
        out[i] = in[i] * t[i / width];
}

static void add_bias(float *rows, const float *bias, size_t n, size_t width)
{
    for (size_t i = 0; bias != NULL && i < n * width; i++)
        rows[i] += bias[i % width];
}

/* Rows as a norm counts them: LayerNorm takes their mean away, into `centred`. */
static const float *centre(const struct eng_reference *r, const float *rows, float *centred, size_t n)
{
    size_t d = r->shape.width;
    if (!r->shape.layer_norm)
        return rows;
    for (size_t i = 0; i < n; i++) {
        float sum = 0;
        for (size_t c = 0; c < d; c++)
            sum += rows[i * d + c];
        for (size_t c = 0; c < d; c++)
            centred[i * d + c] = rows[i * d + c] - sum / (float)d;
    }
    return centred;
}

/* The residual, or what joins it, as the graph on integers has it. */
static void see_rows(struct eng_reference *r, int wire, size_t layer, const float *rows, size_t n)
{
    if (r->probe != NULL)
        see(r, wire, layer, centre(r, rows, r->w.u, n), n * r->shape.width);
}

/* What the matrices behind a norm read, not yet times 1 / rms: that goes to w.mean, mean squares to the
 * probe. */
static const float *norms(struct eng_reference *r, size_t n, int probe, size_t layer)
{
    size_t d = r->shape.width;
    const float *x = centre(r, r->w.x, r->w.u, n);
    for (size_t i = 0; i < n; i++) {
        float sum = 0;
        for (size_t c = 0; c < d; c++)
            sum += x[i * d + c] * x[i * d + c];
        r->w.mean[i] = sum / (float)d;
    }
    see(r, probe, layer, r->w.mean, n);
    for (size_t i = 0; i < n; i++)
        r->w.mean[i] = 1 / sqrtf(r->w.mean[i] + (float)r->shape.norm_eps);
    return x;
}

/* One query row of one head over every row before it. */
static void attend(struct eng_reference *r, size_t layer, size_t i, size_t head)
{
    size_t dim = r->shape.head_dim, kv = head / (r->shape.heads / r->shape.kv_heads),
           rows = r->position + i + 1;
    const float *q = r->w.q + i * r->wide + head * dim, *uq = r->w.uq + i * r->wide + head * dim;
    const float *keys = r->keys + layer * r->context * r->narrow + kv * dim,
                *values = r->values + layer * r->context * r->narrow + kv * dim;
    float *score = r->w.score, *o = r->w.o + i * r->wide + head * dim, top = -INFINITY, sum = 0;
    for (size_t j = 0; j < rows; j++) {
        score[j] = dot(q, keys + j * r->narrow, dim);
        top = fmaxf(top, score[j]);
        if (r->probe != NULL)
            r->w.a[j] = dot(uq, keys + j * r->narrow, dim);
    }
    float own = dot(uq, r->w.uk + i * r->narrow + kv * dim, dim);
    if (r->probe != NULL)
        r->probe(r->probe_context, ENG_SCORE, layer, head, score, rows);
    see(r, ENG_A, layer, r->w.a, rows);
    see(r, ENG_AOWN, layer, &own, 1);
    memset(o, 0, dim * sizeof *o);
    for (size_t j = 0; j < rows; j++) {
        float e = expf(score[j] - top);
        sum += e;
        for (size_t c = 0; c < dim; c++)
            o[c] += e * values[j * r->narrow + c];
    }
    for (size_t c = 0; c < dim; c++)
        o[c] /= sum;
}

static void attention(struct eng_reference *r, size_t l, size_t n)
{
    const struct reference_layer *w = &r->layer[l];
    struct reference_work *a = &r->w;
    size_t d = r->shape.width, wide = r->wide, narrow = r->narrow;
    const float *x = norms(r, n, ENG_PROBE_SQUARES + ENG_NORM_ATTENTION, l);
    matmul(a->uq, x, n, w->q, wide, d);
    matmul(a->uk, x, n, w->k, narrow, d);
    matmul(a->uv, x, n, w->v, narrow, d);
    scale_rows(a->q, a->uq, a->mean, n, wide);
    scale_rows(a->k, a->uk, a->mean, n, narrow);
    scale_rows(a->v, a->uv, a->mean, n, narrow);
    add_bias(a->q, w->q_bias, n, wide);
    add_bias(a->k, w->k_bias, n, narrow);
    add_bias(a->v, w->v_bias, n, narrow);
    rotate(r, a->q, n, r->shape.heads);
    rotate(r, a->k, n, r->shape.kv_heads);
    rotate(r, a->uq, n, r->shape.heads);
    rotate(r, a->uk, n, r->shape.kv_heads);
    see(r, ENG_UQ, l, a->uq, n * wide), see(r, ENG_UK, l, a->uk, n * narrow),
        see(r, ENG_UV, l, a->uv, n * narrow);
    see(r, ENG_Q, l, a->q, n * wide), see(r, ENG_K, l, a->k, n * narrow), see(r, ENG_V, l, a->v, n * narrow);
    size_t at = (l * r->context + r->position) * narrow;
    memcpy(r->keys + at, a->k, n * narrow * sizeof *a->k);
    memcpy(r->values + at, a->v, n * narrow * sizeof *a->v);
    for (size_t i = 0; i < n; i++)
        for (size_t h = 0; h < r->shape.heads; h++)
            attend(r, l, i, h);
    matmul(a->y, a->o, n, w->o, d, wide);
    add_bias(a->y, w->o_bias, n, d);
    see(r, ENG_O, l, a->o, n * wide), see_rows(r, ENG_YO, l, a->y, n);
}

/* GELU in its tanh form. */
static float gelu(float x)
{
    return 0.5f * x * (1 + tanhf(0.79788456f * (x + 0.044715f * x * x * x)));
}

static void activate(struct eng_reference *r, size_t l, size_t n)
{
    struct reference_work *a = &r->w;
    size_t count = n * r->shape.ffn;
    for (size_t i = 0; i < count; i++)
        a->h[i] = r->shape.activation == ENG_ACTIVATION_GELU ? gelu(a->g[i])
                                                             : a->g[i] / (1 + expf(-a->g[i])) * a->p[i];
    see(r, ENG_H, l, a->h, count);
}

static void mlp(struct eng_reference *r, size_t l, size_t n)
{
    const struct reference_layer *w = &r->layer[l];
    struct reference_work *a = &r->w;
    size_t d = r->shape.width, ffn = r->shape.ffn;
    const float *x = norms(r, n, ENG_PROBE_SQUARES + ENG_NORM_MLP, l);
    bool gated = r->shape.activation != ENG_ACTIVATION_GELU;
    matmul(a->g, x, n, gated ? w->gate : w->up, ffn, d);
    see(r, ENG_UG, l, a->g, n * ffn);
    scale_rows(a->g, a->g, a->mean, n, ffn);
    add_bias(a->g, w->up_bias, n, ffn);
    see(r, ENG_G, l, a->g, n * ffn);
    if (gated) {
        matmul(a->p, x, n, w->up, ffn, d);
        see(r, ENG_UP, l, a->p, n * ffn);
        scale_rows(a->p, a->p, a->mean, n, ffn);
        see(r, ENG_P, l, a->p, n * ffn);
    }
    activate(r, l, n);
    matmul(a->y, a->h, n, w->down, d, ffn);
    add_bias(a->y, w->down_bias, n, d);
    see_rows(r, ENG_YD, l, a->y, n);
}

static void add_residual(struct eng_reference *r, size_t l, size_t n)
{
    for (size_t i = 0; i < n * r->shape.width; i++)
        r->w.x[i] += r->w.y[i];
    see_rows(r, ENG_X, l, r->w.x, n);
}

static void forward_batch(struct eng_reference *r, const int32_t *tokens, size_t n, float *ret_logits)
{
    size_t d = r->shape.width, half = r->shape.head_dim / 2, vocab = r->shape.vocab;
    for (size_t i = 0; i < n; i++) {
        memcpy(r->w.x + i * d, r->embedding + (size_t)tokens[i] * d, d * sizeof *r->w.x);
        for (size_t c = 0; c < half; c++) {
            double cosine, sine;
            base_cos_sin(r->turn[c] * (uint64_t)(r->position + i), &cosine, &sine);
            r->cosine[i * half + c] = (float)cosine;
            r->sine[i * half + c] = (float)sine;
        }
    }
    for (size_t i = 0; r->positions != NULL && i < n * d; i++)
        r->w.x[i] += r->positions[r->position * d + i];
    see_rows(r, ENG_X, 0, r->w.x, n);
    for (size_t l = 0; l < r->shape.layers; l++) {
        attention(r, l, n);
        add_residual(r, l, n);
        mlp(r, l, n);
        add_residual(r, l, n);
    }
    r->position += n;
    if (ret_logits == NULL)
        return;
    const float *x = norms(r, n, ENG_PROBE_FINAL_SQUARES, 0);
    matmul(ret_logits, x, n, r->head, vocab, d);
    for (size_t i = 0; r->head_bias != NULL && i < n * vocab; i++)
        ret_logits[i] += r->head_bias[i % vocab] / r->w.mean[i / vocab];
    see(r, ENG_PROBE_LOGITS, 0, ret_logits, n * vocab);
    scale_rows(ret_logits, ret_logits, r->w.mean, n, vocab);
}

void eng_reference_project(const struct eng_reference *r, size_t layer, size_t kv_head, const float *outputs,
                           float *ret)
{
    size_t count = r->wide / r->shape.kv_heads;
    for (size_t c = 0; c < r->shape.width; c++)
        ret[c] = dot(outputs, r->layer[layer].o + c * r->wide + kv_head * count, count);
}

enum base_status eng_reference_forward(struct eng_reference *r, const int32_t *tokens, size_t n,
                                       float *ret_logits, struct base_error *error)
{
    enum base_status status = BASE_OK;
    TRY_THAT(n <= r->context - r->position, error, BASE_ERR_ARGUMENT,
             "%zu tokens after %zu: this run has room for %zu positions", n, r->position, r->context);
    for (size_t i = 0; i < n; i++)
        TRY_THAT(tokens[i] >= 0 && (size_t)tokens[i] < r->shape.vocab, error, BASE_ERR_ARGUMENT,
                 "token %zu of the text is outside the vocabulary of %zu", i, r->shape.vocab);
    for (size_t i = 0; i < n; i += BATCH)
        forward_batch(r, tokens + i, n - i < BATCH ? n - i : BATCH,
                      ret_logits == NULL ? NULL : ret_logits + i * r->shape.vocab);
out:
    return status;
}
