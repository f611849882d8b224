/* Rows of chapters 5 to 7. */
#include "blake3.h"
#include "checks.h"
#include "draws.h"
#include "training.h"

#include <stdio.h>
#include <string.h>

/* ---- 5, 6 draws ---- */

void check_scores(const row *r)
{
    floats logits = floats_of(r->input, "logits");
    words w = words_of(r->input, "words");
    scores(logits.at, w, float_of(r->input, "temperature"), logits.at);
    expect_floats(r, "scores", logits.at, logits.count);
}

void check_token(const row *r)
{
    floats logits = floats_of(r->input, "logits");
    if (strcmp(r->operation, "token") == 0) {
        bytes seed = bytes_of(r->input, "seed");
        words w = position_words(seed.at, integer_of(r->input, "position"), logits.count);
        scores(logits.at, w, float_of(r->input, "temperature"), logits.at);
    }
    size_t token = argmax(logits.at, logits.count);
    expect_integer(r, "token", token);
    if (strcmp(r->operation, "greedy") == 0)
        return;
    floats margins = new_floats(logits.count);
    for (size_t v = 0; v < margins.count; v++)
        margins.at[v] = logits.at[token] - logits.at[v];
    expect_floats(r, "margins", margins.at, margins.count);
}

void check_initialise(const row *r)
{
    config c = config_of(field(r->input, "config"));
    layout l = layout_of(&c);
    bytes seed = bytes_of(r->input, "seed");
    for (size_t i = 0; i < l.tensor_count; i++) {
        floats values = new_floats(l.tensors[i].count);
        initialise(&c, &l.tensors[i], seed.at, values.at);
        expect_floats(r, l.tensors[i].name, values.at, values.count);
    }
}

/* ---- 7 losses ---- */

void check_cross_entropy_row(const row *r)
{
    floats logits = floats_of(r->input, "logits");
    loss l = {0};
    float log_p = 0.0f;
    cross_entropy_row(&l, logits.at, logits.count, integer_of(r->input, "target"),
                      float_of(r->input, "weight"), &log_p);
    expect_floats(r, "log_probability", &log_p, 1);
    expect_floats(r, "d_logits", logits.at, logits.count);
}

static grpo_options grpo_options_of(json *object)
{
    return (grpo_options){
        .clip_low = float_of(object, "clip_low"),
        .clip_high = float_of(object, "clip_high"),
        .delta = float_of(object, "delta"),
        .temperature = float_of(object, "temperature"),
        .normaliser = float_of(object, "normaliser"),
    };
}

static void expect_grpo(const row *r, const grpo_sums *g, const float *gradient, size_t count)
{
    expect_doubles(r, "loss", &g->loss, 1);
    expect_doubles(r, "divergence", &g->divergence, 1);
    expect_integer(r, "tokens", g->tokens);
    expect_integer(r, "clipped", g->clipped);
    expect_floats(r, "gradient", gradient, count);
}

void check_grpo_row(const row *r)
{
    floats logits = floats_of(r->input, "logits");
    grpo_options o = grpo_options_of(field(r->input, "options"));
    grpo_sums g = {0};
    grpo_row(&g, &o, logits.at, logits.count, integer_of(r->input, "token"),
             float_of(r->input, "advantage"), float_of(r->input, "behaviour"));
    expect_grpo(r, &g, logits.at, logits.count);
}

/* The loss of a batch; adds its gradient. */
static loss batch_gradient(const model *m, json *batch, float *gradient)
{
    rows s = sequences_of(batch, "sequences");
    integers targets = integers_of(batch, "targets");
    floats weights = floats_of(batch, "weights"), logits = new_floats(s.count * m->c.vocab);
    if (targets.count != s.count || weights.count != s.count)
        fail("a batch has parts of different lengths");
    activations *a = forward(m, &s);
    logits_of(m, &s, a, logits.at);
    loss l = {0};
    float log_p;
    for (size_t t = 0; t < s.count; t++)
        cross_entropy_row(&l, logits.at + t * m->c.vocab, m->c.vocab, targets.at[t], weights.at[t],
                          &log_p);
    backward(m, &s, a, logits.at, gradient);
    return l;
}

void check_cross_entropy(const row *r)
{
    model m = model_of(r->input);
    floats gradient = new_floats(m.l.count);
    loss l = batch_gradient(&m, field(r->input, "batch"), gradient.at);
    expect_doubles(r, "loss", &l.sum, 1);
    expect_doubles(r, "weight", &l.weight, 1);
    expect_floats(r, "gradient", gradient.at, gradient.count);
}

