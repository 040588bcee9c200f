#include "pair/rlwe.h"

#include "base/memory.h"

#include <string.h>

enum { HEAD = 32, SEED = 16, VERSION = 1 };

static const uint8_t magic[4] = {'c', 'p', 'r', 'l'};
static const uint64_t key_number = ~UINT64_C(0); /* of p1: no column gets so far */

const struct pair_rlwe_params pair_rlwe_64 = {.limbs = 3, .plain = 64, .back = 75, .flood = 124};
const struct pair_rlwe_params pair_rlwe_32 = {.limbs = 2, .plain = 32, .back = 43, .flood = 92};

static size_t words_of(const struct pair_rlwe_params *params)
{
    return PAIR_RLWE_N * (size_t)params->limbs;
}

/* The public polynomial of a number. */
static void public_polynomial(const struct pair_party *p, const struct pair_rlwe *rlwe, int owner, uint64_t number, uint64_t *ret)
{
    p->kern->prg_words(&rlwe->stream[owner], number, ret, words_of(&rlwe->params), 64);
}

/* --- keys -------------------------------------------------------------------------------------------------------------------------- */

static void write_head(const struct pair_party *p, const struct pair_rlwe_params *params, uint8_t head[HEAD])
{
    memset(head, 0, HEAD);
    memcpy(head, magic, sizeof magic);
    head[4] = VERSION;
    head[5] = (uint8_t)p->id;
    head[6] = (uint8_t)params->limbs;
    head[7] = (uint8_t)params->plain;
    memcpy(head + 8, p->session, PAIR_SESSION);
    head[24] = (uint8_t)params->back;
    head[25] = (uint8_t)params->flood;
}

static enum base_status check_head(const struct pair_party *p, const struct pair_rlwe_params *params, const uint8_t head[HEAD],
                                   struct base_error *error)
{
    const char *peer = net_link_peer(p->link);
    if (memcmp(head, magic, sizeof magic) != 0 || head[5] != pair_peer(p))
        return base_fail(error, BASE_ERR_PEER, "%s: its message is no public key of P%d", peer, pair_peer(p));
    if (memcmp(head + 8, p->session, PAIR_SESSION) != 0)
        return base_fail(error, BASE_ERR_PEER, "%s: its public key belongs to another session: it is refused, start a new session", peer);
    if (head[4] != VERSION || head[6] != params->limbs || head[7] != params->plain || head[24] != params->back || head[25] != params->flood)
        return base_fail(error, BASE_ERR_MISMATCH,
                         "%s: parameters of encrypted masks are version %d, %d limbs, %d, %d and %d bits here, %u, %u, %u, %u and %u there: run the "
                         "same build",
                         peer, VERSION, params->limbs, params->plain, params->back, params->flood, head[4], head[6], head[7], head[24], head[25]);
    return BASE_OK;
}

/* ret = -z + noise, coefficient by coefficient. */
static void negate_with_noise(struct pair_party *p, int limbs, const uint64_t *z, size_t count, int64_t *noise, uint64_t *ret)
{
    pair_ring_draw_noise(&p->own, noise, count);
    for (size_t i = 0; i < count; i++) {
        uint64_t zero[PAIR_RLWE_MOST_LIMBS] = {0};
        (void)mpn_sub_n(ret + i * (size_t)limbs, zero, z + i * (size_t)limbs, limbs);
        pair_ring_add(ret + i * (size_t)limbs, limbs, noise[i], 0);
    }
}

static enum base_status draw_key(struct pair_rlwe *rlwe, struct pair_party *p, struct base_error *error)
{
    enum base_status status;
    const struct pair_rlwe_params *params = &rlwe->params;
    uint64_t *z = NULL;
    int64_t *noise = NULL;
    TRY(base_alloc(&z, words_of(params), sizeof *z, error));
    TRY(base_alloc(&noise, PAIR_RLWE_N, sizeof *noise, error));
    pair_ring_draw_small(&p->own, rlwe->secret, z);
    public_polynomial(p, rlwe, p->id, key_number, z);
    TRY(pair_ring_times_small(z, z, params->limbs, 64 * params->limbs, rlwe->secret, error));
    negate_with_noise(p, params->limbs, z, PAIR_RLWE_N, noise, rlwe->key[p->id]);
out:
    base_free_secret(&z);
    base_free_secret(&noise);
    return status;
}

