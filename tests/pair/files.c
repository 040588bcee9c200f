#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/pair/files.h"

char spool_place[PLACE_ROOM];

const char *spool_at(const char *name)
{
    static char path[2][2 * PLACE_ROOM];
    static int turn;
    turn = 1 - turn;
    assert_true((size_t)snprintf(path[turn], sizeof path[turn], "%s/%s", spool_place, name) < sizeof path[turn]);
    return path[turn];
}

void spool_fill(uint8_t *bytes, size_t size, uint64_t seed)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(base_random_mix(seed + i) >> 7);
}

uint8_t *spool_read(const char *path, size_t *ret_size)
{
    struct stat about;
    assert_int_equal(stat(path, &about), 0);
    uint8_t *bytes = pair_test_alloc((size_t)about.st_size, 1);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fread(bytes, 1, (size_t)about.st_size, file), (size_t)about.st_size);
    (void)fclose(file);
    *ret_size = (size_t)about.st_size;
    return bytes;
}

void spool_write(const char *path, const uint8_t *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

void spool_clear(const char *folder)
{
    char command[PLACE_ROOM + 32];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    assert_int_equal(system(command), 0);
}

int spool_open_place(void **state)
{
    (void)snprintf(spool_place, sizeof spool_place, "%s/cachet-spool-XXXXXX", getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
    (void)signal(SIGXFSZ, SIG_IGN);
    return mkdtemp(spool_place) == NULL || sodium_init() < 0;
}

int spool_close_place(void **state)
{
    spool_clear(spool_place);
    return 0;
}
