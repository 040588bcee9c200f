/* An accelerator: matrices that stay on it, products with them, and a whole kern_table whose slots run large calls on it and small ones
 * on the CPU. Nothing here depends on CUDA; builds without it answer with an error.
 *
 * A failing device never gives a wrong share. The first call that fails puts it out of use: that call and all later ones run on the CPU,
 * which needs the host's words of placed matrices (they stay where they are). What the caller learns is its choice: with allow_fallback one
 * line through `report`; without it kern_device_failure, to be asked after each round and before anything that the device worked on is
 * called a result.
 *
 * Where a call runs depends on public sizes alone. Memory of the device that held shares is overwritten after each call and at the end.
 * Functions may be called by several threads; they take turns. */
#ifndef CACHET_KERNELS_DEVICE_H
#define CACHET_KERNELS_DEVICE_H

#include "base/status.h"
#include "kernels/kern.h"

#include <stdbool.h>

struct kern_device;
struct kern_placed;

/* Slots that have a crossover in common, and what it counts. */
enum kern_device_family {
    KERN_DEVICE_PRG,         /* bytes */
    KERN_DEVICE_FSS,         /* AES blocks */
    KERN_DEVICE_ELEMENTWISE, /* elements: packing, shifting, dot */
    KERN_DEVICE_GATES,       /* terms: sums over tables, turns, powers */
    KERN_DEVICE_FAMILIES,
};

/* From which size on the device takes a call; SIZE_MAX: never. Zero everywhere: it takes every call. */
struct kern_crossover {
    size_t gemm[KERN_WORDS][2]; /* rows * outs * inner with a placed matrix: [0] for one to four rows, [1] for more */
    size_t moved[KERN_WORDS];   /* rows from which on it is worth moving a matrix that is not placed */
    size_t family[KERN_DEVICE_FAMILIES];
};

/* Zeroed: the best table of the CPU, no fallback, 1 GiB of work area, a measured crossover, no reports. */
struct kern_device_options {
    const struct kern_table *cpu;
    bool allow_fallback;
    size_t work_bytes;
    const struct kern_crossover *crossover;
    void (*report)(void *context, const char *text); /* one line for operators */
    void *context;
};

/* Opens "cuda:N". One device in a process at a time. Work areas are allocated here and never grow. Every way of multiplying that this device
 * offers is compared with the CPU bit for bit, and then (unless a crossover is given) both are measured, which takes about a second.
 * Errors: BASE_ERR_ARGUMENT (no such name, no such device, a device is open), BASE_ERR_SUPPORT (built without CUDA, no driver, too old a
 * device), BASE_ERR_MEMORY, BASE_ERR_MISMATCH (the device computes wrongly), BASE_ERR_IO (the device failed). */
BASE_MUST_USE enum base_status kern_device_open(struct kern_device **ret, const char *name, const struct kern_device_options *options,
                                                struct base_error *error);
/* Overwrites what lies on the device, frees it and sets *device to NULL. Placed matrices and host memory go before. */
void kern_device_close(struct kern_device **device);

/* Name, memory, clock, ways of multiplying, one line. */
const char *kern_device_text(const struct kern_device *device);
const struct kern_crossover *kern_device_crossover(const struct kern_device *device);

/* The first failure of the device since it was opened, or BASE_OK; BASE_OK always where fallback is allowed. Waits for nothing: what is under way is
 * asked about once it has arrived. */
enum base_status kern_device_failure(struct kern_device *device, struct base_error *error);

/* Calls so far that ran on the device, and on the CPU instead: too small, none for the device, or after a failure. How often the host waited for the
 * device, and what it gave it: launches of kernels, and copies there and back. Asking waits for nothing. */
struct kern_device_counts {
    size_t on_device, on_cpu;
    size_t waits, launches, copies;
};
struct kern_device_counts kern_device_counts(struct kern_device *device);

/* Slots with host pointers, level KERN_LEVEL_CUDA. A product whose w lies in a placed matrix (same stride, whole rows or their beginnings) uses
 * the copy on the device; what the CPU keeps of products is shared by the threads of kernels/threads.h. Products with placed matrices between
 * kern_hold and kern_settle (kernels/gather.h) are waited for once. Of gates only sums leave the device, and a table that is placed as one row of
 * 64-bit words is read there; so is combine32's, as a matrix of 32-bit words. */
const struct kern_table *kern_device_table(struct kern_device *device);

/* How a matrix is placed: its words, also its limbs, or, where the host's words are all zero, zeros without a copy (a cache that will grow). */
enum kern_placing { KERN_PLACE_WORDS, KERN_PLACE_LIMBS, KERN_PLACE_ZEROS };

/* Puts a copy of a matrix on the device: w [outs][inner] words, w_stride bytes from row to row, as in kern_table.gemm. The host's words
 * must stay until kern_device_forget, unchanged but for what kern_device_changed is told. Limbs are what products of many rows read, and
 * otherwise make anew each time: as many bytes again.
 * Errors: BASE_ERR_MEMORY (says how much is missing), BASE_ERR_IO. */
BASE_MUST_USE enum base_status kern_device_place(struct kern_device *device, struct kern_placed **ret, enum kern_word word, const void *w,
                                                 size_t w_stride, size_t outs, size_t inner, enum kern_placing how, struct base_error *error);
void kern_device_forget(struct kern_device *device, struct kern_placed **placed);

/* Bytes that a matrix takes there. */
size_t kern_device_placed_bytes(const struct kern_device *device, enum kern_word word, size_t outs, size_t inner, bool limbs);
/* Bytes of the device's memory that are free now, and all of them. Errors: BASE_ERR_IO. */
BASE_MUST_USE enum base_status kern_device_memory(struct kern_device *device, size_t *ret_free, size_t *ret_total, struct base_error *error);

/* A part of a matrix: rows [row, row + rows), of them the elements [column, column + columns). */
struct kern_part {
    size_t row, rows, column, columns;
};
/* The host's words of a part have changed: the next product with the matrix takes them along, in one piece with what else has changed since the
 * last one. For caches that grow; limbs, if it has any, are not read any more. */
void kern_device_changed(struct kern_device *device, struct kern_placed *placed, struct kern_part part);
/* The host's words are all zero again: overwrites the copy. Costs nothing where nothing has changed since the matrix was placed or wiped. */
void kern_device_wipe(struct kern_device *device, struct kern_placed *placed);

/* kern_table.gemm with a placed matrix, whatever its size. */
void kern_device_gemm(struct kern_device *device, const struct kern_placed *w, uint64_t *y, size_t y_stride, const void *a, size_t a_stride,
                      size_t rows);

/* Zeroed host memory, pinned and mapped, for work areas and staging for the wire: what lies in it goes to the device without a copy on the way.
 * Errors: BASE_ERR_MEMORY. It is wiped when it is freed. */
BASE_MUST_USE enum base_status kern_device_host_alloc(struct kern_device *device, void **ret, size_t bytes, struct base_error *error);
void kern_device_host_free(struct kern_device *device, void **memory);

#endif
