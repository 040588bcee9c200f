#include "engine/twin.h"

#include "base/memory.h"
#include "mpc/maker.h"
#include "mpc/opening.h"
#include "protocols/argmax.h"

#include <string.h>

enum base_status eng_twin_init(struct eng_twin *ret, struct eng_decoder_form form,
                               const struct kern_table *kern, enum eng_request_mode mode,
                               struct base_error *error)
{
    enum base_status status = BASE_OK;
    *ret = (struct eng_twin){.request.mode = mode};
    TRY(eng_decoder_init(&ret->decoder, MPC_CLEAR, form, error));
    TRY(mpc_party_init(&ret->party, MPC_CLEAR, kern, eng_decoder_work_size(&ret->decoder), error));
    ret->party.maker = form.plan->pair ? &mpc_maker_of_twin : NULL;
    TRY(base_alloc(&ret->hot, ret->decoder.form.chunk * form.shape->vocab, sizeof *ret->hot, error));
    return BASE_OK;
out:
    eng_twin_finish(ret);
    return status;
}

void eng_twin_finish(struct eng_twin *twin)
{
    eng_decoder_finish(&twin->decoder);
    mpc_party_finish(&twin->party);
    base_free_secret(&twin->hot);
}

void eng_twin_reset(struct eng_twin *twin)
{
    eng_decoder_reset(&twin->decoder);
    twin->party.guard = 0;
    base_arena_release(&twin->party.arena, 0);
    base_arena_trim(&twin->party.arena);
}

static enum base_status step(void *context, const int32_t *tokens, size_t n, size_t rows,
                             struct eng_answer *ret, struct base_error *error)
{
    struct eng_twin *t = context;
    struct mpc_party *p = &t->party;
    enum base_status status = BASE_OK;
    size_t vocab = t->decoder.form.shape->vocab, mark = base_arena_mark(&p->arena);
    struct eng_logits out;
    bool is_void;
    TRY_THAT(n >= 1 && n <= t->decoder.form.chunk, &p->error, BASE_ERR_ARGUMENT,
             "a step of %zu tokens: must be 1 to %zu", n, t->decoder.form.chunk);
    memset(t->hot, 0, n * vocab * sizeof *t->hot);
    for (size_t i = 0; i < n; i++) {
        TRY_THAT(tokens[i] >= 0 && (size_t)tokens[i] < vocab, &p->error, BASE_ERR_ARGUMENT,
                 "a token is outside the model's vocabulary of %zu", vocab);
        t->hot[i * vocab + (size_t)tokens[i]] = 1;
    }
    TRY(eng_decoder_step(&t->decoder, p, mpc_input(p, t->hot, n * vocab, SEC_ROW_RING, 0, 1), n, rows, &out));
    if (rows > 0 && t->request.mode == ENG_REQUEST_ARGMAX) {
        struct sec_max_step max = sec_max_step_for(out.logits.bound, out.logits.count);
        struct sec_ranked best;
        TRY(sec_argmax_eval(p, &max, out.logits, &best));
        ret->token = (int32_t)best.id.x[0];
    } else if (rows > 0) {
        memcpy(ret->logits, out.logits.x, rows * vocab * sizeof *ret->logits);
        memcpy(ret->squares, out.squares.x, rows * sizeof *ret->squares);
    }
    is_void = p->guard != 0;
    TRY(mpc_open_guard(p));
    if (is_void)
        status = eng_fail_void(error);
    if (is_void && p->violation != NULL)
        base_error_prefix(error, "in the clear, first outside its range: %s", p->violation);
out:
    base_arena_release(&p->arena, mark);
    if (status != BASE_OK)
        (void)base_fail(error, status, "%s", p->error.text);
    return status;
}

static enum base_status begin(void *context, size_t prompt_tokens, size_t new_tokens, struct base_error *error)
{
    struct eng_twin *t = context;
    return eng_decoder_begin(&t->decoder, &t->party, prompt_tokens, new_tokens, error);
}

struct eng_backend eng_twin_backend(struct eng_twin *twin)
{
    return (struct eng_backend){
        .begin = begin, .step = step, .context = twin, .chunk = twin->decoder.form.chunk, .mode = twin->request.mode};
}
