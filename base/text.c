#include "base/text.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static bool is_printable(uint32_t code)
{
    if (code < 0x20 || (code >= 0x7f && code < 0xa0))
        return false;
    /* Line separators and direction overrides can make one log line look like another. */
    if (code == 0x2028 || code == 0x2029 || (code >= 0x202a && code <= 0x202e) ||
        (code >= 0x2066 && code <= 0x2069))
        return false;
    return !(code >= 0xd800 && code <= 0xdfff) && code <= 0x10ffff;
}

size_t base_text_printable(const void *bytes, size_t size)
{
    const unsigned char *b = bytes;
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    if (size == 0)
        return 0;
    size_t length = b[0] < 0x80                   ? 1
                    : b[0] >= 0xf0 && b[0] < 0xf8 ? 4
                    : b[0] >= 0xe0                ? 3
                    : b[0] >= 0xc0                ? 2
                                                  : 0;
    if (length == 0 || length > size || b[0] >= 0xf8)
        return 0;
    uint32_t code = length == 1 ? b[0] : b[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((b[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (b[i] & 0x3f);
    }
    return code >= smallest[length] && is_printable(code) ? length : 0;
}

size_t base_text_clean(char *ret_text, size_t ret_size, const void *bytes, size_t size)
{
    const unsigned char *b = bytes;
    size_t used = 0, at = 0;
    if (ret_size == 0)
        return 0;
    while (at < size) {
        size_t length = base_text_printable(b + at, size - at);
        size_t wanted = length == 0 ? 1 : length;
        if (used + wanted >= ret_size)
            break;
        if (length == 0)
            ret_text[used] = '?';
        else
            memcpy(ret_text + used, b + at, length);
        used += wanted;
        at += wanted;
    }
    ret_text[used] = '\0';
    return used;
}

/* Insertions, deletions and replacements that turn one name into the other. */
static size_t distance(const char *a, const char *b)
{
    size_t row[BASE_TEXT_NAME], length = strlen(b);
    for (size_t j = 0; j <= length; j++)
        row[j] = j;
    for (size_t i = 0; a[i] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < length; j++) {
            size_t best = diagonal + (a[i] != b[j]);
            diagonal = row[j + 1];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (diagonal + 1 < best)
                best = diagonal + 1;
            row[j + 1] = best;
        }
    }
    return row[length];
}

void base_text_offer(struct base_text_guess *guess, const char *name)
{
    size_t length = strlen(guess->given);
    if (length >= BASE_TEXT_NAME || strlen(name) >= BASE_TEXT_NAME)
        return;
    size_t apart = distance(guess->given, name);
    if (length > 1 && apart > 1 && strncmp(guess->given, name, length) == 0)
        apart = 1;
    if (apart <= length / 2 && (guess->nearest == NULL || apart < guess->apart)) {
        guess->nearest = name;
        guess->apart = apart;
    }
}
