/* Every registered gate: the three roles over memory links against the twin, and declared cost against counted cost. */
#include "base/memory.h"
#include "net/memory_link.h"
#include "protocols/coarse_max.h"
#include "protocols/exp.h"
#include "protocols/segments.h"
#include "protocols/spline.h"

#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

static const struct sec_gate *const gates[] = {&sec_gate_exp, &sec_gate_silu_times, &sec_gate_gelu, &sec_gate_reciprocal,
                                               &sec_gate_inverse_root, &sec_gate_coarse_max};

enum { MAX_RECORDS = 8 };

struct record {
    struct mpc_wire wire;
    double ulp;
};

struct job {
    const struct sec_gate *gate;
    struct mpc_party party;
    struct mpc_wire x, y;
    struct record record[MAX_RECORDS];
    size_t records;
    enum base_status status;
};

static void remember(void *context, struct mpc_party *p, const char *label, const struct mpc_wire *wire, double ulp)
{
    struct job *job = context;
    (void)p;
    (void)label;
    assert_true(job->records < MAX_RECORDS);
    job->record[job->records++] = (struct record){*wire, ulp};
}

static void *run_job(void *context)
{
    struct job *job = context;
    job->status = job->gate->run(&job->party, job->x, &job->y);
    return NULL;
}

/* The twin is judged wire by wire on equal inputs: each of its wires is compared, then overwritten by the parties'. */
struct judge {
    struct job *job;
    size_t next;
    double worst;
};

static void compare(void *context, struct mpc_party *p, const char *label, const struct mpc_wire *wire, double ulp)
{
    struct judge *judge = context;
    const struct mpc_wire *l = &judge->job[MPC_LEFT].record[judge->next].wire, *r = &judge->job[MPC_RIGHT].record[judge->next].wire;
    judge->next++;
    (void)p;
    for (size_t i = 0; i < wire->count; i++) {
        assert_int_equal(l->m[i], r->m[i]);
        uint64_t share = l->m[i] - l->l1[i] - r->l2[i];
        double difference = fabs((double)mpc_signed(share - wire->x[i], l->ring));
        if (ulp >= 0 && difference > ulp)
            fail_msg("%s: element %zu is %.1f units off, allowed %.1f", label, i, difference, ulp);
        judge->worst = difference > judge->worst ? difference : judge->worst;
        /* A full-ring count is unsigned. */
        wire->x[i] = wire->bound >= l->ring ? share & mpc_ring_mask(l->ring) : (uint64_t)mpc_signed(share, l->ring);
    }
}

static void share_input(struct job *job, const int64_t *x, size_t n)
{
    const struct sec_gate *gate = job[0].gate;
    struct mpc_stream noise;
    mpc_stream_init(&noise, job[0].party.kern, (const uint8_t *)"input masks 0001");
    for (int role = MPC_HELPER; role <= MPC_CLEAR; role++)
        job[role].x = mpc_wire_make(&job[role].party, n, gate->input_ring, gate->input_frac, gate->input_bound);
    mpc_stream_words(&noise, job[MPC_HELPER].x.l1, n, gate->input_ring);
    mpc_stream_words(&noise, job[MPC_HELPER].x.l2, n, gate->input_ring);
    for (size_t i = 0; i < n; i++) {
        uint64_t l1 = job[0].x.l1[i], l2 = job[0].x.l2[i];
        job[MPC_LEFT].x.l1[i] = l1;
        job[MPC_RIGHT].x.l2[i] = l2;
        job[MPC_LEFT].x.m[i] = job[MPC_RIGHT].x.m[i] = ((uint64_t)x[i] + l1 + l2) & mpc_ring_mask(gate->input_ring);
        job[MPC_CLEAR].x.x[i] = (uint64_t)x[i];
    }
}

static uint64_t sent(struct net_link *link)
{
    return net_link_count(link, NET_PHASE_SETUP)->payload_bytes;
}

