/* Bytes and ids that grow while a prompt is taken apart. Prompts are secrets: every buffer is wiped when it moves and when
 * it ends. */
#ifndef CACHET_ENGINE_TOKENIZER_BUFFER_H
#define CACHET_ENGINE_TOKENIZER_BUFFER_H

#include "engine/formats/text.h"

/* Zero-initialise. */
struct eng_buffer {
    uint8_t *data;
    size_t size;
};

void eng_buffer_finish(struct eng_buffer *buffer);
struct eng_bytes eng_buffer_bytes(const struct eng_buffer *buffer);

/* ret becomes prefix + text with every `from` (not empty) replaced by `to`, in one allocation; text may be in ret.
 * An empty `from` replaces nothing. Errors: BASE_ERR_MEMORY. */
struct eng_rewrite {
    struct eng_bytes prefix;
    struct eng_bytes from;
    struct eng_bytes to;
};
BASE_MUST_USE enum base_status eng_buffer_rewrite(struct eng_buffer *ret, struct eng_bytes text,
                                                  const struct eng_rewrite *rewrite, struct base_error *error);

/* A growing list of token ids; zero-initialise. */
struct eng_id_list {
    int32_t *ids;
    size_t count;
    size_t capacity;
};

BASE_MUST_USE enum base_status eng_id_list_add(struct eng_id_list *list, int32_t id, struct base_error *error);
void eng_id_list_finish(struct eng_id_list *list);

#endif
