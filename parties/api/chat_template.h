/* Chat templates: how the messages of a conversation become the prompt that a model was trained with. A table of known
 * ones instead of Jinja; what a template writes itself is control text, what users write is not, and can never become a
 * control token. */
#ifndef CACHET_PARTIES_API_CHAT_TEMPLATE_H
#define CACHET_PARTIES_API_CHAT_TEMPLATE_H

#include "parties/api/api_request.h"

struct api_template;

enum { API_TEMPLATE_NAMES = 128 };
/* NULL: there is none of that name. */
const struct api_template *api_template_find(const char *name);
/* All names, with commas between them. */
void api_template_names(char ret[API_TEMPLATE_NAMES]);

/* The template that a Jinja text (chat_template of a tokenizer_config.json) stands for, told by its control tokens and
 * default system message; "plain" where it is none of the known ones, or where there is no text. */
const struct api_template *api_template_guess(const char *jinja, size_t size);
/* Reads it from a model or client directory: tokenizer_config.json (chat_template a string or a list of named ones), or
 * chat_template.jinja; "plain" where neither has one. *ret_known: a template was there and it is one of the known ones.
 * Errors: BASE_ERR_IO, BASE_ERR_FORMAT with the file's name. */
BASE_MUST_USE enum base_status api_template_of_directory(const struct api_template **ret, bool *ret_known,
                                                         const char *directory, struct base_error *error);

const char *api_template_name(const struct api_template *chat);
/* Whether the prompt begins with the model's bos, as add_bos of cachet_tokenize. */
bool api_template_adds_bos(const struct api_template *chat);
/* A text that ends an answer beside the model's end of text, or NULL: "\nUser:" of "plain". */
const char *api_template_stop(const struct api_template *chat);

/* Zero-initialise. Texts are borrowed from the messages and the table. */
struct api_parts {
    struct cachet_part *parts;
    size_t count;
};
void api_parts_finish(struct api_parts *parts);

/* The prompt up to where the assistant's answer begins. Errors, with *error filled: BASE_ERR_ARGUMENT (roles in an
 * order that the template cannot say; a message that contains one of its markers, where those are ordinary text),
 * BASE_ERR_MEMORY. */
BASE_MUST_USE enum base_status api_template_apply(const struct api_template *chat, const struct api_message *messages,
                                                  size_t count, struct api_parts *ret, struct api_error *error);

#endif
