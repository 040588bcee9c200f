/* Choices against the true answer: every way and every form of result, scores with ties at the threshold and
 * at the ends of the range; runs that share their rounds; what is opened; forms that are refused; costs
 * beside those of the specification. */
#include "tests/protocols/check.h"

#include "protocols/choice.h"
#include "protocols/kept_rows.h"
#include "protocols/sign.h"

enum { RING = 20, MOST = 600, SEEDS = 7 };

/* --- the true answer --- */

/* The rank of score i in its row: later ones stand first among equals. */
static size_t rank_of(const int64_t *x, size_t n, size_t i)
{
    size_t rank = 0;
    for (size_t j = 0; j < n; j++)
        rank += x[j] > x[i] || (x[j] == x[i] && j > i);
    return rank;
}

/* The row of the result that names each element of one run. */
static void rows_of(const struct sec_choice_form *form, const int64_t *x, size_t *ret)
{
    bool by_rank = form->way == SEC_CHOICE_PAIRS && !form->ordered && !form->flags_only;
    size_t kept = 0, lost = form->k;
    for (size_t i = 0; i < form->n; i++) {
        size_t rank = rank_of(x, form->n, i);
        ret[i] = by_rank ? rank : rank < form->k ? kept++ : lost++;
    }
}

static void check_result(const struct sec_choice_form *form, const int64_t *x, const int64_t *result)
{
    size_t n = form->n,
           m = form->flags_only ? 1
               : form->lost     ? n
                                : form->k,
           *row = must_alloc(n, sizeof *row);
    int64_t one = form->ring == 1 ? -1 : 1; /* as trio_value reads it */
    for (size_t r = 0; r < form->rows; r++, x += n) {
        rows_of(form, x, row);
        for (size_t s = 0; s < m; s++)
            for (size_t i = 0; i < n; i++)
                assert_int_equal(*result++, (form->flags_only ? row[i] < form->k : row[i] == s) ? one : 0);
    }
    free(row);
}

/* Random; all equal, largest or 0; sorted both ways; a run of duplicates at the threshold. */
static void fill_scores(const struct sec_choice_form *form, uint64_t seed, int64_t *x)
{
    int64_t most = (INT64_C(1) << form->bits) - 1;
    uint64_t random = seed;
    for (size_t i = 0; i < form->rows * form->n; i++) {
        int64_t word = (int64_t)(trio_random(&random) >> 8), at = (int64_t)(i % form->n),
                n = (int64_t)form->n;
        const int64_t kinds[SEEDS] = {word & most,
                                      most,
                                      0,
                                      at * most / n,
                                      (n - at) * most / n,
                                      most / 2 + (word % 4 == 0) - (word % 4 == 1),
                                      word % 2 == 0 ? most : 0};
        x[i] = kinds[(seed + i / form->n) % SEEDS];
    }
}

/* --- one choice --- */

static enum base_status choice_program(struct mpc_party *p, const struct trio_job *job)
{
    const struct sec_choice_form *form = job->context;
    struct mpc_wire result = {0};
    enum base_status status = sec_choice_eval(p, *form, trio_input(p, job, 0), &result);
    if (status == BASE_OK)
        trio_output(p, result);
    return status;
}

/* Runs it, checks value, cost and that nothing was opened. *ret is to be finished. */
static void run_choice(const struct sec_choice_form *form, const int64_t *x, uint64_t seed, struct trio *ret)
{
    size_t count = sec_choice_count(*form);
    int64_t *result = must_alloc(count, sizeof *result);
    struct trio_input input = {x, form->rows * form->n, form->bits + 1 + (int)(seed % 3) * 9, 0, form->bits};
    struct trio_job job = {
        .program = choice_program, .context = form, .inputs = &input, .input_count = 1, .seed = seed};
    check_run(&job, ret, "choice");
    check_cost(ret, sec_choice_cost(*form));
    assert_int_equal(ret->measured[0].rounds, sec_choice_rounds(*form));
    check_value(ret, 0, result, "choice");
    check_result(form, x, result);
    for (int role = TRIO_P0; role < TRIO_PARTIES; role++)
        for (int e = 0; e < MPC_OPENING_COUNT; e++)
            assert_int_equal(ret->party[role].openings[e], 0);
    free(result);
}

/* Two runs on different scores: the same answer as in the clear, and the same transcript. */
static void check_choice(struct sec_choice_form form, uint64_t seed)
{
    int64_t *x = must_alloc(form.rows * form.n, sizeof *x);
    struct trio trio[2] = {0};
    struct base_error error = {0};
    for (int run = 0; run < 2; run++) {
        fill_scores(&form, seed + 3 * (uint64_t)run, x);
        run_choice(&form, x, 11, &trio[run]);
    }
    check_ok(trio_same_transcript(&trio[0], &trio[1], &error), &error, "transcript");
    trio_finish(&trio[0]);
    trio_finish(&trio[1]);
    free(x);
}

