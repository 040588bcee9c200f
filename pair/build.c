#include "pair/build.h"

#include "base/memory.h"

#include <string.h>

static void finish_matrix(struct pair_note *note)
{
    struct pair_build_note *n = (struct pair_build_note *)note;
    pair_note_finish_jobs(note);
    for (size_t i = 0; i < n->blocks; i++)
        base_free_secret(&n->block[i]);
    base_free(&n->block);
    base_free(&n->piece);
    base_free_secret(&n->own);
    base_free(&n);
}

enum base_status pair_build_keep(struct pair_build_note *n, void *ret, size_t count, size_t size, struct base_error *error)
{
    enum base_status status;
    void *block = NULL;
    TRY(base_grow(&n->block, &n->block_room, n->blocks + 1, sizeof *n->block, error));
    TRY(base_alloc(&block, count == 0 ? 1 : count, size, error));
    n->block[n->blocks++] = block;
    memcpy(ret, &block, sizeof block);
out:
    return status;
}

static enum base_status add_job(struct pair_build_note *n, struct pair_job *job, struct base_error *error)
{
    enum base_status status = base_grow(&n->note.job, &n->job_room, n->note.jobs + 1, sizeof *n->note.job, error);
    if (status == BASE_OK)
        n->note.job[n->note.jobs++] = job;
    else
        job->finish(job);
    return status;
}

enum base_status pair_build_encrypt(struct pair_build *b, struct pair_rlwe_encrypt_form form, const uint64_t *matrix, struct pair_rlwe_rows **ret_rows,
                                    struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct pair_rlwe_encrypt *job;
    b->late = true;
    b->cost = pair_cost_beside(b->cost, pair_rlwe_encrypt_cost(b->params, form.columns->owner, form.columns->columns, form.rows));
    if (b->n == NULL) {
        form.columns->used += form.rows;
        return BASE_OK;
    }
    TRY(pair_build_keep(b->n, &job, 1, sizeof *job, error));
    TRY(pair_build_keep(b->n, ret_rows, 1, sizeof **ret_rows, error));
    TRY(pair_rlwe_encrypt_init(job, b->m->party, form, matrix, *ret_rows, error));
    TRY(add_job(b->n, &job->job, error));
out:
    return status;
}

enum base_status pair_build_product(struct pair_build *b, int owner, size_t part, const struct pair_rlwe_rows *view, size_t rows, size_t vectors,
                                    const uint64_t *vector, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct pair_rlwe_product *job;
    struct pair_cost cost = pair_rlwe_product_cost(b->params, owner, b->ring, rows, vectors);
    cost.exchanges += b->late;
    b->cost = pair_cost_beside(b->cost, cost);
    b->more += 2 * sizeof(uint64_t) * vectors * (PAIR_RLWE_N + 2 * rows);
    if (b->n == NULL)
        return BASE_OK;
    TRY(base_grow(&b->n->piece, &b->n->piece_room, b->n->pieces + 1, sizeof *b->n->piece, error));
    struct pair_piece *piece = &b->n->piece[b->n->pieces];
    piece->part = part;
    TRY(pair_build_keep(b->n, &job, 1, sizeof *job, error));
    TRY(pair_build_keep(b->n, &piece->share, vectors * rows, sizeof *piece->share, error));
    struct pair_rlwe_product_form form = {.rlwe = b->keys->rlwe, .owner = owner, .block = {view}, .blocks = 1, .vectors = vectors, .ring = b->ring, .late = b->late};
    TRY(pair_rlwe_product_init(job, b->m->party, form, vector, piece->share, error));
    b->n->pieces++;
    TRY(add_job(b->n, &job->job, error));
out:
    return status;
}

enum base_status pair_build_keys(struct pair_build *b, struct base_error *error)
{
    enum base_status status = BASE_OK;
    if (b->keys->started)
        return BASE_OK;
    if (b->m->party != NULL) {
        TRY(base_alloc_locked(&b->keys->rlwe, sizeof *b->keys->rlwe, error));
        TRY(pair_rlwe_start(b->keys->rlwe, b->m->party, b->params, error));
    }
    b->keys->started = true;
    b->m->once = pair_cost_then(b->m->once, pair_rlwe_start_cost(b->params));
out:
    return status;
}

enum base_status pair_build_note(struct pair_build *b, size_t count, int ring, enum base_status (*emit)(struct pair_maker *, struct pair_note *, struct base_error *),
                                  struct base_error *error)
{
    enum base_status status = BASE_OK;
    if (b->m->party == NULL)
        return BASE_OK;
    TRY(base_alloc(&b->n, 1, sizeof *b->n, error));
    b->n->note.emit = emit;
    b->n->note.finish = finish_matrix;
    b->n->count = count;
    b->n->ring = ring;
    TRY(base_alloc(&b->n->own, count, sizeof *b->n->own, error));
out:
    return status;
}

struct pair_noted pair_build_taken(struct pair_build *b, enum base_status status)
{
    struct pair_noted ret = {.note = b->n == NULL ? NULL : &b->n->note, .cost = b->cost, .more = b->more};
    if (status != BASE_OK && b->n != NULL) {
        finish_matrix(&b->n->note);
        ret.note = NULL;
    }
    return ret;
}

uint64_t pair_build_weigh(const struct pair_maker *m, struct pair_cost cost)
{
    enum { BLOCK_BITS = 128 };
    return cost.bytes[1] + cost.bytes[2] + (cost.cots[1] + cost.cots[2]) * (uint64_t)(BLOCK_BITS / m->k - 1) / 8;
}

bool pair_build_chooses(const struct pair_maker *m, uint64_t encrypted, uint64_t gilboa)
{
    return m->linear == PAIR_LINEAR_ENCRYPTED || (m->linear == PAIR_LINEAR_CHEAPER && encrypted < gilboa);
}
