#include "mpc/lift.h"

#include "mpc/deal.h"
#include "mpc/maker.h"

#include <string.h>

bool mpc_wrap_fits(struct mpc_party *p, const struct mpc_wire *w)
{
    if (!mpc_failed(p) && w->gate_only)
        mpc_fail(p, BASE_ERR_INTERNAL, "lift: a gate-only wire was used outside a gate");
    if (!mpc_failed(p) && w->bound > w->ring - 2)
        mpc_fail(p, BASE_ERR_RANGE, "a wire of bound 2^%d in %d bits cannot be lifted: needs two spare bits", w->bound, w->ring);
    return !mpc_failed(p);
}

uint64_t *mpc_wrap_mask_bit(struct mpc_party *p, const struct mpc_wire *w)
{
    if (!mpc_wrap_fits(p, w))
        return NULL;
    uint64_t *mask = mpc_mask(p, w), *B = mpc_words(p, w->count);
    /* k <= 63 here (a wire of 64 bits is never lifted), so the limit is exact. */
    uint64_t limit = (UINT64_C(1) << w->ring) - (UINT64_C(1) << (w->bound + 1));
    for (size_t i = 0; !mpc_failed(p) && i < w->count; i++)
        B[i] = mask[i] >= limit;
    return B;
}

uint64_t *mpc_wrap_open_bit(struct mpc_party *p, const struct mpc_wire *w, uint64_t **ret_m)
{
    if (!mpc_wrap_fits(p, w))
        return NULL;
    uint64_t *m = mpc_words(p, w->count), *A = mpc_words(p, w->count), keep = kern_ring_mask(w->ring);
    uint64_t offset = UINT64_C(1) << w->bound, top = offset << 1;
    for (size_t i = 0; !mpc_failed(p) && i < w->count; i++) {
        m[i] = (w->m[i] + offset) & keep;
        A[i] = m[i] < top;
    }
    *ret_m = m;
    return A;
}

static struct mpc_lifted lift_whole(struct mpc_party *p, struct mpc_wire w, int ring)
{
    w = mpc_reduce(p, w, ring);
    struct mpc_lifted out = {.k = ring, .ring = ring, .count = w.count, .M = w.m};
    out.D = p->role == MPC_HELPER ? mpc_mask(p, &w) : p->role == MPC_LEFT ? w.l1 : w.l2;
    return out;
}

struct mpc_lifted mpc_lift(struct mpc_party *p, struct mpc_wire w, int ring)
{
    struct mpc_lifted out = {.k = w.ring, .ring = ring, .count = w.count};
    if (!mpc_failed(p) && w.gate_only)
        mpc_fail(p, BASE_ERR_INTERNAL, "lift: a gate-only wire was used outside a gate");
    if (mpc_failed(p) || p->role == MPC_CLEAR || p->role == MPC_COUNT)
        return out;
    if (w.ring >= ring)
        return lift_whole(p, w, ring);
    int high = ring - w.ring;
    if (p->role == MPC_HELPER) {
        /* l1 + l2 = D + 2^k carry: the shares of D are l_i + 2^k f_i with f1 + f2 = -carry. */
        out.B = mpc_wrap_mask_bit(p, &w);
        out.D = mpc_mask(p, &w);
        uint64_t *carry = mpc_words(p, w.count);
        for (size_t i = 0; !mpc_failed(p) && i < w.count; i++)
            carry[i] = UINT64_C(0) - ((w.l1[i] + w.l2[i]) >> w.ring);
        if (mpc_failed(p))
            return out;
        mpc_deal(p, w.count, high, carry);
        mpc_deal(p, w.count, high, out.B);
        return out;
    }
    uint64_t *m = NULL;
    out.A = mpc_wrap_open_bit(p, &w, &m);
    out.M = mpc_words(p, w.count);
    out.D = mpc_words(p, w.count);
    uint64_t *f = mpc_deal(p, w.count, high, NULL);
    out.B = mpc_deal(p, w.count, high, NULL);
    const uint64_t *own = p->role == MPC_LEFT ? w.l1 : w.l2;
    for (size_t i = 0; !mpc_failed(p) && i < w.count; i++) {
        out.M[i] = m[i] - (UINT64_C(1) << w.bound);
        out.D[i] = own[i] + (f[i] << w.ring);
    }
    return out;
}

