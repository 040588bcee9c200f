/* Void answers with real processes: P2 turns its guard word in two chosen steps, and runs the code of `cachet
 * party` but for that. The client gets one clear error each time, the parties notice nothing and serve the
 * next request.
 *
 *   void MODEL TEXT      exit code 0: all holds, 1: something does not */
#include "base/memory.h"
#include "engine/share_files.h"
#include "mpc/opening.h"
#include "tests/parties/exactness/deployment.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PROMPT = 30, NEW = 4, CONTEXT = 64, REQUESTS = 5 };

/* Requests one after the other, a prompt in one step each: the second is void at its prompt, the fourth at
 * its third step. */
static const struct {
    bool is_void;
    uint64_t steps;
} requests[REQUESTS] = {{false, NEW}, {true, 1}, {false, NEW}, {true, 3}, {false, NEW}};

/* The linker sends calls of mpc_open_guard to __wrap_mpc_open_guard, and calls of __real_mpc_open_guard to
 * mpc_open_guard. */
enum base_status __real_mpc_open_guard(struct mpc_party *p);
enum base_status __wrap_mpc_open_guard(struct mpc_party *p);

enum base_status __wrap_mpc_open_guard(struct mpc_party *p)
{
    static uint64_t steps;
    uint64_t end = 0;
    steps++;
    for (int i = 0; i < REQUESTS; i++) {
        end += requests[i].steps;
        if (p->role == MPC_RIGHT && requests[i].is_void && steps == end)
            p->guard ^= UINT64_C(1) << 63;
    }
    return __real_mpc_open_guard(p);
}

static enum base_status ask(struct deployment *d, const struct eng_tokens *prompt, struct generation_run *ret,
                            struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct client *c = &d->client;
    struct generation_flags flags = {.max_tokens = NEW, .ignore_eos = true, .json = true};
    struct generation_context context = {
        .flags = &flags, .shape = &c->share.shape, .plan = &c->share.plan, .prompt_tokens = prompt->count};
    TRY(client_connect(c, error));
    TRY(client_generate(c, &context, prompt, ret, error));
out:
    for (int i = 0; i < 3; i++)
        net_link_destroy(&c->link[i]);
    return status;
}

static enum base_status ask_all(struct deployment *d, const struct eng_tokens *prompt,
                                struct base_error *error)
{
    enum base_status status = BASE_OK;
    int32_t first[NEW] = {0};
    for (int i = 0; i < REQUESTS; i++) {
        struct base_error own = {0};
        struct generation_run run = {0};
        enum base_status got = ask(d, prompt, &run, &own);
        bool told = requests[i].is_void ? got == BASE_ERR_RANGE && strstr(own.text, "left the range") != NULL
                                        : got == BASE_OK && run.generated.count == NEW;
        if (got == BASE_OK && i == 0)
            memcpy(first, run.generated.tokens, sizeof first);
        bool same = got != BASE_OK || memcmp(first, run.generated.tokens, sizeof first) == 0;
        generation_finish(&run);
        TRY_THAT(told && same, error, BASE_ERR_MISMATCH, "request %d: %s: %s", i + 1, base_status_name(got),
                 own.text);
    }
out:
    return status;
}

/* A request that fails at a party, or a link that it loses, is a line on our standard error: there must be
 * none. */
static enum base_status run(const char *path, const char *text, FILE *log, struct base_error *error)
{
    enum base_status status = BASE_OK, stopped;
    struct model model = {0};
    struct model_plan_options options = {.context = CONTEXT};
    struct eng_plan plan = {0};
    struct eng_tokens prompt = {0};
    struct eng_tokenizer *reader = NULL;
    struct deployment d = {0};
    struct stat info;
    TRY(model_open(&model, (struct model_input){.path = path}, error));
    TRY(model_tokenizer(&model, &reader, error));
    TRY(model_encode_file(reader, text, true, &prompt, error));
    TRY_THAT(prompt.count >= PROMPT, error, BASE_ERR_ARGUMENT, "%s is too short", text);
    prompt.count = PROMPT;
    TRY(model_plan(&model, &options, &plan, NULL, error));
    TRY_THAT(dup2(fileno(log), STDERR_FILENO) == STDERR_FILENO, error, BASE_ERR_IO, "cannot redirect");
    status = deployment_start(&d, &model, &plan, "full", NULL, error);
    if (status == BASE_OK)
        status = ask_all(&d, &prompt, error);
    stopped = deployment_stop(&d, error);
    TRY(status);
    TRY(stopped);
    TRY_THAT(fstat(fileno(log), &info) == 0 && info.st_size == 0, error, BASE_ERR_PEER,
             "the parties have something to say about it");
out:
    eng_plan_finish(&plan);
    eng_tokens_finish(&prompt);
    eng_tokenizer_close(&reader);
    model_close(&model);
    return status;
}

int main(int argc, char **argv)
{
    struct base_error error = {0};
    FILE *log = tmpfile();
    if (argc != 3 || log == NULL)
        return 2;
    enum base_status status = run(argv[1], argv[2], log, &error);
    char line[512];
    if (status != BASE_OK)
        (void)printf("void: %s: %s\n", base_status_name(status), error.text);
    rewind(log);
    while (status != BASE_OK && fgets(line, sizeof line, log) != NULL)
        (void)fputs(line, stdout);
    (void)fclose(log);
    return status == BASE_OK ? 0 : 1;
}
