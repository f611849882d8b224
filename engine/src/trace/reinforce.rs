//! The trace of a part of a reinforcement unit.
//!
//! It ends in the sum and the loss of [`grpo`](crate::trainer::grpo()), to which the behaviour
//! policy's log-probabilities are given; here they are numbers of the trace like all others.

use super::model;
use super::products::Products;
use crate::arithmetic::threads::Threads;
use crate::trainer::{Gradients, GrpoOptions, GrpoSequence};
use crate::{InputError, Parameters};
use engine_trace::{
    Kind, Numbers, Objective, Program, Reinforcement, Sequence, Sequences, Tensor, Trace,
};

/// What a part of a reinforcement unit computes with.
#[derive(Clone, Copy, Debug)]
pub struct PolicyPart<'a> {
    /// The model that learns.
    pub learner: &'a Parameters,
    /// The model that drew the responses.
    pub behaviour: &'a Parameters,
    /// What the parts before add up to.
    pub sum: &'a Gradients,
    /// The sequences of the part; their log-probabilities are not read.
    pub sequences: &'a [GrpoSequence],
    /// The objective.
    pub options: &'a GrpoOptions,
    /// Parts of the unit.
    pub parts_count: u32,
}

impl PolicyPart<'_> {
    /// The program, of which the sequences' lengths and advantages are all that it reads.
    #[must_use]
    pub fn program(&self) -> Program {
        let GrpoOptions {
            clip_low,
            clip_high,
            delta,
            temperature,
            normaliser,
        } = *self.options;
        let sequence = |sequence: &GrpoSequence| {
            let prompt_count = sequence.prompt_len as u64;
            Sequence {
                prompt_count,
                response_count: (sequence.tokens.len() as u64).saturating_sub(prompt_count),
                advantage: Some(sequence.advantage),
            }
        };
        Program::reinforcement(Reinforcement {
            model: model(self.learner.config()),
            sequences: Sequences::new(self.sequences.iter().map(sequence).collect()),
            objective: Objective {
                clip_low,
                clip_high,
                delta,
                temperature,
                normaliser,
                parts_count: self.parts_count,
            },
        })
    }
    /// Computes what the part adds to the sum, and keeps every number on the way.
    ///
    /// # Errors
    /// A sequence that is too long, without a prompt, or outside the vocabulary.
    ///
    /// # Panics
    /// If models and sum are of different shapes.
    pub fn trace(&self, threads: &Threads) -> Result<Trace, InputError> {
        let config = self.learner.config();
        for (index, sequence) in self.sequences.iter().enumerate() {
            crate::transformer::pass::check(config, index, &sequence.tokens)?;
            let (tokens, prompt) = (sequence.tokens.len(), sequence.prompt_len);
            if prompt == 0 || prompt > tokens {
                return Err(InputError::Response {
                    sequence: index,
                    tokens,
                    prompt,
                    logprobs: sequence.behaviour_logprobs.len(),
                });
            }
        }
        let given = |tensor: Tensor| match tensor.kind {
            Kind::Weights => Numbers::Single(self.learner.as_slice().to_vec()),
            Kind::BehaviourWeights => Numbers::Single(self.behaviour.as_slice().to_vec()),
            Kind::SumBefore => Numbers::Single(self.sum.as_slice().to_vec()),
            _ => {
                let tokens = self.sequences.iter().map(|sequence| &sequence.tokens);
                Numbers::Word(tokens.flatten().copied().collect())
            }
        };
        let trace = Trace::new(self.program(), given, &mut Products::new(threads));
        Ok(trace.expect("models and sum are of one shape"))
    }
}

#[cfg(test)]
mod tests;
