/* Chapter 4, whole: the layout of the weights, the forward and the backward pass. */
#include "model.h"

#include "numbers.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- configuration and layout ---- */

config config_of(json *object)
{
    const char *name = text_of(object, "family");
    config c = {
        .vocab = integer_of(object, "vocab_size"),
        .d = integer_of(object, "hidden_size"),
        .ff = integer_of(object, "intermediate_size"),
        .layers = integer_of(object, "num_hidden_layers"),
        .heads = integer_of(object, "num_attention_heads"),
        .key_heads = integer_of(object, "num_key_value_heads"),
        .head_dim = integer_of(object, "head_dim"),
        .positions = integer_of(object, "max_position_embeddings"),
        .eps = float_of(object, "rms_norm_eps"),
        .rope = rope_of(field(object, "rope")),
        .tied = boolean_of(object, "tie_word_embeddings"),
    };
    if (strcmp(name, "llama") == 0)
        c.family = LLAMA;
    else if (strcmp(name, "qwen2") == 0)
        c.family = QWEN2;
    else if (strcmp(name, "qwen3") == 0)
        c.family = QWEN3;
    else
        fail("family %s is not known", name);
    return c;
}

static void add_tensor(layout *l, const char *name, size_t rows, size_t columns)
{
    size_t count = rows * (columns ? columns : 1);
    char *copy = allocate(strlen(name) + 1, 1);
    strcpy(copy, name);
    l->tensors[l->tensor_count++] = (tensor){copy, rows, columns, l->count, count};
    l->count += count;
}

static void add_of_block(layout *l, size_t block, const char *part, size_t rows, size_t columns)
{
    char name[96];
    snprintf(name, sizeof name, "model.layers.%zu.%s", block, part);
    add_tensor(l, name, rows, columns);
}

layout layout_of(const config *c)
{
    layout l = {.tensors = allocate(14 * c->layers + 3, sizeof(tensor))};
    size_t query = c->heads * c->head_dim, key = c->key_heads * c->head_dim;
    add_tensor(&l, "model.embed_tokens.weight", c->vocab, c->d);
    for (size_t b = 0; b < c->layers; b++) {
        add_of_block(&l, b, "input_layernorm.weight", c->d, 0);
        add_of_block(&l, b, "self_attn.q_proj.weight", query, c->d);
        add_of_block(&l, b, "self_attn.k_proj.weight", key, c->d);
        add_of_block(&l, b, "self_attn.v_proj.weight", key, c->d);
        if (c->family == QWEN2) {
            add_of_block(&l, b, "self_attn.q_proj.bias", query, 0);
            add_of_block(&l, b, "self_attn.k_proj.bias", key, 0);
            add_of_block(&l, b, "self_attn.v_proj.bias", key, 0);
        }
        if (c->family == QWEN3) {
            add_of_block(&l, b, "self_attn.q_norm.weight", c->head_dim, 0);
            add_of_block(&l, b, "self_attn.k_norm.weight", c->head_dim, 0);
        }
        add_of_block(&l, b, "self_attn.o_proj.weight", c->d, query);
        add_of_block(&l, b, "post_attention_layernorm.weight", c->d, 0);
        add_of_block(&l, b, "mlp.gate_proj.weight", c->ff, c->d);
        add_of_block(&l, b, "mlp.up_proj.weight", c->ff, c->d);
        add_of_block(&l, b, "mlp.down_proj.weight", c->d, c->ff);
    }
    add_tensor(&l, "model.norm.weight", c->d, 0);
    if (!c->tied)
        add_tensor(&l, "lm_head.weight", c->vocab, c->d);
    return l;
}

const tensor *tensor_of(const layout *l, const char *name)
{
    for (size_t i = 0; i < l->tensor_count; i++)
        if (strcmp(l->tensors[i].name, name) == 0)
            return &l->tensors[i];
    fail("the model has no tensor %s", name);
}

/* Where a tensor of a block starts. */
static size_t place(const model *m, size_t block, const char *part)
{
    char name[96];
    snprintf(name, sizeof name, "model.layers.%zu.%s", block, part);
    return tensor_of(&m->l, name)->offset;
}

static size_t head_place(const model *m)
{
    return tensor_of(&m->l, m->c.tied ? "model.embed_tokens.weight" : "lm_head.weight")->offset;
}

/* ---- the forward pass ---- */

/* What one block computed, a row a position. */
typedef struct {
    float *input, *norm1, *r1;
    float *projected; /* queries, keys and values before the head norms */
    float *head_r;    /* reciprocal roots of query heads, then key heads */
    float *qkv;       /* after the head norms and the rotation */
    float *attended, *middle, *norm2, *r2, *gate_up, *gated;
} block;

