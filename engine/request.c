#include "engine/request.h"

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/memory.h"

#include <string.h>
#include <time.h>

static const char magic[8] = "CCHTREQ3";
static const size_t AT_PROMPT = 8, AT_NEW = 12, AT_CHUNK = 16, AT_MODE = 20, AT_NONCE = 24, AT_KEY1 = 40,
                    AT_KEY2 = 56, AT_MADE_UP = 72, AT_ID = 76;

enum { PREPARE = 1 << 16 }; /* beside the mode */

const char *eng_request_mode_name(enum eng_request_mode mode)
{
    static const char *const names[] = {"sample", "score", "inside"};
    return names[mode];
}

void eng_request_encode(const struct eng_request *r, uint8_t ret[ENG_REQUEST_BYTES])
{
    memcpy(ret, magic, sizeof magic);
    base_store_u32(ret + AT_PROMPT, r->prompt_tokens);
    base_store_u32(ret + AT_NEW, r->new_tokens);
    base_store_u32(ret + AT_CHUNK, r->chunk);
    base_store_u32(ret + AT_MODE, (uint32_t)r->mode | (r->prepare ? PREPARE : 0));
    memcpy(ret + AT_NONCE, r->nonce, sizeof r->nonce);
    memcpy(ret + AT_KEY1, r->key1, sizeof r->key1);
    memcpy(ret + AT_KEY2, r->key2, sizeof r->key2);
    base_store_u32(ret + AT_MADE_UP, r->made_up);
    memcpy(ret + AT_ID, r->id, sizeof r->id);
}

enum base_status eng_request_decode(const uint8_t *bytes, size_t size, struct eng_request *ret,
                                    struct base_error *error)
{
    enum base_status status = BASE_OK;
    TRY_THAT(
        size == ENG_REQUEST_BYTES && memcmp(bytes, magic, sizeof magic) == 0, error, BASE_ERR_PEER,
        "the request of %zu bytes is not one of this version (%d bytes): use one build of cachet everywhere",
        size, ENG_REQUEST_BYTES);
    uint32_t word = base_load_u32(bytes + AT_MODE), mode = word & ~(uint32_t)PREPARE;
    TRY_THAT(mode <= ENG_REQUEST_ARGMAX, error, BASE_ERR_PEER, "the request's mode is %u: must be 0 to %d",
             mode, ENG_REQUEST_ARGMAX);
    ret->prompt_tokens = base_load_u32(bytes + AT_PROMPT);
    ret->new_tokens = base_load_u32(bytes + AT_NEW);
    ret->chunk = base_load_u32(bytes + AT_CHUNK);
    ret->mode = (enum eng_request_mode)mode;
    ret->prepare = (word & PREPARE) != 0;
    memcpy(ret->nonce, bytes + AT_NONCE, sizeof ret->nonce);
    memcpy(ret->key1, bytes + AT_KEY1, sizeof ret->key1);
    memcpy(ret->key2, bytes + AT_KEY2, sizeof ret->key2);
    ret->made_up = base_load_u32(bytes + AT_MADE_UP);
    memcpy(ret->id, bytes + AT_ID, sizeof ret->id);
out:
    return status;
}

static const char ping_magic[8] = "CCHTPNG1";

/* One that asks for the time, in microseconds since 1970. */
static const char clock_magic[8] = "CCHTCLK1";
enum { CLOCK_BYTES = 16 };

