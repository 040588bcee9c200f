#include "parties/library/stop_text.h"

#include "base/memory.h"

#include <string.h>

static enum base_status make_room(struct stop_text *s, size_t size, struct base_error *error)
{
    enum base_status status = BASE_OK;
    char *grown = NULL;
    if (size <= s->room)
        return BASE_OK;
    TRY(base_alloc(&grown, 2 * size, 1, error));
    if (s->held_size > 0)
        memcpy(grown, s->held, s->held_size);
    base_free_secret(&s->held);
    s->held = grown;
    s->room = 2 * size;
out:
    return status;
}

/* Where the first stop text begins, or `size`. */
static size_t find_first(const struct stop_text *s, const char *text, size_t size)
{
    size_t first = size;
    for (size_t i = 0; i < s->count; i++) {
        const char *at = memmem(text, size, s->stop[i], strlen(s->stop[i]));
        if (at != NULL && (size_t)(at - text) < first)
            first = (size_t)(at - text);
    }
    return first;
}

/* Length of the longest end of the text that a stop text begins with. */
static size_t begun(const struct stop_text *s, const char *text, size_t size)
{
    size_t longest = 0;
    for (size_t i = 0; i < s->count; i++) {
        size_t most = strlen(s->stop[i]) - 1;
        for (size_t n = most < size ? most : size; n > longest; n--)
            if (memcmp(text + size - n, s->stop[i], n) == 0)
                longest = n;
    }
    return longest;
}

enum base_status stop_text_push(struct stop_text *s, const char *text, size_t size, const char **ret, size_t *ret_size, bool *ret_ended,
                                struct base_error *error)
{
    enum base_status status = BASE_OK;
    /* Room for what is held twice: the part to show is copied behind the rest, so that it stays readable. */
    TRY(make_room(s, 2 * (s->held_size + size) + 1, error));
    memcpy(s->held + s->held_size, text, size);
    size_t all = s->held_size + size, shown = find_first(s, s->held, all);
    *ret_ended = shown < all;
    if (!*ret_ended)
        shown = all - begun(s, s->held, all);
    memcpy(s->held + all, s->held, shown);
    s->held_size = *ret_ended ? 0 : all - shown;
    memmove(s->held, s->held + shown, s->held_size);
    *ret = s->held + all;
    *ret_size = shown;
out:
    return status;
}

void stop_text_flush(struct stop_text *s, const char **ret, size_t *ret_size)
{
    *ret = s->held;
    *ret_size = s->held_size;
    s->held_size = 0;
}

void stop_text_finish(struct stop_text *s)
{
    base_free_secret(&s->held);
}
