/* bench_pair_steps [--shape NAME | --model PATH] [--context T] [--layers N] [--vocab N] [--gilboa] [--time]: what two parties without P0 make for one token
 * with T rows in the cache, and what they make once. With --time the material of one token is made, both parties in this process
 * over a link in memory, with synthetic weights and made-up rows; declared bytes are checked against those of the link. */
#include "base/clock.h"
#include "base/memory.h"
#include "engine/decoder.h"
#include "net/memory_link.h"
#include "pair/cot.h"
#include "pair/maker.h"
#include "parties/model.h"
#include "parties/options.h"

#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LINK_ROOM = 1 << 26, K = 8, ARENA_LOG = 36, CHUNK = 16, SCORE_BITS = 5, ENG_KEY = 16 };

struct bench {
    struct model_input input;
    size_t context, vocab;
    enum pair_linear linear;
    bool timed;
    struct model model;
    struct eng_plan plan;
    struct eng_gates gates;
    struct eng_weights weights[3];
    uint8_t *block[3];
};

/* One party ahead of time; id 0: the count role. */
struct end {
    struct bench *bench;
    int id;
    struct net_link *link;
    struct pair_party pair;
    struct pair_tape *tape;
    struct pair_maker maker;
    struct mpc_party party;
    struct eng_decoder decoder;
    uint64_t made, counted;
    double seconds, cpu, before; /* wall and processor of the measured step; wall of all before */
    enum base_status status;
    struct base_error error;
    pthread_t thread;
};

