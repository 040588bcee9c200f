#include "engine/reference.h"

#include "base/memory.h"
#include "base/realmath.h"

#include <math.h>
#include <string.h>

enum { BATCH = ENG_REFERENCE_ROWS };

struct reference_layer {
    float *q, *k, *v, *o, *gate, *up, *down; /* gains and 1 / sqrt(head_dim) folded in */
    float *q_bias, *k_bias, *v_bias;         /* only with shape.qkv_bias */
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
    float *embedding, *head;
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

/* --- loading ------------------------------------------------------------------------------------------- */

static enum base_status load(const struct eng_weight_source *source, enum eng_tensor tensor, size_t layer,
                             const float *gain, float scale, float **at, float **ret,
                             struct base_error *error)
{
    size_t rows, columns;
    eng_tensor_extent(source->shape, tensor, &rows, &columns);
    float *w = *at;
    enum base_status status =
        source->read(source->context, tensor, layer, (struct eng_row_range){0, rows}, w, error);
    for (size_t i = 0; status == BASE_OK && i < rows * columns; i++)
        w[i] *= scale * (gain == NULL ? 1 : gain[i % columns]);
    *ret = w;
    *at += rows * columns;
    return status;
}

static enum base_status load_weights(struct eng_reference *r, const struct eng_weight_source *source,
                                     float *gain, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const struct eng_row_range one = {0, 1};
    float *at = r->weights;
    TRY(load(source, ENG_TENSOR_EMBEDDING, 0, NULL, 1, &at, &r->embedding, error));
    for (size_t l = 0; l < r->shape.layers; l++) {
        struct reference_layer *w = &r->layer[l];
        TRY(source->read(source->context, ENG_TENSOR_ATTENTION_NORM, l, one, gain, error));
        TRY(load(source, ENG_TENSOR_Q, l, gain, 1 / sqrtf((float)r->shape.head_dim), &at, &w->q, error));
        TRY(load(source, ENG_TENSOR_K, l, gain, 1, &at, &w->k, error));
        TRY(load(source, ENG_TENSOR_V, l, gain, 1, &at, &w->v, error));
        TRY(load(source, ENG_TENSOR_O, l, NULL, 1, &at, &w->o, error));
        TRY(source->read(source->context, ENG_TENSOR_MLP_NORM, l, one, gain, error));
        TRY(load(source, ENG_TENSOR_GATE, l, gain, 1, &at, &w->gate, error));
        TRY(load(source, ENG_TENSOR_UP, l, gain, 1, &at, &w->up, error));
        TRY(load(source, ENG_TENSOR_DOWN, l, NULL, 1, &at, &w->down, error));
        if (!r->shape.qkv_bias)
            continue;
        TRY(load(source, ENG_TENSOR_Q_BIAS, l, NULL, 1 / sqrtf((float)r->shape.head_dim), &at, &w->q_bias,
                 error));
        TRY(load(source, ENG_TENSOR_K_BIAS, l, NULL, 1, &at, &w->k_bias, error));
        TRY(load(source, ENG_TENSOR_V_BIAS, l, NULL, 1, &at, &w->v_bias, error));
    }
    TRY(source->read(source->context, ENG_TENSOR_FINAL_NORM, 0, one, gain, error));
    TRY(load(source, ENG_TENSOR_HEAD, 0, gain, 1, &at, &r->head, error));
out:
    return status;
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
    TRY(base_alloc(&r, 1, sizeof *r, error));
    r->shape = *s;
    r->context = context;
    r->wide = s->heads * s->head_dim;
    r->narrow = s->kv_heads * s->head_dim;
    size_t layer = 2 * s->width * (r->wide + r->narrow) + 3 * s->width * s->ffn + r->wide + 2 * r->narrow;
    size_t work = BATCH * (3 * s->width + 3 * r->wide + 4 * r->narrow + 3 * s->ffn + 1) + 2 * context;
    TRY(base_alloc(&r->layer, s->layers, sizeof *r->layer, error));
    TRY(base_alloc(&r->weights, s->layers * layer + 2 * s->vocab * s->width, sizeof *r->weights, error));
    TRY(base_alloc(&r->keys, s->layers * context * r->narrow, sizeof *r->keys, error));
    TRY(base_alloc(&r->values, s->layers * context * r->narrow, sizeof *r->values, error));
    TRY(base_alloc(&r->memory, work, sizeof *r->memory, error));
    TRY(base_alloc(&r->turn, s->head_dim / 2, sizeof *r->turn, error));
    TRY(base_alloc(&r->cosine, BATCH * s->head_dim / 2, sizeof *r->cosine, error));
    TRY(base_alloc(&r->sine, BATCH * s->head_dim / 2, sizeof *r->sine, error));
    TRY(base_alloc(&gain, s->width, sizeof *gain, error));
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

/* Mean squares go to the probe, 1 / rms to w.mean. */
static void norms(struct eng_reference *r, size_t n, int probe, size_t layer)
{
    size_t d = r->shape.width;
    for (size_t i = 0; i < n; i++) {
        float sum = 0;
        for (size_t c = 0; c < d; c++)
            sum += r->w.x[i * d + c] * r->w.x[i * d + c];
        r->w.mean[i] = sum / (float)d;
    }
    if (probe >= 0)
        see(r, probe, layer, r->w.mean, n);
    for (size_t i = 0; i < n; i++)
        r->w.mean[i] = 1 / sqrtf(r->w.mean[i] + (float)r->shape.norm_eps);
}

static float dot(const float *a, const float *b, size_t count)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < count; i++)
        sum += a[i] * b[i];
    return sum;
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
    norms(r, n, ENG_PROBE_SQUARES + ENG_NORM_ATTENTION, l);
    matmul(a->uq, a->x, n, w->q, wide, d);
    matmul(a->uk, a->x, n, w->k, narrow, d);
    matmul(a->uv, a->x, n, w->v, narrow, d);
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
    see(r, ENG_O, l, a->o, n * wide), see(r, ENG_YO, l, a->y, n * d);
}