struct pair_cost pair_rlwe_start_cost(const struct pair_rlwe_params *params)
{
    struct pair_cost cost = {.exchanges = 1};
    cost.bytes[1] = cost.bytes[2] = HEAD + SEED + 8 * words_of(params);
    return cost;
}

enum base_status pair_rlwe_start(struct pair_rlwe *ret, struct pair_party *p, const struct pair_rlwe_params *params, struct base_error *error)
{
    enum base_status status;
    uint8_t head[HEAD], seed[3][SEED], their_head[HEAD];
    int peer = pair_peer(p);
    memset(ret, 0, sizeof *ret);
    ret->params = *params;
    for (int id = 1; id <= 2; id++)
        TRY(base_alloc(&ret->key[id], words_of(params), sizeof(uint64_t), error));
    write_head(p, params, head);
    mpc_stream_bytes(&p->own, seed[p->id], SEED);
    kern_aes_expand(&ret->stream[p->id], seed[p->id]);
    TRY(draw_key(ret, p, error));
    TRY(pair_put_bytes(p, head, HEAD, error));
    TRY(pair_put_bytes(p, seed[p->id], SEED, error));
    TRY(pair_put(p, ret->key[p->id], words_of(params), 64, error));
    TRY(pair_await_bytes(p, their_head, HEAD, error));
    TRY(pair_await_bytes(p, seed[peer], SEED, error));
    TRY(pair_await(p, ret->key[peer], words_of(params), 64, error));
    TRY(pair_exchange(p, error));
    TRY(check_head(p, params, their_head, error));
    kern_aes_expand(&ret->stream[peer], seed[peer]);
    p->declared = pair_cost_then(p->declared, pair_rlwe_start_cost(params));
out:
    return status;
}

void pair_rlwe_finish(struct pair_rlwe *rlwe)
{
    base_wipe(rlwe->secret, sizeof rlwe->secret);
    base_free(&rlwe->key[1]);
    base_free(&rlwe->key[2]);
}

/* --- encrypted matrices ------------------------------------------------------------------------------------------------------------ */

void pair_rlwe_columns_new(struct pair_rlwe *rlwe, int owner, size_t columns, struct pair_rlwe_columns *ret)
{
    *ret = (struct pair_rlwe_columns){.owner = owner, .first = rlwe->next[owner], .columns = columns};
    rlwe->next[owner] += columns;
}

void pair_rlwe_rows_finish(struct pair_rlwe_rows *rows)
{
    base_free(&rows->body);
}

struct pair_cost pair_rlwe_encrypt_cost(const struct pair_rlwe_params *params, int owner, size_t columns, size_t rows)
{
    struct pair_cost cost = {.exchanges = 1};
    cost.bytes[owner] = 8 * (uint64_t)params->limbs * columns * rows;
    return cost;
}

/* b_j of column j. work: N limbs; noise and body: `rows` coefficients. */
static enum base_status encrypt_column(struct pair_party *p, const struct pair_rlwe_encrypt *job, size_t j, uint64_t *work, int64_t *noise,
                                       uint64_t *body, struct base_error *error)
{
    const struct pair_rlwe_params *params = &job->form.rlwe->params;
    const struct pair_rlwe_rows *rows = job->rows;
    int limbs = params->limbs;
    public_polynomial(p, job->form.rlwe, p->id, rows->first + j, work);
    enum base_status status = pair_ring_times_small(work, work, limbs, 64 * limbs, job->form.rlwe->secret, error);
    if (status != BASE_OK)
        return status;
    negate_with_noise(p, limbs, work + rows->at * (size_t)limbs, rows->rows, noise, body);
    for (size_t r = 0; r < rows->rows; r++)
        pair_ring_add(body + r * (size_t)limbs, limbs, (int64_t)(job->matrix[r * rows->columns + j] & kern_ring_mask(params->plain)),
                      64 * limbs - params->plain);
    return pair_put(p, body, rows->rows * (size_t)limbs, 64, error);
}

