/* The device itself: what it is, its memory, streams and events. The same source serves a GPU and the emulation. */
#include "device.h"

#ifdef NN_EMULATED
#include "emulation/memory.h"
#endif

API_TYPE typedef struct {
    char name[256];
    int major, minor, multiprocessors, emulated;
    size_t memory, shared_per_block, l2;
} nn_cuda_device;

API int nn_cuda_devices(int *count) { return cudaGetDeviceCount(count); }

API int nn_cuda_driver(int *version) { return cudaDriverGetVersion(version); }

API int nn_cuda_open(int device, nn_cuda_device *about) {
    cudaDeviceProp p;
    int status = cudaSetDevice(device);
    if (!status) status = cudaGetDeviceProperties(&p, device);
    if (status) return status;
    for (int i = 0; i < 256; ++i) about->name[i] = p.name[i];
    about->major = p.major, about->minor = p.minor, about->multiprocessors = p.multiProcessorCount;
    about->memory = p.totalGlobalMem, about->shared_per_block = p.sharedMemPerBlockOptin;
    about->l2 = static_cast<size_t>(p.l2CacheSize);
#ifdef NN_EMULATED
    about->emulated = 1;
#else
    about->emulated = 0;
#endif
    return 0;
}

API const char *nn_cuda_error_name(int status) { return cudaGetErrorName(static_cast<cudaError_t>(status)); }
API const char *nn_cuda_error_text(int status) { return cudaGetErrorString(static_cast<cudaError_t>(status)); }

API int nn_cuda_allocate(size_t bytes, void **at) {
    const int status = cudaMalloc(at, bytes);
    if (status) cudaGetLastError();   // where there is no room the next call is none the worse
    return status;
}
API int nn_cuda_release(void *at) { return cudaFree(at); }

API int nn_cuda_upload(void *to, const void *from, size_t bytes, void *stream) {
    return cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, static_cast<cudaStream_t>(stream));
}
API int nn_cuda_download(void *to, const void *from, size_t bytes, void *stream) {
    return cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, static_cast<cudaStream_t>(stream));
}
API int nn_cuda_copy(void *to, const void *from, size_t bytes, void *stream) {
    return cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, static_cast<cudaStream_t>(stream));
}
API int nn_cuda_fill(void *at, int byte, size_t bytes, void *stream) {
    return cudaMemsetAsync(at, byte, bytes, static_cast<cudaStream_t>(stream));
}

API int nn_cuda_stream(void **stream) { return cudaStreamCreate(reinterpret_cast<cudaStream_t *>(stream)); }
API int nn_cuda_stream_release(void *stream) { return cudaStreamDestroy(static_cast<cudaStream_t>(stream)); }
API int nn_cuda_synchronize(void *stream) { return cudaStreamSynchronize(static_cast<cudaStream_t>(stream)); }

API int nn_cuda_event(void **event) { return cudaEventCreate(reinterpret_cast<cudaEvent_t *>(event)); }
API int nn_cuda_event_release(void *event) { return cudaEventDestroy(static_cast<cudaEvent_t>(event)); }
API int nn_cuda_event_record(void *event, void *stream) {
    return cudaEventRecord(static_cast<cudaEvent_t>(event), static_cast<cudaStream_t>(stream));
}
API int nn_cuda_event_milliseconds(float *ms, void *from, void *to) {
    const int status = cudaEventSynchronize(static_cast<cudaEvent_t>(to));
    return status ? status : cudaEventElapsedTime(ms, static_cast<cudaEvent_t>(from), static_cast<cudaEvent_t>(to));
}

/* Graphs: what is asked of a stream between begin and end is written down and not done; a launch does all of it, with one
   call of the host. The emulation does everything at once and has none. */
#ifdef NN_EMULATED
API int nn_cuda_graph_begin(void *stream) { return (void)stream, cudaErrorNotSupported; }
API int nn_cuda_graph_end(void **graph, void *stream) { return (void)graph, (void)stream, cudaErrorNotSupported; }
API int nn_cuda_graph_launch(void *graph, void *stream) { return (void)graph, (void)stream, cudaErrorNotSupported; }
API int nn_cuda_graph_release(void *graph) { return (void)graph, cudaErrorNotSupported; }
#else
API int nn_cuda_graph_begin(void *stream) {
    return cudaStreamBeginCapture(static_cast<cudaStream_t>(stream), cudaStreamCaptureModeThreadLocal);
}
API int nn_cuda_graph_end(void **graph, void *stream) {
    cudaGraph_t written;
    int status = cudaStreamEndCapture(static_cast<cudaStream_t>(stream), &written);
    if (status) return status;
    status = cudaGraphInstantiate(reinterpret_cast<cudaGraphExec_t *>(graph), written, 0);
    cudaGraphDestroy(written);
    return status;
}
API int nn_cuda_graph_launch(void *graph, void *stream) {
    return cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), static_cast<cudaStream_t>(stream));
}
API int nn_cuda_graph_release(void *graph) { return cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph)); }
#endif

/* A part of an allocation is handed out again, for so many bytes: the emulation looks that no more are touched, and none
   is read before it was written. A device does nothing. */
API int nn_cuda_lend(void *at, size_t bytes) {
#ifdef NN_EMULATED
    emulated::lend(at, bytes);
#else
    (void)at, (void)bytes;
#endif
    return 0;
}

/* Of the emulation: what went wrong last; the order of a block's threads (0 forward, 1 reverse, 2 random by the seed);
   what kernels have done since this was last asked: launches, __syncthreads, bytes read of global memory and written,
   of shared memory, products of warps, rows of ldmatrix that had to wait for others of the same banks. */
API const char *nn_cuda_report(void) {
#ifdef NN_EMULATED
    return emulated::report();
#else
    return "";
#endif
}
API int nn_cuda_order(int order, unsigned seed) {
#ifdef NN_EMULATED
    emulated::set_order(order, seed);
#else
    (void)order, (void)seed;
#endif
    return 0;
}
API int nn_cuda_counts(long long found[8]) {
#ifdef NN_EMULATED
    const emulated::Counts &c = emulated::counts;
    const long long all[8] = {c.launches, c.barriers, c.global_read, c.global_written, c.shared_read, c.shared_written,
                              c.products, c.bank_conflicts};
    for (int i = 0; i < 8; ++i) found[i] = all[i];
    emulated::counts = {};
    return 0;
#else
    return (void)found, cudaErrorNotSupported;
#endif
}