struct activations {
    block *blocks;
    float *residual, *r, *hidden;
};

static float *row_memory(const rows *s, size_t width)
{
    return allocate(s->count * width, sizeof(float));
}

/* y = x Wᵀ for every row. */
static void linear(const rows *s, const float *x, size_t in, const float *w, size_t out, float *y,
                   size_t y_row)
{
    for (size_t t = 0; t < s->count; t++)
        for (size_t o = 0; o < out; o++)
            y[t * y_row + o] = fold(0.0f, in, x + t * in, 1, w + o * in, 1);
}

static void norm_rows(const model *m, const rows *s, const float *x, size_t weight, float *y,
                      float *r)
{
    for (size_t t = 0; t < s->count; t++)
        norm_forward(x + t * m->c.d, m->values + weight, m->c.d, m->c.eps, y + t * m->c.d, r + t);
}

/* Turns the query and key heads of every row. */
static void rotate_rows(const config *c, const rows *s, float *qkv, bool back)
{
    size_t D = c->head_dim, row = (c->heads + 2 * c->key_heads) * D;
    floats cosine = new_floats(D / 2), sine = new_floats(D / 2);
    for (size_t i = 0; i < s->sequences; i++)
        for (size_t t = 0; t < s->lengths[i]; t++, qkv += row) {
            rotary(&c->rope, D, t, cosine.at, sine.at);
            for (size_t n = 0; n < c->heads + c->key_heads; n++)
                rotate(qkv + n * D, D, cosine.at, sine.at, back);
        }
}

/* Adds Qwen2's biases, and applies Qwen3's head norms. */
static void refine(const model *m, const rows *s, size_t index, block *b)
{
    const config *c = &m->c;
    size_t D = c->head_dim, turned = c->heads + c->key_heads, row = (turned + c->key_heads) * D;
    if (c->family == QWEN2) {
        /* The biases of queries, keys and values stand side by side. */
        const float *bias = m->values + place(m, index, "self_attn.q_proj.bias");
        for (size_t t = 0; t < s->count; t++)
            for (size_t i = 0; i < row; i++)
                b->projected[t * row + i] = b->projected[t * row + i] + bias[i];
    }
    memcpy(b->qkv, b->projected, s->count * row * sizeof(float));
    if (c->family != QWEN3)
        return;
    const float *q_gain = m->values + place(m, index, "self_attn.q_norm.weight");
    const float *k_gain = m->values + place(m, index, "self_attn.k_norm.weight");
    for (size_t t = 0; t < s->count; t++)
        for (size_t n = 0; n < turned; n++)
            norm_forward(b->projected + t * row + n * D, n < c->heads ? q_gain : k_gain, D, c->eps,
                         b->qkv + t * row + n * D, b->head_r + t * turned + n);
}

static void add_rows(float *x, const float *y, size_t count)
{
    for (size_t i = 0; i < count; i++)
        x[i] = x[i] + y[i];
}

static void attend(const model *m, const rows *s, size_t index, float *x, block *b)
{
    const config *c = &m->c;
    size_t query = c->heads * c->head_dim, key = c->key_heads * c->head_dim, row = query + 2 * key;
    b->input = row_memory(s, c->d);
    memcpy(b->input, x, s->count * c->d * sizeof(float));
    b->norm1 = row_memory(s, c->d);
    b->r1 = row_memory(s, 1);
    norm_rows(m, s, x, place(m, index, "input_layernorm.weight"), b->norm1, b->r1);
    b->projected = row_memory(s, row);
    b->qkv = row_memory(s, row);
    b->head_r = row_memory(s, c->heads + c->key_heads);
    const float *q = m->values + place(m, index, "self_attn.q_proj.weight");
    const float *k = m->values + place(m, index, "self_attn.k_proj.weight");
    const float *v = m->values + place(m, index, "self_attn.v_proj.weight");
    linear(s, b->norm1, c->d, q, query, b->projected, row);
    linear(s, b->norm1, c->d, k, key, b->projected + query, row);
    linear(s, b->norm1, c->d, v, key, b->projected + query + key, row);
    refine(m, s, index, b);
    rotate_rows(c, s, b->qkv, false);
    b->attended = row_memory(s, query);
    attention((heads){c->heads, c->key_heads, c->head_dim}, s, b->qkv, b->attended);
    float *branch = row_memory(s, c->d);
    const float *o = m->values + place(m, index, "self_attn.o_proj.weight");
    linear(s, b->attended, query, o, c->d, branch, c->d);
    add_rows(x, branch, s->count * c->d);
}

