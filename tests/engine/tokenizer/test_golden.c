/* Ids, decoded texts, splits and normal forms equal those of the reference, as make_golden.py wrote them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/engine/tokenizer/support.h"

#include "base/memory.h"
#include "engine/tokenizer/internal.h"

static struct eng_bytes bytes_of(const json_t *string)
{
    assert_true(json_is_string(string));
    return (struct eng_bytes){(const uint8_t *)json_string_value(string), json_string_length(string)};
}

static bool same(struct eng_bytes a, struct eng_bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static int setup(void **state)
{
    char path[TOK_PATH];
    json_error_t trouble;
    *state =
        json_load_file(path_in_source("tests/engine/tokenizer/golden.json", path), JSON_ALLOW_NUL, &trouble);
    if (*state == NULL)
        (void)fprintf(stderr, "%s: line %d: %s\n", path, trouble.line, trouble.text);
    return *state == NULL;
}

static int teardown(void **state)
{
    json_decref(*state);
    return 0;
}

/* Ids as golden.json writes them: a number, or [id, count] for a run. */
static bool ids_match(const json_t *written, const int32_t *ids, size_t count)
{
    size_t at = 0, i;
    json_t *item;
    json_array_foreach(written, i, item)
    {
        const json_t *id = json_is_array(item) ? json_array_get(item, 0) : item;
        json_int_t times = json_is_array(item) ? json_integer_value(json_array_get(item, 1)) : 1;
        assert_true(json_is_integer(id) && times > 0);
        for (; times > 0; times--, at++)
            if (at == count || ids[at] != json_integer_value(id))
                return false;
    }
    return at == count;
}

static void show_ids(const int32_t *ids, size_t count)
{
    (void)fprintf(stderr, "  ids given:");
    for (size_t i = 0; i < count && i < 60; i++)
        (void)fprintf(stderr, " %d", (int)ids[i]);
    (void)fprintf(stderr, "\n");
}

static bool is_special(const struct eng_tokenizer *tokenizer, int32_t id)
{
    return tokenizer->bpe.vocab.entries[id].kind == ENG_ENTRY_SPECIAL;
}

/* Decodes piece by piece through the stream. The reference drops special tokens before it decodes: the start
 * lasts until the first other token. */
static struct eng_buffer decode(const struct eng_tokenizer *tokenizer, const struct eng_tokens *tokens)
{
    struct base_error error = {0};
    struct eng_buffer text = {0};
    struct eng_utf8_stream stream = {0};
    size_t room = 16;
    for (size_t i = 0; i < tokens->count; i++)
        room += 3 * (ENG_LIMIT_PIECE_BYTES + 3) / 16;
    check_ok(base_alloc(&text.data, room, 1, &error), &error);
    int32_t prev = -1;
    bool started = false;
    for (size_t i = 0; i < tokens->count; i++) {
        struct eng_piece piece = {0};
        check_ok(eng_tokenizer_decode_piece(tokenizer, prev, tokens->ids[i], &piece, &error), &error);
        assert_true(text.size + 3 * (piece.size + 3) + 3 <= room);
        text.size += eng_utf8_push(&stream, piece.bytes, piece.size, (char *)text.data + text.size);
        started = (started || !is_special(tokenizer, tokens->ids[i])) &&
                  tokens->ids[i] != eng_tokenizer_bos(tokenizer);
        prev = started ? tokens->ids[i] : -1;
    }
    text.size += eng_utf8_flush(&stream, (char *)text.data + text.size);
    return text;
}

static struct eng_bytes decoded_text(const json_t *one, struct eng_bytes text, struct eng_buffer *work)
{
    struct base_error error = {0};
    const struct eng_rewrite space = {.prefix = {(const uint8_t *)" ", 1}};
    if (json_object_get(one, "decoded") != NULL)
        return bytes_of(json_object_get(one, "decoded"));
    if (json_object_get(one, "spaced") == NULL)
        return text;
    check_ok(eng_buffer_rewrite(work, text, &space, &error), &error);
    return eng_buffer_bytes(work);
}

