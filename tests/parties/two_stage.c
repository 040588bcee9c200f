#include "tests/parties/two_stage.h"

#include "engine/twin.h"
#include "net/memory_link.h"

#include <stdlib.h>
#include <string.h>

static void *run_seat(void *argument)
{
    struct two_seat *s = argument;
    struct eng_session_links links = {{NULL, NULL, NULL}};
    links.to[3 - (int)s->session.party.role] = s->peer;
    s->status = s->joining ? eng_session_join(&s->session, &links, &s->error) : eng_session_serve(&s->session, s->client, &s->served, &s->error);
    return NULL;
}

void two_start(struct two_stage *s, bool joining)
{
    for (int id = 1; id <= 2; id++) {
        s->seat[id].joining = joining;
        s->seat[id].error = (struct base_error){0};
        assert_int_equal(pthread_create(&s->seat[id].thread, NULL, run_seat, &s->seat[id]), 0);
    }
}

void two_end(struct two_stage *s)
{
    for (int id = 1; id <= 2; id++)
        (void)pthread_join(s->seat[id].thread, NULL);
}

struct eng_decoder_form two_form_of(const struct two_stage *s, enum mpc_role role)
{
    const struct model *m = &s->model;
    return (struct eng_decoder_form){.shape = m->source.shape, .plan = &m->plan, .weights = &m->weights[role], .gates = &m->gates,
                                     .policy = s->policy, .config = s->config, .context = CONTEXT, .chunk = CHUNK};
}

void two_open_seat(struct two_stage *s, int id, const char *directory)
{
    struct two_seat *seat = &s->seat[id];
    struct base_error error = {0};
    static const uint8_t digest[PAIR_STORE_DIGEST] = {5};
    check_ok(party_two_init(&seat->two, kern_table_select(~0u), &error), &error, "pair");
    if (directory != NULL)
        check_ok(party_two_keep(&seat->two, id, directory, digest, &error), &error, "keep");
    check_ok(eng_session_init(&seat->session, (enum mpc_role)id, two_form_of(s, (enum mpc_role)id), 1, kern_table_select(~0u), &error), &error, "session");
    check_ok(eng_session_set_maker(&seat->session, &seat->two.of_session, &error), &error, "maker");
}

void two_try_to_meet(struct two_stage *s)
{
    struct base_error error = {0};
    for (int id = 1; id <= 2; id++)
        net_link_destroy(&s->seat[id].peer);
    check_ok(net_memory_pair_create(&s->seat[1].peer, &s->seat[2].peer, "P1", "P2", 1, LINK_LIMIT, &error), &error, "links");
    two_start(s, true);
    two_end(s);
}

void two_meet(struct two_stage *s)
{
    two_try_to_meet(s);
    for (int id = 1; id <= 2; id++)
        check_ok(s->seat[id].status, &s->seat[id].error, "join");
}

int two_open_with(void **state, const char *policy)
{
    struct base_error error = {0};
    struct two_stage *s = must_alloc(1, sizeof *s);
    *state = s;
    check_ok(kv_config_parse(policy, 0, &s->policy, &s->config, &error), &error, policy);
    struct model_options o = {.general_attention = true, .general_activation = true, .fold = true, .pair = true, .context = CONTEXT, .shape = &model_odd_shape};
    assert_true(model_open(&s->model, "odd", o));
    s->prompt = s->model.samples[2];
    s->new_tokens = NEW_TOKENS;
    for (int id = 1; id <= 2; id++)
        two_open_seat(s, id, NULL);
    two_meet(s);
    check_ok(eng_sampler_init(&s->sampler, (struct eng_sampling){0}, s->model.source.shape->vocab, &error), &error, "sampler");
    return 0;
}

int two_open_stage(void **state)
{
    return two_open_with(state, "full");
}

