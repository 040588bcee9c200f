/* Encoding and decoding beyond the golden texts: random round trips, long words, every class of broken UTF-8,
 * bos and eos. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/engine/tokenizer/support.h"

#include "base/clock.h"
#include "base/memory.h"
#include "engine/formats/limits.h"

#define HERE "tests/engine/tokenizer/"

static const char *const all_paths[] = {HERE "gpt2.json",   HERE "smollm2.json",   HERE "llama3.json",
                                        HERE "llama2.json", HERE "metaspace.json", "models/keeper"};
enum { PATHS = sizeof all_paths / sizeof *all_paths };

static uint32_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

static size_t put_character(uint32_t c, char *ret)
{
    if (c < 0x80) {
        ret[0] = (char)c;
        return 1;
    }
    size_t size = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = size; i-- > 1; c >>= 6)
        ret[i] = (char)(0x80 | (c & 0x3f));
    ret[0] = (char)(c | (0xf00u >> size & 0xf0));
    return size;
}

/* A random scalar value, most often a common one. U+2581 is left out: SentencePiece cannot tell it from a
 * space. */
static uint32_t random_character(uint64_t *state)
{
    static const char common[] = "  \n\teeatoinsr'.,0123456789THE<>|_\0";
    static const uint32_t limits[] = {0x80, 0x800, 0x10000, 0x110000};
    uint32_t kind = next_random(state) % 8, c;
    if (kind >= 4)
        return (uint8_t)common[next_random(state) % sizeof common];
    do
        c = next_random(state) % limits[kind];
    while ((c >= 0xd800 && c < 0xe000) || c == 0x2581);
    return c;
}

/* All pieces in order, without a stream: the text's bytes. Returns their count. */
static size_t decode_bytes(const struct eng_tokenizer *tokenizer, const struct eng_tokens *tokens,
                           uint8_t *ret, size_t capacity)
{
    size_t size = 0;
    for (size_t i = 0; i < tokens->count; i++) {
        struct base_error error = {0};
        struct eng_piece piece = {0};
        int32_t prev = i == 0 ? -1 : tokens->ids[i - 1];
        check_ok(eng_tokenizer_decode_piece(tokenizer, prev, tokens->ids[i], &piece, &error), &error);
        assert_true(size + piece.size <= capacity);
        if (piece.size > 0)
            memcpy(ret + size, piece.bytes, piece.size);
        size += piece.size;
    }
    return size;
}

/* With Metaspace, a text that begins with a space gets none before it, and loses that one. */
static bool keeps_leading_space(const char *path)
{
    return strstr(path, "metaspace") == NULL;
}

static void test_round_trips(void **state)
{
    enum { TEXTS = 400, CHARACTERS = 60, BYTES = 4 * CHARACTERS };
    for (size_t p = 0; p < PATHS; p++) {
        struct eng_tokenizer *tokenizer = open_in_source(all_paths[p]);
        uint64_t chance = 7;
        for (size_t i = 0; i < TEXTS; i++) {
            char text[BYTES];
            uint8_t back[BYTES + 8];
            size_t size = 0;
            struct base_error error = {0};
            struct eng_tokens tokens = {0};
            for (size_t n = next_random(&chance) % CHARACTERS; n > 0; n--)
                size += put_character(random_character(&chance), text + size);
            if (size > 0 && text[0] == ' ' && !keeps_leading_space(all_paths[p]))
                text[0] = 'x';
            check_ok(eng_tokenizer_encode(tokenizer, text, size, false, &tokens, &error), &error);
            assert_int_equal(decode_bytes(tokenizer, &tokens, back, sizeof back), size);
            assert_memory_equal(back, text, size);
            eng_tokens_finish(&tokens);
        }
        eng_tokenizer_close(&tokenizer);
    }
}

/* Whatever the places where a valid text is cut, the stream gives it back, and whole characters at every
 * step. */
static void test_stream_splits(void **state)
{
    static const char text[] =
        "a\xc3\xa9\xe4\xb8\x96\xf0\x9f\x98\x80\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf\0z";
    const size_t size = sizeof text - 1;
    for (size_t a = 0; a <= size; a++) {
        for (size_t b = a; b <= size; b++) {
            struct eng_utf8_stream stream = {0};
            char out[3 * sizeof text + 30];
            const uint8_t *bytes = (const uint8_t *)text;
            size_t n = eng_utf8_push(&stream, bytes, a, out);
            assert_true(n + stream.count == a && stream.count < 4);
            n += eng_utf8_push(&stream, bytes + a, b - a, out + n);
            assert_true(n + stream.count == b && stream.count < 4);
            n += eng_utf8_push(&stream, bytes + b, size - b, out + n);
            assert_int_equal(n, size);
            assert_memory_equal(out, text, size);
            assert_int_equal(eng_utf8_flush(&stream, out), 0);
        }
    }
    struct eng_utf8_stream stream = {0};
    char out[16];
    assert_int_equal(eng_utf8_push(&stream, (const uint8_t *)"\xe4\xb8", 2, out), 0);
    assert_int_equal(eng_utf8_flush(&stream, out), 3);
    assert_memory_equal(out, "\xef\xbf\xbd", 3);
    assert_int_equal(eng_utf8_flush(&stream, out), 0);
}

