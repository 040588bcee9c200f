/* What gates do with dealt words: sums over tables, segments, turns and powers. */
#include "kernels/internal.h"
#include "kernels/scalar/power.h"

/* sum_i hot[i] * entry[-i step], `count` terms in two sums, so that they do not wait for each other. */
static uint64_t dot_downwards(const uint64_t *hot, const uint64_t *entry, size_t count, size_t step)
{
    uint64_t even = 0, odd = 0;
    size_t i = 0;
    for (; i + 2 <= count; i += 2) {
        even += hot[i] * *(entry - i * step);
        odd += hot[i + 1] * *(entry - (i + 1) * step);
    }
    return i < count ? even + odd + hot[i] * *(entry - i * step) : even + odd;
}

/* From m down to the start of the table and then from its end: m is public, and entries far apart are loaded one by one
 * faster than they are gathered. */
uint64_t kern_scalar_grid_dot(const uint64_t *hot, const uint64_t *table, uint64_t m, int h, int s)
{
    size_t cells = (size_t)1 << h, step = (size_t)1 << s, from = m & kern_ring_mask(h + s), first = (from >> s) + 1;
    uint64_t sum = dot_downwards(hot, table + from, first, step);
    return sum + dot_downwards(hot + first, table + from + (cells - first) * step, cells - first, step);
}

void kern_scalar_segment_dot(uint64_t *ret, const uint64_t *hot, const uint64_t *const c[3], uint64_t j, size_t cells,
                             int triples)
{
    for (int t = 0; t < triples; t++, hot += 3 * cells) {
        ret[t] = 0;
        for (size_t i = 0; i < cells; i++) {
            uint64_t slope = c[1][i] + j * c[2][i];
            ret[t] += hot[i] * (c[0][i] + j * slope) - hot[cells + i] * (slope + j * c[2][i]);
            ret[t] += hot[2 * cells + i] * c[2][i];
        }
    }
}

void kern_scalar_turn_add(uint64_t *share, const uint64_t *word, const uint64_t *m, size_t n, const struct kern_turn *turn)
{
    int64_t half = turn->down == 0 ? 0 : INT64_C(1) << (turn->down - 1);
    for (size_t i = 0; i < n; i++) {
        int64_t factor = kern_turn_at(turn->quarter, turn->log_period, turn->multiple * m[i] - turn->offset);
        share[i] += word[i] * (uint64_t)((factor + half) >> turn->down) << turn->up;
    }
}

void kern_scalar_power_words(uint64_t *out, const uint64_t *words, size_t stride, int limbs, const uint64_t *m, size_t n,
                             const struct base_exact_power *factor, int s)
{
    for (size_t i = 0; i < n; i++)
        out[i] = kern_power_scale(words + 2 * i + (m[i] >> s), stride, limbs, factor[m[i] & kern_ring_mask(s)]);
}
