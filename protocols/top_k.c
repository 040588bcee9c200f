#include "protocols/top_k.h"

struct layout {
    const struct sec_max_step *step;
    size_t K;      /* pairs of one block, a power of two */
    size_t blocks;
};

static struct layout layout_of(const struct sec_max_step *step, size_t k, size_t n)
{
    struct layout at = {.step = step, .K = 1};
    while (at.K < k)
        at.K *= 2;
    at.blocks = (n + at.K - 1) / at.K;
    return at;
}

/* Pairs of positions, the larger value goes to `high`. */
struct wiring {
    uint32_t *high, *low;
    size_t count;
};

static void join(struct wiring *wiring, size_t high, size_t low)
{
    if (wiring->high != NULL) {
        wiring->high[wiring->count] = (uint32_t)high;
        wiring->low[wiring->count] = (uint32_t)low;
    }
    wiring->count++;
}

/* --- the network, one round at a time; without arrays it only counts -------------------------------------------------------------- */

/* Batcher's round (run, gap) in every block: pairs `gap` apart within the same run of 2 * run. */
static void sort_round(const struct layout *at, size_t run, size_t gap, struct wiring *wiring)
{
    for (size_t block = 0; block < at->blocks; block++)
        for (size_t j = gap % run; j + gap < at->K; j += 2 * gap)
            for (size_t i = 0; i < gap && i + j + gap < at->K; i++)
                if ((i + j) / (2 * run) == (i + j + gap) / (2 * run))
                    join(wiring, block * at->K + i + j, block * at->K + i + j + gap);
}

/* Block 2 b against block 2 b + 1, the latter backwards. */
static void halve_round(const struct layout *at, struct wiring *wiring)
{
    for (size_t b = 0; b + 1 < at->blocks; b += 2)
        for (size_t i = 0; i < at->K; i++)
            join(wiring, b * at->K + i, (b + 1) * at->K + at->K - 1 - i);
}

/* One round of sorting the bitonic blocks [0, blocks). */
static void bitonic_round(const struct layout *at, size_t blocks, size_t gap, struct wiring *wiring)
{
    for (size_t block = 0; block < blocks; block++)
        for (size_t i = 0; i < at->K; i++)
            if ((i & gap) == 0)
                join(wiring, block * at->K + i, block * at->K + i + gap);
}

struct mpc_cost sec_top_k_cost(const struct sec_max_step *step, size_t k, size_t n)
{
    struct layout at = layout_of(step, k, n);
    struct mpc_cost cost = {0, 0, 0};
    for (size_t run = 1; run < at.K; run *= 2)
        for (size_t gap = run; gap >= 1; gap /= 2) {
            struct wiring wiring = {0};
            sort_round(&at, run, gap, &wiring);
            cost = mpc_cost_add(cost, sec_max_step_cost(step, wiring.count));
        }
    for (; at.blocks > 1; at.blocks -= at.blocks / 2) {
        size_t pairs = at.blocks / 2;
        cost = mpc_cost_add(cost, sec_max_step_cost(step, pairs * at.K));
        for (size_t gap = at.K / 2; gap >= 1; gap /= 2)
            cost = mpc_cost_add(cost, sec_max_step_cost(step, pairs * at.K / 2));
    }
    return cost;
}

/* --- running it ----------------------------------------------------------------------------------------------------------------------- */

static struct wiring make_wiring(struct mpc_party *p, size_t most)
{
    return (struct wiring){.high = mpc_bytes(p, most * sizeof(uint32_t)), .low = mpc_bytes(p, most * sizeof(uint32_t))};
}

/* One round in place; the work area is given back, the pairs stay in *all. */
static enum base_status exchange(struct mpc_party *p, const struct layout *at, const struct wiring *wiring, bool keep_low,
                                 struct sec_ranked *all)
{
    enum base_status status = BASE_OK;
    size_t mark = base_arena_mark(&p->arena);
    struct sec_ranked high, low;
    TRY(sec_max_step_eval(p, at->step, sec_ranked_gather(p, *all, wiring->high, wiring->count),
                          sec_ranked_gather(p, *all, wiring->low, wiring->count), &high, &low));
    sec_ranked_put(all, wiring->high, high);
    if (keep_low)
        sec_ranked_put(all, wiring->low, low);
    status = p->status;
out:
    base_arena_release(&p->arena, mark);
    return status;
}

