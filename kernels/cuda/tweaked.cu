/* The tweakable hash: kernels/fss/tweaked.c for a device, four blocks to a thread. */
#include "kernels/cuda/fss.cuh"
#include "kernels/cuda/slots.cuh"

namespace KERN_CUDA_NAMESPACE {

struct tweak {
    uint64_t low, step, high;
};

static __global__ void __launch_bounds__(FSS_THREADS)
    tweaked_kernel(struct kern_block *out, const struct kern_block *in, size_t count, struct tweak tweak, const uint64_t *key)
{
    size_t first = first_lane();
    struct kern_block once[QUAD], twice[QUAD];
    if (first >= count)
        return;
    for (int i = 0; i < QUAD; i++)
        once[i] = in[lane_or_last(first + (size_t)i, count)];
    encrypt(once, key, key, 0);
    for (int i = 0; i < QUAD; i++) {
        twice[i].word[0] = once[i].word[0] ^ (tweak.low + (first + (uint64_t)i) * tweak.step);
        twice[i].word[1] = once[i].word[1] ^ tweak.high;
    }
    encrypt(twice, key, key, 0);
    for (int i = 0; i < QUAD; i++) {
        twice[i].word[0] ^= once[i].word[0];
        twice[i].word[1] ^= once[i].word[1];
        if (first + (size_t)i < count)
            out[first + (size_t)i] = twice[i];
    }
}

enum { TWEAKED_PART = 1 << 20 }; /* blocks of one launch */

enum base_status hash_tweaked(void *device, uint8_t *out, const uint8_t *in, size_t count, uint64_t low, uint64_t step, uint64_t high,
                              struct base_error *error)
{
    struct call call = call_begin((struct device *)device, error);
    if (call.status == BASE_OK && out == in && count > TWEAKED_PART) /* a failure after a part would leave no input for the CPU */
        call.status = BASE_ERR_SUPPORT;
    for (size_t at = 0; at < count && call.status == BASE_OK; at += TWEAKED_PART) {
        size_t n = count - at < TWEAKED_PART ? count - at : (size_t)TWEAKED_PART;
        call.device->work_used = 0;
        const uint8_t *from = call_in(&call, in + 16 * at, 16 * n);
        uint8_t *to = call_out(&call, out + 16 * at, 16 * n);
        struct tweak tweak = {low + at * step, step, high};
        LAUNCH(&call, tweaked_kernel, quads(n), FSS_THREADS, 0, (struct kern_block *)to, (const struct kern_block *)from, n, tweak,
               call.device->fixed_keys + KERN_FSS_TWEAKED * AES_PLANES);
        call_flush(&call);
    }
    return call_end(&call);
}

}
