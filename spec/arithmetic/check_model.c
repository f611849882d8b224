/* Rows of chapter 4. */
#include "checks.h"
#include "draws.h"
#include "model.h"
#include "numbers.h"

#include <string.h>

/* ---- pieces ---- */

void check_rotary(const row *r)
{
    rope settings = rope_of(field(r->input, "rope"));
    size_t head_dim = integer_of(r->input, "head_dim"), position = integer_of(r->input, "position");
    floats cosine = new_floats(head_dim / 2), sine = new_floats(head_dim / 2);
    rotary(&settings, head_dim, position, cosine.at, sine.at);
    if (strcmp(r->operation, "rotary table") == 0) {
        expect_floats(r, "cosine", cosine.at, cosine.count);
        expect_floats(r, "sine", sine.at, sine.count);
        return;
    }
    floats x = floats_of(r->input, "x");
    for (size_t head = 0; head < x.count / head_dim; head++)
        rotate(x.at + head * head_dim, head_dim, cosine.at, sine.at,
               strcmp(r->operation, "rotate back") == 0);
    expect_floats(r, "y", x.at, x.count);
}

void check_norm(const row *r)
{
    floats x = floats_of(r->input, "x"), w = floats_of(r->input, "weight");
    float eps = float_of(r->input, "eps");
    size_t d = w.count, count = x.count / d;
    floats y = new_floats(x.count), reciprocal = new_floats(count);
    for (size_t t = 0; t < count; t++)
        norm_forward(x.at + t * d, w.at, d, eps, y.at + t * d, &reciprocal.at[t]);
    if (strcmp(r->operation, "norm") == 0) {
        expect_floats(r, "y", y.at, y.count);
        expect_floats(r, "r", reciprocal.at, count);
        return;
    }
    floats dy = floats_of(r->input, "dy"), dx = floats_of(r->input, "dx");
    floats dw = floats_of(r->input, "dw");
    for (size_t t = 0; t < count; t++)
        norm_backward(x.at + t * d, w.at, reciprocal.at[t], d, dy.at + t * d, dx.at + t * d, dw.at);
    expect_floats(r, "dx", dx.at, dx.count);
    expect_floats(r, "dw", dw.at, dw.count);
}

void check_softmax(const row *r)
{
    floats p = floats_of(r->input, "x");
    float scale = float_of(r->input, "scale");
    softmax(p.at, p.count, scale);
    if (strcmp(r->operation, "softmax") == 0) {
        expect_floats(r, "y", p.at, p.count);
        return;
    }
    floats dp = floats_of(r->input, "dp");
    softmax_backward(p.at, dp.at, p.count, scale);
    expect_floats(r, "ds", dp.at, dp.count);
}

void check_swiglu(const row *r)
{
    floats x = floats_of(r->input, "x");
    size_t width = integer_of(r->input, "width"), count = x.count / (2 * width);
    floats h = new_floats(count * width), dx = new_floats(x.count);
    if (strcmp(r->operation, "swiglu") == 0) {
        for (size_t t = 0; t < count; t++)
            swiglu(x.at + t * 2 * width, width, h.at + t * width);
        expect_floats(r, "h", h.at, h.count);
        return;
    }
    floats dh = floats_of(r->input, "dh");
    for (size_t t = 0; t < count; t++)
        swiglu_backward(x.at + t * 2 * width, width, dh.at + t * width, dx.at + t * 2 * width);
    expect_floats(r, "dx", dx.at, dx.count);
}

void check_attention(const row *r)
{
    heads h = {integer_of(r->input, "query_heads"), integer_of(r->input, "key_heads"),
               integer_of(r->input, "head_dim")};
    rows s = lengths_of(r->input, "lengths");
    floats qkv = floats_of(r->input, "qkv"), out = new_floats(s.count * h.heads * h.head_dim);
    if (strcmp(r->operation, "attention") == 0) {
        attention(h, &s, qkv.at, out.at);
        expect_floats(r, "out", out.at, out.count);
        return;
    }
    floats d_out = floats_of(r->input, "d_out"), d_qkv = new_floats(qkv.count);
    attention_backward(h, &s, qkv.at, d_out.at, d_qkv.at);
    expect_floats(r, "d_qkv", d_qkv.at, d_qkv.count);
}

