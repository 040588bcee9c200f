/* The mangler of a test build: one frame, as it is before CURVE seals it. Compiled into the test build alone. */
#include "net/zmq_fault.h"

#include "base/failpoint.h"

#include <string.h>
#include <sys/socket.h>

enum { EXTENSION = 64, SHORTEST = 20, SEQUENCE_AT = 24, PIECE = 100 };

/* One frame that waits for its successor to overtake it. */
static struct {
    const struct net_zmq *zmq;
    zmq_msg_t message;
} held;

/* What a link looks like that breaks in the middle of a frame: the length of a ZMTP frame, a piece of it, and the end. What libzmq still
 * has to write is lost with it. */
static void cut(struct net_zmq *zmq)
{
    static const uint8_t piece[PIECE] = {2, 0, 0, 0, 0, 0, 1, 0, 0, 7, 'M', 'E', 'S', 'S', 'A', 'G', 'E'};
    struct sockaddr_storage peer;
    socklen_t size = sizeof peer;
    net_zmq_drain(zmq);
    /* A connection that libzmq has closed meanwhile may be another socket by now: one that listens would end the process. */
    if (zmq->peer_fd < 0 || getpeername(zmq->peer_fd, (struct sockaddr *)&peer, &size) != 0)
        return;
    (void)send(zmq->peer_fd, piece, sizeof piece, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)shutdown(zmq->peer_fd, SHUT_RDWR);
}

/* A frame of `size` bytes that begins as the message does; zeros follow. */
static bool resize(zmq_msg_t *message, size_t size)
{
    zmq_msg_t other;
    size_t old = zmq_msg_size(message);
    if (zmq_msg_init_size(&other, size) != 0)
        return false;
    memset(zmq_msg_data(&other), 0, size);
    memcpy(zmq_msg_data(&other), zmq_msg_data(message), old < size ? old : size);
    return zmq_msg_move(message, &other) == 0;
}

/* Sends it now, or loses it: a fault must not wait. */
static void post(struct net_zmq *zmq, zmq_msg_t *message)
{
    if (zmq_msg_send(message, zmq->socket, ZMQ_DONTWAIT) < 0)
        (void)zmq_msg_close(message);
}

static bool overtake(struct net_zmq *zmq, zmq_msg_t *message)
{
    if (held.zmq != zmq)
        return false;
    post(zmq, message);
    post(zmq, &held.message);
    held.zmq = NULL;
    return true;
}

static bool hold(struct net_zmq *zmq, zmq_msg_t *message)
{
    if (held.zmq != NULL)
        return false;
    (void)zmq_msg_init(&held.message);
    (void)zmq_msg_move(&held.message, message);
    (void)zmq_msg_close(message);
    held.zmq = zmq;
    return true;
}

bool net_fault_on_send(struct net_zmq *zmq, zmq_msg_t *message)
{
    size_t size = zmq_msg_size(message);
    uint8_t *bytes = zmq_msg_data(message);
    zmq_msg_t twin;
    if (overtake(zmq, message))
        return true;
    switch (base_failpoint_take(BASE_FAULT_HEADER)) {
    case BASE_FAULT_CUT:
        cut(zmq);
        return false;
    case BASE_FAULT_DROP:
        (void)zmq_msg_close(message);
        return true;
    case BASE_FAULT_DOUBLE:
        (void)zmq_msg_init(&twin);
        (void)zmq_msg_copy(&twin, message);
        post(zmq, &twin);
        return false;
    case BASE_FAULT_SWAP:
        return hold(zmq, message);
    case BASE_FAULT_TRUNCATE:
        (void)resize(message, size > NET_FRAME_HEADER ? NET_FRAME_HEADER + (size - NET_FRAME_HEADER) / 2 : SHORTEST);
        return false;
    case BASE_FAULT_EXTEND:
        (void)resize(message, size + EXTENSION);
        return false;
    case BASE_FAULT_FLIP:
        bytes[size > NET_FRAME_HEADER ? NET_FRAME_HEADER + (size - NET_FRAME_HEADER) / 2 : SEQUENCE_AT] ^= 1;
        return false;
    case BASE_FAULT_HEADER:
        bytes[SEQUENCE_AT] ^= 1;
        return false;
    default:
        return false;
    }
}

void net_fault_on_receive(struct net_zmq *zmq)
{
    if (base_failpoint_take(BASE_FAULT_CUT) == BASE_FAULT_CUT)
        cut(zmq);
}

void net_fault_forget(const struct net_zmq *zmq)
{
    if (held.zmq == zmq && zmq != NULL)
        (void)zmq_msg_close(&held.message);
    if (held.zmq == zmq)
        held.zmq = NULL;
}
