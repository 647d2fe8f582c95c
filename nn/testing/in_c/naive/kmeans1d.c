/* kmeans1d: the least cost of the first i distinct values in j clusters is the least, over where the last one
   begins, of that of the values before in j - 1 clusters and its own. All are tried (Fisher 1958). */
#include <math.h>
#include <stdlib.h>
#include "kmeans1d.h"

static int rising(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Sorts the values, and keeps each once, with how often it was there; returns how many are distinct. */
static int64_t distinct(int64_t n, float *values, double *counts)
{
    int64_t found = 0;
    qsort(values, (size_t)n, sizeof *values, rising);
    for (int64_t i = 0; i < n; i++)
        if (found && values[found - 1] == values[i])
            counts[found - 1]++;
        else {
            values[found] = values[i];
            counts[found++] = 1;
        }
    return found;
}

SIGNATURE
{
    size_t room = (size_t)n + 1;
    float *points = malloc(room * sizeof *points);
    double *counts = malloc(room * sizeof *counts), *sums = calloc(room, sizeof *sums);
    double *weights = calloc(room, sizeof *weights), *cost = malloc(room * sizeof *cost);
    int64_t *begin = calloc(room * (size_t)(k + 1), sizeof *begin);
    int failed = !points || !counts || !sums || !weights || !cost || !begin;
    if (!failed) {
        for (int64_t i = 0; i < n; i++)
            points[i] = values[i];
        int64_t found = distinct(n, points, counts);
        double mean = 0;
        for (int64_t i = 0; i < found; i++)
            mean += points[i] * counts[i];
        mean /= (double)n;
        for (int64_t i = 0; i < found; i++) {
            sums[i + 1] = sums[i] + counts[i] * (points[i] - mean);
            weights[i + 1] = weights[i] + counts[i];
            cost[i + 1] = INFINITY;
        }
        cost[0] = 0;
        for (int64_t j = 1; j <= k; j++) {
            for (int64_t i = found; i >= 1; i--) { /* downwards: those before are still of j - 1 clusters */
                double least = INFINITY;
                for (int64_t s = 0; s < i; s++) {
                    double sum = sums[i] - sums[s], here = cost[s] - sum * sum / (weights[i] - weights[s]);
                    if (here < least) {
                        least = here;
                        begin[j * (n + 1) + i] = s;
                    }
                }
                cost[i] = least;
            }
            cost[0] = INFINITY;
        }
        for (int64_t j = k, end = found; j >= 1; j--) {
            int64_t first = begin[j * (n + 1) + end];
            double sum = 0, weight = 0;
            for (int64_t i = first; i < end; i++) {
                sum += points[i] * counts[i];
                weight += counts[i];
            }
            centroids[j - 1] = (float)(sum / weight + 0.0);
            end = first;
        }
    }
    free(points), free(counts), free(sums), free(weights), free(cost), free(begin);
    return failed;
}
