#include "mpc/placed.h"

static bool is_placed(enum mpc_role role)
{
    return role == MPC_HELPER || role == MPC_LEFT || role == MPC_RIGHT;
}

size_t mpc_placed_bytes(const struct kern_device *device, enum mpc_role role, int ring, size_t outs, size_t inner, bool limbs)
{
    if (!is_placed(role) || outs == 0 || inner == 0)
        return 0;
    return kern_device_placed_bytes(device, mpc_matrix_word(role, ring), outs, mpc_matrix_line(role, inner), limbs);
}

enum base_status mpc_place(struct kern_device *device, struct kern_placed **ret, enum mpc_role role, const struct mpc_matrix *matrix, size_t outs,
                           size_t inner, enum kern_placing how, struct base_error *error)
{
    *ret = NULL;
    if (!is_placed(role) || outs == 0 || inner == 0)
        return BASE_OK;
    return kern_device_place(device, ret, mpc_matrix_word(role, matrix->ring), matrix->data, matrix->stride, outs, mpc_matrix_line(role, inner), how,
                             error);
}

static size_t block_of(size_t column)
{
    return column / KERN_BLOCK;
}

void mpc_placed_changed(struct kern_device *device, struct kern_placed *placed, enum mpc_role role, struct kern_part elements)
{
    if (placed == NULL || elements.columns == 0)
        return;
    if (role != MPC_HELPER) { /* whole blocks of pairs */
        size_t first = block_of(elements.column), end = block_of(elements.column + elements.columns - 1) + 1;
        elements.column = first * 2 * KERN_BLOCK;
        elements.columns = (end - first) * 2 * KERN_BLOCK;
    }
    kern_device_changed(device, placed, elements);
}
