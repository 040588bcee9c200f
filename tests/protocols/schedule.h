/* Random schedules of operations for tests of the mask discipline: products, cuts, extensions, lifting products, caches, gates, strands, and
 * stops in the middle. A schedule follows from its seed alone, so all roles run the same one. Tests include this once. */
#ifndef CACHET_TESTS_PROTOCOLS_SCHEDULE_H
#define CACHET_TESTS_PROTOCOLS_SCHEDULE_H

#include "tests/protocols/check.h"

#include "mpc/lift.h"
#include "mpc/product.h"
#include "mpc/strands.h"
#include "protocols/registry.h"

enum { WIDTH = 4, BEGINNINGS = 3, POOL = 24, RING = 44, FRAC = 8, BOUND = 11, GATES = 2, STRANDS = 3, STRAND_WORK = 8 << 20 };

struct schedule {
    uint64_t seed;
    size_t operations;
    const struct sec_gate *gate[GATES]; /* NULL: none */
    bool strands;
    enum mpc_role stops; /* who wants to stop; MPC_COUNT: nobody */
    uint32_t stop_round;
    /* What a test gets wrong on purpose, before the last product. */
    enum { NO_MISTAKE, STREAM_TURNED_BACK, STREAM_COPIED, OPENED_TWICE } mistake;
};

/* Wires that can be used, and those that are complete after the next round. */
struct pool {
    const struct schedule *schedule;
    uint64_t random;
    struct mpc_wire ready[POOL], waiting[POOL];
    size_t count, waits;
    bool opens; /* something waits for a round */
    struct mpc_matrix cache;
};

static inline uint64_t below(struct pool *s, uint64_t limit)
{
    return trio_random(&s->random) % limit;
}

static inline struct mpc_wire any(struct pool *s)
{
    return s->ready[below(s, s->count)];
}

static inline void add_waiting(struct pool *s, struct mpc_wire w)
{
    if (s->waits < POOL)
        s->waiting[s->waits++] = w;
}

static inline void add_opening(struct pool *s, struct mpc_wire w)
{
    s->opens = true;
    add_waiting(s, w);
}

/* What has been completed joins the pool unless it has outgrown it. Links count no empty rounds. */
static inline enum base_status finish_round(struct pool *s, struct mpc_party *p)
{
    enum base_status status = s->opens ? mpc_round(p) : p->status;
    s->opens = false;
    for (size_t i = 0; i < s->waits; i++) {
        struct mpc_wire w = s->waiting[i];
        if (w.bound > BOUND + 6 || w.bound + 3 > w.ring || w.count != WIDTH)
            continue;
        if (s->count == POOL)
            s->ready[BEGINNINGS + below(s, POOL - BEGINNINGS)] = w;
        else
            s->ready[s->count++] = w;
    }
    s->waits = 0;
    return status;
}

/* Bound of a cut product of two pool wires: a bit of slack for rounding. */
static inline int product_bound(struct mpc_wire x, struct mpc_wire y, int f)
{
    int bound = x.bound + y.bound + 1 - f;
    return bound > 1 ? bound : 1;
}

static inline void product(struct pool *s, struct mpc_party *p, bool lifting)
{
    struct mpc_wire x = any(s), y = any(s);
    int f = 1 + (int)below(s, FRAC);
    struct mpc_share share = lifting ? mpc_share_mul(p, x, y, 1, RING) : mpc_share_dot(p, x, y, 1);
    if (product_bound(x, y, f) < share.ring - f - 1)
        add_opening(s, mpc_cut(p, share, share.ring, f, product_bound(x, y, f), below(s, 8) == 0, lifting ? "lifted" : "product"));
}

static inline void extend(struct pool *s, struct mpc_party *p)
{
    struct mpc_wire x = any(s);
    if (!x.gate_only && x.ring < RING && x.bound + 2 <= x.ring)
        add_opening(s, mpc_extend(p, x, RING, "extended"));
}

