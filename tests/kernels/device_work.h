/* A piece of work with every slot, for checks of devices: the same calls on any table, and whether two tables gave the same. */
#ifndef CACHET_TESTS_KERNELS_DEVICE_WORK_H
#define CACHET_TESTS_KERNELS_DEVICE_WORK_H

#include "tests/kernels/support.h"

struct device_work;

/* Random operands, once. */
struct device_work *device_work_make(void);
void device_work_free(struct device_work *work);

/* The matrix that all products of a word read: w of `device_work_outs` rows. */
const uint8_t *device_work_matrix(const struct device_work *work, enum kern_word word, size_t *ret_stride, size_t *ret_outs, size_t *ret_inner);

/* Calls every slot of the table, in turn, and compares each result with the scalar table's. */
void device_work_run(struct device_work *work, const struct kern_table *table);

#endif
