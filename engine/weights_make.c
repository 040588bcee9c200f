/* From float weights to masked integers, all that is linear folded in. */
#include "base/memory.h"
#include "base/realmath.h"
#include "engine/weights.h"
#include "engine/weights_layout.h"
#include "mpc/stream.h"

#include <math.h>
#include <stdalign.h>
#include <string.h>

enum { CHUNK = 1 << 16, MAX_WEIGHT_BITS = 40 };

struct maker {
    const struct eng_weight_source *source;
    const struct eng_plan *plan;
    const struct eng_weight_targets *targets;
    struct eng_weights weights[MPC_COUNT];
    struct mpc_stream s1, s2;
    struct base_progress *progress;
    uint64_t done;
    float *row;                /* [CHUNK or one row] floats */
    float *gain, *norm_bias;   /* [width + 1], [width] */
    double *mean, *shift;      /* of a tensor's columns, or what a norm's bias adds to each of its outputs */
    uint64_t *x, *l1, *l2, *m; /* one chunk */
    size_t room, widest;
};

/* A tensor on its way: round(w * gain * scale). */
struct pour {
    enum eng_tensor tensor;
    size_t layer;
    bool gained;
    bool centred;    /* rows lose their mean */
    bool in_columns; /* each column loses the maker's mean of it */
    bool shifted;    /* elements of a bias gain the maker's shift of them */
    double divisor;  /* 1 or sqrt(head_dim) */
    bool queries;    /* rows (columns of a bias) of each head are scaled to the units of its scores */
    int exponent;    /* scale is 2^exponent */
    int ring;
    int bound; /* |integer| <= 2^bound */
};

/* Of element i of a chunk from row `first`. */
static double query_scale(const struct maker *k, const struct pour *pour, size_t first, size_t i,
                          size_t columns)
{
    size_t dim = k->source->shape->head_dim,
           at = pour->tensor == ENG_TENSOR_Q_BIAS ? i % columns : first + i / columns;
    return eng_plan_query_scale(k->plan, pour->layer, at / dim);
}

static double mean_of(const float *v, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (double)v[i];
    return sum / (double)count;
}

static enum base_status quantize(struct maker *k, const struct pour *pour, size_t first, size_t count,
                                 size_t columns, struct base_error *error)
{
    double scale = base_power_of_two(pour->exponent), limit = base_power_of_two(pour->bound), worst = 0,
           mean = 0;
    for (size_t i = 0; i < count; i++) {
        double v = (double)k->row[i];
        if (pour->centred && i % columns == 0)
            mean = mean_of(k->row + i, columns);
        if (pour->in_columns)
            mean = k->mean[i % columns];
        v -= mean;
        if (pour->shifted)
            v += k->shift[i % columns];
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

static void write_table_row(const struct maker *k, enum mpc_role role, const struct sec_row_table *table,
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
            if (pour->tensor == ENG_TENSOR_EMBEDDING || pour->tensor == ENG_TENSOR_POSITION)
                write_table_row(k, (enum mpc_role)role,
                                pour->tensor == ENG_TENSOR_EMBEDDING ? &w->embedding : &w->positions, row,
                                at);
            else
                mpc_matrix_write_row(
                    (enum mpc_role)role,
                    pour->tensor == ENG_TENSOR_HEAD ? &w->head : eng_matrix_of(&w->layer[pour->layer], kind),
                    row, &wire);
        }
    }
}

/* What a tensor's rows, read in chunks, add up to. */
typedef void (*add_rows_fn)(struct maker *k, struct eng_row_range range, size_t columns);

static enum base_status read_through(struct maker *k, enum eng_tensor tensor, size_t layer, add_rows_fn add,
                                     struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t rows, columns;
    eng_tensor_extent(k->source->shape, tensor, &rows, &columns);
    for (size_t step = k->room / columns, r = 0; r < rows; r += step) {
        struct eng_row_range range = {r, rows - r < step ? rows - r : step};
        TRY(k->source->read(k->source->context, tensor, layer, range, k->row, error));
        add(k, range, columns);
    }
out:
    return status;
}

