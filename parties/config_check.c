/* The values of the config file: what each text must be, and what must hold between them. */
#include "parties/config_raw.h"

#include "base/text.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum {
    PATH_ROOM = 64,
    OWNERS = PARTY_CONFIG_PARTIES + PARTY_CONFIG_CLIENTS,
};

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

/* "FILE: line 7: limits.context: " and the complaint. */
static enum base_status __attribute__((format(printf, 4, 5)))
refuse(const struct config_source *source, const char *path, struct base_error *error, const char *format,
       ...)
{
    char complaint[512];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(complaint, sizeof complaint, format, arguments);
    va_end(arguments);
    size_t line = party_raw_line(source, path);
    if (line == 0)
        return base_fail(error, BASE_ERR_FORMAT, "%s: %s: %s", source->name, path, complaint);
    return base_fail(error, BASE_ERR_FORMAT, "%s: line %zu: %s: %s", source->name, line, path, complaint);
}

/* The same, for a value that is not what it must be. */
static enum base_status refuse_value(const struct config_source *source, const char *path, const char *value,
                                     const char *wanted, struct base_error *error)
{
    char shown[96];
    base_text_clean(shown, sizeof shown, value, strlen(value));
    return refuse(source, path, error, "\"%s\" is not %s", shown, wanted);
}

/* Decimal digits only: what YAML 1.1 reads as octal, and what strtoul makes of signs, has no place here. */
static bool parse_number(const char *text, uint32_t least, uint32_t most, uint32_t *ret)
{
    size_t length = strlen(text);
    uint64_t value = 0;
    if (length == 0 || length > 10 || strspn(text, DIGITS) != length || (text[0] == '0' && length > 1))
        return false;
    for (; *text != '\0'; text++)
        value = 10 * value + (uint64_t)(*text - '0');
    if (value < least || value > most)
        return false;
    *ret = (uint32_t)value;
    return true;
}

/* A number that may be absent: *ret keeps its default then. */
static enum base_status take_number(const struct config_source *source, const char *path, const char *text,
                                    uint32_t least, uint32_t most, uint32_t *ret, struct base_error *error)
{
    char wanted[64];
    if (text == NULL || parse_number(text, least, most, ret))
        return BASE_OK;
    (void)snprintf(wanted, sizeof wanted, "a whole number from %u to %u", (unsigned)least, (unsigned)most);
    return refuse_value(source, path, text, wanted, error);
}

static enum base_status take_mode(const struct config_source *source, const char *text, enum config_mode *ret,
                                  struct base_error *error)
{
    if (!party_config_find_mode(text, ret))
        return refuse_value(source, "mode", text, "a mode: write three-party, two-party-with-dealer or two-party",
                            error);
    return BASE_OK;
}

static bool is_ipv6(const char *host)
{
    struct in6_addr address;
    char bare[256];
    size_t length = strcspn(host, "%"); /* what follows names an interface */
    (void)snprintf(bare, sizeof bare, "%.*s", (int)length, host);
    const char *zone = host + length;
    return inet_pton(AF_INET6, bare, &address) == 1 &&
           (zone[0] == '\0' ||
            (zone[1] != '\0' && strspn(zone + 1, LOWER UPPER DIGITS "._-") == strlen(zone + 1)));
}

static bool is_host(const char *host)
{
    struct in_addr address;
    size_t length = strlen(host);
    if (length == 0 || strspn(host, LOWER UPPER DIGITS "._-") != length)
        return false;
    /* Nothing but digits and dots is meant as an IPv4 address, and should be one. */
    return strspn(host, DIGITS ".") != length || inet_pton(AF_INET, host, &address) == 1;
}

