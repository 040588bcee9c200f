/* Frames that a test build spoils on purpose (base/failpoint.h). In any other build these functions are nothing. */
#ifndef CACHET_NET_ZMQ_FAULT_H
#define CACHET_NET_ZMQ_FAULT_H

#include "net/zmq_internal.h"

#include <zmq.h>

#ifdef CACHET_FAILPOINTS

/* Before a frame goes: does to it what is due. True when there is nothing left to send; the message is closed then. */
bool net_fault_on_send(struct net_zmq *zmq, zmq_msg_t *message);
/* Before a frame is waited for: cuts the connection if that is due. */
void net_fault_on_receive(struct net_zmq *zmq);
/* The socket goes: a frame that was held back for it goes, too. */
void net_fault_forget(const struct net_zmq *zmq);

#else

static inline bool net_fault_on_send(struct net_zmq *zmq, zmq_msg_t *message)
{
    (void)zmq;
    (void)message;
    return false;
}

static inline void net_fault_on_receive(struct net_zmq *zmq)
{
    (void)zmq;
}

static inline void net_fault_forget(const struct net_zmq *zmq)
{
    (void)zmq;
}

#endif
#endif
