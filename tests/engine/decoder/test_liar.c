/* A peer that lies: it has the right keys, frames and order, and its messages hold what they like. Each role in turn, the client among them, against the
 * other ones live over links in memory, one lie or a stream of lies in each run; the text of the program that lies is the real one, so each lie sits where a
 * protocol's message is due. It may cost the answer, and nothing else: no reader leaves its arrays (sanitizers look: `./run liar`), every end stops
 * with a named error within its deadlines, and honest requests after it are the twin's.
 *
 * usage: engine_test_liar [LIES [SEED]]      the same SEED tells the same lies */
#include "tests/engine/decoder/model_support.h"

#include "base/clock.h"
#include "base/random.h"
#include "engine/generate.h"
#include "engine/local.h"
#include "engine/remote.h"
#include "engine/twin.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* DEADLINE_MS: of every wait, long for an honest peer under a sanitizer; LIFE_SECONDS: of a run with a lie, after which it hangs. */
enum { CONTEXT = 64, CHUNK = 26, PROMPT = 52, NEW_TOKENS = 4, DEADLINE_MS = 12000, LIFE_SECONDS = 300, LIES = 16, SEED = 5, HONEST_EVERY = 10, CLIENT = 3, ROLES = 4 };

enum lie {
    LIE_BIT,      /* one bit turned */
    LIE_NOISE,    /* all of it random */
    LIE_RUN,      /* a run of random bytes */
    LIE_ZEROS,
    LIE_ONES,
    LIE_NUMBER,   /* one aligned word becomes a number at an edge */
    LIE_REPLAY,   /* what this role said last in a message of another kind or round */
    LIE_CONTENTS, /* the number of those that keep a message's form */
    LIE_SHORT = LIE_CONTENTS, /* fewer bytes */
    LIE_LONG,     /* more bytes */
    LIE_STEP,     /* another step's number */
    LIE_TWICE,
    LIE_SILENCE,  /* it is not sent */
    LIES_COUNT,
};

static const char *const policies[] = {"full", "select:keep=32:window=8:unit=4:reuse=1", "mpcache:keep=24:unit=4:static=70", "h2o:budget=50:window=8:every=4",
                                       "tova:budget=50:every=3", "blocks:budget=50:window=8:unit=4", "refresh:keep=32:window=8:unit=4:before=4:reuse=1"};
enum { POLICIES = sizeof policies / sizeof *policies };

/* --- the liar ------------------------------------------------------------------------------------------------------------------------ */

/* Of one run. Only the thread of `role` reads and writes it between its beginning and its end. */
static struct {
    int role; /* -1: nobody lies */
    enum lie lie;
    size_t from, count; /* messages that are lies, by their number in the run */
    size_t said;
    uint64_t random;
    uint8_t *last;
    size_t last_size, last_capacity;
} liar = {.role = -1};

static size_t said_by[ROLES]; /* messages of an honest run */
static _Thread_local int own_role = -1;

static uint64_t draw(void)
{
    return base_random_next(&liar.random);
}

static size_t below(size_t n)
{
    return n == 0 ? 0 : (size_t)(draw() % n);
}

static void fill(uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)draw();
}

static void put_number(uint8_t *data, size_t size)
{
    static const uint64_t edges[] = {0, 1, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0x80000000u, 0xffffffffu, 0x7fffffffffffffffu, 0x8000000000000000u, UINT64_MAX};
    size_t width = (size_t)1 << below(4);
    if (size < width)
        return;
    uint64_t edge = edges[below(sizeof edges / sizeof *edges)];
    memcpy(data + below(size / width) * width, &edge, width);
}

/* Turns a message of `size` bytes into the lie; data has room for as many again and 64. */
static void lie_about(uint8_t *data, size_t *size, uint32_t *step)
{
    size_t at = below(*size), run = below(*size - at) + 1;
    switch (liar.lie) {
    case LIE_BIT:
        data[at] ^= (uint8_t)(1u << below(8));
        break;
    case LIE_NOISE:
        fill(data, *size);
        break;
    case LIE_RUN:
        fill(data + at, run);
        break;
    case LIE_ZEROS:
        memset(data, 0, *size);
        break;
    case LIE_ONES:
        memset(data, 0xff, *size);
        break;
    case LIE_NUMBER:
        put_number(data, *size);
        break;
    case LIE_REPLAY:
        memcpy(data, liar.last, liar.last_size < *size ? liar.last_size : *size);
        break;
    case LIE_SHORT:
        *size = at;
        break;
    case LIE_LONG:
        fill(data + *size, 64);
        *size += 1 + below(64);
        break;
    case LIE_STEP:
        *step = draw() % 2 == 0 ? *step + 1 : (uint32_t)draw();
        break;
    case LIE_TWICE:
    case LIE_SILENCE:
    case LIES_COUNT:
        break;
    }
}

