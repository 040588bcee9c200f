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

struct stream_of {
    const uint64_t *planes;
    uint64_t counter, first_block;
    uint8_t *out;
    uint64_t mask;
    bool later;
};

enum { PRG_PART = 1 << 24 }; /* bytes of one launch */

static const uint64_t *key_planes(struct call *call, const struct kern_aes_key *key)
{
    uint64_t sliced[AES_PLANES];
    slice_key(sliced, key);
    const uint64_t *planes = call_in(call, sliced, AES_PLANES);
    base_wipe(sliced, sizeof sliced);
    return planes;
}

/* Bytes [at, at + n) of a stream, to be downloaded. Rooms end at whole quads. */
static void stream_part(struct call *call, const struct stream_of *s, size_t at, size_t n)
{
    size_t quads = (n + 16 * QUAD - 1) / (16 * QUAD);
    struct kern_block *stream = (struct kern_block *)call_out_bytes(call, s->out + at, n);
    if (s->later)
        call_whole(call); /* the side queue has no stage */
    LAUNCH(call, prg_kernel, cover(quads, 128), 128, 0, stream, quads, s->planes, s->counter, s->first_block + at / 16, s->mask);
}

enum base_status prg(void *device, const struct kern_aes_key *key, uint64_t counter, uint64_t first_block, uint8_t *out, size_t bytes,
                     uint64_t mask, bool later, struct base_error *error)
{
    struct device *d = (struct device *)device;
    struct call call = call_begin_in(d, later ? &d->side : &d->main, error);
    struct stream_of s = {key_planes(&call, key), counter, first_block, out, mask, later};
    size_t used = call.queue->work_used, most = later ? (size_t)SMALL_BYTES : (size_t)PRG_PART;
    for (size_t at = 0; at < bytes && call.status == BASE_OK; at += most) {
        size_t n = bytes - at < most ? bytes - at : most;
        if (later && call.queue->output_count == MAX_OUTPUTS)
            call.status = BASE_ERR_SUPPORT;
        call.queue->work_used = used;
        stream_part(&call, &s, at, n);
        if (!later && bytes > most)
            call_flush(&call);
    }
    return later ? call_leave(&call) : call_end(&call);
}

}
