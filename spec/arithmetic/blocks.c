/* Chapter 4, piece by piece. Rows of all sequences are laid end to end. */
#include "blocks.h"

#include "numbers.h"

#include <math.h>

rope rope_of(json *object)
{
    rope r = {.theta = float_of(object, "theta"), .llama3 = has_field(object, "llama3")};
    if (r.llama3) {
        json *settings = field(object, "llama3");
        r.factor = float_of(settings, "factor");
        r.low = float_of(settings, "low");
        r.high = float_of(settings, "high");
        r.context = integer_of(settings, "context");
    }
    return r;
}

static double scaled(const rope *r, double f)
{
    const double tau = 0x1.921fb54442d18p+2;
    if (!r->llama3)
        return f;
    double factor = r->factor, low = r->low, high = r->high, context = (double)r->context;
    double wave = tau / f;
    if (wave > context / low)
        return f / factor;
    if (wave < context / high)
        return f;
    double k = ((context / wave) - low) / (high - low);
    return (((1.0 - k) * f) / factor) + (k * f);
}

void rotary(const rope *r, size_t head_dim, size_t position, float *cosine, float *sine)
{
    for (size_t i = 0; i < head_dim / 2; i++) {
        double exponent = (double)(2 * i) / (double)head_dim;
        float frequency = (float)scaled(r, exp_f64(-exponent * log_f64((double)r->theta)));
        float angle = (float)position * frequency;
        double s, c;
        sine_cosine_f64((double)angle, &s, &c);
        cosine[i] = (float)c;
        sine[i] = (float)s;
    }
}

void rotate(float *x, size_t head_dim, const float *cosine, const float *sine, bool back)
{
    size_t half = head_dim / 2;
    for (size_t i = 0; i < half; i++) {
        float a = x[i], b = x[i + half], c = cosine[i], s = back ? -sine[i] : sine[i];
        x[i] = fmaf(a, c, -(b * s));
        x[i + half] = fmaf(b, c, a * s);
    }
}

void norm_forward(const float *x, const float *w, size_t d, float eps, float *y, float *r)
{
    *r = reciprocal_root((reduce_dot(x, x, d) / (float)d) + eps);
    for (size_t i = 0; i < d; i++)
        y[i] = (x[i] * *r) * w[i];
}

void norm_backward(const float *x, const float *w, float r, size_t d, const float *dy, float *dx,
                   float *dw)
{
    floats g = new_floats(d);
    for (size_t i = 0; i < d; i++)
        g.at[i] = dy[i] * w[i];
    float a = (reduce_dot(g.at, x, d) * r) / (float)d;
    for (size_t i = 0; i < d; i++) {
        float n = x[i] * r;
        dx[i] = dx[i] + (fmaf(n, -a, g.at[i]) * r);
        dw[i] = fmaf(dy[i], n, dw[i]);
    }
}

void softmax(float *x, size_t count, float c)
{
    float m = largest(x, count) * c;
    for (size_t s = 0; s < count; s++)
        x[s] = exp_f32(fmaf(x[s], c, -m));
    float reciprocal = 1.0f / reduce_sum(x, count);
    for (size_t s = 0; s < count; s++)
        x[s] = x[s] * reciprocal;
}

void softmax_backward(const float *p, float *dp, size_t count, float c)
{
    float mean = reduce_dot(p, dp, count);
    for (size_t s = 0; s < count; s++)
        dp[s] = (p[s] * (dp[s] - mean)) * c;
}

void swiglu(const float *gate_up, size_t ff, float *h)
{
    for (size_t i = 0; i < ff; i++)
        h[i] = (gate_up[i] * sigmoid(gate_up[i])) * gate_up[ff + i];
}

void swiglu_backward(const float *gate_up, size_t ff, const float *dh, float *out)
{
    for (size_t i = 0; i < ff; i++) {
        float g = gate_up[i], u = gate_up[ff + i], s = sigmoid(g);
        out[ff + i] = dh[i] * (g * s);
        out[i] = (dh[i] * u) * (s * fmaf(g, 1.0f - s, 1.0f));
    }
}

