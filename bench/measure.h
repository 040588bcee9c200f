/* One row of `cachet bench`: a deployment of three parties, or of two alone, as processes on this machine, over a link, measured while it answers requests,
 * beside what was declared and predicted. Two parties make each request's material before it, which is measured apart. */
#ifndef CACHET_BENCH_MEASURE_H
#define CACHET_BENCH_MEASURE_H

#include "parties/relay_link.h"
#include "parties/deployment.h"
#include "parties/time_model.h"

/* A model or shape with one plan and one share set: what rows of one context have in common. */
struct bench_subject {
    struct model model;
    struct eng_plan plan;
    struct eng_tokens prompt; /* [context] */
    size_t context, new_tokens;
    bool general;
    enum config_mode mode;
    char directory[4096], set[4096], set_id[ENG_SET_ID];
};
/* Of a shape the prompt is made up; of a model it is the beginning of `text`, NULL: of the model's calibration text. Errors: those of plan,
 * tokenizer and shares. */
struct bench_subject_form {
    struct model_input input;
    const char *text;
    size_t context, new_tokens; /* tokens in the cache when decoding starts; tokens that are decoded after the first one */
    bool general;
    enum config_mode mode;
};
BASE_MUST_USE enum base_status bench_subject_init(struct bench_subject *ret, const struct bench_subject_form *form,
                                                  struct base_error *error);
void bench_subject_finish(struct bench_subject *subject);

struct bench_case {
    const struct bench_subject *subject;
    const struct kv_policy *policy;
    struct kv_config config;
    const char *link; /* as relay_link_parse takes it; "none": no relay lies between the parties */
    uint64_t warm_ups, repeats; /* requests */
    bool made_up; /* cached rows are made up, but for the last of the prompt */
    const struct time_machine *machine;
};

/* Whether a relay lies between the parties. */
bool bench_is_relayed(const char *link);

struct bench_spread {
    double median, low, high;
};

/* What was counted of a phase: of the whole prompt, or per decoded token. Bytes that are sent, sums over the parties. */
struct bench_count {
    double rounds, online, dealt, client;
};

struct bench_party {
    double prompt_bytes, token_bytes; /* sent to parties and client, per decoded token */
    double cpu_seconds;               /* per decoded token */
    double kernel_share, network_share; /* of the time of decoding: in slots, and in links, waiting for the others among it */
    double peak_memory;
};

struct bench_row {
    struct bench_spread prompt_seconds, token_seconds; /* over repeats; over all decoded tokens of all repeats */
    struct bench_spread made_prompt, made_token;       /* two parties: seconds to make the prompt's material, and that of a token; over repeats */
    double first_seconds;                              /* per token of the first warm-up, 0: none */
    struct bench_count prompt, token;
    double keys; /* two parties: bytes of the keys that all texts of a meeting share; in neither of these */
    struct bench_party party[3];
    struct eng_cost declared; /* of the same tokens */
    double predicted_prompt, predicted_token;
    double wire_bytes, payload_bytes; /* of all requests, as the relay and as the parties count them; 0: no relay */
};

/* Errors: BASE_ERR_INTERNAL when declared and counted rounds or bytes differ, with both; those of parties and relay. */
BASE_MUST_USE enum base_status bench_measure(struct bench_row *ret, const struct bench_case *bench, struct base_error *error);

#endif
