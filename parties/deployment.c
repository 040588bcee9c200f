#include "parties/deployment.h"

#include "base/clock.h"
#include "engine/share_files.h"
#include "kernels/threads.h"
#include "parties/command.h"
#include "parties/loopback.h"
#include "parties/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { AHEAD_MIB = 64, STEP_SECONDS = 120, CONNECT_SECONDS = 120 };

void deployment_say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vfprintf(stderr, format, arguments);
    va_end(arguments);
    (void)fputc('\n', stderr);
}

struct config_limits deployment_limits(size_t context)
{
    return (struct config_limits){.context = (uint32_t)context,
                                  .connect_seconds = CONNECT_SECONDS,
                                  .step_seconds = STEP_SECONDS,
                                  .ahead_mib = AHEAD_MIB,
                                  .slots = 1};
}

/* --- preparing ----------------------------------------------------------------------------------------- */

enum base_status deployment_check_memory(const struct deployment_form *f, size_t prompt,
                                         struct base_error *error)
{
    enum base_status status = BASE_OK;
    const struct eng_model_shape *shape = &f->model->shape;
    struct eng_plan plan = {0};
    size_t context = f->limits.context;
    struct memory_form form = {.shape = shape,
                               .plan = &plan,
                               .policy = f->policy,
                               .config = f->policy_config,
                               .context = context,
                               .slots = f->limits.slots,
                               .alone = f->mode == CONFIG_TWO_PARTY,
                               .queue_bytes = (size_t)f->limits.ahead_mib << 20};
    uint64_t total = 0, available = memory_available();
    TRY(eng_plan_init(&plan, shape->layers, shape->heads, context, error));
    TRY(kv_profile_init_uniform(&plan.profile, shape->layers, shape->kv_heads, error));
    struct eng_decoder_form sizes = {.shape = shape,
                                     .plan = &plan,
                                     .policy = f->policy,
                                     .config = f->policy_config,
                                     .context = context};
    TRY(eng_decoder_allows(&sizes, prompt, context - prompt, error));
    eng_plan_set_typical(&plan, shape->width, shape->norm_eps, 5);
    for (int i = party_config_first(f->mode); i < 3; i++) {
        struct memory_need need;
        char text[MEMORY_TEXT];
        TRY(memory_of(&need, (enum mpc_role)i, &form, error));
        total += memory_total(&need);
        if (!f->quiet)
            deployment_say("memory P%d: %s", i, memory_text(&need, text));
    }
    TRY_THAT(available == 0 || total <= available, error, BASE_ERR_MEMORY,
             "the %s parties need up to %.1f GB together and %.1f GB are free: take a smaller model or "
             "context, or run the parties on machines of their own",
             form.alone ? "two" : "three", (double)total * 1e-9, (double)available * 1e-9);
out:
    eng_plan_finish(&plan);
    return status;
}

enum base_status deployment_share(const char *out, const struct model *model, const struct eng_plan *plan,
                                  char ret_set[ENG_SET_ID], struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct base_progress progress = {0};
    double start = base_clock_seconds();
    uint64_t weights = eng_weights_count(&model->shape);
    base_progress_start(&progress, "sharing", weights);
    status = eng_share_set_write(out, &model->source, plan, model_tokenizer_path(model),
                                 kern_table_select(~0u), &progress, ret_set, error);
    base_progress_finish(&progress);
    TRY(status);
    deployment_say("shares: %.1f million weights masked for %sP1 and P2 (%.1f s)", (double)weights * 1e-6, plan->pair ? "" : "P0, ",
        base_clock_seconds() - start);
out:
    return status;
}

static enum base_status make_directory(struct deployment *d, struct base_error *error)
{
    enum base_status status = BASE_OK;
    if (d->form.directory != NULL) {
        TRY(eng_path_print(d->directory, error, "%s", d->form.directory));
        TRY(eng_make_directory(d->directory, error));
    } else {
        TRY(eng_make_temporary(d->directory, "cachet-up", error));
    }
    d->made = true;
out:
    return status;
}

static enum base_status make_shares(struct deployment *d, struct base_error *error)
{
    enum base_status status = BASE_OK;
    if (d->form.shares != NULL) {
        TRY(eng_path_print(d->set, error, "%s", d->form.shares));
        (void)snprintf(d->set_id, sizeof d->set_id, "%s", d->form.set);
        return BASE_OK;
    }
    TRY(eng_path_print(d->set, error, "%s/set", d->directory));
    TRY(deployment_share(d->set, d->form.model, d->form.plan, d->set_id, error));
out:
    return status;
}

