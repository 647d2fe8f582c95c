/* adam_step: every operation is rounded to float, in the order of the specification. */
#include <math.h>
#include "adam_step.h"

SIGNATURE
{
    for (int64_t i = 0; i < count; i++) {
        float *p = params[i], *m = exp_avgs[i], *v = exp_avg_sqs[i];
        float shrink = (float)(1 - lr * weight_decay), decay = (float)weight_decay;
        float root = (float)(1 / sqrt(1 - pow(beta2, (double)steps[i])));
        float rate = (float)(lr / (1 - pow(beta1, (double)steps[i])));
        for (int64_t j = 0; j < sizes[i]; j++) {
            float g = grads[i][j];
            if (decoupled)
                p[j] *= shrink;
            else if (weight_decay != 0)
                g = g + decay * p[j];
            m[j] = m[j] * (float)beta1 + g * (float)(1 - beta1);
            v[j] = v[j] * (float)beta2 + g * g * (float)(1 - beta2);
            p[j] -= m[j] / (sqrtf(v[j]) * root + (float)eps) * rate;
        }
    }
    return 0;
}
