/* Products by encrypted masks, at the real parameters: exact for random and extreme words, rows added later, many vectors, both parameter
 * sets and directions; the rules that keep secrets: one number and coefficient encrypts once, fresh zeros, flooding; hostile keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/pair/support.h"

#include "pair/rlwe.h"

enum { MOST_ROWS = 64, MOST_COLUMNS = 24, MOST_VECTORS = 3 };

/* Two blocks of rows under one matrix's columns. */
struct matvec {
    const struct pair_rlwe_params *params;
    int owner;
    size_t columns, rows[2], blocks, vectors;
    uint64_t *matrix[2], *vector, *share[3];
};

static enum base_status run_matvec(struct pair_party *p, struct pair_rlwe *rlwe, struct matvec *c, struct base_error *error)
{
    enum base_status status;
    struct pair_rlwe_columns columns;
    struct pair_rlwe_rows rows[2] = {{0}, {0}};
    struct pair_rlwe_product product;
    struct pair_rlwe_product_form form = {.rlwe = rlwe, .owner = c->owner, .block = {&rows[0], &rows[1]}, .blocks = c->blocks, .vectors = c->vectors};
    pair_rlwe_columns_new(rlwe, c->owner, c->columns, &columns);
    for (size_t k = 0; k < c->blocks; k++) {
        struct pair_rlwe_encrypt encrypt;
        struct pair_job *jobs[1] = {&encrypt.job};
        struct pair_rlwe_encrypt_form encrypted = {.rlwe = rlwe, .columns = &columns, .rows = c->rows[k]};
        TRY(pair_rlwe_encrypt_init(&encrypt, p, encrypted, p->id == c->owner ? c->matrix[k] : NULL, &rows[k], error));
        TRY(pair_run(p, jobs, 1, error));
    }
    TRY(pair_rlwe_product_init(&product, p, form, p->id == c->owner ? NULL : c->vector, c->share[p->id], error));
    struct pair_job *jobs[1] = {&product.job};
    TRY(pair_run(p, jobs, 1, error));
out:
    for (int k = 0; k < 2; k++)
        pair_rlwe_rows_finish(&rows[k]);
    return status;
}

static enum base_status multiply(struct pair_party *p, void *context, struct base_error *error)
{
    struct matvec *c = context;
    struct pair_rlwe rlwe;
    enum base_status status = pair_rlwe_start(&rlwe, p, c->params, error);
    if (status == BASE_OK)
        status = run_matvec(p, &rlwe, c, error);
    pair_rlwe_finish(&rlwe);
    return status;
}

static uint64_t check_matvec(struct matvec c, uint64_t seed)
{
    struct pair_ran ran;
    uint64_t keep = kern_ring_mask(c.params->plain);
    size_t all = c.rows[0] + c.rows[1], results = c.vectors * all;
    for (int k = 0; k < 2; k++)
        c.matrix[k] = pair_test_words(seed + (uint64_t)k, c.rows[k] * c.columns, c.params->plain);
    c.vector = pair_test_words(seed + 5, c.vectors * c.columns, c.params->plain);
    for (int id = 1; id <= 2; id++)
        c.share[id] = pair_test_alloc(results, 8);
    pair_run_well((struct pair_run_options){.seed = seed}, multiply, &c, &ran);
    for (size_t t = 0; t < c.vectors; t++)
        for (size_t r = 0; r < all; r++) {
            const uint64_t *row = r < c.rows[0] ? c.matrix[0] + r * c.columns : c.matrix[1] + (r - c.rows[0]) * c.columns;
            uint64_t want = 0;
            for (size_t j = 0; j < c.columns; j++)
                want += row[j] * c.vector[t * c.columns + j];
            assert_int_equal((c.share[1][t * all + r] + c.share[2][t * all + r]) & keep, want & keep);
        }
    void *memory[] = {c.matrix[0], c.matrix[1], c.vector, c.share[1], c.share[2]};
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        base_free(&memory[i]);
    return ran.frames;
}

