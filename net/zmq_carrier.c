/* The carrier functions over one DEALER socket: a frame is one ZeroMQ message, header and payload together,
 * so that it costs one CURVE box. The monitor's events end the link; frames that arrived before are still
 * delivered. */
#include "net/zmq_internal.h"

#include "base/clock.h"
#include "net/zmq_fault.h"

#include <errno.h>
#include <string.h>
#include <zmq.h>

/* The next event of the monitor; false when there is none. */
static bool next_event(struct net_zmq *zmq, struct net_zmq_event *ret)
{
    uint8_t number[6];
    char address[8];
    int size = zmq_recv(zmq->monitor, number, sizeof number, ZMQ_DONTWAIT);
    if (size < 0)
        return false;
    (void)zmq_recv(zmq->monitor, address, sizeof address,
                   ZMQ_DONTWAIT); /* the second part; its text is not used */
    uint16_t event = 0;
    int32_t value = 0;
    if (size == sizeof number) {
        memcpy(&event, number, sizeof event);
        memcpy(&value, number + 2, sizeof value);
    }
    ret->event = event;
    ret->value = value;
    return true;
}

/* On the listening side other connections come and go (and are refused); ours is known by its file number,
 * which is not in use by another since the handshake. Until our peer's first frame has told the number, what
 * happened after the handshake must stay in the monitor's queue. */
static void drain_listening(struct net_zmq *zmq)
{
    struct net_zmq_event event;
    while (!(zmq->succeeded && zmq->peer_fd < 0) && next_event(zmq, &event)) {
        if (event.event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED)
            zmq->succeeded = true;
        else if (zmq->succeeded && event.event == ZMQ_EVENT_DISCONNECTED && event.value == zmq->peer_fd)
            zmq->lost = true;
    }
}

static void take_connection(struct net_zmq *zmq, int fd)
{
    zmq->connected_ms = base_clock_ms();
    zmq->peer_fd = fd;
}

static void drain_connecting(struct net_zmq *zmq)
{
    struct net_zmq_event event;
    while (next_event(zmq, &event)) {
        if (event.event == ZMQ_EVENT_CONNECTED)
            take_connection(zmq, event.value);
        else if (event.event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED)
            zmq->succeeded = true;
        else {
            /* The first one is the cause, what follows are its effects. */
            if (zmq->failure_event == 0) {
                zmq->failure_event = event.event;
                zmq->failure_value = event.value;
            }
            zmq->lost = true;
        }
    }
}

void net_zmq_drain(struct net_zmq *zmq)
{
    if (zmq->domain[0] != '\0')
        drain_listening(zmq);
    else
        drain_connecting(zmq);
}

enum base_status net_zmq_poll(struct net_zmq *zmq, short events, int64_t deadline_ms,
                              struct base_error *error)
{
    /* While the listening side may not drain its monitor, polling it would spin. */
    bool watch = zmq->domain[0] == '\0' || !(zmq->succeeded && zmq->peer_fd < 0);
    zmq_pollitem_t items[] = {{zmq->socket, 0, events, 0}, {zmq->monitor, 0, ZMQ_POLLIN, 0}};
    int ready = zmq_poll(items, watch ? 2 : 1, base_deadline_left(deadline_ms, 60000));
    if (ready < 0 && zmq_errno() != EINTR)
        return base_fail(error, BASE_ERR_INTERNAL, "cannot wait on a socket: %s", zmq_strerror(zmq_errno()));
    return ready == 0 && base_clock_ms() >= deadline_ms ? BASE_ERR_TIMEOUT : BASE_OK;
}

static enum base_status fail_lost(struct base_error *error)
{
    return base_fail(error, BASE_ERR_CLOSED,
                     "the connection was lost: it ended, crashed or was cut off; look at its log");
}

static enum base_status carrier_send(void *carrier, const void *header, size_t header_size,
                                     const void *payload, size_t payload_size, int64_t deadline_ms,
                                     struct base_error *error)
{
    struct net_zmq *zmq = carrier;
    zmq_msg_t message;
    enum base_status status = BASE_OK;
    if (zmq_msg_init_size(&message, header_size + payload_size) != 0)
        return base_fail(error, BASE_ERR_MEMORY, "no memory for a frame of %zu bytes",
                         header_size + payload_size);
    memcpy(zmq_msg_data(&message), header, header_size);
    if (payload_size > 0)
        memcpy((uint8_t *)zmq_msg_data(&message) + header_size, payload, payload_size);
    if (net_fault_on_send(zmq, &message))
        return BASE_OK;
    for (;;) {
        /* A connecting socket would queue frames for a connection that is gone. */
        net_zmq_drain(zmq);
        if (zmq->lost) {
            status = fail_lost(error);
            break;
        }
        if (zmq_msg_send(&message, zmq->socket, ZMQ_DONTWAIT) >= 0)
            return BASE_OK; /* the message is libzmq's now */
        if (zmq_errno() != EAGAIN && zmq_errno() != EINTR) {
            status = base_fail(error, BASE_ERR_INTERNAL, "cannot send: %s", zmq_strerror(zmq_errno()));
            break;
        }
        status = net_zmq_poll(zmq, ZMQ_POLLOUT, deadline_ms, error);
        if (status != BASE_OK)
            break;
    }
    (void)zmq_msg_close(&message);
    return status;
}

