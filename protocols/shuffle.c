#include "protocols/shuffle.h"

#include "base/failpoint.h"

#include <math.h>
#include <string.h>

struct mpc_cost sec_shuffle_cost(size_t count, int ring)
{
    return (struct mpc_cost){2, 2 * mpc_bits(count, ring), 2 * mpc_bits(count, ring)};
}

/* What streams give to one shuffle; NULL where a role does not hold the stream. */
struct draws {
    uint32_t *pi1, *pi2;
    uint64_t *A, *B;
};

uint32_t *sec_draw_orders(struct mpc_party *p, struct mpc_stream *stream, size_t groups, size_t n)
{
    if (p->maker != NULL)
        mpc_fail(p, BASE_ERR_SUPPORT, "permutations of P1 and of P2 that P0 knows, and two parties do not make: choose a cache policy that shuffles nothing");
    if (!stream->present)
        return NULL;
    uint32_t *order = mpc_bytes(p, groups * n * sizeof *order);
    uint64_t *scratch = mpc_words(p, n);
    for (size_t g = 0; !mpc_failed(p) && g < groups; g++)
        mpc_stream_permutation(stream, order + g * n, n, scratch);
    return order;
}

static struct draws draw(struct mpc_party *p, size_t rows, size_t count, int ring)
{
    struct draws draws = {.pi1 = sec_draw_orders(p, &p->s1, 1, rows)};
    draws.pi2 = sec_draw_orders(p, &p->s2, 1, rows);
    mpc_fresh(p, count, ring, &draws.A, &draws.B);
    return draws;
}

uint64_t *sec_permute(struct mpc_party *p, const uint64_t *v, const uint32_t *order, struct sec_order_form form)
{
    size_t width = form.width;
    uint64_t *z = mpc_words(p, form.groups * form.n * width);
    for (size_t i = 0; z != NULL && i < form.groups * form.n; i++) {
        size_t other = i / form.n * form.n + order[i], to = form.back ? other : i, from = form.back ? i : other;
        memcpy(z + to * width, v + from * width, width * sizeof *z);
    }
    return z;
}

static uint64_t *permute(struct mpc_party *p, const uint64_t *v, const uint32_t *order, size_t rows, size_t width)
{
    return sec_permute(p, v, order, (struct sec_order_form){1, rows, width, false});
}

static void deal(struct mpc_party *p, const struct mpc_wire *w, size_t rows, const struct draws *draws, const struct mpc_wire *out)
{
    size_t width = w->count / rows;
    const uint64_t *mask = mpc_mask(p, w);
    if (mpc_failed(p))
        return;
    uint64_t *d1 = permute(p, mask, draws->pi1, rows, width), *d2 = permute(p, draws->A, draws->pi2, rows, width);
    for (size_t i = 0; !mpc_failed(p) && i < w->count; i++) {
        d1[i] = 0 - d1[i] - draws->B[i];
        d2[i] += out->l1[i] + out->l2[i];
    }
    if (mpc_failed(p))
        return;
    mpc_deal_to(p, 1, d1, w->count, w->ring);
    mpc_deal_to(p, 2, d2, w->count, w->ring);
}

/* One direction of one round: `words` travel from `from` to the other party. */
static void pass(struct mpc_party *p, enum mpc_role from, uint64_t *words, size_t count, int ring)
{
    size_t mark = base_arena_mark(&p->arena), size = mpc_bits(count, ring);
    uint8_t *packed = mpc_bytes(p, size);
    if (packed == NULL)
        return;
    bool sends = p->role == from;
    if (sends)
        p->kern->pack_bits(packed, words, count, ring);
    if (mpc_may_send(p)) {
        if (sends)
            BASE_FAIL_SEND("protocols.shuffle.send");
        else
            BASE_FAIL_RECEIVE("protocols.shuffle.receive");
        p->status = net_link_exchange(p->peer, p->step, packed, sends ? size : 0, packed, sends ? 0 : size, &p->error);
    }
    if (!mpc_failed(p) && !sends)
        p->kern->unpack_bits(words, packed, count, ring);
    base_arena_release(&p->arena, mark);
}

