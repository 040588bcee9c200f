/* The figures and the file of cachet eval: Wilson's interval, rows that read back as they were written, files
 * that are refused with one clear error, and nothing left behind. */
#include "parties/eval/results.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Newcombe, Statistics in Medicine 17 (1998), table I, method 3; and the ends. */
static void test_wilson(void **state)
{
    static const struct {
        size_t hits, trials;
        double low, high;
    } known[] = {{81, 263, 25.53, 36.62}, {15, 148, 6.24, 16.05}, {0, 20, 0, 16.11},
                 {1, 29, 0.61, 17.18},    {20, 20, 83.89, 100},   {0, 0, 0, 100}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        struct eval_share share = eval_share_of(known[i].hits, known[i].trials);
        assert_true(share.low > known[i].low - 0.006 && share.low < known[i].low + 0.006);
        assert_true(share.high > known[i].high - 0.006 && share.high < known[i].high + 0.006);
    }
}

static void add(struct eval_results *results, const char *task, size_t context, const char *policy,
                uint32_t budget, struct eval_score score)
{
    struct base_error error = {0};
    struct eval_row row = {.task = eval_task_find(task),
                           .context = context,
                           .budget = budget,
                           .score = score,
                           .bytes = 1388856.5,
                           .rounds = 101.2};
    (void)snprintf(row.policy, sizeof row.policy, "%s", policy);
    assert_int_equal(eval_results_add(results, &row, &error), BASE_OK);
}

static void make_path(char path[64])
{
    (void)snprintf(path, 64, "/tmp/cachet-eval-%d.json", (int)getpid());
}

static void assert_near(double a, double b)
{
    assert_true(a - b < 1e-9 * (1 + b) && b - a < 1e-9 * (1 + b));
}

static void test_round_trip(void **state)
{
    char path[64];
    struct base_error error = {0};
    struct eval_results a = {.model = "0204f7", .plan = "f35728", .text = "d36f60", .seed = 7, .scored = 32},
                        b = {0};
    make_path(path);
    add(&a, "keys", 512, "full", 0, (struct eval_score){.prompts = 100, .hits = 98});
    add(&a, "keys", 512, "select:reuse=4", 25, (struct eval_score){.prompts = 100, .voids = 2, .hits = 90});
    add(&a, "ppl", 1024, "window:window=64", 0,
        (struct eval_score){
            .prompts = 100, .steps = 3200, .agreed = 2999, .nats = 9876.54321, .divergence = 12.25});
    assert_int_equal(eval_results_write(&a, path, &error), BASE_OK);
    assert_int_equal(eval_results_write(&a, path, &error), BASE_OK);
    assert_int_equal(eval_results_read(&b, path, &error), BASE_OK);
    assert_int_equal(eval_results_match(&a, &b, path, &error), BASE_OK);
    assert_int_equal(b.count, a.count);
    for (size_t i = 0; i < a.count; i++) {
        const struct eval_row *x = &a.rows[i], *y = eval_results_find(&b, x);
        assert_ptr_equal(y, &b.rows[i]);
        assert_int_equal(x->score.prompts, y->score.prompts);
        assert_int_equal(x->score.voids, y->score.voids);
        assert_int_equal(x->score.hits, y->score.hits);
        assert_int_equal(x->score.steps, y->score.steps);
        assert_int_equal(x->score.agreed, y->score.agreed);
        assert_near(x->score.nats, y->score.nats);
        assert_near(x->score.divergence, y->score.divergence);
        assert_near(x->bytes, y->bytes);
        assert_near(x->rounds, y->rounds);
    }
    b.seed = 8;
    assert_int_equal(eval_results_match(&a, &b, path, &error), BASE_ERR_MISMATCH);
    assert_non_null(strstr(error.text, "seed is 8, of this run it is 7"));
    eval_results_finish(&a);
    eval_results_finish(&b);
    (void)unlink(path);
}

#define HEAD "{\"model\":\"a\",\"plan\":\"b\",\"text\":\"c\",\"seed\":1,\"scored\":32,\"rows\":["
#define NAMES "{\"task\":\"keys\",\"context\":512,\"policy\":\"full\",\"budget_percent\":null,"
#define PRICE "\"bytes_per_token\":1,\"rounds_per_token\":1}"
#define ROW NAMES "\"prompts\":10,\"void\":0,\"hits\":10," PRICE

