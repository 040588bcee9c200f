#include "tests/engine/decoder/liar_support.h"

#include "base/random.h"
#include "engine/session.h"
#include "net/link.h"

#include <stdlib.h>
#include <string.h>

struct liar liar = {.role = -1};
size_t liar_said_by[LIAR_ROLES];
_Thread_local int liar_own_role = -1;

static uint64_t draw(void)
{
    return base_random_next(&liar.random);
}

size_t liar_below(size_t n)
{
    return n == 0 ? 0 : (size_t)(draw() % n);
}

static void fill(uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)draw();
}

static void put_number(uint8_t *data, size_t size)
{
    static const uint64_t edges[] = {0, 1, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0x80000000u, 0xffffffffu, 0x7fffffffffffffffu, 0x8000000000000000u, UINT64_MAX};
    size_t width = (size_t)1 << liar_below(4);
    if (size < width)
        return;
    uint64_t edge = edges[liar_below(sizeof edges / sizeof *edges)];
    memcpy(data + liar_below(size / width) * width, &edge, width);
}

/* Turns a message of `size` bytes into the lie; data has room for as many again and 64. */
static void lie_about(uint8_t *data, size_t *size, uint32_t *step)
{
    size_t at = liar_below(*size), run = liar_below(*size - at) + 1;
    switch (liar.lie) {
    case LIE_BIT:
        data[at] ^= (uint8_t)(1u << liar_below(8));
        break;
    case LIE_NOISE:
        fill(data, *size);
        break;
    case LIE_RUN:
        fill(data + at, run);
        break;
    case LIE_ZEROS:
        memset(data, 0, *size);
        break;
    case LIE_ONES:
        memset(data, 0xff, *size);
        break;
    case LIE_NUMBER:
        put_number(data, *size);
        break;
    case LIE_REPLAY:
        memcpy(data, liar.last, liar.last_size < *size ? liar.last_size : *size);
        break;
    case LIE_SHORT:
        *size = at;
        break;
    case LIE_LONG:
        fill(data + *size, 64);
        *size += 1 + liar_below(64);
        break;
    case LIE_STEP:
        *step = draw() % 2 == 0 ? *step + 1 : (uint32_t)draw();
        break;
    case LIE_TWICE:
    case LIE_SILENCE:
    case LIES_COUNT:
        break;
    }
}

static void remember(const void *data, size_t size)
{
    if (size > liar.last_capacity) {
        free(liar.last);
        liar.last = must_alloc(size, 1);
        liar.last_capacity = size;
    }
    memcpy(liar.last, data, size);
    liar.last_size = size;
}

/* What is said instead of a message: its copy, possibly a lie. times: how often. */
struct words {
    uint8_t *data;
    size_t size;
    uint32_t step;
    int times;
};

static struct words words_for(uint32_t step, const void *data, size_t size)
{
    struct words w = {.data = must_alloc(2 * size + 64, 1), .size = size, .step = step, .times = 1};
    memcpy(w.data, data, size);
    size_t number = liar.said++;
    if (number >= liar.from && number - liar.from < liar.count && size > 0) {
        lie_about(w.data, &w.size, &w.step);
        w.times = liar.lie == LIE_TWICE ? 2 : liar.lie == LIE_SILENCE ? 0 : 1;
    }
    remember(data, size);
    return w;
}

static bool lies(void)
{
    if (liar_own_role >= 0 && liar.role < 0)
        (void)__atomic_fetch_add(&liar_said_by[liar_own_role], 1, __ATOMIC_RELAXED);
    return liar_own_role >= 0 && liar_own_role == liar.role;
}

typedef enum base_status (*send_fn)(struct net_link *link, uint32_t step, const void *data, size_t size, struct base_error *error);

static enum base_status say(send_fn send, struct net_link *link, uint32_t step, const void *data, size_t size, struct base_error *error)
{
    if (!lies())
        return send(link, step, data, size, error);
    enum base_status status = BASE_OK;
    struct words w = words_for(step, data, size);
    for (int i = 0; i < w.times && status == BASE_OK; i++)
        status = send(link, w.step, w.data, w.size, error);
    free(w.data);
    return status;
}

enum base_status __real_net_link_send(struct net_link *link, uint32_t step, const void *data, size_t size, struct base_error *error);
enum base_status __wrap_net_link_send(struct net_link *link, uint32_t step, const void *data, size_t size, struct base_error *error);
enum base_status __wrap_net_link_send(struct net_link *link, uint32_t step, const void *data, size_t size, struct base_error *error)
{
    return say(__real_net_link_send, link, step, data, size, error);
}

