#include "mpc/product.h"

#include "kernels/gather.h"
#include "mpc/deal.h"

#include <string.h>

/* --- shares --------------------------------------------------------------------------------------------------------- */

static void refuse_gate_only(struct mpc_party *p, const struct mpc_wire *w, const char *what)
{
    if (w->gate_only)
        mpc_fail(p, BASE_ERR_INTERNAL, "%s: a gate-only wire was used outside a gate", what);
}

struct mpc_share mpc_share_make(struct mpc_party *p, size_t count, int ring, int frac)
{
    struct mpc_share share = {.ring = ring, .frac = frac, .count = count};
    if (!mpc_shares_nothing(p))
        share.z = mpc_words(p, count);
    return share;
}

/* Two parties ahead of time: P_i's masks of x and of the matrices, one after the other. */
static void note_matmul(struct mpc_party *p, struct mpc_wire x, const struct mpc_matrix *const *w, size_t count, struct mpc_product_form form)
{
    size_t mark = base_arena_mark(&p->arena), at = 0;
    uint64_t *masks = p->role == MPC_COUNT ? NULL : mpc_words(p, form.heads * form.outs * form.inner);
    for (size_t i = 0; masks != NULL && i < count; at += w[i]->outs * w[i]->inner, i++)
        mpc_matrix_own_masks(w[i], masks + at);
    mpc_note_product(p, form, x.l1, masks);
    base_arena_release(&p->arena, mark);
}

/* Two parties online: what P0 would hold of a product, lx ly, is in the shares that they made: rows of `outs` words, of which those from `first` on. */
static void add_made_rows(const uint64_t *words, size_t rows, size_t outs, size_t first, uint64_t *z, size_t count, size_t stride)
{
    for (size_t r = 0; words != NULL && r < rows; r++)
        for (size_t o = 0; o < count; o++)
            z[r * stride + o] += words[r * outs + first + o];
}

static bool fits(struct mpc_party *p, const struct mpc_wire *x, size_t rows, size_t inner)
{
    refuse_gate_only(p, x, "matmul");
    if (!mpc_failed(p) && x->count != rows * inner)
        mpc_fail(p, BASE_ERR_INTERNAL, "matmul of %zu elements as %zu rows of %zu", x->count, rows, inner);
    return !mpc_failed(p);
}

static int ring_of(const struct mpc_wire *x, const struct mpc_matrix *w)
{
    return x->ring < w->ring ? x->ring : w->ring;
}

void mpc_share_matmul_at(struct mpc_party *p, struct mpc_wire x, size_t rows, const struct mpc_matrix *w,
                         struct mpc_share *out, size_t at, size_t stride)
{
    if (!fits(p, &x, rows, w->inner))
        return;
    int ring = ring_of(&x, w);
    struct mpc_product_form form = {.heads = 1, .rows = rows, .outs = w->outs, .inner = w->inner, .ring = ring < out->ring ? ring : out->ring};
    if (mpc_notes(p))
        note_matmul(p, x, &w, 1, form);
    if (mpc_shares_nothing(p))
        return;
    mpc_matrix_multiply(p, x, rows, w, out->z + at, stride);
    if (mpc_reads_made(p)) {
        size_t mark = base_arena_mark(&p->arena);
        add_made_rows(mpc_made(p, rows * w->outs, form.ring), rows, w->outs, 0, out->z + at, w->outs, stride);
        base_arena_release(&p->arena, mark);
    }
}