/* One of the two cross terms 2^k A_x B_x (M_y - D_y): P0 deals B_x D_y. ix = index step of x, iy of y (1 or group). */
static void cross_term(struct mpc_party *p, const struct mpc_lifted *x, size_t group_x, const struct mpc_lifted *y,
                       size_t group_y, uint64_t *z, size_t n)
{
    if (mpc_failed(p) || x->B == NULL)
        return;
    int high = x->ring - x->k;
    uint64_t *product = NULL;
    if (p->role == MPC_HELPER) {
        product = mpc_words(p, n);
        for (size_t i = 0; product != NULL && i < n; i++)
            product[i] = x->B[i / group_x] * y->D[i / group_y];
        if (product != NULL)
            mpc_deal(p, n, high, product);
        return;
    }
    product = mpc_deal(p, n, high, NULL);
    for (size_t i = 0; product != NULL && i < n; i++)
        z[i] += (x->A[i / group_x] * (x->B[i / group_x] * y->M[i / group_y] - product[i])) << x->k;
}

static void wrap_product(struct mpc_party *p, const struct mpc_lifted *x, const struct mpc_lifted *y, size_t group, uint64_t *z,
                         size_t n)
{
    if (mpc_failed(p) || x->B == NULL || y->B == NULL || x->k + y->k >= x->ring)
        return;
    int high = x->ring - x->k - y->k;
    if (p->role == MPC_HELPER) {
        uint64_t *both = mpc_words(p, n);
        for (size_t i = 0; both != NULL && i < n; i++)
            both[i] = x->B[i] * y->B[i / group];
        if (both != NULL)
            mpc_deal(p, n, high, both);
        return;
    }
    uint64_t *both = mpc_deal(p, n, high, NULL);
    for (size_t i = 0; both != NULL && i < n; i++)
        z[i] += (x->A[i] * y->A[i / group] * both[i]) << (x->k + y->k);
}

struct mpc_cost mpc_share_mul_cost(size_t n, size_t group, int ring_x, int ring_y, int ring)
{
    struct mpc_cost cost = {0};
    if (ring_x < ring)
        cost.offline += 2 * mpc_bits(n, ring - ring_x) + mpc_bits(n, ring - ring_x);
    if (ring_y < ring)
        cost.offline += 2 * mpc_bits(n / group, ring - ring_y) + mpc_bits(n, ring - ring_y);
    if (ring_x < ring && ring_y < ring && ring_x + ring_y < ring)
        cost.offline += mpc_bits(n, ring - ring_x - ring_y);
    return cost;
}

/* Own masks of the factors, those that meet one y beside each other. */
static uint64_t *lay_masks(struct mpc_party *p, const struct mpc_factor *factor, size_t count, size_t rows, size_t width)
{
    uint64_t *masks = mpc_words(p, rows * width);
    for (size_t f = 0, at = 0; masks != NULL && f < count; at += factor[f++].group) {
        const uint64_t *own = mpc_own_mask(p, &factor[f].x);
        for (size_t i = 0; i < rows; i++)
            memcpy(masks + i * width + at, own + i * factor[f].group, factor[f].group * sizeof *masks);
    }
    return masks;
}

/* Two parties: all factors have the whole ring. */
static void multiply_ready(struct mpc_party *p, const struct mpc_factor *factor, size_t count, struct mpc_wire y, struct mpc_share *ret)
{
    size_t width = 0, mark = base_arena_mark(&p->arena);
    int ring = 0;
    for (size_t f = 0; f < count; f++) {
        const struct mpc_factor *own = &factor[f];
        if (!mpc_failed(p) && (own->x.ring < own->ring || y.ring < own->ring))
            mpc_fail(p, BASE_ERR_SUPPORT, "a product in %d bits of wires of %d and %d bits: two parties extend them first", own->ring, own->x.ring, y.ring);
        width += own->group;
        ring = ring > own->ring ? ring : own->ring;
    }
    struct mpc_cross_form form = {.count = y.count * width, .group = width, .ring = ring, .scalars = true};
    if (mpc_notes(p) && !mpc_failed(p))
        mpc_note_cross(p, form, mpc_own_mask(p, &y), p->role == MPC_COUNT ? NULL : lay_masks(p, factor, count, y.count, width));
    const uint64_t *words = mpc_shares_nothing(p) || mpc_failed(p) ? NULL : mpc_made(p, form.count, ring), *y_mask = mpc_own_mask(p, &y);
    for (size_t f = 0, at = 0; words != NULL && f < count; at += factor[f++].group) {
        size_t group = factor[f].group;
        const uint64_t *m = factor[f].x.m, *mask = mpc_own_mask(p, &factor[f].x);
        for (size_t i = 0; i < factor[f].x.count; i++) {
            size_t j = i / group;
            ret[f].z[i] = (p->role == MPC_RIGHT ? m[i] * y.m[j] : 0) - m[i] * y_mask[j] - mask[i] * y.m[j] + words[j * width + at + i % group];
        }
    }
    base_arena_release(&p->arena, mark);
}

