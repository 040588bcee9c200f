#include "parties/eval/task.h"

#include "base/file.h"
#include "base/memory.h"
#include "parties/eval/tasks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_ITEMS = 8, PIECE = 128 };

static const struct eval_task *const tasks[] = {&eval_task_passkey, &eval_task_keys,  &eval_task_lines,
                                                &eval_task_kv,      &eval_task_trace, NULL};

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

/* splitmix64: equal seeds, equal prompts. */
static uint64_t draw(uint64_t *seed)
{
    uint64_t z = *seed += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

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
        taken[i] = (size_t)(draw(seed) % text->words);
        for (size_t j = 0; j < i; j++)
            known = known || taken[j] == taken[i];
        i += !known;
    }
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(items[i].name, sizeof items[i].name, " %s", text->word[taken[2 * i]]);
        (void)snprintf(items[i].second, sizeof items[i].second, " %s", text->word[taken[2 * i + 1]]);
        (void)snprintf(items[i].value, sizeof items[i].value, " %05u", (unsigned)(draw(seed) % 100000));
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

enum base_status eval_prompt_make(struct eval_prompt *ret, const struct eval_task *task,
                                  const struct eval_text *text, const struct eng_tokenizer *tokenizer,
                                  size_t length, double depth, uint64_t seed, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eval_prompt prompt = {.depth = depth};
    struct eng_tokens question = {0};
    struct item items[MOST_ITEMS];
    memset(items, 0, sizeof items);
    size_t room = 0, answer_room = 0, question_room = 0, planted = 0,
           first = (size_t)(draw(&seed) % text->sentences), asked = (size_t)(draw(&seed) % task->items);
    int32_t bos = eng_tokenizer_bos(tokenizer);
    struct eng_tokens begin = {.ids = &bos, .count = bos >= 0};
    name_items(items, task->items, text, &seed);
    TRY(fill(&question, &question_room, tokenizer, task->question, &items[asked], error));
    TRY(fill(&prompt.answer, &answer_room, tokenizer, "{v}", &items[asked], error));
    for (size_t i = 0; i < task->items; i++)
        for (int j = 0; j < 2 && task->plant[j] != NULL; j++) {
            TRY(fill(&items[i].plant[j], &items[i].room[j], tokenizer, task->plant[j], &items[i], error));
            planted += items[i].plant[j].count;
        }
    TRY_THAT(begin.count + planted + question.count < length, error, BASE_ERR_ARGUMENT,
             "task %s: its items alone are longer than %zu tokens", task->name, length);
    size_t hay = length - begin.count - planted - question.count;
    for (size_t i = 0; i < task->items; i++) {
        size_t a = (size_t)(draw(&seed) % (hay + 1)), b = (size_t)(draw(&seed) % (hay + 1));
        bool is_asked = i == asked && task->plant[1] == NULL;
        items[i].at[0] = boundary(text, first, is_asked ? (size_t)(depth * (double)hay) : a < b ? a : b, hay);
        items[i].at[1] = boundary(text, first, a < b ? b : a, hay);
    }
    TRY(append(&prompt.tokens, &room, &begin, error));
    TRY(weave(&prompt, &room, text, first, hay, items, task->items, error));
    TRY(append(&prompt.tokens, &room, &question, error));
    *ret = prompt;
    prompt = (struct eval_prompt){0};
out:
    for (size_t i = 0; i < task->items; i++)
        for (int j = 0; j < 2; j++)
            eng_tokens_finish(&items[i].plant[j]);
    eng_tokens_finish(&question);
    eval_prompt_finish(&prompt);
    return status;
}

void eval_prompt_finish(struct eval_prompt *prompt)
{
    eng_tokens_finish(&prompt->tokens);
    eng_tokens_finish(&prompt->answer);
}