/* One word of 4 MiB: a merge loop that is not O(n log n) would take hours. */
static void test_one_letter_4_mib(void **state)
{
    enum { SIZE = 4 << 20 };
    const double limit_seconds = 30; /* leaves room for sanitizers */
    char *text = NULL;
    uint8_t *back = NULL;
    struct base_error error = {0};
    check_ok(base_alloc(&text, SIZE, 1, &error), &error);
    check_ok(base_alloc(&back, SIZE + 8, 1, &error), &error);
    memset(text, 'a', SIZE);
    static const char *const paths[] = {HERE "gpt2.json", HERE "llama3.json", HERE "llama2.json"};
    for (size_t p = 0; p < sizeof paths / sizeof *paths; p++) {
        struct eng_tokenizer *tokenizer = open_in_source(paths[p]);
        struct eng_tokens tokens = {0};
        double start = base_clock_seconds();
        check_ok(eng_tokenizer_encode(tokenizer, text, SIZE, false, &tokens, &error), &error);
        assert_true(base_clock_seconds() - start < limit_seconds);
        assert_true(tokens.count > SIZE / 64 && tokens.count <= SIZE);
        assert_int_equal(decode_bytes(tokenizer, &tokens, back, SIZE + 8), SIZE);
        assert_memory_equal(back, text, SIZE);
        eng_tokens_finish(&tokens);
        eng_tokenizer_close(&tokenizer);
    }
    base_free(&text);
    base_free(&back);
}

/* Normal form C of "a" and marks that alternate between two classes: an ordering that is quadratic would take
 * minutes. */
static void test_many_marks(void **state)
{
    enum { PAIRS = 1 << 19, SIZE = 4 * PAIRS + 1 };
    char *text = NULL;
    uint8_t *back = NULL, *want = NULL;
    struct base_error error = {0};
    check_ok(base_alloc(&text, SIZE, 1, &error), &error);
    check_ok(base_alloc(&back, SIZE + 8, 1, &error), &error);
    check_ok(base_alloc(&want, SIZE, 1, &error), &error);
    text[0] = 'a';
    memcpy(want, "\xe1\xba\xa1", 3); /* the first mark below is composed with the letter */
    for (size_t i = 0; i < PAIRS; i++) {
        memcpy(text + 1 + 4 * i, "\xcc\x81\xcc\xa3", 4);
        if (i > 0)
            memcpy(want + 1 + 2 * i, "\xcc\xa3", 2);
        memcpy(want + 1 + 2 * (PAIRS + i), "\xcc\x81", 2);
    }
    struct eng_tokenizer *tokenizer = open_in_source(HERE "qwen2.json");
    struct eng_tokens tokens = {0};
    double start = base_clock_seconds();
    check_ok(eng_tokenizer_encode(tokenizer, text, SIZE, false, &tokens, &error), &error);
    assert_true(base_clock_seconds() - start < 30);
    assert_int_equal(decode_bytes(tokenizer, &tokens, back, SIZE + 8), SIZE);
    assert_memory_equal(back, want, SIZE);
    eng_tokens_finish(&tokens);
    eng_tokenizer_close(&tokenizer);
    base_free(&text);
    base_free(&back);
    base_free(&want);
}

/* The limit is looked at before the text is. */
static void test_text_beyond_limit(void **state)
{
    struct eng_tokenizer *tokenizer = open_in_source(HERE "gpt2.json");
    struct eng_tokens tokens = {.count = 5};
    struct base_error error = {0};
    char says[128];
    (void)snprintf(says, sizeof says, "the text has %zu bytes; cachet reads up to %u",
                   (size_t)ENG_LIMIT_PROMPT_BYTES + 1, ENG_LIMIT_PROMPT_BYTES);
    check_fails(
        eng_tokenizer_encode(tokenizer, "", (size_t)ENG_LIMIT_PROMPT_BYTES + 1, false, &tokens, &error),
        BASE_ERR_ARGUMENT, &error, says);
    assert_true(tokens.ids == NULL && tokens.count == 5);
    eng_tokenizer_close(&tokenizer);
}

static const char *const broken[] = {
    "\x80",
    "\xbf", /* a continuation alone */
    "\xc3",
    "\xe4",
    "\xe4\xb8",
    "\xf0",
    "\xf0\x9f\x98", /* cut short */
    "\xc0\x80",
    "\xc1\xbf",
    "\xe0\x80\x80",
    "\xe0\x9f\xbf",
    "\xf0\x80\x80\x80",
    "\xf0\x8f\xbf\xbf", /* overlong */
    "\xed\xa0\x80",
    "\xed\xbf\xbf",
    "\xed\xa0\xbd\xed\xb8\x80", /* surrogates */
    "\xf4\x90\x80\x80",
    "\xf5\x80\x80\x80",
    "\xf8\x88\x80\x80\x80",
    "\xfe",
    "\xff", /* too large */
    "\xe4\x28\xa1",
    "\xf0\x28\x8c\xbc",
    "\xf0\x90\x28\xbc",
    "\xf0\x90\x8c\x28", /* no continuation */
};

