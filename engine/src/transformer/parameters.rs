//! The parameters: one flat f32 vector and the table that names its parts.

use super::config::{Family, ModelConfig};
use crate::arithmetic::elementary::{self, wide};
use std::ops::Range;

/// One named tensor inside the flat vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Its Hugging Face name.
    pub name: String,
    /// Its shape, row-major, `[out, in]` for matrices.
    pub shape: Vec<usize>,
    /// Index of its first element in the flat vector.
    pub offset: usize,
    /// Number of elements.
    pub length: usize,
}

impl Tensor {
    /// Its place in the flat vector.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.length
    }
}

/// Names, shapes and offsets of all tensors, in canonical order.
///
/// Queries, keys and values stand side by side, and so do gate and up: each group is one matrix
/// to the engine and separate tensors to a reader of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    tensors: Vec<Tensor>,
    blocks: Vec<BlockRanges>,
    head: Range<usize>,
    norm: Range<usize>,
    length: usize,
}

/// Where the matrices of one block are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BlockRanges {
    pub(crate) norm1: Range<usize>,
    pub(crate) qkv: Range<usize>,
    /// Biases of queries, keys and values, in the columns' order of `qkv` (Qwen2).
    pub(crate) qkv_bias: Option<Range<usize>>,
    /// Gain of the norm of every query head (Qwen3).
    pub(crate) query_norm: Option<Range<usize>>,
    /// Gain of the norm of every key head (Qwen3).
    pub(crate) key_norm: Option<Range<usize>>,
    pub(crate) out: Range<usize>,
    pub(crate) norm2: Range<usize>,
    pub(crate) gate_up: Range<usize>,
    pub(crate) down: Range<usize>,
}

impl Layout {
    /// The layout of a configuration.
    #[must_use]
    pub fn new(config: &ModelConfig) -> Self {
        let mut layout = Self {
            tensors: Vec::new(),
            blocks: Vec::new(),
            head: 0..0,
            norm: 0..0,
            length: 0,
        };
        let (d, ff) = (config.hidden_size, config.intermediate_size);
        let (query, key) = (config.query_width(), config.key_width());
        let embedding = layout.push(
            "model.embed_tokens.weight".to_owned(),
            &[config.vocab_size, d],
        );
        for index in 0..config.num_hidden_layers {
            let mut push = |name: &str, shape: &[usize]| {
                layout.push(format!("model.layers.{index}.{name}"), shape)
            };
            let norm1 = push("input_layernorm.weight", &[d]);
            let q = push("self_attn.q_proj.weight", &[query, d]);
            push("self_attn.k_proj.weight", &[key, d]);
            let v = push("self_attn.v_proj.weight", &[key, d]);
            let qkv_bias = (config.family == Family::Qwen2).then(|| {
                let q = push("self_attn.q_proj.bias", &[query]);
                push("self_attn.k_proj.bias", &[key]);
                q.start..push("self_attn.v_proj.bias", &[key]).end
            });
            let mut head_norm = |name| {
                let normed = config.family == Family::Qwen3;
                normed.then(|| push(name, &[config.head_dim]))
            };
            let query_norm = head_norm("self_attn.q_norm.weight");
            let key_norm = head_norm("self_attn.k_norm.weight");
            let out = push("self_attn.o_proj.weight", &[d, query]);
            let norm2 = push("post_attention_layernorm.weight", &[d]);
            let gate = push("mlp.gate_proj.weight", &[ff, d]);
            let up = push("mlp.up_proj.weight", &[ff, d]);
            let down = push("mlp.down_proj.weight", &[d, ff]);
            let (qkv, gate_up) = (q.start..v.end, gate.start..up.end);
            layout.blocks.push(BlockRanges {
                norm1,
                qkv,
                qkv_bias,
                query_norm,
                key_norm,
                out,
                norm2,
                gate_up,
                down,
            });
        }
        layout.norm = layout.push("model.norm.weight".to_owned(), &[d]);
        layout.head = if config.tie_word_embeddings {
            embedding
        } else {
            layout.push("lm_head.weight".to_owned(), &[config.vocab_size, d])
        };
        layout
    }

    fn push(&mut self, name: String, shape: &[usize]) -> Range<usize> {
        let length = shape.iter().product();
        let tensor = Tensor {
            name,
            shape: shape.to_vec(),
            offset: self.length,
            length,
        };
        let range = tensor.range();
        self.length += length;
        self.tensors.push(tensor);
        range
    }

