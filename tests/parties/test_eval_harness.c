/* What cachet eval measures on running text: nats against the model in float32, the full cache against
 * itself, and prompts in which a value leaves its range. */
#include "base/memory.h"
#include "engine/reference.h"
#include "parties/clear.h"
#include "parties/eval/harness.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>

#define MODEL CACHET_SOURCE_DIR "/models/keeper"
enum { LENGTH = 64, SCORED = 8, PROMPTS = 3, CELLS = 3, SEED = 5 };

struct stage {
    struct model model;
    struct eng_tokenizer *tokenizer;
    struct eval_text text;
    struct eng_plan plan;
    struct eval_cell cell[CELLS];
};

static void must(enum base_status status, const struct base_error *error)
{
    if (status != BASE_OK)
        fail_msg("%s", error->text);
}

static int open_stage(void **state)
{
    static const char *const policies[CELLS] = {"full", "window:window=16", "a-shape:sinks=1:window=16"};
    static struct stage s;
    struct base_error error = {0};
    struct model_plan_options options = {.context = LENGTH + SCORED};
    *state = &s;
    must(model_open(&s.model, (struct model_input){.path = MODEL}, &error), &error);
    must(model_tokenizer(&s.model, &s.tokenizer, &error), &error);
    must(eval_text_open(&s.text, s.tokenizer, CACHET_SOURCE_DIR "/models/prose.txt", &error), &error);
    must(model_plan(&s.model, &options, &s.plan, NULL, &error), &error);
    for (size_t c = 0; c < CELLS; c++)
        must(kv_config_parse(policies[c], 0, &s.cell[c].policy, &s.cell[c].config, &error), &error);
    return 0;
}

static int close_stage(void **state)
{
    struct stage *s = *state;
    eng_plan_finish(&s->plan);
    eval_text_close(&s->text);
    eng_tokenizer_close(&s->tokenizer);
    model_close(&s->model);
    return 0;
}

static void evaluate(const struct stage *s, const char *task, size_t threads, struct eval_score ret[CELLS])
{
    struct base_error error = {0};
    struct clear_model clear = {0};
    must(clear_open(&clear, &s->model, &s->plan, &error), &error);
    struct eval_form form = {.decoder = {.shape = &s->model.shape,
                                         .plan = &s->plan,
                                         .weights = &clear.weights,
                                         .gates = &clear.gates},
                             .tokenizer = s->tokenizer,
                             .text = &s->text,
                             .cells = s->cell,
                             .cell_count = CELLS,
                             .prompts = PROMPTS,
                             .threads = threads,
                             .scored = SCORED,
                             .seed = SEED};
    must(eval_run(&form, eval_task_find(task), LENGTH, ret, &error), &error);
    clear_close(&clear);
}

/* -ln p of the tokens that are scored, by the model in float32. */
static double reference_nats(const struct stage *s)
{
    struct base_error error = {0};
    struct eng_reference *reference = NULL;
    size_t vocab = s->model.shape.vocab;
    float *logits = NULL;
    double nats = 0;
    must(eng_reference_create(&reference, &s->model.source, LENGTH + SCORED, &error), &error);
    must(base_alloc(&logits, SCORED * vocab, sizeof *logits, &error), &error);
    for (uint64_t i = 0; i < PROMPTS; i++) {
        struct eval_prompt p;
        struct eval_prompt_form form = {.task = eval_task_find("ppl"),
                                        .text = &s->text,
                                        .tokenizer = s->tokenizer,
                                        .length = LENGTH,
                                        .scored = SCORED,
                                        .seed = SEED * UINT64_C(1000003) + i};
        must(eval_prompt_make(&p, &form, &error), &error);
        eng_reference_reset(reference);
        must(eng_reference_forward(reference, p.tokens.ids, LENGTH, NULL, &error), &error);
        must(eng_reference_forward(reference, p.answer.ids, SCORED, logits, &error), &error);
        for (size_t r = 0; r < SCORED; r++) {
            double sum = 0;
            for (size_t v = 0; v < vocab; v++)
                sum += exp((double)logits[r * vocab + v]);
            nats += log(sum) - (double)logits[r * vocab + (size_t)p.answer.ids[r + 1]];
        }
        eval_prompt_finish(&p);
    }
    base_free(&logits);
    eng_reference_destroy(&reference);
    return nats;
}

static void test_running(void **state)
{
    const struct stage *s = *state;
    struct eval_score one[CELLS], more[CELLS];
    evaluate(s, "ppl", 1, one);
    evaluate(s, "ppl", 2, more);
    assert_memory_equal(one, more, sizeof one);
    for (size_t c = 0; c < CELLS; c++) {
        assert_int_equal(one[c].prompts, PROMPTS);
        assert_int_equal(one[c].voids, 0);
        assert_int_equal(one[c].steps, PROMPTS * SCORED);
    }
    assert_int_equal(one[0].agreed, one[0].steps);
    assert_true(one[0].divergence == 0);
    assert_true(one[1].divergence > 0 && one[2].divergence > 0);
    double wanted = reference_nats(s);
    if (fabs(one[0].nats - wanted) > 0.01 * (double)one[0].steps)
        fail_msg("%g nats, by float32 %g", one[0].nats, wanted);
}

/* Scores that lie above the planned ceilings: void prompts, no error, and nothing counts as right. */
static void test_void(void **state)
{
    enum { NATS = 12 };
    struct stage narrow = *(const struct stage *)*state;
    struct base_error error = {0};
    struct model_plan_options options = {.context = LENGTH + EVAL_ANSWER};
    struct eval_score score[CELLS];
    must(model_plan(&narrow.model, &options, &narrow.plan, NULL, &error), &error);
    for (size_t h = 0; h < narrow.plan.layers * (size_t)narrow.plan.heads; h++)
        narrow.plan.head[h].ceiling -= NATS * ENG_CEILING_UNITS;
    for (int running = 0; running < 2; running++) {
        evaluate(&narrow, running ? "ppl" : "passkey", 2, score);
        for (size_t c = 0; c < CELLS; c++) {
            assert_int_equal(score[c].voids, PROMPTS);
            assert_int_equal(score[c].hits + score[c].steps, 0);
        }
    }
    eng_plan_finish(&narrow.plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_running), cmocka_unit_test(test_void)};
    return cmocka_run_group_tests(tests, open_stage, close_stage);
}
