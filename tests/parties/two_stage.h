/* Two parties without P0 as sessions over links in memory, and their client: what the tests of both share. */
#ifndef CACHET_TESTS_PARTIES_TWO_STAGE_H
#define CACHET_TESTS_PARTIES_TWO_STAGE_H

#include "tests/engine/decoder/model_support.h"

#include "engine/generate.h"
#include "engine/remote.h"
#include "parties/two.h"

#include <pthread.h>

enum { CONTEXT = 24, CHUNK = 4, PROMPT = 6, NEW_TOKENS = 4, LINK_LIMIT = 64 << 20 };

struct two_seat {
    struct party_two two;
    struct eng_session session;
    struct net_link *peer, *client; /* own ends */
    struct eng_served served;
    bool joining;
    enum base_status status;
    struct base_error error;
    pthread_t thread;
};

struct two_stage {
    struct model model;
    const int32_t *prompt;
    uint32_t new_tokens;
    enum eng_text_source source; /* of the last request, as its client heard it */
    struct eng_usage usage[3];
    const struct kv_policy *policy;
    struct kv_config config;
    struct two_seat seat[3];
    struct net_link *client[3]; /* the client's ends */
    struct eng_sampler sampler;
};

extern const struct eng_request two_sample_request;

/* Both parties in threads of their own: they join, or serve one run. */
void two_start(struct two_stage *s, bool joining);
/* Waits for both. */
void two_end(struct two_stage *s);
struct eng_decoder_form two_form_of(const struct two_stage *s, enum mpc_role role);
/* directory: of encrypted weights; NULL: they are not kept. */
void two_open_seat(struct two_stage *s, int id, const char *directory);
/* Over fresh links; how it went is in the seats. */
void two_try_to_meet(struct two_stage *s);
/* The same, and it goes well. */
void two_meet(struct two_stage *s);
/* Both parties end, and their links; two_open_seat makes new ones. */
void two_leave(struct two_stage *s);
/* For cmocka: model, parties that have met, sampler. */
int two_open_with(void **state, const char *policy);
int two_open_stage(void **state);
int two_close_stage(void **state);
/* An answer to s->prompt; stop_after: the client stops after so many tokens, 0: not. */
void two_generate(struct two_stage *s, const struct eng_backend *backend, size_t stop_after, struct eng_generated *ret);
/* Fresh ones of the client; both parties serve. */
void two_open_links(struct two_stage *s);
struct eng_remote_form two_remote_form(const struct two_stage *s);
/* One request over the parties, whose usage is checked. */
void two_ask(struct two_stage *s, size_t stop_after, struct eng_generated *ret);
void two_twin_answer(struct two_stage *s, struct eng_generated *ret);

#endif
