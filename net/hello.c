#include "net/hello.h"

#include "base/failpoint.h"
#include "base/memory.h"
#include "base/text.h"
#include "net/frame.h"
#include "net/internal.h"

#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* The message: version 1, own id 1, expected id 1, nonce 32, config digest 32, field count 1, then per field:
 * kind 1 (text or bytes), name length 1, name, value length 2, value. */
enum {
    HELLO_VERSION = 1,
    HEAD_SIZE = 4 + NET_HELLO_NONCE + NET_HELLO_DIGEST,
    MESSAGE_MAX = HEAD_SIZE + NET_HELLO_FIELDS * (4 + NET_HELLO_NAME + NET_HELLO_VALUE),
    SHOWN_SIZE = 80,
};

/* A field as it lies in a message. */
struct view {
    bool is_text;
    const uint8_t *name, *value;
    size_t name_size, value_size;
};

struct parsed {
    uint8_t own_id, peer_id;
    const uint8_t *nonce, *config_digest;
    size_t count;
    struct view fields[NET_HELLO_FIELDS];
};

static enum base_status write_message(const struct net_hello_config *config, const uint8_t *nonce,
                                      uint8_t *ret_bytes, size_t *ret_size, struct base_error *error)
{
    uint8_t *at = ret_bytes + HEAD_SIZE;
    if (config->field_count > NET_HELLO_FIELDS)
        return base_fail(error, BASE_ERR_ARGUMENT, "HELLO has %zu fields, at most %d fit",
                         config->field_count, NET_HELLO_FIELDS);
    ret_bytes[0] = HELLO_VERSION;
    ret_bytes[1] = config->own_id;
    ret_bytes[2] = config->peer_id;
    memcpy(ret_bytes + 3, nonce, NET_HELLO_NONCE);
    memcpy(ret_bytes + 3 + NET_HELLO_NONCE, config->config_digest, NET_HELLO_DIGEST);
    ret_bytes[HEAD_SIZE - 1] = (uint8_t)config->field_count;
    for (size_t i = 0; i < config->field_count; i++) {
        const struct net_hello_field *field = &config->fields[i];
        size_t name_size = strlen(field->name),
               size = field->text != NULL ? strlen(field->text) : field->size;
        if (name_size > NET_HELLO_NAME || size > NET_HELLO_VALUE)
            return base_fail(error, BASE_ERR_ARGUMENT, "HELLO field %.64s has %zu bytes, at most %d fit",
                             field->name, size, NET_HELLO_VALUE);
        at[0] = field->text != NULL;
        at[1] = (uint8_t)name_size;
        memcpy(at + 2, field->name, name_size);
        base_store_u16(at + 2 + name_size, (uint16_t)size);
        if (size > 0)
            memcpy(at + 4 + name_size, field->text != NULL ? field->text : field->bytes, size);
        at += 4 + name_size + size;
    }
    *ret_size = (size_t)(at - ret_bytes);
    return BASE_OK;
}

/* Reads one field at *at; every length is checked against what is left. */
static bool parse_field(const uint8_t **at, const uint8_t *end, struct view *ret)
{
    const uint8_t *b = *at;
    if (end - b < 2 || b[0] > 1 || b[1] > NET_HELLO_NAME || end - b < 4 + b[1])
        return false;
    size_t size = base_load_u16(b + 2 + b[1]);
    if (size > NET_HELLO_VALUE || (size_t)(end - b) < 4 + (size_t)b[1] + size)
        return false;
    *ret = (struct view){
        .is_text = b[0] == 1, .name = b + 2, .name_size = b[1], .value = b + 4 + b[1], .value_size = size};
    *at = b + 4 + b[1] + size;
    return true;
}

