#include "tests/parties/exactness/deployment.h"

#include "base/memory.h"
#include "engine/share_files.h"
#include "parties/command.h"
#include "parties/loopback.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

const uint8_t deployment_key1[DEPLOYMENT_KEY] = {1, 2, 3}, deployment_key2[DEPLOYMENT_KEY] = {4, 5, 6},
              deployment_key12[DEPLOYMENT_KEY] = {7, 8, 9};

bool deployment_watches(const struct deployment *d, const char *label)
{
    for (size_t i = 0; d->watched != NULL && d->watched[i] != NULL; i++)
        if (strcmp(d->watched[i], label) == 0)
            return true;
    return false;
}

/* The writer opens the file again, as ends that share a descriptor share their place in it. */
static enum base_status open_seen(struct deployment *d, int index, const char *mode, struct base_error *error)
{
    enum base_status status = BASE_OK;
    char path[ENG_PATH_MAX];
    TRY(eng_path_print(path, error, "%s/%s.seen", d->directory, loopback_end(index)));
    d->seen[index] = fopen(path, mode);
    TRY_THAT(d->seen[index] != NULL, error, BASE_ERR_IO, "cannot open %s", path);
out:
    return status;
}

/* --- in a party's process --- */

/* P0 writes the whole mask, P1 the masked value; the count goes before them. */
static void see(void *context, struct mpc_party *p, const char *label, const struct mpc_wire *wire,
                double ulp)
{
    const struct deployment *d = context;
    FILE *file = d->seen[p->role == MPC_LEFT];
    if (!deployment_watches(d, label))
        return;
    (void)fwrite(&wire->count, sizeof wire->count, 1, file);
    for (size_t i = 0; i < wire->count; i++) {
        uint64_t word = p->role == MPC_LEFT ? wire->m[i] : wire->l1[i] + (wire->l2 == NULL ? 0 : wire->l2[i]);
        (void)fwrite(&word, sizeof word, 1, file);
    }
    (void)fflush(file);
}

/* What `cachet party` does, but for the given pair keys and what is watched. */
static _Noreturn void run_party(struct deployment *d, int index)
{
    char config[ENG_PATH_MAX], key[ENG_PATH_MAX], shares[ENG_PATH_MAX];
    struct node node;
    struct base_error error = {0};
    struct node_options options = {
        .config = config, .key = key, .shares = shares, .log = {.stream = stderr, .level = BASE_LOG_WARNING}};
    enum base_status status = BASE_OK;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    TRY(eng_path_print(config, &error, "%s/config.yaml", d->directory));
    TRY(eng_path_print(key, &error, "%s/%s.key", d->directory, loopback_end(index)));
    TRY(eng_path_print(shares, &error, "%s/set/%s", d->directory, loopback_end(index)));
    TRY(node_open(&node, &options, &error));
    status = node_join(&node, &error);
    if (status == BASE_OK && d->watched != NULL && index < 2) {
        TRY(open_seen(d, index, "wb", &error));
        node.session.party.observe = see;
        node.session.party.observe_context = d;
    }
    if (status == BASE_OK && node.config.mode != CONFIG_TWO_PARTY)
        eng_session_set_keys(&node.session, deployment_key1, deployment_key2, deployment_key12);
    if (status == BASE_OK)
        status = node_serve(&node, false, &error);
    node_close(&node);
out:
    if (status != BASE_OK)
        (void)fprintf(stderr, "P%d: %s\n", index, error.text);
    _exit(status == BASE_OK ? 0 : 1);
}

/* --- beside the parties --- */

