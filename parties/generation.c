#include "parties/generation.h"

#include "base/file.h"
#include "base/memory.h"
#include "base/progress.h"
#include "parties/config.h"
#include "parties/version.h"

#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

void generation_options(struct generation_flags *f, struct option_entry ret[GENERATION_OPTIONS])
{
    const struct option_entry entries[GENERATION_OPTIONS] = {
        {.name = "prompt",
         .value = "TEXT",
         .help = "the prompt; other users of this machine can see it, unlike that of --prompt-file",
         .target = &f->prompt},
        {.name = "prompt-file",
         .value = "FILE",
         .help = "the prompt from a file; - reads standard input",
         .target = &f->prompt_file},
        {.name = "max-tokens",
         .value = "N",
         .help = "new tokens at most (default 64)",
         .kind = OPTION_COUNT,
         .target = &f->max_tokens,
         .low = 1,
         .high = 1 << 20},
        {.name = "temperature",
         .value = "X",
         .help = "0: the likeliest token (default 0)",
         .kind = OPTION_REAL,
         .target = &f->temperature,
         .high = 100},
        {.name = "top-k",
         .value = "K",
         .help = "only the K likeliest tokens; 0: all",
         .kind = OPTION_COUNT,
         .target = &f->top_k,
         .high = 1 << 21},
        {.name = "top-p",
         .value = "P",
         .help = "only the likeliest tokens that reach this probability together",
         .kind = OPTION_REAL,
         .target = &f->top_p,
         .high = 1},
        {.name = "seed",
         .value = "N",
         .help = "of the sampling: equal seeds, nearly always equal answers (default: fresh)",
         .kind = OPTION_COUNT,
         .target = &f->seed,
         .high = 9007199254740992.0},
        {.name = "inside",
         .help = "the parties choose the likeliest token inside; the client never sees logits",
         .kind = OPTION_FLAG,
         .target = &f->inside},
        {.name = "ignore-eos",
         .help = "go on after the end of text",
         .kind = OPTION_FLAG,
         .target = &f->ignore_eos},
        {.name = "json",
         .help = "print one object instead of text and table",
         .kind = OPTION_FLAG,
         .target = &f->json}};
    *f = (struct generation_flags){.max_tokens = 64, .top_p = 1};
    randombytes_buf(&f->seed, sizeof f->seed);
    f->seed >>= 11;
    memcpy(ret, entries, sizeof entries);
}

/* --- prompt -------------------------------------------------------------------------------------------- */

enum { STDIN_LIMIT = 64 << 20 };

static enum base_status read_stdin(char **ret, size_t *ret_size, struct base_error *error)
{
    enum base_status status = BASE_OK;
    char *text = NULL, *grown = NULL;
    size_t size = 0, room = 0;
    do {
        size_t wanted = room == 0 ? 1 << 16 : 2 * room;
        TRY_THAT(wanted <= STDIN_LIMIT, error, BASE_ERR_ARGUMENT,
                 "the prompt on standard input is longer than %d bytes", STDIN_LIMIT);
        TRY(base_alloc(&grown, wanted, 1, error));
        if (size > 0)
            memcpy(grown, text, size);
        base_free_secret(&text);
        text = grown;
        grown = NULL;
        room = wanted;
        size += fread(text + size, 1, room - size, stdin);
    } while (size == room);
    *ret = text;
    *ret_size = size;
    text = NULL;
out:
    base_free_secret(&text);
    return status;
}

static enum base_status encode(const struct generation_flags *f, const struct eng_tokenizer *tokenizer,
                               const char *text, size_t size, struct eng_tokens *ret,
                               struct base_error *error)
{
    enum base_status status = BASE_OK;
    const char *from = f->prompt != NULL                  ? "--prompt"
                       : strcmp(f->prompt_file, "-") == 0 ? "standard input"
                                                          : f->prompt_file;
    TRY_THAT(size > 0, error, BASE_ERR_ARGUMENT, "%s: the prompt is empty: give some text", from);
    status = eng_tokenizer_encode(tokenizer, text, size, eng_tokenizer_adds_bos(tokenizer), ret, error);
    if (status != BASE_OK)
        base_error_prefix(error, "%s", from);
out:
    return status;
}

