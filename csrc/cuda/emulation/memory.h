/* The memory of the emulated device, and what the checker notes of every byte of it. */
#pragma once

#include <string>

#include "fibers.h"

namespace emulated {

struct Mark {                               // of an access: when it was, and by whom
    uint32_t interval;                      // between two barriers of one block; 0 is never, 1 before all launches
    uint32_t thread : 10, syncs : 18;       // which thread, and how often its warp had met in this interval
    uint32_t several : 1, warps : 1;        // it is the last of several threads, of several warps
    uint32_t atomic : 1, flying : 1;        // a cp.async has set out and not arrived
};
struct Cell { Mark write, read; };          // the last accesses of a byte

constexpr size_t DEVICE_BYTES = size_t{1} << 28, GAP = 256;
constexpr size_t SHARED_BYTES = 227 << 10, SHARED_UNASKED = 48 << 10;   // of a block, and without cudaFuncSetAttribute
constexpr size_t MOST_ACCESSES = size_t{1} << 28;                       // of a thread that waits for no other

/* Where arrays lie (memory.cpp). */
bool is_shared(const void *at);
bool is_global(const void *at);
bool whole(const void *at, size_t bytes);   // whether one array holds all of these bytes
std::string place(const void *at);          // where that is, for a message
Cell *cells(const void *at);

void *allocate(size_t bytes);               // global memory; null where no room is left
bool release(void *at);
void lend(void *at, size_t bytes);          // an allocation serves for these bytes now; none of them was written yet
void open_shared(size_t dynamic_bytes);     // a block begins: shared memory is new, and holds nothing

/* What kernels have done since this was last set to zero: bytes, and times. */
struct Counts {
    long long launches, barriers, global_read, global_written, shared_read, shared_written, products, bank_conflicts;
};
extern Counts counts;

/* What is in order (checker.cpp). */
bool may_launch(const Launch &launch);      // whether a device would take it; a report if not
bool allow_shared(const void *kernel, size_t bytes);    // for its launches; false if no device has so much
void open_launch();
void open_block();
void next_interval();                       // all threads have met at a __syncthreads
bool copied(const void *at, size_t bytes, Access how, const char *what);   // by the host; false, and a report, if wrong
void writes(const void *at, size_t bytes);  // note a write that was looked at before

/* cp.async (copies.cpp): what it copies is there when the copying thread has waited for it, and not before. */
void copy_later(void *shared, const void *global, size_t bytes, size_t read);
void land(unsigned but);                    // all groups but the last so many

}  // namespace emulated