static void test_products(void **state)
{
    for (int owner = 1; owner <= 2; owner++) {
        check_matvec((struct matvec){.params = &pair_rlwe_64, .owner = owner, .columns = 5, .rows = {12, 0}, .blocks = 1, .vectors = 1}, 1);
        check_matvec((struct matvec){.params = &pair_rlwe_32, .owner = owner, .columns = 5, .rows = {12, 0}, .blocks = 1, .vectors = 1}, 2);
    }
    check_matvec((struct matvec){.params = &pair_rlwe_64, .owner = 2, .columns = 20, .rows = {50, 3}, .blocks = 2, .vectors = 3}, 3);
    check_matvec((struct matvec){.params = &pair_rlwe_32, .owner = 1, .columns = 7, .rows = {40, 1}, .blocks = 2, .vectors = 2}, 4);
    check_matvec((struct matvec){.params = &pair_rlwe_64, .owner = 2, .columns = 1, .rows = {8191, 1}, .blocks = 2, .vectors = 1}, 5);
    struct matvec c = {.params = &pair_rlwe_64, .owner = 2, .columns = 2, .rows = {9, 0}, .blocks = 1, .vectors = 1};
    assert_int_equal(check_matvec(c, 6), check_matvec(c, 7));
}

/* 19 bytes per row and 154 kB for both directions, as the design counts. */
static void test_cost(void **state)
{
    struct pair_cost cost = pair_rlwe_product_cost(&pair_rlwe_64, 2, 0, 3072, 1);
    assert_int_equal(cost.exchanges, 1);
    assert_int_equal(cost.bytes[1], (8192 + 3072) * 75 / 8);
    assert_int_equal(cost.bytes[2], 0);
    assert_int_equal(pair_rlwe_encrypt_cost(&pair_rlwe_64, 1, 768, 3072).bytes[1], UINT64_C(768) * 3072 * 24);
}

/* --- the ring ---------------------------------------------------------------------------------------------------------------------- */

/* Against the definition, at places all over the polynomial, for wrapping and extreme coefficients. */
static void test_ring_product(void **state)
{
    enum { LIMBS = 3 };
    struct mpc_stream stream;
    struct base_error error = {0};
    const struct kern_table *kern = kern_table_select(~0u);
    static const uint8_t key[16] = {7};
    int8_t *s = pair_test_alloc(PAIR_RLWE_N, 1);
    uint64_t *c = pair_test_alloc(PAIR_RLWE_N * LIMBS, 8), *out = pair_test_alloc(PAIR_RLWE_N * LIMBS, 8);
    mpc_stream_init(&stream, kern, key);
    for (int extreme = 0; extreme < 2; extreme++) {
        pair_ring_draw_small(&stream, s, out);
        mpc_stream_words(&stream, c, PAIR_RLWE_N * LIMBS, 64);
        for (size_t i = 0; extreme && i < PAIR_RLWE_N; i++) {
            memset(c + i * LIMBS, 0xff, 8 * LIMBS);
            s[i] = 1;
        }
        check_ok(pair_ring_times_small(out, c, LIMBS, 192, s, &error), &error);
        for (size_t i = 0; i < PAIR_RLWE_N; i += 1 + i / 3) {
            uint64_t want[LIMBS] = {0};
            for (size_t j = 0; j < PAIR_RLWE_N; j++) {
                int sign = j <= i ? s[i - j] : -s[i + PAIR_RLWE_N - j];
                if (sign > 0)
                    (void)mpn_add_n(want, want, c + j * LIMBS, LIMBS);
                if (sign < 0)
                    (void)mpn_sub_n(want, want, c + j * LIMBS, LIMBS);
            }
            assert_memory_equal(out + i * LIMBS, want, sizeof want);
        }
    }
    base_free(&s);
    base_free(&c);
    base_free(&out);
}

/* Sums of products against GMP, one coefficient at a time. */
static void test_sums_of_products(void **state)
{
    enum { COUNT = 100 };
    for (int limbs = 2; limbs <= 3; limbs++) {
        size_t words = COUNT * (size_t)limbs;
        uint64_t *c = pair_test_words(3, words, 64), *sum = pair_test_words(4, words, 64), *want = pair_test_alloc(words, 8);
        const uint64_t factors[] = {0, 1, ~UINT64_C(0), UINT64_C(0x9e3779b97f4a7c15)};
        memset(c, 0xff, 24);
        memcpy(want, sum, words * 8);
        for (size_t f = 0; f < 4; f++) {
            pair_ring_add_times(sum, c, COUNT, limbs, factors[f]);
            for (size_t i = 0; i < COUNT; i++)
                (void)mpn_addmul_1(want + i * (size_t)limbs, c + i * (size_t)limbs, limbs, factors[f]);
            assert_memory_equal(sum, want, words * 8);
        }
        base_free(&c);
        base_free(&sum);
        base_free(&want);
    }
}

