/* CUDA's runtime for the emulated device: its memory is ours, and whatever is asked for is done when the call returns. */
#include "runtime.h"

#include <chrono>

#include "memory.h"

using namespace emulated;

static cudaError_t code(bool good, cudaError_t wrong = cudaErrorLaunchFailure) {
    if (!good) failed_before();             // the caller is told now, and not the next launch
    return good ? cudaSuccess : wrong;
}

const char *cudaGetErrorName(cudaError_t e) {
    switch (e) {
    case cudaSuccess: return "cudaSuccess";
    case cudaErrorInvalidValue: return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation: return "cudaErrorMemoryAllocation";
    case cudaErrorNotSupported: return "cudaErrorNotSupported";
    default: return "cudaErrorLaunchFailure";
    }
}

const char *cudaGetErrorString(cudaError_t e) {
    switch (e) {
    case cudaSuccess: return "no error";
    case cudaErrorInvalidValue: return "invalid argument";
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorNotSupported: return "operation not supported";
    default: return "unspecified launch failure";
    }
}

cudaError_t cudaGetLastError() {
    return failed_before() ? cudaErrorLaunchFailure : cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int *count) { return *count = 1, cudaSuccess; }
cudaError_t cudaDriverGetVersion(int *version) { return *version = 0, cudaSuccess; }
cudaError_t cudaSetDevice(int device) { return code(device == 0, cudaErrorInvalidValue); }

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *about, int) {
    *about = {"emulated", size_t{1} << 28, 227 << 10, 9, 0, 1, 0};
    return cudaSuccess;
}

cudaError_t cudaMalloc(void **at, size_t bytes) {
    *at = allocate(bytes);
    return code(*at, cudaErrorMemoryAllocation);
}
cudaError_t cudaFree(void *at) { return code(!at || release(at), cudaErrorInvalidValue); }

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t) {
    const bool good = (kind == cudaMemcpyHostToDevice || copied(from, bytes, READ, "copy from the device")) &&
                      (kind == cudaMemcpyDeviceToHost || copied(to, bytes, WRITE, "copy to the device"));
    if (good) memmove(to, from, bytes);
    return code(good);
}
cudaError_t cudaMemsetAsync(void *at, int value, size_t bytes, cudaStream_t) {
    const bool good = copied(at, bytes, WRITE, "fill");
    if (good) memset(at, value, bytes);
    return code(good);
}

cudaError_t cudaFuncSetAttribute(const void *kernel, cudaFuncAttribute, int bytes) {
    return bytes >= 0 && allow_shared(kernel, static_cast<size_t>(bytes)) ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t cudaStreamCreate(cudaStream_t *stream) { return *stream = new char, cudaSuccess; }
cudaError_t cudaStreamDestroy(cudaStream_t stream) { return delete static_cast<char *>(stream), cudaSuccess; }
cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }

using Clock = std::chrono::steady_clock;
cudaError_t cudaEventCreate(cudaEvent_t *event) { return *event = new Clock::time_point, cudaSuccess; }
cudaError_t cudaEventDestroy(cudaEvent_t event) { return delete static_cast<Clock::time_point *>(event), cudaSuccess; }
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t) {
    return *static_cast<Clock::time_point *>(event) = Clock::now(), cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t) { return cudaSuccess; }
cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to) {
    *ms = std::chrono::duration<float, std::milli>(*static_cast<Clock::time_point *>(to) -
                                                   *static_cast<Clock::time_point *>(from)).count();
    return cudaSuccess;
}