/* later: as in mpc_heads_form. */
static void matmul_stacked(struct mpc_party *p, struct mpc_wire x, size_t rows, const struct mpc_matrix *const *w, size_t count, bool later, struct mpc_share *ret)
{
    struct mpc_product_form form = {.heads = 1, .rows = rows, .inner = w[0]->inner, .which = {.lasting = MPC_WEIGHTS, .of = w[0]}};
    for (size_t i = 0; i < count; i++) {
        ret[i] = mpc_share_make(p, rows * w[i]->outs, ring_of(&x, w[i]), x.frac + w[i]->frac);
        form.ring = form.ring > ret[i].ring ? form.ring : ret[i].ring;
        form.outs += w[i]->outs;
        if (!w[i]->weights)
            form.which = (struct mpc_identity){0};
        (void)fits(p, &x, rows, w[i]->inner);
    }
    if (mpc_failed(p))
        return;
    if (mpc_notes(p))
        note_matmul(p, x, w, count, form);
    if (mpc_shares_nothing(p))
        return;
    bool settles = !later || mpc_reads_made(p);
    if (settles)
        kern_hold(p->kern);
    for (size_t i = 0; i < count; i++)
        mpc_matrix_multiply(p, x, rows, w[i], ret[i].z, w[i]->outs);
    if (settles)
        kern_settle(p->kern);
    size_t mark = base_arena_mark(&p->arena), first = 0;
    const uint64_t *words = mpc_reads_made(p) ? mpc_made(p, rows * form.outs, form.ring) : NULL;
    for (size_t i = 0; i < count; first += w[i]->outs, i++)
        add_made_rows(words, rows, form.outs, first, ret[i].z, w[i]->outs, w[i]->outs);
    base_arena_release(&p->arena, mark);
}

void mpc_share_matmul_stacked(struct mpc_party *p, struct mpc_wire x, size_t rows, const struct mpc_matrix *const *w, size_t count, struct mpc_share *ret)
{
    matmul_stacked(p, x, rows, w, count, false, ret);
}

struct mpc_share mpc_share_matmul(struct mpc_party *p, struct mpc_wire x, size_t rows, const struct mpc_matrix *w)
{
    struct mpc_share out;
    matmul_stacked(p, x, rows, &w, 1, false, &out);
    return out;
}

void mpc_share_matmul_heads(struct mpc_party *p, struct mpc_wire x, const struct mpc_matrix *w, struct mpc_heads_form form, struct mpc_share *out, size_t at)
{
    size_t mark = base_arena_mark(&p->arena);
    const struct mpc_matrix **each = mpc_bytes(p, form.heads * sizeof *each);
    if (each == NULL || !fits(p, &x, form.heads * form.rows, w->inner))
        return;
    int ring = ring_of(&x, w);
    struct mpc_product_form product = {.heads = form.heads, .rows = form.rows, .outs = w->outs, .inner = w->inner, .ring = ring < out->ring ? ring : out->ring,
                                       .which = form.which};
    for (size_t h = 0; h < form.heads; h++)
        each[h] = w + h;
    if (mpc_notes(p))
        note_matmul(p, x, each, form.heads, product);
    bool multiplies = !mpc_shares_nothing(p), settles = multiplies && (!form.later || mpc_reads_made(p));
    if (settles)
        kern_hold(p->kern);
    for (size_t h = 0; h < form.heads && multiplies && !mpc_failed(p); h++) {
        size_t before = base_arena_mark(&p->arena), words = form.rows * w->inner;
        mpc_matrix_multiply(p, mpc_slice(x, h * words, words), form.rows, w + h, out->z + at + h * form.rows * w->outs, w->outs);
        base_arena_release(&p->arena, before);
    }
    if (settles)
        kern_settle(p->kern);
    if (mpc_reads_made(p))
        mpc_add_made(p, out->z + at, form.heads * form.rows * w->outs, product.ring);
    base_arena_release(&p->arena, mark);
}

