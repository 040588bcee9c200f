#include "kernels/cuda/runtime.cuh"
#include "kernels/cuda/aes.cuh"
#include "kernels/cuda/library.cuh"
#ifdef KERN_CUDA_FAULTS
#include "kernels/cuda/faults.h"
#endif

#include <stdlib.h>

#ifdef KERN_CUDA_FAULTS
static long fault_calls, fault_at = -1;

void kern_cuda_fault_at(long call)
{
    fault_calls = 0;
    fault_at = call;
}

long kern_cuda_calls(void)
{
    return fault_calls;
}
#endif

namespace KERN_CUDA_NAMESPACE {

/* ---- failures ---- */

#ifdef KERN_CUDA_FAULTS
bool fault_due()
{
    return fault_calls++ == fault_at;
}
#endif

bool call_check(struct call *call, cudaError_t result, const char *what)
{
    if (result == cudaSuccess)
        return true;
    int length = (int)strcspn(what, "( ");
    call->status = base_fail(call->error, result == cudaErrorMemoryAllocation ? BASE_ERR_MEMORY : BASE_ERR_IO,
                             "CUDA device %d: %.*s failed: %s: see the driver's messages (dmesg, nvidia-smi)", call->device->index, length, what,
                             cudaGetErrorString(result));
    return false;
}

/* What gives something back may report the failure of an earlier call, which that call's own check has told. */
void give_back(cudaError_t result)
{
    (void)result;
#ifdef KERN_CUDA_FAULTS
    fault_due();
#endif
}

/* ---- calls ---- */

static void zero_areas(struct call *call)
{
    struct device *d = call->device;
    if (d->work_dirty > 0 && CUDA(call, cudaMemsetAsync(d->work, 0, d->work_dirty, d->stream)))
        d->work_dirty = 0;
}

struct call call_begin(struct device *device, struct base_error *error)
{
    struct call call = {device, error, BASE_OK, {}, 0};
    device->work_used = 0;
    device->stage_used = 0;
    CUDA(&call, cudaSetDevice(device->index)); /* which is a property of threads */
    return call;
}

void *call_room(struct call *call, size_t bytes)
{
    struct device *d = call->device;
    size_t taken = round_up(bytes + 1, ALIGNMENT); /* nothing is room, too */
    if (call->status != BASE_OK)
        return NULL;
    if (bytes > d->work_bytes || taken > d->work_bytes - d->work_used) {
        call->status = BASE_ERR_SUPPORT;
        return NULL;
    }
    void *room = d->work + d->work_used;
    d->work_used += taken;
    d->work_dirty = d->work_used > d->work_dirty ? d->work_used : d->work_dirty;
    return room;
}

/* Waits until the staging area is free again. */
static bool drain(struct call *call)
{
    call->device->stage_used = 0;
    return CUDA(call, cudaStreamSynchronize(call->device->stream));
}

/* `bytes` of the staging area that no copy under way uses. */
static uint8_t *stage_room(struct call *call, size_t bytes)
{
    struct device *d = call->device;
    if (bytes > STAGE_BYTES) {
        call->status = BASE_ERR_SUPPORT;
        return NULL;
    }
    if (bytes > STAGE_BYTES - d->stage_used && !drain(call))
        return NULL;
    uint8_t *room = d->stage + d->stage_used;
    d->stage_used += bytes;
    d->stage_dirty = d->stage_used > d->stage_dirty ? d->stage_used : d->stage_dirty;
    return room;
}

/* Memory of device_host_alloc needs no staging. */
static bool is_pinned(const struct device *d, const void *from, size_t bytes)
{
    for (int i = 0; i < d->pinned_count; i++)
        if ((uintptr_t)from >= d->pinned[i].from && (uintptr_t)from + bytes <= d->pinned[i].to)
            return true;
    return false;
}

void call_upload_rows(struct call *call, void *to, size_t to_stride, const void *from, size_t from_stride, size_t row_bytes, size_t rows)
{
    size_t most = to_stride == 0 ? 0 : STAGE_BYTES / 4 / to_stride + 1;
    if (row_bytes == to_stride && (rows == 1 || from_stride == to_stride) && is_pinned(call->device, from, rows * row_bytes)) {
        CUDA(call, cudaMemcpyAsync(to, from, rows * row_bytes, cudaMemcpyHostToDevice, call->device->stream));
        return;
    }
    for (size_t at = 0; call->status == BASE_OK && at < rows; at += most) {
        size_t n = rows - at < most ? rows - at : most;
        uint8_t *stage = stage_room(call, n * to_stride);
        for (size_t i = 0; stage != NULL && i < n; i++) {
            memcpy(stage + i * to_stride, (const uint8_t *)from + (at + i) * from_stride, row_bytes);
            memset(stage + i * to_stride + row_bytes, 0, to_stride - row_bytes);
        }
        if (stage != NULL)
            CUDA(call, cudaMemcpyAsync((uint8_t *)to + at * to_stride, stage, n * to_stride, cudaMemcpyHostToDevice, call->device->stream));
    }
}

void call_upload_part(struct call *call, void *to, size_t to_stride, const void *from, size_t from_stride, size_t row_bytes, size_t rows)
{
    size_t most = STAGE_BYTES / 4 / row_bytes + 1;
    for (size_t at = 0; call->status == BASE_OK && at < rows; at += most) {
        size_t n = rows - at < most ? rows - at : most;
        uint8_t *stage = stage_room(call, n * row_bytes);
        for (size_t i = 0; stage != NULL && i < n; i++)
            memcpy(stage + i * row_bytes, (const uint8_t *)from + (at + i) * from_stride, row_bytes);
        if (stage != NULL)
            CUDA(call, cudaMemcpy2DAsync((uint8_t *)to + at * to_stride, to_stride, stage, row_bytes, row_bytes, n, cudaMemcpyHostToDevice,
                                         call->device->stream));
    }
}

void *call_in_bytes(struct call *call, const void *from, size_t bytes)
{
    enum { PIECE = STAGE_BYTES / 4 };
    uint8_t *room = (uint8_t *)call_room(call, bytes + 16);
    size_t whole = bytes / PIECE * PIECE;
    if (room == NULL)
        return NULL;
    if (whole > 0)
        call_upload_rows(call, room, PIECE, from, PIECE, PIECE, bytes / PIECE);
    call_upload_rows(call, room + whole, bytes - whole + 16, (const uint8_t *)from + whole, 0, bytes - whole, 1);
    return room;
}

void call_download_rows(struct call *call, void *to, size_t to_stride, const void *from, size_t row_bytes, size_t rows, uint64_t mask)
{
    if (call->status == BASE_OK && rows > 0 && row_bytes > 0)
        call->outputs[call->output_count++] = {(uint8_t *)to, to_stride, row_bytes, rows, (const uint8_t *)from, mask, NULL};
}

void *call_out_bytes(struct call *call, void *to, size_t bytes)
{
    void *room = call_room(call, bytes);
    call_download_rows(call, to, bytes, room, bytes, 1, ~UINT64_C(0));
    return room;
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

/* Starts the way of all outputs to the staging area, where it holds them all. */
static bool stage_outputs(struct call *call)
{
    size_t sum = 0;
    for (int i = 0; i < call->output_count; i++)
        sum += call->outputs[i].row_bytes * call->outputs[i].rows;
    if (sum > STAGE_BYTES || (sum > STAGE_BYTES - call->device->stage_used && !drain(call)))
        return false;
    for (int i = 0; i < call->output_count; i++) {
        struct output *out = &call->outputs[i];
        size_t bytes = out->row_bytes * out->rows;
        out->staged = stage_room(call, bytes);
        if (out->staged == NULL || !CUDA(call, cudaMemcpyAsync(out->staged, out->from, bytes, cudaMemcpyDeviceToHost, call->device->stream)))
            return false;
    }
    return true;
}

/* To the caller's arrays, once the stream was waited for. No call of CUDA's comes after it that could fail. */
static void deliver(struct call *call)
{
    for (int i = 0; i < call->output_count; i++) {
        const struct output *out = &call->outputs[i];
        for (size_t r = 0; r < out->rows; r++)
            copy_masked(out->to + r * out->to_stride, out->staged + r * out->row_bytes, out->row_bytes, out->mask);
    }
    call->output_count = 0;
}

static void download_pieces(struct call *call, const struct output *out)
{
    size_t bytes = out->row_bytes * out->rows;
    for (size_t at = 0; at < bytes && call->status == BASE_OK;) {
        size_t n = bytes - at < STAGE_BYTES ? bytes - at : (size_t)STAGE_BYTES, row = at / out->row_bytes, within = at % out->row_bytes;
        n = out->row_bytes - within < n ? out->row_bytes - within : n; /* a row or a piece of one */
        if (!drain(call))
            return;
        uint8_t *stage = stage_room(call, n);
        if (stage == NULL || !CUDA(call, cudaMemcpyAsync(stage, out->from + at, n, cudaMemcpyDeviceToHost, call->device->stream)) || !drain(call))
            return;
        copy_masked(out->to + row * out->to_stride + within, stage, n, out->mask);
        at += n;
    }
}

/* Whether outputs are staged now; those that the staging area does not hold together arrive piece by piece. */
static bool start_outputs(struct call *call)
{
    if (call->status != BASE_OK || call->output_count == 0)
        return false;
    if (stage_outputs(call))
        return true;
    for (int i = 0; i < call->output_count; i++)
        download_pieces(call, &call->outputs[i]);
    return false;
}

void call_flush(struct call *call)
{
    if (start_outputs(call) && drain(call))
        deliver(call);
    call->output_count = 0;
}

enum base_status call_end(struct call *call)
{
    struct device *d = call->device;
    bool staged = start_outputs(call);
    enum base_status before = call->status;
    if (before == BASE_ERR_SUPPORT) /* what was begun is overwritten all the same */
        call->status = BASE_OK;
    zero_areas(call);
    bool waited = drain(call);
    if (waited && staged)
        deliver(call);
    if (waited) { /* else what is under way may still read and write it: it is overwritten when the device is closed */
        base_wipe(d->stage, d->stage_dirty);
        d->stage_dirty = 0;
    }
    return call->status == BASE_OK ? before : call->status;
}

/* ---- the device ---- */

static bool find(struct call *call)
{
    struct device *d = call->device;
    int count = 0;
    cudaError_t result = KERN_CUDA_MADE(cudaGetDeviceCount(&count), cudaErrorUnknown);
    if (result == cudaErrorInsufficientDriver || result == cudaErrorNoDevice) {
        call->status = base_fail(call->error, BASE_ERR_SUPPORT, "device cuda:%d: %s: install NVIDIA's driver for this GPU, or leave the device out",
                                 d->index, result == cudaErrorNoDevice ? "this machine shows no GPU" : "no driver of CUDA 13 or later");
        return false;
    }
    if (!call_check(call, result, "cudaGetDeviceCount"))
        return false;
    if (d->index >= count) {
        call->status = base_fail(call->error, BASE_ERR_ARGUMENT, "device cuda:%d: this machine has %d: say cuda:0 to cuda:%d", d->index, count, count - 1);
        return false;
    }
    return CUDA(call, cudaSetDevice(d->index)) && CUDA(call, cudaDeviceGetAttribute(&d->major, cudaDevAttrComputeCapabilityMajor, d->index)) &&
           CUDA(call, cudaDeviceGetAttribute(&d->minor, cudaDevAttrComputeCapabilityMinor, d->index)) &&
           CUDA(call, cudaDeviceGetAttribute(&d->processors, cudaDevAttrMultiProcessorCount, d->index));
}

static bool allocate(struct call *call)
{
    struct device *d = call->device;
    if (!CUDA(call, cudaStreamCreateWithFlags(&d->stream, cudaStreamNonBlocking)))
        return false;
    if (!CUDA(call, cudaMalloc((void **)&d->work, d->work_bytes)) || !CUDA(call, cudaHostAlloc((void **)&d->stage, STAGE_BYTES, cudaHostAllocDefault)) ||
        !CUDA(call, cudaMalloc((void **)&d->fixed_keys, KERN_FSS_KEYS * AES_PLANES * sizeof *d->fixed_keys))) {
        if (call->status == BASE_ERR_MEMORY)
            base_error_prefix(call->error, "a work area of %zu MiB and %d MiB of pinned memory: give the device less, or free some",
                              d->work_bytes >> 20, STAGE_BYTES >> 20);
        return false;
    }
    return true;
}

static void upload_fixed_keys(struct call *call)
{
    uint64_t *sliced = (uint64_t *)(void *)stage_room(call, KERN_FSS_KEYS * AES_PLANES * sizeof *sliced);
    for (int k = 0; sliced != NULL && k < KERN_FSS_KEYS; k++) {
        struct kern_aes_key key;
        for (int r = 0; r < 11; r++)
            memcpy(key.round[r], kern_fss_round_keys[r][k], 16);
        slice_key(sliced + k * AES_PLANES, &key);
    }
    if (sliced != NULL)
        CUDA(call, cudaMemcpyAsync(call->device->fixed_keys, sliced, KERN_FSS_KEYS * AES_PLANES * sizeof *sliced, cudaMemcpyHostToDevice,
                                   call->device->stream));
}

enum base_status device_open(void **ret, int index, size_t work_bytes, struct base_error *error)
{
    struct device *d = (struct device *)calloc(1, sizeof *d);
    if (d != NULL)
        d->held = (struct call *)calloc(1, sizeof *d->held);
    if (d == NULL || d->held == NULL) {
        free(d);
        return base_fail(error, BASE_ERR_MEMORY, "device cuda:%d: no memory for its description", index);
    }
    d->index = index;
    d->work_bytes = work_bytes;
    d->way = -1;
    struct call call = {d, error, BASE_OK, {}, 0};
    if (find(&call) && d->major < 8)
        call.status = base_fail(error, BASE_ERR_SUPPORT, "device cuda:%d: compute capability %d.%d: the kernels need 8.0 or later", index, d->major, d->minor);
    if (call.status == BASE_OK && allocate(&call)) {
        upload_fixed_keys(&call);
        d->library = library_open(&call);
        d->work_dirty = work_bytes; /* whatever others left there */
        call_end(&call);
    }
    if (call.status == BASE_OK)
        *ret = d;
    else
        device_close(d);
    return call.status;
}

void device_close(void *context)
{
    struct device *d = (struct device *)context;
    struct base_error ignored = {};
    struct call call = {d, &ignored, BASE_OK, {}, 0};
    if (d->stream != NULL) {
        if (d->work != NULL)
            zero_areas(&call);
        CUDA_GIVE_BACK(cudaStreamSynchronize(d->stream));
        library_close(d->library);
        CUDA_GIVE_BACK(cudaStreamDestroy(d->stream));
    }
    if (d->stage != NULL) {
        base_wipe(d->stage, d->stage_dirty);
        CUDA_GIVE_BACK(cudaFreeHost(d->stage));
    }
    if (d->work != NULL)
        CUDA_GIVE_BACK(cudaFree(d->work));
    if (d->fixed_keys != NULL)
        CUDA_GIVE_BACK(cudaFree(d->fixed_keys));
    free(d->held);
    free(d);
}

void device_describe(void *context, char *text, size_t size)
{
    struct device *d = (struct device *)context;
    cudaDeviceProp properties;
    struct base_error ignored = {};
    struct call call = {d, &ignored, BASE_OK, {}, 0};
    int clock = 0;
    static const char *const names[WAYS] = {"mma", "wgmma", "cuBLASLt"};
    memset(&properties, 0, sizeof properties);
    CUDA(&call, cudaGetDeviceProperties(&properties, d->index));
    CUDA(&call, cudaDeviceGetAttribute(&clock, cudaDevAttrClockRate, d->index));
    snprintf(text, size, "cuda:%d: %s, compute capability %d.%d, %zu MiB, %d multiprocessors at %d MHz, products by %s%s", d->index, properties.name,
             d->major, d->minor, (size_t)properties.totalGlobalMem >> 20, d->processors, clock / 1000, d->way < 0 ? "none" : names[d->way],
             d->library == NULL ? ", cuBLASLt not installed" : "");
}

enum base_status device_memory(void *context, size_t *ret_free, size_t *ret_total, struct base_error *error)
{
    struct call call = call_begin((struct device *)context, error);
    CUDA(&call, cudaMemGetInfo(ret_free, ret_total));
    return call.status;
}

enum base_status device_host_alloc(void *context, void **ret, size_t bytes, struct base_error *error)
{
    struct device *d = (struct device *)context;
    struct call call = call_begin(d, error);
    if (CUDA(&call, cudaHostAlloc(ret, bytes, cudaHostAllocMapped))) {
        memset(*ret, 0, bytes);
        if (d->pinned_count < MAX_PINNED) /* further ones are staged like any memory */
            d->pinned[d->pinned_count++] = {(uintptr_t)*ret, (uintptr_t)*ret + bytes};
    }
    return call.status;
}

void device_host_free(void *context, void *memory, size_t bytes)
{
    struct device *d = (struct device *)context;
    (void)bytes;
    for (int i = 0; i < d->pinned_count; i++)
        if (d->pinned[i].from == (uintptr_t)memory)
            d->pinned[i] = d->pinned[--d->pinned_count];
    CUDA_GIVE_BACK(cudaFreeHost(memory));
}

}
