/* Rates of every kernel slot at every level of this CPU, and ratios taken inside the same run. */
#ifndef CACHET_BENCH_KERNELS_H
#define CACHET_BENCH_KERNELS_H

#include "base/status.h"

#include <stdio.h>

/* Runs for some tens of seconds on one core with about 1.1 GiB of memory; prints one JSON object or a table. With a
 * prefix: only the references and the cases whose names start with it; NULL: all.
 * Errors: BASE_ERR_MEMORY. */
BASE_MUST_USE enum base_status bench_kernels(FILE *out, int json, const char *prefix, struct base_error *error);

#endif