static enum base_status sort_blocks(struct mpc_party *p, const struct layout *at, struct wiring *wiring, struct sec_ranked *all)
{
    enum base_status status = BASE_OK;
    for (size_t run = 1; run < at->K; run *= 2)
        for (size_t gap = run; gap >= 1; gap /= 2) {
            wiring->count = 0;
            sort_round(at, run, gap, wiring);
            TRY(exchange(p, at, wiring, true, all));
        }
out:
    return status;
}

/* Blocks 0, 2, 4, .. hold what matters; they move together to the front. */
static void close_ranks(struct mpc_party *p, const struct layout *at, struct sec_ranked *all)
{
    size_t mark = base_arena_mark(&p->arena), left = at->blocks - at->blocks / 2;
    uint32_t *from = mpc_bytes(p, left * at->K * sizeof *from);
    for (size_t i = 0; from != NULL && i < left * at->K; i++)
        from[i] = (uint32_t)(i / at->K * 2 * at->K + i % at->K);
    if (from != NULL)
        sec_ranked_put(all, NULL, sec_ranked_gather(p, *all, from, left * at->K));
    base_arena_release(&p->arena, mark);
}

static enum base_status halve(struct mpc_party *p, struct layout *at, struct wiring *wiring, struct sec_ranked *all)
{
    enum base_status status = BASE_OK;
    size_t pairs = at->blocks / 2;
    wiring->count = 0;
    halve_round(at, wiring);
    TRY(exchange(p, at, wiring, false, all));
    close_ranks(p, at, all);
    at->blocks -= pairs;
    for (size_t gap = at->K / 2; gap >= 1; gap /= 2) {
        wiring->count = 0;
        bitonic_round(at, pairs, gap, wiring);
        TRY(exchange(p, at, wiring, true, all));
    }
out:
    return status;
}

enum base_status sec_top_k_eval(struct mpc_party *p, const struct sec_max_step *step, size_t k, struct mpc_wire x,
                                struct sec_ranked *ret)
{
    enum base_status status = BASE_OK;
    if (k < 1 || k > SEC_TOP_K_MAX || k > x.count)
        mpc_fail(p, BASE_ERR_ARGUMENT, "the %zu largest of %zu values: 1 to %d, and no more than there are", k, x.count, SEC_TOP_K_MAX);
    struct layout at = layout_of(step, k, x.count);
    struct sec_ranked all = sec_ranked_start(p, step, x, at.blocks * at.K);
    struct wiring wiring = make_wiring(p, at.blocks * at.K);
    TRY(p->status);
    TRY(sort_blocks(p, &at, &wiring, &all));
    while (at.blocks > 1)
        TRY(halve(p, &at, &wiring, &all));
    *ret = (struct sec_ranked){mpc_slice(all.value, 0, k), mpc_slice(all.id, 0, k)};
out:
    return status;
}

/* --- conformance: the 5 largest --------------------------------------------------------------------------------------------------------- */

enum { STANDARD_K = 5 };

static enum base_status run(struct mpc_party *p, struct mpc_wire x, struct mpc_wire *ret)
{
    struct sec_max_step step = sec_max_step_for(SEC_RANKED_SAMPLE_BOUND, x.count);
    struct sec_ranked best;
    enum base_status status = sec_top_k_eval(p, &step, STANDARD_K, x, &best);
    if (status == BASE_OK)
        *ret = best.id;
    return status;
}

static struct mpc_cost cost(size_t count)
{
    struct sec_max_step step = sec_max_step_for(SEC_RANKED_SAMPLE_BOUND, count);
    return sec_top_k_cost(&step, STANDARD_K, count);
}

const struct sec_gate sec_gate_top_k = {.name = "top-k", .source = "Batcher 1968, on the steps of compare.py", .input_ring = 40,
                                        .input_frac = 4, .input_bound = SEC_RANKED_SAMPLE_BOUND, .unit = STANDARD_K, .sample = sec_ranked_sample,
                                        .run = run, .cost = cost};
