//! §7: losses, gradients, optimisers.

use super::models::{Case, cases};
use super::values::{Noise, noise, result, row, written};
use crate::arithmetic::elementwise::{exponentials, nesterov};
use crate::testing::tokens;
use crate::trainer::grpo::{GrpoLoss, Row};
use crate::trainer::loss::softmax_slope;
use crate::trainer::{
    AdamW, AdamWState, Batch, Gradients, GrpoOptions, GrpoSequence, InnerOptions, InnerState,
    Workspace, clip_gradient_norm, cross_entropy, grpo, pseudo_gradient,
};
use crate::{Threads, logprobs};
use serde_json::{Value, json};

pub(super) fn rows(threads: &Threads) -> Vec<Value> {
    let mut rows = vec![cross_entropy_row(threads)];
    rows.extend(grpo_rows(threads));
    rows.extend(clips(threads));
    rows.extend(adamw_steps(threads));
    rows.extend(nesterov_steps(threads));
    for case in cases() {
        rows.push(cross_entropy_gradient(threads, &case));
        rows.push(grpo_gradient(threads, &case));
        rows.push(inner_steps(threads, &case));
    }
    rows
}

fn cross_entropy_row(threads: &Threads) -> Value {
    let logits = noise("cross-entropy", 37, 1.0);
    let (target, weight) = (11, 0.5);
    let mut slope = logits.values.clone();
    let normaliser = exponentials(threads.kernels(), &mut slope, 1.0);
    let log_probability = normaliser.log_probability(logits.values[target]);
    softmax_slope(threads.kernels(), &mut slope, normaliser, target, weight);
    let input = json!({"logits": logits.name, "target": target, "weight": written(&[weight])});
    let expect =
        json!({"log_probability": written(&[log_probability]), "d_logits": result(&slope)});
    row("cross-entropy row: one target", input, expect)
}

const GRPO: GrpoOptions = GrpoOptions {
    clip_low: 0.2,
    clip_high: 0.28,
    delta: 4.0,
    temperature: 0.9,
    normaliser: 50.0,
};

fn grpo_options() -> Value {
    json!({
        "clip_low": written(&[GRPO.clip_low]),
        "clip_high": written(&[GRPO.clip_high]),
        "delta": written(&[GRPO.delta]),
        "temperature": written(&[GRPO.temperature]),
        "normaliser": written(&[GRPO.normaliser]),
    })
}

/// Every branch of the clip, for advantages of both signs.
fn grpo_rows(threads: &Threads) -> Vec<Value> {
    let logits = noise("policy", 37, 1.0);
    let token = 5;
    let mut rows = Vec::new();
    for advantage in [1.25, -0.75, 0.0] {
        for drift in [0.0, 0.1, 0.3, 1.0, 1.5, -0.1, -0.3, -1.0, 200.0, -200.0] {
            let mut slope = logits.values.clone();
            let logit = slope[token] / GRPO.temperature;
            let normaliser = exponentials(threads.kernels(), &mut slope, GRPO.temperature);
            let now = normaliser.log_probability(logit);
            let behaviour = now - drift;
            let mut total = GrpoLoss::default();
            let factor = total.add(
                Row {
                    token,
                    advantage,
                    behaviour,
                },
                now,
                &GRPO,
            );
            softmax_slope(threads.kernels(), &mut slope, normaliser, token, factor);
            let input = json!({
                "logits": logits.name,
                "token": token,
                "advantage": written(&[advantage]),
                "behaviour": written(&[behaviour]),
                "options": grpo_options(),
            });
            let expect = grpo_expect(&total, &slope);
            rows.push(row(
                &format!("grpo row: advantage {advantage}, {drift}"),
                input,
                expect,
            ));
        }
    }
    rows
}

fn grpo_expect(total: &GrpoLoss, gradient: &[f32]) -> Value {
    json!({
        "loss": written(&[total.loss]),
        "divergence": written(&[total.divergence_sum]),
        "tokens": total.token_count,
        "clipped": total.clipped_count,
        "gradient": result(gradient),
    })
}