/* Moments of 8192 draws: each bound is 6 standard deviations wide, 2 10^-9; seeds are fixed. */
static void test_draws(void **state)
{
    enum { N = PAIR_RLWE_N };
    struct mpc_stream stream;
    static const uint8_t key[16] = {9};
    int8_t *s = pair_test_alloc(N, 1);
    int64_t *e = pair_test_alloc(N, 8), sum = 0, squares = 0, counts[3] = {0};
    mpc_stream_init(&stream, kern_table_select(0), key);
    pair_ring_draw_small(&stream, s, (uint64_t *)e);
    for (size_t i = 0; i < N; i++) {
        assert_in_range(s[i] + 1, 0, 2);
        counts[s[i] + 1]++;
    }
    for (int i = 0; i < 3; i++)
        assert_in_range(counts[i], N / 3 - 256, N / 3 + 256); /* deviation 42.7 */
    pair_ring_draw_noise(&stream, e, N);
    for (size_t i = 0; i < N; i++) {
        assert_in_range(e[i] + 21, 0, 42);
        sum += e[i];
        squares += e[i] * e[i];
    }
    assert_in_range(sum + 1760, 0, 3520);                      /* 3.24 sqrt(8192) = 293 */
    assert_in_range(squares, 86016 - 8200, 86016 + 8200);      /* 10.5 N; deviation 10.5 sqrt(2 N) (1 - 1 / 42) = 1312 */
    base_free(&s);
    base_free(&e);
}

/* --- what keeps secrets ------------------------------------------------------------------------------------------------------------ */

/* The owner reads an answer with its secret, where the job would round: P2 evaluates as always. */
struct opened {
    size_t vectors, rows;
    uint64_t *matrix, *vector, *share;
    uint64_t *low, *high;   /* the answer as it travels */
    int64_t *residue;       /* [vectors][rows], of 2^11 to a word */
    uint64_t *first;        /* [vectors][8]: some of the answer's first half */
};

static enum base_status read_answer(struct pair_party *p, struct pair_rlwe *rlwe, struct opened *c, struct base_error *error)
{
    enum base_status status;
    size_t each = PAIR_RLWE_N + c->rows;
    uint64_t *z = NULL;
    TRY(base_alloc(&z, 2 * PAIR_RLWE_N, 8, error));
    TRY(pair_await(p, c->low, c->vectors * each, 64, error));
    TRY(pair_await(p, c->high, c->vectors * each, 11, error));
    TRY(pair_exchange(p, error));
    for (size_t t = 0; t < c->vectors; t++) {
        for (size_t i = 0; i < PAIR_RLWE_N; i++) {
            z[2 * i] = c->low[t * each + i];
            z[2 * i + 1] = c->high[t * each + i];
        }
        memcpy(c->first + 8 * t, c->low + t * each, 64);
        TRY(pair_ring_times_small(z, z, 2, 75, rlwe->secret, error));
        for (size_t r = 0; r < c->rows; r++)
            c->residue[t * c->rows + r] = (int64_t)((z[2 * r] + c->low[t * each + PAIR_RLWE_N + r]) << 53) >> 53;
    }
out:
    base_free(&z);
    return status;
}

static enum base_status open_answer(struct pair_party *p, void *context, struct base_error *error)
{
    struct opened *c = context;
    enum base_status status;
    struct pair_rlwe rlwe;
    struct pair_rlwe_columns columns;
    struct pair_rlwe_rows rows = {0};
    struct pair_rlwe_encrypt encrypt;
    struct pair_rlwe_product product;
    struct pair_rlwe_product_form form = {.rlwe = &rlwe, .owner = 1, .block = {&rows}, .blocks = 1, .vectors = c->vectors};
    struct pair_job *first[1] = {&encrypt.job}, *second[1] = {&product.job};
    TRY(pair_rlwe_start(&rlwe, p, &pair_rlwe_64, error));
    pair_rlwe_columns_new(&rlwe, 1, 1, &columns);
    TRY(pair_rlwe_encrypt_init(&encrypt, p, (struct pair_rlwe_encrypt_form){.rlwe = &rlwe, .columns = &columns, .rows = c->rows}, c->matrix, &rows, error));
    TRY(pair_run(p, first, 1, error));
    if (p->id == 1) {
        TRY(read_answer(p, &rlwe, c, error));
    } else {
        TRY(pair_rlwe_product_init(&product, p, form, c->vector, c->share, error));
        TRY(pair_run(p, second, 1, error));
    }
out:
    pair_rlwe_rows_finish(&rows);
    pair_rlwe_finish(&rlwe);
    return status;
}

