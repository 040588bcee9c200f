/* Loads a model, shares it and generates with three roles in one process, with the allocator failing at one call: the first, and so on until
 * nothing fails any more. Each time: an error with a name, no crash, no wait without end, no block left, and no file half written. GMP is left
 * alone: it ends the process where there is no memory, which loses nothing (exact public tables, at start).
 *
 * usage: test_no_memory SOURCE_ROOT [STRIDE [FIRST [LAST]]]      STRIDE: every so many calls only; default 1 */
#include "base/memory.h"
#include "engine/generate.h"
#include "engine/local.h"
#include "engine/remote.h"
#include "engine/share_set.h"
#include "kernels/threads.h"
#include "parties/model.h"
#include "tests/support/no_memory.h"

#include <gmp.h>
#include <openssl/crypto.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CONTEXT = 16, PROMPT = 6, NEW_TOKENS = 2, DEADLINE_SECONDS = 60, PATH_ROOM = 512, FILE_ROOM = 1024 };

static struct eng_plan plan;
static char model_path[PATH_ROOM], directory[64], plan_path[128], set_path[128];
static size_t failing; /* for whoever looks at a crash */

/* --- what is driven --------------------------------------------------------------------------------------------------------------- */

struct stage {
    struct model model;
    struct eng_tokenizer *tokenizer;
    struct eng_tokens prompt;
    struct eng_share share[ENG_SHARE_PARTIES];
    struct eng_gates gates;
    struct eng_plan plan;
    struct eng_local *local;
    struct eng_remote remote;
    struct eng_sampler sampler;
    struct eng_generated generated;
    struct net_link *links[3];
    bool started;
};

static enum base_status load_and_share(struct stage *s, struct base_error *error)
{
    enum base_status status = BASE_OK;
    char set[ENG_SET_ID], path[FILE_ROOM];
    TRY(eng_plan_read(&s->plan, plan_path, error));
    TRY(model_open(&s->model, (struct model_input){.path = model_path}, error));
    TRY(model_check_plan(&s->model, &s->plan, plan_path, error));
    TRY(model_tokenizer(&s->model, &s->tokenizer, error));
    TRY(eng_tokenizer_encode(s->tokenizer, "the cat and the dog", 19, false, &s->prompt, error));
    TRY_THAT(s->prompt.count >= PROMPT, error, BASE_ERR_INTERNAL, "the prompt has %zu tokens", s->prompt.count);
    TRY(eng_share_set_write(set_path, &s->model.source, &s->plan, model_tokenizer_path(&s->model), kern_table_select(~0u), NULL, set, error));
    for (int role = 0; role < ENG_SHARE_PARTIES; role++) {
        (void)snprintf(path, sizeof path, "%s/p%d", set_path, role);
        TRY(eng_share_open(&s->share[role], path, role, NULL, error));
    }
out:
    return status;
}

static enum base_status start(struct stage *s, struct base_error *error)
{
    enum base_status status = BASE_OK;
    TRY(eng_gates_init(&s->gates, &s->model.shape, &s->plan, error));
    struct eng_local_form form = {.form = {.shape = &s->model.shape, .plan = &s->plan, .gates = &s->gates, .policy = &kv_policy_full,
                                           .context = CONTEXT, .chunk = PROMPT},
                                  .idle_ms = 5000,
                                  .kern = kern_table_select(~0u)};
    for (int role = 0; role < ENG_SHARE_PARTIES; role++)
        form.weights[role] = &s->share[role].weights;
    TRY(eng_local_create(&s->local, &form, error));
    TRY(eng_sampler_init(&s->sampler, (struct eng_sampling){0}, s->model.shape.vocab, error));
    TRY(eng_local_start(s->local, s->links, error));
    s->started = true;
out:
    return status;
}

