#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/engine/tokenizer/gguf_image.h"

#include "base/memory.h"

#include <string.h>

enum { VALUE_U32 = 4, VALUE_I32 = 5, VALUE_F32 = 6, VALUE_BOOL = 7, VALUE_STRING = 8, VALUE_ARRAY = 9 };

static void put(struct gguf_image *image, const void *bytes, size_t size)
{
    assert_true(size <= GGUF_CAPACITY - image->size);
    memcpy(image->bytes + image->size, bytes, size);
    image->size += size;
}

static void put_u32(struct gguf_image *image, uint32_t value)
{
    uint8_t bytes[4];
    base_store_u32(bytes, value);
    put(image, bytes, sizeof bytes);
}

static void put_u64(struct gguf_image *image, uint64_t value)
{
    uint8_t bytes[8];
    base_store_u64(bytes, value);
    put(image, bytes, sizeof bytes);
}

static void put_string(struct gguf_image *image, const char *text)
{
    put_u64(image, strlen(text));
    put(image, text, strlen(text));
}

static void put_key(struct gguf_image *image, const char *key, uint32_t type)
{
    put_string(image, key);
    put_u32(image, type);
    image->keys++;
}

static void put_text(struct gguf_image *image, const char *key, const char *text)
{
    if (text == NULL)
        return;
    put_key(image, key, VALUE_STRING);
    put_string(image, text);
}

static void put_texts(struct gguf_image *image, const char *key, const char *const *texts, size_t count)
{
    if (count == 0)
        return;
    put_key(image, key, VALUE_ARRAY);
    put_u32(image, VALUE_STRING);
    put_u64(image, count);
    for (size_t i = 0; i < count; i++)
        put_string(image, texts[i]);
}

static void put_words(struct gguf_image *image, const char *key, uint32_t type, const void *words,
                      size_t count)
{
    if (count == 0)
        return;
    put_key(image, key, VALUE_ARRAY);
    put_u32(image, type);
    put_u64(image, count);
    for (size_t i = 0; i < count; i++) {
        uint32_t word;
        memcpy(&word, (const char *)words + 4 * i, sizeof word);
        put_u32(image, word);
    }
}

void gguf_image_write(const struct gguf_content *c, struct gguf_image *ret)
{
    *ret = (struct gguf_image){0};
    put(ret, "GGUF", 4);
    put_u32(ret, 3);
    put_u64(ret, 0);
    put_u64(ret, 0);
    put_text(ret, "tokenizer.ggml.model", c->model);
    put_text(ret, "tokenizer.ggml.pre", c->pre);
    put_texts(ret, "tokenizer.ggml.tokens", c->tokens, c->token_count);
    put_words(ret, "tokenizer.ggml.token_type", VALUE_I32, c->types, c->type_count);
    put_words(ret, "tokenizer.ggml.scores", VALUE_F32, c->scores, c->score_count);
    put_texts(ret, "tokenizer.ggml.merges", c->merges, c->merge_count);
    if (c->id_key != NULL) {
        put_key(ret, c->id_key, VALUE_U32);
        put_u32(ret, c->id);
    }
    if (c->adds_bos >= 0) {
        put_key(ret, "tokenizer.ggml.add_bos_token", VALUE_BOOL);
        put(ret, &(uint8_t){c->adds_bos != 0}, 1);
    }
    base_store_u64(ret->bytes + 16, ret->keys);
}
