#include "engine/tokenizer/buffer.h"

#include "base/memory.h"

#include <string.h>

void eng_buffer_finish(struct eng_buffer *buffer)
{
    base_free_secret(&buffer->data);
    buffer->size = 0;
}

struct eng_bytes eng_buffer_bytes(const struct eng_buffer *buffer)
{
    return (struct eng_bytes){buffer->data, buffer->size};
}

/* Where `from` next begins at or after `start`; text.size when nowhere. */
static size_t find_next(struct eng_bytes text, struct eng_bytes from, size_t start)
{
    if (from.size == 0 || start >= text.size)
        return text.size;
    const uint8_t *found = memmem(text.data + start, text.size - start, from.data, from.size);
    return found == NULL ? text.size : (size_t)(found - text.data);
}

static uint8_t *append(uint8_t *end, const uint8_t *bytes, size_t size)
{
    if (size > 0)
        memcpy(end, bytes, size);
    return end + size;
}

enum base_status eng_buffer_rewrite(struct eng_buffer *ret, struct eng_bytes text, const struct eng_rewrite *rewrite,
                                    struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_buffer made = {0};
    size_t hits = 0, grown, size;
    for (size_t at = find_next(text, rewrite->from, 0); at < text.size;
         at = find_next(text, rewrite->from, at + rewrite->from.size))
        hits++;
    TRY_THAT(base_size_mul(hits, rewrite->to.size, &grown) && base_size_add(grown, text.size, &size) &&
                 base_size_add(size, rewrite->prefix.size, &size),
             error, BASE_ERR_MEMORY, "the text grows beyond memory while its spaces are rewritten");
    size -= hits * rewrite->from.size;
    TRY(base_alloc(&made.data, size, 1, error));
    made.size = size;
    uint8_t *end = append(made.data, rewrite->prefix.data, rewrite->prefix.size);
    for (size_t start = 0; start < text.size;) {
        size_t at = find_next(text, rewrite->from, start);
        end = append(end, text.data + start, at - start);
        if (at < text.size)
            end = append(end, rewrite->to.data, rewrite->to.size);
        start = at < text.size ? at + rewrite->from.size : text.size;
    }
    eng_buffer_finish(ret);
    *ret = made;
    made = (struct eng_buffer){0};
out:
    eng_buffer_finish(&made);
    return status;
}

enum base_status eng_id_list_add(struct eng_id_list *list, int32_t id, struct base_error *error)
{
    enum base_status status = base_grow(&list->ids, &list->capacity, list->count + 1, sizeof *list->ids, error);
    if (status != BASE_OK)
        return status;
    list->ids[list->count++] = id;
    return BASE_OK;
}

void eng_id_list_finish(struct eng_id_list *list)
{
    base_free_secret(&list->ids);
    *list = (struct eng_id_list){0};
}
