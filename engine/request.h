/* What a client says to every party, and what they report to it.
 *
 * A run begins with a request, which opens slot 0, and goes on with orders: the same ones to all parties, in one order. A slot is one prompt
 * with its answer; more may be opened and closed while others go on, and those that are past their prompts take a token each in the same step.
 * P0 hears orders some steps ahead (ENG_AHEAD) and deals for them. The run ends with an order to stop, at any time: a step under way ends
 * between two rounds. All of it is public between the parties, but for the keys of the input masks, which go to their two holders. */
#ifndef CACHET_ENGINE_REQUEST_H
#define CACHET_ENGINE_REQUEST_H

#include "base/status.h"
#include "net/link.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ENG_REQUEST_BYTES = 84,
    ENG_REQUEST_KEY = 16,
    ENG_REQUEST_ID = 8,
    ENG_SLOTS = 32,                 /* most slots of a deployment */
    ENG_AHEAD = 8,                  /* orders that P0 may have heard and P1 and P2 not */
    ENG_REQUEST_END = 0x7ffffffd,   /* step ids: of a party's last word in a run, */
    ENG_REQUEST_REPORT = 0x7ffffffe /* and of the report after it */
};

enum eng_request_mode {
    ENG_REQUEST_SAMPLE, /* the client sees the logits of each step's last row and chooses */
    ENG_REQUEST_SCORE,  /* the client sees the logits of every row */
    ENG_REQUEST_ARGMAX, /* the parties choose the largest logit inside; the client sees the token */
};
const char *eng_request_mode_name(enum eng_request_mode mode);

struct eng_request {
    uint32_t prompt_tokens;
    uint32_t new_tokens; /* at most; the client may stop earlier. At least 1 */
    uint32_t chunk;      /* rows of one prefill step */
    /* Of prompt_tokens, the first so many are not sent: the parties put made-up rows into their caches instead, for benchmarks of what
     * comes after a long prompt. Refused unless the parties were started for it. */
    uint32_t made_up;
    enum eng_request_mode mode;
    /* Two parties without P0: no text yet. Each slot that opens is for one that will come, each step makes and keeps its material, and nothing is computed. */
    bool prepare;
    uint8_t id[ENG_REQUEST_ID]; /* of slot 0, for logs */
    uint8_t nonce[16];
    uint8_t key1[ENG_REQUEST_KEY],
        key2[ENG_REQUEST_KEY]; /* masks of the input: with (P0, P1) and with (P0, P2) */
};

void eng_request_encode(const struct eng_request *request, uint8_t ret[ENG_REQUEST_BYTES]);
/* Errors: BASE_ERR_PEER (not a request of this version). */
BASE_MUST_USE enum base_status eng_request_decode(const uint8_t *bytes, size_t size, struct eng_request *ret,
                                                  struct base_error *error);

/* A ping instead of a request: its bytes come back. What `cachet check` measures links with. */
enum { ENG_PING_MAX = 8 << 20 };
/* Round trip of `size` bytes in seconds. Errors: those of the link. */
BASE_MUST_USE enum base_status eng_ping(struct net_link *link, size_t size, double *ret_seconds,
                                        struct base_error *error);
/* How far the peer's clock is ahead of this one, in seconds, within half the round trip. Nothing depends on clocks but the times in logs. */
BASE_MUST_USE enum base_status eng_ask_clock(struct net_link *link, double *ret_ahead, double *ret_round_trip, struct base_error *error);
/* Whether a message is a ping; if so it becomes its answer: the same bytes, with the time in one that asks for it. */
bool eng_answer_ping(uint8_t *bytes, size_t size);

