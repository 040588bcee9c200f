/* What the three files that implement the config share: the file's text, and its values before they are
 * checked. Only they include this. */
#ifndef CACHET_PARTIES_CONFIG_RAW_H
#define CACHET_PARTIES_CONFIG_RAW_H

#include "parties/config.h"

/* The text, and what errors call it. */
struct config_source {
    const char *name;
    const uint8_t *data;
    size_t size;
};

/* Every value is text here, so that one place decides what a number is and words all errors. */
struct config_raw_party {
    char *address, *key;
};

struct config_raw_client {
    char *name, *key;
};

struct config_raw_parties {
    struct config_raw_party p0, p1, p2;
};

struct config_raw_model {
    char *digest, *plan, *shares;
};

struct config_raw_cache {
    char *policy, *sinks, *window; /* NULL where the file has none */
};

struct config_raw_limits {
    char *context, *connect_seconds, *step_seconds, *ahead_mib, *slots; /* NULL where the file has none */
};

struct config_raw_spool {
    char *most, *dry; /* NULL where the file has none */
};

struct config_raw {
    char *version, *mode;
    struct config_raw_parties parties;
    struct config_raw_client *clients;
    uint32_t clients_count;
    struct config_raw_model model;
    struct config_raw_cache cache;
    struct config_raw_limits limits;
    struct config_raw_spool spool;
};

/* Reads the structure: known keys, each once, no required one missing. The text is UTF-8 without NUL.
 * Errors: BASE_ERR_FORMAT, BASE_ERR_SUPPORT (another version), BASE_ERR_MEMORY. Free with party_raw_free. */
BASE_MUST_USE enum base_status party_raw_load(struct config_raw **ret, const struct config_source *source,
                                              struct base_error *error);
void party_raw_free(struct config_raw **raw);

/* Turns text into values and checks what holds between them. *ret is changed also on failure. */
BASE_MUST_USE enum base_status party_raw_convert(struct party_config *ret, const struct config_raw *raw,
                                                 const struct config_source *source,
                                                 struct base_error *error);

/* Line of a value that party_raw_load has read, by a path as "limits.context" or "clients[2].key" (which
 * gives the line where the second client begins); 0 when it cannot be told. */
size_t party_raw_line(const struct config_source *source, const char *path);

#endif
