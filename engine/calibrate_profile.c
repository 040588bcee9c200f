#include "engine/calibrate_profile.h"

#include "base/memory.h"
#include "base/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    SINKS = 4,
    EVERY = 4, /* of the rows, those whose outputs are compared */
    LEAST_WINDOW = 16,
    MOST_WINDOW = 128,
    WINDOW_PART = 8,
    LAST_ROWS = 32, /* of a text: those whose columns are added up */
    REPEATS = 4,
    MOST_RANDOM = 512
};

static size_t clamp(size_t v, size_t low, size_t high)
{
    return v < low ? low : v > high ? high : v;
}

enum base_status eng_profile_probe_init(struct eng_profile_probe *ret, const struct eng_model_shape *shape,
                                        const struct eng_reference *reference, size_t longest,
                                        struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t heads = shape->layers * shape->heads;
    struct eng_profile_probe p = {.shape = shape,
                                  .reference = reference,
                                  .longest = longest,
                                  .window = clamp(longest / WINDOW_PART, LEAST_WINDOW, MOST_WINDOW)};
    TRY(base_alloc(&p.streamed, ENG_REFERENCE_ROWS * shape->heads * shape->head_dim, sizeof *p.streamed,
                   error));
    TRY(base_alloc(&p.change, shape->layers * shape->kv_heads, sizeof *p.change, error));
    TRY(base_alloc(&p.added, shape->width, sizeof *p.added, error));
    TRY(base_alloc(&p.echo, heads, sizeof *p.echo, error));
    TRY(base_alloc(&p.induction, heads, sizeof *p.induction, error));
    TRY(base_alloc(&p.column, shape->layers * longest, sizeof *p.column, error));
    TRY(base_alloc(&p.curve, shape->layers * KV_CURVE_POINTS, sizeof *p.curve, error));
    *ret = p;
    return BASE_OK;
out:
    eng_profile_probe_finish(&p);
    return status;
}

void eng_profile_probe_finish(struct eng_profile_probe *p)
{
    base_free_secret(&p->streamed);
    base_free(&p->change);
    base_free_secret(&p->added);
    base_free(&p->echo);
    base_free(&p->induction);
    base_free(&p->column);
    base_free(&p->curve);
}

/* --- calibration text ---------------------------------------------------------------------------------- */

void eng_profile_begin(struct eng_profile_probe *p, size_t length)
{
    p->length = length;
    memset(p->column, 0, p->shape->layers * p->longest * sizeof *p->column);
}

static float largest_of(const float *v, size_t count)
{
    float top = v[0];
    for (size_t i = 1; i < count; i++)
        top = fmaxf(top, v[i]);
    return top;
}

/* The output of the last row when it sees sinks and window alone. */
static void stream(struct eng_profile_probe *p, size_t layer, size_t head, const float *score, size_t count)
{
    size_t dim = p->shape->head_dim, narrow = p->shape->kv_heads * dim, first = count - p->window,
           kv = head / (p->shape->heads / p->shape->kv_heads);
    const float *values = eng_reference_values(p->reference, layer) + kv * dim;
    float top = fmaxf(largest_of(score, SINKS), largest_of(score + first, p->window)), sum = 0,
          *out = p->streamed + ((count - 1) % ENG_REFERENCE_ROWS * p->shape->heads + head) * dim;
    memset(out, 0, dim * sizeof *out);
    for (size_t i = 0; i < SINKS + p->window; i++) {
        size_t row = i < SINKS ? i : first + i - SINKS;
        float e = expf(score[row] - top);
        sum += e;
        for (size_t c = 0; c < dim; c++)
            out[c] += e * values[row * narrow + c];
    }
    for (size_t c = 0; c < dim; c++)
        out[c] /= sum;
}

static bool compares(const struct eng_profile_probe *p, size_t row)
{
    return row >= SINKS + p->window && row % EVERY == 0;
}

static double squares(const float *v, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (double)v[i] * (double)v[i];
    return sum;
}

/* Outputs of n rows, [n][heads][head_dim], the last of which had the last scores. */
static void compare(struct eng_profile_probe *p, size_t layer, const float *out, size_t n)
{
    size_t kv_heads = p->shape->kv_heads, wide = p->shape->heads * p->shape->head_dim, part = wide / kv_heads;
    for (size_t i = 0; i < n; i++) {
        size_t row = p->row + 1 - n + i;
        if (!compares(p, row))
            continue;
        float *change = p->streamed + row % ENG_REFERENCE_ROWS * wide;
        for (size_t c = 0; c < wide; c++)
            change[c] -= out[i * wide + c];
        for (size_t h = 0; h < kv_heads; h++) {
            eng_reference_project(p->reference, layer, h, change + h * part, p->added);
            p->change[layer * kv_heads + h] += squares(p->added, p->shape->width) / p->residual[i];
        }
        p->compared += layer == 0;
    }
}

static void add_columns(struct eng_profile_probe *p, size_t layer, const float *score, size_t count)
{
    double *column = p->column + layer * p->longest;
    float top = largest_of(score, count), sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += expf(score[i] - top);
    for (size_t i = 0; i < count; i++)
        column[i] += (double)(expf(score[i] - top) / sum);
}

