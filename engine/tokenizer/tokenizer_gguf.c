#include "engine/tokenizer/internal.h"

#include "base/memory.h"
#include "engine/formats/gguf.h"
#include "engine/formats/limits.h"
#include "engine/tokenizer/utf8.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Kinds of token as tokenizer.ggml.token_type numbers them. Source: the GGUF specification; llama.cpp,
 * llama.h. */
enum { NORMAL = 1, UNKNOWN = 2, CONTROL = 3, USER_DEFINED = 4, UNUSED = 5, BYTE = 6 };

/* What several steps look at; all borrowed. `types` and `scores` may be NULL. */
struct source {
    const struct eng_gguf *gguf;
    const struct eng_gguf_value *tokens;
    const struct eng_gguf_value *types;
    const struct eng_gguf_value *scores;
    const struct eng_gguf_value *merges;
    bool byte_level;
};

/* The splits that tokenizer.ggml.pre names. Sources: Llama 3, Qwen2 and SmolLM2, tokenizer.json. */
#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|"
#define PUNCTUATION "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

struct split {
    const char *name;
    const char *regexes[2]; /* NULL after the last; "" stands for the pattern of GPT-2 */
    const char *normal_form;
    bool ignore_merges;
    bool adds_bos; /* unless the file says */
};

static enum base_status find_split(const struct source *s, struct split *ret, struct base_error *error)
{
    static const struct split splits[] = {
        {"gpt-2", {""}, NULL, false, false},
        {"smollm", {"\\p{N}", ""}, NULL, false, false},
        {"llama-bpe", {CONTRACTIONS "\\p{N}{1,3}" PUNCTUATION}, NULL, true, true},
        {"qwen2", {CONTRACTIONS "\\p{N}" PUNCTUATION}, "NFC", false, false},
    };
    struct eng_bytes name = {0};
    enum base_status status = eng_gguf_string(s->gguf, "tokenizer.ggml.pre", &name, error);
    if (status != BASE_OK)
        return status;
    for (size_t i = 0; i < sizeof splits / sizeof *splits; i++) {
        if (eng_bytes_equal(name, splits[i].name)) {
            *ret = splits[i];
            return BASE_OK;
        }
    }
    return base_fail(
        error, BASE_ERR_SUPPORT,
        "tokenizer.ggml.pre is \"%s\"; cachet supports gpt-2, smollm, llama-bpe, qwen2: open the model's "
        "tokenizer.json instead",
        eng_printable(name.data, name.size).text);
}

static enum base_status find_array(const struct source *s, const char *key, enum eng_gguf_type type,
                                   bool required, const struct eng_gguf_value **ret, struct base_error *error)
{
    const struct eng_gguf_value *value = NULL;
    enum base_status status = eng_gguf_array(s->gguf, key, type, &value, error);
    if (status != BASE_OK)
        return status;
    if (value == NULL && required)
        return base_fail(error, BASE_ERR_FORMAT, "key %s is missing", key);
    *ret = value;
    return BASE_OK;
}

static enum base_status check_count(const struct source *s, const char *key,
                                    const struct eng_gguf_value *value, struct base_error *error)
{
    if (value != NULL && value->count != s->tokens->count)
        return base_fail(error, BASE_ERR_FORMAT, "%s has %zu items, but tokenizer.ggml.tokens has %zu", key,
                         value->count, s->tokens->count);
    return BASE_OK;
}