static enum base_status generate(struct stage *s, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_usage usage[3];
    struct eng_request request = {.prompt_tokens = PROMPT, .new_tokens = NEW_TOKENS, .chunk = PROMPT, .mode = ENG_REQUEST_SAMPLE};
    struct eng_remote_form form = {.shape = &s->model.shape, .plan = &s->plan, .link = {s->links[0], s->links[1], s->links[2]},
                                   .kern = kern_table_select(~0u)};
    TRY(eng_remote_begin(&s->remote, &form, &request, false, error));
    struct eng_backend backend = eng_remote_backend(&s->remote);
    struct eng_generation generation = {.backend = &backend, .shape = &s->model.shape, .plan = &s->plan, .sampler = &s->sampler,
                                        .prompt = s->prompt.ids, .prompt_tokens = PROMPT, .new_tokens = NEW_TOKENS, .ignore_eos = true};
    TRY(eng_generate(&generation, &s->generated, error));
    TRY(eng_remote_end(&s->remote, usage, error));
out:
    return status;
}

/* The cause may be at a party, of which the client hears that it has stopped. */
static void hang_up(struct stage *s, enum base_status *status, struct base_error *error)
{
    struct eng_usage usage[3];
    struct base_error theirs = {0};
    for (int i = 0; *status != BASE_OK && i < 3; i++)
        net_link_abort(s->links[i], error);
    enum base_status parties = eng_local_wait(s->local, usage, &theirs);
    if (parties != BASE_OK && (*status == BASE_OK || *status == BASE_ERR_CLOSED)) {
        *status = parties;
        *error = theirs;
    }
}

static enum base_status load_share_generate(size_t *ret_tokens, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct stage *s = __builtin_alloca(sizeof *s);
    memset(s, 0, sizeof *s);
    TRY(load_and_share(s, error));
    TRY(start(s, error));
    TRY(generate(s, error));
    *ret_tokens = s->generated.count;
out:
    if (s->started)
        hang_up(s, &status, error);
    eng_generated_finish(&s->generated);
    eng_remote_finish(&s->remote);
    eng_local_destroy(&s->local);
    eng_sampler_finish(&s->sampler);
    eng_gates_finish(&s->gates);
    for (int role = 0; role < ENG_SHARE_PARTIES; role++)
        eng_share_close(&s->share[role]);
    eng_tokens_finish(&s->prompt);
    eng_tokenizer_close(&s->tokenizer);
    model_close(&s->model);
    eng_plan_finish(&s->plan);
    return status;
}

/* --- how it is judged --------------------------------------------------------------------------------------------------------------- */

/* A set that stands is whole; nothing else stands. */
static const char *what_is_left(void)
{
    char path[FILE_ROOM];
    (void)snprintf(path, sizeof path, "%s.partial", set_path);
    if (access(path, F_OK) == 0)
        return "a half-made set";
    if (access(set_path, F_OK) != 0)
        return NULL;
    for (int role = 0; role < ENG_SHARE_ROLES; role++) {
        struct eng_share share = {0};
        struct base_error error = {0};
        if (role < ENG_SHARE_CLIENT)
            (void)snprintf(path, sizeof path, "%s/p%d", set_path, role);
        else
            (void)snprintf(path, sizeof path, "%s/client", set_path);
        if (eng_share_open(&share, path, role, NULL, &error) != BASE_OK) {
            (void)fprintf(stderr, "%s\n", error.text);
            return "a set that cannot be opened";
        }
        eng_share_close(&share);
    }
    return NULL;
}

static const char *judge(enum base_status status, const struct base_error *error, size_t tokens)
{
    const char *left = what_is_left();
    if (left != NULL)
        return left;
    if (no_memory_left() > 0)
        return "blocks are not given back";
    if (status == BASE_OK)
        return tokens == NEW_TOKENS ? NULL : "an answer of another length";
    if (error->code != status || error->text[0] == '\0')
        return "an error without a text";
    return status == BASE_ERR_MEMORY ? NULL : "an error of another name";
}