static enum base_status encode_prompt(const struct generation_flags *f, const struct eng_tokenizer *tokenizer,
                                      struct eng_tokens *ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct base_file file = {0};
    char *typed = NULL;
    size_t size = 0;
    TRY_THAT((f->prompt == NULL) != (f->prompt_file == NULL), error, BASE_ERR_ARGUMENT,
             "give either --prompt TEXT or --prompt-file FILE");
    if (f->prompt != NULL) {
        TRY(encode(f, tokenizer, f->prompt, strlen(f->prompt), ret, error));
    } else if (strcmp(f->prompt_file, "-") == 0) {
        TRY(read_stdin(&typed, &size, error));
        TRY(encode(f, tokenizer, typed, size, ret, error));
    } else {
        TRY(base_file_map(&file, f->prompt_file, error));
        TRY(encode(f, tokenizer, (const char *)file.data, file.size, ret, error));
    }
out:
    base_file_unmap(&file);
    base_free_secret(&typed);
    return status;
}

static enum base_status made_up(const struct eng_model_shape *shape, size_t count, struct eng_tokens *ret,
                                struct base_error *error)
{
    enum base_status status = base_alloc(&ret->ids, count, sizeof *ret->ids, error);
    if (status != BASE_OK)
        return status;
    ret->count = count;
    for (size_t i = 0; i < count; i++)
        ret->ids[i] = (int32_t)((i * 7919 + 13) % shape->vocab);
    return BASE_OK;
}

enum base_status generation_prompt(const struct generation_flags *f, const struct eng_tokenizer *tokenizer,
                                   const struct eng_model_shape *shape, size_t room, size_t synthetic,
                                   struct eng_tokens *ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_tokens tokens = {0};
    TRY_THAT(!f->inside || (f->temperature == 0 && f->top_k == 0 && f->top_p == 1), error, BASE_ERR_ARGUMENT,
             "--inside takes the likeliest token: leave out --temperature, --top-k and --top-p");
    if (tokenizer == NULL)
        TRY(made_up(shape, synthetic, &tokens, error));
    else
        TRY(encode_prompt(f, tokenizer, &tokens, error));
    TRY_THAT(tokens.count + f->max_tokens <= room, error, BASE_ERR_ARGUMENT,
             "the prompt has %zu tokens and --max-tokens is %llu: together at most %zu, the context; shorten "
             "one, or start the parties with a larger context",
             tokens.count, (unsigned long long)f->max_tokens, room);
    for (size_t i = 0; i < tokens.count; i++)
        TRY_THAT((size_t)tokens.ids[i] < shape->vocab, error, BASE_ERR_MISMATCH,
                 "the tokenizer knows more tokens than the model's vocabulary of %zu: give the tokenizer of "
                 "this model",
                 shape->vocab);
    *ret = tokens;
    tokens = (struct eng_tokens){0};
out:
    eng_tokens_finish(&tokens);
    return status;
}

/* --- running ------------------------------------------------------------------------------------------- */

struct show {
    const struct generation_context *context;
    struct base_progress progress;
    struct eng_utf8_stream stream;
    int32_t last;
    bool live;
};

static void show_piece(struct show *s, int32_t token)
{
    struct eng_piece piece;
    char text[3 * (4096 + 3)];
    if (eng_tokenizer_decode_piece(s->context->tokenizer, s->last, token, &piece, NULL) != BASE_OK ||
        piece.size > 4096)
        return;
    size_t size = eng_utf8_push(&s->stream, piece.bytes, piece.size, text);
    (void)fwrite(text, 1, size, stdout);
    (void)fflush(stdout);
    s->last = token;
}

static bool on_token(void *context, int32_t token)
{
    struct show *s = context;
    base_progress_finish(&s->progress);
    if (s->live && s->context->tokenizer != NULL)
        show_piece(s, token);
    return true;
}

