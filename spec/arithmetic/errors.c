/* Measures the elementary functions against the C library in a wider format.

   The f32 functions are compared at every input (or every `stride`-th) with the library's f64
   functions, whose own error is below 2^-28 of the units here; the f64 functions at a sample, with
   its long double functions. A unit in the last place is the spacing of the format at the exact
   value. Nothing normative depends on the library. */
#include "errors.h"

#include "numbers.h"
#include "table.h"

#include <float.h>
#include <math.h>
#include <stdio.h>

/* The largest error seen, and where. */
typedef struct {
    double error;
    double at;
} worst;

static void note(worst *w, double error, double at)
{
    if (!(error <= w->error)) {
        w->error = error;
        w->at = at;
    }
}

/* |got - exact| in units in the last place of f32 at `exact`. */
static double units(float got, double exact)
{
    int exponent;
    frexp(exact, &exponent);
    exponent = exponent - 1 < FLT_MIN_EXP - 1 ? FLT_MIN_EXP - 1 : exponent - 1;
    return ldexp(fabs((double)got - exact), 23 - exponent);
}

static double wide_units(double got, long double exact)
{
    int exponent;
    frexpl(exact, &exponent);
    return (double)ldexpl(fabsl((long double)got - exact), 53 - exponent);
}

static void print(const char *name, const char *domain, worst w, const char *unit)
{
    printf("%-16s %-34s %.4g %s at %a\n", name, domain, w.error, unit, w.at);
    fflush(stdout);
}

/* ---- f32 ---- */

static double exact_root(double x) { return 1.0 / sqrt(x); }

static double exact_sigmoid(double x) { return 1.0 / (1.0 + exp(-x)); }

/* Every `stride`-th f32 from the bits `first` to the bits `last`. */
static void scan(worst *w, float (*f)(float), double (*exact)(double), uint32_t first,
                 uint32_t last, uint32_t stride)
{
    for (uint64_t bits = first; bits <= last; bits += stride) {
        float x = float_from((uint32_t)bits);
        note(w, units(f(x), exact((double)x)), (double)x);
    }
}

static void print_narrow(uint32_t stride)
{
    const uint32_t negative = 1u << 31, largest_finite = 0x7f7fffff;
    worst e = {0}, l = {0}, r = {0}, s = {0};
    scan(&e, exp_f32, exp, 0, bits_of(88.7228317f), stride);
    scan(&e, exp_f32, exp, negative, negative | bits_of(87.0f), stride);
    print("exp", "-87 <= x <= 88.72283", e, "ulp");
    scan(&l, log_f32, log, 1, largest_finite, stride);
    print("log", "0 < x finite", l, "ulp");
    scan(&r, reciprocal_root, exact_root, 1, largest_finite, stride);
    print("reciprocal root", "0 < x finite", r, "ulp");
    scan(&s, sigmoid, exact_sigmoid, 0, largest_finite, stride);
    scan(&s, sigmoid, exact_sigmoid, negative, negative | bits_of(88.7228317f), stride);
    print("sigmoid", "x >= -88.72283", s, "ulp");
}

static void print_variates(uint32_t stride)
{
    worst e = {0}, g = {0};
    for (uint64_t word = 0; word <= UINT32_MAX; word += stride) {
        double u = ((double)word + 0.5) * 0x1p-32;
        double exact = u > 0.5 ? -log1p(-(1.0 - u)) : -log(u);
        double variate = -log(exact), scale = fabs(variate) > 1.0 ? fabs(variate) : 1.0;
        note(&e, units(exponential((uint32_t)word), exact), (double)word);
        note(&g, fabs((double)gumbel((uint32_t)word) - variate) / scale, (double)word);
    }
    print("exponential", "every word", e, "ulp");
    print("gumbel", "every word, / max(1, |exact|)", g, "absolute");
}

/* ---- f64 ---- */

/* A 64-bit generator (Steele, Lea, Flood: SplitMix), enough to choose samples. */
static uint64_t next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static double uniform(uint64_t *state, double low, double high)
{
    return low + (high - low) * ((double)(next(state) >> 11) * 0x1p-53);
}

static void print_wide(uint32_t stride)
{
    const long count = 100000000l / (long)stride + 1;
    uint64_t state = 1;
    worst e = {0}, l = {0}, s = {0}, c = {0};
    for (long i = 0; i < count; i++) {
        double x = uniform(&state, -700.0, 700.0) * (i % 2 ? 1.0 : 0x1p-8);
        note(&e, wide_units(exp_f64(x), expl(x)), x);
        x = i % 2 ? exp(uniform(&state, -700.0, 700.0)) : uniform(&state, 0.5, 2.0);
        if (x != 1.0)
            note(&l, wide_units(log_f64(x), logl(x)), x);
        x = uniform(&state, -0x1p+30, 0x1p+30) * ldexp(1.0, -(int)(i % 40));
        double sine, cosine;
        sine_cosine_f64(x, &sine, &cosine);
        note(&s, (double)fabsl(sine - sinl(x)) * 0x1p+53, x);
        note(&c, (double)fabsl(cosine - cosl(x)) * 0x1p+53, x);
    }
    print("exp64", "sample of |x| <= 700", e, "ulp");
    print("log64", "sample of normal x", l, "ulp");
    print("sin64", "sample of |x| <= 2^30", s, "2^-53");
    print("cos64", "sample of |x| <= 2^30", c, "2^-53");
}

void print_errors(uint32_t stride)
{
    print_wide(stride);
    print_narrow(stride);
    print_variates(stride);
}
