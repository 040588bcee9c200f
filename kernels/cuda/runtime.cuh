/* The device of this folder: its memory areas, and calls. A call uploads, launches, downloads, and remembers its first failure: after it
 * nothing more is done, and the host's arrays stay as they are. One stream; nothing waits for it but flushing and the end of a call. */
#ifndef CACHET_KERNELS_CUDA_RUNTIME_CUH
#define CACHET_KERNELS_CUDA_RUNTIME_CUH

#include "kernels/cuda/target.cuh"

namespace KERN_CUDA_NAMESPACE {

enum {
    AES_PLANES = 88, /* of eleven round keys */
    STAGE_BYTES = 32 << 20,
    MAX_OUTPUTS = 64,
    MAX_PINNED = 64,
    ALIGNMENT = 256,
};

enum way { WAY_MMA, WAY_WGMMA, WAY_LIBRARY, WAYS };

struct call;
struct library; /* of int8 products: cuBLASLt */

struct device {
    int index;
    int major, minor, processors;
    cudaStream_t stream;
    uint8_t *work; /* on the device; a call takes from the front */
    size_t work_bytes, work_used, work_dirty;
    uint8_t *stage; /* pinned */
    size_t stage_used, stage_dirty;
    uint64_t *fixed_keys; /* [KERN_FSS_KEYS][AES_PLANES], on the device */
    struct library *library; /* NULL: not installed */
    struct {
        uintptr_t from, to;
    } pinned[MAX_PINNED];
    int pinned_count;
    int way;
    struct call *held; /* of products under way together, */
    bool holding;      /* if there are some */
};

struct output {
    uint8_t *to;
    size_t to_stride, row_bytes, rows;
    const uint8_t *from; /* rows without gaps */
    uint64_t mask;       /* of 64-bit words; all ones for bytes */
    uint8_t *staged;
};

struct call {
    struct device *device;
    struct base_error *error;
    enum base_status status;
    struct output outputs[MAX_OUTPUTS];
    int output_count;
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
        if ((call)->status == BASE_OK && call_check((call), KERN_CUDA_MADE(cudaSuccess, cudaErrorUnknown), #kernel)) { \
            KERN_CUDA_GO(kernel, grid, block, shared, (call)->device->stream, __VA_ARGS__);                            \
            call_check((call), cudaGetLastError(), #kernel);                                                           \
        }                                                                                                              \
    } while (0)

/* False, and the call's status, where `result` is a failure. `what` is named up to its parenthesis. */
bool call_check(struct call *call, cudaError_t result, const char *what);
void give_back(cudaError_t result);

/* Starts a call with an empty work area. */
struct call call_begin(struct device *device, struct base_error *error);
/* Downloads what is registered, overwrites what the call used, waits, and gives its status. Outputs that fit into the staging area together
 * arrive when nothing can fail any more: all of them or none. */
enum base_status call_end(struct call *call);

/* Room on the device, aligned to 256 bytes. NULL with BASE_ERR_SUPPORT where the work area is too small for the call. */
void *call_room(struct call *call, size_t bytes);
/* Copies rows to the device, `to_stride` >= row_bytes apart there, with zeros between. */
void call_upload_rows(struct call *call, void *to, size_t to_stride, const void *from, size_t from_stride, size_t row_bytes, size_t rows);
/* Copies rows into a part of a larger matrix on the device: nothing between them is touched. */
void call_upload_part(struct call *call, void *to, size_t to_stride, const void *from, size_t from_stride, size_t row_bytes, size_t rows);
/* Room and a copy in it, followed by 16 zero bytes. */
void *call_in_bytes(struct call *call, const void *from, size_t bytes);
/* Room of that size whose content arrives at `to` at the end of the call, or when it is flushed. */
void *call_out_bytes(struct call *call, void *to, size_t bytes);
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
enum base_status device_host_alloc(void *device, void **ret, size_t bytes, struct base_error *error);
void device_host_free(void *device, void *memory, size_t bytes);

}

#endif
