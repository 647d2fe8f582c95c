/* attention_grad: the weight of each query and key anew, and what it hands to dq, dk and dv. */
#include <math.h>
#include <string.h>
#include "attention_grad.h"

SIGNATURE
{
    memset(dq, 0, (size_t)(N * H * L * E) * sizeof *dq);
    memset(dk, 0, (size_t)(N * H * S * E) * sizeof *dk);
    memset(dv, 0, (size_t)(N * H * S * V) * sizeof *dv);
    for (int64_t r = 0; r < N * H * L; r++) {
        int64_t head = r / L, n = head / H, h = head % H, l = r % L;
        double delta = 0;
        for (int64_t j = 0; j < V; j++)
            delta += (double)g[r * V + j] * y[r * V + j];
        for (int64_t i = 0; i < (causal && l + 1 < S ? l + 1 : S); i++) {
            const float *key = k + (head * S + i) * E, *value = v + (head * S + i) * V;
            double s = 0, dp = 0;
            for (int64_t e = 0; e < E; e++)
                s += (double)q[r * E + e] * key[e];
            s *= scale;
            if (mask) {
                int64_t at = (((Nm > 1 ? n : 0) * Hm + (Hm > 1 ? h : 0)) * Lm + (Lm > 1 ? l : 0)) * Sm + (Sm > 1 ? i : 0);
                if (mask_type == NN_F32)
                    s += ((const float *)mask)[at];
                else if (!((const uint8_t *)mask)[at])
                    s = -INFINITY;
            }
            double p = lse[r] == -INFINITY || s == -INFINITY ? 0 : exp(s - lse[r]);
            for (int64_t j = 0; j < V; j++) {
                dp += (double)g[r * V + j] * value[j];
                dv[(head * S + i) * V + j] += (float)(p * g[r * V + j]);
            }
            double ds = p * (dp - delta) * scale;
            for (int64_t e = 0; e < E; e++) {
                dq[r * E + e] += (float)(ds * key[e]);
                dk[(head * S + i) * E + e] += (float)(ds * q[r * E + e]);
            }
        }
    }
    return 0;
}
