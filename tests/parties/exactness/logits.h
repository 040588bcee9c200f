/* What tests say of one row of logits. */
#ifndef CACHET_TESTS_PARTIES_LOGITS_H
#define CACHET_TESTS_PARTIES_LOGITS_H

#include <stddef.h>
#include <stdint.h>

/* Logits of shares and twin differ by what truncation rounds up or down on the way: at most this, in nats.
 * Where the twin's own first two logits lie closer, either may come first. */
#define LOGITS_BOUND 0.1

/* The greedy token: the largest of v [n], the first among equal ones. */
int32_t logits_largest(const double *v, size_t n);
/* From the largest to the second one. */
double logits_gap(const double *v, size_t n);
/* The largest difference of an element of two rows. */
double logits_distance(const double *a, const double *b, size_t n);

#endif
