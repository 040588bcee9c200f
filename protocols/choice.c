#include "protocols/choice_steps.h"
#include "protocols/digits.h"
#include "protocols/sign.h"

#include <string.h>

uint64_t *sec_choice_zeros(struct mpc_party *p, size_t count)
{
    if (!sec_choice_computes(p))
        return NULL;
    uint64_t *words = mpc_words(p, count);
    if (words != NULL)
        memset(words, 0, count * sizeof *words);
    return words;
}

/* --- forms --- */

static const struct sec_choice_path *path_of(enum sec_choice_way way)
{
    return way == SEC_CHOICE_PAIRS       ? &sec_choice_pairs
           : way == SEC_CHOICE_ONE_DIGIT ? &sec_choice_one_digit
                                         : &sec_choice_two_digits;
}

/* Whether rows are made from flags in a round of their own. */
static bool ends_with_rows(const struct sec_choice_form *form)
{
    return !form->flags_only && sec_choice_makes_flags(form);
}

static struct sec_kept_form kept_form(const struct sec_choice_form *form)
{
    return (struct sec_kept_form){
        .rows = form->rows, .n = form->n, .k = form->k, .ring = form->ring, .lost = form->lost};
}

static bool fits_way(const struct sec_choice_form *form)
{
    switch (form->way) {
    case SEC_CHOICE_PAIRS:
        return true;
    case SEC_CHOICE_ONE_DIGIT:
        return form->bits <= SEC_CHOICE_DIGIT_BITS;
    case SEC_CHOICE_TWO_DIGITS:
        return form->bits >= 2;
    }
    return false;
}

static bool is_possible(const struct sec_choice_form *form)
{
    return form->rows > 0 && form->k > 0 && form->k < form->n && form->n <= SEC_CHOICE_MOST_N &&
           form->bits >= 1 && form->bits <= SEC_CHOICE_MOST_BITS && form->ring >= 1 && form->ring <= 64 &&
           fits_way(form);
}

uint64_t sec_choice_rounds(struct sec_choice_form form)
{
    return path_of(form.way)->count + ends_with_rows(&form);
}

size_t sec_choice_count(struct sec_choice_form form)
{
    return form.rows * form.n * (form.flags_only ? 1 : form.lost ? form.n : form.k);
}

/* --- costs --- */

static uint64_t bytes_of(struct mpc_cost cost)
{
    return cost.online + cost.offline;
}

static struct mpc_cost cost_with(const struct sec_choice_form *form, int low)
{
    const struct sec_choice_path *path = path_of(form->way);
    struct mpc_cost total = {0};
    for (size_t s = 0; s < path->count; s++)
        total = mpc_cost_add(total, path->step[s].cost(form, low, path->step[s].level));
    if (ends_with_rows(form))
        total = mpc_cost_add(total, sec_kept_rows_cost(kept_form(form)));
    total.rounds = sec_choice_rounds(*form);
    return total;
}

/* Bits of the low digit: those of fewest bytes; 0 with one digit. */
static int low_bits(const struct sec_choice_form *form)
{
    int best = 0;
    uint64_t least = UINT64_MAX;
    for (int low = 1; form->way == SEC_CHOICE_TWO_DIGITS && low < form->bits; low++) {
        if (low > SEC_CHOICE_DIGIT_BITS || form->bits - low > SEC_CHOICE_DIGIT_BITS)
            continue;
        uint64_t bytes = bytes_of(cost_with(form, low));
        best = bytes < least ? low : best;
        least = bytes < least ? bytes : least;
    }
    return best;
}

struct mpc_cost sec_choice_cost(struct sec_choice_form form)
{
    return cost_with(&form, low_bits(&form));
}

enum sec_choice_way sec_choice_cheapest(struct sec_choice_form form, uint64_t most_rounds)
{
    enum sec_choice_way best = SEC_CHOICE_PAIRS;
    uint64_t least = UINT64_MAX;
    for (int way = 0; way < SEC_CHOICE_WAYS; way++) {
        form.way = (enum sec_choice_way)way;
        bool wide = form.pair && form.way == SEC_CHOICE_PAIRS && form.bits + 1 > SEC_SIGN_TABLE_BITS;
        if (!is_possible(&form) || sec_choice_rounds(form) > most_rounds || wide)
            continue;
        uint64_t bytes = bytes_of(sec_choice_cost(form));
        best = bytes < least ? form.way : best;
        least = bytes < least ? bytes : least;
    }
    return best;
}

/* --- a run --- */

void sec_choice_start(struct sec_choice *ret, struct sec_choice_form form, struct mpc_wire scores)
{
    *ret = (struct sec_choice){.form = form, .scores = scores};
    ret->scores.frac = 0;
}

static bool begin(struct mpc_party *p, struct sec_choice *choice)
{
    const struct sec_choice_form *form = &choice->form;
    const struct mpc_wire *x = &choice->scores;
    if (mpc_failed(p))
        return false;
    if (!is_possible(form) || x->count != form->rows * form->n || x->ring <= form->bits || x->gate_only)
        mpc_fail(p, BASE_ERR_RANGE,
                 "a choice of %zu of %zu scores of %d bits in %zu rows, way %d, from a wire of %zu elements "
                 "of %d bits%s",
                 form->k, form->n, form->bits, form->rows, (int)form->way, x->count, x->ring,
                 x->gate_only ? " for gates only" : "");
    if (mpc_failed(p))
        return false;
    choice->low = low_bits(form);
    mpc_check_range(p, "scores to choose from", x->x, x->count, 0, (INT64_C(1) << form->bits) - 1);
    return true;
}