static double cpu_seconds(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static enum base_status step(struct end *e)
{
    struct eng_logits out;
    size_t mark = base_arena_mark(&e->party.arena);
    struct mpc_wire hot = e->id == 0 ? mpc_wire_make(&e->party, e->bench->model.shape.vocab, SEC_ROW_RING, 0, 1)
                                     : mpc_input(&e->party, NULL, e->bench->model.shape.vocab, SEC_ROW_RING, 0, 1);
    enum base_status status = eng_decoder_step(&e->decoder, &e->party, hot, 1, 1, &out);
    mpc_make(&e->party, true);
    base_arena_release(&e->party.arena, mark);
    return status == BASE_OK ? e->party.status : status;
}

/* Made-up rows, one step that meets them and the weights first, and the step that counts. */
static enum base_status run(struct end *e)
{
    struct bench *b = e->bench;
    enum base_status status;
    enum mpc_role role = e->id == 0 ? MPC_COUNT : MPC_HELPER;
    struct eng_decoder_form form = {.shape = &b->model.shape, .plan = &b->plan, .weights = &b->weights[e->id], .gates = &b->gates, .policy = &kv_policy_full,
                                    .context = b->context, .chunk = CHUNK};
    double start = base_clock_seconds();
    TRY(eng_decoder_init(&e->decoder, role, form, &e->error));
    e->maker.linear = b->linear;
    e->party.maker = &e->maker.of_party;
    TRY(eng_decoder_begin(&e->decoder, &e->party, b->context, 0, &e->party.error));
    TRY(eng_decoder_make_up(&e->decoder, &e->party, b->context - 2));
    TRY(step(e));
    uint64_t made = e->party.declared.offline, counted = e->link == NULL ? 0 : net_link_count(e->link, NET_PHASE_SETUP)->payload_bytes;
    e->before = base_clock_seconds() - start;
    e->seconds = -base_clock_seconds();
    e->cpu = -cpu_seconds();
    TRY(step(e));
    e->seconds += base_clock_seconds();
    e->cpu += cpu_seconds();
    e->made = e->party.declared.offline - made;
    e->counted = e->link == NULL ? 0 : net_link_count(e->link, NET_PHASE_SETUP)->payload_bytes - counted;
out:
    if (status != BASE_OK && e->party.status != BASE_OK)
        e->error = e->party.error;
    return status;
}

static void finish(struct end *e)
{
    eng_decoder_finish(&e->decoder);
    mpc_party_finish(&e->party);
    pair_maker_finish(&e->maker);
    if (e->id != 0)
        pair_party_finish(&e->pair);
    pair_tape_destroy(&e->tape);
    net_link_destroy(&e->link);
}

static void *run_end(void *context)
{
    struct end *e = context;
    enum base_status status;
    const struct kern_table *kern = kern_table_select(~0u);
    uint8_t session[PAIR_SESSION] = {1}, key[2][ENG_KEY];
    TRY(pair_party_init(&e->pair, e->id, kern, e->link, session, NULL, &e->error));
    TRY(pair_cot_start(&e->pair, K, &e->error));
    pair_maker_init(&e->maker, &e->pair, e->tape);
    randombytes_buf(key, sizeof key);
    mpc_stream_init(&e->party.s1, kern, key[0]);
    mpc_stream_init(&e->party.o1, kern, key[1]);
    status = run(e);
    base_wipe(key, sizeof key);
out:
    e->status = status;
    if (status != BASE_OK)
        net_link_abort(e->link, &e->error);
    return NULL;
}

static enum base_status open_party(struct end *e, struct bench *b, int id, struct base_error *error)
{
    enum base_status status;
    *e = (struct end){.bench = b, .id = id};
    TRY(mpc_party_init(&e->party, id == 0 ? MPC_COUNT : MPC_HELPER, kern_table_select(~0u), (size_t)1 << ARENA_LOG, error));
    TRY(pair_tape_create(&e->tape, error));
out:
    return status;
}

static enum base_status count(struct bench *b, struct end *e, struct base_error *error)
{
    enum base_status status;
    TRY(open_party(e, b, 0, error));
    TRY(eng_weights_init(&b->weights[0], MPC_COUNT, &b->model.shape, &b->plan, NULL, error));
    pair_maker_count(&e->maker, K);
    status = run(e);
    if (status != BASE_OK)
        *error = e->error;
out:
    return status;
}

static enum base_status make_weights(struct bench *b, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_weight_targets targets = {.key1 = {1}, .key2 = {2}, .kern = kern_table_select(~0u)};
    for (int id = 1; id <= 2; id++) {
        TRY(base_alloc(&b->block[id], eng_weights_size((enum mpc_role)id, &b->model.shape, &b->plan), 1, error));
        TRY(eng_weights_init(&b->weights[id], (enum mpc_role)id, &b->model.shape, &b->plan, b->block[id], error));
        targets.block[id] = b->block[id];
    }
    struct eng_weight_source source = b->vocab == 0 ? b->model.source : eng_weights_synthetic(&b->model.shape);
    TRY(eng_weights_make(&source, &b->plan, &targets, NULL, error));
out:
    return status;
}

static enum base_status make(struct bench *b, struct end ends[3], struct base_error *error)
{
    enum base_status status;
    struct net_link *link[3] = {NULL, NULL, NULL};
    TRY(make_weights(b, error));
    TRY(net_memory_pair_create(&link[1], &link[2], "P1", "P2", 0, LINK_ROOM, error));
    for (int id = 1; id <= 2; id++) {
        TRY(open_party(&ends[id], b, id, error));
        ends[id].link = link[id];
        net_link_set_timeout(link[id], 3600000);
    }
    for (int id = 1; id <= 2; id++)
        if (pthread_create(&ends[id].thread, NULL, run_end, &ends[id]) != 0)
            abort();
    for (int id = 1; id <= 2; id++)
        (void)pthread_join(ends[id].thread, NULL);
    for (int id = 1; id <= 2 && status == BASE_OK; id++)
        if ((status = ends[id].status) != BASE_OK)
            *error = ends[id].error;
    TRY(status);
    TRY_THAT(ends[1].made == ends[0].made && ends[1].counted + ends[2].counted == ends[0].made, error, BASE_ERR_INTERNAL,
             "declared %llu bytes, made %llu, and the link counts %llu", (unsigned long long)ends[0].made, (unsigned long long)ends[1].made,
             (unsigned long long)(ends[1].counted + ends[2].counted));
out:
    return status;
}

static void print(const struct bench *b, const struct end ends[3])
{
    const struct pair_cost *once = &ends[0].maker.once;
    (void)printf("%s, %zu layers, T=%zu: %.3f MB made per token:", b->input.path != NULL ? b->input.path : b->input.shape, b->model.shape.layers, b->context,
                 (double)ends[0].made * 1e-6);
    (void)printf(" %.3f MB once per model and start\n", (double)(once->bytes[1] + once->bytes[2]) * 1e-6);
    if (b->timed)
        (void)printf("made in %.2f s (%.2f s of processor, both parties); %.1f s before it for weights and %zu rows\n",
                     ends[1].seconds > ends[2].seconds ? ends[1].seconds : ends[2].seconds, ends[1].cpu > ends[2].cpu ? ends[1].cpu : ends[2].cpu,
                     ends[1].before > ends[2].before ? ends[1].before : ends[2].before, b->context - 1);
}

static enum base_status run_all(int argc, char **argv, struct base_error *error)
{
    enum base_status status;
    struct bench b = {.context = 512};
    struct end ends[3] = {{0}, {0}, {0}};
    bool gilboa = false, done = false;
    uint64_t context = 512, vocab = 0;
    const struct option_entry options[] = {
        OPTION_MODEL(&b.input.path),
        {.name = "shape", .value = "NAME", .help = "instead: a named shape with synthetic weights", .target = &b.input.shape},
        OPTIONS_SHAPE(&b.input),
        {.name = "context", .value = "T", .help = "rows in the cache with the token's own (default 512)", .kind = OPTION_COUNT, .target = &context, .low = 3,
         .high = 65536},
        {.name = "vocab", .value = "N", .help = "another vocabulary, with synthetic weights", .kind = OPTION_COUNT, .target = &vocab, .low = 2,
         .high = 1 << 20},
        {.name = "gilboa", .help = "all products by Gilboa", .kind = OPTION_FLAG, .target = &gilboa},
        {.name = "time", .help = "make one token's material, both parties in this process", .kind = OPTION_FLAG, .target = &b.timed},
        OPTION_END};
    TRY(options_parse(argc, argv, "What two parties make for a token.", "", options, &done, error));
    if (done)
        goto out;
    TRY(model_open(&b.model, b.input, error));
    b.context = context;
    b.vocab = vocab;
    b.linear = gilboa ? PAIR_LINEAR_GILBOA : PAIR_LINEAR_CHEAPER;
    b.model.shape.vocab = vocab != 0 ? vocab : b.model.shape.vocab;
    TRY(eng_plan_init(&b.plan, b.model.shape.layers, b.model.shape.heads, b.context, error));
    TRY(kv_profile_init_uniform(&b.plan.profile, b.model.shape.layers, b.model.shape.kv_heads, error));
    eng_plan_set_typical(&b.plan, b.model.shape.width, b.model.shape.norm_eps, SCORE_BITS);
    eng_plan_set_pair(&b.plan);
    TRY(eng_plan_check(&b.plan, error));
    TRY(eng_gates_init(&b.gates, &b.model.shape, &b.plan, error));
    TRY(count(&b, &ends[0], error));
    if (b.timed)
        TRY(make(&b, ends, error));
    print(&b, ends);
out:
    for (int id = 0; id <= 2; id++) {
        finish(&ends[id]);
        eng_weights_finish(&b.weights[id]);
        base_free_secret(&b.block[id]);
    }
    eng_gates_finish(&b.gates);
    eng_plan_finish(&b.plan);
    model_close(&b.model);
    return status;
}

int main(int argc, char **argv)
{
    struct base_error error = {0};
    enum base_status status = run_all(argc, argv, &error);
    if (status != BASE_OK)
        (void)fprintf(stderr, "bench_pair_steps: %s\n", error.text);
    return base_status_exit_code(status);
}
