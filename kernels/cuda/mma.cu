/* Products over limbs with mma.sync m16n8k32, for compute capability 8.0 and later.
 *
 * A block of four warps makes 64 x 64 elements of y, a warp 32 x 32. For each diagonal d, planes 0 to d of a meet the last d + 1 planes of w
 * (one run of bytes in both); sums of 32 bits are folded into 64 at the end of a diagonal and each FOLD_BYTES, so rows may have any length. */
#include "kernels/cuda/mma.cuh"
#include "kernels/cuda/products.cuh"

namespace KERN_CUDA_NAMESPACE {

enum {
    TILE = 64,      /* rows, outs and bytes of a step */
    TILE_ROW = 80,  /* bytes between rows in shared memory: reads of a warp fall into different banks */
    MMA_THREADS = 128,
    STAGES = 3,
    MMA_ROWS = 16, /* of one instruction, and its columns */
    MMA_COLUMNS = 8,
};

/* Where a step reads: diagonal, and bytes into its run. */
struct step {
    int diagonal;
    size_t at;
};

static __device__ inline void next_step(struct step *step, size_t plane, size_t bytes)
{
    step->at += bytes;
    if (step->at == (size_t)(step->diagonal + 1) * plane) {
        step->diagonal++;
        step->at = 0;
    }
}

/* TILE rows of TILE bytes; rows from `rows` on are zero. */
static __device__ inline void load_tile(uint8_t *tile, const int8_t *from, size_t first, size_t rows, size_t line, size_t at)
{
    for (int i = (int)threadIdx.x; i < TILE * TILE / 16; i += MMA_THREADS) {
        size_t row = (size_t)i / (TILE / 16), chunk = (size_t)i % (TILE / 16);
        bool there = first + row < rows;
        copy16(tile + row * TILE_ROW + 16 * chunk, from + (there ? first + row : 0) * line + at + 16 * chunk, there);
    }
}

static __device__ inline uint32_t part_at(const uint8_t *tile, int row, int byte)
{
    return *(const uint32_t *)(tile + row * TILE_ROW + byte);
}

/* One step of a warp: 32 x 32 sums, TILE bytes deep. */
static __device__ inline void multiply_tiles(int32_t sum[2][4][4], const uint8_t *a, const uint8_t *w, int row, int column)
{
    int group = (int)threadIdx.x % 32 / 4, at = (int)threadIdx.x % 4 * 4;
    for (int k = 0; k < TILE; k += 32) {
        uint32_t left[2][4], right[4][2];
        for (int i = 0; i < 2; i++)
            for (int j = 0; j < 4; j++)
                left[i][j] = part_at(a, row + MMA_ROWS * i + group + 8 * (j % 2), k + at + 16 * (j / 2));
        for (int i = 0; i < 4; i++)
            for (int j = 0; j < 2; j++)
                right[i][j] = part_at(w, column + MMA_COLUMNS * i + group, k + at + 16 * j);
        for (int i = 0; i < 2; i++)
            for (int j = 0; j < 4; j++)
                mma_m16n8k32(sum[i][j], left[i], right[j]);
    }
}

static __device__ inline void fold(uint64_t total[2][4][4], int32_t sum[2][4][4], int diagonal)
{
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 4; j++)
            for (int e = 0; e < 4; e++) {
                total[i][j][e] += (uint64_t)(int64_t)sum[i][j][e] << 8 * diagonal;
                sum[i][j][e] = 0;
            }
}

static __device__ inline void store(const struct limb_product *p, const uint64_t total[2][4][4], size_t row, size_t column)
{
    size_t group = threadIdx.x % 32 / 4, at = threadIdx.x % 4 * 2;
    for (size_t i = 0; i < 2; i++)
        for (size_t j = 0; j < 4; j++)
            for (size_t e = 0; e < 4; e++) {
                size_t r = row + MMA_ROWS * i + group + 8 * (e / 2), o = column + MMA_COLUMNS * j + at + e % 2;
                if (r < p->rows && o < p->outs)
                    p->y[r * p->y_stride + o] = total[i][j][e] & p->mask;
            }
}

static __global__ void __launch_bounds__(MMA_THREADS) mma_kernel(struct limb_product p)
{
    __shared__ __align__(16) uint8_t tiles[STAGES][2][TILE * TILE_ROW];
    int warp = (int)threadIdx.x / 32, row = warp / 2 * 32, column = warp % 2 * 32;
    size_t first_row = (size_t)blockIdx.y * TILE, first_out = (size_t)blockIdx.x * TILE, line = (size_t)p.limbs * p.plane;
    bool busy = first_row + (size_t)row < p.rows && first_out + (size_t)column < p.outs; /* of the whole warp */
    int32_t sum[2][4][4] = {};
    uint64_t total[2][4][4] = {};
    struct step here = {0, 0}, ahead = {0, 0};
    auto load = [&](int stage) {
        if (ahead.diagonal < p.limbs) {
            load_tile(tiles[stage][0], p.a, first_row, p.rows, line, ahead.at);
            load_tile(tiles[stage][1], p.w, first_out, p.outs, line, (size_t)(p.limbs - 1 - ahead.diagonal) * p.plane + ahead.at);
            next_step(&ahead, p.plane, TILE);
        }
        copies_end();
    };
    for (int stage = 0; stage < STAGES - 1; stage++)
        load(stage);
    for (int stage = 0; here.diagonal < p.limbs; stage = (stage + 1) % STAGES) {
        copies_wait<STAGES - 2>();
        __syncthreads(); /* the step's tiles are there, and all have read those of the step before */
        load((stage + STAGES - 1) % STAGES);
        if (busy)
            multiply_tiles(sum, tiles[stage][0], tiles[stage][1], row, column);
        int diagonal = here.diagonal;
        next_step(&here, p.plane, TILE);
        if (here.at % FOLD_BYTES == 0)
            fold(total, sum, diagonal);
    }
    store(&p, total, first_row + (size_t)row, first_out + (size_t)column);
}

void mma_product(struct call *call, const struct limb_product *p)
{
    dim3 grid((unsigned)((p->outs + TILE - 1) / TILE), (unsigned)((p->rows + TILE - 1) / TILE), 1);
    LAUNCH(call, mma_kernel, grid, MMA_THREADS, 0, *p);
}

}
