/* AES-128-CTR: four blocks to a thread. */
#include "kernels/cuda/aes.cuh"
#include "kernels/cuda/slots.cuh"

namespace KERN_CUDA_NAMESPACE {

static __device__ uint64_t swap_bytes(uint64_t x)
{
    x = (x & UINT64_C(0x00ff00ff00ff00ff)) << 8 | (x >> 8 & UINT64_C(0x00ff00ff00ff00ff));
    x = (x & UINT64_C(0x0000ffff0000ffff)) << 16 | (x >> 16 & UINT64_C(0x0000ffff0000ffff));
    return x << 32 | x >> 32;
}

static __global__ void prg_kernel(struct kern_block *out, size_t quads, const uint64_t *key, uint64_t counter, uint64_t first_block, uint64_t mask)
{
    size_t quad = thread_number();
    struct kern_block blocks[QUAD];
    if (quad >= quads)
        return;
    for (int i = 0; i < QUAD; i++) {
        blocks[i].word[0] = swap_bytes(counter);
        blocks[i].word[1] = swap_bytes(first_block + QUAD * quad + (uint64_t)i);
    }
    encrypt(blocks, key, key, 0);
    for (int i = 0; i < QUAD; i++) {
        blocks[i].word[0] &= mask;
        blocks[i].word[1] &= mask;
        out[QUAD * quad + (size_t)i] = blocks[i];
    }
}

enum { PRG_PART = 1 << 24 }; /* bytes of one launch */

enum base_status prg(void *device, const struct kern_aes_key *key, uint64_t counter, uint64_t first_block, uint8_t *out, size_t bytes,
                     uint64_t mask, struct base_error *error)
{
    struct call call = call_begin((struct device *)device, error);
    uint64_t sliced[AES_PLANES];
    slice_key(sliced, key);
    const uint64_t *planes = call_in(&call, sliced, AES_PLANES);
    base_wipe(sliced, sizeof sliced);
    size_t used = call.device->work_used;
    for (size_t at = 0; at < bytes && call.status == BASE_OK; at += PRG_PART) {
        size_t n = bytes - at < PRG_PART ? bytes - at : (size_t)PRG_PART, quads = (n + 16 * QUAD - 1) / (16 * QUAD);
        call.device->work_used = used;
        struct kern_block *stream = (struct kern_block *)call_room(&call, 16 * QUAD * quads);
        LAUNCH(&call, prg_kernel, cover(quads, 128), 128, 0, stream, quads, planes, counter, first_block + at / 16, mask);
        call_download_rows(&call, out + at, n, stream, n, 1, ~UINT64_C(0));
        call_flush(&call);
    }
    return call_end(&call);
}

}
