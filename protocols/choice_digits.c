#include "protocols/choice_steps.h"
#include "protocols/digits.h"
#include "protocols/sign.h"

/* The threshold by histograms. With C_v = #{i: x_i >= v} the threshold is theta = #{v >= 1: C_v >= k}: the
 * largest v with C_v >= k. Kept are the scores above it and, of those that equal it, the last ones while
 * places are left. */

/* Masked bits of each score, by their place in `terms`. */
enum { ABOVE, EQUAL, ABOVE_LOW, EQUAL_LOW, PLACE_LEFT };
enum {
    IS_ABOVE = 1 << ABOVE,
    IS_EQUAL = 1 << EQUAL,
    IS_ABOVE_LOW = 1 << ABOVE_LOW,
    IS_EQUAL_LOW = 1 << EQUAL_LOW,
    HAS_PLACE = 1 << PLACE_LEFT
};

static size_t elements(const struct sec_choice_form *form)
{
    return form->rows * form->n;
}

static int digit_bits(const struct sec_choice_form *form, int low, int level)
{
    return level == 0 ? form->bits - low : low;
}

/* A ring for C_v - k and for places less positions, -n + k .. n - k and -k .. k: one that the sign can be
 * read in. */
static int count_ring(const struct sec_choice_form *form)
{
    return 1 + base_bits_of(form->k > form->n - form->k ? form->k : form->n - form->k);
}

/* Terms serve the counts first and the flags after them. */
static int terms_ring(const struct sec_choice_form *form)
{
    int counts = count_ring(form), flags = sec_choice_flags_ring(form);
    return counts > flags ? counts : flags;
}

/* --- the products of bits that each step needs --- */

/* Above the threshold within the last digit, and equal to the threshold in all digits. */
static unsigned last_above(int low)
{
    return low == 0 ? IS_ABOVE : IS_EQUAL | IS_ABOVE_LOW;
}

static unsigned all_equal(int low)
{
    return low == 0 ? IS_EQUAL : IS_EQUAL | IS_EQUAL_LOW;
}

static uint32_t count_subsets(int low)
{
    return low == 0 ? 0 : sec_term_subsets(IS_ABOVE);
}

static uint32_t place_subsets(int low)
{
    return count_subsets(low) | sec_term_subsets(last_above(low)) | sec_term_subsets(all_equal(low));
}

static uint32_t flag_subsets(int low)
{
    return place_subsets(low) | sec_term_subsets(all_equal(low) | HAS_PLACE);
}

static struct mpc_cost subsets_cost(const struct sec_choice_form *form, uint32_t now, uint32_t before)
{
    return sec_terms_cost(now & ~before, elements(form), terms_ring(form));
}

/* --- the high digit --- */

static void split_scores(struct mpc_party *p, struct sec_choice *choice)
{
    choice->opened = sec_high_digit(p, choice->scores, choice->form.bits, choice->low, "high digits");
}

static struct mpc_cost split_scores_cost(const struct sec_choice_form *form, int low, int level)
{
    (void)level;
    return sec_high_digit_cost(elements(form), form->bits, low);
}

/* The digit of the level: the whole score; the high digit, which was just opened; what that leaves. */
static void take_digit(struct mpc_party *p, struct sec_choice *choice)
{
    if (choice->low == 0)
        choice->digit = mpc_reduce(p, choice->scores, choice->form.bits + 1);
    else if (choice->level == 0)
        choice->digit = choice->opened;
    else
        choice->digit = sec_low_digit(p, choice->scores, choice->digit, choice->low);
}

/* --- suffix counts --- */

struct histogram {
    size_t n, cells;
    size_t i;                /* of the next score in its row */
    const uint64_t *counted; /* the masked bit that says which scores count: delta; NULL: all of them */
    bool twin;
    uint64_t *row; /* counts of the row at hand, [cells] */
};

