#include "pair/gilboa.h"

#include "base/memory.h"
#include "pair/ot.h"

#include <string.h>

/* Bits of word g that bit i of x needs; 0 for nothing. */
static int plane_ring(const struct pair_gilboa_form *form, size_t g, int i)
{
    int ring = (form->rings != NULL ? form->rings[g] : form->ring) - i;
    return ring > 0 ? ring : 0;
}

static int largest_ring(const struct pair_gilboa_form *form)
{
    int most = form->rings != NULL ? 0 : form->ring;
    for (size_t g = 0; form->rings != NULL && g < form->width; g++)
        most = form->rings[g] > most ? form->rings[g] : most;
    return most;
}

/* Planes: bits above the largest ring count for nothing. */
static int planes_of(const struct pair_gilboa_form *form)
{
    int ring = largest_ring(form);
    return form->bits < ring ? form->bits : ring;
}

struct pair_cost pair_gilboa_cost(struct pair_gilboa_form form)
{
    int planes = planes_of(&form);
    struct pair_cost cost = {.exchanges = planes > 0 ? 2 : 0};
    for (int i = 0; i < planes; i++) {
        cost.bytes[3 - form.sender] += mpc_bits(form.count, 1);
        for (size_t g = 0; g < form.width; g++)
            cost.bytes[form.sender] += mpc_bits(form.count, plane_ring(&form, g, i));
    }
    cost.cots[form.sender] = form.count * (uint64_t)planes;
    return cost;
}

static struct pair_cots plane_cots(const struct pair_gilboa *g, int i)
{
    size_t n = g->form.count, at = (size_t)i * n;
    return (struct pair_cots){.first = g->first + at, .count = n, .key = g->key + at, .choice = g->choice == NULL ? NULL : g->choice + at};
}

static void bits_of(const uint64_t *x, size_t count, int bit, uint64_t *ret)
{
    for (size_t k = 0; k < count; k++)
        ret[k] = x[k] >> bit & 1;
}

static enum base_status ask(struct pair_party *p, struct pair_gilboa *g, struct base_error *error)
{
    enum base_status status;
    size_t n = g->form.count;
    int planes = planes_of(&g->form);
    struct pair_cots cots;
    memset(g->share, 0, n * g->form.width * sizeof *g->share);
    TRY(pair_cot_take(p, g->form.sender, n * (size_t)planes, &cots, error));
    g->first = cots.first;
    g->key = cots.key;
    g->choice = cots.choice;
    for (int i = 0; i < planes; i++) {
        if (p->id == g->form.sender) {
            TRY(pair_await(p, g->asked + (size_t)i * n, n, 1, error));
            continue;
        }
        struct pair_cots plane = plane_cots(g, i);
        bits_of(g->own, n, i, g->plane);
        pair_ot_ask(&plane, g->plane, g->plane);
        TRY(pair_put(p, g->plane, n, 1, error));
    }
out:
    return status;
}

/* share += part << i. */
static void add_plane(const struct pair_gilboa *g, int i)
{
    for (size_t k = 0; k < g->form.width * g->form.count; k++)
        g->share[k] += g->plane[k] << i;
}

static enum base_status answer(struct pair_party *p, struct pair_gilboa *g, struct base_error *error)
{
    enum base_status status = BASE_OK;
    size_t n = g->form.count, row = g->form.width * n;
    for (int i = 0; i < planes_of(&g->form); i++) {
        struct pair_cots plane = plane_cots(g, i);
        if (p->id == g->form.sender) {
            pair_ot_answer(p, g->form.sender, &plane, g->form.width, g->asked + (size_t)i * n, g->own, g->sent, g->plane, g->scratch);
            add_plane(g, i);
        }
        for (size_t w = 0; w < g->form.width; w++) {
            int ring = plane_ring(&g->form, w, i);
            if (p->id == g->form.sender)
                TRY(pair_put(p, g->sent + w * n, n, ring, error));
            else
                TRY(pair_await(p, g->sent + (size_t)i * row + w * n, n, ring, error));
        }
    }
out:
    return status;
}

static void take(const struct pair_party *p, struct pair_gilboa *g)
{
    size_t n = g->form.count, row = g->form.width * n;
    uint64_t *bit = g->plane + row;
    for (int i = 0; p->id != g->form.sender && i < planes_of(&g->form); i++) {
        struct pair_cots plane = plane_cots(g, i);
        bits_of(g->own, n, i, bit);
        pair_ot_take(p, g->form.sender, &plane, g->form.width, bit, g->sent + (size_t)i * row, g->plane, g->scratch);
        add_plane(g, i);
    }
    for (size_t w = 0; w < g->form.width; w++)
        for (size_t k = 0; k < n; k++)
            g->share[w * n + k] &= kern_ring_mask(plane_ring(&g->form, w, 0));
}

static enum base_status step(struct pair_party *p, struct pair_job *job, int stage, struct base_error *error)
{
    struct pair_gilboa *g = (struct pair_gilboa *)job;
    if (stage == 0)
        return ask(p, g, error);
    if (stage == 1)
        return answer(p, g, error);
    take(p, g);
    return BASE_OK;
}

static void finish(struct pair_job *job)
{
    struct pair_gilboa *g = (struct pair_gilboa *)job;
    base_free(&g->asked);
    base_free_secret(&g->sent);
    base_free_secret(&g->plane);
    base_free_secret(&g->scratch);
}

