/* What two parties do to make material without P0, as memcheck shall see it. Programs link with --wrap of what is named here.
 *
 * WHAT IS ALLOWED beside watched_run.h:
 *
 *  1. net_link_exchange: what has been received, while watched_making says so: every exchange makes it public at its receiver.
 *  3. pair_base_ot: what another library does with secrets (libsodium); keys and results are secret again after it. */
#ifndef CACHET_TESTS_CONSTANT_TIME_WATCHED_PAIR_H
#define CACHET_TESTS_CONSTANT_TIME_WATCHED_PAIR_H

#include <stdbool.h>

/* Changed while one thread runs alone. Online, received words stay secret (watched_run.h, allowance 1, opens those that are). */
extern bool watched_making;

#endif