static void exchange(struct mpc_party *p, const struct mpc_wire *w, size_t rows, const struct draws *draws, struct mpc_wire *out)
{
    size_t n = w->count, width = n / rows;
    uint64_t keep = kern_ring_mask(w->ring), *d = mpc_words(p, n), *y = NULL;
    bool left = p->role == MPC_LEFT;
    if (mpc_failed(p))
        return;
    mpc_deal_to(p, left ? 1 : 2, d, n, w->ring);
    if (mpc_failed(p))
        return;
    y = left ? permute(p, w->m, draws->pi1, rows, width) : mpc_words(p, n);
    for (size_t i = 0; left && y != NULL && i < n; i++)
        y[i] += d[i] - draws->A[i];
    if (!mpc_failed(p))
        pass(p, MPC_LEFT, y, n, w->ring);
    p->step++;
    for (size_t i = 0; !left && !mpc_failed(p) && i < n; i++)
        y[i] += draws->B[i];
    if (!left && !mpc_failed(p) && (out->m = permute(p, y, draws->pi2, rows, width)) != NULL)
        for (size_t i = 0; i < n; i++)
            out->m[i] = (out->m[i] + d[i]) & keep;
    if (!mpc_failed(p))
        pass(p, MPC_RIGHT, out->m, n, w->ring);
    p->step++;
}

enum base_status sec_shuffle(struct mpc_party *p, struct mpc_wire w, size_t rows, struct mpc_wire *ret)
{
    if (!mpc_failed(p) && (w.gate_only || rows == 0 || w.count % rows != 0 || p->pending_count != 0))
        mpc_fail(p, BASE_ERR_INTERNAL, "shuffling %zu elements as %zu rows: needs a dealt wire of whole rows and an empty queue", w.count,
                 rows);
    if (mpc_failed(p))
        return p->status;
    mpc_declare(p, sec_shuffle_cost(w.count, w.ring));
    struct draws draws = draw(p, rows, w.count, w.ring);
    struct mpc_wire out = mpc_wire_make(p, w.count, w.ring, w.frac, w.bound);
    if (p->s1.present && !mpc_failed(p))
        mpc_stream_words(&p->s1, out.l1, w.count, w.ring);
    if (p->s2.present && !mpc_failed(p))
        mpc_stream_words(&p->s2, out.l2, w.count, w.ring);
    if (mpc_failed(p))
        return p->status;
    if (mpc_computes(p)) {
        exchange(p, &w, rows, &draws, &out);
    } else {
        if (p->role == MPC_HELPER)
            deal(p, &w, rows, &draws, &out);
        else if (p->role == MPC_CLEAR)
            memcpy(out.x, w.x, w.count * sizeof *w.x);
        p->step += 2;
    }
    if (!mpc_failed(p) && p->observe != NULL)
        p->observe(p->observe_context, p, "shuffled", &out, INFINITY); /* another order than the twin's */
    *ret = out;
    return p->status;
}

/* --- opened bits, kept rows ---------------------------------------------------------------------------------------------------------- */

struct mpc_cost sec_open_bits_cost(size_t n)
{
    return (struct mpc_cost){0, 2 * mpc_bits(n, 1), mpc_bits(n, 1)};
}

uint64_t *sec_open_bits(struct mpc_party *p, struct sec_masked_bit bit, const char *label)
{
    if (mpc_failed(p))
        return NULL;
    sec_declare_dealt(p, sec_open_bits_cost(bit.count));
    uint64_t *share = p->role == MPC_CLEAR ? bit.x : mpc_deal_xor(p, bit.count, 1, bit.rho);
    for (size_t i = 0; p->role == MPC_LEFT && !mpc_failed(p) && i < bit.count; i++)
        share[i] ^= bit.delta[i];
    return mpc_open_to_parties(p, share, bit.count, 1, MPC_OPEN_SHUFFLED_BITS, label);
}

struct mpc_cost sec_compact_cost(size_t count, size_t width, int ring)
{
    return mpc_open_share_cost(count * width, ring, 0);
}