/* One more row in the cache, then a row of the pool times all of them. */
static inline void use_cache(struct pool *s, struct mpc_party *p)
{
    size_t row = below(s, WIDTH);
    mpc_matrix_put(p, &s->cache, row, 0, false, mpc_reduce(p, s->ready[below(s, BEGINNINGS)], RING));
    struct mpc_wire x = s->ready[below(s, BEGINNINGS)];
    struct mpc_share share = mpc_share_matmul(p, x, 1, &s->cache);
    add_opening(s, mpc_cut(p, share, share.ring, FRAC, 2 * BOUND + 3 - FRAC, false, "cached"));
}

static inline void local(struct pool *s, struct mpc_party *p)
{
    struct mpc_wire x = any(s), y = any(s);
    if (x.frac == y.frac && (x.bound > y.bound ? x.bound : y.bound) + 3 < (x.ring < y.ring ? x.ring : y.ring))
        add_waiting(s, mpc_add(p, x, y, below(s, 2) == 0 ? 1 : -1, (x.bound > y.bound ? x.bound : y.bound) + 1));
}

static inline enum base_status operate(struct pool *s, struct mpc_party *p)
{
    switch (below(s, 8)) {
    case 0:
    case 1:
        product(s, p, false);
        break;
    case 2:
        product(s, p, true);
        break;
    case 3:
        extend(s, p);
        break;
    case 4:
        use_cache(s, p);
        break;
    case 5:
        local(s, p);
        break;
    default:
        return finish_round(s, p);
    }
    return p->status;
}

/* Gate-only wires do nothing but end in a gate. */
static inline void drop_gate_only(struct pool *s)
{
    for (size_t i = 0; i < s->waits; i++)
        if (s->waiting[i].gate_only)
            s->waiting[i] = s->waiting[--s->waits], i--;
}

static inline enum base_status operations(struct pool *s, struct mpc_party *p, size_t count)
{
    enum base_status status = BASE_OK;
    for (size_t i = 0; i < count; i++) {
        TRY(operate(s, p));
        drop_gate_only(s);
    }
    TRY(finish_round(s, p));
out:
    return status;
}

/* --- what goes wrong on purpose ----------------------------------------------------------------------------------------------------------- */

static inline void turn_back(struct mpc_party *p, uint64_t by)
{
    p->s1.counter -= p->s1.present ? by : 0;
    p->s2.counter -= p->s2.present ? by : 0;
}

/* Twice the same share under the same draws. */
static inline void open_twice(struct pool *s, struct mpc_party *p)
{
    struct mpc_wire x = s->ready[0], y = s->ready[1];
    struct mpc_share first = mpc_share_dot(p, x, x, 1), second = mpc_share_dot(p, x, y, 1);
    uint64_t *g1, *s2;
    mpc_fresh(p, WIDTH, RING, &g1, &s2);
    const struct mpc_share *shares[] = {&first, &second};
    s->opens = true;
    for (size_t k = 0; k < 2 && mpc_computes(p); k++) {
        uint64_t *sent = mpc_words(p, WIDTH);
        for (size_t i = 0; i < WIDTH; i++)
            sent[i] = shares[k]->z[i] + (p->role == MPC_LEFT ? g1[i] : s2[i]);
        struct mpc_wire w = {.ring = RING, .bound = RING, .gate_only = true, .count = WIDTH, .m = sent};
        (void)mpc_queue(p, &(struct mpc_pending){.label = "twice", .wire = w, .opened = sent, .count = WIDTH, .ring = RING, .ulp = -1});
    }
}

static inline enum base_status mistake(struct pool *s, struct mpc_party *p)
{
    struct mpc_stream before[2] = {p->s1, p->s2};
    if (s->schedule->mistake == NO_MISTAKE)
        return BASE_OK;
    if (s->schedule->mistake == OPENED_TWICE) {
        open_twice(s, p);
        return finish_round(s, p);
    }
    add_opening(s, mpc_cut(p, mpc_share_dot(p, s->ready[0], s->ready[0], 1), RING, FRAC, 2 * BOUND + 1 - FRAC, false, "product"));
    if (s->schedule->mistake == STREAM_TURNED_BACK)
        turn_back(p, 1);
    else {
        p->s1 = before[0];
        p->s2 = before[1];
    }
    add_opening(s, mpc_cut(p, mpc_share_dot(p, s->ready[0], s->ready[1], 1), RING, FRAC, 2 * BOUND + 1 - FRAC, false, "product"));
    return finish_round(s, p);
}