fn clips(threads: &Threads) -> Vec<Value> {
    let cases = [
        ("below the limit", noise("clip below", 100, 0.01), 100.0),
        ("above the limit", noise("clip above", 1000, 1.0), 1.0),
        ("squares beyond f32", noise("clip beyond", 20, 1e30), 0.3),
        ("squares below f32", noise("clip small", 20, 1e-30), 1e-31),
    ];
    let mut rows = Vec::new();
    for (name, gradient, limit) in cases {
        let Noise {
            values: mut clipped,
            name: gradient,
        } = gradient;
        let norm = clip_gradient_norm(&mut clipped, limit, threads);
        let input = json!({"gradient": gradient, "limit": written(&[limit])});
        let expect = json!({"norm": written(&[norm]), "gradient": result(&clipped)});
        rows.push(row(&format!("clip: {name}"), input, expect));
    }
    rows
}

fn adamw_input(options: &AdamW) -> Value {
    json!({
        "lr": written(&[options.lr]),
        "beta1": written(&[options.beta1]),
        "beta2": written(&[options.beta2]),
        "eps": written(&[options.eps]),
        "weight_decay": written(&[options.weight_decay]),
    })
}

const ADAMW: AdamW = AdamW {
    lr: 1e-3,
    beta1: 0.9,
    beta2: 0.95,
    eps: 1e-8,
    weight_decay: 0.1,
};

/// First steps, later ones, and one so late that the corrections are 1.
fn adamw_steps(threads: &Threads) -> Vec<Value> {
    let mut rows = Vec::new();
    for (step_count, factor) in [(0, 1.0), (1, 0.25), (2, 1.0), (999, 1.0), (1 << 40, 0.5)] {
        let name = |part: &str| format!("adamw {step_count} {part}");
        let [theta, gradient, m] =
            ["theta", "gradient", "m"].map(|part| noise(&name(part), 40, 0.125));
        let v = noise(&name("v"), 40, 0.01);
        let squares: Vec<f32> = v.values.iter().map(|v| v * v).collect();
        let mut state = AdamWState {
            m: m.values,
            v: squares.clone(),
            step_count,
        };
        let mut moved = theta.values;
        state.step(&ADAMW, factor, &mut moved, &gradient.values, threads);
        let input = json!({
            "options": adamw_input(&ADAMW),
            "lr_factor": written(&[factor]),
            "step_count": step_count,
            "theta": theta.name,
            "gradient": gradient.name,
            "m": m.name,
            "v": written(&squares),
        });
        let expect = json!({"theta": result(&moved), "m": result(&state.m), "v": result(&state.v)});
        rows.push(row(
            &format!("adamw: after {step_count} steps"),
            input,
            expect,
        ));
    }
    rows
}

fn nesterov_steps(threads: &Threads) -> Vec<Value> {
    let (lr, momentum) = (0.7, 0.9);
    let [theta, buffer, gradient] =
        ["theta", "buffer", "gradient"].map(|part| noise(&format!("nesterov {part}"), 40, 0.125));
    let (mut moved, mut b) = (theta.values, buffer.values);
    nesterov(
        threads.kernels(),
        &mut moved,
        &gradient.values,
        &mut b,
        lr,
        momentum,
    );
    let input = json!({
        "lr": written(&[lr]),
        "momentum": written(&[momentum]),
        "theta": theta.name,
        "buffer": buffer.name,
        "gradient": gradient.name,
    });
    let expect = json!({"theta": result(&moved), "buffer": result(&b)});
    vec![row("nesterov: one step", input, expect)]
}

fn batch(rows: usize, length: usize, seed: u8) -> Batch {
    let mut batch = Batch::next_token(&tokens(rows * (length + 1), 37, seed), length);
    for (index, weight) in batch.weights.iter_mut().enumerate() {
        *weight = [1.0, 0.5, 0.0, 2.0, 1.0][index % 5];
    }
    batch
}

fn batch_input(batch: &Batch) -> Value {
    json!({
        "sequences": batch.tokens.chunks(batch.length).collect::<Vec<_>>(),
        "targets": batch.targets,
        "weights": written(&batch.weights),
    })
}

