#include "bench/operators.h"

#include "base/clock.h"
#include "base/memory.h"
#include "net/memory_link.h"

#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    LINK_LIMIT = 1 << 30,
    KEY_BYTES = 16,
    P0 = MPC_HELPER,
    P1 = MPC_LEFT,
    P2 = MPC_RIGHT,
    PAIRS = 3,
    MOST_REPEATS = 64
};

static const char *const names[BENCH_PARTIES] = {"P0", "P1", "P2"};

struct stage;

struct seat {
    struct mpc_party party;
    struct net_link *link[BENCH_PARTIES]; /* by the party at the other end */
    struct mpc_link_source source;
    struct stage *stage;
    void *state;
    struct mpc_wire result;
    enum base_status status;
    pthread_t thread;
    bool in_step;
    double seconds[MOST_REPEATS + 1]; /* of each run */
};

struct stage {
    const struct bench_operator *what;
    size_t runs;
    pthread_barrier_t barrier;
    struct seat seat[BENCH_PARTIES];
};

struct mpc_wire bench_known_wire(struct mpc_party *p, const int64_t *x, size_t count, int ring, int frac,
                                 int bound)
{
    struct mpc_wire w = mpc_wire_make(p, count, ring, frac, bound);
    uint64_t *l1 = mpc_words(p, count), *l2 = mpc_words(p, count), keep = kern_ring_mask(ring);
    /* Known inputs may have known masks. */
    struct mpc_stream masks;
    uint8_t key[KEY_BYTES] = {(uint8_t)count, (uint8_t)ring, (uint8_t)frac};
    mpc_stream_init(&masks, p->kern, key);
    if (!mpc_failed(p)) {
        mpc_stream_words(&masks, l1, count, ring);
        mpc_stream_words(&masks, l2, count, ring);
    }
    mpc_stream_finish(&masks);
    for (size_t i = 0; !mpc_failed(p) && i < count; i++) {
        if (w.m != NULL)
            w.m[i] = ((uint64_t)x[i] + l1[i] + l2[i]) & keep;
        if (w.l1 != NULL)
            w.l1[i] = l1[i];
        if (w.l2 != NULL)
            w.l2[i] = l2[i];
    }
    return w;
}

/* --- three parties --- */

static enum base_status make_parties(struct stage *stage, struct base_error *error)
{
    enum base_status status = BASE_OK;
    uint8_t key[PAIRS][KEY_BYTES]; /* (P0,P1), (P0,P2), (P1,P2) */
    randombytes_buf(key, sizeof key);
    const struct kern_table *kern = kern_table_select(~0u);
    for (int i = 0; i < BENCH_PARTIES; i++) {
        struct seat *s = &stage->seat[i];
        TRY(mpc_party_init(&s->party, (enum mpc_role)i, kern, (size_t)1 << 31, error));
        if (i != P2)
            mpc_stream_init(&s->party.s1, kern, key[0]);
        if (i != P1)
            mpc_stream_init(&s->party.s2, kern, key[1]);
        if (i != P0)
            mpc_stream_init(&s->party.s12, kern, key[2]);
        for (int j = i + 1; j < BENCH_PARTIES; j++)
            TRY(net_memory_pair_create(&s->link[j], &stage->seat[j].link[i], names[i], names[j],
                                       (uint16_t)(i + j), LINK_LIMIT, error));
    }
    for (int i = 0; i < BENCH_PARTIES; i++) {
        struct seat *s = &stage->seat[i];
        s->stage = stage;
        if (i == P0)
            s->source = (struct mpc_link_source){{NULL, s->link[P1], s->link[P2]}};
        else
            s->source.link[i] = s->link[P0];
        s->party.peer = i == P0 ? NULL : s->link[P1 + P2 - i];
        mpc_source_over_links(&s->party.source, &s->source);
        TRY(stage->what->prepare(&s->party, stage->what, &s->state, error));
    }
out:
    base_wipe(key, sizeof key);
    return status;
}

static void finish(struct stage *stage)
{
    for (int i = 0; i < BENCH_PARTIES; i++) {
        struct seat *s = &stage->seat[i];
        if (s->state != NULL)
            stage->what->release(&s->state);
        for (int j = 0; j < BENCH_PARTIES; j++)
            net_link_destroy(&s->link[j]);
        mpc_party_finish(&s->party);
    }
}

/* All runs of one role, in step with the others where they run beside it. The work area is warm from the
 * second on. */
static void *sit(void *argument)
{
    struct seat *s = argument;
    struct stage *stage = s->stage;
    size_t mark = base_arena_mark(&s->party.arena);
    for (size_t i = 0; i < stage->runs; i++) {
        if (s->in_step)
            (void)pthread_barrier_wait(&stage->barrier);
        if (s->status != BASE_OK)
            continue;
        base_arena_release(&s->party.arena, mark);
        double start = base_clock_seconds();
        s->status = stage->what->run(&s->party, stage->what, s->state, &s->result);
        if (s->status == BASE_OK)
            s->status = s->party.status;
        s->seconds[i] = base_clock_seconds() - start;
        /* The others shall not wait for one that has failed. */
        for (int j = 0; j < BENCH_PARTIES && s->status != BASE_OK; j++)
            if (s->link[j] != NULL)
                net_link_abort(s->link[j], &s->party.error);
    }
    return NULL;
}

