#include "mpc/party.h"

#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum base_status mpc_party_init(struct mpc_party *p, enum mpc_role role, const struct kern_table *kern, size_t arena_size,
                                struct base_error *error)
{
    memset(p, 0, sizeof *p);
    p->role = role;
    p->kern = kern;
    return base_arena_init(&p->arena, arena_size, error);
}

void mpc_party_finish(struct mpc_party *p)
{
    mpc_stream_finish(&p->s1);
    mpc_stream_finish(&p->s2);
    mpc_stream_finish(&p->o1);
    mpc_stream_finish(&p->o2);
    base_arena_finish(&p->arena);
}

void mpc_fail(struct mpc_party *p, enum base_status status, const char *format, ...)
{
    if (mpc_failed(p))
        return;
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    p->status = base_fail(&p->error, status, "%s", text);
}

void *mpc_bytes(struct mpc_party *p, size_t size)
{
    if (mpc_failed(p))
        return NULL;
    void *memory = base_arena_take(&p->arena, size == 0 ? 1 : size);
    if (memory == NULL)
        mpc_fail(p, BASE_ERR_MEMORY, "the work area of %zu bytes is used up: shorten the prompt or lower the chunk size",
                 p->arena.capacity);
    return memory;
}

uint64_t *mpc_words(struct mpc_party *p, size_t count)
{
    if (count > SIZE_MAX / sizeof(uint64_t)) {
        mpc_fail(p, BASE_ERR_MEMORY, "an array of %zu words is larger than memory", count);
        return NULL;
    }
    return mpc_bytes(p, count * sizeof(uint64_t));
}

void mpc_declare(struct mpc_party *p, struct mpc_cost cost)
{
    p->declared = mpc_cost_add(p->declared, cost);
}

void mpc_fresh(struct mpc_party *p, size_t count, int ring, uint64_t **ret1, uint64_t **ret2)
{
    *ret1 = *ret2 = NULL;
    if (p->s1.present && (*ret1 = mpc_words(p, count)) != NULL)
        mpc_stream_words(&p->s1, *ret1, count, ring);
    if (p->s2.present && (*ret2 = mpc_words(p, count)) != NULL)
        mpc_stream_words(&p->s2, *ret2, count, ring);
}

/* --- dealt material --------------------------------------------------------------------------------------------- */

static void put(struct mpc_party *p, int to, const void *data, size_t size)
{
    if (!mpc_failed(p) && size > 0)
        p->status = p->source.put(p->source.context, to, p->step, data, size, &p->error);
}

static void take(struct mpc_party *p, void *data, size_t size)
{
    if (!mpc_failed(p) && size > 0)
        p->status = p->source.take(p->source.context, p->step, data, size, &p->error);
}

void mpc_deal_to(struct mpc_party *p, int to, uint64_t *data, size_t count, int ring)
{
    if (p->role != MPC_HELPER && (!mpc_computes(p) || (int)p->role != to))
        return;
    size_t mark = base_arena_mark(&p->arena), size = mpc_bits(count, ring);
    uint8_t *packed = mpc_bytes(p, size);
    if (packed == NULL)
        return;
    if (p->role == MPC_HELPER) {
        p->kern->pack_bits(packed, data, count, ring);
        put(p, to, packed, size);
    } else {
        take(p, packed, size);
        if (!mpc_failed(p))
            p->kern->unpack_bits(data, packed, count, ring);
    }
    base_arena_release(&p->arena, mark);
}

void mpc_deal_both_bytes(struct mpc_party *p, uint8_t *data, size_t size)
{
    if (p->role == MPC_HELPER) {
        put(p, 1, data, size);
        put(p, 2, data, size);
    } else if (mpc_computes(p)) {
        take(p, data, size);
    }
}

uint64_t *mpc_deal(struct mpc_party *p, size_t count, int ring, const uint64_t *value)
{
    if (p->role == MPC_CLEAR || p->role == MPC_COUNT)
        return NULL;
    uint64_t *share = mpc_words(p, count);
    if (share == NULL)
        return NULL;
    if (p->s1.present)
        mpc_stream_words(&p->s1, share, count, ring);
    if (p->role == MPC_HELPER)
        for (size_t i = 0; i < count; i++)
            share[i] = value[i] - share[i];
    mpc_deal_to(p, 2, share, count, ring);
    return p->role == MPC_HELPER ? NULL : share;
}

/* --- rounds ------------------------------------------------------------------------------------------------------- */

struct mpc_wire mpc_queue(struct mpc_party *p, const struct mpc_pending *pending)
{
    if (mpc_failed(p))
        return (struct mpc_wire){0};
    if (p->pending_count == MPC_MAX_PENDING) {
        mpc_fail(p, BASE_ERR_INTERNAL, "%s: more than %d openings in one round", pending->label, MPC_MAX_PENDING);
        return (struct mpc_wire){0};
    }
    p->pending[p->pending_count++] = *pending;
    return pending->wire;
}

static void exchange(struct mpc_party *p)
{
    size_t size = 0;
    for (size_t i = 0; i < p->pending_count; i++)
        size += mpc_bits(p->pending[i].count, p->pending[i].ring);
    uint8_t *mine = mpc_bytes(p, size), *theirs = mpc_bytes(p, size), *at = mine;
    if (mine == NULL || theirs == NULL)
        return;
    for (size_t i = 0; i < p->pending_count; i++) {
        const struct mpc_pending *q = &p->pending[i];
        p->kern->pack_bits(at, q->opened, q->count, q->ring);
        at += mpc_bits(q->count, q->ring);
    }
    p->status = net_link_exchange(p->peer, p->step, mine, size, theirs, size, &p->error);
    if (mpc_failed(p))
        return;
    at = theirs;
    for (size_t i = 0; i < p->pending_count; i++) {
        const struct mpc_pending *q = &p->pending[i];
        p->kern->unpack_add(q->opened, at, q->count, q->ring);
        at += mpc_bits(q->count, q->ring);
    }
}

enum base_status mpc_round(struct mpc_party *p)
{
    if (!mpc_failed(p) && mpc_computes(p))
        exchange(p);
    for (size_t i = 0; i < p->pending_count && !mpc_failed(p); i++) {
        struct mpc_pending *q = &p->pending[i];
        if (q->finish != NULL && mpc_computes(p))
            q->finish(p, q);
        mpc_check_bound(p, q->label, &q->wire);
        if (p->observe != NULL)
            p->observe(p->observe_context, p, q->label, &q->wire, q->ulp);
    }
    p->pending_count = 0;
    p->step++;
    p->declared.rounds++;
    return p->status;
}

/* --- the twin's checks ---------------------------------------------------------------------------------------------- */

static void violate(struct mpc_party *p, const char *label)
{
    if (p->violations++ == 0)
        p->violation = label;
}

void mpc_check_bound(struct mpc_party *p, const char *label, const struct mpc_wire *w)
{
    if (p->role != MPC_CLEAR || w->bound >= 63)
        return;
    int64_t limit = INT64_C(1) << w->bound;
    mpc_check_range(p, label, w->x, w->count, -limit, limit);
}

void mpc_check_range(struct mpc_party *p, const char *label, const uint64_t *x, size_t count, int64_t low, int64_t high)
{
    if (p->role != MPC_CLEAR)
        return;
    for (size_t i = 0; i < count; i++)
        if ((int64_t)x[i] < low || (int64_t)x[i] > high)
            violate(p, label);
}