/* The vector is zero, so without its rules an answer would be (0, 2^128 rho): no first half, and a residue of rounding alone.
 * Flooding: uniform of width 2^124 / 2^117 = 128 steps of a residue, deviation 37, beside 21 of the rounding (whose own square is 5461 / 12 =
 * 455). The mean square of 2048 residues is 1365 + 455, to 6 standard deviations of at most 0.045 each (4 10^-9); seeds are fixed. */
static void test_answers_are_flooded_and_fresh(void **state)
{
    enum { VECTORS = 2, ROWS = 1024 };
    struct opened c = {.vectors = VECTORS, .rows = ROWS};
    struct pair_ran ran;
    double square = 0;
    int64_t worst = 0;
    c.matrix = pair_test_words(1, ROWS, 64);
    c.vector = pair_test_alloc(VECTORS, 8);
    c.share = pair_test_alloc(VECTORS * ROWS, 8);
    c.low = pair_test_alloc(VECTORS * (PAIR_RLWE_N + ROWS), 8);
    c.high = pair_test_alloc(VECTORS * (PAIR_RLWE_N + ROWS), 8);
    c.residue = pair_test_alloc(VECTORS * ROWS, 8);
    c.first = pair_test_alloc(VECTORS * 8, 8);
    pair_run_both((struct pair_run_options){.seed = 4}, open_answer, &c, &ran);
    check_ok(ran.status[1], &ran.error[1]);
    for (size_t i = 0; i < VECTORS * ROWS; i++) {
        int64_t x = c.residue[i];
        square += (double)(x * x);
        worst = x > worst ? x : -x > worst ? -x : worst;
    }
    square /= VECTORS * ROWS;
    assert_true(square > 1820 * (1 - 6 * 0.045) && square < 1820 * (1 + 6 * 0.045));
    assert_in_range(worst, 64, 410); /* below 0.2 of a word */
    for (size_t i = 0; i < 8; i++) {
        assert_int_not_equal(c.first[i], 0);
        assert_int_not_equal(c.first[i], c.first[8 + i]); /* equal vectors, other zeros */
    }
    void *memory[] = {c.matrix, c.vector, c.share, c.low, c.high, c.residue, c.first};
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        base_free(&memory[i]);
}

/* Encrypted columns and the public key, opened with the secret: what is left is noise. P1 owns. */
enum { NOISY_ROWS = 2000, NOISY_COLUMNS = 2 };

struct noisy {
    uint64_t matrix[NOISY_ROWS * NOISY_COLUMNS], body[NOISY_ROWS * NOISY_COLUMNS * 3];
    uint64_t key[PAIR_RLWE_N * 3], open[PAIR_RLWE_N * 3];
    int64_t noise[NOISY_COLUMNS + 1][PAIR_RLWE_N];
};

/* c + a s, less what is hidden in it, as a signed number. */
static int64_t noise_of(const uint64_t *c, const uint64_t *opened, uint64_t hidden)
{
    uint64_t sum[3];
    (void)mpn_add_n(sum, c, opened, 3);
    pair_ring_add(sum, 3, (int64_t)(0 - hidden), 128);
    return sum[1] == sum[2] && sum[1] + (sum[0] >> 63) == 0 ? (int64_t)sum[0] : INT64_MAX; /* all words but the first are its sign */
}

