// BLAKE3: the compression function, and the hash of arrays as a tree of their chunks.
//
// A hash of many bytes is a tree over chunks of 1024, so every chunk is a thread's work and every
// level of the tree a launch; weights need not leave the device for their digest.

#pragma once
#include "language.cuh"

#define CHUNK_START 1u
#define CHUNK_END 2u
#define PARENT 4u
#define ROOT 8u
#define KEYED_HASH 16u

DEVICE u32 rotated(u32 x, u32 by) { return x >> by | x << (32 - by); }

DEVICE void initial_value(u32 (&h)[8]) {
    h[0] = 0x6a09e667u, h[1] = 0xbb67ae85u, h[2] = 0x3c6ef372u, h[3] = 0xa54ff53au;
    h[4] = 0x510e527fu, h[5] = 0x9b05688cu, h[6] = 0x1f83d9abu, h[7] = 0x5be0cd19u;
}

DEVICE void mix(u32 &a, u32 &b, u32 &c, u32 &d, u32 x, u32 y) {
    a = a + b + x;
    d = rotated(d ^ a, 16);
    c = c + d;
    b = rotated(b ^ c, 12);
    a = a + b + y;
    d = rotated(d ^ a, 8);
    c = c + d;
    b = rotated(b ^ c, 7);
}

// All sixteen words of a compression; the first eight are a chaining value.
DEVICE void compress_block(const u32 (&key)[8], const u32 (&block)[16], u64 counter, u32 bytes,
                           u32 flags, u32 (&out)[16]) {
    u32 iv[8], m[16], s[16];
    initial_value(iv);
    UNROLL for (u32 i = 0; i < 8; i++) s[i] = key[i];
    UNROLL for (u32 i = 0; i < 4; i++) s[8 + i] = iv[i];
    s[12] = (u32)counter, s[13] = (u32)(counter >> 32), s[14] = bytes, s[15] = flags;
    UNROLL for (u32 i = 0; i < 16; i++) m[i] = block[i];
    ROLLED for (u32 round = 0; round < 7; round++) {
        mix(s[0], s[4], s[8], s[12], m[0], m[1]);
        mix(s[1], s[5], s[9], s[13], m[2], m[3]);
        mix(s[2], s[6], s[10], s[14], m[4], m[5]);
        mix(s[3], s[7], s[11], s[15], m[6], m[7]);
        mix(s[0], s[5], s[10], s[15], m[8], m[9]);
        mix(s[1], s[6], s[11], s[12], m[10], m[11]);
        mix(s[2], s[7], s[8], s[13], m[12], m[13]);
        mix(s[3], s[4], s[9], s[14], m[14], m[15]);
        u32 p[16] = {m[2], m[6], m[3], m[10], m[7], m[0], m[4], m[13],
                     m[1], m[11], m[12], m[5], m[9], m[14], m[15], m[8]};
        UNROLL for (u32 i = 0; i < 16; i++) m[i] = p[i];
    }
    UNROLL for (u32 i = 0; i < 8; i++) {
        out[i] = s[i] ^ s[i + 8];
        out[i + 8] = s[i + 8] ^ key[i];
    }
}

// The message: `header_bytes` of `header` (less than 1024), then the words of a, b and c, `words`
// each.
struct Message {
    const u8 *header;
    u32 header_bytes;
    const u32 *a, *b, *c;
    u64 words, bytes;

    MEMBER u32 value(u64 index) const {
        if (index < words) return a[index];
        if (index < 2 * words) return b[index - words];
        return index < 3 * words ? c[index - 2 * words] : 0;
    }
    // The word at a byte offset, a multiple of four; zeros beyond the end.
    MEMBER u32 word(u64 offset) const {
        if (offset >= header_bytes) {
            u64 at = offset - header_bytes;
            u32 shift = (u32)(at % 4) * 8;
            u32 low = value(at / 4);
            return shift == 0 ? low : low >> shift | value(at / 4 + 1) << (32 - shift);
        }
        u32 result = 0;
        for (u32 i = 0; i < 4; i++) {
            u64 at = offset + i;
            u32 byte = 0;
            u64 after = at - header_bytes;
            if (at < header_bytes) byte = header[at];
            else if (at < bytes) byte = value(after / 4) >> after % 4 * 8;
            result |= (byte & 0xff) << i * 8;
        }
        return result;
    }
};

// The chaining value of every chunk of the message, `[chunks, 8]`; `arrays` of a, b, c are used.
KERNEL(128, 1)
hash_chunks(const u8 *header, u32 header_bytes, const u32 *a, const u32 *b, const u32 *c,
            u64 words, u32 arrays, u32 *out, u64 chunks) {
    u64 chunk = global_index();
    if (chunk >= chunks) return;
    u64 bytes = header_bytes + words * 4 * arrays;
    Message message = {header, header_bytes, a, b, c, words, bytes};
    u64 begin = chunk * 1024;
    u32 length = bytes - begin < 1024 ? (u32)(bytes - begin) : 1024;
    u32 blocks = length == 0 ? 1 : (length + 63) / 64;
    u32 value[8], block[16], full[16];
    initial_value(value);
    for (u32 index = 0; index < blocks; index++) {
        UNROLL for (u32 i = 0; i < 16; i++) {
            u64 offset = begin + index * 64 + i * 4;
            block[i] = offset < bytes ? message.word(offset) : 0;
        }
        bool last = index + 1 == blocks;
        u32 flags = (index == 0 ? CHUNK_START : 0) | (last ? CHUNK_END : 0);
        if (last && chunks == 1) flags |= ROOT;
        compress_block(value, block, chunk, last ? length - index * 64 : 64, flags, full);
        UNROLL for (u32 i = 0; i < 8; i++) value[i] = full[i];
    }
    UNROLL for (u32 i = 0; i < 8; i++) out[chunk * 8 + i] = value[i];
}

// One level of the tree: pairs of `count` values become parents; an odd one out moves up.
KERNEL(128, 1) hash_parents(const u32 *from, u32 *out, u64 count) {
    u64 index = global_index();
    if (index >= (count + 1) / 2) return;
    const u32 *pair = from + index * 16;
    u32 key[8], block[16], full[16];
    if (index * 2 + 1 == count) {
        UNROLL for (u32 i = 0; i < 8; i++) out[index * 8 + i] = pair[i];
        return;
    }
    initial_value(key);
    UNROLL for (u32 i = 0; i < 16; i++) block[i] = pair[i];
    compress_block(key, block, 0, 64, PARENT | (count == 2 ? ROOT : 0), full);
    UNROLL for (u32 i = 0; i < 8; i++) out[index * 8 + i] = full[i];
}
