/* The three roles as threads of one process over memory links: the same sessions that parties run over TCP.
 * With given keys it repeats a run of three real processes bit for bit. */
#ifndef CACHET_ENGINE_LOCAL_H
#define CACHET_ENGINE_LOCAL_H

#include "engine/session.h"

struct eng_local;

/* form.weights is ignored: `weights` holds those of P0, P1, P2. key1, key2, key12: fixed pair keys, or all
 * NULL for fresh ones. */
struct eng_local_form {
    struct eng_decoder_form form;
    const struct eng_weights *weights[3];
    size_t slots; /* 0: one */
    int64_t idle_ms; /* of eng_session; 0: its default */
    const struct kern_table *kern;
    const uint8_t *key1, *key2, *key12; /* ENG_SESSION_KEY bytes each */
};

/* Joins the three sessions. */
BASE_MUST_USE enum base_status eng_local_create(struct eng_local **ret, const struct eng_local_form *form,
                                                struct base_error *error);
void eng_local_destroy(struct eng_local **local);

/* Starts serving one request; the client's ends of its links. After a request that failed once it had begun
 * the parties have hung up: make new ones. */
BASE_MUST_USE enum base_status eng_local_start(struct eng_local *local, struct net_link *ret_links[3],
                                               struct base_error *error);
/* Waits until the request has ended at every party. Errors: the first failure that is not a consequence of
 * another one. */
BASE_MUST_USE enum base_status eng_local_wait(struct eng_local *local, struct eng_usage ret_usage[3],
                                              struct base_error *error);

#endif
