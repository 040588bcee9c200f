#include "tests/kernels/cuda_emulator/emulator.hpp"
#include "kernels/cuda/library.cuh"
extern "C" {
#include "tests/kernels/cuda_emulator/control.h"
}

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

#include <map>
#include <vector>

namespace kern_emulator {

struct place here;

static void stop(const char *text)
{
    fprintf(stderr, "emulated device: %s\n", text);
    abort();
}

/* ---- fibers ---- */

static const unsigned LANES = 32, WARPGROUP = 128;
enum { STACK = 256 << 10, MOST_THREADS = 1024, SHARED_LIMIT = 232448 };

struct barrier {
    unsigned size, arrived, turn;
};

struct fiber {
    jmp_buf at;
    ucontext_t start;
    uint8_t *stack;
    dim3 thread;
    bool done, begun;
    const struct barrier *waits; /* until its turn is no longer `turn` */
    unsigned turn;
};

static std::vector<struct fiber> fibers(MOST_THREADS);
static size_t current;
static jmp_buf scheduler;
static const std::function<void()> *running;
static struct barrier block, warps[MOST_THREADS / LANES], groups[MOST_THREADS / WARPGROUP];
alignas(1024) static uint8_t shared_memory[SHARED_LIMIT];

/* A fiber lives on from block to block and from launch to launch. */
static void fiber_main()
{
    for (;;) {
        struct fiber *f = &fibers[current];
        (*running)();
        f->done = true;
        if (_setjmp(f->at) == 0)
            _longjmp(scheduler, 1);
    }
}

/* Runs a fiber until it waits or ends. */
static void resume(size_t i)
{
    struct fiber *f = &fibers[i];
    current = i;
    here.thread = f->thread;
    if (_setjmp(scheduler) != 0)
        return;
    if (f->begun)
        _longjmp(f->at, 1);
    f->begun = true;
    getcontext(&f->start);
    f->start.uc_stack.ss_sp = f->stack;
    f->start.uc_stack.ss_size = STACK;
    f->start.uc_link = NULL;
    makecontext(&f->start, fiber_main, 0);
    setcontext(&f->start);
}

static void wait(struct barrier *b)
{
    struct fiber *f = &fibers[current];
    if (++b->arrived == b->size) {
        b->arrived = 0;
        b->turn++;
        return;
    }
    f->waits = b;
    f->turn = b->turn;
    if (_setjmp(f->at) == 0)
        _longjmp(scheduler, 1);
}

static bool waiting(const struct fiber *f)
{
    return f->waits != NULL && f->waits->turn == f->turn;
}

/* All threads of one block, in an order that differs from round to round. */
static void run_block(unsigned threads)
{
    unsigned left = threads;
    for (unsigned round = 0; left > 0; round++) {
        bool moved = false;
        for (unsigned i = 0; i < threads; i++) {
            unsigned at = round % 2 == 0 ? i : threads - 1 - i;
            struct fiber *f = &fibers[at];
            if (f->done || waiting(f))
                continue;
            f->waits = NULL;
            resume(at);
            left -= f->done;
            moved = true;
        }
        if (!moved)
            stop("threads wait for each other for ever: a barrier that not all of them reach");
    }
}

void launch(dim3 blocks, dim3 threads, size_t shared, const std::function<void()> &kernel)
{
    unsigned count = threads.x;
    if (count == 0 || count > MOST_THREADS || threads.y != 1 || threads.z != 1 || blocks.z != 1 || blocks.y > 65535 || shared > SHARED_LIMIT)
        stop("a launch beyond the limits of a device");
    running = &kernel;
    here.threads = threads;
    here.blocks = blocks;
    for (unsigned i = 0; i < count; i++)
        if (fibers[i].stack == NULL)
            fibers[i].stack = (uint8_t *)malloc(STACK);
    for (unsigned y = 0; y < blocks.y; y++)
        for (unsigned x = 0; x < blocks.x; x++) {
            here.block = dim3(x, y, 0);
            block = {count, 0, 0};
            for (unsigned i = 0; i < count; i += LANES)
                warps[i / LANES] = {count - i < LANES ? count - i : LANES, 0, 0};
            for (unsigned i = 0; i < count; i += WARPGROUP)
                groups[i / WARPGROUP] = {count - i < WARPGROUP ? count - i : WARPGROUP, 0, 0};
            for (unsigned i = 0; i < count; i++) {
                fibers[i].done = false;
                fibers[i].waits = NULL;
                fibers[i].thread = dim3(i, 0, 0);
            }
            memset(shared_memory, 0xa5, shared);
            run_block(count);
        }
}

uint8_t *dynamic_shared()
{
    return shared_memory;
}

void block_barrier()
{
    wait(&block);
}

/* What each lane of this warp brings, once all have; until warp_read. */
template <typename T> static const T *warp_write(const T *mine)
{
    static T all[MOST_THREADS];
    size_t first = current / LANES * LANES;
    all[current] = *mine;
    wait(&warps[current / LANES]);
    return all + first;
}

static void warp_read()
{
    wait(&warps[current / LANES]);
}

unsigned long long shuffle_xor(unsigned long long value, int mask)
{
    const unsigned long long *all = warp_write(&value);
    value = all[(current % LANES) ^ (size_t)mask];
    warp_read();
    return value;
}

static void group_barrier()
{
    wait(&groups[current / WARPGROUP]);
}

/* ---- memory ---- */

enum { CANARY = 64, PATTERN = 0xee, FILLED = 1 << 20 };

struct piece {
    size_t bytes;
    bool device;
};

static std::map<uint8_t *, struct piece> pieces;
static size_t device_bytes, device_limit = (size_t)4 << 30;
static long others;

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
    std::vector<std::function<void()>> waiting;
};

