/* One run of a client at a party, from the request to the order to stop; private to engine/. */
#ifndef CACHET_ENGINE_SESSION_RUN_H
#define CACHET_ENGINE_SESSION_RUN_H

#include "engine/session.h"

/* The sizes of a slot. Errors: BASE_ERR_ARGUMENT with what to do. */
BASE_MUST_USE enum base_status eng_session_check_slot(const struct eng_session *session, const struct eng_order *slot,
                                                      struct base_error *error);

/* Streams have started and the peers have confirmed the request. *ret_refusal: the client is gone, or has given an order that is none;
 * the run has ended in order all the same. Errors: what parts the parties. */
BASE_MUST_USE enum base_status eng_session_run(struct eng_session *session, const struct eng_request *request,
                                               struct eng_usage *usage, struct base_error *ret_refusal);

/* Whether the links to the other parties stand; else what one that is lost said last, if it did. */
BASE_MUST_USE enum base_status eng_session_look_at_parties(struct eng_session *session, struct base_error *error);

/* Counts of the links from here on belong to `phase`. */
void eng_session_set_phase(struct eng_session *session, enum net_phase phase);

/* Seconds in calls of this party's links since they were made. */
double eng_session_network_seconds(const struct eng_session *s);

#endif
