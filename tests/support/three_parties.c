#include "tests/support/three_parties.h"

#include "base/memory.h"
#include "base/random.h"
#include "mpc/maker.h"
#include "net/memory_link.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[TRIO_ROLES] = {"P0", "P1", "P2", "twin"};
enum { LINK_LIMIT = 1 << 30 };

struct end_trace {
    struct trio_frames *sent, *received;
};

/* What trio_run alone needs. */
struct stage {
    struct trio *trio;
    struct net_link *end[TRIO_ENDS];
    struct end_trace trace[TRIO_ENDS];
    struct mpc_link_source source[TRIO_PARTIES];
    enum base_status status[TRIO_PARTIES + 1];
    struct base_error error[TRIO_PARTIES + 1];
};

struct seat {
    struct stage *stage;
    int role; /* 3: the client */
};

/* What observers find behind observe_context. */
struct post {
    struct trio *trio;
    int role;
};

uint64_t trio_random(uint64_t *state)
{
    return base_random_next(state);
}

static void *grow(void *array, size_t *capacity, size_t count, size_t size)
{
    if (count < *capacity)
        return array;
    *capacity = *capacity == 0 ? 32 : 2 * *capacity;
    array = realloc(array, *capacity * size);
    if (array == NULL)
        abort();
    return array;
}

/* --- observers ---------------------------------------------------------------------------------------------------------- */

static uint64_t *copy_words(const uint64_t *v, size_t count)
{
    if (v == NULL)
        return NULL;
    uint64_t *copy = malloc((count + 1) * sizeof *copy);
    if (copy == NULL)
        abort();
    memcpy(copy, v, count * sizeof *copy);
    return copy;
}

static void observe_party(void *context, struct mpc_party *p, const char *label, const struct mpc_wire *wire, double ulp)
{
    struct post *post = context;
    (void)p;
    trio_keep_wire(&post->trio->record[post->role], label, wire, ulp);
}

void trio_keep_wire(struct trio_record *record, const char *label, const struct mpc_wire *wire, double ulp)
{
    record->seen = grow(record->seen, &record->capacity, record->count, sizeof *record->seen);
    struct trio_seen *seen = &record->seen[record->count++];
    *seen = (struct trio_seen){.label = label, .wire = *wire, .ulp = ulp};
    seen->wire.m = copy_words(wire->m, wire->count);
    seen->wire.l1 = copy_words(wire->l1, wire->count);
    seen->wire.l2 = copy_words(wire->l2, wire->count);
}

/* The residue mod 2^ring of a wire that the three parties hold together. */
static enum base_status join(const char *label, const struct mpc_wire w[TRIO_PARTIES], uint64_t *ret, struct base_error *error)
{
    const struct mpc_wire *a = &w[TRIO_P0], *b = &w[TRIO_P1], *c = &w[TRIO_P2];
    uint64_t keep = kern_ring_mask(a->ring);
    if (a->count != b->count || a->count != c->count || a->ring != b->ring || a->ring != c->ring || a->gate_only != b->gate_only ||
        a->bound != b->bound || a->bound != c->bound || a->frac != b->frac || a->frac != c->frac)
        return base_fail(error, BASE_ERR_MISMATCH, "%s: the parties disagree on the type of the wire", label);
    for (size_t i = 0; i < a->count; i++) {
        bool agree = b->m[i] == c->m[i] && (a->gate_only || (a->l1[i] == b->l1[i] && a->l2[i] == c->l2[i]));
        bool reduced = (b->m[i] & ~keep) == 0 && (a->l1[i] & ~keep) == 0 && (a->l2 == NULL || (a->l2[i] & ~keep) == 0);
        if (!agree || !reduced)
            return base_fail(error, BASE_ERR_MISMATCH, "%s[%zu]: %s", label, i,
                             agree ? "a component is not reduced to its ring" : "the parties hold different halves");
        ret[i] = (b->m[i] - a->l1[i] - (a->l2 == NULL ? 0 : a->l2[i])) & keep;
    }
    return BASE_OK;
}

static void judge_values(struct trio *trio, const char *label, const struct mpc_wire *wire, double ulp, const uint64_t *value)
{
    double allowed = ulp < 0 ? 0 : ulp;
    for (size_t i = 0; i < wire->count; i++) {
        int64_t difference = mpc_signed(value[i] - wire->x[i], wire->ring);
        double ratio = fabs((double)difference) / (allowed > 1 ? allowed : 1);
        trio->worst = fmax(trio->worst, ratio);
        if (fabs((double)difference) > allowed)
            (void)base_fail(&trio->judgement, BASE_ERR_MISMATCH, "%s[%zu]: the twin has %lld, the parties differ by %lld units; %.2f are allowed",
                            label, i, (long long)wire->x[i], (long long)difference, allowed);
        /* A wire that fills its ring, like a count, is read unsigned. */
        wire->x[i] = wire->bound >= wire->ring ? value[i] : wire->x[i] + (uint64_t)difference;
    }
}

