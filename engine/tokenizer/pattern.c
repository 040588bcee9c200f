#include "engine/tokenizer/pattern.h"

#include "base/memory.h"
#include "engine/formats/limits.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>

static const char white_space[] = "\\p{White_Space}", no_white_space[] = "\\P{White_Space}";

/* Whether "(?" at this place sets the flag m, which is "dot matches newlines" for Oniguruma and "lines" for
 * PCRE2. */
static bool sets_flag_m(const char *at)
{
    size_t flags = strncmp(at, "(?", 2) == 0 ? strspn(at + 2, "imsxn-") : 0;
    return flags > 0 && memchr(at + 2, 'm', flags) != NULL && (at[2 + flags] == ':' || at[2 + flags] == ')');
}

/* The first construct that would mean something else; NULL when there is none. */
static const char *find_unsupported(const char *pattern)
{
    static const char *const escapes[] = {"\\w", "\\W", "\\b", "\\B", "\\h", "\\H"};
    for (const char *at = pattern; *at != '\0'; at += *at == '\\' && at[1] != '\0' ? 2 : 1) {
        for (size_t i = 0; i < sizeof escapes / sizeof *escapes; i++)
            if (strncmp(at, escapes[i], 2) == 0)
                return escapes[i];
        if (strncmp(at, "&&", 2) == 0)
            return "&&";
        if (sets_flag_m(at))
            return "(?m)";
    }
    return NULL;
}

/* Writes the pattern with its white space classes spelled out; `ret` has room for white_space per byte of the
 * pattern. */
static void translate(const char *pattern, char *ret)
{
    while (*pattern != '\0') {
        size_t size = *pattern == '\\' && pattern[1] != '\0' ? 2 : 1;
        if (size == 2 && (pattern[1] == 's' || pattern[1] == 'S'))
            ret = stpcpy(ret, pattern[1] == 's' ? white_space : no_white_space);
        else
            ret = mempcpy(ret, pattern, size);
        pattern += size;
    }
    *ret = '\0';
}

static enum base_status fail_to_compile(const char *pattern, int code, size_t offset,
                                        struct base_error *error)
{
    PCRE2_UCHAR reason[128] = {0};
    (void)pcre2_get_error_message(code, reason, sizeof reason);
    return base_fail(error, BASE_ERR_SUPPORT, "split pattern \"%s\": offset %zu: %s",
                     eng_printable_string(pattern).text, offset, (const char *)reason);
}

enum base_status eng_pattern_compile(const char *pattern, bool literal, void **ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const uint32_t regex_options = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
    const uint32_t options = literal ? PCRE2_UTF | PCRE2_LITERAL : regex_options;
    size_t size = strlen(pattern);
    char *translated = NULL;
    int code = 0;
    PCRE2_SIZE offset = 0;
    TRY_THAT(size >= 1 && size <= ENG_LIMIT_REGEX_BYTES, error, BASE_ERR_SUPPORT,
             "a split pattern has %zu bytes; cachet supports 1 to %u", size, ENG_LIMIT_REGEX_BYTES);
    const char *unsupported = literal ? NULL : find_unsupported(pattern);
    TRY_THAT(unsupported == NULL, error, BASE_ERR_SUPPORT,
             "split pattern \"%s\" has %s, which cachet does not support", eng_printable_string(pattern).text,
             unsupported);
    TRY(base_alloc(&translated, size + 1, sizeof white_space, error));
    if (literal)
        memcpy(translated, pattern, size + 1);
    else
        translate(pattern, translated);
    void *compiled =
        pcre2_compile((PCRE2_SPTR)translated, PCRE2_ZERO_TERMINATED, options, &code, &offset, NULL);
    if (compiled == NULL) {
        status = fail_to_compile(translated, code, offset, error);
        goto out;
    }
    *ret = compiled;
out:
    base_free(&translated);
    return status;
}
