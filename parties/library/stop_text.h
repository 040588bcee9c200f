/* Stop texts in a stream: what may be shown, and when the answer ends. */
#ifndef CACHET_PARTIES_LIBRARY_STOP_TEXT_H
#define CACHET_PARTIES_LIBRARY_STOP_TEXT_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>

struct stop_text {
    const char *const *stop; /* borrowed; none empty */
    size_t count;
    char *held;              /* may be the beginning of a stop text */
    size_t held_size, room;
};

/* Appends text. *ret (borrowed until the next call) is what no stop text can begin in any more; *ret_ended: one was found, and ret ends before
 * the first of them. Errors: BASE_ERR_MEMORY. */
BASE_MUST_USE enum base_status stop_text_push(struct stop_text *s, const char *text, size_t size, const char **ret, size_t *ret_size,
                                              bool *ret_ended, struct base_error *error);
/* The end: what was held. */
void stop_text_flush(struct stop_text *s, const char **ret, size_t *ret_size);
void stop_text_finish(struct stop_text *s);

#endif
