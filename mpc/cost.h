/* Costs: rounds, online bytes (P1 to P2 plus P2 to P1), offline bytes (P0 to P1 plus P0 to P2). */
#ifndef CACHET_MPC_COST_H
#define CACHET_MPC_COST_H

#include <stddef.h>
#include <stdint.h>

struct mpc_cost {
    uint64_t rounds;
    uint64_t online;
    uint64_t offline;
};

/* Bytes of one field of a message: `count` elements of `ring` bits, packed without gaps. */
static inline uint64_t mpc_bits(uint64_t count, int ring)
{
    return (count * (uint64_t)ring + 7) / 8;
}

static inline struct mpc_cost mpc_cost_add(struct mpc_cost a, struct mpc_cost b)
{
    return (struct mpc_cost){a.rounds + b.rounds, a.online + b.online, a.offline + b.offline};
}

#endif
