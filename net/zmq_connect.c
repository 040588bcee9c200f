/* The connecting side: one fresh socket per attempt, until the peer has taken the link; and from the events
 * of its monitor the reason why not. */
#include "net/zmq_internal.h"

#include "base/clock.h"
#include "base/failpoint.h"

#include <stdio.h>
#include <string.h>
#include <zmq.h>

enum {
    RETRY_MS = 50, /* between attempts, growing */
    RETRY_MOST_MS = 500,
    HANDSHAKES_BROKEN_MAX =
        3,             /* a peer that dies in a handshake looks like one with another key, but not thrice */
    ATTEMPT_MS = 4000, /* until TCP stands; libzmq's own limit of an attempt is shorter */
};

/* How an attempt ended. */
enum outcome {
    OUTCOME_NONE,
    OUTCOME_LINK,
    OUTCOME_UNRESOLVED, /* the host name has no address */
    OUTCOME_NO_SOCKET,  /* a party has run out of descriptors, perhaps for a moment: others may hold connections to it */
    OUTCOME_NOBODY,     /* TCP refused or unanswered */
    OUTCOME_SILENT,     /* TCP stands, the handshake does not move */
    OUTCOME_BROKEN,     /* the peer ended the handshake without a word: so it does when it cannot read our
                           greeting */
    OUTCOME_REFUSED,    /* our key is not on its list */
    OUTCOME_BUSY,       /* our key is, but another link is there */
    OUTCOME_LOST,       /* connected and admitted, then lost */
    OUTCOME_NOT_TAKEN,  /* connected and admitted, but nobody took the link by the deadline */
    OUTCOME_FAILED,     /* for good; the error says why */
};

struct connecting {
    struct net_context *context;
    const struct net_endpoint_config *endpoint;
    const struct net_wait *wait;
    int64_t deadline_ms;
    char who[NET_ADDRESS_SIZE + 40]; /* "P2 at tcp://..." */
    unsigned attempts;
    struct base_error early_error; /* of an attempt that has not come to connect */
};

static bool is_cancelled(const struct net_wait *wait)
{
    return wait->cancelled != NULL && wait->cancelled(wait->context) != 0;
}

/* What the first event that decided against us means. */
static enum outcome judge(const struct net_zmq *zmq, const struct net_context *context)
{
    if (zmq->succeeded)
        return OUTCOME_LOST;
    if (zmq->failure_event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)
        return zmq->failure_value == 400 ? OUTCOME_REFUSED : OUTCOME_BUSY;
    if (zmq->failure_event == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL)
        return OUTCOME_BROKEN;
    if (zmq->connected_ms == 0)
        return OUTCOME_NOBODY;
    /* libzmq reports its own handshake timer and a hang-up by the peer alike; the time tells them apart. */
    return base_clock_ms() - zmq->connected_ms >= context->config.handshake_ms * 9 / 10 ? OUTCOME_SILENT
                                                                                        : OUTCOME_BROKEN;
}

/* Looks at one frame from the listening side: the acceptance, or why not. */
static enum outcome read_answer(struct net_zmq *zmq, const char *who, struct base_error *error)
{
    uint8_t header[NET_FRAME_HEADER], payload[NET_ABORT_PAYLOAD];
    struct net_frame frame;
    size_t size = 0;
    enum base_status status = net_zmq_carrier.receive(zmq, header, sizeof header, payload, sizeof payload,
                                                      &size, base_clock_ms(), error);
    if (status == BASE_ERR_TIMEOUT)
        return OUTCOME_NONE;
    if (status == BASE_ERR_CLOSED) {
        error->code = BASE_OK;
        return judge(zmq, zmq->context);
    }
    BASE_FAIL_RECEIVE("net.accept.receive");
    if (status != BASE_OK)
        base_error_prefix(error, "%s", who);
    if (status != BASE_OK || net_frame_decode(header, sizeof header, size, who, &frame, error) != BASE_OK)
        return OUTCOME_FAILED;
    if (frame.kind == NET_FRAME_ACCEPT)
        return OUTCOME_LINK;
    if (frame.kind == NET_FRAME_ABORT)
        (void)net_abort_decode(payload, size, who, error);
    else
        (void)base_fail(error, BASE_ERR_PEER, "%s: frame field kind is %d, expected %d", who, frame.kind,
                        NET_FRAME_ACCEPT);
    return OUTCOME_FAILED;
}

