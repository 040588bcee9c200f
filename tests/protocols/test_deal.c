/* Dealt fields: both halves make the value, each party draws and receives its part, and both links of P0
 * carry half. */
#include "tests/protocols/check.h"

#include "mpc/deal.h"
#include "mpc/lift.h"

enum { MOST_LIMBS = 4 };

/* --- the rule --- */

static void test_split_rule(void **state)
{
    (void)state;
    for (int ring = 1; ring <= MPC_DEAL_MOST_BITS; ring++)
        for (size_t n = 0; n < 9000; n += n < 600 ? 1 : 37) {
            size_t h = mpc_deal_split(n, ring);
            assert_true(h <= n);
            uint64_t to2 = mpc_bits(h, ring), to1 = mpc_bits(n - h, ring), all = mpc_bits(n, ring);
            assert_true(to1 + to2 == all);
            if (all < MPC_DEAL_WHOLE)
                assert_true(h == n);
            else
                assert_true(to1 <= to2 + (uint64_t)ring && to2 <= to1 + (uint64_t)ring);
        }
}

/* --- every form of a field --- */

enum form { PLAIN, EXCLUSIVE, HALVES, LIMBS };

struct deal_run {
    enum form form;
    size_t count;
    int ring, limbs;
    const uint64_t *value; /* [limbs][count] */
    uint64_t *half[2];     /* of P1, of P2 */
    uint64_t *kept[2];     /* the same at P0, for HALVES */
};

static int limb_bits(int ring, int limb)
{
    return ring - 64 * limb < 64 ? ring - 64 * limb : 64;
}

static uint64_t *deal_one(struct mpc_party *p, struct deal_run *run, const uint64_t *value)
{
    switch (run->form) {
    case PLAIN:
        return mpc_deal(p, run->count, run->ring, value);
    case EXCLUSIVE:
        return mpc_deal_xor(p, run->count, run->ring, value);
    case LIMBS:
        return mpc_deal_limbs(p, run->count, run->limbs, run->ring, value);
    case HALVES:
        break;
    }
    uint64_t *own = NULL, *half[2];
    if (p->role == MPC_HELPER && (own = mpc_words(p, run->count)) != NULL)
        memcpy(own, value, run->count * sizeof *own);
    mpc_deal_halves(p, run->count, run->ring, own, &half[0], &half[1]);
    if (p->role == MPC_HELPER)
        memcpy(run->kept, half, sizeof half);
    else
        assert_true((half[0] == NULL || p->role == MPC_LEFT) && (half[1] == NULL || p->role == MPC_RIGHT));
    return p->role == MPC_LEFT ? half[0] : p->role == MPC_RIGHT ? half[1] : NULL;
}

static enum base_status deal_program(struct mpc_party *p, const struct trio_job *job)
{
    struct deal_run *run = (struct deal_run *)job->context;
    for (int l = 0; l < run->limbs; l++)
        mpc_declare(p, (struct mpc_cost){.offline = mpc_bits(run->count, limb_bits(run->ring, l))});
    uint64_t *half = deal_one(p, run, p->role == MPC_HELPER ? run->value : NULL);
    if (mpc_computes(p))
        run->half[p->role - MPC_LEFT] = half;
    else
        assert_null(half);
    return p->status;
}

static uint64_t *make_values(const struct deal_run *run, uint64_t seed)
{
    uint64_t *value = must_alloc((size_t)run->limbs * run->count, sizeof *value);
    for (int l = 0; l < run->limbs; l++)
        for (size_t i = 0; i < run->count; i++) {
            const uint64_t edges[] = {0, ~UINT64_C(0), (uint64_t)(l == 0), (uint64_t)(l == run->limbs - 1)};
            uint64_t random = trio_random(&seed);
            value[(size_t)l * run->count + i] =
                (i % 8 < 4 ? edges[i % 4] : random) & kern_ring_mask(limb_bits(run->ring, l));
        }
    return value;
}

