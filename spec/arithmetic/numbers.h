/* Chapters 1 to 3: products, reductions, elementary functions. */
#ifndef NUMBERS_H
#define NUMBERS_H

#include <stddef.h>
#include <stdint.h>

/* Continues a fold: acc = fma(a[k], b[k], acc) for ascending k, the operands `a_step` and `b_step`
   apart. */
float fold(float acc, size_t count, const float *a, size_t a_step, const float *b, size_t b_step);

float reduce_sum(const float *x, size_t count);
float reduce_dot(const float *x, const float *y, size_t count);
double reduce_squares(const float *x, size_t count);
float largest(const float *x, size_t count);

float exp_f32(float x);
float log_f32(float x);
float reciprocal_root(float x);
float sigmoid(float x);
float exponential(uint32_t word);
float gumbel(uint32_t word);
uint16_t bf16(float x);

double exp_f64(double x);
double log_f64(double x);
void sine_cosine_f64(double x, double *sine, double *cosine);

#endif
