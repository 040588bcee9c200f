#include "parties/eval/task.h"

#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "parties/eval/tasks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_ITEMS = 8, PIECE = 128 };

static const struct eval_task *const tasks[] = {&eval_task_passkey,
                                                &eval_task_keys,
                                                &eval_task_lines,
                                                &eval_task_kv,
                                                &eval_task_trace,
                                                &eval_task_ppl,
                                                NULL};

const struct eval_task *const *eval_task_list(void)
{
    return tasks;
}

const struct eval_task *eval_task_find(const char *name)
{
    for (size_t i = 0; tasks[i] != NULL; i++)
        if (strcmp(tasks[i]->name, name) == 0)
            return tasks[i];
    return NULL;
}

void eval_task_names(char ret[EVAL_TASK_NAMES])
{
    ret[0] = '\0';
    for (size_t i = 0, at = 0; tasks[i] != NULL && at < EVAL_TASK_NAMES; i++)
        at += (size_t)snprintf(ret + at, EVAL_TASK_NAMES - at, "%s%s", i == 0 ? "" : ", ", tasks[i]->name);
}

size_t eval_task_steps(const struct eval_task *task, size_t scored)
{
    return task->items == 0 ? scored : EVAL_ANSWER;
}

/* --- text -------------------------------------------------------------------------------------------- */

static enum base_status append(struct eng_tokens *to, size_t *room, const struct eng_tokens *from,
                               struct base_error *error)
{
    enum base_status status = BASE_OK;
    if (to->count + from->count > *room) {
        int32_t *grown = NULL;
        *room = 2 * (to->count + from->count);
        TRY(base_alloc(&grown, *room, sizeof *grown, error));
        if (to->count > 0)
            memcpy(grown, to->ids, to->count * sizeof *grown);
        base_free_secret(&to->ids);
        to->ids = grown;
    }
    if (from->count > 0)
        memcpy(to->ids + to->count, from->ids, from->count * sizeof *to->ids);
    to->count += from->count;
out:
    return status;
}

static enum base_status encode(struct eng_tokens *to, size_t *room, const struct eng_tokenizer *tokenizer,
                               const char *text, size_t bytes, struct base_error *error)
{
    struct eng_tokens piece = {0};
    enum base_status status = eng_tokenizer_encode(tokenizer, text, bytes, false, &piece, error);
    if (status == BASE_OK)
        status = append(to, room, &piece, error);
    eng_tokens_finish(&piece);
    return status;
}

/* Where the sentence from `at` on ends: behind a mark and before a blank, or at a line's end. */
static size_t sentence_end(const char *text, size_t size, size_t at)
{
    for (size_t i = at + 1; i < size; i++)
        if (text[i] == '\n' || (text[i] == ' ' && strchr(".!?", text[i - 1]) != NULL))
            return i;
    return size;
}

static void take_words(struct eval_text *text, const char *data, size_t size, size_t most)
{
    for (size_t i = 1; i < size && text->words < most; i++) {
        size_t n = 0;
        while (i + n < size && data[i + n] >= 'a' && data[i + n] <= 'z')
            n++;
        bool whole = n >= 4 && n <= 8 && data[i - 1] == ' ' && i + n < size && data[i + n] == ' ',
             known = false;
        for (size_t w = 0; whole && w < text->words; w++)
            known = known || (strlen(text->word[w]) == n && memcmp(text->word[w], data + i, n) == 0);
        if (whole && !known)
            (void)snprintf(text->word[text->words++], sizeof *text->word, "%.*s", (int)n, data + i);
        i += n;
    }
}

enum base_status eval_text_open(struct eval_text *ret, const struct eng_tokenizer *tokenizer,
                                const char *path, struct base_error *error)
{
    enum { MOST_WORDS = 512, LEAST_WORDS = 16, LEAST_SENTENCES = 8 };
    enum base_status status = BASE_OK;
    struct base_file file = {0};
    struct eval_text text = {0};
    size_t room = 0;
    TRY(base_file_map(&file, path, error));
    const char *data = (const char *)file.data;
    TRY(base_alloc(&text.start, file.size + 2, sizeof *text.start, error));
    TRY(base_alloc(&text.word, MOST_WORDS, sizeof *text.word, error));
    take_words(&text, data, file.size, MOST_WORDS);
    for (size_t at = 0, end; at < file.size; at = end) {
        end = sentence_end(data, file.size, at);
        if (end == at + 1)
            continue;
        text.start[text.sentences++] = text.tokens.count;
        TRY(encode(&text.tokens, &room, tokenizer, data + at, end - at, error));
    }
    text.start[text.sentences] = text.tokens.count;
    TRY_THAT(text.sentences >= LEAST_SENTENCES && text.words >= LEAST_WORDS, error, BASE_ERR_ARGUMENT,
             "%s: %zu sentences and %zu words of 4 to 8 small letters: give a longer text (%d and %d)", path,
             text.sentences, text.words, LEAST_SENTENCES, LEAST_WORDS);
    *ret = text;
    text = (struct eval_text){0};
out:
    base_file_unmap(&file);
    eval_text_close(&text);
    return status;
}