static struct mpc_share dot(struct mpc_party *p, struct mpc_wire x, struct mpc_wire y, size_t group, bool squares)
{
    refuse_gate_only(p, &x, "dot");
    refuse_gate_only(p, &y, "dot");
    int ring = x.ring < y.ring ? x.ring : y.ring;
    struct mpc_share out = mpc_share_make(p, x.count / group, ring, x.frac + y.frac);
    if (mpc_failed(p))
        return out;
    const uint64_t *of_x = mpc_own_mask(p, &x), *of_y = mpc_own_mask(p, &y);
    if (mpc_notes(p))
        mpc_note_cross(p, (struct mpc_cross_form){.count = x.count, .group = group, .ring = ring, .squares = squares}, of_x, of_y);
    if (mpc_shares_nothing(p))
        return out;
    const uint64_t *a = p->role == MPC_CLEAR ? x.x : p->role == MPC_HELPER ? mpc_mask(p, &x) : x.m;
    const uint64_t *b = p->role == MPC_CLEAR ? y.x : p->role == MPC_HELPER ? mpc_mask(p, &y) : y.m;
    if (mpc_failed(p))
        return out;
    for (size_t r = 0; r < out.count; r++) {
        uint64_t sum = 0;
        for (size_t i = r * group; i < (r + 1) * group; i++) {
            if (p->role == MPC_LEFT)
                sum -= a[i] * y.l1[i] + x.l1[i] * b[i];
            else if (p->role == MPC_RIGHT)
                sum += a[i] * (b[i] - y.l2[i]) - x.l2[i] * b[i];
            else
                sum += a[i] * b[i];
        }
        out.z[r] = sum;
    }
    if (mpc_reads_made(p))
        mpc_add_made(p, out.z, out.count, ring);
    return out;
}

struct mpc_share mpc_share_dot(struct mpc_party *p, struct mpc_wire x, struct mpc_wire y, size_t group)
{
    return dot(p, x, y, group, false);
}

struct mpc_share mpc_share_squares(struct mpc_party *p, struct mpc_wire x, size_t group)
{
    return dot(p, x, x, group, true);
}

/* What a party knows of a masked element without its P0: P1 -l1, P2 m - l2. */
static uint64_t own_part(enum mpc_role role, const struct mpc_matrix *w, size_t column)
{
    uint64_t second = mpc_matrix_second(role, w, 0, column);
    return role == MPC_LEFT ? 0 - second : second;
}

struct mpc_share mpc_share_of_row(struct mpc_party *p, const struct mpc_matrix *w, size_t copies)
{
    struct mpc_share out = mpc_share_make(p, copies * w->inner, w->ring, w->frac);
    for (size_t i = 0; !mpc_failed(p) && out.z != NULL && i < w->inner; i++) {
        uint64_t value = p->role == MPC_LEFT ? 0 : mpc_matrix_element(p->role, w, 0, i);
        if (p->role == MPC_HELPER)
            value = 0 - value;
        if (mpc_reads_made(p))
            value = own_part(p->role, w, i);
        for (size_t c = 0; c < copies; c++)
            out.z[c * w->inner + i] = value;
    }
    return out;
}

void mpc_share_add(struct mpc_party *p, struct mpc_share *share, struct mpc_share other)
{
    if (!mpc_failed(p) && (share->count != other.count || share->frac != other.frac))
        mpc_fail(p, BASE_ERR_INTERNAL, "shares of %zu elements with %d fraction bits and of %zu with %d do not add up", share->count, share->frac, other.count,
                 other.frac);
    share->ring = share->ring < other.ring ? share->ring : other.ring;
    share->slack += other.slack;
    for (size_t i = 0; !mpc_failed(p) && share->z != NULL && i < share->count; i++)
        share->z[i] += other.z[i];
}

struct mpc_share mpc_share_gather(struct mpc_party *p, struct mpc_share share, const uint32_t *index, size_t count)
{
    struct mpc_share out = mpc_share_make(p, count, share.ring, share.frac);
    out.slack = share.slack;
    for (size_t i = 0; !mpc_failed(p) && out.z != NULL && i < count; i++)
        out.z[i] = share.z[index[i]];
    return out;
}

/* --- openings ------------------------------------------------------------------------------------------------------- */

struct mpc_cost mpc_cut_cost(size_t count, int ring, int f, bool gate_only)
{
    return (struct mpc_cost){0, 2 * mpc_bits(count, ring - f), gate_only ? 0 : mpc_bits(count, ring - f)};
}

static void cut_twin(struct mpc_party *p, struct mpc_share *share, int f, struct mpc_wire *ret)
{
    ret->x = mpc_words(p, share->count);
    for (size_t i = 0; ret->x != NULL && i < share->count; i++)
        ret->x[i] = (uint64_t)mpc_round_shift((int64_t)share->z[i], f);
}

