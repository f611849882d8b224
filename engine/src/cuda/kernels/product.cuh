// Matrix products C = A B: every output is the left fold of fma(a[k], b[k], acc), k ascending.
//
// A block computes a tile of C. Steps of k pass through shared memory, `DEPTH` at a time, while
// the next ones are on their way from global memory into registers; each thread holds a square
// of accumulators in registers. This is the shape of any fast GEMM, and since an output has one
// accumulator and meets its k in ascending order, it computes exactly the CPU's fold. What the
// fast kernels of vendors do besides, splitting k over blocks or threads, is what may not be done.
//
// Steps beyond the last are not padded with zeros: fma(0, 0, -0) is +0, another bit.
//
// Spec: arithmetic §1

#pragma once
#include "language.cuh"

// How an operand lies in memory: its steps (k) or its lines (rows of A, columns of B) contiguous.
enum Order { STEPS_CONTIGUOUS, LINES_CONTIGUOUS };

// Which outputs and steps a causal attention product has.
enum Reach {
    // All of them.
    WHOLE,
    // Only outputs (i, j) with j <= i matter: scores.
    BELOW_DIAGONAL,
    // Row i folds over k <= i: mixtures.
    STEPS_UP_TO_ROW,
    // Row i folds over k >= i; A counts as 0 before: gradients of keys and values.
    STEPS_FROM_ROW,
};

// LINES x LINES outputs a block, SIDE x SIDE a thread, DEPTH steps at a time.
template <u32 LINES_, u32 DEPTH_, u32 SIDE_> struct Tile {
    static constexpr u32 LINES = LINES_;
    static constexpr u32 DEPTH = DEPTH_;
    static constexpr u32 SIDE = SIDE_;
    static constexpr u32 THREADS = (LINES / SIDE) * (LINES / SIDE);
    // Vectors of four that each thread moves per operand and stage.
    static constexpr u32 MOVES = LINES * DEPTH / 4 / THREADS;
    // Row length in shared memory: a multiple of 4, and such that transposing stores spread over
    // the banks.
    static constexpr u32 STRIDE = LINES + 4;
};
using Large = Tile<128, 8, 8>;
using Small = Tile<64, 16, 4>;

struct Operand {
    const float *data;
    // Distance between lines (STEPS_CONTIGUOUS) or between steps (LINES_CONTIGUOUS).
    u32 stride;
    // Lines that exist.
    u32 lines;
};

// Steps [first, end) of an operand's tile on their way from global to shared memory.
template <class T, Order ORDER, bool VECTOR> struct Mover {
    float4v held[T::MOVES];

    // Which four elements this thread moves: line and step of the first, inside the tile.
    MEMBER void place(u32 move, u32 &line, u32 &step) {
        u32 index = move * T::THREADS + thread_index();
        if (ORDER == STEPS_CONTIGUOUS) {
            line = index / (T::DEPTH / 4);
            step = index % (T::DEPTH / 4) * 4;
        } else {
            line = index % (T::LINES / 4) * 4;
            step = index / (T::LINES / 4);
        }
    }

    // Elements that do not exist count as 0; no result that is kept reads them.
    MEMBER void load(Operand from, u32 first_line, u32 k, u32 end) {
        UNROLL for (u32 move = 0; move < T::MOVES; move++) {
            u32 line, step;
            place(move, line, step);
            line += first_line;
            step += k;
            float4v four = {0, 0, 0, 0};
            if (ORDER == STEPS_CONTIGUOUS) {
                if (line < from.lines) {
                    const float *at = from.data + (u64)line * from.stride + step;
                    if (VECTOR) {
                        if (step < end) four = *(const float4v *)at;
                    } else {
                        UNROLL for (u32 e = 0; e < 4; e++)
                            if (step + e < end) four[e] = at[e];
                    }
                }
            } else if (step < end) {
                const float *at = from.data + (u64)step * from.stride + line;
                if (VECTOR) {
                    if (line < from.lines) four = *(const float4v *)at;
                } else {
                    UNROLL for (u32 e = 0; e < 4; e++)
                        if (line + e < from.lines) four[e] = at[e];
                }
            }
            held[move] = four;
        }
    }

    // To shared memory, [DEPTH][STRIDE].
    MEMBER void store(float *to) {
        UNROLL for (u32 move = 0; move < T::MOVES; move++) {
            u32 line, step;
            place(move, line, step);
            if (ORDER == STEPS_CONTIGUOUS) {
                UNROLL for (u32 e = 0; e < 4; e++)
                    to[(step + e) * T::STRIDE + line] = held[move][e];
            } else {
                *(float4v *)(to + step * T::STRIDE + line) = held[move];
            }
        }
    }

    // Zeroes what A has before its own row: STEPS_FROM_ROW.
    MEMBER void mask(u32 first_line, u32 k) {
        UNROLL for (u32 move = 0; move < T::MOVES; move++) {
            u32 line, step;
            place(move, line, step);
            UNROLL for (u32 e = 0; e < 4; e++) {
                u32 l = first_line + line + (ORDER == LINES_CONTIGUOUS ? e : 0);
                u32 s = k + step + (ORDER == STEPS_CONTIGUOUS ? e : 0);
                if (s < l) held[move][e] = 0;
            }
        }
    }
};