/* The two halves of element i make its value, in each limb, with the carry between them. */
static void check_element(const struct deal_run *run, size_t i)
{
    unsigned __int128 sum = 0;
    for (int l = 0; l < run->limbs; l++) {
        size_t at = (size_t)l * run->count + i;
        uint64_t keep = kern_ring_mask(limb_bits(run->ring, l)), a = run->half[0][at], b = run->half[1][at];
        assert_true((a & ~keep) == 0 && (b & ~keep) == 0);
        sum = run->form == EXCLUSIVE ? (unsigned __int128)(a ^ b) : (sum >> 64) + a + b;
        assert_true(((uint64_t)sum & keep) == run->value[at]);
        if (run->form == HALVES)
            assert_true(run->kept[0][at] == a && run->kept[1][at] == b);
    }
}

/* With draws that are all `fill`, P1 holds it before the split and P2 after it. */
static void check_draws(const struct deal_run *run, uint64_t fill)
{
    size_t h = mpc_deal_split(run->count, run->ring);
    for (int l = 0; l < run->limbs; l++)
        for (size_t i = 0; i < run->count; i++)
            assert_true(run->half[i < h ? 0 : 1][(size_t)l * run->count + i] ==
                        (fill & kern_ring_mask(limb_bits(run->ring, l))));
}

static struct trio run_deal(struct deal_run *run, struct tap *tap, uint64_t seed)
{
    struct trio trio = {0};
    check_run(&(struct trio_job){.program = deal_program, .context = run, .tap = tap, .seed = seed}, &trio,
              "deal");
    return trio;
}

static uint64_t bytes_sent(const struct trio *trio, int end)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < trio->sent[end].count; i++)
        sum += trio->sent[end].frame[i].size;
    return sum;
}

static void check_bytes(const struct trio *trio, const struct deal_run *run)
{
    size_t h = mpc_deal_split(run->count, run->ring);
    uint64_t to1 = 0, to2 = 0;
    for (int l = 0; l < run->limbs; l++) {
        to2 += mpc_bits(h, limb_bits(run->ring, l));
        to1 += mpc_bits(run->count - h, limb_bits(run->ring, l));
    }
    assert_int_equal(bytes_sent(trio, TRIO_END_P0_TO_P1), to1);
    assert_int_equal(bytes_sent(trio, TRIO_END_P0_TO_P2), to2);
}

static void check_form(enum form form, int ring, size_t count)
{
    struct deal_run run = {
        .form = form, .count = count, .ring = ring, .limbs = form == LIMBS ? (ring + 63) / 64 : 1};
    static const struct {
        enum tap_mode mode;
        uint64_t fill;
    } draws[] = {
        {TAP_REAL, 0}, {TAP_FILL, 1}, {TAP_FILL, ~UINT64_C(0)}, {TAP_FILL, UINT64_C(0x5555555555555555)}};
    for (size_t d = 0; d < sizeof draws / sizeof *draws; d++) {
        struct tap tap = {.mode = draws[d].mode, .fill = draws[d].fill};
        uint64_t *value = make_values(&run, d);
        run.value = value;
        struct trio trio = run_deal(&run, &tap, d);
        check_bytes(&trio, &run);
        for (size_t i = 0; i < count; i++)
            check_element(&run, i);
        if (draws[d].mode == TAP_FILL)
            check_draws(&run, draws[d].fill);
        trio_finish(&trio);
        tap_finish(&tap);
        free(value);
    }
}

static void test_forms(void **state)
{
    static const size_t counts[] = {0, 1, 8, 100, 511, 512, 1000, 4097};
    static const int rings[] = {1, 2, 5, 12, 23, 32, 46, 63, 64},
                     wide[] = {1, 30, 64, 65, 96, 131, 192, 193, 256};
    (void)state;
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        for (size_t r = 0; r < sizeof rings / sizeof *rings; r++)
            for (enum form form = PLAIN; form < LIMBS; form++)
                check_form(form, rings[r], counts[c]);
        for (size_t r = 0; r < sizeof wide / sizeof *wide; r++)
            check_form(LIMBS, wide[r], counts[c]);
    }
}

