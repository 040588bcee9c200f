/* Exact privacy of everything that is not a pseudorandom key: ALL randomness enumerated in tiny rings.
 *
 * The real program runs once with as many elements as there are assignments of the draws, one assignment per element (and once per
 * order, where rows move). Everything that a party sees, its own draws and every field it receives, is one number per
 * assignment. Privacy is the equality of the two multisets of numbers for two secrets: no statistic, no sampling. Negative controls
 * show that the tempting shortcuts are caught. */
#include "tests/protocols/views.h"

#include "mpc/lift.h"
#include "protocols/compare.h"
#include "protocols/exp_two.h"
#include "protocols/guard.h"
#include "protocols/hidden_set.h"
#include "protocols/shuffle.h"
#include "protocols/table.h"

/* --- programs --------------------------------------------------------------------------------------------------------------------- */

static enum base_status product(struct mpc_party *p, const struct trio_job *job)
{
    const struct view_case *c = job->context;
    struct mpc_wire x = trio_input(p, job, 0), y = trio_input(p, job, 1);
    (void)mpc_cut(p, mpc_share_dot(p, x, y, 1), c->ring, c->f, c->ring - c->f - 1, c->gate_only, "product");
    return mpc_round(p);
}

static enum base_status lifting_product(struct mpc_party *p, const struct trio_job *job)
{
    const struct view_case *c = job->context;
    struct mpc_wire x = trio_input(p, job, 0), y = trio_input(p, job, 1);
    (void)mpc_cut(p, mpc_share_mul(p, x, y, 1, c->ring), c->ring, c->f, c->ring - c->f - 1, c->gate_only, "product");
    return mpc_round(p);
}

static enum base_status extension(struct mpc_party *p, const struct trio_job *job)
{
    (void)mpc_extend(p, trio_input(p, job, 0), ((const struct view_case *)job->context)->ring, "extend");
    return mpc_round(p);
}

static enum base_status truncation(struct mpc_party *p, const struct trio_job *job)
{
    (void)mpc_truncate(p, trio_input(p, job, 0), 2, 2, "truncate");
    return p->status;
}

/* Truncation on the spot, a product of the result with itself, and a gate-only product of that: masks used again. */
static enum base_status chain(struct mpc_party *p, const struct trio_job *job)
{
    enum base_status status = BASE_OK;
    struct mpc_wire w = mpc_truncate(p, trio_input(p, job, 0), 1, 1, "truncate");
    struct mpc_wire square = mpc_cut(p, mpc_share_dot(p, w, w, 1), 2, 0, 1, false, "square");
    TRY(mpc_round(p));
    (void)mpc_cut(p, mpc_share_dot(p, square, w, 1), 2, 0, 1, true, "cube");
    TRY(mpc_round(p));
out:
    return status;
}

static const uint64_t table_values[4] = {0, 1, 1, (uint64_t)-2};

static enum base_status table(struct mpc_party *p, const struct trio_job *job)
{
    struct sec_table gate = {.k = 2, .ring = 2, .bound = 1, .values = table_values};
    (void)sec_table_eval(p, &gate, trio_input(p, job, 0), "table");
    return mpc_round(p);
}

/* A gate reads a wire whose mask was never dealt. */
static enum base_status table_of_gate_only(struct mpc_party *p, const struct trio_job *job)
{
    enum base_status status = BASE_OK;
    struct mpc_wire x = trio_input(p, job, 0), y = trio_input(p, job, 1);
    struct mpc_wire w = mpc_cut(p, mpc_share_dot(p, x, y, 1), 2, 0, 1, true, "product");
    TRY(mpc_round(p));
    struct sec_table gate = {.k = 2, .ring = 1, .values = table_values};
    (void)sec_table_eval(p, &gate, w, "table");
    TRY(mpc_round(p));
out:
    return status;
}

static enum base_status run_exp(struct mpc_party *p, struct sec_exp_two_form form, struct mpc_wire y)
{
    struct sec_exp_two gate = {0};
    enum base_status status = sec_exp_two_init(&gate, form, &p->error);
    if (status == BASE_OK)
        (void)sec_exp_two_eval(p, &gate, y, "exp");
    status = status == BASE_OK ? mpc_round(p) : status;
    sec_exp_two_finish(&gate);
    return status;
}

