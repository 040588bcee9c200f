#include "engine/tokenizer/internal.h"

#include "base/memory.h"
#include "engine/formats/limits.h"
#include "engine/tokenizer/utf8.h"

#include <string.h>

/* One encoding on its way. */
struct encoding {
    const struct eng_tokenizer *tokenizer;
    struct eng_bpe_scratch scratch;
    struct eng_id_list ids;
    struct base_error *error;
    /* Prompts in parts only. */
    bool in_parts;
    const uint8_t *text;       /* all parts, one after the other */
    struct eng_range *control; /* the control parts, in order, neighbours joined */
    size_t control_count;
    struct eng_id_list used; /* the added tokens in them */
};

static enum base_status encode_word(void *context, struct eng_bytes word, struct base_error *error)
{
    struct encoding *e = context;
    return eng_bpe_encode(&e->tokenizer->bpe, word, &e->scratch, &e->ids, error);
}

static enum base_status encode_plain(struct encoding *e, struct eng_bytes text, bool at_start)
{
    const struct eng_word_sink sink = {encode_word, e};
    return eng_pretokenizer_run(&e->tokenizer->pretokenizer, text, at_start, &sink, e->error);
}

/* Cuts text at the tokens of one set; what lies between goes to `between`. */
static enum base_status encode_around(struct encoding *e, const struct eng_added *set,
                                      const struct eng_added_filter *filter, struct eng_bytes text, bool at_start,
                                      enum base_status (*between)(struct encoding *, struct eng_bytes, bool))
{
    enum base_status status = BASE_OK;
    size_t done = 0;
    while (done < text.size) {
        struct eng_range range = {text.size, text.size};
        const struct eng_added_token *token = eng_added_find(set, text, done, filter, &range);
        if (range.begin > done)
            TRY(between(e, (struct eng_bytes){text.data + done, range.begin - done}, at_start && done == 0));
        if (token != NULL)
            TRY(eng_id_list_add(&e->ids, token->id, e->error));
        done = range.end;
    }
out:
    return status;
}

/* Whether an added token is text like any other, so that users may write it: neither special nor one that the control
 * parts use. */
static bool counts_in_text(const void *context, const struct eng_added_token *token, const uint8_t *at)
{
    const struct encoding *e = context;
    if (e->tokenizer->bpe.vocab.entries[token->id].kind == ENG_ENTRY_SPECIAL)
        return false;
    for (size_t i = 0; i < e->used.count; i++)
        if (e->used.ids[i] == token->id)
            return false;
    return true;
}

static bool counts_in_control(const void *context, const struct eng_added_token *token, const uint8_t *at)
{
    const struct encoding *e = context;
    const size_t begin = (size_t)(at - e->text), end = begin + token->text.size;
    size_t low = 0, high = e->control_count;
    while (low < high) { /* the first range that ends after the token begins */
        size_t middle = low + (high - low) / 2;
        if (e->control[middle].end <= begin)
            low = middle + 1;
        else
            high = middle;
    }
    return low < e->control_count && e->control[low].begin <= begin && end <= e->control[low].end;
}

static bool counts_in_parts(const void *context, const struct eng_added_token *token, const uint8_t *at)
{
    return counts_in_text(context, token, at) || counts_in_control(context, token, at);
}

static enum base_status encode_normalized(struct encoding *e, struct eng_bytes text, bool at_start)
{
    enum base_status status = BASE_OK;
    struct eng_buffer work = {0};
    struct eng_bytes normal = {0};
    const struct eng_added_filter filter = {counts_in_text, e};
    TRY(eng_normalizer_run(&e->tokenizer->normalizer, text, &work, &normal, e->error));
    TRY(encode_around(e, &e->tokenizer->normal_added, e->in_parts ? &filter : NULL, normal, at_start, encode_plain));
out:
    eng_buffer_finish(&work);
    return status;
}

/* Normalized text no longer tells what was control: its special tokens are found before. */
static bool counts_before_normalizing(const void *context, const struct eng_added_token *token, const uint8_t *at)
{
    return !counts_in_text(context, token, at) && counts_in_control(context, token, at);
}

static enum base_status encode_stretch(struct encoding *e, struct eng_bytes text, bool at_start)
{
    const struct eng_added_filter filter = {counts_before_normalizing, e};
    return encode_around(e, &e->tokenizer->normal_added, &filter, text, at_start, encode_normalized);
}

