/* host: the process that runs somebody's kernel. It gets arguments on its standard input, calls the kernel,
   and sends back what became of it; nn/testing/in_c/host.py is the other end, and has the words.

       host LIBRARY.so        whose nn_call(slots) is the kernel, with its arguments in slots of 8 bytes

   Each array lies alone between two pages that may not be touched, flush against the second or the first of
   them, with known bytes up to the other. So a byte too far is either a signal, whose address tells the
   array, or a change of those bytes. (Electric Fence, B. Perens 1987.) */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

enum { CANARY = 0xA5, STACK = 64 << 10, MOST_BYTES_PRINTED = 1 << 20 };
enum { VALUE, NOTHING, READ, WRITTEN, LIST_READ, LIST_WRITTEN };     /* kinds of an argument */
enum { RETURNED, TOUCHED, CHANGED, CRASHED, READY, UNLOADABLE };     /* kinds of an answer */
enum { ELSEWHERE = -1, ON_STACK = -2 };                              /* instead of an argument's number */

typedef struct { uint32_t count, at_start; double seconds; } request;
typedef struct { uint64_t kind, value; } argument;                   /* value, or bytes, or how many arrays */
typedef struct { int32_t what, code, arg, item, wrote, signal; int64_t offset; } answer;
typedef struct { char *map, *data, *copy; size_t length, room, bytes; int32_t arg, item, written; } region;
typedef union { int64_t i; double d; void *p; } slot;

static int from, to;
static region *regions;
static size_t region_count, region_room, page;
static char *stack_top;

static void need(int good, const char *what)
{
    if (!good) {
        perror(what);
        _exit(3);
    }
}

static void get(void *into, size_t size)
{
    for (char *at = into; size;) {
        ssize_t got = read(from, at, size);
        if (got <= 0)
            _exit(0); /* nobody asks any more */
        at += got;
        size -= (size_t)got;
    }
}

static void put(const void *what, size_t size)
{
    for (const char *at = what; size;) {
        ssize_t put = write(to, at, size);
        if (put <= 0)
            _exit(0);
        at += put;
        size -= (size_t)put;
    }
}

static char *place(size_t bytes, int at_start, int32_t arg, int32_t item, int written)
{
    if (region_count == region_room) {
        region_room = 2 * region_room + 16;
        regions = realloc(regions, region_room * sizeof(region));
        need(regions != NULL, "host");
    }
    region *r = &regions[region_count++];
    size_t room = (bytes + page - 1) / page * page;
    char *map = mmap(NULL, room + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    need(map != MAP_FAILED, "host: mmap");
    need(!room || !mprotect(map + page, room, PROT_READ | PROT_WRITE), "host: mprotect");
    *r = (region){map, map + page + (at_start ? 0 : room - bytes), NULL, room + 2 * page, room, bytes, arg,
                  item, written};
    memset(at_start ? r->data + bytes : map + page, CANARY, room - bytes);
    return r->data;
}

/* An array of `bytes`, as it comes. */
static char *take(size_t bytes, int at_start, int32_t arg, int32_t item, int written)
{
    char *data = place(bytes, at_start, arg, item, written);
    get(data, bytes);
    if (!written) {
        char *copy = regions[region_count - 1].copy = malloc(bytes + 1);
        need(copy != NULL, "host");
        memcpy(copy, data, bytes);
    }
    return data;
}

static void release(void)
{
    for (size_t i = 0; i < region_count; i++) {
        free(regions[i].copy);
        munmap(regions[i].map, regions[i].length);
    }
    region_count = 0;
}

static void crashed(int signal, siginfo_t *info, void *context)
{
    answer say = {CRASHED, 0, ELSEWHERE, 0, -1, signal, 0};
    char *address = info->si_addr;
    (void)context;
#if defined __linux__ && defined __x86_64__
    if (signal == SIGSEGV)
        say.wrote = (int32_t)(((ucontext_t *)context)->uc_mcontext.gregs[REG_ERR] >> 1 & 1);
#endif
    if (signal == SIGSEGV || signal == SIGBUS) {
        say.offset = (int64_t)(intptr_t)address;
        if (address < stack_top && stack_top - address < 512 << 20)
            say.arg = ON_STACK;
        for (size_t i = 0; i < region_count; i++)
            if (address >= regions[i].map && address < regions[i].map + regions[i].length) {
                say.arg = regions[i].arg;
                say.item = regions[i].item;
                say.offset = address - regions[i].data;
            }
    }
    put(&say, sizeof say);
    _exit(0);
}

static void watch(void)
{
    static char stack[STACK];
    struct sigaction act = {.sa_sigaction = crashed, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGPROF, SIGXFSZ, SIGTRAP, SIGSYS};
    sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof stack}, NULL);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaction(signals[i], &act, NULL);
}