static enum base_status find_parts(struct source *s, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_bytes model = {0};
    TRY(eng_gguf_string(s->gguf, "tokenizer.ggml.model", &model, error));
    s->byte_level = eng_bytes_equal(model, "gpt2");
    TRY_THAT(s->byte_level || eng_bytes_equal(model, "llama"), error, BASE_ERR_SUPPORT,
             "tokenizer.ggml.model is \"%s\"; cachet supports gpt2 and llama",
             eng_printable(model.data, model.size).text);
    TRY(find_array(s, "tokenizer.ggml.tokens", ENG_GGUF_STRING, true, &s->tokens, error));
    TRY(find_array(s, "tokenizer.ggml.token_type", ENG_GGUF_I32, !s->byte_level, &s->types, error));
    TRY(check_count(s, "tokenizer.ggml.token_type", s->types, error));
    if (s->byte_level)
        TRY(find_array(s, "tokenizer.ggml.merges", ENG_GGUF_STRING, true, &s->merges, error));
    else
        TRY(find_array(s, "tokenizer.ggml.scores", ENG_GGUF_F32, true, &s->scores, error));
    TRY(check_count(s, "tokenizer.ggml.scores", s->scores, error));
out:
    return status;
}

/* "<0x0A>" of a byte token; the byte is both what it stands for and its text. */
static enum base_status put_byte(struct eng_bpe *bpe, size_t id, struct eng_bytes text,
                                 struct base_error *error)
{
    char name[8];
    for (unsigned i = 0; i < 256; i++) {
        const uint8_t byte = (uint8_t)i;
        (void)snprintf(name, sizeof name, "<0x%02X>", i);
        if (!eng_bytes_equal(text, name))
            continue;
        if (bpe->byte_ids[i] >= 0)
            return base_fail(error, BASE_ERR_FORMAT, "tokens %d and %zu are the same byte %s",
                             (int)bpe->byte_ids[i], id, name);
        bpe->byte_ids[i] = (int32_t)id;
        enum base_status status = eng_vocab_put(&bpe->vocab, id, text, ENG_ENTRY_BYTE, error);
        return status != BASE_OK ? status
                                 : eng_vocab_set_out(&bpe->vocab, id, (struct eng_bytes){&byte, 1}, error);
    }
    return base_fail(error, BASE_ERR_FORMAT,
                     "token %zu is a byte, but its text is \"%s\"; it must be like <0x0A>", id,
                     eng_printable(text.data, text.size).text);
}

static enum base_status put_literal(struct eng_tokenizer *t, size_t id, struct eng_bytes text, int type,
                                    struct base_error *error)
{
    enum base_status status = BASE_OK;
    bool special = type == CONTROL || type == UNKNOWN;
    TRY(eng_vocab_put(&t->bpe.vocab, id, text, special ? ENG_ENTRY_SPECIAL : ENG_ENTRY_ADDED, error));
    if (type != UNUSED)
        TRY(eng_added_put(&t->raw_added, (struct eng_added_token){.text = text, .id = (int32_t)id}, error));
out:
    return status;
}

static int type_of(const struct source *s, size_t id)
{
    return s->types == NULL ? NORMAL : (int32_t)base_load_u32(s->types->bytes.data + 4 * id);
}

static enum base_status put_token(struct eng_tokenizer *t, const struct source *s, size_t id,
                                  struct eng_bytes text, struct base_error *error)
{
    int type = type_of(s, id);
    switch (type) {
    case NORMAL:
        return s->byte_level ? eng_tokenizer_put_byte_level(&t->bpe.vocab, id, text, error)
                             : eng_vocab_put(&t->bpe.vocab, id, text, ENG_ENTRY_MODEL, error);
    case UNKNOWN:
    case CONTROL:
    case USER_DEFINED:
    case UNUSED:
        return put_literal(t, id, text, type, error);
    case BYTE:
        if (!s->byte_level)
            return put_byte(&t->bpe, id, text, error);
        break;
    default:
        break;
    }
    return base_fail(error, BASE_ERR_FORMAT,
                     "tokenizer.ggml.token_type: token %zu has type %d, which this model does not define", id,
                     type);
}

