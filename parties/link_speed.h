/* The network between the parties, and how long a cost takes on it. */
#ifndef CACHET_PARTIES_LINK_SPEED_H
#define CACHET_PARTIES_LINK_SPEED_H

#include "mpc/cost.h"

struct link_speed {
    double rtt_ms; /* round trip between parties */
    double mbit;   /* bandwidth of each party each way */
};

/* Seconds: rounds wait for the round trip's half and carry bytes both ways at once; dealt bytes flow beside
 * them, P0 sending to two. Computation is not part of it. */
double link_seconds(const struct link_speed *link, struct mpc_cost cost);

#endif
