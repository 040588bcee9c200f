#include "pair/rlwe_parts.h"

#include "base/memory.h"
#include "kernels/threads.h"

#include <string.h>

enum { HEAD = 32, SEED = 16, VERSION = 1, MOST_TOGETHER = 64 };

static const uint8_t magic[4] = {'c', 'p', 'r', 'l'};

const struct pair_rlwe_params pair_rlwe_64 = {.limbs = 3, .plain = 64, .back = 75, .flood = 124};
const struct pair_rlwe_params pair_rlwe_32 = {.limbs = 2, .plain = 32, .back = 43, .flood = 92};

void pair_rlwe_public(const struct pair_party *p, const struct pair_rlwe *rlwe, int owner, uint64_t number, size_t first, size_t count, uint64_t *ret)
{
    enum { BLOCK_WORDS = 2 };
    size_t limbs = (size_t)rlwe->params.limbs;
    p->kern->prg_fill(&rlwe->stream[owner], number, first * limbs / BLOCK_WORDS, (uint8_t *)ret, 8 * count * limbs);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    for (size_t i = 0; i < count * limbs; i++)
        ret[i] = __builtin_bswap64(ret[i]);
#endif
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
    TRY(base_alloc(&z, pair_rlwe_words(params), sizeof *z, error));
    TRY(base_alloc(&noise, PAIR_RLWE_N, sizeof *noise, error));
    pair_ring_draw_small(&p->own, rlwe->secret, z);
    pair_rlwe_public(p, rlwe, p->id, PAIR_RLWE_KEY_NUMBER, 0, PAIR_RLWE_N, z);
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
    cost.bytes[1] = cost.bytes[2] = HEAD + SEED + 8 * pair_rlwe_words(params);
    return cost;
}