/* hot, or hot times the bit: delta hot + (1 - 2 delta) rho hot. */
static void add_score(void *context, size_t element, const uint64_t *hot)
{
    struct histogram *to = context;
    const uint64_t *times = hot + to->cells;
    if (to->counted == NULL)
        for (size_t v = 0; v < to->cells; v++)
            to->row[v] += to->twin ? times[v] : hot[v];
    else {
        uint64_t delta = to->counted[element];
        for (size_t v = 0; v < to->cells; v++)
            to->row[v] += delta * hot[v] + (1 - 2 * delta) * times[v];
    }
    if (++to->i == to->n) {
        to->i = 0;
        to->row += to->cells;
    }
}

static struct sec_one_hot count_hot(const struct sec_choice_form *form, int low, int level)
{
    return (struct sec_one_hot){
        .bits = digit_bits(form, low, level), .ring = count_ring(form), .times = level > 0};
}

/* Shares of C_v - k of v = 1 .. cells - 1 of each row; `more` [rows n]: flags that are counted beside. */
static uint64_t *suffix_counts(struct mpc_party *p, const struct sec_choice_form *form, size_t cells,
                               const uint64_t *rows, const uint64_t *more)
{
    uint64_t *counts = mpc_words(p, form->rows * (cells - 1));
    for (size_t r = 0; counts != NULL && r < form->rows; r++) {
        uint64_t sum = 0 - sec_choice_one(p) * form->k;
        for (size_t i = 0; i < form->n; i++)
            sum += more[r * form->n + i];
        for (size_t v = cells - 1; v > 0; v--) {
            sum += rows[r * cells + v];
            counts[r * (cells - 1) + v - 1] = sum;
        }
    }
    return counts;
}

static void count_scores(struct mpc_party *p, struct sec_choice *choice)
{
    const struct sec_choice_form *form = &choice->form;
    int level = choice->level, ring = count_ring(form);
    struct sec_one_hot hot = count_hot(form, choice->low, level);
    size_t cells = (size_t)1 << hot.bits, count = form->rows * (cells - 1);
    const struct sec_masked_bit *alive = &choice->terms.bit[EQUAL];
    take_digit(p, choice);
    choice->terms.ring = terms_ring(form);
    choice->terms.count = elements(form);
    uint64_t *rows = sec_choice_zeros(p, form->rows * cells), *more = sec_choice_zeros(p, elements(form)),
             *counts = NULL;
    struct histogram to = {.n = form->n,
                           .cells = cells,
                           .row = rows,
                           .twin = level > 0 && p->role == MPC_CLEAR,
                           .counted = level > 0 ? alive->delta : NULL};
    sec_one_hot_read(p, hot, choice->digit,
                     level == 0              ? NULL
                     : p->role == MPC_HELPER ? alive->rho
                                             : alive->x,
                     add_score, &to);
    if (level > 0) {
        sec_terms_deal(p, &choice->terms, count_subsets(choice->low));
        sec_term_add(p, &choice->terms, IS_ABOVE, 1, more);
    }
    if (sec_choice_computes(p))
        counts = suffix_counts(p, form, cells, rows, more);
    choice->opened = mpc_open_share(
        p, counts, count,
        (struct mpc_opening_form){.ring = ring, .bound = ring - 1, .ulp = -1, .label = "suffix counts"});
}

static struct mpc_cost count_scores_cost(const struct sec_choice_form *form, int low, int level)
{
    struct sec_one_hot hot = count_hot(form, low, level);
    size_t cells = (size_t)1 << hot.bits;
    struct mpc_cost cost = mpc_cost_add(sec_one_hot_cost(hot, elements(form)),
                                        mpc_open_share_cost(form->rows * (cells - 1), count_ring(form), 0));
    return level == 0 ? cost : mpc_cost_add(cost, subsets_cost(form, count_subsets(low), 0));
}

/* --- the threshold --- */

static void compare_counts(struct mpc_party *p, struct sec_choice *choice)
{
    choice->bit = sec_sign(p, choice->opened, count_ring(&choice->form), "counts below k");
}

