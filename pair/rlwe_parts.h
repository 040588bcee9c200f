/* What both halves of pair/rlwe.h need; private to pair/. */
#ifndef CACHET_PAIR_RLWE_PARTS_H
#define CACHET_PAIR_RLWE_PARTS_H

#include "pair/rlwe.h"

/* Of p1: no column gets so far. */
#define PAIR_RLWE_KEY_NUMBER (~UINT64_C(0))

static inline size_t pair_rlwe_words(const struct pair_rlwe_params *params)
{
    return PAIR_RLWE_N * (size_t)params->limbs;
}

/* Coefficients [first, first + count) of the public polynomial of a number; first a multiple of 2. */
void pair_rlwe_public(const struct pair_party *p, const struct pair_rlwe *rlwe, int owner, uint64_t number, size_t first, size_t count, uint64_t *ret);

/* Number of column j. */
static inline uint64_t pair_rlwe_number(const struct pair_rlwe_rows *rows, size_t j)
{
    return rows->number != NULL ? rows->number[j] : rows->first + j;
}

/* Words from one column's coefficients to the next one's. */
static inline size_t pair_rlwe_stride(const struct pair_rlwe_rows *rows, const struct pair_rlwe_params *params)
{
    return rows->stride != 0 ? rows->stride : rows->rows * (size_t)params->limbs;
}

#endif
