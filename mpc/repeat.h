/* In a test build every draw of a stream is recorded, and a number that does not grow ends the process: no mask is drawn twice, whatever faults, restarts
 * of sessions and lost clients there were. Elsewhere nothing is recorded.
 *
 * A key may have two holders in one process (two parties without P0: the one that computes and the one ahead of it): each has its own numbers. What a process
 * drew before it was started again is not seen here: drivers compare fingerprints of keys (base/failpoint.h). */
#ifndef CACHET_MPC_REPEAT_H
#define CACHET_MPC_REPEAT_H

#include "mpc/stream.h"

#ifdef CACHET_FAILPOINTS

/* Before a draw under stream->counter. Keeps no key: only what it is recognised by in this process. */
void mpc_repeat_watch(const struct mpc_stream *stream);

#define MPC_WATCH_DRAW(stream) mpc_repeat_watch(stream)

#else

#define MPC_WATCH_DRAW(stream) ((void)(stream))

#endif
#endif
