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

// Magnitudes have the order of their bits without the sign.
struct Bfloat16Magnitudes {
    const u16 *x;
    MEMBER u32 operator()(u64 i) const { return x[i] & 0x7fffu; }
};
struct FloatMagnitudes {
    const float *x;
    MEMBER u32 operator()(u64 i) const { return bits_of(x[i]) & 0x7fffffffu; }
};

// The `rest`-th largest of `length` magnitudes of 4 * `digits` bits; of those equal to it, `rest`
// are then still to be taken. A radix select: every round finds 4 bits of it, from the top.
template <class Magnitudes>
DEVICE u32 select_largest(Magnitudes magnitudes, u64 length, u32 digits, u32 &rest, u32 *counts) {
    u32 self = thread_index(), prefix = 0;
    for (u32 round = digits; round-- > 0;) {
        u32 shift = 4 * round;
        if (self < 16) counts[self] = 0;
        barrier();
        for (u64 i = self; i < length; i += 256) {
            u64 magnitude = magnitudes(i);
            if (magnitude >> (shift + 4) == (u64)prefix >> (shift + 4))
                atomic_add(counts + (magnitude >> shift & 15), 1);
        }
        barrier();
        u32 digit = 15;
        while (digit > 0 && counts[digit] < rest) rest -= counts[digit--];
        prefix |= digit << shift;
        barrier();
    }
    return prefix;
}

// Calls put(place, index) for all magnitudes above `limit` and the first `rest` equal to it, places
// ascending with indices; returns how many there are. Every thread owns a run of neighbours.
template <class Magnitudes, class Put>
DEVICE u32 take_largest(
    Magnitudes magnitudes, u64 length, u32 limit, u32 rest, u32 *above_before, u32 *equal_before,
    Put put
) {
    u32 self = thread_index();
    u64 run = (length + 255) / 256, first = run * self;
    u64 last = first + run < length ? first + run : length;
    u32 above = 0, equal = 0;
    for (u64 i = first; i < last; i++) {
        u32 magnitude = magnitudes(i);
        above += magnitude > limit;
        equal += magnitude == limit;
    }
    above_before[self] = above;
    equal_before[self] = equal;
    barrier();
    u32 place_above = 0, place_equal = 0, all_above = 0, all_equal = 0;
    for (u32 i = 0; i < 256; i++) {
        place_above += i < self ? above_before[i] : 0;
        place_equal += i < self ? equal_before[i] : 0;
        all_above += above_before[i];
        all_equal += equal_before[i];
    }
    for (u64 i = first; i < last; i++) {
        u32 magnitude = magnitudes(i);
        if (magnitude > limit || (magnitude == limit && place_equal < rest))
            put(place_above + smaller(place_equal, rest), i);
        place_above += magnitude > limit;
        place_equal += magnitude == limit;
    }
    return all_above + smaller(all_equal, rest);
}

// Block x: the `k` largest of values[starts[x] .. starts[x + 1]] by magnitude, ties to the lower
// index, as index << 16 | bits in order of index; out is [blocks, k].
struct PutActivation {
    const u16 *x;
    u64 *to;
    MEMBER void operator()(u32 place, u64 i) const { to[place] = i << 16 | x[i]; }
};
KERNEL(256, 1)
largest_activations(const u16 *values, const u64 *starts, u32 k, u64 *out) {
    SHARED(u32, counts, 16);
    SHARED(u32, above_before, 256);
    SHARED(u32, equal_before, 256);
    u64 begin = starts[block_x()], length = starts[block_x() + 1] - begin;
    const u16 *x = values + begin;
    u32 rest = length < k ? (u32)length : k;
    Bfloat16Magnitudes magnitudes = {x};
    u32 limit = select_largest(magnitudes, length, 4, rest, counts);
    PutActivation put = {x, out + (u64)block_x() * k};
    take_largest(magnitudes, length, limit, rest, above_before, equal_before, put);
}