static enum base_status put_score(struct eng_bpe *bpe, const struct source *s, size_t id,
                                  struct base_error *error)
{
    uint32_t bits = base_load_u32(s->scores->bytes.data + 4 * id);
    float score;
    memcpy(&score, &bits, sizeof score);
    if (!isfinite(score))
        return base_fail(error, BASE_ERR_FORMAT,
                         "tokenizer.ggml.scores: the score of token %zu is not a finite number", id);
    bpe->vocab.entries[id].score = score;
    return BASE_OK;
}

static size_t count_literals(const struct source *s)
{
    size_t count = 0;
    for (size_t id = 0; id < s->tokens->count; id++)
        count += type_of(s, id) != NORMAL && type_of(s, id) != BYTE;
    return count;
}

static enum base_status put_tokens(struct eng_tokenizer *t, const struct source *s, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_bytes rest = s->tokens->bytes;
    TRY(eng_vocab_init(&t->bpe.vocab, s->tokens->count, 2 * rest.size, error));
    TRY(eng_added_init(&t->raw_added, count_literals(s), error));
    memset(t->bpe.byte_ids, 0xff, sizeof t->bpe.byte_ids);
    for (size_t id = 0; id < s->tokens->count; id++) {
        struct eng_bytes text = eng_gguf_next_string(&rest);
        /* Texts are cut at added tokens and stay valid UTF-8 only when those are. */
        TRY_THAT(eng_utf8_check(text) == text.size, error, BASE_ERR_FORMAT,
                 "tokenizer.ggml.tokens: token %zu is not valid UTF-8", id);
        TRY(put_token(t, s, id, text, error));
        if (s->scores != NULL)
            TRY(put_score(&t->bpe, s, id, error));
    }
    TRY(eng_added_ready(&t->raw_added, error));
    TRY(eng_decoder_apply(&t->decoder, &t->bpe.vocab, error));
    TRY(eng_vocab_index(&t->bpe.vocab, error));
out:
    return status;
}

/* The id of a side of a merge, or of both joined: the pieces are written in the byte-level alphabet. */
static int32_t find_written(const struct eng_bpe *bpe, struct eng_bytes left, struct eng_bytes right)
{
    uint8_t bytes[2 * ENG_LIMIT_PIECE_BYTES];
    size_t first = 0, second = 0;
    if (left.size > ENG_LIMIT_PIECE_BYTES || right.size > ENG_LIMIT_PIECE_BYTES ||
        !eng_byte_level_undo(left, bytes, &first) || !eng_byte_level_undo(right, bytes + first, &second))
        return -1;
    return eng_vocab_find(&bpe->vocab, (struct eng_bytes){bytes, first + second});
}

static enum base_status put_merges(struct eng_bpe *bpe, const struct source *s, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_bytes rest = s->merges->bytes;
    const struct eng_bytes none = {NULL, 0};
    TRY(eng_merges_init(&bpe->merges, s->merges->count, error));
    for (size_t i = 0; i < s->merges->count; i++) {
        struct eng_bytes line = eng_gguf_next_string(&rest);
        const uint8_t *space = line.size == 0 ? NULL : memchr(line.data, ' ', line.size);
        TRY_THAT(space != NULL, error, BASE_ERR_FORMAT,
                 "tokenizer.ggml.merges: item %zu is \"%s\"; it must be a pair of pieces", i,
                 eng_printable(line.data, line.size).text);
        const struct eng_bytes left = {line.data, (size_t)(space - line.data)};
        const struct eng_bytes right = {space + 1, line.size - left.size - 1};
        int32_t a = find_written(bpe, left, none), b = find_written(bpe, right, none),
                id = find_written(bpe, left, right);
        TRY_THAT(a >= 0 && b >= 0 && id >= 0, error, BASE_ERR_FORMAT,
                 "tokenizer.ggml.merges: item %zu is \"%s\": %s is no normal token", i,
                 eng_printable(line.data, line.size).text,
                 a < 0   ? "the left piece"
                 : b < 0 ? "the right piece"
                         : "the merged piece");
        TRY(eng_merges_add(&bpe->merges, a, b, id, error));
    }
out:
    return status;
}

