/* The work between gates, in the form of a gate: products in small and large rings, sums, truncation, extension, a matrix, a row of a
 * masked table, and the opening to the client. */
#ifndef CACHET_TESTS_CONSTANT_TIME_LINEAR_H
#define CACHET_TESTS_CONSTANT_TIME_LINEAR_H

#include "protocols/gate.h"

extern const struct sec_gate linear_gate;

#endif
