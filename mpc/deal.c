#include "mpc/deal.h"

#include "kernels/gather.h"

/* --- streams and messages --- */

void mpc_fresh_later(struct mpc_party *p, size_t count, int ring, uint64_t **ret1, uint64_t **ret2)
{
    *ret1 = *ret2 = NULL;
    if (p->s1.present && (*ret1 = mpc_words(p, count)) != NULL)
        mpc_stream_words_later(&p->s1, *ret1, count, ring);
    if (p->s2.present && (*ret2 = mpc_words(p, count)) != NULL)
        mpc_stream_words_later(&p->s2, *ret2, count, ring);
}

void mpc_fresh(struct mpc_party *p, size_t count, int ring, uint64_t **ret1, uint64_t **ret2)
{
    kern_hold(p->kern);
    mpc_fresh_later(p, count, ring, ret1, ret2);
    kern_settle(p->kern);
}

static void put(struct mpc_party *p, int to, const void *data, size_t size)
{
    if (mpc_may_send(p) && size > 0)
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

/* --- halves of a field --- */

size_t mpc_deal_split(size_t count, int ring)
{
    if (mpc_bits(count, ring) < MPC_DEAL_WHOLE)
        return count;
    /* 2^step elements are the fewest whole bytes; the multiple of them that is nearest to the middle. */
    int step = ring % 8 == 0 ? 0 : ring % 4 == 0 ? 1 : ring % 2 == 0 ? 2 : 3;
    return (count + ((size_t)1 << step) - 1) >> (step + 1) << step;
}

static size_t split_of(struct mpc_party *p, const struct mpc_field *f)
{
    return p->split != NULL ? p->split(p, f->count, f->ring) : mpc_deal_split(f->count, f->ring);
}

static int limb_bits(const struct mpc_field *f, int limb)
{
    int rest = f->ring - limb * f->limb;
    return rest < f->limb ? rest : f->limb;
}

/* What the role can draw: P1 elements [0, split), P2 the others, P0 all. It may arrive as late as in kern_settle. */
static void draw_later(struct mpc_party *p, const struct mpc_field *f, size_t split, uint64_t *words)
{
    for (int l = 0; l < f->limbs; l++, words += f->count) {
        if (p->s1.present && split > 0)
            mpc_stream_words_later(&p->s1, words, split, limb_bits(f, l));
        if (p->s2.present && split < f->count)
            mpc_stream_words_later(&p->s2, words + split, f->count - split, limb_bits(f, l));
    }
}

/* What the role cannot draw: P2 receives elements [0, split), P1 the others. */
static void pass(struct mpc_party *p, const struct mpc_field *f, size_t split, uint64_t *words)
{
    for (int l = 0; l < f->limbs; l++, words += f->count) {
        if (split > 0)
            mpc_deal_to(p, 2, words, split, limb_bits(f, l));
        if (split < f->count)
            mpc_deal_to(p, 1, words + split, f->count - split, limb_bits(f, l));
    }
}

/* words = value - words, the borrow going from limb to limb. */
static void subtract_from(const struct mpc_field *f, const uint64_t *value, uint64_t *words)
{
    for (size_t k = 0; k < f->count; k++) {
        uint64_t borrow = 0;
        for (int l = 0; l < f->limbs; l++) {
            size_t at = (size_t)l * f->count + k;
            unsigned __int128 left = (unsigned __int128)value[at] - words[at] - borrow;
            words[at] = (uint64_t)left;
            borrow = (uint64_t)(left >> f->limb) & 1;
        }
    }
}

static void other_halves(const struct mpc_field *f, const uint64_t *value, uint64_t *words)
{
    if (f->by_xor)
        for (size_t i = 0; i < f->count; i++)
            words[i] ^= value[i];
    else if (f->limbs == 1)
        for (size_t i = 0; i < f->count; i++)
            words[i] = value[i] - words[i];
    else
        subtract_from(f, value, words);
}

uint64_t *mpc_deal_field(struct mpc_party *p, struct mpc_field field, const uint64_t *value)
{
    if (p->role == MPC_CLEAR || p->role == MPC_COUNT)
        return NULL;
    size_t mark = base_arena_mark(&p->arena), split = split_of(p, &field);
    uint64_t *words = mpc_words(p, (size_t)field.limbs * field.count);
    if (words == NULL)
        return NULL;
    kern_hold(p->kern); /* what P1 and P2 draw is made while they wait for what they cannot draw */
    draw_later(p, &field, split, words);
    if (p->role != MPC_HELPER)
        pass(p, &field, split, words);
    kern_settle(p->kern);
    if (p->role != MPC_HELPER)
        return words;
    other_halves(&field, value, words);
    pass(p, &field, split, words);
    base_arena_release(&p->arena, mark);
    return NULL;
}

/* --- fields --- */

uint64_t *mpc_deal(struct mpc_party *p, size_t count, int ring, const uint64_t *value)
{
    return mpc_deal_field(p, (struct mpc_field){.count = count, .ring = ring, .limbs = 1, .limb = ring},
                          value);
}

uint64_t *mpc_deal_xor(struct mpc_party *p, size_t count, int ring, const uint64_t *value)
{
    return mpc_deal_field(
        p, (struct mpc_field){.count = count, .ring = ring, .limbs = 1, .limb = ring, .by_xor = true}, value);
}

static struct mpc_field limbs_of(size_t count, int limbs, int ring)
{
    return (struct mpc_field){.count = count, .ring = ring, .limbs = limbs, .limb = 64};
}

struct mpc_cost mpc_deal_limbs_cost(size_t count, int limbs, int ring)
{
    struct mpc_field field = limbs_of(count, limbs, ring);
    struct mpc_cost cost = {0};
    for (int l = 0; l < limbs; l++)
        cost.offline += mpc_bits(count, limb_bits(&field, l));
    return cost;
}

uint64_t *mpc_deal_limbs(struct mpc_party *p, size_t count, int limbs, int ring, const uint64_t *value)
{
    if (!mpc_failed(p) && (ring < 1 || ring > MPC_DEAL_MOST_BITS || limbs != (ring + 63) / 64))
        mpc_fail(p, BASE_ERR_INTERNAL, "dealing words of %d bits as %d limbs", ring, limbs);
    if (mpc_failed(p))
        return NULL;
    return mpc_deal_field(p, limbs_of(count, limbs, ring), value);
}

/* P0: `value` and its draws become the halves of P2 and of P1, whose half is the draw before the split. */
static void halve(struct mpc_party *p, const struct mpc_field *f, size_t split, uint64_t *value,
                  uint64_t *drawn)
{
    uint64_t keep = kern_ring_mask(f->ring);
    for (size_t i = 0; i < f->count; i++)
        value[i] = (value[i] - drawn[i]) & keep;
    for (size_t i = split; i < f->count; i++) {
        uint64_t sent = value[i];
        value[i] = drawn[i];
        drawn[i] = sent;
    }
    mpc_deal_to(p, 2, value, split, f->ring);
    if (split < f->count)
        mpc_deal_to(p, 1, drawn + split, f->count - split, f->ring);
}

struct mpc_halves mpc_halves_begin(struct mpc_party *p, size_t count, int ring)
{
    struct mpc_halves halves = {.field = {.count = count, .ring = ring, .limbs = 1, .limb = ring}};
    halves.split = split_of(p, &halves.field);
    halves.words = mpc_words(p, count);
    if (halves.words != NULL)
        draw_later(p, &halves.field, halves.split, halves.words);
    return halves;
}

void mpc_halves_end(struct mpc_party *p, const struct mpc_halves *halves, uint64_t *value, uint64_t **ret1, uint64_t **ret2)
{
    *ret1 = *ret2 = NULL;
    if (mpc_failed(p) || halves->words == NULL)
        return;
    if (p->role != MPC_HELPER) {
        pass(p, &halves->field, halves->split, halves->words);
        *(p->role == MPC_LEFT ? ret1 : ret2) = halves->words;
        return;
    }
    halve(p, &halves->field, halves->split, value, halves->words);
    *ret1 = halves->words;
    *ret2 = value;
}

void mpc_deal_halves(struct mpc_party *p, size_t count, int ring, uint64_t *value, uint64_t **ret1,
                     uint64_t **ret2)
{
    *ret1 = *ret2 = NULL;
    if (p->role == MPC_CLEAR || p->role == MPC_COUNT)
        return;
    kern_hold(p->kern);
    struct mpc_halves halves = mpc_halves_begin(p, count, ring);
    kern_settle(p->kern);
    mpc_halves_end(p, &halves, value, ret1, ret2);
}
