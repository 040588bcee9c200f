/* Retrieval tasks: a fact is planted in running text, and a question at the end asks for it. And running text
 * itself, whose continuation is known.
 *
 * Prompts have exactly the wanted number of tokens; equal seeds give equal prompts, whatever the policy.
 * Source of the form: keeper's tasks (models/keeper/tasks.py); RULER, arXiv 2404.06654, for keys among
 * others. */
#ifndef CACHET_PARTIES_EVAL_TASK_H
#define CACHET_PARTIES_EVAL_TASK_H

#include "engine/tokenizer/tokenizer.h"

/* One file in tasks/ each. In templates {k} is the item's name, {a} a second name, {v} its value, a number of
 * five digits. */
struct eval_task {
    const char *name;
    const char *summary;
    const char *plant[2]; /* sentences of one item, the second one or NULL further on in the text */
    const char *question; /* ends where the answer begins: the answer is the value */
    size_t items; /* that are planted; one is asked for. 0: none, the answer is how the text goes on */
};
/* Tokens of a planted value at most; and those that running text is scored on when nobody says. */
enum { EVAL_ANSWER = 16, EVAL_SCORED = 32 };
/* Decode steps after a prompt at most, where running text is scored on `scored` tokens. */
size_t eval_task_steps(const struct eval_task *task, size_t scored);

/* NULL: there is no task of that name. */
const struct eval_task *eval_task_find(const char *name);
const struct eval_task *const *eval_task_list(void);
enum { EVAL_TASK_NAMES = 80 };
/* Their names, with commas between them. */
void eval_task_names(char ret[EVAL_TASK_NAMES]);

/* Running text in which facts are planted: its sentences as tokens. */
struct eval_text {
    struct eng_tokens tokens;
    size_t *start; /* [sentences + 1] */
    size_t sentences;
    char (*word)[16]; /* lower-case words of 4 to 8 letters: names of items */
    size_t words;
};
/* Errors: BASE_ERR_IO, BASE_ERR_ARGUMENT (too short: fewer than 8 sentences or 16 words; not UTF-8). */
BASE_MUST_USE enum base_status eval_text_open(struct eval_text *ret, const struct eng_tokenizer *tokenizer,
                                              const char *path, struct base_error *error);
void eval_text_close(struct eval_text *text);

struct eval_prompt_form {
    const struct eval_task *task;
    const struct eval_text *text;
    const struct eng_tokenizer *tokenizer;
    size_t length; /* tokens */
    size_t scored; /* running text: decode steps that are scored */
    double depth;  /* of the asked item, 0 to 1 */
    uint64_t seed;
};
struct eval_prompt {
    struct eng_tokens tokens;
    struct eng_tokens
        answer; /* the value; or the text's next scored + 1 tokens, the first one a step's input only */
};
/* `length` tokens, bos first; the asked item at `depth` of the text, which is read from a random sentence on,
 * and from its beginning again where it ends (running text only where it is shorter than prompt and answer).
 * Errors: BASE_ERR_ARGUMENT when the items alone are longer. */
BASE_MUST_USE enum base_status eval_prompt_make(struct eval_prompt *ret, const struct eval_prompt_form *form,
                                                struct base_error *error);
void eval_prompt_finish(struct eval_prompt *prompt);

#endif