static void limit_cpu(double seconds)
{
    time_t whole = (time_t)seconds;
    struct itimerval after = {{0, 0}, {whole, (suseconds_t)((seconds - (double)whole) * 1e6)}};
    setitimer(ITIMER_PROF, &after, NULL);
}

/* What the kernel has written outside of its results, if anything. */
static answer found(int code)
{
    for (size_t i = 0; i < region_count; i++) {
        region *r = &regions[i];
        char *slack = r->data == r->map + page ? r->data + r->bytes : r->map + page;
        for (char *at = slack; at < slack + (r->room - r->bytes); at++)
            if ((unsigned char)*at != CANARY)
                return (answer){TOUCHED, code, r->arg, r->item, 1, 0, at - r->data};
        int changed = r->copy && memcmp(r->copy, r->data, r->bytes);
        for (size_t j = 0; changed && j < r->bytes; j++)
            if (r->copy[j] != r->data[j])
                return (answer){CHANGED, code, r->arg, r->item, 1, 0, (int64_t)j};
    }
    return (answer){RETURNED, code, 0, 0, 0, 0, 0};
}

static void serve(int (*call)(const slot *))
{
    for (;;) {
        request asked;
        get(&asked, sizeof asked);
        slot *slots = calloc(asked.count + 1, sizeof *slots);
        need(slots != NULL, "host");
        int at_start = (int)asked.at_start;
        for (uint32_t i = 0; i < asked.count; i++) {
            argument a;
            get(&a, sizeof a);
            int written = a.kind == WRITTEN || a.kind == LIST_WRITTEN;
            if (a.kind == VALUE)
                memcpy(&slots[i], &a.value, sizeof a.value);
            else if (a.kind == READ || a.kind == WRITTEN)
                slots[i].p = take(a.value, at_start, (int32_t)i, -1, written);
            else if (a.kind != NOTHING) {
                void **table = calloc(a.value + 1, sizeof *table);
                need(table != NULL, "host");
                for (uint64_t j = 0; j < a.value; j++) {
                    uint64_t bytes;
                    get(&bytes, sizeof bytes);
                    table[j] = take(bytes, at_start, (int32_t)i, (int32_t)j, written);
                }
                slots[i].p = memcpy(place(a.value * sizeof *table, at_start, (int32_t)i, -1, 2), table,
                                    a.value * sizeof *table);
                free(table);
            }
        }
        limit_cpu(asked.seconds);
        int code = call(slots);
        limit_cpu(0);
        answer say = found(code);
        put(&say, sizeof say);
        for (size_t i = 0; say.what == RETURNED && i < region_count; i++)
            if (regions[i].written == 1)
                put(regions[i].data, regions[i].bytes);
        release();
        free(slots);
    }
}

int main(int count, char **words)
{
    struct rlimit none = {0, 0}, memory = {(rlim_t)4 << 30, (rlim_t)4 << 30};
    struct rlimit printed = {MOST_BYTES_PRINTED, MOST_BYTES_PRINTED};
    answer say = {READY, 0, 0, 0, 0, 0, 0};
    char here;
    stack_top = &here;
    page = (size_t)sysconf(_SC_PAGESIZE);
    from = fcntl(0, F_DUPFD_CLOEXEC, 100);
    to = fcntl(1, F_DUPFD_CLOEXEC, 100);
    need(from >= 0 && to >= 0 && dup2(open("/dev/null", O_RDONLY), 0) == 0, "host");
    dup2(2, 1); /* what the kernel prints is no answer */
    setrlimit(RLIMIT_CORE, &none);
    setrlimit(RLIMIT_AS, &memory);
    setrlimit(RLIMIT_FSIZE, &printed);
    watch();
    limit_cpu(5);
    void *library = count > 1 ? dlopen(words[1], RTLD_NOW | RTLD_LOCAL) : NULL;
    int (*call)(const slot *) = library ? (int (*)(const slot *))(intptr_t)dlsym(library, "nn_call") : NULL;
    limit_cpu(0);
    if (!call) {
        fprintf(stderr, "%s\n", dlerror());
        say.what = UNLOADABLE;
    }
    put(&say, sizeof say);
    if (call)
        serve(call);
    return 0;
}
