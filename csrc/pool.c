/* The pool: threads that share the rows of one product.
 *
 * A product's rows are cut into blocks (the rows of a that a kernel copies at a time); whoever is free takes the next
 * block. A block is computed by one thread from first to last, so the bits do not depend on who computes it.
 *
 * The threads are started by the first product that is worth it, sleep between products, and end when nn_threads(1)
 * is called or the process ends. The calling thread computes too, and never waits for a thread that has not begun:
 * when no block is left it lets no other thread join, and waits only for those that have joined. So threads that
 * can't be started, or that the system does not run, cost time and nothing else.
 *
 *     caller                                   thread of the pool
 *     places = threads - 1, wake all           sleep until places > 0
 *     take blocks until none is left           places -= 1, inside += 1
 *     places = 0                               take blocks until none is left
 *     wait until inside = 0                    inside -= 1
 *
 * The pool serves one product at a time: another that comes meanwhile runs on the thread that called it. After fork()
 * the child has no threads and starts its own. Signals go to the program's threads. */
#include "pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

enum { MOST_THREADS = 256 };

static atomic_int wanted = 1;                              /* what nn_threads() was told */
static atomic_llong least_cycles = 100000;                 /* of a thread: measured, waking one takes 50 µs */
static pthread_mutex_t busy = PTHREAD_MUTEX_INITIALIZER;   /* held by the product that has the pool */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;   /* guards all that follows; taken after `busy` */
static pthread_cond_t work = PTHREAD_COND_INITIALIZER, done = PTHREAD_COND_INITIALIZER;
static pthread_t threads[MOST_THREADS];
static int started, ending;
static int places, inside; /* threads that may still join, and that have joined */
static struct job {
    nn_block *block;
    const void *product;
    char *scratch;
    int64_t bytes, next, end, rows;
    int number; /* of threads that have taken their piece of the scratch */
} job;

/* The caller holds `lock`, which is released while a block is computed. */
static void take_blocks(void)
{
    char *scratch = job.scratch + job.number++ * job.bytes;
    while (job.next < job.end) {
        int64_t i0 = job.next, i1 = job.next = smaller(i0 + job.rows, job.end);
        pthread_mutex_unlock(&lock);
        job.block(job.product, scratch, i0, i1);
        pthread_mutex_lock(&lock);
    }
}

static void *thread(void *none)
{
    pthread_mutex_lock(&lock);
    while (!ending) {
        if (places == 0) {
            pthread_cond_wait(&work, &lock);
            continue;
        }
        places--;
        inside++;
        take_blocks();
        if (--inside == 0)
            pthread_cond_signal(&done);
    }
    pthread_mutex_unlock(&lock);
    return none;
}

static void before_fork(void)
{
    pthread_mutex_lock(&busy);
    pthread_mutex_lock(&lock);
}

static void after_fork_in_parent(void)
{
    pthread_mutex_unlock(&lock);
    pthread_mutex_unlock(&busy);
}

static void after_fork_in_child(void)
{
    started = 0; /* fork() copies only the thread that calls it */
    pthread_cond_init(&work, 0);
    pthread_cond_init(&done, 0);
    after_fork_in_parent();
}

/* Start threads until there are `count`, or no more can be had. The caller holds `busy`. */
static void start(int count)
{
    static int fork_is_handled;
    if (!fork_is_handled)
        fork_is_handled = pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) == 0;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* threads inherit this: none of the program's signals goes to them */
    while (started < count && fork_is_handled && pthread_create(&threads[started], 0, thread, 0) == 0)
        started++;
    pthread_sigmask(SIG_SETMASK, &before, 0);
}

/* The caller holds `busy`. */
static void end_all(void)
{
    pthread_mutex_lock(&lock);
    ending = 1;
    pthread_cond_broadcast(&work);
    pthread_mutex_unlock(&lock);
    for (; started > 0; started--)
        pthread_join(threads[started - 1], 0);
    ending = 0;
}

/* How many threads may share the rows of a product, 1 at first; 0 only asks. Returns what was before. */
API int nn_threads(int count)
{
    if (count < 1)
        return wanted;
    int before = atomic_exchange(&wanted, (int)smaller(count, MOST_THREADS));
    if (count == 1 && before > 1) {
        pthread_mutex_lock(&busy);
        end_all();
        pthread_mutex_unlock(&busy);
    }
    return before;
}

/* The least work that each of them must get. Returns what was before. */
API int64_t nn_thread_cycles(int64_t cycles) { return atomic_exchange(&least_cycles, cycles); }

__attribute__((destructor)) static void at_exit(void)
{
    if (pthread_mutex_trylock(&busy) == 0) { /* if not, the process ends while a product is under way */
        end_all();
        pthread_mutex_unlock(&busy);
    }
}

nn_cut nn_cut_rows(int64_t all, int64_t tile, int64_t most, double cycles)
{
    int64_t tiles = (all + tile - 1) / tile;
    double worth = atomic_load_explicit(&wanted, memory_order_relaxed);
    if (worth > 1) {
        int64_t least = least_cycles;
        worth = tiles < worth ? tiles : worth;
        worth = cycles < worth * least ? cycles / least : worth;
    }
    nn_cut cut = { all, 0, worth < 1 ? 1 : (int)worth };
    int64_t blocks = round_up((all + most - 1) / most, cut.threads);
    cut.rows = blocks ? round_up((all + blocks - 1) / blocks, tile) : tile;
    return cut;
}

int nn_run_blocks(const nn_cut *cut, int64_t bytes, nn_block *block, const void *product)
{
    int count = cut->threads;
    bytes = round_up(bytes, LINE);
    SCRATCH(char, scratch, count * bytes);
    if (count > 1 && pthread_mutex_trylock(&busy) == 0) {
        start(count - 1);
        pthread_mutex_lock(&lock);
        job = (struct job){ block, product, scratch, bytes, 0, cut->all, cut->rows, 0 };
        places = count - 1;
        pthread_cond_broadcast(&work);
        take_blocks();
        places = 0;
        while (inside > 0)
            pthread_cond_wait(&done, &lock);
        pthread_mutex_unlock(&lock);
        pthread_mutex_unlock(&busy);
    } else
        for (int64_t i0 = 0; i0 < cut->all; i0 += cut->rows)
            block(product, scratch, i0, smaller(i0 + cut->rows, cut->all));
    return 0;
}
