/* Rows of chapters 1 to 3. */
#include "checks.h"
#include "numbers.h"

#include <math.h>
#include <string.h>

/* ---- 1 matrix products ---- */

void check_product(const row *r)
{
    size_t m = integer_of(r->input, "m"), k = integer_of(r->input, "k");
    size_t n = integer_of(r->input, "n");
    floats a = floats_of(r->input, "a"), b = floats_of(r->input, "b");
    floats c = has_field(r->input, "c") ? floats_of(r->input, "c") : new_floats(m * n);
    if (a.count != m * k || b.count != k * n || c.count != m * n)
        fail("a matrix has another size");
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++)
            c.at[i * n + j] = fold(c.at[i * n + j], k, a.at + i * k, 1, b.at + j, n);
    expect_floats(r, "c", c.at, c.count);
}

/* ---- 2 reductions ---- */

static float reduction(const char *name, const row *r, floats x, size_t count)
{
    if (strncmp(name, "dot", 3) == 0) {
        floats y = floats_of(r->input, "y");
        if (y.count != x.count)
            fail("x and y differ in length");
        return reduce_dot(x.at, y.at, count);
    }
    return strncmp(name, "sum", 3) == 0 ? reduce_sum(x.at, count) : largest(x.at, count);
}

void check_reduction(const row *r)
{
    floats x = floats_of(r->input, "x");
    float y = reduction(r->operation, r, x, x.count);
    expect_floats(r, "y", &y, 1);
}

void check_prefixes(const row *r)
{
    floats x = floats_of(r->input, "x"), y = new_floats(x.count + 1);
    for (size_t count = 0; count <= x.count; count++)
        y.at[count] = reduction(r->operation, r, x, count);
    expect_floats(r, "y", y.at, y.count);
}

void check_squares(const row *r)
{
    floats x = floats_of(r->input, "x");
    bool prefixes = strcmp(r->operation, "squares") == 0;
    doubles y = {allocate(x.count + 1, sizeof(double)), prefixes ? x.count + 1 : 1};
    for (size_t i = 0; i < y.count; i++)
        y.at[i] = reduce_squares(x.at, prefixes ? i : x.count);
    expect_doubles(r, "y", y.at, y.count);
}

/* ---- 3 elementary functions ---- */

void check_function(const row *r)
{
    static const struct {
        const char *name;
        float (*function)(float);
    } functions[] = {
        {"exp", exp_f32},
        {"log", log_f32},
        {"reciprocal root", reciprocal_root},
        {"sigmoid", sigmoid},
    };
    floats x = floats_of(r->input, "x");
    for (size_t f = 0; f < sizeof functions / sizeof *functions; f++)
        for (size_t i = 0; i < x.count && strcmp(r->operation, functions[f].name) == 0; i++)
            x.at[i] = functions[f].function(x.at[i]);
    expect_floats(r, "y", x.at, x.count);
}

void check_variate(const row *r)
{
    words w = words_of(r->input, "words");
    floats y = new_floats(w.count);
    for (size_t i = 0; i < w.count; i++)
        y.at[i] = strcmp(r->operation, "gumbel") == 0 ? gumbel(w.at[i]) : exponential(w.at[i]);
    expect_floats(r, "y", y.at, y.count);
}

void check_bf16(const row *r)
{
    floats x = floats_of(r->input, "x");
    uint16_t *y = allocate(x.count, sizeof *y);
    for (size_t i = 0; i < x.count; i++)
        y[i] = bf16(x.at[i]);
    expect_halves(r, "y", y, x.count);
}

/* f32 numbers as f64. */
static doubles widened_of(json *object, const char *key)
{
    floats x = floats_of(object, key);
    doubles y = {allocate(x.count, sizeof(double)), x.count};
    for (size_t i = 0; i < x.count; i++)
        y.at[i] = (double)x.at[i];
    return y;
}

void check_wide(const row *r)
{
    bool narrow = has_field(r->input, "widened");
    doubles x = narrow ? widened_of(r->input, "widened") : doubles_of(r->input, "x");
    for (size_t i = 0; i < x.count; i++) {
        double value = x.at[i], sine, cosine;
        if (strcmp(r->operation, "exp64") == 0) {
            x.at[i] = exp_f64(value);
        } else if (strcmp(r->operation, "log64") == 0) {
            x.at[i] = log_f64(narrow ? fabs(value) : value);
        } else {
            sine_cosine_f64(value, &sine, &cosine);
            x.at[i] = strcmp(r->operation, "sin64") == 0 ? sine : cosine;
        }
    }
    expect_doubles(r, "y", x.at, x.count);
}