/* The probabilities of one head: row t has t + 1 of them, at p + t T. */
static void probabilities(heads h, const float *q, const float *k, size_t row, size_t length,
                          float c, float *p)
{
    for (size_t t = 0; t < length; t++) {
        for (size_t s = 0; s <= t; s++)
            p[t * length + s] = fold(0.0f, h.head_dim, q + t * row, 1, k + s * row, 1);
        softmax(p + t * length, t + 1, c);
    }
}

void attention(heads h, const rows *sequences, const float *qkv, float *out)
{
    size_t D = h.head_dim, row = (h.heads + 2 * h.key_heads) * D, group = h.heads / h.key_heads;
    float c = 1.0f / sqrtf((float)D);
    for (size_t i = 0; i < sequences->sequences; i++) {
        size_t length = sequences->lengths[i];
        floats p = new_floats(length * length);
        for (size_t n = 0; n < h.heads; n++) {
            const float *k = qkv + (h.heads + n / group) * D, *v = k + h.key_heads * D;
            probabilities(h, qkv + n * D, k, row, length, c, p.at);
            for (size_t t = 0; t < length; t++)
                for (size_t j = 0; j < D; j++)
                    out[(t * h.heads + n) * D + j] =
                        fold(0.0f, t + 1, p.at + t * length, 1, v + j, row);
        }
        qkv += length * row;
        out += length * h.heads * D;
    }
}

/* Writes the first head's value, and adds the others'. */
static void gather(float *to, float value, bool first) { *to = first ? value : *to + value; }

void attention_backward(heads h, const rows *sequences, const float *qkv, const float *d_out,
                        float *d_qkv)
{
    size_t D = h.head_dim, row = (h.heads + 2 * h.key_heads) * D, out_row = h.heads * D;
    size_t group = h.heads / h.key_heads;
    float c = 1.0f / sqrtf((float)D);
    for (size_t i = 0; i < sequences->sequences; i++) {
        size_t length = sequences->lengths[i];
        floats p = new_floats(length * length), ds = new_floats(length * length);
        for (size_t n = 0; n < h.heads; n++) {
            size_t key = (h.heads + n / group) * D, value = key + h.key_heads * D;
            const float *q = qkv + n * D, *k = qkv + key, *v = qkv + value, *d = d_out + n * D;
            bool first = n % group == 0;
            probabilities(h, q, k, row, length, c, p.at);
            for (size_t t = 0; t < length; t++) {
                for (size_t s = 0; s <= t; s++)
                    ds.at[t * length + s] = fold(0.0f, D, d + t * out_row, 1, v + s * row, 1);
                softmax_backward(p.at + t * length, ds.at + t * length, t + 1, c);
            }
            for (size_t t = 0; t < length; t++)
                for (size_t j = 0; j < D; j++) {
                    const size_t below = t * length + t, rest = length - t;
                    d_qkv[t * row + n * D + j] =
                        fold(0.0f, t + 1, ds.at + t * length, 1, k + j, row);
                    gather(&d_qkv[t * row + key + j],
                           fold(0.0f, rest, ds.at + below, length, q + t * row + j, row), first);
                    gather(&d_qkv[t * row + value + j],
                           fold(0.0f, rest, p.at + below, length, d + t * out_row + j, out_row),
                           first);
                }
        }
        qkv += length * row;
        d_qkv += length * row;
        d_out += length * out_row;
    }
}

float log_probability(const float *logits, size_t count, size_t target, float temperature,
                      float *exponentials, float *sum)
{
    for (size_t v = 0; v < count; v++)
        exponentials[v] = temperature == 1.0f ? logits[v] : logits[v] / temperature;
    float own = exponentials[target], m = largest(exponentials, count);
    for (size_t v = 0; v < count; v++)
        exponentials[v] = exp_f32(exponentials[v] - m);
    *sum = reduce_sum(exponentials, count);
    return (own - m) - log_f32(*sum);
}
