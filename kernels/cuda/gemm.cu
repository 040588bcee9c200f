/* Products of host activations with matrices that are on the device or go there for the call: which way, in which parts. */
#include "kernels/cuda/library.cuh"
#include "kernels/cuda/products.cuh"
#include "kernels/cuda/slots.cuh"

#include <stdlib.h>

namespace KERN_CUDA_NAMESPACE {

enum { MOST_ROWS = 512, OUTS_UNIT = 128, FEWEST_SUMS_FREE = 1 << 16 };

static size_t words_stride(enum kern_word word, size_t inner)
{
    return row_words(inner) * kern_word_bytes(word);
}

/* ---- placed matrices ---- */

static void overwrite(struct call *call, const struct placed *placed)
{
    if (placed->words != NULL)
        CUDA(call, cudaMemsetAsync(placed->words, 0, placed->words_bytes, call->queue->stream));
    if (placed->limbs != NULL)
        CUDA(call, cudaMemsetAsync(placed->limbs, 0, placed->limbs_bytes, call->queue->stream));
}

/* Overwrites what lies on the device and frees it. */
static void drop(struct device *d, struct placed *placed)
{
    struct base_error ignored = {};
    struct call call = call_begin(d, &ignored); /* which sets the device for this thread */
    overwrite(&call, placed);
    call_end(&call); /* which waits */
    if (placed->words != NULL)
        CUDA_GIVE_BACK(cudaFree(placed->words));
    if (placed->limbs != NULL)
        CUDA_GIVE_BACK(cudaFree(placed->limbs));
    free(placed);
}

static size_t words_bytes(enum kern_word word, size_t outs, size_t inner)
{
    return outs * words_stride(word, inner);
}

static size_t limbs_bytes(enum kern_word word, size_t outs, size_t inner)
{
    return round_up(outs, LIMB_ROWS) * (size_t)kern_limb_count(word) * plane_bytes(inner);
}

size_t placed_bytes(enum kern_word word, size_t outs, size_t inner, bool limbs)
{
    return words_bytes(word, outs, inner) + (limbs ? limbs_bytes(word, outs, inner) : 0);
}

enum base_status place(void *device, void **ret, const struct kern_product *matrix, enum kern_placing how, struct base_error *error)
{
    bool limbs = how == KERN_PLACE_LIMBS;
    struct placed *placed = (struct placed *)calloc(1, sizeof *placed);
    size_t stride = words_stride(matrix->word, matrix->inner), bytes = kern_word_bytes(matrix->word);
    if (placed == NULL)
        return base_fail(error, BASE_ERR_MEMORY, "matrix for the device: no memory for its description");
    placed->words_bytes = words_bytes(matrix->word, matrix->outs, matrix->inner);
    placed->limbs_bytes = limbs ? limbs_bytes(matrix->word, matrix->outs, matrix->inner) : 0;
    placed->stride = stride;
    placed->inner = matrix->inner;
    struct call call = call_begin((struct device *)device, error);
    bool made = CUDA(&call, cudaMalloc((void **)&placed->words, placed->words_bytes));
    if (made && how == KERN_PLACE_ZEROS)
        CUDA(&call, cudaMemsetAsync(placed->words, 0, placed->words_bytes, call.queue->stream));
    else if (made)
        call_upload_rows(&call, placed->words, stride, matrix->w, matrix->w_stride, matrix->inner * bytes, matrix->outs);
    if (limbs && CUDA(&call, cudaMalloc((void **)&placed->limbs, placed->limbs_bytes)))
        split_rows(&call, placed->limbs, matrix->word, true, placed->words, stride, bytes, matrix->outs, matrix->inner);
    if (call.status == BASE_ERR_MEMORY)
        base_error_prefix(error, "a matrix of %zu rows of %zu elements, %zu MiB: place fewer, or without limbs", matrix->outs, matrix->inner,
                          (placed->words_bytes + placed->limbs_bytes) >> 20);
    enum base_status status = call_end(&call);
    if (status == BASE_OK)
        *ret = placed;
    else
        drop(call.device, placed);
    return status;
}

void forget(void *device, void *placed)
{
    drop((struct device *)device, (struct placed *)placed);
}

enum base_status wipe(void *device, void *context, struct base_error *error)
{
    struct placed *placed = (struct placed *)context;
    struct call call = call_begin((struct device *)device, error);
    overwrite(&call, placed);
    return call_end(&call);
}

bool way_offered(void *context, int way)
{
    const struct device *d = (const struct device *)context;
    return way == WAY_MMA || (way == WAY_WGMMA && d->major == 9) || (way == WAY_LIBRARY && d->library != NULL);
}

/* ---- products ---- */

/* A job's rows [row, row + rows) of activations on the device: words, or limbs. */
struct left {
    const void *words;
    const int8_t *limbs;
    size_t row, rows;
};

static const uint8_t *row_of(const struct kern_product *job, size_t row)
{
    return (const uint8_t *)job->a + row * job->a_stride * activation_bytes(job->word);
}

static void upload_left(struct call *call, struct left *left, const struct kern_product *job, bool few)
{
    size_t bytes = activation_bytes(job->word), stride = row_words(job->inner) * bytes, plane = plane_bytes(job->inner);
    void *words = call_room(call, left->rows * stride);
    call_upload_rows(call, words, stride, row_of(job, left->row), job->a_stride * bytes, job->inner * bytes, left->rows);
    left->words = words;
    if (few)
        return;
    int8_t *limbs = (int8_t *)call_room(call, round_up(left->rows, LIMB_ROWS) * (size_t)kern_limb_count(job->word) * plane);
    if (call->status == BASE_OK)
        split_rows(call, limbs, job->word, false, (const uint8_t *)words, stride, bytes, left->rows, job->inner);
    left->limbs = limbs;
}

/* Outs [out, out + outs) of a job. */
struct part {
    size_t out, outs;
};

/* Bytes from row to row of a part's words. */
static size_t part_stride(const struct kern_product *job)
{
    return job->placed == NULL ? words_stride(job->word, job->inner) : ((const struct placed *)job->placed)->stride;
}

/* What the host has changed of a placed matrix since the last product with it. */
static void upload_stale(struct call *call, const struct kern_product *job)
{
    struct placed *placed = (struct placed *)job->placed;
    size_t bytes = kern_word_bytes(job->word), from = job->stale.column * bytes;
    if (placed == NULL || job->stale.rows == 0)
        return;
    placed->changed = true;
    call_upload_part(call, placed->words + job->stale.row * placed->stride + from, placed->stride,
                     (const uint8_t *)job->host + job->stale.row * job->w_stride + from, job->w_stride, job->stale.columns * bytes, job->stale.rows);
}

static const uint8_t *part_words(struct call *call, const struct kern_product *job, struct part part)
{
    size_t stride = part_stride(job);
    const struct placed *placed = (const struct placed *)job->placed;
    if (placed != NULL)
        return placed->words + (job->first + part.out) * stride;
    void *words = call_room(call, part.outs * stride);
    call_upload_rows(call, words, stride, (const uint8_t *)job->w + part.out * job->w_stride, job->w_stride, job->inner * kern_word_bytes(job->word),
                     part.outs);
    return (const uint8_t *)words;
}

/* Limbs of a part's rows; a library's product wants whole groups of LIMB_ROWS, which a run in the middle of a placed matrix has, and its
 * end too, where rows are padded. */
static const int8_t *part_limbs(struct call *call, const struct kern_product *job, struct part part)
{
    const struct placed *placed = (const struct placed *)job->placed;
    size_t line = (size_t)kern_limb_count(job->word) * plane_bytes(job->inner), first = job->first + part.out;
    bool kept = placed != NULL && placed->limbs != NULL && !placed->changed && placed->inner == job->inner;
    if (kept && (call->device->way != WAY_LIBRARY || first % LIMB_ROWS == 0))
        return placed->limbs + first * line;
    const uint8_t *words = part_words(call, job, part);
    int8_t *limbs = (int8_t *)call_room(call, round_up(part.outs, LIMB_ROWS) * line);
    if (call->status == BASE_OK)
        split_rows(call, limbs, job->word, true, words, part_stride(job), kern_word_bytes(job->word), part.outs, job->inner);
    return limbs;
}

static void multiply_part(struct call *call, const struct kern_product *job, const struct left *left, struct part part, uint64_t *y)
{
    struct device *d = call->device;
    struct limb_product p = {y, part.outs, left->limbs, left->rows, NULL, part.outs, plane_bytes(job->inner), kern_limb_count(job->word),
                             kern_ring_mask(8 * kern_limb_count(job->word))};
    p.w = part_limbs(call, job, part);
    if (call->status != BASE_OK)
        return;
    if (d->way == WAY_WGMMA)
        wgmma_product(call, &p);
    else if (d->way == WAY_LIBRARY && job->inner <= kern_limb_max_inner(job->word))
        library_limb_product(call, &p, (int32_t *)call_room(call, 4 * (size_t)p.limbs * round_up(p.rows, LIMB_ROWS) * round_up(p.outs, LIMB_ROWS)));
    else
        mma_product(call, &p);
}

/* Outs of one part that the work area has room for: 0, or a multiple of LIMB_ROWS, of the tiles of kernels where there is room for some. */
static size_t outs_at_once(const struct call *call, const struct kern_product *job, size_t rows, bool few)
{
    const struct device *d = call->device;
    const struct queue *q = call->queue;
    const struct placed *placed = (const struct placed *)job->placed;
    size_t limbs = (size_t)kern_limb_count(job->word), padded = round_up(rows, LIMB_ROWS);
    size_t each = 8 * padded + (placed == NULL ? words_stride(job->word, job->inner) : 0) + (few ? 0 : limbs * plane_bytes(job->inner)) +
                  (d->way == WAY_LIBRARY ? 4 * limbs * padded : 0);
    size_t left = q->work_bytes - q->work_used;
    size_t room = left < FEWEST_SUMS_FREE ? 0 : (left - FEWEST_SUMS_FREE) / each, unit = room < OUTS_UNIT ? (size_t)LIMB_ROWS : (size_t)OUTS_UNIT;
    room = room / unit * unit;
    return room < round_up(job->outs, unit) ? room : round_up(job->outs, unit);
}

/* Sums of one part of a job, to be downloaded. */
static void run_part(struct call *call, const struct kern_product *job, const struct left *left, struct part part)
{
    uint64_t *y = (uint64_t *)call_room(call, 8 * left->rows * part.outs);
    if (left->rows <= FEW_ROWS) {
        const uint8_t *words = part_words(call, job, part);
        if (call->status == BASE_OK)
            few_rows(call, job->word, y, part.outs, left->words, row_words(job->inner), left->rows, words, part_stride(job), part.outs, job->inner);
    } else {
        multiply_part(call, job, left, part, y);
    }
    call_download_rows(call, job->y + left->row * job->y_stride + part.out, 8 * job->y_stride, y, 8 * part.outs, left->rows,
                       kern_ring_mask(8 * kern_limb_count(job->word)));
}

/* One group of rows with all outs. The last part comes at the end of the call. */
static void multiply_rows(struct call *call, const struct kern_product *job, size_t row, size_t rows)
{
    bool few = rows <= FEW_ROWS;
    struct left left = {NULL, NULL, row, rows};
    call->queue->work_used = call->first_work;
    upload_left(call, &left, job, few);
    size_t used = call->queue->work_used, most = call->status == BASE_OK ? outs_at_once(call, job, rows, few) : 0;
    if (most == 0 && call->status == BASE_OK)
        call->status = BASE_ERR_SUPPORT;
    for (size_t out = 0; call->status == BASE_OK && out < job->outs; out += most) {
        struct part part = {out, job->outs - out < most ? job->outs - out : most};
        call->queue->work_used = used;
        run_part(call, job, &left, part);
        if (row + rows < job->rows || out + part.outs < job->outs)
            call_flush(call);
    }
}

static bool has_way(const struct device *d, const struct kern_product *job)
{
    return job->rows <= FEW_ROWS || d->way >= 0;
}

enum base_status gemm(void *device, const struct kern_product *job, struct base_error *error)
{
    struct call call = call_begin((struct device *)device, error);
    if (call.status == BASE_OK && !has_way(call.device, job))
        call.status = BASE_ERR_SUPPORT;
    upload_stale(&call, job);
    size_t groups = (job->rows + MOST_ROWS - 1) / MOST_ROWS;
    for (size_t i = 0; i < groups && call.status == BASE_OK; i++) { /* of like size, so that none is of a few rows */
        size_t from = job->rows * i / groups, to = job->rows * (i + 1) / groups;
        multiply_rows(&call, job, from, to - from);
    }
    return call_end(&call);
}

/* ---- what stays under way ---- */

/* Whether a whole job finds room beside what is under way. */
static bool fits(const struct call *now, const struct kern_product *job)
{
    bool few = job->rows <= FEW_ROWS;
    struct queue *q = now->queue;
    size_t used = q->work_used, most;
    size_t left = round_up(job->rows * row_words(job->inner) * activation_bytes(job->word) + 1, ALIGNMENT);
    left += few ? 0 : round_up(round_up(job->rows, LIMB_ROWS) * (size_t)kern_limb_count(job->word) * plane_bytes(job->inner) + 1, ALIGNMENT);
    if (left > q->work_bytes - used)
        return false;
    q->work_used = used + left;
    most = outs_at_once(now, job, job->rows, few);
    q->work_used = used;
    return most >= job->outs;
}

enum base_status start(void *device, const struct kern_product *job, struct base_error *error)
{
    struct call call = call_begin((struct device *)device, error);
    if (call.status != BASE_OK)
        return call.status;
    if (job->rows > MOST_ROWS || !has_way(call.device, job) || !fits(&call, job))
        return BASE_ERR_SUPPORT;
    struct left left = {NULL, NULL, 0, job->rows};
    upload_stale(&call, job);
    upload_left(&call, &left, job, job->rows <= FEW_ROWS);
    run_part(&call, job, &left, {0, job->outs});
    return call_leave(&call);
}

enum base_status bring(void *device, const struct kern_product *job, struct base_error *error)
{
    struct call call = call_begin((struct device *)device, error);
    upload_stale(&call, job);
    return call_leave(&call);
}

enum base_status finish(void *device, struct base_error *error)
{
    struct call call = call_begin((struct device *)device, error);
    if (call.status == BASE_ERR_SUPPORT) /* none of its own to find room for */
        call.status = BASE_OK;
    return call_end(&call);
}

}