static void test_broken_utf8(void **state)
{
    static const char *const around[][2] = {
        {"", ""}, {"ab\xc3\xa9", "cd"}, {"\xf0\x9f\x98\x80 ", "\xc3\xa9"}};
    struct eng_tokenizer *tokenizer = open_in_source(HERE "gpt2.json");
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        for (size_t k = 0; k < sizeof around / sizeof *around; k++) {
            char text[32], says[64];
            struct eng_tokens tokens = {.count = 5};
            struct base_error error = {0};
            int size = snprintf(text, sizeof text, "%s%s%s", around[k][0], broken[i], around[k][1]);
            (void)snprintf(says, sizeof says, "the text is not valid UTF-8 at byte offset %zu",
                           strlen(around[k][0]));
            check_fails(eng_tokenizer_encode(tokenizer, text, (size_t)size, true, &tokens, &error),
                        BASE_ERR_ARGUMENT, &error, says);
            assert_string_equal(error.text, says); /* nothing of the text */
            assert_true(tokens.ids == NULL && tokens.count == 5);
        }
    }
    eng_tokenizer_close(&tokenizer);
}

struct bos_case {
    const char *path;
    int32_t bos;
    int32_t eos;
    bool adds;
};

static void test_bos(void **state)
{
    static const struct bos_case cases[] = {
        {HERE "gpt2.json", -1, -1, false},
        {HERE "llama3.json", 0, -1, true},
        {HERE "llama2.json", 1, -1, true},
        {"models/keeper", 0, 1, true},
        {"models/keeper/tokenizer.json", -1, -1, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct eng_tokenizer *tokenizer = open_in_source(cases[i].path);
        struct eng_tokens empty = {0}, plain = {0}, with = {0};
        struct base_error error = {0};
        assert_int_equal(eng_tokenizer_bos(tokenizer), cases[i].bos);
        assert_int_equal(eng_tokenizer_eos(tokenizer), cases[i].eos);
        assert_int_equal(eng_tokenizer_adds_bos(tokenizer), cases[i].adds);
        check_ok(eng_tokenizer_encode(tokenizer, "", 0, true, &empty, &error), &error);
        check_ok(eng_tokenizer_encode(tokenizer, "The cat", 7, false, &plain, &error), &error);
        check_ok(eng_tokenizer_encode(tokenizer, "The cat", 7, true, &with, &error), &error);
        size_t added = cases[i].bos >= 0;
        assert_int_equal(empty.count, added);
        assert_int_equal(with.count, plain.count + added);
        assert_memory_equal(with.ids + added, plain.ids, plain.count * sizeof *plain.ids);
        assert_true(added == 0 || (with.ids[0] == cases[i].bos && empty.ids[0] == cases[i].bos));
        eng_tokens_finish(&empty);
        eng_tokens_finish(&plain);
        eng_tokens_finish(&with);
        eng_tokenizer_close(&tokenizer);
    }
}

static void test_decode_piece(void **state)
{
    struct eng_tokenizer *tokenizer = open_in_source(HERE "llama2.json");
    struct eng_tokens tokens = {0};
    struct base_error error = {0};
    struct eng_piece piece = {(const uint8_t *)"kept", 4};
    const int32_t count = (int32_t)eng_tokenizer_vocabulary(tokenizer),
                  ids[] = {-1, INT32_MIN, count, INT32_MAX};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        error = (struct base_error){0};
        check_fails(eng_tokenizer_decode_piece(tokenizer, -1, ids[i], &piece, &error), BASE_ERR_ARGUMENT,
                    &error, "a token id lies outside the vocabulary of ");
        assert_true(piece.size == 4 && memcmp(piece.bytes, "kept", 4) == 0);
    }
    error = (struct base_error){0};
    check_ok(eng_tokenizer_encode(tokenizer, "the", 3, false, &tokens, &error), &error);
    const int32_t bos = eng_tokenizer_bos(tokenizer), special = 2,
                  prevs[] = {-1, bos, special, tokens.ids[0]};
    for (size_t i = 0; i < 4; i++) {
        check_ok(eng_tokenizer_decode_piece(tokenizer, prevs[i], tokens.ids[0], &piece, &error), &error);
        assert_int_equal(piece.bytes[0] == ' ', i >= 2); /* dropped at the start and after bos alone */
    }
    check_ok(eng_tokenizer_decode_piece(tokenizer, -1, special, &piece, &error), &error);
    assert_int_equal(piece.size, 0);
    eng_tokens_finish(&tokens);
    eng_tokenizer_close(&tokenizer);
    eng_tokenizer_close(&tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips),      cmocka_unit_test(test_stream_splits),
        cmocka_unit_test(test_one_letter_4_mib), cmocka_unit_test(test_text_beyond_limit),
        cmocka_unit_test(test_broken_utf8),      cmocka_unit_test(test_bos),
        cmocka_unit_test(test_decode_piece),     cmocka_unit_test(test_many_marks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
