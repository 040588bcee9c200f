/* A request as the client sends it to every party, and what a party reports at its end. All of it is public
 * between the parties, but for the keys of the input masks, which go to their two holders. */
#ifndef CACHET_ENGINE_REQUEST_H
#define CACHET_ENGINE_REQUEST_H

#include "base/status.h"
#include "net/link.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ENG_REQUEST_BYTES = 76,
    ENG_REQUEST_KEY = 16,
    ENG_REQUEST_REPORT = 0x7ffffffe /* step id of the report */
};

enum eng_request_mode {
    ENG_REQUEST_SAMPLE, /* the client sees the logits of each step's last row and chooses */
    ENG_REQUEST_SCORE,  /* the client sees the logits of every row */
    ENG_REQUEST_ARGMAX, /* the parties choose the largest logit inside; the client sees the token */
};

struct eng_request {
    uint32_t prompt_tokens;
    uint32_t new_tokens; /* at most; the client may stop earlier. At least 1 */
    uint32_t chunk;      /* rows of one prefill step */
    /* Of prompt_tokens, the first so many are not sent: the parties put made-up rows into their caches instead, for benchmarks of what
     * comes after a long prompt. Refused unless the parties were started for it. */
    uint32_t made_up;
    enum eng_request_mode mode;
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
/* Whether a message is a ping. */
bool eng_is_ping(const uint8_t *bytes, size_t size);

/* What the client tells P1 and P2 before each step after its prompt, and P0 at the end. */
enum eng_control { ENG_CONTROL_GO = 1, ENG_CONTROL_STOP = 2 };
BASE_MUST_USE enum base_status eng_control_send(struct net_link *link, uint32_t step,
                                                enum eng_control control, struct base_error *error);
BASE_MUST_USE enum base_status eng_control_receive(struct net_link *link, uint32_t step,
                                                   enum eng_control *ret, struct base_error *error);

/* One phase of one party. */
struct eng_phase_usage {
    uint64_t tokens;
    uint64_t rounds;
    uint64_t online;  /* bytes to the other compute party */
    uint64_t offline; /* bytes dealt */
    uint64_t client;  /* bytes to the client */
    uint64_t microseconds;
    uint64_t cpu_microseconds; /* of this process (three parties in one process share it), in whole milliseconds */
};
struct eng_usage {
    struct eng_phase_usage prefill, decode;
    uint64_t opened;      /* values opened to the client or inside, through the registry */
    uint64_t peak_memory; /* bytes of this process */
};
enum { ENG_USAGE_FIELDS = 16, ENG_USAGE_BYTES = ENG_USAGE_FIELDS * 8 };
void eng_usage_encode(const struct eng_usage *usage, uint8_t ret[ENG_USAGE_BYTES]);
void eng_usage_decode(const uint8_t bytes[ENG_USAGE_BYTES], struct eng_usage *ret);

#endif