static const enum sec_choice_way ways[] = {SEC_CHOICE_PAIRS, SEC_CHOICE_ONE_DIGIT, SEC_CHOICE_TWO_DIGITS};

static void test_results(void **state)
{
    (void)state;
    for (size_t w = 0; w < SEC_CHOICE_WAYS; w++)
        for (int what = 0; what < 6; what++)
            for (uint64_t seed = 0; seed < SEEDS; seed++) {
                struct sec_choice_form form = {
                    .rows = 3, .n = 13, .k = 4, .bits = 5, .way = ways[w], .ring = RING};
                form.flags_only = what < 2;
                form.ring = what == 0 ? 1 : RING;
                form.lost = what == 3 || what == 5;
                form.ordered = what >= 4;
                check_choice(form, seed);
            }
}

static void test_sizes(void **state)
{
    static const size_t sizes[] = {2, 3, 4, 5, 8, 16, 17, 31, 64, 100, 200};
    (void)state;
    for (size_t w = 0; w < SEC_CHOICE_WAYS; w++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
            for (int which = 0; which < 3; which++) {
                size_t n = sizes[s], k = which == 0 ? 1 : which == 1 ? n / 4 : n - 1;
                if (k == 0 || (which == 2 && k == 1))
                    continue;
                for (int rows = 0; rows < 2; rows++)
                    check_choice((struct sec_choice_form){.rows = 2,
                                                          .n = n,
                                                          .k = k,
                                                          .bits = 6,
                                                          .way = ways[w],
                                                          .ring = 9,
                                                          .flags_only = !rows,
                                                          .lost = n < 64,
                                                          .ordered = s % 2 == 0},
                                 s + (size_t)which);
            }
}

static void test_bits(void **state)
{
    (void)state;
    for (int bits = 1; bits <= SEC_CHOICE_MOST_BITS; bits++)
        for (uint64_t seed = 0; seed < SEEDS; seed += 3) {
            struct sec_choice_form form = {
                .rows = 2, .n = 10, .k = 3, .bits = bits, .ring = RING, .ordered = true};
            check_choice(form, seed);
            form.way = SEC_CHOICE_ONE_DIGIT;
            if (bits <= SEC_CHOICE_DIGIT_BITS)
                check_choice(form, seed);
            form.way = SEC_CHOICE_TWO_DIGITS;
            if (bits >= 2)
                check_choice(form, seed);
        }
}

/* Many scores: histograms and rows go in blocks, and the work area stays small beside the result. */
static void test_many_scores(void **state)
{
    static const struct sec_choice_form forms[] = {
        {.rows = 2, .n = 2048, .k = 128, .bits = 14, .way = SEC_CHOICE_TWO_DIGITS, .ring = 20},
        {.rows = 2,
         .n = SEC_CHOICE_MOST_N,
         .k = SEC_CHOICE_MOST_N / 4,
         .bits = 14,
         .way = SEC_CHOICE_TWO_DIGITS,
         .ring = 1,
         .flags_only = true},
        {.rows = 3,
         .n = 2048,
         .k = 512,
         .bits = 8,
         .way = SEC_CHOICE_ONE_DIGIT,
         .ring = 10,
         .flags_only = true},
    };
    (void)state;
    for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
        int64_t *x = must_alloc(forms[f].rows * forms[f].n, sizeof *x);
        struct trio trio = {0};
        fill_scores(&forms[f], f == 0 ? 0 : 5, x);
        run_choice(&forms[f], x, f, &trio);
        size_t result = sec_choice_count(forms[f]) * sizeof(uint64_t);
        for (int role = TRIO_P0; role < TRIO_PARTIES; role++) {
            (void)printf("%zu of %zu scores in %zu rows: P%d used %.1f MB, the result is of %.1f MB\n",
                         forms[f].k, forms[f].n, forms[f].rows, role,
                         (double)trio.party[role].arena.peak / 1e6, (double)result / 1e6);
            assert_true(trio.party[role].arena.peak < 8 * result + ((size_t)40 << 20));
        }
        trio_finish(&trio);
        free(x);
    }
}

/* --- two choices and other work in the same rounds, the second choice in an arena of its own --- */

struct shared_run {
    struct sec_choice_form first, second;
    uint64_t foreign; /* rounds in which something else was opened */
};

