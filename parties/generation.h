/* A generation as people see it: its flags, its text as it comes, and the table or JSON object at its end. */
#ifndef CACHET_PARTIES_GENERATION_H
#define CACHET_PARTIES_GENERATION_H

#include "engine/generate.h"
#include "engine/request.h"
#include "engine/tokenizer/tokenizer.h"
#include "parties/options.h"

struct generation_flags {
    const char *prompt, *prompt_file;
    uint64_t made_up; /* rows of the prompt that the parties make up (engine/request.h); no flag of its own */
    uint64_t max_tokens, top_k, seed;
    double temperature, top_p;
    bool inside, ignore_eos, json, seeded;
};
enum { GENERATION_OPTIONS = 10 };
/* The flags' entries, for a command's table. */
void generation_options(struct generation_flags *flags, struct option_entry ret[GENERATION_OPTIONS]);

/* The prompt's tokens. Without a tokenizer (synthetic weights) `synthetic` tokens are made up. Errors:
 * BASE_ERR_ARGUMENT (none or both given, empty, longer than `room`, invalid UTF-8), BASE_ERR_IO. The prompt
 * never enters an error. */
BASE_MUST_USE enum base_status generation_prompt(const struct generation_flags *flags,
                                                 const struct eng_tokenizer *tokenizer,
                                                 const struct eng_model_shape *shape, size_t room,
                                                 size_t synthetic, struct eng_tokens *ret,
                                                 struct base_error *error);

/* One finished run, on shares or in the clear. */
struct generation_run {
    struct eng_generated generated;
    struct eng_usage usage[3]; /* zero in the clear */
    uint64_t sent_prefill, sent_decode; /* bytes from the client to the parties */
    enum eng_text_source source; /* mode two-party, on shares */
    size_t texts_left;
    uint64_t violations;       /* in the clear: values outside a declared range */
};
struct generation_context {
    const struct generation_flags *flags;
    const struct eng_tokenizer *tokenizer; /* NULL: no text */
    const struct eng_model_shape *shape;
    const struct eng_plan *plan;
    const char *policy, *mode;
    size_t prompt_tokens;
    int32_t last_prompt_token; /* what the first new piece of text follows */
};

/* Runs a backend; prints the text as it comes when `live` and not --json. */
BASE_MUST_USE enum base_status generation_run(const struct generation_context *context,
                                              const struct eng_backend *backend,
                                              const struct eng_tokens *prompt, bool live,
                                              struct generation_run *ret, struct base_error *error);
void generation_finish(struct generation_run *run);

/* The JSON object (--json) or the table. clear: the same model's twin, or NULL. */
BASE_MUST_USE enum base_status generation_report(const struct generation_context *context,
                                                 const struct generation_run *run,
                                                 const struct generation_run *clear,
                                                 struct base_error *error);

#endif
