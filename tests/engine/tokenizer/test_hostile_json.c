/* Tokenizer files of the Hugging Face kind that lie, are broken, or ask for what is not supported: each is
 * refused with its status and a text that names file and field, and leaves the output alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/engine/tokenizer/document.h"
#include "tests/engine/tokenizer/support.h"

#include "engine/formats/limits.h"

/* Opens a file of these bytes, which must fail; the text starts with the file. */
static void check_refused(const void *bytes, size_t size, enum base_status want, const char *says)
{
    char path[TOK_PATH];
    struct eng_tokenizer *const before = (struct eng_tokenizer *)&path, *tokenizer = before;
    struct base_error error = {0};
    write_temporary(bytes, size, path);
    enum base_status status = eng_tokenizer_open(&tokenizer, path, &error);
    (void)unlink(path);
    check_fails(status, want, &error, says);
    assert_ptr_equal(tokenizer, before);
    assert_int_equal(strncmp(error.text, path, strlen(path)), 0);
}

struct refusal {
    const char *patch;
    enum base_status status;
    const char *says;
};

/* A case that fails is known by the text that it expects. */
static void check_all_refused(const struct refusal *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char *text = document_patched(cases[i].patch);
        check_refused(text, strlen(text), cases[i].status, cases[i].says);
        free(text);
    }
}

#define CHECK_ALL(cases) check_all_refused(cases, sizeof(cases) / sizeof *(cases))