/* What a cut draws, on every role in one order: fresh masks, and the draws of the dealt halves of the result's mask. */
struct cut_draws {
    uint64_t *g1, *s2;
    struct mpc_halves halves;
};

/* P0's mask of the result: g1 + s2 - (z0 >> f), reduced, in place of z. */
static void cut_helper(struct mpc_party *p, uint64_t *z, struct cut_draws *draws, struct mpc_wire *ret)
{
    uint64_t keep = kern_ring_mask(ret->ring);
    for (size_t i = 0; !mpc_failed(p) && i < ret->count; i++)
        z[i] = (draws->g1[i] + draws->s2[i] - z[i]) & keep;
    if (ret->gate_only)
        ret->l1 = z;
    else
        mpc_halves_end(p, &draws->halves, z, &ret->l1, &ret->l2);
}

/* Two parties: nothing of the mask is dealt or known to anybody else, and it is each party's own draw. */
static void cut_pair(struct mpc_party *p, uint64_t *z, const struct cut_draws *draws, struct mpc_wire *ret)
{
    ret->l1 = draws->g1;
    ret->l2 = draws->s2;
    if (!mpc_computes(p))
        return;
    const uint64_t *mask = mpc_own_mask(p, ret);
    for (size_t i = 0; !mpc_failed(p) && i < ret->count; i++)
        z[i] += mask[i];
    ret->m = z;
    if (ret->gate_only)
        ret->l1 = ret->l2 = NULL;
}

static void cut_compute(struct mpc_party *p, uint64_t *z, const struct cut_draws *draws, struct mpc_wire *ret)
{
    const uint64_t *mask = p->role == MPC_LEFT ? draws->g1 : draws->s2;
    for (size_t i = 0; !mpc_failed(p) && i < ret->count; i++)
        z[i] += mask[i];
    ret->m = z;
    if (!ret->gate_only)
        mpc_halves_end(p, &draws->halves, NULL, &ret->l1, &ret->l2);
}

/* What is to be cut, on its way. */
struct cut {
    int ring, f;
    const char *label;
    struct mpc_wire wire;
    struct cut_draws draws;
};

/* Between kern_hold and kern_settle: everything before the share's words are read. */
static bool cut_begin(struct mpc_party *p, const struct mpc_share *share, int bound, bool gate_only, struct cut *c)
{
    if (!mpc_failed(p) && (c->ring > share->ring || c->f < 0 || bound >= c->ring - c->f))
        mpc_fail(p, BASE_ERR_RANGE, "%s: a bound of 2^%d does not fit %d bits cut by %d (share of %d bits): recompute the plan",
                 c->label, bound, c->ring, c->f, share->ring);
    if (mpc_failed(p))
        return false;
    c->wire = (struct mpc_wire){.ring = c->ring - c->f, .frac = share->frac - c->f, .bound = bound, .gate_only = gate_only, .count = share->count};
    mpc_declare(p, mpc_cut_cost(share->count, c->ring, c->f, gate_only || p->maker != NULL));
    if (p->role == MPC_CLEAR || (p->role == MPC_COUNT && !mpc_notes(p)))
        return true;
    mpc_fresh_later(p, share->count, c->wire.ring, &c->draws.g1, &c->draws.s2);
    if (!gate_only && p->maker == NULL)
        c->draws.halves = mpc_halves_begin(p, share->count, c->wire.ring);
    return !mpc_failed(p);
}

/* The parties' own parts, cut: NULL where there are none. */
static uint64_t *cut_words(struct mpc_party *p, const struct mpc_share *share, const struct cut *c)
{
    bool none = p->role == MPC_CLEAR || p->role == MPC_COUNT || mpc_notes(p);
    uint64_t *z = none ? NULL : mpc_words(p, share->count);
    if (z != NULL)
        p->kern->round_shift(z, share->z, share->count, c->ring, c->f);
    return z;
}