// Where this thread stands among those of the tile. A warp is eight threads wide and four high: its
// reads of shared memory are then the fewest that thirty-two threads can make do with.
template <class T> DEVICE void stand(u32 &x, u32 &y) {
    const u32 WARPS = T::LINES / T::SIDE / 8;
    u32 lane = thread_index() % 32, warp = thread_index() / 32;
    x = warp % WARPS * 8 + lane % 8;
    y = warp / WARPS * 4 + lane / 8;
}

// The outputs of one thread: groups of four neighbouring rows and columns, the groups
// LINES / (SIDE / 4) apart, so that the threads of a warp read neighbouring shared memory.
template <class T> DEVICE u32 line_of(u32 position, u32 index) {
    return index / 4 * (T::LINES / (T::SIDE / 4)) + position * 4 + index % 4;
}

// One step of all folds of this thread.
template <class T, bool LIMITED>
DEVICE void fold(float (&acc)[T::SIDE][T::SIDE], const float *a, const float *b, u32 row_limit) {
    u32 x, y;
    stand<T>(x, y);
    float left[T::SIDE], right[T::SIDE];
    UNROLL for (u32 i = 0; i < T::SIDE; i += 4) {
        float4v four = *(const float4v *)(a + line_of<T>(y, i));
        float4v other = *(const float4v *)(b + line_of<T>(x, i));
        UNROLL for (u32 e = 0; e < 4; e++) {
            left[i + e] = four[e];
            right[i + e] = other[e];
        }
    }
    UNROLL for (u32 i = 0; i < T::SIDE; i++) {
        // Rows of the tile below row_limit are past their last step.
        if (LIMITED && line_of<T>(y, i) < row_limit) continue;
        UNROLL for (u32 j = 0; j < T::SIDE; j++)
            acc[i][j] = fma(left[i], right[j], acc[i][j]);
    }
}