static void test_equal_transcripts(void **state)
{
    (void)state;
    for (enum form form = PLAIN; form <= LIMBS; form++) {
        struct deal_run run = {
            .form = form, .count = 2001, .ring = form == LIMBS ? 130 : 61, .limbs = form == LIMBS ? 3 : 1};
        struct trio trio[2];
        struct base_error error = {0};
        for (uint64_t r = 0; r < 2; r++) {
            uint64_t *value = make_values(&run, 77 + r);
            run.value = value;
            trio[r] = run_deal(&run, NULL, r);
            free(value);
        }
        check_ok(trio_same_transcript(&trio[0], &trio[1], &error), &error, "deal");
        trio_finish(&trio[0]);
        trio_finish(&trio[1]);
    }
}

static void test_refusals(void **state)
{
    static const int cases[][2] = {{0, 0}, {1, 0}, {1, 65}, {2, 64}, {8, 513}, {9, 513}, {-1, 64}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (enum mpc_role role = MPC_HELPER; role <= MPC_COUNT; role++) {
            struct mpc_party p;
            struct base_error error = {0};
            check_ok(mpc_party_init(&p, role, kern_table_select(~0u), 1 << 16, &error), &error, "party");
            assert_null(mpc_deal_limbs(&p, 3, cases[i][0], cases[i][1], NULL));
            assert_int_equal(p.status, BASE_ERR_INTERNAL);
            mpc_party_finish(&p);
        }
}

/* --- both links of P0 --- */

enum { CUTS = 24, LAYER = 700 };

/* What a layer deals: masks of cut products of many sizes and rings, lifts and an extension. */
static enum base_status layer_program(struct mpc_party *p, const struct trio_job *job)
{
    enum base_status status = BASE_OK;
    struct mpc_wire x = trio_input(p, job, 0), small = trio_input(p, job, 1);
    for (size_t i = 0; i < CUTS; i++) {
        struct mpc_wire a = mpc_slice(x, 0, LAYER - 17 * i), b = mpc_slice(small, 0, LAYER - 17 * i);
        (void)mpc_cut(p, mpc_share_dot(p, a, a, 1), 64 - (int)i, 12, 20, false, "cut");
        (void)mpc_cut(p, mpc_share_mul(p, a, b, 1, 60), 60, 10 + (int)i, 20, false, "lifted");
        (void)mpc_extend(p, b, 30 + (int)i, "wide");
        TRY(mpc_round(p));
    }
out:
    return status;
}

static size_t all_to_p2(const struct mpc_party *p, size_t count, int ring)
{
    (void)p;
    (void)ring;
    return count;
}

static void run_layer(mpc_split_fn split, uint64_t ret_sent[2])
{
    static int64_t x[LAYER], small[LAYER];
    struct trio trio = {0};
    fill_edges(x, LAYER, -(1 << 14), 1 << 14, 1);
    fill_edges(small, LAYER, -(1 << 12), 1 << 12, 2);
    struct trio_input inputs[] = {{x, LAYER, 64, 10, 15}, {small, LAYER, 20, 10, 13}};
    check_run(
        &(struct trio_job){
            .program = layer_program, .inputs = inputs, .input_count = 2, .split = split, .beside = true},
        &trio, "layer");
    ret_sent[0] = bytes_sent(&trio, TRIO_END_P0_TO_P1);
    ret_sent[1] = bytes_sent(&trio, TRIO_END_P0_TO_P2);
    trio_finish(&trio);
}

/* Each of seven fields of a round is off by 64 bytes at most; what is rounded up for one party is not made up
 * for. */
static void test_links_carry_half(void **state)
{
    const uint64_t tolerance = 7 * 64 * CUTS;
    uint64_t sent[2], whole[2];
    (void)state;
    run_layer(NULL, sent);
    run_layer(all_to_p2, whole);
    print_message("P0 sends %llu bytes to P1 and %llu to P2\n", (unsigned long long)sent[0],
                  (unsigned long long)sent[1]);
    assert_true(sent[0] <= sent[1] + tolerance && sent[1] <= sent[0] + tolerance);
    assert_true(sent[0] + sent[1] == whole[0] + whole[1]);
    assert_true(whole[0] == 0 && whole[1] > 20 * tolerance);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_split_rule), cmocka_unit_test(test_forms),
                                       cmocka_unit_test(test_equal_transcripts),
                                       cmocka_unit_test(test_refusals),
                                       cmocka_unit_test(test_links_carry_half)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
