/* Small tokenizers whose answers can be read off the document. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/engine/tokenizer/document.h"
#include "tests/engine/tokenizer/support.h"

static struct eng_tokenizer *open_patched(const char *patch)
{
    char *text = document_patched(patch), path[TOK_PATH];
    struct eng_tokenizer *tokenizer = NULL;
    struct base_error error = {0};
    write_temporary(text, strlen(text), path);
    check_ok(eng_tokenizer_open(&tokenizer, path, &error), &error);
    (void)unlink(path);
    free(text);
    return tokenizer;
}

struct answer {
    const char *patch;
    const char *text;
    int32_t ids[8];
    size_t count;
};

static void test_ids(void **state)
{
    static const struct answer answers[] = {
        {"{}", "abc<s>a", {3, 0, 4, 1}, 4},
        {"{}", "", {0}, 0},
        {"{}", "aab", {1, 3}, 2},
        {"{}", "xyza", {0, 0, 0, 1}, 4},
        {"{'model': {'fuse_unk': true}}", "xyza?", {0, 1, 0}, 3},
        {"{'model': {'unk_token': null}}", "xaby", {3}, 1},
        /* Without a merge a piece is only found whole, and only when the model says so. */
        {"{'model': {'vocab': {'<unk>': 0, 'a': 1, 'b': 2, 'ab': 3, 'ba': 5}}}", "ba", {2, 1}, 2},
        {"{'model': {'vocab': {'<unk>': 0, 'a': 1, 'b': 2, 'ab': 3, 'ba': 5}, 'ignore_merges': true}}",
         "ba",
         {5},
         1},
        /* Byte tokens stand for unknown characters when all of their bytes have one. */
        {"{'model': {'vocab': {'<unk>': 0, 'a': 1, 'b': 2, 'ab': 3, '<0xC3>': 5, '<0xA9>': 6}, "
         "'byte_fallback': true}}",
         "\xc3\xa9\xc3\xa8",
         {5, 6, 0},
         3},
        /* The longest added token wins, wherever it stands in the list. */
        {"{'added_tokens': [{'id': 4, 'content': '<'}, {'id': 5, 'content': '<<s>'}, {'id': 6, 'content': "
         "'<<'}]}",
         "<<s><<<",
         {5, 6, 4},
         3},
    };
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        struct eng_tokenizer *tokenizer = open_patched(answers[i].patch);
        struct eng_tokens tokens = {0};
        struct base_error error = {0};
        check_ok(
            eng_tokenizer_encode(tokenizer, answers[i].text, strlen(answers[i].text), false, &tokens, &error),
            &error);
        assert_int_equal(tokens.count, answers[i].count);
        for (size_t k = 0; k < tokens.count; k++)
            assert_int_equal(tokens.ids[k], answers[i].ids[k]);
        eng_tokens_finish(&tokens);
        eng_tokenizer_close(&tokenizer);
    }
}

static void check_piece(const struct eng_tokenizer *tokenizer, int32_t prev, int32_t id, const char *want)
{
    struct eng_piece piece = {(const uint8_t *)"x", 1};
    struct base_error error = {0};
    check_ok(eng_tokenizer_decode_piece(tokenizer, prev, id, &piece, &error), &error);
    assert_int_equal(piece.size, strlen(want));
    assert_memory_equal(piece.bytes, want, piece.size);
}

/* Ids may have holes; those decode to nothing. */
static void test_holes(void **state)
{
    struct eng_tokenizer *tokenizer =
        open_patched("{'model': {'vocab': {'<unk>': 0, 'a': 10, 'b': 20, 'ab': 30}}}");
    assert_int_equal(eng_tokenizer_vocabulary(tokenizer), 31);
    check_piece(tokenizer, -1, 15, "");
    check_piece(tokenizer, 15, 30, "ab");
    eng_tokenizer_close(&tokenizer);
}

/* One leading space is dropped at the start, never two; Strip says how many. */
static void test_leading_spaces(void **state)
{
    static const struct {
        const char *decoder;
        const char *at_start;
    } cases[] = {
        {"{'type': 'Metaspace'}", " a"},
        {"{'type': 'Metaspace', 'prepend_scheme': 'never'}", "  a"},
        {"{'type': 'Metaspace', 'add_prefix_space': false}", "  a"},
        {"{'type': 'Replace', 'pattern': {'String': '\xe2\x96\x81'}, 'content': ' '}", "  a"},
        {"{'type': 'Sequence', 'decoders': [{'type': 'Replace', 'pattern': {'String': '\xe2\x96\x81'}, "
         "'content': ' '},"
         "{'type': 'Fuse'}, {'type': 'Strip', 'content': ' ', 'start': 2, 'stop': 0}]}",
         "a"},
        {"{'type': 'Fuse'}", "\xe2\x96\x81\xe2\x96\x81"
                             "a"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char patch[512];
        (void)snprintf(patch, sizeof patch,
                       "{'model': {'vocab': {'<unk>': 0, 'a': 1, 'b': 2, 'ab': 3, '\xe2\x96\x81\xe2\x96\x81"
                       "a': 5}}, 'decoder': %s}",
                       cases[i].decoder);
        struct eng_tokenizer *tokenizer = open_patched(patch);
        check_piece(tokenizer, -1, 5, cases[i].at_start);
        check_piece(tokenizer, 1, 5, i == 5 ? cases[i].at_start : "  a");
        eng_tokenizer_close(&tokenizer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_holes),
        cmocka_unit_test(test_leading_spaces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
