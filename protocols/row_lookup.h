/* The row of a masked table that the client names by a secret index: one product with a masked one-hot row.
 *
 * P0 stays silent: the client shares the one-hot row (m to P1 and P2, its mask from streams that P0 shares with it). The table
 * lives in Z_2^32, half the memory of a weight, and is read once per lookup.
 * Shapes: hot [n][rows], table [rows][width] -> [n][width] in Z_2^32 with the table's fraction.
 * Cost: 1 round, 2 n width 32 bits online, n width 32 bits offline; the client sends 4 n rows bytes to P1 and to P2.
 * Reveals: nothing. Source: specification, rows.py and README section 6, item 17 (the silent alternative). */
#ifndef CACHET_PROTOCOLS_ROW_LOOKUP_H
#define CACHET_PROTOCOLS_ROW_LOOKUP_H

#include "mpc/product.h"

enum { SEC_ROW_RING = 32 };

/* P1: rows of m then l1; P2: rows of m then m - l2; P0: l1 + l2; twin: x. `stride` words of 32 bits from row to row. */
struct sec_row_table {
    size_t rows, width, stride;
    int frac, bound;
    uint32_t *data;
    enum mpc_role held; /* as in mpc_matrix */
};

/* Words of 32 bits of one row in this role. */
size_t sec_row_table_stride(enum mpc_role role, size_t width);

struct mpc_wire sec_row_lookup(struct mpc_party *p, struct mpc_wire hot, size_t n, const struct sec_row_table *table,
                               const char *label);
/* The same before it is opened, [n][width] in Z_2^32: other shares may join it. Local. */
struct mpc_share sec_row_lookup_share(struct mpc_party *p, struct mpc_wire hot, size_t n, const struct sec_row_table *table,
                                      const char *label);
/* The rows [first, first + n) of a table, which everyone knows to be these, as a share in Z_2^32. Local.
 * Errors: BASE_ERR_INTERNAL where the table has fewer rows. */
struct mpc_share sec_row_table_share(struct mpc_party *p, const struct sec_row_table *table, size_t first, size_t n);
struct mpc_cost sec_row_lookup_cost(size_t n, size_t width);

#endif