static enum base_status take_address(const struct config_source *source, const char *path, const char *text,
                                     struct config_party *ret, struct base_error *error)
{
    const char *colon = strrchr(text, ':');
    bool bracketed = text[0] == '[';
    size_t length = colon == NULL ? 0 : (size_t)(colon - text);
    uint32_t port = 0;
    if (colon == NULL || length >= sizeof ret->host || (bracketed && (length < 2 || colon[-1] != ']')))
        return refuse_value(source, path, text, "an address: write \"host:port\" or \"[IPv6 address]:port\"",
                            error);
    if (bracketed)
        (void)snprintf(ret->host, sizeof ret->host, "%.*s", (int)length - 2, text + 1);
    else
        (void)snprintf(ret->host, sizeof ret->host, "%.*s", (int)length, text);
    if (!(bracketed ? is_ipv6(ret->host) : is_host(ret->host)))
        return refuse_value(
            source, path, text,
            "an address: before the port stands a host name, an IPv4 address, or an IPv6 address "
            "in brackets",
            error);
    if (!parse_number(colon + 1, 1, UINT16_MAX - PARTY_CONFIG_PORTS + 1, &port))
        return refuse_value(source, path, text,
                            "an address with a port from 1 to 65533 (a party listens on it and the next two)",
                            error);
    ret->port = (uint16_t)port;
    return BASE_OK;
}

static enum base_status take_key(const struct config_source *source, const char *path, const char *text,
                                 uint8_t ret[NET_KEY_BYTES], struct base_error *error)
{
    struct base_error reason = {0};
    if (text[0] == '\0')
        return refuse(source, path, error,
                      "is empty: write the public key that keygen prints, in double quotes");
    if (net_key_parse_text(text, ret, &reason) != BASE_OK)
        return refuse(source, path, error, "%s, in double quotes", reason.text);
    return BASE_OK;
}

static enum base_status take_name(const struct config_source *source, const char *path, const char *text,
                                  struct config_client *ret, struct base_error *error)
{
    size_t length = strlen(text);
    if (length == 0 || length >= sizeof ret->name || strspn(text, LOWER DIGITS "_-") != length)
        return refuse_value(source, path, text,
                            "a client's name: write 1 to 32 of lower-case letters, digits, '_' and '-'",
                            error);
    memcpy(ret->name, text, length + 1);
    return BASE_OK;
}

/* Hex digits of either case, as lower-case text. */
static enum base_status take_hex(const struct config_source *source, const char *path, const char *text,
                                 size_t least, char ret[65], struct base_error *error)
{
    char wanted[64];
    size_t length = strlen(text);
    if (length < least || length > 64 || strspn(text, DIGITS "abcdefABCDEF") != length) {
        (void)snprintf(wanted, sizeof wanted, least < 64 ? "%zu to 64 hex digits" : "%zu hex digits", least);
        return refuse_value(source, path, text, wanted, error);
    }
    for (size_t i = 0; i <= length; i++)
        ret[i] = text[i] >= 'A' && text[i] <= 'F' ? (char)(text[i] - 'A' + 'a') : text[i];
    return BASE_OK;
}

static enum base_status take_digest(const struct config_source *source, const char *path, const char *text,
                                    uint8_t ret[32], struct base_error *error)
{
    char hex[65];
    enum base_status status = take_hex(source, path, text, 64, hex, error);
    for (size_t i = 0; status == BASE_OK && i < 32; i++) {
        unsigned high = (unsigned)(hex[2 * i] <= '9' ? hex[2 * i] - '0' : hex[2 * i] - 'a' + 10);
        unsigned low = (unsigned)(hex[2 * i + 1] <= '9' ? hex[2 * i + 1] - '0' : hex[2 * i + 1] - 'a' + 10);
        ret[i] = (uint8_t)(high << 4 | low);
    }
    return status;
}

static enum base_status take_cache(const struct config_source *source, const struct config_raw *raw,
                                   struct config_cache *ret, struct base_error *error)
{
    const char *policy = raw->cache.policy == NULL ? "full" : raw->cache.policy;
    enum base_status status = BASE_OK;
    bool window = strcmp(policy, "window") == 0;
    const struct kv_policy *known;
    struct kv_config numbers;
    struct base_error reason = {0};
    if (strlen(policy) >= sizeof ret->policy ||
        kv_config_parse(policy, 0, &known, &numbers, &reason) != BASE_OK)
        return refuse(source, "cache.policy", error, "%s",
                      reason.text[0] != '\0' ? reason.text : "a policy of at most 159 characters");
    if (!window && raw->cache.sinks != NULL)
        return refuse(source, "cache.sinks", error, "belongs to policy window: remove it, or set the policy");
    if (!window && raw->cache.window != NULL)
        return refuse(source, "cache.window", error,
                      "belongs to policy window: remove it, or set the policy");
    if (window && raw->cache.sinks == NULL)
        return refuse(source, "cache", error, "cache.sinks is missing: policy window needs it, as sinks: 4");
    if (window && raw->cache.window == NULL)
        return refuse(source, "cache", error,
                      "cache.window is missing: policy window needs it, as window: 256");
    (void)snprintf(ret->policy, sizeof ret->policy, "%s", policy);
    TRY(take_number(source, "cache.sinks", raw->cache.sinks, 0, 1048576, &ret->sinks, error));
    TRY(take_number(source, "cache.window", raw->cache.window, 1, 1048576, &ret->window, error));
out:
    return status;
}

