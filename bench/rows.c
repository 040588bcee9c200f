#include "bench/rows.h"

#include "parties/version.h"

#include <stdio.h>
#include <string.h>

enum base_status bench_format_parse(const char *text, enum bench_format *ret, struct base_error *error)
{
    static const char *const names[] = {"md", "csv", "json"};
    for (int i = 0; i < 3; i++)
        if (strcmp(text, names[i]) == 0) {
            *ret = (enum bench_format)i;
            return BASE_OK;
        }
    return base_fail(error, BASE_ERR_ARGUMENT, "--output is \"%.40s\": must be md, csv or json", text);
}

/* "model name" of /proc/cpuinfo. */
static void cpu_name(char ret[128])
{
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "r");
    (void)snprintf(ret, 128, "unknown");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || colon == NULL)
            continue;
        (void)snprintf(ret, 128, "%.120s", colon + 2);
        ret[strcspn(ret, "\n")] = '\0';
        break;
    }
    if (file != NULL)
        (void)fclose(file);
}

const char *bench_gates_name(const struct bench_case *b)
{
    return b->subject->general ? "general" : "cheap";
}

void bench_model_name(const struct bench_case *b, char ret[BENCH_NAME])
{
    const struct eng_model_shape *s = &b->subject->model.shape;
    const struct model_input *input = &b->subject->model.input;
    const char *slash = input->path == NULL ? NULL : strrchr(input->path, '/');
    int at = snprintf(ret, BENCH_NAME, "%.100s", input->shape != NULL ? input->shape : slash != NULL ? slash + 1 : input->path);
    if (input->layers > 0)
        at += snprintf(ret + at, BENCH_NAME - (size_t)at, ", %zu layers", s->layers);
    if (s->one_layer)
        (void)snprintf(ret + at, BENCH_NAME - (size_t)at, ", one layer's weights");
}

static double sum(const struct bench_count *c)
{
    return c->online + c->dealt + c->client;
}

double bench_row_memory(const struct bench_row *row)
{
    double most = 0;
    for (int i = 0; i < 3; i++)
        most = row->party[i].peak_memory > most ? row->party[i].peak_memory : most;
    return most;
}

/* --- md ------------------------------------------------------------------------------------------------ */

static void md_row(const struct bench_case *b, const struct bench_row *r)
{
    char model[BENCH_NAME], policy[KV_CONFIG_TEXT];
    const struct bench_spread *t = &r->token_seconds, *p = &r->prompt_seconds;
    bench_model_name(b, model);
    kv_config_print(b->policy, &b->config, policy);
    (void)printf("| %s | %zu | %s | %s | %s | ", model, b->subject->context, policy, bench_gates_name(b), b->link);
    if (b->made_up)
        (void)printf("made up | | ");
    else
        (void)printf("%.3g (%.3g to %.3g), %.3g | %.4g | ", p->median, p->low, p->high, r->predicted_prompt,
                     sum(&r->prompt) * 1e-6);
    (void)printf("%.3g (%.3g to %.3g), %.3g | %.4g | %.4g | %.4g", t->median, t->low, t->high, r->predicted_token, r->token.rounds, r->token.online * 1e-6,
                 r->token.dealt * 1e-6);
    if (b->subject->mode == CONFIG_TWO_PARTY)
        (void)printf(" in %.3g s", r->made_token.median);
    (void)printf(" | %.4g | %.2f / %.2f / %.2f | %.3g | %.0f / %.0f / %.0f |\n", r->token.client * 1e-6, r->party[0].token_bytes * 1e-6,
                 r->party[1].token_bytes * 1e-6,
                 r->party[2].token_bytes * 1e-6, bench_row_memory(r) * 1e-9, 100 * r->party[1].kernel_share,
                 100 * r->party[1].network_share, 100 * (1 - r->party[1].kernel_share - r->party[1].network_share));
    (void)fflush(stdout);
}

/* --- csv ----------------------------------------------------------------------------------------------- */