static void on_prefill(void *context, size_t done, size_t total)
{
    struct show *s = context;
    (void)total;
    base_progress_update(&s->progress, done, 0);
}

enum base_status generation_run(const struct generation_context *c, const struct eng_backend *backend,
                                const struct eng_tokens *prompt, bool live, struct generation_run *ret,
                                struct base_error *error)
{
    enum base_status status = BASE_OK;
    const struct generation_flags *f = c->flags;
    struct show show = {.context = c, .last = c->last_prompt_token, .live = live && !f->json};
    struct eng_sampler sampler = {0};
    TRY(eng_sampler_init(&sampler, (struct eng_sampling){f->temperature, f->top_k, f->top_p, f->seed},
                         c->shape->vocab, error));
    struct eng_generation g = {.backend = backend,
                               .shape = c->shape,
                               .plan = c->plan,
                               .sampler = &sampler,
                               .prompt = prompt->ids,
                               .prompt_tokens = prompt->count,
                               .made_up = f->made_up,
                               .new_tokens = f->max_tokens,
                               .ignore_eos = f->ignore_eos,
                               .token = on_token,
                               .prefill = on_prefill,
                               .context = &show};
    base_progress_start(&show.progress, live ? "prompt, on shares" : "the same in the clear", prompt->count);
    status = eng_generate(&g, &ret->generated, error);
    base_progress_finish(&show.progress);
    if (show.live && c->tokenizer != NULL) {
        char rest[4];
        (void)fwrite(rest, 1, eng_utf8_flush(&show.stream, rest), stdout);
        (void)putchar('\n');
        (void)fflush(stdout);
    }
out:
    eng_sampler_finish(&sampler);
    return status;
}

void generation_finish(struct generation_run *run)
{
    eng_generated_finish(&run->generated);
}

/* --- reporting ----------------------------------------------------------------------------------------- */

/* One phase, summed over parties; per step for decoding. */
struct phase {
    double tokens, seconds, rounds, online, offline, client;
};

static struct phase phase_of(const struct generation_run *run, bool decode, size_t prompt_tokens)
{
    const struct eng_generated *g = &run->generated;
    double steps = decode ? (double)(g->decode_steps > 0 ? g->decode_steps : 1) : 1;
    struct phase p = {.tokens = decode ? (double)g->decode_steps : (double)prompt_tokens,
                      .seconds = (decode ? g->decode_seconds : g->prefill_seconds) / steps};
    for (int i = 0; i < 3; i++) {
        const struct eng_phase_usage *u = decode ? &run->usage[i].decode : &run->usage[i].prefill;
        /* P0 may have dealt for more steps than the client took. */
        double own = decode && u->tokens > 0 ? (double)u->tokens : 1;
        p.online += (double)u->online / own;
        p.offline += (double)u->offline / own;
        p.client += (double)u->client / own;
        if (i == 1)
            p.rounds = (double)u->rounds / steps;
    }
    p.client += (double)(decode ? run->sent_decode : run->sent_prefill) / steps;
    return p;
}

static enum base_status text_of(const struct generation_context *c, const struct eng_generated *g, char **ret,
                                struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_utf8_stream stream = {0};
    size_t at = 0, room = 16;
    char *text = NULL;
    struct eng_piece piece;
    for (size_t i = 0; c->tokenizer != NULL && i < g->count; i++) {
        TRY(eng_tokenizer_decode_piece(c->tokenizer, i == 0 ? c->last_prompt_token : g->tokens[i - 1],
                                       g->tokens[i], &piece, error));
        room += 3 * (piece.size + 3);
    }
    TRY(base_alloc(&text, room, 1, error));
    for (size_t i = 0; c->tokenizer != NULL && i < g->count; i++) {
        TRY(eng_tokenizer_decode_piece(c->tokenizer, i == 0 ? c->last_prompt_token : g->tokens[i - 1],
                                       g->tokens[i], &piece, error));
        at += eng_utf8_push(&stream, piece.bytes, piece.size, text + at);
    }
    at += eng_utf8_flush(&stream, text + at);
    *ret = text;
    text = NULL;
out:
    base_free_secret(&text);
    return status;
}

