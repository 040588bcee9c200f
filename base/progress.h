/* A progress bar on stderr for long work: done of total, bytes, seconds left. Silent unless stderr is a
 * terminal. */
#ifndef CACHET_BASE_PROGRESS_H
#define CACHET_BASE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* One bar. Zeroed, it shows nothing. Belongs to one thread. */
struct base_progress {
    FILE *stream; /* NULL: silent */
    const char *label;
    uint64_t total;
    double started, shown; /* seconds of the monotonic clock */
    bool visible;
};

/* Starts a bar; `label` is borrowed. On stderr when it is a terminal, else silent. */
void base_progress_start(struct base_progress *progress, const char *label, uint64_t total);

/* The same on a given stream, whatever it is (for tests). */
void base_progress_start_on(struct base_progress *progress, FILE *stream, const char *label, uint64_t total);

/* Shows `done` of total and, when not zero, bytes moved so far; draws at most ten times a second. */
void base_progress_update(struct base_progress *progress, uint64_t done, uint64_t bytes);

/* Takes the bar off the terminal. Calling it again does nothing. */
void base_progress_finish(struct base_progress *progress);

#endif
