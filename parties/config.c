/* The config file as a whole: reading it, writing it, its digest, and whose key is whose. */
#include "parties/config.h"

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "parties/config_raw.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* NUL, other control characters and broken UTF-8 would reach errors and logs, and hide what a file says. */
static enum base_status check_text(const struct config_source *source, struct base_error *error)
{
    size_t line = 1;
    for (size_t at = 0; at < source->size;) {
        uint8_t byte = source->data[at];
        size_t length = base_text_printable(source->data + at, source->size - at);
        if (byte == '\n' || byte == '\r' || byte == '\t')
            length = 1;
        line += byte == '\n';
        if (length == 0)
            return base_fail(
                error, BASE_ERR_FORMAT,
                "%s: line %zu: byte 0x%02x at offset %zu is not printable UTF-8 text: save the file as "
                "plain UTF-8",
                source->name, line, byte, at);
        at += length;
    }
    return BASE_OK;
}

enum base_status party_config_parse(struct party_config *ret, const char *name, const void *text, size_t size,
                                    struct base_error *error)
{
    const struct config_source source = {.name = name, .data = text, .size = size};
    struct party_config config = {0};
    struct config_raw *raw = NULL;
    enum base_status status;
    TRY_THAT(size <= PARTY_CONFIG_BYTES, error, BASE_ERR_FORMAT,
             "%s: has %zu bytes, and a config has at most %d: is this the right file?", name, size,
             PARTY_CONFIG_BYTES);
    TRY(check_text(&source, error));
    TRY(party_raw_load(&raw, &source, error));
    TRY(party_raw_convert(&config, raw, &source, error));
    *ret = config;
out:
    party_raw_free(&raw);
    return status;
}

enum base_status party_config_read(struct party_config *ret, const char *path, struct base_error *error)
{
    struct base_file file = {0};
    enum base_status status;
    TRY(base_file_map(&file, path, error));
    TRY(party_config_parse(ret, path, file.data, file.size, error));
out:
    base_file_unmap(&file);
    return status;
}

void party_config_finish(struct party_config *config)
{
    *config = (struct party_config){0};
}

const char *party_config_mode_name(enum config_mode mode)
{
    static const char *const names[CONFIG_MODES] = {"three-party", "two-party-with-dealer", "two-party"};
    return names[mode < CONFIG_MODES ? mode : CONFIG_THREE_PARTY];
}

int party_config_first(enum config_mode mode)
{
    return mode == CONFIG_TWO_PARTY;
}

const char *party_config_dry_name(enum config_dry dry)
{
    static const char *const names[CONFIG_DRIES] = {"make", "refuse"};
    return names[dry];
}

bool party_config_find_mode(const char *name, enum config_mode *ret)
{
    for (enum config_mode mode = CONFIG_THREE_PARTY; mode < CONFIG_MODES; mode++)
        if (strcmp(name, party_config_mode_name(mode)) == 0) {
            *ret = mode;
            return true;
        }
    return false;
}

/* The text of a config, and how much of it is there. */
struct text {
    char bytes[16384];
    size_t used;
};

static void __attribute__((format(printf, 2, 3))) add(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text->bytes + text->used, sizeof text->bytes - text->used, format, arguments);
    va_end(arguments);
    text->used += size > 0 ? (size_t)size : 0;
    if (text->used >= sizeof text->bytes) /* cut: reading it back will show it */
        text->used = sizeof text->bytes - 1;
}

static void add_parties(struct text *text, const struct party_config *config)
{
    char key[NET_KEY_TEXT];
    add(text, "\nparties:  # a party listens on its port and the next two\n");
    for (size_t i = (size_t)party_config_first(config->mode); i < PARTY_CONFIG_PARTIES; i++) {
        const struct config_party *party = &config->parties[i];
        bool ipv6 = memchr(party->host, ':', sizeof party->host) != NULL;
        net_key_write_text(party->key, key);
        add(text, "  p%zu: {address: \"%s%.255s%s:%u\", key: \"%s\"}\n", i, ipv6 ? "[" : "", party->host,
            ipv6 ? "]" : "", party->port, key);
    }
    add(text, "\nclients:  # who may ask\n");
    for (size_t i = 0; i < config->client_count; i++) {
        net_key_write_text(config->clients[i].key, key);
        add(text, "  - {name: \"%.32s\", key: \"%s\"}\n", config->clients[i].name, key);
    }
}

