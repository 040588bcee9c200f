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

static bool allocate_queue(struct call *call, struct queue *q)
{
    return CUDA(call, cudaStreamCreateWithFlags(&q->stream, cudaStreamNonBlocking)) &&
           CUDA(call, cudaEventCreateWithFlags(&q->done, cudaEventDisableTiming)) && CUDA(call, cudaMalloc((void **)&q->work, q->work_bytes)) &&
           (q->stage_bytes == 0 || CUDA(call, cudaHostAlloc((void **)&q->stage, q->stage_bytes, cudaHostAllocDefault))) &&
           CUDA(call, cudaHostAlloc((void **)&q->window, q->window_bytes, cudaHostAllocMapped)) &&
           CUDA(call, cudaHostGetDevicePointer((void **)&q->window_there, q->window, 0));
}

static bool allocate(struct call *call)
{
    struct device *d = call->device;
    if (!allocate_queue(call, &d->main) || !allocate_queue(call, &d->side) ||
        !CUDA(call, cudaMalloc((void **)&d->fixed_keys, KERN_FSS_KEYS * AES_PLANES * sizeof *d->fixed_keys))) {
        if (call->status == BASE_ERR_MEMORY)
            base_error_prefix(call->error, "a work area of %zu MiB and %d MiB of pinned memory: give the device less, or free some",
                              d->main.work_bytes >> 20, (STAGE_BYTES + 2 * WINDOW_BYTES) >> 20);
        return false;
    }
    return true;
}

static void upload_fixed_keys(struct call *call)
{
    uint64_t *sliced = (uint64_t *)(void *)call_stage(call, KERN_FSS_KEYS * AES_PLANES * sizeof *sliced);
    for (int k = 0; sliced != NULL && k < KERN_FSS_KEYS; k++) {
        struct kern_aes_key key;
        for (int r = 0; r < 11; r++)
            memcpy(key.round[r], kern_fss_round_keys[r][k], 16);
        slice_key(sliced + k * AES_PLANES, &key);
    }
    if (sliced != NULL)
        CUDA(call, cudaMemcpyAsync(call->device->fixed_keys, sliced, KERN_FSS_KEYS * AES_PLANES * sizeof *sliced, cudaMemcpyHostToDevice,
                                   call->queue->stream));
}

enum base_status device_open(void **ret, int index, size_t work_bytes, struct base_error *error)
{
    struct device *d = (struct device *)calloc(1, sizeof *d);
    if (d == NULL)
        return base_fail(error, BASE_ERR_MEMORY, "device cuda:%d: no memory for its description", index);
    d->index = index;
    d->main.work_bytes = work_bytes;
    d->main.stage_bytes = STAGE_BYTES;
    d->side.work_bytes = SIDE_WORK_BYTES;
    d->main.window_bytes = d->side.window_bytes = WINDOW_BYTES;
    d->way = -1;
    struct call call = {d, &d->main, error, BASE_OK, false, 0, 0, {}, 0};
    if (find(&call) && d->major < 8)
        call.status = base_fail(error, BASE_ERR_SUPPORT, "device cuda:%d: compute capability %d.%d: the kernels need 8.0 or later", index, d->major, d->minor);
    if (call.status == BASE_OK && allocate(&call)) {
        upload_fixed_keys(&call);
        d->library = library_open(&call);
        d->main.work_dirty = work_bytes; /* whatever others left there */
        call_end(&call);
    }
    if (call.status == BASE_OK)
        *ret = d;
    else
        device_close(d);
    return call.status;
}

static void close_queue(struct device *d, struct queue *q)
{
    struct base_error ignored = {};
    struct call call = {d, q, &ignored, BASE_OK, false, 0, 0, {}, 0};
    if (q->stream != NULL && q->work != NULL)
        call_zero(&call);
    if (q->stream != NULL)
        CUDA_GIVE_BACK(cudaStreamSynchronize(q->stream));
    if (q->window != NULL && q->stage_dirty + q->window_dirty > 0)
        queue_clear(q);
    if (q->done != NULL)
        CUDA_GIVE_BACK(cudaEventDestroy(q->done));
    if (q->stream != NULL)
        CUDA_GIVE_BACK(cudaStreamDestroy(q->stream));
    if (q->stage != NULL)
        CUDA_GIVE_BACK(cudaFreeHost(q->stage));
    if (q->window != NULL)
        CUDA_GIVE_BACK(cudaFreeHost(q->window));
    if (q->work != NULL)
        CUDA_GIVE_BACK(cudaFree(q->work));
}

void device_close(void *context)
{
    struct device *d = (struct device *)context;
    if (d->main.stream != NULL)
        CUDA_GIVE_BACK(cudaStreamSynchronize(d->main.stream)); /* before the library goes */
    library_close(d->library);
    close_queue(d, &d->main);
    close_queue(d, &d->side);
    if (d->fixed_keys != NULL)
        CUDA_GIVE_BACK(cudaFree(d->fixed_keys));
    free(d);
}

void device_describe(void *context, char *text, size_t size)
{
    struct device *d = (struct device *)context;
    cudaDeviceProp properties;
    struct base_error ignored = {};
    struct call call = {d, &d->main, &ignored, BASE_OK, false, 0, 0, {}, 0};
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

void device_count(const void *context, struct kern_device_counts *counts)
{
    const struct device *d = (const struct device *)context;
    counts->waits += d->waits;
    counts->launches += d->launches;
    counts->copies += d->copies;
}

enum base_status device_host_alloc(void *context, void **ret, size_t bytes, struct base_error *error)
{
    struct device *d = (struct device *)context;
    struct call call = call_begin(d, error);
    void *memory = NULL, *there = NULL;
    if (CUDA(&call, cudaHostAlloc(&memory, bytes, cudaHostAllocMapped | cudaHostAllocPortable)) && CUDA(&call, cudaHostGetDevicePointer(&there, memory, 0))) {
        memset(memory, 0, bytes);
        if (d->pinned_count < MAX_PINNED) /* further ones are staged like any memory */
            d->pinned[d->pinned_count++] = {(uintptr_t)memory, (uintptr_t)memory + bytes, (const uint8_t *)there};
        *ret = memory;
    } else if (memory != NULL) {
        CUDA_GIVE_BACK(cudaFreeHost(memory));
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
