#include "parties/link_speed.h"

double link_seconds(const struct link_speed *link, struct mpc_cost cost)
{
    double bandwidth = link->mbit * 1e6 / 8,
           online = (double)cost.rounds * link->rtt_ms * 0.5e-3 + (double)cost.online / 2 / bandwidth,
           dealt = (double)cost.offline / bandwidth;
    return online > dealt ? online : dealt;
}
