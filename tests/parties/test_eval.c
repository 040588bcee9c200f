/* The prompts of cachet eval: exact lengths, equal for equal seeds, the answer planted at its depth, and
 * refusals. */
#include "base/file.h"
#include "parties/eval/task.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#define MODEL CACHET_SOURCE_DIR "/models/keeper"
#define PROSE CACHET_SOURCE_DIR "/models/prose.txt"
enum { SCORED = 32 };

struct stage {
    struct eng_tokenizer *tokenizer;
    struct eval_text text;
};

static int open_stage(void **state)
{
    static struct stage s;
    struct base_error error = {0};
    *state = &s;
    return eng_tokenizer_open(&s.tokenizer, MODEL, &error) != BASE_OK ||
           eval_text_open(&s.text, s.tokenizer, PROSE, &error) != BASE_OK;
}

static int close_stage(void **state)
{
    struct stage *s = *state;
    eval_text_close(&s->text);
    eng_tokenizer_close(&s->tokenizer);
    return 0;
}

static struct eval_prompt make(const struct stage *s, const struct eval_task *task, size_t length,
                               double depth, uint64_t seed)
{
    struct eval_prompt prompt;
    struct base_error error = {0};
    struct eval_prompt_form form = {.task = task,
                                    .text = &s->text,
                                    .tokenizer = s->tokenizer,
                                    .length = length,
                                    .scored = SCORED,
                                    .depth = depth,
                                    .seed = seed};
    if (eval_prompt_make(&prompt, &form, &error) != BASE_OK)
        fail_msg("%s", error.text);
    return prompt;
}

/* First place of the answer's tokens in the prompt; SIZE_MAX: nowhere. */
static size_t find(const struct eval_prompt *p)
{
    for (size_t i = 0; i + p->answer.count <= p->tokens.count; i++)
        if (memcmp(p->tokens.ids + i, p->answer.ids, p->answer.count * sizeof *p->answer.ids) == 0)
            return i;
    return SIZE_MAX;
}

static void test_prompts(void **state)
{
    const struct stage *s = *state;
    for (const struct eval_task *const *task = eval_task_list(); *task != NULL; task++)
        for (size_t length = 512; length <= 2048; length *= 2) {
            struct eval_prompt a = make(s, *task, length, 0.5, 7), b = make(s, *task, length, 0.5, 7),
                               c = make(s, *task, length, 0.5, 8);
            assert_int_equal(a.tokens.count, length);
            assert_int_equal(a.tokens.ids[0], eng_tokenizer_bos(s->tokenizer));
            assert_memory_equal(a.tokens.ids, b.tokens.ids, length * sizeof *a.tokens.ids);
            assert_true(memcmp(a.tokens.ids, c.tokens.ids, length * sizeof *a.tokens.ids) != 0);
            assert_true(a.answer.count >= 5);
            assert_true((*task)->items == 0 || find(&a) < length - a.answer.count);
            eval_prompt_finish(&a);
            eval_prompt_finish(&b);
            eval_prompt_finish(&c);
        }
}

/* Running text goes on in its answer as the text does, and never comes to the text's end. */
static void test_running(void **state)
{
    enum { LENGTH = 256 };
    const struct stage *s = *state;
    const struct eng_tokens *all = &s->text.tokens;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct eval_prompt p = make(s, eval_task_find("ppl"), LENGTH, 0, seed);
        size_t at = 0;
        assert_int_equal(p.answer.count, SCORED + 1);
        while (at + LENGTH + SCORED <= all->count &&
               memcmp(all->ids + at, p.tokens.ids + 1, (LENGTH - 1) * sizeof *all->ids) != 0)
            at++;
        assert_true(at + LENGTH + SCORED <= all->count);
        assert_memory_equal(all->ids + at + LENGTH - 1, p.answer.ids, (SCORED + 1) * sizeof *all->ids);
        eval_prompt_finish(&p);
    }
}

/* Nothing that tasks plant stands in the text that comes with the house. */
static void test_prose(void **state)
{
    static const char *const planted[] = {"pass key", "secret code", "REGISTER", "VAR", "Gutenberg"};
    struct base_file file;
    struct base_error error = {0};
    assert_int_equal(base_file_map(&file, PROSE, &error), BASE_OK);
    for (size_t i = 0; i < sizeof planted / sizeof *planted; i++)
        assert_null(memmem(file.data, file.size, planted[i], strlen(planted[i])));
    base_file_unmap(&file);
}

/* Within a sentence or two of where it is asked for. */
static void test_depths(void **state)
{
    enum { LENGTH = 1024, NEAR = 120 };
    const struct stage *s = *state;
    for (int i = 0; i <= 4; i++) {
        double depth = i / 4.0, want = depth * LENGTH;
        struct eval_prompt p = make(s, eval_task_find("passkey"), LENGTH, depth, 3);
        double at = (double)find(&p);
        assert_true(at > want - NEAR && at < want + NEAR);
        eval_prompt_finish(&p);
    }
}

static void test_refused(void **state)
{
    const struct stage *s = *state;
    struct eval_prompt prompt;
    struct base_error error = {0};
    struct eval_prompt_form form = {
        .task = eval_task_find("kv"), .text = &s->text, .tokenizer = s->tokenizer, .length = 64};
    assert_int_equal(eval_prompt_make(&prompt, &form, &error), BASE_ERR_ARGUMENT);
    assert_non_null(strstr(error.text, "64"));
    assert_null(eval_task_find("haystack"));
    struct eval_text text;
    assert_int_equal(eval_text_open(&text, s->tokenizer, MODEL "/config.json", &error), BASE_ERR_ARGUMENT);
    assert_int_equal(eval_text_open(&text, s->tokenizer, MODEL "/nowhere.txt", &error), BASE_ERR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_prompts), cmocka_unit_test(test_running),
                                       cmocka_unit_test(test_prose), cmocka_unit_test(test_depths),
                                       cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, open_stage, close_stage);
}
