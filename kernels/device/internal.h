#ifndef CACHET_KERNELS_DEVICE_INTERNAL_H
#define CACHET_KERNELS_DEVICE_INTERNAL_H

#include "kernels/device/backend.h"
#include "kernels/gather.h"
#include "kernels/internal.h"

#include <pthread.h>

enum { KERN_DEVICE_FEW_ROWS = 4 };

struct kern_placed {
    struct kern_product matrix; /* w, w_stride, outs, inner, word, and the backend's copy */
    struct kern_part stale;     /* of the copy */
    bool written;               /* since it was placed or wiped: what it holds may be secret */
};

struct host_block {
    struct host_block *next;
    void *memory;
    size_t bytes;
};

/* Products under way, with copies of their activations, from which the CPU can make them anew. */
enum { KERN_DEVICE_HELD = 64, KERN_DEVICE_HELD_BYTES = 8 << 20 };
struct kern_held {
    bool on; /* between kern_hold and kern_settle, */
    pthread_t owner; /* of the thread that called it */
    struct kern_product job[KERN_DEVICE_HELD];
    size_t count;
    uint8_t *copies;
    size_t used;
};

struct kern_device {
    const struct kern_backend *backend;
    void *handle;
    struct kern_device_options options;
    struct kern_crossover crossover;
    pthread_mutex_t lock;
    struct kern_placed **placed; /* [placed_count], by the address of the host's words */
    size_t placed_count, placed_room, placed_most; /* placed_most: bytes of the host's words of the largest one so far */
    struct host_block *blocks;
    bool out_of_use;
    struct kern_device_counts counts;
    struct kern_held held;
    struct base_error failure;
    char text[512];
};

/* The device whose table this is from now on, or NULL: none. */
void kern_device_use(struct kern_device *device);
struct kern_device *kern_device_current(void);
/* Its products on the CPU, over threads. */
void kern_device_on_cpu(const struct kern_product *job);
/* The placed matrix of which a job's w is a run of rows, or of their beginnings; NULL: none. */
struct kern_placed *kern_device_find(const struct kern_device *device, const struct kern_product *job, size_t *ret_first);
/* Into the list, which has room for it, and out of it. */
void kern_device_list(struct kern_device *device, struct kern_placed *placed);
void kern_device_unlist(struct kern_device *device, const struct kern_placed *placed);
bool kern_device_worth_keys(const struct kern_device *device, const struct kern_dpf_shape *shape, size_t count);

/* Takes the lock, and waits for the products under way. */
void kern_device_lock(struct kern_device *device);
void kern_device_note_failure(struct kern_device *device, const struct base_error *error);
/* With the lock: starts a product between kern_hold and kern_settle. BASE_ERR_SUPPORT: it is none to be held, and others are not under way any more. */
enum base_status kern_device_hold(struct kern_device *device, const struct kern_product *job, struct base_error *error);
/* With the lock: waits for them. After a failure the CPU makes them anew. */
void kern_device_settle(struct kern_device *device);
extern const struct kern_accelerated kern_device_accelerated;

/* Takes the device for a call of `size`: false where it is NULL or out of use, or size is 0 or less than `from`. */
bool kern_device_begin(struct kern_device *device, size_t size, size_t from);
/* Gives it back; whether the call was done. A failure puts the device out of use. */
bool kern_device_end(struct kern_device *device, enum base_status status, const struct base_error *error);

/* On the device or on the CPU; on the device whatever its size if `asked`. */
void kern_device_multiply(struct kern_device *device, struct kern_product *job, bool asked);

/* Compares every way of multiplying with the CPU and takes the fastest one that agrees; fills in what the crossover lacks. */
enum base_status kern_device_prepare(struct kern_device *device, bool measure, struct base_error *error);

#endif
