#include "parties/serve/prompt.h"

#include "base/memory.h"

#include <string.h>

static enum cachet_code tokenize(const struct gateway *gateway, const struct api_request *request,
                                 struct cachet_part *part, struct api_parts *parts, int32_t **ret_tokens,
                                 size_t *ret_count, struct cachet_error *error)
{
    if (request->endpoint == API_CHAT)
        return cachet_tokenize(gateway->client, parts->parts, parts->count, api_template_adds_bos(gateway->chat),
                               ret_tokens, ret_count, error);
    *part = (struct cachet_part){.text = request->prompt, .size = request->prompt_size};
    return cachet_tokenize(gateway->client, part, 1, true, ret_tokens, ret_count, error);
}

/* How many tokens are put in so that the length is a multiple. */
static size_t missing(size_t count, size_t multiple)
{
    return multiple > 1 ? (multiple - count % multiple) % multiple : 0;
}

/* Copies with the padding behind the token that begins prompts, if the prompt begins with it. */
static enum base_status pad(struct serve_prompt *ret, const struct gateway *gateway, const int32_t *tokens,
                            size_t count, bool begins, struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t padding = missing(count, gateway->options.prompt_multiple), first = begins && count > 0 ? 1 : 0;
    TRY(base_alloc(&ret->tokens, count + padding, sizeof *ret->tokens, error));
    ret->count = count + padding;
    memcpy(ret->tokens, tokens, first * sizeof *tokens);
    for (size_t i = 0; i < padding; i++)
        ret->tokens[first + i] = gateway->pad_token;
    memcpy(ret->tokens + first + padding, tokens + first, (count - first) * sizeof *tokens);
out:
    return status;
}

enum base_status serve_prompt_make(struct serve_prompt *ret, const struct gateway *gateway,
                                   const struct api_request *request, struct api_error *refusal)
{
    enum base_status status = BASE_OK;
    struct base_error error = {0};
    struct cachet_error failure = {0};
    struct cachet_part part;
    struct api_parts parts = {0};
    int32_t *tokens = NULL;
    size_t count = 0;
    bool begins = gateway->has_bos && (request->endpoint != API_CHAT || api_template_adds_bos(gateway->chat));
    if (request->endpoint == API_CHAT)
        TRY(api_template_apply(gateway->chat, request->messages, request->message_count, &parts, refusal));
    if (request->ids != NULL) {
        /* Ids are what the client says they are: padding goes in front of all of them. */
        status = pad(ret, gateway, request->ids, request->id_count, false, &error);
    } else if (tokenize(gateway, request, &part, &parts, &tokens, &count, &failure) != CACHET_OK) {
        api_error_from_cachet(refusal, &failure);
        status = BASE_ERR_ARGUMENT;
        goto out;
    } else {
        status = pad(ret, gateway, tokens, count, begins, &error);
    }
    if (status != BASE_OK)
        api_error_from_base(refusal, &error);
out:
    cachet_free_tokens(&tokens, count);
    api_parts_finish(&parts);
    return status;
}

void serve_prompt_finish(struct serve_prompt *prompt)
{
    base_free_secret(&prompt->tokens);
    prompt->count = 0;
}

enum base_status serve_prompt_choose_pad(struct gateway *gateway, struct base_error *error)
{
    static const char *const candidates[] = {"\n", " ", "\n\n", "  ", "\t"};
    enum base_status status = BASE_OK;
    bool found = false;
    for (size_t i = 0; i < sizeof candidates / sizeof *candidates && !found; i++) {
        struct cachet_error failure = {0};
        struct cachet_part part = {.text = candidates[i], .size = strlen(candidates[i])};
        int32_t *bare = NULL, *begun = NULL;
        size_t bare_count = 0, begun_count = 0;
        TRY_THAT(cachet_tokenize(gateway->client, &part, 1, false, &bare, &bare_count, &failure) == CACHET_OK &&
                     cachet_tokenize(gateway->client, &part, 1, true, &begun, &begun_count, &failure) == CACHET_OK,
                 error, BASE_ERR_SUPPORT, "--prompt-bucket: %s", failure.text);
        found = bare_count == 1;
        gateway->has_bos = begun_count == bare_count + 1;
        gateway->pad_token = found ? bare[0] : 0;
        cachet_free_tokens(&bare, bare_count);
        cachet_free_tokens(&begun, begun_count);
    }
    TRY_THAT(found, error, BASE_ERR_SUPPORT,
             "--prompt-bucket: this tokenizer has no white space that is one token, so prompts cannot be filled up; "
             "leave the flag out");
out:
    return status;
}
