#include "mpc/opening.h"

#include "base/failpoint.h"
#include "base/memory.h"

#include <sodium.h>
#include <string.h>

enum { GUARD_BYTES = 8 };

static const struct mpc_opening_entry registry[MPC_OPENING_COUNT] = {
    [MPC_OPEN_LOGITS] = {"logits", "the un-normalised logits of the rows that the client asks for: the last one, or all of its prompt", "client",
                         "they are the answer's distribution, which the client samples from; their masks are used once"},
    [MPC_OPEN_FINAL_SQUARES] = {"final-squares", "the sums of squares of the same residual rows", "client",
                                "the client needs it to normalise the logits; it learns the final rms with them"},
    [MPC_OPEN_TOKEN] = {"token", "the index of the largest logit", "client", "it is the answer"},
    [MPC_OPEN_TOP_TOKENS] = {"top-tokens", "the indices of the k largest logits", "client",
                             "the client samples among them; nothing about the other logits is opened"},
    [MPC_OPEN_TOP_LOGITS] = {"top-logits", "the k largest logits", "client",
                             "the client samples among them; nothing about the other logits is opened"},
    [MPC_OPEN_SHUFFLED_BITS] = {"shuffled-bits", "comparison bits of freshly shuffled rows with unique tags", "P1 and P2",
                                "a function of a uniform permutation that neither P1 nor P2 knows whole; never sent to P0"},
    [MPC_OPEN_SHUFFLED_FLAGS] = {"shuffled-flags", "which places of freshly shuffled items a choice of a public number of them fills", "P1 and P2",
                                 "the image of a set of fixed size under a uniform permutation that neither P1 nor P2 knows whole: uniform; one "
                                 "opening for each permutation; never sent to P0"},
    [MPC_OPEN_GUARD] = {"guard", "one bit per step: whether a value that a guard watches left the range of the numeric plan", "client",
                        "two words, equal or not, each uniform: not which value, how many, where, or by how much"},
    [MPC_OPEN_TEST] = {"test", "values of a test", "the test", "no product code opens under this entry"},
};

const struct mpc_opening_entry *mpc_opening_entry(enum mpc_opening opening)
{
    return &registry[opening];
}

void mpc_tell_client(struct mpc_party *p, const void *bytes, size_t size)
{
    if ((!mpc_computes(p) && p->role != MPC_HELPER) || !mpc_may_send(p))
        return;
    BASE_FAIL_SEND("mpc.answer.send");
    struct base_error why = {0};
    if (net_link_send(p->client, p->client_step++, bytes, size, &why) == BASE_OK)
        return;
    /* One that is still there hears it, and does not wait. A party that was asked to stop says so itself. */
    if (why.code != BASE_ERR_CLOSED)
        net_link_abort(p->client, &why);
    p->client_lost = true;
}

enum base_status mpc_open_to_client(struct mpc_party *p, struct mpc_wire w, enum mpc_opening opening)
{
    if (!mpc_failed(p) && w.gate_only)
        mpc_fail(p, BASE_ERR_INTERNAL, "%s: a gate-only wire was opened", registry[opening].name);
    if (mpc_failed(p))
        return p->status;
    p->openings[opening] += w.count;
    if (!mpc_computes(p))
        return BASE_OK;
    size_t mark = base_arena_mark(&p->arena), size = mpc_bits(w.count, w.ring);
    bool left = p->role == MPC_LEFT;
    uint8_t *packed = mpc_bytes(p, MPC_OPEN_DIGEST + 2 * size), *m = packed, *mask = packed + size;
    if (packed == NULL)
        return p->status;
    if (!left) {
        mask = packed + MPC_OPEN_DIGEST;
        m = mask + size;
    }
    p->kern->pack_bits(m, w.m, w.count, w.ring);
    p->kern->pack_bits(mask, left ? w.l1 : w.l2, w.count, w.ring);
    if (!left)
        (void)crypto_generichash(packed, MPC_OPEN_DIGEST, m, size, NULL, 0);
    mpc_tell_client(p, packed, size + (left ? size : MPC_OPEN_DIGEST));
    base_arena_release(&p->arena, mark);
    return p->status;
}

