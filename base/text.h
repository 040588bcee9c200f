/* Text that came from outside: made safe for logs, terminals and error messages. */
#ifndef CACHET_BASE_TEXT_H
#define CACHET_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Length in bytes (1 to 4) of the well-formed UTF-8 character that starts at `bytes`, or 0 when there is none
 * within `size` bytes or it is not printable (control characters, direction overrides, surrogates, overlong
 * forms). */
size_t base_text_printable(const void *bytes, size_t size);

/* Of ASCII: what could forge a line or drive a terminal. May be asked in a signal handler. */
static inline bool base_text_is_control(char c)
{
    return (unsigned char)c < ' ' || c == 127;
}

/* Copies printable UTF-8 into ret_text (always terminated when ret_size > 0); every other byte becomes '?'.
 * Stops at the end of either side, never inside a character. Returns the length written. */
size_t base_text_clean(char *ret_text, size_t ret_size, const void *bytes, size_t size);

/* "Did you mean": of the names that are offered one after the other, the one nearest to what was given. nearest
 * stays NULL when none is near: at most half of the letters may be inserted, deleted or replaced, or the end may
 * be missing; names of BASE_TEXT_NAME letters or more are near to nothing. Begin with {.given = text}. */
enum { BASE_TEXT_NAME = 64 };
struct base_text_guess {
    const char *given, *nearest;
    size_t apart; /* of nearest, in letters */
};
void base_text_offer(struct base_text_guess *guess, const char *name);

#endif
