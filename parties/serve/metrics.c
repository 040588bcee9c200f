#include "parties/serve/metrics.h"

#include "parties/version.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const int codes[SERVE_CODES] = {200, 204, 400, 401, 403, 404, 405, 408, 413, 415, 429, 500, 501, 503, 504, 0};
static const char *const outcome_names[SERVE_OUTCOMES] = {"stop", "length", "cancelled", "failed", "refused"};

/* From a token on one machine to a prompt over a slow link. */
static const double bounds[SERVE_BUCKETS] = {0.01, 0.03, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 1200};
static const struct {
    const char *name, *help;
} timings[SERVE_TIMINGS] = {
    [SERVE_FIRST_TOKEN] = {"cachet_time_to_first_token_seconds",
                           "From a request's arrival to its first token, waiting included."},
    [SERVE_PER_TOKEN] = {"cachet_time_per_token_seconds", "Time of a token after the one before it."},
    [SERVE_PROMPT] = {"cachet_prompt_seconds", "Time of the prompt, from the start of computing to the first token."},
    [SERVE_WHOLE] = {"cachet_request_seconds", "Time of a whole request that was answered, waiting included."},
};

void serve_metrics_open(struct serve_metrics *ret)
{
    *ret = (struct serve_metrics){0};
    (void)pthread_mutex_init(&ret->mutex, NULL);
}

void serve_metrics_close(struct serve_metrics *metrics)
{
    (void)pthread_mutex_destroy(&metrics->mutex);
}

void serve_metrics_answered(struct serve_metrics *metrics, int http_status)
{
    int i = 0;
    while (codes[i] != http_status && codes[i] != 0)
        i++;
    (void)pthread_mutex_lock(&metrics->mutex);
    metrics->answers[i]++;
    (void)pthread_mutex_unlock(&metrics->mutex);
}

void serve_metrics_outcome(struct serve_metrics *metrics, enum serve_outcome outcome)
{
    (void)pthread_mutex_lock(&metrics->mutex);
    metrics->outcomes[outcome]++;
    (void)pthread_mutex_unlock(&metrics->mutex);
}

void serve_metrics_timing(struct serve_metrics *metrics, enum serve_timing timing, double seconds)
{
    int i = 0;
    while (i < SERVE_BUCKETS && seconds > bounds[i])
        i++;
    (void)pthread_mutex_lock(&metrics->mutex);
    metrics->timings[timing].below[i]++;
    metrics->timings[timing].sum += seconds;
    (void)pthread_mutex_unlock(&metrics->mutex);
}

double serve_metrics_mean_request(struct serve_metrics *metrics)
{
    uint64_t count = 0;
    (void)pthread_mutex_lock(&metrics->mutex);
    for (int i = 0; i <= SERVE_BUCKETS; i++)
        count += metrics->timings[SERVE_WHOLE].below[i];
    double mean = count > 0 ? metrics->timings[SERVE_WHOLE].sum / (double)count : 0;
    (void)pthread_mutex_unlock(&metrics->mutex);
    return mean;
}