static const char csv_header[] =
    "model,context,policy,gates,link,made_up,warm_ups,repeats,prompt_seconds,prompt_low,prompt_high,prompt_predicted,prompt_rounds,"
    "prompt_online,prompt_dealt,prompt_client,token_seconds,token_low,token_high,token_predicted,token_rounds,token_online,token_dealt,"
    "token_client,p0_sent,p1_sent,p2_sent,p0_memory,p1_memory,p2_memory,p1_kernels,p1_network,wire_bytes,payload_bytes,commit,cpu,mode,"
    "made_prompt_seconds,made_token_seconds";

static void csv_row(const struct bench_case *b, const struct bench_row *r)
{
    char model[BENCH_NAME], policy[KV_CONFIG_TEXT], cpu[128];
    bench_model_name(b, model);
    cpu_name(cpu);
    kv_config_print(b->policy, &b->config, policy);
    (void)printf("\"%s\",%zu,%s,%s,%s,%d,%llu,%llu", model, b->subject->context, policy, bench_gates_name(b), b->link, b->made_up,
                 (unsigned long long)b->warm_ups, (unsigned long long)b->repeats);
    const double values[] = {r->prompt_seconds.median, r->prompt_seconds.low, r->prompt_seconds.high, r->predicted_prompt,
                             r->prompt.rounds, r->prompt.online, r->prompt.dealt, r->prompt.client,
                             r->token_seconds.median, r->token_seconds.low, r->token_seconds.high, r->predicted_token,
                             r->token.rounds, r->token.online, r->token.dealt, r->token.client,
                             r->party[0].token_bytes, r->party[1].token_bytes, r->party[2].token_bytes,
                             r->party[0].peak_memory, r->party[1].peak_memory, r->party[2].peak_memory,
                             r->party[1].kernel_share, r->party[1].network_share, r->wire_bytes, r->payload_bytes};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        (void)printf(",%.9g", values[i]);
    (void)printf(",%s,\"%s\",%s,%.9g,%.9g\n", CACHET_COMMIT, cpu, party_config_mode_name(b->subject->mode), r->made_prompt.median, r->made_token.median);
    (void)fflush(stdout);
}

/* --- JSON ---------------------------------------------------------------------------------------------- */

static json_t *json_spread(const struct bench_spread *s)
{
    return json_pack("{s:f, s:f, s:f}", "median", s->median, "low", s->low, "high", s->high);
}

static json_t *json_count(const struct bench_count *c)
{
    return json_pack("{s:f, s:f, s:f, s:f}", "rounds", c->rounds, "online_bytes", c->online, "offline_bytes", c->dealt,
                     "client_bytes", c->client);
}

static json_t *json_classes(const struct mpc_cost cost[ENG_CLASSES], double tokens)
{
    json_t *object = json_object();
    for (int i = 0; i < ENG_CLASSES; i++)
        (void)json_object_set_new(object, eng_class_name((enum eng_class)i),
                                  json_pack("{s:f, s:f, s:f}", "rounds", (double)cost[i].rounds / tokens, "online_bytes",
                                            (double)cost[i].online / tokens, "offline_bytes",
                                            (double)cost[i].offline / tokens));
    return object;
}

static json_t *json_parties(const struct bench_row *r)
{
    static const char *const names[] = {"P0", "P1", "P2"};
    json_t *list = json_array();
    for (int i = 0; i < 3; i++)
        (void)json_array_append_new(list, json_pack("{s:s, s:f, s:f, s:f, s:f, s:f, s:f}", "name", names[i], "prompt_bytes",
                                                    r->party[i].prompt_bytes, "token_bytes", r->party[i].token_bytes,
                                                    "token_cpu_seconds", r->party[i].cpu_seconds, "peak_memory",
                                                    r->party[i].peak_memory, "kernel_share", r->party[i].kernel_share,
                                                    "network_share", r->party[i].network_share));
    return list;
}

