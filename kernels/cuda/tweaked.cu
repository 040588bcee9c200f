/* The tweakable hash: kernels/fss/tweaked.c for a device. */
#include "kernels/cuda/fss.cuh"
#include "kernels/cuda/slots.cuh"

namespace KERN_CUDA_NAMESPACE {

struct tweak {
    uint64_t low, step, high;
};

/* pi(pi(x) xor t) xor pi(x), four blocks to a thread. */
static __global__ void __launch_bounds__(FSS_THREADS)
    tweaked_kernel(struct kern_block *out, const struct kern_block *in, size_t count, struct tweak t, const uint64_t *key)
{
    size_t lane = first_lane();
    struct kern_block once[QUAD], twice[QUAD];
    if (lane >= count)
        return;
    for (int i = 0; i < QUAD; i++)
        once[i] = in[lane_or_last(lane + (size_t)i, count)];
    encrypt(once, key, key, 0);
    for (int i = 0; i < QUAD; i++) {
        twice[i].word[0] = once[i].word[0] ^ (t.low + (lane + (uint64_t)i) * t.step);
        twice[i].word[1] = once[i].word[1] ^ t.high;
    }
    encrypt(twice, key, key, 0);
    for (int i = 0; i < QUAD; i++) {
        twice[i].word[0] ^= once[i].word[0];
        twice[i].word[1] ^= once[i].word[1];
        if (lane + (size_t)i < count)
            out[lane + (size_t)i] = twice[i];
    }
}

enum base_status hash_tweaked(void *device, uint8_t *out, const uint8_t *in, size_t count, uint64_t low, uint64_t step, uint64_t high,
                              struct base_error *error)
{
    struct call call = call_begin((struct device *)device, error);
    struct tweak t = {low, step, high};
    const uint8_t *from = call_in(&call, in, 16 * count);
    uint8_t *to = call_out(&call, out, 16 * count);
    LAUNCH(&call, tweaked_kernel, quads(count), FSS_THREADS, 0, (struct kern_block *)to, (const struct kern_block *)from, count, t,
           call.device->fixed_keys + KERN_FSS_TWEAKED * AES_PLANES);
    return call_end(&call);
}

}
