/* Fuzzes what reads a file of material made ahead of use (pair/text.h). The first byte says whether the input is the file as it is, or what is sealed in
 * one: what it is about, then its stream, so that the fuzzer gets behind the seals. A folder that holds it is looked through, and its steps are read. */
#include "base/memory.h"
#include "pair/spool.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LARGEST = 1 << 20, MOST_STEPS = 1000 };

static const uint8_t key[PAIR_SEALED_KEY] = {3, 1, 4};
static char folder[64], path[128];

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void remove_folder(void)
{
    (void)unlink(path);
    (void)rmdir(folder);
}

static void write_raw(const uint8_t *data, size_t size)
{
    FILE *file = fopen(path, "wb");
    check(file != NULL && fwrite(data, 1, size, file) == size && fclose(file) == 0 && chmod(path, 0600) == 0);
}

static void write_sealed(const uint8_t *data, size_t size)
{
    uint8_t about[PAIR_SEALED_ABOUT] = {0};
    struct pair_sealed *file = NULL;
    size_t first = size < sizeof about ? size : sizeof about;
    if (first > 0)
        memcpy(about, data, first);
    check(pair_sealed_create(&file, path, key, NULL) == BASE_OK && pair_sealed_put(file, data + first, size - first, NULL) == BASE_OK);
    check(pair_sealed_close(file, about, NULL) == BASE_OK && pair_sealed_place(&file, NULL) == BASE_OK);
}

/* A failure has one line of text, and a success none. */
static void judge(enum base_status status, const struct base_error *error)
{
    check((status == BASE_OK) == (error->text[0] == '\0') && error->code == status && strchr(error->text, '\n') == NULL);
}

static void read_steps(void)
{
    struct base_error error = {0};
    struct pair_text text;
    struct pair_text_keys keys;
    struct pair_tape *tape = NULL;
    enum base_status status = pair_text_use(&text, path, key, &keys, &error);
    judge(status, &error);
    if (status != BASE_OK)
        return;
    check(pair_tape_create(&tape, NULL) == BASE_OK);
    for (int step = 0; status == BASE_OK && step < MOST_STEPS; step++) {
        status = pair_text_load(&text, tape, 1, 1, &error);
        judge(status, &error);
        check(pair_tape_size(tape) <= LARGEST);
        pair_tape_drop(tape);
    }
    pair_text_finish(&text);
    pair_tape_destroy(&tape);
    check(access(path, F_OK) != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool made = false;
    char hex[2 * PAIR_TEXT_ID + 1];
    if (size < 1 || size > LARGEST)
        return 0;
    if (!made) /* in memory, where syncing costs nothing, if there is such a place */
        (void)snprintf(folder, sizeof folder, "%s/cachet-fuzz-spool-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : P_tmpdir);
    if (!made)
        check(sodium_init() >= 0 && mkdtemp(folder) != NULL && atexit(remove_folder) == 0);
    made = true;
    bool raw = (data[0] & 1) != 0;
    data++;
    size--;
    /* Under the name that goes with what it says of itself. */
    uint8_t id[PAIR_TEXT_ID] = {0};
    if (!raw && size >= 20)
        memcpy(id, data + 4, sizeof id);
    (void)sodium_bin2hex(hex, sizeof hex, id, sizeof id);
    (void)snprintf(path, sizeof path, "%s/%s.text", folder, hex);
    if (raw)
        write_raw(data, size);
    else
        write_sealed(data, size);
    struct pair_spool_config own = {.directory = folder, .party = 1, .most = 4};
    struct pair_spool spool;
    struct base_error error = {0};
    memcpy(own.key, key, sizeof key);
    enum base_status status = pair_spool_survey(&spool, &own, &error);
    judge(status, &error);
    check(status == BASE_OK && spool.count + spool.aside <= 1);
    pair_spool_close(&spool);
    read_steps();
    (void)unlink(path);
    return 0;
}
