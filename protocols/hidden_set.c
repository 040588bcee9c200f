#include "protocols/hidden_set.h"

#include "protocols/shuffle.h"

#include <math.h>
#include <string.h>

enum { ORDER_RING = 32 };

/* --- the order --- */

/* To observers the order is a wire whose mask P0 holds whole: a twin that follows theirs has it, too. */
static void show_order(struct mpc_party *p, struct sec_hidden_set *set)
{
    size_t count = set->groups * set->n;
    uint64_t *order = mpc_words(p, count);
    for (size_t i = 0; order != NULL && i < count; i++) {
        size_t group = i / set->n * set->n;
        order[i] = p->role == MPC_HELPER
                       ? (0 - (uint64_t)set->pi1[group + set->pi2[i]]) & kern_ring_mask(ORDER_RING)
                   : p->role == MPC_CLEAR ? i - group
                                          : 0;
    }
    struct mpc_wire w = {.ring = ORDER_RING, .bound = ORDER_RING - 1, .gate_only = true, .count = count};
    *(p->role == MPC_HELPER ? &w.l1 : p->role == MPC_CLEAR ? &w.x : &w.m) = order;
    if (!mpc_failed(p) && p->observe != NULL)
        p->observe(p->observe_context, p, "shuffled order", &w, INFINITY);
    if (p->role != MPC_CLEAR || (set->pi1 = mpc_bytes(p, count * sizeof *set->pi1)) == NULL)
        return;
    for (size_t i = 0; i < count; i++)
        set->pi1[i] = (uint32_t)order[i];
}

void sec_hidden_set_draw(struct mpc_party *p, struct sec_hidden_set *ret, size_t groups, size_t n, size_t k)
{
    *ret = (struct sec_hidden_set){.groups = groups, .n = n, .k = k};
    if (!mpc_failed(p) && (groups == 0 || k == 0 || k > n))
        mpc_fail(p, BASE_ERR_INTERNAL, "a hidden set of %zu of %zu items in %zu groups", k, n, groups);
    ret->pi1 = sec_draw_orders(p, &p->s1, groups, n);
    ret->pi2 = sec_draw_orders(p, &p->s2, groups, n);
    if (!mpc_failed(p) && p->role != MPC_COUNT && (p->observe != NULL || p->role == MPC_CLEAR))
        show_order(p, ret);
}

static uint64_t *permute(struct mpc_party *p, const struct sec_hidden_set *set, const uint64_t *v,
                         const uint32_t *order, size_t count, bool back)
{
    if (mpc_failed(p))
        return NULL;
    return sec_permute(p, v, order,
                       (struct sec_order_form){set->groups, set->n, count / (set->groups * set->n), back});
}

/* --- there --- */

struct mpc_cost sec_carry_cost(size_t count, int ring)
{
    return (struct mpc_cost){0, mpc_bits(count, ring), mpc_bits(count, ring)};
}

static void deal_carry(struct mpc_party *p, const struct sec_hidden_set *set, const struct mpc_wire *w,
                       const uint64_t *e, const uint64_t *B)
{
    uint64_t *d = permute(p, set, mpc_mask(p, w), set->pi1, w->count, false),
             *back = permute(p, set, e, set->pi2, w->count, true);
    for (size_t i = 0; !mpc_failed(p) && i < w->count; i++)
        d[i] = 0 - d[i] - B[i] - back[i];
    if (!mpc_failed(p))
        mpc_deal_to(p, 1, d, w->count, w->ring);
}

/* P1's message. */
static uint64_t *carry_message(struct mpc_party *p, const struct sec_hidden_set *set,
                               const struct mpc_wire *w)
{
    uint64_t *d = mpc_words(p, w->count), *y = permute(p, set, w->m, set->pi1, w->count, false);
    if (!mpc_failed(p))
        mpc_deal_to(p, 1, d, w->count, w->ring);
    for (size_t i = 0; !mpc_failed(p) && i < w->count; i++)
        y[i] += d[i];
    return y;
}