static enum base_status encrypt_step(struct pair_party *p, struct pair_job *base, int stage, struct base_error *error)
{
    struct pair_rlwe_encrypt *job = (struct pair_rlwe_encrypt *)base;
    enum base_status status = BASE_OK;
    struct pair_rlwe_rows *rows = job->rows;
    size_t words = rows->rows * (size_t)job->form.rlwe->params.limbs;
    uint64_t *work = NULL, *body = NULL;
    int64_t *noise = NULL;
    if (stage == 1)
        return BASE_OK;
    if (p->id != job->form.columns->owner)
        return pair_await(p, rows->body, words * rows->columns, 64, error);
    TRY(base_alloc(&work, words_of(&job->form.rlwe->params), sizeof *work, error));
    TRY(base_alloc(&body, words + 1, sizeof *body, error));
    TRY(base_alloc(&noise, rows->rows + 1, sizeof *noise, error));
    for (size_t j = 0; j < rows->columns; j++)
        TRY(encrypt_column(p, job, j, work, noise, body, error));
out:
    base_free_secret(&work);
    base_free_secret(&body);
    base_free_secret(&noise);
    return status;
}

static void encrypt_finish(struct pair_job *base)
{
}

enum base_status pair_rlwe_encrypt_init(struct pair_rlwe_encrypt *ret, const struct pair_party *p, struct pair_rlwe_encrypt_form form,
                                        const uint64_t *matrix, struct pair_rlwe_rows *ret_rows, struct base_error *error)
{
    struct pair_rlwe_columns *columns = form.columns;
    const struct pair_rlwe_params *params = &form.rlwe->params;
    size_t rows = form.rows;
    *ret = (struct pair_rlwe_encrypt){.job = {encrypt_step, encrypt_finish, pair_rlwe_encrypt_cost(params, columns->owner, columns->columns, rows)},
                                      .form = form, .rows = ret_rows, .matrix = matrix};
    *ret_rows = (struct pair_rlwe_rows){.first = columns->first, .columns = columns->columns, .at = columns->used, .rows = rows};
    if (rows == 0 || columns->columns == 0)
        return base_fail(error, BASE_ERR_INTERNAL, "a matrix of %zu rows and %zu columns", rows, columns->columns);
    if (rows > PAIR_RLWE_N - columns->used)
        return base_fail(error, BASE_ERR_RANGE, "%zu rows more than the %zu of %d coefficients that are left under these seeds: encrypt under new ones",
                         rows, PAIR_RLWE_N - columns->used, PAIR_RLWE_N);
    if (p->id != columns->owner) {
        enum base_status status = base_alloc(&ret_rows->body, rows * columns->columns * (size_t)params->limbs + 1, sizeof(uint64_t), error);
        if (status != BASE_OK)
            return status;
    }
    columns->used += rows;
    return BASE_OK;
}

/* --- products ---------------------------------------------------------------------------------------------------------------------- */

struct pair_cost pair_rlwe_product_cost(const struct pair_rlwe_params *params, int owner, size_t rows, size_t vectors)
{
    struct pair_cost cost = {.exchanges = 1};
    uint64_t coefficients = (PAIR_RLWE_N + rows) * (uint64_t)vectors;
    int low = params->back < 64 ? params->back : 64;
    cost.bytes[3 - owner] = mpc_bits(coefficients, low) + mpc_bits(coefficients, params->back - low);
    return cost;
}

/* What one job's answers are made of: accumulators of both halves for each vector, and room for one polynomial. */
struct answer {
    uint64_t *a, *b; /* [vectors][N or rows][limbs] */
    uint64_t *work;  /* [N][limbs] */
    int64_t *noise;  /* [N] */
    int8_t *u;       /* [N] */
};

