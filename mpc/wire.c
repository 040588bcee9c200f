#include "mpc/wire.h"

#include "mpc/maker.h"

#include <string.h>

/* The arrays of a wire in a fixed order, so that a linear map is one loop over them. */
static uint64_t **component(struct mpc_wire *w, int which)
{
    uint64_t **all[] = {&w->m, &w->l1, &w->l2, &w->x};
    return all[which];
}

enum { COMPONENTS = 4, COMPONENT_M = 0 };

/* The twin keeps whole integers; shares are reduced to their ring. */
static uint64_t keep_mask(const struct mpc_party *p, int ring)
{
    return p->role == MPC_CLEAR ? ~UINT64_C(0) : kern_ring_mask(ring);
}

struct mpc_wire mpc_wire_make(struct mpc_party *p, size_t count, int ring, int frac, int bound)
{
    struct mpc_wire w = {.ring = ring, .frac = frac, .bound = bound, .count = count};
    if (ring < 1 || ring > 64)
        mpc_fail(p, BASE_ERR_RANGE, "a wire in a ring of %d bits: must be 1 to 64", ring);
    if (bound > ring)
        mpc_fail(p, BASE_ERR_RANGE, "a wire of bound 2^%d does not fit its ring of %d bits: recompute the plan", bound, ring);
    if (mpc_failed(p))
        return (struct mpc_wire){0};
    if (p->role == MPC_CLEAR)
        w.x = mpc_words(p, count);
    if (mpc_computes(p))
        w.m = mpc_words(p, count);
    if (p->role == MPC_HELPER || p->role == MPC_LEFT)
        w.l1 = mpc_words(p, count);
    if ((p->role == MPC_HELPER && p->maker == NULL) || p->role == MPC_RIGHT)
        w.l2 = mpc_words(p, count);
    return mpc_failed(p) ? (struct mpc_wire){0} : w;
}

/* A wire with the same set of arrays as `like`. */
static struct mpc_wire make_like(struct mpc_party *p, const struct mpc_wire *like, size_t count, int ring)
{
    struct mpc_wire w = *like;
    w.count = count;
    w.ring = ring;
    if (mpc_failed(p))
        return (struct mpc_wire){0};
    for (int c = 0; c < COMPONENTS; c++)
        if (*component(&w, c) != NULL)
            *component(&w, c) = mpc_words(p, count);
    return mpc_failed(p) ? (struct mpc_wire){0} : w;
}

struct mpc_wire mpc_public(struct mpc_party *p, const int64_t *x, size_t count, int ring, int frac, int bound)
{
    struct mpc_wire w = mpc_wire_make(p, count, ring, frac, bound);
    if (mpc_failed(p))
        return w;
    for (int c = 0; c < COMPONENTS; c++) {
        uint64_t *v = *component(&w, c);
        if (v == NULL)
            continue;
        for (size_t i = 0; i < count; i++)
            v[i] = c == COMPONENT_M || p->role == MPC_CLEAR ? (uint64_t)x[i] & keep_mask(p, ring) : 0;
    }
    return w;
}

struct mpc_wire mpc_reduce(struct mpc_party *p, struct mpc_wire w, int ring)
{
    if (ring == w.ring || mpc_failed(p))
        return w;
    if (ring > w.ring) {
        mpc_fail(p, BASE_ERR_INTERNAL, "reducing a wire of %d bits to a larger ring of %d bits", w.ring, ring);
        return (struct mpc_wire){0};
    }
    struct mpc_wire out = make_like(p, &w, w.count, ring);
    if (out.bound > ring)
        out.bound = ring;
    for (int c = 0; c < COMPONENTS && !mpc_failed(p); c++) {
        const uint64_t *v = *component(&w, c);
        uint64_t *z = *component(&out, c), keep = keep_mask(p, ring);
        for (size_t i = 0; z != NULL && i < w.count; i++)
            z[i] = v[i] & keep;
    }
    return out;
}

struct mpc_wire mpc_as_gate_only(struct mpc_party *p, struct mpc_wire w)
{
    if (w.gate_only || mpc_failed(p))
        return w;
    uint64_t *mask = mpc_mask(p, &w);
    w.gate_only = true;
    w.l1 = mask;
    w.l2 = NULL;
    return w;
}

struct mpc_wire mpc_add(struct mpc_party *p, struct mpc_wire x, struct mpc_wire y, int sign, int bound)
{
    if (x.gate_only || y.gate_only) {
        x = mpc_as_gate_only(p, x);
        y = mpc_as_gate_only(p, y);
    }
    if (mpc_failed(p))
        return (struct mpc_wire){0};
    if (x.frac != y.frac || x.count != y.count) {
        mpc_fail(p, BASE_ERR_INTERNAL, "adding wires of %zu and %zu elements, %d and %d fraction bits", x.count, y.count,
                 x.frac, y.frac);
        return (struct mpc_wire){0};
    }
    int ring = x.ring < y.ring ? x.ring : y.ring;
    struct mpc_wire out = make_like(p, &x, x.count, ring);
    uint64_t factor = sign > 0 ? 1 : ~UINT64_C(0), keep = keep_mask(p, ring);
    for (int c = 0; c < COMPONENTS && !mpc_failed(p); c++) {
        const uint64_t *a = *component(&x, c), *b = *component(&y, c);
        uint64_t *z = *component(&out, c);
        for (size_t i = 0; z != NULL && i < x.count; i++)
            z[i] = (a[i] + factor * b[i]) & keep;
    }
    out.bound = bound;
    return out;
}

