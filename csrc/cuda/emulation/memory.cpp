/* Where the arrays of the emulated device lie: each with a gap before and behind it, so that an index that is too large
   or too small meets no other array. */
#include "memory.h"

#include <map>
#include <sys/mman.h>

namespace emulated {

constexpr unsigned char POISON = 0xA7;      // what nothing has written: as a byte -89, as a float -4.6e-15

struct Region {
    unsigned char *base;
    Cell *cells;
    size_t bytes;
};
struct Array {
    const unsigned char *from;
    size_t bytes;
    const char *name;
};

static void *map(size_t bytes) {            // pages that cost nothing before they are used
    return mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

static Region region(size_t bytes) {
    return {static_cast<unsigned char *>(map(bytes)), static_cast<Cell *>(map(bytes * sizeof(Cell))), bytes};
}

static Region global = region(DEVICE_BYTES), shared = region(SHARED_BYTES + 64 * GAP);
static std::map<const unsigned char *, size_t> allocated, lent;     // from where, how many bytes
static std::vector<Array> arrays;                                   // shared ones of the block that runs
static unsigned char *dynamic;
static Array recent[4];                                             // found last: an access is mostly in one of these
static unsigned next_recent;

static void forget() {
    for (Array &a : recent) a = {};
}

static bool in(const Region &r, const void *at) {
    return at >= r.base && at < r.base + r.bytes;
}
bool is_shared(const void *at) { return in(shared, at); }
bool is_global(const void *at) { return in(global, at); }

Cell *cells(const void *at) {
    const Region &r = is_shared(at) ? shared : global;
    return r.cells + (static_cast<const unsigned char *>(at) - r.base);
}

/* Cells that have seen nothing. Whole pages are given back: the next that is read of them is zero. */
static void blank(Cell *from, Cell *to) {
    constexpr uintptr_t PAGE = 4096;
    const uintptr_t first = (reinterpret_cast<uintptr_t>(from) + PAGE - 1) / PAGE * PAGE;
    const uintptr_t last = reinterpret_cast<uintptr_t>(to) / PAGE * PAGE;
    if (first < last) {
        madvise(reinterpret_cast<void *>(first), last - first, MADV_DONTNEED);
        memset(static_cast<void *>(from), 0, first - reinterpret_cast<uintptr_t>(from));
        from = reinterpret_cast<Cell *>(last);
    }
    memset(static_cast<void *>(from), 0, (to - from) * sizeof(Cell));
}

void *allocate(size_t bytes) {
    bytes = (bytes + GAP - 1) / GAP * GAP;
    const unsigned char *at = global.base + GAP;
    for (const auto &[from, size] : allocated) {                    // the first room that is large enough
        if (at + bytes + GAP <= from) break;
        at = from + size + GAP;
    }
    if (bytes > global.bytes || at + bytes + GAP > global.base + global.bytes) return nullptr;
    allocated[at] = bytes;
    void *start = const_cast<unsigned char *>(at);
    lend(start, bytes);
    return start;
}

bool release(void *start) {
    const auto found = allocated.find(static_cast<unsigned char *>(start));
    if (found == allocated.end()) return false;
    lent.erase(found->first);
    forget();
    allocated.erase(found);
    return true;
}

void lend(void *start, size_t bytes) {
    lent[static_cast<unsigned char *>(start)] = bytes;
    forget();
    memset(start, POISON, bytes);
    blank(cells(start), cells(start) + bytes);
}

static void *new_array(const char *name, size_t bytes) {
    unsigned char *at = shared.base + GAP;
    if (!arrays.empty()) at += arrays.back().from - shared.base + (arrays.back().bytes + 127) / 128 * 128;
    size_t sum = bytes;
    for (const Array &a : arrays) sum += a.bytes;
    if (sum > SHARED_BYTES || arrays.size() == 32) fail("asks for more shared memory than %zu bytes", SHARED_BYTES);
    memset(at, POISON, bytes);
    arrays.push_back({at, bytes, name});
    return at;
}

void open_shared(size_t bytes) {
    arrays.clear();
    forget();
    dynamic = bytes ? static_cast<unsigned char *>(new_array("of the launch", bytes)) : nullptr;
}

void *shared_array(const char *name, size_t bytes) {
    for (const Array &a : arrays)
        if (a.name == name) return const_cast<unsigned char *>(a.from);
    return new_array(name, bytes);
}

unsigned char *dynamic_shared() { return dynamic; }

/* The array that is nearest before an address, or of which it is at most a gap before the first byte. */
static Array nearest(const unsigned char *at) {
    Array best{};
    for (const Array &a : arrays)
        if (at >= a.from - GAP / 2) best = a;
    if (is_shared(at)) return best;
    auto next = lent.upper_bound(at);
    if (next == lent.begin() || (next != lent.end() && at >= next->first - GAP / 2))
        return next == lent.end() ? Array{} : Array{next->first, next->second, ""};
    --next;
    return {next->first, next->second, ""};
}

bool whole(const void *where, size_t bytes) {
    const unsigned char *at = static_cast<const unsigned char *>(where);
    for (const Array &a : recent)
        if (at >= a.from && at + bytes <= a.from + a.bytes) return true;
    const Array a = nearest(at);
    if (!a.from || at < a.from || at + bytes > a.from + a.bytes) return false;
    recent[next_recent++ % 4] = a;
    return true;
}

std::string place(const void *where) {
    const unsigned char *at = static_cast<const unsigned char *>(where);
    const Array a = nearest(at);
    const std::string memory = is_shared(at) ? "shared" : "global";
    if (!a.from) return memory + " memory where no array is";
    return "byte " + std::to_string(at - a.from) + " of the " + memory + " array " + a.name + (*a.name ? " of " : "of ")
            + std::to_string(a.bytes) + " bytes";
}

}  // namespace emulated
