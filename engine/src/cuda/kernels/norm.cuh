// Root-mean-square norms of rows. A row is a token's, or one head of a token's (Qwen3): row i
// begins at i / heads * stride + i % heads * width.
//
// Spec: arithmetic §4

#pragma once
#include "reduce.cuh"

DEVICE u64 row_start(u64 row, u32 heads, u32 stride, u32 width) {
    return row / heads * stride + row % heads * width;
}

// y = (x r) w with r = 1 / sqrt(mean(x²) + eps); keeps r. x and y lie alike.
KERNEL(256, 1)
rms_norm(const float *x, const float *gain, float *y, float *reciprocal, float eps, u32 width,
         u32 heads, u32 stride, u32 rows) {
    SHARED(float, lanes, 256);
    u32 lane = thread_index() % LANES;
    u64 row = global_index() / LANES;
    bool exists = row < rows;
    u64 start = exists ? row_start(row, heads, stride, width) : 0;
    float sum = 0.0f;
    if (exists)
        for (u32 i = lane; i < width; i += LANES) sum = fma(x[start + i], x[start + i], sum);
    sum = tree_sum(sum, lanes);
    if (!exists) return;
    float mean = quotient(sum, (float)width);
    float r = quotient(1.0f, root(add(mean, eps)));
    if (lane == 0) reciprocal[row] = r;
    for (u32 i = lane; i < width; i += LANES) y[start + i] = mul(mul(x[start + i], r), gain[i]);
}

// dx += fma(n, -a, g) r with g = dy w, n = x r, a = (dot(g, x) r) / width; all lie alike. With
// `fresh`, dx counts as +0 before; then it may be dy itself.
KERNEL(256, 1)
rms_norm_backward(const float *x, const float *gain, const float *reciprocal, const float *dy,
                  float *dx, u32 width, u32 heads, u32 stride, u32 rows, u32 fresh) {
    SHARED(float, lanes, 256);
    u32 lane = thread_index() % LANES;
    u64 row = global_index() / LANES;
    bool exists = row < rows;
    u64 start = exists ? row_start(row, heads, stride, width) : 0;
    float sum = 0.0f;
    if (exists)
        for (u32 i = lane; i < width; i += LANES)
            sum = fma(mul(dy[start + i], gain[i]), x[start + i], sum);
    sum = tree_sum(sum, lanes);
    if (!exists) return;
    float r = reciprocal[row];
    float mean = quotient(mul(sum, r), (float)width);
    for (u32 i = lane; i < width; i += LANES) {
        float g = mul(dy[start + i], gain[i]), n = mul(x[start + i], r);
        float before = fresh ? 0.0f : dx[start + i];
        dx[start + i] = add(before, mul(fma(n, -mean, g), r));
    }
}

// dw_i = fma(dy_i, x_i r, dw_i) over ascending rows.
KERNEL(64, 1)
rms_norm_backward_gain(const float *x, const float *reciprocal, const float *dy, float *d_gain,
                       u32 width, u32 heads, u32 stride, u32 rows) {
    u64 i = global_index();
    if (i >= width) return;
    float sum = d_gain[i];
    u32 row = 0;
    // Many rows are fetched at once; the folds wait for each other only.
    for (; row + AHEAD <= rows; row += AHEAD) {
        float slope[AHEAD], normal[AHEAD];
        UNROLL for (u32 j = 0; j < AHEAD; j++) {
            u64 at = row_start(row + j, heads, stride, width) + i;
            slope[j] = dy[at];
            normal[j] = mul(x[at], reciprocal[row + j]);
        }
        UNROLL for (u32 j = 0; j < AHEAD; j++) sum = fma(slope[j], normal[j], sum);
    }
    for (; row < rows; row++) {
        u64 at = row_start(row, heads, stride, width) + i;
        sum = fma(dy[at], mul(x[at], reciprocal[row]), sum);
    }
    d_gain[i] = sum;
}