/* Encodes and decodes one text; false, with a line for people, when ids or text are not the reference's. */
static bool check_case(const struct eng_tokenizer *tokenizer, const json_t *one, struct eng_bytes text,
                       bool add_bos)
{
    const char *name = json_string_value(json_object_get(one, "text"));
    struct base_error error = {0};
    struct eng_tokens tokens = {0};
    struct eng_buffer work = {0};
    struct eng_bytes want = decoded_text(one, text, &work);
    check_ok(eng_tokenizer_encode(tokenizer, (const char *)text.data, text.size, add_bos, &tokens, &error),
             &error);
    bool ids = ids_match(json_object_get(one, "ids"), tokens.ids, tokens.count);
    if (!ids) {
        (void)fprintf(stderr, "text \"%s\": ids differ from golden.json\n", name);
        show_ids(tokens.ids, tokens.count);
    }
    struct eng_buffer decoded = decode(tokenizer, &tokens);
    bool back = same(eng_buffer_bytes(&decoded), want);
    if (!back)
        (void)fprintf(stderr, "text \"%s\": decodes to \"%.*s\", not \"%.*s\"\n", name, (int)decoded.size,
                      (const char *)decoded.data, (int)want.size, (const char *)want.data);
    eng_buffer_finish(&decoded);
    eng_buffer_finish(&work);
    eng_tokens_finish(&tokens);
    return ids && back;
}

static size_t check_tokenizer(const json_t *golden, const json_t *entry)
{
    const char *path = json_string_value(json_object_get(entry, "path"));
    struct eng_tokenizer *tokenizer = open_in_source(path);
    bool llama2c = strstr(path, ".bin") != NULL; /* its reference begins with bos */
    size_t i, wrong = 0;
    json_t *one;
    assert_int_equal(eng_tokenizer_vocabulary(tokenizer),
                     json_integer_value(json_object_get(entry, "vocabulary")));
    assert_true(json_array_size(json_object_get(entry, "cases")) ==
                json_object_size(json_object_get(golden, "texts")));
    json_array_foreach(json_object_get(entry, "cases"), i, one)
    {
        const char *name = json_string_value(json_object_get(one, "text"));
        wrong += !check_case(tokenizer, one,
                             bytes_of(json_object_get(json_object_get(golden, "texts"), name)), llama2c);
    }
    if (wrong > 0)
        (void)fprintf(stderr, "%s: %zu texts of %zu differ\n", path, wrong, i);
    eng_tokenizer_close(&tokenizer);
    return wrong;
}

/* The committed tokenizers, or those of ../shared as far as they are there. Returns how many were looked at.
 */
static size_t check_all(const json_t *golden, bool shared)
{
    size_t i, wrong = 0, seen = 0;
    json_t *entry;
    json_array_foreach(json_object_get(golden, "tokenizers"), i, entry)
    {
        char full[TOK_PATH];
        const char *path = json_string_value(json_object_get(entry, "path"));
        if ((strncmp(path, "../", 3) == 0) != shared)
            continue;
        if (shared && access(path_in_source(path, full), R_OK) != 0) {
            print_message("%s is absent: not compared\n", path);
            continue;
        }
        wrong += check_tokenizer(golden, entry);
        seen++;
    }
    assert_int_equal(wrong, 0);
    return seen;
}

static void test_committed(void **state)
{
    assert_int_equal(check_all(*state, false), 8);
}

static void test_shared(void **state)
{
    if (check_all(*state, true) == 0)
        skip();
}

struct words {
    const json_t *want; /* the text, then its words */
    size_t count;
    bool wrong;
};

static enum base_status see_word(void *context, struct eng_bytes word, struct base_error *error)
{
    struct words *words = context;
    const json_t *want = json_array_get(words->want, ++words->count);
    words->wrong = words->wrong || want == NULL || !same(bytes_of(want), word);
    return BASE_OK;
}