static enum base_status parse_message(const uint8_t *bytes, size_t size, struct parsed *ret,
                                      struct base_error *error)
{
    const uint8_t *at = bytes + HEAD_SIZE, *end = bytes + size;
    if (size < HEAD_SIZE)
        return base_fail(error, BASE_ERR_PEER, "its HELLO has %zu bytes, expected at least %d", size,
                         HEAD_SIZE);
    if (bytes[0] != HELLO_VERSION)
        return base_fail(error, BASE_ERR_MISMATCH,
                         "HELLO version differs: %d here, %u there: run the same build", HELLO_VERSION,
                         bytes[0]);
    ret->own_id = bytes[1];
    ret->peer_id = bytes[2];
    ret->nonce = bytes + 3;
    ret->config_digest = bytes + 3 + NET_HELLO_NONCE;
    ret->count = bytes[HEAD_SIZE - 1];
    if (ret->count > NET_HELLO_FIELDS)
        return base_fail(error, BASE_ERR_PEER, "its HELLO has %zu fields, expected at most %d", ret->count,
                         NET_HELLO_FIELDS);
    for (size_t i = 0; i < ret->count; i++)
        if (!parse_field(&at, end, &ret->fields[i]))
            return base_fail(error, BASE_ERR_PEER, "its HELLO is cut short or malformed in field %zu", i);
    if (at != end)
        return base_fail(error, BASE_ERR_PEER, "its HELLO has %zu bytes too many", (size_t)(end - at));
    return BASE_OK;
}

static void show_value(const struct view *view, char ret_text[SHOWN_SIZE])
{
    if (view->is_text) {
        base_text_clean(ret_text, SHOWN_SIZE, view->value, view->value_size);
        return;
    }
    size_t shown = view->value_size < SHOWN_SIZE / 2 - 1 ? view->value_size : SHOWN_SIZE / 2 - 1;
    for (size_t i = 0; i < shown; i++)
        (void)snprintf(ret_text + 2 * i, 3, "%02x", view->value[i]);
    ret_text[2 * shown] = '\0';
}

static bool same_bytes(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size)
{
    return a_size == b_size && (a_size == 0 || memcmp(a, b, a_size) == 0);
}

static enum base_status compare_view(const struct view *ours, const struct view *theirs,
                                     struct base_error *error)
{
    char name[NET_HELLO_NAME + 1], our_text[SHOWN_SIZE], their_text[SHOWN_SIZE];
    if (ours->is_text == theirs->is_text &&
        same_bytes(ours->value, ours->value_size, theirs->value, theirs->value_size))
        return BASE_OK;
    base_text_clean(name, sizeof name, ours->name, ours->name_size);
    show_value(ours, our_text);
    show_value(theirs, their_text);
    return base_fail(error, BASE_ERR_MISMATCH,
                     "%s differs: \"%s\" here, \"%s\" there: make both the same and start again", name,
                     our_text, their_text);
}

static enum base_status compare_ids(const struct parsed *ours, const struct parsed *theirs,
                                    struct base_error *error)
{
    if (theirs->own_id != ours->peer_id)
        return base_fail(error, BASE_ERR_MISMATCH,
                         "party id differs: %u is expected at the other end, it says it is %u", ours->peer_id,
                         theirs->own_id);
    if (theirs->peer_id != ours->own_id)
        return base_fail(error, BASE_ERR_MISMATCH,
                         "party id differs: this end is %u, the other end expects %u", ours->own_id,
                         theirs->peer_id);
    if (ours->own_id == theirs->own_id)
        return base_fail(error, BASE_ERR_MISMATCH, "party id is %u at both ends", ours->own_id);
    return BASE_OK;
}

/* Fields come in the same order from the same build; another order, a missing or a further one is another
 * build. */