static void observe_twin(void *context, struct mpc_party *p, const char *label, const struct mpc_wire *wire, double ulp)
{
    struct trio *trio = ((struct post *)context)->trio;
    size_t at = trio->judged++;
    struct mpc_wire parts[TRIO_PARTIES];
    (void)p;
    if (trio->job->free_twin)
        return;
    for (int r = 0; r < TRIO_PARTIES; r++) {
        if (at >= trio->record[r].count || strcmp(trio->record[r].seen[at].label, label) != 0 ||
            trio->record[r].seen[at].wire.count != wire->count || trio->record[r].seen[at].wire.ring != wire->ring) {
            (void)base_fail(&trio->judgement, BASE_ERR_MISMATCH, "%s: wire %zu of the twin has no match at %s", label, at, names[r]);
            return;
        }
        parts[r] = trio->record[r].seen[at].wire;
    }
    uint64_t *value = copy_words(wire->x, wire->count);
    if (join(label, parts, value, &trio->judgement) == BASE_OK)
        judge_values(trio, label, wire, ulp, value);
    free(value);
}

static void trace(void *context, int sent, uint32_t step, size_t size)
{
    struct end_trace *end = context;
    struct trio_frames *frames = sent ? end->sent : end->received;
    frames->frame = grow(frames->frame, &frames->capacity, frames->count, sizeof *frames->frame);
    frames->frame[frames->count++] = (struct trio_frame){step, size};
}

/* --- stage ---------------------------------------------------------------------------------------------------------------- */

static void key_of(uint64_t seed, int stream, uint8_t ret[16])
{
    uint64_t state = seed * 4 + (uint64_t)stream + 1;
    for (int i = 0; i < 16; i += 8)
        base_store_u64(ret + i, trio_random(&state));
    ret[0] = (uint8_t)stream; /* the tap knows streams by it */
}

void trio_start_stream(struct mpc_stream *ret, const struct kern_table *kern, uint64_t seed, int stream)
{
    uint8_t key[16];
    key_of(seed, stream, key);
    mpc_stream_init(ret, kern, key);
}

static enum base_status open_links(struct stage *stage, struct base_error *error)
{
    static const struct {
        int a, b;
        const char *name_a, *name_b;
    } pairs[] = {{TRIO_END_P0_TO_P1, TRIO_END_P1_SOURCE, "P0", "P1"}, {TRIO_END_P0_TO_P2, TRIO_END_P2_SOURCE, "P0", "P2"},
                 {TRIO_END_P1_PEER, TRIO_END_P2_PEER, "P1", "P2"}, {TRIO_END_P1_CLIENT, TRIO_END_CLIENT_P1, "P1", "client"},
                 {TRIO_END_P2_CLIENT, TRIO_END_CLIENT_P2, "P2", "client"}};
    enum base_status status = BASE_OK;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        TRY(net_memory_pair_create(&stage->end[pairs[i].a], &stage->end[pairs[i].b], pairs[i].name_a, pairs[i].name_b, (uint16_t)i,
                                   LINK_LIMIT, error));
    for (int e = 0; e < TRIO_ENDS; e++) {
        stage->trace[e] = (struct end_trace){&stage->trio->sent[e], &stage->trio->received[e]};
        net_link_set_trace(stage->end[e], trace, &stage->trace[e]);
    }
out:
    return status;
}