void two_leave(struct two_stage *s)
{
    for (int id = 1; id <= 2; id++) {
        eng_session_finish(&s->seat[id].session);
        party_two_finish(&s->seat[id].two);
        net_link_destroy(&s->seat[id].peer);
        net_link_destroy(&s->seat[id].client);
        net_link_destroy(&s->client[id]);
        memset(&s->seat[id], 0, sizeof s->seat[id]);
    }
}

int two_close_stage(void **state)
{
    struct two_stage *s = *state;
    two_leave(s);
    eng_sampler_finish(&s->sampler);
    model_close(&s->model);
    free(s);
    return 0;
}

void two_generate(struct two_stage *s, const struct eng_backend *backend, size_t stop_after, struct eng_generated *ret)
{
    struct base_error error = {0};
    struct counter counter = {.stop_after = stop_after};
    struct eng_generation g = {.backend = backend, .shape = s->model.source.shape, .plan = &s->model.plan, .sampler = &s->sampler,
                               .prompt = s->prompt, .prompt_tokens = PROMPT, .new_tokens = s->new_tokens, .ignore_eos = true,
                               .token = count_token, .context = &counter};
    check_ok(eng_generate(&g, ret, &error), &error, "generate");
}

void two_open_links(struct two_stage *s)
{
    struct base_error error = {0};
    for (int id = 1; id <= 2; id++) {
        net_link_destroy(&s->seat[id].client);
        net_link_destroy(&s->client[id]);
        check_ok(net_memory_pair_create(&s->client[id], &s->seat[id].client, "client", id == 1 ? "P1" : "P2", (uint16_t)(10 + id), LINK_LIMIT, &error), &error,
                 "links");
    }
    two_start(s, false);
}

struct eng_remote_form two_remote_form(const struct two_stage *s)
{
    return (struct eng_remote_form){.shape = s->model.source.shape, .plan = &s->model.plan, .link = {NULL, s->client[1], s->client[2]},
                                    .kern = kern_table_select(~0u)};
}

const struct eng_request two_sample_request = {.prompt_tokens = PROMPT, .new_tokens = NEW_TOKENS, .chunk = CHUNK, .mode = ENG_REQUEST_SAMPLE};

void two_ask(struct two_stage *s, size_t stop_after, struct eng_generated *ret)
{
    struct base_error error = {0};
    struct eng_remote remote;
    struct eng_usage *usage = s->usage;
    struct eng_request request = two_sample_request;
    request.new_tokens = s->new_tokens;
    two_open_links(s);
    struct eng_remote_form form = two_remote_form(s);
    check_ok(eng_remote_begin(&remote, &form, &request, false, &error), &error, "begin");
    struct eng_backend backend = eng_remote_backend(&remote);
    two_generate(s, &backend, stop_after, ret);
    check_ok(eng_remote_end(&remote, usage, &error), &error, "end");
    two_end(s);
    s->source = remote.text_source;
    eng_remote_finish(&remote);
    for (int id = 1; id <= 2; id++) {
        check_ok(s->seat[id].status, &s->seat[id].error, "serve");
        assert_true(s->seat[id].served.joined);
        /* Per token one row of logits, one sum and one guard word leave the shares, and nothing else. */
        assert_int_equal(usage[id].opened, ret->count * (s->model.source.shape->vocab + 2) + 1); /* a guard word for the first chunk, too */
        uint64_t rounds = (ret->count - 1) * (3 + 19 * s->model.source.shape->layers);
        assert_true(s->policy == &kv_policy_full ? usage[id].decode.rounds == rounds : usage[id].decode.rounds >= rounds);
    }
}

void two_twin_answer(struct two_stage *s, struct eng_generated *ret)
{
    struct eng_twin twin;
    struct base_error error = {0};
    check_ok(eng_twin_init(&twin, two_form_of(s, MPC_CLEAR), kern_table_select(~0u), ENG_REQUEST_SAMPLE, &error), &error, "twin");
    struct eng_backend backend = eng_twin_backend(&twin);
    two_generate(s, &backend, 0, ret);
    eng_twin_finish(&twin);
}