static bool open_link(struct net_zmq *zmq)
{
    BASE_FAIL_SEND("net.open.send");
    return net_zmq_send_control(zmq, NET_FRAME_OPEN, NULL);
}

/* Drives one socket from connect to acceptance. */
static enum outcome drive(struct connecting *c, struct net_zmq *zmq, struct base_error *error)
{
    bool asked = false;
    int64_t attempt_end_ms = base_deadline_after(ATTEMPT_MS);
    for (;;) {
        net_zmq_drain(zmq);
        if (zmq->succeeded && !asked) /* never before: what is queued early would go to whoever answers */
            asked = open_link(zmq);
        enum outcome outcome = asked       ? read_answer(zmq, c->who, error)
                               : zmq->lost ? judge(zmq, c->context)
                                           : OUTCOME_NONE;
        if (outcome != OUTCOME_NONE)
            return outcome;
        if (is_cancelled(c->wait)) {
            (void)base_fail(error, BASE_ERR_CLOSED, "%s: the wait was cancelled here", c->who);
            return OUTCOME_FAILED;
        }
        int64_t now = base_clock_ms();
        if (now >= c->deadline_ms)
            return zmq->succeeded           ? OUTCOME_NOT_TAKEN
                   : zmq->connected_ms != 0 ? OUTCOME_SILENT
                                            : OUTCOME_NOBODY;
        if (now >= attempt_end_ms && zmq->connected_ms == 0)
            return OUTCOME_NOBODY;
        int64_t slice = base_deadline_after(NET_SLICE_MS);
        enum base_status status =
            net_zmq_poll(zmq, ZMQ_POLLIN, slice < c->deadline_ms ? slice : c->deadline_ms, error);
        if (status != BASE_OK && status != BASE_ERR_TIMEOUT)
            return OUTCOME_FAILED;
    }
}

static enum outcome attempt(struct connecting *c, struct net_link **ret, struct base_error *error)
{
    const struct net_endpoint_config *endpoint = c->endpoint;
    struct net_place place;
    struct net_zmq *zmq = NULL;
    enum outcome outcome = OUTCOME_FAILED;
    c->early_error.code = BASE_OK;
    if (net_resolve(endpoint->host, endpoint->port, c->attempts++, &place, &c->early_error) != BASE_OK)
        return OUTCOME_UNRESOLVED;
    enum base_status status = net_zmq_create(&zmq, c->context, endpoint->as, endpoint->public_key, NULL, net_is_ipv6(&place), &c->early_error);
    if (status == BASE_ERR_MEMORY && endpoint->as == NET_PEER_PARTY)
        return OUTCOME_NO_SOCKET;
    if (status != BASE_OK) {
        *error = c->early_error;
        return OUTCOME_FAILED;
    }
    if (zmq_connect(zmq->socket, place.endpoint) != 0)
        (void)base_fail(error, BASE_ERR_ARGUMENT, "%s: cannot connect: %s", c->who,
                        zmq_strerror(zmq_errno()));
    else
        outcome = drive(c, zmq, error);
    if (outcome == OUTCOME_LINK) {
        if (net_link_create(ret, &net_zmq_carrier, zmq, c->who, 0, error) == BASE_OK)
            return OUTCOME_LINK;
        outcome = OUTCOME_FAILED;
    }
    net_zmq_destroy(&zmq);
    return outcome;
}