static enum base_status make_parties(struct stage *stage, const struct trio_job *job, struct base_error *error)
{
    enum base_status status = BASE_OK;
    static const enum mpc_role roles[TRIO_ROLES] = {MPC_HELPER, MPC_LEFT, MPC_RIGHT, MPC_CLEAR};
    const struct kern_table *all = job->kern != NULL ? job->kern : job->tap != NULL ? tap_table() : kern_table_select(~0u);
    struct trio *trio = stage->trio;
    for (int r = 0; r < TRIO_ROLES; r++) {
        struct mpc_party *p = &trio->party[r];
        const struct kern_table *kern = job->only == 0 || job->only == r + 1 ? all : kern_table_select(~0u);
        TRY(mpc_party_init(p, roles[r], kern, job->arena_size == 0 ? (size_t)1 << 30 : job->arena_size, error));
        p->split = job->split;
        struct mpc_stream *streams[TAP_STREAMS] = {&p->s1, &p->s2, &p->o1, &p->o2};
        for (int s = 0; s < TAP_STREAMS; s++)
            if (r == TRIO_P0 || r == 1 + s % 2)
                trio_start_stream(streams[s], kern, job->seed, s);
        if (r == TRIO_P1 || r == TRIO_P2)
            trio_start_stream(&p->s12, kern, job->seed, TAP_STREAM_P1_P2);
    }
    stage->source[TRIO_P0].link[1] = stage->end[TRIO_END_P0_TO_P1];
    stage->source[TRIO_P0].link[2] = stage->end[TRIO_END_P0_TO_P2];
    for (int r = 1; r <= 2; r++) {
        struct mpc_party *p = &trio->party[r];
        stage->source[r].link[r] = stage->end[TRIO_END_P0_TO_P1 + 1 + r];
        p->peer = stage->end[r == 1 ? TRIO_END_P1_PEER : TRIO_END_P2_PEER];
        p->client = stage->end[r == 1 ? TRIO_END_P1_CLIENT : TRIO_END_P2_CLIENT];
        trio->client.link[r] = stage->end[r == 1 ? TRIO_END_CLIENT_P1 : TRIO_END_CLIENT_P2];
    }
    for (int r = 0; r < TRIO_PARTIES; r++)
        mpc_source_over_links(&trio->party[r].source, &stage->source[r]);
    trio->client.kern = job->only == 0 ? all : kern_table_select(~0u);
    trio_start_stream(&trio->client.o1, trio->client.kern, job->seed, 2);
    trio_start_stream(&trio->client.o2, trio->client.kern, job->seed, 3);
out:
    return status;
}

/* --- running ---------------------------------------------------------------------------------------------------------------- */

static void run_role(struct stage *stage, int role)
{
    struct trio *trio = stage->trio;
    struct mpc_party *p = &trio->party[role];
    struct post post = {trio, role};
    p->observe = role == TRIO_TWIN ? observe_twin : observe_party;
    p->observe_context = &post;
    tap_attach(role == TRIO_TWIN ? NULL : trio->job->tap, role);
    enum base_status status = trio->job->program(p, trio->job);
    tap_attach(NULL, -1);
    if (status == BASE_OK)
        status = p->status;
    if (role == TRIO_TWIN) {
        if (status != BASE_OK)
            (void)base_fail(&trio->judgement, status, "twin: %s", p->error.text);
        return;
    }
    stage->status[role] = status;
    if (status != BASE_OK)
        (void)base_fail(&stage->error[role], status, "%s: %s", names[role], p->error.text);
}

static void run_client(struct stage *stage)
{
    struct trio *trio = stage->trio;
    const struct trio_job *job = trio->job;
    struct base_error *error = &stage->error[3];
    enum base_status status = BASE_OK;
    tap_attach(job->tap, -1);
    for (size_t i = 0; i < job->input_count; i++)
        TRY(mpc_client_give(&trio->client, job->inputs[i].x, job->inputs[i].count, job->inputs[i].ring, error));
    if (job->client != NULL)
        TRY(job->client(&trio->client, job, error));
out:
    tap_attach(NULL, -1);
    stage->status[3] = status;
}

static void *sit(void *context)
{
    struct seat *seat = context;
    struct stage *stage = seat->stage;
    if (seat->role == 3)
        run_client(stage);
    else
        run_role(stage, seat->role);
    static const int ends[4][3] = {{TRIO_END_P0_TO_P1, TRIO_END_P0_TO_P2, -1},
                                   {TRIO_END_P1_PEER, TRIO_END_P1_CLIENT, TRIO_END_P1_SOURCE},
                                   {TRIO_END_P2_PEER, TRIO_END_P2_CLIENT, TRIO_END_P2_SOURCE},
                                   {TRIO_END_CLIENT_P1, TRIO_END_CLIENT_P2, -1}};
    /* The others shall not wait for one that has failed. */
    for (int i = 0; i < 3 && stage->status[seat->role] != BASE_OK; i++)
        if (ends[seat->role][i] >= 0)
            net_link_abort(stage->end[ends[seat->role][i]], &stage->error[seat->role]);
    return NULL;
}

