#include "mpc/stream.h"

#include "base/fork.h"
#include "base/memory.h"
#include "kernels/gather.h"
#include "mpc/repeat.h"

void mpc_stream_init(struct mpc_stream *ret, const struct kern_table *kern, const uint8_t key[16])
{
    *ret = (struct mpc_stream){.kern = kern, .forks = base_forks, .present = true};
    kern_aes_expand(&ret->key, key);
}

void mpc_stream_finish(struct mpc_stream *stream)
{
    base_wipe(stream, sizeof *stream);
}

/* The counter of the next draw. */
static uint64_t next(struct mpc_stream *stream)
{
    base_fork_check(stream->forks, "a stream");
    MPC_WATCH_DRAW(stream);
    return stream->counter++;
}

void mpc_stream_words(struct mpc_stream *stream, uint64_t *ret, size_t count, int ring)
{
    stream->kern->prg_words(&stream->key, next(stream), ret, count, ring);
}

void mpc_stream_words_later(struct mpc_stream *stream, uint64_t *ret, size_t count, int ring)
{
    kern_words_later(stream->kern, &stream->key, next(stream), ret, count, ring);
}

void mpc_stream_bytes(struct mpc_stream *stream, uint8_t *ret, size_t size)
{
    stream->kern->prg_fill(&stream->key, next(stream), 0, ret, size);
}

/* Both holders sort the same words, in time that depends on them: a permutation is known to both, and nobody else
 * measures them (timing is outside the model between a party and itself). Heap sort: in place, no worst case. */
static void sift(uint32_t *order, const uint64_t *words, size_t root, size_t count)
{
    for (size_t child; (child = 2 * root + 1) < count; root = child) {
        if (child + 1 < count && words[order[child + 1]] > words[order[child]])
            child++;
        if (words[order[root]] >= words[order[child]])
            return;
        uint32_t swap = order[root];
        order[root] = order[child];
        order[child] = swap;
    }
}

void mpc_stream_permutation(struct mpc_stream *stream, uint32_t *ret, size_t count, uint64_t *scratch)
{
    mpc_stream_words(stream, scratch, count, 64);
    for (size_t i = 0; i < count; i++)
        ret[i] = (uint32_t)i;
    for (size_t i = count / 2; i-- > 0;)
        sift(ret, scratch, i, count);
    for (size_t end = count; end > 1;) {
        end--;
        uint32_t swap = ret[0];
        ret[0] = ret[end];
        ret[end] = swap;
        sift(ret, scratch, 0, end);
    }
}
