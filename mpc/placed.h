/* Masked matrices on an accelerator (kernels/device.h): a copy there in the form in which a role's products read the host's. */
#ifndef CACHET_MPC_PLACED_H
#define CACHET_MPC_PLACED_H

#include "kernels/device.h"
#include "mpc/matrix.h"

/* Bytes that a matrix of this ring with room for [outs][inner] takes there; 0 in roles that hold no shares. */
size_t mpc_placed_bytes(const struct kern_device *device, enum mpc_role role, int ring, size_t outs, size_t inner, bool limbs);

/* Places a matrix with room for [outs][inner], of which it may use less: outs and inner of one that grows are what it may grow to. *ret stays NULL
 * where there is nothing to place. The device finds it by its address; to be forgotten before its memory goes (kern_device_forget).
 * Errors: those of kern_device_place. */
BASE_MUST_USE enum base_status mpc_place(struct kern_device *device, struct kern_placed **ret, enum mpc_role role, const struct mpc_matrix *matrix,
                                         size_t outs, size_t inner, enum kern_placing how, struct base_error *error);

/* Elements of the host's matrix have changed. `placed` NULL: nothing. */
void mpc_placed_changed(struct kern_device *device, struct kern_placed *placed, enum mpc_role role, struct kern_part elements);

#endif
