/* winograd_conv2d: F(2x2, 3x3). Of each tile d of 4x4 pixels 2x2 outputs, A'[(G g G') . (B' d B)]A. The product
   in the middle is of 16 numbers, added over channels (Lavin & Gray 2016, eq. 8). (kH and kW are 3, m is 2.) */
#include "winograd_conv2d.h"

/* B' d B: rows, then columns. */
static void of_pixels(const float d[4][4], float v[4][4])
{
    float t[4][4];
    for (int j = 0; j < 4; j++) {
        t[0][j] = d[0][j] - d[2][j];
        t[1][j] = d[1][j] + d[2][j];
        t[2][j] = d[2][j] - d[1][j];
        t[3][j] = d[1][j] - d[3][j];
    }
    for (int i = 0; i < 4; i++) {
        v[i][0] = t[i][0] - t[i][2];
        v[i][1] = t[i][1] + t[i][2];
        v[i][2] = t[i][2] - t[i][1];
        v[i][3] = t[i][1] - t[i][3];
    }
}

/* G g G'. */
static void of_filter(const float *g, float u[4][4])
{
    float t[4][3];
    for (int j = 0; j < 3; j++) {
        t[0][j] = g[j];
        t[1][j] = 0.5f * (g[j] + g[3 + j] + g[6 + j]);
        t[2][j] = 0.5f * (g[j] - g[3 + j] + g[6 + j]);
        t[3][j] = g[6 + j];
    }
    for (int i = 0; i < 4; i++) {
        u[i][0] = t[i][0];
        u[i][1] = 0.5f * (t[i][0] + t[i][1] + t[i][2]);
        u[i][2] = 0.5f * (t[i][0] - t[i][1] + t[i][2]);
        u[i][3] = t[i][2];
    }
}

SIGNATURE
{
    (void)kH, (void)kW, (void)m;
    for (int64_t n = 0; n < N; n++)
        for (int64_t i = 0; i < H_out; i += 2)
            for (int64_t j = 0; j < W_out; j += 2)
                for (int64_t o = 0; o < O; o++) {
                    float sum[4][4] = {{0}}, d[4][4], u[4][4], v[4][4];
                    for (int64_t c = 0; c < C; c++) {
                        for (int64_t t = 0; t < 16; t++) {
                            int64_t h = i + t / 4 - padding_h, p = j + t % 4 - padding_w;
                            bool there = h >= 0 && h < H && p >= 0 && p < W;
                            d[t / 4][t % 4] = there ? x[((n * H + h) * W + p) * C + c] : 0;
                        }
                        of_pixels(d, v);
                        of_filter(w + (o * C + c) * 9, u);
                        for (int t = 0; t < 16; t++)
                            sum[t / 4][t % 4] += u[t / 4][t % 4] * v[t / 4][t % 4];
                    }
                    for (int t = 0; t < 4; t++) { /* of A' sum A */
                        int64_t p = i + t / 2, q = j + t % 2;
                        float s[4], (*r)[4] = sum;
                        for (int k = 0; k < 4; k++)
                            s[k] = t / 2 ? r[1][k] - r[2][k] - r[3][k] : r[0][k] + r[1][k] + r[2][k];
                        float y = t % 2 ? s[1] - s[2] - s[3] : s[0] + s[1] + s[2];
                        if (p < H_out && q < W_out)
                            out[((n * H_out + p) * W_out + q) * O + o] = y + (bias ? bias[o] : 0);
                    }
                }
    return 0;
}
