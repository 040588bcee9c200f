/* Tokenizers in GGUF metadata: the ids are those of the same tokenizer in its other format, and lies are
 * refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/engine/tokenizer/gguf_image.h"
#include "tests/engine/tokenizer/support.h"

#include "base/memory.h"
#include "engine/tokenizer/internal.h"

#include <math.h>

static enum base_status open_content(const struct gguf_content *c, struct eng_tokenizer **ret,
                                     struct base_error *error)
{
    struct gguf_image *image = malloc(sizeof *image);
    char path[TOK_PATH];
    assert_non_null(image);
    gguf_image_write(c, image);
    write_temporary(image->bytes, image->size, path);
    free(image);
    enum base_status status = eng_tokenizer_open(ret, path, error);
    (void)unlink(path);
    if (status != BASE_OK)
        assert_int_equal(strncmp(error->text, path, strlen(path)), 0);
    return status;
}

/* Equal ids and pieces for one text. */
static void check_same(const struct eng_tokenizer *one, const struct eng_tokenizer *other, const json_t *text)
{
    struct base_error error = {0};
    struct eng_tokens a = {0}, b = {0};
    check_ok(eng_tokenizer_encode(one, json_string_value(text), json_string_length(text), false, &a, &error),
             &error);
    check_ok(
        eng_tokenizer_encode(other, json_string_value(text), json_string_length(text), false, &b, &error),
        &error);
    assert_int_equal(a.count, b.count);
    for (size_t i = 0; i < a.count; i++) {
        struct eng_piece p = {0}, q = {0};
        int32_t prev = i == 0 ? -1 : a.ids[i - 1];
        assert_int_equal(a.ids[i], b.ids[i]);
        check_ok(eng_tokenizer_decode_piece(one, prev, a.ids[i], &p, &error), &error);
        check_ok(eng_tokenizer_decode_piece(other, prev, a.ids[i], &q, &error), &error);
        assert_true(p.size == q.size && (p.size == 0 || memcmp(p.bytes, q.bytes, p.size) == 0));
    }
    eng_tokens_finish(&a);
    eng_tokens_finish(&b);
}

static json_t *load(const char *path)
{
    char full[TOK_PATH];
    json_error_t trouble;
    json_t *json = json_load_file(path_in_source(path, full), JSON_ALLOW_NUL, &trouble);
    assert_non_null(json);
    return json;
}

/* GGUF has no way to say that a token swallows white space or is matched in normalized text: neither does
 * this document. */
static void simplify_added(json_t *document, struct gguf_content *c)
{
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(document, "added_tokens"), i, entry)
    {
        size_t id = (size_t)json_integer_value(json_object_get(entry, "id"));
        bool special = json_is_true(json_object_get(entry, "special"));
        json_object_set_new(entry, "lstrip", json_false());
        json_object_set_new(entry, "rstrip", json_false());
        json_object_set_new(entry, "normalized", json_false());
        assert_true(id < GGUF_TOKENS);
        c->tokens[id] = json_string_value(json_object_get(entry, "content"));
        c->types[id] = special ? CONTROL : USER_DEFINED;
        c->token_count = id + 1 > c->token_count ? id + 1 : c->token_count;
    }
}

static void take_vocab(const json_t *vocab, struct gguf_content *c)
{
    const char *piece;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)vocab, piece, value)
    {
        size_t id = (size_t)json_integer_value(value);
        assert_true(id < GGUF_TOKENS);
        c->tokens[id] = piece;
        c->types[id] = NORMAL;
        c->token_count = id + 1 > c->token_count ? id + 1 : c->token_count;
    }
}

/* The merges as "a b", in memory that the caller frees. */
static void take_merges(const json_t *merges, struct gguf_content *c)
{
    size_t i;
    json_t *merge;
    json_array_foreach(merges, i, merge)
    {
        char line[256];
        const char *joined = json_string_value(merge);
        (void)snprintf(line, sizeof line, "%s%s%s",
                       joined != NULL ? joined : json_string_value(json_array_get(merge, 0)),
                       joined != NULL ? "" : " ",
                       joined != NULL ? "" : json_string_value(json_array_get(merge, 1)));
        assert_true(i < GGUF_TOKENS);
        c->merges[i] = strdup(line);
        assert_non_null(c->merges[i]);
    }
    c->merge_count = i;
}

static void free_merges(struct gguf_content *c)
{
    for (size_t i = 0; i < c->merge_count; i++)
        free((char *)(uintptr_t)c->merges[i]);
}

static struct gguf_content *make_content(const char *model)
{
    struct gguf_content *c = calloc(1, sizeof *c);
    assert_non_null(c);
    c->model = model;
    c->adds_bos = -1;
    return c;
}

