#include "engine/tokenizer/internal.h"

#include "engine/tokenizer/stages.h"

#include <stdio.h>
#include <string.h>

/* The parts of the document that several steps look at; all borrowed. */
struct source {
    const json_t *root;
    const json_t *model;
    const json_t *vocab;  /* piece -> id */
    const json_t *merges;
    const json_t *added; /* list of objects, or NULL */
};

static enum base_status find_parts(struct source *s, struct base_error *error)
{
    enum base_status status = BASE_OK;
    TRY_THAT(json_is_object(s->root), error, BASE_ERR_FORMAT, "the document is not an object");
    s->model = json_object_get(s->root, "model");
    s->vocab = json_object_get(s->model, "vocab");
    s->merges = json_object_get(s->model, "merges");
    s->added = json_object_get(s->root, "added_tokens");
    const json_t *type = json_object_get(s->model, "type");
    TRY_THAT(json_is_object(s->model), error, BASE_ERR_FORMAT, "model is missing");
    TRY_THAT(type == NULL || (json_is_string(type) && strcmp(json_string_value(type), "BPE") == 0), error,
             BASE_ERR_SUPPORT, "model.type is %s; cachet supports \"BPE\"", eng_json_show(type).text);
    TRY_THAT(json_is_object(s->vocab), error, BASE_ERR_FORMAT, "model.vocab is missing");
    TRY_THAT(json_is_array(s->merges), error, BASE_ERR_FORMAT, "model.merges is missing");
    TRY_THAT(s->added == NULL || json_is_array(s->added), error, BASE_ERR_FORMAT, "added_tokens is not a list");
out:
    return status;
}

/* Options of the model that change its ids. */
static enum base_status parse_options(struct eng_bpe *bpe, const struct source *s, struct base_error *error)
{
    enum base_status status = BASE_OK;
    static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    const char *text = NULL;
    for (size_t i = 0; i < sizeof affixes / sizeof *affixes; i++) {
        TRY(eng_json_string(s->model, affixes[i], "", &text, error));
        TRY_THAT(text[0] == '\0', error, BASE_ERR_SUPPORT, "model.%s is \"%s\"; cachet supports models without",
                 affixes[i], eng_printable_string(text).text);
    }
    const json_t *dropout = json_object_get(s->model, "dropout");
    bool without = dropout == NULL || json_is_null(dropout) ||
                   (json_is_number(dropout) && json_number_value(dropout) == 0);
    TRY_THAT(without, error, BASE_ERR_SUPPORT, "model.dropout is %s; cachet tokenizes without chance",
             eng_json_show(dropout).text);
    TRY(eng_json_bool(s->model, "fuse_unk", false, &bpe->fuse_unk, error));
    TRY(eng_json_bool(s->model, "byte_fallback", false, &bpe->byte_fallback, error));
    TRY(eng_json_bool(s->model, "ignore_merges", false, &bpe->ignore_merges, error));
out:
    return status;
}

/* The id that model.vocab gives a piece, -1 for none. */
static int32_t vocab_id(const struct source *s, const char *piece)
{
    const json_t *id = json_object_get(s->vocab, piece);
    bool sound = json_is_integer(id) && json_integer_value(id) >= 0 && json_integer_value(id) < ENG_LIMIT_VOCAB;
    return sound ? (int32_t)json_integer_value(id) : -1;
}

static enum base_status read_added(const json_t *entry, struct eng_added_token *ret, bool *ret_special,
                                   bool *ret_normalized, struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t id = 0;
    bool single_word = false;
    const char *content = NULL;
    TRY(eng_json_string(entry, "content", NULL, &content, error));
    TRY_THAT(content != NULL, error, BASE_ERR_FORMAT, "content is missing");
    TRY(eng_json_size(entry, "id", (struct eng_size_range){0, ENG_LIMIT_VOCAB - 1, SIZE_MAX}, &id, error));
    TRY(eng_json_bool(entry, "special", false, ret_special, error));
    TRY(eng_json_bool(entry, "normalized", !*ret_special, ret_normalized, error));
    TRY(eng_json_bool(entry, "single_word", false, &single_word, error));
    TRY_THAT(!single_word, error, BASE_ERR_SUPPORT, "\"%s\" has single_word; cachet supports added tokens without",
             eng_printable_string(content).text);
    TRY(eng_json_bool(entry, "lstrip", false, &ret->lstrip, error));
    TRY(eng_json_bool(entry, "rstrip", false, &ret->rstrip, error));
    ret->text = (struct eng_bytes){(const uint8_t *)content, strlen(content)};
    ret->id = (int32_t)id;
out:
    return status;
}