void check_grpo(const row *r)
{
    model m = model_of(r->input);
    rows s = sequences_of(r->input, "sequences");
    integers prompts = integers_of(r->input, "prompts");
    floats advantages = floats_of(r->input, "advantages");
    floats behaviour = floats_of(r->input, "behaviour");
    grpo_options o = grpo_options_of(field(r->input, "options"));
    floats logits = new_floats(s.count * m.c.vocab), gradient = new_floats(m.l.count);
    grpo_sums g = {0};
    activations *a = forward(&m, &s);
    logits_of(&m, &s, a, logits.at);
    size_t first = 0, response = 0;
    for (size_t i = 0; i < s.sequences; first += s.lengths[i++])
        for (size_t t = 0; t < s.lengths[i]; t++) {
            /* Row t predicts token t + 1, if that belongs to the response. */
            float *row_logits = logits.at + (first + t) * m.c.vocab;
            if (t + 1 < prompts.at[i] || t + 1 == s.lengths[i])
                memset(row_logits, 0, m.c.vocab * sizeof(float));
            else
                grpo_row(&g, &o, row_logits, m.c.vocab, s.tokens[first + t + 1], advantages.at[i],
                         behaviour.at[response++]);
        }
    backward(&m, &s, a, logits.at, gradient.at);
    expect_grpo(r, &g, gradient.at, gradient.count);
}

/* ---- 7 optimisers ---- */

void check_clip(const row *r)
{
    floats gradient = floats_of(r->input, "gradient");
    float norm = clip(gradient.at, gradient.count, float_of(r->input, "limit"));
    expect_floats(r, "norm", &norm, 1);
    expect_floats(r, "gradient", gradient.at, gradient.count);
}

adamw_options adamw_options_of(json *object)
{
    return (adamw_options){
        .lr = float_of(object, "lr"),
        .beta1 = float_of(object, "beta1"),
        .beta2 = float_of(object, "beta2"),
        .eps = float_of(object, "eps"),
        .weight_decay = float_of(object, "weight_decay"),
    };
}

void check_adamw(const row *r)
{
    adamw_options o = adamw_options_of(field(r->input, "options"));
    floats theta = floats_of(r->input, "theta"), gradient = floats_of(r->input, "gradient");
    floats m = floats_of(r->input, "m"), v = floats_of(r->input, "v");
    adamw(&o, float_of(r->input, "lr_factor"), integer_of(r->input, "step_count") + 1, theta.at,
          gradient.at, m.at, v.at, theta.count);
    expect_floats(r, "theta", theta.at, theta.count);
    expect_floats(r, "m", m.at, m.count);
    expect_floats(r, "v", v.at, v.count);
}

void check_nesterov(const row *r)
{
    floats theta = floats_of(r->input, "theta"), gradient = floats_of(r->input, "gradient");
    floats buffer = floats_of(r->input, "buffer");
    nesterov(float_of(r->input, "lr"), float_of(r->input, "momentum"), theta.at, gradient.at,
             buffer.at, theta.count);
    expect_floats(r, "theta", theta.at, theta.count);
    expect_floats(r, "buffer", buffer.at, buffer.count);
}

static void write_hash(char *out, const uint8_t hash[32])
{
    for (int i = 0; i < 32; i++)
        sprintf(out + 2 * i, "%02x", hash[i]);
}

void check_inner_steps(const row *r)
{
    model m = model_of(r->input);
    json *options = field(r->input, "options"), *batches = field(r->input, "batches");
    adamw_options o = adamw_options_of(field(options, "adamw"));
    uint64_t warmup = integer_of(options, "warmup_steps");
    uint64_t first = integer_of(options, "first_step");
    float limit = float_of(options, "clip_norm");
    size_t count = m.l.count;
    floats start = copy_of((floats){m.values, count}), moment = new_floats(count);
    floats variance = new_floats(count);
    doubles losses = {allocate(batches->count, sizeof(double)), batches->count};
    char *digests = allocate(65 * (batches->count + 1), 1), root[65];
    uint8_t hash[32];
    bytes little = little_endian(m.values, count);
    blake3(NULL, little.at, little.count, hash, 32);
    write_hash(root, hash);
    for (size_t step = 0;; step++) {
        state_digest(step, m.values, moment.at, variance.at, count, hash);
        write_hash(digests + 65 * step, hash);
        if (step == batches->count)
            break;
        digests[65 * step + 64] = ' ';
        floats gradient = new_floats(count);
        batches->items[step].read = true;
        loss l = batch_gradient(&m, &batches->items[step], gradient.at);
        losses.at[step] = l.sum;
        float factor = l.weight > 0.0 ? (float)(1.0 / l.weight) : 1.0f;
        for (size_t i = 0; i < count; i++)
            gradient.at[i] = gradient.at[i] * factor;
        clip(gradient.at, count, limit);
        adamw(&o, warm_up(first, step, warmup), step + 1, m.values, gradient.at, moment.at,
              variance.at, count);
    }
    for (size_t i = 0; i < count; i++)
        start.at[i] = start.at[i] - m.values[i];
    expect_doubles(r, "losses", losses.at, losses.count);
    expect_text(r, "digests", digests);
    expect_text(r, "root", root);
    expect_floats(r, "pseudo_gradient", start.at, count);
}
