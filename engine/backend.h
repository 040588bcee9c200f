/* Who computes the steps of a generation: the parties behind their links (engine/remote.h) or the plaintext
 * twin (engine/twin.h). */
#ifndef CACHET_ENGINE_BACKEND_H
#define CACHET_ENGINE_BACKEND_H

#include "engine/plan.h"
#include "engine/request.h"
#include "engine/formats/model_file.h"

/* What a step gives, as opened integers: logits [rows][vocab] with 14 fraction bits, un-normalised; squares
 * [rows], sum x^2 of the final rows; or the token that was chosen inside. */
struct eng_answer {
    int64_t *logits;
    int64_t *squares;
    int32_t token;
};

struct eng_backend {
    /* Called before the prompt is fed, where it is not NULL: the lengths, on which a cache policy's sizes depend. */
    enum base_status (*begin)(void *context, size_t prompt_tokens, size_t new_tokens, struct base_error *error);
    /* Feeds n tokens (n <= chunk). rows: logit rows wanted, 0, 1 (the last) or n; arrays of *ret have room
     * for them.
     * Errors: BASE_ERR_RANGE when a guard has reported a value, so that the answer is void (eng_fail_void).
     * The parties' backend says so at the last step of a prompt, and has ended the request; the twin at once.
     */
    enum base_status (*step)(void *context, const int32_t *tokens, size_t n, size_t rows,
                             struct eng_answer *ret, struct base_error *error);
    void *context;
    size_t chunk;
    enum eng_request_mode mode;
};

/* Records that a value left its range, and what to do; BASE_ERR_RANGE. */
enum base_status eng_fail_void(struct base_error *error);

/* log-probability scale: logits / rms of the final rows. ret [rows][vocab]. */
void eng_normalise_logits(const struct eng_model_shape *shape, const struct eng_plan *plan,
                          const struct eng_answer *answer, size_t rows, double *ret);

#endif