static void gate(const model *m, const rows *s, size_t index, float *x, block *b)
{
    const config *c = &m->c;
    b->middle = row_memory(s, c->d);
    memcpy(b->middle, x, s->count * c->d * sizeof(float));
    b->norm2 = row_memory(s, c->d);
    b->r2 = row_memory(s, 1);
    norm_rows(m, s, x, place(m, index, "post_attention_layernorm.weight"), b->norm2, b->r2);
    b->gate_up = row_memory(s, 2 * c->ff);
    const float *g = m->values + place(m, index, "mlp.gate_proj.weight");
    const float *u = m->values + place(m, index, "mlp.up_proj.weight");
    linear(s, b->norm2, c->d, g, c->ff, b->gate_up, 2 * c->ff);
    linear(s, b->norm2, c->d, u, c->ff, b->gate_up + c->ff, 2 * c->ff);
    b->gated = row_memory(s, c->ff);
    for (size_t t = 0; t < s->count; t++)
        swiglu(b->gate_up + t * 2 * c->ff, c->ff, b->gated + t * c->ff);
    float *branch = row_memory(s, c->d);
    const float *down = m->values + place(m, index, "mlp.down_proj.weight");
    linear(s, b->gated, c->ff, down, c->d, branch, c->d);
    add_rows(x, branch, s->count * c->d);
}

activations *forward(const model *m, const rows *s)
{
    activations *a = allocate(1, sizeof *a);
    a->blocks = allocate(m->c.layers, sizeof *a->blocks);
    a->residual = row_memory(s, m->c.d);
    a->r = row_memory(s, 1);
    a->hidden = row_memory(s, m->c.d);
    const float *embedding = m->values + tensor_of(&m->l, "model.embed_tokens.weight")->offset;
    for (size_t t = 0; t < s->count; t++)
        memcpy(a->residual + t * m->c.d, embedding + s->tokens[t] * m->c.d, m->c.d * sizeof(float));
    for (size_t index = 0; index < m->c.layers; index++) {
        attend(m, s, index, a->residual, &a->blocks[index]);
        gate(m, s, index, a->residual, &a->blocks[index]);
    }
    norm_rows(m, s, a->residual, tensor_of(&m->l, "model.norm.weight")->offset, a->hidden, a->r);
    return a;
}

const float *hidden_of(const activations *a) { return a->hidden; }

void logits_of(const model *m, const rows *s, const activations *a, float *logits)
{
    linear(s, a->hidden, m->c.d, m->values + head_place(m), m->c.vocab, logits, m->c.vocab);
}

/* ---- the backward pass ---- */

/* dW continues the folds in the gradient over ascending rows; `dy` has `dy_row` values a row. */
static void weight_gradient(const rows *s, const float *dy, size_t dy_row, size_t out,
                            const float *x, size_t in, float *dw)
{
    for (size_t o = 0; o < out; o++)
        for (size_t i = 0; i < in; i++)
            dw[o * in + i] = fold(dw[o * in + i], s->count, dy + o, dy_row, x + i, in);
}

/* dX continues the folds in dx over ascending outputs. */
static void input_gradient(const rows *s, const float *dy, size_t dy_row, size_t out,
                           const float *w, size_t in, float *dx)
{
    for (size_t t = 0; t < s->count; t++)
        for (size_t i = 0; i < in; i++)
            dx[t * in + i] = fold(dx[t * in + i], out, dy + t * dy_row, 1, w + i, in);
}

/* Both, for the weight at `offset`. */
static void linear_backward(const model *m, const rows *s, size_t offset, const float *dy,
                            size_t dy_row, size_t out, const float *x, size_t in, float *dx,
                            float *gradient)
{
    weight_gradient(s, dy, dy_row, out, x, in, gradient + offset);
    input_gradient(s, dy, dy_row, out, m->values + offset, in, dx);
}

static void norm_rows_backward(const model *m, const rows *s, const float *x, size_t weight,
                               const float *r, const float *dy, float *dx, float *gradient)
{
    for (size_t t = 0; t < s->count; t++)
        norm_backward(x + t * m->c.d, m->values + weight, r[t], m->c.d, dy + t * m->c.d,
                      dx + t * m->c.d, gradient + weight);
}