void check_log_probability(const row *r)
{
    floats logits = floats_of(r->input, "logits"), e = new_floats(logits.count);
    integers targets = integers_of(r->input, "targets");
    floats y = new_floats(targets.count);
    float temperature = float_of(r->input, "temperature"), sum;
    for (size_t i = 0; i < y.count; i++)
        y.at[i] =
            log_probability(logits.at, logits.count, targets.at[i], temperature, e.at, &sum);
    expect_floats(r, "y", y.at, y.count);
}

/* ---- whole models ---- */

model model_of(json *object)
{
    model m = {.c = config_of(field(object, "config"))};
    m.l = layout_of(&m.c);
    floats weights = floats_of(object, "weights");
    if (weights.count != m.l.count)
        fail("weights are %zu numbers, expected %zu", weights.count, m.l.count);
    m.values = weights.at;
    return m;
}

/* Sequences from a list of lists of tokens, or from a list of lengths. */
static rows laid_out(size_t sequences)
{
    return (rows){.lengths = allocate(sequences, sizeof(size_t)), .sequences = sequences};
}

rows lengths_of(json *object, const char *key)
{
    integers lengths = integers_of(object, key);
    rows s = laid_out(lengths.count);
    for (size_t i = 0; i < lengths.count; i++)
        s.count += s.lengths[i] = lengths.at[i];
    s.tokens = allocate(s.count, sizeof *s.tokens);
    return s;
}

rows sequences_of(json *object, const char *key)
{
    json *list = field(object, key);
    rows s = laid_out(list->count);
    for (size_t i = 0; i < list->count; i++)
        s.count += s.lengths[i] = integers_in(&list->items[i]).count;
    s.tokens = allocate(s.count, sizeof *s.tokens);
    for (size_t i = 0, t = 0; i < list->count; i++)
        for (size_t j = 0; j < s.lengths[i]; j++)
            s.tokens[t++] = (uint32_t)integers_in(&list->items[i]).at[j];
    return s;
}

void check_model(const row *r)
{
    model m = model_of(r->input);
    rows s = sequences_of(r->input, "sequences");
    activations *a = forward(&m, &s);
    floats logits = new_floats(s.count * m.c.vocab);
    logits_of(&m, &s, a, logits.at);
    expect_floats(r, "hidden", hidden_of(a), s.count * m.c.d);
    expect_floats(r, "logits", logits.at, logits.count);
    float temperature = float_of(r->input, "temperature"), sum;
    floats log_p = new_floats(s.count), e = new_floats(m.c.vocab);
    log_p.count = 0;
    for (size_t i = 0, t = 0; i < s.sequences; i++, t++)
        for (size_t j = 1; j < s.lengths[i]; j++, t++)
            log_p.at[log_p.count++] = log_probability(logits.at + t * m.c.vocab, m.c.vocab,
                                                      s.tokens[t + 1], temperature, e.at, &sum);
    expect_floats(r, "logprobs", log_p.at, log_p.count);
}

/* Draws every token from a forward pass over all that stand before it. */
void check_generate(const row *r)
{
    model m = model_of(r->input);
    rows prompts = sequences_of(r->input, "prompts");
    bytes seeds = bytes_of(r->input, "seeds");
    size_t count = integer_of(r->input, "count"), vocab = m.c.vocab, first = 0;
    float temperature = float_of(r->input, "temperature");
    uint32_t *drawn = allocate(prompts.sequences * count, sizeof *drawn);
    for (size_t i = 0; i < prompts.sequences; first += prompts.lengths[i++]) {
        size_t length = prompts.lengths[i];
        rows s = {allocate(length + count, sizeof(uint32_t)), length, &length, 1};
        memcpy(s.tokens, prompts.tokens + first, length * sizeof(uint32_t));
        for (size_t n = 0; n < count; n++, length++) {
            s.count = length;
            floats logits = new_floats(length * vocab);
            logits_of(&m, &s, forward(&m, &s), logits.at);
            float *last = logits.at + (length - 1) * vocab;
            scores(last, position_words(seeds.at + 32 * i, length, vocab), temperature, last);
            s.tokens[length] = drawn[i * count + n] = (uint32_t)argmax(last, vocab);
        }
    }
    expect_words(r, "tokens", drawn, prompts.sequences * count);
}
