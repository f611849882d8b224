//! Training: losses, gradients, optimisers, and the exact exchange of pseudo-gradients.
//!
//! A gradient unit is one of two things, and both end in [`compress`] and [`mod@aggregate`]:
//! [`inner`] runs H `AdamW` steps and gives the pseudo-gradient `theta_0 - theta_H` (pre-training);
//! [`mod@grpo`] gives one plain gradient over a share of the rollouts (reinforcement learning). The
//! [`outer`] optimiser turns the aggregate into the next checkpoint.

pub mod adamw;
pub mod aggregate;
pub mod compress;
pub mod file;
pub mod grpo;
pub mod inner;
pub mod loss;
pub mod outer;
pub mod sparse;
pub mod update;

use crate::InputError;
use crate::arithmetic::elementwise::{add, sum_of_squares};
use crate::arithmetic::parallel;
use crate::arithmetic::threads::Threads;
use crate::transformer::block::{Backward, Keep};
use crate::transformer::packed::{PackedWeights, Product};
use crate::transformer::parameters::{Layout, Parameters};
use crate::transformer::pass::{Activations, check};
use crate::transformer::prefill::runs;
use crate::transformer::{embedding, head};
use std::ops::Range;

pub use adamw::{AdamW, AdamWState};
pub use aggregate::{AggregateError, Part, Robustness, aggregate};
pub use compress::{CompressError, CompressedUpdate, DecodeError};
pub use engine_trace::schedule::advantages;
pub use grpo::{GrpoLoss, GrpoOptions, GrpoSequence, grpo};
pub use inner::{InnerOptions, InnerState, PseudoGradient, pseudo_gradient};
pub use loss::{Batch, Loss, cross_entropy};
pub use outer::{OuterOptimizer, OuterState};
pub use sparse::{Feedback, SparseError, SparseUpdate};
pub use update::Update;

/// Gradients of all parameters: one flat vector in the parameters' layout.
#[derive(Clone, Debug, PartialEq)]
pub struct Gradients {
    values: Vec<f32>,
}

impl Gradients {
    /// Zero gradients for a model.
    #[must_use]
    pub fn zeros(model: &Parameters) -> Self {
        Self {
            values: vec![0.0; model.as_slice().len()],
        }
    }

    /// Gradients of a model, flat; nothing where their number is not that of its values.
    #[must_use]
    pub fn from_values(model: &Parameters, values: Vec<f32>) -> Option<Self> {
        (values.len() == model.as_slice().len()).then_some(Self { values })
    }

    /// The gradients, flat.
    #[must_use]
    pub fn as_slice(&self) -> &[f32] {
        &self.values
    }

    /// The gradients, to be changed.
    pub fn as_mut_slice(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// The vector itself.
    #[must_use]
    pub fn into_values(self) -> Vec<f32> {
        self.values
    }

    /// Sets all to +0.
    pub fn clear(&mut self) {
        self.values.fill(0.0);
    }

    /// Multiplies all by `factor`.
    pub fn scale(&mut self, factor: f32, threads: &Threads) {
        parallel::scale(threads, &mut self.values, factor);
    }

    /// Scales the gradients down to at most `norm_max`; returns the norm before.
    pub fn clip_norm(&mut self, norm_max: f32, threads: &Threads) -> f32 {
        clip_gradient_norm(&mut self.values, norm_max, threads)
    }
}

/// Scales `gradient` so that its Euclidean norm is at most `norm_max`; returns the norm before.
///
/// The squares are summed in f64 by 16 lanes and the tree, the root is rounded to f32, and a
/// norm above the limit multiplies every element by `norm_max / norm`.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the norm is rounded to f32 on purpose"
)]
pub fn clip_gradient_norm(gradient: &mut [f32], norm_max: f32, threads: &Threads) -> f32 {
    let norm = sum_of_squares(threads.kernels(), gradient).sqrt() as f32;
    if norm > norm_max {
        parallel::scale(threads, gradient, norm_max / norm);
    }
    norm
}

/// Which activations a training step keeps between its two passes. Neither changes a bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checkpointing {
    /// Everything each block computed: the fastest.
    #[default]
    Off,
    /// Only the residual stream at the entrance of each block, from which the block is computed
    /// once more on the way back: a third more work, and memory for the activations of one block
    /// instead of all.
    Blocks,
}

/// Buffers that training steps reuse. One workspace serves one model shape at a time.
#[derive(Clone, Debug, Default)]
pub struct Workspace {
    checkpointing: Checkpointing,
    weights: PackedWeights,
    activations: Activations,
    backward: Backward,
    logits: Vec<f32>,
    d_hidden: Vec<f32>,
    embedding: Vec<f32>,
}

impl Workspace {
    /// An empty workspace that keeps all activations; the first step sizes it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same workspace with the given activations kept.
    #[must_use]
    pub fn with_checkpointing(self, checkpointing: Checkpointing) -> Self {
        Self {
            checkpointing,
            ..self
        }
    }
}