static void add_rest(struct text *text, const struct party_config *config)
{
    const struct config_limits *limits = &config->limits;
    char digest[65], plan[65];
    (void)sodium_bin2hex(digest, sizeof digest, config->model.digest, sizeof config->model.digest);
    (void)sodium_bin2hex(plan, sizeof plan, config->model.plan, sizeof config->model.plan);
    add(text, "\nmodel:  # digests of the model and of its numeric plan, id of the share set\n");
    add(text, "  digest: \"%s\"\n  plan: \"%s\"\n  shares: \"%.64s\"\n", digest, plan, config->model.shares);
    if (config->cache.sinks == 0 && config->cache.window == 0)
        add(text, "\ncache: {policy: \"%s\"}\n", config->cache.policy);
    else
        add(text, "\ncache: {policy: \"%s\", sinks: %u, window: %u}\n", config->cache.policy,
            (unsigned)config->cache.sinks, (unsigned)config->cache.window);
    add(text, "\nlimits:\n");
    add(text, "  context: %u  # positions of prompt and answer together\n", (unsigned)limits->context);
    add(text, "  connect_seconds: %u  # wait for peers at start\n", (unsigned)limits->connect_seconds);
    add(text, "  step_seconds: %u  # wait for a peer in one step\n", (unsigned)limits->step_seconds);
    add(text, "  ahead_mib: %u  # how far the dealer may run ahead, per link\n", (unsigned)limits->ahead_mib);
    add(text, "  slots: %u  # requests at the same time, in the rounds of one\n", (unsigned)limits->slots);
    if (config->mode == CONFIG_TWO_PARTY)
        add(text, "\nspool: {most: %u, dry: %s}  # material made ahead of use: texts that wait; what happens when none does, make or refuse\n",
            (unsigned)config->spool.most, party_config_dry_name(config->spool.dry));
}

/* The canonical file. Whether the config is one that may be written is asked of the reader: it must give back
 * what was put in, so that no second list of rules can differ from the first. */
static enum base_status render(struct text *text, const struct party_config *config, struct base_error *error)
{
    struct party_config again;
    struct base_error reason = {0};
    uint8_t wanted[PARTY_CONFIG_DIGEST], got[PARTY_CONFIG_DIGEST];
    text->used = 0;
    if (config->client_count > PARTY_CONFIG_CLIENTS)
        return base_fail(error, BASE_ERR_ARGUMENT,
                         "the config cannot be written: it has %zu clients, at most %d", config->client_count,
                         PARTY_CONFIG_CLIENTS);
    add(text, "# cachet: the same file for every party and every client. Peers compare its digest when they "
              "connect.\nversion: 1\n");
    add(text, "mode: %s\n", party_config_mode_name(config->mode));
    add_parties(text, config);
    add_rest(text, config);
    enum base_status status = party_config_parse(&again, "config", text->bytes, text->used, &reason);
    if (status == BASE_ERR_MEMORY)
        return base_fail(error, status, "%s", reason.text);
    if (status != BASE_OK)
        return base_fail(error, BASE_ERR_ARGUMENT, "the config cannot be written: %s", reason.text);
    party_config_digest(config, wanted);
    party_config_digest(&again, got);
    if (memcmp(wanted, got, sizeof got) != 0)
        return base_fail(error, BASE_ERR_ARGUMENT,
                         "the config cannot be written: it would read back with other values");
    return BASE_OK;
}

enum base_status party_config_text(const struct party_config *config, char **ret, size_t *ret_size,
                                   struct base_error *error)
{
    struct text *text = NULL;
    enum base_status status;
    TRY(base_alloc(&text, 1, sizeof *text, error));
    TRY(render(text, config, error));
    TRY(base_alloc(ret, text->used + 1, 1, error));
    memcpy(*ret, text->bytes, text->used + 1);
    *ret_size = text->used;
out:
    base_free(&text);
    return status;
}

