/* BLAKE3 after its paper (O'Connor, Aumasson, Neves, Wilcox-O'Hearn), without tuning: the input is
   cut into chunks of 1024 bytes, the chunks are the leaves of a binary tree, and the root may be
   asked for any number of bytes. */
#include "blake3.h"

#include <string.h>

enum {
    BLOCK_BYTES = 64,
    CHUNK_BYTES = 1024,
    CHUNK_START = 1,
    CHUNK_END = 2,
    PARENT = 4,
    ROOT = 8,
    KEYED_HASH = 16,
};

static const uint32_t INITIAL[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
static const int PERMUTATION[16] = {2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8};

/* What a compression takes in: kept for the root, which is compressed again for more output. */
typedef struct {
    uint32_t chaining[8];
    uint32_t block[16];
    uint64_t counter;
    uint32_t length;
    uint32_t flags;
} node;

static uint32_t rotate_right(uint32_t x, int bits) { return x >> bits | x << (32 - bits); }

static void mix(uint32_t v[16], int a, int b, int c, int d, uint32_t x, uint32_t y)
{
    v[a] = v[a] + v[b] + x;
    v[d] = rotate_right(v[d] ^ v[a], 16);
    v[c] = v[c] + v[d];
    v[b] = rotate_right(v[b] ^ v[c], 12);
    v[a] = v[a] + v[b] + y;
    v[d] = rotate_right(v[d] ^ v[a], 8);
    v[c] = v[c] + v[d];
    v[b] = rotate_right(v[b] ^ v[c], 7);
}

static void compress(const node *n, uint32_t output[16])
{
    uint32_t m[16], v[16];
    memcpy(m, n->block, sizeof m);
    memcpy(v, n->chaining, 32);
    memcpy(v + 8, INITIAL, 16);
    v[12] = (uint32_t)n->counter;
    v[13] = (uint32_t)(n->counter >> 32);
    v[14] = n->length;
    v[15] = n->flags;
    for (int round = 0; round < 7; round++) {
        mix(v, 0, 4, 8, 12, m[0], m[1]);
        mix(v, 1, 5, 9, 13, m[2], m[3]);
        mix(v, 2, 6, 10, 14, m[4], m[5]);
        mix(v, 3, 7, 11, 15, m[6], m[7]);
        mix(v, 0, 5, 10, 15, m[8], m[9]);
        mix(v, 1, 6, 11, 12, m[10], m[11]);
        mix(v, 2, 7, 8, 13, m[12], m[13]);
        mix(v, 3, 4, 9, 14, m[14], m[15]);
        uint32_t permuted[16];
        for (int i = 0; i < 16; i++)
            permuted[i] = m[PERMUTATION[i]];
        memcpy(m, permuted, sizeof m);
    }
    for (int i = 0; i < 8; i++) {
        output[i] = v[i] ^ v[i + 8];
        output[i + 8] = v[i + 8] ^ n->chaining[i];
    }
}

static void load_block(node *n, const uint8_t *bytes, size_t length)
{
    uint8_t block[BLOCK_BYTES] = {0};
    if (length > 0)
        memcpy(block, bytes, length);
    for (int i = 0; i < 16; i++)
        n->block[i] = (uint32_t)block[4 * i] | (uint32_t)block[4 * i + 1] << 8 |
                      (uint32_t)block[4 * i + 2] << 16 | (uint32_t)block[4 * i + 3] << 24;
    n->length = (uint32_t)length;
}

/* The last block of a chunk, not yet compressed. */
static node chunk(const uint32_t key[8], uint32_t flags, const uint8_t *input, size_t length,
                  uint64_t counter)
{
    node n = {.counter = counter, .flags = flags | CHUNK_START};
    memcpy(n.chaining, key, 32);
    while (length > BLOCK_BYTES) {
        uint32_t output[16];
        load_block(&n, input, BLOCK_BYTES);
        compress(&n, output);
        memcpy(n.chaining, output, 32);
        n.flags = flags;
        input += BLOCK_BYTES;
        length -= BLOCK_BYTES;
    }
    load_block(&n, input, length);
    n.flags |= CHUNK_END;
    return n;
}

/* The node above some bytes: a chunk, or the parent of the largest full left subtree and of the
   rest. */
static node tree(const uint32_t key[8], uint32_t flags, const uint8_t *input, size_t length,
                 uint64_t counter)
{
    if (length <= CHUNK_BYTES)
        return chunk(key, flags, input, length, counter);
    size_t left = CHUNK_BYTES;
    while (2 * left < length)
        left *= 2;
    node children[2] = {
        tree(key, flags, input, left, counter),
        tree(key, flags, input + left, length - left, counter + left / CHUNK_BYTES),
    };
    node parent = {.counter = 0, .length = BLOCK_BYTES, .flags = flags | PARENT};
    memcpy(parent.chaining, key, 32);
    for (int i = 0; i < 2; i++) {
        uint32_t output[16];
        compress(&children[i], output);
        memcpy(parent.block + 8 * i, output, 32);
    }
    return parent;
}

void blake3(const uint8_t *key, const uint8_t *input, size_t input_length, uint8_t *output,
            size_t output_length)
{
    uint32_t words[8];
    memcpy(words, INITIAL, sizeof words);
    if (key) {
        node n;
        load_block(&n, key, 32);
        memcpy(words, n.block, sizeof words);
    }
    node root = tree(words, key ? KEYED_HASH : 0, input, input_length, 0);
    root.flags |= ROOT;
    for (size_t done = 0; done < output_length; done += BLOCK_BYTES) {
        uint32_t block[16];
        root.counter = done / BLOCK_BYTES;
        compress(&root, block);
        for (size_t i = 0; i < BLOCK_BYTES && done + i < output_length; i++)
            output[done + i] = (uint8_t)(block[i / 4] >> (8 * (i % 4)));
    }
}