/// Rows whose activations are held at a time. Folds continue from run to run, so this number
/// changes memory and speed and no bit.
pub(crate) const RUN_ROWS_MAX: usize = 512;
/// Rows whose logits are held at a time.
pub(crate) const LOGIT_ROWS_MAX: usize = 512;

/// Runs forward and backward over `sequences`, adding to `gradients`.
///
/// `score` sees rows of logits in ascending order, with the index of the first among all rows of
/// all sequences, and replaces them by gradients.
fn accumulate(
    model: &Parameters,
    sequences: &[&[u32]],
    gradients: &mut Gradients,
    workspace: &mut Workspace,
    threads: &Threads,
    score: &mut dyn FnMut(usize, &mut [f32]),
) -> Result<(), InputError> {
    for (index, tokens) in sequences.iter().enumerate() {
        check(model.config(), index, tokens)?;
    }
    assert_eq!(
        gradients.values.len(),
        model.as_slice().len(),
        "gradients of another model"
    );
    let embedding = model.layout().embedding();
    workspace.embedding.clear();
    workspace.embedding.resize(embedding.len(), 0.0);
    workspace.weights.fill(model, Product::Forward, threads);
    workspace
        .backward
        .weights
        .fill(model, Product::Backward, threads);
    let mut first_row = 0;
    for run in runs(sequences, RUN_ROWS_MAX, |tokens| tokens.len()) {
        workspace.forward(model, run, threads);
        let rows = workspace.activations.rows.count();
        let rows = first_row..first_row + rows;
        first_row = rows.end;
        workspace.head(model, rows, gradients, threads, score);
        workspace.backward(model, run, gradients, threads);
    }
    // Tied heads fold into the same tensor; the embedding's own part is added once, at the end.
    add(
        threads.kernels(),
        &mut gradients.values[embedding],
        &workspace.embedding,
    );
    Ok(())
}

impl Workspace {
    /// The forward pass of a run of sequences.
    fn forward(&mut self, model: &Parameters, run: &[&[u32]], threads: &Threads) {
        let keep = match self.checkpointing {
            Checkpointing::Off => Keep::All,
            Checkpointing::Blocks => Keep::Entrances,
        };
        self.activations.sequences(run);
        let tokens = run.iter().flat_map(|tokens| tokens.iter().copied());
        let model = (model, &self.weights);
        self.activations
            .run(model, tokens, keep, threads, |_, _, _| {});
    }

    /// Logits, their gradients and the head's, a block of rows at a time; fills `d_hidden`.
    fn head(
        &mut self,
        model: &Parameters,
        rows: Range<usize>,
        gradients: &mut Gradients,
        threads: &Threads,
        score: &mut dyn FnMut(usize, &mut [f32]),
    ) {
        let d = model.config().hidden_size;
        let Self {
            weights,
            activations,
            backward,
            logits,
            d_hidden,
            ..
        } = self;
        d_hidden.resize(activations.hidden.len(), 0.0);
        let slopes = d_hidden.chunks_mut(LOGIT_ROWS_MAX * d);
        let blocks = activations.hidden.chunks(LOGIT_ROWS_MAX * d).zip(slopes);
        for (index, (hidden, d_hidden)) in blocks.enumerate() {
            head::logits(threads, weights, hidden, logits);
            score(rows.start + index * LOGIT_ROWS_MAX, logits);
            let (inputs, values) = ((hidden, &logits[..]), &mut gradients.values);
            head::logits_backward(threads, model, inputs, backward, values, d_hidden);
        }
    }

    /// The way back from `d_hidden` to the weights of all blocks and the embedding.
    fn backward(
        &mut self,
        model: &Parameters,
        run: &[&[u32]],
        gradients: &mut Gradients,
        threads: &Threads,
    ) {
        let Self {
            weights,
            activations,
            backward,
            d_hidden,
            embedding,
            ..
        } = self;
        let values = &mut gradients.values;
        activations.backward((model, weights), d_hidden, backward, values, threads);
        let tokens = run.iter().flat_map(|tokens| tokens.iter().copied());
        let width = model.config().hidden_size;
        let dx = &backward.d_residual;
        embedding::backward(threads.kernels(), tokens, dx, width, embedding);
    }
}

/// Names of a flat vector's tensors with a prefix, for files of optimiser state.
fn state_sources<'a>(
    layout: &'a Layout,
    prefix: &str,
    values: &'a [f32],
) -> Vec<crate::weights::Source<'a>> {
    let source = |tensor: &'a crate::transformer::parameters::Tensor| crate::weights::Source {
        name: format!("{prefix}.{}", tensor.name),
        shape: &tensor.shape,
        values: &values[tensor.range()],
    };
    layout.tensors().iter().map(source).collect()
}

#[cfg(test)]
mod tests;
