/* Checks of statuses and error texts, which show the text that does not fit. Include after cmocka's headers.
 */
#ifndef CACHET_TESTS_SUPPORT_FAILURES_H
#define CACHET_TESTS_SUPPORT_FAILURES_H

#include "base/status.h"

#include <stdio.h>
#include <string.h>

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
        (void)fprintf(stderr, "status is %s, not %s: %s\n", base_status_name(status), base_status_name(want),
                      error->text);
    assert_int_equal(status, want);
    assert_int_equal(error->code, want);
    check_says(error, part);
}

#endif
