#include "net/link.h"

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/memory.h"
#include "net/frame.h"
#include "net/internal.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum {
    DEFAULT_TIMEOUT_MS = 30000,
    SLICE_MS = 100,          /* a wait looks at its cancel function at least this often */
    ABORT_WAIT_MS = 100,     /* what a party that stops may spend on saying so */
    ABORT_SEARCH_MAX = 1024, /* frames looked through for the reason of a peer that is gone */
};

struct net_link {
    struct net_carrier functions;
    void *carrier;
    char peer[128];
    uint16_t stream;
    uint8_t session[NET_FRAME_SESSION];
    uint64_t send_sequence, receive_sequence;
    int64_t timeout_ms;
    int (*cancelled)(void *context);
    void *cancel_context;
    net_trace_fn trace;
    void *trace_context;
    enum net_phase phase;
    double waited, used;
    bool note, note_sent, note_received; /* of the exchanges to come, and of the last one */
    struct net_count counts[NET_PHASE_COUNT];
    struct base_error failure; /* code != BASE_OK: the link is dead */
    bool said_why;             /* an abort frame of the peer has come */
    bool peer_stopped;         /* it said so or is gone: nobody listens any more */
    uint8_t
        scratch[NET_ABORT_PAYLOAD]; /* where short payloads land, as an abort frame may come in their place */
};

/* What one wait is about, for deadlines and for the text of its failure. */
struct wait {
    uint32_t step;
    int64_t deadline_ms;
};

enum base_status net_link_create(struct net_link **ret, const struct net_carrier *functions, void *carrier,
                                 const char *peer, uint16_t stream, struct base_error *error)
{
    struct net_link *link;
    enum base_status status = base_alloc(&link, 1, sizeof *link, error);
    if (status != BASE_OK)
        return status;
    link->functions = *functions;
    link->carrier = carrier;
    link->stream = stream;
    link->timeout_ms = DEFAULT_TIMEOUT_MS;
    (void)snprintf(link->peer, sizeof link->peer, "%s", peer);
    *ret = link;
    return BASE_OK;
}

void net_link_destroy(struct net_link **link)
{
    if (link == NULL || *link == NULL)
        return;
    (*link)->functions.destroy((*link)->carrier);
    base_free_secret(link);
}

void net_link_set_session(struct net_link *link, const uint8_t session[16])
{
    memcpy(link->session, session, NET_FRAME_SESSION);
}

void net_link_set_timeout(struct net_link *link, int64_t milliseconds)
{
    link->timeout_ms = milliseconds;
}

int64_t net_link_timeout(const struct net_link *link)
{
    return link->timeout_ms;
}

void net_link_set_cancel(struct net_link *link, int (*cancelled)(void *), void *context)
{
    link->cancelled = cancelled;
    link->cancel_context = context;
}

void net_link_set_trace(struct net_link *link, net_trace_fn trace, void *context)
{
    link->trace = trace;
    link->trace_context = context;
}

void net_link_set_phase(struct net_link *link, enum net_phase phase)
{
    link->phase = phase;
}

const char *net_link_peer(const struct net_link *link)
{
    return link->peer;
}

const struct net_count *net_link_count(const struct net_link *link, enum net_phase phase)
{
    return &link->counts[phase];
}

void net_link_reset_count(struct net_link *link)
{
    memset(link->counts, 0, sizeof link->counts);
}

const struct base_error *net_link_failure(const struct net_link *link)
{
    return link->failure.code == BASE_OK ? NULL : &link->failure;
}

enum base_status net_link_fail(struct net_link *link, uint32_t step, const struct base_error *cause,
                               struct base_error *error)
{
    bool named = strncmp(cause->text, link->peer, strlen(link->peer)) == 0;
    link->failure.code = BASE_OK;
    (void)base_fail(&link->failure, cause->code, "%s%s%.620s (step %u)", named ? "" : link->peer,
                    named ? "" : ": ", cause->text, (unsigned)step);
    return base_fail(error, link->failure.code, "%s", link->failure.text);
}

/* The answer of a dead link: the same class and text, at once. */
static enum base_status dead(const struct net_link *link, struct base_error *error)
{
    return base_fail(error, link->failure.code, "%s", link->failure.text);
}

