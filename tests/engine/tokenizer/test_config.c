/* tokenizer_config.json beside a tokenizer.json: bos and eos, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/engine/tokenizer/document.h"
#include "tests/engine/tokenizer/support.h"

#include <sys/stat.h>

/* A model directory with this tokenizer_config.json beside the sound document. */
static enum base_status open_with_config(const char *config, struct eng_tokenizer **ret,
                                         struct base_error *error)
{
    char directory[TOK_PATH], path[TOK_PATH + 32], *text = document_patched("{}");
    int size = snprintf(directory, sizeof directory, "%s/cachet-tokenizer-XXXXXX", P_tmpdir);
    assert_true(size > 0 && mkdtemp(directory) != NULL);
    const char *const names[] = {"tokenizer.json", "tokenizer_config.json"}, *const contents[] = {text,
                                                                                                  config};
    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        FILE *file = contents[i] == NULL ? NULL : fopen(path, "w");
        if (file != NULL) {
            assert_true(fputs(contents[i], file) >= 0);
            assert_int_equal(fclose(file), 0);
        }
    }
    enum base_status status = eng_tokenizer_open(ret, directory, error);
    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(directory), 0);
    free(text);
    return status;
}

static void test_config_refused(void **state)
{
    static const struct {
        const char *config;
        enum base_status status;
        const char *says;
    } cases[] = {
        {"{", BASE_ERR_FORMAT, "/tokenizer_config.json: is not valid JSON"},
        {"[]", BASE_ERR_FORMAT, "/tokenizer_config.json: the document is not an object"},
        {"{\"bos_token\": \"<none>\"}", BASE_ERR_FORMAT,
         "/tokenizer_config.json: bos_token is \"<none>\", which is no token"},
        {"{\"eos_token\": 7}", BASE_ERR_FORMAT,
         "/tokenizer_config.json: eos_token is 7.0, which is no token"},
        {"{\"eos_token\": {\"content\": 7}}", BASE_ERR_FORMAT,
         "/tokenizer_config.json: eos_token is {...}, which is no token"},
        {"{\"add_bos_token\": 1}", BASE_ERR_FORMAT,
         "/tokenizer_config.json: add_bos_token is 1.0; it must be true or false"},
        {"{\"bos_token\": null, \"bos_token\": null}", BASE_ERR_FORMAT, "duplicate object key"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct eng_tokenizer *const before = (struct eng_tokenizer *)&i, *tokenizer = before;
        struct base_error error = {0};
        check_fails(open_with_config(cases[i].config, &tokenizer, &error), cases[i].status, &error,
                    cases[i].says);
        assert_ptr_equal(tokenizer, before);
    }
}

static void test_config_read(void **state)
{
    static const struct {
        const char *config;
        int32_t bos, eos;
        bool adds;
    } cases[] = {
        {NULL, -1, -1, false},
        {"{}", -1, -1, false},
        {"{\"add_bos_token\": true, \"bos_token\": null}", -1, -1, false},
        {"{\"bos_token\": \"<s>\", \"eos_token\": \"ab\"}", 4, 3, false},
        {"{\"bos_token\": {\"content\": \"<s>\"}, \"add_bos_token\": true, \"model_max_length\": 1" /* 10^30
                                                                                                     */
         "000000000000000019884624838656}",
         4, -1, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct eng_tokenizer *tokenizer = NULL;
        struct base_error error = {0};
        check_ok(open_with_config(cases[i].config, &tokenizer, &error), &error);
        assert_int_equal(eng_tokenizer_bos(tokenizer), cases[i].bos);
        assert_int_equal(eng_tokenizer_eos(tokenizer), cases[i].eos);
        assert_int_equal(eng_tokenizer_adds_bos(tokenizer), cases[i].adds);
        eng_tokenizer_close(&tokenizer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config_refused),
        cmocka_unit_test(test_config_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