static double wall_seconds(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

bool eng_answer_ping(uint8_t *bytes, size_t size)
{
    if (size == CLOCK_BYTES && memcmp(bytes, clock_magic, sizeof clock_magic) == 0) {
        base_store_u64(bytes + sizeof clock_magic, (uint64_t)(wall_seconds() * 1e6));
        return true;
    }
    return size >= sizeof ping_magic && memcmp(bytes, ping_magic, sizeof ping_magic) == 0;
}

enum base_status eng_ask_clock(struct net_link *link, double *ret_ahead, double *ret_round_trip, struct base_error *error)
{
    enum base_status status = BASE_OK;
    unsigned char *back = NULL;
    size_t size = 0;
    uint8_t asked[CLOCK_BYTES] = {0};
    memcpy(asked, clock_magic, sizeof clock_magic);
    double start = base_clock_seconds(), sent = wall_seconds();
    BASE_FAIL_SEND("engine.clock.send");
    TRY(net_link_send_blob(link, 0, asked, sizeof asked, error));
    BASE_FAIL_RECEIVE("engine.clock.receive");
    TRY(net_link_receive_blob(link, 0, sizeof asked, &back, &size, error));
    *ret_round_trip = base_clock_seconds() - start;
    TRY_THAT(size == sizeof asked && memcmp(back, asked, sizeof clock_magic) == 0, error, BASE_ERR_PEER,
             "%s: it did not say what time it is", net_link_peer(link));
    *ret_ahead = (double)base_load_u64(back + sizeof clock_magic) * 1e-6 - (sent + *ret_round_trip / 2);
out:
    base_free_secret(&back);
    return status;
}

enum base_status eng_ping(struct net_link *link, size_t size, double *ret_seconds, struct base_error *error)
{
    enum base_status status = BASE_OK;
    unsigned char *sent = NULL, *back = NULL;
    size_t back_size = 0;
    size = size < sizeof ping_magic ? sizeof ping_magic : size;
    TRY(base_alloc(&sent, size, 1, error));
    memcpy(sent, ping_magic, sizeof ping_magic);
    double start = base_clock_seconds();
    BASE_FAIL_SEND("engine.ping.send");
    TRY(net_link_send_blob(link, 0, sent, size, error));
    BASE_FAIL_RECEIVE("engine.ping.receive");
    TRY(net_link_receive_blob(link, 0, size, &back, &back_size, error));
    *ret_seconds = base_clock_seconds() - start;
    TRY_THAT(back_size == size && memcmp(sent, back, size) == 0, error, BASE_ERR_PEER,
             "%s: a ping of %zu bytes came back changed", net_link_peer(link), size);
out:
    base_free(&sent);
    base_free_secret(&back);
    return status;
}

/* Orders count for themselves, so that one to stop is understood wherever the step under way is. */
enum { ORDER_STEP = 0x40000000 };

enum base_status eng_order_send(struct net_link *link, uint32_t number, const struct eng_order *order,
                                struct base_error *error)
{
    uint8_t bytes[ENG_ORDER_BYTES];
    base_store_u32(bytes, (uint32_t)order->kind);
    base_store_u32(bytes + 4, order->slots);
    base_store_u32(bytes + 8, order->prompt_tokens);
    base_store_u32(bytes + 12, order->new_tokens);
    base_store_u32(bytes + 16, order->made_up);
    memcpy(bytes + 20, order->id, sizeof order->id);
    BASE_FAIL_SEND("engine.order.send");
    return net_link_send(link, ORDER_STEP + number, bytes, sizeof bytes, error);
}

enum base_status eng_order_receive(struct net_link *link, uint32_t number, struct eng_order *ret,
                                   struct base_error *error)
{
    uint8_t bytes[ENG_ORDER_BYTES];
    enum base_status status = BASE_OK;
    BASE_FAIL_RECEIVE("engine.order.receive");
    TRY(net_link_receive(link, ORDER_STEP + number, bytes, sizeof bytes, error));
    uint32_t kind = base_load_u32(bytes);
    TRY_THAT(kind >= ENG_ORDER_STEP && kind <= ENG_ORDER_STOP, error, BASE_ERR_PEER,
             "%s: an order of kind %u: must be %d to %d", net_link_peer(link), kind, ENG_ORDER_STEP, ENG_ORDER_STOP);
    *ret = (struct eng_order){.kind = (enum eng_order_kind)kind,
                              .slots = base_load_u32(bytes + 4),
                              .prompt_tokens = base_load_u32(bytes + 8),
                              .new_tokens = base_load_u32(bytes + 12),
                              .made_up = base_load_u32(bytes + 16)};
    memcpy(ret->id, bytes + 20, sizeof ret->id);
out:
    return status;
}

void eng_step_report_encode(const struct eng_step_report *report, uint8_t ret[ENG_STEP_REPORT_BYTES])
{
    base_store_u64(ret, report->online);
    base_store_u64(ret + 8, report->dealt);
    base_store_u32(ret + 16, report->rounds);
    base_store_u32(ret + 20, report->milliseconds);
    base_store_u32(ret + 24, report->waited);
}

void eng_step_report_decode(const uint8_t bytes[ENG_STEP_REPORT_BYTES], struct eng_step_report *ret)
{
    *ret = (struct eng_step_report){.online = base_load_u64(bytes),
                                    .dealt = base_load_u64(bytes + 8),
                                    .rounds = base_load_u32(bytes + 16),
                                    .milliseconds = base_load_u32(bytes + 20),
                                    .waited = base_load_u32(bytes + 24)};
}

enum { PROGRESS_STEP = 0x50000000 };

enum base_status eng_progress_send(struct net_link *link, size_t layer, struct base_error *error)
{
    uint8_t word[ENG_PROGRESS_BYTES];
    base_store_u32(word, (uint32_t)layer);
    BASE_FAIL_SEND("engine.progress.send");
    return net_link_send(link, PROGRESS_STEP + (uint32_t)layer, word, sizeof word, error);
}

enum base_status eng_progress_receive(struct net_link *link, size_t layer, struct base_error *error)
{
    uint8_t word[ENG_PROGRESS_BYTES];
    BASE_FAIL_RECEIVE("engine.progress.receive");
    return net_link_receive(link, PROGRESS_STEP + (uint32_t)layer, word, sizeof word, error);
}

enum { TEXT_STEP = 0x54455854 };

enum base_status eng_text_word_send(struct net_link *link, const struct eng_text_word *word, struct base_error *error)
{
    uint8_t bytes[ENG_TEXT_WORD_BYTES];
    base_store_u32(bytes, (uint32_t)word->source);
    base_store_u32(bytes + 4, word->left);
    memcpy(bytes + 8, word->key, sizeof word->key);
    BASE_FAIL_SEND("engine.text.send");
    enum base_status status = net_link_send(link, TEXT_STEP, bytes, sizeof bytes, error);
    base_wipe(bytes, sizeof bytes);
    return status;
}

enum base_status eng_text_word_receive(struct net_link *link, struct eng_text_word *ret, struct base_error *error)
{
    uint8_t bytes[ENG_TEXT_WORD_BYTES];
    enum base_status status = BASE_OK;
    BASE_FAIL_RECEIVE("engine.text.receive");
    TRY(net_link_receive(link, TEXT_STEP, bytes, sizeof bytes, error));
    uint32_t source = base_load_u32(bytes);
    TRY_THAT(source < ENG_TEXT_SOURCES, error, BASE_ERR_PEER, "%s: material of kind %u: must be 0 to %d", net_link_peer(link), source, ENG_TEXT_SOURCES - 1);
    ret->source = (enum eng_text_source)source;
    ret->left = base_load_u32(bytes + 4);
    memcpy(ret->key, bytes + 8, sizeof ret->key);
out:
    base_wipe(bytes, sizeof bytes);
    return status;
}

/* The fields of a report in their order. */
static size_t fields_of(struct eng_usage *u, uint64_t *ret[ENG_USAGE_FIELDS])
{
    uint64_t *all[ENG_USAGE_FIELDS] = {
        &u->prefill.tokens,           &u->prefill.rounds,         &u->prefill.online, &u->prefill.offline,
        &u->prefill.microseconds,     &u->decode.tokens,          &u->decode.rounds,  &u->decode.online,
        &u->decode.offline,           &u->decode.microseconds,    &u->opened,         &u->peak_memory,
        &u->prefill.cpu_microseconds, &u->decode.cpu_microseconds, &u->prefill.client, &u->decode.client,
        &u->prefill.kernel_microseconds, &u->prefill.network_microseconds, &u->decode.kernel_microseconds,
        &u->decode.network_microseconds};
    memcpy(ret, all, sizeof all);
    return sizeof all / sizeof *all;
}

void eng_usage_encode(const struct eng_usage *usage, uint8_t ret[ENG_USAGE_BYTES])
{
    struct eng_usage copy = *usage;
    uint64_t *field[ENG_USAGE_FIELDS];
    for (size_t i = 0, n = fields_of(&copy, field); i < n; i++)
        base_store_u64(ret + 8 * i, *field[i]);
}

void eng_usage_decode(const uint8_t bytes[ENG_USAGE_BYTES], struct eng_usage *ret)
{
    uint64_t *field[ENG_USAGE_FIELDS];
    for (size_t i = 0, n = fields_of(ret, field); i < n; i++)
        *field[i] = base_load_u64(bytes + 8 * i);
}
