/* AES-128 on four blocks by one thread, bitsliced (kernels/scalar/bitslice.h).
 *
 * Why no tables: seeds, keys and masks go through this AES, and the house's rule is that no address depends on a secret. Lookups in shared
 * memory are served bank by bank, so that their time depends on the bytes looked up; copies of a table in every bank make it constant for
 * lookups of one word a lane, by the layout of one generation of hardware and nobody's promise. The bitsliced form has neither table nor
 * branch; it costs about half of the rate, which is still some tens of times what links and PCIe carry. */
#ifndef CACHET_KERNELS_CUDA_AES_CUH
#define CACHET_KERNELS_CUDA_AES_CUH

#include "kernels/cuda/runtime.cuh"

namespace KERN_CUDA_NAMESPACE {

typedef uint64_t plane;
#define KERN_BITSLICE static inline __host__ __device__
#include "kernels/scalar/bitslice.h"

enum { QUAD = 4 };

static inline __host__ __device__ void blocks_in(plane q[8], const struct kern_block in[QUAD])
{
    for (int i = 0; i < QUAD; i++) {
        q[i] = spread((uint32_t)in[i].word[0]) | spread((uint32_t)in[i].word[1]) << 8;
        q[i + 4] = spread(in[i].word[0] >> 32) | spread(in[i].word[1] >> 32) << 8;
    }
    transpose(q);
}

static inline __device__ void blocks_out(struct kern_block out[QUAD], plane q[8])
{
    transpose(q);
    for (int i = 0; i < QUAD; i++) {
        out[i].word[0] = gather(q[i]) | gather(q[i + 4]) << 32;
        out[i].word[1] = gather(q[i] >> 8) | gather(q[i + 4] >> 8) << 32;
    }
}

/* Round keys as planes, the same key in all four places: ret [AES_PLANES]. */
static inline void slice_key(uint64_t *ret, const struct kern_aes_key *key)
{
    for (int r = 0; r < 11; r++) {
        struct kern_block copies[QUAD];
        for (int i = 0; i < QUAD; i++)
            copies[i] = kern_load_block(key->round[r]);
        blocks_in(ret + 8 * r, copies);
        base_wipe(copies, sizeof copies);
    }
}

/* The bits of block `i` of four in a plane. */
static inline __device__ uint64_t place_mask(int i)
{
    return UINT64_C(0x1111111111111111) << i;
}

/* Round key `r`: `odd` where `choice` has bits, else `even`. */
static inline __device__ void add_round_key(plane q[8], const uint64_t *even, const uint64_t *odd, uint64_t choice, int r)
{
    for (int i = 0; i < 8; i++)
        q[i] ^= even[8 * r + i] ^ ((even[8 * r + i] ^ odd[8 * r + i]) & choice);
}

/* blocks = AES(blocks), under the key `odd` at places of `choice` (place_mask; public) and under `even` elsewhere. */
static __device__ __noinline__ void encrypt(struct kern_block blocks[QUAD], const uint64_t *even, const uint64_t *odd, uint64_t choice)
{
    plane q[8];
    blocks_in(q, blocks);
    add_round_key(q, even, odd, choice, 0);
    KERN_CUDA_PRAGMA(unroll 1)
    for (int r = 1; r < 10; r++) {
        sub_bytes(q);
        shift_rows(q);
        mix_columns(q);
        add_round_key(q, even, odd, choice, r);
    }
    sub_bytes(q);
    shift_rows(q);
    add_round_key(q, even, odd, choice, 10);
    blocks_out(blocks, q);
}

}

#endif
