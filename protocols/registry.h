/* All gates, one line each: what the conformance suite runs and what `cachet cost --gates` prints. */
#ifndef CACHET_PROTOCOLS_REGISTRY_H
#define CACHET_PROTOCOLS_REGISTRY_H

#include "protocols/gate.h"

/* The gates in a fixed order; *ret_count of them. */
const struct sec_gate *const *sec_gates(size_t *ret_count);
/* NULL when there is no gate of that name. */
const struct sec_gate *sec_gate_find(const char *name);

#endif
