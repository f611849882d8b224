/* One check an operation: it computes a row's result and compares it with what the row expects. */
#ifndef CHECKS_H
#define CHECKS_H

#include "model.h"
#include "table.h"

/* Chapters 1 to 3. */
void check_product(const row *r);
void check_reduction(const row *r);
void check_prefixes(const row *r);
void check_squares(const row *r);
void check_function(const row *r);
void check_variate(const row *r);
void check_bf16(const row *r);
void check_wide(const row *r);

/* Chapter 4. */
void check_rotary(const row *r);
void check_norm(const row *r);
void check_softmax(const row *r);
void check_swiglu(const row *r);
void check_attention(const row *r);
void check_log_probability(const row *r);
void check_model(const row *r);

/* Models and sequences as rows name them. */
model model_of(json *object);
rows lengths_of(json *object, const char *key);
rows sequences_of(json *object, const char *key);

#endif
