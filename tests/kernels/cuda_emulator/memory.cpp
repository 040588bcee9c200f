/* The emulated device's memory, streams and events, and the runtime's functions over them. */
#include "kernels/cuda/target.cuh"
extern "C" {
#include "tests/kernels/cuda_emulator/control.h"
}

#include <stdio.h>
#include <stdlib.h>

#include <deque>
#include <map>
#include <vector>

namespace kern_emulator {

/* ---- memory ---- */

enum { CANARY = 64, PATTERN = 0xee, FILLED = 1 << 20 };

struct piece {
    size_t bytes;
    bool device;
};

static std::map<uint8_t *, struct piece> pieces;
static size_t device_bytes, device_limit = (size_t)4 << 30;
static long others; /* streams, events, libraries */

void count_other(int by)
{
    others += by;
}

static cudaError_t take(void **memory, size_t bytes, bool device)
{
    if (device && bytes > device_limit - device_bytes)
        return cudaErrorMemoryAllocation;
    uint8_t *piece = (uint8_t *)aligned_alloc(256, (bytes + CANARY + 255) / 256 * 256);
    if (piece == NULL)
        return cudaErrorMemoryAllocation;
    memset(piece, PATTERN, bytes < FILLED ? bytes : (size_t)FILLED); /* what a test's calls use of large areas */
    memset(piece + bytes, PATTERN, CANARY);
    pieces[piece] = {bytes, device};
    device_bytes += device ? bytes : 0;
    *memory = piece;
    return cudaSuccess;
}

static void look_at_canary(const uint8_t *piece, size_t bytes)
{
    for (size_t i = 0; i < CANARY; i++)
        if (piece[bytes + i] != PATTERN)
            stop("something was written behind a piece of memory");
}

/* ---- streams ---- */

struct stream {
    std::deque<std::function<void()>> waiting;
    unsigned long given, done; /* pieces of work so far */
};

struct event {
    struct stream *stream; /* NULL: never recorded */
    unsigned long at;
};

static std::vector<struct stream *> streams;
static bool others_first;
static int left_out;

void wait_in(cudaStream_t stream, const std::function<void()> &work)
{
    stream->waiting.push_back(work);
    stream->given++;
}

/* A stream's work up to number `until`. */
static void run(struct stream *stream, unsigned long until)
{
    while (stream->done < until && !stream->waiting.empty()) {
        std::function<void()> one = stream->waiting.front();
        stream->waiting.pop_front();
        stream->done++;
        one();
    }
}

static void run_others(const struct stream *but)
{
    for (struct stream *stream : streams)
        if (stream != but)
            run(stream, stream->given);
}

static void run_for_host(struct stream *stream, unsigned long until)
{
    if (others_first)
        run_others(stream);
    run(stream, until);
}

/* Memory is given back when nothing uses it any more. */
static void run_all()
{
    run_others(NULL);
}

static const void *forbidden;
static size_t forbidden_bytes;

static bool holds(const uint8_t *piece, size_t size, const void *pattern, size_t bytes)
{
    return bytes > 0 && memmem(piece, size, pattern, bytes) != NULL;
}

static cudaError_t give(void *memory, bool device)
{
    run_all();
    auto at = pieces.find((uint8_t *)memory);
    if (at == pieces.end() || at->second.device != device)
        stop("memory is freed that was not allocated");
    look_at_canary(at->first, at->second.bytes);
    if (holds(at->first, at->second.bytes, forbidden, forbidden_bytes))
        stop("memory is given back with secrets in it");
    device_bytes -= device ? at->second.bytes : 0;
    free(at->first);
    pieces.erase(at);
    return cudaSuccess;
}

/* A piece that holds all of a range. */
static bool inside(const void *memory, size_t bytes, bool device)
{
    auto at = pieces.upper_bound((uint8_t *)(uintptr_t)memory);
    if (at == pieces.begin())
        return false;
    --at;
    size_t from = (size_t)((const uint8_t *)memory - at->first);
    return at->second.device == device && from <= at->second.bytes && bytes <= at->second.bytes - from;
}

/* ---- the runtime's functions ---- */

const char *cudaGetErrorString(cudaError_t error)
{
    return error == cudaErrorMemoryAllocation ? "out of memory" : "a failure that the test ordered";
}

cudaError_t cudaGetDeviceCount(int *count)
{
    *count = 1;
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int device)
{
    return device == 0 ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device)
{
    (void)device;
    *value = attribute == cudaDevAttrComputeCapabilityMajor ? 9 : attribute == cudaDevAttrComputeCapabilityMinor ? 0 : attribute == cudaDevAttrClockRate ? 1000 : 2;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int device)
{
    (void)device;
    snprintf(properties->name, sizeof properties->name, "emulated device");
    properties->totalGlobalMem = device_limit;
    return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags)
{
    (void)flags;
    *stream = new struct stream();
    streams.push_back(*stream);
    others++;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    run_for_host(stream, stream->given);
    return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags)
{
    (void)flags;
    *event = new struct event();
    others++;
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    *event = {stream, stream->given};
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    if (event->stream != NULL && left_out != 1)
        run_for_host(event->stream, event->at);
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    delete event;
    others--;
    return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags)
{
    (void)flags;
    struct event now = *event; /* as it was recorded last */
    if (now.stream != NULL && left_out != 2)
        wait_in(stream, [=] { run(now.stream, now.at); });
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    run(stream, stream->given);
    for (size_t i = 0; i < streams.size(); i++)
        if (streams[i] == stream)
            streams.erase(streams.begin() + (long)i--);
    delete stream;
    others--;
    return cudaSuccess;
}

cudaError_t cudaMalloc(void **memory, size_t bytes)
{
    return take(memory, bytes, true);
}

cudaError_t cudaFree(void *memory)
{
    return give(memory, true);
}

cudaError_t cudaHostAlloc(void **memory, size_t bytes, unsigned flags)
{
    (void)flags;
    return take(memory, bytes, false);
}

cudaError_t cudaFreeHost(void *memory)
{
    return give(memory, false);
}

/* The same bytes at the same address, as on a GPU of today: what reads or writes them does so when its launch runs. */
cudaError_t cudaHostGetDevicePointer(void **ret, void *memory, unsigned flags)
{
    (void)flags;
    if (!inside(memory, 1, false))
        stop("memory that is not the host's pinned one has no address on the device");
    *ret = memory;
    return cudaSuccess;
}

cudaError_t cudaMemcpy2DAsync(void *to, size_t to_stride, const void *from, size_t from_stride, size_t row_bytes, size_t rows, cudaMemcpyKind kind,
                              cudaStream_t stream)
{
    bool up = kind == cudaMemcpyHostToDevice;
    size_t last = rows == 0 ? 0 : rows - 1, to_bytes = last * to_stride + row_bytes, from_bytes = last * from_stride + row_bytes;
    if (!inside(to, to_bytes, up) || !inside(from, from_bytes, !up))
        stop("a copy that is not from pinned memory of the host to the device, or back");
    wait_in(stream, [=] {
        for (size_t r = 0; r < rows; r++)
            memcpy((uint8_t *)to + r * to_stride, (const uint8_t *)from + r * from_stride, row_bytes);
    });
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream)
{
    return cudaMemcpy2DAsync(to, bytes, from, bytes, bytes, 1, kind, stream);
}

cudaError_t cudaMemsetAsync(void *memory, int value, size_t bytes, cudaStream_t stream)
{
    if (!inside(memory, bytes, true))
        stop("memory is set that is not the device's");
    wait_in(stream, [=] { memset(memory, value, bytes); });
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total)
{
    *free_bytes = device_limit - device_bytes;
    *total = device_limit;
    return cudaSuccess;
}

cudaError_t cudaGetLastError()
{
    return cudaSuccess;
}

}

extern "C" long kern_emulator_alive(void)
{
    for (const auto &piece : pieces)
        look_at_canary(piece.first, piece.second.bytes);
    return (long)pieces.size() + others;
}

extern "C" void kern_emulator_limit(size_t bytes)
{
    device_limit = bytes;
}

extern "C" void kern_emulator_order(int others)
{
    others_first = others != 0;
}

extern "C" void kern_emulator_leave_out(int waits)
{
    left_out = waits;
}

extern "C" int kern_emulator_holds(const void *pattern, size_t bytes)
{
    run_all();
    for (const auto &piece : pieces)
        if (holds(piece.first, piece.second.bytes, pattern, bytes))
            return 1;
    return 0;
}

extern "C" void kern_emulator_forbid(const void *pattern, size_t bytes)
{
    forbidden = pattern;
    forbidden_bytes = bytes;
}
