/* Chapters 1 to 3, each function in the words of the text. */
#include "numbers.h"

#include "table.h"

#include <math.h>

/* ---- 1 matrix products ---- */

float fold(float acc, size_t count, const float *a, size_t a_step, const float *b, size_t b_step)
{
    for (size_t k = 0; k < count; k++)
        acc = fmaf(a[k * a_step], b[k * b_step], acc);
    return acc;
}

/* ---- 2 reductions ---- */

enum { LANES = 16 };

static float tree(float lane[LANES])
{
    for (int w = 8; w >= 1; w /= 2)
        for (int j = 0; j < w; j++)
            lane[j] += lane[j + w];
    return lane[0];
}

float reduce_sum(const float *x, size_t count)
{
    float lane[LANES] = {0};
    for (size_t i = 0; i < count; i++)
        lane[i % LANES] = lane[i % LANES] + x[i];
    return tree(lane);
}

float reduce_dot(const float *x, const float *y, size_t count)
{
    float lane[LANES] = {0};
    for (size_t i = 0; i < count; i++)
        lane[i % LANES] = fmaf(x[i], y[i], lane[i % LANES]);
    return tree(lane);
}

double reduce_squares(const float *x, size_t count)
{
    double lane[LANES] = {0};
    for (size_t i = 0; i < count; i++)
        lane[i % LANES] = fma((double)x[i], (double)x[i], lane[i % LANES]);
    for (int w = 8; w >= 1; w /= 2)
        for (int j = 0; j < w; j++)
            lane[j] += lane[j + w];
    return lane[0];
}

float largest(const float *x, size_t count)
{
    float m = -INFINITY;
    for (size_t i = 0; i < count; i++)
        if (x[i] > m)
            m = x[i];
    return m;
}

/* ---- 3 elementary functions ---- */

/* The polynomial with these coefficients, from the first down. */
static float horner(const float *p, size_t count, float x)
{
    float sum = p[0];
    for (size_t i = 1; i < count; i++)
        sum = fmaf(sum, x, p[i]);
    return sum;
}

#define COUNT(p) (sizeof(p) / sizeof *(p))

/* 2^n for -126 <= n <= 127. */
static float power_of_two(int n) { return float_from((uint32_t)(n + 127) << 23); }

/* The halves of ln 2 that both exp and log use. */
static const float LN2_HIGH = 0x1.63p-1f, LN2_LOW = -0x1.bd0106p-13f;

float exp_f32(float x)
{
    static const float p[] = {0x1.a0d2cep-13f, 0x1.6e879cp-10f, 0x1.11121p-7f,
                              0x1.555382p-5f,  0x1.555554p-3f,  0x1p-1f};
    const float log2_e = 0x1.715476p+0f, round = 0x1.8p+23f;
    if (isnan(x))
        return x;
    if (x < -87.0f)
        return 0.0f;
    if (x > 89.0f)
        x = 89.0f;
    float n = fmaf(x, log2_e, round) - round;
    float r = fmaf(n, -LN2_HIGH, x);
    r = fmaf(n, -LN2_LOW, r);
    float q = fmaf(horner(p, COUNT(p), r), r * r, r) + 1.0f;
    int whole = (int)n, half = (int)floor(n / 2.0);
    return (q * power_of_two(half)) * power_of_two(whole - half);
}

float log_f32(float x)
{
    static const float p[] = {0x1.204376p-4f,  -0x1.d7a37p-4f,  0x1.de4a34p-4f,
                              -0x1.fcba9ep-4f, 0x1.23d37ep-3f,  -0x1.555cap-3f,
                              0x1.999d58p-3f,  -0x1.fffff8p-3f, 0x1.555554p-2f};
    if (isnan(x) || x < 0.0f)
        return NAN;
    if (x == 0.0f)
        return -INFINITY;
    if (isinf(x))
        return x;
    int exponent = 0;
    if (x < 0x1p-126f) {
        x = x * 0x1p+23f;
        exponent = -23;
    }
    /* The mantissa in [1, 2), then halved where it is not below the bound. */
    uint32_t bits = bits_of(x);
    exponent += (int)(bits >> 23) - 127;
    uint32_t mantissa = (bits & 0x7fffff) | 0x3f800000;
    if (mantissa >= 0x3fb504f3) {
        mantissa -= 1 << 23;
        exponent += 1;
    }
    float e = (float)exponent, f = float_from(mantissa) - 1.0f, z = f * f;
    float y = (horner(p, COUNT(p), f) * f) * z;
    y = fmaf(e, LN2_LOW, y);
    y = fmaf(z, -0.5f, y);
    return fmaf(e, LN2_HIGH, f + y);
}

