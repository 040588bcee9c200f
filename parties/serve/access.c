#include "parties/serve/access.h"

#include "base/memory.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void hash_key(unsigned char ret[SERVE_KEY_HASH], const char *key, size_t size)
{
    (void)crypto_generichash(ret, SERVE_KEY_HASH, (const unsigned char *)key, size, NULL, 0);
}

static enum base_status add_line(struct serve_keys *keys, char *line, size_t number, const char *path,
                                 struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t size = strlen(line);
    while (size > 0 && strchr("\r\n \t", line[size - 1]) != NULL)
        size--;
    if (size == 0 || line[0] == '#')
        return BASE_OK;
    TRY_THAT(size >= SERVE_LEAST_KEY && size <= SERVE_MOST_KEY, error, BASE_ERR_FORMAT,
             "%s, line %zu: a key of %zu characters; keys have %d to %d (make one with `openssl rand -hex 24`)", path,
             number, size, SERVE_LEAST_KEY, SERVE_MOST_KEY);
    for (size_t i = 0; i < size; i++)
        TRY_THAT(line[i] > ' ' && line[i] < 127, error, BASE_ERR_FORMAT,
                 "%s, line %zu: character %zu of the key is a space or not ASCII; one key per line", path, number,
                 i + 1);
    TRY_THAT(keys->count < SERVE_MOST_KEYS, error, BASE_ERR_FORMAT, "%s, line %zu: more than %d keys", path, number,
             SERVE_MOST_KEYS);
    hash_key(keys->hashes[keys->count++], line, size);
out:
    return status;
}

enum base_status serve_keys_read(struct serve_keys *ret, const char *path, struct base_error *error)
{
    enum base_status status = BASE_OK;
    char *line = NULL;
    size_t capacity = 0, number = 0;
    FILE *file = fopen(path, "re");
    TRY_THAT(file != NULL, error, BASE_ERR_IO, "cannot read the API keys in %s: %s", path, strerror(errno));
    TRY(base_alloc(&ret->hashes, SERVE_MOST_KEYS, SERVE_KEY_HASH, error));
    while (getline(&line, &capacity, file) >= 0)
        TRY(add_line(ret, line, ++number, path, error));
    TRY_THAT(!ferror(file), error, BASE_ERR_IO, "cannot read the API keys in %s: %s", path, strerror(errno));
    TRY_THAT(ret->count > 0, error, BASE_ERR_FORMAT, "%s holds no API key: one per line", path);
out:
    if (line != NULL)
        base_wipe(line, capacity);
    free(line);
    if (file != NULL)
        (void)fclose(file);
    if (status != BASE_OK)
        serve_keys_finish(ret);
    return status;
}

void serve_keys_finish(struct serve_keys *keys)
{
    base_free_secret(&keys->hashes);
    keys->count = 0;
}

bool serve_keys_allow(const struct serve_keys *keys, const char *authorization)
{
    unsigned char hash[SERVE_KEY_HASH];
    int found = 0;
    if (keys->count == 0)
        return true;
    if (authorization == NULL || strncasecmp(authorization, "Bearer ", 7) != 0)
        return false;
    hash_key(hash, authorization + 7, strlen(authorization + 7));
    for (size_t i = 0; i < keys->count; i++)
        found |= sodium_memcmp(hash, keys->hashes[i], sizeof hash) == 0;
    return found != 0;
}

/* Length of what stands before the port. */
static size_t name_size(const char *host)
{
    if (host[0] == '[') {
        const char *end = strchr(host, ']');
        return end != NULL ? (size_t)(end - host) + 1 : strlen(host);
    }
    return strcspn(host, ":");
}

/* Nothing but digits may follow the colon. */
static bool port_is_good(const char *port)
{
    return *port == '\0' || (*port == ':' && port[1 + strspn(port + 1, "0123456789")] == '\0');
}

bool serve_host_is(const char *host, const char *name)
{
    if (host == NULL)
        return false;
    size_t size = name_size(host);
    return size == strlen(name) && strncasecmp(host, name, size) == 0 && port_is_good(host + size);
}

bool serve_host_is_local(const char *host)
{
    unsigned part[4];
    char name[64], after;
    if (serve_host_is(host, "localhost") || serve_host_is(host, "[::1]"))
        return true;
    size_t size = host != NULL ? name_size(host) : 0;
    if (size == 0 || size >= sizeof name || !port_is_good(host + size))
        return false;
    memcpy(name, host, size);
    name[size] = '\0';
    /* Digits and dots alone: sscanf would take signs and spaces. */
    return strspn(name, "0123456789.") == size &&
           sscanf(name, "%3u.%3u.%3u.%3u%c", &part[0], &part[1], &part[2], &part[3], &after) == 4 && part[0] == 127;
}

bool serve_origin_is_own(const char *origin, const char *host)
{
    if (origin == NULL)
        return true;
    size_t scheme = strncmp(origin, "http://", 7) == 0 ? 7 : strncmp(origin, "https://", 8) == 0 ? 8 : 0;
    return scheme != 0 && host != NULL && strcasecmp(origin + scheme, host) == 0;
}
