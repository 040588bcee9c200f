/* cachet check: says of config, key, shares, memory and links what is good, and what to do about the rest. */
#include "base/clock.h"
#include "base/memory.h"
#include "engine/decoder.h"
#include "parties/client.h"
#include "parties/command.h"
#include "parties/leakage.h"
#include "parties/memory.h"
#include "parties/options.h"
#include "parties/trust.h"
#include "parties/version.h"

#include <errno.h>
#include <jansson.h>
#include <netdb.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CLOCK_SECONDS = 5, PINGS = 8, BULK = 4 << 20, TCP_MS = 3000 };

struct check {
    const char *config_path, *key_path, *shares, *spool;
    bool json, trust, openings;
    json_t *lines; /* with --json */
    bool lacking;  /* one of them: memory was short */
    size_t bad;
    struct party_config config;
    struct net_key key;
    struct config_owner owner;
    struct eng_share share;
};

static void line(struct check *c, const char *what, const struct base_error *error, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* One line: good with what was found, or what is wrong and what to do. */
static void line(struct check *c, const char *what, const struct base_error *error, const char *format, ...)
{
    char text[512];
    bool good = error == NULL || error->code == BASE_OK;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    c->bad += !good;
    if (c->json)
        c->lacking |= json_array_append_new(c->lines, json_pack("{s:s, s:b, s:s}", "what", what, "ok", good, "text",
                                                                good ? text : error->text)) != 0;
    else
        (void)printf("%-4s %-8s %s\n", good ? "ok" : "BAD", what, good ? text : error->text);
}

static const char *who(const struct check *c)
{
    return c->owner.who == CONFIG_PARTY ? party_config_name(&c->config, c->owner.index)
                                        : c->config.clients[c->owner.index].name;
}

static void check_key(struct check *c)
{
    struct base_error error = {0};
    if (net_key_load(&c->key, c->key_path, &error) == BASE_OK) {
        c->owner = party_config_find_key(&c->config, c->key.public_key);
        if (c->owner.who == CONFIG_NOBODY)
            (void)base_fail(&error, BASE_ERR_MISMATCH,
                            "%s lists neither a party nor a client with the key of %s: paste the line that "
                            "keygen printed",
                            c->config_path, c->key_path);
    }
    line(c, "key", &error, "%s of %s", c->owner.who == CONFIG_PARTY ? "party" : "client",
         c->owner.who == CONFIG_NOBODY ? "nobody" : who(c));
}

static void check_shares(struct check *c)
{
    struct base_error error = {0};
    struct base_progress progress = {0};
    int role = c->owner.who == CONFIG_PARTY ? (int)c->owner.index : ENG_SHARE_CLIENT;
    base_progress_start(&progress, "checking shares", 0);
    enum base_status status = eng_share_open(&c->share, c->shares, role, &progress, &error);
    base_progress_finish(&progress);
    if (status == BASE_OK)
        status = node_check_share(&c->config, c->config_path, &c->share, c->shares, &error);
    line(c, "shares", &error, "set %.16s... of model %.16s..., plan %.16s..., digest and conditions hold",
         c->share.set, c->share.model, c->share.plan_digest);
}

static void check_memory(struct check *c)
{
    struct base_error error = {0};
    struct memory_need need = {0};
    const struct kv_policy *policy;
    struct kv_config config;
    uint64_t available = memory_available();
    if (party_config_policy(&c->config, &policy, &config, &error) == BASE_OK) {
        struct memory_form form = {.shape = &c->share.shape,
                                   .plan = &c->share.plan,
                                   .policy = policy,
                                   .config = config,
                                   .context = c->config.limits.context,
                                   .slots = c->config.limits.slots,
                                   .alone = c->config.mode == CONFIG_TWO_PARTY,
                                   .queue_bytes = (size_t)c->config.limits.ahead_mib << 20};
        if (memory_of(&need, (enum mpc_role)c->owner.index, &form, &error) == BASE_OK && available > 0 &&
            memory_total(&need) > available)
            (void)base_fail(&error, BASE_ERR_MEMORY,
                            "%.1f GB may be needed and %.1f GB are free: lower limits.context or "
                            "limits.ahead_mib, or use a larger machine",
                            (double)memory_total(&need) * 1e-9, (double)available * 1e-9);
    }
    char text[MEMORY_TEXT];
    line(c, "memory", &error, "%s; %.0f MB are free", memory_text(&need, text), (double)available * 1e-6);
}

/* Whether something answers at an address at all: what a party can ask without taking another party's place.
 */
static enum base_status reach(const struct config_party *party, const char *name, double *ret_seconds,
                              struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct addrinfo *found = NULL, hints = {.ai_socktype = SOCK_STREAM};
    char port[8];
    int fd = -1, failure = 0;
    socklen_t size = sizeof failure;
    (void)snprintf(port, sizeof port, "%u", (unsigned)party->port);
    int resolved = getaddrinfo(party->host, port, &hints, &found);
    TRY_THAT(resolved == 0, error, BASE_ERR_IO,
             "%s: the host %s is not known (%s): correct parties in the config", name, party->host,
             gai_strerror(resolved));
    fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    double start = base_clock_seconds();
    if (fd < 0 || (connect(fd, found->ai_addr, found->ai_addrlen) != 0 && errno != EINPROGRESS))
        failure = errno;
    struct pollfd wait = {.fd = fd, .events = POLLOUT};
    if (failure == 0 && poll(&wait, 1, TCP_MS) != 1)
        failure = ETIMEDOUT;
    else if (failure == 0)
        (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size);
    *ret_seconds = base_clock_seconds() - start;
    TRY_THAT(failure == 0, error, BASE_ERR_TIMEOUT, "%s at %s:%s: %s: start it there, or open the port", name,
             party->host, port, strerror(failure));
out:
    if (found != NULL)
        freeaddrinfo(found);
    if (fd >= 0)
        (void)close(fd);
    return status;
}

static void check_reach(struct check *c)
{
    for (size_t i = (size_t)party_config_first(c->config.mode); i < 3; i++) {
        struct base_error error = {0};
        double seconds = 0;
        const char *name = party_config_name(&c->config, i);
        if (c->owner.who == CONFIG_PARTY && c->owner.index == i)
            continue;
        (void)reach(&c->config.parties[i], name, &seconds, &error);
        line(c, "link", &error, "%s answers at %s:%u after %.2f ms", name, c->config.parties[i].host,
             (unsigned)c->config.parties[i].port, seconds * 1e3);
    }
}

/* A client may ask for more: identity, HELLO, round trip and bandwidth of each link. */
static void check_client_links(struct check *c)
{
    struct base_error error = {0};
    struct client client = {0};
    enum base_status status = client_open(&client, c->config_path, c->key_path, c->shares, &error);
    if (status == BASE_OK)
        status = client_connect(&client, &error);
    if (status != BASE_OK)
        line(c, "link", &error, "connected");
    for (size_t i = (size_t)party_config_first(c->config.mode); i < 3 && status == BASE_OK; i++) {
        double best = 1e9, bulk = 0, seconds;
        for (int ping = 0; ping < PINGS && status == BASE_OK; ping++) {
            status = eng_ping(client.link[i], 8, &seconds, &error);
            best = seconds < best ? seconds : best;
        }
        if (status == BASE_OK)
            status = eng_ping(client.link[i], BULK, &bulk, &error);
        line(c, "link", &error,
             "%s: same build, model, plan, shares and limits; round trip %.2f ms, %.0f Mbit/s there and back",
             party_config_name(&c->config, i), best * 1e3, 2.0 * BULK * 8e-6 / (bulk > 0 ? bulk : 1));
    }
    for (size_t i = (size_t)party_config_first(c->config.mode); i < 3 && status == BASE_OK; i++) {
        double ahead = 0, round_trip = 0;
        status = eng_ask_clock(client.link[i], &ahead, &round_trip, &error);
        if (status == BASE_OK && (ahead > CLOCK_SECONDS || ahead < -CLOCK_SECONDS))
            (void)base_fail(&error, BASE_ERR_MISMATCH,
                            "the clock of %s is %.1f s %s of this one's: set it (a time service such as systemd-timesyncd "
                            "keeps it); answers do not depend on it, the times in logs do",
                            party_config_name(&c->config, i), ahead < 0 ? -ahead : ahead, ahead > 0 ? "ahead" : "behind");
        line(c, "clock", &error, "%s: %+.1f ms, within %.1f", party_config_name(&c->config, i), ahead * 1e3,
             round_trip * 5e2);
        error = (struct base_error){0};
    }
    client_close(&client);
}

static enum base_status survey(struct check *c, struct pair_spool *ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_decoder_form form = {.shape = &c->share.shape, .plan = &c->share.plan, .context = c->config.limits.context};
    struct node_identity identity;
    struct eng_gates gates = {0};
    struct pair_spool_config config = {0};
    struct base_log log = {.stream = stderr, .who = "check"}; /* names what is set aside */
    uint8_t digest[32];
    size_t chunk = 0;
    log.level = BASE_LOG_WARNING;
    TRY_THAT(c->config.mode == CONFIG_TWO_PARTY, error, BASE_ERR_ARGUMENT, "--spool: %s says mode %s, and material is made ahead of use in mode two-party alone",
             c->config_path, party_config_mode_name(c->config.mode));
    TRY(node_set_mode(&c->config, c->config_path, &c->share, error));
    TRY(party_config_policy(&c->config, &form.policy, &form.config, error));
    TRY(eng_decoder_chunk(&form, &chunk, error));
    TRY(eng_gates_init(&gates, &c->share.shape, &c->share.plan, error));
    eng_gates_digest(&gates, digest);
    node_identify(&identity, &c->config, &c->share, chunk, digest);
    const struct party_two_spool spool = {.directory = c->spool,
                                          .log = &log,
                                          .party = (int)c->owner.index,
                                          .key = &c->key,
                                          .fields = identity.fields,
                                          .field_count = identity.field_count,
                                          .most = c->config.spool.most};
    party_two_spool_config(&spool, &config);
    TRY(pair_spool_survey(ret, &config, error));
out:
    base_wipe(&config, sizeof config);
    eng_gates_finish(&gates);
    return status;
}

/* Whether a party's folder can be used, and what waits there. */
static void check_spool(struct check *c)
{
    struct base_error error = {0};
    struct pair_spool spool = {.lock = -1};
    char waiting[256] = "";
    if (survey(c, &spool, &error) == BASE_OK) {
        pair_spool_describe(&spool, waiting, sizeof waiting);
        if (spool.aside > 0)
            (void)base_fail(&error, BASE_ERR_FORMAT, "%s: %zu files cannot be used, named above, beside texts that can: %s", c->spool, spool.aside, waiting);
    }
    line(c, "spool", &error, "%s: %zu texts wait, as prompt + new tokens: %s; the other party must have its part of each", c->spool, spool.count, waiting);
    pair_spool_close(&spool);
}

static enum base_status check_all(struct check *c, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct base_error reason = {0};
    bool readable = party_config_read(&c->config, c->config_path, &reason) == BASE_OK;
    line(c, "config", &reason, "%s: %s, policy %s, context %u, %zu clients", c->config_path,
         party_config_mode_name(c->config.mode), c->config.cache.policy, c->config.limits.context,
         c->config.client_count);
    line(c, "build", NULL, "cachet %s (%s), kernels %s", CACHET_VERSION, CACHET_COMMIT,
         kern_level_name(kern_table_select(~0u)->level));
    if (readable && c->key_path != NULL)
        check_key(c);
    if (readable && c->owner.who != CONFIG_NOBODY && c->shares != NULL)
        check_shares(c);
    bool shared = c->share.plan.layer != NULL;
    if (shared && c->owner.who == CONFIG_PARTY)
        check_memory(c);
    if (shared && c->owner.who == CONFIG_PARTY && c->spool != NULL)
        check_spool(c);
    if (readable && shared && c->owner.who == CONFIG_CLIENT)
        check_client_links(c);
    else if (readable)
        check_reach(c);
    if (c->json) {
        TRY_THAT(!c->lacking, error, BASE_ERR_MEMORY, "cannot allocate all lines of the report: free memory");
        json_t *root = json_pack("{s:b, s:O}", "ok", c->bad == 0, "lines", c->lines);
        (void)json_dumpf(root, stdout, JSON_INDENT(1));
        (void)putchar('\n');
        json_decref(root);
    }
    TRY_THAT(c->bad == 0, error, BASE_ERR_MISMATCH, "%zu of the lines above are not good", c->bad);
out:
    return status;
}

static enum base_status run(int argc, char **argv, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct check c = {.lines = json_array()};
    bool done = false;
    const struct option_entry options[] = {
        {.name = "config",
         .value = "FILE",
         .help = "the config that all parties and clients share",
         .target = &c.config_path},
        {.name = "key",
         .value = "FILE",
         .help = "key pair of the party or client that asks",
         .target = &c.key_path},
        {.name = "shares", .value = "DIR", .help = "its share directory", .target = &c.shares},
        {.name = "spool", .value = "DIR", .help = "mode two-party, a party's: its folder of material made ahead of use", .target = &c.spool},
        {.name = "trust", .help = "print who learns what instead", .kind = OPTION_FLAG, .target = &c.trust},
        {.name = "openings", .help = "print which values leave the shares instead", .kind = OPTION_FLAG, .target = &c.openings},
        {.name = "json", .help = "print an object instead of lines", .kind = OPTION_FLAG, .target = &c.json},
        OPTION_END};
    TRY(options_parse(
        argc, argv,
        "Checks config, key, shares, versions, memory, links and clocks: one line each, good or with what to do.",
        "A client's key checks the running parties to the end (HELLO, round trip, bandwidth, clock); a party's key "
        "only whether the others can be reached.",
        options, &done, error));
    if (done)
        goto out;
    TRY_THAT(c.trust || c.openings || c.config_path != NULL, error, BASE_ERR_ARGUMENT,
             "--config is missing: the config that all parties and clients share");
    if (c.trust)
        trust_print(stdout);
    else if (c.openings)
        TRY(leakage_print(stdout, error));
    else
        TRY(check_all(&c, error));
out:
    eng_share_close(&c.share);
    net_key_finish(&c.key);
    party_config_finish(&c.config);
    json_decref(c.lines);
    return status;
}

const struct command command_check = {"check", "config, keys, shares, memory and links: good, or what to do",
                                      run, false};