/* What one added token asks of the vocabulary: its id, and room for its text as written and as normalized. */
static enum base_status size_added(struct eng_tokenizer *t, const json_t *entry, size_t *highest, size_t *bytes,
                                   struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_added_token token = {0};
    struct eng_buffer work = {0};
    bool special, normalized;
    TRY(read_added(entry, &token, &special, &normalized, error));
    *highest = (size_t)token.id > *highest ? (size_t)token.id : *highest;
    *bytes += token.text.size;
    TRY(eng_normalizer_run(&t->normalizer, token.text, &work, &token.text, error));
    *bytes += token.text.size;
out:
    eng_buffer_finish(&work);
    return status;
}

/* Ids run to the largest one named, and gaps are few: a lying id must not make a table of millions. */
static enum base_status size_vocab(struct eng_tokenizer *t, const struct source *s, struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t highest = 0, named = json_object_size(s->vocab) + json_array_size(s->added), bytes = 0, i;
    const char *piece;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)s->vocab, piece, value)
    {
        int32_t id = vocab_id(s, piece);
        TRY_THAT(id >= 0, error, BASE_ERR_FORMAT, "model.vocab: \"%s\" is %s; it must be an id below %u",
                 eng_printable_string(piece).text, eng_json_show(value).text, ENG_LIMIT_VOCAB);
        highest = (size_t)id > highest ? (size_t)id : highest;
        bytes += strlen(piece);
    }
    json_array_foreach(s->added, i, value)
    {
        status = size_added(t, value, &highest, &bytes, error);
        if (status != BASE_OK) {
            base_error_prefix(error, "added_tokens[%zu]", i);
            goto out;
        }
    }
    TRY_THAT(highest < 2 * named + 1024, error, BASE_ERR_FORMAT, "the highest id is %zu, but only %zu tokens are named",
             highest, named);
    TRY(eng_vocab_init(&t->bpe.vocab, highest + 1, 2 * bytes, error));
out:
    return status;
}

static enum base_status put_vocab(struct eng_tokenizer *t, const struct source *s, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const char *piece;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)s->vocab, piece, value)
    {
        struct eng_bytes text = {(const uint8_t *)piece, strlen(piece)};
        size_t id = (size_t)vocab_id(s, piece);
        if (t->bpe.byte_level)
            TRY(eng_tokenizer_put_byte_level(&t->bpe.vocab, id, text, error));
        else
            TRY(eng_vocab_put(&t->bpe.vocab, id, text, ENG_ENTRY_MODEL, error));
    }
out:
    if (status != BASE_OK)
        base_error_prefix(error, "model.vocab");
    return status;
}

/* A normalized token is compared with normalized text, so its own text is normalized first; it also decodes from there,
 * or a space that it was matched with would be lost. */
static enum base_status put_normalized(struct eng_tokenizer *t, struct eng_added_token token, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_buffer work = {0};
    TRY(eng_normalizer_run(&t->normalizer, token.text, &work, &token.text, error));
    TRY(eng_added_put(&t->normal_added, token, error));
    if (t->bpe.vocab.entries[token.id].kind == ENG_ENTRY_ADDED)
        TRY(eng_vocab_set_out(&t->bpe.vocab, (size_t)token.id, token.text, error));
out:
    eng_buffer_finish(&work);
    return status;
}

static enum base_status put_added(struct eng_tokenizer *t, const struct source *s, const json_t *entry,
                                  struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_added_token token = {0};
    bool special = false, normalized = false;
    struct eng_vocab *vocab = &t->bpe.vocab;
    TRY(read_added(entry, &token, &special, &normalized, error));
    struct eng_entry *taken = &vocab->entries[token.id];
    enum eng_entry_kind kind = special ? ENG_ENTRY_SPECIAL : ENG_ENTRY_ADDED;
    const char *content = (const char *)token.text.data;
    int32_t named = vocab_id(s, content);
    TRY_THAT(named < 0 || named == token.id, error, BASE_ERR_FORMAT, "\"%s\" has id %d, but model.vocab gives it id %d",
             eng_printable_string(content).text, (int)token.id, (int)named);
    if (taken->kind == ENG_ENTRY_NONE) {
        TRY(eng_vocab_put(vocab, (size_t)token.id, token.text, kind, error));
    } else {
        TRY_THAT(named == token.id, error, BASE_ERR_FORMAT, "\"%s\" has id %d, which belongs to another piece",
                 eng_printable_string(content).text, (int)token.id);
        TRY(eng_vocab_set_out(vocab, (size_t)token.id, token.text, error));
        taken->kind = kind;
    }
    if (normalized)
        TRY(put_normalized(t, token, error));
    else
        TRY(eng_added_put(&t->raw_added, token, error));
out:
    return status;
}