enum base_status pair_gilboa_init(struct pair_gilboa *ret, const struct pair_party *p, struct pair_gilboa_form form, const uint64_t *own,
                                  uint64_t *share, struct base_error *error)
{
    enum base_status status;
    bool sends = p->id == form.sender;
    *ret = (struct pair_gilboa){.job = {step, finish, pair_gilboa_cost(form)}, .form = form, .own = own, .share = share};
    TRY_THAT((form.sender == 1 || form.sender == 2) && form.count >= 1 && form.bits >= 1 && form.bits <= 64 && largest_ring(&form) <= 64 &&
                 form.width >= 1, error, BASE_ERR_INTERNAL, "%zu products of %d bits by %zu words of %d bits, sender P%d", form.count, form.bits, form.width,
             largest_ring(&form), form.sender);
    size_t n = form.count, row = form.width * n, planes = (size_t)planes_of(&form);
    TRY(base_alloc(&ret->asked, sends ? n * planes + 1 : 1, sizeof(uint64_t), error));
    TRY(base_alloc(&ret->sent, (sends ? row : row * planes) + 1, sizeof(uint64_t), error));
    TRY(base_alloc(&ret->plane, row + n + 1, sizeof(uint64_t), error));
    TRY(base_alloc(&ret->scratch, pair_ot_scratch(n) + 1, sizeof *ret->scratch, error));
out:
    if (status != BASE_OK)
        finish(&ret->job);
    return status;
}

/* --- cross terms ------------------------------------------------------------------------------------------------------------------- */

/* Product d: y's owner is P2 first, then P1. Scalars meet rows of `group` words each; twice a word of Z_2^(R - 1) is one of Z_2^R. */
static struct pair_gilboa_form half_form(const struct pair_cross_form *form, int sender)
{
    size_t width = form->scalars ? form->group : 1;
    int ring = form->squares ? form->ring - 1 : form->ring;
    return (struct pair_gilboa_form){.sender = sender, .count = form->count / width, .bits = ring > 0 ? ring : 1, .width = width, .ring = ring};
}

static int halves(const struct pair_cross_form *form)
{
    return form->squares ? 1 : 2;
}

struct pair_cost pair_cross_cost(struct pair_cross_form form)
{
    struct pair_cost cost = pair_gilboa_cost(half_form(&form, 2));
    return form.squares ? cost : pair_cost_beside(cost, pair_gilboa_cost(half_form(&form, 1)));
}

/* The share of term i of word w. */
static uint64_t term(const struct pair_cross *c, size_t i, size_t w)
{
    size_t at = w * c->product[0].form.count + i;
    return c->form.squares ? c->part[0][at] << 1 : c->part[0][at] + c->part[1][at];
}

static void gather_share(struct pair_cross *c)
{
    size_t width = c->product[0].form.width, n = c->product[0].form.count, run = c->form.scalars ? 1 : c->form.group;
    uint64_t keep = kern_ring_mask(c->form.ring);
    for (size_t r = 0; r < n / run; r++)
        for (size_t w = 0; w < width; w++) {
            uint64_t sum = 0;
            for (size_t i = r * run; i < (r + 1) * run; i++)
                sum += term(c, i, w);
            c->share[r * width + w] = sum & keep;
        }
}

static enum base_status cross_step(struct pair_party *p, struct pair_job *job, int stage, struct base_error *error)
{
    struct pair_cross *c = (struct pair_cross *)job;
    for (int d = 0; d < halves(&c->form); d++) {
        enum base_status status = step(p, &c->product[d].job, stage, error);
        if (status != BASE_OK)
            return status;
    }
    if (stage == (int)c->job.cost.exchanges)
        gather_share(c);
    return BASE_OK;
}

static void cross_finish(struct pair_job *job)
{
    struct pair_cross *c = (struct pair_cross *)job;
    for (int d = 0; d < 2; d++) {
        finish(&c->product[d].job);
        base_free_secret(&c->part[d]);
    }
    base_free_secret(&c->y);
}

enum base_status pair_cross_init(struct pair_cross *ret, const struct pair_party *p, struct pair_cross_form form, const uint64_t *x,
                                 const uint64_t *y, uint64_t *share, struct base_error *error)
{
    enum base_status status;
    *ret = (struct pair_cross){.job = {cross_step, cross_finish, pair_cross_cost(form)}, .form = form, .share = share};
    TRY_THAT(form.count >= 1 && form.group >= 1 && form.count % form.group == 0 && !(form.squares && form.scalars), error, BASE_ERR_INTERNAL,
             "a product of %zu words in runs of %zu", form.count, form.group);
    size_t width = form.scalars ? form.group : 1, n = form.count / width;
    TRY(base_alloc(&ret->y, form.count + 1, sizeof(uint64_t), error));
    for (size_t i = 0; i < n; i++)
        for (size_t w = 0; w < width; w++)
            ret->y[w * n + i] = (form.squares ? x : y)[i * width + w];
    for (int d = 0; d < halves(&form); d++) {
        int sender = 2 - d;
        TRY(base_alloc(&ret->part[d], form.count + 1, sizeof(uint64_t), error));
        TRY(pair_gilboa_init(&ret->product[d], p, half_form(&form, sender), p->id == sender ? ret->y : x, ret->part[d], error));
    }
out:
    if (status != BASE_OK)
        cross_finish(&ret->job);
    return status;
}