/* True while a wait may go on after `status`; else *cause says why it ends. */
static bool may_go_on(struct net_link *link, const struct wait *wait, const char *verb,
                      struct base_error *cause, enum base_status *status)
{
    if (*status == BASE_ERR_CLOSED)
        link->peer_stopped = true;
    if (*status != BASE_ERR_TIMEOUT)
        return false;
    cause->code = BASE_OK;
    if (link->cancelled != NULL && link->cancelled(link->cancel_context) != 0)
        *status = base_fail(cause, BASE_ERR_CLOSED, "the wait was cancelled here");
    else if (base_clock_ms() >= wait->deadline_ms)
        *status = base_fail(cause, BASE_ERR_TIMEOUT,
                            "%s within %lld ms: check that it runs and that the network lets it through",
                            verb, (long long)link->timeout_ms);
    else
        return true;
    return false;
}

static int64_t slice_end(const struct wait *wait)
{
    int64_t end = base_deadline_after(SLICE_MS);
    return end < wait->deadline_ms ? end : wait->deadline_ms;
}

/* Asks at every frame, so that a party that never has to wait can be stopped, too. */
static enum base_status check_cancel(struct net_link *link, struct base_error *cause)
{
    if (link->cancelled != NULL && link->cancelled(link->cancel_context) != 0)
        return base_fail(cause, BASE_ERR_CLOSED, "the wait was cancelled here");
    return BASE_OK;
}

/* A peer that stopped leaves its reason in the queue, perhaps behind data that nobody will read now. */
static void find_abort(struct net_link *link, struct base_error *cause)
{
    uint8_t header[NET_FRAME_HEADER];
    for (int i = 0; i < ABORT_SEARCH_MAX; i++) {
        struct net_frame frame;
        size_t size = 0;
        if (link->functions.receive(link->carrier, header, sizeof header, link->scratch, sizeof link->scratch,
                                    &size, base_clock_ms(), NULL) != BASE_OK ||
            net_frame_decode(header, sizeof header, size, link->peer, &frame, NULL) != BASE_OK)
            return;
        BASE_FAIL_RECEIVE("net.abort.receive");
        if (frame.kind == NET_FRAME_ABORT) {
            cause->code = BASE_OK;
            link->said_why = true;
            (void)net_abort_decode(link->scratch, size, link->peer, cause);
            return;
        }
    }
}

static enum base_status send_frame(struct net_link *link, const struct net_frame *frame, const void *payload,
                                   struct wait *wait, struct base_error *cause)
{
    uint8_t header[NET_FRAME_HEADER];
    net_frame_encode(frame, header);
    enum base_status status = check_cancel(link, cause);
    if (status != BASE_OK)
        return status;
    wait->deadline_ms = base_deadline_after(link->timeout_ms);
    do {
        cause->code = BASE_OK;
        status = link->functions.send(link->carrier, header, sizeof header, payload, frame->payload,
                                      slice_end(wait), cause);
    } while (may_go_on(link, wait, "it took no frame", cause, &status));
    if (link->peer_stopped)
        find_abort(link, cause);
    if (status != BASE_OK)
        return status;
    link->send_sequence++;
    struct net_count *count = &link->counts[link->phase];
    count->frames++;
    count->payload_bytes += frame->payload;
    count->wire_bytes += frame->payload + NET_FRAME_HEADER;
    if (link->trace != NULL)
        link->trace(link->trace_context, 1, frame->step, frame->payload);
    return BASE_OK;
}

/* An abort frame is taken at any step and also before both ends have set the session, but only in its turn.
 */
static enum base_status take_abort(struct net_link *link, const struct net_frame *frame,
                                   struct base_error *cause)
{
    static const uint8_t none[NET_FRAME_SESSION];
    struct net_frame want = *frame;
    want.stream = link->stream;
    want.sequence = link->receive_sequence;
    if (memcmp(frame->session, none, sizeof none) != 0)
        memcpy(want.session, link->session, sizeof want.session);
    return net_frame_expect(frame, &want, link->peer, cause);
}

/* The next frame of the carrier, whatever it is; an abort frame is a failure. */
static enum base_status take_frame(struct net_link *link, struct net_frame *ret, void *target, size_t capacity, size_t *ret_size,
                                   struct wait *wait, struct base_error *cause)
{
    uint8_t header[NET_FRAME_HEADER];
    enum base_status status = check_cancel(link, cause);
    if (status != BASE_OK)
        return status;
    wait->deadline_ms = base_deadline_after(link->timeout_ms);
    double start = base_clock_seconds();
    do {
        cause->code = BASE_OK;
        status = link->functions.receive(link->carrier, header, sizeof header, target, capacity, ret_size,
                                         slice_end(wait), cause);
    } while (may_go_on(link, wait, "nothing came", cause, &status));
    link->waited += base_clock_seconds() - start;
    if (status != BASE_OK)
        goto out;
    TRY(net_frame_decode(header, sizeof header, *ret_size, link->peer, ret, cause));
    if (ret->kind == NET_FRAME_ABORT) {
        TRY(take_abort(link, ret, cause));
        link->peer_stopped = link->said_why = true;
        TRY(net_abort_decode(target, *ret_size, link->peer, cause));
    }
out:
    return status;
}