static enum base_status open_noise(struct pair_party *p, void *context, struct base_error *error)
{
    struct noisy *c = context;
    enum base_status status;
    struct pair_rlwe rlwe;
    struct pair_rlwe_columns columns;
    struct pair_rlwe_rows rows = {0};
    struct pair_rlwe_encrypt encrypt;
    struct pair_job *jobs[1] = {&encrypt.job};
    uint8_t done = 1;
    TRY(pair_rlwe_start(&rlwe, p, &pair_rlwe_64, error));
    pair_rlwe_columns_new(&rlwe, 1, NOISY_COLUMNS, &columns);
    TRY(pair_rlwe_encrypt_init(&encrypt, p, (struct pair_rlwe_encrypt_form){.rlwe = &rlwe, .columns = &columns, .rows = NOISY_ROWS}, c->matrix, &rows, error));
    TRY(pair_run(p, jobs, 1, error));
    if (p->id == 2)
        memcpy(c->body, rows.body, sizeof c->body);
    TRY(p->id == 2 ? pair_put_bytes(p, &done, 1, error) : pair_await_bytes(p, &done, 1, error));
    TRY(pair_exchange(p, error));
    for (uint64_t j = 0; p->id == 1 && j <= NOISY_COLUMNS; j++) {
        bool is_key = j == NOISY_COLUMNS;
        p->kern->prg_words(&rlwe.stream[1], is_key ? ~UINT64_C(0) : j, c->open, PAIR_RLWE_N * 3, 64);
        TRY(pair_ring_times_small(c->open, c->open, 3, 192, rlwe.secret, error));
        for (size_t r = 0; r < (is_key ? PAIR_RLWE_N : NOISY_ROWS); r++)
            c->noise[j][r] = is_key ? noise_of(rlwe.key[1] + 3 * r, c->open + 3 * r, 0)
                                    : noise_of(c->body + 3 * (j * NOISY_ROWS + r), c->open + 3 * r, c->matrix[r * NOISY_COLUMNS + j]);
    }
out:
    pair_rlwe_rows_finish(&rows);
    pair_rlwe_finish(&rlwe);
    return status;
}

/* Mean squares are 10.5; a deviation of one is 10.5 sqrt(2 / n): 6 of them, 2 10^-9 each. */
static void test_ciphertexts_hold_noise(void **state)
{
    struct noisy *c = pair_test_alloc(1, sizeof *c);
    struct pair_ran ran;
    uint64_t *words = pair_test_words(8, NOISY_ROWS * NOISY_COLUMNS, 64);
    memcpy(c->matrix, words, sizeof c->matrix);
    pair_run_both((struct pair_run_options){.seed = 3}, open_noise, c, &ran);
    check_ok(ran.status[1], &ran.error[1]);
    for (int j = 0; j <= NOISY_COLUMNS; j++) {
        size_t n = j == NOISY_COLUMNS ? PAIR_RLWE_N : NOISY_ROWS;
        int64_t squares = 0;
        for (size_t r = 0; r < n; r++) {
            assert_in_range(c->noise[j][r] + 21, 0, 42);
            squares += c->noise[j][r] * c->noise[j][r];
        }
        double off = (double)squares / (double)n - 10.5;
        assert_true(off * off < 36 * 10.5 * 10.5 * 2 / (double)n);
    }
    assert_memory_not_equal(c->noise[0], c->noise[1], sizeof c->noise[0]);
    base_free(&words);
    base_free(&c);
}

static enum base_status use_up(struct pair_party *p, void *context, struct base_error *error)
{
    enum base_status status;
    struct pair_rlwe rlwe;
    struct pair_rlwe_columns columns, other;
    struct pair_rlwe_rows rows[3] = {{0}, {0}, {0}};
    struct pair_rlwe_encrypt encrypt;
    uint64_t matrix[1] = {1};
    TRY(pair_rlwe_start(&rlwe, p, &pair_rlwe_32, error));
    pair_rlwe_columns_new(&rlwe, 2, 3, &columns);
    pair_rlwe_columns_new(&rlwe, 2, 1, &other);
    TRY_THAT(columns.first == 0 && other.first == 3 && rlwe.next[2] == 4 && rlwe.next[1] == 0, error, BASE_ERR_ARGUMENT, "numbers repeat");
    TRY(pair_rlwe_encrypt_init(&encrypt, p, (struct pair_rlwe_encrypt_form){.rlwe = &rlwe, .columns = &columns, .rows = 8000}, matrix, &rows[0], error));
    TRY(pair_rlwe_encrypt_init(&encrypt, p, (struct pair_rlwe_encrypt_form){.rlwe = &rlwe, .columns = &columns, .rows = 192}, matrix, &rows[1], error));
    TRY_THAT(rows[0].at == 0 && rows[1].at == 8000, error, BASE_ERR_ARGUMENT, "coefficients repeat");
    status = pair_rlwe_encrypt_init(&encrypt, p, (struct pair_rlwe_encrypt_form){.rlwe = &rlwe, .columns = &columns, .rows = 1}, matrix, &rows[2], error);
out:
    for (int k = 0; k < 3; k++)
        pair_rlwe_rows_finish(&rows[k]);
    pair_rlwe_finish(&rlwe);
    return status;
}

