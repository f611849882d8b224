// One thread an element: sums, the gated layer, rotary positions, optimiser steps.

#pragma once
#include "elementary.cuh"

// x[t] = E[token t].
KERNEL(256, 1)
embed(const float *table, const u32 *tokens, float *x, u32 width, u64 count) {
    u64 index = global_index();
    if (index >= count) return;
    x[index] = table[(u64)tokens[index / width] * width + index % width];
}

// dE[v] += dx of its rows, ascending: block x has token tokens[x] and the rows from starts[x] to
// before starts[x + 1].
KERNEL(256, 1)
embed_backward(const u32 *tokens, const u32 *starts, const u32 *rows, const float *dx,
               float *table, u32 width) {
    u32 token = tokens[block_x()], begin = starts[block_x()], end = starts[block_x() + 1];
    for (u32 column = thread_index(); column < width; column += thread_count()) {
        float *slot = table + (u64)token * width + column;
        float sum = *slot;
        for (u32 at = begin; at < end; at++) sum = add(sum, dx[(u64)rows[at] * width + column]);
        *slot = sum;
    }
}

// y += x.
KERNEL(256, 1) add_to(float *y, const float *x, u64 count) {
    u64 index = global_index();
    if (index < count) y[index] = add(y[index], x[index]);
}

// Every row of y += bias.
KERNEL(256, 1) add_bias(float *y, const float *bias, u32 width, u64 count) {
    u64 index = global_index();
    if (index < count) y[index] = add(y[index], bias[index % width]);
}

// sum[j] = fold over ascending rows of sum[j] + dy[i, j].
KERNEL(64, 1) bias_backward(const float *dy, float *sum, u32 rows, u32 width) {
    u64 column = global_index();
    if (column >= width) return;
    float total = sum[column];
    u32 row = 0;
    // Many rows are fetched at once; the additions wait for each other only.
    for (; row + AHEAD <= rows; row += AHEAD) {
        float held[AHEAD];
        UNROLL for (u32 i = 0; i < AHEAD; i++) held[i] = dy[(u64)(row + i) * width + column];
        UNROLL for (u32 i = 0; i < AHEAD; i++) total = add(total, held[i]);
    }
    for (; row < rows; row++) total = add(total, dy[(u64)row * width + column]);
    sum[column] = total;
}

// y *= factor.
KERNEL(256, 1) scale(float *y, float factor, u64 count) {
    u64 index = global_index();
    if (index < count) y[index] = mul(y[index], factor);
}

// out = a - b.
KERNEL(256, 1) difference(const float *a, const float *b, float *out, u64 count) {
    u64 index = global_index();
    if (index < count) out[index] = sub(a[index], b[index]);
}

// h = (g sigmoid(g)) u of rows [g, u].
KERNEL(256, 1) swiglu(const float *gate_up, float *h, u32 width, u64 count) {
    u64 index = global_index();
    if (index >= count) return;
    const float *at = gate_up + index / width * 2 * width + index % width;
    float g = at[0], u = at[width];
    h[index] = mul(mul(g, sigmoid(g)), u);
}

// Overwrites [g, u] by their gradients.
KERNEL(256, 1) swiglu_backward(float *gate_up, const float *dh, u32 width, u64 count) {
    u64 index = global_index();
    if (index >= count) return;
    float *at = gate_up + index / width * 2 * width + index % width;
    float g = at[0], u = at[width], d = dh[index];
    float s = sigmoid(g);
    float slope = mul(s, fma(g, sub(1.0f, s), 1.0f));
    at[0] = mul(mul(d, u), slope);
    at[width] = mul(d, mul(g, s));
}

// Turns the first `heads` heads of rows of `stride`; tables are [positions, half].
KERNEL(256, 1)
rotate(float *x, const u32 *positions, const float *cosines, const float *sines, u32 stride,
       u32 heads, u32 half, float direction, u64 count) {
    u64 index = global_index();
    if (index >= count) return;
    u32 i = index % half, head = index / half % heads;
    u64 row = index / half / heads;
    u64 entry = (u64)positions[row] * half + i;
    float c = cosines[entry], s = mul(sines[entry], direction);
    float *at = x + row * stride + head * 2 * half + i;
    float a = at[0], b = at[half];
    at[0] = fma(a, c, -mul(b, s));
    at[half] = fma(b, c, mul(a, s));
}

// One AdamW step. Spec: arithmetic §7
KERNEL(256, 1)
adam(float *theta, const float *gradient, float *m, float *v, float lr, float beta1, float beta2,
     float eps, float decay, float correction1, float correction2, u64 count) {
    u64 index = global_index();
    if (index >= count) return;
    float g = gradient[index];
    float first = fma(beta1, m[index], mul(sub(1.0f, beta1), g));
    float second = fma(beta2, v[index], mul(mul(sub(1.0f, beta2), g), g));
    m[index] = first;
    v[index] = second;
    float direction = quotient(quotient(first, correction1),
                               add(root(quotient(second, correction2)), eps));
    float decayed = fma(-mul(lr, decay), theta[index], theta[index]);
    theta[index] = fma(-lr, direction, decayed);
}

// Nesterov momentum.
KERNEL(256, 1)
nesterov(float *theta, const float *gradient, float *buffer, float lr, float momentum, u64 count) {
    u64 index = global_index();
    if (index >= count) return;
    float g = gradient[index];
    float b = fma(momentum, buffer[index], g);
    buffer[index] = b;
    theta[index] = fma(-lr, fma(momentum, b, g), theta[index]);
}

// Keeps as bfloat16.
KERNEL(256, 1) round_bfloat16(const float *x, u16 *out, u64 count) {
    u64 index = global_index();
    if (index < count) out[index] = (u16)bfloat16(x[index]);
}
