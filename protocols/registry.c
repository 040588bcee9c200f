#include "protocols/registry.h"

#include "protocols/coarse_max.h"
#include "protocols/exp.h"
#include "protocols/segments.h"
#include "protocols/spline.h"

#include <string.h>

static const struct sec_gate *const gates[] = {
    &sec_gate_exp,
    &sec_gate_silu_times,
    &sec_gate_gelu,
    &sec_gate_reciprocal,
    &sec_gate_inverse_root,
    &sec_gate_coarse_max,
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
