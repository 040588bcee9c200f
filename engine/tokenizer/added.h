/* Added tokens: literal texts that become one id before anything else looks at the text. */
#ifndef CACHET_ENGINE_TOKENIZER_ADDED_H
#define CACHET_ENGINE_TOKENIZER_ADDED_H

#include "engine/formats/text.h"

struct eng_added_token {
    struct eng_bytes text; /* owned by the set */
    int32_t id;
    bool lstrip; /* swallows white space before it */
    bool rstrip; /* and after it */
};

/* Zero-initialise. */
struct eng_added {
    struct eng_added_token *tokens; /* sorted by text once ready */
    size_t count;
    size_t capacity;
    bool first_bytes[256];
};

BASE_MUST_USE enum base_status eng_added_init(struct eng_added *set, size_t capacity, struct base_error *error);
void eng_added_finish(struct eng_added *set);

/* Copies the text. Errors: BASE_ERR_FORMAT (empty, too long), BASE_ERR_INTERNAL (no room), BASE_ERR_MEMORY. */
BASE_MUST_USE enum base_status eng_added_put(struct eng_added *set, struct eng_added_token token,
                                             struct base_error *error);

/* Sorts; call once after the last put. Errors: BASE_ERR_FORMAT naming a text that is added twice. */
BASE_MUST_USE enum base_status eng_added_ready(struct eng_added *set, struct base_error *error);

/* Which tokens count where; NULL instead of a filter: all, everywhere. at: where the text of the token begins. */
struct eng_added_filter {
    bool (*counts)(const void *context, const struct eng_added_token *token, const uint8_t *at);
    const void *context;
};

/* Finds the next token at or after `start`: the leftmost, and the longest of those. Writes the range that it covers,
 * white space that it swallows included, never reaching before `start`. Returns NULL when there is none.
 * Cost: O(longest token) per byte at worst, usually one table look. */
struct eng_range {
    size_t begin;
    size_t end;
};
const struct eng_added_token *eng_added_find(const struct eng_added *set, struct eng_bytes text, size_t start,
                                             const struct eng_added_filter *filter, struct eng_range *ret);

#endif