/* GELU in its tanh-free form. */
static float gelu(float x)
{
    return 0.5f * x * (1 + erff(x * 0.70710678f));
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
    norms(r, n, ENG_PROBE_SQUARES + ENG_NORM_MLP, l);
    bool gated = r->shape.activation != ENG_ACTIVATION_GELU;
    matmul(a->g, a->x, n, gated ? w->gate : w->up, ffn, d);
    see(r, ENG_UG, l, a->g, n * ffn);
    scale_rows(a->g, a->g, a->mean, n, ffn);
    see(r, ENG_G, l, a->g, n * ffn);
    if (gated) {
        matmul(a->p, a->x, n, w->up, ffn, d);
        see(r, ENG_UP, l, a->p, n * ffn);
        scale_rows(a->p, a->p, a->mean, n, ffn);
        see(r, ENG_P, l, a->p, n * ffn);
    }
    activate(r, l, n);
    matmul(a->y, a->h, n, w->down, d, ffn);
    see(r, ENG_YD, l, a->y, n * d);
}

static void add_residual(struct eng_reference *r, size_t l, size_t n)
{
    for (size_t i = 0; i < n * r->shape.width; i++)
        r->w.x[i] += r->w.y[i];
    see(r, ENG_X, l, r->w.x, n * r->shape.width);
}

static void forward_batch(struct eng_reference *r, const int32_t *tokens, size_t n, float *ret_logits)
{
    size_t d = r->shape.width, half = r->shape.head_dim / 2;
    for (size_t i = 0; i < n; i++) {
        memcpy(r->w.x + i * d, r->embedding + (size_t)tokens[i] * d, d * sizeof *r->w.x);
        for (size_t c = 0; c < half; c++) {
            double cosine, sine;
            base_cos_sin(r->turn[c] * (uint64_t)(r->position + i), &cosine, &sine);
            r->cosine[i * half + c] = (float)cosine;
            r->sine[i * half + c] = (float)sine;
        }
    }
    see(r, ENG_X, 0, r->w.x, n * d);
    for (size_t l = 0; l < r->shape.layers; l++) {
        attention(r, l, n);
        add_residual(r, l, n);
        mlp(r, l, n);
        add_residual(r, l, n);
    }
    r->position += n;
    if (ret_logits == NULL)
        return;
    norms(r, n, -1, 0);
    matmul(ret_logits, r->w.x, n, r->head, r->shape.vocab, d);
    see(r, ENG_PROBE_LOGITS, 0, ret_logits, n * r->shape.vocab);
    scale_rows(ret_logits, ret_logits, r->w.mean, n, r->shape.vocab);
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
