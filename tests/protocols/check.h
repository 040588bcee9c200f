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

/* Runs a job and asks everything of it that trio_check asks. */
static inline void check_run(const struct trio_job *job, struct trio *ret, const char *what)
{
    struct base_error error = {0};
    check_ok(trio_run(job, ret, &error), &error, what);
    check_ok(trio_check(ret, &error), &error, what);
}

static inline void check_value(const struct trio *trio, size_t which, int64_t *ret, const char *what)
{
    struct base_error error = {0};
    check_ok(trio_value(trio, which, ret, &error), &error, what);
}

static inline void check_cost(const struct trio *trio, struct mpc_cost cost)
{
    assert_int_equal(trio->measured[0].rounds, cost.rounds);
    assert_int_equal(trio->measured[0].online, cost.online);
    assert_int_equal(trio->measured[0].offline, cost.offline);
}

/* |y - z / 2^f| in units, exact for 64 bits. */
static inline double cut_error(int64_t y, int64_t z, int f)
{
    int64_t low = f == 0 ? 0 : z & (int64_t)((UINT64_C(1) << f) - 1), floor = z >> f;
    return (double)(int64_t)((uint64_t)y - (uint64_t)floor) - (f == 0 ? 0 : (double)low / (double)(UINT64_C(1) << f));
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