struct sec_carried sec_carry(struct mpc_party *p, const struct sec_hidden_set *set, struct mpc_wire w,
                             const char *label)
{
    struct sec_carried out = {.ring = w.ring, .frac = w.frac, .bound = w.bound, .count = w.count};
    if (!mpc_failed(p) && (w.count == 0 || w.count % (set->groups * set->n) != 0))
        mpc_fail(p, BASE_ERR_INTERNAL, "%s: %zu elements are not whole items of %zu groups of %zu", label,
                 w.count, set->groups, set->n);
    if (mpc_failed(p))
        return out;
    sec_declare_dealt(p, sec_carry_cost(w.count, w.ring));
    uint64_t *e, *B, *message = NULL;
    mpc_fresh(p, w.count, w.ring, &e, &B);
    if (p->role == MPC_HELPER)
        deal_carry(p, set, &w, e, B);
    else if (p->role == MPC_LEFT)
        message = carry_message(p, set, &w);
    else if (p->role == MPC_RIGHT)
        message = B;
    out.words = p->role == MPC_CLEAR ? w.x : p->role == MPC_LEFT ? e : message;
    mpc_pass(p, MPC_LEFT, message, w.count, w.ring, label);
    return out;
}

/* The shares in the shuffled order; NULL where a role has none. */
static uint64_t *shuffled_share(struct mpc_party *p, const struct sec_hidden_set *set,
                                const struct sec_carried *c)
{
    if (p->role == MPC_RIGHT)
        return permute(p, set, c->words, set->pi2, c->count, false);
    return p->role == MPC_CLEAR ? permute(p, set, c->words, set->pi1, c->count, false) : c->words;
}

struct mpc_cost sec_hidden_set_open_cost(size_t count, int ring)
{
    return mpc_open_share_cost(count, ring, 0);
}

void sec_hidden_set_open(struct mpc_party *p, struct sec_hidden_set *set, const struct sec_carried *flags)
{
    if (!mpc_failed(p) && flags->count != set->groups * set->n)
        mpc_fail(p, BASE_ERR_INTERNAL, "%zu flags for %zu groups of %zu items", flags->count, set->groups,
                 set->n);
    uint64_t *share = shuffled_share(p, set, flags);
    set->opened =
        mpc_open_to_parties(p, share, flags->count, flags->ring, MPC_OPEN_SHUFFLED_FLAGS, "opened flags");
}

void sec_hidden_set_take(struct mpc_party *p, struct sec_hidden_set *set)
{
    size_t count = set->groups * set->k, at = 0;
    if (mpc_failed(p) || set->opened == NULL ||
        (set->place = mpc_bytes(p, count * sizeof *set->place)) == NULL)
        return;
    for (size_t g = 0; g < set->groups && at == g * set->k; g++)
        for (size_t i = 0; i < set->n; i++)
            if ((set->opened[g * set->n + i] & 1) == 1 && at++ < (g + 1) * set->k)
                set->place[at - 1] = (uint32_t)i;
    if (at != count)
        mpc_fail(p, BASE_ERR_INTERNAL,
                 "a group of flags has not the %zu that a hidden set needs: a choice must flag so many",
                 set->k);
}

/* Elements of the set's items, or back to them: items[place] = kept, or kept = items[place]. */
static void at_places(const struct sec_hidden_set *set, uint64_t *items, uint64_t *kept, size_t width,
                      bool back)
{
    for (size_t i = 0; i < set->groups * set->k; i++) {
        uint64_t *item = items + (i / set->k * set->n + set->place[i]) * width, *own = kept + i * width;
        memcpy(back ? item : own, back ? own : item, width * sizeof *item);
    }
}

struct mpc_wire sec_carried_kept(struct mpc_party *p, const struct sec_hidden_set *set,
                                 const struct sec_carried *c, const char *label)
{
    if (mpc_failed(p))
        return (struct mpc_wire){0};
    size_t width = c->count / (set->groups * set->n), count = set->groups * set->k * width;
    uint64_t *kept = NULL;
    if (mpc_computes(p) || p->role == MPC_CLEAR) {
        uint64_t *share = shuffled_share(p, set, c);
        kept = mpc_words(p, count);
        if (!mpc_failed(p))
            at_places(set, share, kept, width, false);
    }
    return mpc_open_share(
        p, kept, count,
        (struct mpc_opening_form){
            .ring = c->ring, .frac = c->frac, .bound = c->bound, .ulp = -1, .label = label});
}

/* --- and back --- */

struct mpc_cost sec_return_cost(size_t count, int ring)
{
    return (struct mpc_cost){0, 3 * mpc_bits(count, ring), mpc_bits(count, ring)};
}

