//! The forward pass against the textbook: Llama in f64, one scalar at a time.

#![allow(clippy::unwrap_used, reason = "tests")]

use crate::testing::{config, tokens};
use crate::{ModelConfig, Parameters, Threads, prefill};

struct Reference<'a> {
    model: &'a Parameters,
    config: &'a ModelConfig,
}

type Rows = Vec<Vec<f64>>;

impl Reference<'_> {
    fn tensor(&self, name: &str) -> Vec<f64> {
        let range = self.model.layout().tensor(name).unwrap().range();
        self.model.as_slice()[range]
            .iter()
            .map(|&x| f64::from(x))
            .collect()
    }

    fn linear(&self, name: &str, x: &Rows) -> Rows {
        let weight = self.tensor(name);
        let inputs = x[0].len();
        let product = |row: &Vec<f64>| {
            weight
                .chunks(inputs)
                .map(|w| w.iter().zip(row).map(|(w, x)| w * x).sum())
                .collect()
        };
        x.iter().map(product).collect()
    }

    fn norm(&self, name: &str, x: &Rows) -> Rows {
        let gain = self.tensor(name);
        let normalise = |row: &Vec<f64>| {
            let mean = row.iter().map(|x| x * x).sum::<f64>() / row.len() as f64;
            let root = (mean + f64::from(self.config.rms_norm_eps)).sqrt();
            row.iter().zip(&gain).map(|(x, w)| x / root * w).collect()
        };
        x.iter().map(normalise).collect()
    }

    /// `x cos + rotate_half(x) sin` on every head.
    fn rope(&self, x: &mut Rows) {
        let width = self.config.head_dim;
        for (position, row) in x.iter_mut().enumerate() {
            for head in row.chunks_mut(width) {
                let old = head.to_vec();
                for i in 0..width {
                    let pair = i % (width / 2);
                    let exponent = 2.0 * pair as f64 / width as f64;
                    let angle = position as f64 / f64::from(self.config.rope_theta).powf(exponent);
                    let half = width / 2;
                    let turned = if i < half {
                        -old[i + half]
                    } else {
                        old[i - half]
                    };
                    head[i] = old[i] * angle.cos() + turned * angle.sin();
                }
            }
        }
    }

    fn attention(&self, q: &Rows, k: &Rows, v: &Rows) -> Rows {
        let width = self.config.head_dim;
        let group = self.config.num_attention_heads / self.config.num_key_value_heads;
        let mut out = vec![vec![0.0; q[0].len()]; q.len()];
        for t in 0..q.len() {
            for head in 0..self.config.num_attention_heads {
                let (own, shared) = (head * width, head / group * width);
                let score = |s: usize| {
                    let products = (0..width).map(|i| q[t][own + i] * k[s][shared + i]);
                    products.sum::<f64>() / (width as f64).sqrt()
                };
                let weights: Vec<f64> = (0..=t).map(|s| score(s).exp()).collect();
                let total: f64 = weights.iter().sum();
                for (s, weight) in weights.iter().enumerate() {
                    for i in 0..width {
                        out[t][own + i] += weight / total * v[s][shared + i];
                    }
                }
            }
        }
        out
    }

    fn logits(&self, tokens: &[u32]) -> Rows {
        let d = self.config.hidden_size;
        let embedding = self.tensor("model.embed_tokens.weight");
        let row = |&token: &u32| embedding[token as usize * d..][..d].to_vec();
        let mut x: Rows = tokens.iter().map(row).collect();
        for layer in 0..self.config.num_hidden_layers {
            let name = |part: &str| format!("model.layers.{layer}.{part}.weight");
            let n = self.norm(&name("input_layernorm"), &x);
            let mut q = self.linear(&name("self_attn.q_proj"), &n);
            let mut k = self.linear(&name("self_attn.k_proj"), &n);
            let v = self.linear(&name("self_attn.v_proj"), &n);
            self.rope(&mut q);
            self.rope(&mut k);
            let mixed = self.attention(&q, &k, &v);
            add(&mut x, &self.linear(&name("self_attn.o_proj"), &mixed));
            let n = self.norm(&name("post_attention_layernorm"), &x);
            let mut gated = self.linear(&name("mlp.gate_proj"), &n);
            let up = self.linear(&name("mlp.up_proj"), &n);
            for (g, u) in gated.iter_mut().flatten().zip(up.iter().flatten()) {
                *g = *g / (1.0 + (-*g).exp()) * u;
            }
            add(&mut x, &self.linear(&name("mlp.down_proj"), &gated));
        }
        let hidden = self.norm("model.norm.weight", &x);
        let tied = self.config.tie_word_embeddings;
        let head = if tied {
            "model.embed_tokens.weight"
        } else {
            "lm_head.weight"
        };
        self.linear(head, &hidden)
    }
}

fn add(x: &mut Rows, y: &Rows) {
    for (x, y) in x.iter_mut().flatten().zip(y.iter().flatten()) {
        *x += y;
    }
}

#[test]
fn logits_agree_with_the_textbook_within_rounding() {
    for tie_word_embeddings in [true, false] {
        let config = ModelConfig {
            tie_word_embeddings,
            rope_theta: 500.0,
            ..config()
        };
        let mut model = Parameters::initialize(&config, [8; 32]);
        // Gains that differ from 1, and weights large enough for attention to be sharp.
        for (index, value) in model.as_mut_slice().iter_mut().enumerate() {
            *value *= 1.5 + (index % 7) as f32 * 0.1;
        }
        let tokens = tokens(40, 37, 2);
        let reference = Reference {
            model: &model,
            config: &config,
        }
        .logits(&tokens);
        let ours = prefill(&model, &[&tokens], &Threads::new(1))
            .unwrap()
            .remove(0)
            .logits;
        for (got, want) in ours.iter().zip(reference.iter().flatten()) {
            assert!(
                (f64::from(*got) - want).abs() < 1e-4 * want.abs().max(1.0),
                "{got} {want}"
            );
        }
    }
}
