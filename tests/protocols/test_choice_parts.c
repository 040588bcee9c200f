/* What choices are made of, against the true answer: signs of few bits and of many, exact digits, one-hot
 * rows times a masked bit, products of bits, kept rows; and their exact views, all randomness enumerated. */
#include "tests/protocols/views.h"

#include "protocols/bit_terms.h"
#include "protocols/choice.h"
#include "protocols/digits.h"
#include "protocols/kept_rows.h"
#include "protocols/sign.h"

enum { N = 3000 };

/* One input of `count` values; the program's context is `context`. *ret is to be finished. */
static void run_part(trio_program_fn program, const void *context, struct trio_input input, struct trio *ret,
                     const char *what)
{
    check_run(
        &(struct trio_job){
            .program = program, .context = context, .inputs = &input, .input_count = 1, .seed = 23},
        ret, what);
}

/* --- signs --- */

static enum base_status sign_program(struct mpc_party *p, const struct trio_job *job)
{
    enum base_status status = BASE_OK;
    int k = *(const int *)job->context;
    struct mpc_wire x = trio_input(p, job, 0);
    struct sec_masked_bit sign = sec_sign(p, x, k, "sign"), negative, zero = {0};
    bool both = k <= SEC_SIGN_TABLE_BITS;
    if (both)
        sec_sign_zero(p, x, k, &negative, &zero, "sign and zero");
    else
        negative = zero = sign;
    TRY(mpc_round(p));
    struct mpc_wire a = sec_bit_to_wire(p, sign, 10, "a"), b = sec_bit_to_wire(p, negative, 10, "b"),
                    c = sec_bit_to_wire(p, zero, 10, "c");
    TRY(mpc_round(p));
    trio_output(p, a);
    trio_output(p, b);
    trio_output(p, c);
out:
    return status;
}

static void test_signs(void **state)
{
    int64_t x[N], a[N], b[N], c[N];
    (void)state;
    for (int k = 2; k <= 13; k++)
        for (int more = 0; more < 3; more++) {
            int64_t half = INT64_C(1) << (k - 1);
            struct trio trio = {0};
            fill_edges(x, N, 1 - half, half - 1, (uint64_t)k);
            run_part(sign_program, &k, (struct trio_input){x, N, k + more * 9, 0, k - 1}, &trio, "signs");
            check_value(&trio, 0, a, "sign");
            check_value(&trio, 1, b, "negative");
            check_value(&trio, 2, c, "zero");
            for (size_t i = 0; i < N; i++) {
                assert_int_equal(a[i], x[i] < 0);
                assert_int_equal(b[i], x[i] < 0);
                assert_int_equal(c[i], k <= SEC_SIGN_TABLE_BITS ? x[i] == 0 : x[i] < 0);
            }
            trio_finish(&trio);
        }
}

/* The lowest value of the ring has a sign (but no zero to tell it from). */
static void test_lowest_value(void **state)
{
    (void)state;
    for (int k = 2; k <= SEC_SIGN_TABLE_BITS; k++) {
        int64_t x[40], a[40];
        struct trio trio = {0};
        for (size_t i = 0; i < 40; i++)
            x[i] = -(INT64_C(1) << (k - 1));
        struct trio_input input = {x, 40, 30, 0, k - 1};
        struct trio_job job = {.program = sign_program,
                               .context = &k,
                               .inputs = &input,
                               .input_count = 1,
                               .seed = 2,
                               .no_twin = true};
        struct base_error error = {0};
        check_ok(trio_run(&job, &trio, &error), &error, "lowest");
        check_value(&trio, 0, a, "sign");
        for (size_t i = 0; i < 40; i++)
            assert_int_equal(a[i], 1);
        trio_finish(&trio);
    }
}

static void test_sign_costs(void **state)
{
    static const int known[][2] = {
        {5, 2}, {9, 32}, {11, 128}, {12, 162}, {20, 422}}; /* README 9.1 of the specification */
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        assert_int_equal(sec_sign_cost(80, known[i][0]).offline, 80 * known[i][1]);
    assert_int_equal(sec_sign_zero_cost(80, 9).offline, 80 * 32);
    assert_int_equal(sec_sign_cost(5, 2).offline, 2); /* 10 bits */
}

/* --- digits --- */

static enum base_status digits_program(struct mpc_party *p, const struct trio_job *job)
{
    const int *form = job->context;
    struct mpc_wire x = trio_input(p, job, 0), high = sec_high_digit(p, x, form[0], form[1], "high");
    enum base_status status = mpc_round(p);
    struct mpc_wire low = sec_low_digit(p, x, high, form[1]);
    if (status == BASE_OK) {
        trio_output(p, high);
        trio_output(p, low);
    }
    return status;
}

