// What leaves the device small: the norm of a gradient, compressed updates, largest activations.

#pragma once
#include "reduce.cuh"
#include "elementary.cuh"

// out[0] = squares(x) in f64: one chain of fused multiply-adds for each of 16 lanes, however long x
// is. One block: sixteen threads add up a window while the others fetch the next.
KERNEL(512, 1) sum_of_squares(const float *x, double *out, u64 count) {
    SHARED(float, window, 2 * 4096);
    SHARED(double, lanes, 512);
    u32 self = thread_index(), half = 0;
    double sum = 0.0;
    for (u32 i = self; i < 4096; i += 512) window[i] = i < count ? x[i] : 0.0f;
    barrier();
    for (u64 first = 0; first < count; first += 4096) {
        u32 here = count - first < 4096 ? (u32)(count - first) : 4096;
        const float *now = window + half * 4096;
        float *next = window + (half ^ 1) * 4096;
        if (self >= 32) {
            u64 after = first + 4096;
            for (u32 i = self - 32; i < 4096; i += 480)
                if (after + i < count) next[i] = x[after + i];
        } else if (self < LANES) {
            sum = lane_squares(sum, now, self, here);
        }
        barrier();
        half ^= 1;
    }
    sum = tree_sum(sum, lanes);
    if (self == 0) out[0] = sum;
}

// Block x of an update: 256 values to a scale and signed codes, 260 bytes. `fault` takes the lowest
// index of a value that is not finite or too large. Spec: arithmetic §8
KERNEL(256, 1) compress_update(const float *values, u8 *out, u64 *fault, u64 count) {
    SHARED(float, lanes, 256);
    SHARED(u32, any, 1);
    const double ONE = 0x1p+38, LIMIT = 0x1.fbfffffe04p+0;
    u32 self = thread_index();
    u64 index = global_index();
    bool exists = index < count;
    float value = exists ? values[index] : 0.0f;
    float magnitude = value < 0.0f ? -value : value;
    // NaN fails the comparison too.
    if (!((double)magnitude <= LIMIT)) {
        atomic_min(fault, index);
        magnitude = 0.0f;
        value = 0.0f;
    }
    if (self == 0) any[0] = 0;
    double largest = tree_max(magnitude, lanes, 256);
    double scale = quotient(mul(largest, ONE), 127.0);
    // Rounds up: scale is at most 2^32, where adding 2^52 rounds to an integer.
    double whole = sub(add(scale, 0x1p+52), 0x1p+52);
    scale = whole < scale ? add(whole, 1.0) : whole;
    double divisor = scale == 0.0 ? 1.0 : scale;
    // 1.5 2^52 rounds to the nearest integer, ties to even.
    double code = sub(add(quotient(mul((double)value, ONE), divisor), 0x1.8p+52), 0x1.8p+52);
    code = code > 127.0 ? 127.0 : code;
    code = code < -127.0 ? -127.0 : code;
    i32 small = (i32)code;
    if (small != 0) atomic_add(any, 1);
    barrier();
    u32 stored = any[0] == 0 ? 0 : (u32)(i64)scale;
    u8 *start = out + (u64)block_x() * 260;
    if (self < 4) start[self] = (u8)(stored >> self * 8);
    if (exists) start[4 + self] = (u8)small;
}

// Block x: the `k` largest of values[starts[x] .. starts[x + 1]] by magnitude, ties to the lower
// index, as index << 16 | bits in order of index; out is [blocks, k]. A radix select: four rounds
// of 4 bits find the magnitude of the k-th, then one pass takes all above it and the first equals.
KERNEL(256, 1)
largest_activations(const u16 *values, const u64 *starts, u32 k, u64 *out) {
    SHARED(u32, counts, 16);
    SHARED(u32, above_before, 256);
    SHARED(u32, equal_before, 256);
    u32 self = thread_index();
    u64 begin = starts[block_x()], length = starts[block_x() + 1] - begin;
    const u16 *x = values + begin;
    u32 wanted = length < k ? (u32)length : k;
    u64 *to = out + (u64)block_x() * k;
    // Digits of the k-th magnitude, from the top; `rest` of it are still to be taken below.
    u32 prefix = 0, rest = wanted;
    for (u32 round = 0; round < 4; round++) {
        u32 shift = 12 - 4 * round;
        if (self < 16) counts[self] = 0;
        barrier();
        for (u64 i = self; i < length; i += 256) {
            u32 magnitude = x[i] & 0x7fffu;
            if (magnitude >> (shift + 4) == prefix >> (shift + 4))
                atomic_add(counts + (magnitude >> shift & 15), 1);
        }
        barrier();
        u32 digit = 15;
        while (digit > 0 && counts[digit] < rest) rest -= counts[digit--];
        prefix |= digit << shift;
        barrier();
    }
    // Each thread owns a run of neighbours, so that places come out in order of index.
    u64 run = (length + 255) / 256, first = run * self;
    u64 last = first + run < length ? first + run : length;
    u32 above = 0, equal = 0;
    for (u64 i = first; i < last; i++) {
        u32 magnitude = x[i] & 0x7fffu;
        above += magnitude > prefix;
        equal += magnitude == prefix;
    }
    above_before[self] = above;
    equal_before[self] = equal;
    barrier();
    u32 place_above = 0, place_equal = 0;
    for (u32 i = 0; i < self; i++) {
        place_above += above_before[i];
        place_equal += equal_before[i];
    }
    for (u64 i = first; i < last; i++) {
        u32 magnitude = x[i] & 0x7fffu;
        u32 taken = smaller(place_equal, rest);
        if (magnitude > prefix || (magnitude == prefix && place_equal < rest))
            to[place_above + taken] = (u64)i << 16 | x[i];
        place_above += magnitude > prefix;
        place_equal += magnitude == prefix;
    }
}