static enum base_status compare(const struct parsed *ours, const struct parsed *theirs,
                                struct base_error *error)
{
    static const char digest_name[] = "config digest";
    char here[NET_HELLO_NAME + 1] = "nothing", there[NET_HELLO_NAME + 1] = "nothing";
    for (size_t i = 0; i < ours->count && i < theirs->count; i++) {
        const struct view *a = &ours->fields[i], *b = &theirs->fields[i];
        if (!same_bytes(a->name, a->name_size, b->name, b->name_size)) {
            base_text_clean(here, sizeof here, a->name, a->name_size);
            base_text_clean(there, sizeof there, b->name, b->name_size);
            return base_fail(error, BASE_ERR_MISMATCH,
                             "HELLO field %zu is \"%s\" here, \"%s\" there: run the same build", i, here,
                             there);
        }
        enum base_status status = compare_view(a, b, error);
        if (status != BASE_OK)
            return status;
    }
    if (ours->count != theirs->count)
        return base_fail(error, BASE_ERR_MISMATCH, "HELLO has %zu fields here, %zu there: run the same build",
                         ours->count, theirs->count);
    enum base_status status = compare_ids(ours, theirs, error);
    if (status != BASE_OK)
        return status;
    struct view our_digest = {.name = (const uint8_t *)digest_name,
                              .name_size = sizeof digest_name - 1,
                              .value = ours->config_digest,
                              .value_size = NET_HELLO_DIGEST};
    struct view their_digest = our_digest;
    their_digest.value = theirs->config_digest;
    return compare_view(&our_digest, &their_digest, error);
}

static void derive_session(const struct parsed *ours, const struct parsed *theirs,
                           uint8_t ret_session[NET_FRAME_SESSION])
{
    static const char label[] = "cachet session 1";
    const struct parsed *low = ours->own_id < theirs->own_id ? ours : theirs,
                        *high = low == ours ? theirs : ours;
    crypto_generichash_state state;
    uint8_t hash[32];
    (void)crypto_generichash_init(&state, NULL, 0, sizeof hash);
    (void)crypto_generichash_update(&state, (const uint8_t *)label, sizeof label - 1);
    (void)crypto_generichash_update(&state, low->nonce, NET_HELLO_NONCE);
    (void)crypto_generichash_update(&state, high->nonce, NET_HELLO_NONCE);
    (void)crypto_generichash_update(&state, ours->config_digest, NET_HELLO_DIGEST);
    (void)crypto_generichash_final(&state, hash, sizeof hash);
    memcpy(ret_session, hash, NET_FRAME_SESSION);
}

enum base_status net_hello(struct net_link *link, const struct net_hello_config *config,
                           uint8_t ret_session[16], struct base_error *error)
{
    enum base_status status;
    struct base_error cause = {0};
    struct parsed ours, theirs;
    uint8_t *own = NULL, *received = NULL, nonce[NET_HELLO_NONCE], session[NET_FRAME_SESSION];
    size_t own_size = 0, received_size = 0;
    TRY_THAT(sodium_init() >= 0, error, BASE_ERR_INTERNAL, "libsodium cannot start");
    TRY(base_alloc(&own, MESSAGE_MAX, 1, error));
    randombytes_buf(nonce, sizeof nonce);
    TRY(write_message(config, nonce, own, &own_size, error));
    /* Both send before they look, so that both can name what differs. */
    BASE_FAIL_SEND("net.hello.send");
    TRY(net_link_send_blob(link, NET_HELLO_STEP, own, own_size, error));
    BASE_FAIL_RECEIVE("net.hello.receive");
    TRY(net_link_receive_blob(link, NET_HELLO_STEP, MESSAGE_MAX, &received, &received_size, error));
    status = parse_message(received, received_size, &theirs, &cause);
    if (status == BASE_OK)
        status = parse_message(own, own_size, &ours, &cause);
    if (status == BASE_OK)
        status = compare(&ours, &theirs, &cause);
    if (status != BASE_OK) {
        net_link_abort(link, &cause);
        status = net_link_fail(link, NET_HELLO_STEP, &cause, error);
        goto out;
    }
    derive_session(&ours, &theirs, session);
    BASE_FINGERPRINT(session, sizeof session);
    net_link_set_session(link, session);
    if (ret_session != NULL)
        memcpy(ret_session, session, sizeof session);
out:
    base_free(&own);
    base_free(&received);
    return status;
}
