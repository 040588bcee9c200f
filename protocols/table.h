/* y = T[x] for a public table of 2^k entries, one round.
 *
 * k <= 5: P0 deals the table rotated by the mask, once, and each reads its half at the public m.
 * 6 <= k <= 12: a DPF at the mask with payload 1 in Z_2^ring; the shares of the one-hot row times the public table read at m.
 * Shapes: x [n] -> [n]. Units: 0 <= x < 2^k whole (no fraction), result exact in Z_2^ring.
 * Cost: 1 round, 2 n ring bits online; 2^k n ring bits (k <= 5) or two DPF keys per element offline. Reveals: nothing.
 * Errors: x is read mod 2^k; the twin counts values outside. Source: specification, tables.py (TableSmall, TableDpf). */
#ifndef CACHET_PROTOCOLS_TABLE_H
#define CACHET_PROTOCOLS_TABLE_H

#include "protocols/gate.h"

enum { SEC_TABLE_DEALT_BITS = 5, SEC_TABLE_MAX_BITS = 12 };

struct sec_table {
    int k;
    int ring, frac, bound;   /* of the result */
    const uint64_t *values;  /* 2^k entries, two's complement; borrowed */
};

struct mpc_wire sec_table_eval(struct mpc_party *p, const struct sec_table *table, struct mpc_wire x, const char *label);
struct mpc_cost sec_table_cost(const struct sec_table *table, size_t n);

extern const struct sec_gate sec_gate_table_dealt, sec_gate_table_dpf;

#endif
