/* What the net tests share: two-threaded runs, and checks of error texts. Include after cmocka's headers. */
#ifndef CACHET_TESTS_NET_SUPPORT_H
#define CACHET_TESTS_NET_SUPPORT_H

#include "base/clock.h"
#include "base/status.h"
#include "net/link.h"

#include <stdio.h>
#include <string.h>

/* An error text must say `part`; shows the text when it does not. */
static inline void check_says(const struct base_error *error, const char *part)
{
    if (strstr(error->text, part) == NULL) {
        (void)fprintf(stderr, "the error says \"%s\", not \"%s\"\n", error->text, part);
        fail();
    }
}

static inline void check_ok(enum base_status status, const struct base_error *error)
{
    if (status != BASE_OK) {
        (void)fprintf(stderr, "unexpected failure (%s): %s\n", base_status_name(status), error->text);
        fail();
    }
}

static inline void check_fails(enum base_status status, enum base_status want, const struct base_error *error,
                               const char *part)
{
    if (status != want)
        (void)fprintf(stderr, "status is %s: %s\n", base_status_name(status), error->text);
    assert_int_equal(status, want);
    assert_int_equal(error->code, want);
    check_says(error, part);
}

#endif
