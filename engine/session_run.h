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

/* The others have gone on without this party. P0: P1 or P2 has left the run, is gone, or has sent something else, which fails the party. P1 and P2: the
 * peer waits in a round, or has left the run. */
bool eng_session_left_behind(struct eng_session *session);

/* The end of a run: P1 and P2 part at the same place, or hear at once that they do not, and tell P0. P0 marks the end of what it dealt; they drop what
 * they will not use. */
BASE_MUST_USE enum base_status eng_session_part(struct eng_session *session);

/* Whether the links to the other parties stand; else what one that is lost said last, if it did. */
BASE_MUST_USE enum base_status eng_session_look_at_parties(struct eng_session *session, struct base_error *error);

/* Errors: BASE_ERR_CLOSED when this party was asked to stop. */
BASE_MUST_USE enum base_status eng_session_check_stop(const struct eng_session *session, struct base_error *error);

/* Counts of the links from here on belong to `phase`. */
void eng_session_set_phase(struct eng_session *session, enum net_phase phase);

/* Bytes that this party has sent to those that wait for it, and seconds that it has waited for them. */
uint64_t eng_session_sent(const struct eng_session *session);
double eng_session_waited(const struct eng_session *session);

/* Two parties without P0 (session_pair.c); nothing where P0 deals. The party ahead of time: freed; its base OTs, after key12; as before a run. */
void eng_session_finish_ahead(struct eng_session *session);
BASE_MUST_USE enum base_status eng_session_join_pair(struct eng_session *session, struct base_error *error);
void eng_session_clear_ahead(struct eng_session *session);
/* A slot opens: from where its material comes, and the streams of its masks; the client hears it. *new_tokens: those that the decoder begins with.
 * ret_refusal: there is no material, or no place for it. */
BASE_MUST_USE enum base_status eng_session_open_ahead(struct eng_session *session, const struct eng_request *request, const struct eng_order *order,
                                                      uint32_t *new_tokens, struct base_error *ret_refusal);
/* A step's material: read, or made, and kept where the request prepares. ret_refusal: it cannot be kept. */
BASE_MUST_USE enum base_status eng_session_make_ahead(struct eng_session *session, const struct eng_request *request, size_t rows, size_t answers,
                                                      struct base_error *ret_refusal);

/* In microseconds. The client may work with P0, who must not time single rounds of P1 and P2. */
static inline uint64_t eng_whole_milliseconds(double seconds)
{
    return (uint64_t)(seconds * 1e3) * 1000;
}

/* Seconds in calls of this party's links since they were made. */
double eng_session_network_seconds(const struct eng_session *s);

#endif
