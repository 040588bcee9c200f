/* What slots of the kernel table took (kernels/timed.h), as log lines. */
#ifndef CACHET_PARTIES_SLOT_TIMES_H
#define CACHET_PARTIES_SLOT_TIMES_H

#include "base/log.h"

/* Since the start of this thread, and how fast those products went that multiplication limits. */
void slot_times_log(const struct base_log *log);

#endif
