/* kmeans1d: the partition of sorted points into k clusters with the least sum of squared distances to their means.
 *
 * A partition is a path from 0 to n. A step s -> i makes the points s .. i-1 one cluster, which costs the sum of w·x²,
 * whatever the partition, less S²/W, where S = sums[i] - sums[s] and W = weights[i] - weights[s]; so a step counts as
 * -S²/W. This cost is Monge: crossing steps are never dearer than nested ones,
 *
 *     c(a,c) + c(b,d) <= c(a,d) + c(b,c)   for a <= b <= c <= d,
 *
 * and two theorems follow from that.
 * 1. The cost f(k) of the best k clusters is convex in k (Aggarwal, Schieber & Tokuyama 1994). So the number of
 *    clusters is not fixed; each has a price. The cheapest path under a price is the best of all with as many clusters
 *    as it has, and the higher the price the fewer they are. We search for the price at which there are k. The time for
 *    one price does not depend on k (Grønlund et al. 2017).
 * 2. Under a price the best last step to i comes from no earlier point than the best last step to i - 1 does, and once
 *    a later starting point beats an earlier one it does so for good (Hirschberg & Larmore 1987; Galil & Park 1992).
 *
 * Where f is a straight line from k1 < k to k2 > k clusters, as for evenly spaced points, a price gives k1 or k2 and
 * may never give k; then parts of those two paths make one with k clusters at no more cost (splice). */
#include "scratch.h"

#include <math.h>
#include <string.h>

typedef struct {
    int64_t n;                        /* points */
    const double *sums, *weights;
    double *cost;                     /* cost[i]: of the cheapest path to i */
    int32_t *from, *queue, *start;    /* from[i]: where its last step begins */
} points;

typedef struct {
    int64_t count;   /* of clusters */
    double cost;     /* sum of -S²/W */
    int32_t *ends;   /* ends[0] = 0, ends[j]: where cluster j ends */
} partition;

static inline double step(const points *p, int64_t s, int64_t i)
{
    double sum = p->sums[i] - p->sums[s];
    return -(sum * sum / (p->weights[i] - p->weights[s]));
}

/* The cheapest path through all points at `price` a cluster: its cost and its steps. */
typedef void clusters_f64_micro(const points *p, double price);

/* The points where the last step to i .. n may begin, in a queue: queue[j] is the best of them for every i from
 * start[j] up to start[j + 1]. A new point goes to the end, for those i where it beats the last one. The first such i
 * is near where the last one starts, so it is sought in steps of 1, 2, 4, ... from there, and then by halving. */
void clusters_f64_scalar(const points *p, double price)
{
#define VIA(s, i) (cost[s] + step(p, s, i))
    const int64_t n = p->n;
    double *cost = p->cost;
    int32_t *from = p->from, *queue = p->queue, *start = p->start;
    int64_t head = 0, tail = 1;
    cost[0] = 0;
    queue[0] = 0;
    start[0] = 1;
    for (int64_t i = 1; i <= n; i++) {
        while (head + 1 < tail && start[head + 1] <= i)
            head++;
        from[i] = queue[head];
        cost[i] = VIA(queue[head], i) + price;
        int64_t at = i + 1; /* where i is first better than what was there */
        while (tail > head && at <= n) {
            int64_t last = queue[tail - 1], low = start[tail - 1] > i ? start[tail - 1] : i + 1, high = low, far = 1;
            while (high < n && !(VIA(i, high) < VIA(last, high))) {
                low = high + 1;
                high = smaller(high + far, n);
                far *= 2;
            }
            if (!(VIA(i, high) < VIA(last, high))) {
                at = n + 1;
                break;
            }
            while (low < high) {
                int64_t middle = (low + high) / 2;
                if (VIA(i, middle) < VIA(last, middle))
                    high = middle;
                else
                    low = middle + 1;
            }
            at = high;
            if (at > start[tail - 1] && at > i + 1)
                break;
            tail--; /* beaten wherever it was the best */
            at = i + 1;
        }
        if (at <= n) {
            queue[tail] = (int32_t)i;
            start[tail++] = (int32_t)at;
        }
    }
#undef VIA
}

/* The path that `from` leads back from the last point. */
static void follow(const points *p, partition *path)
{
    path->count = 0;
    path->cost = 0;
    for (int64_t i = p->n; i > 0; i = p->from[i])
        path->count++;
    path->ends[0] = 0;
    for (int64_t i = p->n, j = path->count; j > 0; i = p->from[i]) {
        path->ends[j--] = (int32_t)i;
        path->cost += step(p, p->from[i], i);
    }
}

/* k clusters of paths with fewer and with more. Somewhere step i of `few` spans step i + more of `many`; changing there
 * from the one to the other puts crossing steps in the place of nested ones. */
static void splice(const partition *few, const partition *many, int64_t k, int64_t *ends)
{
    int64_t more = many->count - k, i = few->count == k ? k : 0;
    while (i < k && more && few->ends[i + 1] <= many->ends[i + 1 + more])
        i++;
    for (int64_t j = 1; j <= k; j++)
        ends[j - 1] = j <= i ? few->ends[j] : many->ends[j + more];
}

/* The prices: at first price ~ 1/k³, the law of fine partitions (Panter & Dite 1951), whose factor a few probes
 * correct; then the slope from f(k1) to f(k2), which finds a path between the two or proves that f is a line there.
 * room: for the ends of three partitions. */
static void search(const points *p, int64_t k, clusters_f64_micro *cheapest, int32_t *room, int64_t *ends)
{
    partition few = { 1, step(p, 0, p->n), room }, many = { p->n, 0, room + p->n + 1 };
    partition new = { 0, 0, many.ends + p->n + 1 };
    many.ends[0] = few.ends[0] = 0;
    few.ends[1] = (int32_t)p->n;
    for (int64_t i = 1; i <= p->n; i++) {
        many.ends[i] = (int32_t)i;
        many.cost += step(p, i - 1, i);
    }
    const double least = -many.cost * 0x1p-48; /* of the gain of n clusters, all there is: the rounding of the sums */
    double price = -4 * many.cost / ((double)k * k * k);
    int guessing = 1;
    while (few.count < k && many.count > k) {
        cheapest(p, price);
        follow(p, &new);
        int between = few.count < new.count && new.count < many.count;
        if (!guessing) {
            double line = few.cost + price * few.count;
            between = between && line - (new.cost + price * new.count) > least;
            if (!between)
                break;
        }
        if (between) {
            partition *old = new.count <= k ? &few : &many, swap = *old;
            double ratio = (double)new.count / (double)k;
            *old = new;
            new = swap;
            price *= ratio * ratio * ratio;
        }
        guessing = guessing && between;
        if (!guessing)
            price = (few.cost - many.cost) / (double)(many.count - few.count);
    }
    splice(&few, &many, k, ends);
}

/* ends[k]: where the clusters of the cheapest partition of n sorted points end; 1 <= k <= n < 2^31. sums and weights,
 * double[n + 1]: of weight times point, and of weights, up to each point. */
API int nn_kmeans1d(int variant, int64_t n, int64_t k, const void *sums, const void *weights, int64_t *ends)
{
    SCRATCH(double, cost, (n + 1) * (8 + 6 * 4));
    int32_t *room = (int32_t *)(cost + n + 1);
    points p = { n, sums, weights, cost, room, room + n + 1, room + 2 * (n + 1) };
    search(&p, k, (clusters_f64_micro *)nn_select(NN_kmeans1d, variant, 1, 1, 0, 0)->run, room + 3 * (n + 1), ends);
    return 0;
}