static enum base_status make_config(struct deployment *d, struct base_error *error)
{
    struct party_config *c = &d->config;
    kv_config_print(d->form.policy, &d->form.policy_config, c->cache.policy);
    c->mode = d->form.mode;
    c->limits = d->form.limits;
    if (c->mode == CONFIG_TWO_PARTY)
        c->spool.most = PARTY_CONFIG_TEXTS;
    struct loopback_form form = {.directory = d->directory,
                                 .model = d->form.model->digest,
                                 .set = d->set_id,
                                 .plan = d->form.plan};
    return loopback_make(c, &form, error);
}

enum base_status deployment_init(struct deployment *ret, const struct deployment_form *form,
                                 struct base_error *error)
{
    enum base_status status = BASE_OK;
    *ret = (struct deployment){.form = *form};
    TRY(make_directory(ret, error));
    TRY(make_shares(ret, error));
    TRY(make_config(ret, error));
    return BASE_OK;
out:
    deployment_finish(ret);
    return status;
}

/* --- running ------------------------------------------------------------------------------------------- */

enum base_status deployment_start(struct deployment *d, struct base_error *error)
{
    enum base_status status = BASE_OK;
    char config[ENG_PATH_MAX], key[ENG_PATH_MAX], shares[ENG_PATH_MAX], log[ENG_PATH_MAX], spool[ENG_PATH_MAX];
    TRY(eng_path_print(config, error, "%s/config.yaml", d->directory));
    for (int i = party_config_first(d->config.mode); i < 3; i++) {
        d->children.name[i] = party_config_name(&d->config, (size_t)i);
        TRY(eng_path_print(key, error, "%s/%s.key", d->directory, loopback_end(i)));
        TRY(eng_path_print(shares, error, "%s/%s", d->set, loopback_end(i)));
        TRY(eng_path_print(log, error, "%s/%s.log", d->directory, loopback_end(i)));
        TRY(eng_path_print(spool, error, "%s/%s.spool", d->directory, loopback_end(i)));
        struct child_form child = {.config = config,
                                   .key = key,
                                   .shares = shares,
                                   .log = log,
                                   .spool = d->form.spool ? spool : NULL,
                                   .bind = d->form.bind,
                                   .threads = (kern_cores() + 1) / 2, /* P1 and P2 work at the same time */
                                   .flags = d->form.party_flags};
        TRY(children_start(&d->children, i, &child, error));
    }
out:
    return status;
}

static int child_ended(void *context)
{
    struct deployment *d = context;
    return command_stopped(NULL) || children_check(&d->children, NULL) != BASE_OK;
}

/* A party that ended is the cause of whatever the client saw. */
static void blame_child(struct deployment *d, struct base_error *error)
{
    struct base_error cause = {0};
    if (children_check(&d->children, &cause) != BASE_OK)
        *error = cause;
}

enum base_status deployment_client_files(const struct deployment *d, struct deployment_files *ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    TRY(eng_path_print(ret->config, error, "%s/config.yaml", d->directory));
    TRY(eng_path_print(ret->key, error, "%s/client.key", d->directory));
    TRY(eng_path_print(ret->shares, error, "%s/client", d->set));
out:
    return status;
}

enum base_status deployment_connect(struct deployment *d, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct deployment_files files;
    client_close(&d->client);
    TRY(deployment_client_files(d, &files, error));
    TRY(client_open(&d->client, files.config, files.key, files.shares, error));
    d->client.cancelled = child_ended;
    d->client.cancel_context = d;
    TRY(client_connect(&d->client, error));
out:
    if (status != BASE_OK)
        blame_child(d, error);
    return status;
}

enum base_status deployment_generate(struct deployment *d, const struct generation_context *context,
                                     const struct eng_tokens *prompt, struct generation_run *ret,
                                     struct base_error *error)
{
    enum base_status status = client_generate(&d->client, context, prompt, ret, error);
    if (status != BASE_OK)
        blame_child(d, error);
    return status;
}

void deployment_stop(struct deployment *d)
{
    client_close(&d->client);
    children_stop(&d->children);
}

void deployment_show_logs(const struct deployment *d)
{
    for (int i = 0; i < 3; i++) {
        char line[1024];
        FILE *file = d->children.log[i][0] == '\0' ? NULL : fopen(d->children.log[i], "r");
        while (file != NULL && fgets(line, sizeof line, file) != NULL)
            (void)fputs(line, stderr);
        if (file != NULL)
            (void)fclose(file);
    }
}

void deployment_finish(struct deployment *d)
{
    deployment_stop(d);
    if (d->made && d->form.directory == NULL)
        eng_remove_tree(d->directory);
    d->made = false;
}
