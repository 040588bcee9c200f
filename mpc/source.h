/* The correlation source: the one way in which dealt material reaches P1 and P2.
 *
 * A gate never asks who made its material. Behind these two functions stands a link from P0 (mpc_source_over_links), and
 * other makers of the same bytes can stand there: a spool on disk, or the two parties themselves. */
#ifndef CACHET_MPC_SOURCE_H
#define CACHET_MPC_SOURCE_H

#include "base/status.h"
#include "net/link.h"

#include <stddef.h>
#include <stdint.h>

struct mpc_source {
    /* P0: material for party `to` (1 or 2). Blocks at the byte limit of the carrier. */
    enum base_status (*put)(void *context, int to, uint32_t step, const void *data, size_t size, struct base_error *error);
    /* P1, P2: the next `size` bytes (public) of their own material. */
    enum base_status (*take)(void *context, uint32_t step, void *ret_data, size_t size, struct base_error *error);
    void *context;
};

/* Links from P0: P0 passes both of its ends, P1 and P2 pass their own one (the other is NULL). */
struct mpc_link_source {
    struct net_link *link[3]; /* index: the party at the receiving end */
};

void mpc_source_over_links(struct mpc_source *ret, struct mpc_link_source *links);

#endif
