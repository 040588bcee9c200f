#include "tests/support/two_parties.h"

#include "base/memory.h"
#include "net/memory_link.h"
#include "pair/cot.h"
#include "pair/maker.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { LINK_LIMIT = 1 << 30, K = 8 };

/* One party ahead of time. `own` is what its program writes outputs and wires to. */
struct side {
    struct trio *own; /* first: trio_output looks here */
    struct trio *trio;
    int id;
    struct net_link *link;
    struct pair_party pair;
    struct pair_maker maker;
    struct pair_tape *tape;
    struct pair_reader reader;
    struct mpc_party party;
    struct trio_frames frames[2]; /* received, sent */
    uint64_t bytes;
    enum base_status status;
    struct base_error error;
    pthread_t thread;
};

struct pair_of {
    struct side side[3];
    struct pair_maker counter;
};

static void observe(void *context, struct mpc_party *p, const char *label, const struct mpc_wire *wire, double ulp)
{
    struct side *s = context;
    (void)p;
    trio_keep_wire(&s->own->record[TRIO_P0], label, wire, ulp);
}

static void trace(void *context, int sent, uint32_t step, size_t size)
{
    struct trio_frames *frames = &((struct side *)context)->frames[sent];
    if (frames->count == frames->capacity) {
        frames->capacity = frames->capacity == 0 ? 64 : 2 * frames->capacity;
        frames->frame = realloc(frames->frame, frames->capacity * sizeof *frames->frame);
        if (frames->frame == NULL)
            abort();
    }
    frames->frame[frames->count++] = (struct trio_frame){step, size};
}

static enum pair_linear linear_of(const struct trio_job *job)
{
    return job->linear == TRIO_GILBOA ? PAIR_LINEAR_GILBOA : job->linear == TRIO_ENCRYPTED ? PAIR_LINEAR_ENCRYPTED : PAIR_LINEAR_CHEAPER;
}

static enum base_status make(struct side *s)
{
    enum base_status status;
    const struct trio_job *job = s->trio->job;
    const struct kern_table *kern = kern_table_select(~0u);
    uint8_t session[PAIR_SESSION] = {1}, seed[PAIR_SEED] = {0};
    base_store_u64(session + 8, job->seed);
    base_store_u64(seed, job->seed);
    seed[8] = (uint8_t)s->id;
    TRY(pair_party_init(&s->pair, s->id, kern, s->link, session, seed, &s->error));
    TRY(pair_cot_start(&s->pair, K, &s->error));
    net_link_reset_count(s->link);
    net_link_set_trace(s->link, trace, s);
    pair_maker_init(&s->maker, &s->pair, s->tape);
    s->maker.batch = job->batch;
    s->maker.linear = linear_of(job);
    TRY(mpc_party_init(&s->party, MPC_HELPER, kern, job->arena_size == 0 ? (size_t)1 << 30 : job->arena_size, &s->error));
    s->party.maker = &s->maker.of_party;
    s->party.observe = observe;
    s->party.observe_context = s;
    trio_start_stream(&s->party.s1, kern, job->seed, s->id - 1);
    trio_start_stream(&s->party.o1, kern, job->seed, s->id + 1);
    status = job->program(&s->party, job);
    mpc_make(&s->party, true);
    if (status == BASE_OK)
        status = s->party.status;
    if (status != BASE_OK)
        s->error = s->party.error;
    s->bytes = net_link_count(s->link, NET_PHASE_SETUP)->payload_bytes - s->maker.once.bytes[s->id];
    pair_reader_init(&s->reader, &s->pair, s->tape);
out:
    pair_tape_close(s->tape, &s->error);
    if (status != BASE_OK)
        net_link_abort(s->link, &s->error);
    return status;
}

static void *run_side(void *context)
{
    struct side *s = context;
    s->status = make(s);
    return NULL;
}

/* P0's place: both halves of every wire and output, and what both declared. */
static enum base_status merge(struct trio *trio, struct pair_of *pair, struct base_error *error)
{
    struct trio *a = pair->side[1].own, *b = pair->side[2].own;
    struct mpc_party *p0 = &trio->party[TRIO_P0], *p = &pair->side[1].party, *q = &pair->side[2].party;
    if (a->record[0].count != b->record[0].count || p->step != q->step || memcmp(&p->declared, &q->declared, sizeof p->declared) != 0)
        return base_fail(error, BASE_ERR_MISMATCH, "P1 and P2 ahead of time ran different graphs");
    for (size_t i = 0; i < a->record[0].count; i++) {
        struct mpc_wire wire = a->record[0].seen[i].wire;
        wire.l2 = b->record[0].seen[i].wire.l1;
        trio_keep_wire(&trio->record[TRIO_P0], a->record[0].seen[i].label, &wire, a->record[0].seen[i].ulp);
    }
    trio->outputs[TRIO_P0] = a->outputs[TRIO_P0];
    for (size_t i = 0; i < a->outputs[TRIO_P0]; i++) {
        trio->output[TRIO_P0][i] = a->output[TRIO_P0][i];
        trio->output[TRIO_P0][i].l2 = b->output[TRIO_P0][i].l1;
    }
    p0->declared = p->declared;
    p0->step = p->step;
    memcpy(p0->openings, p->openings, sizeof p0->openings);
    trio->made = pair->side[1].bytes + pair->side[2].bytes;
    return BASE_OK;
}

