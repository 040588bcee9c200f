/* The one configuration file that all parties and clients share: YAML of at most 40 lines or so, the same
 * bytes on every machine.
 *
 *     version: 1
 *     mode: three-party                # or two-party-with-dealer: the same protocol, P0 is called the dealer; or two-party: no p0 below
 *     parties:
 *       p0: {address: "10.0.0.10:7100", key: "<public key>"}
 *       p1: {address: "[2001:db8::1]:7100", key: "<public key>"}
 *       p2: {address: "p2.example.org:7100", key: "<public key>"}
 *     clients:                         # 1 to 64
 *       - {name: alice, key: "<public key>"}
 *     model: {digest: <64 hex digits>, plan: <64 hex digits>, shares: <16 to 64 hex digits>}
 *     cache: {policy: "select:budget=25:reuse=16"}     # optional: {policy: full}; {policy: window, sinks: 4, window: 256}
 *     spool: {most: 64, dry: make}     # optional, mode two-party: material made ahead of use (party --spool, cachet prepare)
 *     limits: {context: 2048, connect_seconds: 60, step_seconds: 30, ahead_mib: 256, slots: 4}   # all optional
 *
 * Keys stand in double quotes, as their characters mean something to YAML. An unknown key is an error, so
 * that a misspelled limit does not silently take its default. */
#ifndef CACHET_PARTIES_CONFIG_H
#define CACHET_PARTIES_CONFIG_H

#include "base/status.h"
#include "kvcache/policy.h"
#include "net/keys.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PARTY_CONFIG_PARTIES = 3,
    PARTY_CONFIG_CLIENTS = 64,        /* most clients */
    PARTY_CONFIG_SLOTS = 32,        /* most slots */
    PARTY_CONFIG_TEXTS = 64,        /* spool.most where the file has none */
    PARTY_CONFIG_PORTS = 3,           /* a party listens on port, port + 1, port + 2 */
    PARTY_CONFIG_BYTES = 1024 * 1024, /* largest file */
    PARTY_CONFIG_DIGEST = 32,
};

enum config_mode {
    CONFIG_THREE_PARTY,
    CONFIG_TWO_PARTY_WITH_DEALER,
    CONFIG_TWO_PARTY, /* P1 and P2 make what P0 deals elsewhere */
    CONFIG_MODES,
};

/* As the file writes them. */
const char *party_config_mode_name(enum config_mode mode);
/* False when there is no mode of that name; *ret is untouched then. */
bool party_config_find_mode(const char *name, enum config_mode *ret);

/* Parties are numbered from here: 1 where there is no P0, whose place in the config is zero then. */
int party_config_first(enum config_mode mode);

struct config_party {
    char host[256]; /* name or address; IPv6 without brackets */
    uint16_t port;  /* first of PARTY_CONFIG_PORTS */
    uint8_t key[NET_KEY_BYTES];
};

struct config_client {
    char name[33]; /* unique; lower-case letters, digits, '_', '-' */
    uint8_t key[NET_KEY_BYTES];
};

struct config_model {
    uint8_t digest[32]; /* of the model's files */
    uint8_t plan[32];   /* of the numeric plan */
    char shares[65];    /* id of the share set: 16 to 64 lower-case hex digits */
};

struct config_cache {
    char policy[KV_CONFIG_TEXT]; /* as kv_config_parse takes it */
    /* Of policy window, where they stand beside its name; else 0. */
    uint32_t sinks, window;
};

struct config_limits {
    uint32_t context;         /* positions of prompt and answer together */
    uint32_t connect_seconds; /* how long a party waits for its peers at start */
    uint32_t step_seconds;    /* how long one step may wait for a peer */
    uint32_t ahead_mib;       /* how far the dealer may run ahead, per link */
    uint32_t slots;           /* requests that run at the same time; each has a cache of its own */
};

/* What happens to a request for which no material was made ahead of use. */
enum config_dry {
    CONFIG_DRY_MAKE, /* each step's is made before it */
    CONFIG_DRY_REFUSE,
    CONFIG_DRIES,
};
const char *party_config_dry_name(enum config_dry dry);

struct config_spool {
    uint32_t most; /* texts that wait at the same time */
    enum config_dry dry;
};

struct party_config {
    enum config_mode mode;
    struct config_party parties[PARTY_CONFIG_PARTIES];
    struct config_client clients[PARTY_CONFIG_CLIENTS];
    size_t client_count;
    struct config_model model;
    struct config_cache cache;
    struct config_limits limits;
    struct config_spool spool; /* mode two-party; else zero */
};

/* Reads a file. Errors: BASE_ERR_IO (no such file, not a regular one); BASE_ERR_FORMAT (not UTF-8, not YAML,
 * a key or value that the format does not have, two equal keys, overlapping ports), BASE_ERR_SUPPORT (another
 * version), each naming file, line, field, value and what to do. Free with party_config_finish. */
BASE_MUST_USE enum base_status party_config_read(struct party_config *ret, const char *path,
                                                 struct base_error *error);
/* The same for text in memory; `name` stands for the file in errors. */
BASE_MUST_USE enum base_status party_config_parse(struct party_config *ret, const char *name,
                                                  const void *text, size_t size, struct base_error *error);
/* Accepts a zeroed config. */
void party_config_finish(struct party_config *config);

/* The text of such a file as party_config_write writes it; free with base_free. Errors: BASE_ERR_ARGUMENT, BASE_ERR_MEMORY. */
BASE_MUST_USE enum base_status party_config_text(const struct party_config *config, char **ret, size_t *ret_size,
                                                 struct base_error *error);

/* Writes a commented file that reads back as the same config, whole or not at all; replaces a file of that
 * name. Errors: BASE_ERR_ARGUMENT (a config that the file's rules forbid), BASE_ERR_IO. */
BASE_MUST_USE enum base_status party_config_write(const struct party_config *config, const char *path,
                                                  struct base_error *error);

/* SHA-256 over every field in the order of the structs above; two machines whose digests are equal agree on
 * all of it, addresses and the order of clients included. Comments and layout of the file do not count. */
void party_config_digest(const struct party_config *config, uint8_t ret[PARTY_CONFIG_DIGEST]);

enum config_who {
    CONFIG_NOBODY,
    CONFIG_PARTY,
    CONFIG_CLIENT,
};

struct config_owner {
    enum config_who who;
    size_t index; /* of the party (0 to 2) or in `clients`; 0 for nobody */
};

/* Whose public key this is. */
struct config_owner party_config_find_key(const struct party_config *config,
                                          const uint8_t key[NET_KEY_BYTES]);

/* The cache policy and its numbers. Errors: those of kv_config_parse. */
BASE_MUST_USE enum base_status party_config_policy(const struct party_config *config, const struct kv_policy **ret_policy,
                                                   struct kv_config *ret, struct base_error *error);

/* What logs and errors call a party: "P1"; P0 is "dealer" in mode two-party-with-dealer. */
const char *party_config_name(const struct party_config *config, size_t party);

#endif