static void test_digits(void **state)
{
    static const int forms[][2] = {{2, 1}, {3, 1},  {3, 2},  {4, 2},  {6, 3},
                                   {8, 4}, {14, 7}, {16, 7}, {11, 10}};
    int64_t x[N], high[N], low[N];
    (void)state;
    for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
        struct trio trio = {0};
        fill_edges(x, N, 0, (INT64_C(1) << forms[f][0]) - 1, f);
        run_part(digits_program, forms[f],
                 (struct trio_input){x, N, forms[f][0] + 1 + (int)f % 2 * 20, 0, forms[f][0]}, &trio,
                 "digits");
        check_value(&trio, 0, high, "high");
        check_value(&trio, 1, low, "low");
        for (size_t i = 0; i < N; i++) {
            assert_int_equal(high[i], x[i] >> forms[f][1]);
            assert_int_equal(low[i], x[i] & ((1 << forms[f][1]) - 1));
        }
        struct mpc_cost cost = sec_high_digit_cost(N, forms[f][0], forms[f][1]);
        cost.rounds = 1;
        check_cost(&trio, cost);
        trio_finish(&trio);
    }
}

/* --- one-hot rows, plain and times the bit [x < 0] --- */

struct hot_rows {
    size_t entries;
    const uint64_t *delta;
    bool twin;
    uint64_t *plain, *times;
};

static void take_hot(void *context, size_t element, const uint64_t *hot)
{
    struct hot_rows *to = context;
    const uint64_t *second = hot + to->entries;
    for (size_t v = 0; v < to->entries; v++) {
        size_t at = element * to->entries + v;
        uint64_t delta = to->twin ? 0 : to->delta[element];
        to->plain[at] = hot[v];
        to->times[at] = delta * hot[v] + (1 - 2 * delta) * second[v];
    }
}

static enum base_status hot_program(struct mpc_party *p, const struct trio_job *job)
{
    enum base_status status = BASE_OK;
    const int *form = job->context; /* bits, ring */
    struct mpc_wire x = trio_input(p, job, 0);
    struct hot_rows to = {.entries = (size_t)1 << form[0], .twin = p->role == MPC_CLEAR};
    size_t count = x.count * to.entries;
    struct sec_masked_bit bit = sec_sign(p, x, form[0] + 1, "bit");
    TRY(mpc_round(p));
    to.delta = bit.delta;
    if (mpc_computes(p) || to.twin) {
        to.plain = mpc_words(p, count);
        to.times = mpc_words(p, count);
    }
    sec_one_hot_read(p, (struct sec_one_hot){form[0], form[1], true}, x, to.twin ? bit.x : bit.rho, take_hot,
                     &to);
    struct mpc_wire plain = mpc_open_share(p, to.plain, count, sec_one_hot_opening(form[1], "plain"));
    struct mpc_wire times = mpc_open_share(p, to.times, count, sec_one_hot_opening(form[1], "times"));
    TRY(mpc_round(p));
    trio_output(p, plain);
    trio_output(p, times);
out:
    return status;
}

static void test_one_hot_times(void **state)
{
    enum { COUNT = 700 };
    static const int forms[][2] = {{1, 5},  {2, 2}, {4, 9}, {6, 12},
                                   {7, 12}, {8, 9}, {9, 40}}; /* tables, then keys */
    (void)state;
    for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
        size_t entries = (size_t)1 << forms[f][0];
        int64_t x[COUNT], *plain = must_alloc(COUNT * entries, sizeof *plain),
                          *times = must_alloc(COUNT * entries, sizeof *times);
        struct trio trio = {0};
        fill_edges(x, COUNT, -(INT64_C(1) << forms[f][0]), (INT64_C(1) << forms[f][0]) - 1, f);
        run_part(hot_program, forms[f], (struct trio_input){x, COUNT, 14, 0, forms[f][0]}, &trio, "one-hot");
        check_value(&trio, 0, plain, "plain");
        check_value(&trio, 1, times, "times");
        for (size_t i = 0; i < COUNT; i++)
            for (size_t v = 0; v < entries; v++) {
                bool here = ((uint64_t)x[i] & (entries - 1)) == v;
                assert_int_equal(plain[i * entries + v], here);
                assert_int_equal(times[i * entries + v], here && x[i] < 0);
            }
        trio_finish(&trio);
        free(plain);
        free(times);
    }
}

