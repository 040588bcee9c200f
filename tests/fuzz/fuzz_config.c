/* Fuzzes the reader of the shared config file. What it accepts must come back the same from the writer. */
#include "parties/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Writes and reads back; the digests agree. */
static void round_trip(const struct party_config *config)
{
    struct party_config again;
    struct base_error error = {0};
    uint8_t before[PARTY_CONFIG_DIGEST], after[PARTY_CONFIG_DIGEST];
    char path[] = P_tmpdir "/cachet-fuzz-config-XXXXXX";
    int file = mkstemp(path);
    if (file < 0)
        return;
    if (party_config_write(config, path, &error) != BASE_OK ||
        party_config_read(&again, path, &error) != BASE_OK) {
        (void)fprintf(stderr, "%s\n", error.text);
        abort();
    }
    party_config_digest(config, before);
    party_config_digest(&again, after);
    if (memcmp(before, after, sizeof before) != 0)
        abort();
    party_config_finish(&again);
    (void)close(file);
    (void)unlink(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct party_config config = {.client_count = 77};
    struct base_error error = {0};
    enum base_status status = party_config_parse(&config, "fuzz", data, size, &error);
    if (status == BASE_OK) {
        round_trip(&config);
    } else {
        /* A failure has its text, one line, and leaves the output alone. */
        if (error.code != status || error.text[0] == '\0' || strchr(error.text, '\n') != NULL ||
            strncmp(error.text, "fuzz: ", 6) != 0 || config.client_count != 77)
            abort();
    }
    party_config_finish(&config);
    return 0;
}