static void check_gate(const struct sec_gate *gate, size_t units)
{
    struct job job[4];
    struct net_link *peer[2], *to1[2], *to2[2];
    struct base_error error = {0};
    struct mpc_source source[3];
    const struct kern_table *kern = kern_table_select(~0u);
    size_t n = units * gate->unit, limit = (size_t)1 << 28;
    memset(job, 0, sizeof job);
    assert_int_equal(net_memory_pair_create(&peer[0], &peer[1], "P1", "P2", 1, limit, &error), BASE_OK);
    assert_int_equal(net_memory_pair_create(&to1[0], &to1[1], "P0", "P1", 2, limit, &error), BASE_OK);
    assert_int_equal(net_memory_pair_create(&to2[0], &to2[1], "P0", "P2", 2, limit, &error), BASE_OK);
    struct mpc_link_source links[3] = {{{NULL, to1[0], to2[0]}}, {{NULL, to1[1], NULL}}, {{NULL, NULL, to2[1]}}};
    for (int role = 0; role < 4; role++) {
        job[role].gate = gate;
        assert_int_equal(mpc_party_init(&job[role].party, (enum mpc_role)role, kern, (size_t)1 << 32, &error), BASE_OK);
        if (role < 3) {
            mpc_source_over_links(&source[role], &links[role]);
            job[role].party.source = source[role];
        }
        if (role == MPC_HELPER || role == MPC_LEFT)
            mpc_stream_init(&job[role].party.s1, kern, (const uint8_t *)"stream one  0001");
        if (role == MPC_HELPER || role == MPC_RIGHT)
            mpc_stream_init(&job[role].party.s2, kern, (const uint8_t *)"stream two  0001");
        job[role].party.observe = remember;
        job[role].party.observe_context = &job[role];
    }
    job[MPC_LEFT].party.peer = peer[0];
    job[MPC_RIGHT].party.peer = peer[1];
    int64_t *x = NULL;
    assert_int_equal(base_alloc(&x, n, sizeof *x, &error), BASE_OK);
    gate->sample(x, n, 7);
    share_input(job, x, n);

    /* P0 runs first, to its end: it needs nothing from the others. */
    run_job(&job[MPC_HELPER]);
    pthread_t thread[2];
    for (int i = 0; i < 2; i++)
        pthread_create(&thread[i], NULL, run_job, &job[MPC_LEFT + i]);
    for (int i = 0; i < 2; i++)
        pthread_join(thread[i], NULL);
    for (int role = 0; role < 3; role++)
        if (job[role].status != BASE_OK)
            fail_msg("%s: role %d: %s", gate->name, role, job[role].party.error.text);

    struct judge judge = {.job = job};
    job[MPC_CLEAR].party.observe = compare;
    job[MPC_CLEAR].party.observe_context = &judge;
    run_job(&job[MPC_CLEAR]);
    assert_int_equal(job[MPC_CLEAR].status, BASE_OK);
    assert_int_equal(judge.next, job[MPC_LEFT].records);
    assert_int_equal(job[MPC_CLEAR].party.violations, 0);

    struct mpc_cost cost = gate->cost(n);
    for (int role = 0; role < 4; role++)
        assert_memory_equal(&job[role].party.declared, &cost, sizeof cost);
    assert_int_equal(sent(peer[0]) + sent(peer[1]), cost.online);
    assert_int_equal(sent(to1[0]) + sent(to2[0]), cost.offline);
    assert_int_equal(net_link_count(peer[0], NET_PHASE_SETUP)->rounds, cost.rounds);

    base_free(&x);
    for (int role = 0; role < 4; role++)
        mpc_party_finish(&job[role].party);
    for (int i = 0; i < 2; i++) {
        net_link_destroy(&peer[i]);
        net_link_destroy(&to1[i]);
        net_link_destroy(&to2[i]);
    }
}

static void test_gates(void **state)
{
    (void)state;
    const size_t units[] = {2, 7, 40};
    for (size_t g = 0; g < sizeof gates / sizeof *gates; g++)
        for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
            print_message("%s, %zu units\n", gates[g]->name, units[u]);
            check_gate(gates[g], units[u]);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_gates)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
