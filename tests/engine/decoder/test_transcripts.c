/* Whole requests over three sessions: each end of each link, parties' and client's, sees the same frames (order, step, direction, size) for prompts of
 * equal length, whatever is chosen, kept, said or ended by. test_policies.c and test_two.c have single requests under every policy. */
#include "tests/engine/decoder/slots_support.h"

#include "engine/generate.h"

/* --- every link of the process, traced from its creation on ----------------------------------------------------------------------------- */

enum { MOST_LINKS = 32, MOST_FRAMES = 1 << 14 };

struct frames {
    size_t count;
    struct trio_frame frame[MOST_FRAMES];
};

struct end {
    struct frames way[2]; /* received, sent: which of the two comes first is up to the clock */
    bool of_p0;           /* or of who talks with P0 */
};

/* Of one run of requests: ends of links in the order in which they were made. An end belongs to one thread at a time. */
static struct recording {
    struct end *end[MOST_LINKS];
    size_t count;
} *recording;

static void trace(void *context, int sent, uint32_t step, size_t size)
{
    struct frames *frames = &((struct end *)context)->way[sent];
    assert_true(frames->count < MOST_FRAMES);
    frames->frame[frames->count++] = (struct trio_frame){step, size};
}

static void watch_end(struct net_link *link, bool of_p0)
{
    assert_true(recording->count < MOST_LINKS);
    recording->end[recording->count] = must_alloc(1, sizeof **recording->end);
    recording->end[recording->count]->of_p0 = of_p0;
    net_link_set_trace(link, trace, recording->end[recording->count++]);
}

enum base_status __real_net_memory_pair_create(struct net_link **ret_a, struct net_link **ret_b, const char *name_a, const char *name_b, uint16_t stream,
                                               size_t limit_bytes, struct base_error *error);
enum base_status __wrap_net_memory_pair_create(struct net_link **ret_a, struct net_link **ret_b, const char *name_a, const char *name_b, uint16_t stream,
                                               size_t limit_bytes, struct base_error *error);

enum base_status __wrap_net_memory_pair_create(struct net_link **ret_a, struct net_link **ret_b, const char *name_a, const char *name_b, uint16_t stream,
                                               size_t limit_bytes, struct base_error *error)
{
    enum base_status status = __real_net_memory_pair_create(ret_a, ret_b, name_a, name_b, stream, limit_bytes, error);
    if (status == BASE_OK) {
        bool of_p0 = strcmp(name_a, "P0") == 0 || strcmp(name_b, "P0") == 0;
        watch_end(*ret_a, of_p0);
        watch_end(*ret_b, of_p0);
    }
    return status;
}

/* Frames before the first note of an end. */
static size_t before_end(const struct frames *f)
{
    size_t n = 0;
    while (n < f->count && f->frame[n].step < UINT32_C(1) << 30)
        n++;
    return n;
}

/* early: how far P0 has dealt beyond an early end is up to the clock, so on its links one transcript begins with the other, up to the end. */
static bool same(const struct recording *a, const struct recording *b, bool early)
{
    bool well = a->count == b->count;
    for (size_t i = 0; well && i < a->count; i++)
        for (int sent = 0; sent < 2; sent++) {
            const struct frames *x = &a->end[i]->way[sent], *y = &b->end[i]->way[sent];
            bool whole = !early || !a->end[i]->of_p0;
            size_t n = whole ? x->count : before_end(x), other = whole ? y->count : before_end(y);
            if (whole)
                well = well && n == other;
            well = well && memcmp(x->frame, y->frame, (n < other ? n : other) * sizeof *x->frame) == 0;
        }
    return well;
}

static size_t count_frames(const struct recording *r)
{
    size_t sum = 0;
    for (size_t i = 0; i < r->count; i++)
        sum += r->end[i]->way[1].count;
    return sum;
}

static void forget(struct recording *r)
{
    for (size_t i = 0; i < r->count; i++)
        free(r->end[i]);
    r->count = 0;
}

/* --- runs -------------------------------------------------------------------------------------------------------------------------------- */

struct plan {
    const char *policy;
    enum eng_request_mode mode;
    size_t answer;          /* tokens after which the client ends */
    int texts[2][SLOTS];    /* samples that stand in the slots, of each of two runs */
    size_t slots;           /* 0: one request alone, by eng_generate */
};

static void run_alone(struct slots_stage *s, const struct plan *plan, int text, int32_t *ret_tokens)
{
    struct base_error error = {0};
    struct eng_sampler sampler;
    struct eng_generated got;
    struct counter counter = {.stop_after = plan->answer};
    struct eng_usage served[3];
    struct eng_request request = {.prompt_tokens = 19, .new_tokens = NEW_TOKENS, .chunk = CHUNK, .mode = plan->mode};
    check_ok(eng_sampler_init(&sampler, (struct eng_sampling){0}, s->model.source.shape->vocab, &error), &error, "sampler");
    check_ok(eng_local_start(s->local, s->links, &error), &error, "start");
    struct eng_remote_form form = {.shape = s->model.source.shape, .plan = &s->model.plan, .link = {s->links[0], s->links[1], s->links[2]}, .kern = s->kern};
    check_ok(eng_remote_begin(&s->remote, &form, &request, false, &error), &error, "begin");
    struct eng_backend backend = eng_remote_backend(&s->remote);
    struct eng_generation g = {.backend = &backend, .shape = s->model.source.shape, .plan = &s->model.plan, .sampler = &sampler,
                               .prompt = s->model.samples[text], .prompt_tokens = request.prompt_tokens, .new_tokens = NEW_TOKENS, .ignore_eos = true,
                               .token = count_token, .context = &counter};
    check_ok(eng_generate(&g, &got, &error), &error, "generate");
    check_ok(eng_remote_end(&s->remote, s->usage, &error), &error, "end");
    check_ok(eng_local_wait(s->local, served, &error), &error, "wait");
    assert_int_equal(got.count, plan->answer);
    memcpy(ret_tokens, got.tokens, got.count * sizeof *got.tokens);
    eng_remote_finish(&s->remote);
    eng_generated_finish(&got);
    eng_sampler_finish(&sampler);
}

