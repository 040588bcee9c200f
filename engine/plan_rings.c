#include "engine/plan.h"

#include "base/bits.h"
#include "protocols/wave.h"

/* Bits that a smaller word keeps free above a bound that calibration saw, so that what is a little larger than ever seen does
 * not wrap. */
enum { SPARE_BITS = 4 };

/* Words that hold a matrix, smallest first. */
static const int words[] = {32, 48};

/* `read`: the ring in which all that is read of the product is exact; `least`: the one that holds its value. Between them the
 * product's opening may be smaller than what is multiplied next, which lifts it: what the opening saves the lift costs, to the
 * bit, so the word decides. */
static int fitting(const struct eng_plan *plan, int read, int least)
{
    read = base_smaller(read, plan->ring);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (read > words[i] && least + SPARE_BITS <= words[i])
            return words[i];
    return read;
}

int eng_plan_linear_cut(const struct eng_plan *plan)
{
    return plan->fx + plan->fw - plan->fu;
}

/* u_v, where a layer with ceilings keeps v small. */
static int ring_of_v(const struct eng_plan *plan, size_t layer)
{
    const struct eng_layer_plan *l = &plan->layer[layer];
    if (l->attention != ENG_ATTENTION_CEILINGS)
        return plan->ring;
    struct eng_ceiling_widths w = eng_plan_ceiling_widths(plan, layer);
    int linear = plan->fx + plan->fw;
    return fitting(plan, linear + w.v_ring + l->ft[ENG_NORM_ATTENTION] - w.v_frac, linear + l->bits[ENG_UV] + 2);
}

int eng_plan_product_ring(const struct eng_plan *plan, size_t layer, enum eng_product product)
{
    const struct eng_layer_plan *l = &plan->layer[layer];
    int cut = eng_plan_linear_cut(plan), linear = plan->fx + plan->fw;
    struct eng_reading g = eng_plan_activation_reading(plan, layer);
    switch (product) {
    case ENG_PRODUCT_QK:
        return plan->ring;
    case ENG_PRODUCT_V:
        return ring_of_v(plan, layer);
    case ENG_PRODUCT_O:
        return l->attention == ENG_ATTENTION_CEILINGS ? eng_plan_ceiling_widths(plan, layer).o_ring
                                                      : plan->ring - (plan->fo2 + plan->fy - plan->fu);
    case ENG_PRODUCT_GATE:
        return fitting(plan, cut + g.cut + g.ring, linear + l->bits[ENG_UG] + 2);
    case ENG_PRODUCT_UP:
        return l->wave == ENG_WAVE_NONE ? plan->ring
                                        : fitting(plan, cut + eng_plan_up_ring(plan, layer), linear + l->bits[ENG_UP] + 2);
    case ENG_PRODUCT_DOWN:
        return l->wave == ENG_WAVE_NONE ? plan->ring - plan->f_silu : eng_plan_output_ring(plan, l->bits[ENG_YD], l->bits[ENG_H]);
    case ENG_PRODUCT_HEAD:
        return fitting(plan, plan->ring, linear + plan->lm_bits + 2);
    }
    return plan->ring;
}

struct eng_reading eng_plan_activation_reading(const struct eng_plan *plan, size_t layer)
{
    const struct eng_layer_plan *l = &plan->layer[layer];
    struct eng_reading r = {.fraction = plan->fg, .ring = plan->kg + 1};
    if (l->wave != ENG_WAVE_NONE)
        r = (struct eng_reading){.fraction = SEC_WAVE_INPUT, .ring = sec_wave_widest_ring(eng_plan_wave_span((enum eng_wave)l->wave))};
    r.cut = l->ft[ENG_NORM_MLP] + plan->fu - r.fraction;
    return r;
}

int eng_plan_key_ring(const struct eng_plan *plan, size_t layer)
{
    const struct eng_layer_plan *l = &plan->layer[layer];
    int most = plan->ring - l->ft[ENG_NORM_ATTENTION];
    if (l->attention == ENG_ATTENTION_CEILINGS) {
        struct eng_ceiling_widths w = eng_plan_ceiling_widths(plan, layer);
        return w.score_cut + w.score;
    }
    int score = 2 * plan->fu - plan->fs + eng_plan_score_ring(plan, layer),
        value = plan->fu + base_larger(base_larger(l->bits[ENG_Q], l->bits[ENG_K]), 1 - plan->fu) + 2;
    return plan->pair ? base_smaller(base_larger(score, value), most) : most;
}

int eng_plan_norm_fraction(const struct eng_plan *plan, size_t layer, int norm)
{
    int room = plan->ring - eng_plan_key_ring(plan, layer);
    if (!plan->pair || norm != ENG_NORM_ATTENTION || room < plan->layer[layer].ft[norm] + ENG_NORM_LEAST_EXTRA)
        return ENG_NORM_FRACTION;
    return base_smaller(room, ENG_NORM_FRACTION);
}

int eng_plan_up_ring(const struct eng_plan *plan, size_t layer)
{
    const struct eng_layer_plan *l = &plan->layer[layer];
    int bound = plan->fu + l->bits[ENG_P], small = l->ft[ENG_NORM_MLP] + (bound < 1 ? 1 : bound) + 2;
    return l->wave == ENG_WAVE_NONE && !plan->pair ? plan->ring : base_smaller(small, plan->ring);
}