static enum base_status run_seats(struct stage *stage, struct base_error *error)
{
    pthread_t thread[TRIO_PARTIES + 1];
    struct seat seat[TRIO_PARTIES + 1];
    int first = stage->trio->job->beside && stage->trio->job->ahead == NULL ? 0 : 1;
    for (int r = 0; r <= TRIO_PARTIES; r++)
        seat[r] = (struct seat){stage, r};
    if (first == 1 && stage->trio->job->ahead == NULL)
        (void)sit(&seat[0]);
    for (int r = first; r <= TRIO_PARTIES; r++)
        if (pthread_create(&thread[r], NULL, sit, &seat[r]) != 0)
            abort();
    for (int r = first; r <= TRIO_PARTIES; r++)
        (void)pthread_join(thread[r], NULL);
    /* A party that was stopped by a peer's failure is not the cause: closed links come last. */
    for (int closed = 0; closed < 2; closed++)
        for (int r = 0; r <= TRIO_PARTIES; r++)
            if (stage->status[r] != BASE_OK && (closed || stage->status[r] != BASE_ERR_CLOSED))
                return base_fail(error, stage->status[r], "%s", stage->error[r].text);
    return BASE_OK;
}

static uint64_t payload(const struct net_link *link)
{
    uint64_t sum = 0;
    for (int phase = 0; phase < NET_PHASE_COUNT; phase++)
        sum += net_link_count(link, (enum net_phase)phase)->payload_bytes;
    return sum;
}

static void measure(struct stage *stage)
{
    static const int peer[2] = {TRIO_END_P1_PEER, TRIO_END_P2_PEER};
    for (int r = 0; r < 2; r++)
        stage->trio->measured[r] = (struct mpc_cost){
            net_link_count(stage->end[peer[r]], NET_PHASE_SETUP)->rounds,
            payload(stage->end[peer[0]]) + payload(stage->end[peer[1]]),
            payload(stage->end[TRIO_END_P0_TO_P1]) + payload(stage->end[TRIO_END_P0_TO_P2]) + stage->trio->made};
}

static enum base_status run_count(struct trio *trio, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct mpc_party p = {0};
    struct post post = {trio, -1};
    TRY(mpc_party_init(&p, MPC_COUNT, kern_table_select(0), (size_t)1 << 30, error));
    p.observe_context = &post;
    p.maker = trio->job->ahead == NULL ? NULL : trio->job->ahead->maker(trio, 1);
    TRY(trio->job->program(&p, trio->job));
    mpc_make(&p, true);
    TRY(p.status);
    trio->counted = p.declared;
out:
    if (status != BASE_OK)
        (void)base_fail(error, status, "count role: %s", p.error.text);
    mpc_party_finish(&p);
    return status;
}

enum base_status trio_run(const struct trio_job *job, struct trio *ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct stage *stage = NULL;
    ret->job = job;
    TRY(base_alloc(&stage, 1, sizeof *stage, error));
    stage->trio = ret;
    TRY(open_links(stage, error));
    TRY(make_parties(stage, job, error));
    ret->ahead = job->ahead;
    if (job->ahead != NULL) {
        TRY(job->ahead->run(ret, error));
        ret->party[TRIO_TWIN].maker = job->ahead->maker(ret, 0);
    }
    TRY(run_seats(stage, error));
    measure(stage);
    if (!job->no_twin) {
        run_role(stage, TRIO_TWIN);
        TRY(run_count(ret, error));
    }
    for (int r = TRIO_P1; job->ahead != NULL && r < TRIO_ROLES; r++)
        ret->party[r].declared.offline = ret->party[TRIO_P0].declared.offline; /* who makes ahead of time declares it */
out:
    if (stage != NULL)
        for (int e = 0; e < TRIO_ENDS; e++)
            net_link_destroy(&stage->end[e]);
    base_free(&stage);
    return status;
}

void trio_finish(struct trio *trio)
{
    if (trio->pair != NULL)
        trio->ahead->finish(trio);
    for (int r = 0; r < TRIO_PARTIES; r++) {
        for (size_t i = 0; i < trio->record[r].count; i++) {
            free(trio->record[r].seen[i].wire.m);
            free(trio->record[r].seen[i].wire.l1);
            free(trio->record[r].seen[i].wire.l2);
        }
        free(trio->record[r].seen);
    }
    for (int e = 0; e < TRIO_ENDS; e++) {
        free(trio->sent[e].frame);
        free(trio->received[e].frame);
    }
    for (int r = 0; r < TRIO_ROLES; r++)
        mpc_party_finish(&trio->party[r]);
    mpc_stream_finish(&trio->client.o1);
    mpc_stream_finish(&trio->client.o2);
    memset(trio, 0, sizeof *trio);
}
