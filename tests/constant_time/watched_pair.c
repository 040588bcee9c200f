#include "tests/constant_time/watched_pair.h"

#include "tests/constant_time/secret.h"

#include "net/link.h"
#include "pair/base_ot.h"

enum base_status __real_net_link_exchange(struct net_link *link, uint32_t step, const void *send_data, size_t send_size, void *ret_data,
                                          size_t receive_size, struct base_error *error);
enum base_status __wrap_net_link_exchange(struct net_link *link, uint32_t step, const void *send_data, size_t send_size, void *ret_data,
                                          size_t receive_size, struct base_error *error);
enum base_status __real_pair_base_ot(struct pair_party *p, int k, const uint8_t *choice, struct pair_block *ret_chosen,
                                     struct pair_block (*ret_pair)[2], struct base_error *error);
enum base_status __wrap_pair_base_ot(struct pair_party *p, int k, const uint8_t *choice, struct pair_block *ret_chosen,
                                     struct pair_block (*ret_pair)[2], struct base_error *error);

bool watched_making;

/* Allowance 1. */
enum base_status __wrap_net_link_exchange(struct net_link *link, uint32_t step, const void *send_data, size_t send_size, void *ret_data,
                                          size_t receive_size, struct base_error *error)
{
    enum base_status status = __real_net_link_exchange(link, step, send_data, send_size, ret_data, receive_size, error);
    if (watched_making)
        make_public(ret_data, receive_size);
    return status;
}

/* Allowance 3. */
enum base_status __wrap_pair_base_ot(struct pair_party *p, int k, const uint8_t *choice, struct pair_block *ret_chosen,
                                     struct pair_block (*ret_pair)[2], struct base_error *error)
{
    make_public(&p->own.key, sizeof p->own.key);
    make_public(choice, PAIR_BASE_OTS);
    enum base_status status = __real_pair_base_ot(p, k, choice, ret_chosen, ret_pair, error);
    make_secret(&p->own.key, sizeof p->own.key);
    make_secret(choice, PAIR_BASE_OTS);
    make_secret(ret_chosen, PAIR_BASE_OTS * sizeof *ret_chosen);
    make_secret(ret_pair, PAIR_BASE_OTS * sizeof *ret_pair);
    return status;
}
