#include "engine/tokenizer/normal_form.h"

#include "base/memory.h"

#include <string.h>
#include <utf8proc.h>

enum { CLASSES = 256 };

/* Decomposes all characters into ret (room for `capacity`; 0 to count only). Returns how many there are,
 * negative on failure. */
static utf8proc_ssize_t decompose(struct eng_bytes text, utf8proc_option_t options, int32_t *ret,
                                  size_t capacity)
{
    utf8proc_ssize_t count = 0;
    int boundary = 0;
    for (size_t at = 0; at < text.size;) {
        int32_t character;
        utf8proc_ssize_t size =
            utf8proc_iterate(text.data + at, (utf8proc_ssize_t)(text.size - at), &character);
        if (size <= 0)
            return -1;
        at += (size_t)size;
        size_t left = capacity > (size_t)count ? capacity - (size_t)count : 0;
        utf8proc_ssize_t made = utf8proc_decompose_char(character, left > 0 ? ret + count : NULL,
                                                        (utf8proc_ssize_t)left, options, &boundary);
        if (made < 0)
            return made;
        count += made;
    }
    return count;
}

static unsigned class_of(int32_t character)
{
    return (unsigned)utf8proc_get_property(character)->combining_class % CLASSES;
}

/* Sorts a run of combining marks by class, and leaves those of one class in their order. */
static void order_run(int32_t *run, size_t count, int32_t *work)
{
    size_t starts[CLASSES + 1] = {0};
    for (size_t i = 0; i < count; i++)
        starts[class_of(run[i]) + 1]++;
    for (size_t i = 0; i < CLASSES; i++)
        starts[i + 1] += starts[i];
    for (size_t i = 0; i < count; i++)
        work[starts[class_of(run[i])]++] = run[i];
    memcpy(run, work, count * sizeof *run);
}

static void order_marks(int32_t *characters, size_t count, int32_t *work)
{
    for (size_t i = 0; i < count;) {
        size_t end = i;
        bool sorted = true;
        for (; end < count && class_of(characters[end]) > 0; end++)
            sorted = sorted && (end == i || class_of(characters[end - 1]) <= class_of(characters[end]));
        if (!sorted)
            order_run(characters + i, end - i, work);
        i = end > i ? end : i + 1;
    }
}

static size_t encode(const int32_t *characters, size_t count, uint8_t *ret)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += (size_t)utf8proc_encode_char(characters[i], ret + size);
    return size;
}

enum base_status eng_normal_form(int options, struct eng_bytes text, struct eng_buffer *ret,
                                 struct base_error *error)
{
    enum base_status status = BASE_OK;
    const utf8proc_option_t flags = (utf8proc_option_t)options;
    int32_t *characters = NULL, *work = NULL;
    struct eng_buffer made = {0};
    utf8proc_ssize_t count = decompose(text, flags, NULL, 0);
    TRY_THAT(count >= 0, error, BASE_ERR_INTERNAL, "the text cannot be decomposed");
    TRY(base_alloc(&characters, (size_t)count, sizeof *characters, error));
    TRY(base_alloc(&work, (size_t)count, sizeof *work, error));
    (void)decompose(text, flags, characters, (size_t)count);
    order_marks(characters, (size_t)count, work);
    count = utf8proc_normalize_utf32(characters, count, flags);
    TRY_THAT(count >= 0, error, BASE_ERR_INTERNAL, "the text cannot be composed: %s", utf8proc_errmsg(count));
    TRY(base_alloc(&made.data, 4 * (size_t)count, 1, error)); /* UTF-8 takes four bytes at most */
    made.size = encode(characters, (size_t)count, made.data);
    eng_buffer_finish(ret);
    *ret = made;
out:
    base_free_secret(&characters);
    base_free_secret(&work);
    return status;
}