static struct mpc_wire cut_end(struct mpc_party *p, struct mpc_share share, uint64_t *z, struct cut *c)
{
    if (mpc_failed(p))
        return (struct mpc_wire){0};
    double unit = (double)(UINT64_C(1) << c->f);
    if (p->role == MPC_CLEAR)
        cut_twin(p, &share, c->f, &c->wire);
    else if (mpc_notes(p) || (z != NULL && p->maker != NULL))
        cut_pair(p, z, &c->draws, &c->wire);
    else if (p->role == MPC_HELPER)
        cut_helper(p, z, &c->draws, &c->wire);
    else if (mpc_computes(p))
        cut_compute(p, z, &c->draws, &c->wire);
    return mpc_queue(p, &(struct mpc_pending){.label = c->label, .wire = c->wire, .opened = c->wire.m, .count = share.count, .ring = c->wire.ring,
                                              .ulp = 1.5 + share.slack / unit});
}

struct mpc_wire mpc_cut(struct mpc_party *p, struct mpc_share share, int ring, int f, int bound, bool gate_only,
                        const char *label)
{
    struct cut c = {.ring = ring, .f = f, .label = label};
    kern_hold(p->kern); /* draws are made beside the truncation */
    uint64_t *z = cut_begin(p, &share, bound, gate_only, &c) ? cut_words(p, &share, &c) : NULL;
    kern_settle(p->kern);
    return cut_end(p, share, z, &c);
}

struct mpc_wire mpc_cut_matmul(struct mpc_party *p, struct mpc_wire x, size_t rows, const struct mpc_matrix *w, const struct mpc_share *bias,
                               struct mpc_cut_form form)
{
    struct mpc_share share;
    kern_hold(p->kern); /* draws are made beside the product */
    matmul_stacked(p, x, rows, &w, 1, true, &share);
    struct cut c = {.ring = bias != NULL && bias->ring < share.ring ? bias->ring : share.ring, .f = share.frac - form.frac, .label = form.label};
    bool begun = cut_begin(p, &share, form.bound, false, &c);
    kern_settle(p->kern);
    if (bias != NULL)
        mpc_share_add(p, &share, *bias);
    return cut_end(p, share, begun ? cut_words(p, &share, &c) : NULL, &c);
}

struct mpc_cost mpc_open_share_cost(size_t count, int ring, int f)
{
    return (struct mpc_cost){0, 2 * mpc_bits(count, ring - f), 0};
}

struct mpc_wire mpc_open_share(struct mpc_party *p, const uint64_t *share, size_t count, struct mpc_opening_form form)
{
    int ring = form.ring - form.f;
    if (!mpc_failed(p) && form.bound > ring)
        mpc_fail(p, BASE_ERR_RANGE, "%s: a bound of 2^%d does not fit %d bits: recompute the plan", form.label, form.bound, ring);
    if (mpc_failed(p))
        return (struct mpc_wire){0};
    mpc_declare(p, mpc_open_share_cost(count, form.ring, form.f));
    struct mpc_wire w = {.ring = ring, .frac = form.frac, .bound = form.bound, .count = count};
    if (p->role == MPC_CLEAR) {
        w.x = mpc_words(p, count);
        if (w.x != NULL)
            memcpy(w.x, share, count * sizeof *share);
    } else if (p->role != MPC_COUNT) {
        kern_hold(p->kern);
        mpc_fresh_later(p, count, ring, &w.l1, &w.l2);
        if (mpc_computes(p) && (w.m = mpc_words(p, count)) != NULL)
            p->kern->round_shift(w.m, share, count, form.ring, form.f);
        kern_settle(p->kern);
        const uint64_t *mask = p->role == MPC_LEFT ? w.l1 : w.l2;
        for (size_t i = 0; w.m != NULL && i < count; i++)
            w.m[i] += mask[i];
    }
    return mpc_queue(p, &(struct mpc_pending){.label = form.label, .wire = w, .opened = w.m, .count = count, .ring = ring,
                                              .ulp = form.ulp + 1});
}