static enum base_status run(struct trio *trio, struct base_error *error)
{
    enum base_status status;
    struct pair_of *pair = NULL;
    TRY(base_alloc(&pair, 1, sizeof *pair, error));
    trio->pair = pair;
    TRY(net_memory_pair_create(&pair->side[1].link, &pair->side[2].link, "P1", "P2", 40, LINK_LIMIT, error));
    for (int id = 1; id <= 2; id++) {
        struct side *s = &pair->side[id];
        s->id = id;
        s->trio = trio;
        TRY(base_alloc(&s->own, 1, sizeof *s->own, error));
        s->own->held = id == 1 ? MPC_LEFT : MPC_RIGHT;
        TRY(pair_tape_create(&s->tape, error));
    }
    for (int id = 1; id <= 2; id++)
        if (pthread_create(&pair->side[id].thread, NULL, run_side, &pair->side[id]) != 0)
            abort();
    for (int id = 1; id <= 2; id++)
        (void)pthread_join(pair->side[id].thread, NULL);
    for (int closed = 0; closed < 2; closed++)
        for (int id = 1; id <= 2; id++) {
            struct side *s = &pair->side[id];
            TRY_THAT(s->status == BASE_OK || (s->status == BASE_ERR_CLOSED && !closed), error, s->status, "P%d ahead of time: %s", id, s->error.text);
        }
    for (int id = 1; id <= 2; id++) {
        trio->party[id].maker = &pair->side[id].reader.of_party;
        pair_source_over_tape(&trio->party[id].source, pair->side[id].tape);
    }
    TRY(merge(trio, pair, error));
out:
    return status;
}

static const struct mpc_maker *maker(struct trio *trio, int counts)
{
    struct pair_of *pair = trio->pair;
    if (counts == 0)
        return &mpc_maker_of_twin;
    pair_maker_finish(&pair->counter);
    pair_maker_count(&pair->counter, K);
    pair->counter.batch = trio->job->batch;
    pair->counter.linear = linear_of(trio->job);
    return &pair->counter.of_party;
}

static void finish(struct trio *trio)
{
    struct pair_of *pair = trio->pair;
    pair_maker_finish(&pair->counter);
    for (int id = 1; id <= 2; id++) {
        struct side *s = &pair->side[id];
        pair_maker_finish(&s->maker);
        pair_party_finish(&s->pair);
        pair_tape_destroy(&s->tape);
        mpc_party_finish(&s->party);
        net_link_destroy(&s->link);
        for (size_t i = 0; s->own != NULL && i < s->own->record[0].count; i++) {
            free(s->own->record[0].seen[i].wire.m);
            free(s->own->record[0].seen[i].wire.l1);
            free(s->own->record[0].seen[i].wire.l2);
        }
        if (s->own != NULL)
            free(s->own->record[0].seen);
        base_free(&s->own);
        free(s->frames[0].frame);
        free(s->frames[1].frame);
    }
    base_free(&trio->pair);
}

enum base_status two_parties_same_transcript(const struct trio *a, const struct trio *b, struct base_error *error)
{
    for (int sent = 0; sent < 2; sent++) {
        const struct trio_frames *x = &((const struct pair_of *)a->pair)->side[1].frames[sent], *y = &((const struct pair_of *)b->pair)->side[1].frames[sent];
        if (x->count != y->count || x->count == 0)
            return base_fail(error, BASE_ERR_MISMATCH, "ahead of time: %zu frames, then %zu", x->count, y->count);
        for (size_t i = 0; i < x->count; i++)
            if (x->frame[i].step != y->frame[i].step || x->frame[i].size != y->frame[i].size)
                return base_fail(error, BASE_ERR_MISMATCH, "ahead of time: frame %zu of %zu bytes, then of %zu", i, x->frame[i].size, y->frame[i].size);
    }
    return trio_same_transcript(a, b, error);
}

const struct trio_ahead two_parties = {run, maker, finish};