static void remember(const void *data, size_t size)
{
    if (size > liar.last_capacity) {
        free(liar.last);
        liar.last = must_alloc(size, 1);
        liar.last_capacity = size;
    }
    memcpy(liar.last, data, size);
    liar.last_size = size;
}

/* What is said instead of a message: its copy, possibly a lie. times: how often. */
struct words {
    uint8_t *data;
    size_t size;
    uint32_t step;
    int times;
};

static struct words words_for(uint32_t step, const void *data, size_t size)
{
    struct words w = {.data = must_alloc(2 * size + 64, 1), .size = size, .step = step, .times = 1};
    memcpy(w.data, data, size);
    size_t number = liar.said++;
    if (number >= liar.from && number - liar.from < liar.count && size > 0) {
        lie_about(w.data, &w.size, &w.step);
        w.times = liar.lie == LIE_TWICE ? 2 : liar.lie == LIE_SILENCE ? 0 : 1;
    }
    remember(data, size);
    return w;
}

static bool lies(void)
{
    if (own_role >= 0 && liar.role < 0)
        (void)__atomic_fetch_add(&said_by[own_role], 1, __ATOMIC_RELAXED);
    return own_role >= 0 && own_role == liar.role;
}

typedef enum base_status (*send_fn)(struct net_link *link, uint32_t step, const void *data, size_t size, struct base_error *error);

static enum base_status say(send_fn send, struct net_link *link, uint32_t step, const void *data, size_t size, struct base_error *error)
{
    if (!lies())
        return send(link, step, data, size, error);
    enum base_status status = BASE_OK;
    struct words w = words_for(step, data, size);
    for (int i = 0; i < w.times && status == BASE_OK; i++)
        status = send(link, w.step, w.data, w.size, error);
    free(w.data);
    return status;
}

enum base_status __real_net_link_send(struct net_link *link, uint32_t step, const void *data, size_t size, struct base_error *error);
enum base_status __wrap_net_link_send(struct net_link *link, uint32_t step, const void *data, size_t size, struct base_error *error);
enum base_status __wrap_net_link_send(struct net_link *link, uint32_t step, const void *data, size_t size, struct base_error *error)
{
    return say(__real_net_link_send, link, step, data, size, error);
}

enum base_status __real_net_link_send_blob(struct net_link *link, uint32_t step, const void *data, size_t size, struct base_error *error);
enum base_status __wrap_net_link_send_blob(struct net_link *link, uint32_t step, const void *data, size_t size, struct base_error *error);
enum base_status __wrap_net_link_send_blob(struct net_link *link, uint32_t step, const void *data, size_t size, struct base_error *error)
{
    return say(__real_net_link_send_blob, link, step, data, size, error);
}

enum base_status __real_net_link_exchange(struct net_link *link, uint32_t step, const void *send_data, size_t send_size, void *ret_data, size_t receive_size,
                                          struct base_error *error);
enum base_status __wrap_net_link_exchange(struct net_link *link, uint32_t step, const void *send_data, size_t send_size, void *ret_data, size_t receive_size,
                                          struct base_error *error);
enum base_status __wrap_net_link_exchange(struct net_link *link, uint32_t step, const void *send_data, size_t send_size, void *ret_data, size_t receive_size,
                                          struct base_error *error)
{
    if (!lies())
        return __real_net_link_exchange(link, step, send_data, send_size, ret_data, receive_size, error);
    struct words w = words_for(step, send_data, send_size);
    enum base_status status = BASE_OK;
    if (w.times == 2)
        status = __real_net_link_send(link, w.step, w.data, w.size, error);
    if (status == BASE_OK)
        status = __real_net_link_exchange(link, w.step, w.data, w.times == 0 ? 0 : w.size, ret_data, receive_size, error);
    free(w.data);
    return status;
}

/* Each role runs in a thread of its own. */
enum base_status __real_eng_session_join(struct eng_session *session, const struct eng_session_links *links, struct base_error *error);
enum base_status __wrap_eng_session_join(struct eng_session *session, const struct eng_session_links *links, struct base_error *error);
enum base_status __wrap_eng_session_join(struct eng_session *session, const struct eng_session_links *links, struct base_error *error)
{
    own_role = (int)session->party.role;
    return __real_eng_session_join(session, links, error);
}

