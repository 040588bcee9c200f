#include "protocols/guard.h"

enum { CHUNK = 1 << 16 }; /* elements per message: whole bytes for every h */

static bool fits(const struct sec_guard *guard)
{
    return guard->h >= 2 && guard->h <= SEC_GUARD_MOST_CELLS_LOG && guard->k >= guard->h && guard->k <= 63 &&
           guard->top >= 3 && guard->top <= 1 << guard->h;
}

/* Bit q says whether cell q is bad: public. Between two parties a reading may lie two cells up, so cell 1 is bad, too. */
static uint64_t pattern_of(const struct mpc_party *p, const struct sec_guard *guard)
{
    uint64_t below = guard->top == 64 ? ~UINT64_C(0) : (UINT64_C(1) << guard->top) - 1;
    return (~below & kern_ring_mask(1 << guard->h)) | (p->maker != NULL ? 3 : 1);
}

/* The pattern of 2^h cells turned up by `turn`: bit i is bit (i - turn) mod 2^h. No branch depends on `turn`.
 */
static uint64_t turned(uint64_t pattern, int h, uint64_t turn)
{
    uint64_t cells = UINT64_C(1) << h;
    return (pattern << turn | pattern >> ((cells - turn) & (cells - 1))) & kern_ring_mask(1 << h);
}

struct mpc_cost sec_guard_cost(const struct sec_guard *guard, size_t n)
{
    return (struct mpc_cost){.offline = mpc_bits(n, 1 << guard->h)};
}

static void deal(struct mpc_party *p, const struct sec_guard *guard, const uint64_t *mask, size_t n)
{
    uint64_t pattern = pattern_of(p, guard);
    for (size_t at = 0; at < n && !mpc_failed(p); at += CHUNK) {
        size_t count = n - at < CHUNK ? n - at : CHUNK, mark = base_arena_mark(&p->arena);
        uint64_t *word = mpc_words(p, count);
        for (size_t i = 0; word != NULL && i < count; i++)
            word[i] = turned(pattern, guard->h, mask[at + i] >> (guard->k - guard->h));
        if (word != NULL)
            (void)mpc_deal_xor(p, count, 1 << guard->h, word);
        base_arena_release(&p->arena, mark);
    }
}

/* Whether this role can read a guard; else a recorded error. */
static bool holds_stream(struct mpc_party *p, const char *label)
{
    if (!mpc_failed(p) && mpc_computes(p) && !p->s12.present)
        mpc_fail(p, BASE_ERR_INTERNAL, "%s: a guard without the stream of P1 and P2", label);
    return !mpc_failed(p);
}

void sec_guard_join(struct mpc_party *p, const uint64_t *share, size_t n, const char *label)
{
    if (!holds_stream(p, label) || !mpc_computes(p))
        return;
    size_t mark = base_arena_mark(&p->arena);
    uint64_t *r = mpc_words(p, n);
    if (r != NULL)
        mpc_stream_words(&p->s12, r, n, 64);
    for (size_t i = 0; r != NULL && i < n; i++)
        p->guard ^= r[i] & (0 - (share[i] & 1));
    base_arena_release(&p->arena, mark);
}

static void eval(struct mpc_party *p, const struct sec_guard *guard, const uint64_t *m, size_t n, const char *label)
{
    for (size_t at = 0; at < n && !mpc_failed(p); at += CHUNK) {
        size_t count = n - at < CHUNK ? n - at : CHUNK, mark = base_arena_mark(&p->arena);
        uint64_t *word = p->maker != NULL ? mpc_made(p, count, 1 << guard->h) : mpc_deal_xor(p, count, 1 << guard->h, NULL);
        for (size_t i = 0; !mpc_failed(p) && i < count; i++)
            word[i] >>= m[at + i] >> (guard->k - guard->h);
        sec_guard_join(p, word, count, label);
        base_arena_release(&p->arena, mark);
    }
}

static void note(struct mpc_party *p, const struct sec_guard *guard, const uint64_t *mask, size_t n)
{
    for (size_t at = 0; at < n && !mpc_failed(p); at += CHUNK) {
        struct mpc_turned_form form = {.count = n - at < CHUNK ? n - at : CHUNK, .h = guard->h, .pattern = pattern_of(p, guard)};
        uint64_t *by = mask == NULL ? NULL : mpc_words(p, form.count);
        for (size_t i = 0; by != NULL && i < form.count; i++)
            by[i] = mask[at + i] >> (guard->k - guard->h);
        mpc_note_turned(p, form, by);
    }
}

static void clear(struct mpc_party *p, const struct sec_guard *guard, const uint64_t *Y, size_t n)
{
    uint64_t pattern = pattern_of(p, guard), cells = UINT64_C(1) << guard->h;
    for (size_t i = 0; !mpc_failed(p) && i < n; i++)
        p->guard += pattern >> (Y[i] >> (guard->k - guard->h) & (cells - 1)) & 1;
}

void sec_guard_eval(struct mpc_party *p, const struct sec_guard *guard, struct mpc_wire y, uint64_t offset,
                    const char *label)
{
    if (mpc_failed(p))
        return;
    if (!fits(guard)) {
        mpc_fail(p, BASE_ERR_RANGE,
                 "%s: a guard of %d bits, 2^%d cells and top %d does not fit: recompute the plan", label,
                 guard->k, guard->h, guard->top);
        return;
    }
    if (!holds_stream(p, label))
        return;
    if (p->maker == NULL)
        sec_declare_dealt(p, sec_guard_cost(guard, y.count));
    size_t mark = base_arena_mark(&p->arena);
    const uint64_t *mask = sec_read_mask(p, y, guard->k), *m = sec_read_open(p, y, guard->k, offset);
    if (mpc_notes(p))
        note(p, guard, mask, y.count);
    else if (p->role == MPC_HELPER)
        deal(p, guard, mask, y.count);
    else if (mpc_computes(p))
        eval(p, guard, m, y.count, label);
    else if (p->role == MPC_CLEAR)
        clear(p, guard, m, y.count);
    base_arena_release(&p->arena, mark);
}

/* --- conformance: good and bad readings, in a wire with room around them --------------------------- */

static const struct sec_guard standard = {.k = 17, .h = 5, .top = 16};

static void sample(int64_t *ret_x, size_t count, uint64_t seed)
{
    const int64_t cell = 1 << 12, limit = 15 * cell;
    const int64_t edges[] = {cell, limit - 1, -1, 16 * cell, -16 * cell, 0, 8 * cell};
    for (size_t i = 0; i < count; i++) {
        sec_sample_step(&seed);
        ret_x[i] = i < sizeof edges / sizeof *edges ? edges[i] : (int64_t)((seed >> 33) % (uint64_t)limit);
    }
}

static enum base_status run(struct mpc_party *p, struct mpc_wire x, struct mpc_wire *ret)
{
    sec_guard_eval(p, &standard, x, 0, "guard");
    *ret = x;
    return p->status;
}

static struct mpc_cost cost(size_t count)
{
    return sec_guard_cost(&standard, count);
}

const struct sec_gate sec_gate_guard = {.name = "guard",
                                        .source = "specification, dealt.py: Guard",
                                        .input_ring = 24,
                                        .input_frac = 10,
                                        .input_bound = 17,
                                        .unit = 1,
                                        .sample = sample,
                                        .run = run,
                                        .cost = cost};
