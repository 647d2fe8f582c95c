/* The checker. The kernels are compiled with -fsanitize=thread, which calls __tsan_read4(p), __tsan_write8(p) ... before
   every access to memory; the functions of these names are here, and not that sanitizer's own.

   Time is counted in intervals between two __syncthreads of one block; no two blocks share one. Two accesses of one
   byte, one of them a write, are in order if they are of one thread, or of two intervals of one block, or of one warp
   that has met at a __syncwarp between them. Else they race. Blocks of one launch are never in order. Two atomics are
   at peace. */
#include <link.h>
#include <map>

#include "memory.h"

namespace emulated {

constexpr uint32_t NEVER = 0, BEFORE = 1;
static uint32_t interval = BEFORE, first_of_block, first_of_launch;
static uintptr_t image_from, image_to;      // this library's own code and constants
Counts counts;
static const char *HOW[] = {"reads", "writes", "adds to"};

static std::map<const void *, size_t> allowed;       // to a kernel: bytes of dynamic shared memory

bool allow_shared(const void *kernel, size_t bytes) {
    if (bytes > SHARED_BYTES) return false;
    allowed[kernel] = bytes;
    return true;
}

bool may_launch(const Launch &l) {
    const dim3 &g = l.grid, &b = l.block;
    const bool fits = b.x <= MOST_THREADS && b.y <= MOST_THREADS && b.z <= 64 && b.x * b.y * b.z <= MOST_THREADS &&
                      b.x && b.y && b.z && g.x <= INT32_MAX && g.y < 65536 && g.z < 65536 && g.x && g.y && g.z;
    if (fits && l.bytes <= std::max(SHARED_UNASKED, allowed[l.function])) return true;
    note("%s: no device takes a grid of (%u, %u, %u) blocks of (%u, %u, %u) threads with %zu bytes of shared memory%s",
         l.kernel, g.x, g.y, g.z, b.x, b.y, b.z, l.bytes, fits ? ", unless cudaFuncSetAttribute has allowed them" : "");
    return false;
}

static int find_image(dl_phdr_info *info, size_t, void *mine) {
    uintptr_t to = 0;
    bool found = false;
    for (int i = 0; i < info->dlpi_phnum; ++i) {
        const uintptr_t from = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr, size = info->dlpi_phdr[i].p_memsz;
        if (info->dlpi_phdr[i].p_type != PT_LOAD) continue;
        found = found || reinterpret_cast<uintptr_t>(mine) - from < size;
        to = std::max(to, from + size);
    }
    if (found) image_from = info->dlpi_addr, image_to = to;
    return found;
}

void open_launch() {
    if (!image_to) dl_iterate_phdr(find_image, &interval);
    first_of_launch = interval + 1;
    ++counts.launches;
}
void open_block() { first_of_block = ++interval; }
void next_interval() { ++interval, ++counts.barriers; }

static Mark mine(bool atomic) {
    Mark m{};
    m.interval = interval, m.thread = current->number, m.syncs = current->warp_syncs, m.atomic = atomic;
    return m;
}

/* Whether what was noted comes surely before what this thread does now. */
static bool ordered(const Mark &before) {
    if (before.interval < first_of_launch) return true;
    if (before.interval < first_of_block) return false;
    if (before.interval != interval) return true;
    if (before.several && before.warps) return false;
    if (!before.several && static_cast<int>(before.thread) == current->number) return true;
    return static_cast<int>(before.thread) / WARP == current->warp && before.syncs < current->warp_syncs;
}

static std::string others(const Mark &m) {
    if (m.interval < first_of_block) return "another block";
    return m.several ? "other threads" : "thread " + std::to_string(m.thread);
}

/* Note an access. If what is noted comes before it, it takes that one's place: whatever is in order with this access is
   so with that one. Else later accesses must be in order with both: within a block they become one mark of several
   threads; an access of another block stays noted alone, since nothing of this block is in order with it. */
static void note_in(Mark &mark, bool atomic) {
    if (ordered(mark)) {
        mark = mine(atomic);
    } else if (mark.interval == interval) {
        mark.warps |= static_cast<int>(mark.thread) / WARP != current->warp;
        mark.several = 1;
    }
}

static void look(Cell &cell, const unsigned char *at, Access how, bool shared) {
    if (shared && cell.write.interval < first_of_block) cell.write = Mark{};    // another block's shared memory is
    if (shared && cell.read.interval < first_of_block) cell.read = Mark{};      // not this one
    const Mark &w = cell.write, &r = cell.read;
    if (w.flying) fail("%s %s, where a cp.async has not arrived", HOW[how], place(at).c_str());
    if (w.interval == NEVER && how != WRITE) fail("%s %s, which nothing has written", HOW[how], place(at).c_str());
    if (!(how == ATOMIC && w.atomic) && !ordered(w))
        fail("%s %s, which %s wrote with no barrier between", HOW[how], place(at).c_str(), others(w).c_str());
    if (how != READ) {
        if (!ordered(r))
            fail("%s %s, which %s read with no barrier between", HOW[how], place(at).c_str(), others(r).c_str());
        note_in(cell.write, how == ATOMIC);
    } else {
        note_in(cell.read, false);
    }
}

static bool same(const Cell &a, const Cell &b) { return !memcmp(&a, &b, sizeof a); }

void accesses(const void *where, size_t bytes, Access how) {
    if (!current) return;
    if (++now.accesses > MOST_ACCESSES)
        fail("goes on for %zu accesses to memory and waits for nobody: it waits for what never comes", MOST_ACCESSES);
    const unsigned char *at = static_cast<const unsigned char *>(where);
    const bool shared = is_shared(at);
    if (shared || is_global(at)) {
        long long &count = shared ? how == READ ? counts.shared_read : counts.shared_written
                                  : how == READ ? counts.global_read : counts.global_written;
        count += static_cast<long long>(bytes);
        if (!whole(at, bytes)) fail("%s %zu bytes at %s", HOW[how], bytes, place(at).c_str());
        Cell *of = cells(at), before{};     // mostly all bytes are noted alike, and one look serves for them
        for (size_t i = 0; i < bytes; ++i) {
            if (i && same(of[i], before)) {
                of[i] = of[i - 1];
            } else {
                before = of[i];
                look(of[i], at + i, how, shared);
            }
        }
        return;
    }
    const uintptr_t a = reinterpret_cast<uintptr_t>(at), frame = reinterpret_cast<uintptr_t>(now.frame);
    const bool own = at >= current->stack && at < current->stack + STACK;
    const bool constant = how == READ && a >= image_from && a < image_to, argument = how == READ && a - frame < STACK;
    if (!own && !constant && !argument) fail("%s %p, which is no memory of the device", HOW[how], where);
}

void writes(const void *at, size_t bytes) {
    Cell *of = cells(at);
    for (size_t i = 0; i < bytes; ++i) of[i].write = mine(false);
}

bool copied(const void *at, size_t bytes, Access how, const char *what) {
    if (!bytes) return true;
    if (!is_global(at) || !whole(at, bytes)) {
        note("%s: %zu bytes at %s", what, bytes, is_global(at) ? place(at).c_str() : "what is no memory of the device");
        return false;
    }
    Cell *of = cells(at);
    for (size_t i = 0; i < bytes; ++i) {
        if (how == READ && of[i].write.interval == NEVER) {
            note("%s: nothing has written %s", what, place(static_cast<const unsigned char *>(at) + i).c_str());
            return false;
        }
        if (how == WRITE) of[i] = Cell{}, of[i].write.interval = BEFORE;
    }
    return true;
}

static void aligned(const void *at, size_t bytes, Access how) {
    if (current && reinterpret_cast<uintptr_t>(at) % bytes)
        fail("%s %zu bytes at once from an address that is no multiple of that", HOW[how], bytes);
    accesses(at, bytes, how);
}

/* A function begins: is there stack for it, and for what is said if not? What lies beyond is of another thread, which
   never runs again. */
static void enter(const void *frame) {
    constexpr size_t LEFT = 1 << 13;
    if (current && static_cast<const unsigned char *>(frame) < current->stack + LEFT)
        fail("needs more stack than %zu bytes", STACK - LEFT);
}

}  // namespace emulated

