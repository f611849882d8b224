// One new row of every sequence: keys and values are kept, and attended to; a token is drawn.
//
// A slot of the cache holds `capacity` positions. Keys lie [slot, key head, width, capacity], so
// that neighbouring threads read neighbouring positions; values [slot, key head, capacity, width].
//
// Spec: arithmetic §4, §5

#pragma once
#include "blake3.cuh"
#include "elementary.cuh"
#include "reduce.cuh"

// Keeps the key and value of every row: row i goes to position positions[i] of slot slots[i].
KERNEL(256, 1)
cache_append(const float *qkv, const u32 *slots, const u32 *positions, float *cached_keys,
             float *cached_values, u32 queries, u32 keys, u32 width, u32 capacity, u64 count) {
    u64 index = global_index();
    if (index >= count) return;
    u32 j = index % width, key = index / width % keys;
    u64 row = index / width / keys;
    u64 head = (u64)slots[row] * keys + key;
    u32 position = positions[row];
    const float *at = qkv + row * (queries + 2 * keys) * width + (u64)(queries + key) * width + j;
    cached_keys[(head * width + j) * capacity + position] = at[0];
    cached_values[(head * capacity + position) * width + j] = at[(u64)keys * width];
}

// Attention of query head y of row x over positions 0 ..= positions[x].
KERNEL(128, 1)
cache_attend(const float *qkv, const u32 *slots, const u32 *positions, const float *cached_keys,
             const float *cached_values, float *scores, float *out, float factor, u32 queries,
             u32 keys, u32 width, u32 capacity) {
    SHARED(float, lanes, 128);
    SHARED(float, window, 1024);
    u32 self = thread_index(), head = block_y(), valid = positions[block_x()] + 1;
    u64 row = block_x();
    u64 slot = (u64)slots[row] * keys + head / (queries / keys);
    const float *q = qkv + row * (queries + 2 * keys) * width + (u64)head * width;
    const float *k = cached_keys + slot * width * capacity;
    const float *v = cached_values + slot * width * capacity;
    float *x = scores + (row * queries + head) * capacity;
    float largest = -INFINITE;
    for (u32 s = self; s < valid; s += 128) {
        float score = 0.0f;
        for (u32 j = 0; j < width; j++) score = fma(q[j], k[(u64)j * capacity + s], score);
        x[s] = score;
        if (score > largest) largest = score;
    }
    largest = mul(tree_max(largest, lanes, 128), factor);
    float sum = 0.0f;
    for (u32 first = 0; first < valid; first += 1024) {
        u32 count = smaller(1024, valid - first);
        for (u32 i = self; i < count; i += 128) {
            float e = exponential_function(fma(x[first + i], factor, -largest));
            x[first + i] = e;
            window[i] = e;
        }
        barrier();
        if (self < LANES) sum = lane_sum(sum, window, self, count);
        barrier();
    }
    sum = tree_sum(sum, lanes);
    if (self == 0) lanes[0] = quotient(1.0f, sum);
    barrier();
    float reciprocal = lanes[0];
    for (u32 s = self; s < valid; s += 128) x[s] = mul(x[s], reciprocal);
    barrier();
    for (u32 j = self; j < width; j += 128) {
        float mixed = 0.0f;
        for (u32 s = 0; s < valid; s++) mixed = fma(x[s], v[(u64)s * width + j], mixed);
        out[(row * queries + head) * width + j] = mixed;
    }
}

#define NO_TOKEN 0xffffffffu

// A score and its token: the larger score wins, and of equal ones the lower token.
struct Candidate {
    float score;
    u32 token;
};

DEVICE bool beats(Candidate a, Candidate b) {
    if (b.token == NO_TOKEN) return a.token != NO_TOKEN;
    return a.score > b.score || (a.score == b.score && a.token < b.token);
}

// Draws a token from row rows[x] of the logits: argmax of logit / temperature + gumbel(word), the
// words those of BLAKE3 keyed with seed x over "gumbel/v1" and the position; or of the logits.
KERNEL(256, 1)
draw(const float *logits, const u32 *seeds, const u64 *positions, float temperature, u32 greedy,
     u32 vocabulary, u32 *tokens) {
    SHARED(Candidate, best, 256);
    u32 self = thread_index();
    u64 row = block_x();
    const float *l = logits + row * vocabulary;
    u32 key[8], block[16], words[16];
    UNROLL for (u32 i = 0; i < 8; i++) key[i] = seeds[row * 8 + i];
    UNROLL for (u32 i = 0; i < 16; i++) block[i] = 0;
    // "gumb", "el/v", "1" and the eight bytes of the position.
    u64 position = positions[row];
    block[0] = 0x626d7567u, block[1] = 0x762f6c65u;
    block[2] = 0x31u | (u32)position << 8;
    block[3] = (u32)(position >> 24);
    block[4] = (u32)(position >> 56);
    Candidate own = {0.0f, NO_TOKEN};
    for (u32 group = self; group * 16 < vocabulary; group += 256) {
        if (!greedy)
            compress_block(key, block, group, 17,
                           CHUNK_START | CHUNK_END | ROOT | KEYED_HASH, words);
        UNROLL for (u32 i = 0; i < 16; i++) {
            u32 token = group * 16 + i;
            if (token >= vocabulary) continue;
            float score = l[token];
            if (!greedy) score = add(quotient(score, temperature), gumbel(words[i]));
            // A comparison with NaN is false: nothing beats it where the search begins, and it
            // beats nothing elsewhere.
            if (score != score && token > 0) continue;
            Candidate next = {score != score ? INFINITE : score, token};
            if (beats(next, own)) own = next;
        }
    }
    best[self] = own;
    barrier();
    for (u32 width = 128; width > 0; width /= 2) {
        if (self < width && beats(best[self + width], best[self])) best[self] = best[self + width];
        barrier();
    }
    if (self == 0) tokens[row] = best[0].token == NO_TOKEN ? 0 : best[0].token;
}
