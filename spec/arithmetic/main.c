/* An independent reading of arithmetic.md: computes every row of the vectors it is given.

     gcc -std=c11 -O2 -ffp-contract=off -o arithmetic *.c -lm
     ./arithmetic ../vectors/arithmetic/FILE.json …
     ./arithmetic errors [STRIDE]

   The second form prints how far the elementary functions are from the exact ones, looking at every
   input or at every STRIDE-th.

   It was written from the text, not from the engine, and shares no code with it; where both give
   the same bits, the text is enough to give them. It ends at the first difference with one line
   that names file, row, index and both numbers, and refuses operations and fields it does not
   know. */
#include "checks.h"
#include "errors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    void (*check)(const row *);
} OPERATIONS[] = {
    {"product", check_product},
    {"sum", check_reduction},
    {"sums", check_prefixes},
    {"dot", check_reduction},
    {"dots", check_prefixes},
    {"max", check_reduction},
    {"maxima", check_prefixes},
    {"square", check_squares},
    {"squares", check_squares},
    {"exp", check_function},
    {"log", check_function},
    {"reciprocal root", check_function},
    {"sigmoid", check_function},
    {"exponential", check_variate},
    {"gumbel", check_variate},
    {"bf16", check_bf16},
    {"exp64", check_wide},
    {"log64", check_wide},
    {"sin64", check_wide},
    {"cos64", check_wide},
    {"rotary table", check_rotary},
    {"rotate", check_rotary},
    {"rotate back", check_rotary},
    {"norm", check_norm},
    {"norm backward", check_norm},
    {"softmax", check_softmax},
    {"softmax backward", check_softmax},
    {"swiglu", check_swiglu},
    {"swiglu backward", check_swiglu},
    {"attention", check_attention},
    {"attention backward", check_attention},
    {"log-probability", check_log_probability},
    {"model", check_model},
    {"generate", check_generate},
    {"scores", check_scores},
    {"token", check_token},
    {"greedy", check_token},
    {"initialise", check_initialise},
    {"cross-entropy row", check_cross_entropy_row},
    {"cross-entropy", check_cross_entropy},
    {"grpo row", check_grpo_row},
    {"grpo", check_grpo},
    {"clip", check_clip},
    {"adamw", check_adamw},
    {"nesterov", check_nesterov},
    {"inner steps", check_inner_steps},
    {"compress", check_compress},
    {"encode", check_encode},
    {"decode", check_decode},
    {"sparse", check_sparse},
    {"sparse encode", check_sparse_encode},
    {"sparse decode", check_sparse_decode},
    {"aggregate", check_aggregate},
    {"checkpoint", check_checkpoint},
    {"outer nesterov", check_outer},
    {"outer adamw", check_outer},
};

static void check(const row *r)
{
    for (size_t i = 0; i < sizeof OPERATIONS / sizeof *OPERATIONS; i++)
        if (strcmp(OPERATIONS[i].name, r->operation) == 0) {
            OPERATIONS[i].check(r);
            return;
        }
    fail("unknown operation");
}

int main(int count, char **arguments)
{
    if (count > 1 && strcmp(arguments[1], "errors") == 0) {
        unsigned long stride = count > 2 ? strtoul(arguments[2], NULL, 10) : 1;
        print_errors(stride > 0 && stride <= UINT32_MAX ? (uint32_t)stride : 1);
        return 0;
    }
    size_t rows = 0;
    for (int i = 1; i < count; i++)
        rows += each_row(arguments[i], check);
    printf("%zu rows agree\n", rows);
    return 0;
}