static void answer_finish(struct answer *x)
{
    base_free_secret(&x->a);
    base_free_secret(&x->b);
    base_free_secret(&x->work);
    base_free_secret(&x->noise);
    base_free_secret(&x->u);
}

static enum base_status answer_init(struct answer *x, const struct pair_rlwe_product *job, struct base_error *error)
{
    enum base_status status;
    size_t limbs = (size_t)job->form.rlwe->params.limbs, all = PAIR_RLWE_N * limbs;
    TRY(base_alloc(&x->a, job->form.vectors * all, sizeof *x->a, error));
    TRY(base_alloc(&x->b, job->form.vectors * job->rows * limbs + 1, sizeof *x->b, error));
    TRY(base_alloc(&x->work, all, sizeof *x->work, error));
    TRY(base_alloc(&x->noise, PAIR_RLWE_N, sizeof *x->noise, error));
    TRY(base_alloc(&x->u, PAIR_RLWE_N, 1, error));
out:
    return status;
}

/* sum_j v_j (a_j, b_j). A polynomial a_j is made once for all vectors. */
static void accumulate(const struct pair_party *p, const struct pair_rlwe_product *job, struct answer *x)
{
    size_t limbs = (size_t)job->form.rlwe->params.limbs, all = PAIR_RLWE_N * limbs, columns = job->form.block[0]->columns;
    uint64_t keep = kern_ring_mask(job->form.rlwe->params.plain);
    for (size_t j = 0; j < columns; j++) {
        public_polynomial(p, job->form.rlwe, job->form.owner, job->form.block[0]->first + j, x->work);
        for (size_t t = 0; t < job->form.vectors; t++) {
            uint64_t v = job->vector[t * columns + j] & keep, *b = x->b + t * job->rows * limbs;
            pair_ring_add_times(x->a + t * all, x->work, PAIR_RLWE_N, job->form.rlwe->params.limbs, v);
            for (size_t k = 0; k < job->form.blocks; k++) {
                size_t rows = job->form.block[k]->rows;
                pair_ring_add_times(b, job->form.block[k]->body + j * rows * limbs, rows, job->form.rlwe->params.limbs, v);
                b += rows * limbs;
            }
        }
    }
}

/* Coefficient number of answered row r. */
static size_t coefficient_of(const struct pair_rlwe_product *job, size_t r)
{
    size_t k = 0;
    while (r >= job->form.block[k]->rows)
        r -= job->form.block[k++]->rows;
    return job->form.block[k]->at + r;
}

/* x.work += c u + noise: one half of a fresh encryption of zero. */
static enum base_status half_of_zero(struct pair_party *p, const struct pair_rlwe_product *job, struct answer *x, const uint64_t *c,
                                     struct base_error *error)
{
    int limbs = job->form.rlwe->params.limbs;
    enum base_status status = pair_ring_times_small(x->work, c, limbs, 64 * limbs, x->u, error);
    if (status != BASE_OK)
        return status;
    pair_ring_draw_noise(&p->own, x->noise, PAIR_RLWE_N);
    for (size_t i = 0; i < PAIR_RLWE_N; i++)
        pair_ring_add(x->work + i * (size_t)limbs, limbs, x->noise[i], 0);
    return BASE_OK;
}

/* The upper `back` bits, rounded to nearest. */
static void round_coefficient(const struct pair_rlwe_params *params, const uint64_t *c, uint64_t *ret_low, uint64_t *ret_high)
{
    uint64_t x[PAIR_RLWE_MOST_LIMBS + 1] = {0};
    int limbs = params->limbs, drop = 64 * limbs - params->back;
    memcpy(x, c, (size_t)limbs * sizeof *x);
    pair_ring_add(x, limbs, 1, drop - 1);
    int at = drop / 64, off = drop % 64;
    uint64_t low = x[at] >> off | (off == 0 ? 0 : x[at + 1] << (64 - off)), high = at + 1 < limbs ? x[at + 1] >> off : 0;
    *ret_low = low & kern_ring_mask(params->back < 64 ? params->back : 64);
    *ret_high = high;
    base_wipe(x, sizeof x);
}

