/* From a request to the tokens that are shared. */
#ifndef CACHET_PARTIES_SERVE_PROMPT_H
#define CACHET_PARTIES_SERVE_PROMPT_H

#include "parties/serve/gateway.h"

struct serve_prompt {
    int32_t *tokens;
    size_t count;
};
/* Chat template, tokenizer, and rounding up to options.prompt_multiple. Errors: *refusal is filled in. */
BASE_MUST_USE enum base_status serve_prompt_make(struct serve_prompt *ret, const struct gateway *gateway,
                                                 const struct api_request *request, struct api_error *refusal);
void serve_prompt_finish(struct serve_prompt *prompt);

/* Chooses the token that fills prompts up: white space before the text, after the token that begins prompts. Errors:
 * BASE_ERR_SUPPORT where the tokenizer has no single one. */
BASE_MUST_USE enum base_status serve_prompt_choose_pad(struct gateway *gateway, struct base_error *error);

#endif
