#include "base/log.h"

#include "base/text.h"

#include <stdarg.h>
#include <string.h>
#include <time.h>

enum { MESSAGE_SIZE = 1024, LINE_SIZE = 2 * MESSAGE_SIZE + 512 };

static const char *const level_names[] = {"error", "warning", "info", "debug"};

enum base_status base_log_level_parse(const char *text, enum base_log_level *ret, struct base_error *error)
{
    for (int i = 0; i <= BASE_LOG_DEBUG; i++)
        if (strcmp(text, level_names[i]) == 0) {
            *ret = (enum base_log_level)i;
            return BASE_OK;
        }
    char shown[32];
    base_text_clean(shown, sizeof shown, text, strlen(text));
    return base_fail(error, BASE_ERR_ARGUMENT, "log level is \"%s\", expected error, warning, info or debug",
                     shown);
}

static void write_time(char ret_text[32])
{
    struct timespec now;
    struct tm parts;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &parts);
    size_t used = strftime(ret_text, 32, "%Y-%m-%dT%H:%M:%S", &parts);
    (void)snprintf(ret_text + used, 32 - used, ".%03dZ", (int)(now.tv_nsec / 1000000));
}

/* Copies cleaned text into a JSON string: only quotes and backslashes are left to escape. */
static void quote(char *ret_text, size_t size, const char *text)
{
    size_t used = 0;
    for (; *text != '\0' && used + 3 < size; text++) {
        if (*text == '"' || *text == '\\')
            ret_text[used++] = '\\';
        ret_text[used++] = *text;
    }
    ret_text[used] = '\0';
}

void base_log_write(const struct base_log *log, enum base_log_level level, const char *request,
                    const char *format, ...)
{
    char raw[MESSAGE_SIZE], message[MESSAGE_SIZE], id[64] = "", who[sizeof log->who], time_text[32],
                                                   line[LINE_SIZE];
    if (log == NULL || log->stream == NULL || level > log->level)
        return;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(raw, sizeof raw, format, arguments);
    va_end(arguments);
    base_text_clean(message, sizeof message, raw, strlen(raw));
    base_text_clean(who, sizeof who, log->who, strnlen(log->who, sizeof log->who));
    if (request != NULL)
        base_text_clean(id, sizeof id, request, strlen(request));
    write_time(time_text);
    if (log->json) {
        char quoted_message[2 * MESSAGE_SIZE], quoted_who[2 * sizeof who], quoted_id[2 * sizeof id];
        quote(quoted_message, sizeof quoted_message, message);
        quote(quoted_who, sizeof quoted_who, who);
        quote(quoted_id, sizeof quoted_id, id);
        (void)snprintf(
            line, sizeof line,
            "{\"time\":\"%s\",\"level\":\"%s\",\"who\":\"%s\",\"request\":\"%s\",\"message\":\"%s\"}\n",
            time_text, level_names[level], quoted_who, quoted_id, quoted_message);
    } else {
        (void)snprintf(line, sizeof line, "%s %s %s%s%s%s %s\n", time_text, level_names[level], who,
                       id[0] == '\0' ? "" : " [", id, id[0] == '\0' ? "" : "]", message);
    }
    /* One call, so that lines of several threads do not mix. */
    (void)fputs(line, log->stream);
    (void)fflush(log->stream);
}
