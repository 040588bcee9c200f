/* The client's side of a request: shares tokens, puts opened values together. */
#ifndef CACHET_ENGINE_REMOTE_H
#define CACHET_ENGINE_REMOTE_H

#include "engine/backend.h"
#include "mpc/opening.h"

struct eng_remote {
    struct mpc_client client;
    const struct eng_model_shape *shape;
    const struct eng_plan *plan;
    struct eng_request request;
    size_t fed;   /* tokens given so far */
    bool is_void; /* a guard has reported a value */
    bool ended;   /* the parties have sent their reports and serve others */
    int64_t *hot; /* [chunk][vocab] */
};

/* What the client runs with; all borrowed. */
struct eng_remote_form {
    const struct eng_model_shape *shape;
    const struct eng_plan *plan;
    struct net_link *link[3]; /* to P0, P1, P2 */
    const struct kern_table *kern;
};

/* Sends the request to the three parties. nonce and keys are drawn unless `keep` says that request holds them
 * (runs to be repeated). */
BASE_MUST_USE enum base_status eng_remote_begin(struct eng_remote *ret, const struct eng_remote_form *form,
                                                const struct eng_request *request, bool keep,
                                                struct base_error *error);
/* Bytes that the client has sent to all parties while it fed its prompt (NET_PHASE_PREFILL) or tokens after it (NET_PHASE_DECODE). */
uint64_t eng_remote_sent(const struct eng_remote *remote, enum net_phase phase);
struct eng_backend eng_remote_backend(struct eng_remote *remote);
/* Tells the parties that no more tokens are wanted, and collects their reports by party. A step that found
 * the answer void has done that. */
BASE_MUST_USE enum base_status eng_remote_end(struct eng_remote *remote, struct eng_usage ret_usage[3],
                                              struct base_error *error);
void eng_remote_finish(struct eng_remote *remote);

#endif