/* Of 4 bits; its 2^16 assignments are one message of the gate. */
static enum base_status exp_two(struct mpc_party *p, const struct trio_job *job)
{
    return run_exp(p, (struct sec_exp_two_form){.s = 1, .t = 2, .w = 1, .fo = 1, .ring = 2}, trio_input(p, job, 0));
}

/* A score that only gates read, then its exp: as in a layer. */
static enum base_status score_then_exp(struct mpc_party *p, const struct trio_job *job)
{
    struct mpc_wire x = trio_input(p, job, 0), y = mpc_cut(p, mpc_share_dot(p, x, x, 1), 2, 0, 1, true, "score");
    return mpc_round(p) != BASE_OK ? p->status : run_exp(p, (struct sec_exp_two_form){.s = 1, .t = 1, .w = 1, .fo = 0, .ring = 1}, y);
}

static const struct sec_guard guard_of_units = {.k = 3, .h = 3, .top = 5};

static enum base_status guard(struct mpc_party *p, const struct trio_job *job)
{
    sec_guard_eval(p, &guard_of_units, trio_input(p, job, 0), 0, "guard");
    return p->status;
}

/* The first input is a masked bit. */
static struct sec_masked_bit bit_of(struct mpc_party *p, struct mpc_wire w)
{
    return (struct sec_masked_bit){.delta = w.m, .rho = mpc_mask(p, &w), .x = w.x, .count = w.count};
}

static enum base_status selection(struct mpc_party *p, const struct trio_job *job)
{
    struct sec_masked_bit bit = bit_of(p, trio_input(p, job, 0));
    struct mpc_wire v = trio_input(p, job, 1);
    (void)sec_select(p, bit, v, 1, "select");
    (void)sec_bit_to_wire(p, bit, 2, "bit");
    return mpc_round(p);
}

static enum base_status compaction(struct mpc_party *p, const struct trio_job *job)
{
    struct mpc_wire w = trio_input(p, job, 0);
    uint32_t *keep = mpc_bytes(p, w.count * sizeof *keep);
    for (size_t i = 0; keep != NULL && i < w.count; i++)
        keep[i] = (uint32_t)i;
    (void)sec_compact(p, w, w.count, p->role == MPC_HELPER ? NULL : keep, w.count, "kept");
    return mpc_round(p);
}

/* The mask of the input dealt to those who hold it masked, in every form of a field. */
static enum base_status dealt_mask(struct mpc_party *p, const struct trio_job *job)
{
    struct mpc_wire w = trio_input(p, job, 0);
    uint64_t *half1, *half2, *mask = mpc_mask(p, &w);
    (void)mpc_deal(p, w.count, w.ring, mask);
    mpc_deal_halves(p, w.count, w.ring, mask, &half1, &half2);
    return p->status;
}

static enum base_status dealt_mask_xor(struct mpc_party *p, const struct trio_job *job)
{
    struct mpc_wire w = trio_input(p, job, 0);
    uint64_t *mask = mpc_mask(p, &w);
    (void)mpc_deal_xor(p, w.count, w.ring, mask);
    return p->status;
}

/* P0: v mod 2^5 as limbs of 3 and 2 bits. */
static uint64_t *in_limbs(struct mpc_party *p, const uint64_t *v, size_t count)
{
    uint64_t *limbs = mpc_words(p, 2 * count);
    for (size_t i = 0; v != NULL && limbs != NULL && i < count; i++) {
        limbs[i] = v[i] & 7;
        limbs[count + i] = v[i] >> 3;
    }
    return limbs;
}

static enum base_status dealt_limbs(struct mpc_party *p, const struct trio_job *job)
{
    struct mpc_wire w = trio_input(p, job, 0);
    const uint64_t *limbs = in_limbs(p, mpc_mask(p, &w), w.count);
    (void)mpc_deal_field(p, (struct mpc_field){.count = w.count, .ring = 5, .limbs = 2, .limb = 3}, limbs);
    return p->status;
}

/* --- shortcuts that leak --------------------------------------------------------------------------------------------------------------- */

