/* Calls: their rooms, how inputs go to the device and outputs come back, and their ends. */
#include "kernels/cuda/runtime.cuh"

namespace KERN_CUDA_NAMESPACE {

void queue_clear(struct queue *q)
{
    base_wipe(q->stage, q->stage_dirty);
    base_wipe(q->window, q->window_dirty);
    q->stage_dirty = q->window_dirty = 0;
    q->stage_used = q->window_used = q->work_used = 0;
    q->output_count = 0;
    q->under_way = false;
}

void call_zero(struct call *call)
{
    struct queue *q = call->queue;
    if (q->work_dirty > 0 && CUDA(call, cudaMemsetAsync(q->work, 0, q->work_dirty, q->stream)))
        q->work_dirty = 0;
}

struct call call_begin_in(struct device *device, struct queue *queue, struct base_error *error)
{
    struct call call = {device, queue, error, BASE_OK, device->main.under_way || device->side.under_way, queue->output_count, queue->work_used, {}, 0};
    enum { MOST_OF_A_CALL = 8 };
    CUDA(&call, cudaSetDevice(device->index)); /* which is a property of threads */
    if (call.status == BASE_OK && queue->output_count > MAX_OUTPUTS - MOST_OF_A_CALL)
        call.status = BASE_ERR_SUPPORT;
    return call;
}

struct call call_begin(struct device *device, struct base_error *error)
{
    return call_begin_in(device, &device->main, error);
}

void *call_room(struct call *call, size_t bytes)
{
    struct queue *q = call->queue;
    size_t taken = round_up(bytes + 1, ALIGNMENT); /* nothing is room, too */
    if (call->status != BASE_OK)
        return NULL;
    if (bytes > q->work_bytes || taken > q->work_bytes - q->work_used) {
        call->status = BASE_ERR_SUPPORT;
        return NULL;
    }
    void *room = q->work + q->work_used;
    q->work_used += taken;
    q->work_dirty = q->work_used > q->work_dirty ? q->work_used : q->work_dirty;
    return room;
}

/* Waits until the staging area is free again. */
static bool drain(struct call *call)
{
    call->queue->stage_used = 0;
    call->device->waits++;
    return CUDA(call, cudaStreamSynchronize(call->queue->stream));
}

uint8_t *call_stage(struct call *call, size_t bytes)
{
    struct queue *q = call->queue;
    if (bytes > q->stage_bytes) {
        call->status = BASE_ERR_SUPPORT;
        return NULL;
    }
    if (bytes > q->stage_bytes - q->stage_used && !drain(call))
        return NULL;
    uint8_t *room = q->stage + q->stage_used;
    q->stage_used += bytes;
    q->stage_dirty = q->stage_used > q->stage_dirty ? q->stage_used : q->stage_dirty;
    return room;
}

/* Room in the window; NULL: what is this large is copied, or there is none left. */
static uint8_t *window_room(struct queue *q, size_t bytes)
{
    size_t taken = round_up(bytes, ALIGNMENT);
    if (bytes > SMALL_BYTES || taken > q->window_bytes - q->window_used)
        return NULL;
    uint8_t *room = q->window + q->window_used;
    q->window_used += taken;
    q->window_dirty = q->window_used > q->window_dirty ? q->window_used : q->window_dirty;
    return room;
}

/* The kernels' address of a place in it. */
static uint8_t *there(const struct queue *q, const uint8_t *at)
{
    return q->window_there + (at - q->window);
}

/* ---- moves ---- */

enum { MOVE_THREADS = 256, MOVE_MOST_BLOCKS = 32 };

template <typename T> static __device__ void move_units(const struct move *m, size_t first, size_t step)
{
    size_t units = m->row_bytes / sizeof(T);
    for (size_t i = first; i < units * m->rows; i += step) {
        size_t row = i / units, at = i % units * sizeof(T);
        *(T *)(m->to + row * m->to_stride + at) = *(const T *)(m->from + row * m->from_stride + at);
    }
}

struct alignas(16) move16 {
    uint64_t part[2];
};

/* blockIdx.y: which move. */
static __global__ void move_kernel(struct moves moves)
{
    const struct move *m = &moves.move[blockIdx.y];
    size_t first = thread_number(), step = (size_t)gridDim.x * blockDim.x;
    if (m->unit == sizeof(struct move16))
        move_units<struct move16>(m, first, step);
    else if (m->unit == 4)
        move_units<uint32_t>(m, first, step);
    else
        move_units<uint8_t>(m, first, step);
}

void call_move(struct call *call)
{
    size_t most = 0;
    int count = call->move_count;
    call->move_count = 0; /* a launch looks whether there are some */
    if (count == 0)
        return;
    for (int i = 0; i < count; i++) {
        struct move *m = &call->moves.move[i];
        uintptr_t all = (uintptr_t)m->to | (uintptr_t)m->from | m->row_bytes | (m->rows > 1 ? m->to_stride | m->from_stride : 0);
        m->unit = all % 16 == 0 ? 16 : all % 4 == 0 ? 4 : 1;
        most = m->row_bytes * m->rows / m->unit > most ? m->row_bytes * m->rows / m->unit : most;
    }
    dim3 grid = cover(most, MOVE_THREADS);
    grid.x = grid.x < MOVE_MOST_BLOCKS ? grid.x : (unsigned)MOVE_MOST_BLOCKS;
    grid.y = (unsigned)count;
    LAUNCH(call, move_kernel, grid, MOVE_THREADS, 0, call->moves);
}

static void add_move(struct call *call, struct move move)
{
    if (call->status != BASE_OK || move.rows == 0 || move.row_bytes == 0)
        return;
    if (call->move_count == MAX_MOVES)
        call_move(call);
    call->moves.move[call->move_count++] = move;
}

/* ---- inputs ---- */

static bool copied(struct call *call, void *to, const void *from, size_t bytes, cudaMemcpyKind kind)
{
    call->device->copies++;
    return CUDA(call, cudaMemcpyAsync(to, from, bytes, kind, call->queue->stream));
}

/* Memory of device_host_alloc needs no staging: the kernels' address of it, or NULL. */
static const uint8_t *pinned_there(const struct device *d, const void *from, size_t bytes)
{
    for (int i = 0; i < d->pinned_count; i++)
        if ((uintptr_t)from >= d->pinned[i].from && (uintptr_t)from + bytes <= d->pinned[i].to)
            return d->pinned[i].there + ((uintptr_t)from - d->pinned[i].from);
    return NULL;
}

static void stage_rows(uint8_t *stage, size_t stride, const void *from, size_t from_stride, size_t row_bytes, size_t rows)
{
    for (size_t i = 0; i < rows; i++) {
        memcpy(stage + i * stride, (const uint8_t *)from + i * from_stride, row_bytes);
        memset(stage + i * stride + row_bytes, 0, stride - row_bytes);
    }
}

/* Rows, padded with zeros to `padded` bytes each, go to rows that are to_stride apart: through the window where it has room, else through the stage. */
static void upload_padded(struct call *call, uint8_t *to, size_t to_stride, size_t padded, const void *from, size_t from_stride, size_t row_bytes, size_t rows)
{
    size_t most = call->queue->stage_bytes / 4 / padded + 1;
    bool together = padded == to_stride;
    uint8_t *window = window_room(call->queue, padded * rows);
    if (window != NULL) {
        stage_rows(window, padded, from, from_stride, row_bytes, rows);
        const uint8_t *lies = there(call->queue, window);
        add_move(call, together ? move{to, lies, 0, 0, padded * rows, 1, 0} : move{to, lies, to_stride, padded, padded, rows, 0});
        return;
    }
    for (size_t at = 0; call->status == BASE_OK && at < rows; at += most) {
        size_t n = rows - at < most ? rows - at : most;
        uint8_t *stage = call_stage(call, n * padded);
        if (stage == NULL)
            return;
        stage_rows(stage, padded, (const uint8_t *)from + at * from_stride, from_stride, row_bytes, n);
        if (together) {
            copied(call, to + at * to_stride, stage, n * padded, cudaMemcpyHostToDevice);
            continue;
        }
        call->device->copies++;
        CUDA(call, cudaMemcpy2DAsync(to + at * to_stride, to_stride, stage, padded, padded, n, cudaMemcpyHostToDevice, call->queue->stream));
    }
}

void call_upload_rows(struct call *call, void *to, size_t to_stride, const void *from, size_t from_stride, size_t row_bytes, size_t rows)
{
    size_t bytes = rows * to_stride;
    if (call->status != BASE_OK || bytes == 0)
        return;
    if (row_bytes == to_stride && (rows == 1 || from_stride == to_stride)) {
        const uint8_t *pinned = pinned_there(call->device, from, bytes);
        if (pinned != NULL && bytes <= SMALL_BYTES)
            add_move(call, {(uint8_t *)to, pinned, 0, 0, bytes, 1, 0});
        else if (pinned != NULL)
            copied(call, to, from, bytes, cudaMemcpyHostToDevice);
        if (pinned != NULL)
            return;
    }
    upload_padded(call, (uint8_t *)to, to_stride, to_stride, from, from_stride, row_bytes, rows);
}

void call_upload_part(struct call *call, void *to, size_t to_stride, const void *from, size_t from_stride, size_t row_bytes, size_t rows)
{
    if (call->status == BASE_OK)
        upload_padded(call, (uint8_t *)to, to_stride, row_bytes, from, from_stride, row_bytes, rows);
}

void *call_in_bytes(struct call *call, const void *from, size_t bytes)
{
    enum { PIECE = STAGE_BYTES / 4 };
    size_t whole = bytes / PIECE * PIECE, padded = round_up(bytes, 16) + 16;
    uint8_t *room = (uint8_t *)call_room(call, padded);
    if (room == NULL)
        return NULL;
    if (whole > 0)
        call_upload_rows(call, room, PIECE, from, PIECE, PIECE, bytes / PIECE);
    call_upload_rows(call, room + whole, padded - whole, (const uint8_t *)from + whole, 0, bytes - whole, 1);
    return room;
}

/* ---- outputs ---- */

static void add_output(struct call *call, struct output output)
{
    if (call->status == BASE_OK && output.rows > 0 && output.row_bytes > 0)
        call->queue->outputs[call->queue->output_count++] = output;
}

void call_download_rows(struct call *call, void *to, size_t to_stride, const void *from, size_t row_bytes, size_t rows, uint64_t mask)
{
    add_output(call, {(uint8_t *)to, to_stride, row_bytes, rows, (const uint8_t *)from, mask, NULL});
}

void *call_out_kept(struct call *call, void *to, size_t bytes)
{
    void *room = call_room(call, bytes);
    call_download_rows(call, to, bytes, room, bytes, 1, ~UINT64_C(0));
    return room;
}

void call_whole(struct call *call)
{
    struct queue *q = call->queue;
    struct output *out = call->status == BASE_OK && q->output_count > call->first_output ? &q->outputs[q->output_count - 1] : NULL;
    if (out == NULL || out->staged != NULL)
        return;
    out->staged = window_room(q, out->row_bytes * out->rows);
    if (out->staged == NULL)
        call->status = BASE_ERR_SUPPORT;
}

void *call_out_bytes(struct call *call, void *to, size_t bytes)
{
    uint8_t *window = call->status == BASE_OK && bytes > 0 ? window_room(call->queue, bytes) : NULL;
    if (window == NULL)
        return call_out_kept(call, to, bytes);
    add_output(call, {(uint8_t *)to, bytes, bytes, 1, NULL, ~UINT64_C(0), window});
    return there(call->queue, window);
}

static void copy_masked(uint8_t *to, const uint8_t *from, size_t bytes, uint64_t mask)
{
    if (mask == ~UINT64_C(0)) {
        memcpy(to, from, bytes);
        return;
    }
    for (size_t i = 0; i < bytes; i += 8)
        kern_store64(to + i, kern_load64(from + i) & mask);
}

static void deliver_rows(const struct output *out)
{
    for (size_t r = 0; r < out->rows; r++)
        copy_masked(out->to + r * out->to_stride, out->staged + r * out->row_bytes, out->row_bytes, out->mask);
}

/* To the caller's arrays, once they are staged and waited for. No call of CUDA's comes after it that could fail. */
static void deliver(struct queue *q)
{
    for (int i = 0; i < q->output_count; i++)
        deliver_rows(&q->outputs[i]);
    q->output_count = 0;
}

/* An output that the stage does not hold, a row or a piece of one at a time. */
static void download_pieces(struct call *call, struct output *out)
{
    size_t bytes = out->row_bytes * out->rows, most = call->queue->stage_bytes;
    for (size_t at = 0; at < bytes && call->status == BASE_OK;) {
        size_t n = bytes - at < most ? bytes - at : most, row = at / out->row_bytes, within = at % out->row_bytes;
        n = out->row_bytes - within < n ? out->row_bytes - within : n;
        if (!drain(call))
            return;
        uint8_t *stage = call_stage(call, n);
        if (stage == NULL || !copied(call, stage, out->from + at, n, cudaMemcpyDeviceToHost) || !drain(call))
            return;
        copy_masked(out->to + row * out->to_stride + within, stage, n, out->mask);
        at += n;
    }
    out->rows = 0; /* it is there */
}

/* Starts the way of outputs [first, end) to the stage; false where it does not hold them together. */
static bool stage_together(struct call *call, int first, int end)
{
    struct queue *q = call->queue;
    size_t sum = 0;
    for (int i = first; i < end; i++)
        sum += q->outputs[i].staged == NULL ? q->outputs[i].row_bytes * q->outputs[i].rows : 0;
    if (sum > q->stage_bytes || (sum > q->stage_bytes - q->stage_used && !drain(call)))
        return false;
    for (int i = first; i < end && call->status == BASE_OK; i++) {
        struct output *out = &q->outputs[i];
        size_t bytes = out->row_bytes * out->rows;
        if (out->staged == NULL && (out->staged = call_stage(call, bytes)) != NULL)
            copied(call, out->staged, out->from, bytes, cudaMemcpyDeviceToHost);
    }
    return true;
}

static void download_range(struct call *call, int first, int end)
{
    for (int i = first; i < end && call->status == BASE_OK; i++)
        if (call->queue->outputs[i].staged == NULL)
            download_pieces(call, &call->queue->outputs[i]);
}

/* Starts the way of all outputs to where they are delivered from. Where the stage does not hold them, those of work that was under way go piece by piece,
 * which the CPU can make anew, and the call's own, which may be its inputs, together after them. */
static void stage_outputs(struct call *call)
{
    struct queue *q = call->queue;
    int count = q->output_count, own = call->first_output < count ? call->first_output : count;
    for (int i = 0; i < count && call->status == BASE_OK; i++) {
        struct output *out = &q->outputs[i];
        if (out->staged == NULL)
            out->staged = window_room(q, out->row_bytes * out->rows);
        if (out->staged != NULL && out->from != NULL)
            add_move(call, {there(q, out->staged), out->from, 0, 0, out->row_bytes * out->rows, 1, 0});
    }
    call_move(call);
    if (call->status != BASE_OK || stage_together(call, 0, count))
        return;
    download_range(call, 0, own);
    if (call->status == BASE_OK && !stage_together(call, own, count))
        download_range(call, own, count);
}

void call_flush(struct call *call)
{
    stage_outputs(call);
    if (call->status == BASE_OK && drain(call))
        deliver(call->queue);
}

/* ---- ends ---- */

/* Drops what a call registered that the device does not take, and leaves what was under way before. */
static void take_back(struct call *call)
{
    struct queue *q = call->queue;
    q->output_count = q->output_count < call->first_output ? q->output_count : call->first_output;
    q->under_way = true; /* what was launched is waited for with the others */
    call->move_count = 0;
}

/* Waits once for what both queues have under way. What is overwritten on the device is so behind what the host waits for. */
static void finish_all(struct call *call)
{
    struct device *d = call->device;
    stage_outputs(call);
    if (d->side.under_way)
        CUDA(call, cudaStreamWaitEvent(call->queue->stream, d->side.done, 0));
    CUDA(call, cudaEventRecord(call->queue->done, call->queue->stream));
    call_zero(call);
    d->waits++;
    if (!CUDA(call, cudaEventSynchronize(call->queue->done)))
        return; /* what is under way may still read and write it: it is overwritten when the device is closed */
    deliver(call->queue);
    queue_clear(call->queue);
    if (d->side.under_way) {
        deliver(&d->side);
        queue_clear(&d->side);
    }
}

enum base_status call_end(struct call *call)
{
    enum base_status before = call->status;
    if (before == BASE_ERR_SUPPORT) {
        take_back(call);
        if (call->joined)
            return before;
        call->status = BASE_OK; /* what was begun is overwritten all the same */
    }
    if (call->status == BASE_OK)
        finish_all(call);
    return call->status == BASE_OK ? before : call->status;
}

enum base_status call_leave(struct call *call)
{
    enum base_status before = call->status;
    if (before == BASE_ERR_SUPPORT && !call->joined)
        return call_end(call); /* nothing stays */
    if (before == BASE_ERR_SUPPORT) {
        take_back(call);
        call->status = BASE_OK;
    }
    call_move(call);
    call->queue->under_way = true;
    if (call->queue == &call->device->side && CUDA(call, cudaEventRecord(call->queue->done, call->queue->stream)))
        call_zero(call);
    return call->status == BASE_OK ? before : call->status;
}

}
