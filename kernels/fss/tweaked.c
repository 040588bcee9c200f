/* The tweakable hash over a core's hash M(x) = pi(x) xor x:  pi(pi(x) xor t) xor pi(x) = M(M(x) xor x xor t) xor t. */
#include "kernels/fss/core.h"

#include "base/memory.h"

enum { CHUNK = 64 };

static void add_tweaks(struct kern_block *blocks, size_t count, uint64_t low, uint64_t step, uint64_t high)
{
    for (size_t i = 0; i < count; i++) {
        blocks[i].word[0] ^= low + i * step;
        blocks[i].word[1] ^= high;
    }
}

void kern_fss_hash_tweaked(const struct kern_fss_core *core, uint8_t *out, const uint8_t *in, size_t count, uint64_t low, uint64_t step,
                           uint64_t high)
{
    struct kern_block x[CHUNK], y[CHUNK];
    for (size_t at = 0; at < count; at += CHUNK) {
        size_t n = count - at < CHUNK ? count - at : CHUNK;
        for (size_t i = 0; i < n; i++)
            x[i] = kern_load_block(in + 16 * (at + i));
        core->hash(KERN_FSS_TWEAKED, x, y, n);
        for (size_t i = 0; i < n; i++) {
            y[i].word[0] ^= x[i].word[0];
            y[i].word[1] ^= x[i].word[1];
        }
        add_tweaks(y, n, low + at * step, step, high);
        core->hash(KERN_FSS_TWEAKED, y, y, n);
        add_tweaks(y, n, low + at * step, step, high);
        for (size_t i = 0; i < n; i++)
            kern_store_block(out + 16 * (at + i), y[i]);
    }
    base_wipe(x, sizeof x);
    base_wipe(y, sizeof y);
}
