#include "parties/memory.h"

#include <stdio.h>

enum base_status memory_of(struct memory_need *ret, enum mpc_role role, const struct memory_form *f,
                           struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_decoder decoder = {0};
    /* The count role allocates nothing but its plan of slots. */
    struct eng_decoder_form form = {
        .shape = f->shape, .plan = f->plan, .policy = f->policy, .config = f->config, .context = f->context};
    TRY(eng_decoder_init(&decoder, MPC_COUNT, form, error));
    *ret = (struct memory_need){.weights = eng_weights_size(role, f->shape, f->plan),
                                .work = eng_decoder_work_size(&decoder)};
    for (size_t l = 0; l < f->plan->layers; l++)
        ret->cache += kv_cache_size(&decoder.cache[l], role);
    if (f->slots > 1) {
        ret->cache *= f->slots;
        ret->work += f->slots * eng_decoder_lane_size(&decoder);
    }
    /* Half of what a link may queue lies at each end, and P0 has two links that fill. */
    ret->queues = role == MPC_HELPER ? f->queue_bytes : role == MPC_CLEAR ? 0 : f->queue_bytes / 2;
out:
    eng_decoder_finish(&decoder);
    return status;
}

uint64_t memory_total(const struct memory_need *need)
{
    return need->weights + need->cache + need->work + need->queues;
}

uint64_t memory_available(void)
{
    char line[256];
    unsigned long long kilobytes = 0;
    FILE *file = fopen("/proc/meminfo", "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "MemAvailable: %llu kB", &kilobytes) == 1)
            break;
    if (file != NULL)
        (void)fclose(file);
    return (uint64_t)kilobytes * 1024;
}