static void test_a_coefficient_encrypts_once(void **state)
{
    struct pair_ran ran;
    pair_run_both((struct pair_run_options){0}, use_up, NULL, &ran);
    for (int id = 1; id <= 2; id++)
        check_fails(ran.status[id], BASE_ERR_RANGE, &ran.error[id],
                    "1 rows more than the 0 of 8192 coefficients that are left under these seeds: encrypt under new ones");
}

static enum base_status mix_matrices(struct pair_party *p, void *context, struct base_error *error)
{
    struct pair_rlwe rlwe = {.params = pair_rlwe_64};
    struct pair_rlwe_rows a = {.first = 0, .columns = 4, .rows = 1}, b = {.first = 4, .columns = 4, .rows = 1};
    struct pair_rlwe_product product;
    struct pair_rlwe_product_form form = {.rlwe = &rlwe, .owner = 1, .block = {&a, &b}, .blocks = 2, .vectors = 1};
    return pair_rlwe_product_init(&product, p, form, NULL, NULL, error);
}

static void test_matrices_do_not_share_a_half(void **state)
{
    struct pair_ran ran;
    pair_run_both((struct pair_run_options){0}, mix_matrices, NULL, &ran);
    check_fails(ran.status[1], BASE_ERR_INTERNAL, &ran.error[1], "may not share a first half: columns 0 and 4");
}

/* --- keys that are refused --------------------------------------------------------------------------------------------------------- */

struct forged_key {
    int at;
    uint8_t change;
};

/* P2 sends a head with one byte changed; the rest has the right size. */
static enum base_status forge_key(struct pair_party *p, void *context, struct base_error *error)
{
    const struct forged_key *f = context;
    enum base_status status;
    struct pair_rlwe rlwe = {0};
    uint8_t head[32] = {'c', 'p', 'r', 'l', 1, 2, 3, 64}, *rest = NULL;
    size_t size = pair_rlwe_start_cost(&pair_rlwe_64).bytes[1] - sizeof head;
    if (p->id == 1) {
        status = pair_rlwe_start(&rlwe, p, &pair_rlwe_64, error);
        goto out;
    }
    memcpy(head + 8, p->session, PAIR_SESSION);
    head[24] = 75;
    head[25] = 124;
    head[f->at] ^= f->change;
    TRY(base_alloc(&rest, size + sizeof head, 1, error));
    TRY(pair_put_bytes(p, head, sizeof head, error));
    TRY(pair_put_bytes(p, rest, size, error));
    TRY(pair_await_bytes(p, rest, size + sizeof head, error));
    TRY(pair_exchange(p, error));
out:
    base_free(&rest);
    pair_rlwe_finish(&rlwe);
    return status;
}

static void test_keys_are_checked(void **state)
{
    static const struct {
        struct forged_key f;
        enum base_status status;
        const char *text;
    } cases[] = {
        {{0, 0}, BASE_OK, NULL},
        {{0, 1}, BASE_ERR_PEER, "its message is no public key of P2"},
        {{5, 3}, BASE_ERR_PEER, "its message is no public key of P2"},
        {{9, 1}, BASE_ERR_PEER, "belongs to another session: it is refused"},
        {{6, 1}, BASE_ERR_MISMATCH, "version 1, 3 limbs, 64, 75 and 124 bits here, 1, 2, 64, 75 and 124 there: run the same build"},
        {{25, 4}, BASE_ERR_MISMATCH, "75 and 120 there"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct forged_key f = cases[i].f;
        struct pair_ran ran;
        pair_run_both((struct pair_run_options){0}, forge_key, &f, &ran);
        if (cases[i].text == NULL)
            check_ok(ran.status[1], &ran.error[1]);
        else
            check_fails(ran.status[1], cases[i].status, &ran.error[1], cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_products),
        cmocka_unit_test(test_cost),
        cmocka_unit_test(test_ring_product),
        cmocka_unit_test(test_sums_of_products),
        cmocka_unit_test(test_draws),
        cmocka_unit_test(test_answers_are_flooded_and_fresh),
        cmocka_unit_test(test_ciphertexts_hold_noise),
        cmocka_unit_test(test_a_coefficient_encrypts_once),
        cmocka_unit_test(test_matrices_do_not_share_a_half),
        cmocka_unit_test(test_keys_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
