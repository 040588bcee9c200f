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

const char *base_status_meaning(enum base_status status)
{
    static const char *const meanings[] = {
        [BASE_OK] = "good",
        [BASE_ERR_ARGUMENT] = "a flag or a request makes no sense",
        [BASE_ERR_MEMORY] = "too little memory",
        [BASE_ERR_IO] = "a file, a directory or an address cannot be used",
        [BASE_ERR_FORMAT] = "a file's content is malformed",
        [BASE_ERR_SUPPORT] = "well-formed, but not supported",
        [BASE_ERR_RANGE] = "a value is out of range",
        [BASE_ERR_PEER] = "a peer broke the protocol",
        [BASE_ERR_MISMATCH] = "two ends, or a file and a config, disagree",
        [BASE_ERR_TIMEOUT] = "a deadline passed",
        [BASE_ERR_CLOSED] = "a peer has gone, or the program was asked to stop",
        [BASE_ERR_INTERNAL] = "a fault of the program",
    };
    return (size_t)status < sizeof meanings / sizeof *meanings ? meanings[status] : NULL;
}

int base_status_exit_code(enum base_status status)
{
    /* 1 is left to the shell and to abort paths outside our control. */
    return status == BASE_OK ? 0 : (int)status + 1;
}

enum base_status base_status_of_exit_code(int code)
{
    for (int status = BASE_OK; status <= BASE_ERR_INTERNAL; status++)
        if (base_status_exit_code((enum base_status)status) == code)
            return (enum base_status)status;
    return BASE_ERR_INTERNAL;
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
