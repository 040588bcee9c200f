#include "engine/request.h"

#include "base/clock.h"
#include "base/memory.h"

#include <string.h>

static const char magic[8] = "CCHTREQ2";
static const size_t AT_PROMPT = 8, AT_NEW = 12, AT_CHUNK = 16, AT_MODE = 20, AT_NONCE = 24, AT_KEY1 = 40,
                    AT_KEY2 = 56, AT_MADE_UP = 72;

void eng_request_encode(const struct eng_request *r, uint8_t ret[ENG_REQUEST_BYTES])
{
    memcpy(ret, magic, sizeof magic);
    base_store_u32(ret + AT_PROMPT, r->prompt_tokens);
    base_store_u32(ret + AT_NEW, r->new_tokens);
    base_store_u32(ret + AT_CHUNK, r->chunk);
    base_store_u32(ret + AT_MODE, (uint32_t)r->mode);
    memcpy(ret + AT_NONCE, r->nonce, sizeof r->nonce);
    memcpy(ret + AT_KEY1, r->key1, sizeof r->key1);
    memcpy(ret + AT_KEY2, r->key2, sizeof r->key2);
    base_store_u32(ret + AT_MADE_UP, r->made_up);
}

enum base_status eng_request_decode(const uint8_t *bytes, size_t size, struct eng_request *ret,
                                    struct base_error *error)
{
    enum base_status status = BASE_OK;
    TRY_THAT(
        size == ENG_REQUEST_BYTES && memcmp(bytes, magic, sizeof magic) == 0, error, BASE_ERR_PEER,
        "the request of %zu bytes is not one of this version (%d bytes): use one build of cachet everywhere",
        size, ENG_REQUEST_BYTES);
    uint32_t mode = base_load_u32(bytes + AT_MODE);
    TRY_THAT(mode <= ENG_REQUEST_ARGMAX, error, BASE_ERR_PEER, "the request's mode is %u: must be 0 to %d",
             mode, ENG_REQUEST_ARGMAX);
    ret->prompt_tokens = base_load_u32(bytes + AT_PROMPT);
    ret->new_tokens = base_load_u32(bytes + AT_NEW);
    ret->chunk = base_load_u32(bytes + AT_CHUNK);
    ret->mode = (enum eng_request_mode)mode;
    memcpy(ret->nonce, bytes + AT_NONCE, sizeof ret->nonce);
    memcpy(ret->key1, bytes + AT_KEY1, sizeof ret->key1);
    memcpy(ret->key2, bytes + AT_KEY2, sizeof ret->key2);
    ret->made_up = base_load_u32(bytes + AT_MADE_UP);
out:
    return status;
}

static const char ping_magic[8] = "CCHTPNG1";

bool eng_is_ping(const uint8_t *bytes, size_t size)
{
    return size >= sizeof ping_magic && memcmp(bytes, ping_magic, sizeof ping_magic) == 0;
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
    TRY(net_link_send_blob(link, 0, sent, size, error));
    TRY(net_link_receive_blob(link, 0, size, &back, &back_size, error));
    *ret_seconds = base_clock_seconds() - start;
    TRY_THAT(back_size == size && memcmp(sent, back, size) == 0, error, BASE_ERR_PEER,
             "%s: a ping of %zu bytes came back changed", net_link_peer(link), size);
out:
    base_free(&sent);
    base_free_secret(&back);
    return status;
}

enum base_status eng_control_send(struct net_link *link, uint32_t step, enum eng_control control,
                                  struct base_error *error)
{
    uint8_t word[8];
    base_store_u64(word, (uint64_t)control);
    return net_link_send(link, step, word, sizeof word, error);
}

enum base_status eng_control_receive(struct net_link *link, uint32_t step, enum eng_control *ret,
                                     struct base_error *error)
{
    uint8_t word[8];
    enum base_status status = BASE_OK;
    TRY(net_link_receive(link, step, word, sizeof word, error));
    uint64_t value = base_load_u64(word);
    TRY_THAT(value == ENG_CONTROL_GO || value == ENG_CONTROL_STOP, error, BASE_ERR_PEER,
             "%s: the control word is %llu: must be 1 (go) or 2 (stop)", net_link_peer(link),
             (unsigned long long)value);
    *ret = (enum eng_control)value;
out:
    return status;
}

/* The fields of a report in their order. */
static size_t fields_of(struct eng_usage *u, uint64_t *ret[ENG_USAGE_FIELDS])
{
    uint64_t *all[ENG_USAGE_FIELDS] = {
        &u->prefill.tokens,           &u->prefill.rounds,         &u->prefill.online, &u->prefill.offline,
        &u->prefill.microseconds,     &u->decode.tokens,          &u->decode.rounds,  &u->decode.online,
        &u->decode.offline,           &u->decode.microseconds,    &u->opened,         &u->peak_memory,
        &u->prefill.cpu_microseconds, &u->decode.cpu_microseconds, &u->prefill.client, &u->decode.client};
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