/* A uniform number of `flood` bits, centred. */
static void flood(struct pair_party *p, const struct pair_rlwe_params *params, uint64_t *c)
{
    uint64_t draw[2], number[PAIR_RLWE_MOST_LIMBS] = {0}, middle[PAIR_RLWE_MOST_LIMBS] = {0};
    mpc_stream_words(&p->own, draw, 2, 64);
    number[0] = draw[0];
    number[1] = draw[1] & kern_ring_mask(params->flood - 64);
    middle[1] = UINT64_C(1) << (params->flood - 65);
    (void)mpn_add_n(c, c, number, params->limbs);
    (void)mpn_sub_n(c, c, middle, params->limbs);
    base_wipe(draw, sizeof draw);
    base_wipe(number, sizeof number);
}

/* Answer t from its sums: fresh zero on both halves, flood and rho on the answered coefficients, rounded. */
static enum base_status finish_answer(struct pair_party *p, struct pair_rlwe_product *job, struct answer *x, size_t t, struct base_error *error)
{
    enum base_status status;
    const struct pair_rlwe_params *params = &job->form.rlwe->params;
    size_t limbs = (size_t)params->limbs, all = PAIR_RLWE_N * limbs, at = t * (PAIR_RLWE_N + job->rows);
    uint64_t *a = x->a + t * all, *share = job->share + t * job->rows;
    pair_ring_draw_small(&p->own, x->u, x->work);
    public_polynomial(p, job->form.rlwe, job->form.owner, key_number, x->work);
    TRY(half_of_zero(p, job, x, x->work, error));
    for (size_t i = 0; i < PAIR_RLWE_N; i++) {
        (void)mpn_add_n(a + i * limbs, a + i * limbs, x->work + i * limbs, params->limbs);
        round_coefficient(params, a + i * limbs, &job->low[at + i], &job->high[at + i]);
    }
    TRY(half_of_zero(p, job, x, job->form.rlwe->key[job->form.owner], error));
    mpc_stream_words(&p->own, share, job->rows, params->plain);
    for (size_t r = 0; r < job->rows; r++) {
        uint64_t *c = x->b + (t * job->rows + r) * limbs;
        (void)mpn_add_n(c, c, x->work + coefficient_of(job, r) * limbs, params->limbs);
        flood(p, params, c);
        pair_ring_add(c, params->limbs, (int64_t)share[r], 64 * params->limbs - params->plain);
        round_coefficient(params, c, &job->low[at + PAIR_RLWE_N + r], &job->high[at + PAIR_RLWE_N + r]);
        share[r] = (0 - share[r]) & kern_ring_mask(params->plain);
    }
out:
    return status;
}

static enum base_status evaluate(struct pair_party *p, struct pair_rlwe_product *job, struct base_error *error)
{
    enum base_status status;
    struct answer x = {0};
    size_t coefficients = job->form.vectors * (PAIR_RLWE_N + job->rows);
    int back = job->form.rlwe->params.back, low = back < 64 ? back : 64;
    TRY(answer_init(&x, job, error));
    accumulate(p, job, &x);
    for (size_t t = 0; t < job->form.vectors; t++)
        TRY(finish_answer(p, job, &x, t, error));
    TRY(pair_put(p, job->low, coefficients, low, error));
    TRY(pair_put(p, job->high, coefficients, back - low, error));
out:
    answer_finish(&x);
    return status;
}

/* (x + half) >> (back - plain): the word that a coefficient of `back` bits holds. */
static uint64_t word_of(const struct pair_rlwe_params *params, const uint64_t coefficient[2])
{
    int drop = params->back - params->plain;
    unsigned __int128 x = (unsigned __int128)coefficient[1] << 64 | coefficient[0];
    x += (unsigned __int128)1 << (drop - 1);
    return (uint64_t)(x >> drop) & kern_ring_mask(params->plain);
}