enum base_status __real_eng_session_serve(struct eng_session *session, struct net_link *client, struct eng_served *ret, struct base_error *error);
enum base_status __wrap_eng_session_serve(struct eng_session *session, struct net_link *client, struct eng_served *ret, struct base_error *error);
enum base_status __wrap_eng_session_serve(struct eng_session *session, struct net_link *client, struct eng_served *ret, struct base_error *error)
{
    own_role = (int)session->party.role;
    return __real_eng_session_serve(session, client, ret, error);
}

enum base_status __real_net_link_create(struct net_link **ret, const struct net_carrier *functions, void *carrier, const char *peer, uint16_t stream,
                                        struct base_error *error);
enum base_status __wrap_net_link_create(struct net_link **ret, const struct net_carrier *functions, void *carrier, const char *peer, uint16_t stream,
                                        struct base_error *error);
enum base_status __wrap_net_link_create(struct net_link **ret, const struct net_carrier *functions, void *carrier, const char *peer, uint16_t stream,
                                        struct base_error *error)
{
    enum base_status status = __real_net_link_create(ret, functions, carrier, peer, stream, error);
    if (status == BASE_OK)
        net_link_set_timeout(*ret, DEADLINE_MS);
    return status;
}

/* --- its victims --------------------------------------------------------------------------------------------------------------------- */

struct stage {
    struct model model;
    struct eng_sampler sampler;
    struct eng_local *local; /* NULL: they have parted */
    const char *policy;
};

static struct eng_decoder_form form_of(const struct stage *s, enum mpc_role role)
{
    struct base_error error = {0};
    struct eng_decoder_form form = {.shape = s->model.source.shape, .plan = &s->model.plan, .weights = &s->model.weights[role], .gates = &s->model.gates,
                                    .context = CONTEXT, .chunk = CHUNK};
    check_ok(kv_config_parse(s->policy, 0, &form.policy, &form.config, &error), &error, s->policy);
    return form;
}

/* What a failure may be called; its text says whose fault it was. */
static void judge(enum base_status status, const struct base_error *error, const char *who)
{
    bool named = status == BASE_OK || status == BASE_ERR_ARGUMENT || status == BASE_ERR_RANGE || status == BASE_ERR_PEER || status == BASE_ERR_MISMATCH ||
                 status == BASE_ERR_TIMEOUT || status == BASE_ERR_CLOSED || status == BASE_ERR_SUPPORT;
    if (!named || (status != BASE_OK && error->text[0] == '\0'))
        fail_msg("%s: error %d, %s", who, (int)status, error->text);
}

static void meet(struct stage *s)
{
    struct base_error error = {0};
    struct eng_local_form form = {.form = form_of(s, MPC_HELPER), .idle_ms = DEADLINE_MS, .kern = kern_table_select(~0u)};
    for (int i = 0; i < 3; i++)
        form.weights[i] = &s->model.weights[i];
    enum base_status status = eng_local_create(&s->local, &form, &error);
    if (liar.role < 0)
        check_ok(status, &error, "join");
    judge(status, &error, "join");
}

static enum base_status generate(struct stage *s, const struct eng_backend *backend, struct eng_generated *ret, struct base_error *error)
{
    struct counter counter = {0};
    struct eng_generation g = {.backend = backend, .shape = s->model.source.shape, .plan = &s->model.plan, .sampler = &s->sampler,
                               .prompt = s->model.samples[1], .prompt_tokens = PROMPT, .new_tokens = NEW_TOKENS, .ignore_eos = true,
                               .token = count_token, .context = &counter};
    return eng_generate(&g, ret, error);
}

/* One request. Whoever lies, it ends. Returns whether there is an answer. */
static bool ask(struct stage *s, bool inside, struct eng_generated *ret)
{
    struct base_error error = {0};
    struct net_link *links[3];
    struct eng_remote remote;
    struct eng_usage usage[3];
    struct eng_request request = {.prompt_tokens = PROMPT, .new_tokens = NEW_TOKENS, .chunk = CHUNK, .mode = inside ? ENG_REQUEST_ARGMAX : ENG_REQUEST_SAMPLE};
    check_ok(eng_local_start(s->local, links, &error), &error, "start");
    struct eng_remote_form form = {.shape = s->model.source.shape, .plan = &s->model.plan, .link = {links[0], links[1], links[2]}, .kern = kern_table_select(~0u)};
    own_role = CLIENT;
    enum base_status status = eng_remote_begin(&remote, &form, &request, false, &error);
    bool answered = false;
    if (status == BASE_OK) {
        struct eng_backend backend = eng_remote_backend(&remote);
        status = generate(s, &backend, ret, &error);
        answered = status == BASE_OK;
        if (answered)
            status = eng_remote_end(&remote, usage, &error);
    }
    own_role = -1;
    judge(status, &error, "client");
    if (status != BASE_OK)
        for (int i = 0; i < 3; i++)
            net_link_abort(links[i], &error);
    enum base_status first = status;
    struct base_error parties = {0};
    status = eng_local_wait(s->local, usage, &parties);
    if (liar.role < 0) {
        check_ok(first, &error, "honest client");
        check_ok(status, &parties, "honest parties");
    }
    judge(status, &parties, "parties");
    eng_remote_finish(&remote);
    if (first != BASE_OK || status != BASE_OK)
        eng_local_destroy(&s->local);
    return answered;
}

