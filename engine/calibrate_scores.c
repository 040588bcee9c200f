#include "engine/calibrate_scores.h"

#include "base/memory.h"
#include "protocols/exp_two.h"
#include "protocols/reciprocal_two.h"

#include <math.h>
#include <string.h>

static const double ROW = 1.5;
enum { LEAST_LOG_CELLS = 4, MOST_LOG_CELLS = 6, LEAST_HEADROOM = 8 };

/* Ranges that are tried, in bits. */
/* clang-format off */
static const int RANGE_BITS[] = {
    8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60, 64, 68, 72, 76, 80, 84, 88, 92, 96, 104, 112, 120, 128, 136,
    144, 152, 160, 176, 192, 208, 224, 240, 256, 288, 320, 352, 384, 416, ENG_MOST_RANGE};
/* clang-format on */
enum { RANGES = sizeof RANGE_BITS / sizeof *RANGE_BITS };

void eng_head_extremes_init(struct eng_head_extremes *head)
{
    *head = (struct eng_head_extremes){
        .top = {-INFINITY, -INFINITY}, .bottom = {INFINITY, INFINITY}, .row = {INFINITY, INFINITY}};
}

void eng_head_see(struct eng_head_extremes *head, const float *score, size_t count)
{
    double top = -INFINITY, bottom = INFINITY;
    for (size_t i = 0; i < count; i++) {
        top = fmax(top, (double)score[i]);
        bottom = fmin(bottom, (double)score[i]);
    }
    for (int r = 0; r < ENG_REFERENCES; r++) {
        double reference = r == ENG_FROM_OWN ? (double)score[count - 1] : 0;
        head->top[r] = fmax(head->top[r], top - reference);
        head->bottom[r] = fmin(head->bottom[r], bottom - reference);
        head->row[r] = fmin(head->row[r], top - reference);
    }
}

/* Nats that are left above the largest and below the smallest score of a head whose scores span `seen`. */
static double margin_above(double seen)
{
    return 2 + fmin(0.1 * seen, 6);
}

static double margin_below(double seen)
{
    return fmin(0.3 * seen, 8 + 0.1 * seen);
}

/* A head within a range of t bits and cells of 2 t / 2^log_cells bits. */
struct fit {
    bool holds;
    struct eng_head_plan plan; /* its range is left open */
    int headroom;
    int margin; /* whole bits from the guard's cell down to the largest score that was seen, less one */
};

static struct fit fit_head(const struct eng_head_extremes *head, struct eng_range_plan range,
                           enum eng_from from)
{
    int r = from == ENG_FROM_OWN ? ENG_FROM_OWN : ENG_FROM_ZERO;
    double cell = ldexp(range.bits, 1 - range.log_cells) / M_LOG2E;
    double seen = head->top[r] - head->bottom[r];
    int ceiling = (int)ceil((head->top[r] + margin_above(seen) + cell) * ENG_CEILING_UNITS);
    double nats = (double)ceiling / ENG_CEILING_UNITS, span = nats - head->bottom[r] + margin_below(seen),
           gap = from == ENG_FROM_OWN ? nats : nats - head->row[r] + ROW;
    int headroom = from == ENG_FROM_MAXIMUM ? eng_range_slack(&range) : (int)ceil(gap * M_LOG2E);
    return (struct fit){.holds = span <= range.bits / M_LOG2E - cell,
                        .plan = {ceiling, from, 0},
                        .headroom = headroom < 1 ? 1 : headroom,
                        .margin = from == ENG_FROM_MAXIMUM ? 0 : (int)(margin_above(seen) * M_LOG2E) - 1};
}

/* Measured from zero or from the own score, whichever leaves less headroom. */
static struct fit fit_better(const struct eng_head_extremes *head, struct eng_range_plan range)
{
    struct fit zero = fit_head(head, range, ENG_FROM_ZERO), own = fit_head(head, range, ENG_FROM_OWN);
    return !own.holds || (zero.holds && zero.headroom <= own.headroom) ? zero : own;
}

/* Every head within every range, without and with a maximum that is found. */
enum { KINDS = 2 };
struct fits {
    size_t heads;
    struct fit *fit; /* [KINDS][MOST_LOG_CELLS + 1][RANGES][heads] */
};

static struct fit *fit_of(const struct fits *fits, bool found, int log_cells, int range, size_t head)
{
    size_t kind = (size_t)found * (MOST_LOG_CELLS + 1) + (size_t)log_cells;
    return &fits->fit[(kind * RANGES + (size_t)range) * fits->heads + head];
}

static enum base_status init_fits(struct fits *fits, const struct eng_head_extremes *heads, size_t count,
                                  struct base_error *error)
{
    enum base_status status = BASE_OK;
    *fits = (struct fits){.heads = count};
    TRY(base_alloc(&fits->fit, KINDS * (MOST_LOG_CELLS + 1) * RANGES * count, sizeof *fits->fit, error));
    for (int log_cells = LEAST_LOG_CELLS; log_cells <= MOST_LOG_CELLS; log_cells++)
        for (int r = 0; r < RANGES; r++)
            for (size_t h = 0; h < count; h++) {
                struct eng_range_plan range = {RANGE_BITS[r], log_cells};
                *fit_of(fits, false, log_cells, r, h) = fit_better(&heads[h], range);
                *fit_of(fits, true, log_cells, r, h) = fit_head(&heads[h], range, ENG_FROM_MAXIMUM);
            }
out:
    return status;
}

