/* Permutation correlations for shuffles (share translation): one party's secret permutation, the other's random rows.
 *
 * The owner gets random rows a, b [n][w], the other, who knows pi, gets delta[j] = a[pi(j)] - b[j] mod 2^R. A row set v that the owner holds
 * is then permuted by one message v - a: shares (v - a)[pi(j)] + delta[j] and b[j] of v[pi(j)]. Rows that are known ahead of time (masks of
 * a cache) may be given here: then the shares of v[pi] come out.
 *
 * n seed trees (pair/seeds.h), tree j lacking leaf pi(j); leaf i of tree j is row (j, i) of a square of rows: a sums its columns, b its
 * rows, and the missing one cancels in delta. As everywhere, a permutation may index what its holder moves at its own desk (mpc/README.md);
 * trees and sums are made without that.
 *
 * Cost, h = ceil(log2 n): 2 exchanges, n h COTs with the owner as sender; the other sends n h bits, the owner 16 n h bytes, and n w R bits
 * if rows are given. Hashes at each end: n^2 ceil(w / 2): sets of up to a thousand rows; larger ones are networks of such.
 * Reveals: nothing. Statistical distance: none. Source: M. Chase, E. Ghosh, O. Poburinnaya, Secret-shared shuffle, ASIACRYPT 2020. */
#ifndef CACHET_PAIR_PERMUTATION_H
#define CACHET_PAIR_PERMUTATION_H

#include "pair/seeds.h"

struct pair_permutation_form {
    int owner; /* of the rows */
    size_t rows, width;
    int ring;
    bool given; /* rows are given */
};

struct pair_permutation {
    struct pair_job job;
    struct pair_permutation_form form;
    struct pair_seeds seeds;
    const uint32_t *order;    /* [rows]: pi, at the other party */
    uint64_t *index;          /* the same as words */
    const uint64_t *given;    /* [rows][width] at the owner, read in stage 1 */
    uint64_t *first, *second; /* [rows][width], complete after the job. Owner: a, b; other: delta in second. Given rows: share in second */
    uint64_t *sums;
};

/* first may be NULL at who holds the permutation. */
BASE_MUST_USE enum base_status pair_permutation_init(struct pair_permutation *ret, const struct pair_party *p, struct pair_permutation_form form,
                                                     const uint32_t *order, const uint64_t *given, uint64_t *first, uint64_t *second,
                                                     struct base_error *error);
struct pair_cost pair_permutation_cost(struct pair_permutation_form form);

#endif
