/* Chapters 5 and 6: what is drawn from streams. */
#ifndef DRAWS_H
#define DRAWS_H

#include "model.h"

#include <stddef.h>
#include <stdint.h>

/* The words of the stream of one position. */
words position_words(const uint8_t seed[32], uint64_t position, size_t count);
void scores(const float *logits, words w, float temperature, float *out);
size_t argmax(const float *x, size_t count);
/* One tensor of a fresh model. */
void initialise(const config *c, const tensor *t, const uint8_t seed[32], float *out);

#endif
