// Reductions in the fixed order: 16 strided lanes, then a tree.
//
// Sixteen neighbouring threads work on a row: thread `lane` takes in elements lane, lane + 16, …
// ascending, which is both the order that is specified and the order that memory likes.
//
// Spec: arithmetic §2

#pragma once
#include "language.cuh"

#define LANES 16u

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
