/* Log lines for operators: text or JSON, one line per event, with the request they belong to. Never secrets:
 * no prompt, token, share, key or seed is ever an argument. Control characters and broken UTF-8 become '?',
 * so that no peer's text can forge a line. */
#ifndef CACHET_BASE_LOG_H
#define CACHET_BASE_LOG_H

#include "base/status.h"

#include <stdbool.h>
#include <stdio.h>

enum base_log_level {
    BASE_LOG_ERROR,
    BASE_LOG_WARNING,
    BASE_LOG_INFO,
    BASE_LOG_DEBUG,
};

/* Where lines go. Zeroed, it drops them. Threads may share one. */
struct base_log {
    FILE *stream;              /* borrowed; NULL: nothing is written */
    enum base_log_level level; /* the most detailed level that is written */
    bool json;                 /* one JSON object per line */
    char who[32];              /* the party, as "P1" */
};

/* Parses "error", "warning", "info" or "debug". Errors: BASE_ERR_ARGUMENT. */
BASE_MUST_USE enum base_status base_log_level_parse(const char *text, enum base_log_level *ret,
                                                    struct base_error *error);

/* Writes one line. `request` is the id that all parties share for a request, or NULL. `log` may be NULL.
 * Text: 2026-01-31T12:00:00.123Z info P1 [request] message JSON:
 * {"time":..,"level":..,"who":..,"request":..,"message":..} */
__attribute__((format(printf, 4, 5))) void base_log_write(const struct base_log *log,
                                                          enum base_log_level level, const char *request,
                                                          const char *format, ...);

#endif