json_t *bench_row_json(const struct bench_case *b, const struct bench_row *r)
{
    char model[BENCH_NAME], policy[KV_CONFIG_TEXT], cpu[128];
    bench_model_name(b, model);
    cpu_name(cpu);
    kv_config_print(b->policy, &b->config, policy);
    double tokens = (double)b->subject->new_tokens;
    json_t *root = json_pack(
        "{s:s, s:I, s:I, s:s, s:s, s:s, s:b, s:I, s:I}", "model", model, "context", (json_int_t)b->subject->context,
        "new_tokens", (json_int_t)b->subject->new_tokens, "policy", policy, "gates", bench_gates_name(b), "link", b->link,
        "made_up_rows", b->made_up, "warm_ups", (json_int_t)b->warm_ups, "repeats", (json_int_t)b->repeats);
    if (b->made_up) {
        (void)json_object_set_new(root, "prompt", json_null());
    } else {
        json_t *prompt = json_count(&r->prompt);
        (void)json_object_set_new(prompt, "seconds", json_spread(&r->prompt_seconds));
        (void)json_object_set_new(prompt, "predicted_seconds", json_real(r->predicted_prompt));
        (void)json_object_set_new(prompt, "by_class", json_classes(r->declared.prefill_by_class, 1));
        if (b->subject->mode == CONFIG_TWO_PARTY)
            (void)json_object_set_new(prompt, "making_seconds", json_spread(&r->made_prompt));
        (void)json_object_set_new(root, "prompt", prompt);
    }
    json_t *token = json_count(&r->token);
    (void)json_object_set_new(token, "seconds", json_spread(&r->token_seconds));
    (void)json_object_set_new(token, "first_request_seconds", json_real(r->first_seconds));
    (void)json_object_set_new(token, "predicted_seconds", json_real(r->predicted_token));
    (void)json_object_set_new(token, "by_class", json_classes(r->declared.by_class, tokens));
    if (b->subject->mode == CONFIG_TWO_PARTY)
        (void)json_object_set_new(token, "making_seconds", json_spread(&r->made_token));
    (void)json_object_set_new(root, "token", token);
    (void)json_object_set_new(root, "declared_equals_counted", json_true());
    (void)json_object_set_new(root, "parties", json_parties(r));
    (void)json_object_set_new(root, "wire_bytes", json_real(r->wire_bytes));
    (void)json_object_set_new(root, "payload_bytes", json_real(r->payload_bytes));
    (void)json_object_set_new(root, "commit", json_string(CACHET_COMMIT));
    (void)json_object_set_new(root, "cpu", json_string(cpu));
    (void)json_object_set_new(root, "mode", json_string(party_config_mode_name(b->subject->mode)));
    return root;
}

static void json_row(const json_t *object, bool first)
{
    (void)printf(first ? "\n" : ",\n");
    (void)json_dumpf(object, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
    (void)fflush(stdout);
}

/* --- all ----------------------------------------------------------------------------------------------- */

void bench_rows_begin(enum bench_format format)
{
    if (format == BENCH_MD)
        (void)printf("| model | context | policy | gates | link | prompt: seconds, predicted | MB in all | one token: seconds, "
                     "predicted | rounds | MB online | MB dealt, or made | MB client | MB sent by P0 / P1 / P2 | GB memory | P1: %% in slots / links / else |\n"
                     "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n");
    else
        (void)printf(format == BENCH_CSV ? "%s\n" : "[", csv_header);
    (void)fflush(stdout);
}

void bench_rows_add(enum bench_format format, const struct bench_case *bench, const struct bench_row *row,
                    const json_t *object, bool first)
{
    if (format == BENCH_MD)
        md_row(bench, row);
    else if (format == BENCH_CSV)
        csv_row(bench, row);
    else
        json_row(object, first);
}

void bench_rows_end(enum bench_format format)
{
    char cpu[128];
    cpu_name(cpu);
    if (format == BENCH_MD)
        (void)printf("\nbuild %s, %s; all parties and a client on this machine; seconds are medians with the lowest and the "
                     "highest. Rounds and bytes are counted, and equal to what is declared.\n",
                     CACHET_COMMIT, cpu);
    else if (format == BENCH_JSON)
        (void)printf("\n]\n");
    (void)fflush(stdout);
}
