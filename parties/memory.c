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
    /* A coefficient for each weight, of 128 bits where its ring has 32 at most, as the embedding's, else of 192 (pair/rlwe.h). */
    if (f->alone && (role == MPC_LEFT || role == MPC_RIGHT)) {
        struct eng_weight_words words = eng_weights_words(f->shape, f->plan);
        ret->encrypted = 16 * (uint64_t)f->shape->vocab * f->shape->width;
        for (int w = 0; w < KERN_WORDS; w++)
            ret->encrypted += words.count[w] * (w == KERN_WORD_32 ? 16 : 24);
    }
    /* Half of what a link may queue lies at each end, and P0 has two links that fill. */
    ret->queues = role == MPC_HELPER ? f->queue_bytes : role == MPC_CLEAR ? 0 : f->queue_bytes / 2;
out:
    eng_decoder_finish(&decoder);
    return status;
}

uint64_t memory_total(const struct memory_need *need)
{
    return need->weights + need->cache + need->work + need->queues + need->encrypted;
}

const char *memory_text(const struct memory_need *need, char ret[MEMORY_TEXT])
{
    (void)snprintf(ret, MEMORY_TEXT, "%.0f MB weights%s, %.0f MB cache, up to %.0f MB work and queues", (double)(need->weights + need->encrypted) * 1e-6,
                   need->encrypted > 0 ? " with the other's, encrypted" : "", (double)need->cache * 1e-6, (double)(need->work + need->queues) * 1e-6);
    return ret;
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
