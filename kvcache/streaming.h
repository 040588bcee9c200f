/* Streaming heads: some KV heads see everything, the others the first and the last rows. Which ones follows
 * from the profile of the model, so that all of it is public and costs nothing on shares.
 *
 * Sizes: `full` percent of the KV heads stay full, the others see `sinks` and `window` rows. A budget is the
 * mean over all KV heads, a full one counting as the whole prompt: with it the window follows, and, where
 * `full` is not given, one head is full, or as many as take no more than two thirds of the budget. Neither
 * the number of full heads nor their choice depends on the length of a prompt. */
#ifndef CACHET_KVCACHE_STREAMING_H
#define CACHET_KVCACHE_STREAMING_H

#include "kvcache/policy.h"

/* What holds where neither key nor budget says anything. */
struct kv_streaming_standard {
    const char *name;
    uint32_t full; /* percent of the KV heads */
    uint32_t window;
};

/* Makes every head's rows stream while decoding, and those of the prompt where `prompt` is true.
 * *ret_full: how many heads are to be made full again. Errors: BASE_ERR_ARGUMENT: a budget without room for
 * full heads, sinks and a row, or with a window beside it. */
BASE_MUST_USE enum base_status kv_stream_all(struct kv_plan *plan, const struct kv_config *config,
                                             const struct kv_streaming_standard *standard, bool prompt,
                                             size_t *ret_full, struct base_error *error);
/* Of the heads that stream, the `count` with the highest score see everything; ties go to the earlier layer
 * and head. */
void kv_stream_except(struct kv_plan *plan, enum kv_head_score score, size_t count);

#endif