/* --- the program ---------------------------------------------------------------------------------------------------------------------------- */

static inline enum base_status strand(void *context, size_t index, struct mpc_party *p)
{
    struct pool s = *(const struct pool *)context;
    s.random += 1000 * (index + 1);
    struct mpc_matrix own = s.cache;
    uint8_t rows[WIDTH * 256] = {0};
    if (own.stride * WIDTH > sizeof rows)
        return BASE_ERR_INTERNAL;
    s.cache.data = rows;
    return operations(&s, p, 2 + index);
}

static inline bool asks_to_stop(void *context)
{
    const struct mpc_party *p = context;
    return p->step >= *(const uint32_t *)p->layer_done_context;
}

static inline bool never_asks(void *context)
{
    (void)context;
    return false;
}

static inline enum base_status run_strands(struct pool *s, struct mpc_party *p)
{
    enum base_status status = BASE_OK;
    struct mpc_strands *strands = NULL;
    TRY(mpc_strands_create(&strands, STRANDS, STRAND_WORK, &p->error));
    TRY(mpc_strands_run(strands, p, STRANDS, strand, s));
out:
    mpc_strands_destroy(&strands);
    return status;
}

static inline enum base_status run_schedule(struct mpc_party *p, const struct trio_job *job)
{
    const struct schedule *schedule = job->context;
    enum base_status status = BASE_OK;
    struct pool s = {.schedule = schedule, .random = schedule->seed, .count = BEGINNINGS};
    uint8_t *rows = NULL;
    s.cache = (struct mpc_matrix){.ring = RING, .frac = FRAC, .bound = BOUND, .outs = WIDTH, .inner = WIDTH,
                                  .stride = mpc_matrix_stride(p->role, RING, WIDTH)};
    rows = s.cache.stride == 0 ? NULL : must_alloc(WIDTH, s.cache.stride);
    s.cache.data = rows;
    if (schedule->stops != MPC_COUNT && mpc_computes(p)) {
        p->wants_stop = schedule->stops == p->role ? asks_to_stop : never_asks;
        p->wants_stop_context = p;
        p->layer_done_context = (void *)(uintptr_t)&schedule->stop_round;
    }
    for (size_t i = 0; i < BEGINNINGS; i++)
        s.ready[i] = trio_input(p, job, i);
    TRY(operations(&s, p, schedule->operations));
    for (size_t g = 0; g < GATES && schedule->gate[g] != NULL; g++) {
        struct mpc_wire result = {0};
        TRY(schedule->gate[g]->run(p, trio_input(p, job, BEGINNINGS + g), &result));
    }
    if (schedule->strands)
        TRY(run_strands(&s, p));
    TRY(mistake(&s, p));
    TRY(operations(&s, p, schedule->operations));
out:
    free(rows);
    return status;
}

/* Inputs of a schedule: [BEGINNINGS + GATES], to be freed with free_inputs. */
static inline size_t make_inputs(const struct schedule *schedule, struct trio_input ret[BEGINNINGS + GATES])
{
    size_t count = BEGINNINGS;
    for (size_t i = 0; i < BEGINNINGS; i++) {
        int64_t *x = must_alloc(WIDTH, sizeof *x);
        fill_edges(x, WIDTH, -(1 << BOUND), 1 << BOUND, schedule->seed + i);
        ret[i] = (struct trio_input){x, WIDTH, RING, FRAC, BOUND};
    }
    for (size_t g = 0; g < GATES && schedule->gate[g] != NULL; g++, count++) {
        const struct sec_gate *gate = schedule->gate[g];
        int64_t *x = must_alloc(gate->unit, sizeof *x);
        gate->sample(x, gate->unit, schedule->seed);
        ret[count] = (struct trio_input){x, gate->unit, gate->input_ring, gate->input_frac, gate->input_bound};
    }
    return count;
}

static inline void free_inputs(struct trio_input *inputs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free((void *)(uintptr_t)inputs[i].x);
}

#endif