static enum base_status receive_frame(struct net_link *link, const struct net_frame *want, void *ret_payload,
                                      struct wait *wait, struct base_error *cause)
{
    enum base_status status = BASE_OK;
    struct net_frame frame;
    bool small = want->payload < sizeof link->scratch;
    void *target = small ? link->scratch : ret_payload;
    size_t capacity = small ? sizeof link->scratch : want->payload, size = 0;
    TRY(take_frame(link, &frame, target, capacity, &size, wait, cause));
    TRY(net_frame_expect(&frame, want, link->peer, cause));
    link->receive_sequence++;
    link->note_received = link->note_received || frame.note;
    if (small)
        memcpy(ret_payload, target, want->payload);
    if (link->trace != NULL)
        link->trace(link->trace_context, 0, want->step, want->payload);
out:
    /* Shares of the last short message must not stay behind in a long-lived link. */
    if (small)
        base_wipe(link->scratch, size < capacity ? size : capacity);
    return status;
}

/* The frame that carries bytes [at, ...) of a message of `total` bytes. */
static struct net_frame frame_at(const struct net_link *link, uint32_t step, size_t at, size_t total,
                                 uint64_t sequence)
{
    size_t left = total - at;
    struct net_frame frame = {
        .kind = NET_FRAME_DATA,
        .stream = link->stream,
        .sequence = sequence,
        .total = total,
        .step = step,
        .payload = (uint32_t)(left < NET_FRAME_PAYLOAD ? left : NET_FRAME_PAYLOAD),
    };
    memcpy(frame.session, link->session, NET_FRAME_SESSION);
    return frame;
}

/* Sends or receives the next frame of a message and moves *at behind it. */
static enum base_status send_next(struct net_link *link, const uint8_t *data, size_t *at, size_t total,
                                  struct wait *wait, struct base_error *cause)
{
    struct net_frame frame = frame_at(link, wait->step, *at, total, link->send_sequence);
    frame.note = link->note_sent;
    enum base_status status = send_frame(link, &frame, data + *at, wait, cause);
    if (status == BASE_OK)
        *at += frame.payload;
    return status;
}

static enum base_status receive_next(struct net_link *link, uint8_t *ret_data, size_t *at, size_t total,
                                     struct wait *wait, struct base_error *cause)
{
    struct net_frame frame = frame_at(link, wait->step, *at, total, link->receive_sequence);
    enum base_status status = receive_frame(link, &frame, ret_data + *at, wait, cause);
    if (status == BASE_OK)
        *at += frame.payload;
    return status;
}

enum base_status net_link_send(struct net_link *link, uint32_t step, const void *data, size_t size,
                               struct base_error *error)
{
    struct base_error cause = {0};
    struct wait wait = {.step = step};
    if (link->failure.code != BASE_OK)
        return dead(link, error);
    double start = base_clock_seconds();
    for (size_t at = 0; at < size;)
        if (send_next(link, data, &at, size, &wait, &cause) != BASE_OK)
            return net_link_fail(link, step, &cause, error);
    link->used += base_clock_seconds() - start;
    return BASE_OK;
}

enum base_status net_link_receive(struct net_link *link, uint32_t step, void *ret_data, size_t size,
                                  struct base_error *error)
{
    struct base_error cause = {0};
    struct wait wait = {.step = step};
    if (link->failure.code != BASE_OK)
        return dead(link, error);
    double start = base_clock_seconds();
    for (size_t at = 0; at < size;)
        if (receive_next(link, ret_data, &at, size, &wait, &cause) != BASE_OK)
            return net_link_fail(link, step, &cause, error);
    link->used += base_clock_seconds() - start;
    return BASE_OK;
}