static void head(FILE *out, const char *name, const char *type, const char *help)
{
    (void)fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void one(FILE *out, const char *name, const char *type, const char *help, double value)
{
    head(out, name, type, help);
    (void)fprintf(out, "%s %.17g\n", name, value);
}

/* A label's value: quotes, backslashes and ends of lines are escaped. */
static void label(FILE *out, const char *name, const char *value)
{
    (void)fprintf(out, "%s=\"", name);
    for (; *value != '\0'; value++) {
        if (*value == '\n')
            (void)fputs("\\n", out);
        else {
            if (*value == '"' || *value == '\\')
                (void)fputc('\\', out);
            (void)fputc(*value, out);
        }
    }
    (void)fputc('"', out);
}

static void write_build(FILE *out, const struct cachet_model *model)
{
    head(out, "cachet_build_info", "gauge", "The program and the model that it serves.");
    (void)fputs("cachet_build_info{", out);
    label(out, "version", CACHET_VERSION);
    (void)fputc(',', out);
    label(out, "commit", CACHET_COMMIT);
    (void)fputc(',', out);
    label(out, "model", model->name);
    (void)fputc(',', out);
    label(out, "architecture", model->architecture);
    (void)fputc(',', out);
    label(out, "policy", model->policy);
    (void)fputs("} 1\n", out);
}

static void write_counts(FILE *out, const struct serve_metrics *metrics)
{
    head(out, "cachet_requests_total", "counter", "Requests for text, by how they ended.");
    for (int i = 0; i < SERVE_OUTCOMES; i++)
        (void)fprintf(out, "cachet_requests_total{outcome=\"%s\"} %" PRIu64 "\n", outcome_names[i],
                      metrics->outcomes[i]);
    head(out, "cachet_http_responses_total", "counter", "HTTP answers of any kind, by status.");
    for (int i = 0; i < SERVE_CODES; i++) {
        if (codes[i] == 0)
            (void)fprintf(out, "cachet_http_responses_total{code=\"other\"} %" PRIu64 "\n", metrics->answers[i]);
        else
            (void)fprintf(out, "cachet_http_responses_total{code=\"%d\"} %" PRIu64 "\n", codes[i], metrics->answers[i]);
    }
    for (int t = 0; t < SERVE_TIMINGS; t++) {
        uint64_t count = 0;
        head(out, timings[t].name, "histogram", timings[t].help);
        for (int i = 0; i < SERVE_BUCKETS; i++) {
            count += metrics->timings[t].below[i];
            (void)fprintf(out, "%s_bucket{le=\"%g\"} %" PRIu64 "\n", timings[t].name, bounds[i], count);
        }
        count += metrics->timings[t].below[SERVE_BUCKETS];
        (void)fprintf(out, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n%s_sum %.17g\n%s_count %" PRIu64 "\n", timings[t].name,
                      count, timings[t].name, metrics->timings[t].sum, timings[t].name, count);
    }
}

static void write_state(FILE *out, const struct cachet_state *state)
{
    one(out, "cachet_ready", "gauge", "1 when every party is connected and agrees on everything.",
        state->ready ? 1 : 0);
    one(out, "cachet_connections_total", "counter", "Times that all three parties were connected.",
        (double)state->connections);
    one(out, "cachet_requests_running", "gauge", "Requests that are being computed.", (double)state->running);
    one(out, "cachet_requests_waiting", "gauge", "Requests that wait for a place.", (double)state->waiting);
    one(out, "cachet_requests_running_limit", "gauge", "Requests that may be computed at the same time.",
        (double)state->most_running);
    one(out, "cachet_requests_waiting_limit", "gauge", "Requests that may wait.", (double)state->most_waiting);
    one(out, "cachet_prompt_tokens_total", "counter", "Tokens of prompts.", (double)state->prompt_tokens);
    one(out, "cachet_generated_tokens_total", "counter", "Tokens of answers.", (double)state->new_tokens);
}

enum column_kind { COLUMN_COUNT, COLUMN_REAL, COLUMN_BOOL };
static const struct {
    const char *name, *type, *help;
    enum column_kind kind;
    size_t offset;
} columns[] = {
    {"cachet_party_connected", "gauge", "1 while the party is connected.", COLUMN_BOOL,
     offsetof(struct cachet_party, connected)},
    {"cachet_party_round_trip_seconds", "gauge", "Round trip to the party, the last ping; 0: none yet.", COLUMN_REAL,
     offsetof(struct cachet_party, round_trip_seconds)},
    {"cachet_party_client_sent_bytes_total", "counter", "Bytes that the gateway sent to the party.", COLUMN_COUNT,
     offsetof(struct cachet_party, sent_bytes)},
    {"cachet_party_client_received_bytes_total", "counter", "Bytes that the gateway received from the party.",
     COLUMN_COUNT, offsetof(struct cachet_party, received_bytes)},
    {"cachet_party_rounds_total", "counter", "Rounds of the party with the other computing party.", COLUMN_COUNT,
     offsetof(struct cachet_party, rounds)},
    {"cachet_party_online_bytes_total", "counter", "Bytes that the party sent to parties while computing.",
     COLUMN_COUNT, offsetof(struct cachet_party, online_bytes)},
    {"cachet_party_dealt_bytes_total", "counter", "Bytes of material that the party dealt ahead of time.", COLUMN_COUNT,
     offsetof(struct cachet_party, dealt_bytes)},
    {"cachet_party_stalled_seconds_total", "counter", "Time that the party waited for others while computing.",
     COLUMN_REAL, offsetof(struct cachet_party, stalled_seconds)},
    {"cachet_party_steps_ahead", "gauge", "Steps that are dealt and not yet used.", COLUMN_COUNT,
     offsetof(struct cachet_party, steps_ahead)},
};

static void write_parties(FILE *out, const struct cachet_state *state)
{
    for (size_t c = 0; c < sizeof columns / sizeof *columns; c++) {
        head(out, columns[c].name, columns[c].type, columns[c].help);
        for (int p = 0; p < 3; p++) {
            const char *field = (const char *)&state->party[p] + columns[c].offset;
            double value = columns[c].kind == COLUMN_BOOL    ? *(const bool *)(const void *)field
                           : columns[c].kind == COLUMN_COUNT ? (double)*(const uint64_t *)(const void *)field
                                                             : *(const double *)(const void *)field;
            (void)fprintf(out, "%s{party=\"P%d\"} %.17g\n", columns[c].name, p, value);
        }
    }
}

enum base_status serve_metrics_text(struct serve_metrics *metrics, const struct cachet_model *model,
                                    const struct cachet_state *state, char **ret_text, size_t *ret_size,
                                    struct base_error *error)
{
    enum base_status status = BASE_OK;
    FILE *out = open_memstream(ret_text, ret_size);
    TRY_THAT(out != NULL, error, BASE_ERR_MEMORY, "no memory for the metrics");
    write_build(out, model);
    write_state(out, state);
    write_parties(out, state);
    (void)pthread_mutex_lock(&metrics->mutex);
    write_counts(out, metrics);
    (void)pthread_mutex_unlock(&metrics->mutex);
    if (fclose(out) != 0) {
        free(*ret_text);
        *ret_text = NULL;
        status = base_fail(error, BASE_ERR_MEMORY, "no memory for the metrics");
    }
out:
    return status;
}