static void test_splits(void **state)
{
    size_t i, k, wrong = 0;
    json_t *entry, *one;
    json_array_foreach(json_object_get(*state, "splits"), i, entry)
    {
        struct eng_pretokenizer pretokenizer = {0};
        struct base_error error = {0};
        check_ok(eng_pretokenizer_parse(&pretokenizer, json_object_get(entry, "pre_tokenizer"), &error),
                 &error);
        json_array_foreach(json_object_get(entry, "cases"), k, one)
        {
            struct words words = {.want = one};
            const struct eng_word_sink sink = {see_word, &words};
            struct eng_bytes text = bytes_of(json_array_get(one, 0));
            check_ok(eng_pretokenizer_run(&pretokenizer, text, true, &sink, &error), &error);
            if (words.wrong || words.count + 1 != json_array_size(one)) {
                (void)fprintf(stderr, "split %zu of \"%.*s\" differs\n", i, (int)text.size,
                              (const char *)text.data);
                wrong++;
            }
        }
        eng_pretokenizer_finish(&pretokenizer);
    }
    assert_true(i > 30);
    assert_int_equal(wrong, 0);
}

static void test_normal_forms(void **state)
{
    size_t i, k, wrong = 0;
    json_t *entry, *one;
    json_array_foreach(json_object_get(*state, "normal_forms"), i, entry)
    {
        struct eng_normalizer normalizer = {0};
        struct base_error error = {0};
        check_ok(eng_normalizer_parse(&normalizer, json_object_get(entry, "normalizer"), &error), &error);
        json_array_foreach(json_object_get(entry, "cases"), k, one)
        {
            struct eng_buffer work = {0};
            struct eng_bytes normal = {0}, text = bytes_of(json_array_get(one, 0));
            check_ok(eng_normalizer_run(&normalizer, text, &work, &normal, &error), &error);
            if (!same(normal, bytes_of(json_array_get(one, 1)))) {
                (void)fprintf(stderr, "normal form %zu of \"%.*s\" differs\n", i, (int)text.size,
                              (const char *)text.data);
                wrong++;
            }
            eng_buffer_finish(&work);
        }
    }
    assert_true(i > 6);
    assert_int_equal(wrong, 0);
}

static size_t hex_bytes(const char *hex, uint8_t ret[32])
{
    size_t count = 0;
    for (const char *at = hex; *at != '\0'; at += at[2] == ' ' ? 3 : 2) {
        assert_true(count < 32);
        ret[count++] = (uint8_t)strtoul((char[]){at[0], at[1], '\0'}, NULL, 16);
    }
    return count;
}

/* Broken UTF-8 through the stream, cut at every two places. */
static void test_lossy_stream(void **state)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(*state, "lossy"), i, one)
    {
        uint8_t bytes[32];
        size_t size = hex_bytes(json_string_value(json_object_get(one, "bytes")), bytes);
        struct eng_bytes want = bytes_of(json_object_get(one, "text"));
        for (size_t a = 0; a <= size; a++) {
            for (size_t b = a; b <= size; b++) {
                struct eng_utf8_stream stream = {0};
                char text[3 * 32 + 30];
                size_t n = eng_utf8_push(&stream, bytes, a, text);
                n += eng_utf8_push(&stream, bytes + a, b - a, text + n);
                n += eng_utf8_push(&stream, bytes + b, size - b, text + n);
                n += eng_utf8_flush(&stream, text + n);
                assert_true(same((struct eng_bytes){(const uint8_t *)text, n}, want));
            }
        }
    }
    assert_true(i > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_committed),    cmocka_unit_test(test_shared),
        cmocka_unit_test(test_splits),       cmocka_unit_test(test_normal_forms),
        cmocka_unit_test(test_lossy_stream),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
