/* The device of this folder: its queues, and calls. A queue is a stream with memory areas of its own. A call brings its inputs, launches, and
 * registers its outputs; it remembers its first failure: after it nothing more is done, and the host's arrays stay as they are. A call that is left
 * (call_leave) stays under way, calls after it join it, and the first one that ends waits once for all of them.
 *
 * What is small goes through the window, pinned memory that kernels read and write: inputs are fetched by one launch before the kernel that reads
 * them, outputs are written there by the kernel itself or by one launch at the end. Only larger things are copied, by way of the stage. */
#ifndef CACHET_KERNELS_CUDA_RUNTIME_CUH
#define CACHET_KERNELS_CUDA_RUNTIME_CUH

#include "kernels/cuda/target.cuh"

namespace KERN_CUDA_NAMESPACE {

enum {
    AES_PLANES = 88, /* of eleven round keys */
    STAGE_BYTES = 32 << 20,
    WINDOW_BYTES = 8 << 20,
    SMALL_BYTES = 256 << 10, /* what goes through the window */
    SIDE_WORK_BYTES = 64 << 10,
    MAX_OUTPUTS = 128,
    MAX_MOVES = 16,
    MAX_PINNED = 64,
    ALIGNMENT = 256,
};

enum way { WAY_MMA, WAY_WGMMA, WAY_LIBRARY, WAYS };

struct call;
struct library; /* of int8 products: cuBLASLt */

struct output {
    uint8_t *to;
    size_t to_stride, row_bytes, rows;
    const uint8_t *from; /* rows without gaps; NULL: kernels write where it is staged */
    uint64_t mask;       /* of 64-bit words; all ones for bytes */
    uint8_t *staged;
};

/* Rows that a kernel moves between the window and the device. */
struct move {
    uint8_t *to;
    const uint8_t *from;
    size_t to_stride, from_stride, row_bytes, rows;
    size_t unit; /* of one load and store: 1, 4 or 16 bytes, which divides all of them */
};

struct moves {
    struct move move[MAX_MOVES];
};

struct queue {
    cudaStream_t stream;
    cudaEvent_t done; /* what is under way has been, outputs staged */
    uint8_t *work;    /* on the device; a call takes from the front */
    size_t work_bytes, work_used, work_dirty;
    uint8_t *stage; /* pinned; free again when the stream was waited for */
    size_t stage_bytes, stage_used, stage_dirty;
    uint8_t *window, *window_there; /* pinned and mapped; free again when nothing is under way. The kernels' address of it */
    size_t window_bytes, window_used, window_dirty;
    struct output outputs[MAX_OUTPUTS];
    int output_count;
    bool under_way;
};

struct device {
    int index;
    int major, minor, processors;
    struct queue main, side; /* side: keystreams that are wanted later */
    uint64_t *fixed_keys; /* [KERN_FSS_KEYS][AES_PLANES], on the device */
    struct library *library; /* NULL: not installed */
    struct {
        uintptr_t from, to;
        const uint8_t *there;
    } pinned[MAX_PINNED];
    int pinned_count;
    int way;
    size_t waits, launches, copies; /* so far */
};

struct call {
    struct device *device;
    struct queue *queue;
    struct base_error *error;
    enum base_status status;
    bool joined; /* others were under way when it began: */
    int first_output;
    size_t first_work; /* its part of the work area begins here */
    struct moves moves; /* not launched yet */
    int move_count;
};

/* Every call of CUDA's runtime or library passes through here. With KERN_CUDA_FAULTS the chosen one fails (kern_cuda_fault_at in
 * cuda/faults.h); one that gives something back is made even so. */
#ifdef KERN_CUDA_FAULTS
bool fault_due();
#define KERN_CUDA_MADE(expression, otherwise) (fault_due() ? (otherwise) : (expression))
#else
#define KERN_CUDA_MADE(expression, otherwise) (expression)
#endif
#define CUDA(call, expression) \
    ((call)->status == BASE_OK && call_check((call), KERN_CUDA_MADE((expression), cudaErrorUnknown), #expression))
#define CUDA_GIVE_BACK(expression) give_back((expression))
#define LAUNCH(call, kernel, grid, block, shared, ...)                                                                 \
    do {                                                                                                               \
        call_move(call);                                                                                               \
        if ((call)->status == BASE_OK && call_check((call), KERN_CUDA_MADE(cudaSuccess, cudaErrorUnknown), #kernel)) { \
            (call)->device->launches++;                                                                                \
            KERN_CUDA_GO(kernel, grid, block, shared, (call)->queue->stream, __VA_ARGS__);                             \
            call_check((call), cudaGetLastError(), #kernel);                                                           \
        }                                                                                                              \
    } while (0)

/* False, and the call's status, where `result` is a failure. `what` is named up to its parenthesis. */
bool call_check(struct call *call, cudaError_t result, const char *what);
void give_back(cudaError_t result);

/* Starts a call in the main queue, or in another one. It joins what is under way there. */
struct call call_begin(struct device *device, struct base_error *error);
struct call call_begin_in(struct device *device, struct queue *queue, struct base_error *error);
/* Stages the outputs of everything under way, in both queues, overwrites what was used, waits once, and gives the call's status. Outputs that fit into
 * window and stage together arrive when nothing can fail any more: all of them or none. BASE_ERR_SUPPORT: what was under way before still is. */
enum base_status call_end(struct call *call);
/* The call stays under way: its outputs come with those of the call that ends next. BASE_ERR_SUPPORT: as above. */
enum base_status call_leave(struct call *call);
/* Launches what the call has registered to be moved: before anything in its stream that is no LAUNCH reads it. */
void call_move(struct call *call);

/* For runtime.cu: nothing under way reads or writes a queue's areas any more; overwrites what was used of the work area; `bytes` of the stage that no copy
 * under way uses. */
void queue_clear(struct queue *q);
void call_zero(struct call *call);
uint8_t *call_stage(struct call *call, size_t bytes);

/* Room on the device, aligned to 256 bytes. NULL with BASE_ERR_SUPPORT where the work area is too small for the call. */
void *call_room(struct call *call, size_t bytes);
/* Copies rows to the device, `to_stride` >= row_bytes apart there, with zeros between. */
void call_upload_rows(struct call *call, void *to, size_t to_stride, const void *from, size_t from_stride, size_t row_bytes, size_t rows);
/* Copies rows into a part of a larger matrix on the device: nothing between them is touched. */
void call_upload_part(struct call *call, void *to, size_t to_stride, const void *from, size_t from_stride, size_t row_bytes, size_t rows);
/* Room and a copy in it, followed by 16 zero bytes. */
void *call_in_bytes(struct call *call, const void *from, size_t bytes);
/* Room of that size whose content arrives at `to` at the end of the call, or when it is flushed: for kernels that only write it. */
void *call_out_bytes(struct call *call, void *to, size_t bytes);
/* The same on the device, for kernels that read it, too. */
void *call_out_kept(struct call *call, void *to, size_t bytes);
/* The output registered last is the caller's input, too: it must not arrive before everything else went well. BASE_ERR_SUPPORT where nothing can promise
 * that. */
void call_whole(struct call *call);
void call_download_rows(struct call *call, void *to, size_t to_stride, const void *from, size_t row_bytes, size_t rows, uint64_t mask);
/* Downloads what is registered now. */
void call_flush(struct call *call);

template <typename T> static inline T *call_in(struct call *call, const T *from, size_t count)
{
    return (T *)call_in_bytes(call, from, count * sizeof *from);
}

template <typename T> static inline T *call_out(struct call *call, T *to, size_t count)
{
    return (T *)call_out_bytes(call, to, count * sizeof *to);
}

static inline size_t round_up(size_t value, size_t unit)
{
    return (value + unit - 1) / unit * unit;
}

/* Blocks of `threads` that cover `count` threads. */
static inline dim3 cover(size_t count, unsigned threads)
{
    return dim3((unsigned)((count + threads - 1) / threads), 1, 1);
}

/* Number of this thread in its grid of one dimension. */
static __device__ inline size_t thread_number()
{
    return (size_t)blockIdx.x * blockDim.x + threadIdx.x;
}

enum base_status device_open(void **ret, int index, size_t work_bytes, struct base_error *error);
void device_close(void *device);
void device_describe(void *device, char *text, size_t size);
enum base_status device_memory(void *device, size_t *ret_free, size_t *ret_total, struct base_error *error);
void device_count(const void *device, struct kern_device_counts *counts);
enum base_status device_host_alloc(void *device, void **ret, size_t bytes, struct base_error *error);
void device_host_free(void *device, void *memory, size_t bytes);

}

#endif