template <class T, Order A, Order B, bool VECTOR, Reach REACH>
DEVICE void product(Operand a, Operand b, float *c, u32 c_stride, u32 steps, bool accumulate) {
    SHARED(float4v, tile_a, 2 * T::DEPTH * T::STRIDE / 4);
    SHARED(float4v, tile_b, 2 * T::DEPTH * T::STRIDE / 4);
    float *shared_a = (float *)tile_a, *shared_b = (float *)tile_b;
    const u32 stage = T::DEPTH * T::STRIDE;
    u32 row = block_y() * T::LINES, column = block_x() * T::LINES;
    if (row >= a.lines || column >= b.lines) return;
    if (REACH == BELOW_DIAGONAL && column > row + T::LINES - 1) return;
    u32 first = REACH == STEPS_FROM_ROW ? row : 0;
    u32 end = REACH == STEPS_UP_TO_ROW ? smaller(row + T::LINES, steps) : steps;
    u32 x, y;
    stand<T>(x, y);

    float acc[T::SIDE][T::SIDE];
    UNROLL for (u32 i = 0; i < T::SIDE; i++) UNROLL for (u32 j = 0; j < T::SIDE; j++) {
        u32 r = row + line_of<T>(y, i), s = column + line_of<T>(x, j);
        acc[i][j] = accumulate && r < a.lines && s < b.lines ? c[(u64)r * c_stride + s] : 0.0f;
    }

    Mover<T, A, VECTOR> from_a;
    Mover<T, B, VECTOR> from_b;
    from_a.load(a, row, first, end);
    from_b.load(b, column, first, end);
    u32 half = 0;
    for (u32 k = first; k < end; k += T::DEPTH) {
        if (REACH == STEPS_FROM_ROW) from_a.mask(row, k);
        from_a.store(shared_a + half * stage);
        from_b.store(shared_b + half * stage);
        barrier();
        if (k + T::DEPTH < end) {
            from_a.load(a, row, k + T::DEPTH, end);
            from_b.load(b, column, k + T::DEPTH, end);
        }
        const float *now_a = shared_a + half * stage, *now_b = shared_b + half * stage;
        bool limited = REACH == STEPS_UP_TO_ROW && k + T::DEPTH > row + 1;
        if (k + T::DEPTH <= end && !limited) {
            UNROLL for (u32 step = 0; step < T::DEPTH; step++)
                fold<T, false>(acc, now_a + step * T::STRIDE, now_b + step * T::STRIDE, 0);
        } else {
            ROLLED for (u32 step = 0; step < T::DEPTH && k + step < end; step++) {
                u32 limit = REACH == STEPS_UP_TO_ROW && k + step > row ? k + step - row : 0;
                fold<T, REACH == STEPS_UP_TO_ROW>(
                    acc, now_a + step * T::STRIDE, now_b + step * T::STRIDE, limit);
            }
        }
        // Two stages: a thread that runs ahead writes the other one, and the barrier above keeps
        // it from coming back to this one too early.
        half ^= 1;
    }

    // Addresses of the outputs are computed again here: kept from the beginning, they would take
    // the registers that the folds need.
    FORGET(row);
    FORGET(y);
    UNROLL for (u32 i = 0; i < T::SIDE; i++) {
        u32 r = row + line_of<T>(y, i);
        if (r >= a.lines) continue;
        UNROLL for (u32 j = 0; j < T::SIDE; j++) {
            u32 s = column + line_of<T>(x, j);
            if (s < b.lines) c[(u64)r * c_stride + s] = acc[i][j];
        }
    }
}

// C[m, n] of A and B with the given distances between rows, from +0 or from what C holds.
#define PRODUCT(name, T, A, B, VECTOR)                                                          \
    KERNEL(T::THREADS, 2)                                                                       \
    name(const float *a, const float *b, float *c, u32 m, u32 n, u32 steps, u32 a_stride,       \
         u32 b_stride, u32 c_stride, u32 accumulate) {                                          \
        Operand left = {a, a_stride, m}, right = {b, b_stride, n};                              \
        product<T, A, B, VECTOR, WHOLE>(left, right, c, c_stride, steps, accumulate != 0);      \
    }

// x W^T, dy W and dy^T x. The wide ones read vectors of four, so every size, distance and address
// of their operands is a multiple of four; the others read anything.
PRODUCT(product_nt_large_wide, Large, STEPS_CONTIGUOUS, STEPS_CONTIGUOUS, true)
PRODUCT(product_nn_large_wide, Large, STEPS_CONTIGUOUS, LINES_CONTIGUOUS, true)
PRODUCT(product_tn_large_wide, Large, LINES_CONTIGUOUS, LINES_CONTIGUOUS, true)
PRODUCT(product_nt_small_wide, Small, STEPS_CONTIGUOUS, STEPS_CONTIGUOUS, true)
PRODUCT(product_nn_small_wide, Small, STEPS_CONTIGUOUS, LINES_CONTIGUOUS, true)
PRODUCT(product_tn_small_wide, Small, LINES_CONTIGUOUS, LINES_CONTIGUOUS, true)
PRODUCT(product_nt_small, Small, STEPS_CONTIGUOUS, STEPS_CONTIGUOUS, false)
PRODUCT(product_nn_small, Small, STEPS_CONTIGUOUS, LINES_CONTIGUOUS, false)
PRODUCT(product_tn_small, Small, LINES_CONTIGUOUS, LINES_CONTIGUOUS, false)
