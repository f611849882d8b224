// exp, log and what is made of them: the polynomials of trace/src/elementary.rs, operation for
// operation.
//
// Spec: arithmetic §3

#pragma once
#include "language.cuh"

#define INFINITE float_of(0x7f800000u)
#define NOT_A_NUMBER float_of(0x7fc00000u)

DEVICE float exponential_function(float x) {
    const float LN2_HI = 0x1.63p-1f, LN2_LO = -0x1.bd0106p-13f, ROUND = 0x1.8p+23f;
    float shifted = fma(x, 0x1.715476p+0f, ROUND);
    float n = sub(shifted, ROUND);
    float r = fma(n, -LN2_HI, x);
    r = fma(n, -LN2_LO, r);
    float p = 0x1.a0d2cep-13f;
    p = fma(p, r, 0x1.6e879cp-10f);
    p = fma(p, r, 0x1.11121p-7f);
    p = fma(p, r, 0x1.555382p-5f);
    p = fma(p, r, 0x1.555554p-3f);
    p = fma(p, r, 0x1p-1f);
    p = add(fma(p, mul(r, r), r), 1.0f);
    // The shift leaves n of the bits of ROUND + n, in the place of an exponent.
    float value = float_of(bits_of(p) + (bits_of(shifted) << 23));
    value = x < -87.0f ? 0.0f : value;
    return x <= 0x1.62e42ep+6f ? value : add(x, INFINITE);
}

DEVICE float logarithm(float x) {
    bool subnormal = x < 0x1p-126f;
    float scaled = subnormal ? mul(x, 0x1p+23f) : x;
    float bias = subnormal ? 23.0f : 0.0f;
    u32 bits = bits_of(scaled);
    i32 exponent = (i32)(bits - 0x3f3504f3u) >> 23;
    float m = float_of(bits - ((u32)exponent << 23));
    float e = sub((float)exponent, bias);
    float f = sub(m, 1.0f);
    float z = mul(f, f);
    float p = 0x1.204376p-4f;
    p = fma(p, f, -0x1.d7a37p-4f);
    p = fma(p, f, 0x1.de4a34p-4f);
    p = fma(p, f, -0x1.fcba9ep-4f);
    p = fma(p, f, 0x1.23d37ep-3f);
    p = fma(p, f, -0x1.555cap-3f);
    p = fma(p, f, 0x1.999d58p-3f);
    p = fma(p, f, -0x1.fffff8p-3f);
    p = fma(p, f, 0x1.555554p-2f);
    float y = mul(mul(p, f), z);
    y = fma(e, -0x1.bd0106p-13f, y);
    y = fma(z, -0.5f, y);
    float result = fma(e, 0x1.63p-1f, add(f, y));
    if (x == INFINITE) result = x;
    if (x == 0.0f) result = -INFINITE;
    return x < 0.0f || x != x ? NOT_A_NUMBER : result;
}

DEVICE float sigmoid(float x) {
    return quotient(1.0f, add(1.0f, exponential_function(-x)));
}

// -ln u for u = (word + 1/2) / 2^32.
DEVICE float exponential_variate(u32 word) {
    bool upper = word >> 31;
    u32 small = upper ? ~word : word;
    float w = mul(add((float)(i32)small, 0.5f), 0x1p-32f);
    float v = sub(1.0f, w);
    float l = logarithm(upper ? v : w);
    float complement = v == 1.0f ? w : mul(w, quotient(l, sub(v, 1.0f)));
    return upper ? complement : -l;
}

DEVICE float gumbel(u32 word) { return -logarithm(exponential_variate(word)); }

// Rounded to bfloat16, ties to even; every NaN becomes 0x7fc0.
DEVICE u32 bfloat16(float x) {
    u32 bits = bits_of(x);
    return x != x ? 0x7fc0u : (bits + 0x7fffu + (bits >> 16 & 1)) >> 16;
}