/* P2's half of the result's mask as s2 - (z0 >> f), with the s2 it has already used, or P1's as g1 - (z0 >> f): it reads z0. */
static enum base_status reused_mask(struct mpc_party *p, const struct trio_job *job)
{
    int to = ((const struct view_case *)job->context)->to;
    struct mpc_wire x = trio_input(p, job, 0), y = trio_input(p, job, 1);
    struct mpc_share share = mpc_share_dot(p, x, y, 1);
    struct mpc_wire w = {.ring = 2, .bound = 1, .gate_only = true, .count = x.count};
    uint64_t *g1, *s2, *z = mpc_words(p, x.count);
    mpc_fresh(p, x.count, 2, &g1, &s2);
    if (p->role == MPC_COUNT || mpc_failed(p))
        return p->status;
    p->kern->round_shift(z, share.z, x.count, 4, 2);
    for (size_t i = 0; i < x.count; i++)
        z[i] = p->role == MPC_HELPER ? (to == 1 ? g1 : s2)[i] - z[i] : z[i] + (p->role == MPC_LEFT ? g1[i] : s2[i]);
    if (p->role == MPC_HELPER)
        w.l1 = z;
    else
        w.m = z;
    mpc_deal_to(p, to, p->role == MPC_HELPER ? z : mpc_words(p, x.count), x.count, 2);
    (void)mpc_queue(p, &(struct mpc_pending){.label = "product", .wire = w, .opened = w.m, .count = x.count, .ring = 2, .ulp = 1.5});
    return mpc_round(p);
}

/* The carry of l1 + l2 to P2: a comparison of l1 with a number it knows. */
static enum base_status leaked_carry(struct mpc_party *p, const struct trio_job *job)
{
    struct mpc_wire w = trio_input(p, job, 0);
    uint64_t *carry = mpc_words(p, w.count);
    for (size_t i = 0; p->role == MPC_HELPER && !mpc_failed(p) && i < w.count; i++)
        carry[i] = (w.l1[i] + w.l2[i]) >> w.ring;
    mpc_deal_to(p, 2, carry, w.count, 1);
    return p->status;
}

/* The extension's h dealt with h1 in place of a fresh draw: P2 gets h2 + carry, and knows h2. */
static enum base_status reused_high_mask(struct mpc_party *p, const struct trio_job *job)
{
    struct mpc_wire w = trio_input(p, job, 0);
    uint64_t *h1, *h2, *half = mpc_words(p, w.count);
    mpc_fresh(p, w.count, 2, &h1, &h2);
    for (size_t i = 0; p->role == MPC_HELPER && !mpc_failed(p) && i < w.count; i++)
        half[i] = h2[i] + ((w.l1[i] + w.l2[i]) >> w.ring);
    mpc_deal_to(p, 2, half, w.count, 2);
    return p->status;
}

/* The wrap bit B of the mask to P1, unshared. */
static enum base_status leaked_wrap(struct mpc_party *p, const struct trio_job *job)
{
    struct mpc_wire w = trio_input(p, job, 0);
    uint64_t *B = p->role == MPC_HELPER ? mpc_wrap_mask_bit(p, &w) : mpc_words(p, w.count);
    mpc_deal_to(p, 1, B, w.count, 1);
    return p->status;
}

/* The mask minus a draw that its receiver can make, or XOR it. */
static enum base_status spent_draw(struct mpc_party *p, const struct trio_job *job)
{
    const struct view_case *c = job->context;
    struct mpc_wire w = trio_input(p, job, 0);
    uint64_t *d1, *d2, *sent = mpc_words(p, w.count);
    const uint64_t *mask = mpc_mask(p, &w);
    mpc_fresh(p, w.count, w.ring, &d1, &d2);
    for (size_t i = 0; p->role == MPC_HELPER && !mpc_failed(p) && i < w.count; i++) {
        uint64_t d = c->to == 1 ? d1[i] : d2[i];
        sent[i] = c->f == 0 ? mask[i] - d : mask[i] ^ d;
    }
    mpc_deal_to(p, c->to, sent, w.count, w.ring);
    return p->status;
}

/* Two limbs minus one draw of the other party: their difference is seen. */
static enum base_status one_draw_for_limbs(struct mpc_party *p, const struct trio_job *job)
{
    int to = ((const struct view_case *)job->context)->to;
    struct mpc_wire w = trio_input(p, job, 0);
    uint64_t *d1, *d2, *limbs = in_limbs(p, mpc_mask(p, &w), w.count);
    mpc_fresh(p, w.count, 3, &d1, &d2);
    for (size_t i = 0; p->role == MPC_HELPER && !mpc_failed(p) && i < 2 * w.count; i++)
        limbs[i] -= (to == 1 ? d2 : d1)[i % w.count];
    mpc_deal_to(p, to, limbs, w.count, 3);
    mpc_deal_to(p, to, limbs == NULL ? NULL : limbs + w.count, w.count, 2);
    return p->status;
}

