/* Pre-tokenizers: how normalized text is split into the words that BPE never merges across. */
#ifndef CACHET_ENGINE_TOKENIZER_PRETOKENIZER_H
#define CACHET_ENGINE_TOKENIZER_PRETOKENIZER_H

#include "engine/formats/limits.h"
#include "engine/tokenizer/buffer.h"

enum eng_split_kind {
    ENG_SPLIT_PATTERN, /* cut at the matches of a pattern */
    ENG_SPLIT_REPLACE, /* every space becomes `text` */
    ENG_SPLIT_PREPEND, /* `text` before a piece that does not begin with it */
};

/* What becomes of a match and its neighbours; names as in tokenizer.json. */
enum eng_split_behavior {
    ENG_SPLIT_ISOLATED,
    ENG_SPLIT_REMOVED,
    ENG_SPLIT_MERGED_WITH_PREVIOUS,
    ENG_SPLIT_MERGED_WITH_NEXT,
    ENG_SPLIT_CONTIGUOUS,
};

struct eng_split_stage {
    enum eng_split_kind kind;
    void *pattern; /* pcre2_code * */
    enum eng_split_behavior behavior;
    bool invert;     /* the text between matches counts as the match */
    bool first_only; /* prepend only at the start of the whole text */
    char text[8];
};

/* Zero-initialise: no stages, the text is one word. */
struct eng_pretokenizer {
    struct eng_split_stage stages[ENG_LIMIT_PIPELINE_STAGES];
    size_t count;
    bool byte_level; /* words go to BPE as bytes */
};

void eng_pretokenizer_finish(struct eng_pretokenizer *pretokenizer);

/* Reads the "pre_tokenizer" of a tokenizer.json (NULL and null: none): ByteLevel, Split with a Regex or String, Digits,
 * Metaspace, and Sequence of those. Errors: BASE_ERR_SUPPORT naming another type, BASE_ERR_FORMAT. */
BASE_MUST_USE enum base_status eng_pretokenizer_parse(struct eng_pretokenizer *ret, const json_t *json,
                                                      struct base_error *error);

/* Appends a pattern whose matches become words of their own. `regex` is as in
 * tokenizer.json. Errors: those of eng_pattern_compile. */
BASE_MUST_USE enum base_status eng_pretokenizer_add_regex(struct eng_pretokenizer *pretokenizer, const char *regex,
                                                          struct base_error *error);

/* The pattern of GPT-2, which ByteLevel stands for. Source: GPT-2, encoder.py. */
extern const char *const eng_gpt2_regex;

/* Receives one word, never empty. */
typedef enum base_status (*eng_word_fn)(void *context, struct eng_bytes word, struct base_error *error);

/* Splits valid UTF-8 and hands every word on, in order. `at_start`: the text begins where the user's text begins.
 * Errors: BASE_ERR_SUPPORT (a pattern needs too many steps), BASE_ERR_MEMORY, and what `word` answers. */
struct eng_word_sink {
    eng_word_fn word;
    void *context;
};
BASE_MUST_USE enum base_status eng_pretokenizer_run(const struct eng_pretokenizer *pretokenizer, struct eng_bytes text,
                                                    bool at_start, const struct eng_word_sink *sink,
                                                    struct base_error *error);

#endif
