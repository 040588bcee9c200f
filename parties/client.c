#include "parties/client.h"

#include "engine/decoder.h"
#include "parties/command.h"

#include <sodium.h>
#include <string.h>

enum {
    SECOND_MS = 1000,
    GRACE_MS =
        1000, /* a party that waited for another in vain tells its clients so at the end of connect_seconds */
};

enum base_status client_open(struct client *ret, const char *config, const char *key, const char *shares,
                             struct base_error *error)
{
    enum base_status status = BASE_OK;
    *ret = (struct client){.cancelled = command_stopped};
    TRY(party_config_read(&ret->config, config, error));
    TRY(net_key_load(&ret->key, key, error));
    struct config_owner owner = party_config_find_key(&ret->config, ret->key.public_key);
    TRY_THAT(
        owner.who == CONFIG_CLIENT, error, BASE_ERR_MISMATCH,
        "%s lists no client with the key of %s: paste the line that keygen printed into its clients section",
        config, key);
    TRY(eng_share_open(&ret->share, shares, ENG_SHARE_CLIENT, NULL, error));
    TRY(node_check_share(&ret->config, config, &ret->share, shares, error));
    TRY(node_set_mode(&ret->config, config, &ret->share, error));
    struct eng_decoder_form form = {
        .shape = &ret->share.shape, .plan = &ret->share.plan, .context = ret->config.limits.context};
    TRY(party_config_policy(&ret->config, &form.policy, &form.config, error));
    TRY(eng_decoder_chunk(&form, &ret->chunk, error));
    node_identify(&ret->identity, &ret->config, &ret->share, ret->chunk, NULL);
    struct net_context_config context = {.secret_key = ret->key.secret};
    TRY(net_context_create(&ret->context, &context, error));
    return BASE_OK;
out:
    client_close(ret);
    return status;
}

void client_close(struct client *client)
{
    for (int i = 0; i < 3; i++)
        net_link_destroy(&client->link[i]);
    net_context_destroy(&client->context);
    eng_share_close(&client->share);
    net_key_finish(&client->key);
    party_config_finish(&client->config);
}

static enum base_status connect_one(struct client *c, int party, size_t own, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct net_wait wait = {.timeout_ms = (int64_t)c->config.limits.connect_seconds * SECOND_MS + GRACE_MS,
                            .cancelled = c->cancelled,
                            .context = c->cancel_context};
    struct net_endpoint_config endpoint = {.name = party_config_name(&c->config, (size_t)party),
                                           .host = c->config.parties[party].host,
                                           .port =
                                               (uint16_t)(c->config.parties[party].port + NET_PORT_CLIENTS),
                                           .as = NET_PEER_CLIENT};
    memcpy(endpoint.public_key, c->config.parties[party].key, sizeof endpoint.public_key);
    TRY(net_connect(c->context, &endpoint, &wait, &c->link[party], error));
    net_link_set_cancel(c->link[party], c->cancelled, c->cancel_context);
    net_link_set_timeout(c->link[party], (int64_t)c->config.limits.step_seconds * SECOND_MS);
    TRY(node_hello(&c->identity, c->link[party], 3 + own, (size_t)party, error));
out:
    return status;
}

enum base_status client_connect(struct client *c, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct config_owner own = party_config_find_key(&c->config, c->key.public_key);
    for (int party = party_config_first(c->config.mode); party < 3 && status == BASE_OK; party++)
        status = connect_one(c, party, own.index, error);
    if (status != BASE_OK)
        node_tell_all(c->link, error);
    return status;
}

enum base_status client_generate(struct client *c, const struct generation_context *context,
                                 const struct eng_tokens *prompt, struct generation_run *ret,
                                 struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_remote remote = {0};
    struct eng_remote_form form = {
        .shape = &c->share.shape, .plan = &c->share.plan, .kern = kern_table_select(~0u)};
    struct eng_request request = {.prompt_tokens = (uint32_t)prompt->count,
                                  .new_tokens = (uint32_t)context->flags->max_tokens,
                                  .chunk = (uint32_t)c->chunk,
                                  .made_up = (uint32_t)context->flags->made_up,
                                  .mode = context->flags->inside ? ENG_REQUEST_ARGMAX : ENG_REQUEST_SAMPLE};
    memcpy(form.link, c->link, sizeof form.link);
    randombytes_buf(request.id, sizeof request.id);
    TRY(eng_remote_begin(&remote, &form, &request, false, error));
    struct eng_backend backend = eng_remote_backend(&remote);
    TRY(generation_run(context, &backend, prompt, true, ret, error));
    ret->source = remote.text_source;
    ret->texts_left = remote.texts_left;
    ret->sent_prefill = eng_remote_sent(&remote, NET_PHASE_PREFILL);
    ret->sent_decode = eng_remote_sent(&remote, NET_PHASE_DECODE);
    TRY(eng_remote_end(&remote, ret->usage, error));
out:
    /* Of a request that has ended in order there is nothing to tell: a void answer is the client's business.
     */
    if (status != BASE_OK && !remote.ended)
        node_tell_all(c->link, error);
    eng_remote_finish(&remote);
    return status;
}