void eval_text_close(struct eval_text *text)
{
    eng_tokens_finish(&text->tokens);
    base_free(&text->start);
    base_free(&text->word);
}

/* --- prompts ----------------------------------------------------------------------------------------- */

struct item {
    char name[20], second[20], value[20];
    struct eng_tokens plant[2];
    size_t room[2], at[2]; /* tokens of text before it */
};

/* A template's tokens: its pieces and what stands for its braces are encoded one by one, as the model was
 * trained. */
static enum base_status fill(struct eng_tokens *to, size_t *room, const struct eng_tokenizer *tokenizer,
                             const char *template, const struct item *item, struct base_error *error)
{
    enum base_status status = BASE_OK;
    while (*template != '\0') {
        size_t n = strcspn(template, "{");
        if (n > 0)
            TRY(encode(to, room, tokenizer, template, n, error));
        template += n;
        if (*template == '{') {
            const char *text = template[1] == 'k'   ? item->name
                               : template[1] == 'a' ? item->second
                                                    : item->value;
            TRY(encode(to, room, tokenizer, text, strlen(text), error));
            template += 3;
        }
    }
out:
    return status;
}

static void name_items(struct item *items, size_t count, const struct eval_text *text, uint64_t *seed)
{
    size_t taken[2 * MOST_ITEMS];
    for (size_t i = 0; i < 2 * count;) {
        bool known = false;
        taken[i] = (size_t)(base_random_next(seed) % text->words);
        for (size_t j = 0; j < i; j++)
            known = known || taken[j] == taken[i];
        i += !known;
    }
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(items[i].name, sizeof items[i].name, " %s", text->word[taken[2 * i]]);
        (void)snprintf(items[i].second, sizeof items[i].second, " %s", text->word[taken[2 * i + 1]]);
        (void)snprintf(items[i].value, sizeof items[i].value, " %05u",
                       (unsigned)(base_random_next(seed) % 100000));
    }
}

/* The sentence boundary nearest to `wanted` tokens, counted from sentence `first` on. */
static size_t boundary(const struct eval_text *text, size_t first, size_t wanted, size_t most)
{
    size_t at = 0, s = first, best = 0;
    while (at <= most) {
        size_t far = at > wanted ? at - wanted : wanted - at,
               near = best > wanted ? best - wanted : wanted - best;
        if (far < near)
            best = at;
        at += text->start[s + 1] - text->start[s];
        s = (s + 1) % text->sentences;
    }
    return best;
}

static enum base_status weave(struct eval_prompt *ret, size_t *room, const struct eval_text *text,
                              size_t first, size_t hay, struct item *items, size_t count,
                              struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t from = text->start[first], all = text->tokens.count;
    for (size_t i = 0; i <= hay; i++) {
        for (size_t j = 0; j < 2 * count; j++) {
            struct item *item = &items[j / 2];
            if (item->at[j % 2] == i)
                TRY(append(&ret->tokens, room, &item->plant[j % 2], error));
        }
        struct eng_tokens one = {.ids = &text->tokens.ids[(from + i) % all], .count = 1};
        if (i < hay)
            TRY(append(&ret->tokens, room, &one, error));
    }
out:
    return status;
}

/* Where running text of n tokens may start without coming to its end; anywhere where it is shorter. */
static size_t starts_of(const struct eval_text *text, size_t n)
{
    size_t starts = 0;
    while (starts < text->sentences && text->start[starts] + n <= text->tokens.count)
        starts++;
    return starts > 0 ? starts : text->sentences;
}

