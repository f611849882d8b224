/* BLAKE3: hash, keyed hash and their extendable output. */
#ifndef BLAKE3_H
#define BLAKE3_H

#include <stddef.h>
#include <stdint.h>

/* Writes the first `output_length` bytes of the stream over `input`; `key` is 32 bytes, or NULL for
   the plain hash. */
void blake3(const uint8_t *key, const uint8_t *input, size_t input_length, uint8_t *output,
            size_t output_length);

#endif