/* Slots come one after the other, answer together, and end together. */
static void run_slots(struct slots_stage *s, const struct plan *plan, const int *texts, int32_t *ret_tokens)
{
    struct slots_lane lane[SLOTS], *all[SLOTS];
    for (size_t i = 0; i < plan->slots; i++) {
        lane[i] = slots_lane(s, i);
        lane[i].prompt = s->model.samples[texts[i]];
        all[i] = &lane[i];
        if (i == 0)
            slots_begin(s, &lane[0]);
        else
            slots_order(s, ENG_ORDER_OPEN, UINT32_C(1) << i, &lane[i]);
        slots_read_prompt(s, UINT32_C(1) << i, &lane[i]);
    }
    while (lane[0].count < plan->answer)
        (void)slots_step(s, (UINT32_C(1) << plan->slots) - 1, all, plan->slots);
    slots_end(s);
    memcpy(ret_tokens, lane[0].tokens, plan->answer * sizeof *ret_tokens);
}

static void record(struct slots_stage *s, const struct plan *plan, const int *texts, struct recording *ret, int32_t *ret_tokens)
{
    recording = ret;
    slots_open_parties(s, plan->policy);
    if (plan->slots == 0)
        run_alone(s, plan, texts[0], ret_tokens);
    else
        run_slots(s, plan, texts, ret_tokens);
    eng_local_destroy(&s->local);
}

static void check(struct slots_stage *s, const struct plan *plan)
{
    struct recording run[2] = {0};
    int32_t tokens[2][NEW_TOKENS];
    for (int i = 0; i < 2; i++)
        record(s, plan, plan->texts[i], &run[i], tokens[i]);
    /* Other answers, or nothing would have been compared. */
    assert_memory_not_equal(tokens[0], tokens[1], plan->answer * sizeof **tokens);
    print_message("%s, %zu slots, mode %d: %zu frames over %zu ends\n", plan->policy, plan->slots, (int)plan->mode, count_frames(&run[0]), run[0].count);
    assert_true(count_frames(&run[0]) > 100);
    assert_true(same(&run[0], &run[1], plan->answer < NEW_TOKENS));
    forget(&run[0]);
    forget(&run[1]);
}

static void test_alone(void **state)
{
    check(*state, &(struct plan){.policy = "full", .answer = NEW_TOKENS, .texts = {{0}, {1}}});
    check(*state, &(struct plan){.policy = "tova:keep=12:every=2", .answer = NEW_TOKENS, .texts = {{0}, {2}}});
}

static void test_inside(void **state)
{
    check(*state, &(struct plan){.policy = "full", .mode = ENG_REQUEST_ARGMAX, .answer = NEW_TOKENS, .texts = {{0}, {1}}});
}

/* The moment of an end is public; the token by which it came is not, nor whether one came at all. */
static void test_early_ends(void **state)
{
    struct slots_stage *s = *state;
    static const enum eng_request_mode modes[] = {ENG_REQUEST_SAMPLE, ENG_REQUEST_ARGMAX};
    for (size_t m = 0; m < 2; m++)
        check(s, &(struct plan){.policy = "full", .mode = modes[m], .answer = 3, .texts = {{1}, {2}}});
    /* And another moment is another transcript: the comparison sees it. */
    struct recording run[2] = {0};
    int32_t tokens[NEW_TOKENS];
    for (int i = 0; i < 2; i++)
        record(s, &(struct plan){.policy = "full", .answer = 3 + (size_t)i}, (const int[SLOTS]){1}, &run[i], tokens);
    assert_false(same(&run[0], &run[1], true));
    forget(&run[0]);
    forget(&run[1]);
}

static void test_slots(void **state)
{
    check(*state, &(struct plan){.policy = "full", .slots = 3, .answer = NEW_TOKENS, .texts = {{0, 1, 2}, {2, 0, 1}}});
    check(*state, &(struct plan){.policy = "select:keep=12:unit=2:window=4:sinks=2:reuse=2", .slots = 2, .answer = 5, .texts = {{0, 1}, {1, 2}}});
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_alone), cmocka_unit_test(test_inside), cmocka_unit_test(test_early_ends),
                                       cmocka_unit_test(test_slots), cmocka_unit_test(slots_test_draws)};
    return cmocka_run_group_tests(tests, slots_open_stage, slots_close_stage);
}