enum base_status __real_net_link_send_blob(struct net_link *link, uint32_t step, const void *data, size_t size, struct base_error *error);
enum base_status __wrap_net_link_send_blob(struct net_link *link, uint32_t step, const void *data, size_t size, struct base_error *error);
enum base_status __wrap_net_link_send_blob(struct net_link *link, uint32_t step, const void *data, size_t size, struct base_error *error)
{
    return say(__real_net_link_send_blob, link, step, data, size, error);
}

enum base_status __real_net_link_exchange(struct net_link *link, uint32_t step, const void *send_data, size_t send_size, void *ret_data, size_t receive_size,
                                          struct base_error *error);
enum base_status __wrap_net_link_exchange(struct net_link *link, uint32_t step, const void *send_data, size_t send_size, void *ret_data, size_t receive_size,
                                          struct base_error *error);
enum base_status __wrap_net_link_exchange(struct net_link *link, uint32_t step, const void *send_data, size_t send_size, void *ret_data, size_t receive_size,
                                          struct base_error *error)
{
    if (!lies())
        return __real_net_link_exchange(link, step, send_data, send_size, ret_data, receive_size, error);
    struct words w = words_for(step, send_data, send_size);
    enum base_status status = BASE_OK;
    if (w.times == 2)
        status = __real_net_link_send(link, w.step, w.data, w.size, error);
    if (status == BASE_OK)
        status = __real_net_link_exchange(link, w.step, w.data, w.times == 0 ? 0 : w.size, ret_data, receive_size, error);
    free(w.data);
    return status;
}

/* Each role runs in a thread of its own. */
enum base_status __real_eng_session_join(struct eng_session *session, const struct eng_session_links *links, struct base_error *error);
enum base_status __wrap_eng_session_join(struct eng_session *session, const struct eng_session_links *links, struct base_error *error);
enum base_status __wrap_eng_session_join(struct eng_session *session, const struct eng_session_links *links, struct base_error *error)
{
    liar_own_role = (int)session->party.role;
    return __real_eng_session_join(session, links, error);
}

enum base_status __real_eng_session_serve(struct eng_session *session, struct net_link *client, struct eng_served *ret, struct base_error *error);
enum base_status __wrap_eng_session_serve(struct eng_session *session, struct net_link *client, struct eng_served *ret, struct base_error *error);
enum base_status __wrap_eng_session_serve(struct eng_session *session, struct net_link *client, struct eng_served *ret, struct base_error *error)
{
    liar_own_role = (int)session->party.role;
    return __real_eng_session_serve(session, client, ret, error);
}

enum base_status __real_net_link_create(struct net_link **ret, const struct net_carrier *functions, void *carrier, const char *peer, uint16_t stream,
                                        struct base_error *error);
enum base_status __wrap_net_link_create(struct net_link **ret, const struct net_carrier *functions, void *carrier, const char *peer, uint16_t stream,
                                        struct base_error *error);
enum base_status __wrap_net_link_create(struct net_link **ret, const struct net_carrier *functions, void *carrier, const char *peer, uint16_t stream,
                                        struct base_error *error)
{
    enum base_status status = __real_net_link_create(ret, functions, carrier, peer, stream, error);
    if (status == BASE_OK)
        net_link_set_timeout(*ret, LIAR_DEADLINE_MS);
    return status;
}

void liar_choose(int role)
{
    liar.lie = (enum lie)liar_below(liar_below(4) == 0 ? LIES_COUNT : LIE_CONTENTS);
    liar.from = liar_below(liar_said_by[role] + 1);
    liar.count = liar_below(4) == 0 ? SIZE_MAX : 1 + liar_below(3);
    liar.said = 0;
}

void liar_judge(enum base_status status, const struct base_error *error, const char *who)
{
    bool named = status == BASE_OK || status == BASE_ERR_ARGUMENT || status == BASE_ERR_RANGE || status == BASE_ERR_PEER || status == BASE_ERR_MISMATCH ||
                 status == BASE_ERR_TIMEOUT || status == BASE_ERR_CLOSED || status == BASE_ERR_SUPPORT;
    if (liar.role < 0 && status != BASE_OK)
        fail_msg("%s, and nobody lies: %s", who, error->text);
    if (!named || (status != BASE_OK && error->text[0] == '\0'))
        fail_msg("%s: error %d, %s", who, (int)status, error->text);
}

void liar_finish(void)
{
    free(liar.last);
    liar.last = NULL;
    liar.last_size = liar.last_capacity = 0;
}

void liar_arguments(int count, char **words, size_t *lies, uint64_t *seed)
{
    if (count > 1)
        *lies = (size_t)strtoul(words[1], NULL, 10);
    if (count > 2)
        *seed = (uint64_t)strtoull(words[2], NULL, 10);
}
