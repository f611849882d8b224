/* Chapter 4, whole: the layout of the weights, the forward and the backward pass. */
#ifndef MODEL_H
#define MODEL_H

#include "blocks.h"

#include <stdbool.h>
#include <stddef.h>

typedef enum { LLAMA, QWEN2, QWEN3 } family;

typedef struct {
    family family;
    size_t vocab, d, ff, layers, heads, key_heads, head_dim, positions;
    float eps;
    rope rope;
    bool tied;
} config;

/* One tensor of the canonical order. */
typedef struct {
    char *name;
    size_t rows, columns; /* columns is 0 for a vector of `rows` */
    size_t offset, count;
} tensor;

typedef struct {
    tensor *tensors;
    size_t tensor_count, count; /* count of values */
} layout;

/* A model: every tensor in one vector. */
typedef struct {
    config c;
    layout l;
    float *values;
} model;

/* What a forward pass keeps. */
typedef struct activations activations;

config config_of(json *object);
layout layout_of(const config *c);
const tensor *tensor_of(const layout *l, const char *name);

activations *forward(const model *m, const rows *s);
const float *hidden_of(const activations *a);
/* One row of logits after another. */
void logits_of(const model *m, const rows *s, const activations *a, float *logits);
/* Adds the gradients of all weights to `gradient`. */
void backward(const model *m, const rows *s, const activations *a, const float *d_logits,
              float *gradient);

#endif
