/* Chapter 7: losses and optimisers. */
#ifndef TRAINING_H
#define TRAINING_H

#include "model.h"

#include <stddef.h>
#include <stdint.h>

/* Sums over rows. */
typedef struct {
    double sum, weight;
} loss;

/* Takes one row in and replaces its logits by their gradient. */
void cross_entropy_row(loss *l, float *logits, size_t count, size_t target, float weight,
                       float *log_p);

typedef struct {
    float clip_low, clip_high, delta, temperature, normaliser;
} grpo_options;

typedef struct {
    double loss, divergence;
    uint64_t tokens, clipped;
} grpo_sums;

void grpo_row(grpo_sums *g, const grpo_options *o, float *logits, size_t count, size_t token,
              float advantage, float behaviour);

/* The norm; scales the gradient down to the limit. */
float clip(float *gradient, size_t count, float limit);

typedef struct {
    float lr, beta1, beta2, eps, weight_decay;
} adamw_options;

/* Step `t`, counted from 1. */
void adamw(const adamw_options *o, float lr_factor, uint64_t t, float *theta, const float *gradient,
           float *m, float *v, size_t count);
void nesterov(float lr, float momentum, float *theta, const float *gradient, float *buffer,
              size_t count);

/* The factor of the step size for the step after `steps` steps. */
float warm_up(uint64_t first_step, uint64_t steps, uint64_t warmup_steps);
void state_digest(uint64_t steps, const float *theta, const float *m, const float *v, size_t count,
                  uint8_t digest[32]);

/* The little-endian bytes of numbers. */
bytes little_endian(const float *x, size_t count);

#endif
