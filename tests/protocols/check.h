/* What the protocol tests share: cmocka, and assertions that show the text of a failure. */
#ifndef CACHET_TESTS_PROTOCOLS_CHECK_H
#define CACHET_TESTS_PROTOCOLS_CHECK_H

#include "tests/support/three_parties.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static inline void check_ok(enum base_status status, const struct base_error *error, const char *what)
{
    if (status != BASE_OK)
        (void)fprintf(stderr, "%s: %s: %s\n", what, base_status_name(status), error->text);
    assert_int_equal(status, BASE_OK);
}

static inline void *must_alloc(size_t count, size_t size)
{
    void *memory = calloc(count == 0 ? 1 : count, size);
    assert_non_null(memory);
    return memory;
}

/* Uniform in [low, high], the edges first. */
static inline void fill_edges(int64_t *x, size_t count, int64_t low, int64_t high, uint64_t seed)
{
    const int64_t edges[] = {low, low + 1, -1, 0, 1, high - 1, high};
    uint64_t state = seed, span = (uint64_t)high - (uint64_t)low + 1;
    for (size_t i = 0; i < count; i++) {
        uint64_t r = trio_random(&state);
        x[i] = (int64_t)((uint64_t)low + (span == 0 ? r : r % span));
        if (i < sizeof edges / sizeof *edges && count > 1)
            x[i] = edges[i] < low ? low : edges[i] > high ? high : edges[i];
    }
}

#endif