bool sec_choice_queue(struct mpc_party *p, struct sec_choice *choice)
{
    const struct sec_choice_path *path = path_of(choice->form.way);
    size_t stage = (size_t)choice->stage;
    if (mpc_failed(p) || (stage == 0 && !begin(p, choice)))
        return false;
    if (stage == sec_choice_rounds(choice->form)) {
        choice->result = ends_with_rows(&choice->form)
                             ? sec_kept_rows(p, kept_form(&choice->form), choice->opened)
                             : choice->opened;
        return false;
    }
    if (stage < path->count) {
        choice->level = path->step[stage].level;
        path->step[stage].queue(p, choice);
    } else {
        choice->opened = sec_kept_queue(p, kept_form(&choice->form), choice->opened, "kept rows");
    }
    choice->stage++;
    return !mpc_failed(p);
}

enum base_status sec_choice_eval(struct mpc_party *p, struct sec_choice_form form, struct mpc_wire scores,
                                 struct mpc_wire *ret)
{
    enum base_status status = BASE_OK;
    struct sec_choice choice;
    sec_choice_start(&choice, form, scores);
    while (sec_choice_queue(p, &choice))
        TRY(mpc_round(p));
    *ret = choice.result;
    status = p->status;
out:
    return status;
}

/* --- conformance --- */

static const struct sec_choice_form standard_pairs = {
    .n = 7, .k = 3, .bits = 6, .way = SEC_CHOICE_PAIRS, .ring = 30, .lost = true};
static const struct sec_choice_form standard_one = {
    .n = 12, .k = 4, .bits = 4, .way = SEC_CHOICE_ONE_DIGIT, .ring = 16, .flags_only = true};
static const struct sec_choice_form standard_two = {
    .n = 12, .k = 5, .bits = 7, .way = SEC_CHOICE_TWO_DIGITS, .ring = 20};
enum { STANDARD_RING = 12 };

static struct sec_choice_form standard(struct sec_choice_form form, size_t count)
{
    form.rows = count / form.n;
    return form;
}

/* Few distinct scores in every second row, the largest and the smallest among them. */
static void sample_standard(int64_t *ret_x, size_t count, uint64_t seed, struct sec_choice_form form)
{
    int64_t most = (INT64_C(1) << form.bits) - 1;
    for (size_t i = 0; i < count; i++) {
        sec_sample_step(&seed);
        int64_t few = (seed >> 62) == 0 ? 0 : (seed >> 62) == 1 ? most : most / 2;
        ret_x[i] = i / form.n % 2 == 0 ? (int64_t)(seed >> 33) & most : few;
    }
}

static void sample_pairs(int64_t *ret_x, size_t count, uint64_t seed)
{
    sample_standard(ret_x, count, seed, standard_pairs);
}

static void sample_one(int64_t *ret_x, size_t count, uint64_t seed)
{
    sample_standard(ret_x, count, seed, standard_one);
}

static void sample_two(int64_t *ret_x, size_t count, uint64_t seed)
{
    sample_standard(ret_x, count, seed, standard_two);
}

static enum base_status run_pairs(struct mpc_party *p, struct mpc_wire x, struct mpc_wire *ret)
{
    return sec_choice_eval(p, standard(standard_pairs, x.count), x, ret);
}

static enum base_status run_one(struct mpc_party *p, struct mpc_wire x, struct mpc_wire *ret)
{
    return sec_choice_eval(p, standard(standard_one, x.count), x, ret);
}

static enum base_status run_two(struct mpc_party *p, struct mpc_wire x, struct mpc_wire *ret)
{
    return sec_choice_eval(p, standard(standard_two, x.count), x, ret);
}

static struct mpc_cost cost_pairs(size_t count)
{
    return sec_choice_cost(standard(standard_pairs, count));
}

static struct mpc_cost cost_one(size_t count)
{
    return sec_choice_cost(standard(standard_one, count));
}

static struct mpc_cost cost_two(size_t count)
{
    return sec_choice_cost(standard(standard_two, count));
}

const struct sec_gate sec_gate_choice_pairs = {.name = "choice-pairs",
                                               .source = "specification, rank.py: pairs_hidden",
                                               .input_ring = STANDARD_RING,
                                               .input_frac = 0,
                                               .input_bound = 6,
                                               .unit = 7,
                                               .sample = sample_pairs,
                                               .run = run_pairs,
                                               .cost = cost_pairs};
const struct sec_gate sec_gate_choice_one_digit = {.name = "choice-one-digit",
                                                   .source = "specification, rank.py: threshold",
                                                   .input_ring = STANDARD_RING,
                                                   .input_frac = 0,
                                                   .input_bound = 4,
                                                   .unit = 12,
                                                   .sample = sample_one,
                                                   .run = run_one,
                                                   .cost = cost_one};
const struct sec_gate sec_gate_choice_two_digits = {
    .name = "choice-two-digits",
    .source = "specification, rank.py: threshold, kv.py: keep_index",
    .input_ring = STANDARD_RING,
    .input_frac = 0,
    .input_bound = 7,
    .unit = 12,
    .sample = sample_two,
    .run = run_two,
    .cost = cost_two};