static void check_byte_level(const char *path, const char *pre, const json_t *golden)
{
    json_t *document = load(path), *text;
    struct gguf_content *c = make_content("gpt2");
    struct eng_tokenizer want = {0}, *got = NULL;
    struct base_error error = {0};
    const char *name;
    const json_t *model = json_object_get(document, "model");
    c->pre = pre;
    take_vocab(json_object_get(model, "vocab"), c);
    simplify_added(document, c);
    take_merges(json_object_get(model, "merges"), c);
    c->type_count = c->token_count;
    char *plain = json_dumps(document, 0);
    assert_non_null(plain);
    check_ok(
        eng_tokenizer_json_parse(&want, (struct eng_bytes){(const uint8_t *)plain, strlen(plain)}, &error),
        &error);
    check_ok(open_content(c, &got, &error), &error);
    assert_int_equal(eng_tokenizer_vocabulary(got), eng_tokenizer_vocabulary(&want));
    json_object_foreach(json_object_get(golden, "texts"), name, text)
    {
        check_same(got, &want, text);
    }
    eng_tokenizer_close(&got);
    eng_tokenizer_finish(&want);
    free(plain);
    free_merges(c);
    free(c);
    json_decref(document);
}

static void test_gpt2(void **state)
{
    static const char *const cases[][2] = {
        {"gpt2", "gpt-2"}, {"smollm2", "smollm"}, {"llama3", "llama-bpe"}, {"qwen2", "qwen2"}};
    json_t *golden = load("tests/engine/tokenizer/golden.json");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "tests/engine/tokenizer/%s.json", cases[i][0]);
        check_byte_level(path, cases[i][1], golden);
    }
    json_decref(golden);
}

/* A llama2.c file of the same pieces, with plain spaces where GGUF writes U+2581. */
static size_t write_llama2c(const struct gguf_content *c, uint8_t *ret)
{
    size_t size = 4;
    base_store_u32(ret, 64);
    for (size_t id = 0; id < c->token_count; id++) {
        size_t length = 0;
        uint32_t bits;
        memcpy(&bits, &c->scores[id], sizeof bits);
        base_store_u32(ret + size, bits);
        for (const char *at = c->tokens[id]; *at != '\0'; length++) {
            bool mark = strncmp(at, MARK, 3) == 0;
            ret[size + 8 + length] = mark ? ' ' : (uint8_t)*at;
            at += mark ? 3 : 1;
        }
        base_store_u32(ret + size + 4, (uint32_t)length);
        size += 8 + length;
        assert_true(size + 256 < GGUF_CAPACITY);
    }
    return size;
}

/* The pieces of llama2.json with scores of their own; the llama2.c reader is the reference. */
static void test_llama(void **state)
{
    json_t *document = load("tests/engine/tokenizer/llama2.json"),
           *golden = load("tests/engine/tokenizer/golden.json"), *text;
    struct gguf_content *c = make_content("llama");
    struct eng_tokenizer want = {0}, *got = NULL;
    struct base_error error = {0};
    const char *name;
    static uint8_t file[GGUF_CAPACITY];
    size_t compared = 0;
    take_vocab(json_object_get(json_object_get(document, "model"), "vocab"), c);
    for (size_t id = 0; id < c->token_count; id++) {
        c->types[id] = id == 0 ? UNKNOWN : id < 3 ? CONTROL : id < 259 ? BYTE : NORMAL;
        c->scores[id] = id < 259 ? 0 : -(float)((id * 37) % 101);
    }
    c->type_count = c->score_count = c->token_count;
    c->id_key = "tokenizer.ggml.bos_token_id";
    c->id = 1;
    check_ok(eng_tokenizer_llama2c_parse(&want, (struct eng_bytes){file, write_llama2c(c, file)}, &error),
             &error);
    check_ok(open_content(c, &got, &error), &error);
    assert_true(eng_tokenizer_bos(got) == 1 && eng_tokenizer_eos(got) == -1 && eng_tokenizer_adds_bos(got));
    json_object_foreach(json_object_get(golden, "texts"), name, text)
    {
        /* llama2.c matches no special tokens, and knows no U+2581. */
        if (strchr(json_string_value(text), '<') != NULL || strstr(json_string_value(text), MARK) != NULL)
            continue;
        check_same(got, &want, text);
        compared++;
    }
    assert_true(compared > 40);
    eng_tokenizer_close(&got);
    eng_tokenizer_finish(&want);
    free(c);
    json_decref(golden);
    json_decref(document);
}