static enum base_status put_all_added(struct eng_tokenizer *t, const struct source *s, struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t i;
    json_t *entry;
    TRY(eng_added_init(&t->raw_added, json_array_size(s->added), error));
    TRY(eng_added_init(&t->normal_added, json_array_size(s->added), error));
    json_array_foreach(s->added, i, entry)
    {
        status = put_added(t, s, entry, error);
        if (status != BASE_OK) {
            base_error_prefix(error, "added_tokens[%zu]", i);
            goto out;
        }
    }
    TRY(eng_added_ready(&t->raw_added, error));
    TRY(eng_added_ready(&t->normal_added, error));
out:
    return status;
}

/* The two sides of a merge, "a b" or ["a", "b"], copied into `joined` as "a\0b\0"; false when it is neither. */
static bool split_merge(const json_t *merge, char *joined, size_t capacity, const char **ret_left,
                        const char **ret_right)
{
    const char *left = json_string_value(json_array_get(merge, 0));
    const char *right = json_string_value(json_array_get(merge, 1)), *line = json_string_value(merge);
    size_t left_size = 0;
    if (line != NULL) {
        const char *space = strchr(line, ' ');
        if (space == NULL || strchr(space + 1, ' ') != NULL)
            return false;
        left = line;
        left_size = (size_t)(space - line);
        right = space + 1;
    } else if (json_array_size(merge) == 2 && left != NULL && right != NULL) {
        left_size = strlen(left);
    } else {
        return false;
    }
    size_t right_size = strlen(right);
    if (left_size == 0 || right_size == 0 || left_size + right_size + 2 > capacity)
        return false;
    memcpy(joined, left, left_size);
    joined[left_size] = '\0';
    memcpy(joined + left_size + 1, right, right_size + 1);
    *ret_left = joined;
    *ret_right = joined + left_size + 1;
    return true;
}

static enum base_status put_merges(struct eng_bpe *bpe, const struct source *s, struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t i;
    json_t *merge;
    TRY(eng_merges_init(&bpe->merges, json_array_size(s->merges), error));
    json_array_foreach(s->merges, i, merge)
    {
        char joined[2 * ENG_LIMIT_PIECE_BYTES + 2], whole[2 * ENG_LIMIT_PIECE_BYTES + 2];
        const char *left, *right;
        TRY_THAT(split_merge(merge, joined, sizeof joined, &left, &right), error, BASE_ERR_FORMAT,
                 "model.merges[%zu] is %s; it must be a pair of pieces", i, eng_json_show(merge).text);
        (void)snprintf(whole, sizeof whole, "%s%s", left, right);
        int32_t left_id = vocab_id(s, left), right_id = vocab_id(s, right), id = vocab_id(s, whole);
        TRY_THAT(left_id >= 0 && right_id >= 0 && id >= 0, error, BASE_ERR_FORMAT,
                 "model.merges[%zu]: %s is not in model.vocab", i,
                 left_id < 0 ? "the left piece" : right_id < 0 ? "the right piece" : "the merged piece");
        TRY(eng_merges_add(&bpe->merges, left_id, right_id, id, error));
    }
out:
    if (status == BASE_ERR_FORMAT)
        base_error_prefix(error, "merges");
    return status;
}

static enum base_status find_unknown(struct eng_bpe *bpe, const struct source *s, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const char *unk = NULL;
    TRY(eng_json_string(s->model, "unk_token", NULL, &unk, error));
    bpe->unk = unk == NULL ? -1 : vocab_id(s, unk);
    TRY_THAT(unk == NULL || bpe->unk >= 0, error, BASE_ERR_FORMAT, "model.unk_token \"%s\" is not in model.vocab",
             eng_printable_string(unk == NULL ? "" : unk).text);
    if (bpe->byte_level) {
        eng_tokenizer_find_bytes(bpe);
        goto out;
    }
    for (unsigned byte = 0; byte < 256; byte++) {
        char name[8];
        (void)snprintf(name, sizeof name, "<0x%02X>", byte);
        bpe->byte_ids[byte] = vocab_id(s, name);
    }
out:
    return status;
}