void sec_return_start(struct sec_return *ret, const struct sec_hidden_set *set, uint64_t *share, size_t width,
                      struct mpc_opening_form form)
{
    *ret = (struct sec_return){.set = set, .width = width, .form = form, .share = share};
}

static void deal_return(struct mpc_party *p, struct sec_return *r, const uint64_t *A)
{
    const struct sec_hidden_set *set = r->set;
    size_t n = r->wire.count;
    uint64_t *back = permute(p, set, A, set->pi2, n, true);
    for (size_t i = 0; !mpc_failed(p) && i < n; i++)
        back[i] += r->C[i];
    uint64_t *d = permute(p, set, back, set->pi1, n, true);
    for (size_t i = 0; !mpc_failed(p) && i < n; i++)
        d[i] = r->wire.l1[i] + r->wire.l2[i] - d[i];
    if (!mpc_failed(p))
        mpc_deal_to(p, 1, d, n, r->wire.ring);
}

/* The shares at their places among zeros; P1 sends its own, masked. */
static void return_spread(struct mpc_party *p, struct sec_return *r)
{
    const struct sec_hidden_set *set = r->set;
    size_t n = set->groups * set->n * r->width;
    uint64_t *A;
    sec_declare_dealt(p, sec_return_cost(n, r->form.ring));
    mpc_fresh(p, n, r->form.ring, &A, &r->C);
    r->wire = mpc_wire_make(p, n, r->form.ring, r->form.frac, r->form.bound);
    if (p->s1.present && !mpc_failed(p))
        mpc_stream_words(&p->s1, r->wire.l1, n, r->form.ring);
    if (p->s2.present && !mpc_failed(p))
        mpc_stream_words(&p->s2, r->wire.l2, n, r->form.ring);
    if (p->role == MPC_HELPER)
        deal_return(p, r, A);
    if (p->role == MPC_LEFT && (r->d = mpc_words(p, n)) != NULL)
        mpc_deal_to(p, 1, r->d, n, r->form.ring);
    if ((mpc_computes(p) || p->role == MPC_CLEAR) && (r->words = mpc_words(p, n)) != NULL) {
        memset(r->words, 0, n * sizeof *r->words);
        at_places(set, r->words, r->share, r->width, true);
    }
    for (size_t i = 0; p->role == MPC_LEFT && !mpc_failed(p) && i < n; i++)
        r->words[i] += A[i];
    mpc_pass(p, MPC_LEFT, r->words, n, r->form.ring, r->form.label);
}

static void return_middle(struct mpc_party *p, struct sec_return *r)
{
    size_t n = r->wire.count;
    if (p->role == MPC_RIGHT)
        r->words = permute(p, r->set, r->words, r->set->pi2, n, true);
    for (size_t i = 0; !mpc_failed(p) && mpc_computes(p) && i < n; i++)
        r->words[i] = p->role == MPC_RIGHT ? r->words[i] + r->C[i] : 0;
    mpc_pass(p, MPC_RIGHT, r->words, n, r->form.ring, r->form.label);
}

static void return_last(struct mpc_party *p, struct sec_return *r)
{
    size_t n = r->wire.count;
    if (p->role == MPC_CLEAR)
        r->wire.x = permute(p, r->set, r->words, r->set->pi1, n, true);
    if (p->role == MPC_LEFT)
        r->wire.m = permute(p, r->set, r->words, r->set->pi1, n, true);
    for (size_t i = 0; !mpc_failed(p) && mpc_computes(p) && i < n; i++)
        r->wire.m[i] = p->role == MPC_LEFT ? (r->wire.m[i] + r->d[i]) & kern_ring_mask(r->form.ring) : 0;
    r->wire = mpc_pass_wire(p, MPC_LEFT, r->wire, r->form.ulp, r->form.label);
}

bool sec_return_queue(struct mpc_party *p, struct sec_return *r)
{
    static void (*const stages[])(struct mpc_party *, struct sec_return *) = {return_spread, return_middle,
                                                                              return_last};
    if (mpc_failed(p) || r->stage == sizeof stages / sizeof *stages)
        return false;
    stages[r->stage++](p, r);
    return !mpc_failed(p);
}

/* --- conformance: two items of four, (value, flag) each; two wires by one set, there and back --- */

enum { ITEMS = 4, CHOSEN = 2, UNIT = 2 * ITEMS, MOVED_BITS = 30, RING = 32, MOVES = 2 };

