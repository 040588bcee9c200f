/* Links: ordered, authenticated channels between two endpoints. The one place where frames, bytes and rounds
 * count.
 *
 * A message is a byte string whose length both ends derive from public shapes; it travels as one or more
 * frames of at most NET_FRAME_PAYLOAD bytes. Every frame carries the header of net/frame.h; a gap, a repeat,
 * a wrong step, length, session or version ends the link with an error that names the peer, the field and
 * both values. After any error a link is dead: every later call answers with the same failure class at once.
 *
 * Two carriers stand behind the same functions: net/memory_link.h (threads of one process, for tests and for
 * the three roles in one process) and net/zmq_link.h (TCP with CURVE). */
#ifndef CACHET_NET_LINK_H
#define CACHET_NET_LINK_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    NET_FRAME_PAYLOAD =
        1 << 18, /* bytes of payload in one frame, at most: small enough to keep back-pressure fine */
};

/* What a byte belongs to; a meter keeps its counts apart. */
enum net_phase {
    NET_PHASE_SETUP,   /* HELLO, requests, seeds */
    NET_PHASE_PREFILL, /* the prompt */
    NET_PHASE_DECODE,  /* generated tokens */
    NET_PHASE_COUNT,
};

/* Sent-side counters of one link, per phase. Payload bytes are the protocol's (what formulas declare); wire
 * bytes add our frame headers (CURVE and TCP add their own on top). A round is one exchange. */
struct net_count {
    uint64_t frames;
    uint64_t payload_bytes;
    uint64_t wire_bytes;
    uint64_t rounds;
};

/* Called for every frame sent (sent = 1) or received (sent = 0): the transcript test records sizes and order.
 */
typedef void (*net_trace_fn)(void *context, int sent, uint32_t step, size_t payload_bytes);

struct net_link;

/* What a carrier provides: whole frames, in order, with a deadline. */
struct net_carrier {
    /* Queues one frame (header + payload, gathered). BASE_ERR_TIMEOUT when the queue stays full past the
     * deadline. */
    enum base_status (*send)(void *carrier, const void *header, size_t header_size, const void *payload,
                             size_t payload_size, int64_t deadline_ms, struct base_error *error);
    /* 1 when a frame could be queued now without waiting. */
    int (*can_send)(void *carrier);
    /* Receives one frame into `header` (header_size bytes) and `payload` (at most capacity).
     * *ret_payload_size is what the frame carried, also when that is more than capacity (the rest is dropped,
     * and the link ends on it). */
    enum base_status (*receive)(void *carrier, void *header, size_t header_size, void *payload,
                                size_t capacity, size_t *ret_payload_size, int64_t deadline_ms,
                                struct base_error *error);
    /* Waits until a frame can be received or (want_send) sent; BASE_ERR_TIMEOUT past the deadline. */
    enum base_status (*wait)(void *carrier, int want_send, int *ret_can_receive, int *ret_can_send,
                             int64_t deadline_ms, struct base_error *error);
    /* 1 when the peer is known to be gone, whatever still waits to be received. */
    int (*lost)(void *carrier);
    void (*destroy)(void *carrier);
};

/* How long a wait may last, and who may end it early. Zeroed `cancelled` never ends it. */
struct net_wait {
    int64_t timeout_ms;
    int (*cancelled)(
        void *context); /* polled at least every 100 ms; non-zero ends the wait with BASE_ERR_CLOSED */
    void *context;
};

/* Makes a link over a carrier (taken). `peer` names the other end in errors ("P2 (party 2)"); session is the
 * 16-byte session id both ends agreed on (all zero before HELLO); stream separates links of one session. */
BASE_MUST_USE enum base_status net_link_create(struct net_link **ret, const struct net_carrier *functions,
                                               void *carrier, const char *peer, uint16_t stream,
                                               struct base_error *error);
void net_link_destroy(struct net_link **link);

void net_link_set_session(struct net_link *link, const uint8_t session[16]);
/* Every wait for one frame ends after `milliseconds` (monotonic clock); the default is 30 s. A message that
 * keeps moving is never cut off, however long it is. */