/* The id of a token by its text: an added token, or a piece of the vocabulary. */
static int32_t id_of_text(const struct source *s, const char *text)
{
    size_t i;
    json_t *entry;
    json_array_foreach(s->added, i, entry)
    {
        const char *content = json_string_value(json_object_get(entry, "content"));
        if (content != NULL && strcmp(content, text) == 0)
            return (int32_t)json_integer_value(json_object_get(entry, "id"));
    }
    return vocab_id(s, text);
}

/* The special token that a TemplateProcessing puts before the text; what it would append after a prompt is left out, as a
 * model continues a prompt. */
static enum base_status parse_template(struct eng_tokenizer *t, const struct source *s, const json_t *template,
                                       struct base_error *error)
{
    size_t i;
    json_t *item;
    const json_t *single = json_object_get(template, "single");
    if (!json_is_array(single))
        return base_fail(error, BASE_ERR_FORMAT,
                         "post_processor: single of TemplateProcessing is %s; it must be a list", eng_json_show(single).text);
    json_array_foreach(single, i, item)
    {
        if (json_object_get(item, "Sequence") != NULL)
            break;
        const char *name = json_string_value(json_object_get(json_object_get(item, "SpecialToken"), "id"));
        int32_t id = name == NULL ? -1 : id_of_text(s, name);
        if (i > 0 || id < 0)
            return base_fail(error, BASE_ERR_SUPPORT,
                             "post_processor puts %s before the text; cachet supports one known token",
                             eng_json_show(json_object_get(item, "SpecialToken")).text);
        t->bos = id;
        t->adds_bos = true;
    }
    return BASE_OK;
}

static enum base_status parse_processor(struct eng_tokenizer *t, const struct source *s, const json_t *json,
                                        struct base_error *error)
{
    const char *type = json_string_value(json_object_get(json, "type"));
    if (json == NULL || json_is_null(json) || (type != NULL && strcmp(type, "ByteLevel") == 0))
        return BASE_OK;
    if (type != NULL && strcmp(type, "TemplateProcessing") == 0)
        return parse_template(t, s, json, error);
    return base_fail(error, BASE_ERR_SUPPORT,
                     "post_processor type is %s; cachet supports ByteLevel, TemplateProcessing, Sequence",
                     eng_json_show(json_object_get(json, "type")).text);
}

static enum base_status parse_processors(struct eng_tokenizer *t, const struct source *s, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const json_t *processor = json_object_get(s->root, "post_processor");
    TRY(eng_stages_check(processor, "post_processor", "processors", error));
    for (size_t i = 0; i < eng_json_stages(processor, "processors"); i++)
        TRY(parse_processor(t, s, eng_json_stage(processor, "processors", i), error));
out:
    return status;
}

static enum base_status parse_pipeline(struct eng_tokenizer *t, const struct source *s, struct base_error *error)
{
    enum base_status status = BASE_OK;
    TRY(eng_normalizer_parse(&t->normalizer, json_object_get(s->root, "normalizer"), error));
    TRY(eng_pretokenizer_parse(&t->pretokenizer, json_object_get(s->root, "pre_tokenizer"), error));
    TRY(eng_decoder_parse(&t->decoder, json_object_get(s->root, "decoder"), error));
    t->bpe.byte_level = t->pretokenizer.byte_level;
    TRY_THAT(t->bpe.byte_level == t->decoder.byte_level, error, BASE_ERR_SUPPORT,
             "only one of pre_tokenizer and decoder is ByteLevel; cachet supports both or neither");
out:
    return status;
}

enum base_status eng_tokenizer_json_parse(struct eng_tokenizer *ret, struct eng_bytes json, struct base_error *error)
{
    enum base_status status = BASE_OK;
    json_t *root = NULL;
    struct source source = {0};
    TRY(eng_json_parse(&root, json, error));
    source.root = root;
    ret->bos = ret->eos = -1;
    TRY(find_parts(&source, error));
    TRY(parse_options(&ret->bpe, &source, error));
    TRY(parse_pipeline(ret, &source, error));
    TRY(size_vocab(ret, &source, error));
    TRY(put_vocab(ret, &source, error));
    TRY(put_all_added(ret, &source, error));
    TRY(eng_decoder_apply(&ret->decoder, &ret->bpe.vocab, error));
    TRY(eng_vocab_index(&ret->bpe.vocab, error));
    TRY(find_unknown(&ret->bpe, &source, error));
    TRY(put_merges(&ret->bpe, &source, error));
    TRY(parse_processors(ret, &source, error));
out:
    json_decref(root);
    return status;
}
