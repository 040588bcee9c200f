#include "protocols/registry.h"

#include "protocols/argmax.h"
#include "protocols/box.h"
#include "protocols/choice.h"
#include "protocols/coarse_max.h"
#include "protocols/compare.h"
#include "protocols/digits.h"
#include "protocols/exp.h"
#include "protocols/exp_two.h"
#include "protocols/guard.h"
#include "protocols/hidden_set.h"
#include "protocols/kept_rows.h"
#include "protocols/one_hot.h"
#include "protocols/reciprocal_two.h"
#include "protocols/segments.h"
#include "protocols/shuffle.h"
#include "protocols/sign.h"
#include "protocols/spline.h"
#include "protocols/split.h"
#include "protocols/table.h"
#include "protocols/top_k.h"
#include "protocols/wave.h"

#include <string.h>

static const struct sec_gate *const gates[] = {
    &sec_gate_exp,
    &sec_gate_exp_two,
    &sec_gate_exp_two_long,
    &sec_gate_silu_times,
    &sec_gate_gelu,
    &sec_gate_silu_wave,
    &sec_gate_gelu_wave,
    &sec_gate_reciprocal,
    &sec_gate_reciprocal_two,
    &sec_gate_inverse_root,
    &sec_gate_coarse_max,
    &sec_gate_table_dealt,
    &sec_gate_table_dpf,
    &sec_gate_compare,
    &sec_gate_sign,
    &sec_gate_sign_zero,
    &sec_gate_one_hot_table,
    &sec_gate_one_hot_dpf,
    &sec_gate_digits,
    &sec_gate_kept_rows,
    &sec_gate_box,
    &sec_gate_split,
    &sec_gate_max_step,
    &sec_gate_argmax,
    &sec_gate_top_k,
    &sec_gate_choice_pairs,
    &sec_gate_choice_one_digit,
    &sec_gate_choice_two_digits,
    &sec_gate_shuffle,
    &sec_gate_hidden_set,
    &sec_gate_guard,
};

const struct sec_gate *const *sec_gates(size_t *ret_count)
{
    *ret_count = sizeof gates / sizeof *gates;
    return gates;
}

const struct sec_gate *sec_gate_find(const char *name)
{
    for (size_t i = 0; i < sizeof gates / sizeof *gates; i++)
        if (strcmp(gates[i]->name, name) == 0)
            return gates[i];
    return NULL;
}