static enum base_status take_limits(const struct config_source *source, const struct config_raw *raw,
                                    struct config_limits *ret, struct base_error *error)
{
    enum base_status status;
    *ret = (struct config_limits){
        .context = 2048, .connect_seconds = 60, .step_seconds = 30, .ahead_mib = 256, .slots = 4};
    TRY(take_number(source, "limits.context", raw->limits.context, 1, 1048576, &ret->context, error));
    TRY(take_number(source, "limits.connect_seconds", raw->limits.connect_seconds, 1, 3600,
                    &ret->connect_seconds, error));
    TRY(take_number(source, "limits.step_seconds", raw->limits.step_seconds, 1, 3600, &ret->step_seconds,
                    error));
    TRY(take_number(source, "limits.ahead_mib", raw->limits.ahead_mib, 1, 65536, &ret->ahead_mib, error));
    TRY(take_number(source, "limits.slots", raw->limits.slots, 1, PARTY_CONFIG_SLOTS, &ret->slots, error));
out:
    return status;
}

static enum base_status take_spool(const struct config_source *source, const struct config_raw *raw, enum config_mode mode, struct config_spool *ret,
                                   struct base_error *error)
{
    enum { MOST = 4096 };
    enum base_status status = BASE_OK;
    *ret = (struct config_spool){.most = mode == CONFIG_TWO_PARTY ? PARTY_CONFIG_TEXTS : 0};
    if (mode != CONFIG_TWO_PARTY && (raw->spool.most != NULL || raw->spool.dry != NULL))
        return refuse(source, "spool", error, "belongs to mode two-party, where material is made ahead of use: remove it, or set the mode");
    TRY(take_number(source, "spool.most", raw->spool.most, 1, MOST, &ret->most, error));
    for (int dry = 0; raw->spool.dry != NULL; dry++) {
        if (dry == CONFIG_DRIES)
            return refuse_value(source, "spool.dry", raw->spool.dry, "make or refuse", error);
        ret->dry = (enum config_dry)dry;
        if (strcmp(raw->spool.dry, party_config_dry_name(ret->dry)) == 0)
            break;
    }
out:
    return status;
}

static enum base_status take_parties(const struct config_source *source, const struct config_raw *raw,
                                     struct party_config *ret, struct base_error *error)
{
    const struct config_raw_party *parties[] = {&raw->parties.p0, &raw->parties.p1, &raw->parties.p2};
    enum base_status status = BASE_OK;
    char path[PATH_ROOM];
    bool alone = ret->mode == CONFIG_TWO_PARTY;
    if (alone && parties[0]->address != NULL)
        return refuse(source, "parties.p0", error, "mode two-party has no P0: remove it, or choose another mode");
    TRY_THAT(alone || parties[0]->address != NULL, error, BASE_ERR_FORMAT, "%s: line %zu: parties.p0 is missing: add it", source->name,
             party_raw_line(source, "parties"));
    for (size_t i = alone; i < PARTY_CONFIG_PARTIES; i++) {
        (void)snprintf(path, sizeof path, "parties.p%zu.address", i);
        TRY(take_address(source, path, parties[i]->address, &ret->parties[i], error));
        (void)snprintf(path, sizeof path, "parties.p%zu.key", i);
        TRY(take_key(source, path, parties[i]->key, ret->parties[i].key, error));
    }
out:
    return status;
}