/* Bits per cached token: scores, e, words and guard. */
static int head_bits(const struct eng_range_plan *range, const struct eng_ceiling_widths *w)
{
    return 2 * (eng_range_units(range) + 1) + 4 * w->e_ring + 2 * (ENG_CEILING_MANTISSA + range->bits - 1) +
           (1 << range->log_cells);
}

/* What a layer may choose; ranges by their index in RANGE_BITS. */
struct candidate {
    int log_cells, range[ENG_RANGES], headroom;
    bool found; /* heads that do not hold otherwise find a maximum */
};

static bool widths_hold(const struct eng_plan *plan, size_t layer, const struct candidate *c)
{
    struct eng_ceiling_widths w = eng_plan_ceiling_widths(plan, layer);
    return w.e_ring <= plan->ring && w.inverse_frac >= ENG_CEILING_LEAST_INVERSE &&
           w.sum_bits <= SEC_RECIPROCAL_TWO_MOST_BITS &&
           w.e_ring + ENG_CEILING_MANTISSA + RANGE_BITS[c->range[1]] <= 64 * SEC_EXP_TWO_LIMBS;
}

/* The small range if that holds the head within the headroom, else the large one, else the last and a
 * maximum. */
static bool place(const struct eng_layer_plan *l, const struct fits *fits, const struct candidate *c,
                  size_t h, struct eng_head_plan *ret, int *margin)
{
    int last = l->range[1].bits > 0;
    for (int found = 0; found <= c->found; found++)
        for (int r = found ? last : 0; r <= last; r++) {
            const struct fit *fit = fit_of(fits, found, c->log_cells, c->range[r], h);
            if (!fit->holds || fit->headroom > c->headroom)
                continue;
            *ret = fit->plan;
            ret->range = r;
            *margin = fit->margin < *margin ? fit->margin : *margin;
            return true;
        }
    return false;
}

/* Bits of all heads per cached token; 0 when a head or a width does not hold. */
static int apply(struct eng_plan *plan, size_t layer, const struct fits *fits, const struct candidate *c)
{
    struct eng_layer_plan *l = &plan->layer[layer];
    struct eng_head_plan *head = plan->head + layer * fits->heads;
    int bits = 0, margin = ENG_CEILING_MOST_HEADROOM;
    l->attention = ENG_ATTENTION_CEILINGS;
    l->headroom = c->headroom;
    l->range[0] = (struct eng_range_plan){RANGE_BITS[c->range[0]], c->log_cells};
    l->range[1] = c->range[0] < c->range[1] ? (struct eng_range_plan){RANGE_BITS[c->range[1]], c->log_cells}
                                            : (struct eng_range_plan){0};
    for (size_t h = 0; h < fits->heads; h++)
        if (!place(l, fits, c, h, &head[h], &margin))
            return 0;
    /* Were all scores of a row as large as any that was seen, they would sum to this. */
    l->sum = eng_plan_log_context(plan) - eng_plan_ceiling_widths(plan, layer).empty - margin;
    if (!widths_hold(plan, layer, c))
        return 0;
    struct eng_ceiling_widths w = eng_plan_ceiling_widths(plan, layer);
    for (size_t h = 0; h < fits->heads; h++) {
        const struct eng_range_plan *range = &l->range[head[h].range];
        bits += head_bits(range, &w);
        if (head[h].from == ENG_FROM_MAXIMUM)
            bits += eng_plan_log_context(plan) << eng_range_log_bins(range);
    }
    return bits;
}

/* The cheapest of all; *ret_bits is 0 when none holds. */
static struct candidate search(struct eng_plan *plan, size_t layer, const struct fits *fits, bool found,
                               int *ret_bits)
{
    struct candidate best = {0}, c = {.found = found};
    *ret_bits = 0;
    for (c.log_cells = LEAST_LOG_CELLS; c.log_cells <= MOST_LOG_CELLS; c.log_cells++)
        for (c.headroom = LEAST_HEADROOM; c.headroom <= ENG_CEILING_MOST_HEADROOM; c.headroom++)
            for (c.range[1] = 0; c.range[1] < RANGES; c.range[1]++)
                for (c.range[0] = c.range[1]; c.range[0] >= 0; c.range[0]--) {
                    int bits = apply(plan, layer, fits, &c);
                    if (bits == 0 || (*ret_bits > 0 && bits >= *ret_bits))
                        continue;
                    best = c;
                    *ret_bits = bits;
                }
    return best;
}

enum base_status eng_choose_ceilings(struct eng_plan *plan, size_t layer,
                                     const struct eng_head_extremes *heads, bool *ret_found,
                                     struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct fits fits;
    struct eng_layer_plan before = plan->layer[layer];
    int bits;
    TRY(init_fits(&fits, heads, (size_t)plan->heads, error));
    /* A maximum costs two rounds: only where nothing else holds. */
    struct candidate best = search(plan, layer, &fits, false, &bits);
    if (bits == 0)
        best = search(plan, layer, &fits, true, &bits);
    *ret_found = bits > 0;
    if (bits > 0) {
        (void)apply(plan, layer, &fits, &best);
    } else {
        plan->layer[layer] = before;
        memset(plan->head + layer * fits.heads, 0, fits.heads * sizeof *plan->head);
    }
out:
    base_free(&fits.fit);
    return status;
}
