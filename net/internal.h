/* For the files of net/ alone. */
#ifndef CACHET_NET_INTERNAL_H
#define CACHET_NET_INTERNAL_H

#include "net/link.h"

/* Ends the link with `cause`, which gets the peer's name and the step, and returns it in `error`. */
enum base_status net_link_fail(struct net_link *link, uint32_t step, const struct base_error *cause,
                               struct base_error *error);

#endif