static void add_columns(struct maker *k, struct eng_row_range range, size_t columns)
{
    for (size_t i = 0; i < range.rows * columns; i++)
        k->mean[i % columns] += (double)k->row[i] / (double)k->source->shape->width;
}

static double shift_of(const struct maker *k, const float *row)
{
    double sum = 0;
    for (size_t c = 0; c < k->source->shape->width; c++)
        sum += (double)row[c] * (double)k->norm_bias[c];
    return sum;
}

static void keep_shifts(struct maker *k, struct eng_row_range range, size_t columns)
{
    for (size_t r = 0; r < range.rows; r++)
        k->shift[range.first_row + r] = shift_of(k, k->row + r * columns);
}

/* The gain or bias of a norm. */
static enum base_status read_vector(struct maker *k, enum eng_tensor tensor, size_t layer, float *ret,
                                    struct base_error *error)
{
    return k->source->read(k->source->context, tensor, layer, (struct eng_row_range){0, 1}, ret, error);
}

/* Rows of the head get one element more: what the final norm's bias adds to a logit. */
static void add_logit_biases(struct maker *k, size_t rows, size_t width)
{
    while (rows-- > 0) {
        float bias = (float)shift_of(k, k->row + rows * width), *to = k->row + rows * (width + 1);
        memmove(to, k->row + rows * width, width * sizeof *to);
        to[width] = bias;
    }
}

