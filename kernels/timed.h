/* How long slots take: a table that passes every call on to another one and adds up the time, for measurements alone. */
#ifndef CACHET_KERNELS_TIMED_H
#define CACHET_KERNELS_TIMED_H

#include "kernels/kern.h"

/* What this thread's calls have taken since it started. */
struct kern_times {
    double seconds;                   /* of all slots */
    double gemm_seconds[KERN_WORDS];  /* of processor time, in products with 16 rows and more, which multiplication limits */
    double gemm_products[KERN_WORDS]; /* multiplications in them */
};

/* The timed form of `table`. One in a process: a second call times another table from then on. */
const struct kern_table *kern_table_timed(const struct kern_table *table);
struct kern_times kern_times(void);

#endif
