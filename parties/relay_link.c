#include "parties/relay_link.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct relay_preset presets[] = {
    {"loopback", {{0, 0}, {0, 0}, {0, 0}}},     {"lan", {{0.5, 0.5}, {0, 0}, {5000, 5000}}},
    {"man", {{5, 5}, {0, 0}, {1000, 1000}}},    {"wan", {{20, 20}, {0, 0}, {100, 100}}},
    {"wan100", {{20, 20}, {0, 0}, {100, 100}}}, {"wan400", {{20, 20}, {0, 0}, {400, 400}}}};
enum { PRESETS = sizeof presets / sizeof *presets };

enum { RTT, JITTER, MBIT, KEYS };
static const struct {
    const char *name, *unit;
    double least, most;
} keys[KEYS] = {{"rtt", "milliseconds", 0, 10000},
                {"jitter", "milliseconds", 0, 5000},
                {"mbit", "10^6 bits per second", 0.001, 400000}};

static const double MIB = 1 << 20;
static const double BOUND_LEAST_MIB = 1, BOUND_MOST_MIB = 64, BOUND_ROUND_TRIPS = 4;
static const double BYTES_PER_MBIT_MS = 1e6 / 8 / 1000;

const struct relay_preset *relay_preset_at(size_t i)
{
    return i < PRESETS ? &presets[i] : NULL;
}

/* --- links ----------------------------------------------------------------------------------------- */

/* What was given for each direction; NaN: nothing. */
struct given {
    double value[2][KEYS];
};

static enum base_status refuse_word(const char *text, struct base_error *error)
{
    char names[128] = "";
    size_t at = 0;
    for (size_t i = 0; i < PRESETS && at < sizeof names; i++)
        at += (size_t)snprintf(names + at, sizeof names - at, "%s%s", i > 0 ? ", " : "", presets[i].name);
    return base_fail(error, BASE_ERR_ARGUMENT, "\"%s\" is neither KEY=VALUE nor a preset; the presets: %s",
                     text, names);
}

static enum base_status read_part(const char *part, size_t size, struct given *given,
                                  struct base_error *error)
{
    char text[64];
    if (size >= sizeof text)
        return base_fail(error, BASE_ERR_ARGUMENT, "\"%.40s...\" is no KEY=VALUE", part);
    (void)snprintf(text, sizeof text, "%.*s", (int)size, part);
    bool back = strncmp(text, "back-", 5) == 0;
    char *key = text + (back ? 5 : 0), *value = strchr(text, '=');
    if (value == NULL)
        return refuse_word(text, error);
    *value++ = '\0';
    int k = 0;
    while (k < KEYS && strcmp(keys[k].name, key) != 0)
        k++;
    if (k == KEYS)
        return base_fail(
            error, BASE_ERR_ARGUMENT,
            "unknown key \"%s\": the keys are rtt, jitter, mbit, back-rtt, back-jitter and back-mbit", text);
    if (!isnan(given->value[back][k]))
        return base_fail(error, BASE_ERR_ARGUMENT, "%s is given twice: keep one", text);
    char *end = value;
    double number = strtod(value, &end);
    /* Digits and a point only: no sign, exponent, hexadecimal, infinity. */
    if (*value == '\0' || *end != '\0' || strspn(value, "0123456789.") != strlen(value) ||
        !(number >= keys[k].least && number <= keys[k].most))
        return base_fail(error, BASE_ERR_ARGUMENT, "%s is \"%s\": must be a number of %g to %g (%s)", text,
                         value, keys[k].least, keys[k].most, keys[k].unit);
    given->value[back][k] = number;
    return BASE_OK;
}

static double or_else(double value, double otherwise)
{
    return isnan(value) ? otherwise : value;
}

/* Bytes that are under way at once when the link is busy. */
static double bytes_under_way(const struct relay_link *link, int d)
{
    return link->mbit[d] * BYTES_PER_MBIT_MS * (link->delay_ms[d] + link->jitter_ms[d]);
}

static enum base_status check(const struct relay_link *link, struct base_error *error)
{
    for (int d = 0; d < 2; d++) {
        const char *back = d == 1 ? "back-" : "";
        if (link->jitter_ms[d] > link->delay_ms[d])
            return base_fail(error, BASE_ERR_ARGUMENT,
                             "%sjitter is %g: must not be above the one-way delay, half of %srtt, %g", back,
                             link->jitter_ms[d], back, link->delay_ms[d]);
        if (2 * bytes_under_way(link, d) > BOUND_MOST_MIB * MIB)
            return base_fail(
                error, BASE_ERR_ARGUMENT,
                "%smbit is %g: with a one-way delay of %g ms %.0f MiB are under way at once, and "
                "the relay holds %.0f: must be at most half of that",
                back, link->mbit[d], link->delay_ms[d], bytes_under_way(link, d) / MIB, BOUND_MOST_MIB);
    }
    return BASE_OK;
}

static enum base_status read_parts(const char *text, struct relay_link *ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct given given;
    struct relay_link link;
    for (int i = 0; i < 2 * KEYS; i++)
        given.value[i / KEYS][i % KEYS] = NAN;
    for (const char *part = text;; part += strcspn(part, ":") + 1) {
        size_t size = strcspn(part, ":");
        TRY(read_part(part, size, &given, error));
        if (part[size] == '\0')
            break;
    }
    for (int d = 0; d < 2; d++) {
        const double *first = given.value[0], *own = given.value[d];
        link.delay_ms[d] = or_else(own[RTT], or_else(first[RTT], 0)) / 2;
        link.jitter_ms[d] = or_else(own[JITTER], or_else(first[JITTER], 0));
        link.mbit[d] = or_else(own[MBIT], or_else(first[MBIT], 0));
    }
    TRY(check(&link, error));
    *ret = link;
out:
    return status;
}