static void swap_arenas(struct mpc_party *p, struct base_arena *other)
{
    struct base_arena kept = p->arena;
    p->arena = *other;
    *other = kept;
}

/* A copy in the party's own arena. */
static struct mpc_wire copy_of(struct mpc_party *p, struct mpc_wire w)
{
    uint32_t *index = mpc_bytes(p, w.count * sizeof *index);
    for (size_t i = 0; index != NULL && i < w.count; i++)
        index[i] = (uint32_t)i;
    return mpc_gather(p, w, index, w.count);
}

static enum base_status run_shared(struct mpc_party *p, const struct trio_job *job,
                                   struct base_arena *background)
{
    enum base_status status = BASE_OK;
    const struct shared_run *run = job->context;
    struct mpc_wire x = trio_input(p, job, 0), y = trio_input(p, job, 1), square = {0};
    struct sec_choice first, second;
    sec_choice_start(&first, run->first, x);
    sec_choice_start(&second, run->second, y);
    for (uint64_t round = 0;; round++) {
        bool more = sec_choice_queue(p, &first);
        /* The second starts two rounds later. */
        if (round >= 2) {
            swap_arenas(p, background);
            more = sec_choice_queue(p, &second) || more;
            swap_arenas(p, background);
        }
        if (round >= 2 && !more)
            break;
        if (round < run->foreign)
            square = mpc_cut(p, mpc_share_dot(p, x, x, 1), x.ring, 0, x.ring - 1, false, "square");
        TRY(mpc_round(p));
    }
    trio_output(p, first.result);
    trio_output(p, copy_of(p, second.result));
    trio_output(p, square);
    status = p->status;
out:
    return status;
}

static enum base_status shared_program(struct mpc_party *p, const struct trio_job *job)
{
    struct base_arena background = {0};
    enum base_status status = base_arena_init(&background, (size_t)64 << 20, &p->error);
    if (status == BASE_OK)
        status = run_shared(p, job, &background);
    base_arena_finish(&background);
    return status;
}

static void check_shared(const struct shared_run *run)
{
    int64_t x[MOST], y[MOST], result[MOST * 4];
    fill_scores(&run->first, 0, x);
    fill_scores(&run->second, 5, y);
    size_t nx = run->first.rows * run->first.n, ny = run->second.rows * run->second.n;
    struct trio_input inputs[] = {{x, nx, 30, 0, run->first.bits}, {y, ny, 12, 0, run->second.bits}};
    struct trio trio = {0};
    check_run(
        &(struct trio_job){
            .program = shared_program, .context = run, .inputs = inputs, .input_count = 2, .seed = 5},
        &trio, "shared");
    check_value(&trio, 0, result, "first");
    check_result(&run->first, x, result);
    check_value(&trio, 1, result, "second");
    check_result(&run->second, y, result);
    check_value(&trio, 2, result, "square");
    for (size_t i = 0; i < nx; i++)
        assert_int_equal(result[i], x[i] * x[i]);
    struct mpc_cost a = sec_choice_cost(run->first), b = sec_choice_cost(run->second),
                    c = mpc_cut_cost(nx, 30, 0, false);
    struct mpc_cost want = {a.rounds > b.rounds + 2 ? a.rounds : b.rounds + 2,
                            a.online + b.online + run->foreign * c.online,
                            a.offline + b.offline + run->foreign * c.offline};
    check_cost(&trio, want);
    trio_finish(&trio);
}

static void test_shared_rounds(void **state)
{
    (void)state;
    for (size_t a = 0; a < SEC_CHOICE_WAYS; a++)
        for (size_t b = 0; b < SEC_CHOICE_WAYS; b++) {
            struct shared_run run = {.foreign = 4};
            run.first = (struct sec_choice_form){.rows = 2,
                                                 .n = 20,
                                                 .k = 6,
                                                 .bits = 8,
                                                 .way = ways[a],
                                                 .ring = 12,
                                                 .lost = true,
                                                 .ordered = true};
            run.second = (struct sec_choice_form){
                .rows = 3, .n = 11, .k = 5, .bits = 4, .way = ways[b], .ring = 7, .flags_only = true};
            check_shared(&run);
        }
}

/* --- forms that are refused, by every role --- */

static enum base_status refused_program(struct mpc_party *p, const struct trio_job *job)
{
    struct mpc_wire result = {0}, x = trio_input(p, job, 0);
    struct mpc_party before = *p;
    enum base_status status = sec_choice_eval(p, *(const struct sec_choice_form *)job->context, x, &result);
    bool well = status == BASE_ERR_RANGE && p->pending_count == 0 && p->step == before.step;
    p->status = BASE_OK;
    return well ? BASE_OK : base_fail(&p->error, BASE_ERR_INTERNAL, "answer %d", (int)status);
}

