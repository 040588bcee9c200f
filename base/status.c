#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *base_status_name(enum base_status status)
{
    switch (status) {
    case BASE_OK:
        return "ok";
    case BASE_ERR_ARGUMENT:
        return "argument";
    case BASE_ERR_MEMORY:
        return "memory";
    case BASE_ERR_IO:
        return "io";
    case BASE_ERR_FORMAT:
        return "format";
    case BASE_ERR_SUPPORT:
        return "support";
    case BASE_ERR_RANGE:
        return "range";
    case BASE_ERR_PEER:
        return "peer";
    case BASE_ERR_MISMATCH:
        return "mismatch";
    case BASE_ERR_TIMEOUT:
        return "timeout";
    case BASE_ERR_CLOSED:
        return "closed";
    case BASE_ERR_INTERNAL:
        return "internal";
    }
    return "unknown";
}

int base_status_exit_code(enum base_status status)
{
    /* 1 is left to the shell and to abort paths outside our control. */
    return status == BASE_OK ? 0 : (int)status + 1;
}

enum base_status base_fail(struct base_error *error, enum base_status code, const char *format, ...)
{
    if (error == NULL || error->code != BASE_OK)
        return code;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    error->code = code;
    return code;
}

void base_error_prefix(struct base_error *error, const char *format, ...)
{
    if (error == NULL || error->code == BASE_OK)
        return;
    char text[sizeof error->text];
    va_list arguments;
    va_start(arguments, format);
    int used = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (used < 0 || (size_t)used >= sizeof text)
        return;
    (void)snprintf(text + used, sizeof text - (size_t)used, ": %.*s", (int)(sizeof text - 3 - (size_t)used),
                   error->text);
    memcpy(error->text, text, sizeof text);
}