void net_link_set_timeout(struct net_link *link, int64_t milliseconds);
int64_t net_link_timeout(const struct net_link *link);
/* A function that waits poll between slices (at most 100 ms); a non-zero answer ends the wait with
 * BASE_ERR_CLOSED. */
void net_link_set_cancel(struct net_link *link, int (*cancelled)(void *), void *context);
void net_link_set_trace(struct net_link *link, net_trace_fn trace, void *context);
void net_link_set_phase(struct net_link *link, enum net_phase phase);
const char *net_link_peer(const struct net_link *link);
const struct net_count *net_link_count(const struct net_link *link, enum net_phase phase);
void net_link_reset_count(struct net_link *link);

/* One message of `size` bytes (public), tagged with a step id that the receiver checks. Zero bytes send
 * nothing. After a failure ret_data holds nothing of meaning. A link belongs to one thread at a time. Errors:
 * BASE_ERR_TIMEOUT, BASE_ERR_CLOSED (peer gone, peer stopped, cancelled), BASE_ERR_PEER (a frame that must
 * not come now), BASE_ERR_MISMATCH (frame version); each names the peer and the step. */
BASE_MUST_USE enum base_status net_link_send(struct net_link *link, uint32_t step, const void *data,
                                             size_t size, struct base_error *error);
BASE_MUST_USE enum base_status net_link_receive(struct net_link *link, uint32_t step, void *ret_data,
                                                size_t size, struct base_error *error);

/* Receives and drops messages up to and including the first frame with step id `step`: what a sender had sent ahead before it learnt that
 * nobody wants it. Every frame is checked as usual but for step and length. Errors: as net_link_receive. */
BASE_MUST_USE enum base_status net_link_skip_to(struct net_link *link, uint32_t step, struct base_error *error);

/* One round: sends `send_size` bytes and receives `receive_size`, interleaved so that two ends with full
 * queues cannot block each other. Cost: 1 round, send_size payload bytes. */
BASE_MUST_USE enum base_status net_link_exchange(struct net_link *link, uint32_t step, const void *send_data,
                                                 size_t send_size, void *ret_data, size_t receive_size,
                                                 struct base_error *error);

/* Seconds that calls of send, receive and exchange have taken since the link was made, waiting among them. */
double net_link_used(const struct net_link *link);
/* Seconds that this end has waited for frames of the peer since the link was made. */
double net_link_waited(const struct net_link *link);

/* A public bit that the frames of every exchange from here on carry, for what must be agreed on in passing: both ends of an exchange know
 * what both said in it. Costs nothing. net_link_noted: whether either end's frames of the last exchange carried it. */
void net_link_set_note(struct net_link *link, bool note);
bool net_link_noted(const struct net_link *link);

/* A message whose length only the sender knows (requests, reports): a length word, then the bytes. `ret_data`
 * is allocated (base_free_secret). Errors: BASE_ERR_PEER when it says more than `limit`. */
BASE_MUST_USE enum base_status net_link_send_blob(struct net_link *link, uint32_t step, const void *data,
                                                  size_t size, struct base_error *error);
BASE_MUST_USE enum base_status net_link_receive_blob(struct net_link *link, uint32_t step, size_t limit,
                                                     unsigned char **ret_data, size_t *ret_size,
                                                     struct base_error *error);

/* 1 when a frame waits to be received, or when a receive would fail at once (no waiting). */
int net_link_pending(struct net_link *link);
/* The same, after waiting for it for at most so long. */
int net_link_wait(struct net_link *link, int64_t milliseconds);

/* 1 when the link has failed or its peer is known to be gone: an idle owner looks here whether to make a new one (no waiting). */
int net_link_lost(struct net_link *link);

/* Whether the peer has said why it stopped: then the failure has its words. */
bool net_link_said_why(const struct net_link *link);

/* Tells the peer why this end stops, so that its next wait ends at once with "<this end> stopped: <text>",
 * and ends the link. Best effort: waits at most 100 ms for room in the queue, does nothing when the peer
 * itself has stopped or is gone. The text of `cause` travels, cut to 600 bytes: it must not hold secrets (no
 * error text does). */
void net_link_abort(struct net_link *link, const struct base_error *cause);

/* The failure that ended this link, or NULL while it lives. */
const struct base_error *net_link_failure(const struct net_link *link);

#endif