static void sample(int64_t *ret_x, size_t count, uint64_t seed)
{
    for (size_t i = 0; i < count; i++) {
        sec_sample_step(&seed);
        int64_t r = (int64_t)(seed >> 33) - (INT64_C(1) << MOVED_BITS);
        ret_x[i] = i % 2 == 0 ? r : 0;
    }
    for (size_t group = 0; group + UNIT <= count; group += UNIT) {
        sec_sample_step(&seed);
        size_t first = seed >> 33 & 3, other = first ^ (1 + (seed >> 40 & 1));
        ret_x[group + 2 * first + 1] = ret_x[group + 2 * other + 1] = 1;
    }
}

/* What the shares of a carried wire's places are worth: a wire's own halves. */
static uint64_t *halves(struct mpc_party *p, struct mpc_wire w)
{
    uint64_t *z = mpc_computes(p) || p->role == MPC_CLEAR ? mpc_words(p, w.count) : NULL;
    for (size_t i = 0; z != NULL && i < w.count; i++)
        z[i] = p->role == MPC_CLEAR ? w.x[i] : p->role == MPC_LEFT ? 0 - w.l1[i] : w.m[i] - w.l2[i];
    return z;
}

/* A set moves the values and returns them. */
static enum base_status there_and_back(struct mpc_party *p, const struct sec_hidden_set *set,
                                       struct mpc_wire value, struct mpc_wire *ret)
{
    enum base_status status = BASE_OK;
    struct sec_return back;
    struct sec_carried carried = sec_carry(p, set, value, "carried values");
    TRY(mpc_round(p));
    struct mpc_wire kept = sec_carried_kept(p, set, &carried, "kept values");
    TRY(mpc_round(p));
    sec_return_start(&back, set, halves(p, kept), 1,
                     (struct mpc_opening_form){.ring = kept.ring, .bound = kept.bound, .label = "returned"});
    while (sec_return_queue(p, &back))
        TRY(mpc_round(p));
    *ret = back.wire;
out:
    return status;
}

static enum base_status run(struct mpc_party *p, struct mpc_wire x, struct mpc_wire *ret)
{
    enum base_status status = BASE_OK;
    size_t items = x.count / 2;
    uint32_t *index = mpc_bytes(p, x.count * sizeof *index);
    struct sec_hidden_set set;
    struct mpc_wire back[MOVES];
    TRY(p->status);
    for (size_t i = 0; i < x.count; i++)
        index[i] = (uint32_t)(2 * (i % items) + i / items);
    struct mpc_wire value = mpc_gather(p, x, index, items),
                    flag = mpc_reduce(p, mpc_gather(p, x, index + items, items), 1);
    sec_hidden_set_draw(p, &set, items / ITEMS, ITEMS, CHOSEN);
    struct sec_carried flags = sec_carry(p, &set, flag, "carried flags");
    TRY(mpc_round(p));
    sec_hidden_set_open(p, &set, &flags);
    TRY(mpc_round(p));
    sec_hidden_set_take(p, &set);
    for (int move = 0; move < MOVES; move++)
        TRY(there_and_back(p, &set, mpc_times(p, value, 1 + move, value.bound + move), &back[move]));
    *ret = mpc_concat(p, back[0], back[1]);
out:
    return status;
}

static struct mpc_cost cost(size_t count)
{
    size_t items = count / 2;
    struct mpc_cost total = mpc_cost_add(sec_carry_cost(items, 1), sec_hidden_set_open_cost(items, 1));
    total.rounds = 2;
    for (int move = 0; move < MOVES; move++) {
        total = mpc_cost_add(total, sec_carry_cost(items, RING));
        total = mpc_cost_add(total, mpc_open_share_cost(items / ITEMS * CHOSEN, RING, 0));
        total = mpc_cost_add(total, sec_return_cost(items, RING));
        total.rounds += 2 + 3;
    }
    return total;
}

static uint64_t opens(size_t count)
{
    return count / 2;
}

const struct sec_gate sec_gate_hidden_set = {
    .name = "hidden-set",
    .source = "specification, rank.py: Perm, reveal, Unshuffle; kv.py: carry",
    .input_ring = RING,
    .input_frac = 0,
    .input_bound = MOVED_BITS,
    .unit = UNIT,
    .sample = sample,
    .run = run,
    .cost = cost,
    .opens = opens,
    .opens_as = MPC_OPEN_SHUFFLED_FLAGS};