struct mpc_wire sec_compact(struct mpc_party *p, struct mpc_wire w, size_t rows, const uint32_t *keep, size_t count,
                            const char *label)
{
    if (!mpc_failed(p) && (w.gate_only || rows == 0 || w.count % rows != 0 || count > rows))
        mpc_fail(p, BASE_ERR_INTERNAL, "%s: keeping %zu of %zu rows of %zu elements", label, count, rows, w.count);
    if (mpc_failed(p))
        return (struct mpc_wire){0};
    size_t width = w.count / rows;
    uint64_t *share = NULL;
    if (mpc_computes(p) || p->role == MPC_CLEAR)
        share = mpc_words(p, count * width);
    for (size_t i = 0; share != NULL && i < count * width; i++) {
        size_t from = keep[i / width] * width + i % width;
        share[i] = p->role == MPC_CLEAR ? w.x[from] : p->role == MPC_RIGHT ? w.m[from] - w.l2[from] : 0 - w.l1[from];
    }
    return mpc_open_share(p, share, count * width, (struct mpc_opening_form){.ring = w.ring, .frac = w.frac, .bound = w.bound, .ulp = -1,
                                                                             .label = label});
}

/* --- conformance: rows (x, place), shuffled; the signs of x opened; as many rows kept as there are places below the half ------------------- */

enum { STANDARD_BITS = 20 };

static void sample(int64_t *ret_x, size_t count, uint64_t seed)
{
    /* Rows of (key, tag): exactly half of the keys, the even rows', are negative, in every sample. */
    for (size_t i = 0; i < count; i++) {
        sec_sample_step(&seed);
        int64_t r = (int64_t)((seed >> 33) % 500000);
        ret_x[i] = i % 2 == 1 ? (int64_t)i : i % 4 == 0 ? -1 - r : r;
    }
}

static enum base_status run(struct mpc_party *p, struct mpc_wire x, struct mpc_wire *ret)
{
    enum base_status status = BASE_OK;
    size_t rows = x.count / 2, kept = 0, most = rows / 2;
    struct mpc_wire shuffled;
    TRY(sec_shuffle(p, x, rows, &shuffled));
    uint32_t *keys = mpc_bytes(p, rows * sizeof *keys), *keep = mpc_bytes(p, rows * sizeof *keep);
    TRY(p->status);
    for (size_t i = 0; i < rows; i++)
        keys[i] = (uint32_t)(2 * i);
    struct sec_masked_bit bit = sec_compare(p, mpc_gather(p, shuffled, keys, rows), STANDARD_BITS, "key below zero");
    TRY(mpc_round(p));
    const uint64_t *opened = sec_open_bits(p, bit, "opened bits");
    TRY(mpc_round(p));
    for (size_t i = 0; opened != NULL && i < rows; i++)
        if ((opened[i] & 1) == 1 && kept < most)
            keep[kept++] = (uint32_t)i;
    TRY_THAT(opened == NULL || kept == most, &p->error, BASE_ERR_INTERNAL, "%zu rows kept, not %zu", kept, most);
    *ret = sec_compact(p, shuffled, rows, p->role == MPC_HELPER ? NULL : keep, most, "kept rows");
    TRY(mpc_round(p));
out:
    return status;
}

static struct mpc_cost cost(size_t count)
{
    struct mpc_cost total = mpc_cost_add(sec_shuffle_cost(count, 32), sec_compare_cost(count / 2, STANDARD_BITS));
    total = mpc_cost_add(total, sec_open_bits_cost(count / 2));
    total = mpc_cost_add(total, sec_compact_cost(count / 4, 2, 32));
    total.rounds += 3;
    return total;
}

static uint64_t opens(size_t count)
{
    return count / 2;
}

const struct sec_gate sec_gate_shuffle = {.name = "shuffle", .source = "specification, rows.py: shuffle, open_bits, compact",
                                          .input_ring = 32, .input_frac = 0, .input_bound = 19, .unit = 4, .sample = sample, .run = run,
                                          .cost = cost, .opens = opens, .opens_as = MPC_OPEN_SHUFFLED_BITS};