static json_t *json_phase(struct phase p)
{
    return json_pack("{s:I, s:f, s:f, s:f, s:f, s:f}", "tokens", (json_int_t)p.tokens, "seconds", p.seconds,
                     "rounds", p.rounds, "online_bytes", p.online, "offline_bytes", p.offline, "client_bytes", p.client);
}

/* Processor seconds of one party per token. */
static double cpu_per_token(const struct eng_phase_usage *u)
{
    return u->tokens == 0 ? 0 : (double)u->cpu_microseconds * 1e-6 / (double)u->tokens;
}

static json_t *json_parties(const struct generation_run *run)
{
    static const char *const names[] = {"P0", "P1", "P2"};
    json_t *list = json_array();
    for (int i = 0; i < 3; i++) {
        const struct eng_usage *u = &run->usage[i];
        (void)json_array_append_new(
            list,
            json_pack("{s:s, s:f, s:f, s:I, s:I, s:I, s:I}", "name", names[i], "prefill_cpu_seconds",
                      cpu_per_token(&u->prefill), "decode_cpu_seconds", cpu_per_token(&u->decode),
                      "online_bytes", (json_int_t)(u->prefill.online + u->decode.online), "offline_bytes",
                      (json_int_t)(u->prefill.offline + u->decode.offline), "opened_values",
                      (json_int_t)u->opened, "peak_memory", (json_int_t)u->peak_memory));
    }
    return list;
}

/* Mode two-party: from where the material came. */
static const char *source_name(const struct generation_run *run)
{
    static const char *const names[ENG_TEXT_SOURCES] = {
        [ENG_TEXT_MADE] = "made before each step", [ENG_TEXT_DRY] = "made before each step, as none waited", [ENG_TEXT_SPOOLED] = "made ahead of use"};
    return names[run->source];
}

/* How many leading tokens are the twin's. */
static size_t equal_tokens(const struct generation_run *a, const struct generation_run *b)
{
    size_t n = 0;
    while (n < a->generated.count && n < b->generated.count &&
           a->generated.tokens[n] == b->generated.tokens[n])
        n++;
    return n;
}

static enum base_status report_json(const struct generation_context *c, const struct generation_run *run,
                                    const struct generation_run *clear, struct base_error *error)
{
    char *text = NULL;
    enum base_status status = text_of(c, &run->generated, &text, error);
    if (status != BASE_OK)
        return status;
    json_t *tokens = json_array();
    for (size_t i = 0; i < run->generated.count; i++)
        (void)json_array_append_new(tokens, json_integer(run->generated.tokens[i]));
    json_t *root = json_pack("{s:o, s:s, s:o, s:o, s:o, s:s, s:s, s:s}", "tokens", tokens, "text", text,
                             "prefill", json_phase(phase_of(run, false, c->prompt_tokens)), "decode",
                             json_phase(phase_of(run, true, c->prompt_tokens)), "parties", json_parties(run),
                             "policy", c->policy, "mode", c->mode, "commit", CACHET_COMMIT);
    if (strcmp(c->mode, party_config_mode_name(CONFIG_TWO_PARTY)) == 0) {
        (void)json_object_set_new(root, "material", json_string(source_name(run)));
        (void)json_object_set_new(root, "texts_left", json_integer((json_int_t)run->texts_left));
    }
    if (clear != NULL)
        (void)json_object_set_new(root, "clear",
                                  json_pack("{s:f, s:f, s:I, s:b, s:I}", "prefill_seconds",
                                            clear->generated.prefill_seconds, "decode_seconds",
                                            phase_of(clear, true, 0).seconds, "equal_tokens",
                                            (json_int_t)equal_tokens(run, clear), "equal",
                                            equal_tokens(run, clear) == run->generated.count &&
                                                run->generated.count == clear->generated.count,
                                            "range_violations", (json_int_t)clear->violations));
    (void)json_dumpf(root, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
    (void)putchar('\n');
    json_decref(root);
    base_free_secret(&text);
    return BASE_OK;
}

/* Bytes for people. */
static const char *bytes_text(double bytes, char ret[32])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    int u = 0;
    for (; bytes >= 1000 && u < 4; u++)
        bytes /= 1000;
    (void)snprintf(ret, 32, u == 0 ? "%.0f %s" : "%.1f %s", bytes, units[u]);
    return ret;
}