struct mpc_wire mpc_times(struct mpc_party *p, struct mpc_wire w, int64_t c, int bound)
{
    struct mpc_wire out = make_like(p, &w, w.count, w.ring);
    uint64_t keep = keep_mask(p, w.ring);
    for (int a = 0; a < COMPONENTS && !mpc_failed(p); a++) {
        const uint64_t *v = *component(&w, a);
        uint64_t *z = *component(&out, a);
        for (size_t i = 0; z != NULL && i < w.count; i++)
            z[i] = (v[i] * (uint64_t)c) & keep;
    }
    out.bound = bound;
    return out;
}

struct mpc_wire mpc_add_const(struct mpc_party *p, struct mpc_wire w, int64_t c)
{
    struct mpc_wire out = w;
    uint64_t **part = p->role == MPC_CLEAR ? &out.x : &out.m;
    if (mpc_failed(p) || *part == NULL)
        return out;
    const uint64_t *v = *part;
    uint64_t *z = *part = mpc_words(p, w.count), keep = keep_mask(p, w.ring);
    for (size_t i = 0; z != NULL && i < w.count; i++)
        z[i] = (v[i] + (uint64_t)c) & keep;
    return out;
}

struct mpc_wire mpc_gather(struct mpc_party *p, struct mpc_wire w, const uint32_t *index, size_t count)
{
    struct mpc_wire out = make_like(p, &w, count, w.ring);
    for (int c = 0; c < COMPONENTS && !mpc_failed(p); c++) {
        const uint64_t *v = *component(&w, c);
        uint64_t *z = *component(&out, c);
        for (size_t i = 0; z != NULL && i < count; i++)
            z[i] = index[i] == UINT32_MAX ? 0 : v[index[i]];
    }
    return out;
}

struct mpc_wire mpc_copy(struct mpc_party *p, struct mpc_wire w)
{
    uint32_t *index = mpc_bytes(p, w.count * sizeof *index);
    for (size_t i = 0; index != NULL && i < w.count; i++)
        index[i] = (uint32_t)i;
    return index == NULL ? w : mpc_gather(p, w, index, w.count);
}

struct mpc_wire mpc_concat(struct mpc_party *p, struct mpc_wire x, struct mpc_wire y)
{
    if (!mpc_failed(p) && (x.ring != y.ring || x.frac != y.frac || x.gate_only != y.gate_only))
        mpc_fail(p, BASE_ERR_INTERNAL, "joining wires of %d and %d bits, %d and %d fraction bits", x.ring, y.ring, x.frac, y.frac);
    struct mpc_wire out = make_like(p, &x, x.count + y.count, x.ring);
    for (int c = 0; c < COMPONENTS && !mpc_failed(p); c++) {
        uint64_t *z = *component(&out, c);
        if (z == NULL)
            continue;
        memcpy(z, *component(&x, c), x.count * sizeof *z);
        memcpy(z + x.count, *component(&y, c), y.count * sizeof *z);
    }
    out.bound = x.bound > y.bound ? x.bound : y.bound;
    return out;
}

struct mpc_wire mpc_slice(struct mpc_wire w, size_t first, size_t count)
{
    w.count = count;
    for (int c = 0; c < COMPONENTS; c++)
        if (*component(&w, c) != NULL)
            *component(&w, c) += first;
    return w;
}

struct mpc_wire mpc_sum_runs(struct mpc_party *p, struct mpc_wire w, const uint32_t *starts, size_t rows, int bound)
{
    struct mpc_wire out = make_like(p, &w, rows, w.ring);
    uint64_t keep = keep_mask(p, w.ring);
    for (int c = 0; c < COMPONENTS && !mpc_failed(p); c++) {
        const uint64_t *v = *component(&w, c);
        uint64_t *z = *component(&out, c);
        for (size_t r = 0; z != NULL && r < rows; r++) {
            uint64_t sum = 0;
            for (size_t i = starts[r]; i < starts[r + 1]; i++)
                sum += v[i];
            z[r] = sum & keep;
        }
    }
    out.bound = bound;
    return out;
}

struct mpc_wire mpc_truncate(struct mpc_party *p, struct mpc_wire w, int f, int bound, const char *label)
{
    if (f == 0 || mpc_failed(p))
        return w;
    struct mpc_wire out = make_like(p, &w, w.count, w.ring - f);
    out.frac = w.frac - f;
    out.bound = bound;
    for (int c = 0; c < COMPONENTS && !mpc_failed(p); c++) {
        const uint64_t *v = *component(&w, c);
        uint64_t *z = *component(&out, c), keep = kern_ring_mask(w.ring);
        uint64_t half = c == COMPONENT_M && (!w.gate_only || p->maker != NULL) ? UINT64_C(1) << (f - 1) : 0;
        for (size_t i = 0; z != NULL && i < w.count; i++)
            z[i] = p->role == MPC_CLEAR ? (uint64_t)mpc_round_shift((int64_t)v[i], f) : ((v[i] - half) & keep) >> f;
    }
    if (!mpc_failed(p)) {
        mpc_check_bound(p, label, &out);
        if (p->observe != NULL)
            p->observe(p->observe_context, p, label, &out, 1.5);
    }
    return out;
}

uint64_t *mpc_mask(struct mpc_party *p, const struct mpc_wire *w)
{
    if (p->role != MPC_HELPER || mpc_failed(p))
        return NULL;
    if (w->l2 == NULL)
        return w->l1;
    uint64_t *mask = mpc_words(p, w->count), keep = kern_ring_mask(w->ring);
    for (size_t i = 0; mask != NULL && i < w->count; i++)
        mask[i] = (w->l1[i] + w->l2[i]) & keep;
    return mask;
}
