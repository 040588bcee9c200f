#include "engine/tokenizer/added.h"

#include "base/memory.h"
#include "engine/formats/limits.h"
#include "engine/tokenizer/utf8.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum base_status eng_added_init(struct eng_added *set, size_t capacity, struct base_error *error)
{
    enum base_status status = base_alloc(&set->tokens, capacity, sizeof *set->tokens, error);
    if (status == BASE_OK)
        set->capacity = capacity;
    return status;
}

void eng_added_finish(struct eng_added *set)
{
    for (size_t i = 0; i < set->count; i++) {
        uint8_t *text = (uint8_t *)(uintptr_t)set->tokens[i].text.data;
        base_free(&text);
    }
    base_free(&set->tokens);
    *set = (struct eng_added){0};
}

enum base_status eng_added_put(struct eng_added *set, struct eng_added_token token, struct base_error *error)
{
    uint8_t *copy = NULL;
    if (token.text.size == 0 || token.text.size > ENG_LIMIT_PIECE_BYTES)
        return base_fail(error, BASE_ERR_FORMAT, "added token %d has %zu bytes; 1 to %u are read", (int)token.id,
                         token.text.size, ENG_LIMIT_PIECE_BYTES);
    if (set->count == set->capacity)
        return base_fail(error, BASE_ERR_INTERNAL, "more than %zu added tokens", set->capacity);
    enum base_status status = base_alloc(&copy, token.text.size, 1, error);
    if (status != BASE_OK)
        return status;
    memcpy(copy, token.text.data, token.text.size);
    token.text.data = copy;
    set->tokens[set->count++] = token;
    set->first_bytes[copy[0]] = true;
    return BASE_OK;
}

static int compare_texts(const void *a, const void *b)
{
    const struct eng_bytes x = ((const struct eng_added_token *)a)->text, y = ((const struct eng_added_token *)b)->text;
    int order = memcmp(x.data, y.data, x.size < y.size ? x.size : y.size);
    return order != 0 ? order : (x.size > y.size) - (x.size < y.size);
}

enum base_status eng_added_ready(struct eng_added *set, struct base_error *error)
{
    if (set->count > 1)
        qsort(set->tokens, set->count, sizeof *set->tokens, compare_texts);
    for (size_t i = 1; i < set->count; i++)
        if (compare_texts(&set->tokens[i - 1], &set->tokens[i]) == 0)
            return base_fail(error, BASE_ERR_FORMAT, "ids %d and %d are added with the same text \"%s\"",
                             (int)set->tokens[i - 1].id, (int)set->tokens[i].id,
                             eng_printable(set->tokens[i].text.data, set->tokens[i].text.size).text);
    return BASE_OK;
}

/* First token of [low, high) whose byte at `depth` is at least `byte`; all of them share the first `depth` bytes and are
 * longer than that, the first excepted. */
static size_t lower_bound(const struct eng_added *set, struct eng_range among, size_t depth, unsigned byte)
{
    size_t low = among.begin, high = among.end;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct eng_bytes text = set->tokens[middle].text;
        if (text.size <= depth || text.data[depth] < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The longest token that the text begins with, walking the sorted texts byte by byte like a trie. */
static const struct eng_added_token *longest_at(const struct eng_added *set, struct eng_bytes text,
                                                const struct eng_added_filter *filter)
{
    const struct eng_added_token *longest = NULL;
    struct eng_range among = {0, set->count};
    for (size_t depth = 0; depth < text.size; depth++) {
        size_t begin = lower_bound(set, among, depth, text.data[depth]);
        size_t end = lower_bound(set, among, depth, text.data[depth] + 1u);
        among = (struct eng_range){begin, end};
        if (begin == end)
            break;
        const struct eng_added_token *token = &set->tokens[begin];
        if (token->text.size == depth + 1 && (filter == NULL || filter->counts(filter->context, token, text.data)))
            longest = token;
    }
    return longest;
}

static bool is_space(int32_t character)
{
    if ((character >= 9 && character <= 13) || character == 0x85)
        return true;
    utf8proc_category_t category = utf8proc_category(character);
    return category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL || category == UTF8PROC_CATEGORY_ZP;
}

static size_t skip_space_after(struct eng_bytes text, size_t at)
{
    int32_t character;
    while (at < text.size) {
        utf8proc_ssize_t size = utf8proc_iterate(text.data + at, (utf8proc_ssize_t)(text.size - at), &character);
        if (size <= 0 || !is_space(character))
            break;
        at += (size_t)size;
    }
    return at;
}

static size_t skip_space_before(struct eng_bytes text, size_t at, size_t start)
{
    int32_t character;
    while (at > start) {
        size_t lead = at - 1;
        while (lead > start && (text.data[lead] & 0xc0) == 0x80)
            lead--;
        if (utf8proc_iterate(text.data + lead, (utf8proc_ssize_t)(at - lead), &character) <= 0 || !is_space(character))
            break;
        at = lead;
    }
    return at;
}

const struct eng_added_token *eng_added_find(const struct eng_added *set, struct eng_bytes text, size_t start,
                                             const struct eng_added_filter *filter, struct eng_range *ret)
{
    for (size_t at = start; set->count > 0 && at < text.size; at++) {
        if (!set->first_bytes[text.data[at]])
            continue;
        const struct eng_added_token *found = longest_at(set, (struct eng_bytes){text.data + at, text.size - at}, filter);
        if (found == NULL)
            continue;
        size_t end = at + found->text.size;
        *ret = (struct eng_range){found->lstrip ? skip_space_before(text, at, start) : at,
                                  found->rstrip ? skip_space_after(text, end) : end};
        return found;
    }
    return NULL;
}
