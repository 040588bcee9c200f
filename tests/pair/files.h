/* A place for files of tests of the spool, and ways to read and spoil them. Include after cmocka's headers. */
#ifndef CACHET_TESTS_PAIR_FILES_H
#define CACHET_TESTS_PAIR_FILES_H

#include "tests/pair/support.h"

#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PLACE_ROOM = 512 };

extern char spool_place[PLACE_ROOM]; /* a folder of this run */

/* A path in the place; good until the next call but one. */
const char *spool_at(const char *name);
void spool_fill(uint8_t *bytes, size_t size, uint64_t seed);
uint8_t *spool_read(const char *path, size_t *ret_size);
void spool_write(const char *path, const uint8_t *bytes, size_t size); /* mode 0600 */
void spool_clear(const char *folder);
/* For groups of tests. Files that grow past a limit are errors, not signals. */
int spool_open_place(void **state);
int spool_close_place(void **state);

#endif
