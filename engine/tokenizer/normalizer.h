/* Normalizers: what happens to plain text before it is split. */
#ifndef CACHET_ENGINE_TOKENIZER_NORMALIZER_H
#define CACHET_ENGINE_TOKENIZER_NORMALIZER_H

#include "engine/formats/limits.h"
#include "engine/tokenizer/buffer.h"

enum eng_normal_kind {
    ENG_NORMAL_UNICODE, /* a Unicode normal form */
    ENG_NORMAL_PREPEND, /* `to` before the text, unless it is empty */
    ENG_NORMAL_REPLACE, /* every `from` becomes `to` */
};

/* Bytes of a text in a stage, and how much longer the Replace stages together may make a text. */
enum { ENG_NORMAL_TEXT = 16, ENG_NORMAL_GROWTH = 16 };

struct eng_normal_stage {
    enum eng_normal_kind kind;
    int unicode_options; /* of utf8proc_map */
    uint8_t from[ENG_NORMAL_TEXT];
    size_t from_size;
    uint8_t to[ENG_NORMAL_TEXT];
    size_t to_size;
};

/* Zero-initialise: no stages, the text as it is. */
struct eng_normalizer {
    struct eng_normal_stage stages[ENG_LIMIT_PIPELINE_STAGES];
    size_t count;
    size_t growth; /* of a text, by the Replace stages; 0 for none */
};

/* Reads the "normalizer" of a tokenizer.json (NULL and null: none): NFC, NFD, NFKC, NFKD, Prepend, Replace with a string
 * pattern, and Sequence of those. Errors: BASE_ERR_SUPPORT naming another type, BASE_ERR_FORMAT. */
BASE_MUST_USE enum base_status eng_normalizer_parse(struct eng_normalizer *ret, const json_t *json,
                                                    struct base_error *error);

/* Appends a stage; texts are UTF-8 strings, NULL for none. Errors: BASE_ERR_SUPPORT (too long, too many stages, too much
 * growth). */
BASE_MUST_USE enum base_status eng_normalizer_add(struct eng_normalizer *normalizer, enum eng_normal_kind kind,
                                                  const char *from, const char *to, struct base_error *error);

/* Adds a Unicode normal form by its name in tokenizer.json ("NFC"); false when it is none. */
bool eng_normalizer_add_unicode(struct eng_normalizer *normalizer, const char *name);

/* Runs all stages over valid UTF-8. *ret_text is the result: the given text itself when nothing changes it, else bytes
 * in `work`. Errors: BASE_ERR_MEMORY. */
BASE_MUST_USE enum base_status eng_normalizer_run(const struct eng_normalizer *normalizer, struct eng_bytes text,
                                                  struct eng_buffer *work, struct eng_bytes *ret_text,
                                                  struct base_error *error);

#endif
