#include "net/memory_link.h"

#include "base/clock.h"
#include "base/memory.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

struct frame {
    struct frame *next;
    size_t header_size, payload_size;
    unsigned char *bytes; /* header, then payload */
};

struct direction {
    struct frame *first, *last;
    size_t queued;
};

/* Shared by both ends; freed by the one that goes last. */
struct pair {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct direction to[2]; /* index: the receiving end */
    size_t limit;
    int open_ends;
};

struct end {
    struct pair *pair;
    int index;
};

/* Waits for a change until the deadline; false when it has passed. The mutex is held. */
static bool wait_change(struct pair *pair, int64_t deadline_ms)
{
    struct timespec until = {.tv_sec = deadline_ms / 1000, .tv_nsec = deadline_ms % 1000 * 1000000};
    return pthread_cond_timedwait(&pair->changed, &pair->mutex, &until) != ETIMEDOUT;
}

static bool has_room(const struct pair *pair, const struct direction *d, size_t size)
{
    return d->queued == 0 || d->queued + size <= pair->limit;
}

static enum base_status memory_send(void *carrier, const void *header, size_t header_size, const void *payload,
                                    size_t payload_size, int64_t deadline_ms, struct base_error *error)
{
    struct end *end = carrier;
    struct pair *pair = end->pair;
    struct direction *d = &pair->to[1 - end->index];
    struct frame *frame = NULL;
    enum base_status status = base_alloc(&frame, 1, sizeof *frame, error);
    if (status != BASE_OK)
        return status;
    status = base_alloc(&frame->bytes, header_size + payload_size, 1, error);
    if (status != BASE_OK) {
        base_free(&frame);
        return status;
    }
    frame->header_size = header_size;
    frame->payload_size = payload_size;
    memcpy(frame->bytes, header, header_size);
    if (payload_size > 0)
        memcpy(frame->bytes + header_size, payload, payload_size);
    pthread_mutex_lock(&pair->mutex);
    while (!has_room(pair, d, payload_size) && pair->open_ends == 2)
        if (!wait_change(pair, deadline_ms)) {
            status = base_fail(error, BASE_ERR_TIMEOUT, "the queue stayed full");
            break;
        }
    if (status == BASE_OK && pair->open_ends < 2)
        status = base_fail(error, BASE_ERR_CLOSED, "the other end is gone");
    if (status == BASE_OK) {
        *(d->last == NULL ? &d->first : &d->last->next) = frame;
        d->last = frame;
        d->queued += payload_size;
        pthread_cond_broadcast(&pair->changed);
    }
    pthread_mutex_unlock(&pair->mutex);
    if (status != BASE_OK) {
        base_free_secret(&frame->bytes);
        base_free(&frame);
    }
    return status;
}

static int memory_can_send(void *carrier)
{
    struct end *end = carrier;
    pthread_mutex_lock(&end->pair->mutex);
    int room = has_room(end->pair, &end->pair->to[1 - end->index], 1);
    pthread_mutex_unlock(&end->pair->mutex);
    return room;
}

static struct frame *pop(struct direction *d)
{
    struct frame *frame = d->first;
    d->first = frame->next;
    if (d->first == NULL)
        d->last = NULL;
    d->queued -= frame->payload_size;
    return frame;
}

static enum base_status memory_receive(void *carrier, void *header, size_t header_size, void *payload, size_t capacity,
                                       size_t *ret_payload_size, int64_t deadline_ms, struct base_error *error)
{
    struct end *end = carrier;
    struct pair *pair = end->pair;
    struct direction *d = &pair->to[end->index];
    enum base_status status = BASE_OK;
    struct frame *frame = NULL;
    pthread_mutex_lock(&pair->mutex);
    while (d->first == NULL && status == BASE_OK) {
        if (pair->open_ends < 2)
            status = base_fail(error, BASE_ERR_CLOSED, "the other end is gone");
        else if (!wait_change(pair, deadline_ms))
            status = base_fail(error, BASE_ERR_TIMEOUT, "nothing came");
    }
    if (status == BASE_OK) {
        frame = pop(d);
        pthread_cond_broadcast(&pair->changed);
    }
    pthread_mutex_unlock(&pair->mutex);
    if (frame == NULL)
        return status;
    size_t have = frame->header_size < header_size ? frame->header_size : header_size;
    memcpy(header, frame->bytes, have);
    size_t take = frame->payload_size < capacity ? frame->payload_size : capacity;
    if (take > 0)
        memcpy(payload, frame->bytes + frame->header_size, take);
    *ret_payload_size = frame->payload_size;
    base_free_secret(&frame->bytes);
    base_free(&frame);
    return BASE_OK;
}