enum base_status party_config_write(const struct party_config *config, const char *path,
                                    struct base_error *error)
{
    char *text = NULL;
    size_t size = 0;
    enum base_status status;
    TRY(party_config_text(config, &text, &size, error));
    TRY(base_file_replace(path, text, size, error));
out:
    base_free(&text);
    return status;
}

static void hash_number(crypto_hash_sha256_state *state, uint64_t value)
{
    uint8_t bytes[8];
    base_store_u64(bytes, value);
    crypto_hash_sha256_update(state, bytes, sizeof bytes);
}

/* With its length, so that no two lists of texts run together. */
static void hash_text(crypto_hash_sha256_state *state, const char *text, size_t room)
{
    size_t length = strnlen(text, room);
    hash_number(state, length);
    crypto_hash_sha256_update(state, (const uint8_t *)text, length);
}

void party_config_digest(const struct party_config *config, uint8_t ret[PARTY_CONFIG_DIGEST])
{
    static const char tag[] = "cachet config 1";
    const uint32_t numbers[] = {config->cache.sinks,         config->cache.window,
                                config->limits.context,      config->limits.connect_seconds,
                                config->limits.step_seconds, config->limits.ahead_mib,
                                config->limits.slots,        config->spool.most,
                                (uint32_t)config->spool.dry};
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    hash_text(&state, tag, sizeof tag);
    hash_number(&state, (uint64_t)config->mode);
    for (size_t i = 0; i < PARTY_CONFIG_PARTIES; i++) {
        hash_text(&state, config->parties[i].host, sizeof config->parties[i].host);
        hash_number(&state, config->parties[i].port);
        crypto_hash_sha256_update(&state, config->parties[i].key, NET_KEY_BYTES);
    }
    hash_number(&state, config->client_count);
    for (size_t i = 0; i < config->client_count; i++) {
        hash_text(&state, config->clients[i].name, sizeof config->clients[i].name);
        crypto_hash_sha256_update(&state, config->clients[i].key, NET_KEY_BYTES);
    }
    crypto_hash_sha256_update(&state, config->model.digest, sizeof config->model.digest);
    crypto_hash_sha256_update(&state, config->model.plan, sizeof config->model.plan);
    hash_text(&state, config->model.shares, sizeof config->model.shares);
    hash_text(&state, config->cache.policy, sizeof config->cache.policy);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        hash_number(&state, numbers[i]);
    crypto_hash_sha256_final(&state, ret);
}

struct config_owner party_config_find_key(const struct party_config *config, const uint8_t key[NET_KEY_BYTES])
{
    for (size_t i = (size_t)party_config_first(config->mode); i < PARTY_CONFIG_PARTIES; i++)
        if (memcmp(config->parties[i].key, key, NET_KEY_BYTES) == 0)
            return (struct config_owner){.who = CONFIG_PARTY, .index = i};
    for (size_t i = 0; i < config->client_count; i++)
        if (memcmp(config->clients[i].key, key, NET_KEY_BYTES) == 0)
            return (struct config_owner){.who = CONFIG_CLIENT, .index = i};
    return (struct config_owner){.who = CONFIG_NOBODY};
}

const char *party_config_name(const struct party_config *config, size_t party)
{
    static const char *const names[PARTY_CONFIG_PARTIES] = {"P0", "P1", "P2"};
    if (party == 0 && config->mode == CONFIG_TWO_PARTY_WITH_DEALER)
        return "dealer";
    return party < PARTY_CONFIG_PARTIES ? names[party] : "nobody";
}

enum base_status party_config_policy(const struct party_config *config, const struct kv_policy **ret_policy, struct kv_config *ret,
                                     struct base_error *error)
{
    enum base_status status = BASE_OK;
    TRY(kv_config_parse(config->cache.policy, 0, ret_policy, ret, error));
    if (config->cache.window != 0) {
        ret->value[KV_SINKS] = config->cache.sinks;
        ret->value[KV_WINDOW] = config->cache.window;
    }
out:
    return status;
}
