#include "tests/kernels/cuda_emulator/emulator.hpp"
#include "kernels/cuda/library.cuh"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

#include <vector>

namespace kern_emulator {

struct place here;

void stop(const char *text)
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

static std::vector<struct fiber> &fibers = *new std::vector<struct fiber>(MOST_THREADS); /* for as long as the program */
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
    count_other(1);
    return (struct library *)calloc(1, sizeof(struct library));
}

void library_close(struct library *library)
{
    if (library == NULL)
        return;
    count_other(-1);
    free(library);
}

void library_product(struct call *call, int32_t *c, const int8_t *a, size_t a_stride, size_t rows, const int8_t *w, size_t w_stride, size_t outs,
                     size_t inner)
{
    if (((uintptr_t)a | (uintptr_t)w | (uintptr_t)c | a_stride | w_stride | rows | outs | inner) % 16 != 0)
        stop("a product that the library does not take");
    if (!CUDA(call, cudaSuccess))
        return;
    wait_in(call->queue->stream, [=] {
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
