/* Links between threads of one process: for tests, and for all roles in one process. */
#ifndef CACHET_NET_MEMORY_LINK_H
#define CACHET_NET_MEMORY_LINK_H

#include "net/link.h"

/* Makes both ends of a link. `name_a` and `name_b` name the ends: *ret_a calls its peer name_b. At most about
 * `limit_bytes` wait in each direction (one frame always may); a sender blocks beyond that. Each end belongs
 * to one thread at a time. When one end is destroyed, the other still receives what was queued, then
 * BASE_ERR_CLOSED. */
BASE_MUST_USE enum base_status net_memory_pair_create(struct net_link **ret_a, struct net_link **ret_b,
                                                      const char *name_a, const char *name_b, uint16_t stream,
                                                      size_t limit_bytes, struct base_error *error);

#endif