enum base_status deployment_next_seen(struct deployment *d, size_t count, int ring, int64_t *ret,
                                      struct base_error *error)
{
    enum base_status status = BASE_OK;
    for (int i = 0; i < 2; i++) {
        size_t seen = 0;
        clearerr(d->seen[i]); /* it has grown since its end was met */
        TRY_THAT(fread(&seen, sizeof seen, 1, d->seen[i]) == 1 && seen == count, error, BASE_ERR_MISMATCH,
                 "P%d completed a watched wire of %zu values, %zu expected", i, seen, count);
        for (size_t k = 0; k < count; k++) {
            uint64_t word = 0;
            TRY_THAT(fread(&word, sizeof word, 1, d->seen[i]) == 1, error, BASE_ERR_IO,
                     "what P%d wrote ends early", i);
            ret[k] = i == 0 ? (int64_t)word : mpc_signed(word - (uint64_t)ret[k], ring);
        }
    }
out:
    return status;
}

enum base_status deployment_start(struct deployment *ret, const struct model *model,
                                  const struct eng_plan *plan, const char *policy, const char *const *watched,
                                  struct base_error *error)
{
    return deployment_start_mode(ret, model, plan, CONFIG_THREE_PARTY, policy, watched, error);
}

enum base_status deployment_start_mode(struct deployment *ret, const struct model *model, const struct eng_plan *plan, enum config_mode mode,
                                       const char *policy, const char *const *watched, struct base_error *error)
{
    enum base_status status = BASE_OK;
    char path[ENG_PATH_MAX], set[ENG_SET_ID], config[ENG_PATH_MAX], key[ENG_PATH_MAX];
    int first = party_config_first(mode);
    *ret = (struct deployment){.watched = watched};
    command_catch_signals();
    (void)snprintf(ret->directory, sizeof ret->directory, "%s/cachet-exact-XXXXXX",
                   getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
    TRY_THAT(mkdtemp(ret->directory) != NULL, error, BASE_ERR_IO, "cannot make %s", ret->directory);
    TRY(eng_path_print(path, error, "%s/set", ret->directory));
    TRY(eng_share_set_write(path, &model->source, plan, NULL, kern_table_select(~0u), NULL, set, error));
    /* Two parties encrypt their weights for each other where they meet. */
    bool two = mode == CONFIG_TWO_PARTY;
    struct party_config config_of_all = {
        .mode = mode,
        .spool.most = two ? PARTY_CONFIG_TEXTS : 0,
        .limits = {
            .context = (uint32_t)plan->context, .connect_seconds = two ? 3600 : 60, .step_seconds = two ? 600 : 60, .ahead_mib = 64, .slots = 1}};
    (void)snprintf(config_of_all.cache.policy, sizeof config_of_all.cache.policy, "%s", policy);
    struct loopback_form form = {
        .directory = ret->directory, .model = model->digest, .set = set, .plan = plan};
    TRY(loopback_make(&config_of_all, &form, error));
    for (int i = 0; i < 2 && watched != NULL; i++)
        TRY(open_seen(ret, i, "w+b", error));
    for (int i = first; i < 3; i++) {
        ret->pid[i] = fork();
        TRY_THAT(ret->pid[i] >= 0, error, BASE_ERR_MEMORY, "cannot fork");
        if (ret->pid[i] == 0)
            run_party(ret, i);
        (void)setpgid(ret->pid[i], ret->pid[first]);
    }
    for (int i = first; i < 3; i++) {
        TRY(eng_path_print(path, error, "%s/set/%s", ret->directory, loopback_end(i)));
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
    /* All at once: one that saw another one go would look for it. */
    pid_t group = d->pid[0] > 0 ? d->pid[0] : d->pid[1];
    if (group > 0)
        (void)kill(-group, SIGTERM);
    for (int i = 0; i < 3; i++)
        eng_share_close(&d->share[i]);
    for (int i = 0; i < 3; i++) {
        int end = 0;
        if (d->pid[i] > 0 && waitpid(d->pid[i], &end, 0) == d->pid[i] &&
            (!WIFEXITED(end) || WEXITSTATUS(end) != 0))
            status = base_fail(error, BASE_ERR_PEER, "P%d did not end in order", i);
    }
    for (int i = 0; i < 2; i++)
        if (d->seen[i] != NULL)
            (void)fclose(d->seen[i]);
    eng_remove_tree(d->directory);
    return status;
}
