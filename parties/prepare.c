#include "parties/prepare.h"

#include "base/clock.h"
#include "base/progress.h"
#include "parties/command.h"

#include <sodium.h>
#include <string.h>

struct prepare {
    const struct prepare_form *form;
    struct eng_remote remote;
    struct base_progress progress;
    struct prepared done;
    uint64_t rows;    /* made, of all texts */
    size_t step_rows; /* of the step under way */
};

/* What has been made is worth an end in order: parties finish a step that they have begun, and it is asked between two steps whether to go on. */
static int never(void *context)
{
    (void)context;
    return 0;
}

static bool goes_on(void *context)
{
    (void)context;
    return true;
}

static void layer_made(void *context, size_t layer)
{
    struct prepare *p = context;
    base_progress_update(&p->progress, p->rows + p->step_rows * layer / p->remote.shape->layers, p->done.bytes);
}

static enum base_status order(struct prepare *p, struct eng_order order, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const struct eng_remote_watch watch = {.wanted = goes_on, .layer = layer_made, .context = p};
    struct eng_remote_step done = {0};
    size_t answers;
    TRY(eng_remote_plan(&p->remote, &order, error));
    if (order.kind == ENG_ORDER_STEP)
        eng_remote_step_size(&p->remote, order.slots, &p->step_rows, &answers);
    TRY(eng_remote_run(&p->remote, NULL, &watch, &done, error));
    if (order.kind == ENG_ORDER_STEP) {
        p->rows += p->step_rows;
        p->done.bytes += done.report[1].dealt;
        base_progress_update(&p->progress, p->rows, p->done.bytes);
    }
out:
    return status;
}

/* All steps of the text whose slot is open. */
static enum base_status make_text(struct prepare *p, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const struct eng_order step = {.kind = ENG_ORDER_STEP, .slots = 1};
    const struct eng_remote_slot *slot = &p->remote.slot[0];
    while (slot->fed + 1 < slot->prompt_tokens + slot->new_tokens && !p->done.stopped) {
        TRY(order(p, step, error));
        p->done.stopped = command_stopped(NULL) != 0;
    }
    p->done.complete += slot->fed + 1 == slot->prompt_tokens + slot->new_tokens;
out:
    return status;
}

static enum base_status make_all(struct prepare *p, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_order open = {.kind = ENG_ORDER_OPEN, .slots = 1, .prompt_tokens = p->remote.request.prompt_tokens, .new_tokens = p->remote.request.new_tokens};
    const struct eng_order close = {.kind = ENG_ORDER_CLOSE, .slots = 1};
    for (uint64_t text = 0; text < p->form->texts && !p->done.stopped; text++) {
        if (text > 0) {
            randombytes_buf(open.id, sizeof open.id);
            TRY(order(p, close, error));
            TRY(order(p, open, error));
        }
        TRY(make_text(p, error));
    }
    p->done.stopped = p->done.complete < p->form->texts;
out:
    return status;
}

enum base_status prepare_check(const struct party_config *config, const char *path, const struct prepare_form *form, struct base_error *error)
{
    enum base_status status = BASE_OK;
    TRY_THAT(config->mode == CONFIG_TWO_PARTY, error, BASE_ERR_SUPPORT,
             "%s says mode %s: there P0 deals while it is asked, and nothing is made ahead of use; prepare is for mode two-party", path,
             party_config_mode_name(config->mode));
    TRY_THAT(form->prompt_tokens + form->tokens <= config->limits.context, error, BASE_ERR_ARGUMENT,
             "%llu prompt tokens and %llu new ones are more than limits.context, %u, together", (unsigned long long)form->prompt_tokens,
             (unsigned long long)form->tokens, config->limits.context);
    TRY_THAT(form->texts <= config->spool.most, error, BASE_ERR_ARGUMENT, "%llu texts are wanted, and spool.most of the config is %u",
             (unsigned long long)form->texts, config->spool.most);
out:
    return status;
}

enum base_status prepare_texts(struct client *c, const struct prepare_form *form, struct prepared *ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct prepare p = {.form = form};
    struct eng_remote_form remote = {.shape = &c->share.shape, .plan = &c->share.plan, .kern = kern_table_select(~0u)};
    struct eng_request request = {.prompt_tokens = (uint32_t)form->prompt_tokens,
                                  .new_tokens = (uint32_t)form->tokens,
                                  .chunk = (uint32_t)c->chunk,
                                  .mode = ENG_REQUEST_SAMPLE,
                                  .prepare = true};
    double start = base_clock_seconds();
    TRY(prepare_check(&c->config, "the config", form, error));
    for (int i = 1; i < 3; i++)
        net_link_set_cancel(c->link[i], never, NULL);
    memcpy(remote.link, c->link, sizeof remote.link);
    randombytes_buf(request.id, sizeof request.id);
    base_progress_start(&p.progress, "making material", form->texts * (form->prompt_tokens + form->tokens - 1));
    TRY(eng_remote_begin(&p.remote, &remote, &request, false, error));
    TRY(make_all(&p, error));
    TRY(eng_remote_end(&p.remote, p.done.usage, error));
out:
    base_progress_finish(&p.progress);
    if (status != BASE_OK)
        node_tell_all(c->link, error);
    if (status != BASE_OK && p.done.complete > 0)
        base_error_prefix(error, "%llu of %llu texts are made and stay; the next one failed", (unsigned long long)p.done.complete,
                          (unsigned long long)form->texts);
    eng_remote_finish(&p.remote);
    p.done.seconds = base_clock_seconds() - start;
    *ret = p.done;
    return status;
}
