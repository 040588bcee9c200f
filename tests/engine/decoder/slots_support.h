/* Several requests in one run over three roles in one process: the client's side, order by order. */
#ifndef CACHET_TESTS_ENGINE_SLOTS_SUPPORT_H
#define CACHET_TESTS_ENGINE_SLOTS_SUPPORT_H

#include "tests/engine/decoder/model_support.h"

#include "engine/local.h"
#include "engine/remote.h"
#include "tests/support/recorder.h"

enum { CONTEXT = 64, SLOTS = 4, NEW_TOKENS = 8, CHUNK = 8, TIE = 256 };

struct slots_stage {
    struct model model;
    const struct kern_table *kern; /* records draws */
    struct eng_local *local;
    struct net_link *links[3];
    struct eng_remote remote;
    struct eng_usage usage[3];
};

/* One request and what it got. */
struct slots_lane {
    const int32_t *prompt;
    size_t prompt_tokens, fed, count;
    int32_t tokens[NEW_TOKENS];
    const int32_t *expected; /* tokens of the same request in another run; NULL: none */
};

/* For cmocka: the model; parties follow. */
int slots_open_stage(void **state);
int slots_close_stage(void **state);
/* The last test of a program: no draw of any stream was made twice, whatever the others did to their sessions. */
void slots_test_draws(void **state);
/* idle_ms: how long parties wait for a client's order; 0: 30 s. They end with eng_local_destroy. */
void slots_open_patient_parties(struct slots_stage *s, const char *policy, int64_t idle_ms);
void slots_open_parties(struct slots_stage *s, const char *policy);

/* The i-th request: 9 + 5 i tokens of a text of its own. */
struct slots_lane slots_lane(const struct slots_stage *s, size_t i);
/* A run whose slot 0 has this request, and its end in order. */
void slots_begin(struct slots_stage *s, const struct slots_lane *first);
void slots_end(struct slots_stage *s);
/* An order that is no step; lane: of a slot that opens. */
void slots_order(struct slots_stage *s, enum eng_order_kind kind, uint32_t slots, const struct slots_lane *lane);
/* One step of the slots: lanes[i] lies in the i-th of them. Returns P1's report. */
struct eng_step_report slots_step(struct slots_stage *s, uint32_t slots, struct slots_lane *const *lanes, size_t count);
/* All of a prompt, up to the first token. */
void slots_read_prompt(struct slots_stage *s, uint32_t slot, struct slots_lane *lane);
/* A run of this request alone. */
void slots_alone(struct slots_stage *s, struct slots_lane *lane);

#endif
