/* pyramidkv: snapkv whose budget falls from the first to the last layer.
 *
 * Lower layers spread their attention, higher ones do not: the first layer keeps 2 m - m / beta rows, the
 * last one m / beta, beta = 20, of a mean budget m. Source: PyramidKV, arXiv 2406.02069. */
#include "kvcache/policy.h"

static enum base_status plan(const struct kv_config *config, struct kv_plan *ret, struct base_error *error)
{
    enum { BETA = 20 };
    enum base_status status = BASE_OK;
    size_t layers = ret->dims.layers, window;
    struct kv_eviction_plan evict;
    TRY(kv_eviction_of(config, "pyramidkv", ret->dims.prompt, &evict, error));
    window = evict.first + evict.last;
    TRY_THAT(evict.keep > window, error, BASE_ERR_ARGUMENT,
             "policy pyramidkv: a budget of %zu rows is no more than sinks and window, %zu: raise it",
             evict.keep, window);
    size_t mean = evict.keep - window, least = mean / BETA, most = 2 * mean - least;
    evict.query_rows = evict.last;
    for (size_t l = 0; l < layers; l++) {
        size_t rows = layers == 1 ? mean : most - (most - least) * l / (layers - 1);
        evict.keep = window + (rows < 2 * evict.unit ? 2 * evict.unit : rows);
        ret->layer[l].evict = evict;
    }
out:
    return status;
}

static const struct kv_option options[] = {{KV_BUDGET, 0}, {KV_KEEP, 0}, {KV_SINKS, 0}, {KV_WINDOW, 8},
                                           {KV_UNIT, 1},   {KV_POOL, 5}, {KV_HEADS, 1}};

const struct kv_policy kv_policy_pyramidkv = {.name = "pyramidkv",
                                              .summary =
                                                  "snapkv with a budget that falls from layer to layer",
                                              .source = "PyramidKV, arXiv 2406.02069",
                                              .leakage = KV_LEAKAGE_OF_EVICTION,
                                              KV_OPTIONS(options),
                                              .plan = plan};
