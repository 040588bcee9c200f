#include "net/memory_link.h"

#include "base/clock.h"
#include "base/memory.h"
#include "net/frame.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

/* Frames come in two sizes, so that spare ones can be used again without looking for a fit. */
enum { SMALL_NODE = 4096, LARGE_NODE = NET_FRAME_PAYLOAD };

struct node {
    struct node *next;
    uint8_t header[NET_FRAME_HEADER];
    size_t size;
    size_t capacity;
    uint8_t payload[];
};

/* One direction. `queued` and `spare` count capacities, so that memory, not only payload, is bounded. */
struct direction {
    struct node *head, *tail;
    struct node *spare[2];
    size_t queued, spare_bytes;
};

struct pair {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct direction directions[2]; /* [i]: from end i */
    bool closed[2];
    size_t limit;
    int users;
};

struct end {
    struct pair *pair;
    int index;
};

static void free_nodes(struct node *node)
{
    while (node != NULL) {
        struct node *next = node->next;
        base_free_secret(&node);
        node = next;
    }
}

static void pair_free(struct pair *pair)
{
    for (int i = 0; i < 2; i++) {
        free_nodes(pair->directions[i].head);
        free_nodes(pair->directions[i].spare[0]);
        free_nodes(pair->directions[i].spare[1]);
    }
    (void)pthread_cond_destroy(&pair->changed);
    (void)pthread_mutex_destroy(&pair->mutex);
    base_free(&pair);
}

static size_t node_capacity(size_t payload)
{
    return payload <= SMALL_NODE ? SMALL_NODE : LARGE_NODE;
}

/* Waits for a change until the deadline; false when it has passed. */
static bool wait_change(struct pair *pair, int64_t deadline_ms)
{
    if (base_clock_ms() >= deadline_ms)
        return false;
    struct timespec until = {.tv_sec = deadline_ms / 1000, .tv_nsec = deadline_ms % 1000 * 1000000L};
    (void)pthread_cond_timedwait(&pair->changed, &pair->mutex, &until);
    return true;
}

static bool has_room(const struct pair *pair, const struct direction *direction, size_t capacity)
{
    return direction->head == NULL || direction->queued + capacity <= pair->limit;
}

/* A node for `payload` bytes, a spare one if there is one. */
static enum base_status take_node(struct direction *direction, size_t payload, struct node **ret,
                                  struct base_error *error)
{
    size_t capacity = node_capacity(payload);
    struct node **spare = &direction->spare[capacity == LARGE_NODE], *node = *spare;
    if (node != NULL) {
        *spare = node->next;
        direction->spare_bytes -= capacity;
    } else {
        enum base_status status = base_alloc(&node, 1, sizeof *node + capacity, error);
        if (status != BASE_OK)
            return status;
        node->capacity = capacity;
    }
    node->next = NULL;
    *ret = node;
    return BASE_OK;
}

static void give_node(const struct pair *pair, struct direction *direction, struct node *node)
{
    if (direction->spare_bytes + node->capacity > pair->limit) {
        base_free_secret(&node);
        return;
    }
    struct node **spare = &direction->spare[node->capacity == LARGE_NODE];
    direction->spare_bytes += node->capacity;
    node->next = *spare;
    *spare = node;
}

static enum base_status memory_send(void *carrier, const void *header, size_t header_size,
                                    const void *payload, size_t payload_size, int64_t deadline_ms,
                                    struct base_error *error)
{
    struct end *end = carrier;
    struct pair *pair = end->pair;
    struct direction *out = &pair->directions[end->index];
    struct node *node;
    enum base_status status;
    if (header_size != NET_FRAME_HEADER || payload_size > LARGE_NODE)
        return base_fail(error, BASE_ERR_INTERNAL, "a frame of %zu + %zu bytes does not fit", header_size,
                         payload_size);
    (void)pthread_mutex_lock(&pair->mutex);
    while (!pair->closed[1 - end->index] && !has_room(pair, out, node_capacity(payload_size)))
        if (!wait_change(pair, deadline_ms)) {
            status = BASE_ERR_TIMEOUT;
            goto out;
        }
    TRY_THAT(!pair->closed[1 - end->index], error, BASE_ERR_CLOSED, "it has closed the link");
    TRY(take_node(out, payload_size, &node, error));
    memcpy(node->header, header, header_size);
    memcpy(node->payload, payload, payload_size);
    node->size = payload_size;
    if (out->head == NULL)
        out->head = node;
    else
        out->tail->next = node;
    out->tail = node;
    out->queued += node->capacity;
    (void)pthread_cond_broadcast(&pair->changed);
out:
    (void)pthread_mutex_unlock(&pair->mutex);
    return status;
}