/* What -fsanitize=thread calls. */
#define HOOKS(n)                                                                                         \
    extern "C" void __tsan_read##n(void *at) { emulated::aligned(at, n, emulated::READ); }               \
    extern "C" void __tsan_write##n(void *at) { emulated::aligned(at, n, emulated::WRITE); }             \
    extern "C" void __tsan_unaligned_read##n(void *at) { emulated::accesses(at, n, emulated::READ); }    \
    extern "C" void __tsan_unaligned_write##n(void *at) { emulated::accesses(at, n, emulated::WRITE); }  \
    extern "C" void __tsan_volatile_read##n(void *at) { emulated::aligned(at, n, emulated::READ); }      \
    extern "C" void __tsan_volatile_write##n(void *at) { emulated::aligned(at, n, emulated::WRITE); }
HOOKS(1)
HOOKS(2)
HOOKS(4)
HOOKS(8)
HOOKS(16)
extern "C" void __tsan_read_range(void *at, size_t bytes) { emulated::accesses(at, bytes, emulated::READ); }
extern "C" void __tsan_write_range(void *at, size_t bytes) { emulated::accesses(at, bytes, emulated::WRITE); }
extern "C" void __tsan_vptr_update(void **, void *) {}
extern "C" void __tsan_vptr_read(void **) {}
extern "C" void __tsan_func_entry(void *) { emulated::enter(__builtin_frame_address(0)); }
extern "C" void __tsan_func_exit() {}
extern "C" void __tsan_init() {}
