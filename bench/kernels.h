/* `cachet bench kernels`: rates of every kernel slot at every level of this CPU, each beside the bound that limits it, measured in the same run:
 * reading memory, multiplying in registers, OpenSSL's AES-CTR, the level's own keystream. */
#ifndef CACHET_BENCH_KERNELS_H
#define CACHET_BENCH_KERNELS_H

#include "base/status.h"

/* argv[0] is "cachet bench kernels". Errors: BASE_ERR_ARGUMENT, BASE_ERR_MEMORY. */
BASE_MUST_USE enum base_status bench_kernels_run(int argc, char **argv, struct base_error *error);

#endif
