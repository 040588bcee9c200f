#include "kvcache/profile.h"

#include "base/memory.h"

#include <stdint.h>
#include <string.h>

static const int shares[KV_CURVE_POINTS] = {100,  200,  300,  500,  700,  1000, 1500, 2000,
                                            2500, 3000, 4000, 5000, 6000, 7000, 8000, 9000};

const char *kv_head_score_name(enum kv_head_score score)
{
    static const char *const names[KV_HEAD_SCORES] = {"echo", "induction", "deviation"};
    return names[score];
}

int kv_curve_share(size_t point)
{
    return shares[point];
}

enum base_status kv_profile_init(struct kv_profile *ret, size_t layers, size_t kv_heads,
                                 struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct kv_profile profile = {.layers = layers, .kv_heads = kv_heads};
    TRY(base_alloc(&profile.head, layers * kv_heads, sizeof *profile.head, error));
    TRY(base_alloc(&profile.curve, layers * KV_CURVE_POINTS, sizeof *profile.curve, error));
    *ret = profile;
    return BASE_OK;
out:
    kv_profile_finish(&profile);
    return status;
}

enum base_status kv_profile_init_uniform(struct kv_profile *ret, size_t layers, size_t kv_heads,
                                         struct base_error *error)
{
    enum base_status status = kv_profile_init(ret, layers, kv_heads, error);
    for (size_t i = 0; status == BASE_OK && i < layers * kv_heads; i++)
        for (int s = 0; s < KV_HEAD_SCORES; s++)
            ret->head[i].score[s] = KV_PROFILE_ONE * (int)(kv_heads - i % kv_heads) / (int)kv_heads;
    for (size_t i = 0; status == BASE_OK && i < layers * KV_CURVE_POINTS; i++)
        ret->curve[i] = kv_curve_share(i % KV_CURVE_POINTS);
    return status;
}

void kv_profile_finish(struct kv_profile *profile)
{
    base_free(&profile->head);
    base_free(&profile->curve);
}

enum base_status kv_profile_copy(struct kv_profile *ret, const struct kv_profile *profile,
                                 struct base_error *error)
{
    *ret = (struct kv_profile){0};
    if (profile->layers == 0)
        return BASE_OK;
    enum base_status status = kv_profile_init(ret, profile->layers, profile->kv_heads, error);
    if (status != BASE_OK)
        return status;
    memcpy(ret->head, profile->head, profile->layers * profile->kv_heads * sizeof *ret->head);
    memcpy(ret->curve, profile->curve, profile->layers * KV_CURVE_POINTS * sizeof *ret->curve);
    return BASE_OK;
}

enum base_status kv_profile_check(const struct kv_profile *profile, struct base_error *error)
{
    enum base_status status = BASE_OK;
    for (size_t i = 0; i < profile->layers * profile->kv_heads; i++)
        for (int s = 0; s < KV_HEAD_SCORES; s++) {
            int score = profile->head[i].score[s];
            TRY_THAT(score >= 0 && score <= KV_PROFILE_MOST_SCORE, error, BASE_ERR_FORMAT,
                     "profile: layer %zu, %s of head %zu is %d: must be 0 to %d", i / profile->kv_heads,
                     kv_head_score_name((enum kv_head_score)s), i % profile->kv_heads, score,
                     KV_PROFILE_MOST_SCORE);
        }
    for (size_t i = 0; i < profile->layers * KV_CURVE_POINTS; i++) {
        size_t point = i % KV_CURVE_POINTS;
        int value = profile->curve[i], last = point == 0 ? 0 : profile->curve[i - 1];
        TRY_THAT(value >= last && value <= KV_PROFILE_ONE, error, BASE_ERR_FORMAT,
                 "profile: layer %zu, point %zu of the curve is %d after %d: must rise to %d at most",
                 i / KV_CURVE_POINTS, point, value, last, KV_PROFILE_ONE);
    }
out:
    return status;
}

size_t kv_profile_rows(const struct kv_profile *profile, size_t layer, size_t rows, int level)
{
    const int *curve = profile->curve + layer * KV_CURVE_POINTS;
    int64_t share = 0, value = 0;
    for (size_t i = 0; i <= KV_CURVE_POINTS; i++) {
        int64_t next_share = i < KV_CURVE_POINTS ? shares[i] : KV_PROFILE_ONE,
                next = (int64_t)(i < KV_CURVE_POINTS ? curve[i] : KV_PROFILE_ONE) * KV_LEVEL_FINE;
        if (level <= next && next > value) {
            int64_t run = next - value, at = share * run + (next_share - share) * ((int64_t)level - value);
            return (size_t)((uint64_t)at * rows / (uint64_t)(run * KV_PROFILE_ONE));
        }
        share = next_share;
        value = next;
    }
    return rows;
}
