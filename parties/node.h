/* One party of a running deployment: its key and shares checked against the shared config, its listeners, its
 * links to the other parties, and the session that answers requests. */
#ifndef CACHET_PARTIES_NODE_H
#define CACHET_PARTIES_NODE_H

#include "base/log.h"
#include "engine/session.h"
#include "engine/share_set.h"
#include "net/hello.h"
#include "net/zmq_link.h"
#include "parties/config.h"
#include "parties/device.h"
#include "parties/two.h"
#include "parties/notify.h"

/* What every end of a deployment compares in HELLO, party or client. */
struct node_identity {
    uint8_t config_digest[NET_HELLO_DIGEST];
    char chunk[24], context[24], policy[KV_CONFIG_TEXT + 48];
    uint8_t gates[32];
    struct net_hello_field fields[NET_HELLO_FIELDS];
    size_t field_count;
    size_t common_count; /* of them, the first that clients compare, too */
};
/* gates: digest of the gate tables; NULL at a client, which has none. share and config are borrowed and must
 * outlive the identity, which must stay where it is. */
void node_identify(struct node_identity *ret, const struct party_config *config,
                   const struct eng_share *share, size_t chunk, const uint8_t gates[32]);

/* HELLO of end `own` with end `peer`: parties are 0 to 2, client number i is 3 + i. */
BASE_MUST_USE enum base_status node_hello(const struct node_identity *identity, struct net_link *link,
                                          size_t own, size_t peer, struct base_error *error);
/* Why this end stops, to whoever is still connected. */
void node_tell_all(struct net_link *const links[3], const struct base_error *cause);

/* What the config's mode makes of the plan. Errors: BASE_ERR_SUPPORT where mode two-party cannot serve it. */
BASE_MUST_USE enum base_status node_set_mode(const struct party_config *config, const char *config_path, struct eng_share *share,
                                             struct base_error *error);

/* That shares and config speak of the same model, plan and set. Errors: BASE_ERR_MISMATCH naming the field
 * and both values. */
BASE_MUST_USE enum base_status node_check_share(const struct party_config *config, const char *config_path,
                                                const struct eng_share *share, const char *directory,
                                                struct base_error *error);

struct node {
    bool time_kernels;
    bool deaf; /* the last wait for a client found no descriptor for a socket */
    struct party_config config;
    int index;         /* 0 to 2 */
    char names[3][32]; /* of the parties */
    struct base_log log;
    struct notify_watchdog watchdog;
    struct net_key key;
    struct eng_share share;
    struct eng_gates gates;
    struct eng_session session;
    struct party_two two; /* mode two-party */
    struct party_device device;
    struct node_identity identity;
    struct net_context *context;
    struct net_peer_key allowed[3][PARTY_CONFIG_CLIENTS]; /* by port offset */
    struct net_listener *listener[3];
    struct net_link *link[3];
};

struct node_options {
    const char *config, *key, *shares;
    const char *bind; /* address to listen on; NULL: the one of the config */
    bool made_up_rows; /* takes requests that begin with made-up cached rows: for benchmarks */
    const char *kernels; /* highest level of its kernels (kern_level_name); NULL: the best one */
    const char *spool; /* folder of texts made ahead of use, mode two-party; NULL: none */
    uint64_t threads; /* of its products; 0: one */
    struct party_device_form device;
    bool time_kernels; /* measures slots (kernels/timed.h) */
    struct base_log log;
};

/* Reads and checks everything, and binds. The node must stay where it is while it lives. */
BASE_MUST_USE enum base_status node_open(struct node *ret, const struct node_options *options,
                                         struct base_error *error);
void node_close(struct node *node);
/* Connects to the other parties and agrees on keys; waits limits.connect_seconds at most. Tells every link
 * why when it fails. */
BASE_MUST_USE enum base_status node_join(struct node *node, struct base_error *error);
/* Answers requests until the program is asked to stop (BASE_OK), the other parties cannot be had any more, or its device has failed and the CPU
 * may not stand in. `once`: ends after one request. */
BASE_MUST_USE enum base_status node_serve(struct node *node, bool once, struct base_error *error);

#endif