static enum base_status decrypt(struct pair_rlwe_product *job, struct base_error *error)
{
    enum base_status status;
    const struct pair_rlwe_params *params = &job->form.rlwe->params;
    enum { TWO = 2 };
    uint64_t *z = NULL;
    TRY(base_alloc(&z, TWO * PAIR_RLWE_N, sizeof *z, error));
    for (size_t t = 0; t < job->form.vectors; t++) {
        const uint64_t *low = job->low + t * (PAIR_RLWE_N + job->rows), *high = job->high + t * (PAIR_RLWE_N + job->rows);
        for (size_t i = 0; i < PAIR_RLWE_N; i++) {
            z[TWO * i] = low[i];
            z[TWO * i + 1] = high[i];
        }
        TRY(pair_ring_times_small(z, z, TWO, params->back, job->form.rlwe->secret, error));
        for (size_t r = 0; r < job->rows; r++) {
            uint64_t c[TWO] = {low[PAIR_RLWE_N + r], high[PAIR_RLWE_N + r]};
            (void)mpn_add_n(c, c, z + TWO * coefficient_of(job, r), TWO);
            job->share[t * job->rows + r] = word_of(params, c);
        }
    }
out:
    base_free_secret(&z);
    return status;
}

static enum base_status product_step(struct pair_party *p, struct pair_job *base, int stage, struct base_error *error)
{
    struct pair_rlwe_product *job = (struct pair_rlwe_product *)base;
    enum base_status status = BASE_OK;
    size_t coefficients = job->form.vectors * (PAIR_RLWE_N + job->rows);
    int back = job->form.rlwe->params.back, low = back < 64 ? back : 64;
    bool owns = p->id == job->form.owner;
    if (stage == 0 && !owns)
        return evaluate(p, job, error);
    if (stage == 1)
        return owns ? decrypt(job, error) : BASE_OK;
    TRY(pair_await(p, job->low, coefficients, low, error));
    TRY(pair_await(p, job->high, coefficients, back - low, error));
out:
    return status;
}

static void product_finish(struct pair_job *base)
{
    struct pair_rlwe_product *job = (struct pair_rlwe_product *)base;
    base_free_secret(&job->low);
    base_free_secret(&job->high);
}

enum base_status pair_rlwe_product_init(struct pair_rlwe_product *ret, const struct pair_party *p, struct pair_rlwe_product_form form,
                                        const uint64_t *vector, uint64_t *share, struct base_error *error)
{
    enum base_status status;
    *ret = (struct pair_rlwe_product){.job = {.step = product_step, .finish = product_finish}, .form = form, .vector = vector, .share = share};
    TRY_THAT(form.blocks >= 1 && form.blocks <= PAIR_RLWE_MOST_BLOCKS && form.vectors >= 1, error, BASE_ERR_INTERNAL,
             "a product of %zu blocks of rows by %zu vectors", form.blocks, form.vectors);
    for (size_t k = 0; k < form.blocks; k++) {
        const struct pair_rlwe_rows *first = form.block[0], *block = form.block[k];
        TRY_THAT(block->first == first->first && block->columns == first->columns, error, BASE_ERR_INTERNAL,
                 "answers of different matrices may not share a first half: columns %llu and %llu", (unsigned long long)first->first,
                 (unsigned long long)block->first);
        ret->rows += block->rows;
    }
    ret->job.cost = pair_rlwe_product_cost(&form.rlwe->params, form.owner, ret->rows, form.vectors);
    TRY(base_alloc(&ret->low, form.vectors * (PAIR_RLWE_N + ret->rows), sizeof *ret->low, error));
    TRY(base_alloc(&ret->high, form.vectors * (PAIR_RLWE_N + ret->rows), sizeof *ret->high, error));
out:
    if (status != BASE_OK)
        product_finish(&ret->job);
    return status;
}