    /// All tensors in canonical order.
    #[must_use]
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// The tensor of that name.
    #[must_use]
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }

    /// The number of elements in all.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length
    }

    pub(crate) fn embedding(&self) -> Range<usize> {
        self.tensors[0].range()
    }

    pub(crate) fn head(&self) -> Range<usize> {
        self.head.clone()
    }

    pub(crate) fn norm(&self) -> Range<usize> {
        self.norm.clone()
    }

    pub(crate) fn block(&self, index: usize) -> &BlockRanges {
        &self.blocks[index]
    }
}

/// A model: its configuration and all its weights as one flat f32 vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters {
    config: ModelConfig,
    layout: Layout,
    values: Vec<f32>,
}

impl Parameters {
    /// All zeros: a place to load into.
    pub(crate) fn zeros(config: &ModelConfig) -> Self {
        let layout = Layout::new(config);
        let values = vec![0.0; layout.length()];
        Self {
            config: config.clone(),
            layout,
            values,
        }
    }

    /// Random weights, the same on every machine for the same seed.
    ///
    /// Norm gains are 1 and biases 0. Matrices are normal with standard deviation `1 / sqrt(in)`,
    /// the two that write to the residual stream divided by `sqrt(2 layers)`, and embeddings 0.02.
    ///
    /// Normals are Box-Muller on words of the BLAKE3 stream keyed with `seed` over
    /// `"initialize/v1" || name`. Spec: arithmetic §6
    #[must_use]
    pub fn initialize(config: &ModelConfig, seed: [u8; 32]) -> Self {
        let mut parameters = Self::zeros(config);
        let residual = wide_root(2 * config.num_hidden_layers);
        for tensor in &parameters.layout.tensors {
            let values = &mut parameters.values[tensor.range()];
            let [_, inputs] = tensor.shape[..] else {
                let bias = tensor.name.ends_with(".bias");
                values.fill(if bias { 0.0 } else { 1.0 });
                continue;
            };
            let name = tensor.name.as_str();
            let deviation = if name == "model.embed_tokens.weight" || name == "lm_head.weight" {
                0.02
            } else if name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight") {
                1.0 / (wide_root(inputs) * residual)
            } else {
                1.0 / wide_root(inputs)
            };
            fill_normal(values, &seed, name, deviation);
        }
        parameters
    }

    /// Wraps a flat vector; `None` if its length is not the layout's.
    #[must_use]
    pub fn from_values(config: &ModelConfig, values: Vec<f32>) -> Option<Self> {
        let layout = Layout::new(config);
        (values.len() == layout.length()).then(|| Self {
            config: config.clone(),
            layout,
            values,
        })
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The names and places of the tensors.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// All weights, flat, in canonical order.
    #[must_use]
    pub fn as_slice(&self) -> &[f32] {
        &self.values
    }

    /// All weights, to be changed.
    pub fn as_mut_slice(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// BLAKE3 of all weights as little-endian f32 in canonical order: the root of one state of
    /// training, cheaper than a file.
    #[must_use]
    pub fn state_root(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        crate::weights::hash_values(&mut hasher, &self.values);
        hasher.finalize().into()
    }

    pub(crate) fn get(&self, range: &Range<usize>) -> &[f32] {
        &self.values[range.clone()]
    }
}

#[expect(clippy::cast_precision_loss, reason = "sizes are below 2^24")]
fn wide_root(n: usize) -> f32 {
    (n as f32).sqrt()
}

/// Box-Muller: words `2i` and `2i + 1` of the stream give the normals `2i` and `2i + 1`,
/// `sqrt(2 E) cos(2π u)` and `sqrt(2 E) sin(2π u)`, `E` exponential from the first word and
/// `u = second / 2^32`.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the normal is rounded to f32 on purpose"
)]
fn fill_normal(values: &mut [f32], seed: &[u8; 32], name: &str, deviation: f32) {
    let mut hasher = blake3::Hasher::new_keyed(seed);
    hasher.update(b"initialize/v1");
    hasher.update(name.as_bytes());
    let mut stream = hasher.finalize_xof();
    for pair in values.chunks_mut(2) {
        let mut bytes = [0; 8];
        stream.fill(&mut bytes);
        let [a, b, c, d, e, f, g, h] = bytes;
        let first = u32::from_le_bytes([a, b, c, d]);
        let second = u32::from_le_bytes([e, f, g, h]);
        let radius = (2.0 * elementary::exponential(first)).sqrt();
        let turn = f64::from(second) / 4_294_967_296.0;
        let (sine, cosine) = wide::sin_cos(turn * std::f64::consts::TAU);
        let normals = [radius * cosine as f32, radius * sine as f32];
        for (value, normal) in pair.iter_mut().zip(normals) {
            *value = normal * deviation;
        }
    }
}
