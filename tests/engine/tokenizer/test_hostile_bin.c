/* llama2.c tokenizer files: a small sound one is read, and every way of lying or ending early is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/engine/tokenizer/support.h"

#include "base/memory.h"
#include "engine/formats/limits.h"

enum { FIRST_PIECE = 259, PIECES = 5, TOKENS = FIRST_PIECE + PIECES, CAPACITY = 8192 };

struct image {
    uint8_t bytes[CAPACITY];
    size_t size;
    size_t starts[TOKENS]; /* of each record */
};

static void put_record(struct image *image, size_t id, float score, const char *piece)
{
    uint32_t bits;
    memcpy(&bits, &score, sizeof bits);
    image->starts[id] = image->size;
    assert_true(image->size + 8 + strlen(piece) <= CAPACITY);
    base_store_u32(image->bytes + image->size, bits);
    base_store_u32(image->bytes + image->size + 4, (uint32_t)strlen(piece));
    memcpy(image->bytes + image->size + 8, piece, strlen(piece));
    image->size += 8 + strlen(piece);
}

/* The pieces " ", "a", "b", "ab", " ab": " ab" merges last, its score being the lowest. */
static struct image sound(void)
{
    static const char *const special[] = {"<unk>", "\n<s>\n", "\n</s>\n"}, *const pieces[] = {" ", "a", "b",
                                                                                              "ab", " ab"};
    struct image image = {.size = 4};
    base_store_u32(image.bytes, 7);
    for (size_t id = 0; id < TOKENS; id++) {
        char name[8];
        (void)snprintf(name, sizeof name, "<0x%02X>", (unsigned)(id - 3) & 0xff);
        bool piece = id >= FIRST_PIECE;
        put_record(&image, id, piece ? -(float)(id - FIRST_PIECE) : 0,
                   id < 3  ? special[id]
                   : piece ? pieces[id - FIRST_PIECE]
                           : name);
    }
    return image;
}

static enum base_status open_image(const struct image *image, size_t size, struct eng_tokenizer **ret,
                                   struct base_error *error)
{
    char path[TOK_PATH];
    write_temporary(image->bytes, size, path);
    enum base_status status = eng_tokenizer_open(ret, path, error);
    (void)unlink(path);
    if (status != BASE_OK)
        assert_int_equal(strncmp(error->text, path, strlen(path)), 0);
    return status;
}

static void check_refused(const struct image *image, size_t size, const char *says)
{
    struct eng_tokenizer *const before = (struct eng_tokenizer *)(uintptr_t)image, *tokenizer = before;
    struct base_error error = {0};
    check_fails(open_image(image, size, &tokenizer, &error), BASE_ERR_FORMAT, &error, says);
    assert_ptr_equal(tokenizer, before);
}

static void test_sound(void **state)
{
    const struct image image = sound();
    struct eng_tokenizer *tokenizer = NULL;
    struct eng_tokens tokens = {0};
    struct base_error error = {0};
    check_ok(open_image(&image, image.size, &tokenizer, &error), &error);
    assert_int_equal(eng_tokenizer_vocabulary(tokenizer), TOKENS);
    assert_true(eng_tokenizer_bos(tokenizer) == 1 && eng_tokenizer_eos(tokenizer) == 2 &&
                eng_tokenizer_adds_bos(tokenizer));
    check_ok(eng_tokenizer_encode(tokenizer, "abb\nb a", 7, true, &tokens, &error), &error);
    const int32_t want[] = {1, 263, 261, 3 + '\n', 261, 259, 260};
    assert_int_equal(tokens.count, sizeof want / sizeof *want);
    assert_memory_equal(tokens.ids, want, sizeof want);
    eng_tokens_finish(&tokens);
    eng_tokenizer_close(&tokenizer);
}

static void test_truncated(void **state)
{
    const struct image image = sound();
    for (size_t size = 1; size < image.starts[FIRST_PIECE]; size++)
        check_refused(&image, size, size <= 4 ? "too few for a llama2.c tokenizer" : "token");
    check_refused(&image, image.starts[FIRST_PIECE],
                  "has 259 tokens; a llama2.c tokenizer has more than 259");
    check_refused(&image, image.size - 1, "token 263: says 3 bytes, but 2 remain and 4096 is the limit");
    check_refused(&image, image.starts[263] + 7, "token 263: the file is truncated");
}

static void test_lying_lengths(void **state)
{
    static const uint32_t lengths[] = {0, 6, 4097, 0x7fffffff, 0x80000000, 0xffffffff};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct image image = sound();
        char says[64];
        base_store_u32(image.bytes + image.starts[263] + 4, lengths[i]);
        (void)snprintf(says, sizeof says, "token 263: says %u bytes, but 3 remain", (unsigned)lengths[i]);
        check_refused(&image, image.size, says);
    }
    struct image image = sound();
    base_store_u32(image.bytes, 5);
    check_refused(&image, image.size, "token 2 has 6 bytes, but the header says at most 5");
    image = sound();
    image.bytes[image.size] = 0;
    check_refused(&image, image.size + 1, "token 264: the file is truncated");
}

static void test_broken_tokens(void **state)
{
    static const uint32_t scores[] = {0x7fc00000, 0x7f800000, 0xff800000};
    for (size_t i = 0; i < sizeof scores / sizeof *scores; i++) {
        struct image image = sound();
        base_store_u32(image.bytes + image.starts[260], scores[i]);
        check_refused(&image, image.size, "token 260: its score is not a finite number");
    }
    struct image image = sound();
    image.bytes[image.starts[261] + 8] = 'a';
    check_refused(&image, image.size, "tokens 260 and 261 are the same piece \"a\"");
}

/* Scores of 0 and -0 are equal: of "ab" and "ba" the leftmost merges first, whatever the signs. */
static void test_equal_scores(void **state)
{
    static const struct {
        const char *text;
        int32_t want[3];
    } cases[] = {{"aba", {259, 262, 260}}, {"bab", {259, 263, 261}}};
    for (int sign = 0; sign < 2; sign++) {
        struct image image = sound();
        struct eng_tokenizer *tokenizer = NULL;
        struct base_error error = {0};
        image.size = image.starts[263];
        put_record(&image, 263, sign == 0 ? -0.0f : 0.0f, "ba");
        base_store_u32(image.bytes + image.starts[262], sign == 0 ? 0 : 0x80000000);
        check_ok(open_image(&image, image.size, &tokenizer, &error), &error);
        for (size_t i = 0; i < 2; i++) {
            struct eng_tokens tokens = {0};
            check_ok(eng_tokenizer_encode(tokenizer, cases[i].text, 3, false, &tokens, &error), &error);
            assert_int_equal(tokens.count, 3);
            assert_memory_equal(tokens.ids, cases[i].want, sizeof cases[i].want);
            eng_tokens_finish(&tokens);
        }
        eng_tokenizer_close(&tokenizer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sound),         cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_lying_lengths), cmocka_unit_test(test_broken_tokens),
        cmocka_unit_test(test_equal_scores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
