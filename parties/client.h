/* A client's links to the three parties of a deployment. */
#ifndef CACHET_PARTIES_CLIENT_H
#define CACHET_PARTIES_CLIENT_H

#include "engine/remote.h"
#include "engine/share_set.h"
#include "net/zmq_link.h"
#include "parties/generation.h"
#include "parties/node.h"

struct client {
    struct party_config config;
    struct net_key key;
    struct eng_share share; /* the client's directory of the set */
    struct node_identity identity;
    struct net_context *context;
    struct net_link *link[3];
    size_t chunk;
    int (*cancelled)(void *context); /* ends every wait early; command_stopped unless set otherwise */
    void *cancel_context;
};

/* Reads and checks config, key and directory. The client must stay where it is while it lives. */
BASE_MUST_USE enum base_status client_open(struct client *ret, const char *config, const char *key,
                                           const char *shares, struct base_error *error);
void client_close(struct client *client);
/* Connects to P0, P1 and P2, each within limits.connect_seconds and a little more. Errors name the party that
 * is missing, or why one stopped. */
BASE_MUST_USE enum base_status client_connect(struct client *client, struct base_error *error);

/* One request over the links: begins, runs, ends, and collects the parties' reports. */
BASE_MUST_USE enum base_status client_generate(struct client *client,
                                               const struct generation_context *context,
                                               const struct eng_tokens *prompt, struct generation_run *ret,
                                               struct base_error *error);

#endif