void eng_profile_see(struct eng_profile_probe *p, int wire, size_t layer, size_t head, const float *v,
                     size_t count)
{
    size_t width = p->shape->width;
    if (wire == ENG_X)
        for (size_t i = 0; i < count / width; i++)
            p->residual[i] = squares(v + i * width, width);
    if (wire == ENG_O)
        compare(p, layer, v, count / (p->shape->heads * p->shape->head_dim));
    if (wire != ENG_SCORE)
        return;
    p->row = count - 1;
    if (compares(p, p->row))
        stream(p, layer, head, v, count);
    if (count + LAST_ROWS > p->length)
        add_columns(p, layer, v, count);
}

static int falling(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

void eng_profile_end(struct eng_profile_probe *p)
{
    if (p->length < ENG_PROFILE_LEAST_TOKENS)
        return;
    for (size_t l = 0; l < p->shape->layers; l++) {
        double *column = p->column + l * p->longest, sum = 0, all = 0;
        qsort(column, p->length, sizeof *column, falling);
        for (size_t i = 0; i < p->length; i++)
            all += column[i];
        for (size_t i = 0, point = 0; i <= p->length; i++) {
            /* The whole of the rows that the share holds. */
            for (; point < KV_CURVE_POINTS &&
                   p->length * (size_t)kv_curve_share(point) < (i + 1) * KV_PROFILE_ONE;
                 point++)
                p->curve[l * KV_CURVE_POINTS + point] += sum / all;
            sum += i < p->length ? column[i] : 0;
        }
    }
    p->texts++;
}

/* --- repeated random tokens ---------------------------------------------------------------------------- */

static void see_repeated(void *context, int wire, size_t layer, size_t head, const float *score, size_t count)
{
    struct eng_profile_probe *p = context;
    size_t at = layer * p->shape->heads + head, row = count - 1, start = p->shape->bos >= 0;
    if (wire != ENG_SCORE || row < p->period + start)
        return;
    float top = largest_of(score, count);
    double sum = 0, echo = 0, induction = 0;
    for (size_t i = 0; i < count; i++) {
        double e = exp((double)(score[i] - top));
        sum += e;
        echo += i >= start && i < row && (row - i) % p->period == 0 ? e : 0;
        induction += i > start && i < row && (row + 1 - i) % p->period == 0 ? e : 0;
    }
    p->echo[at] += echo / sum;
    p->induction[at] += induction / sum;
}

enum base_status eng_profile_repeat(struct eng_profile_probe *p, struct eng_reference *reference,
                                    struct base_error *error)
{
    enum base_status status = BASE_OK;
    int32_t tokens[MOST_RANDOM];
    size_t start = p->shape->bos >= 0;
    uint64_t state = 1;
    p->period = ((p->longest < MOST_RANDOM ? p->longest : MOST_RANDOM) - start) / REPEATS;
    tokens[0] = p->shape->bos;
    for (size_t i = 0; i < REPEATS * p->period; i++)
        tokens[start + i] = i < p->period ? (int32_t)(base_random_next(&state) % p->shape->vocab)
                                          : tokens[start + i - p->period];
    eng_reference_reset(reference);
    eng_reference_set_probe(reference, see_repeated, p);
    TRY(eng_reference_forward(reference, tokens, start + REPEATS * p->period, NULL, error));
out:
    return status;
}

/* --- the profile --------------------------------------------------------------------------------------- */

static int larger(int a, int b)
{
    return a > b ? a : b;
}

static int count_of(double v, int most)
{
    double scaled = v * KV_PROFILE_ONE;
    return scaled > most ? most : scaled > 0 ? (int)lrint(scaled) : 0;
}

enum base_status eng_profile_make(const struct eng_profile_probe *p, struct kv_profile *ret,
                                  struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t heads = p->shape->heads, group = heads / p->shape->kv_heads;
    double rows = (double)((REPEATS - 1) * p->period);
    if (p->texts == 0)
        return BASE_OK;
    TRY(kv_profile_init(ret, p->shape->layers, p->shape->kv_heads, error));
    for (size_t i = 0; i < p->shape->layers * heads; i++) {
        int *score = ret->head[i / group].score, echo = count_of(p->echo[i] / rows, KV_PROFILE_ONE),
            induction = count_of(p->induction[i] / rows, KV_PROFILE_ONE);
        score[KV_HEAD_ECHO] = larger(score[KV_HEAD_ECHO], echo);
        score[KV_HEAD_INDUCTION] = larger(score[KV_HEAD_INDUCTION], induction);
    }
    for (size_t i = 0; i < p->shape->layers * p->shape->kv_heads; i++)
        if (p->compared > 0)
            ret->head[i].score[KV_HEAD_DEVIATION] =
                count_of(sqrt(p->change[i] / (double)p->compared), KV_PROFILE_MOST_SCORE);
    for (size_t i = 0; i < p->shape->layers * KV_CURVE_POINTS; i++)
        ret->curve[i] = count_of(p->curve[i] / (double)p->texts, KV_PROFILE_ONE);
out:
    return status;
}
