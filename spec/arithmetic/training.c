/* Chapter 7. */
#include "training.h"

#include "blake3.h"
#include "numbers.h"

#include <math.h>
#include <string.h>

/* ---- losses ---- */

/* Replaces exponentials by the gradient of a row whose loss has this weight. */
static void slope(float *e, size_t count, float sum, size_t target, float weight)
{
    float reciprocal = 1.0f / sum, own = e[target] * reciprocal;
    for (size_t v = 0; v < count; v++)
        e[v] = (e[v] * reciprocal) * weight;
    e[target] = (own - 1.0f) * weight;
}

void cross_entropy_row(loss *l, float *logits, size_t count, size_t target, float weight,
                       float *log_p)
{
    if (weight == 0.0f) {
        memset(logits, 0, count * sizeof(float));
        return;
    }
    float sum;
    *log_p = log_probability(logits, count, target, 1.0f, logits, &sum);
    l->sum = l->sum - ((double)weight * (double)*log_p);
    l->weight = l->weight + (double)weight;
    slope(logits, count, sum, target, weight);
}

void grpo_row(grpo_sums *g, const grpo_options *o, float *logits, size_t count, size_t token,
              float advantage, float behaviour)
{
    float sum, now = log_probability(logits, count, token, o->temperature, logits, &sum);
    float r = exp_f32(now - behaviour), low = 1.0f - o->clip_low, high = 1.0f + o->clip_high;
    float free = (r < o->delta ? r : o->delta) * advantage;
    float held = (r < low ? low : r > high ? high : r) * advantage;
    float objective = free <= held ? free : held;
    bool counts = free <= held && r < o->delta;
    g->loss = g->loss - ((double)objective / (double)o->normaliser);
    g->divergence = g->divergence + ((double)behaviour - (double)now);
    g->tokens++;
    g->clipped += !counts;
    slope(logits, count, sum, token,
          counts ? (r * advantage) / (o->temperature * o->normaliser) : 0.0f);
}

/* ---- optimisers ---- */

float clip(float *gradient, size_t count, float limit)
{
    float norm = (float)sqrt(reduce_squares(gradient, count));
    if (norm > limit) {
        float factor = limit / norm;
        for (size_t i = 0; i < count; i++)
            gradient[i] = gradient[i] * factor;
    }
    return norm;
}

/* f32(1 - β^t), the power by square-and-multiply from the lowest bit of t. */
static float correction(float beta, uint64_t t)
{
    double power = 1.0, square = (double)beta;
    for (; t > 0; t /= 2) {
        if (t % 2 == 1)
            power = power * square;
        square = square * square;
    }
    return (float)(1.0 - power);
}

void adamw(const adamw_options *o, float lr_factor, uint64_t t, float *theta, const float *gradient,
           float *m, float *v, size_t count)
{
    float lr = o->lr * lr_factor, c1 = correction(o->beta1, t), c2 = correction(o->beta2, t);
    for (size_t i = 0; i < count; i++) {
        float g = gradient[i];
        m[i] = fmaf(o->beta1, m[i], (1.0f - o->beta1) * g);
        v[i] = fmaf(o->beta2, v[i], ((1.0f - o->beta2) * g) * g);
        theta[i] = fmaf(-(lr * o->weight_decay), theta[i], theta[i]);
        theta[i] = fmaf(-lr, (m[i] / c1) / (sqrtf(v[i] / c2) + o->eps), theta[i]);
    }
}

void nesterov(float lr, float momentum, float *theta, const float *gradient, float *buffer,
              size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buffer[i] = fmaf(momentum, buffer[i], gradient[i]);
        theta[i] = fmaf(-lr, fmaf(momentum, buffer[i], gradient[i]), theta[i]);
    }
}

float warm_up(uint64_t first_step, uint64_t steps, uint64_t warmup_steps)
{
    uint64_t step = first_step + steps + 1;
    return step >= warmup_steps ? 1.0f : (float)((double)step / (double)warmup_steps);
}

bytes little_endian(const float *x, size_t count)
{
    bytes b = {allocate(count, 4), 4 * count};
    for (size_t i = 0; i < 4 * count; i++)
        b.at[i] = (uint8_t)(bits_of(x[i / 4]) >> (8 * (i % 4)));
    return b;
}

void state_digest(uint64_t steps, const float *theta, const float *m, const float *v, size_t count,
                  uint8_t digest[32])
{
    const char tag[] = "inner-state/v1";
    const float *vectors[3] = {theta, m, v};
    size_t length = sizeof tag - 1;
    uint8_t *message = allocate(length + 8 + 12 * count, 1);
    memcpy(message, tag, length);
    for (int i = 0; i < 8; i++)
        message[length++] = (uint8_t)(steps >> (8 * i));
    for (int i = 0; i < 3; i++, length += 4 * count)
        memcpy(message + length, little_endian(vectors[i], count).at, 4 * count);
    blake3(NULL, message, length, digest, 32);
}