enum base_status mpc_open_guard(struct mpc_party *p)
{
    if (!mpc_failed(p) && mpc_computes(p) && !p->s12.present)
        mpc_fail(p, BASE_ERR_INTERNAL, "the guard is opened without the stream of P1 and P2");
    if (mpc_failed(p))
        return p->status;
    p->openings[MPC_OPEN_GUARD]++;
    if (mpc_computes(p)) {
        uint64_t fresh;
        uint8_t word[GUARD_BYTES];
        mpc_stream_words(&p->s12, &fresh, 1, 64);
        base_store_u64(word, p->guard ^ fresh);
        mpc_tell_client(p, word, sizeof word);
        base_wipe(&fresh, sizeof fresh);
    }
    p->guard = 0;
    return p->status;
}

uint64_t *mpc_open_to_parties(struct mpc_party *p, const uint64_t *share, size_t count, int ring, enum mpc_opening opening,
                              const char *label)
{
    if (mpc_failed(p))
        return NULL;
    p->openings[opening] += count;
    mpc_declare(p, (struct mpc_cost){0, 2 * mpc_bits(count, ring), 0});
    struct mpc_wire w = {.ring = ring, .bound = ring, .gate_only = true, .count = count};
    uint64_t *values = p->role == MPC_COUNT ? NULL : mpc_words(p, count);
    for (size_t i = 0; values != NULL && i < count; i++)
        values[i] = p->role == MPC_HELPER ? 0 : share[i];
    /* To observers it is a wire whose whole mask is zero. */
    if (p->role == MPC_HELPER)
        w.l1 = values;
    else if (p->role == MPC_CLEAR)
        w.x = values;
    else
        w.m = values;
    (void)mpc_queue(p, &(struct mpc_pending){.label = label, .wire = w, .opened = w.m, .count = count, .ring = ring, .ulp = -1});
    return p->role == MPC_HELPER ? NULL : values;
}

void mpc_pass(struct mpc_party *p, enum mpc_role sender, uint64_t *words, size_t count, int ring, const char *label)
{
    if (mpc_failed(p))
        return;
    mpc_declare(p, (struct mpc_cost){0, mpc_bits(count, ring), 0});
    (void)mpc_queue(p, &(struct mpc_pending){.label = label, .opened = words, .count = count, .ring = ring, .sender = sender});
}

struct mpc_wire mpc_pass_wire(struct mpc_party *p, enum mpc_role sender, struct mpc_wire w, double ulp, const char *label)
{
    if (mpc_failed(p))
        return (struct mpc_wire){0};
    mpc_declare(p, (struct mpc_cost){0, mpc_bits(w.count, w.ring), 0});
    return mpc_queue(p, &(struct mpc_pending){.label = label, .wire = w, .opened = w.m, .count = w.count, .ring = w.ring, .ulp = ulp,
                                              .sender = sender});
}

enum base_status mpc_client_take(struct mpc_client *client, size_t count, int ring, int64_t *ret_values,
                                 struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t size = mpc_bits(count, ring);
    uint8_t *packed = NULL, *other, digest[MPC_OPEN_DIGEST];
    uint64_t *words = NULL;
    TRY(base_alloc(&packed, 3 * size + MPC_OPEN_DIGEST, 1, error));
    TRY(base_alloc(&words, 3 * count, sizeof *words, error));
    other = packed + 2 * size;
    BASE_FAIL_RECEIVE("mpc.answer.receive");
    TRY(net_link_receive(client->link[1], client->step, packed, 2 * size, error));
    TRY(net_link_receive(client->link[2], client->step, other, MPC_OPEN_DIGEST + size, error));
    (void)crypto_generichash(digest, sizeof digest, packed, size, NULL, 0);
    if (memcmp(digest, other, sizeof digest) != 0) {
        status = base_fail(error, BASE_ERR_PEER, "P1 and P2 opened different values to the client: one of them computed something else; "
                           "compare their builds and plans with `cachet check`");
        goto out;
    }
    client->step++;
    client->kern->unpack_bits(words, packed, count, ring);
    client->kern->unpack_bits(words + count, packed + size, count, ring);
    client->kern->unpack_bits(words + 2 * count, other + MPC_OPEN_DIGEST, count, ring);
    for (size_t i = 0; i < count; i++)
        ret_values[i] = mpc_signed(words[i] - words[count + i] - words[2 * count + i], ring);
out:
    base_free_secret(&packed);
    base_free_secret(&words);
    return status;
}

