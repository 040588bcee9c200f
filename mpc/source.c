#include "mpc/source.h"

#include "base/failpoint.h"

static enum base_status put(void *context, int to, uint32_t step, const void *data, size_t size, struct base_error *error)
{
    struct mpc_link_source *links = context;
    BASE_FAIL_SEND("mpc.deal.send");
    return net_link_send(links->link[to], step, data, size, error);
}

static enum base_status take(void *context, uint32_t step, void *ret_data, size_t size, struct base_error *error)
{
    struct mpc_link_source *links = context;
    BASE_FAIL_RECEIVE("mpc.deal.receive");
    return net_link_receive(links->link[links->link[1] != NULL ? 1 : 2], step, ret_data, size, error);
}

void mpc_source_over_links(struct mpc_source *ret, struct mpc_link_source *links)
{
    *ret = (struct mpc_source){.put = put, .take = take, .context = links};
}