enum base_status pair_rlwe_start(struct pair_rlwe *ret, struct pair_party *p, const struct pair_rlwe_params *params, struct base_error *error)
{
    enum base_status status;
    uint8_t head[HEAD], their_head[HEAD];
    int peer = pair_peer(p);
    memset(ret, 0, sizeof *ret);
    ret->params = *params;
    for (int id = 1; id <= 2; id++)
        TRY(base_alloc(&ret->key[id], pair_rlwe_words(params), sizeof(uint64_t), error));
    write_head(p, params, head);
    mpc_stream_bytes(&p->own, ret->seed[p->id], SEED);
    kern_aes_expand(&ret->stream[p->id], ret->seed[p->id]);
    TRY(draw_key(ret, p, error));
    TRY(pair_put_bytes(p, head, HEAD, error));
    TRY(pair_put_bytes(p, ret->seed[p->id], SEED, error));
    TRY(pair_put(p, ret->key[p->id], pair_rlwe_words(params), 64, error));
    TRY(pair_await_bytes(p, their_head, HEAD, error));
    TRY(pair_await_bytes(p, ret->seed[peer], SEED, error));
    TRY(pair_await(p, ret->key[peer], pair_rlwe_words(params), 64, error));
    TRY(pair_exchange(p, error));
    TRY(check_head(p, params, their_head, error));
    kern_aes_expand(&ret->stream[peer], ret->seed[peer]);
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

/* a_j s at a job's coefficients, of columns that threads work on side by side: [count] rooms of 2 N coefficients. */
struct masks {
    const struct pair_party *p;
    const struct pair_rlwe_encrypt *job;
    size_t first;
    uint64_t *work;
    struct {
        const uint64_t *mask;
        enum base_status status;
        struct base_error error;
    } column[MOST_TOGETHER];
};

/* Few coefficients are sums of their own, many come out of a product of polynomials. */
static void mask_columns(void *context, size_t first, size_t end)
{
    enum { FEW = 32 };
    struct masks *m = context;
    const struct pair_rlwe *rlwe = m->job->form.rlwe;
    const struct pair_rlwe_rows *rows = m->job->rows;
    int limbs = rlwe->params.limbs;
    for (size_t i = first; i < end; i++) {
        uint64_t *work = m->work + 2 * i * pair_rlwe_words(&rlwe->params), *few = work + pair_rlwe_words(&rlwe->params);
        pair_rlwe_public(m->p, rlwe, m->p->id, rows->first + m->first + i, 0, PAIR_RLWE_N, work);
        if (rows->rows > FEW) {
            m->column[i].status = pair_ring_times_small(work, work, limbs, 64 * limbs, rlwe->secret, &m->column[i].error);
            m->column[i].mask = work + rows->at * (size_t)limbs;
        } else {
            pair_ring_times_small_at(few, work, limbs, rlwe->secret, rows->at, rows->rows);
            m->column[i].mask = few;
        }
    }
}

/* b_j of column j from its mask. noise and body: `rows` coefficients. */
static enum base_status put_column(struct pair_party *p, const struct pair_rlwe_encrypt *job, size_t j, const uint64_t *mask, int64_t *noise, uint64_t *body,
                                   struct base_error *error)
{
    const struct pair_rlwe_params *params = &job->form.rlwe->params;
    const struct pair_rlwe_rows *rows = job->rows;
    int limbs = params->limbs;
    size_t line = job->form.line == 0 ? rows->columns : job->form.line;
    negate_with_noise(p, limbs, mask, rows->rows, noise, body);
    for (size_t r = 0; r < rows->rows; r++)
        pair_ring_add(body + r * (size_t)limbs, limbs, (int64_t)(job->matrix[r * line + j] & kern_ring_mask(params->plain)),
                      64 * limbs - params->plain);
    return pair_put(p, body, rows->rows * (size_t)limbs, 64, error);
}

static enum base_status encrypt_all(struct pair_party *p, const struct pair_rlwe_encrypt *job, struct base_error *error)
{
    enum base_status status;
    const struct pair_rlwe_rows *rows = job->rows;
    size_t words = pair_rlwe_words(&job->form.rlwe->params), together = (size_t)kern_threads();
    uint64_t *body = NULL;
    int64_t *noise = NULL;
    struct masks *m = NULL;
    together = together < MOST_TOGETHER ? together : MOST_TOGETHER;
    TRY(base_alloc(&m, 1, sizeof *m, error));
    *m = (struct masks){.p = p, .job = job};
    TRY(base_alloc(&m->work, 2 * together * words, sizeof *m->work, error));
    TRY(base_alloc(&body, rows->rows * (size_t)job->form.rlwe->params.limbs + 1, sizeof *body, error));
    TRY(base_alloc(&noise, rows->rows + 1, sizeof *noise, error));
    for (m->first = 0; m->first < rows->columns; m->first += together) {
        size_t left = rows->columns - m->first, count = left < together ? left : together;
        kern_over_threads(count, 1, mask_columns, m);
        for (size_t i = 0; i < count; i++) {
            TRY_THAT(m->column[i].status == BASE_OK, error, m->column[i].status, "%s", m->column[i].error.text);
            TRY(put_column(p, job, m->first + i, m->column[i].mask, noise, body, error));
        }
    }
out:
    if (m != NULL)
        base_free_secret(&m->work);
    base_free(&m);
    base_free_secret(&body);
    base_free_secret(&noise);
    return status;
}

static enum base_status encrypt_step(struct pair_party *p, struct pair_job *base, int stage, struct base_error *error)
{
    struct pair_rlwe_encrypt *job = (struct pair_rlwe_encrypt *)base;
    enum base_status status = BASE_OK;
    struct pair_rlwe_rows *rows = job->rows;
    const struct pair_rlwe_params *params = &job->form.rlwe->params;
    size_t words = rows->rows * (size_t)params->limbs;
    if (stage >= 1)
        return BASE_OK;
    if (p->id == job->owner)
        return encrypt_all(p, job, error);
    if (words == pair_rlwe_stride(rows, params))
        return pair_await(p, rows->body, words * rows->columns, 64, error);
    for (size_t j = 0; j < rows->columns; j++)
        TRY(pair_await(p, rows->body + j * rows->stride, words, 64, error));
out:
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
                                      .form = form, .owner = columns->owner, .rows = ret_rows, .matrix = matrix};
    *ret_rows = (struct pair_rlwe_rows){.first = columns->first, .columns = columns->columns, .at = columns->used, .rows = rows, .stride = form.stride};
    if (rows == 0 || columns->columns == 0)
        return base_fail(error, BASE_ERR_INTERNAL, "a matrix of %zu rows and %zu columns", rows, columns->columns);
    if (rows > PAIR_RLWE_N - columns->used)
        return base_fail(error, BASE_ERR_RANGE, "%zu rows more than the %zu of %d coefficients that are left under these seeds: encrypt under new ones",
                         rows, PAIR_RLWE_N - columns->used, PAIR_RLWE_N);
    ret_rows->body = p->id == columns->owner ? NULL : form.into;
    if (p->id != columns->owner && form.into == NULL) {
        enum base_status status = base_alloc(&ret_rows->body, columns->columns * pair_rlwe_stride(ret_rows, params) + 1, sizeof(uint64_t), error);
        if (status != BASE_OK)
            return status;
    }
    columns->used += rows;
    return BASE_OK;
}
