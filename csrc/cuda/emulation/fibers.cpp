/* The scheduler. Each thread of a block is a fiber: a stack of its own and a place where it goes on. makecontext enters
   it for the first time; from there setjmp and longjmp switch, which take no system call. */
#include "fibers.h"

#include <cstdarg>
#include <cstdio>
#include <numeric>
#include <sys/mman.h>
#include <ucontext.h>

#include "memory.h"

namespace emulated {

Launch now;
Thread *current;
Position *here;
Thread threads[MOST_THREADS];
int order;

static jmp_buf scheduler;
static unsigned char *stacks;
static char said[1024];
static bool failed;
static uint32_t random_state = 1;

static unsigned draw(unsigned below) {      // xorshift (Marsaglia 2003)
    random_state ^= random_state << 13, random_state ^= random_state >> 17, random_state ^= random_state << 5;
    return random_state % below;
}

void set_order(int wanted, unsigned seed) {
    order = wanted;
    random_state = seed * 2654435761u | 1;
}

/* Numbers 0..count - 1 in the order of the day. */
static void arranged(std::vector<int> &numbers, int count) {
    numbers.resize(count);
    std::iota(numbers.begin(), numbers.end(), 0);
    if (order == 1) std::reverse(numbers.begin(), numbers.end());
    if (order == 2)
        for (int i = count - 1; i > 0; --i) std::swap(numbers[i], numbers[draw(i + 1)]);
}

static void say(const char *format, va_list more) {
    if (!failed) vsnprintf(said + strlen(said), sizeof said - strlen(said), format, more);
    failed = true;
}

void note(const char *format, ...) {
    va_list more;
    va_start(more, format);
    if (!failed) said[0] = 0;
    say(format, more);
    va_end(more);
}

void fail(const char *format, ...) {
    const Position &p = current->position;
    va_list more;
    va_start(more, format);
    if (!failed)
        snprintf(said, sizeof said, "%s, block (%u, %u, %u), thread (%u, %u, %u): ", now.kernel, p.block.x, p.block.y,
                 p.block.z, p.thread.x, p.thread.y, p.thread.z);
    say(format, more);
    va_end(more);
    current = nullptr;
    longjmp(scheduler, 1);
}

const char *report() { return said; }

bool failed_before() {
    const bool was = failed;
    failed = false;
    return was;
}

void wait(State state) {
    current->state = state;
    if (!setjmp(current->context)) longjmp(scheduler, 1);
}

/* What a fiber does, block after block: the kernel, and then it waits to be needed again. */
static void live() {
    for (;;) {
        now.run(now.arguments);
        wait(DONE);
    }
}

static void resume(Thread &t) {
    current = &t;
    here = &t.position;
    now.accesses = 0;
    if (!setjmp(scheduler)) {
        if (t.entered) longjmp(t.context, 1);
        t.entered = true;
        ucontext_t fresh;
        getcontext(&fresh);
        fresh.uc_stack.ss_sp = t.stack;
        fresh.uc_stack.ss_size = STACK;
        fresh.uc_link = nullptr;
        makecontext(&fresh, live, 0);
        setcontext(&fresh);
    }
    current = nullptr;
}

void block_barrier() { wait(AT_BLOCK_BARRIER); }

static void whole_warp(const char *what, unsigned mask) {
    if (mask != ~0u) fail("does %s with the lanes %#x of its warp: the emulation knows whole warps only", what, mask);
}

void together(const char *what, void *mine, void (*run)(void *of_lane[WARP])) {
    Thread &me = *current, *first = threads + me.warp * WARP;
    me.waits_for = what;
    me.mine = mine;
    int here_too = 0;
    for (int lane = 0; lane < WARP; ++lane) {
        const Thread &other = first[lane];
        if (&other != &me && other.state != IN_WARP) continue;
        if (other.waits_for != what && strcmp(other.waits_for, what))
            fail("does %s while thread %d of its warp does %s", what, other.number, other.waits_for);
        ++here_too;
    }
    if (here_too < WARP) return wait(IN_WARP);
    void *of_lane[WARP];
    for (int lane = 0; lane < WARP; ++lane) {
        of_lane[lane] = first[lane].mine;
        first[lane].state = READY;
    }
    run(of_lane);
}

void warp_barrier(unsigned mask) {
    whole_warp("__syncwarp", mask);
    Thread &me = *current;
    together("__syncwarp", &me, [](void *of_lane[WARP]) {
        for (int lane = 0; lane < WARP; ++lane) ++static_cast<Thread *>(of_lane[lane])->warp_syncs;
    });
}

uint32_t exchange(unsigned mask, uint32_t value, int lane) {
    whole_warp("a shuffle", mask);
    Thread &me = *current;
    me.exchanged = value;
    together("a shuffle", &me, [](void *[WARP]) {});
    value = threads[me.warp * WARP + lane].exchanged;
    together("a shuffle's end", &me, [](void *[WARP]) {});   // nobody gives another before all have read
    return value;
}

/* One block: rounds over its threads until all are done. */
static void run_block(uint3 block, std::vector<int> &turn) {
    open_block();
    open_shared(now.bytes);
    for (int i = 0; i < now.threads; ++i) {
        Thread &t = threads[i];
        const unsigned n = i;
        t.position = {{n % now.block.x, n / now.block.x % now.block.y, n / now.block.x / now.block.y}, block, now.block,
                      now.grid};
        t.number = i, t.warp = i / WARP, t.lane = i % WARP;
        t.state = READY, t.warp_syncs = 0, t.groups = 0;
        t.copies.clear();
    }
    for (int i = now.threads; i % WARP; ++i) threads[i].state = DONE;   // lanes that a last warp has not
    for (;;) {
        int waiting = 0, done = 0, moved = 0;
        arranged(turn, now.threads);
        for (const int i : turn) {
            if (threads[i].state != READY) continue;
            resume(threads[i]);
            if (failed) return;
            ++moved;
        }
        for (int i = 0; i < now.threads; ++i) {
            waiting += threads[i].state == AT_BLOCK_BARRIER;
            done += threads[i].state == DONE;
        }
        if (done == now.threads) return;
        if (waiting == now.threads) {
            next_interval();
            for (int i = 0; i < now.threads; ++i) threads[i].state = READY, threads[i].warp_syncs = 0;
        } else if (!moved) {
            for (int i = 0; i < now.threads; ++i)
                if (threads[i].state == AT_BLOCK_BARRIER || threads[i].state == IN_WARP) {
                    current = &threads[i];
                    const char *what = current->state == IN_WARP ? current->waits_for : "__syncthreads";
                    if (!setjmp(scheduler)) fail("waits in %s for threads that never come there", what);
                    return;
                }
        }
    }
}

void launch(const char *kernel, const void *function, dim3 grid, dim3 block, size_t bytes, void (*run)(const void *),
            const void *arguments) {
    constexpr size_t BELOW = 1 << 20;       // the lowest stack too can be left by so much before that is found
    unsigned char frame;
    if (failed) return;                     // as on a device: after an error nothing runs until it was read
    now = {kernel, function, grid, block, bytes, run, arguments, static_cast<int>(block.x * block.y * block.z), &frame,
           0};
    if (!may_launch(now)) return;
    if (!stacks)
        stacks = static_cast<unsigned char *>(mmap(nullptr, BELOW + MOST_THREADS * STACK, PROT_READ | PROT_WRITE,
                                                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) + BELOW;
    for (int i = 0; i < MOST_THREADS; ++i) threads[i].stack = stacks + i * STACK, threads[i].entered = false;
    open_launch();
    std::vector<int> blocks, turn;
    arranged(blocks, static_cast<int>(grid.x * grid.y * grid.z));
    for (const unsigned n : blocks) {
        run_block({n % grid.x, n / grid.x % grid.y, n / grid.x / grid.y}, turn);
        if (failed) break;
    }
    current = nullptr;
}

}  // namespace emulated