static enum base_status take_clients(const struct config_source *source, const struct config_raw *raw,
                                     struct party_config *ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    char path[PATH_ROOM];
    ret->client_count = raw->clients_count;
    for (size_t i = 0; i < ret->client_count; i++) {
        (void)snprintf(path, sizeof path, "clients[%zu].name", i + 1);
        TRY(take_name(source, path, raw->clients[i].name, &ret->clients[i], error));
        for (size_t j = 0; j < i; j++)
            if (strcmp(ret->clients[i].name, ret->clients[j].name) == 0)
                return refuse(source, path, error,
                              "\"%s\" is also the name of clients[%zu]: give every client a name of its own",
                              ret->clients[i].name, j + 1);
        (void)snprintf(path, sizeof path, "clients[%zu].key", i + 1);
        TRY(take_key(source, path, raw->clients[i].key, ret->clients[i].key, error));
    }
out:
    return status;
}

/* Party or client `i`, parties first: where its key stands, and the key. */
static const uint8_t *owner_key(const struct party_config *config, size_t i, char ret_path[PATH_ROOM])
{
    if (i < PARTY_CONFIG_PARTIES) {
        (void)snprintf(ret_path, PATH_ROOM, "parties.p%zu.key", i);
        return config->parties[i].key;
    }
    (void)snprintf(ret_path, PATH_ROOM, "clients[%zu].key", i - PARTY_CONFIG_PARTIES + 1);
    return config->clients[i - PARTY_CONFIG_PARTIES].key;
}

/* A key is who someone is, to every other party. */
static enum base_status check_keys(const struct config_source *source, const struct party_config *config,
                                   struct base_error *error)
{
    char path[PATH_ROOM], other[PATH_ROOM];
    size_t first = (size_t)party_config_first(config->mode);
    for (size_t i = first + 1; i < PARTY_CONFIG_PARTIES + config->client_count; i++) {
        const uint8_t *key = owner_key(config, i, path);
        for (size_t j = first; j < i; j++)
            if (memcmp(key, owner_key(config, j, other), NET_KEY_BYTES) == 0)
                return refuse(
                    source, path, error,
                    "%s%s%sis the same as %s: every party and every client needs a key of its own, made "
                    "with keygen",
                    i < PARTY_CONFIG_PARTIES ? "" : "the key of ",
                    i < PARTY_CONFIG_PARTIES ? "" : config->clients[i - PARTY_CONFIG_PARTIES].name,
                    i < PARTY_CONFIG_PARTIES ? "" : " ", other);
    }
    return BASE_OK;
}

static enum base_status check_ports(const struct config_source *source, const struct party_config *config,
                                    struct base_error *error)
{
    char path[PATH_ROOM];
    size_t first = (size_t)party_config_first(config->mode);
    for (size_t i = first + 1; i < PARTY_CONFIG_PARTIES; i++)
        for (size_t j = first; j < i; j++) {
            const struct config_party *a = &config->parties[i], *b = &config->parties[j];
            (void)snprintf(path, sizeof path, "parties.p%zu.address", i);
            if (strcmp(a->host, b->host) == 0 && a->port < b->port + PARTY_CONFIG_PORTS &&
                b->port < a->port + PARTY_CONFIG_PORTS)
                return refuse(
                    source, path, error,
                    "port %u of host \"%.64s\" overlaps port %u of parties.p%zu: a party listens on its "
                    "port and the next two, so keep them three apart",
                    a->port, a->host, b->port, j);
        }
    return BASE_OK;
}

enum base_status party_raw_convert(struct party_config *ret, const struct config_raw *raw,
                                   const struct config_source *source, struct base_error *error)
{
    enum base_status status;
    TRY(take_mode(source, raw->mode, &ret->mode, error));
    TRY(take_parties(source, raw, ret, error));
    TRY(take_clients(source, raw, ret, error));
    TRY(take_digest(source, "model.digest", raw->model.digest, ret->model.digest, error));
    TRY(take_digest(source, "model.plan", raw->model.plan, ret->model.plan, error));
    TRY(take_hex(source, "model.shares", raw->model.shares, 16, ret->model.shares, error));
    TRY(take_cache(source, raw, &ret->cache, error));
    TRY(take_limits(source, raw, &ret->limits, error));
    TRY(take_spool(source, raw, ret->mode, &ret->spool, error));
    TRY(check_keys(source, ret, error));
    TRY(check_ports(source, ret, error));
out:
    return status;
}
