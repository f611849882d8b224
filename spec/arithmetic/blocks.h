/* Chapter 4, piece by piece. */
#ifndef BLOCKS_H
#define BLOCKS_H

#include "table.h"

#include <stdbool.h>
#include <stddef.h>

/* How the rotary frequencies are made. */
typedef struct {
    float theta;
    bool llama3;
    float factor, low, high;
    size_t context;
} rope;

/* Sequences laid end to end. */
typedef struct {
    uint32_t *tokens;
    size_t count; /* rows in all */
    size_t *lengths;
    size_t sequences;
} rows;

rope rope_of(json *object);
void rotary(const rope *r, size_t head_dim, size_t position, float *cosine, float *sine);
void rotate(float *x, size_t head_dim, const float *cosine, const float *sine, bool back);
void norm_forward(const float *x, const float *w, size_t d, float eps, float *y, float *r);
void norm_backward(const float *x, const float *w, float r, size_t d, const float *dy, float *dx,
                   float *dw);
void softmax(float *x, size_t count, float c);
void softmax_backward(const float *p, float *dp, size_t count, float c);
void swiglu(const float *gate_up, size_t ff, float *h);
void swiglu_backward(const float *gate_up, size_t ff, const float *dh, float *out);

/* `qkv` holds rows of queries, keys and values; `lengths` the rows of each sequence. */
typedef struct {
    size_t heads, key_heads, head_dim;
} heads;
void attention(heads h, const rows *s, const float *qkv, float *out);
void attention_backward(heads h, const rows *s, const float *qkv, const float *d_out, float *d_qkv);

/* log p of `target` at a temperature, and the exponentials and their sum that it came from. */
float log_probability(const float *logits, size_t count, size_t target, float temperature,
                      float *exponentials, float *sum);

#endif
