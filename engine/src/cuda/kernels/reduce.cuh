// Reductions in the fixed order: 16 strided lanes, then a tree.
//
// Sixteen neighbouring threads work on a row: thread `lane` takes in elements lane, lane + 16, …
// ascending, which is both the order that is specified and the order that memory likes.
//
// Spec: arithmetic §2

#pragma once
#include "language.cuh"

#define LANES 16u

// A lane takes in its elements of a window of `count`, ascending: `lane`, `lane` + 16, … Many are
// fetched at once; the additions wait for each other only.
DEVICE float lane_sum(float sum, const float *window, u32 lane, u32 count) {
    u32 i = lane;
    for (; i + (AHEAD - 1) * LANES < count; i += AHEAD * LANES) {
        float held[AHEAD];
        UNROLL for (u32 j = 0; j < AHEAD; j++) held[j] = window[i + j * LANES];
        UNROLL for (u32 j = 0; j < AHEAD; j++) sum = add(sum, held[j]);
    }
    for (; i < count; i += LANES) sum = add(sum, window[i]);
    return sum;
}

// The same for squares in f64.
DEVICE double lane_squares(double sum, const float *window, u32 lane, u32 count) {
    u32 i = lane;
    for (; i + (AHEAD - 1) * LANES < count; i += AHEAD * LANES) {
        double held[AHEAD];
        UNROLL for (u32 j = 0; j < AHEAD; j++) held[j] = window[i + j * LANES];
        UNROLL for (u32 j = 0; j < AHEAD; j++) sum = fma(held[j], held[j], sum);
    }
    for (; i < count; i += LANES) sum = fma((double)window[i], (double)window[i], sum);
    return sum;
}

// The tree over each 16 neighbouring threads; every one of them gets the result.
template <class F> DEVICE F tree_sum(F lane, F *shared) {
    u32 self = thread_index();
    shared[self] = lane;
    barrier();
    UNROLL for (u32 width = LANES / 2; width > 0; width /= 2) {
        if (self % LANES < width) shared[self] = add(shared[self], shared[self + width]);
        barrier();
    }
    F sum = shared[self / LANES * LANES];
    barrier();
    return sum;
}

// The largest over each `group` neighbouring threads, a power of two.
DEVICE float tree_max(float own, float *shared, u32 group) {
    u32 self = thread_index();
    shared[self] = own;
    barrier();
    for (u32 width = group / 2; width > 0; width /= 2) {
        if (self % group < width) {
            float other = shared[self + width];
            if (other > shared[self]) shared[self] = other;
        }
        barrier();
    }
    float largest = shared[self / group * group];
    barrier();
    return largest;
}