static struct mpc_share multiply_lifted(struct mpc_party *p, struct mpc_wire x, struct mpc_wire y, size_t group, int ring)
{
    size_t n = x.count;
    struct mpc_share out = mpc_share_make(p, n, ring, x.frac + y.frac);
    if (mpc_failed(p))
        return out;
    if (p->maker == NULL)
        mpc_declare(p, mpc_share_mul_cost(n, group, x.ring, y.ring, ring));
    if (p->role == MPC_COUNT)
        return out;
    if (p->role == MPC_CLEAR) {
        for (size_t i = 0; i < n; i++)
            out.z[i] = x.x[i] * y.x[i / group];
        return out;
    }
    struct mpc_lifted X = mpc_lift(p, x, ring), Y = mpc_lift(p, y, ring);
    for (size_t i = 0; !mpc_failed(p) && i < n; i++) {
        size_t j = i / group;
        if (p->role == MPC_HELPER)
            out.z[i] = X.D[i] * Y.D[j];
        else
            out.z[i] = (p->role == MPC_RIGHT ? X.M[i] * Y.M[j] : 0) - X.M[i] * Y.D[j] - X.D[i] * Y.M[j];
    }
    cross_term(p, &X, 1, &Y, group, out.z, n);
    cross_term(p, &Y, group, &X, 1, out.z, n);
    wrap_product(p, &X, &Y, group, out.z, n);
    return out;
}

static void check_factor(struct mpc_party *p, const struct mpc_factor *f, const struct mpc_wire *y)
{
    if (!mpc_failed(p) && y->count * f->group != f->x.count)
        mpc_fail(p, BASE_ERR_INTERNAL, "product of %zu and %zu elements in groups of %zu", f->x.count, y->count, f->group);
    if (f->x.ring < f->ring || f->x.gate_only)
        (void)mpc_wrap_fits(p, &f->x);
    if (y->ring < f->ring || y->gate_only)
        (void)mpc_wrap_fits(p, y);
}

void mpc_share_mul_all(struct mpc_party *p, const struct mpc_factor *factor, size_t count, struct mpc_wire y, struct mpc_share *ret)
{
    bool ready = p->maker != NULL && p->role != MPC_CLEAR;
    for (size_t f = 0; f < count; f++) {
        check_factor(p, &factor[f], &y);
        ret[f] = ready ? mpc_share_make(p, factor[f].x.count, factor[f].ring, factor[f].x.frac + y.frac)
                       : multiply_lifted(p, factor[f].x, y, factor[f].group, factor[f].ring);
    }
    if (ready)
        multiply_ready(p, factor, count, y, ret);
}

struct mpc_share mpc_share_mul(struct mpc_party *p, struct mpc_wire x, struct mpc_wire y, size_t group, int ring)
{
    struct mpc_share out;
    mpc_share_mul_all(p, &(struct mpc_factor){x, group, ring}, 1, y, &out);
    return out;
}

struct mpc_wire mpc_ready(struct mpc_party *p, struct mpc_wire w, int ring, const char *label)
{
    return p->maker == NULL || w.ring >= ring ? w : mpc_extend(p, w, ring, label);
}

struct mpc_cost mpc_extend_cost(size_t count, int k, int ring)
{
    return (struct mpc_cost){0, 2 * mpc_bits(count, ring - k), 2 * mpc_bits(count, ring - k)};
}

/* opened = A B + h; m = m'' - 2^b + 2^k opened. */
static void finish_extend(struct mpc_party *p, struct mpc_pending *q)
{
    uint64_t offset = UINT64_C(1) << q->wire.bound, keep = kern_ring_mask(q->wire.ring);
    int k = q->wire.ring - q->ring;
    for (size_t i = 0; i < q->count; i++)
        q->wire.m[i] = (q->extra[i] - offset + (q->opened[i] << k)) & keep;
}

