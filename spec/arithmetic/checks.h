/* One check an operation: it computes a row's result and compares it with what the row expects. */
#ifndef CHECKS_H
#define CHECKS_H

#include "model.h"
#include "table.h"
#include "training.h"

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
void check_generate(const row *r);

/* Chapters 5 to 7. */
void check_scores(const row *r);
void check_token(const row *r);
void check_initialise(const row *r);
void check_cross_entropy_row(const row *r);
void check_cross_entropy(const row *r);
void check_grpo_row(const row *r);
void check_grpo(const row *r);
void check_clip(const row *r);
void check_adamw(const row *r);
void check_nesterov(const row *r);
void check_inner_steps(const row *r);

/* Chapters 8 and 9. */
void check_compress(const row *r);
void check_encode(const row *r);
void check_decode(const row *r);
void check_sparse(const row *r);
void check_sparse_encode(const row *r);
void check_sparse_decode(const row *r);
void check_aggregate(const row *r);
void check_checkpoint(const row *r);
void check_outer(const row *r);

/* Models, sequences and options as rows name them. */
model model_of(json *object);
rows lengths_of(json *object, const char *key);
rows sequences_of(json *object, const char *key);
adamw_options adamw_options_of(json *object);

#endif
