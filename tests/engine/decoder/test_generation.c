/* The whole path of an answer: a client, three sessions in one process, and the twin, over real models. */
#include "tests/engine/decoder/model_support.h"

#include "base/clock.h"
#include "engine/generate.h"
#include "engine/local.h"
#include "engine/remote.h"
#include "engine/twin.h"

enum { CONTEXT = 128, NEW_TOKENS = 24, PROMPT = 40 };

static struct eng_decoder_form form_of(const struct model *m, enum mpc_role role)
{
    return (struct eng_decoder_form){.shape = m->source.shape, .plan = &m->plan, .weights = &m->weights[role], .gates = &m->gates,
                                     .policy = &kv_policy_full, .context = CONTEXT};
}

static struct eng_local *make_parties(const struct model *m)
{
    static const uint8_t key1[ENG_SESSION_KEY] = {7}, key2[ENG_SESSION_KEY] = {8};
    struct eng_local *local = NULL;
    struct base_error error = {0};
    struct eng_local_form form = {.form = form_of(m, MPC_HELPER), .kern = kern_table_select(~0u), .key1 = key1, .key2 = key2};
    for (int i = 0; i < 3; i++)
        form.weights[i] = &m->weights[i];
    check_ok(eng_local_create(&local, &form, &error), &error, "parties");
    return local;
}

static void test_generate(void **state)
{
    struct model m;
    struct base_error error = {0};
    (void)state;
    assert_true(model_open(&m, "models/keeper", (struct model_options){.context = CONTEXT}));
    const int32_t *prompt = m.samples[1];
    struct eng_local *local = make_parties(&m);
    struct net_link *links[3];
    check_ok(eng_local_start(local, links, &error), &error, "start");
    struct eng_remote remote;
    struct eng_remote_form rf = {.shape = m.source.shape, .plan = &m.plan, .link = {links[0], links[1], links[2]}, .kern = kern_table_select(~0u)};
    struct eng_request request = {.prompt_tokens = PROMPT, .new_tokens = NEW_TOKENS,
                                  .chunk = (uint32_t)eng_decoder_choose_chunk(m.source.shape, CONTEXT), .mode = ENG_REQUEST_SAMPLE};
    check_ok(eng_remote_begin(&remote, &rf, &request, false, &error), &error, "begin");
    struct eng_sampler sampler;
    check_ok(eng_sampler_init(&sampler, (struct eng_sampling){0}, m.source.shape->vocab, &error), &error, "sampler");
    struct eng_backend backend = eng_remote_backend(&remote);
    struct eng_generation g = {.backend = &backend, .shape = m.source.shape, .plan = &m.plan, .sampler = &sampler, .prompt = prompt,
                               .prompt_tokens = PROMPT, .new_tokens = NEW_TOKENS, .ignore_eos = true};
    struct eng_generated shares, clear;
    check_ok(eng_generate(&g, &shares, &error), &error, "generate");
    struct eng_usage usage[3], reported[3];
    check_ok(eng_remote_end(&remote, reported, &error), &error, "end");
    check_ok(eng_local_wait(local, usage, &error), &error, "wait");
    print_message("prefill %.2f s, decode %.1f ms per token, rounds %.1f per token, online %llu, dealt %llu per token\n", shares.prefill_seconds,
                  1e3 * shares.decode_seconds / (double)shares.decode_steps, (double)usage[1].decode.rounds / (double)shares.decode_steps,
                  (unsigned long long)((usage[1].decode.online + usage[2].decode.online) / shares.decode_steps),
                  (unsigned long long)(usage[0].decode.offline / shares.decode_steps));
    struct eng_twin twin;
    check_ok(eng_twin_init(&twin, form_of(&m, MPC_CLEAR), kern_table_select(~0u), ENG_REQUEST_SAMPLE, &error), &error, "twin");
    struct eng_backend clear_backend = eng_twin_backend(&twin);
    g.backend = &clear_backend;
    check_ok(eng_generate(&g, &clear, &error), &error, "twin");
    print_message("twin: prefill %.2f s, decode %.1f ms per token; %llu violations%s\n", clear.prefill_seconds,
                  1e3 * clear.decode_seconds / (double)clear.decode_steps, (unsigned long long)twin.party.violations,
                  twin.party.violation == NULL ? "" : twin.party.violation);
    for (size_t i = 0; i < NEW_TOKENS; i++)
        assert_int_equal(shares.tokens[i], clear.tokens[i]);
    eng_generated_finish(&shares);
    eng_generated_finish(&clear);
    eng_twin_finish(&twin);
    eng_sampler_finish(&sampler);
    eng_remote_finish(&remote);
    eng_local_destroy(&local);
    model_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_generate)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
