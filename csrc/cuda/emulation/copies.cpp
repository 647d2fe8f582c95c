/* Asynchronous copies. Between cp.async and the wait for it nobody knows what the target holds: it is poisoned, and
   whoever touches it is told so. The copy itself is done at the wait, the last moment at which a device may do it. */
#include "memory.h"

namespace emulated {

void copy_later(void *to, const void *from, size_t bytes, size_t read) {
    if (reinterpret_cast<uintptr_t>(to) % bytes || reinterpret_cast<uintptr_t>(from) % bytes)
        fail("cp.async copies %zu bytes from or to an address that is no multiple of that", bytes);
    if (read > bytes) fail("cp.async reads %td bytes of %zu", static_cast<ptrdiff_t>(read), bytes);
    if (!is_shared(to)) fail("cp.async copies to what is no shared memory");
    if (read && !is_global(from)) fail("cp.async copies from what is no global memory");
    accesses(to, bytes, WRITE);
    memset(to, 0x5C, bytes);
    for (size_t i = 0; i < bytes; ++i) cells(to)[i].write.flying = 1;
    current->copies.push_back({to, from, bytes, read, current->groups});
}

/* Groups are numbered as they are closed; a copy that no commit has closed yet is of the next. */
void land(unsigned but) {
    std::vector<Copy> flying;
    for (const Copy &c : current->copies) {
        if (c.group + but >= current->groups) {
            flying.push_back(c);
            continue;
        }
        if (c.read) accesses(c.from, c.read, READ);
        writes(c.to, c.bytes);
        memset(c.to, 0, c.bytes);
        memcpy(c.to, c.from, c.read);
    }
    current->copies.swap(flying);
}

}  // namespace emulated