static enum base_status check_text(struct eng_bytes text, struct base_error *error)
{
    if (text.size > ENG_LIMIT_PROMPT_BYTES)
        return base_fail(error, BASE_ERR_ARGUMENT, "the text has %zu bytes; cachet reads up to %u", text.size,
                         ENG_LIMIT_PROMPT_BYTES);
    size_t valid = eng_utf8_check(text);
    if (valid != text.size)
        return base_fail(error, BASE_ERR_ARGUMENT, "the text is not valid UTF-8 at byte offset %zu", valid);
    return BASE_OK;
}

static enum base_status add_bos_to(struct encoding *e, bool add_bos)
{
    return add_bos && e->tokenizer->bos >= 0 ? eng_id_list_add(&e->ids, e->tokenizer->bos, e->error) : BASE_OK;
}

static void take_tokens(struct encoding *e, struct eng_tokens *ret)
{
    *ret = (struct eng_tokens){e->ids.ids, e->ids.count};
    e->ids = (struct eng_id_list){0};
}

enum base_status eng_tokenizer_encode(const struct eng_tokenizer *tokenizer, const char *text, size_t bytes,
                                      bool add_bos, struct eng_tokens *ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct encoding e = {.tokenizer = tokenizer, .error = error};
    const struct eng_bytes whole = {(const uint8_t *)text, bytes};
    TRY(check_text(whole, error));
    TRY(add_bos_to(&e, add_bos));
    TRY(encode_around(&e, &tokenizer->raw_added, NULL, whole, true, encode_normalized));
    take_tokens(&e, ret);
out:
    eng_id_list_finish(&e.ids);
    eng_bpe_scratch_finish(&e.scratch);
    return status;
}

/* Puts the parts together and notes where the control parts lie. */
static enum base_status join_parts(struct encoding *e, const struct eng_part *parts, size_t count,
                                   struct eng_buffer *ret)
{
    enum base_status status = BASE_OK;
    for (size_t i = 0; i < count; i++)
        TRY_THAT(base_size_add(ret->size, parts[i].size, &ret->size), e->error, BASE_ERR_ARGUMENT,
                 "the text is larger than memory");
    TRY_THAT(ret->size <= ENG_LIMIT_PROMPT_BYTES, e->error, BASE_ERR_ARGUMENT,
             "the text has %zu bytes; cachet reads up to %u", ret->size, ENG_LIMIT_PROMPT_BYTES);
    TRY(base_alloc(&ret->data, ret->size, 1, e->error));
    TRY(base_alloc(&e->control, count, sizeof *e->control, e->error));
    for (size_t i = 0, at = 0; i < count; at += parts[i++].size) {
        if (parts[i].size == 0)
            continue;
        memcpy(ret->data + at, parts[i].text, parts[i].size);
        if (!parts[i].control)
            continue;
        if (e->control_count == 0 || e->control[e->control_count - 1].end < at)
            e->control[e->control_count++].begin = at;
        e->control[e->control_count - 1].end = at + parts[i].size;
    }
    e->text = ret->data;
out:
    return status;
}

/* Collects the added tokens that the control parts use. */
static enum base_status note_used(struct encoding *e, const struct eng_added *set)
{
    for (size_t i = 0; i < e->control_count; i++) {
        const struct eng_bytes text = {e->text + e->control[i].begin, e->control[i].end - e->control[i].begin};
        struct eng_range range = {0};
        const struct eng_added_token *token;
        while ((token = eng_added_find(set, text, range.end, NULL, &range)) != NULL) {
            /* One that is noted, or special, counts in no text. */
            enum base_status status =
                counts_in_text(e, token, NULL) ? eng_id_list_add(&e->used, token->id, e->error) : BASE_OK;
            if (status != BASE_OK)
                return status;
        }
    }
    return BASE_OK;
}

enum base_status eng_tokenizer_encode_parts(const struct eng_tokenizer *tokenizer, const struct eng_part *parts,
                                            size_t count, bool add_bos, struct eng_tokens *ret,
                                            struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct encoding e = {.tokenizer = tokenizer, .error = error, .in_parts = true};
    struct eng_buffer whole = {0};
    const struct eng_added_filter filter = {counts_in_parts, &e};
    TRY(join_parts(&e, parts, count, &whole));
    TRY(check_text(eng_buffer_bytes(&whole), error));
    TRY(note_used(&e, &tokenizer->raw_added));
    TRY(note_used(&e, &tokenizer->normal_added));
    TRY(add_bos_to(&e, add_bos));
    TRY(encode_around(&e, &tokenizer->raw_added, &filter, eng_buffer_bytes(&whole), true, encode_stretch));
    take_tokens(&e, ret);
out:
    eng_id_list_finish(&e.ids);
    eng_id_list_finish(&e.used);
    eng_bpe_scratch_finish(&e.scratch);
    base_free(&e.control);
    eng_buffer_finish(&whole);
    return status;
}
