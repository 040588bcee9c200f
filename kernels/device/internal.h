#ifndef CACHET_KERNELS_DEVICE_INTERNAL_H
#define CACHET_KERNELS_DEVICE_INTERNAL_H

#include "kernels/device/backend.h"
#include "kernels/internal.h"

#include <pthread.h>

enum { KERN_DEVICE_FEW_ROWS = 4 };

struct kern_placed {
    struct kern_placed *next;
    struct kern_product matrix; /* w, w_stride, outs, inner, word, and the backend's copy */
};

struct host_block {
    struct host_block *next;
    void *memory;
    size_t bytes;
};

struct kern_device {
    const struct kern_backend *backend;
    void *handle;
    struct kern_device_options options;
    struct kern_crossover crossover;
    pthread_mutex_t lock;
    struct kern_placed *placed;
    struct host_block *blocks;
    bool out_of_use;
    struct kern_device_counts counts;
    struct base_error failure;
    char text[512];
};

/* The device whose table this is from now on; NULL: none. */
void kern_device_use(struct kern_device *device);

/* Takes the device for a call of `size`: false where it is NULL or out of use, or size is 0 or less than `from`. */
bool kern_device_begin(struct kern_device *device, size_t size, size_t from);
/* Gives it back; whether the call was done. A failure puts the device out of use. */
bool kern_device_end(struct kern_device *device, enum base_status status, const struct base_error *error);

/* On the device or on the CPU; on the device whatever its size if `asked`. */
void kern_device_multiply(struct kern_device *device, struct kern_product *job, bool asked);

/* Compares every way of multiplying with the CPU and takes the fastest one that agrees; fills in what the crossover lacks. */
enum base_status kern_device_prepare(struct kern_device *device, bool measure, struct base_error *error);

#endif