static struct mpc_cost compare_counts_cost(const struct sec_choice_form *form, int low, int level)
{
    size_t cells = (size_t)1 << digit_bits(form, low, level);
    return sec_sign_cost(form->rows * (cells - 1), count_ring(form));
}

static void find_threshold(struct mpc_party *p, struct sec_choice *choice)
{
    const struct sec_choice_form *form = &choice->form;
    int bits = digit_bits(form, choice->low, choice->level);
    size_t steps = ((size_t)1 << bits) - 1, count = form->rows * steps;
    struct sec_bit_terms terms = {
        .ring = bits + 1, .count = count, .bit = {sec_masked_bit_not(p, choice->bit)}};
    sec_terms_deal(p, &terms, sec_term_subsets(1));
    uint64_t *reached = sec_choice_zeros(p, count), *threshold = sec_choice_zeros(p, form->rows);
    sec_term_add(p, &terms, 1, 1, reached);
    for (size_t r = 0; sec_choice_computes(p) && r < form->rows; r++)
        for (size_t v = 0; v < steps; v++)
            threshold[r] += reached[r * steps + v];
    choice->opened = mpc_open_share(
        p, threshold, form->rows,
        (struct mpc_opening_form){.ring = bits + 1, .bound = bits, .ulp = -1, .label = "threshold"});
}

static struct mpc_cost find_threshold_cost(const struct sec_choice_form *form, int low, int level)
{
    int bits = digit_bits(form, low, level);
    return mpc_cost_add(sec_terms_cost(sec_term_subsets(1), form->rows * (((size_t)1 << bits) - 1), bits + 1),
                        mpc_open_share_cost(form->rows, bits + 1, 0));
}

/* theta - x < 0: above; = 0: equal. */
static void compare_scores(struct mpc_party *p, struct sec_choice *choice)
{
    const struct sec_choice_form *form = &choice->form;
    int bits = digit_bits(form, choice->low, choice->level);
    uint32_t *row = p->role == MPC_COUNT ? NULL : mpc_bytes(p, elements(form) * sizeof *row);
    for (size_t r = 0; row != NULL && r < form->rows; r++)
        for (size_t i = 0; i < form->n; i++)
            row[r * form->n + i] = (uint32_t)r;
    struct mpc_wire threshold = mpc_gather(p, choice->opened, row, elements(form));
    struct mpc_wire difference = mpc_add(p, threshold, choice->digit, -1, bits);
    sec_sign_zero(p, difference, bits + 1, &choice->bit, &choice->zero, "scores and threshold");
}

static struct mpc_cost compare_scores_cost(const struct sec_choice_form *form, int low, int level)
{
    return sec_sign_zero_cost(elements(form), digit_bits(form, low, level) + 1);
}

/* The bits of compare_scores, at the beginning of the step after it. */
static void take_bits(struct sec_choice *choice, int level)
{
    choice->terms.bit[level == 0 ? ABOVE : ABOVE_LOW] = choice->bit;
    choice->terms.bit[level == 0 ? EQUAL : EQUAL_LOW] = choice->zero;
}

static void count_low_scores(struct mpc_party *p, struct sec_choice *choice)
{
    take_bits(choice, 0);
    count_scores(p, choice);
}

/* --- places --- */

/* k - #above - #{j >= i: x_j equals the threshold}: below 0 where an equal score finds no place. */
static uint64_t *places_left(struct mpc_party *p, const struct sec_choice_form *form, const uint64_t *above,
                             const uint64_t *equal)
{
    uint64_t *places = mpc_words(p, elements(form));
    for (size_t r = 0; places != NULL && r < form->rows; r++) {
        size_t first = r * form->n;
        uint64_t left = sec_choice_one(p) * form->k;
        for (size_t i = 0; i < form->n; i++)
            left -= above[first + i];
        for (size_t i = form->n; i-- > 0;) {
            left -= equal[first + i];
            places[first + i] = left;
        }
    }
    return places;
}