/* --- cases ------------------------------------------------------------------------------------------------------------------------------- */

static const struct view_case private_cases[] = {
    {"cut product, dealt", product, {3, 3}, {1, 1}, 3, 1, false, {{1, 1}, {-2, 1}}, 0},
    {"cut product by 3, dealt", product, {4, 4}, {1, 1}, 4, 3, false, {{3, 2}, {-2, -2}}, 0},
    {"product uncut", product, {2, 2}, {1, 1}, 2, 0, false, {{0, 0}, {1, -1}}, 0},
    {"cut product, gate-only", product, {4, 4}, {1, 1}, 4, 2, true, {{3, 2}, {0, -1}}, 0},
    {"extension", extension, {3, 0}, {1, 0}, 5, 0, false, {{2, 0}, {-2, 0}}, 0},
    {"extension of zero", extension, {3, 0}, {1, 0}, 4, 0, false, {{0, 0}, {1, 0}}, 0},
    {"lifting product, one small", lifting_product, {2, 3}, {0, 1}, 3, 1, false, {{1, -2}, {-1, 1}}, 0},
    {"lifting product, both small", lifting_product, {2, 2}, {0, 0}, 3, 1, false, {{1, 1}, {-1, 0}}, 0},
    {"truncation", truncation, {5, 0}, {4, 0}, 0, 0, false, {{3, 0}, {-16, 0}}, 0},
    {"chain", chain, {3, 0}, {2, 0}, 0, 0, false, {{3, 0}, {-4, 0}}, 0},
    {"table", table, {2, 0}, {2, 0}, 0, 0, false, {{0, 0}, {3, 0}}, 0},
    {"table of a gate-only wire", table_of_gate_only, {2, 2}, {1, 1}, 0, 0, false, {{1, 1}, {0, -1}}, 0},
    {"exp", exp_two, {2, 0}, {1, 0}, 0, 0, false, {{0, 0}, {1, 0}}, 0},
    {"score, then exp", score_then_exp, {2, 0}, {1, 0}, 0, 0, false, {{0, 0}, {1, 0}}, 0},
    {"guard", guard, {3, 0}, {3, 0}, 0, 0, false, {{2, 0}, {-1, 0}}, 0},
    {"selection", selection, {1, 2}, {1, 1}, 0, 0, false, {{0, 1}, {1, -1}}, 0},
    {"dealt mask", dealt_mask, {3, 0}, {2, 0}, 0, 0, false, {{1, 0}, {-4, 0}}, 0},
    {"dealt mask, by XOR", dealt_mask_xor, {3, 0}, {2, 0}, 0, 0, false, {{1, 0}, {-4, 0}}, 0},
    {"dealt limbs", dealt_limbs, {5, 0}, {4, 0}, 0, 0, false, {{1, 0}, {-16, 0}}, 0},
    {"compaction", compaction, {3, 0}, {2, 0}, 0, 0, false, {{1, 0}, {-4, 0}}, 0},
};

static const struct view_case leaking_cases[] = {
    {"reused mask of P1", reused_mask, {4, 4}, {1, 1}, 0, 0, false, {{1, 1}, {-2, 1}}, 1},
    {"reused mask of P2", reused_mask, {4, 4}, {1, 1}, 0, 0, false, {{1, 1}, {-2, 1}}, 2},
    {"spent draw of P1", spent_draw, {3, 0}, {2, 0}, 0, 0, false, {{1, 0}, {-4, 0}}, 1},
    {"spent draw of P2", spent_draw, {3, 0}, {2, 0}, 0, 0, false, {{1, 0}, {-4, 0}}, 2},
    {"spent draw of P1, by XOR", spent_draw, {3, 0}, {2, 0}, 0, 1, false, {{1, 0}, {-4, 0}}, 1},
    {"spent draw of P2, by XOR", spent_draw, {3, 0}, {2, 0}, 0, 1, false, {{1, 0}, {-4, 0}}, 2},
    {"one draw for limbs to P1", one_draw_for_limbs, {5, 0}, {4, 0}, 0, 0, false, {{1, 0}, {-16, 0}}, 1},
    {"one draw for limbs to P2", one_draw_for_limbs, {5, 0}, {4, 0}, 0, 0, false, {{1, 0}, {-16, 0}}, 2},
    {"leaked carry", leaked_carry, {3, 0}, {1, 0}, 0, 0, false, {{1, 0}, {-2, 0}}, 0},
    {"reused high mask", reused_high_mask, {3, 0}, {1, 0}, 0, 0, false, {{1, 0}, {-2, 0}}, 0},
    {"leaked wrap", leaked_wrap, {3, 0}, {1, 0}, 0, 0, false, {{1, 0}, {-2, 0}}, 0},
};