enum eng_order_kind {
    ENG_ORDER_STEP = 1, /* the next rows of the prompt of one slot, or a token for each of some slots */
    ENG_ORDER_OPEN,     /* a slot for another request */
    ENG_ORDER_CLOSE,    /* a slot is free again */
    ENG_ORDER_STOP,     /* the run ends */
};
struct eng_order {
    enum eng_order_kind kind;
    uint32_t slots; /* bit i: slot i */
    uint32_t prompt_tokens, new_tokens, made_up; /* open: as those of a request */
    uint8_t id[ENG_REQUEST_ID];
};
enum { ENG_ORDER_BYTES = 28 };
/* number: of the order in its run, from 0. Errors: those of the link; BASE_ERR_PEER (not an order). */
BASE_MUST_USE enum base_status eng_order_send(struct net_link *link, uint32_t number, const struct eng_order *order,
                                              struct base_error *error);
BASE_MUST_USE enum base_status eng_order_receive(struct net_link *link, uint32_t number, struct eng_order *ret,
                                                 struct base_error *error);

/* What P1 and P2 say after each step, and P0 when it has dealt for one; all of it is public. */
struct eng_step_report {
    uint64_t online; /* bytes to the other computing party; P0: bytes dealt */
    uint64_t dealt;  /* bytes that P0 has dealt for it, as declared */
    uint32_t rounds, milliseconds;
    uint32_t waited; /* of these milliseconds, for other parties */
};
enum { ENG_STEP_REPORT_BYTES = 28 };
void eng_step_report_encode(const struct eng_step_report *report, uint8_t ret[ENG_STEP_REPORT_BYTES]);
void eng_step_report_decode(const uint8_t bytes[ENG_STEP_REPORT_BYTES], struct eng_step_report *ret);

/* After each layer of a step that reads a prompt, or that is made ahead of use, P1 says so: for people who wait. Its number, from 1. */
enum { ENG_PROGRESS_BYTES = 4 };
BASE_MUST_USE enum base_status eng_progress_send(struct net_link *link, size_t layer, struct base_error *error);
BASE_MUST_USE enum base_status eng_progress_receive(struct net_link *link, size_t layer, struct base_error *error);

/* Two parties without P0: what each of them says when a slot has opened, as masks that were drawn ahead of use are not those of the request's keys. */
enum eng_text_source {
    ENG_TEXT_MADE,    /* each step's material is made just before it: there is no spool */
    ENG_TEXT_DRY,     /* the same: there is one, and it has no text of this form */
    ENG_TEXT_SPOOLED, /* it was made ahead of use */
    ENG_TEXT_SOURCES,
};
struct eng_text_word {
    enum eng_text_source source;
    uint32_t left; /* texts of this form that wait after it */
    uint8_t key[ENG_REQUEST_KEY]; /* of this party's masks of the input. Secret */
};
enum { ENG_TEXT_WORD_BYTES = 24 };
BASE_MUST_USE enum base_status eng_text_word_send(struct net_link *link, const struct eng_text_word *word, struct base_error *error);
/* Errors: those of the link; BASE_ERR_PEER (not such a word). */
BASE_MUST_USE enum base_status eng_text_word_receive(struct net_link *link, struct eng_text_word *ret, struct base_error *error);

/* One phase of one party. */
struct eng_phase_usage {
    uint64_t tokens;
    uint64_t rounds;
    uint64_t online;  /* bytes to the other compute party */
    uint64_t offline; /* bytes dealt */
    uint64_t client;  /* bytes to the client */
    uint64_t microseconds;
    uint64_t kernel_microseconds, network_microseconds; /* of these, in slots (0: not measured) and in links */
    uint64_t cpu_microseconds; /* of this process (three parties in one process share it), in whole milliseconds */
};
struct eng_usage {
    struct eng_phase_usage prefill, decode;
    uint64_t opened;      /* values opened to the client or inside, through the registry */
    uint64_t peak_memory; /* bytes of this process */
};
enum { ENG_USAGE_FIELDS = 20, ENG_USAGE_BYTES = ENG_USAGE_FIELDS * 8 };
void eng_usage_encode(const struct eng_usage *usage, uint8_t ret[ENG_USAGE_BYTES]);
void eng_usage_decode(const uint8_t bytes[ENG_USAGE_BYTES], struct eng_usage *ret);

#endif
