//! One sequence on its way.

use super::{GenerationOptions, GenerationRequest};
use crate::sampler::Scratch;
use crate::transformer::attention::cache::Cache;

/// Why a sequence ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The model drew the end-of-sequence token, which is the last of the tokens.
    EndOfSequence,
    /// `tokens_max` tokens were drawn, or the model's context is full.
    Cap,
}

/// One continued sequence.
#[derive(Clone, Debug, PartialEq)]
pub struct Generation {
    /// The tokens drawn, without the prompt.
    pub tokens: Vec<u32>,
    /// Why it ended.
    pub finish: Finish,
    /// After the final norm, `[prompt + tokens - 1, hidden_size]` f32 row-major: every position
    /// that was fed. The last token drawn is not fed.
    pub hidden: Vec<f32>,
}

/// A request and what became of it so far.
pub(super) struct Sequence<'a> {
    request: &'a GenerationRequest,
    tokens: Vec<u32>,
    hidden: Vec<f32>,
    hidden_size: usize,
    /// One for each block; freed when the sequence ends.
    pub(super) caches: Vec<Cache>,
    /// Most tokens to draw.
    limit: usize,
    pub(super) finish: Option<Finish>,
}

impl<'a> Sequence<'a> {
    pub(super) fn new(request: &'a GenerationRequest, limit: usize, hidden_size: usize) -> Self {
        Self {
            request,
            tokens: Vec::new(),
            hidden: Vec::new(),
            hidden_size,
            caches: Vec::new(),
            limit,
            finish: (limit == 0).then_some(Finish::Cap),
        }
    }

    /// Positions that may be fed.
    pub(super) fn capacity(&self) -> usize {
        self.request.prompt.len() + self.limit.max(1) - 1
    }

    /// Makes room for all positions.
    pub(super) fn open(&mut self, caches: Vec<Cache>) {
        self.hidden
            .reserve_exact(self.capacity() * self.hidden_size);
        self.caches = caches;
    }

    pub(super) fn prompt(&self) -> &'a [u32] {
        &self.request.prompt
    }

    /// Positions fed so far.
    pub(super) fn position(&self) -> usize {
        self.hidden.len() / self.hidden_size
    }

    /// The token to be fed next, once the prompt was.
    pub(super) fn last_token(&self) -> u32 {
        self.tokens.last().copied().unwrap_or_default()
    }

    /// Takes the hidden states of positions just fed, and draws a token from the last one's
    /// logits.
    pub(super) fn feed(
        &mut self,
        states: &[f32],
        logits: &[f32],
        options: &GenerationOptions,
        sampler: &mut Scratch,
    ) {
        self.hidden.extend_from_slice(states);
        let (seed, position) = (&self.request.seed, self.position() as u64);
        let token = sampler.sample(logits, seed, position, options.sampling);
        self.tokens.push(token);
        if token == options.eos {
            self.finish = Some(Finish::EndOfSequence);
        } else if self.tokens.len() >= self.limit {
            self.finish = Some(Finish::Cap);
        }
        if self.finish.is_some() {
            self.caches = Vec::new();
        }
    }

    pub(super) fn close(self) -> Generation {
        Generation {
            tokens: self.tokens,
            finish: self.finish.unwrap_or(Finish::Cap),
            hidden: self.hidden,
        }
    }
}
