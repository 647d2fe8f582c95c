/* Kernels that begin before the one in front of them has ended (programmatic dependent launch, from sm_90 on: CUDA C++
   Programming Guide, "Programmatic Dependent Launch and Synchronization"). Between two kernels of a stream memory rests
   for a time: the last blocks end, the next are started, their first loads are on the way.

       launch_overlapped(kernel, grid, block, stream, arguments...)      as LAUNCH, and it may begin early

   The kernel says next_may_start() when the next one of its kind may; and earlier_are_done() waits until all that was
   asked before is complete. In front of that it must write nothing, and read only what no kernel writes: packed
   weights, which the host has uploaded. Every thread has to come there. Elsewhere, and on older devices, all of it is
   nothing. */
#pragma once

#include "device.h"

#ifdef NN_EMULATED
#define launch_overlapped(kernel, grid, block, stream, ...) \
    (LAUNCH(kernel, grid, block, 0, stream, __VA_ARGS__), launched())
inline void next_may_start() {}
inline void earlier_are_done() {}
#else

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
#define SINCE_90(...) __VA_ARGS__
#else
#define SINCE_90(...)
#endif
__device__ __forceinline__ void next_may_start() { SINCE_90(asm volatile("griddepcontrol.launch_dependents;");) }
__device__ __forceinline__ void earlier_are_done() { SINCE_90(asm volatile("griddepcontrol.wait;" ::: "memory");) }

template <class... Wanted, class... Given>
int launch_overlapped(void (*kernel)(Wanted...), dim3 grid, dim3 block, void *stream, const Given &...given) {
    int device = 0, major = 0;
    cudaGetDevice(&device);
    cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
    cudaLaunchAttribute early = {};
    early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    early.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t how = {};
    how.gridDim = grid, how.blockDim = block, how.stream = static_cast<cudaStream_t>(stream);
    how.attrs = &early, how.numAttrs = major >= 9 ? 1 : 0;
    return static_cast<int>(cudaLaunchKernelEx(&how, kernel, Wanted(given)...));
}
#endif