/* A small sound file of either kind, that the cases change. */
static struct gguf_content *small_gpt2(void)
{
    struct gguf_content *c = make_content("gpt2");
    static const char *const tokens[] = {"a", "b", "ab", "<s>", "<user>", "[PAD]"};
    static const int32_t types[] = {NORMAL, NORMAL, NORMAL, CONTROL, USER_DEFINED, UNUSED};
    c->pre = "gpt-2";
    memcpy(c->tokens, tokens, sizeof tokens);
    memcpy(c->types, types, sizeof types);
    c->token_count = c->type_count = 6;
    c->merges[0] = "a b";
    c->merge_count = 1;
    return c;
}

static struct gguf_content *small_llama(void)
{
    struct gguf_content *c = make_content("llama");
    static const char *const tokens[] = {"<unk>", "<s>", "<0x0A>", MARK, "a", MARK "a"};
    static const int32_t types[] = {UNKNOWN, CONTROL, BYTE, NORMAL, NORMAL, NORMAL};
    memcpy(c->tokens, tokens, sizeof tokens);
    memcpy(c->types, types, sizeof types);
    c->token_count = c->type_count = c->score_count = 6;
    return c;
}

static void check_ids(struct gguf_content *c, const char *text, const int32_t *want, size_t count,
                      bool adds_bos)
{
    struct eng_tokenizer *tokenizer = NULL;
    struct eng_tokens tokens = {0};
    struct base_error error = {0};
    check_ok(open_content(c, &tokenizer, &error), &error);
    assert_int_equal(eng_tokenizer_adds_bos(tokenizer), adds_bos);
    check_ok(eng_tokenizer_encode(tokenizer, text, strlen(text), true, &tokens, &error), &error);
    assert_int_equal(tokens.count, count);
    assert_memory_equal(tokens.ids, want, count * sizeof *want);
    eng_tokens_finish(&tokens);
    eng_tokenizer_close(&tokenizer);
    free(c);
}

static void test_small(void **state)
{
    check_ids(small_gpt2(), "abb<s>a<user>[PAD]", (const int32_t[]){2, 1, 3, 0, 4}, 5, false);
    struct gguf_content *c = small_gpt2();
    c->id_key = "tokenizer.ggml.bos_token_id";
    c->id = 3;
    c->pre = "llama-bpe";
    check_ids(c, "ba", (const int32_t[]){3, 1, 0}, 3, true);
    c = small_gpt2();
    c->id_key = "tokenizer.ggml.bos_token_id";
    c->id = 3;
    c->pre = "llama-bpe";
    c->adds_bos = 0;
    check_ids(c, "ba", (const int32_t[]){3, 1, 0}, 3, false);
    c = small_gpt2();
    c->tokens[6] = "ba"; /* no merge makes it */
    c->types[6] = NORMAL;
    c->token_count = c->type_count = 7;
    check_ids(c, "ba", (const int32_t[]){1, 0}, 2, false);
    c = small_gpt2();
    c->tokens[6] = "ba";
    c->types[6] = NORMAL;
    c->token_count = c->type_count = 7;
    c->pre = "llama-bpe";
    check_ids(c, "ba", (const int32_t[]){6}, 1, false);
    check_ids(small_llama(), "a\na a", (const int32_t[]){5, 2, 4, 5}, 4, false);
    c = small_llama();
    c->id_key = "tokenizer.ggml.unknown_token_id";
    check_ids(c, "a?<s>a", (const int32_t[]){5, 0, 1, 5}, 4, false);
}

/* Frees the content. */
static void check_refused(struct gguf_content *c, enum base_status want, const char *says)
{
    struct eng_tokenizer *const before = (struct eng_tokenizer *)(uintptr_t)c, *tokenizer = before;
    struct base_error error = {0};
    check_fails(open_content(c, &tokenizer, &error), want, &error, says);
    assert_ptr_equal(tokenizer, before);
    free(c);
}

#define REFUSE(make, change, status, says)                                                                   \
    do {                                                                                                     \
        struct gguf_content *c = make();                                                                     \
        change;                                                                                              \
        check_refused(c, status, says);                                                                      \
    } while (0)

