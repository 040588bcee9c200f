/* The streams of a watched run: where secrets begin, and allowance 2 (watched_run.h). Programs link with --wrap of both functions. */
#include "tests/constant_time/secret.h"

#include "mpc/stream.h"

/* The linker sends calls of mpc_NAME to __wrap_mpc_NAME, and calls of __real_mpc_NAME to mpc_NAME. */
void __real_mpc_stream_init(struct mpc_stream *ret, const struct kern_table *kern, const uint8_t key[16]);
void __wrap_mpc_stream_init(struct mpc_stream *ret, const struct kern_table *kern, const uint8_t key[16]);
void __real_mpc_stream_permutation(struct mpc_stream *stream, uint32_t *ret, size_t count, uint64_t *scratch);
void __wrap_mpc_stream_permutation(struct mpc_stream *stream, uint32_t *ret, size_t count, uint64_t *scratch);

/* Where secrets begin. */
void __wrap_mpc_stream_init(struct mpc_stream *ret, const struct kern_table *kern, const uint8_t key[16])
{
    uint8_t own[16];
    memcpy(own, key, sizeof own);
    make_secret(own, sizeof own);
    __real_mpc_stream_init(ret, kern, own);
}

/* Allowance 2: this one draw comes out public; the stream is secret again for the next. */
void __wrap_mpc_stream_permutation(struct mpc_stream *stream, uint32_t *ret, size_t count, uint64_t *scratch)
{
    make_public(&stream->key, sizeof stream->key);
    __real_mpc_stream_permutation(stream, ret, count, scratch);
    make_secret(&stream->key, sizeof stream->key);
}
