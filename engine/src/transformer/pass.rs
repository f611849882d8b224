//! A pass: embedding, all blocks, final norm, and the way back.
//!
//! One pass serves training, which keeps activations for the backward pass, and prefill, where all
//! blocks share one set of buffers.

use super::block::{self, Backward, Context, Keep};
use super::config::ModelConfig;
use super::packed::PackedWeights;
use super::parameters::Parameters;
use super::rope::Table;
use super::rows::Rows;
use super::{embedding, head};
use crate::InputError;
use crate::arithmetic::threads::Threads;

/// The buffers of a forward pass.
#[derive(Clone, Debug, Default)]
pub(crate) struct Activations {
    /// The rows of the pass.
    pub(crate) rows: Rows,
    /// After the final norm, `[rows, hidden_size]`.
    pub(crate) hidden: Vec<f32>,
    blocks: Vec<block::Activations>,
    /// Residual streams at the entrances of blocks that are computed again.
    entrances: Vec<Vec<f32>>,
    /// Residual stream; after the pass, the input of the final norm.
    residual: Vec<f32>,
    reciprocal: Vec<f32>,
    rope: Table,
    scratch: block::Scratch,
}

/// Checks token ids and length.
pub(crate) fn check(config: &ModelConfig, index: usize, tokens: &[u32]) -> Result<(), InputError> {
    if tokens.is_empty() {
        return Err(InputError::Empty { sequence: index });
    }
    check_length(config, index, tokens.len())?;
    check_tokens(config, index, tokens)
}

/// Checks that a sequence fits the model's context.
pub(crate) fn check_length(
    config: &ModelConfig,
    sequence: usize,
    length: usize,
) -> Result<(), InputError> {
    let limit = config.max_position_embeddings;
    if length > limit {
        return Err(InputError::Length {
            sequence,
            length,
            limit,
        });
    }
    Ok(())
}

/// Checks token ids.
pub(crate) fn check_tokens(
    config: &ModelConfig,
    sequence: usize,
    tokens: &[u32],
) -> Result<(), InputError> {
    let limit = config.vocab_size;
    let outside = |&token: &u32| usize::try_from(token).map_or(true, |token| token >= limit);
    match tokens.iter().copied().find(outside) {
        Some(token) => Err(InputError::Token {
            sequence,
            token,
            limit,
        }),
        None => Ok(()),
    }
}

impl Activations {
    /// Makes the rows of a pass over whole sequences.
    pub(crate) fn sequences(&mut self, sequences: &[&[u32]]) {
        self.rows.clear();
        for tokens in sequences {
            self.rows.push(tokens.len(), None);
        }
    }

    /// Runs the blocks and the final norm on `self.rows`, one token a row; checked tokens and
    /// packed weights only. `tap` sees every block's activations as soon as they are there.
    pub(crate) fn run(
        &mut self,
        (model, weights): (&Parameters, &PackedWeights),
        tokens: impl Iterator<Item = u32>,
        keep: Keep,
        threads: &Threads,
        mut tap: impl FnMut(usize, &Rows, &block::Activations),
    ) {
        let config = model.config();
        let positions = self.rows.positions();
        self.rope
            .cover(config, positions.iter().max().map_or(0, |last| last + 1));
        let layers = config.num_hidden_layers;
        let kept = if keep == Keep::All { layers } else { 1 };
        self.blocks.resize_with(kept, block::Activations::default);
        let entrances = if keep == Keep::Entrances { layers } else { 0 };
        self.entrances.resize_with(entrances, Vec::new);
        embedding::forward(model, tokens, &mut self.residual);
        let Self {
            rows,
            hidden,
            blocks,
            entrances,
            residual,
            reciprocal,
            rope,
            scratch,
        } = self;
        let context = Context {
            model,
            weights,
            rope,
            rows,
            threads,
        };
        for index in 0..layers {
            let block = &mut blocks[index % kept];
            block::forward(&context, index, residual, block, scratch);
            tap(index, rows, block);
            if let Some(entrance) = entrances.get_mut(index) {
                std::mem::swap(entrance, &mut block.attention.input);
            }
        }
        head::hidden(&context, residual, hidden, reciprocal);
    }

    /// Carries `d_hidden` through the final norm and all blocks; leaves the gradient of the
    /// embedded tokens in `pass.d_residual`.
    ///
    /// The forward pass kept all activations or all entrances.
    pub(crate) fn backward(
        &mut self,
        (model, weights): (&Parameters, &PackedWeights),
        d_hidden: &[f32],
        pass: &mut Backward,
        gradients: &mut [f32],
        threads: &Threads,
    ) {
        let Self {
            rows,
            blocks,
            entrances,
            residual,
            reciprocal,
            rope,
            scratch,
            ..
        } = self;
        let context = Context {
            model,
            weights,
            rope,
            rows,
            threads,
        };
        head::hidden_backward(&context, (residual, reciprocal, d_hidden), pass, gradients);
        let kept = blocks.len();
        for index in (0..model.config().num_hidden_layers).rev() {
            let block = &mut blocks[index % kept];
            if let Some(entrance) = entrances.get_mut(index) {
                block::again(&context, index, entrance, block, scratch);
            }
            block::backward(&context, index, block, scratch, pass, gradients);
        }
    }
}
