/* attention: all scores of a query, their largest, and the mean of the values, weighted by e^(score - largest). */
#include <math.h>
#include <stdlib.h>
#include "attention.h"

SIGNATURE
{
    double *s = malloc((size_t)S * sizeof *s + 1);
    if (!s)
        return 1;
    for (int64_t r = 0; r < N * H * L; r++) {
        int64_t n = r / L / H, h = r / L % H, l = r % L;
        const float *keys = k + (n * H + h) * S * E, *values = v + (n * H + h) * S * V;
        double top = -INFINITY, total = 0;
        for (int64_t i = 0; i < S; i++) {
            double sum = 0;
            for (int64_t e = 0; e < E; e++)
                sum += (double)q[r * E + e] * keys[i * E + e];
            s[i] = sum * scale;
            if (mask) {
                int64_t at = (((Nm > 1 ? n : 0) * Hm + (Hm > 1 ? h : 0)) * Lm + (Lm > 1 ? l : 0)) * Sm + (Sm > 1 ? i : 0);
                if (mask_type == NN_F32)
                    s[i] += ((const float *)mask)[at];
                else if (!((const uint8_t *)mask)[at])
                    s[i] = -INFINITY;
            }
            if (causal && i > l)
                s[i] = -INFINITY;
            top = s[i] > top || isnan(s[i]) ? s[i] : top;
        }
        for (int64_t i = 0; i < S; i++)
            total += s[i] = s[i] == -INFINITY ? 0 : exp(s[i] - top);
        for (int64_t j = 0; j < V; j++) {
            double sum = 0;
            for (int64_t i = 0; i < S; i++)
                sum += s[i] * values[i * V + j];
            y[r * V + j] = (float)(total == 0 ? 0 : sum / total);
        }
        lse[r] = (float)(top + log(total));
    }
    free(s);
    return 0;
}