/* --- products of three bits, dealt in two turns; the second ring is smaller than what was dealt --- */

static enum base_status terms_program(struct mpc_party *p, const struct trio_job *job)
{
    enum base_status status = BASE_OK;
    struct mpc_wire x = trio_input(p, job, 0);
    size_t n = x.count;
    struct sec_bit_terms terms = {.ring = 9, .count = n};
    /* Bit b of x is the sign of 2 x in b + 2 bits. */
    for (int b = 0; b < 3; b++)
        terms.bit[b] = sec_sign(p, mpc_add(p, x, x, 1, 4), b + 2, "bit");
    TRY(mpc_round(p));
    uint64_t *sum = mpc_words(p, n);
    memset(sum, 0, n * sizeof *sum);
    sec_terms_deal(p, &terms, sec_term_subsets(3));
    sec_terms_deal(p, &terms, sec_term_subsets(7));
    sec_term_add(p, &terms, 7, 1, sum);
    sec_term_add(p, &terms, 5, 2, sum);
    sec_term_add(p, &terms, 2, 4, sum);
    struct mpc_wire y = mpc_open_share(
        p, sum, n, (struct mpc_opening_form){.ring = 7, .bound = 3, .ulp = -1, .label = "sum"});
    TRY(mpc_round(p));
    trio_output(p, y);
out:
    return status;
}

static void test_terms(void **state)
{
    int64_t x[N], y[N];
    struct trio trio = {0};
    (void)state;
    for (int i = 0; i < N; i++)
        x[i] = i & 7;
    struct trio_input input = {x, N, 12, 0, 3};
    struct trio_job job = {
        .program = terms_program, .inputs = &input, .input_count = 1, .seed = 4, .no_twin = true};
    struct base_error error = {0};
    check_ok(trio_run(&job, &trio, &error), &error, "terms");
    check_value(&trio, 0, y, "sum");
    for (int i = 0; i < N; i++) {
        int64_t a = x[i] & 1, b = x[i] >> 1 & 1, c = x[i] >> 2 & 1;
        assert_int_equal(y[i], a * b * c + 2 * a * c + 4 * b);
    }
    trio_finish(&trio);
}

/* --- kept rows --- */

static enum base_status kept_program(struct mpc_party *p, const struct trio_job *job)
{
    struct sec_kept_form form = *(const struct sec_kept_form *)job->context;
    struct mpc_wire opened = sec_kept_queue(p, form, trio_input(p, job, 0), "kept rows");
    enum base_status status = mpc_round(p);
    if (status == BASE_OK)
        trio_output(p, sec_kept_rows(p, form, opened));
    return status;
}

static void check_kept(struct sec_kept_form form)
{
    size_t count = form.rows * form.n, m = form.lost ? form.n : form.k;
    int64_t *x = must_alloc(count, sizeof *x), *y = must_alloc(form.n * count, sizeof *y);
    uint64_t random = form.n;
    for (size_t r = 0; r < form.rows; r++)
        for (size_t i = 0, left = form.k; i < form.n; i++) {
            bool keep = trio_random(&random) % (form.n - i) < left;
            x[r * form.n + i] = keep;
            left -= keep;
        }
    struct trio trio = {0};
    struct mpc_cost cost = sec_kept_rows_cost(form);
    cost.rounds = 1;
    run_part(kept_program, &form, (struct trio_input){x, count, sec_kept_bits(form.k) + 3, 0, 0}, &trio,
             "kept rows");
    check_cost(&trio, cost);
    check_value(&trio, 0, y, "kept rows");
    for (size_t r = 0; r < form.rows; r++)
        for (size_t i = 0, kept = 0, lost = form.k; i < form.n; i++) {
            size_t at = x[r * form.n + i] ? kept++ : lost++;
            for (size_t s = 0; s < m; s++)
                assert_int_equal(y[(r * m + s) * form.n + i], s == at);
        }
    trio_finish(&trio);
    free(x);
    free(y);
}

static void test_kept_rows(void **state)
{
    static const size_t sizes[][2] = {{1, 1},  {2, 1},   {2, 2},  {7, 3},    {8, 8},
                                      {24, 6}, {31, 30}, {40, 1}, {130, 64}, {300, 127}};
    (void)state;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int lost = 0; lost < 2; lost++)
            check_kept((struct sec_kept_form){
                .rows = 3, .n = sizes[s][0], .k = sizes[s][1], .ring = 40, .lost = lost == 1});
}

/* --- exact views --- */

static enum base_status sign_view(struct mpc_party *p, const struct trio_job *job)
{
    (void)sec_sign(p, trio_input(p, job, 0), ((const struct view_case *)job->context)->ring, "sign");
    return mpc_round(p);
}