static void test_refused_forms(void **state)
{
    static const struct sec_choice_form good = {
        .rows = 2, .n = 6, .k = 2, .bits = 4, .way = SEC_CHOICE_ONE_DIGIT, .ring = 8};
    struct sec_choice_form bad[9];
    int64_t x[12] = {0};
    struct trio_input input = {x, 12, 9, 0, 4};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        bad[i] = good;
    bad[0].k = 0;
    bad[1].k = 6;
    bad[2].n = 7;
    bad[3].bits = 0;
    bad[4].bits = 9; /* not in a ring of 9 bits */
    bad[5].bits = SEC_CHOICE_DIGIT_BITS + 1;
    bad[6].ring = 65;
    bad[7].rows = 0;
    bad[8].way = SEC_CHOICE_TWO_DIGITS;
    bad[8].bits = 1;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct trio trio = {0};
        struct base_error error = {0};
        check_ok(trio_run(
                     &(struct trio_job){
                         .program = refused_program, .context = &bad[i], .inputs = &input, .input_count = 1},
                     &trio, &error),
                 &error, "refused");
        trio_finish(&trio);
    }
}

/* --- costs --- */

/* Bytes per score, online and dealt, of the specification's README 9.1, k = n / 4; 0: not there. Pairs give
 * ranks there, flags here. */
static const struct {
    size_t n;
    int bits;
    double online[SEC_CHOICE_WAYS], dealt[SEC_CHOICE_WAYS];
} specified[] = {
    {16, 8, {4, 39, 10}, {248, 328, 93}},      {64, 8, {10, 12, 7}, {1040, 316, 103}},
    {128, 8, {18, 14, 9}, {2096, 362, 173}},   {512, 8, {68, 7, 8}, {8687, 455, 269}},
    {2048, 8, {260, 6, 8}, {34800, 483, 332}}, {128, 14, {18, 0, 16}, {16600, 0, 659}},
    {2048, 14, {260, 0, 8}, {268000, 0, 782}},
};

static void test_costs(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof specified / sizeof *specified; i++)
        for (size_t w = 0; w < SEC_CHOICE_WAYS; w++) {
            size_t n = specified[i].n;
            struct sec_choice_form form = {.rows = 1,
                                           .n = n,
                                           .k = n / 4,
                                           .bits = specified[i].bits,
                                           .way = ways[w],
                                           .ring = 1,
                                           .flags_only = true};
            if (specified[i].dealt[w] == 0)
                continue;
            struct mpc_cost cost = sec_choice_cost(form);
            if (form.way == SEC_CHOICE_PAIRS) { /* without the round from ranks to flags */
                cost.offline -=
                    sec_one_hot_cost((struct sec_one_hot){.bits = base_bits_of(n - 1), .ring = 1}, n).offline;
                cost.online -= mpc_open_share_cost(n, 1, 0).online;
            }
            double online = (double)cost.online / (double)n, dealt = (double)cost.offline / (double)n;
            (void)printf("%4zu scores of %2d bits, way %zu: %2llu rounds, %6.1f online, %8.1f dealt bytes "
                         "per score (specification %5.0f, %6.0f)\n",
                         n, form.bits, w, (unsigned long long)cost.rounds, online, dealt,
                         specified[i].online[w], specified[i].dealt[w]);
            assert_true(online <= specified[i].online[w] + 0.5);
            assert_true(dealt <= specified[i].dealt[w] * 1.003);
        }
}

static void test_cheapest(void **state)
{
    struct sec_choice_form form = {.rows = 4, .n = 64, .k = 16, .bits = 8, .ring = 40};
    (void)state;
    assert_int_equal(sec_choice_cheapest(form, 3), SEC_CHOICE_PAIRS);
    assert_int_equal(sec_choice_cheapest(form, 8), SEC_CHOICE_ONE_DIGIT);
    assert_int_equal(sec_choice_cheapest(form, 100), SEC_CHOICE_TWO_DIGITS);
    form.bits = 12; /* more than one digit holds */
    assert_int_equal(sec_choice_cheapest(form, 12), SEC_CHOICE_PAIRS);
    assert_int_equal(sec_choice_cheapest(form, 13), SEC_CHOICE_TWO_DIGITS);
    assert_int_equal(sec_choice_cheapest(form, 0), SEC_CHOICE_PAIRS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_results),       cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_bits),          cmocka_unit_test(test_many_scores),
        cmocka_unit_test(test_shared_rounds), cmocka_unit_test(test_refused_forms),
        cmocka_unit_test(test_costs),         cmocka_unit_test(test_cheapest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