static void test_refused(void **state)
{
    static const char *const bad[][2] = {
        {"[]", "must hold one object"},
        {"{\"model\":\"a\"}", "plan is missing"},
        {"{\"model\":7}", "model must be a text"},
        {"{\"model\":\"a\",\"plan\":\"b\",\"text\":\"c\",\"seed\":1,\"scored\":32,\"rows\":{}}",
         "rows must be an array"},
        {"{\"model\":\"a\",\"model\":\"a\"}", "duplicate"},
        {HEAD "7]}", "rows[0] must be an object"},
        {HEAD ROW, "expected near end of file"},
        {HEAD ROW "," ROW "]}", "rows[1]: policy full is there twice"},
        {HEAD "{\"task\":\"haystack\"}]}", "rows[0].task is \"haystack\": must be one of passkey"},
        {HEAD "{\"task\":\"keys\",\"policy\":\"best\",\"budget_percent\":1}]}", "rows[0].policy: "},
        {HEAD "{\"task\":\"keys\",\"policy\":\"full\",\"budget_percent\":20}]}", "policy full takes none"},
        {HEAD "{\"task\":\"keys\",\"policy\":\"select\",\"budget_percent\":101}]}",
         "budget_percent is 101: must be"},
        {HEAD "{\"task\":\"keys\",\"policy\":\"select\",\"budget_percent\":\"5\"}]}",
         "budget_percent must be a whole"},
        {HEAD "{\"task\":\"keys\",\"policy\":\"full\",\"budget_percent\":null,\"context\":-4}]}",
         "context is -4"},
        {HEAD NAMES "\"prompts\":0}]}", "prompts is 0"},
        {HEAD NAMES "\"prompts\":10.5}]}", "prompts must be a whole number"},
        {HEAD NAMES "\"prompts\":10,\"void\":4,\"hits\":7," PRICE "]}",
         "hits is 7: must be a whole number of 0 to 6"},
        {HEAD NAMES "\"prompts\":10,\"void\":0,\"hits\":7,\"bytes_per_token\":-1}]}",
         "bytes_per_token is -1"},
        {HEAD NAMES "\"prompts\":10,\"void\":0,\"hits\":7,\"bytes_per_token\":1}]}",
         "rounds_per_token is missing"},
    };
    char path[64];
    make_path(path);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct eval_results results = {0};
        struct base_error error = {0};
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        (void)fputs(bad[i][0], file);
        assert_int_equal(fclose(file), 0);
        assert_int_equal(eval_results_read(&results, path, &error), BASE_ERR_FORMAT);
        if (strstr(error.text, bad[i][1]) == NULL || strstr(error.text, path) == NULL)
            fail_msg("\"%s\" should say \"%s\"", error.text, bad[i][1]);
        assert_null(results.rows);
    }
    (void)unlink(path);
    struct eval_results results = {0};
    struct base_error error = {0};
    assert_int_equal(eval_results_read(&results, path, &error), BASE_ERR_IO);
    assert_int_equal(eval_results_write(&results, "/nowhere/eval.json", &error), BASE_ERR_IO);
}

/* The n-th call of malloc from here on fails; 0: none does. */
static size_t fails, calls;
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
    return ++calls == fails ? NULL : __real_malloc(size);
}

/* Written whole or not at all, whichever allocation fails: jansson would leave parts out. */
static void test_short_of_memory(void **state)
{
    char path[64];
    size_t refused = 0;
    struct base_error error = {0};
    struct eval_results old = {.model = "0204f7", .plan = "f35728", .text = "d36f60", .seed = 7, .scored = 32}, results = old;
    (void)state;
    make_path(path);
    add(&results, "keys", 512, "full", 0, (struct eval_score){.prompts = 100, .hits = 98});
    add(&results, "keys", 512, "select:reuse=4", 25, (struct eval_score){.prompts = 100, .hits = 90});
    bool failed = true;
    for (size_t n = 1; failed; n++) {
        struct eval_results found = {0};
        error = (struct base_error){0};
        assert_int_equal(eval_results_write(&old, path, &error), BASE_OK);
        calls = 0;
        fails = n;
        enum base_status status = eval_results_write(&results, path, &error);
        fails = 0;
        failed = calls >= n;
        /* Some allocations can be done without. */
        if (status != BASE_OK && (status != BASE_ERR_MEMORY || !failed))
            fail_msg("call %zu of %zu fails: %s: %s", n, calls, base_status_name(status), error.text);
        error = (struct base_error){0};
        assert_int_equal(eval_results_read(&found, path, &error), BASE_OK);
        assert_int_equal(found.count, status == BASE_OK ? results.count : 0);
        refused += status != BASE_OK;
        eval_results_finish(&found);
        assert_true(n < 10000);
    }
    assert_true(refused > 50);
    eval_results_finish(&results);
    (void)unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_wilson), cmocka_unit_test(test_round_trip),
                                       cmocka_unit_test(test_refused), cmocka_unit_test(test_short_of_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