static void test_no_document(void **state)
{
    static const struct refusal cases[] = {
        {"", BASE_ERR_IO, "is not a regular file with content"},
        {"{", BASE_ERR_FORMAT, "has 1 bytes, too few for a llama2.c tokenizer"},
        {"{}", BASE_ERR_FORMAT, "model is missing"},
        {"{\"model\":", BASE_ERR_FORMAT, "is not valid JSON: line 1, column "},
        {"{\"model\": {}} x", BASE_ERR_FORMAT, "is not valid JSON: line 1, column "},
        {"{\"model\": {}, \"model\": {}}", BASE_ERR_FORMAT, "duplicate object key"},
        {"{\"model\": {\"vocab\": {\"a\": 0, \"a\": 1}}}", BASE_ERR_FORMAT, "duplicate object key"},
        {"{\"model\": \"\xff\"}", BASE_ERR_FORMAT, "unable to decode byte 0xff"},
        {"{\"a\\u0000b\": 1}", BASE_ERR_FORMAT, "is not valid JSON"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_refused(cases[i].patch, strlen(cases[i].patch), cases[i].status, cases[i].says);
    struct eng_tokenizer *tokenizer = NULL;
    struct base_error error = {0};
    check_fails(eng_tokenizer_open(&tokenizer, "nonexistent/tokenizer.json", &error), BASE_ERR_IO, &error,
                "nonexistent/tokenizer.json: cannot open: No such file");
    assert_null(tokenizer);
}

static void test_truncated(void **state)
{
    char *text = document_patched("{}");
    for (size_t size = 2; size < strlen(text); size++)
        check_refused(text, size, BASE_ERR_FORMAT, "is not valid JSON: line 1, column ");
    free(text);
}

static void test_model(void **state)
{
    static const struct refusal cases[] = {
        {"{'model': 'DELETE'}", BASE_ERR_FORMAT, ": model is missing"},
        {"{'model': 3}", BASE_ERR_FORMAT, ": model is missing"},
        {"{'model': {'type': 'Unigram'}}", BASE_ERR_SUPPORT,
         "model.type is \"Unigram\"; cachet supports \"BPE\""},
        {"{'model': {'type': 3}}", BASE_ERR_SUPPORT, "model.type is 3"},
        {"{'model': {'vocab': 'DELETE'}}", BASE_ERR_FORMAT, "model.vocab is missing"},
        {"{'model': {'vocab': ['a']}}", BASE_ERR_FORMAT, "model.vocab is missing"},
        {"{'model': {'merges': 'DELETE'}}", BASE_ERR_FORMAT, "model.merges is missing"},
        {"{'model': {'merges': {}}}", BASE_ERR_FORMAT, "model.merges is missing"},
        {"{'model': {'continuing_subword_prefix': '##'}}", BASE_ERR_SUPPORT,
         "model.continuing_subword_prefix is \"##\""},
        {"{'model': {'end_of_word_suffix': '</w>'}}", BASE_ERR_SUPPORT,
         "model.end_of_word_suffix is \"</w>\""},
        {"{'model': {'dropout': 0.5}}", BASE_ERR_SUPPORT, "model.dropout is 0.5"},
        {"{'model': {'dropout': 'often'}}", BASE_ERR_SUPPORT, "model.dropout is \"often\""},
        {"{'model': {'fuse_unk': 1}}", BASE_ERR_FORMAT, "fuse_unk is 1; it must be true or false"},
        {"{'model': {'byte_fallback': 'yes'}}", BASE_ERR_FORMAT, "byte_fallback is \"yes\""},
        {"{'model': {'ignore_merges': []}}", BASE_ERR_FORMAT, "ignore_merges is [...]"},
        {"{'model': {'unk_token': '<none>'}}", BASE_ERR_FORMAT,
         "model.unk_token \"<none>\" is not in model.vocab"},
        {"{'model': {'unk_token': 0}}", BASE_ERR_FORMAT, "unk_token is 0; it must be a string"},
    };
    CHECK_ALL(cases);
}

static void test_vocab(void **state)
{
    static const struct refusal cases[] = {
        {"{'model': {'vocab': {'a': -1}}}", BASE_ERR_FORMAT,
         "model.vocab: \"a\" is -1; it must be an id below 2097152"},
        {"{'model': {'vocab': {'a': 1.0}}}", BASE_ERR_FORMAT, "model.vocab: \"a\" is 1.0"},
        {"{'model': {'vocab': {'a': '1'}}}", BASE_ERR_FORMAT, "model.vocab: \"a\" is \"1\""},
        {"{'model': {'vocab': {'a': null}}}", BASE_ERR_FORMAT, "model.vocab: \"a\" is null"},
        {"{'model': {'vocab': {'a': 2097152}}}", BASE_ERR_FORMAT, "model.vocab: \"a\" is 2097152"},
        {"{'model': {'vocab': {'a': 4294967296}}}", BASE_ERR_FORMAT, "model.vocab: \"a\" is 4294967296"},
        {"{'model': {'vocab': {'a': 0, 'b': 0}}}", BASE_ERR_FORMAT,
         "model.vocab: id 0 is given twice, to \""},
        {"{'model': {'vocab': {'': 0}}}", BASE_ERR_FORMAT,
         "model.vocab: token 0 has 0 bytes; 1 to 4096 are read"},
        {"{'model': {'vocab': {'a': 0, 'b': 2000000}}}", BASE_ERR_FORMAT,
         "the highest id is 2000000, but only 3 tokens are named"},
        {"{'model': {'merges': ['a c']}}", BASE_ERR_FORMAT,
         "model.merges[0]: the right piece is not in model.vocab"},
        {"{'model': {'merges': [['c', 'b']]}}", BASE_ERR_FORMAT,
         "model.merges[0]: the left piece is not in model.vocab"},
        {"{'model': {'merges': ['a b', 'b a']}}", BASE_ERR_FORMAT,
         "model.merges[1]: the merged piece is not in model.vocab"},
        {"{'model': {'merges': ['a b', 'a b']}}", BASE_ERR_FORMAT, "merge 1 repeats the pair of merge 0"},
        {"{'model': {'merges': ['ab']}}", BASE_ERR_FORMAT,
         "model.merges[0] is \"ab\"; it must be a pair of pieces"},
        {"{'model': {'merges': ['a b b']}}", BASE_ERR_FORMAT, "model.merges[0] is \"a b b\""},
        {"{'model': {'merges': [' b']}}", BASE_ERR_FORMAT, "model.merges[0] is \" b\""},
        {"{'model': {'merges': [['a']]}}", BASE_ERR_FORMAT, "model.merges[0] is [...]"},
        {"{'model': {'merges': [['a', 2]]}}", BASE_ERR_FORMAT, "model.merges[0] is [...]"},
        {"{'model': {'merges': [7]}}", BASE_ERR_FORMAT, "model.merges[0] is 7"},
    };
    CHECK_ALL(cases);
}

static void test_added(void **state)
{
    static const struct refusal cases[] = {
        {"{'added_tokens': {}}", BASE_ERR_FORMAT, "added_tokens is not a list"},
        {"{'added_tokens': [3]}", BASE_ERR_FORMAT, "added_tokens[0]: content is missing"},
        {"{'added_tokens': [{'content': 'x'}]}", BASE_ERR_FORMAT, "added_tokens[0]: id is missing"},
        {"{'added_tokens': [{'id': 4, 'content': 7}]}", BASE_ERR_FORMAT,
         "added_tokens[0]: content is 7; it must be a string"},
        {"{'added_tokens': [{'id': 4, 'content': 'x'}, {'id': -4, 'content': 'y'}]}", BASE_ERR_FORMAT,
         "added_tokens[1]: id is -4; it must be a whole number from 0 to 2097151"},
        {"{'added_tokens': [{'id': 2097152, 'content': 'x'}]}", BASE_ERR_FORMAT,
         "added_tokens[0]: id is 2097152"},
        {"{'added_tokens': [{'id': 2000000, 'content': 'x'}]}", BASE_ERR_FORMAT, "the highest id is 2000000"},
        {"{'added_tokens': [{'id': 4, 'content': ''}]}", BASE_ERR_FORMAT, "token 4 has 0 bytes"},
        {"{'added_tokens': [{'id': 4, 'content': 'x', 'special': 1}]}", BASE_ERR_FORMAT,
         "added_tokens[0]: special is 1"},
        {"{'added_tokens': [{'id': 4, 'content': 'x', 'single_word': true}]}", BASE_ERR_SUPPORT,
         "added_tokens[0]: \"x\" has single_word"},
        {"{'added_tokens': [{'id': 1, 'content': 'x'}]}", BASE_ERR_FORMAT,
         "added_tokens[0]: \"x\" has id 1, which belongs to another piece"},
        {"{'added_tokens': [{'id': 4, 'content': 'a'}]}", BASE_ERR_FORMAT,
         "added_tokens[0]: \"a\" has id 4, but model.vocab gives it id 1"},
        {"{'added_tokens': [{'id': 4, 'content': 'x'}, {'id': 4, 'content': 'y'}]}", BASE_ERR_FORMAT,
         "added_tokens[1]: \"y\" has id 4, which belongs to another piece"},
        {"{'added_tokens': [{'id': 4, 'content': 'x'}, {'id': 5, 'content': 'x'}]}", BASE_ERR_FORMAT,
         "ids 4 and 5 are added with the same text \"x\""},
    };
    CHECK_ALL(cases);
}

static void test_normalizer(void **state)
{
    static const struct refusal cases[] = {
        {"{'normalizer': {'type': 'Lowercase'}}", BASE_ERR_SUPPORT,
         "normalizer type is \"Lowercase\"; cachet supports NFC"},
        {"{'normalizer': 'NFC'}", BASE_ERR_FORMAT, "normalizer has no type"},
        {"{'normalizer': {'type': 5}}", BASE_ERR_FORMAT, "normalizer has no type"},
        {"{'normalizer': {'type': 'Sequence'}}", BASE_ERR_FORMAT, "normalizer.normalizers is nothing"},
        {"{'normalizer': {'type': 'Sequence', 'normalizers': [{'type': 'NFC'}, null]}}", BASE_ERR_FORMAT,
         "normalizer.normalizers[1] is null"},
        {"{'normalizer': {'type': 'Sequence', 'normalizers': [{'type': 'Sequence', 'normalizers': []}]}}",
         BASE_ERR_SUPPORT, "normalizer.normalizers[0] is a Sequence inside a Sequence"},
        {"{'normalizer': {'type': 'Replace', 'pattern': {'Regex': ' '}, 'content': 'x'}}", BASE_ERR_SUPPORT,
         "normalizer Replace has another pattern"},
        {"{'normalizer': {'type': 'Replace', 'pattern': {'String': ''}, 'content': 'x'}}", BASE_ERR_FORMAT,
         "normalizer Replace has an empty pattern"},
        {"{'normalizer': {'type': 'Replace', 'pattern': {'String': 'x'}, 'content': 1}}", BASE_ERR_FORMAT,
         "content is 1"},
        {"{'normalizer': {'type': 'Prepend', 'prepend': '12345678901234567'}}", BASE_ERR_SUPPORT,
         "a normalizer text has 17 bytes; cachet supports 16"},
        {"{'normalizer': {'type': 'Sequence', 'normalizers': ["
         "{'type': 'Replace', 'pattern': {'String': 'a'}, 'content': 'bbbbb'},"
         "{'type': 'Replace', 'pattern': {'String': 'b'}, 'content': 'aaaaa'}]}}",
         BASE_ERR_SUPPORT, "make text 25 times as long; cachet supports up to 16 times"},
    };
    CHECK_ALL(cases);
}

static void test_pre_tokenizer(void **state)
{
    static const struct refusal cases[] = {
        {"{'pre_tokenizer': {'type': 'Whitespace'}}", BASE_ERR_SUPPORT,
         "pre_tokenizer type is \"Whitespace\"; cachet supports"},
        {"{'pre_tokenizer': []}", BASE_ERR_FORMAT, "pre_tokenizer has no type"},
        {"{'pre_tokenizer': {'type': 'Sequence', 'pretokenizers': 4}}", BASE_ERR_FORMAT,
         "pre_tokenizer.pretokenizers is 4"},
        {"{'pre_tokenizer': {'type': 'Sequence', 'pretokenizers': [{'type': 'Sequence'}]}}", BASE_ERR_SUPPORT,
         "pre_tokenizer.pretokenizers[0] is a Sequence inside a Sequence"},
        {"{'pre_tokenizer': {'type': 'Sequence', 'pretokenizers': [{'type': 'ByteLevel'}, {'type': "
         "'Digits'}]}}",
         BASE_ERR_SUPPORT, "pre_tokenizer Digits comes after ByteLevel"},
        {"{'pre_tokenizer': {'type': 'ByteLevel'}}", BASE_ERR_SUPPORT,
         "only one of pre_tokenizer and decoder is ByteLevel"},
        {"{'pre_tokenizer': {'type': 'ByteLevel', 'use_regex': 'yes'}}", BASE_ERR_FORMAT,
         "use_regex is \"yes\""},
        {"{'pre_tokenizer': {'type': 'Split', 'behavior': 'Isolated'}}", BASE_ERR_FORMAT,
         "pre_tokenizer Split: pattern is neither"},
        {"{'pre_tokenizer': {'type': 'Split', 'pattern': {'Regex': 'a(b'}, 'behavior': 'Isolated'}}",
         BASE_ERR_SUPPORT, "split pattern \"a(b\": offset 3: missing closing parenthesis"},
        {"{'pre_tokenizer': {'type': 'Split', 'pattern': {'Regex': '[z-a]'}, 'behavior': 'Isolated'}}",
         BASE_ERR_SUPPORT, "split pattern \"[z-a]\": offset 3: range out of order"},
        {"{'pre_tokenizer': {'type': 'Split', 'pattern': {'Regex': '\\\\C'}, 'behavior': 'Isolated'}}",
         BASE_ERR_SUPPORT, "split pattern \"\\C\": offset 2: "},
        {"{'pre_tokenizer': {'type': 'Split', 'pattern': {'Regex': '(?i-m:a)'}, 'behavior': 'Isolated'}}",
         BASE_ERR_SUPPORT, "split pattern \"(?i-m:a)\" has (?m), which cachet does not support"},
        {"{'pre_tokenizer': {'type': 'Split', 'pattern': {'Regex': 'a\\\\\\\\\\\\w'}, 'behavior': "
         "'Isolated'}}",
         BASE_ERR_SUPPORT, "has \\w, which cachet does not support"},
        {"{'pre_tokenizer': {'type': 'Split', 'pattern': {'Regex': '[a&&b]'}, 'behavior': 'Isolated'}}",
         BASE_ERR_SUPPORT, "has &&, which cachet does not support"},
        {"{'pre_tokenizer': {'type': 'Split', 'pattern': {'String': ''}, 'behavior': 'Isolated'}}",
         BASE_ERR_SUPPORT, "a split pattern has 0 bytes; cachet supports 1 to 8192"},
        {"{'pre_tokenizer': {'type': 'Split', 'pattern': {'String': 'a'}, 'behavior': 'Kept'}}",
         BASE_ERR_FORMAT, "pre_tokenizer Split: behavior is \"Kept\", which does not exist"},
        {"{'pre_tokenizer': {'type': 'Metaspace', 'replacement': 'ab'}}", BASE_ERR_FORMAT,
         "pre_tokenizer Metaspace: replacement is \"ab\"; it must be a single character"},
        {"{'pre_tokenizer': {'type': 'Metaspace', 'replacement': ''}}", BASE_ERR_FORMAT,
         "pre_tokenizer Metaspace: replacement is \"\""},
        {"{'pre_tokenizer': {'type': 'Metaspace', 'prepend_scheme': 'last'}}", BASE_ERR_FORMAT,
         "prepend_scheme is \"last\", which does not exist"},
        {"{'pre_tokenizer': {'type': 'Digits', 'individual_digits': 1}}", BASE_ERR_FORMAT,
         "individual_digits is 1"},
    };
    CHECK_ALL(cases);
}

static void test_decoder_and_processor(void **state)
{
    static const struct refusal cases[] = {
        {"{'decoder': null}", BASE_ERR_SUPPORT, "decoder is null; cachet needs one with a type"},
        {"{'decoder': 'DELETE'}", BASE_ERR_SUPPORT, "decoder is nothing; cachet needs one with a type"},
        {"{'decoder': {'type': 'WordPiece'}}", BASE_ERR_SUPPORT,
         "decoder type is \"WordPiece\"; cachet supports ByteLevel"},
        {"{'decoder': {'type': 'ByteLevel'}}", BASE_ERR_SUPPORT,
         "only one of pre_tokenizer and decoder is ByteLevel"},
        {"{'decoder': {'type': 'Sequence', 'decoders': null}}", BASE_ERR_FORMAT, "decoder.decoders is null"},
        {"{'decoder': {'type': 'Sequence', 'decoders': [{'type': 'Sequence'}]}}", BASE_ERR_SUPPORT,
         "decoder.decoders[0] is a Sequence inside a Sequence"},
        {"{'decoder': {'type': 'Replace', 'pattern': {'String': 'a'}, 'content': 'bb'}}", BASE_ERR_SUPPORT,
         "decoder Replace makes text longer"},
        {"{'decoder': {'type': 'Replace', 'pattern': {'String': ''}, 'content': ''}}", BASE_ERR_FORMAT,
         "has an empty pattern"},
        {"{'decoder': {'type': 'Strip', 'content': ' ', 'start': 1, 'stop': 1}}", BASE_ERR_SUPPORT,
         "decoder Strip: content \" \" and stop 1"},
        {"{'decoder': {'type': 'Strip', 'content': ' ', 'start': 17}}", BASE_ERR_FORMAT, "start is 17"},
        {"{'post_processor': {'type': 'BertProcessing'}}", BASE_ERR_SUPPORT,
         "post_processor type is \"BertProcessing\""},
        {"{'post_processor': 4}", BASE_ERR_SUPPORT, "post_processor type is nothing"},
        {"{'post_processor': {'type': 'TemplateProcessing'}}", BASE_ERR_FORMAT,
         "post_processor: single of TemplateProcessing is nothing; it must be a list"},
        {"{'post_processor': {'type': 'TemplateProcessing', 'single': [{'SpecialToken': {'id': '<none>'}}]}}",
         BASE_ERR_SUPPORT, "post_processor puts {...} before the text"},
        {"{'post_processor': {'type': 'Sequence', 'processors': [3]}}", BASE_ERR_FORMAT,
         "post_processor.processors[0] is 3"},
    };
    CHECK_ALL(cases);
}

/* "pre_tokenizer" as Sequences inside each other. */
static char *nested(size_t depth)
{
    static const char open[] = "{\"type\": \"Sequence\", \"pretokenizers\": [", close[] = "]}";
    static const char head[] = "{\"model\": {\"vocab\": {\"a\": 0}, \"merges\": []}, \"pre_tokenizer\": ";
    char *text = malloc(sizeof head + depth * (sizeof open + sizeof close) + 8), *end = text;
    assert_non_null(text);
    end = stpcpy(end, head);
    for (size_t i = 0; i < depth; i++)
        end = stpcpy(end, open);
    for (size_t i = 0; i < depth; i++)
        end = stpcpy(end, close);
    (void)stpcpy(end, "}");
    return text;
}

static void test_deep_and_long(void **state)
{
    char *deep = nested(500), *deeper = nested(100000), many[8192], *end;
    check_refused(deep, strlen(deep), BASE_ERR_SUPPORT,
                  "pre_tokenizer.pretokenizers[0] is a Sequence inside a Sequence");
    check_refused(deeper, strlen(deeper), BASE_ERR_FORMAT, "maximum parsing depth reached");
    free(deep);
    free(deeper);
    static const char *const parts[][4] = {
        {"normalizer", "normalizers", "NFC", "the normalizer has more than 16 steps"},
        {"pre_tokenizer", "pretokenizers", "Digits", "the pre-tokenizer has more than 16 steps"}};
    for (size_t p = 0; p < 2; p++) {
        size_t used = (size_t)snprintf(many, sizeof many, "{'%s': {'type': 'Sequence', '%s': [", parts[p][0],
                                       parts[p][1]);
        for (size_t i = 0; i <= ENG_LIMIT_PIPELINE_STAGES; i++)
            used += (size_t)snprintf(many + used, sizeof many - used, "%s{'type': '%s'}", i == 0 ? "" : ",",
                                     parts[p][2]);
        (void)snprintf(many + used, sizeof many - used, "]}}");
        const struct refusal steps = {many, BASE_ERR_SUPPORT, parts[p][3]};
        check_all_refused(&steps, 1);
    }
    end = stpcpy(many, "{'model': {'vocab': {'");
    memset(end, 'x', ENG_LIMIT_PIECE_BYTES + 1);
    (void)stpcpy(end + ENG_LIMIT_PIECE_BYTES + 1, "': 0}}}");
    const struct refusal piece = {many, BASE_ERR_FORMAT,
                                  "model.vocab: token 0 has 4097 bytes; 1 to 4096 are read"};
    check_all_refused(&piece, 1);
}

/* A sound pattern that needs too much for a text is an error of the encoding. */
static void test_pattern_gives_up(void **state)
{
    enum { SIZE = 4 << 20 };
    char *text = malloc(SIZE), path[TOK_PATH];
    char *document =
        document_patched("{'pre_tokenizer': {'type': 'Split', 'pattern': {'Regex': '(?:a|aa)+[bc]'}, "
                         "'behavior': 'Isolated'}}");
    struct eng_tokenizer *tokenizer = NULL;
    struct eng_tokens tokens = {.count = 5};
    struct base_error error = {0};
    assert_non_null(text);
    memset(text, 'a', SIZE);
    write_temporary(document, strlen(document), path);
    check_ok(eng_tokenizer_open(&tokenizer, path, &error), &error);
    (void)unlink(path);
    check_fails(eng_tokenizer_encode(tokenizer, text, SIZE, false, &tokens, &error), BASE_ERR_SUPPORT, &error,
                "the tokenizer's split pattern gives up on this text: heap limit exceeded");
    assert_true(tokens.ids == NULL && tokens.count == 5);
    eng_tokenizer_close(&tokenizer);
    free(document);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {

        cmocka_unit_test(test_no_document),   cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_model),         cmocka_unit_test(test_vocab),
        cmocka_unit_test(test_added),         cmocka_unit_test(test_normalizer),
        cmocka_unit_test(test_pre_tokenizer), cmocka_unit_test(test_decoder_and_processor),
        cmocka_unit_test(test_deep_and_long), cmocka_unit_test(test_pattern_gives_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