static enum base_status find_id(const struct source *s, const char *key, int32_t *ret,
                                struct base_error *error)
{
    size_t id = 0;
    if (eng_gguf_find(s->gguf, key) == NULL)
        return BASE_OK;
    enum base_status status =
        eng_gguf_size(s->gguf, key, (struct eng_size_range){0, s->tokens->count - 1, 0}, &id, error);
    if (status == BASE_OK)
        *ret = (int32_t)id;
    return status;
}

static enum base_status read_ids(struct eng_tokenizer *t, const struct source *s, bool adds_bos,
                                 struct base_error *error)
{
    enum base_status status = BASE_OK;
    t->bos = t->eos = t->bpe.unk = -1;
    TRY(find_id(s, "tokenizer.ggml.bos_token_id", &t->bos, error));
    TRY(find_id(s, "tokenizer.ggml.eos_token_id", &t->eos, error));
    TRY(find_id(s, "tokenizer.ggml.unknown_token_id", &t->bpe.unk, error));
    TRY(eng_gguf_bool(s->gguf, "tokenizer.ggml.add_bos_token", adds_bos, &adds_bos, error));
    t->adds_bos = adds_bos && t->bos >= 0;
out:
    return status;
}

/* Byte-level BPE, as GPT-2 and its many followers have it. */
static enum base_status read_gpt2(struct eng_tokenizer *t, const struct source *s, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct split split = {0};
    TRY(find_split(s, &split, error));
    for (size_t i = 0; i < 2 && split.regexes[i] != NULL; i++)
        TRY(eng_pretokenizer_add_regex(
            &t->pretokenizer, split.regexes[i][0] == '\0' ? eng_gpt2_regex : split.regexes[i], error));
    if (split.normal_form != NULL)
        (void)eng_normalizer_add_unicode(&t->normalizer, split.normal_form);
    t->pretokenizer.byte_level = t->decoder.byte_level = t->bpe.byte_level = true;
    t->bpe.ignore_merges = split.ignore_merges;
    TRY(put_tokens(t, s, error));
    TRY(read_ids(t, s, split.adds_bos, error));
    eng_tokenizer_find_bytes(&t->bpe);
    TRY(put_merges(&t->bpe, s, error));
out:
    return status;
}

/* SentencePiece BPE, as Llama 2 has it. */
static enum base_status read_llama(struct eng_tokenizer *t, const struct source *s, struct base_error *error)
{
    enum base_status status = BASE_OK;
    static const char mark[] = "\xe2\x96\x81";
    bool prefix = true;
    TRY(eng_gguf_bool(s->gguf, "tokenizer.ggml.add_space_prefix", true, &prefix, error));
    if (prefix)
        TRY(eng_normalizer_add(&t->normalizer, ENG_NORMAL_PREPEND, NULL, mark, error));
    TRY(eng_normalizer_add(&t->normalizer, ENG_NORMAL_REPLACE, " ", mark, error));
    TRY(eng_normalizer_add(&t->decoder.rewrite, ENG_NORMAL_REPLACE, mark, " ", error));
    t->decoder.strip = ' ';
    t->decoder.strip_count = prefix ? 1 : 0;
    t->bpe.scored = t->bpe.byte_fallback = true;
    TRY(put_tokens(t, s, error));
    TRY(read_ids(t, s, true, error));
out:
    return status;
}

enum base_status eng_tokenizer_gguf_parse(struct eng_tokenizer *ret, struct eng_bytes file,
                                          struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_gguf gguf = {0};
    struct source source = {.gguf = &gguf};
    TRY(eng_gguf_parse(&gguf, file, error));
    TRY(find_parts(&source, error));
    TRY(source.byte_level ? read_gpt2(ret, &source, error) : read_llama(ret, &source, error));
out:
    eng_gguf_finish(&gguf);
    return status;
}
