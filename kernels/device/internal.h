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

/* A piece of work under way, from which the CPU can make it anew. */
struct kern_job;
struct kern_held;
struct kern_device;
struct kern_job_kind {
    /* Its inputs, instead of the caller's; false: no room for them. */
    bool (*copy)(struct kern_held *held, struct kern_job *job);
    enum base_status (*start)(struct kern_device *device, const struct kern_job *job, struct base_error *error);
    void (*on_cpu)(const struct kern_job *job);
};

struct kern_words_job {
    struct kern_aes_key key;
    uint64_t counter, *out;
    size_t count;
    int ring;
};

struct kern_wire_job {
    void *out;
    const void *in;
    size_t count;
    int ring;
};

struct kern_dcf_job {
    struct kern_dcf_keys keys;
    int side;
    const uint8_t *root;
    const uint64_t *x;
    size_t points;
    uint64_t *out;
};

struct kern_sums_job {
    struct kern_dpf_keys keys; /* once copied: those of the gate */
    struct kern_gate_keys gate;
    const uint64_t *table;
    size_t words; /* of it */
    int s;
    uint64_t *out;
    struct kern_gate_room room;
    bool segments;
};

struct kern_job {
    const struct kern_job_kind *kind;
    union {
        struct kern_product product;
        struct kern_words_job words;
        struct kern_wire_job wire;
        struct kern_dcf_job dcf;
        struct kern_sums_job sums;
    };
};

enum { KERN_DEVICE_HELD = 96, KERN_DEVICE_HELD_BYTES = 16 << 20, KERN_DEVICE_HOLDS = 8 };
struct kern_held {
    int depth;       /* of kern_hold without kern_settle, */
    pthread_t owner; /* of the thread that called it */
    uint64_t started, mark[KERN_DEVICE_HOLDS]; /* jobs so far, and when each of these holds began: kern_settle waits for its own hold's */
    struct kern_job job[KERN_DEVICE_HELD];
    size_t count;
    uint8_t *copies; /* pinned: they go there without another copy */
    size_t used;
    bool under_way; /* jobs, or uploads alone */
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
    size_t stale_count; /* of placed ones */
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
/* With the lock: starts a job between kern_hold and kern_settle. BASE_ERR_SUPPORT: it is none to be started, or the device is out of use. */
enum base_status kern_device_start(struct kern_device *device, const struct kern_job *job, struct base_error *error);
/* With the lock: waits for what is under way. After a failure the CPU makes it anew. */
void kern_device_settle(struct kern_device *device);
/* With the lock: a call has waited, and what was under way came with it. */
void kern_device_arrived(struct kern_device *device);
extern const struct kern_job_kind kern_device_product;
const struct kern_table *kern_device_cpu(void);
/* The copy is what the host has. */
void kern_device_fresh(struct kern_device *device, struct kern_placed *placed);
extern const struct kern_accelerated kern_device_accelerated;

/* Takes the device for a call of `size`: false where it is NULL or out of use, or size is 0 or less than `from`. */
bool kern_device_begin(struct kern_device *device, size_t size, size_t from);
/* kern_device_begin for a call of a family. */
bool kern_device_takes(struct kern_device *device, enum kern_device_family family, size_t size);
/* AES blocks of evaluations at `points` points each. */
size_t kern_device_dcf_size(const struct kern_dcf_keys *keys, size_t points);
/* Whether a call is to be made once more: it found no room beside what was under way, which has arrived now. */
bool kern_device_again(struct kern_device *device, enum base_status status);
/* Gives the device back after a call that waited; whether it was done. A failure puts the device out of use. */
bool kern_device_end(struct kern_device *device, enum base_status status, const struct base_error *error);
/* The same after one that was started. */
bool kern_device_left(struct kern_device *device);

/* On the device or on the CPU; on the device whatever its size if `asked`. */
void kern_device_multiply(struct kern_device *device, struct kern_product *job, bool asked);

/* Compares every way of multiplying with the CPU and takes the fastest one that agrees; fills in what the crossover lacks. */
enum base_status kern_device_prepare(struct kern_device *device, bool measure, struct base_error *error);

#endif
