/* A file of a fuzz target's own, removed at its end, for readers that want a path. */
#ifndef CACHET_TESTS_FUZZ_SCRATCH_FILE_H
#define CACHET_TESTS_FUZZ_SCRATCH_FILE_H

#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char path[] = P_tmpdir "/cachet-fuzz-XXXXXX";

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void remove_file(void)
{
    (void)unlink(path);
}

/* Before every input; the first time it makes the file. */
static void make_file(void)
{
    static bool made = false;
    if (!made) {
        int fd = mkstemp(path);
        check(sodium_init() >= 0 && fd >= 0 && close(fd) == 0 && atexit(remove_file) == 0);
    }
    made = true;
}

#endif
