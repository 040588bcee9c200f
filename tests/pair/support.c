#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/pair/support.h"

#include "net/hello.h"

enum { LINK_ROOM = 1 << 24 };

struct end {
    struct pair_run_options options;
    int id;
    struct net_link *link;
    pair_program program;
    void *context;
    enum base_status status;
    struct base_error error;
    struct pair_cost declared;
    uint64_t frames[2];
    pthread_t thread;
};

static void note_frame(void *context, int sent, uint32_t step, size_t payload_bytes)
{
    struct end *end = context;
    end->frames[sent] = base_random_mix(end->frames[sent] ^ ((uint64_t)step << 32 | payload_bytes));
}

static enum base_status run_end(struct end *end)
{
    enum base_status status;
    struct pair_party p = {0};
    net_link_set_timeout(end->link, 60000);
    uint8_t session[PAIR_SESSION] = {0}, seed[PAIR_SEED] = {0};
    base_store_u64(session, end->options.session != 0 ? end->options.session : end->options.seed + 1);
    base_store_u64(seed, end->options.seed);
    seed[8] = (uint8_t)end->id;
    if (end->options.hello) {
        struct net_hello_config hello = {.own_id = (uint8_t)end->id, .peer_id = (uint8_t)(3 - end->id)};
        TRY(net_hello(end->link, &hello, session, &end->error));
        net_link_reset_count(end->link);
    }
    net_link_set_trace(end->link, note_frame, end);
    const struct kern_table *kern = end->options.kern[end->id];
    if (kern == NULL)
        kern = kern_table_select(end->options.kern_mask == 0 ? ~0u : end->options.kern_mask);
    TRY(pair_party_init(&p, end->id, kern, end->link, session, seed, &end->error));
    if (end->options.k != 0)
        TRY(pair_cot_start(&p, end->options.k, &end->error));
    TRY(end->program(&p, end->context, &end->error));
out:
    end->declared = p.declared;
    if (status != BASE_OK)
        net_link_abort(end->link, &end->error);
    pair_party_finish(&p);
    return status;
}

static void *run_thread(void *context)
{
    struct end *end = context;
    end->status = run_end(end);
    return NULL;
}

void pair_run_both(struct pair_run_options options, pair_program program, void *context, struct pair_ran *ret)
{
    struct end ends[3];
    struct base_error error = {0};
    memset(ends, 0, sizeof ends);
    memset(ret, 0, sizeof *ret);
    if (options.link[1] == NULL)
        check_ok(net_memory_pair_create(&options.link[1], &options.link[2], "P1", "P2", 0, LINK_ROOM, &error), &error);
    for (int id = 1; id <= 2; id++) {
        ends[id] = (struct end){.options = options, .id = id, .link = options.link[id], .program = program, .context = context};
        assert_int_equal(pthread_create(&ends[id].thread, NULL, run_thread, &ends[id]), 0);
    }

    for (int id = 1; id <= 2; id++)
        (void)pthread_join(ends[id].thread, NULL);
    for (int id = 1; id <= 2; id++) {
        const struct net_count *count = net_link_count(options.link[id], NET_PHASE_SETUP);
        ret->status[id] = ends[id].status;
        ret->error[id] = ends[id].error;
        ret->bytes[id] = count->payload_bytes;
        ret->exchanges[id] = count->rounds;
    }
    for (int id = 1; id <= 2; id++)
        ret->declared[id] = ends[id].declared;
    ret->frames = base_random_mix(ends[1].frames[0]) ^ ends[1].frames[1];
    for (int id = 1; id <= 2; id++)
        net_link_destroy(&options.link[id]);
}

void pair_run_well(struct pair_run_options options, pair_program program, void *context, struct pair_ran *ret)
{
    pair_run_both(options, program, context, ret);
    for (int id = 1; id <= 2; id++)
        check_ok(ret->status[id], &ret->error[id]);
    assert_memory_equal(&ret->declared[1], &ret->declared[2], sizeof ret->declared[1]);
    for (int id = 1; id <= 2; id++) {
        assert_int_equal(ret->bytes[id], ret->declared[id].bytes[id]);
        assert_int_equal(ret->exchanges[id], ret->declared[id].exchanges);
    }
}

uint64_t *pair_test_words(uint64_t seed, size_t count, int ring)
{
    uint64_t *words = pair_test_alloc(count, sizeof *words), extreme[4] = {0, 1, ~UINT64_C(0), UINT64_C(1) << (ring - 1)};
    for (size_t i = 0; i < count; i++)
        words[i] = (i < 4 ? extreme[i] : base_random_next(&seed)) & kern_ring_mask(ring);
    return words;
}
