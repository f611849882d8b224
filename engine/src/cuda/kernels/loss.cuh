// Rows of logits: exponentials, log-probabilities, gradients.
//
// The host folds the loss over rows in f64, with the code of the CPU engine, and says by which
// factor each row's gradient counts; here is only what has a vocabulary's length.
//
// Spec: arithmetic §4, §7

#pragma once
#include "elementary.cuh"
#include "reduce.cuh"

#define NO_TARGET 0xffffffffu

// Row x: logits become e_v = exp(l_v - max l) with l = logit / temperature; sums[x] = sum(e),
// logprobs[x] = (l_y - max l) - log(sum). Rows without a target are left as they are.
KERNEL(256, 1)
exponentials(float *logits, const u32 *targets, float temperature, float *sums, float *logprobs,
             u32 vocabulary) {
    SHARED(float, window, 2048);
    SHARED(float, lanes, 256);
    u32 target = targets[block_x()], self = thread_index();
    if (target == NO_TARGET) return;
    float *row = logits + (u64)block_x() * vocabulary;
    float scaled = quotient(row[target], temperature);
    barrier();
    float largest = -INFINITE;
    for (u32 v = self; v < vocabulary; v += 256) {
        float x = row[v];
        if (temperature != 1.0f) row[v] = x = quotient(x, temperature);
        if (x > largest) largest = x;
    }
    largest = tree_max(largest, lanes, 256);
    // All threads exponentiate a window; sixteen of them add it up, each its lane.
    float sum = 0.0f;
    for (u32 first = 0; first < vocabulary; first += 2048) {
        u32 count = smaller(2048, vocabulary - first);
        for (u32 i = self; i < count; i += 256) {
            float e = exponential_function(sub(row[first + i], largest));
            row[first + i] = e;
            window[i] = e;
        }
        barrier();
        if (self < LANES) sum = lane_sum(sum, window, self, count);
        barrier();
    }
    sum = tree_sum(sum, lanes);
    if (self != 0) return;
    sums[block_x()] = sum;
    logprobs[block_x()] = sub(sub(scaled, largest), logarithm(sum));
}

// Exponentials become factor (p - [v = target]); rows without a target become +0.
KERNEL(256, 1)
slopes(float *logits, const u32 *targets, const float *sums, const float *factors,
       u32 vocabulary) {
    u32 target = targets[block_x()];
    float *row = logits + (u64)block_x() * vocabulary;
    float reciprocal = target == NO_TARGET ? 0.0f : quotient(1.0f, sums[block_x()]);
    float factor = factors[block_x()];
    for (u32 v = thread_index(); v < vocabulary; v += 256) {
        float p = mul(row[v], reciprocal);
        if (v == target) p = sub(p, 1.0f);
        row[v] = target == NO_TARGET ? 0.0f : mul(p, factor);
    }
}
