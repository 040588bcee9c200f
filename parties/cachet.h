/* cachet.h: a client of a deployment, as a C library. It shares prompts, runs any number of requests over one set of links to the three
 * parties, several at a time in the rounds of one, and puts the answers together. The library is the client's own software: it sees prompts
 * and answers in the clear; the parties see shares.
 *
 *     struct cachet *client;
 *     struct cachet_error error;
 *     struct cachet_options options = {.config = "config.yaml", .key = "client.key", .shares = "set/client"};
 *     if (cachet_open(&client, &options, &error) != CACHET_OK)
 *         ...error.text says what, where, which value, what to do
 *     struct cachet_part text = {"Once upon a time", 16, false};
 *     struct cachet_request request = {.max_tokens = 64, .top_p = 1, .token = show, .context = me};
 *     cachet_tokenize(client, &text, 1, true, &request.tokens, &request.token_count, &error);
 *     cachet_generate(client, &request, &result, &error);
 *     cachet_close(&client);
 *
 * Every function may be called from any thread. Callbacks run on the library's own thread, one at a time, and must not wait. */
#ifndef CACHET_H
#define CACHET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What calls answer; the program's exit codes. */
enum cachet_code {
    CACHET_OK = 0,
    CACHET_BAD_REQUEST = 2,  /* an argument or a request that cannot be served as it is */
    CACHET_NO_MEMORY = 3,
    CACHET_IO = 4,
    CACHET_BAD_FILE = 5,
    CACHET_UNSUPPORTED = 6,
    CACHET_OUT_OF_RANGE = 7, /* a value left the range of the numeric plan: the answer is void */
    CACHET_BAD_PEER = 8,
    CACHET_MISMATCH = 9,
    CACHET_TIMEOUT = 10,
    CACHET_CLOSED = 11,      /* a party is gone or stopped, or the request was cancelled */
    CACHET_INTERNAL = 12,
    CACHET_BUSY = 13,        /* as many requests wait as may */
    CACHET_NOT_READY = 14,   /* a party is not connected; the text says which and why */
};
struct cachet_error {
    enum cachet_code code;
    char text[1024]; /* one line; never holds a prompt, an answer or a key */
};

struct cachet;
struct cachet_job;

struct cachet_options {
    const char *config, *key, *shares; /* as `cachet generate` takes them */
    const char *tokenizer;             /* NULL: the one in the client directory */
    size_t most_running;               /* requests at the same time; 0: as many as the config's limits.slots allow */
    bool once;                         /* one attempt to connect: cachet_wait_ready says why it failed, and nothing connects again */
    size_t most_waiting;               /* further ones that may wait; beyond it CACHET_BUSY. 0: none */
    /* One line about connections and requests; level 0 error, 1 warning, 2 information, 3 debugging. NULL: nothing is said. request: the
     * id that all parties log, too, or NULL. */
    void (*log)(void *context, int level, const char *request, const char *text);
    void *log_context;
};

/* Reads and checks the files and starts to connect, and to connect again whenever the parties are gone. Errors: those of the files. */
enum cachet_code cachet_open(struct cachet **ret, const struct cachet_options *options, struct cachet_error *error);
/* Cancels what is under way. Accepts a pointer to NULL. Jobs must be released before. */
void cachet_close(struct cachet **client);
/* Waits until every party is connected and agrees on everything; timeout_ms at most. Errors: CACHET_NOT_READY with the reason as far as it is
 * known; with options.once what ended the only attempt. */
enum cachet_code cachet_wait_ready(struct cachet *client, int timeout_ms, struct cachet_error *error);

/* What is served; all of it public. */
struct cachet_model {
    char name[128];        /* of the model as its owner called it, or its architecture and digest */
    char architecture[32]; /* "llama", "gpt2", "qwen2", ... */
    char digest[65], plan[65], policy[256];
    size_t context, vocabulary, layers;
    size_t chunk;          /* rows of the prompt that one step takes */
    size_t slots;          /* requests that run at the same time */
    bool has_text;         /* a tokenizer is there */
};
void cachet_describe(const struct cachet *client, struct cachet_model *ret);

struct cachet_party {
    char name[32];             /* "P1" */
    bool connected;
    double round_trip_seconds; /* of the last ping; 0: none yet */
    uint64_t sent_bytes, received_bytes; /* between this client and it, since the client was opened */
    uint64_t rounds;           /* with the other computing party */
    uint64_t online_bytes, dealt_bytes; /* that it sent */
    double stalled_seconds;    /* that it waited for others while computing */
    uint64_t steps_ahead;      /* P0: steps that are dealt and not yet used */
};
struct cachet_state {
    bool ready;
    char reason[1024]; /* why not */
    size_t running, waiting, most_running, most_waiting;
    struct cachet_party party[3];
    uint64_t connections; /* times that all three were connected */
    uint64_t requests_done, requests_failed, requests_cancelled, prompt_tokens, new_tokens;
};
void cachet_get_state(struct cachet *client, struct cachet_state *ret);

/* A piece of a prompt. control: written by a chat template, where special tokens ("<|im_start|>") count as such; else they are text like any
 * other. */
struct cachet_part {
    const char *text; /* UTF-8; NUL is a character like others */
    size_t size;
    bool control;
};
/* Token ids of the parts, one after the other; add_bos: after the token that begins prompts of this model, if it has one. Free with
 * cachet_free_tokens. Errors: CACHET_BAD_REQUEST (invalid UTF-8, with the offset), CACHET_UNSUPPORTED (no tokenizer). */
