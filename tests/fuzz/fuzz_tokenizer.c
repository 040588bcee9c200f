/* Fuzzes what reads tokenizer files and prompts. The first byte chooses: a tokenizer.json, a tokenizer.json
 * with its tokenizer_config.json after the first NUL, a llama2.c tokenizer.bin, a GGUF file, each opened and
 * then used on a short text; or a text for one of two small fixed tokenizers. */
#include "engine/tokenizer/internal.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A text must come back as it was: byte-level pieces lose nothing. */
static const char fixed_bytes[] =
    "{\"model\":{\"type\":\"BPE\",\"vocab\":{%s\"th\":256,\"the\":257,\"\xc4\xa0the\":258,\"aa\":259},"
    "\"merges\":[\"t h\",\"th e\",\"\xc4\xa0 the\",\"a a\"]},"
    "\"added_tokens\":[{\"id\":260,\"content\":\"<|x|>\",\"lstrip\":true},{\"id\":261,\"content\":\"<|\"},"
    "{\"id\":262,\"content\":\"<s>\",\"special\":true}],"
    "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Digits\",\"individual_digits\":"
    "true},"
    "{\"type\":\"ByteLevel\",\"add_prefix_space\":false}]},\"decoder\":{\"type\":\"ByteLevel\"}}";

static const char fixed_characters[] =
    "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"<unk>\":0,\"a\":1,\"b\":2,\"ab\":3,\"\xe2\x96\x81\":4,"
    "\"\xe2\x96\x81"
    "ab\":5},\"merges\":[\"a b\",\"\xe2\x96\x81 ab\"],\"unk_token\":\"<unk>\",\"fuse_unk\":true},"
    "\"added_tokens\":[{\"id\":6,\"content\":\"<x>\",\"rstrip\":true,\"normalized\":true}],"
    "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFKC\"},{\"type\":\"Prepend\","
    "\"prepend\":"
    "\"\xe2\x96\x81\"},{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\xe2\x96\x81\"}]},"
    "\"decoder\":{\"type\":\"Metaspace\"}}";

/* The whole byte-level alphabet as the first 256 entries of a vocabulary: printable bytes, then U+0100 and
 * up. */
static void write_alphabet(char *ret)
{
    unsigned other = 0;
    for (unsigned byte = 0; byte < 256; byte++) {
        bool printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte != 0xad);
        unsigned c = printable ? byte : 0x100 + other++;
        *ret++ = '"';
        if (c == '"' || c == '\\')
            *ret++ = '\\';
        if (c >= 0x80)
            *ret++ = (char)(0xc0 | c >> 6);
        *ret++ = (char)(c >= 0x80 ? 0x80 | (c & 0x3f) : c);
        ret += sprintf(ret, "\":%u,", byte);
    }
    *ret = '\0';
}

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* Encodes and decodes: ids and pieces stay within bounds, a failure leaves the output alone. `exact`: a text
 * without added tokens comes back. */
static void use(const struct eng_tokenizer *tokenizer, struct eng_bytes text, bool exact)
{
    struct eng_tokens tokens = {0};
    struct base_error error = {0};
    size_t at = 0;
    if (eng_tokenizer_encode(tokenizer, (const char *)text.data, text.size, true, &tokens, &error) !=
        BASE_OK) {
        check(tokens.ids == NULL && tokens.count == 0 && error.code != BASE_OK && error.text[0] != '\0');
        return;
    }
    for (size_t i = 0; i < tokens.count; i++) {
        struct eng_piece piece;
        check(eng_tokenizer_decode_piece(tokenizer, i == 0 ? -1 : tokens.ids[i - 1], tokens.ids[i], &piece,
                                         NULL) == BASE_OK);
        exact = exact && tokens.ids[i] < 260;
        check(!exact ||
              (piece.size <= text.size - at && memcmp(text.data + at, piece.bytes, piece.size) == 0));
        at += piece.size;
    }
    check(!exact || at == text.size);
    eng_tokens_finish(&tokens);
}

/* The same in parts: all control gives the same tokens, none gives no special ones. Files that match special tokens in
 * normalized text may split otherwise. */