static void print_row(const char *name, struct phase p, const char *unit, const struct generation_run *clear,
                      bool decode)
{
    char online[32], offline[32];
    (void)printf("%-16s %6.0f  %9.4f %-8s %7.0f  %10s  %10s", name, p.tokens, p.seconds, unit, p.rounds,
                 bytes_text(p.online, online), bytes_text(p.offline, offline));
    if (clear != NULL)
        (void)printf("  %9.4f", decode ? phase_of(clear, true, 0).seconds : clear->generated.prefill_seconds);
    (void)putchar('\n');
}

static void print_parties(const struct generation_context *c, const struct generation_run *run)
{
    static const char *const roles[] = {"P0, deals", "P1, computes", "P2, computes"};
    enum config_mode mode = CONFIG_THREE_PARTY;
    (void)party_config_find_mode(c->mode, &mode);
    char a[32], b[32], d[32], e[32], m[32];
    (void)printf("\n%-16s %12s  %12s  %12s  %12s  %10s  %13s\n", "sent by", "prefill", "dealt", "decode",
                 "dealt", "memory", "CPU per token");
    for (int i = party_config_first(mode); i < 3; i++) {
        const struct eng_usage *u = &run->usage[i];
        (void)printf("%-16s %12s  %12s  %12s  %12s  %10s  %11.4f s\n", roles[i],
                     bytes_text((double)u->prefill.online, a), bytes_text((double)u->prefill.offline, b),
                     bytes_text((double)u->decode.online, d), bytes_text((double)u->decode.offline, e),
                     bytes_text((double)u->peak_memory, m),
                     cpu_per_token(u->decode.tokens > 0 ? &u->decode : &u->prefill));
    }
    (void)printf("mode %s, cache policy %s. %s saw masked words only; the client was sent %llu "
                 "values through the registry of openings.\n",
                 c->mode, c->policy, mode == CONFIG_TWO_PARTY ? "P1 and P2" : "P0, P1 and P2", (unsigned long long)run->usage[1].opened);
    if (mode == CONFIG_TWO_PARTY)
        (void)printf("material %s; %zu more texts wait that fit such a request.\n", source_name(run), run->texts_left);
}

static void report_table(const struct generation_context *c, const struct generation_run *run,
                         const struct generation_run *clear)
{
    bool shares = run->usage[1].prefill.rounds > 0;
    (void)printf("\n%-16s %6s  %18s %7s  %10s  %10s%s\n", "", "tokens", "seconds", "rounds", "online",
                 "dealt", clear != NULL ? "   in clear" : "");
    print_row("prefill", phase_of(run, false, c->prompt_tokens), "", clear, false);
    print_row("decode", phase_of(run, true, c->prompt_tokens), "/token", clear, true);
    if (shares)
        print_parties(c, run);
    if (clear == NULL)
        return;
    size_t equal = equal_tokens(run, clear);
    if (equal == run->generated.count && equal == clear->generated.count)
        (void)printf("every one of the %zu tokens is the one that the same model gives in the clear", equal);
    else
        (void)printf("the first %zu of %zu tokens are those of the same model in the clear", equal,
                     run->generated.count);
    (void)printf("; values outside their declared range: %llu\n", (unsigned long long)clear->violations);
}

enum base_status generation_report(const struct generation_context *c, const struct generation_run *run,
                                   const struct generation_run *clear, struct base_error *error)
{
    if (c->flags->json)
        return report_json(c, run, clear, error);
    report_table(c, run, clear);
    return BASE_OK;
}
