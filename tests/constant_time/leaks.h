/* What must be reported, and what must not: the controls of these checks. */
#ifndef CACHET_TESTS_CONSTANT_TIME_LEAKS_H
#define CACHET_TESTS_CONSTANT_TIME_LEAKS_H

#include <stdbool.h>
#include <stdint.h>

/* Writes where the lowest bit of *word is set. */
void leak_by_branch(const uint64_t *word);
/* Reads a public table at the low byte of *word. */
void leak_by_address(const uint64_t *word);
/* The larger of two words with the same instructions for both, returned through *ret: no leak. */
void select_larger(const uint64_t *a, const uint64_t *b, uint64_t *ret);

/* Runs `leak` on *word; false, and a line, unless there is a report. */
bool leak_is_reported(const char *what, void (*leak)(const uint64_t *word), const uint64_t *word);

#endif
