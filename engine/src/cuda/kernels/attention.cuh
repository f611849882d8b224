// Causal grouped-query attention over ragged rows, forward and backward.
//
// The scores of one head of one sequence are a square matrix; block z of a grid works on square
// z % heads of sequence z / heads. A pass has `heads` query heads from `first_head` on; a square's
// rows are `length` rounded up to four apart. Outside the lower triangle squares hold anything.
//
// Spec: arithmetic §4

#pragma once
#include "elementary.cuh"
#include "product.cuh"
#include "reduce.cuh"

// The rows of every sequence.
struct Sequences {
    const u32 *firsts, *lengths;
    // Elements of the squares of all sequences before, for one head.
    const u64 *squares;
    u32 heads, first_head, group;

    MEMBER u32 sequence() const { return block_z() / heads; }
    MEMBER u32 first() const { return firsts[sequence()]; }
    MEMBER u32 length() const { return lengths[sequence()]; }
    MEMBER u32 side() const { return (length() + 3) / 4 * 4; }
    MEMBER u32 own() const { return block_z() % heads; }
    // The query head, and the key head that it reads.
    MEMBER u32 head() const { return first_head + own(); }
    MEMBER u32 key_head() const { return head() / group; }
    MEMBER u64 square() const {
        return squares[sequence()] * heads + (u64)own() * length() * side();
    }
};

#define SEQUENCES                                                                            \
    const u32 *firsts, const u32 *lengths, const u64 *squares, u32 heads, u32 first_head,    \
        u32 group
#define SEQUENCES_HERE \
    {firsts, lengths, squares, heads, first_head, group}

// squares[t, s] = fold_k fma(a[t, k], b[s, k]), s <= t: a by query head, b by key head.
KERNEL(256, 2)
attention_scores(const float *a, const float *b, float *out, u32 a_row, u32 b_row, u32 width,
                 SEQUENCES) {
    Sequences at = SEQUENCES_HERE;
    u32 length = at.length();
    Operand left = {a + (u64)at.first() * a_row + at.head() * width, a_row, length};
    Operand right = {b + (u64)at.first() * b_row + at.key_head() * width, b_row, length};
    product<Small, STEPS_CONTIGUOUS, STEPS_CONTIGUOUS, false, BELOW_DIAGONAL>(
        left, right, out + at.square(), at.side(), width, false);
}

// out[t, j] = fold_{s <= t} fma(square[t, s], b[s, j]): b by key head, out by query head.
KERNEL(256, 2)
attention_mix(const float *weights, const float *b, float *out, u32 b_row, u32 out_row, u32 width,
              SEQUENCES) {
    Sequences at = SEQUENCES_HERE;
    u32 length = at.length();
    Operand left = {weights + at.square(), at.side(), length};
    Operand right = {b + (u64)at.first() * b_row + at.key_head() * width, b_row, width};
    product<Small, STEPS_CONTIGUOUS, LINES_CONTIGUOUS, false, STEPS_UP_TO_ROW>(
        left, right, out + (u64)at.first() * out_row + at.head() * width, out_row, length, false);
}

// out[s, j] = fold_{t >= s} fma(square[t, s], b[t, j]): b by query head, out [rows, heads, width].
KERNEL(256, 2)
attention_gather(const float *weights, const float *b, float *out, u32 b_row, u32 width,
                 SEQUENCES) {
    Sequences at = SEQUENCES_HERE;
    u32 length = at.length(), out_row = heads * width;
    Operand left = {weights + at.square(), at.side(), length};
    Operand right = {b + (u64)at.first() * b_row + at.head() * width, b_row, width};
    product<Small, LINES_CONTIGUOUS, LINES_CONTIGUOUS, false, STEPS_FROM_ROW>(
        left, right, out + (u64)at.first() * out_row + at.own() * width, out_row, length, false);
}

// Adds up the query heads of a group, ascending, from [rows, keys, group, width] to key columns.
KERNEL(256, 1)
attention_group(const float *sums, float *out, u32 out_row, u32 keys, u32 group, u32 width,
                u64 count) {
    u64 index = global_index();
    if (index >= count) return;
    u32 j = index % width, key = index / width % keys;
    u64 row = index / width / keys;
    const float *at = sums + ((row * keys + key) * group) * width + j;
    float total = at[0];
    for (u32 member = 1; member < group; member++) total = add(total, at[(u64)member * width]);
    out[row * out_row + key * width + j] = total;
}

// Softmax of the first row + 1 elements of every row of every square, times `factor` first.
KERNEL(256, 1) attention_softmax(float *weights, float factor, SEQUENCES) {
    SHARED(float, lanes, 256);
    Sequences at = SEQUENCES_HERE;
    u32 lane = thread_index() % LANES, row = block_x() * 16 + thread_index() / LANES;
    if (block_x() * 16 >= at.length()) return;
    u32 valid = row < at.length() ? row + 1 : 0;
    float *x = weights + at.square() + (u64)row * at.side();
    float largest = -INFINITE;
    for (u32 i = lane; i < valid; i += LANES)
        if (x[i] > largest) largest = x[i];
    largest = mul(tree_max(largest, lanes, LANES), factor);
    float sum = 0.0f;
    for (u32 i = lane; i < valid; i += LANES) {
        float e = exponential_function(fma(x[i], factor, -largest));
        x[i] = e;
        sum = add(sum, e);
    }
    float reciprocal = quotient(1.0f, tree_sum(sum, lanes));
    for (u32 i = lane; i < valid; i += LANES) x[i] = mul(x[i], reciprocal);
}

// dS = (P (dP - dot(P, dP))) factor, in place of dP.
KERNEL(256, 1)
attention_softmax_backward(const float *weights, float *slopes, float factor, SEQUENCES) {
    SHARED(float, lanes, 256);
    Sequences at = SEQUENCES_HERE;
    u32 lane = thread_index() % LANES, row = block_x() * 16 + thread_index() / LANES;
    if (block_x() * 16 >= at.length()) return;
    u32 valid = row < at.length() ? row + 1 : 0;
    const float *p = weights + at.square() + (u64)row * at.side();
    float *d = slopes + at.square() + (u64)row * at.side();
    float sum = 0.0f;
    for (u32 i = lane; i < valid; i += LANES) sum = fma(p[i], d[i], sum);
    sum = tree_sum(sum, lanes);
    for (u32 i = lane; i < valid; i += LANES) d[i] = mul(mul(p[i], sub(d[i], sum)), factor);
}
