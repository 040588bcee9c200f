#include "mpc/party.h"

#include "base/failpoint.h"
#include "base/memory.h"
#include "kernels/gather.h"
#include "mpc/maker.h"
#include "mpc/strands.h"

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
    mpc_stream_finish(&p->s12);
    base_wipe(&p->guard, sizeof p->guard);
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

bool mpc_may_send(struct mpc_party *p)
{
    if (!mpc_failed(p) && p->may_send != NULL)
        p->status = p->may_send(p->may_send_context, &p->error);
    return !mpc_failed(p);
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
    if (p->maker != NULL && cost.offline > 0) {
        mpc_fail(p, BASE_ERR_SUPPORT, "material of %llu bytes that P0 deals and two parties do not make: with two parties use general gates, and cache "
                 "policies that need nothing else", (unsigned long long)cost.offline);
        return;
    }
    p->declared = mpc_cost_add(p->declared, cost);
    if (p->account != NULL)
        *p->account = mpc_cost_add(*p->account, cost);
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

/* Whether `role` sends its words of an opening. */
static bool sends(const struct mpc_pending *q, enum mpc_role role)
{
    return q->sender == MPC_HELPER || q->sender == role;
}

static size_t sent_bytes(const struct mpc_party *p, enum mpc_role from)
{
    size_t size = 0;
    for (size_t i = 0; i < p->pending_count; i++)
        if (sends(&p->pending[i], from))
            size += mpc_bits(p->pending[i].count, p->pending[i].ring);
    return size;
}

static void exchange(struct mpc_party *p)
{
    enum mpc_role peer = p->role == MPC_LEFT ? MPC_RIGHT : MPC_LEFT;
    size_t out = sent_bytes(p, p->role), in = sent_bytes(p, peer);
    uint8_t *mine = mpc_bytes(p, out), *theirs = mpc_bytes(p, in), *at = mine;
    if (mine == NULL || theirs == NULL)
        return;
    kern_hold(p->kern);
    for (size_t i = 0; i < p->pending_count; i++) {
        const struct mpc_pending *q = &p->pending[i];
        if (!sends(q, p->role))
            continue;
        kern_pack_later(p->kern, at, q->opened, q->count, q->ring);
        at += mpc_bits(q->count, q->ring);
    }
    kern_settle(p->kern);
    kern_bring(p->kern);
    if (!mpc_may_send(p))
        return;
    BASE_FAIL_SEND("mpc.round");
    p->status = net_link_exchange(p->peer, p->step, mine, out, theirs, in, &p->error);
    if (mpc_failed(p))
        return;
    at = theirs;
    kern_hold(p->kern);
    for (size_t i = 0; i < p->pending_count; i++) {
        const struct mpc_pending *q = &p->pending[i];
        if (!sends(q, peer))
            continue;
        kern_unpack_add_later(p->kern, q->opened, at, q->count, q->ring);
        at += mpc_bits(q->count, q->ring);
    }
    kern_settle(p->kern);
}

/* Whether the party's work ends in this round. P1 and P2 answer alike: one of them wanted it, and said so in passing. P0, which nobody waits for,
 * answers for itself. */
static void stop_if_wanted(struct mpc_party *p)
{
    if (p->wants_stop == NULL || mpc_failed(p))
        return;
    p->stopped = mpc_computes(p) ? net_link_noted(p->peer) : p->wants_stop(p->wants_stop_context);
    if (p->stopped)
        mpc_fail(p, BASE_ERR_CLOSED, "stopped in round %u", (unsigned)p->step);
}

enum base_status mpc_round(struct mpc_party *p)
{
    if (p->before_round != NULL && !mpc_failed(p))
        p->before_round(p->before_round_context, p);
    if (p->strand != NULL)
        return mpc_strand_rest(p);
    mpc_make(p, false);
    if (!mpc_failed(p) && mpc_computes(p)) {
        if (p->wants_stop != NULL)
            net_link_set_note(p->peer, p->wants_stop(p->wants_stop_context));
        exchange(p);
    }
    stop_if_wanted(p);
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
    mpc_declare(p, (struct mpc_cost){.rounds = 1});
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