static enum base_status run_seats(struct stage *stage, bool ahead, struct base_error *error)
{
    int first = ahead ? P1 : P0, started = first;
    enum base_status status = BASE_OK;
    TRY_THAT(pthread_barrier_init(&stage->barrier, NULL, (unsigned)(BENCH_PARTIES - first)) == 0, error,
             BASE_ERR_MEMORY, "cannot make a barrier");
    for (int i = first; i < BENCH_PARTIES; i++)
        stage->seat[i].in_step = true;
    if (ahead)
        (void)sit(&stage->seat[P0]);
    while (started < BENCH_PARTIES &&
           pthread_create(&stage->seat[started].thread, NULL, sit, &stage->seat[started]) == 0)
        started++;
    if (started < BENCH_PARTIES) {
        /* Those that wait at the barrier cannot be called back. */
        (void)fprintf(stderr, "cannot start a thread for %s\n", names[started]);
        abort();
    }
    for (int i = first; i < started; i++)
        (void)pthread_join(stage->seat[i].thread, NULL);
    (void)pthread_barrier_destroy(&stage->barrier);
    /* The cause is the failure that is not a closed link. */
    for (int closed = 0; closed < 2; closed++)
        for (int i = 0; i < BENCH_PARTIES; i++)
            if (stage->seat[i].status != BASE_OK && (closed || stage->seat[i].status != BASE_ERR_CLOSED))
                return base_fail(error, stage->seat[i].status, "%s, %s: %s", stage->what->name, names[i],
                                 stage->seat[i].party.error.text);
out:
    return status;
}

/* --- what came of it --- */

static const struct net_count *sent(const struct stage *stage, int from, int to)
{
    return net_link_count(stage->seat[from].link[to], NET_PHASE_SETUP);
}

static enum base_status count_links(const struct stage *stage, struct bench_measure *ret,
                                    struct base_error *error)
{
    ret->cost.rounds = sent(stage, P1, P2)->rounds;
    ret->cost.online = sent(stage, P1, P2)->payload_bytes + sent(stage, P2, P1)->payload_bytes;
    ret->cost.offline = sent(stage, P0, P1)->payload_bytes + sent(stage, P0, P2)->payload_bytes;
    ret->wire_bytes = 0;
    for (int i = 0; i < BENCH_PARTIES; i++)
        for (int j = 0; j < BENCH_PARTIES; j++)
            if (i != j)
                ret->wire_bytes += sent(stage, i, j)->wire_bytes;
    if (sent(stage, P1, P0)->payload_bytes + sent(stage, P2, P0)->payload_bytes != 0)
        return base_fail(error, BASE_ERR_MISMATCH, "%s: P0 received something", stage->what->name);
    for (int i = 0; i < BENCH_PARTIES; i++) {
        const struct mpc_cost *own = &stage->seat[i].party.declared;
        if (own->rounds != ret->cost.rounds || own->online != ret->cost.online ||
            own->offline != ret->cost.offline)
            return base_fail(error, BASE_ERR_MISMATCH,
                             "%s: %s declared %llu + %llu bytes, the links counted %llu + %llu",
                             stage->what->name, names[i], (unsigned long long)own->online,
                             (unsigned long long)own->offline, (unsigned long long)ret->cost.online,
                             (unsigned long long)ret->cost.offline);
    }
    ret->cost.rounds /= stage->runs;
    ret->cost.online /= stage->runs;
    ret->cost.offline /= stage->runs;
    ret->wire_bytes /= stage->runs;
    return BASE_OK;
}

static enum base_status check_result(const struct stage *stage, struct base_error *error)
{
    const struct mpc_wire *left = &stage->seat[P1].result, *right = &stage->seat[P2].result;
    enum base_status status = BASE_OK;
    int64_t *value = NULL;
    TRY_THAT(stage->seat[P1].party.guard == stage->seat[P2].party.guard, error, BASE_ERR_MISMATCH,
             "%s: a guard was raised", stage->what->name);
    TRY(base_alloc(&value, left->count, sizeof *value, error));
    for (size_t i = 0; i < left->count; i++)
        value[i] = mpc_signed(left->m[i] - left->l1[i] - right->l2[i], left->ring);
    TRY(stage->what->check(stage->what, value, left->count, left->frac, error));
out:
    base_free(&value);
    return status;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* P0 never ends last: it waits for nobody. The first run is not looked at. */
static double median_seconds(const struct stage *stage)
{
    const double *left = stage->seat[P1].seconds, *right = stage->seat[P2].seconds;
    double seconds[MOST_REPEATS];
    size_t repeats = stage->runs - 1;
    for (size_t i = 0; i < repeats; i++)
        seconds[i] = left[i + 1] > right[i + 1] ? left[i + 1] : right[i + 1];
    qsort(seconds, repeats, sizeof *seconds, ascending);
    return seconds[repeats / 2];
}

static enum base_status run_all(const struct bench_operator *what, size_t repeats, bool ahead,
                                struct bench_measure *ret, struct base_error *error)
{
    struct stage *stage = NULL;
    enum base_status status = BASE_OK;
    TRY(base_alloc(&stage, 1, sizeof *stage, error));
    stage->what = what;
    stage->runs = repeats + 1;
    TRY(make_parties(stage, error));
    TRY(run_seats(stage, ahead, error));
    TRY(count_links(stage, ret, error));
    TRY(check_result(stage, error));
    *(ahead ? &ret->ahead : &ret->beside) = median_seconds(stage);
out:
    if (stage != NULL)
        finish(stage);
    base_free(&stage);
    return status;
}

enum base_status bench_operator_measure(const struct bench_operator *what, size_t repeats,
                                        struct bench_measure *ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    TRY_THAT(repeats >= 1 && repeats <= MOST_REPEATS, error, BASE_ERR_ARGUMENT, "%zu repeats: 1 to %d",
             repeats, MOST_REPEATS);
    for (int ahead = 0; ahead < 2; ahead++)
        TRY(run_all(what, repeats, ahead == 1, ret, error));
out:
    return status;
}
