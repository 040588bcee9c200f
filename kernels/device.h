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

/* The first failure of the device since it was opened, or BASE_OK; BASE_OK always where fallback is allowed. */
enum base_status kern_device_failure(struct kern_device *device, struct base_error *error);

/* Calls so far that ran on the device, and on the CPU instead: too small, none for the device, or after a failure. */
struct kern_device_counts {
    size_t on_device, on_cpu;
};
struct kern_device_counts kern_device_counts(struct kern_device *device);

/* Slots with host pointers, level KERN_LEVEL_CUDA. A product whose w lies in a placed matrix (same stride, whole rows) uses the copy on the
 * device. */
const struct kern_table *kern_device_table(struct kern_device *device);

/* Puts a copy of a matrix on the device: w [outs][inner] words, w_stride bytes from row to row, as in kern_table.gemm. The host's words
 * must stay until kern_device_forget, unchanged. With `limbs`, also its limbs, which products of many rows read and otherwise make anew each
 * time: as many bytes again.
 * Errors: BASE_ERR_MEMORY (says how much is missing), BASE_ERR_IO. */
BASE_MUST_USE enum base_status kern_device_place(struct kern_device *device, struct kern_placed **ret, enum kern_word word, const void *w,
                                                 size_t w_stride, size_t outs, size_t inner, bool limbs, struct base_error *error);
void kern_device_forget(struct kern_device *device, struct kern_placed **placed);

/* kern_table.gemm with a placed matrix, whatever its size. */
void kern_device_gemm(struct kern_device *device, const struct kern_placed *w, uint64_t *y, size_t y_stride, const void *a, size_t a_stride,
                      size_t rows);

/* Full-domain evaluation and the sum over a public table in one go: what dpf_full and then grid_dot (or segment_dot) of each key give, with
 * only the sums leaving the device.
 *   grid:    out [count][groups]: group g of key i with the table at m[i]; keys have domain_bits h; table [2^(h + s)]
 *   segment: out [count][triples]: keys have 3 triples groups over 2^domain_bits cells; c and j as in segment_dot, j[i] for key i
 * Keys [first, first + count); m and j are public. Errors: BASE_ERR_MEMORY, of the host. */
BASE_MUST_USE enum base_status kern_device_gate_grid(struct kern_device *device, const struct kern_dpf_keys *keys, int side, const uint8_t *root, size_t first,
                           size_t count, const uint64_t *table, const uint64_t *m, int s, uint64_t *out, struct base_error *error);
BASE_MUST_USE enum base_status kern_device_gate_segment(struct kern_device *device, const struct kern_dpf_keys *keys, int side, const uint8_t *root, size_t first,
                              size_t count, const uint64_t *const c[3], const uint64_t *j, uint64_t *out,
                              struct base_error *error);

/* Zeroed host memory, pinned and mapped, for work areas and staging for the wire: what lies in it goes to the device without a copy on the way.
 * Errors: BASE_ERR_MEMORY. It is wiped when it is freed. */
BASE_MUST_USE enum base_status kern_device_host_alloc(struct kern_device *device, void **ret, size_t bytes, struct base_error *error);
void kern_device_host_free(struct kern_device *device, void **memory);

#endif