/* P0's part: new mask halves l_i + 2^k h_i, and dealt shares of h and B. */
static void extend_helper(struct mpc_party *p, const struct mpc_wire *w, struct mpc_wire *out)
{
    int high = out->ring - w->ring;
    uint64_t *h1, *h2, keep = kern_ring_mask(high);
    mpc_fresh(p, w->count, high, &h1, &h2);
    uint64_t *B = mpc_wrap_mask_bit(p, w), *h = mpc_words(p, w->count);
    for (size_t i = 0; !mpc_failed(p) && i < w->count; i++) {
        out->l1[i] = w->l1[i] + (h1[i] << w->ring);
        out->l2[i] = w->l2[i] + (h2[i] << w->ring);
        h[i] = (h1[i] + h2[i] + ((w->l1[i] + w->l2[i]) >> w->ring)) & keep;
    }
    if (mpc_failed(p))
        return;
    mpc_deal(p, w->count, high, h);
    mpc_deal(p, w->count, high, B);
}

/* --- two parties -------------------------------------------------------------------------------------------------------- */

/* New masks l_i + 2^k h_i, and V for every M. */
static void extend_ahead(struct mpc_party *p, const struct mpc_wire *w, struct mpc_wire *out)
{
    int high = out->ring - w->ring;
    mpc_note_wraps(p, (struct mpc_wraps_form){w->count, w->ring, high}, w->l1);
    if (p->role == MPC_COUNT)
        return;
    uint64_t *h1, *none;
    mpc_fresh(p, w->count, high, &h1, &none);
    for (size_t i = 0; !mpc_failed(p) && i < w->count; i++)
        out->l1[i] = w->l1[i] + (h1[i] << w->ring);
}

static void extend_made(struct mpc_party *p, const struct mpc_wire *w, struct mpc_wire *out, struct mpc_pending *q)
{
    int high = out->ring - w->ring;
    uint64_t *h1, *h2, offset = UINT64_C(1) << w->bound, keep = kern_ring_mask(w->ring);
    mpc_fresh(p, w->count, high, &h1, &h2);
    const uint64_t *own = mpc_own_mask(p, w), *fresh = p->role == MPC_LEFT ? h1 : h2, *V = mpc_made(p, MPC_WRAPS_READINGS * w->count, high);
    uint64_t *mask = mpc_own_mask(p, out);
    q->opened = mpc_words(p, w->count);
    q->extra = mpc_words(p, w->count);
    for (size_t i = 0; !mpc_failed(p) && i < w->count; i++) {
        uint64_t m = (w->m[i] + offset) & keep;
        mask[i] = own[i] + (fresh[i] << w->ring);
        q->extra[i] = m;
        q->opened[i] = V[(m >> (w->ring - 2)) * w->count + i] + fresh[i];
    }
}

struct mpc_wire mpc_extend(struct mpc_party *p, struct mpc_wire w, int ring, const char *label)
{
    if (!mpc_failed(p) && (ring < w.ring || ring > 64))
        mpc_fail(p, BASE_ERR_INTERNAL, "%s: extending a wire of %d bits to %d bits", label, w.ring, ring);
    if (w.ring == ring || !mpc_wrap_fits(p, &w))
        return w;
    int high = ring - w.ring;
    struct mpc_wire out = mpc_wire_make(p, w.count, ring, w.frac, w.bound);
    struct mpc_pending q = {.label = label, .count = w.count, .ring = high, .ulp = 0, .finish = finish_extend};
    struct mpc_cost cost = mpc_extend_cost(w.count, w.ring, ring);
    mpc_declare(p, (struct mpc_cost){.online = cost.online, .offline = p->maker == NULL ? cost.offline : 0});
    if (mpc_notes(p)) {
        extend_ahead(p, &w, &out);
    } else if (mpc_reads_made(p)) {
        extend_made(p, &w, &out, &q);
    } else if (p->role == MPC_CLEAR) {
        for (size_t i = 0; !mpc_failed(p) && i < w.count; i++)
            out.x[i] = w.x[i];
    } else if (p->role == MPC_HELPER) {
        extend_helper(p, &w, &out);
    } else if (mpc_computes(p)) {
        uint64_t *h1, *h2, *m = NULL;
        mpc_fresh(p, w.count, high, &h1, &h2);
        uint64_t *A = mpc_wrap_open_bit(p, &w, &m);
        uint64_t *h = mpc_deal(p, w.count, high, NULL), *B = mpc_deal(p, w.count, high, NULL);
        bool left = p->role == MPC_LEFT;
        const uint64_t *own = left ? w.l1 : w.l2, *fresh = left ? h1 : h2;
        uint64_t *mask = left ? out.l1 : out.l2;
        q.opened = mpc_words(p, w.count);
        q.extra = m;
        for (size_t i = 0; !mpc_failed(p) && i < w.count; i++) {
            mask[i] = own[i] + (fresh[i] << w.ring);
            q.opened[i] = A[i] * B[i] + h[i];
        }
    }
    q.wire = out;
    return mpc_queue(p, &q);
}