enum base_status net_link_skip_to(struct net_link *link, uint32_t step, struct base_error *error)
{
    struct base_error cause = {0};
    struct wait wait = {.step = step};
    enum base_status status = BASE_OK;
    if (link->failure.code != BASE_OK)
        return dead(link, error);
    for (struct net_frame frame = {.step = ~step}; frame.step != step;) {
        size_t size = 0;
        TRY(take_frame(link, &frame, link->scratch, sizeof link->scratch, &size, &wait, &cause));
        struct net_frame want = frame_at(link, frame.step, 0, 0, link->receive_sequence);
        want.total = frame.total;
        want.payload = frame.payload;
        TRY(net_frame_expect(&frame, &want, link->peer, &cause));
        link->receive_sequence++;
    }
out:
    base_wipe(link->scratch, sizeof link->scratch);
    return status == BASE_OK ? BASE_OK : net_link_fail(link, step, &cause, error);
}

/* Waits until a frame can go either way. */
static enum base_status wait_either(struct net_link *link, struct wait *wait, int *ret_can_receive,
                                    int *ret_can_send, struct base_error *cause)
{
    enum base_status status;
    wait->deadline_ms = base_deadline_after(link->timeout_ms);
    double start = base_clock_seconds();
    do {
        cause->code = BASE_OK;
        status =
            link->functions.wait(link->carrier, 1, ret_can_receive, ret_can_send, slice_end(wait), cause);
    } while (may_go_on(link, wait, "no frame moved", cause, &status));
    link->waited += base_clock_seconds() - start;
    return status;
}

enum base_status net_link_exchange(struct net_link *link, uint32_t step, const void *send_data,
                                   size_t send_size, void *ret_data, size_t receive_size,
                                   struct base_error *error)
{
    struct base_error cause = {0};
    struct wait wait = {.step = step};
    enum base_status status = BASE_OK;
    size_t sent = 0, received = 0;
    if (link->failure.code != BASE_OK)
        return dead(link, error);
    double start = base_clock_seconds();
    link->note_sent = link->note && send_size > 0;
    link->note_received = false;
    while (sent < send_size || received < receive_size) {
        bool sending = sent < send_size, receiving = received < receive_size;
        int can_send = sending, can_receive = receiving;
        if (sending && receiving && link->functions.can_send(link->carrier))
            can_receive = 0;
        else if (sending && receiving)
            TRY(wait_either(link, &wait, &can_receive, &can_send, &cause));
        /* Receiving first gives the peer room, so that its sends end, too. */
        if (receiving && can_receive)
            TRY(receive_next(link, ret_data, &received, receive_size, &wait, &cause));
        if (sending && can_send)
            TRY(send_next(link, send_data, &sent, send_size, &wait, &cause));
    }
    if (send_size + receive_size > 0)
        link->counts[link->phase].rounds++;
    link->used += base_clock_seconds() - start;
out:
    return status == BASE_OK ? BASE_OK : net_link_fail(link, step, &cause, error);
}

double net_link_used(const struct net_link *link)
{
    return link->used;
}

double net_link_waited(const struct net_link *link)
{
    return link->waited;
}

void net_link_set_note(struct net_link *link, bool note)
{
    link->note = note;
}

bool net_link_noted(const struct net_link *link)
{
    return link->note_sent || link->note_received;
}

int net_link_pending(struct net_link *link)
{
    return net_link_wait(link, 0);
}

int net_link_wait(struct net_link *link, int64_t milliseconds)
{
    int can_receive = 0, can_send = 0;
    if (link->failure.code != BASE_OK)
        return 1;
    enum base_status status = link->functions.wait(link->carrier, 0, &can_receive, &can_send,
                                                   base_deadline_after(milliseconds), NULL);
    return status == BASE_ERR_TIMEOUT ? 0 : status != BASE_OK || can_receive;
}

int net_link_lost(struct net_link *link)
{
    return link->failure.code != BASE_OK || link->functions.lost(link->carrier);
}

bool net_link_said_why(const struct net_link *link)
{
    return link->said_why;
}

void net_link_abort(struct net_link *link, const struct base_error *cause)
{
    uint8_t header[NET_FRAME_HEADER], payload[NET_ABORT_PAYLOAD];
    if (link->peer_stopped)
        return;
    BASE_FAIL_SEND("net.abort.send");
    size_t size = net_abort_encode(cause, payload);
    struct net_frame frame = frame_at(link, 0, 0, size, link->send_sequence++);
    frame.kind = NET_FRAME_ABORT;
    net_frame_encode(&frame, header);
    (void)link->functions.send(link->carrier, header, sizeof header, payload, size,
                               base_deadline_after(ABORT_WAIT_MS), NULL);
    struct base_error local = {.code = BASE_ERR_CLOSED, .text = "this end has stopped"};
    if (link->failure.code == BASE_OK)
        (void)net_link_fail(link, 0, &local, NULL);
    link->peer_stopped = true;
}