static void twin_answer(struct stage *s, struct eng_generated *ret)
{
    struct base_error error = {0};
    struct eng_twin twin;
    check_ok(eng_twin_init(&twin, form_of(s, MPC_CLEAR), kern_table_select(~0u), ENG_REQUEST_SAMPLE, &error), &error, "twin");
    struct eng_backend backend = eng_twin_backend(&twin);
    check_ok(generate(s, &backend, ret, &error), &error, "twin's answer");
    eng_twin_finish(&twin);
}

static void honest(struct stage *s, const struct eng_generated *want, bool inside)
{
    struct eng_generated answer;
    liar.role = -1;
    memset(said_by, 0, sizeof said_by);
    if (s->local == NULL)
        meet(s);
    assert_true(ask(s, inside, &answer));
    assert_int_equal(answer.count, want->count);
    assert_memory_equal(answer.tokens, want->tokens, want->count * sizeof *want->tokens);
    eng_generated_finish(&answer);
}

/* --- runs ---------------------------------------------------------------------------------------------------------------------------- */

static size_t asked_lies = LIES;
static uint64_t asked_seed = SEED;

static void test_lies(void **state)
{
    struct stage s = {.policy = policies[0]};
    struct base_error error = {0};
    struct eng_generated want, answer;
    size_t answers = 0;
    int64_t longest = 0;
    (void)state;
    if (!model_open(&s.model, "models/keeper", (struct model_options){.context = CONTEXT}))
        skip();
    check_ok(eng_sampler_init(&s.sampler, (struct eng_sampling){0}, s.model.source.shape->vocab, &error), &error, "sampler");
    liar.random = asked_seed;
    for (size_t n = 0; n < asked_lies; n++) {
        bool inside = n / HONEST_EVERY % 2 == 1;
        if (n % HONEST_EVERY == 0) {
            if (n > 0) {
                honest(&s, &want, !inside);
                eng_generated_finish(&want);
            }
            eng_local_destroy(&s.local);
            s.policy = policies[n / HONEST_EVERY % POLICIES];
            twin_answer(&s, &want);
            honest(&s, &want, inside);
        }
        int role = (int)below(ROLES);
        liar.lie = (enum lie)below(below(4) == 0 ? LIES_COUNT : LIE_CONTENTS);
        liar.from = below(said_by[role] + 1);
        liar.count = below(4) == 0 ? SIZE_MAX : 1 + below(3);
        liar.said = 0;
        int64_t started = base_clock_ms();
        alarm(LIFE_SECONDS); /* the program's end: a hang */
        /* Few messages are said before the first request, and some of the lies are told there. */
        bool early = role != CLIENT && below(8) == 0;
        if (early) {
            eng_local_destroy(&s.local);
            liar.from = below(3);
        }
        liar.role = early || s.local != NULL ? role : -1;
        if (s.local == NULL)
            meet(&s);
        liar.role = role;
        if (s.local != NULL && ask(&s, inside, &answer)) {
            answers++;
            eng_generated_finish(&answer);
        }
        liar.role = -1;
        alarm(0);
        int64_t took = base_clock_ms() - started;
        longest = took > longest ? took : longest;
    }
    honest(&s, &want, false);
    eng_generated_finish(&want);
    print_message("%zu lies told; %zu runs ended with an answer, the others with named errors; the longest took %.1f s; 0 hangs\n", asked_lies, answers,
                  (double)longest / 1e3);
    eng_local_destroy(&s.local);
    eng_sampler_finish(&s.sampler);
    model_close(&s.model);
    free(liar.last);
}

int main(int count, char **words)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lies)};
    if (count > 1)
        asked_lies = (size_t)strtoul(words[1], NULL, 10);
    if (count > 2)
        asked_seed = (uint64_t)strtoull(words[2], NULL, 10);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