fn cross_entropy_gradient(threads: &Threads, case: &Case) -> Value {
    let batch = batch(3, 9, 8);
    let mut gradients = Gradients::zeros(&case.model);
    let loss = cross_entropy(
        &case.model,
        &batch,
        &mut gradients,
        &mut Workspace::new(),
        threads,
    )
    .unwrap();
    let mut input = case.input();
    input["batch"] = batch_input(&batch);
    let expect = json!({
        "loss": written(&[loss.sum]),
        "weight": written(&[loss.weight]),
        "gradient": result(gradients.as_slice()),
    });
    row(&format!("cross-entropy: {}", case.name), input, expect)
}

fn grpo_gradient(threads: &Threads, case: &Case) -> Value {
    let items = [(9, 3, 1.2, 1), (14, 1, -2.0, 2), (12, 5, 0.4, 3)];
    let sequences: Vec<GrpoSequence> = items
        .into_iter()
        .map(|(length, prompt_len, advantage, seed)| {
            let tokens = tokens(length, 37, seed);
            let scored = logprobs(&case.model, &[&tokens], GRPO.temperature, threads).unwrap();
            let response = scored[0][prompt_len - 1..].iter().enumerate();
            let behaviour = response.map(|(i, p)| p + [-1.6, 0.1, 0.4, -0.1, -0.3][i % 5]);
            GrpoSequence {
                behaviour_logprobs: behaviour.collect(),
                tokens,
                prompt_len,
                advantage,
            }
        })
        .collect();
    let mut gradients = Gradients::zeros(&case.model);
    let workspace = &mut Workspace::new();
    let loss = grpo(
        &case.model,
        &sequences,
        &GRPO,
        &mut gradients,
        workspace,
        threads,
    )
    .unwrap();
    let mut input = case.input();
    input["options"] = grpo_options();
    input["sequences"] = sequences
        .iter()
        .map(|sequence| json!(sequence.tokens))
        .collect();
    input["prompts"] = sequences
        .iter()
        .map(|sequence| json!(sequence.prompt_len))
        .collect();
    let advantages: Vec<f32> = sequences
        .iter()
        .map(|sequence| sequence.advantage)
        .collect();
    input["advantages"] = written(&advantages);
    let behaviour: Vec<f32> = sequences
        .iter()
        .flat_map(|sequence| sequence.behaviour_logprobs.clone())
        .collect();
    input["behaviour"] = written(&behaviour);
    row(
        &format!("grpo: {}", case.name),
        input,
        grpo_expect(&loss, gradients.as_slice()),
    )
}

/// Two inner steps: clipped gradients, warm-up, digests of the states, the pseudo-gradient.
fn inner_steps(threads: &Threads, case: &Case) -> Value {
    let options = InnerOptions {
        adamw: ADAMW,
        warmup_steps: 4,
        first_step: 2,
        clip_norm: 0.75,
    };
    let batches = [batch(2, 7, 21), batch(3, 5, 22)];
    let unit = pseudo_gradient(&case.model, batches.clone(), &options, threads).unwrap();
    let before = InnerState::new(case.model.clone()).digest();
    let digests = std::iter::once(before).chain(unit.digests);
    let losses: Vec<f64> = unit.losses.iter().map(|loss| loss.sum).collect();
    let mut input = case.input();
    input["options"] = json!({
        "adamw": adamw_input(&options.adamw),
        "warmup_steps": options.warmup_steps,
        "first_step": options.first_step,
        "clip_norm": written(&[options.clip_norm]),
    });
    input["batches"] = batches.iter().map(batch_input).collect();
    let digests = digests.map(|digest| blake3::Hash::from(digest).to_hex().to_string());
    let expect = json!({
        "losses": written(&losses),
        "digests": digests.collect::<Vec<_>>().join(" "),
        "root": blake3::Hash::from(case.model.state_root()).to_hex().as_str(),
        "pseudo_gradient": result(&unit.values),
    });
    row(&format!("inner steps: {}", case.name), input, expect)
}
