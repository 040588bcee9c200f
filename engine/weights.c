#include "engine/weights.h"

#include "base/memory.h"
#include "base/random.h"
#include "base/realmath.h"
#include "mpc/stream.h"

#include <math.h>
#include <stdalign.h>
#include <string.h>

enum { CHUNK = 1 << 16, ALIGNMENT = 64, MAX_WEIGHT_BITS = 40 };

/* --- layout -------------------------------------------------------------------------------------------- */

/* The matrices of a layer in the order of the block: tensor, place, norm whose gain is folded in (-1: none).
 */
struct matrix_kind {
    enum eng_tensor tensor;
    size_t offset; /* in struct eng_layer_weights */
    int norm;
};
#define KIND(tensor, field, norm)                                                                            \
    {                                                                                                        \
        tensor, offsetof(struct eng_layer_weights, field), norm                                              \
    }
static const struct matrix_kind kinds[] = {
    KIND(ENG_TENSOR_Q, q, ENG_NORM_ATTENTION), KIND(ENG_TENSOR_K, k, ENG_NORM_ATTENTION),
    KIND(ENG_TENSOR_V, v, ENG_NORM_ATTENTION), KIND(ENG_TENSOR_O, o, -1),
    KIND(ENG_TENSOR_GATE, gate, ENG_NORM_MLP), KIND(ENG_TENSOR_UP, up, ENG_NORM_MLP),
    KIND(ENG_TENSOR_DOWN, down, -1),           KIND(ENG_TENSOR_Q_BIAS, q_bias, -1),
    KIND(ENG_TENSOR_K_BIAS, k_bias, -1),       KIND(ENG_TENSOR_V_BIAS, v_bias, -1),
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static struct mpc_matrix *matrix_of(struct eng_layer_weights *layer, int kind)
{
    return (struct mpc_matrix *)((char *)layer + kinds[kind].offset);
}

/* Biases join t u, which has fu + ft fraction bits; RoPE adds fc to those of Q and K. */
static int fraction_of(const struct eng_plan *plan, size_t layer, int kind)
{
    int folded = plan->fu + plan->layer[layer].ft[ENG_NORM_ATTENTION];
    switch (kinds[kind].tensor) {
    case ENG_TENSOR_Q_BIAS:
    case ENG_TENSOR_K_BIAS:
        return folded - plan->fc;
    case ENG_TENSOR_V_BIAS:
        return folded;
    default:
        return kinds[kind].norm < 0 ? plan->fwo : plan->fw;
    }
}

/* Hands out the block from its start. */
struct cursor {
    enum mpc_role role;
    char *block;
    size_t used;
};

static void *take(struct cursor *c, size_t bytes)
{
    void *at = c->block == NULL ? NULL : c->block + c->used;
    c->used += (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return at;
}

static struct mpc_matrix lay_out(struct cursor *c, const struct eng_model_shape *shape,
                                 enum eng_tensor tensor, int ring, int frac)
{
    size_t rows, columns;
    eng_tensor_extent(shape, tensor, &rows, &columns);
    struct mpc_matrix m = {.ring = ring,
                           .frac = frac,
                           .bound = ring - 1,
                           .outs = rows,
                           .inner = columns,
                           .stride = mpc_matrix_stride(c->role, columns)};
    m.data = take(c, rows * m.stride * sizeof *m.data);
    return m;
}

static struct sec_row_table lay_out_embedding(struct cursor *c, const struct eng_model_shape *shape, int frac,
                                              int bound)
{
    struct sec_row_table table = {.rows = shape->vocab,
                                  .width = shape->width,
                                  .stride = sec_row_table_stride(c->role, shape->width),
                                  .frac = frac,
                                  .bound = bound};
    table.data = take(c, table.rows * table.stride * sizeof *table.data);
    return table;
}

/* Layers that have weights of their own. */
static size_t own_layers(const struct eng_model_shape *shape)
{
    return shape->one_layer && shape->layers > 0 ? 1 : shape->layers;
}

size_t eng_weights_size(enum mpc_role role, const struct eng_model_shape *shape)
{
    struct cursor c = {.role = role};
    (void)lay_out_embedding(&c, shape, 0, 0);
    for (int k = 0; k < KINDS; k++) {
        size_t before = c.used;
        (void)lay_out(&c, shape, kinds[k].tensor, 64, 0);
        c.used = before + own_layers(shape) * (c.used - before);
    }
    (void)lay_out(&c, shape, ENG_TENSOR_HEAD, 64, 0);
    return c.used;
}

uint64_t eng_weights_count(const struct eng_model_shape *shape)
{
    uint64_t count = 2 * shape->vocab * shape->width;
    for (int k = 0; k < KINDS; k++) {
        size_t rows, columns;
        eng_tensor_extent(shape, kinds[k].tensor, &rows, &columns);
        count += own_layers(shape) * rows * columns;
    }
    return count;
}

enum base_status eng_weights_init(struct eng_weights *ret, enum mpc_role role,
                                  const struct eng_model_shape *shape, const struct eng_plan *plan,
                                  void *block, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_weights w = {0};
    struct cursor c = {.role = role, .block = block};
    TRY_THAT(shape->layers == plan->layers, error, BASE_ERR_MISMATCH,
             "the plan has %zu layers and the model %zu: make a plan for this model", plan->layers,
             shape->layers);
    TRY_THAT((int)shape->heads == plan->heads, error, BASE_ERR_MISMATCH,
             "the plan has %d heads and the model %zu: make a plan for this model", plan->heads, shape->heads);
    TRY_THAT(!shape->qkv_bias || plan->fold, error, BASE_ERR_MISMATCH,
             "the plan does not fold the norm, which biases of Q, K and V need: make a plan for this model");
    TRY(base_alloc(&w.layer, shape->layers, sizeof *w.layer, error));
    w.embedding = lay_out_embedding(&c, shape, plan->fx, eng_plan_embedding_bound(plan));
    for (size_t l = 0; l < own_layers(shape); l++)
        for (int k = 0; k < KINDS; k++)
            *matrix_of(&w.layer[l], k) =
                lay_out(&c, shape, kinds[k].tensor, plan->ring, fraction_of(plan, l, k));
    for (size_t l = own_layers(shape); l < shape->layers; l++)
        w.layer[l] = w.layer[0];
    w.head = lay_out(&c, shape, ENG_TENSOR_HEAD, plan->ring, plan->fw);
    *ret = w;
out:
    return status;
}

void eng_weights_finish(struct eng_weights *weights)
{
    base_free(&weights->layer);
}

/* --- making -------------------------------------------------------------------------------------------- */

struct maker {
    const struct eng_weight_source *source;
    const struct eng_plan *plan;
    const struct eng_weight_targets *targets;
    struct eng_weights weights[MPC_COUNT];
    struct mpc_stream s1, s2;
    struct base_progress *progress;
    uint64_t done;
    float *row;                /* [CHUNK or one row] floats */
    float *gain;               /* [width] */
    uint64_t *x, *l1, *l2, *m; /* one chunk */
    size_t room;
};

/* A tensor on its way: round(w * gain * scale). */
struct pour {
    enum eng_tensor tensor;
    size_t layer;
    bool gained;
    double divisor; /* 1 or sqrt(head_dim) */
    bool queries;   /* rows (columns of a bias) of each head are scaled to the units of its scores */
    int exponent;   /* scale is 2^exponent */
    int ring;
    int bound; /* |integer| <= 2^bound */
};

/* Of element i of a chunk from row `first`. */
static double query_scale(const struct maker *k, const struct pour *pour, size_t first, size_t i, size_t columns)
{
    size_t dim = k->source->shape->head_dim,
           at = pour->tensor == ENG_TENSOR_Q_BIAS ? i % columns : first + i / columns;
    return eng_plan_query_scale(k->plan, pour->layer, at / dim);
}

static enum base_status quantize(struct maker *k, const struct pour *pour, size_t first, size_t count,
                                 size_t columns, struct base_error *error)
{
    double scale = base_power_of_two(pour->exponent), limit = base_power_of_two(pour->bound), worst = 0;
    for (size_t i = 0; i < count; i++) {
        double v = (double)k->row[i];
        if (pour->gained)
            v *= (double)k->gain[i % columns];
        v = v / pour->divisor * scale;
        if (pour->queries)
            v *= query_scale(k, pour, first, i, columns);
        worst = fmax(worst, fabs(v));
        k->x[i] = (uint64_t)base_nearest(v);
    }
    if (!(worst <= limit))
        return base_fail(error, BASE_ERR_RANGE,
                         "a weight of tensor %d, layer %zu, is %.1f in units of 2^-%d: the plan allows %.1f; "
                         "calibrate a plan for this model",
                         (int)pour->tensor, pour->layer, worst, pour->exponent, limit);
    return BASE_OK;
}

/* Draws the chunk's masks; x stays. */
static void mask_chunk(struct maker *k, size_t count, int ring)
{
    uint64_t keep = kern_ring_mask(ring);
    mpc_stream_words(&k->s1, k->l1, count, ring);
    mpc_stream_words(&k->s2, k->l2, count, ring);
    for (size_t i = 0; i < count; i++)
        k->m[i] = (k->x[i] + k->l1[i] + k->l2[i]) & keep;
}

static void write_embedding_row(const struct maker *k, enum mpc_role role, const struct sec_row_table *table,
                                size_t row, size_t at)
{
    uint32_t *out = table->data + row * table->stride;
    for (size_t i = 0; i < table->width; i++) {
        uint32_t m = (uint32_t)k->m[at + i], l1 = (uint32_t)k->l1[at + i], l2 = (uint32_t)k->l2[at + i];
        if (role == MPC_CLEAR || role == MPC_HELPER)
            out[i] = role == MPC_CLEAR ? (uint32_t)k->x[at + i] : l1 + l2;
        else {
            out[i] = m;
            out[table->width + i] = role == MPC_LEFT ? l1 : m - l2;
        }
    }
}

static void write_chunk(struct maker *k, const struct pour *pour, int kind, struct eng_row_range range,
                        size_t columns)
{
    for (int role = 0; role < MPC_COUNT; role++) {
        if (k->targets->block[role] == NULL)
            continue;
        struct eng_weights *w = &k->weights[role];
        for (size_t r = 0; r < range.rows; r++) {
            size_t at = r * columns, row = range.first_row + r;
            struct mpc_wire wire = {.ring = pour->ring,
                                    .count = columns,
                                    .m = k->m + at,
                                    .l1 = k->l1 + at,
                                    .l2 = k->l2 + at,
                                    .x = k->x + at};
            if (pour->tensor == ENG_TENSOR_EMBEDDING)
                write_embedding_row(k, (enum mpc_role)role, &w->embedding, row, at);
            else
                mpc_matrix_write_row(
                    (enum mpc_role)role,
                    pour->tensor == ENG_TENSOR_HEAD ? &w->head : matrix_of(&w->layer[pour->layer], kind), row,
                    &wire);
        }
    }
}

static enum base_status pour_tensor(struct maker *k, const struct pour *pour, int kind,
                                    struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t rows, columns;
    eng_tensor_extent(k->source->shape, pour->tensor, &rows, &columns);
    /* An MLP without a gate has no such tensor. */
    if (rows == 0)
        return BASE_OK;
    size_t step = k->room / columns;
    for (size_t r = 0; r < rows; r += step) {
        struct eng_row_range range = {r, rows - r < step ? rows - r : step};
        TRY(k->source->read(k->source->context, pour->tensor, pour->layer, range, k->row, error));
        TRY(quantize(k, pour, r, range.rows * columns, columns, error));
        mask_chunk(k, range.rows * columns, pour->ring);
        write_chunk(k, pour, kind, range, columns);
        k->done += range.rows * columns;
        if (k->progress != NULL)
            base_progress_update(k->progress, k->done, 0);
    }
out:
    return status;
}

static enum base_status pour_layer(struct maker *k, size_t layer, struct base_error *error)
{
    static const enum eng_tensor gains[ENG_NORMS] = {ENG_TENSOR_ATTENTION_NORM, ENG_TENSOR_MLP_NORM};
    enum base_status status = BASE_OK;
    for (int kind = 0; kind < KINDS; kind++) {
        int norm = kinds[kind].norm, fraction = fraction_of(k->plan, layer, kind);
        if (norm >= 0)
            TRY(k->source->read(k->source->context, gains[norm], layer, (struct eng_row_range){0, 1}, k->gain,
                                error));
        struct pour pour = {.tensor = kinds[kind].tensor,
                            .layer = layer,
                            .gained = norm >= 0,
                            .divisor = 1,
                            .ring = k->plan->ring,
                            .exponent = fraction - (norm < 0 ? 0 : k->plan->layer[layer].rho[norm]),
                            .bound = MAX_WEIGHT_BITS};
        pour.queries = pour.tensor == ENG_TENSOR_Q || pour.tensor == ENG_TENSOR_Q_BIAS;
        if (pour.queries)
            pour.divisor = sqrt((double)k->source->shape->head_dim);
        TRY(pour_tensor(k, &pour, kind, error));
    }
out:
    return status;
}

static enum base_status open_maker(struct maker *k, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const struct eng_model_shape *s = k->source->shape;
    size_t widest = s->width > s->ffn ? s->width : s->ffn;
    widest = widest > s->heads * s->head_dim ? widest : s->heads * s->head_dim;
    k->room = widest > CHUNK ? widest : CHUNK;
    for (int role = 0; role < MPC_COUNT; role++)
        if (k->targets->block[role] != NULL)
            TRY(eng_weights_init(&k->weights[role], (enum mpc_role)role, s, k->plan, k->targets->block[role],
                                 error));
    TRY(base_alloc(&k->row, k->room, sizeof *k->row, error));
    TRY(base_alloc(&k->gain, s->width, sizeof *k->gain, error));
    TRY(base_alloc(&k->x, 4 * k->room, sizeof *k->x, error));
    k->l1 = k->x + k->room;
    k->l2 = k->l1 + k->room;
    k->m = k->l2 + k->room;
    mpc_stream_init(&k->s1, k->targets->kern, k->targets->key1);
    mpc_stream_init(&k->s2, k->targets->kern, k->targets->key2);
out:
    return status;
}

enum base_status eng_weights_make(const struct eng_weight_source *source, const struct eng_plan *plan,
                                  const struct eng_weight_targets *targets, struct base_progress *progress,
                                  struct base_error *error)
{
    enum base_status status = BASE_OK;
    alignas(16) struct maker k = {.source = source, .plan = plan, .targets = targets, .progress = progress};
    TRY(open_maker(&k, error));
    struct pour embedding = {.tensor = ENG_TENSOR_EMBEDDING,
                             .divisor = 1,
                             .exponent = plan->fx,
                             .ring = SEC_ROW_RING,
                             .bound = eng_plan_embedding_bound(plan)};
    TRY(pour_tensor(&k, &embedding, -1, error));
    for (size_t l = 0; l < own_layers(source->shape); l++)
        TRY(pour_layer(&k, l, error));
    TRY(source->read(source->context, ENG_TENSOR_FINAL_NORM, 0, (struct eng_row_range){0, 1}, k.gain, error));
    struct pour head = {.tensor = ENG_TENSOR_HEAD,
                        .gained = true,
                        .divisor = 1,
                        .exponent = plan->fw,
                        .ring = plan->ring,
                        .bound = MAX_WEIGHT_BITS};
    TRY(pour_tensor(&k, &head, -1, error));
out:
    for (int role = 0; role < MPC_COUNT; role++)
        eng_weights_finish(&k.weights[role]);
    base_free_secret(&k.row);
    base_free_secret(&k.gain);
    base_free_secret(&k.x);
    mpc_stream_finish(&k.s1);
    mpc_stream_finish(&k.s2);
    return status;
}

/* --- sources ------------------------------------------------------------------------------------------- */

static enum base_status read_file(const void *context, enum eng_tensor tensor, size_t layer,
                                  struct eng_row_range range, float *ret, struct base_error *error)
{
    return eng_model_file_read_rows(context, tensor, layer, range, ret, error);
}

struct eng_weight_source eng_weights_of_file(const struct eng_model_file *file)
{
    return (struct eng_weight_source){
        .shape = eng_model_file_shape(file), .read = read_file, .context = file};
}

static enum base_status read_synthetic(const void *context, enum eng_tensor tensor, size_t layer,
                                       struct eng_row_range range, float *ret, struct base_error *error)
{
    (void)error;
    const struct eng_model_shape *shape = context;
    size_t rows, columns;
    eng_tensor_extent(shape, tensor, &rows, &columns);
    if (shape->one_layer)
        layer = 0;
    bool gain = tensor == ENG_TENSOR_ATTENTION_NORM || tensor == ENG_TENSOR_MLP_NORM ||
                tensor == ENG_TENSOR_FINAL_NORM;
    /* A tied head is the embedding. Residual branches are damped, as trained models keep them. */
    if (tensor == ENG_TENSOR_HEAD && shape->tied)
        tensor = ENG_TENSOR_EMBEDDING;
    bool branch = tensor == ENG_TENSOR_O || tensor == ENG_TENSOR_DOWN;
    bool bias = tensor == ENG_TENSOR_Q_BIAS || tensor == ENG_TENSOR_K_BIAS || tensor == ENG_TENSOR_V_BIAS;
    double spread = sqrt(3.0 / (double)columns) * (branch ? sqrt(0.5 / (double)shape->layers) : 1.0);
    uint64_t seed = base_random_mix((uint64_t)(tensor + 1) << 32 | layer);
    /* A layer that serves for all reads a residual of one size. */
    double embedding = shape->one_layer ? sqrt(3.0) : 0.05;
    for (size_t i = 0; i < range.rows * columns; i++) {
        double unit = (double)(int64_t)base_random_mix(seed + range.first_row * columns + i) * 0x1p-63;
        ret[i] = (float)(gain ? 1 + 0.25 * unit
                              : unit * (bias                             ? 1
                                        : tensor == ENG_TENSOR_EMBEDDING ? embedding
                                                                         : spread));
    }
    return BASE_OK;
}

struct eng_weight_source eng_weights_synthetic(const struct eng_model_shape *shape)
{
    return (struct eng_weight_source){.shape = shape, .read = read_synthetic, .context = shape};
}
