#include "kernels/fss/core.h"

#include "base/memory.h"

/* The part of a job that starts at lane `at`. */
static struct kern_fss_walk rest_of(const struct kern_fss_walk *job, size_t at)
{
    struct kern_fss_walk rest = *job;
    rest.lanes -= at;
    rest.state += at;
    rest.x += at;
    rest.offset = job->offset == NULL ? NULL : job->offset + at;
    rest.value = job->value == NULL ? NULL : job->value + at * (size_t)job->value_blocks;
    rest.prefix = job->prefix == NULL ? NULL : job->prefix + at;
    return rest;
}

/* Fewer lanes than a group holds: spare lanes repeat the first one, in copies. */
static void walk_few(const struct kern_fss_walk *job, size_t width, kern_fss_group group, const void *keys)
{
    struct kern_block state[KERN_FSS_MAX_LANES], value[KERN_FSS_MAX_LANES * KERN_FSS_VALUE_BLOCKS];
    uint64_t x[KERN_FSS_MAX_LANES];
    uint32_t offset[KERN_FSS_MAX_LANES];
    uint8_t prefix[KERN_FSS_MAX_LANES];
    struct kern_fss_walk copy = *job;
    size_t values = job->lanes * (size_t)job->value_blocks;
    for (size_t i = 0; i < width; i++) {
        size_t from = i < job->lanes ? i : 0;
        state[i] = job->state[from];
        x[i] = job->x[from];
        offset[i] = job->offset == NULL ? 0 : job->offset[from];
        prefix[i] = 0;
    }
    memset(value, 0, sizeof value);
    if (job->value != NULL)
        memcpy(value, job->value, values * sizeof *value);
    copy.lanes = width;
    copy.state = state;
    copy.x = x;
    copy.offset = job->offset == NULL ? NULL : offset;
    copy.value = value;
    copy.prefix = prefix;
    group(&copy, keys);
    memcpy(job->state, state, job->lanes * sizeof *state);
    if (job->value != NULL)
        memcpy(job->value, value, values * sizeof *value);
    for (size_t i = 0; job->prefix != NULL && i < job->lanes; i++)
        job->prefix[i] ^= prefix[i];
    base_wipe(state, sizeof state);
    base_wipe(value, sizeof value);
}

void kern_fss_walk_groups(const struct kern_fss_walk *job, size_t width, kern_fss_group group, const void *keys)
{
    size_t at = 0;
    for (; at + width <= job->lanes; at += width) {
        struct kern_fss_walk part = rest_of(job, at);
        part.lanes = width;
        group(&part, keys);
    }
    if (at < job->lanes) {
        struct kern_fss_walk rest = rest_of(job, at);
        walk_few(&rest, width, group, keys);
    }
}