static int socket_events(struct net_zmq *zmq)
{
    int events = 0;
    size_t size = sizeof events;
    return zmq_getsockopt(zmq->socket, ZMQ_EVENTS, &events, &size) == 0 ? events : 0;
}

static int carrier_can_send(void *carrier)
{
    return (socket_events(carrier) & ZMQ_POLLOUT) != 0;
}

/* Splits a message into header and payload, both bounded by the caller's buffers. */
static enum base_status take_message(zmq_msg_t *message, void *header, size_t header_size, void *payload,
                                     size_t capacity, size_t *ret_payload_size, struct base_error *error)
{
    const uint8_t *bytes = zmq_msg_data(message);
    size_t size = zmq_msg_size(message);
    if (size < header_size || zmq_msg_more(message))
        return base_fail(error, BASE_ERR_PEER,
                         "a message of %zu bytes%s came, expected one part of at least %zu", size,
                         zmq_msg_more(message) ? " and more parts" : "", header_size);
    size -= header_size;
    memcpy(header, bytes, header_size);
    memcpy(payload, bytes + header_size, size < capacity ? size : capacity);
    *ret_payload_size = size;
    return BASE_OK;
}

static enum base_status carrier_receive(void *carrier, void *header, size_t header_size, void *payload,
                                        size_t capacity, size_t *ret_payload_size, int64_t deadline_ms,
                                        struct base_error *error)
{
    struct net_zmq *zmq = carrier;
    zmq_msg_t message;
    bool lost_before = false;
    enum base_status status;
    (void)zmq_msg_init(&message);
    net_fault_on_receive(zmq);
    for (;;) {
        if (zmq_msg_recv(&message, zmq->socket, ZMQ_DONTWAIT) >= 0) {
            status = take_message(&message, header, header_size, payload, capacity, ret_payload_size, error);
            break;
        }
        if (zmq_errno() != EAGAIN && zmq_errno() != EINTR) {
            status = base_fail(error, BASE_ERR_INTERNAL, "cannot receive: %s", zmq_strerror(zmq_errno()));
            break;
        }
        /* Frames that came before the loss are visible at the latest now, so only a second look may give up.
         */
        if (lost_before) {
            status = fail_lost(error);
            break;
        }
        net_zmq_drain(zmq);
        lost_before = zmq->lost;
        if (lost_before)
            continue;
        status = net_zmq_poll(zmq, ZMQ_POLLIN, deadline_ms, error);
        if (status != BASE_OK)
            break;
    }
    (void)zmq_msg_close(&message);
    return status;
}

static enum base_status carrier_wait(void *carrier, int want_send, int *ret_can_receive, int *ret_can_send,
                                     int64_t deadline_ms, struct base_error *error)
{
    struct net_zmq *zmq = carrier;
    for (;;) {
        net_zmq_drain(zmq);
        int events = socket_events(zmq);
        int can_receive = (events & ZMQ_POLLIN) != 0, can_send = want_send && (events & ZMQ_POLLOUT) != 0;
        if (can_receive || (can_send && !zmq->lost)) {
            *ret_can_receive = can_receive;
            *ret_can_send = can_send;
            return BASE_OK;
        }
        if (zmq->lost)
            return fail_lost(error);
        enum base_status status =
            net_zmq_poll(zmq, (short)(ZMQ_POLLIN | (want_send ? ZMQ_POLLOUT : 0)), deadline_ms, error);
        if (status != BASE_OK)
            return status;
    }
}

static int carrier_lost(void *carrier)
{
    struct net_zmq *zmq = carrier;
    net_zmq_drain(zmq);
    return zmq->lost;
}

static void carrier_destroy(void *carrier)
{
    struct net_zmq *zmq = carrier;
    net_fault_forget(zmq);
    net_zmq_destroy(&zmq);
}

const struct net_carrier net_zmq_carrier = {
    .send = carrier_send,
    .can_send = carrier_can_send,
    .receive = carrier_receive,
    .wait = carrier_wait,
    .lost = carrier_lost,
    .destroy = carrier_destroy,
};

bool net_zmq_send_control(struct net_zmq *zmq, enum net_frame_kind kind, const struct base_error *cause)
{
    uint8_t bytes[NET_FRAME_HEADER + NET_ABORT_PAYLOAD];
    size_t size = cause == NULL ? 0 : net_abort_encode(cause, bytes + NET_FRAME_HEADER);
    struct net_frame frame = {.kind = kind, .total = size, .payload = (uint32_t)size};
    net_frame_encode(&frame, bytes);
    zmq_msg_t message;
    if (zmq_msg_init_size(&message, NET_FRAME_HEADER + size) != 0)
        return false;
    memcpy(zmq_msg_data(&message), bytes, NET_FRAME_HEADER + size);
    if (net_fault_on_send(zmq, &message) || zmq_msg_send(&message, zmq->socket, ZMQ_DONTWAIT) >= 0)
        return true;
    (void)zmq_msg_close(&message);
    return false;
}