static enum base_status make_running(struct eval_prompt *ret, const struct eval_prompt_form *f,
                                     const struct eng_tokens *begin, struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t prompt_room = 0, answer_room = 0, n = f->length - begin->count, seen = n + f->scored + 1;
    uint64_t seed = f->seed;
    size_t from = f->text->start[base_random_next(&seed) % starts_of(f->text, seen)];
    TRY(append(&ret->tokens, &prompt_room, begin, error));
    for (size_t i = 0; i < seen; i++) {
        struct eng_tokens one = {.ids = &f->text->tokens.ids[(from + i) % f->text->tokens.count], .count = 1};
        TRY(i < n ? append(&ret->tokens, &prompt_room, &one, error)
                  : append(&ret->answer, &answer_room, &one, error));
    }
out:
    return status;
}

/* The items of a prompt: what is planted, which one is asked for, and the question's and answer's tokens. */
struct items {
    struct item item[MOST_ITEMS];
    struct eng_tokens question;
    size_t asked, planted; /* planted: tokens of all items */
};

static enum base_status make_items(struct items *items, struct eng_tokens *answer,
                                   const struct eval_prompt_form *f, uint64_t *seed, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const struct eval_task *task = f->task;
    size_t answer_room = 0, question_room = 0;
    items->asked = (size_t)(base_random_next(seed) % task->items);
    name_items(items->item, task->items, f->text, seed);
    TRY(fill(&items->question, &question_room, f->tokenizer, task->question, &items->item[items->asked],
             error));
    TRY(fill(answer, &answer_room, f->tokenizer, "{v}", &items->item[items->asked], error));
    TRY_THAT(answer->count <= EVAL_ANSWER, error, BASE_ERR_SUPPORT,
             "task %s: this tokenizer makes %zu tokens of a number of five digits: %d at most", task->name,
             answer->count, EVAL_ANSWER);
    for (size_t i = 0; i < task->items; i++)
        for (int j = 0; j < 2 && task->plant[j] != NULL; j++) {
            struct item *item = &items->item[i];
            TRY(fill(&item->plant[j], &item->room[j], f->tokenizer, task->plant[j], item, error));
            items->planted += item->plant[j].count;
        }
out:
    return status;
}

static enum base_status make_asking(struct eval_prompt *ret, const struct eval_prompt_form *f,
                                    const struct eng_tokens *begin, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const struct eval_task *task = f->task;
    struct items items;
    memset(&items, 0, sizeof items);
    uint64_t seed = f->seed;
    size_t room = 0, first = (size_t)(base_random_next(&seed) % f->text->sentences);
    TRY(make_items(&items, &ret->answer, f, &seed, error));
    size_t own = begin->count + items.planted + items.question.count;
    TRY_THAT(own < f->length, error, BASE_ERR_ARGUMENT, "task %s: its items alone are longer than %zu tokens",
             task->name, f->length);
    size_t hay = f->length - own;
    for (size_t i = 0; i < task->items; i++) {
        size_t a = (size_t)(base_random_next(&seed) % (hay + 1)),
               b = (size_t)(base_random_next(&seed) % (hay + 1));
        bool is_asked = i == items.asked && task->plant[1] == NULL;
        size_t wanted = is_asked ? (size_t)(f->depth * (double)hay) : a < b ? a : b;
        items.item[i].at[0] = boundary(f->text, first, wanted, hay);
        items.item[i].at[1] = boundary(f->text, first, a < b ? b : a, hay);
    }
    TRY(append(&ret->tokens, &room, begin, error));
    TRY(weave(ret, &room, f->text, first, hay, items.item, task->items, error));
    TRY(append(&ret->tokens, &room, &items.question, error));
out:
    for (size_t i = 0; i < task->items; i++)
        for (int j = 0; j < 2; j++)
            eng_tokens_finish(&items.item[i].plant[j]);
    eng_tokens_finish(&items.question);
    return status;
}

enum base_status eval_prompt_make(struct eval_prompt *ret, const struct eval_prompt_form *form,
                                  struct base_error *error)
{
    struct eval_prompt prompt = {0};
    int32_t bos = eng_tokenizer_bos(form->tokenizer);
    struct eng_tokens begin = {.ids = &bos, .count = bos >= 0};
    enum base_status status = form->task->items == 0 ? make_running(&prompt, form, &begin, error)
                                                     : make_asking(&prompt, form, &begin, error);
    if (status == BASE_OK)
        *ret = prompt;
    else
        eval_prompt_finish(&prompt);
    return status;
}

void eval_prompt_finish(struct eval_prompt *prompt)
{
    eng_tokens_finish(&prompt->tokens);
    eng_tokens_finish(&prompt->answer);
}
