#include "pair/party.h"

#include "base/failpoint.h"
#include "base/memory.h"
#include "pair/cot.h"

#include <sodium.h>
#include <string.h>

enum base_status pair_party_init(struct pair_party *p, int id, const struct kern_table *kern, struct net_link *link,
                                 const uint8_t session[PAIR_SESSION], const uint8_t seed[PAIR_SEED], struct base_error *error)
{
    uint8_t key[PAIR_SEED];
    memset(p, 0, sizeof *p);
    if (id != 1 && id != 2)
        return base_fail(error, BASE_ERR_ARGUMENT, "party %d of a pair: it is 1 or 2", id);
    if (sodium_is_zero(session, PAIR_SESSION))
        return base_fail(error, BASE_ERR_ARGUMENT, "a pair needs a session id, and this one is zero: agree on one first (net_hello)");
    if (sodium_init() < 0)
        return base_fail(error, BASE_ERR_INTERNAL, "libsodium cannot start");
    if (seed != NULL)
        memcpy(key, seed, sizeof key);
    else
        randombytes_buf(key, sizeof key);
    p->id = id;
    p->kern = kern;
    p->link = link;
    memcpy(p->session, session, PAIR_SESSION);
    mpc_stream_init(&p->own, kern, key);
    base_wipe(key, sizeof key);
    return BASE_OK;
}

void pair_party_finish(struct pair_party *p)
{
    pair_cot_finish(p);
    mpc_stream_finish(&p->own);
    base_free_secret(&p->outgoing);
    base_free(&p->awaited);
}

/* --- messages ---------------------------------------------------------------------------------------------------------------------- */

/* Room for `more` bytes at the end of what is queued. */
static enum base_status make_room(struct pair_party *p, size_t more, struct base_error *error)
{
    size_t need;
    if (!base_size_add(p->outgoing_size, more, &need))
        return base_fail(error, BASE_ERR_MEMORY, "a message of the pair is larger than memory: make smaller batches");
    return base_grow(&p->outgoing, &p->outgoing_room, need, 1, error);
}

enum base_status pair_put(struct pair_party *p, const uint64_t *words, size_t count, int ring, struct base_error *error)
{
    if (ring == 0 || count == 0)
        return BASE_OK;
    enum base_status status = make_room(p, mpc_bits(count, ring), error);
    if (status != BASE_OK)
        return status;
    p->kern->pack_bits(p->outgoing + p->outgoing_size, words, count, ring);
    p->outgoing_size += mpc_bits(count, ring);
    return BASE_OK;
}

enum base_status pair_put_bytes(struct pair_party *p, const void *bytes, size_t size, struct base_error *error)
{
    enum base_status status = make_room(p, size, error);
    if (status != BASE_OK || size == 0)
        return status;
    memcpy(p->outgoing + p->outgoing_size, bytes, size);
    p->outgoing_size += size;
    return BASE_OK;
}

static enum base_status await(struct pair_party *p, struct pair_awaited awaited, size_t size, struct base_error *error)
{
    enum base_status status = base_grow(&p->awaited, &p->awaited_room, p->awaited_count + 1, sizeof awaited, error);
    if (status != BASE_OK)
        return status;
    p->awaited[p->awaited_count++] = awaited;
    p->awaited_size += size;
    return BASE_OK;
}

enum base_status pair_await(struct pair_party *p, uint64_t *ret, size_t count, int ring, struct base_error *error)
{
    if (ring == 0 || count == 0)
        return BASE_OK;
    return await(p, (struct pair_awaited){ret, count, ring}, mpc_bits(count, ring), error);
}

enum base_status pair_await_bytes(struct pair_party *p, void *ret, size_t size, struct base_error *error)
{
    return size == 0 ? BASE_OK : await(p, (struct pair_awaited){ret, size, 0}, size, error);
}

static void hand_out(struct pair_party *p, const uint8_t *received)
{
    for (size_t i = 0; i < p->awaited_count; i++) {
        const struct pair_awaited *a = &p->awaited[i];
        size_t size = a->ring == 0 ? a->count : mpc_bits(a->count, a->ring);
        if (a->ring == 0)
            memcpy(a->to, received, size);
        else
            p->kern->unpack_bits(a->to, received, a->count, a->ring);
        received += size;
    }
}

static void drop_queue(struct pair_party *p)
{
    p->outgoing_size = p->awaited_count = p->awaited_size = 0;
}

enum base_status pair_exchange(struct pair_party *p, struct base_error *error)
{
    enum base_status status;
    uint8_t *received = NULL;
    if (p->outgoing_size == 0 && p->awaited_size == 0)
        return BASE_OK;
    TRY(base_alloc(&received, p->awaited_size, 1, error));
    if (p->outgoing_size > 0)
        BASE_FAIL_SEND("pair.exchange.send");
    if (p->awaited_size > 0)
        BASE_FAIL_RECEIVE("pair.exchange.receive");
    TRY(net_link_exchange(p->link, p->step, p->outgoing, p->outgoing_size, received, p->awaited_size, error));
    hand_out(p, received);
    p->step++;
out:
    drop_queue(p);
    base_free_secret(&received);
    return status;
}

/* --- jobs -------------------------------------------------------------------------------------------------------------------------- */

static enum base_status run_stages(struct pair_party *p, struct pair_job *const *jobs, size_t count, int exchanges,
                                   struct base_error *error)
{
    enum base_status status = BASE_OK;
    for (int stage = 0; stage <= exchanges; stage++) {
        for (size_t i = 0; i < count; i++)
            if (stage <= (int)jobs[i]->cost.exchanges)
                TRY(jobs[i]->step(p, jobs[i], stage, error));
        if (stage < exchanges)
            TRY(pair_exchange(p, error));
    }
out:
    return status;
}

/* A job that used fewer COTs than it declared would leave its peer's numbers behind as soon as the two differ in anything. */
static enum base_status check_cots(const struct pair_party *p, const uint64_t before[3], const struct pair_cost *declared,
                                   struct base_error *error)
{
    for (int s = 1; p->cot != NULL && s <= 2; s++)
        if (pair_cot_used(p, s) - before[s] != declared->cots[s])
            return base_fail(error, BASE_ERR_INTERNAL, "jobs used %llu COTs of P%d and declared %llu",
                             (unsigned long long)(pair_cot_used(p, s) - before[s]), s, (unsigned long long)declared->cots[s]);
    return BASE_OK;
}

enum base_status pair_run(struct pair_party *p, struct pair_job *const *jobs, size_t count, struct base_error *error)
{
    enum base_status status;
    struct pair_cost all = {0};
    uint64_t before[3] = {0};
    for (size_t i = 0; i < count; i++)
        all = pair_cost_beside(all, jobs[i]->cost);
    TRY(pair_cot_reserve(p, all.cots, error));
    for (int s = 1; p->cot != NULL && s <= 2; s++)
        before[s] = pair_cot_used(p, s);
    TRY(run_stages(p, jobs, count, (int)all.exchanges, error));
    TRY(check_cots(p, before, &all, error));
    p->declared = pair_cost_then(p->declared, all);
out:
    if (status != BASE_OK)
        drop_queue(p); /* it points into the jobs */
    for (size_t i = 0; i < count; i++)
        jobs[i]->finish(jobs[i]);
    return status;
}
