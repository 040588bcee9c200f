/* Pairwise streams: AES-128-CTR under the key of one pair of parties, one counter value per draw.
 *
 * Both holders draw in the same program order, so the counter never travels and only goes forward: no draw repeats,
 * which is what every "fresh" in the security notes means. A draw in a forked child would repeat its parent's: it ends the child (base/fork.h). Source:
 * specification, prf.py. */
#ifndef CACHET_MPC_STREAM_H
#define CACHET_MPC_STREAM_H

#include "kernels/kern.h"

#include <stdbool.h>

struct mpc_stream {
    struct kern_aes_key key;
    const struct kern_table *kern;
    uint64_t counter;
    unsigned forks; /* base_forks when it began */
    bool present; /* false: this role does not hold the stream and draws are skipped */
};

/* Starts the stream of `key`. The key schedule stays in *ret until mpc_stream_finish wipes it. */
void mpc_stream_init(struct mpc_stream *ret, const struct kern_table *kern, const uint8_t key[16]);
void mpc_stream_finish(struct mpc_stream *stream);

/* `count` uniform elements of Z_2^ring. The stream must be present. */
void mpc_stream_words(struct mpc_stream *stream, uint64_t *ret, size_t count, int ring);
/* The same draw, between kern_hold and kern_settle of its table (kernels/gather.h), where it may arrive as late as in kern_settle. */
void mpc_stream_words_later(struct mpc_stream *stream, uint64_t *ret, size_t count, int ring);
/* `size` uniform bytes: roots of DPF keys. */
void mpc_stream_bytes(struct mpc_stream *stream, uint8_t *ret, size_t size);
/* A uniform permutation of 0 .. count - 1 (a sort by 64-bit words; a tie has probability below count^2 / 2^65).
 * scratch: count words. */
void mpc_stream_permutation(struct mpc_stream *stream, uint32_t *ret, size_t count, uint64_t *scratch);

#endif