static void make_plan(const char *text_path)
{
    struct model model = {0};
    struct base_error error = {0};
    struct model_plan_options options = {.text = text_path, .context = CONTEXT};
    struct model_plan_report report = {0};
    if (model_open(&model, (struct model_input){.path = model_path}, &error) != BASE_OK ||
        model_plan(&model, &options, &plan, &report, &error) != BASE_OK || eng_plan_write(&plan, plan_path, &error) != BASE_OK) {
        (void)fprintf(stderr, "%s\n", error.text);
        exit(1);
    }
    model_close(&model);
}

static void remove_set(void)
{
    char command[FILE_ROOM];
    (void)snprintf(command, sizeof command, "rm -rf '%s' '%s.partial'", set_path, set_path);
    if (system(command) != 0)
        exit(1);
}

/* OpenSSL keeps what it has once looked up. */
static void *crypto_take(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return no_memory_lend(size);
}

static void *crypto_grow(void *memory, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return no_memory_lend_more(memory, size);
}

static void crypto_give(void *memory, const char *file, int line)
{
    (void)file;
    (void)line;
    __libc_free(memory);
}

/* GMP's own functions end the process. */
static void *gmp_take(size_t size)
{
    return __libc_malloc(size);
}

static void *gmp_grow(void *memory, size_t before, size_t size)
{
    (void)before;
    return __libc_realloc(memory, size);
}

static void gmp_give(void *memory, size_t size)
{
    (void)size;
    __libc_free(memory);
}

/* Runs with call `which` failing; returns the calls that were made. */
static size_t drive(size_t which, size_t *failures)
{
    struct base_error error = {0};
    size_t tokens = 0;
    failing = which;
    (void)alarm(DEADLINE_SECONDS);
    no_memory_watch(which);
    enum base_status status = load_share_generate(&tokens, &error);
    size_t calls = no_memory_end();
    const char *complaint = judge(status, &error, tokens);
    if (complaint != NULL) {
        (void)fprintf(stderr, "call %zu fails: %s: %s: %s\n", which, complaint, base_status_name(status), error.text);
        no_memory_show();
        ++*failures;
    }
    remove_set();
    return calls;
}

int main(int argc, char **argv)
{
    size_t stride = argc > 2 ? strtoul(argv[2], NULL, 10) : 1, first = argc > 3 ? strtoul(argv[3], NULL, 10) : 1, driven = 0, failures = 0;
    char text_path[FILE_ROOM];
    if (argc < 2 || stride == 0 || sodium_init() < 0)
        return 2;
    (void)snprintf(model_path, sizeof model_path, "%s/tests/support/transformers/qwen2", argv[1]);
    (void)snprintf(text_path, sizeof text_path, "%s/calibration.txt", model_path);
    (void)snprintf(directory, sizeof directory, P_tmpdir "/cachet-no-memory-XXXXXX");
    if (mkdtemp(directory) == NULL)
        return 2;
    (void)snprintf(plan_path, sizeof plan_path, "%s/plan.json", directory);
    (void)snprintf(set_path, sizeof set_path, "%s/set", directory);
    kern_set_threads(1);
    if (CRYPTO_set_mem_functions(crypto_take, crypto_grow, crypto_give) != 1)
        return 2;
    mp_set_memory_functions(gmp_take, gmp_grow, gmp_give);
    make_plan(text_path);
    /* What libraries keep for the life of the process is taken now. */
    struct base_error error = {0};
    size_t tokens;
    if (load_share_generate(&tokens, &error) != BASE_OK) {
        (void)fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    remove_set();
    size_t calls = drive(0, &failures);
    size_t last = argc > 4 ? strtoul(argv[4], NULL, 10) : calls;
    for (size_t which = first; which <= last; which += stride, driven++)
        (void)drive(which, &failures);
    eng_plan_finish(&plan);
    (void)unlink(plan_path);
    (void)rmdir(directory);
    (void)printf("malloc failures survived / driven: %zu / %zu of %zu calls\n", driven - failures, driven, calls);
    return failures == 0 && driven > 0 ? 0 : 1;
}