static void test_views_are_equal(void **state)
{
    (void)state;
    for (pattern = 0; pattern < PATTERNS; pattern++)
        for (size_t i = 0; i < sizeof private_cases / sizeof *private_cases; i++)
            if (!same_views(&private_cases[i]))
                fail_msg("%s, pattern %d: a view depends on the secret", private_cases[i].name, (int)pattern);
}

static void test_leaks_are_caught(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof leaking_cases / sizeof *leaking_cases; i++)
        if (same_views(&leaking_cases[i]))
            fail_msg("%s: the leak was not seen", leaking_cases[i].name);
}

/* --- shuffles of two rows of one bit ------------------------------------------------------------------------------------------------------- */

static enum base_status shuffle(struct mpc_party *p, const struct trio_job *job)
{
    struct mpc_wire out;
    struct mpc_wire x = trio_input(p, job, 0);
    return sec_shuffle(p, x, 2, &out);
}

/* The same with the input's other mask half told to P1. */
static enum base_status shuffle_unmasked(struct mpc_party *p, const struct trio_job *job)
{
    struct mpc_wire x = trio_input(p, job, 0), out;
    enum base_status status = sec_shuffle(p, x, 2, &out);
    uint64_t *told = mpc_words(p, x.count);
    for (size_t i = 0; p->role == MPC_HELPER && told != NULL && i < x.count; i++)
        told[i] = x.l2[i];
    mpc_deal_to(p, 1, told, x.count, 1);
    return status == BASE_OK ? p->status : status;
}

/* Two rows of as many columns as there are assignments of the masks; one run per assignment of the orders. */
static void run_rows(trio_program_fn program, const int64_t secret[2], struct tap *tap)
{
    size_t n = tap->elements;
    int64_t *x = must_alloc(2 * n, sizeof *x);
    struct base_error error = {0};
    struct trio trio = {0};
    for (size_t i = 0; i < 2 * n; i++)
        x[i] = secret[i / n];
    struct trio_input input = {x, 2 * n, 1, 0, 1};
    struct trio_job job = {.program = program, .inputs = &input, .input_count = 1, .tap = tap, .no_twin = true};
    check_ok(trio_run(&job, &trio, &error), &error, "shuffle");
    trio_finish(&trio);
    free(x);
}

static uint64_t *row_views(trio_program_fn program, const int64_t secret[2], size_t *ret_count)
{
    struct tap tap = {.mode = TAP_DRY, .elements = 1, .columns = true};
    run_rows(program, secret, &tap);
    tap_finish(&tap);
    size_t all = (size_t)1 << tap_enumerate(&tap);
    uint64_t *seen = must_alloc(3 * all, sizeof *seen);
    for (tap.base = 0; tap.base < all; tap.base += tap.elements) {
        run_rows(program, secret, &tap);
        for (size_t party = 0; party < 3; party++)
            for (size_t i = 0; i < tap.elements; i++) {
                int bits;
                seen[party * all + tap.base + i] = tap_seen(&tap, (int)party, i, &bits);
                assert_true(bits > 0);
            }
        tap_finish(&tap);
    }
    for (size_t party = 0; party < 3; party++)
        sort(seen + party * all, all);
    *ret_count = 3 * all;
    return seen;
}

