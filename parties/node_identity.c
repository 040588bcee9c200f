/* Who a party is to its peers, and that what it was given goes together. */
#include "parties/node.h"

#include "engine/plan.h"
#include "parties/version.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

static void add_text(struct node_identity *id, const char *name, const char *text)
{
    id->fields[id->field_count++] = (struct net_hello_field){.name = name, .text = text};
}

void node_identify(struct node_identity *ret, const struct party_config *config,
                   const struct eng_share *share, size_t chunk, const uint8_t gates[32])
{
    *ret = (struct node_identity){0};
    party_config_digest(config, ret->config_digest);
    (void)snprintf(ret->chunk, sizeof ret->chunk, "%zu", chunk);
    (void)snprintf(ret->context, sizeof ret->context, "%u", config->limits.context);
    (void)snprintf(ret->policy, sizeof ret->policy, "%s, sinks %u, window %u", config->cache.policy, (unsigned)config->cache.sinks, (unsigned)config->cache.window);
    add_text(ret, "build version", CACHET_VERSION);
    add_text(ret, "suite", "aes128-mmo z64 cut-1");
    add_text(ret, "model digest", share->model);
    add_text(ret, "model shape", share->shape_digest);
    add_text(ret, "plan digest", share->plan_digest);
    add_text(ret, "share set", share->set);
    add_text(ret, "cache policy", ret->policy);
    add_text(ret, "context", ret->context);
    add_text(ret, "rows per prefill step", ret->chunk);
    ret->common_count = ret->field_count;
    if (gates == NULL)
        return;
    memcpy(ret->gates, gates, sizeof ret->gates);
    ret->fields[ret->field_count++] =
        (struct net_hello_field){.name = "gate tables", .bytes = ret->gates, .size = sizeof ret->gates};
}

enum base_status node_hello(const struct node_identity *identity, struct net_link *link, size_t own,
                            size_t peer, struct base_error *error)
{
    struct net_hello_config hello = {.own_id = (uint8_t)own,
                                     .peer_id = (uint8_t)peer,
                                     .fields = identity->fields,
                                     .field_count = own < 3 && peer < 3 ? identity->field_count
                                                                        : identity->common_count};
    memcpy(hello.config_digest, identity->config_digest, sizeof hello.config_digest);
    return net_hello(link, &hello, NULL, error);
}

void node_tell_all(struct net_link *const links[3], const struct base_error *cause)
{
    for (int i = 0; i < 3; i++)
        if (links[i] != NULL && net_link_failure(links[i]) == NULL)
            net_link_abort(links[i], cause);
}

enum base_status node_check_share(const struct party_config *config, const char *config_path,
                                  const struct eng_share *share, const char *directory,
                                  struct base_error *error)
{
    enum base_status status = BASE_OK;
    char digest[65], plan[65];
    (void)sodium_bin2hex(digest, sizeof digest, config->model.digest, 32);
    (void)sodium_bin2hex(plan, sizeof plan, config->model.plan, 32);
    const struct {
        const char *name, *want, *have;
    } fields[] = {{"model.digest", digest, share->model},
                  {"model.plan", plan, share->plan_digest},
                  {"model.shares", config->model.shares, share->set}};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        TRY_THAT(strcmp(fields[i].want, fields[i].have) == 0, error, BASE_ERR_MISMATCH,
                 "%s says %s %.16s..., %s holds %.16s...: use the directory and the config of one share set",
                 config_path, fields[i].name, fields[i].want, directory, fields[i].have);
    TRY_THAT(config->limits.context <= (uint32_t)share->plan.context, error, BASE_ERR_RANGE,
             "%s: limits.context is %u, the plan was made for %d: lower it, or make a plan and share again",
             config_path, config->limits.context, share->plan.context);
out:
    return status;
}

enum base_status node_set_mode(const struct party_config *config, const char *config_path, struct eng_share *share, struct base_error *error)
{
    enum base_status status = BASE_OK;
    if (config->mode != CONFIG_TWO_PARTY)
        return BASE_OK;
    for (size_t l = 0; l < share->plan.layers; l++)
        TRY_THAT(share->plan.layer[l].attention == ENG_ATTENTION_MAXIMUM && share->plan.layer[l].wave == ENG_WAVE_NONE, error, BASE_ERR_SUPPORT,
                 "%s says mode two-party, and the plan has gates in layer %zu that only P0 can deal for: make a plan with --general, and share again", config_path, l);
    TRY_THAT(config->limits.slots == 1, error, BASE_ERR_SUPPORT, "%s says mode two-party and limits.slots %u: two parties serve one slot, set it to 1", config_path,
             (unsigned)config->limits.slots);
    eng_plan_set_pair(&share->plan);
    TRY(eng_plan_check(&share->plan, error));
out:
    return status;
}
