/* For tests of builds with KERN_CUDA_FAULTS: call number `call` (from 0) of CUDA's from now on fails; -1: none. */
#ifndef CACHET_KERNELS_CUDA_FAULTS_H
#define CACHET_KERNELS_CUDA_FAULTS_H

#ifdef __cplusplus
extern "C" {
#endif
void kern_cuda_fault_at(long call);
/* Calls since then. */
long kern_cuda_calls(void);
#ifdef __cplusplus
}
#endif

#endif