static void test_refused(void **state)
{
    REFUSE(small_gpt2, c->model = NULL, BASE_ERR_SUPPORT,
           "tokenizer.ggml.model is \"\"; cachet supports gpt2 and llama");
    REFUSE(small_gpt2, c->model = "bert", BASE_ERR_SUPPORT, "tokenizer.ggml.model is \"bert\"");
    REFUSE(small_gpt2, c->pre = NULL, BASE_ERR_SUPPORT, "tokenizer.ggml.pre is \"\"; cachet supports gpt-2");
    REFUSE(small_gpt2, c->pre = "falcon", BASE_ERR_SUPPORT, "tokenizer.ggml.pre is \"falcon\"");
    REFUSE(small_gpt2, c->token_count = 0, BASE_ERR_FORMAT, "key tokenizer.ggml.tokens is missing");
    REFUSE(small_gpt2, c->type_count = 5, BASE_ERR_FORMAT,
           "tokenizer.ggml.token_type has 5 items, but tokenizer.ggml.tokens has 6");
    REFUSE(small_gpt2, c->types[1] = 9, BASE_ERR_FORMAT, "tokenizer.ggml.token_type: token 1 has type 9");
    REFUSE(small_gpt2, c->types[1] = BYTE, BASE_ERR_FORMAT, "tokenizer.ggml.token_type: token 1 has type 6");
    REFUSE(small_gpt2, c->tokens[1] = "", BASE_ERR_FORMAT, "token 1 has 0 bytes");
    REFUSE(small_gpt2, c->tokens[1] = "a", BASE_ERR_FORMAT, "tokens 0 and 1 are the same piece \"a\"");
    REFUSE(small_gpt2, c->tokens[4] = "<s>", BASE_ERR_FORMAT, "are added with the same text \"<s>\"");
    REFUSE(small_gpt2, c->tokens[4] = "x\x80", BASE_ERR_FORMAT,
           "tokenizer.ggml.tokens: token 4 is not valid UTF-8");
    REFUSE(small_gpt2, c->merge_count = 0, BASE_ERR_FORMAT, "key tokenizer.ggml.merges is missing");
    REFUSE(small_gpt2, c->merges[0] = "ab", BASE_ERR_FORMAT,
           "tokenizer.ggml.merges: item 0 is \"ab\"; it must be a pair");
    REFUSE(small_gpt2, c->merges[0] = "a c", BASE_ERR_FORMAT,
           "item 0 is \"a c\": the right piece is no normal token");
    REFUSE(small_gpt2, c->merges[0] = "<s> a", BASE_ERR_FORMAT,
           "item 0 is \"<s> a\": the left piece is no normal token");
    REFUSE(small_gpt2, c->merges[0] = "b a", BASE_ERR_FORMAT,
           "item 0 is \"b a\": the merged piece is no normal token");
    REFUSE(small_gpt2, c->merges[0] = " b", BASE_ERR_FORMAT,
           "item 0 is \" b\": the left piece is no normal token");
    REFUSE(small_gpt2, (c->id_key = "tokenizer.ggml.bos_token_id", c->id = 6), BASE_ERR_FORMAT,
           "tokenizer.ggml.bos_token_id is 6; it must be from 0 to 5");
    REFUSE(small_gpt2, (c->id_key = "tokenizer.ggml.eos_token_id", c->id = UINT32_MAX), BASE_ERR_FORMAT,
           "tokenizer.ggml.eos_token_id is 4294967295");
    REFUSE(small_gpt2, (c->model = NULL, c->id_key = "tokenizer.ggml.model"), BASE_ERR_FORMAT,
           "tokenizer.ggml.model has value type 4; it must be a string");
    REFUSE(small_llama, c->type_count = 0, BASE_ERR_FORMAT, "key tokenizer.ggml.token_type is missing");
    REFUSE(small_llama, c->score_count = 0, BASE_ERR_FORMAT, "key tokenizer.ggml.scores is missing");
    REFUSE(small_llama, c->score_count = 3, BASE_ERR_FORMAT, "tokenizer.ggml.scores has 3 items");
    REFUSE(small_llama, c->scores[4] = NAN, BASE_ERR_FORMAT, "the score of token 4 is not a finite number");
    REFUSE(small_llama, c->types[3] = BYTE, BASE_ERR_FORMAT, "token 3 is a byte, but its text is \"???\"");
    REFUSE(small_llama, (c->types[4] = BYTE, c->tokens[4] = "<0x0A>"), BASE_ERR_FORMAT,
           "tokens 2 and 4 are the same byte <0x0A>");
}

static void test_truncated(void **state)
{
    struct gguf_content *c = small_llama();
    struct gguf_image *image = malloc(sizeof *image);
    assert_non_null(image);
    gguf_image_write(c, image);
    for (size_t size = 4; size < image->size; size++) {
        struct eng_tokenizer tokenizer = {0};
        struct base_error error = {0};
        check_fails(eng_tokenizer_gguf_parse(&tokenizer, (struct eng_bytes){image->bytes, size}, &error),
                    BASE_ERR_FORMAT, &error, "");
        eng_tokenizer_finish(&tokenizer);
    }
    free(image);
    free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gpt2),    cmocka_unit_test(test_llama),     cmocka_unit_test(test_small),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_truncated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
