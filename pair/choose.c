#include "pair/choose.h"

#include "base/memory.h"

#include <string.h>

enum { READINGS = MPC_WRAPS_READINGS, STEPS = 3 }; /* a2 >= 1, 2, 3 */

/* Thermometer bits by D and rho1 D; these times rho2, and rho2, by the same times 1 - 2 rho1; rho2 by l1 and 1; rho1 by l2. */
static struct pair_gilboa_form part_form(struct mpc_chosen_form form, int part)
{
    static const struct pair_gilboa_form parts[PAIR_CHOOSE_PARTS] = {{.sender = 1, .count = STEPS, .width = 2 * READINGS},
                                                                     {.sender = 1, .count = STEPS + 1, .width = READINGS},
                                                                     {.sender = 1, .count = 1, .width = 2},
                                                                     {.sender = 2, .count = 1, .width = 1}};
    struct pair_gilboa_form own = parts[part];
    own.count *= form.count;
    own.bits = 1;
    own.ring = part < 2 ? form.ring - form.k : form.ring;
    return own;
}

struct pair_cost pair_choose_cost(struct mpc_chosen_form form)
{
    struct pair_cost cost = {0};
    for (int part = 0; part < PAIR_CHOOSE_PARTS; part++)
        cost = pair_cost_beside(cost, pair_gilboa_cost(part_form(form, part)));
    return cost;
}

/* P1's words of element i for step j of a2, and for none (j = 0): V(a1, 0). */
static void write_words(struct pair_choose *job, size_t i, uint64_t rho, uint64_t l)
{
    size_t n = job->form.count;
    uint64_t a = l >> (job->form.k - 2), turn = 1 - 2 * rho;
    for (uint64_t j = 0; j <= STEPS; j++)
        for (uint64_t M = 0; M < READINGS; M++) {
            uint64_t D = pair_wraps_of(a + j, M) - (j == 0 ? 0 : pair_wraps_of(a + j - 1, M));
            job->own[1][M * (STEPS + 1) * n + j * n + i] = turn * D;
            uint64_t *first = j == 0 ? job->wraps + M * n + i : job->own[0] + M * STEPS * n + (j - 1) * n + i;
            first[0] = D;
            first[j == 0 ? READINGS * n : READINGS * STEPS * n] = rho * D;
        }
    job->own[2][i] = turn * l;
    job->own[2][n + i] = turn;
    job->own[3][i] = rho;
    job->rest[i] = rho * l;
    job->rest[n + i] = rho;
}

/* P2's bits. */
static void write_bits(struct pair_choose *job, size_t i, uint64_t rho, uint64_t l)
{
    size_t n = job->form.count;
    uint64_t a = l >> (job->form.k - 2);
    job->own[1][i] = job->own[2][i] = rho;
    for (uint64_t j = 1; j <= STEPS; j++) {
        uint64_t reached = (a + 4 - j) >> 2; /* a >= j */
        job->own[0][(j - 1) * n + i] = reached;
        job->own[1][j * n + i] = rho & reached;
    }
    job->own[3][i] = (1 - 2 * rho) * l;
    for (size_t w = 0; w < 2 * READINGS; w++)
        job->wraps[w * n + i] = 0;
    job->rest[i] = rho * l;
    job->rest[n + i] = 0;
}

static void add_up(struct pair_choose *job)
{
    size_t n = job->form.count;
    uint64_t keep = kern_ring_mask(job->form.ring - job->form.k), whole = kern_ring_mask(job->form.ring);
    for (size_t w = 0; w < 2 * READINGS; w++)
        for (size_t i = 0; i < n; i++) {
            uint64_t sum = job->wraps[w * n + i];
            for (size_t j = 0; j < STEPS; j++)
                sum += job->product[0][(w * STEPS + j) * n + i];
            for (size_t j = 0; w >= READINGS && j <= STEPS; j++)
                sum += job->product[1][((w - READINGS) * (STEPS + 1) + j) * n + i];
            job->wraps[w * n + i] = sum & keep;
        }
    for (size_t i = 0; i < n; i++) {
        job->rest[i] = (job->rest[i] + job->product[2][i] + job->product[3][i]) & whole;
        job->rest[n + i] = (job->rest[n + i] + job->product[2][n + i]) & whole;
    }
}

static enum base_status step(struct pair_party *p, struct pair_job *base, int stage, struct base_error *error)
{
    struct pair_choose *job = (struct pair_choose *)base;
    for (int part = 0; part < PAIR_CHOOSE_PARTS; part++) {
        enum base_status status = job->part[part].job.step(p, &job->part[part].job, stage, error);
        if (status != BASE_OK)
            return status;
    }
    if (stage == 2)
        add_up(job);
    return BASE_OK;
}

static void finish(struct pair_job *base)
{
    struct pair_choose *job = (struct pair_choose *)base;
    for (int part = 0; part < PAIR_CHOOSE_PARTS; part++) {
        if (job->part[part].job.finish != NULL)
            job->part[part].job.finish(&job->part[part].job);
        base_free_secret(&job->own[part]);
        base_free_secret(&job->product[part]);
    }
}

enum base_status pair_choose_init(struct pair_choose *ret, const struct pair_party *p, struct mpc_chosen_form form, const uint64_t *rho, const uint64_t *l,
                                  uint64_t *wraps, uint64_t *rest, struct base_error *error)
{
    enum base_status status;
    *ret = (struct pair_choose){.job = {.step = step, .finish = finish}, .form = form, .wraps = wraps, .rest = rest};
    TRY_THAT(form.count >= 1 && form.k >= 2 && form.ring > form.k && form.ring <= 64, error, BASE_ERR_INTERNAL, "%zu words of %d bits chosen in %d", form.count,
             form.k, form.ring);
    ret->job.cost = pair_choose_cost(form);
    for (int part = 0; part < PAIR_CHOOSE_PARTS; part++) {
        struct pair_gilboa_form own = part_form(form, part);
        TRY(base_alloc(&ret->own[part], own.width * own.count, sizeof(uint64_t), error));
        TRY(base_alloc(&ret->product[part], own.width * own.count, sizeof(uint64_t), error));
        TRY(pair_gilboa_init(&ret->part[part], p, own, ret->own[part], ret->product[part], error));
    }
    for (size_t i = 0; i < form.count; i++)
        (p->id == 1 ? write_words : write_bits)(ret, i, rho[i] & 1, l[i] & kern_ring_mask(form.k));
out:
    if (status != BASE_OK)
        finish(&ret->job);
    return status;
}