DEVICE float magnitude_of(float value) { return float_of(bits_of(value) & 0x7fffffffu); }

// 1 or 2: whichever times `unit` is nearer, 2 in the middle.
DEVICE u32 sparse_level(double magnitude, double unit) {
    return magnitude >= mul(1.5, unit) ? 2 : 1;
}

// The scale of the values at `count` places in units of 2^-31; folds over ascending places.
DEVICE u32 sparse_scale(const float *y, const u32 *places, u32 count) {
    if (count == 0) return 0;
    double sum = 0.0, product = 0.0, square = 0.0;
    for (u32 j = 0; j < count; j++) sum = add(sum, (double)magnitude_of(y[places[j]]));
    double guess = mul(quotient(sum, (double)count), 0x1.5555555555555p-1);
    for (u32 j = 0; j < count; j++) {
        double magnitude = (double)magnitude_of(y[places[j]]);
        double level = (double)sparse_level(magnitude, guess);
        product = add(product, mul(magnitude, level));
        square = add(square, mul(level, level));
    }
    double scale = mul(quotient(product, square), 0x1p+31);
    // 1.5 2^52 rounds to the nearest integer, ties to even.
    scale = sub(add(scale, 0x1.8p+52), 0x1.8p+52);
    if (scale > 4294967295.0) scale = 4294967295.0;
    return scale < 1.0 ? 1 : (u32)(u64)scale;
}

// Block x: chunk x of a sparse update, 4096 values y = fma(decay, lost, update), of which the
// ceil(length / 64) largest are sent; `lost` becomes y less what is sent. A record of 66 words is
// the count, the scale, and of each value index << 2 | doubled << 1 | negative. `fault` takes the
// lowest index of a y that is not finite or larger than 2. Spec: arithmetic §8
struct PutPlace {
    u32 *to;
    MEMBER void operator()(u32 place, u64 i) const { to[place] = (u32)i; }
};
KERNEL(256, 1)
compress_sparse(const float *update, float *lost, float decay, u32 *out, u64 *fault, u64 length) {
    SHARED(float, y, 4096);
    SHARED(u32, counts, 16);
    SHARED(u32, above_before, 256);
    SHARED(u32, equal_before, 256);
    SHARED(u32, places, 64);
    SHARED(u32, found, 1);
    u32 self = thread_index();
    u64 begin = (u64)block_x() * 4096;
    u32 here = length - begin < 4096 ? (u32)(length - begin) : 4096;
    for (u32 i = self; i < here; i += 256) {
        float value = fma(decay, lost[begin + i], update[begin + i]);
        // NaN fails the comparison too.
        if (!(magnitude_of(value) <= 2.0f)) {
            atomic_min(fault, begin + i);
            value = 0.0f;
        }
        y[i] = value;
    }
    barrier();
    u32 rest = (here + 63) / 64;
    FloatMagnitudes magnitudes = {y};
    u32 limit = select_largest(magnitudes, here, 8, rest, counts);
    // Zeros are never sent.
    if (limit == 0) rest = 0;
    PutPlace put = {places};
    u32 count = take_largest(magnitudes, here, limit, rest, above_before, equal_before, put);
    barrier();
    if (self == 0) found[0] = sparse_scale(y, places, count);
    barrier();
    u32 scale = found[0], *record = out + (u64)block_x() * 66;
    double unit = mul((double)scale, 0x1p-31);
    if (self == 0) {
        record[0] = count;
        record[1] = scale;
    }
    if (self < count) {
        float value = y[places[self]];
        u32 negative = bits_of(value) >> 31;
        u32 level = sparse_level((double)magnitude_of(value), unit);
        record[2 + self] = places[self] << 2 | (level - 1) << 1 | negative;
        float sent = narrow(mul((double)level, unit));
        y[places[self]] = sub(value, negative ? -sent : sent);
    }
    barrier();
    for (u32 i = self; i < here; i += 256) lost[begin + i] = y[i];
}
