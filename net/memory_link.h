/* Links inside one process: the same frames, checks and counters, carried by a queue between two threads. */
#ifndef CACHET_NET_MEMORY_LINK_H
#define CACHET_NET_MEMORY_LINK_H

#include "net/link.h"

/* Two ends of one link. name_a is what the holder of end b calls its peer, and the reverse. Each direction queues at most
 * `limit_bytes` (a single larger frame is still taken when the queue is empty). Either end may be destroyed first; the
 * other one then gets BASE_ERR_CLOSED once its queue is drained. */
BASE_MUST_USE enum base_status net_memory_pair_create(struct net_link **ret_a, struct net_link **ret_b, const char *name_a,
                                                      const char *name_b, uint16_t stream, size_t limit_bytes,
                                                      struct base_error *error);

#endif