enum base_status relay_link_parse(const char *text, struct relay_link *ret, struct base_error *error)
{
    for (size_t i = 0; i < PRESETS; i++)
        if (strcmp(text, presets[i].name) == 0) {
            *ret = presets[i].link;
            return BASE_OK;
        }
    enum base_status status = read_parts(text, ret, error);
    if (status != BASE_OK && error != NULL)
        base_error_prefix(error, "link \"%.100s\"", text);
    return status;
}

void relay_link_print(const struct relay_link *link, char ret_text[RELAY_LINK_TEXT])
{
    size_t at = 0;
    ret_text[0] = '\0';
    for (int i = 0; i < 2 * KEYS; i++) {
        int d = i / KEYS, k = i % KEYS;
        double both[2][KEYS] = {{2 * link->delay_ms[0], link->jitter_ms[0], link->mbit[0]},
                                {2 * link->delay_ms[1], link->jitter_ms[1], link->mbit[1]}};
        double value = both[d][k], other = d == 0 ? 0 : both[0][k];
        if (value == other)
            continue;
        char number[40];
        (void)snprintf(number, sizeof number, "%.15g", value);
        if (strtod(number, NULL) != value || strchr(number, 'e') != NULL)
            (void)snprintf(number, sizeof number, "%.20f", value);
        at += (size_t)snprintf(ret_text + at, RELAY_LINK_TEXT - at, "%s%s%s=%s", at > 0 ? ":" : "",
                               d == 1 ? "back-" : "", keys[k].name, number);
    }
    if (at == 0)
        (void)snprintf(ret_text, RELAY_LINK_TEXT, "loopback");
}

size_t relay_link_bound(const struct relay_link *link, int direction)
{
    double round_trip = link->delay_ms[0] + link->delay_ms[1];
    double bytes = link->mbit[direction] == 0 && round_trip > 0
                       ? BOUND_MOST_MIB * MIB
                       : BOUND_ROUND_TRIPS * link->mbit[direction] * BYTES_PER_MBIT_MS * round_trip;
    return (size_t)fmin(fmax(bytes, BOUND_LEAST_MIB * MIB), BOUND_MOST_MIB * MIB);
}

/* --- maps ------------------------------------------------------------------------------------------ */

static bool read_end(const char *text, size_t size, struct relay_end *ret)
{
    char copy[RELAY_HOST + 10];
    if (size >= sizeof copy)
        return false;
    (void)snprintf(copy, sizeof copy, "%.*s", (int)size, text);
    char *colon = strrchr(copy, ':'), *host = copy;
    if (colon == NULL || strlen(colon + 1) > 5 || strspn(colon + 1, "0123456789") != strlen(colon + 1))
        return false;
    unsigned long port = strtoul(colon + 1, NULL, 10);
    *colon = '\0';
    size_t length = strlen(host);
    bool bracketed = length > 2 && host[0] == '[' && host[length - 1] == ']';
    if (bracketed) {
        host[length - 1] = '\0';
        host++;
    }
    if (*host == '\0' || strlen(host) >= RELAY_HOST || strpbrk(host, bracketed ? "[]" : "[]:") != NULL ||
        port == 0 || port > UINT16_MAX)
        return false;
    memcpy(ret->host, host, strlen(host) + 1);
    ret->port = (uint16_t)port;
    return true;
}

static enum base_status read_map(const char *text, size_t size, struct relay_map *ret,
                                 struct base_error *error)
{
    const char *equals = memchr(text, '=', size);
    size_t left = equals == NULL ? 0 : (size_t)(equals - text);
    if (equals == NULL || !read_end(text, left, &ret->listen) ||
        !read_end(equals + 1, size - left - 1, &ret->to))
        return base_fail(
            error, BASE_ERR_ARGUMENT,
            "map \"%.*s\": must be HOST:PORT=HOST:PORT, where to listen and where to connect to, "
            "ports from 1 to 65535, IPv6 addresses in brackets",
            (int)(size < 200 ? size : 200), text);
    if (ret->listen.port == ret->to.port && strcmp(ret->listen.host, ret->to.host) == 0)
        return base_fail(error, BASE_ERR_ARGUMENT, "map \"%.*s\": leads to itself", (int)size, text);
    return BASE_OK;
}

enum base_status relay_map_parse(const char *text, struct relay_map *ret, size_t *ret_count,
                                 struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct relay_map maps[RELAY_MAPS_MOST];
    size_t count = 0;
    for (const char *part = text;; part++) {
        size_t size = strcspn(part, ",");
        TRY_THAT(count < RELAY_MAPS_MOST, error, BASE_ERR_ARGUMENT, "more than %d maps: run several relays",
                 RELAY_MAPS_MOST);
        TRY(read_map(part, size, &maps[count++], error));
        part += size;
        if (*part == '\0')
            break;
    }
    memcpy(ret, maps, count * sizeof *maps);
    *ret_count = count;
out:
    return status;
}

void relay_end_print(const struct relay_end *end, char ret_text[RELAY_HOST + 10])
{
    bool bracketed = strchr(end->host, ':') != NULL;
    (void)snprintf(ret_text, RELAY_HOST + 10, bracketed ? "[%s]:%u" : "%s:%u", end->host,
                   (unsigned)end->port);
}
