/* The threads of a block, and what the scheduler and the checker know of each. */
#pragma once

#include <csetjmp>
#include <cstdint>
#include <vector>

#include "emulation.h"

namespace emulated {

enum State { READY, AT_BLOCK_BARRIER, IN_WARP, DONE };

struct Copy {                               // a cp.async on its way (copies.cpp)
    void *to;
    const void *from;
    size_t bytes, read;
    unsigned group;
};

struct Thread {
    Position position;
    int number, warp, lane;
    State state;
    const char *waits_for;                  // what it does with its warp, and with what
    void *mine;
    uint32_t exchanged;
    unsigned warp_syncs;                    // how often its warp has met since the last __syncthreads
    unsigned groups;                        // of asynchronous copies that it has closed
    std::vector<Copy> copies;
    jmp_buf context;
    unsigned char *stack;
    bool entered;
};

struct Launch {                             // the one that runs
    const char *kernel;
    const void *function;
    dim3 grid, block;
    size_t bytes;                           // of dynamic shared memory
    void (*run)(const void *);
    const void *arguments;
    int threads;
    unsigned char *frame;                   // where the host's stack ends: the arguments lie above
    size_t accesses;                        // by the thread that runs, since it last waited
};

extern Launch now;
extern Thread *current;                     // the thread that runs, null while the host does
extern Thread threads[MOST_THREADS];
constexpr size_t STACK = 1 << 16;           // bytes of a thread's stack

extern int order;                           // 0 forward, 1 reverse, 2 random
void set_order(int order, unsigned seed);

/* Say what is wrong, and leave the launch: the thread that runs does not go on. */
[[noreturn]] void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));   // the same of the host; it goes on
const char *report();                       // what the last failure was, "" if there was none
bool failed_before();                       // whether there was one; it is forgotten then

void wait(State state);                     // let the others run

}  // namespace emulated