enum base_status mpc_client_take_guard(struct mpc_client *client, bool *ret_void, struct base_error *error)
{
    enum base_status status = BASE_OK;
    uint8_t word[2][GUARD_BYTES];
    *ret_void = true;
    BASE_FAIL_RECEIVE("mpc.guard.receive");
    for (int party = 1; party <= 2; party++)
        TRY(net_link_receive(client->link[party], client->step, word[party - 1], GUARD_BYTES, error));
    client->step++;
    *ret_void = base_load_u64(word[0]) != base_load_u64(word[1]);
out:
    return status;
}

enum base_status mpc_client_give(struct mpc_client *client, const int64_t *x, size_t count, int ring, struct base_error *error)
{
    enum base_status status = BASE_OK;
    uint64_t *m = NULL, *mask = NULL;
    uint8_t *packed = NULL;
    TRY(base_alloc(&m, count, sizeof *m, error));
    TRY(base_alloc(&mask, count, sizeof *mask, error));
    TRY(base_alloc(&packed, mpc_bits(count, ring), 1, error));
    mpc_stream_words(&client->o1, m, count, ring);
    mpc_stream_words(&client->o2, mask, count, ring);
    for (size_t i = 0; i < count; i++)
        m[i] += mask[i] + (uint64_t)x[i];
    client->kern->pack_bits(packed, m, count, ring);
    for (int party = 1; party <= 2; party++) {
        BASE_FAIL_SEND("mpc.input.send");
        TRY(net_link_send(client->link[party], client->step, packed, mpc_bits(count, ring), error));
    }
    client->step++;
out:
    base_free_secret(&m);
    base_free_secret(&mask);
    base_free_secret(&packed);
    return status;
}

struct mpc_wire mpc_input(struct mpc_party *p, const int64_t *x, size_t count, int ring, int frac, int bound)
{
    struct mpc_wire w = mpc_wire_make(p, count, ring, frac, bound);
    if (mpc_failed(p))
        return w;
    if (p->role == MPC_CLEAR)
        memcpy(w.x, x, count * sizeof *x);
    if (p->o1.present)
        mpc_stream_words(&p->o1, w.l1, count, ring);
    if (p->o2.present)
        mpc_stream_words(&p->o2, w.l2, count, ring);
    if (mpc_computes(p)) {
        size_t mark = base_arena_mark(&p->arena), size = mpc_bits(count, ring);
        uint8_t *packed = mpc_bytes(p, size);
        BASE_FAIL_RECEIVE("mpc.input.receive");
        /* A client that goes in the middle must not part P1 and P2: who misses its rows goes on with zeros until both end (wants_stop). */
        struct base_error why = {0};
        if (packed != NULL && net_link_receive(p->client, p->client_step++, packed, size, &why) != BASE_OK) {
            if (why.code != BASE_ERR_CLOSED) /* one that is still there hears it, and does not wait */
                net_link_abort(p->client, &why);
            p->client_lost = true;
            memset(packed, 0, size);
        }
        if (!mpc_failed(p))
            p->kern->unpack_bits(w.m, packed, count, ring);
        base_arena_release(&p->arena, mark);
    }
    return w;
}