static enum base_status sign_zero_view(struct mpc_party *p, const struct trio_job *job)
{
    struct sec_masked_bit negative, zero;
    sec_sign_zero(p, trio_input(p, job, 0), 2, &negative, &zero, "sign and zero");
    return mpc_round(p);
}

static enum base_status digits_view(struct mpc_party *p, const struct trio_job *job)
{
    (void)sec_high_digit(p, trio_input(p, job, 0), 2, 1, "high digit");
    return mpc_round(p);
}

static void copy_two(void *context, size_t element, const uint64_t *hot)
{
    uint64_t **next = context;
    (void)element;
    *(*next)++ = hot[0];
    *(*next)++ = hot[1];
}

static enum base_status one_hot_view(struct mpc_party *p, const struct trio_job *job)
{
    struct mpc_wire x = trio_input(p, job, 0);
    uint64_t *rows = mpc_words(p, 2 * x.count), *next = rows;
    sec_one_hot_read(p, (struct sec_one_hot){.bits = 1, .ring = 1}, x, NULL, copy_two, &next);
    (void)mpc_open_share(p, rows, 2 * x.count, sec_one_hot_opening(1, "one-hot"));
    return mpc_round(p);
}

/* One bit from the sign of the input, its rho dealt once and read in two openings. */
static enum base_status terms_view(struct mpc_party *p, const struct trio_job *job)
{
    enum base_status status = BASE_OK;
    struct mpc_wire x = trio_input(p, job, 0);
    struct sec_bit_terms terms = {.ring = 2, .count = x.count, .bit = {sec_sign(p, x, 2, "sign")}};
    TRY(mpc_round(p));
    for (int ring = 2; ring > 0; ring--) {
        uint64_t *sum = mpc_words(p, x.count);
        memset(sum, 0, x.count * sizeof *sum);
        sec_terms_deal(p, &terms, sec_term_subsets(1));
        sec_term_add(p, &terms, 1, 1, sum);
        (void)mpc_open_share(p, sum, x.count, sec_one_hot_opening(ring, "bit"));
    }
    TRY(mpc_round(p));
out:
    return status;
}

/* Control: P1 is told rho, and so sees the bit. */
static enum base_status unmasked_view(struct mpc_party *p, const struct trio_job *job)
{
    struct mpc_wire x = trio_input(p, job, 0);
    uint64_t *told = mpc_words(p, x.count);
    struct sec_masked_bit bit = sec_sign(p, x, 2, "sign");
    for (size_t i = 0; p->role == MPC_HELPER && !mpc_failed(p) && i < x.count; i++)
        told[i] = bit.rho[i];
    mpc_deal_to(p, 1, told, x.count, 1);
    return mpc_round(p);
}

static const struct view_case cases[] = {
    {"sign", sign_view, {2, 0}, {1, 0}, 2, 0, false, {{1, 0}, {-2, 0}}, 0},
    {"sign of 3 bits", sign_view, {3, 0}, {2, 0}, 3, 0, false, {{0, 0}, {-1, 0}}, 0},
    {"sign and zero", sign_zero_view, {2, 0}, {1, 0}, 0, 0, false, {{0, 0}, {-1, 0}}, 0},
    {"digits", digits_view, {3, 0}, {2, 0}, 0, 0, false, {{0, 0}, {3, 0}}, 0},
    {"one-hot", one_hot_view, {2, 0}, {1, 0}, 0, 0, false, {{0, 0}, {1, 0}}, 0},
    {"terms", terms_view, {2, 0}, {1, 0}, 0, 0, false, {{1, 0}, {-1, 0}}, 0},
};
static const struct view_case control = {"rho told", unmasked_view,     {2, 0}, {1, 0}, 0, 0,
                                         false,      {{1, 0}, {-1, 0}}, 1};

static void test_views(void **state)
{
    (void)state;
    for (pattern = 0; pattern < PATTERNS; pattern++)
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
            if (!same_views(&cases[i]))
                fail_msg("%s, pattern %d: a view depends on the secret", cases[i].name, (int)pattern);
    pattern = ALL_TO_P2;
    assert_false(same_views(&control));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signs),         cmocka_unit_test(test_lowest_value),
        cmocka_unit_test(test_sign_costs),    cmocka_unit_test(test_digits),
        cmocka_unit_test(test_one_hot_times), cmocka_unit_test(test_terms),
        cmocka_unit_test(test_kept_rows),     cmocka_unit_test(test_views),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
