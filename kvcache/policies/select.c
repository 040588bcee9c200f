/* select: decode steps attend to the units of rows that score highest by their query, one set for several
 * steps; everything is selected from, or what an eviction after the prompt left.
 *
 * Each KV head scores units by the sum of its queries, and the best ones are gathered. Rows that arrive
 * meanwhile are attended to as part of the window. With async=1 a set is chosen from the queries of the step
 * before it comes into use, and its rounds take part in those of other layers. score=box, alpha and squares
 * are there for comparison: they cost more than they give. Source: specification, kv.py (GatherCache),
 * section 9.4; InfLLM, arXiv 2402.04617, for block means; Quest, arXiv 2406.10774, for boxes; LServe, arXiv
 * 2502.14866, for one set over several steps. */
#include "kvcache/policy.h"

static enum base_status plan(const struct kv_config *config, struct kv_plan *ret, struct base_error *error)
{
    enum base_status status = BASE_OK;
    const uint32_t *v = config->value;
    struct kv_selection_plan select;
    TRY(kv_selection_of(config, "select", ret->dims.prompt, &select, error));
    TRY(kv_evict_statically(config, "select", ret, v[KV_UNIT], error));
    kv_select_in_all_layers(ret, &select, v[KV_SHARE]);
out:
    return status;
}

static const struct kv_option options[] = {
    {KV_BUDGET, 0}, {KV_KEEP, 0},     {KV_SINKS, 4},   {KV_WINDOW, 32}, {KV_UNIT, 16},
    {KV_REUSE, 4},  {KV_ASYNC, 0},    {KV_SHARE, 1},   {KV_BEFORE, 0},  {KV_SCORE, KV_SCORE_MEAN},
    {KV_ALPHA, 10}, {KV_STATIC, 100}, {KV_QUERIES, 20}};

const struct kv_policy kv_policy_select = {
    .name = "select",
    .summary = "decode steps attend to the best units by their query, one set for several steps",
    .source = "specification, section 9.4",
    .leakage = KV_LEAKAGE_OF_SELECTION,
    KV_OPTIONS(options),
    .plan = plan};