static void count_places(struct mpc_party *p, struct sec_choice *choice)
{
    const struct sec_choice_form *form = &choice->form;
    int ring = count_ring(form);
    take_bits(choice, choice->level);
    sec_terms_deal(p, &choice->terms, place_subsets(choice->low));
    uint64_t *above = sec_choice_zeros(p, elements(form)), *equal = sec_choice_zeros(p, elements(form)),
             *places = NULL;
    sec_term_add(p, &choice->terms, last_above(choice->low), 1, above);
    if (choice->low > 0)
        sec_term_add(p, &choice->terms, IS_ABOVE, 1, above);
    sec_term_add(p, &choice->terms, all_equal(choice->low), 1, equal);
    if (sec_choice_computes(p))
        places = places_left(p, form, above, equal);
    choice->opened = mpc_open_share(
        p, places, elements(form),
        (struct mpc_opening_form){.ring = ring, .bound = ring - 1, .ulp = -1, .label = "places left"});
}

static struct mpc_cost count_places_cost(const struct sec_choice_form *form, int low, int level)
{
    (void)level;
    return mpc_cost_add(subsets_cost(form, place_subsets(low), count_subsets(low)),
                        mpc_open_share_cost(elements(form), count_ring(form), 0));
}

static void compare_places(struct mpc_party *p, struct sec_choice *choice)
{
    choice->bit = sec_sign(p, choice->opened, count_ring(&choice->form), "no place left");
}

static struct mpc_cost compare_places_cost(const struct sec_choice_form *form, int low, int level)
{
    (void)low;
    (void)level;
    return sec_sign_cost(elements(form), count_ring(form));
}

/* --- flags --- */

static void open_flags(struct mpc_party *p, struct sec_choice *choice)
{
    const struct sec_choice_form *form = &choice->form;
    struct sec_bit_terms *terms = &choice->terms;
    terms->bit[PLACE_LEFT] = sec_masked_bit_not(p, choice->bit);
    sec_terms_deal(p, terms, flag_subsets(choice->low));
    uint64_t *flags = sec_choice_zeros(p, elements(form));
    sec_term_add(p, terms, last_above(choice->low), 1, flags);
    if (choice->low > 0)
        sec_term_add(p, terms, IS_ABOVE, 1, flags);
    sec_term_add(p, terms, all_equal(choice->low) | HAS_PLACE, 1, flags);
    choice->opened =
        mpc_open_share(p, flags, elements(form), sec_one_hot_opening(sec_choice_flags_ring(form), "flags"));
}

static struct mpc_cost open_flags_cost(const struct sec_choice_form *form, int low, int level)
{
    (void)level;
    return mpc_cost_add(subsets_cost(form, flag_subsets(low), place_subsets(low)),
                        mpc_open_share_cost(elements(form), sec_choice_flags_ring(form), 0));
}

static const struct sec_choice_step one_digit[] = {
    {count_scores, count_scores_cost, 0},     {compare_counts, compare_counts_cost, 0},
    {find_threshold, find_threshold_cost, 0}, {compare_scores, compare_scores_cost, 0},
    {count_places, count_places_cost, 0},     {compare_places, compare_places_cost, 0},
    {open_flags, open_flags_cost, 0},
};
static const struct sec_choice_step two_digits[] = {
    {split_scores, split_scores_cost, 0},     {count_scores, count_scores_cost, 0},
    {compare_counts, compare_counts_cost, 0}, {find_threshold, find_threshold_cost, 0},
    {compare_scores, compare_scores_cost, 0}, {count_low_scores, count_scores_cost, 1},
    {compare_counts, compare_counts_cost, 1}, {find_threshold, find_threshold_cost, 1},
    {compare_scores, compare_scores_cost, 1}, {count_places, count_places_cost, 1},
    {compare_places, compare_places_cost, 1}, {open_flags, open_flags_cost, 1},
};
const struct sec_choice_path sec_choice_one_digit = {one_digit, sizeof one_digit / sizeof *one_digit};
const struct sec_choice_path sec_choice_two_digits = {two_digits, sizeof two_digits / sizeof *two_digits};