float reciprocal_root(float x) { return 1.0f / sqrtf(x); }

float sigmoid(float x) { return 1.0f / (1.0f + exp_f32(-x)); }

float exponential(uint32_t word)
{
    bool top = word >> 31;
    uint32_t c = top ? ~word : word;
    float w = ((float)c + 0.5f) * 0x1p-32f;
    if (!top)
        return -log_f32(w);
    float v = 1.0f - w;
    return v == 1.0f ? w : w * (log_f32(v) / (v - 1.0f));
}

float gumbel(uint32_t word) { return -log_f32(exponential(word)); }

uint16_t bf16(float x)
{
    if (isnan(x))
        return 0x7fc0;
    uint32_t bits = bits_of(x), kept = bits >> 16, lost = bits & 0xffff;
    if (lost > 0x8000 || (lost == 0x8000 && kept % 2 == 1))
        kept++;
    return (uint16_t)kept;
}

static const double ROUND = 0x1.8p+52;
static const double LN2_WIDE_HIGH = 0x1.62e42feep-1, LN2_WIDE_LOW = 0x1.a39ef35793c76p-33;

double exp_f64(double x)
{
    const double log2_e = 0x1.71547652b82fep+0;
    double n = fma(x, log2_e, ROUND) - ROUND;
    double r = fma(n, -LN2_WIDE_LOW, fma(n, -LN2_WIDE_HIGH, x));
    double s = 1.0;
    for (int k = 13; k >= 1; k--)
        s = ((s * r) / k) + 1.0;
    return s * double_from((uint64_t)((int64_t)n + 1023) << 52);
}

double log_f64(double x)
{
    uint64_t bits = wide_bits_of(x), mantissa = (bits & ~(0xfffull << 52)) | 0x3ffull << 52;
    int exponent = (int)(bits >> 52) - 1023;
    if (mantissa >= 0x3ff6a09e667f3bcd) {
        mantissa -= 1ull << 52;
        exponent += 1;
    }
    double m = double_from(mantissa), e = exponent;
    double t = (m - 1.0) / (m + 1.0), z = t * t, s = 0.0;
    for (int k = 11; k >= 0; k--)
        s = (s * z) + (1.0 / (2 * k + 1));
    return fma(e, LN2_WIDE_HIGH, fma(e, LN2_WIDE_LOW, (2.0 * t) * s));
}

void sine_cosine_f64(double x, double *sine, double *cosine)
{
    const double two_over_pi = 0x1.45f306dc9c883p-1;
    const double a = 0x1.921fb544p+0, b = 0x1.0b4611a6p-34, c = 0x1.3198a2ep-69;
    double n = fma(x, two_over_pi, ROUND) - ROUND;
    double r = fma(n, -c, fma(n, -b, fma(n, -a, x)));
    double z = r * r, s = 1.0, t = 1.0;
    for (int k = 8; k >= 1; k--)
        s = 1.0 - ((s * z) / (2 * k * (2 * k + 1)));
    for (int k = 9; k >= 1; k--)
        t = 1.0 - ((t * z) / (2 * k * (2 * k - 1)));
    s = s * r;
    switch ((int64_t)n & 3) {
    case 0: *sine = s, *cosine = t; break;
    case 1: *sine = t, *cosine = -s; break;
    case 2: *sine = -s, *cosine = -t; break;
    default: *sine = -t, *cosine = s; break;
    }
}
