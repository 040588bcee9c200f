/* cachet config: the shared config as it is understood. */
#include "base/memory.h"
#include "parties/command.h"
#include "parties/config.h"
#include "parties/options.h"

#include <jansson.h>
#include <sodium.h>
#include <stdio.h>

enum { HEX = 2 * PARTY_CONFIG_DIGEST + 1 };

static json_t *json_ends(const struct party_config *c, bool parties)
{
    json_t *list = json_array();
    char key[NET_KEY_TEXT];
    for (size_t i = 0; i < (parties ? (size_t)PARTY_CONFIG_PARTIES : c->client_count); i++) {
        net_key_write_text(parties ? c->parties[i].key : c->clients[i].key, key);
        (void)json_array_append_new(
            list, parties ? json_pack("{s:s, s:s, s:I, s:s}", "name", party_config_name(c, i), "host", c->parties[i].host, "port",
                                      (json_int_t)c->parties[i].port, "key", key)
                          : json_pack("{s:s, s:s}", "name", c->clients[i].name, "key", key));
    }
    return list;
}

/* The policy with a value for each of its keys. */
static json_t *json_cache(const struct kv_policy *policy, const struct kv_config *config)
{
    json_t *keys = json_object();
    for (size_t i = 0; i < policy->options_count; i++) {
        const struct kv_key_entry *key = kv_key_entry(policy->options[i].key);
        uint32_t value = config->value[policy->options[i].key];
        (void)json_object_set_new(keys, key->name, key->names != NULL ? json_string(key->names[value]) : json_integer(value));
    }
    return json_pack("{s:s, s:o}", "policy", policy->name, "keys", keys);
}

static void print_json(const struct party_config *c, const struct kv_policy *policy, const struct kv_config *numbers,
                       const char *digest)
{
    char model[HEX], plan[HEX];
    (void)sodium_bin2hex(model, sizeof model, c->model.digest, sizeof c->model.digest);
    (void)sodium_bin2hex(plan, sizeof plan, c->model.plan, sizeof c->model.plan);
    json_t *root = json_pack(
        "{s:s, s:i, s:s, s:o, s:o, s:{s:s, s:s, s:s}, s:o, s:{s:I, s:I, s:I, s:I, s:I}}", "digest", digest, "version", 1, "mode",
        party_config_mode_name(c->mode), "parties", json_ends(c, true), "clients", json_ends(c, false), "model", "digest", model,
        "plan", plan, "shares", c->model.shares, "cache", json_cache(policy, numbers), "limits", "context",
        (json_int_t)c->limits.context, "connect_seconds", (json_int_t)c->limits.connect_seconds, "step_seconds",
        (json_int_t)c->limits.step_seconds, "ahead_mib", (json_int_t)c->limits.ahead_mib,
        "slots", (json_int_t)c->limits.slots);
    if (c->mode == CONFIG_TWO_PARTY)
        (void)json_object_set_new(root, "spool", json_pack("{s:I, s:s}", "most", (json_int_t)c->spool.most, "dry", party_config_dry_name(c->spool.dry)));
    (void)json_dumpf(root, stdout, JSON_INDENT(1));
    (void)putchar('\n');
    json_decref(root);
}

/* As a config file that reads back as the same one; what it does not say itself stands in comments. */
static enum base_status print_text(const struct party_config *c, const struct kv_policy *policy,
                                   const struct kv_config *numbers, const char *digest, struct base_error *error)
{
    enum base_status status = BASE_OK;
    char *text = NULL;
    size_t size = 0;
    TRY(party_config_text(c, &text, &size, error));
    (void)fwrite(text, 1, size, stdout);
    (void)printf("\n# digest %s\n# cache policy %s", digest, policy->name);
    for (size_t i = 0; i < policy->options_count; i++) {
        const struct kv_key_entry *key = kv_key_entry(policy->options[i].key);
        uint32_t value = numbers->value[policy->options[i].key];
        if (key->names != NULL)
            (void)printf("%s %s=%s", i == 0 ? ":" : ",", key->name, key->names[value]);
        else
            (void)printf("%s %s=%u", i == 0 ? ":" : ",", key->name, (unsigned)value);
    }
    (void)putchar('\n');
out:
    base_free(&text);
    return status;
}

static enum base_status run(int argc, char **argv, struct base_error *error)
{
    enum base_status status = BASE_OK;
    static const char *const actions[] = {"print", NULL};
    const char *action = NULL, *path = NULL;
    bool json = false, done = false;
    struct party_config config = {0};
    const struct kv_policy *policy;
    struct kv_config numbers;
    uint8_t digest[PARTY_CONFIG_DIGEST];
    char hex[HEX];
    const struct option_entry options[] = {
        {.name = "action",
         .value = "ACTION",
         .help = "print: the config on standard output",
         .kind = OPTION_WORD,
         .target = &action,
         .required = true,
         .words = actions},
        {.name = "config",
         .value = "FILE",
         .help = "the config that all parties and clients share",
         .target = &path,
         .required = true},
        {.name = "json", .help = "print an object instead of a config file", .kind = OPTION_FLAG, .target = &json},
        OPTION_END};
    TRY(options_parse(argc, argv,
                      "Prints the shared config as it is understood, with every default filled in, and its digest.",
                      "Peers compare the digest when they connect: two files with the same one are the same config.",
                      options, &done, error));
    if (done)
        return BASE_OK;
    TRY(party_config_read(&config, path, error));
    TRY(party_config_policy(&config, &policy, &numbers, error));
    party_config_digest(&config, digest);
    (void)sodium_bin2hex(hex, sizeof hex, digest, sizeof digest);
    if (json)
        print_json(&config, policy, &numbers, hex);
    else
        TRY(print_text(&config, policy, &numbers, hex, error));
out:
    party_config_finish(&config);
    return status;
}

const struct command command_config = {"config", "the shared config as it is understood, and its digest", run, false};
