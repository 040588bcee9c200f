/* What the net tests share: two-threaded runs, and checks of error texts. Include after cmocka's headers. */
#ifndef CACHET_TESTS_NET_SUPPORT_H
#define CACHET_TESTS_NET_SUPPORT_H

#include "base/clock.h"
#include "base/status.h"
#include "net/link.h"
#include "tests/support/failures.h"

#include <stdio.h>
#include <string.h>

#endif