static void gate_backward(const model *m, const rows *s, size_t index, const block *b, float *dx,
                          float *gradient)
{
    const config *c = &m->c;
    float *d_gated = row_memory(s, c->ff), *d_gate_up = row_memory(s, 2 * c->ff);
    float *d_norm = row_memory(s, c->d);
    linear_backward(m, s, place(m, index, "mlp.down_proj.weight"), dx, c->d, c->d, b->gated, c->ff,
                    d_gated, gradient);
    for (size_t t = 0; t < s->count; t++)
        swiglu_backward(b->gate_up + t * 2 * c->ff, c->ff, d_gated + t * c->ff,
                        d_gate_up + t * 2 * c->ff);
    linear_backward(m, s, place(m, index, "mlp.gate_proj.weight"), d_gate_up, 2 * c->ff, c->ff,
                    b->norm2, c->d, d_norm, gradient);
    linear_backward(m, s, place(m, index, "mlp.up_proj.weight"), d_gate_up + c->ff, 2 * c->ff,
                    c->ff, b->norm2, c->d, d_norm, gradient);
    norm_rows_backward(m, s, b->middle, place(m, index, "post_attention_layernorm.weight"), b->r2,
                       d_norm, dx, gradient);
}

/* Backward of the head norms and the biases; `d` becomes the gradient of the projections. */
static void refine_backward(const model *m, const rows *s, size_t index, const block *b, float *d,
                            float *gradient)
{
    const config *c = &m->c;
    size_t D = c->head_dim, turned = c->heads + c->key_heads, row = (turned + c->key_heads) * D;
    if (c->family == QWEN3) {
        size_t gains[2] = {place(m, index, "self_attn.q_norm.weight"),
                           place(m, index, "self_attn.k_norm.weight")};
        for (size_t t = 0; t < s->count; t++)
            for (size_t n = 0; n < turned; n++) {
                size_t gain = gains[n >= c->heads];
                float *at = d + t * row + n * D;
                floats dx = new_floats(D);
                norm_backward(b->projected + t * row + n * D, m->values + gain,
                              b->head_r[t * turned + n], D, at, dx.at, gradient + gain);
                memcpy(at, dx.at, D * sizeof(float));
            }
    }
    if (c->family == QWEN2) {
        float *bias = gradient + place(m, index, "self_attn.q_proj.bias");
        for (size_t t = 0; t < s->count; t++)
            for (size_t i = 0; i < row; i++)
                bias[i] = bias[i] + d[t * row + i];
    }
}

static void attend_backward(const model *m, const rows *s, size_t index, const block *b, float *dx,
                            float *gradient)
{
    const config *c = &m->c;
    size_t query = c->heads * c->head_dim, key = c->key_heads * c->head_dim, row = query + 2 * key;
    float *d_attended = row_memory(s, query), *d_qkv = row_memory(s, row);
    float *d_norm = row_memory(s, c->d);
    linear_backward(m, s, place(m, index, "self_attn.o_proj.weight"), dx, c->d, c->d, b->attended,
                    query, d_attended, gradient);
    attention_backward((heads){c->heads, c->key_heads, c->head_dim}, s, b->qkv, d_attended, d_qkv);
    rotate_rows(c, s, d_qkv, true);
    refine_backward(m, s, index, b, d_qkv, gradient);
    linear_backward(m, s, place(m, index, "self_attn.q_proj.weight"), d_qkv, row, query, b->norm1,
                    c->d, d_norm, gradient);
    linear_backward(m, s, place(m, index, "self_attn.k_proj.weight"), d_qkv + query, row, key,
                    b->norm1, c->d, d_norm, gradient);
    linear_backward(m, s, place(m, index, "self_attn.v_proj.weight"), d_qkv + query + key, row, key,
                    b->norm1, c->d, d_norm, gradient);
    norm_rows_backward(m, s, b->input, place(m, index, "input_layernorm.weight"), b->r1, d_norm, dx,
                       gradient);
}

void backward(const model *m, const rows *s, const activations *a, const float *d_logits,
              float *gradient)
{
    size_t d = m->c.d, embedding = tensor_of(&m->l, "model.embed_tokens.weight")->offset;
    float *d_hidden = row_memory(s, d), *dx = row_memory(s, d);
    linear_backward(m, s, head_place(m), d_logits, m->c.vocab, m->c.vocab, a->hidden, d, d_hidden,
                    gradient);
    norm_rows_backward(m, s, a->residual, tensor_of(&m->l, "model.norm.weight")->offset, a->r,
                       d_hidden, dx, gradient);
    for (size_t index = m->c.layers; index-- > 0;) {
        gate_backward(m, s, index, &a->blocks[index], dx, gradient);
        attend_backward(m, s, index, &a->blocks[index], dx, gradient);
    }
    floats sums = new_floats(m->c.vocab * d);
    for (size_t t = 0; t < s->count; t++)
        add_rows(sums.at + s->tokens[t] * d, dx + t * d, d);
    add_rows(gradient + embedding, sums.at, sums.count);
}