enum cachet_code cachet_tokenize(const struct cachet *client, const struct cachet_part *parts, size_t count, bool add_bos,
                                 int32_t **ret_tokens, size_t *ret_count, struct cachet_error *error);
void cachet_free_tokens(int32_t **tokens, size_t count);

/* From where the correlated randomness of a request comes. */
enum cachet_material {
    CACHET_MATERIAL_DEALT,  /* P0 deals it; in mode two-party: not known yet */
    CACHET_MATERIAL_MADE,   /* mode two-party: P1 and P2 make each step's before it */
    CACHET_MATERIAL_DRY,    /* the same, as none waits that was made ahead of use */
    CACHET_MATERIAL_SPOOLED /* mode two-party: made ahead of use (cachet prepare) */
};
struct cachet_progress {
    size_t ahead;             /* requests that must end before this one begins; 0 once it runs */
    size_t rows_done, rows;   /* of the prompt */
    size_t layer, layers;     /* of the step under way */
    double seconds, expected; /* since it began to run; how long the prompt will take in all, 0: not known yet */
    enum cachet_material material;
};
struct cachet_token {
    size_t index;           /* 0 for the first new one */
    int32_t id;             /* -1: none, only text that had been held back; the last call of a request */
    const char *text;       /* what may be shown now: whole UTF-8 characters, held back while it may become a stop text */
    size_t size;            /* possibly 0 */
    double seconds;         /* since the token before, or since the request began to run */
    size_t shared_with;     /* other requests in the same rounds */
    uint64_t rounds;        /* of its step */
    uint64_t online_bytes, dealt_bytes, client_bytes; /* of its step, all parties; with other requests: their sum */
};

struct cachet_request {
    int32_t *tokens; /* the prompt; borrowed until the job has ended */
    size_t token_count;
    size_t max_tokens; /* at least 1 */
    double temperature; /* 0: the likeliest token */
    double top_p;       /* 1: all */
    size_t top_k;       /* 0: all */
    uint64_t seed;      /* equal seeds, nearly always equal answers: the last unit of a logit differs from run to run */
    bool inside;        /* the parties choose the likeliest token inside; the client never sees logits */
    bool ignore_eos;
    const char *const *stop; /* texts that end the answer and are not part of it; at most CACHET_STOPS, borrowed */
    size_t stop_count;
    /* Each may be NULL. token: false cancels. */
    void (*progress)(void *context, const struct cachet_progress *progress);
    bool (*token)(void *context, const struct cachet_token *token);
    void (*ended)(void *context); /* after this nothing is called any more, and cachet_wait returns at once */
    void *context;
};
enum { CACHET_STOPS = 16, CACHET_STOP_BYTES = 1024 };

enum cachet_finish {
    CACHET_FINISH_STOP,      /* end of text, or a stop text */
    CACHET_FINISH_LENGTH,    /* max_tokens */
    CACHET_FINISH_CANCELLED,
    CACHET_FINISH_FAILED,
};
/* What one party reports of one phase. */
struct cachet_phase {
    uint64_t tokens, rounds, online_bytes, dealt_bytes, client_bytes;
    double seconds, processor_seconds;
};
struct cachet_report {
    struct cachet_phase prompt, decode;
    uint64_t opened_values, peak_memory;
};
struct cachet_result {
    enum cachet_finish finish;
    size_t prompt_tokens, new_tokens, steps; /* steps: after the prompt */
    double waited_seconds, prompt_seconds, decode_seconds;
    uint64_t rounds, online_bytes, dealt_bytes, client_bytes; /* of its steps, all parties */
    /* Where no other request ran beside it or right before or after: the reports of P0, P1 and P2, and what the client sent. */
    bool alone;
    struct cachet_report report[3];
    uint64_t sent_prompt, sent_decode;
    enum cachet_material material;
    size_t texts_left; /* CACHET_MATERIAL_SPOOLED: texts that wait and fit such a request */
};

/* Queues a request. Errors: CACHET_BAD_REQUEST (empty, longer than the context, a number out of range: the text names it), CACHET_BUSY,
 * CACHET_NOT_READY. */
enum cachet_code cachet_submit(struct cachet *client, const struct cachet_request *request, struct cachet_job **ret,
                               struct cachet_error *error);
/* The id under which this client and all parties log the request: 16 hex digits. */
const char *cachet_job_id(const struct cachet_job *job);
/* Waits for its end. Errors: why it failed; a cancelled one is CACHET_OK with CACHET_FINISH_CANCELLED. */
enum cachet_code cachet_wait(struct cachet_job *job, struct cachet_result *ret, struct cachet_error *error);
/* Whether it has ended, after waiting for that for timeout_ms at most. */
bool cachet_wait_for(struct cachet_job *job, int timeout_ms);
/* Asks for its end; returns at once. The parties stop within a round or two of the step under way. */
void cachet_cancel(struct cachet_job *job);
/* Cancels if it still runs, waits for its end, frees. Accepts a pointer to NULL. */
void cachet_release(struct cachet_job **job);
/* Submits, waits, releases. */
enum cachet_code cachet_generate(struct cachet *client, const struct cachet_request *request, struct cachet_result *ret,
                                 struct cachet_error *error);

#endif
