#include "engine/tokenizer/internal.h"

#include <string.h>

/* The id of the token whose text is exactly this, -1 for none. */
static int32_t id_of_text(const struct eng_vocab *vocab, const char *text)
{
    for (size_t id = 0; id < vocab->count; id++)
        if (vocab->entries[id].kind != ENG_ENTRY_NONE &&
            (eng_bytes_equal(vocab->entries[id].out, text) || eng_bytes_equal(vocab->entries[id].text, text)))
            return (int32_t)id;
    return -1;
}

/* A token is named by its text, as a string or as an object with content; null and missing name none. */
static enum base_status find_named(const struct eng_vocab *vocab, const json_t *config, const char *field,
                                   int32_t *ret, struct base_error *error)
{
    const json_t *value = json_object_get(config, field);
    const char *text = json_string_value(json_is_object(value) ? json_object_get(value, "content") : value);
    if (value == NULL || json_is_null(value))
        return BASE_OK;
    int32_t id = text == NULL ? -1 : id_of_text(vocab, text);
    if (id < 0)
        return base_fail(error, BASE_ERR_FORMAT, "%s is %s, which is no token of the tokenizer", field,
                         eng_json_show(value).text);
    *ret = id;
    return BASE_OK;
}

enum base_status eng_tokenizer_config_parse(struct eng_tokenizer *tokenizer, struct eng_bytes json,
                                            struct base_error *error)
{
    enum base_status status = BASE_OK;
    json_t *config = NULL;
    bool adds_bos = false;
    int32_t bos = -1;
    TRY(eng_json_parse_reals(&config, json, error)); /* model_max_length may be 10^30 */
    TRY_THAT(json_is_object(config), error, BASE_ERR_FORMAT, "the document is not an object");
    TRY(find_named(&tokenizer->bpe.vocab, config, "bos_token", &bos, error));
    TRY(find_named(&tokenizer->bpe.vocab, config, "eos_token", &tokenizer->eos, error));
    TRY(eng_json_bool(config, "add_bos_token", false, &adds_bos, error));
    if (tokenizer->bos < 0)
        tokenizer->bos = bos;
    tokenizer->adds_bos = tokenizer->adds_bos || (adds_bos && tokenizer->bos >= 0);
out:
    json_decref(config);
    return status;
}
