/* cuBLASLt, by dlopen. */
#include "kernels/cuda/library.cuh"

#include <cublasLt.h>
#include <dlfcn.h>
#include <stdlib.h>

namespace KERN_CUDA_NAMESPACE {

#define FUNCTIONS(apply)                                                                                                                       \
    apply(cublasLtCreate) apply(cublasLtDestroy) apply(cublasLtMatmul) apply(cublasLtMatmulDescCreate) apply(cublasLtMatmulDescDestroy)         \
        apply(cublasLtMatmulDescSetAttribute) apply(cublasLtMatrixLayoutCreate) apply(cublasLtMatrixLayoutDestroy)

struct library {
    void *handle;
    cublasLtHandle_t context;
#define MEMBER(name) decltype(&::name) name;
    FUNCTIONS(MEMBER)
#undef MEMBER
};

static bool find_functions(struct library *l)
{
#define FIND(name)                                                                                                     \
    l->name = (decltype(l->name))dlsym(l->handle, #name);                                                              \
    if (l->name == NULL)                                                                                               \
        return false;
    FUNCTIONS(FIND)
#undef FIND
    return true;
}

/* The library's failures in the words of the runtime's, so that both pass through one place. */
static cudaError_t made(cublasStatus_t status)
{
    return status == CUBLAS_STATUS_SUCCESS ? cudaSuccess : status == CUBLAS_STATUS_ALLOC_FAILED ? cudaErrorMemoryAllocation : cudaErrorUnknown;
}

struct library *library_open(struct call *call)
{
    struct library *l = call->status == BASE_OK ? (struct library *)calloc(1, sizeof *l) : NULL;
    if (l == NULL)
        return NULL;
    static const char *const names[] = {"libcublasLt.so.13", "libcublasLt.so"};
    for (size_t i = 0; i < sizeof names / sizeof *names && l->handle == NULL; i++)
        l->handle = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (l->handle != NULL && find_functions(l) && KERN_CUDA_MADE(made(l->cublasLtCreate(&l->context)), cudaErrorUnknown) == cudaSuccess)
        return l;
    if (l->handle != NULL)
        dlclose(l->handle);
    free(l);
    return NULL;
}

void library_close(struct library *l)
{
    if (l == NULL)
        return;
    CUDA_GIVE_BACK(made(l->cublasLtDestroy(l->context)));
    dlclose(l->handle);
    free(l);
}

/* In the library's terms: C = A^T B by columns, A [inner][outs], B [inner][rows], C [outs][rows]; the only layout for int8 is both factors
 * by columns of the inner dimension. */
void library_product(struct call *call, int32_t *c, const int8_t *a, size_t a_stride, size_t rows, const int8_t *w, size_t w_stride, size_t outs,
                     size_t inner)
{
    struct library *l = call->device->library;
    cublasLtMatmulDesc_t how = NULL;
    cublasLtMatrixLayout_t left = NULL, right = NULL, result = NULL;
    cublasOperation_t transposed = CUBLAS_OP_T;
    int32_t one = 1, zero = 0;
    if (CUDA(call, made(l->cublasLtMatmulDescCreate(&how, CUBLAS_COMPUTE_32I, CUDA_R_32I))) &&
        CUDA(call, made(l->cublasLtMatmulDescSetAttribute(how, CUBLASLT_MATMUL_DESC_TRANSA, &transposed, sizeof transposed))) &&
        CUDA(call, made(l->cublasLtMatrixLayoutCreate(&left, CUDA_R_8I, inner, outs, (int64_t)w_stride))) &&
        CUDA(call, made(l->cublasLtMatrixLayoutCreate(&right, CUDA_R_8I, inner, rows, (int64_t)a_stride))) &&
        CUDA(call, made(l->cublasLtMatrixLayoutCreate(&result, CUDA_R_32I, outs, rows, (int64_t)outs))))
        CUDA(call, made(l->cublasLtMatmul(l->context, how, &one, w, left, a, right, &zero, c, result, c, result, NULL, NULL, 0, call->queue->stream)));
    if (result != NULL)
        CUDA_GIVE_BACK(made(l->cublasLtMatrixLayoutDestroy(result)));
    if (right != NULL)
        CUDA_GIVE_BACK(made(l->cublasLtMatrixLayoutDestroy(right)));
    if (left != NULL)
        CUDA_GIVE_BACK(made(l->cublasLtMatrixLayoutDestroy(left)));
    if (how != NULL)
        CUDA_GIVE_BACK(made(l->cublasLtMatmulDescDestroy(how)));
}

}