static void test_shuffle_views(void **state)
{
    static const int64_t secrets[2][2] = {{0, 1}, {1, 1}};
    (void)state;
    for (int leak = 0; leak < 2; leak++) {
        size_t count[2];
        uint64_t *seen[2];
        for (int s = 0; s < 2; s++)
            seen[s] = row_views(leak ? shuffle_unmasked : shuffle, secrets[s], &count[s]);
        assert_int_equal(count[0], count[1]);
        assert_int_equal(memcmp(seen[0], seen[1], count[0] * sizeof **seen) == 0, !leak);
        free(seen[0]);
        free(seen[1]);
    }
}

/* --- hidden sets: two items, one of them chosen ---------------------------------------------------------------------------------------------- */

/* Flags under an order, opened. */
static enum base_status open_flags(struct mpc_party *p, const struct sec_hidden_set *set, struct mpc_wire flags)
{
    enum base_status status = BASE_OK;
    struct sec_carried carried = sec_carry(p, set, flags, "flags");
    TRY(mpc_round(p));
    const uint64_t *share = carried.words;
    if (p->role == MPC_RIGHT)
        share = sec_permute(p, share, set->pi2, (struct sec_order_form){1, 2, flags.count / 2, false});
    (void)mpc_open_to_parties(p, share, flags.count, 1, MPC_OPEN_TEST, "opened flags");
    TRY(mpc_round(p));
out:
    return status;
}

static enum base_status set_opened(struct mpc_party *p, const struct trio_job *job)
{
    struct sec_hidden_set set;
    struct mpc_wire x = trio_input(p, job, 0);
    sec_hidden_set_draw(p, &set, 1, 2, 1);
    return open_flags(p, &set, x);
}

/* A second choice under the order of the first, known to have taken the first item. */
static enum base_status order_used_twice(struct mpc_party *p, const struct trio_job *job)
{
    struct sec_hidden_set set;
    struct mpc_wire x = trio_input(p, job, 0);
    int64_t *known = mpc_bytes(p, x.count * sizeof *known);
    for (size_t i = 0; known != NULL && i < x.count; i++)
        known[i] = i < x.count / 2;
    sec_hidden_set_draw(p, &set, 1, 2, 1);
    enum base_status status = open_flags(p, &set, x);
    return status == BASE_OK ? open_flags(p, &set, mpc_public(p, known, x.count, 1, 0, 1)) : status;
}

/* What is at the first place, kept and returned. */
static enum base_status set_used(struct mpc_party *p, const struct trio_job *job)
{
    enum base_status status = BASE_OK;
    struct sec_hidden_set set;
    struct sec_return back;
    struct mpc_wire x = trio_input(p, job, 0);
    uint64_t *share = mpc_words(p, x.count / 2);
    uint32_t first = 0;
    sec_hidden_set_draw(p, &set, 1, 2, 1);
    set.place = &first;
    struct sec_carried carried = sec_carry(p, &set, x, "carried");
    TRY(mpc_round(p));
    struct mpc_wire kept = sec_carried_kept(p, &set, &carried, "kept");
    TRY(mpc_round(p));
    for (size_t i = 0; mpc_computes(p) && i < kept.count; i++)
        share[i] = p->role == MPC_LEFT ? 0 - kept.l1[i] : kept.m[i] - kept.l2[i];
    sec_return_start(&back, &set, share, kept.count, (struct mpc_opening_form){.ring = 1, .bound = 1, .label = "returned"});
    while (sec_return_queue(p, &back))
        TRY(mpc_round(p));
out:
    return status;
}

static void test_hidden_set_views(void **state)
{
    static const struct {
        trio_program_fn program;
        int64_t secrets[2][2];
        bool leaks;
    } cases[] = {
        {set_opened, {{0, 1}, {1, 0}}, false},
        {order_used_twice, {{0, 1}, {1, 0}}, true},
        {set_used, {{0, 1}, {1, 1}}, false},
    };
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        size_t count[2];
        uint64_t *seen[2];
        for (int s = 0; s < 2; s++)
            seen[s] = row_views(cases[c].program, cases[c].secrets[s], &count[s]);
        assert_int_equal(count[0], count[1]);
        assert_int_equal(memcmp(seen[0], seen[1], count[0] * sizeof **seen) == 0, !cases[c].leaks);
        free(seen[0]);
        free(seen[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_views_are_equal), cmocka_unit_test(test_leaks_are_caught),
                                       cmocka_unit_test(test_shuffle_views), cmocka_unit_test(test_hidden_set_views)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