static std::vector<struct stream *> streams;

void wait_in(cudaStream_t stream, const std::function<void()> &work)
{
    stream->waiting.push_back(work);
}

static void run(struct stream *stream)
{
    std::vector<std::function<void()>> work;
    work.swap(stream->waiting);
    for (const auto &one : work)
        one();
}

/* Memory is given back when nothing uses it any more. */
static void run_all()
{
    for (struct stream *stream : streams)
        run(stream);
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
    *stream = new struct stream;
    streams.push_back(*stream);
    others++;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    run(stream);
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    run(stream);
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

/* ---- instructions ---- */

namespace kern_cuda_emulated {

struct fragments {
    int8_t a[4][4], b[2][4];
};

void mma_m16n8k32(int32_t c[4], const uint32_t a[4], const uint32_t b[2])
{
    struct fragments mine;
    memcpy(mine.a, a, sizeof mine.a);
    memcpy(mine.b, b, sizeof mine.b);
    const struct fragments *all = warp_write(&mine);
    size_t lane = current % LANES;
    for (size_t e = 0; e < 4; e++) {
        size_t row = lane / 4, column = lane % 4 * 2 + e % 2;
        uint32_t sum = (uint32_t)c[e];
        for (size_t at = 0; at < 4; at++) /* byte k: lane k / 4 mod 4 of a group has it, in its part of 16 bytes */
            for (size_t part = 0; part < 2; part++) {
                const int8_t *left = all[4 * row + at].a[part * 2 + e / 2], *right = all[4 * column + at].b[part];
                if ((left[0] | left[1] | left[2] | left[3]) == 0) /* rows that are not there */
                    continue;
                for (size_t k = 0; k < 4; k++)
                    sum += (uint32_t)(left[k] * right[k]);
            }
        c[e] = (int32_t)sum;
    }
    warp_read();
}

/* 16 bytes of a row of a tile. */
static const int8_t *tile_chunk(const uint8_t *tile, size_t row, size_t chunk)
{
    return (const int8_t *)tile + row * 128 + 16 * (chunk ^ row % 8);
}

static bool all_zero(const int8_t *chunk)
{
    static const int8_t zeros[16] = {};
    return memcmp(chunk, zeros, sizeof zeros) == 0;
}

void wgmma_m64n128k32(int32_t c[64], const uint8_t *a, const uint8_t *b, int at)
{
    size_t warp = current % WARPGROUP / LANES, lane = current % LANES;
    group_barrier();
    for (size_t half = 0; half < 2; half++)
        for (size_t chunk = (size_t)at / 16; chunk < (size_t)at / 16 + 2; chunk++) {
            const int8_t *left = tile_chunk(a, 16 * warp + lane / 4 + 8 * half, chunk);
            if (all_zero(left)) /* rows that are not there */
                continue;
            for (size_t i = 0; i < 64; i++) {
                const int8_t *right = tile_chunk(b, 8 * (i / 4) + 2 * (lane % 4) + i % 2, chunk);
                int32_t sum = 0;
                for (size_t k = 0; k < 16; k++)
                    sum += left[k] * right[k];
                c[i] = i / 2 % 2 == half ? (int32_t)((uint32_t)c[i] + (uint32_t)sum) : c[i];
            }
        }
    group_barrier();
}

/* ---- the library ---- */

struct library {
    int unused;
};

struct library *library_open(struct call *call)
{
    if (call->status != BASE_OK || KERN_CUDA_MADE(cudaSuccess, cudaErrorUnknown) != cudaSuccess)
        return NULL;
    others++;
    return (struct library *)calloc(1, sizeof(struct library));
}

void library_close(struct library *library)
{
    if (library == NULL)
        return;
    others--;
    free(library);
}

void library_product(struct call *call, int32_t *c, const int8_t *a, size_t a_stride, size_t rows, const int8_t *w, size_t w_stride, size_t outs,
                     size_t inner)
{
    if (((uintptr_t)a | (uintptr_t)w | (uintptr_t)c | a_stride | w_stride | rows | outs | inner) % 16 != 0)
        stop("a product that the library does not take");
    if (!CUDA(call, cudaSuccess))
        return;
    wait_in(call->device->stream, [=] {
        for (size_t r = 0; r < rows; r++)
            for (size_t o = 0; o < outs; o++) {
                uint32_t sum = 0;
                for (size_t k = 0; k < inner; k++)
                    sum += (uint32_t)(a[r * a_stride + k] * w[o * w_stride + k]);
                c[r * outs + o] = (int32_t)sum;
            }
    });
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

extern "C" int kern_emulator_holds(const void *pattern, size_t bytes)
{
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