static enum base_status memory_receive(void *carrier, void *header, size_t header_size, void *payload,
                                       size_t capacity, size_t *ret_payload_size, int64_t deadline_ms,
                                       struct base_error *error)
{
    struct end *end = carrier;
    struct pair *pair = end->pair;
    struct direction *in = &pair->directions[1 - end->index];
    enum base_status status = BASE_OK;
    (void)pthread_mutex_lock(&pair->mutex);
    while (in->head == NULL) {
        TRY_THAT(!pair->closed[1 - end->index], error, BASE_ERR_CLOSED, "it has closed the link");
        if (!wait_change(pair, deadline_ms)) {
            status = BASE_ERR_TIMEOUT;
            goto out;
        }
    }
    struct node *node = in->head;
    in->head = node->next;
    in->queued -= node->capacity;
    memcpy(header, node->header, header_size < NET_FRAME_HEADER ? header_size : NET_FRAME_HEADER);
    memcpy(payload, node->payload, node->size < capacity ? node->size : capacity);
    *ret_payload_size = node->size;
    give_node(pair, in, node);
    (void)pthread_cond_broadcast(&pair->changed);
out:
    (void)pthread_mutex_unlock(&pair->mutex);
    return status;
}

static int memory_can_send(void *carrier)
{
    struct end *end = carrier;
    struct pair *pair = end->pair;
    (void)pthread_mutex_lock(&pair->mutex);
    int can = pair->closed[1 - end->index] || has_room(pair, &pair->directions[end->index], LARGE_NODE);
    (void)pthread_mutex_unlock(&pair->mutex);
    return can;
}

static enum base_status memory_wait(void *carrier, int want_send, int *ret_can_receive, int *ret_can_send,
                                    int64_t deadline_ms, struct base_error *error)
{
    struct end *end = carrier;
    struct pair *pair = end->pair;
    const struct direction *in = &pair->directions[1 - end->index], *out = &pair->directions[end->index];
    enum base_status status = BASE_OK;
    (void)pthread_mutex_lock(&pair->mutex);
    for (;;) {
        int can_receive = in->head != NULL;
        int can_send = want_send && has_room(pair, out, LARGE_NODE);
        TRY_THAT(can_receive || !pair->closed[1 - end->index], error, BASE_ERR_CLOSED,
                 "it has closed the link");
        if (can_receive || can_send) {
            *ret_can_receive = can_receive;
            *ret_can_send = can_send;
            break;
        }
        if (!wait_change(pair, deadline_ms)) {
            status = BASE_ERR_TIMEOUT;
            break;
        }
    }
out:
    (void)pthread_mutex_unlock(&pair->mutex);
    return status;
}

static int memory_lost(void *carrier)
{
    struct end *end = carrier;
    (void)pthread_mutex_lock(&end->pair->mutex);
    int lost = end->pair->closed[1 - end->index];
    (void)pthread_mutex_unlock(&end->pair->mutex);
    return lost;
}

static void memory_destroy(void *carrier)
{
    struct end *end = carrier;
    struct pair *pair = end->pair;
    (void)pthread_mutex_lock(&pair->mutex);
    pair->closed[end->index] = true;
    int users = --pair->users;
    (void)pthread_cond_broadcast(&pair->changed);
    (void)pthread_mutex_unlock(&pair->mutex);
    if (users == 0)
        pair_free(pair);
    base_free(&end);
}

static enum base_status pair_create(struct pair **ret, size_t limit_bytes, struct base_error *error)
{
    struct pair *pair;
    pthread_condattr_t attributes;
    enum base_status status = base_alloc(&pair, 1, sizeof *pair, error);
    if (status != BASE_OK)
        return status;
    pair->limit = limit_bytes;
    (void)pthread_mutex_init(&pair->mutex, NULL);
    /* Deadlines are on the monotonic clock. */
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&pair->changed, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    *ret = pair;
    return BASE_OK;
}

/* One end as a link; the pair counts it as a user from then on. */
static enum base_status end_create(struct net_link **ret, struct pair *pair, int index, const char *peer,
                                   uint16_t stream, struct base_error *error)
{
    static const struct net_carrier functions = {
        .send = memory_send,
        .can_send = memory_can_send,
        .receive = memory_receive,
        .wait = memory_wait,
        .lost = memory_lost,
        .destroy = memory_destroy,
    };
    struct end *end = NULL;
    enum base_status status;
    TRY(base_alloc(&end, 1, sizeof *end, error));
    end->pair = pair;
    end->index = index;
    TRY(net_link_create(ret, &functions, end, peer, stream, error));
    pair->users++;
    end = NULL;
out:
    base_free(&end);
    return status;
}

enum base_status net_memory_pair_create(struct net_link **ret_a, struct net_link **ret_b, const char *name_a,
                                        const char *name_b, uint16_t stream, size_t limit_bytes,
                                        struct base_error *error)
{
    enum base_status status;
    struct pair *pair = NULL;
    struct net_link *a = NULL, *b = NULL;
    TRY(pair_create(&pair, limit_bytes, error));
    TRY(end_create(&a, pair, 0, name_b, stream, error));
    TRY(end_create(&b, pair, 1, name_a, stream, error));
    *ret_a = a;
    *ret_b = b;
    return BASE_OK;
out:
    if (a == NULL && pair != NULL)
        pair_free(pair);
    net_link_destroy(&a);
    return status;
}