static enum base_status pour_tensor(struct maker *k, const struct pour *pour, int kind,
                                    struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t rows, columns;
    eng_masked_extent(k->source->shape, pour->tensor, &rows, &columns);
    /* An MLP without a gate has no such tensor. */
    if (rows == 0)
        return BASE_OK;
    size_t step = k->room / columns;
    for (size_t r = 0; r < rows; r += step) {
        struct eng_row_range range = {r, rows - r < step ? rows - r : step};
        TRY(k->source->read(k->source->context, pour->tensor, pour->layer, range, k->row, error));
        if (columns > k->source->shape->width && pour->tensor == ENG_TENSOR_HEAD)
            add_logit_biases(k, range.rows, columns - 1);
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

/* What LayerNorm asks of a tensor before it is poured: its column means, or what the norm's bias adds to its
 * outputs. */
static enum base_status prepare(struct maker *k, struct pour *pour, struct base_error *error)
{
    static const struct {
        enum eng_tensor bias, matrix, norm_bias;
    } reads[] = {{ENG_TENSOR_Q_BIAS, ENG_TENSOR_Q, ENG_TENSOR_ATTENTION_NORM_BIAS},
                 {ENG_TENSOR_K_BIAS, ENG_TENSOR_K, ENG_TENSOR_ATTENTION_NORM_BIAS},
                 {ENG_TENSOR_V_BIAS, ENG_TENSOR_V, ENG_TENSOR_ATTENTION_NORM_BIAS},
                 {ENG_TENSOR_UP_BIAS, ENG_TENSOR_UP, ENG_TENSOR_MLP_NORM_BIAS}};
    enum base_status status = BASE_OK;
    if (!k->source->shape->layer_norm)
        return BASE_OK;
    pour->centred = pour->tensor == ENG_TENSOR_O_BIAS || pour->tensor == ENG_TENSOR_DOWN_BIAS;
    pour->in_columns = pour->tensor == ENG_TENSOR_O || pour->tensor == ENG_TENSOR_DOWN;
    if (pour->in_columns) {
        memset(k->mean, 0, k->widest * sizeof *k->mean);
        TRY(read_through(k, pour->tensor, pour->layer, add_columns, error));
    }
    for (size_t i = 0; i < sizeof reads / sizeof *reads; i++)
        if (reads[i].bias == pour->tensor) {
            TRY(read_vector(k, reads[i].norm_bias, pour->layer, k->norm_bias, error));
            TRY(read_through(k, reads[i].matrix, pour->layer, keep_shifts, error));
            pour->shifted = true;
        }
out:
    return status;
}

static enum base_status pour_layer(struct maker *k, size_t layer, struct base_error *error)
{
    static const enum eng_tensor gains[ENG_NORMS] = {ENG_TENSOR_ATTENTION_NORM, ENG_TENSOR_MLP_NORM};
    enum base_status status = BASE_OK;
    for (int kind = 0; kind < ENG_MATRIX_KINDS; kind++) {
        int norm = eng_matrix_kinds[kind].norm, fraction = eng_matrix_fraction(k->plan, layer, kind);
        if (norm >= 0)
            TRY(read_vector(k, gains[norm], layer, k->gain, error));
        struct pour pour = {.tensor = eng_matrix_kinds[kind].tensor,
                            .layer = layer,
                            .gained = norm >= 0,
                            .divisor = 1,
                            .ring = eng_matrix_ring(k->plan, k->source->shape, layer, kind),
                            .exponent = fraction - (norm < 0 ? 0 : k->plan->layer[layer].rho[norm]),
                            .bound = MAX_WEIGHT_BITS};
        pour.queries = pour.tensor == ENG_TENSOR_Q || pour.tensor == ENG_TENSOR_Q_BIAS;
        if (pour.queries)
            pour.divisor = sqrt((double)k->source->shape->head_dim);
        TRY(prepare(k, &pour, error));
        TRY(pour_tensor(k, &pour, kind, error));
    }
out:
    return status;
}

static enum base_status open_maker(struct maker *k, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const struct eng_model_shape *s = k->source->shape;
    size_t widest = s->width + 1 > s->ffn ? s->width + 1 : s->ffn;
    widest = widest > s->heads * s->head_dim ? widest : s->heads * s->head_dim;
    k->widest = widest;
    k->room = widest > CHUNK ? widest : CHUNK;
    for (int role = 0; role < MPC_COUNT; role++)
        if (k->targets->block[role] != NULL)
            TRY(eng_weights_init(&k->weights[role], (enum mpc_role)role, s, k->plan, k->targets->block[role],
                                 error));
    TRY(base_alloc(&k->row, k->room, sizeof *k->row, error));
    TRY(base_alloc(&k->gain, s->width + 1, sizeof *k->gain, error));
    TRY(base_alloc(&k->norm_bias, s->width, sizeof *k->norm_bias, error));
    TRY(base_alloc(&k->mean, widest, sizeof *k->mean, error));
    TRY(base_alloc(&k->shift, widest, sizeof *k->shift, error));
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
    struct pour table = {.tensor = ENG_TENSOR_EMBEDDING,
                         .centred = source->shape->layer_norm,
                         .divisor = 1,
                         .exponent = plan->fx,
                         .ring = SEC_ROW_RING,
                         .bound = eng_plan_embedding_bound(plan)};
    TRY(pour_tensor(&k, &table, -1, error));
    table.tensor = ENG_TENSOR_POSITION;
    TRY(pour_tensor(&k, &table, -1, error));
    for (size_t l = 0; l < eng_own_layers(source->shape); l++)
        TRY(pour_layer(&k, l, error));
    TRY(read_vector(&k, ENG_TENSOR_FINAL_NORM, 0, k.gain, error));
    k.gain[source->shape->width] = 1; /* of the logits' biases */
    if (source->shape->layer_norm)
        TRY(read_vector(&k, ENG_TENSOR_FINAL_NORM_BIAS, 0, k.norm_bias, error));
    struct pour head = {.tensor = ENG_TENSOR_HEAD,
                        .gained = true,
                        .divisor = 1,
                        .exponent = plan->fw,
                        .ring = eng_head_ring(plan, source->shape),
                        .bound = MAX_WEIGHT_BITS};
    TRY(pour_tensor(&k, &head, -1, error));
out:
    for (int role = 0; role < MPC_COUNT; role++)
        eng_weights_finish(&k.weights[role]);
    base_free_secret(&k.row);
    base_free_secret(&k.gain);
    base_free_secret(&k.norm_bias);
    base_free_secret(&k.mean);
    base_free_secret(&k.shift);
    base_free_secret(&k.x);
    mpc_stream_finish(&k.s1);
    mpc_stream_finish(&k.s2);
    return status;
}
