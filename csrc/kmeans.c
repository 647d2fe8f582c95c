/* kmeans1d: the partition of sorted points into k clusters with the least sum of squared distances to their means.
 *
 * A partition is a path from 0 to n. A step s -> i makes the points s .. i-1 one cluster, which costs the sum of w·x²,
 * whatever the partition, less S²/W, where S = sums[i] - sums[s] and W = weights[i] - weights[s]; so a step counts as
 * -S²/W. This cost is Monge: crossing steps are never dearer than nested ones,
 *
 *     c(a,c) + c(b,d) <= c(a,d) + c(b,c)   for a <= b <= c <= d,
 *
 * and two theorems follow from that.
 * 1. The cost f(k) of the best k clusters is convex in k (Aggarwal, Schieber & Tokuyama 1994). So ask no number of
 *    clusters but a price for each: the cheapest path under a price is the best of all with as many clusters as it has,
 *    and the higher the price the fewer they are. We look for the price that makes them k. Its cost does not depend
 *    on k (Grønlund et al. 2017).
 * 2. Under a price the best last step to i comes from no earlier point than the best last step to i - 1 does, and once
 *    a later starting point beats an earlier one it does so for good (Hirschberg & Larmore 1987; Galil & Park 1992).
 *
 * Where f is a straight line from k1 < k to k2 > k clusters, as between evenly spaced points, a price gives k1 or k2 and
 * may never give k; then a path with k clusters is spliced of those two at no more cost (splice). */
#include "scratch.h"

#include <math.h>
#include <string.h>

typedef struct {
    int64_t n;
    const double *sums, *weights;
} points;

typedef struct {
    int64_t count;   /* of clusters */
    double cost;     /* sum of -S²/W */
    int32_t *ends;   /* ends[0] = 0, ends[j]: where cluster j ends */
} partition;

static inline double step(const double *sums, const double *weights, int64_t s, int64_t i)
{
    double sum = sums[i] - sums[s];
    return -(sum * sum / (weights[i] - weights[s]));
}

/* The cheapest path through n points at `price` a cluster; returns the number of its clusters. */
typedef int64_t clusters_f64_micro(int64_t n, double price, const double *sums, const double *weights, double *cost,
                                   int32_t *from, int32_t *queue, int32_t *start);

/* Candidates for the last step before i .. n, in a queue: queue[j] is the best of them for i from start[j] to where the
 * next one's starts. A new one goes behind, where it beats the last; the place is near where the last one starts, so
 * it is sought in steps of 1, 2, 4, ... from there, and between the last two of these by halving. */
int64_t clusters_f64_scalar(int64_t n, double price, const double *sums, const double *weights, double *cost,
                            int32_t *from, int32_t *queue, int32_t *start)
{
#define VIA(s, i) (cost[s] + step(sums, weights, s, i))
    int64_t head = 0, tail = 1, count = 0;
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
    for (int64_t i = n; i > 0; i = from[i])
        count++;
    return count;
#undef VIA
}

/* The path that `from` leads back from n. */
static void follow(const points *p, int64_t count, const int32_t *from, partition *path)
{
    path->count = count;
    path->cost = 0;
    for (int64_t i = p->n, j = count;; i = from[i]) {
        path->ends[j--] = (int32_t)i;
        if (i == 0)
            break;
        path->cost += step(p->sums, p->weights, from[i], i);
    }
}

/* k clusters of paths with fewer and with more. Somewhere step i of `few` spans step i + more of `many`; changing there
 * from the one to the other puts crossing steps in the place of nested ones. */
static void splice(const partition *few, const partition *many, int64_t k, int64_t *ends)
{
    int64_t more = many->count - k, i = 0;
    while (few->ends[i + 1] <= many->ends[i + 1 + more])
        i++;
    for (int64_t j = 1; j <= k; j++)
        ends[j - 1] = j <= i ? few->ends[j] : many->ends[j + more];
}

/* The prices: at first by the law of fine partitions, price ~ 1/k³ (Panter & Dite 1951), which a few probes make true;
 * then the slope from f(k1) to f(k2), which finds something between the two or proves that f is a line there. */
static void search(const points *p, int64_t k, clusters_f64_micro *cheapest, partition *few, partition *many,
                   partition *new, double *cost, int32_t *from, int32_t *queue, int32_t *start, int64_t *ends)
{
    double total = 0; /* the gain of n clusters: all there is */
    for (int64_t i = 0; i <= p->n; i++) {
        many->ends[i] = (int32_t)i;
        if (i)
            total -= step(p->sums, p->weights, i - 1, i);
    }
    *many = (partition){ p->n, -total, many->ends };
    *few = (partition){ 1, step(p->sums, p->weights, 0, p->n), few->ends };
    few->ends[0] = 0;
    few->ends[1] = (int32_t)p->n;
    const double least = total * 0x1p-48; /* below it is the rounding of the sums */
    double price = 4 * total / ((double)k * k * k);
    int guessing = 1;
    while (few->count < k && many->count > k) {
        follow(p, cheapest(p->n, price, p->sums, p->weights, cost, from, queue, start), from, new);
        int between = few->count < new->count && new->count < many->count;
        if (!guessing) {
            double line = few->cost + price * few->count;
            between = between && line - (new->cost + price * new->count) > least;
            if (!between)
                break;
        }
        if (between) {
            partition *old = new->count <= k ? few : many, swap = *old;
            double ratio = (double)new->count / (double)k;
            *old = *new;
            *new = swap;
            price *= ratio * ratio * ratio;
        }
        guessing = guessing && between;
        if (!guessing)
            price = (few->cost - many->cost) / (double)(many->count - few->count);
    }
    if (few->count == k || many->count == k) {
        const partition *found = few->count == k ? few : many;
        for (int64_t j = 0; j < k; j++)
            ends[j] = found->ends[j + 1];
    } else
        splice(few, many, k, ends);
}

/* ends[k]: where the clusters of the cheapest partition of n sorted points end; 1 <= k <= n < 2^31. sums and weights,
 * double[n + 1]: of weight times point, and of weights, up to each point. */
API int nn_kmeans1d(int variant, int64_t n, int64_t k, const void *sums, const void *weights, int64_t *ends)
{
    points p = { n, sums, weights };
    void *memory;
    double *cost = scratch((n + 1) * (8 + 6 * 4), &memory);
    if (!cost)
        return NN_NO_MEMORY;
    int32_t *part[6];
    for (int i = 0; i < 6; i++)
        part[i] = (int32_t *)(cost + n + 1) + i * (n + 1);
    partition few = { .ends = part[3] }, many = { .ends = part[4] }, new = { .ends = part[5] };
    clusters_f64_micro *cheapest = (clusters_f64_micro *)nn_select(NN_kmeans1d, variant, 1, 1, 0)->run;
    search(&p, k, cheapest, &few, &many, &new, cost, part[0], part[1], part[2], ends);
    free(memory);
    return 0;
}
