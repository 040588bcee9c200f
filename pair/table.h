/* Tables of 2^h words at a secret place: one party's table turned by the other's secret index, as shares.
 *
 * Item k: the owner has a table V (2^h words of Z_2^R), the other an index a; shares of W[i] = V[i - a mod 2^h] for every i. With
 * V[i] = T[i - l2] (pair_table_turn) and a = l1, both parties read shares of T[m - l1 - l2] at the public m: any function of up to h bits.
 *
 * Seed trees (pair/seeds.h) give row i of a square of words to both, but for row a, which the index's owner lacks. The table travels under
 * the sum of the square's diagonals; column sums stay with its owner; in the other's difference of the two the missing row cancels.
 *
 * Cost, n tables: 2 exchanges, n h COTs with the owner as sender; the other sends n h bits, the owner n (16 h + 2^h R / 8) bytes. Hashes at
 * each end: 2^(2 h - 1) per table: for h up to 6 or so; beyond, point keys. Reveals: nothing. Statistical distance: none.
 * Source: pair/seeds.h; the share translation of M. Chase, E. Ghosh, O. Poburinnaya, ASIACRYPT 2020, for rotations. */
#ifndef CACHET_PAIR_TABLE_H
#define CACHET_PAIR_TABLE_H

#include "pair/seeds.h"

enum { PAIR_TABLE_MOST_BITS = 10 };

struct pair_table_form {
    int owner; /* of the table */
    size_t count;
    int h;
    int ring;
};

struct pair_table {
    struct pair_job job;
    struct pair_table_form form;
    struct pair_seeds seeds;
    const uint64_t *table; /* [count][2^h], at the owner; read in stage 1 */
    uint64_t *share;       /* [count][2^h], complete after the job */
    uint64_t *sent;        /* [count][2^h] */
};

BASE_MUST_USE enum base_status pair_table_init(struct pair_table *ret, const struct pair_party *p, struct pair_table_form form,
                                               const uint64_t *index, const uint64_t *table, uint64_t *share, struct base_error *error);
struct pair_cost pair_table_cost(struct pair_table_form form);

/* words[i] = words[i - by mod 2^h] in place, in a time that does not depend on `by`. scratch [2^h]. */
void pair_table_turn(uint64_t *words, int h, uint64_t by, uint64_t *scratch);

#endif
