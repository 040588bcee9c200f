/* razor: retrieval heads see everything, the others sinks and a window once the prompt is read.
 *
 * Retrieval heads are those that look for what followed the current token before (induction), and a few that
 * look for its earlier occurrences (echo), by the profile of the model: 14 and 1 in 15 of those that stay
 * full. The prompt is read in full. Left: the mean row that the original keeps of what a head has lost.
 * Source: RazorAttention, arXiv 2407.15891: 14 % and 1 % of the heads, 4 sinks, a window of a fifth of the
 * rows. */
#include "kvcache/streaming.h"

static enum base_status plan(const struct kv_config *config, struct kv_plan *ret, struct base_error *error)
{
    enum { FULL = 15, ECHOES = 15, LEAST_WINDOW = 128, WINDOW_PART = 5 };
    enum base_status status = BASE_OK;
    size_t full, part = ret->dims.prompt / WINDOW_PART;
    struct kv_streaming_standard standard = {
        .name = "razor", .full = FULL, .window = part > LEAST_WINDOW ? (uint32_t)part : LEAST_WINDOW};
    TRY(kv_stream_all(ret, config, &standard, false, &full, error));
    size_t echoes = (full + ECHOES / 2) / ECHOES;
    kv_stream_except(ret, KV_HEAD_INDUCTION, full - echoes);
    kv_stream_except(ret, KV_HEAD_ECHO, echoes);
out:
    return status;
}

static const struct kv_option options[] = {{KV_BUDGET, 0}, {KV_FULL, 0}, {KV_SINKS, 4}, {KV_WINDOW, 0}};

const struct kv_policy kv_policy_razor = {
    .name = "razor",
    .summary = "heads that retrieve see everything, the others the first and the last rows",
    .source = "RazorAttention, arXiv 2407.15891",
    .leakage = KV_LEAKAGE_OF_PROFILE,
    .reads_profile = true,
    KV_OPTIONS(options),
    .plan = plan};
