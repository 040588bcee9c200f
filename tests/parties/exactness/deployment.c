#include "tests/parties/exactness/deployment.h"

#include "base/memory.h"
#include "engine/share_files.h"
#include "parties/command.h"

#include <arpa/inet.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

const uint8_t deployment_key1[DEPLOYMENT_KEY] = {1, 2, 3}, deployment_key2[DEPLOYMENT_KEY] = {4, 5, 6};
static const char *const ends[] = {"p0", "p1", "p2", "client"};

static bool ports_free(uint16_t base)
{
    bool good = true;
    for (int offset = 0; offset < PARTY_CONFIG_PORTS && good; offset++) {
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons((uint16_t)(base + offset)),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        good = fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof address) == 0;
        if (fd >= 0)
            (void)close(fd);
    }
    return good;
}

static enum base_status make_config(const struct deployment *d, const struct model *model,
                                    const struct eng_plan *plan, const char *set, struct base_error *error)
{
    enum base_status status = BASE_OK;
    char path[ENG_PATH_MAX];
    struct party_config c = {
        .client_count = 1,
        .clients[0].name = "test",
        .cache.policy = "full",
        .limits = {
            .context = (uint32_t)plan->context, .connect_seconds = 60, .step_seconds = 60, .ahead_mib = 64}};
    uint16_t port = (uint16_t)(32000 + randombytes_uniform(20000));
    for (int i = 0; i < 4; i++) {
        struct net_key key = {0};
        TRY(eng_path_print(path, error, "%s/%s.key", d->directory, ends[i]));
        TRY(net_key_generate(&key, error));
        status = net_key_save(&key, path, error);
        memcpy(i < 3 ? c.parties[i].key : c.clients[0].key, key.public_key, sizeof key.public_key);
        net_key_finish(&key);
        TRY(status);
        for (port = (uint16_t)(port + PARTY_CONFIG_PORTS); i < 3 && !ports_free(port);)
            port = (uint16_t)(port + PARTY_CONFIG_PORTS);
        if (i < 3) {
            (void)snprintf(c.parties[i].host, sizeof c.parties[i].host, "127.0.0.1");
            c.parties[i].port = port;
        }
    }
    (void)sodium_hex2bin(c.model.digest, sizeof c.model.digest, model->digest, 64, NULL, NULL, NULL);
    TRY(eng_plan_digest(plan, c.model.plan, error));
    (void)snprintf(c.model.shares, sizeof c.model.shares, "%s", set);
    TRY(eng_path_print(path, error, "%s/config.yaml", d->directory));
    TRY(party_config_write(&c, path, error));
out:
    return status;
}

/* What `cachet party` does, but for the given pair keys. */
static _Noreturn void run_party(const struct deployment *d, int index)
{
    char config[ENG_PATH_MAX], key[ENG_PATH_MAX], shares[ENG_PATH_MAX];
    struct node node;
    struct base_error error = {0};
    struct node_options options = {
        .config = config, .key = key, .shares = shares, .log = {.stream = stderr, .level = BASE_LOG_WARNING}};
    enum base_status status = BASE_OK;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    TRY(eng_path_print(config, &error, "%s/config.yaml", d->directory));
    TRY(eng_path_print(key, &error, "%s/%s.key", d->directory, ends[index]));
    TRY(eng_path_print(shares, &error, "%s/set/%s", d->directory, ends[index]));
    TRY(node_open(&node, &options, &error));
    status = node_join(&node, &error);
    if (status == BASE_OK) {
        eng_session_set_keys(&node.session, deployment_key1, deployment_key2);
        status = node_serve(&node, false, &error);
    }
    node_close(&node);
out:
    if (status != BASE_OK)
        (void)fprintf(stderr, "P%d: %s\n", index, error.text);
    _exit(status == BASE_OK ? 0 : 1);
}

enum base_status deployment_start(struct deployment *ret, const struct model *model,
                                  const struct eng_plan *plan, struct base_error *error)
{
    enum base_status status = BASE_OK;
    char path[ENG_PATH_MAX], set[ENG_SET_ID], config[ENG_PATH_MAX], key[ENG_PATH_MAX];
    *ret = (struct deployment){0};
    command_catch_signals();
    (void)snprintf(ret->directory, sizeof ret->directory, "%s/cachet-exact-XXXXXX",
                   getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
    TRY_THAT(mkdtemp(ret->directory) != NULL, error, BASE_ERR_IO, "cannot make %s", ret->directory);
    TRY(eng_path_print(path, error, "%s/set", ret->directory));
    TRY(eng_share_set_write(path, &model->source, plan, NULL, kern_table_select(~0u), NULL, set, error));
    TRY(make_config(ret, model, plan, set, error));
    for (int i = 0; i < 3; i++) {
        ret->pid[i] = fork();
        TRY_THAT(ret->pid[i] >= 0, error, BASE_ERR_MEMORY, "cannot fork");
        if (ret->pid[i] == 0)
            run_party(ret, i);
    }
    for (int i = 0; i < 3; i++) {
        TRY(eng_path_print(path, error, "%s/set/%s", ret->directory, ends[i]));
        TRY(eng_share_open(&ret->share[i], path, i, NULL, error));
    }
    TRY(eng_path_print(config, error, "%s/config.yaml", ret->directory));
    TRY(eng_path_print(key, error, "%s/client.key", ret->directory));
    TRY(eng_path_print(path, error, "%s/set/client", ret->directory));
    TRY(client_open(&ret->client, config, key, path, error));
out:
    return status;
}

enum base_status deployment_stop(struct deployment *d, struct base_error *error)
{
    enum base_status status = BASE_OK;
    client_close(&d->client);
    for (int i = 0; i < 3; i++) {
        eng_share_close(&d->share[i]);
        if (d->pid[i] > 0)
            (void)kill(d->pid[i], SIGTERM);
    }
    for (int i = 0; i < 3; i++) {
        int end = 0;
        if (d->pid[i] > 0 && waitpid(d->pid[i], &end, 0) == d->pid[i] &&
            (!WIFEXITED(end) || WEXITSTATUS(end) != 0))
            status = base_fail(error, BASE_ERR_PEER, "P%d did not end in order", i);
    }
    eng_remove_tree(d->directory);
    return status;
}