static void use_parts(const struct eng_tokenizer *tokenizer, struct eng_bytes text)
{
    struct eng_tokens whole = {0}, control = {0}, plain = {0};
    const size_t cut = text.size / 2;
    struct eng_part parts[] = {{(const char *)text.data, cut, true}, {(const char *)text.data + cut, text.size - cut, true}};
    if (eng_tokenizer_encode(tokenizer, (const char *)text.data, text.size, false, &whole, NULL) == BASE_OK &&
        eng_tokenizer_encode_parts(tokenizer, parts, 2, false, &control, NULL) == BASE_OK && tokenizer->normal_added.count == 0)
        check(whole.count == control.count &&
              (whole.count == 0 || memcmp(whole.ids, control.ids, whole.count * sizeof *whole.ids) == 0));
    parts[0].control = parts[1].control = false;
    if (eng_tokenizer_encode_parts(tokenizer, parts, 2, false, &plain, NULL) == BASE_OK)
        for (size_t i = 0; i < plain.count; i++)
            check(tokenizer->bpe.vocab.entries[plain.ids[i]].kind != ENG_ENTRY_SPECIAL || plain.ids[i] == tokenizer->bpe.unk);
    eng_tokens_finish(&whole);
    eng_tokens_finish(&control);
    eng_tokens_finish(&plain);
}

static void read_json(struct eng_bytes file, bool with_config, struct eng_bytes text, bool must_open)
{
    struct eng_tokenizer tokenizer = {0};
    struct base_error error = {0};
    struct eng_bytes config = {0};
    const uint8_t *end = with_config && file.size > 0 ? memchr(file.data, 0, file.size) : NULL;
    if (end != NULL) {
        config = (struct eng_bytes){end + 1, file.size - (size_t)(end + 1 - file.data)};
        file.size = (size_t)(end - file.data);
    }
    enum base_status status = eng_tokenizer_json_parse(&tokenizer, file, &error);
    if (status == BASE_OK && end != NULL)
        status = eng_tokenizer_config_parse(&tokenizer, config, &error);
    check((status == BASE_OK) == (error.code == BASE_OK) && (status == BASE_OK || !must_open));
    if (status == BASE_OK)
        use_parts(&tokenizer, text);
    if (status == BASE_OK)
        use(&tokenizer, text, must_open && tokenizer.bpe.byte_level);
    eng_tokenizer_finish(&tokenizer);
}

typedef enum base_status (*reader_fn)(struct eng_tokenizer *, struct eng_bytes, struct base_error *);

static void read_binary(reader_fn reader, struct eng_bytes file, struct eng_bytes text)
{
    struct eng_tokenizer tokenizer = {0};
    struct base_error error = {0};
    enum base_status status = reader(&tokenizer, file, &error);
    check((status == BASE_OK) == (error.code == BASE_OK));
    if (status == BASE_OK)
        use_parts(&tokenizer, text);
    if (status == BASE_OK)
        use(&tokenizer, text, false);
    eng_tokenizer_finish(&tokenizer);
}

static void use_text(struct eng_bytes text, bool bytes)
{
    char alphabet[4096], document[sizeof alphabet + sizeof fixed_bytes];
    write_alphabet(alphabet);
    if (bytes)
        (void)snprintf(document, sizeof document, fixed_bytes, alphabet);
    else
        memcpy(document, fixed_characters, sizeof fixed_characters);
    read_json((struct eng_bytes){(const uint8_t *)document, strlen(document)}, false, text, true);
}

static void stream(struct eng_bytes bytes)
{
    struct eng_utf8_stream one = {0}, two = {0};
    char *text = malloc(3 * (bytes.size + 3) + 3), *again = malloc(3 * (bytes.size + 3) + 3);
    check(text != NULL && again != NULL);
    size_t size = eng_utf8_push(&one, bytes.data, bytes.size, text), other = 0;
    size += eng_utf8_flush(&one, text + size);
    for (size_t i = 0; i < bytes.size; i++)
        other += eng_utf8_push(&two, bytes.data + i, 1, again + other);
    other += eng_utf8_flush(&two, again + other);
    check(size == other && memcmp(text, again, size) == 0);
    free(text);
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char text[] = "ab the\n<s> 12 caf\xc3\xa9<|x|> \xf0\x9f\x98\x80";
    const struct eng_bytes prompt = {(const uint8_t *)text, sizeof text - 1};
    if (size < 1)
        return 0;
    const struct eng_bytes rest = {data + 1, size - 1};
    switch (data[0] % 6) {
    case 0:
        read_json(rest, false, prompt, false);
        break;
    case 1:
        read_json(rest, true, prompt, false);
        break;
    case 2:
        read_binary(eng_tokenizer_llama2c_parse, rest, prompt);
        break;
    case 5:
        read_binary(eng_tokenizer_gguf_parse, rest, prompt);
        break;
    default:
        use_text(rest, data[0] % 6 == 3);
        stream(rest);
        break;
    }
    return 0;
}