static enum base_status fail_outcome(const struct connecting *c, enum outcome outcome,
                                     struct base_error *error)
{
    char key[41];
    long long waited = (long long)c->wait->timeout_ms;
    switch (outcome) {
    case OUTCOME_UNRESOLVED:
        return base_fail(error, BASE_ERR_TIMEOUT, "%s: %s", c->who, c->early_error.text);
    case OUTCOME_NO_SOCKET:
        return base_fail(error, BASE_ERR_MEMORY, "%s: %s", c->who, c->early_error.text);
    case OUTCOME_SILENT:
        return base_fail(
            error, BASE_ERR_TIMEOUT,
            "%s takes connections but does not answer them: it hangs, is stopped, or is another program",
            c->who);
    case OUTCOME_BROKEN:
        (void)zmq_z85_encode(key, c->endpoint->public_key, NET_KEY_SIZE);
        return base_fail(
            error, BASE_ERR_MISMATCH,
            "%s ends the handshake: it does not run with the key configured for it (%s), or another program "
            "listens there",
            c->who, key);
    case OUTCOME_REFUSED:
        (void)zmq_z85_encode(key, c->context->public_key, NET_KEY_SIZE);
        return base_fail(error, BASE_ERR_MISMATCH,
                         "%s refused our key %s: it is not in the config that it runs with", c->who, key);
    case OUTCOME_BUSY:
        return base_fail(error, c->endpoint->as == NET_PEER_CLIENT ? BASE_ERR_CLOSED : BASE_ERR_TIMEOUT,
                         "%s is busy with another session: try again when that has ended", c->who);
    case OUTCOME_LOST:
    case OUTCOME_NOT_TAKEN:
        return base_fail(error, BASE_ERR_TIMEOUT,
                         "%s is there but did not take the link within %lld ms: it still starts, or "
                         "has stopped; look at its log",
                         c->who, waited);
    default:
        return base_fail(error, BASE_ERR_TIMEOUT,
                         "nobody answers at %s within %lld ms: start it, or check host, port and firewall",
                         c->who, waited);
    }
}

/* True when trying again can help. */
static bool is_worth_retry(const struct connecting *c, enum outcome outcome, int64_t started_ms, int *broken)
{
    *broken = outcome == OUTCOME_BROKEN ? *broken + 1 : 0;
    if (outcome == OUTCOME_REFUSED || *broken >= HANDSHAKES_BROKEN_MAX)
        return false;
    /* A client is told soon; a party waits for the restarted peer's old link to end. */
    if (outcome == OUTCOME_BUSY && c->endpoint->as == NET_PEER_CLIENT &&
        base_clock_ms() - started_ms >= c->context->config.busy_ms)
        return false;
    return base_clock_ms() < c->deadline_ms;
}

enum base_status net_connect(struct net_context *context, const struct net_endpoint_config *endpoint,
                             const struct net_wait *wait, struct net_link **ret, struct base_error *error)
{
    struct connecting c = {.context = context, .endpoint = endpoint, .wait = wait};
    char address[NET_ADDRESS_SIZE];
    int64_t started_ms = base_clock_ms();
    int broken = 0, pause = RETRY_MS;
    enum outcome outcome = OUTCOME_NONE;
    c.deadline_ms = base_deadline_after(wait->timeout_ms);
    net_address_write(address, endpoint->host, endpoint->port);
    (void)snprintf(c.who, sizeof c.who, "%.32s at %s", endpoint->name, address);
    for (;;) {
        struct base_error cause = {0};
        enum outcome before = outcome;
        outcome = attempt(&c, ret, &cause);
        if (outcome == OUTCOME_LINK)
            return BASE_OK;
        if (outcome == OUTCOME_FAILED)
            return base_fail(error, cause.code, "%s", cause.text);
        if (is_cancelled(wait))
            return base_fail(error, BASE_ERR_CLOSED, "%s: the wait was cancelled here", c.who);
        /* An attempt that the deadline has cut off knows less than one that was told something. */
        if (before == OUTCOME_BUSY && (outcome == OUTCOME_NOBODY || outcome == OUTCOME_SILENT) && base_clock_ms() >= c.deadline_ms)
            outcome = before;
        if (!is_worth_retry(&c, outcome, started_ms, &broken))
            return fail_outcome(&c, outcome, error);
        base_sleep_ms(base_deadline_left(c.deadline_ms, pause));
        pause = pause * 2 < RETRY_MOST_MS ? pause * 2 : RETRY_MOST_MS;
    }
}