static enum base_status memory_wait(void *carrier, int want_send, int *ret_can_receive, int *ret_can_send, int64_t deadline_ms,
                                    struct base_error *error)
{
    struct end *end = carrier;
    struct pair *pair = end->pair;
    enum base_status status = BASE_OK;
    pthread_mutex_lock(&pair->mutex);
    for (;;) {
        *ret_can_receive = pair->to[end->index].first != NULL || pair->open_ends < 2;
        *ret_can_send = want_send && has_room(pair, &pair->to[1 - end->index], 1);
        if (*ret_can_receive || *ret_can_send)
            break;
        if (!wait_change(pair, deadline_ms)) {
            status = base_fail(error, BASE_ERR_TIMEOUT, "nothing came");
            break;
        }
    }
    pthread_mutex_unlock(&pair->mutex);
    return status;
}

static void memory_destroy(void *carrier)
{
    struct end *end = carrier;
    struct pair *pair = end->pair;
    pthread_mutex_lock(&pair->mutex);
    int left = --pair->open_ends;
    pthread_cond_broadcast(&pair->changed);
    pthread_mutex_unlock(&pair->mutex);
    base_free(&end);
    if (left > 0)
        return;
    for (int i = 0; i < 2; i++)
        while (pair->to[i].first != NULL) {
            struct frame *frame = pop(&pair->to[i]);
            base_free_secret(&frame->bytes);
            base_free(&frame);
        }
    pthread_cond_destroy(&pair->changed);
    pthread_mutex_destroy(&pair->mutex);
    base_free(&pair);
}

static const struct net_carrier memory_carrier = {.send = memory_send, .can_send = memory_can_send, .receive = memory_receive,
                                                  .wait = memory_wait, .destroy = memory_destroy};

static enum base_status make_pair(struct pair **ret, size_t limit, struct base_error *error)
{
    struct pair *pair = NULL;
    pthread_condattr_t attributes;
    enum base_status status = base_alloc(&pair, 1, sizeof *pair, error);
    if (status != BASE_OK)
        return status;
    pair->limit = limit;
    pair->open_ends = 2;
    pthread_mutex_init(&pair->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&pair->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    *ret = pair;
    return BASE_OK;
}

enum base_status net_memory_pair_create(struct net_link **ret_a, struct net_link **ret_b, const char *name_a,
                                        const char *name_b, uint16_t stream, size_t limit_bytes, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct pair *pair = NULL;
    struct end *end[2] = {NULL, NULL};
    struct net_link *link[2] = {NULL, NULL};
    const char *peer[2] = {name_b, name_a};
    TRY(make_pair(&pair, limit_bytes, error));
    for (int i = 0; i < 2; i++) {
        TRY(base_alloc(&end[i], 1, sizeof *end[i], error));
        *end[i] = (struct end){.pair = pair, .index = i};
    }
    for (int i = 0; i < 2; i++)
        TRY(net_link_create(&link[i], &memory_carrier, end[i], peer[i], stream, error));
    *ret_a = link[0];
    *ret_b = link[1];
    return BASE_OK;
out:
    /* Links that exist own their end and, together, the pair; what is not owned yet is freed here. */
    for (int i = 0; i < 2; i++) {
        if (link[i] != NULL)
            net_link_destroy(&link[i]);
        else if (end[i] != NULL)
            memory_destroy(end[i]);
        else if (pair != NULL && i == 1 && end[0] == NULL)
            base_free(&pair);
    }
    return status;
}
