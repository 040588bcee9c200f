#include "mpc/choose.h"

#include "mpc/lift.h"

static bool fits(struct mpc_party *p, const struct mpc_wire *bit, const struct mpc_wire *a, const struct mpc_wire *b, int ring)
{
    if (!mpc_failed(p) && p->maker == NULL)
        mpc_fail(p, BASE_ERR_SUPPORT, "a choice between small rings where P0 deals: two parties alone have it");
    if (!mpc_failed(p) && (bit->ring != 1 || bit->gate_only || bit->count != a->count || a->count != b->count || a->frac != b->frac || a->ring >= ring ||
                           b->ring >= ring || ring > 64))
        mpc_fail(p, BASE_ERR_INTERNAL, "a choice by %zu bits of ring %d between %zu words of %d bits and %zu of %d bits in %d", bit->count, bit->ring, a->count,
                 a->ring, b->count, b->ring, ring);
    return mpc_wrap_fits(p, a) && mpc_wrap_fits(p, b);
}

/* Own share of w in the larger ring, less 2^bound at P2: M - l1 - l2 + 2^k V; made: V [4][n], *ret_M gets M. */
static uint64_t extended(const struct mpc_party *p, const struct mpc_wire *w, const uint64_t *l, const uint64_t *made, size_t i, uint64_t *ret_M)
{
    uint64_t M = (w->m[i] + (UINT64_C(1) << w->bound)) & kern_ring_mask(w->ring);
    *ret_M = M;
    return (p->role == MPC_RIGHT ? M - (UINT64_C(1) << w->bound) : 0) - l[i] + (made[(M >> (w->ring - 2)) * w->count + i] << w->ring);
}

static void read_choice(struct mpc_party *p, const struct mpc_wire *bit, const struct mpc_wire *a, const struct mpc_wire *b, int ring, uint64_t *z)
{
    size_t n = a->count, half = MPC_WRAPS_READINGS * n;
    const uint64_t *wraps = mpc_made(p, half, ring - b->ring), *V = mpc_made(p, 2 * half, ring - a->ring), *rest = mpc_made(p, 2 * n, ring);
    const uint64_t *la = mpc_own_mask(p, a), *lb = mpc_own_mask(p, b);
    for (size_t i = 0; !mpc_failed(p) && i < n; i++) {
        uint64_t M, unused, C = bit->m[i], X = extended(p, a, la, V, i, &M), other = extended(p, b, lb, wraps, i, &unused);
        uint64_t chosen = (M - (UINT64_C(1) << a->bound)) * rest[n + i] - rest[i] + (V[half + (M >> (a->ring - 2)) * n + i] << a->ring);
        z[i] = C * X + (1 - 2 * C) * chosen + other;
    }
}

struct mpc_share mpc_share_choose(struct mpc_party *p, struct mpc_wire bit, struct mpc_wire a, struct mpc_wire b, int ring)
{
    struct mpc_share out = mpc_share_make(p, a.count, ring, a.frac);
    if (!fits(p, &bit, &a, &b, ring))
        return out;
    if (mpc_notes(p)) {
        mpc_note_wraps(p, (struct mpc_wraps_form){b.count, b.ring, ring - b.ring}, b.l1);
        mpc_note_chosen(p, (struct mpc_chosen_form){a.count, a.ring, ring}, bit.l1, a.l1);
    } else if (p->role == MPC_CLEAR) {
        for (size_t i = 0; out.z != NULL && i < out.count; i++)
            out.z[i] = (bit.x[i] & 1) * a.x[i] + b.x[i];
    } else if (mpc_reads_made(p)) {
        size_t mark = base_arena_mark(&p->arena);
        read_choice(p, &bit, &a, &b, ring, out.z);
        base_arena_release(&p->arena, mark);
    }
    return out;
}
