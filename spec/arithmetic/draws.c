/* Chapters 5 and 6. */
#include "draws.h"

#include "blake3.h"
#include "numbers.h"

#include <math.h>
#include <string.h>

/* The first `count` words of the stream keyed with the seed over two texts, one after the other. */
static words keyed_words(const uint8_t seed[32], const char *tag, const void *rest,
                         size_t rest_length, size_t count)
{
    size_t length = strlen(tag);
    uint8_t *message = allocate(length + rest_length, 1), *stream = allocate(count, 4);
    memcpy(message, tag, length);
    memcpy(message + length, rest, rest_length);
    blake3(seed, message, length + rest_length, stream, 4 * count);
    words w = {allocate(count, 4), count};
    for (size_t i = 0; i < 4 * count; i++)
        w.at[i / 4] |= (uint32_t)stream[i] << (8 * (i % 4));
    return w;
}

words position_words(const uint8_t seed[32], uint64_t position, size_t count)
{
    uint8_t little[8];
    for (int i = 0; i < 8; i++)
        little[i] = (uint8_t)(position >> (8 * i));
    return keyed_words(seed, "gumbel/v1", little, 8, count);
}

void scores(const float *logits, words w, float temperature, float *out)
{
    for (size_t v = 0; v < w.count; v++)
        out[v] = (logits[v] / temperature) + gumbel(w.at[v]);
}

size_t argmax(const float *x, size_t count)
{
    size_t best = 0;
    for (size_t v = 1; v < count; v++)
        if (x[v] > x[best])
            best = v;
    return best;
}

static bool ends_with(const char *text, const char *end)
{
    return strlen(text) >= strlen(end) && strcmp(text + strlen(text) - strlen(end), end) == 0;
}

void initialise(const config *c, const tensor *t, const uint8_t seed[32], float *out)
{
    const double tau = 0x1.921fb54442d18p+2;
    if (t->columns == 0) {
        for (size_t i = 0; i < t->count; i++)
            out[i] = ends_with(t->name, ".bias") ? 0.0f : 1.0f;
        return;
    }
    float sigma = 1.0f / sqrtf((float)t->columns);
    if (ends_with(t->name, "o_proj.weight") || ends_with(t->name, "down_proj.weight"))
        sigma = 1.0f / (sqrtf((float)t->columns) * sqrtf((float)(2 * c->layers)));
    if (ends_with(t->name, "embed_tokens.weight") || ends_with(t->name, "lm_head.weight"))
        sigma = 0.02f;
    words w = keyed_words(seed, "initialize/v1", t->name, strlen(t->name), t->count + 1);
    for (size_t i = 0; i < t->count; i += 2) {
        float radius = sqrtf(2.0f * exponential(w.at[i]));
        double sine, cosine;
        sine_cosine_f64(((double)w.at[i + 1] / 0x1p+32) * tau, &sine, &cosine);
        out[i] = (radius * (float)cosine) * sigma;
        if (i + 1 < t->count)
            out[i + 1] = (radius * (float)sine) * sigma;
    }
}
