//! Which tensors there are, in the order in which they are computed.
//!
//! ```text
//! a step               before, for each part (batch, forward, cross-entropy, backward), after
//! a reinforcement part before, tokens, forward of the model that drew them, forward of the one
//!                      that learns, the clipped objective, backward, after
//! ```

use super::kind::Kind;
use super::{Tensor, Work};
use crate::model::Model;

/// What a step starts from.
const BEFORE: [Kind; 3] = [Kind::Weights, Kind::FirstMoment, Kind::SecondMoment];
/// The batch of a step, once a part.
const BATCH: [Kind; 3] = [Kind::Tokens, Kind::Targets, Kind::RowWeights];
/// What a reinforcement part starts from.
const BEFORE_REINFORCEMENT: [Kind; 3] = [Kind::Weights, Kind::BehaviourWeights, Kind::SumBefore];
/// Once a block, on the way forward.
const FORWARD: [Kind; 25] = [
    Kind::Norm1Lanes,
    Kind::Norm1Root,
    Kind::Norm1,
    Kind::Qkv,
    Kind::Biased,
    Kind::HeadLanes,
    Kind::HeadRoot,
    Kind::HeadNormed,
    Kind::Rotated,
    Kind::Scores,
    Kind::ScoreMax,
    Kind::Exponentials,
    Kind::ExponentialLanes,
    Kind::Reciprocal,
    Kind::Probabilities,
    Kind::Mixed,
    Kind::AttentionOut,
    Kind::Middle,
    Kind::Norm2Lanes,
    Kind::Norm2Root,
    Kind::Norm2,
    Kind::GateUp,
    Kind::Gated,
    Kind::Down,
    Kind::Residual,
];
/// Once a part, after the blocks: up to log-probabilities.
const HEAD: [Kind; 9] = [
    Kind::FinalLanes,
    Kind::FinalRoot,
    Kind::Hidden,
    Kind::Logits,
    Kind::LogitMax,
    Kind::LogitExponentials,
    Kind::LogitLanes,
    Kind::LogitSum,
    Kind::LogProbability,
];
/// What is learned in pre-training: cross-entropy.
const CROSS_ENTROPY: [Kind; 2] = [Kind::Loss, Kind::Weight];
/// What is learned in a reinforcement part: the clipped objective.
const CLIPPED: [Kind; 6] = [
    Kind::Ratio,
    Kind::Free,
    Kind::Held,
    Kind::Objective,
    Kind::Loss,
    Kind::RowWeights,
];
/// Once a part, from the gradient of the logits to that of what the last block gives.
const TOP: [Kind; 6] = [
    Kind::Slope,
    Kind::HeadGradient,
    Kind::HiddenSlope,
    Kind::FinalDotLanes,
    Kind::FinalMean,
    Kind::TopSlope,
];
/// Once a block, on the way back, from the last.
const BACKWARD: [Kind; 31] = [
    Kind::GatedSlope,
    Kind::DownGradient,
    Kind::GateUpSlope,
    Kind::GateUpGradient,
    Kind::Norm2Slope,
    Kind::Norm2DotLanes,
    Kind::Norm2Mean,
    Kind::MiddleSlope,
    Kind::Norm2Gain,
    Kind::MixedSlope,
    Kind::OutGradient,
    Kind::ProbabilitySlope,
    Kind::SoftmaxLanes,
    Kind::SoftmaxMean,
    Kind::ScoreSlope,
    Kind::KeySlopes,
    Kind::ValueSlopes,
    Kind::RotatedSlope,
    Kind::UnrotatedSlope,
    Kind::HeadDotLanes,
    Kind::HeadMean,
    Kind::ProjectedSlope,
    Kind::QueryGain,
    Kind::KeyGain,
    Kind::BiasGradient,
    Kind::QkvGradient,
    Kind::Norm1Slope,
    Kind::Norm1DotLanes,
    Kind::Norm1Mean,
    Kind::ResidualSlope,
    Kind::Norm1Gain,
];
/// Once a part, at its end.
const END: [Kind; 3] = [Kind::FinalGain, Kind::EmbeddingSum, Kind::EmbeddingGradient];
/// Once a step, after the parts; the last four are what it ends with.
const AFTER: [Kind; 8] = [
    Kind::MeanFactor,
    Kind::Mean,
    Kind::SquareLanes,
    Kind::ClipFactor,
    Kind::LossMicro,
    Kind::NewFirstMoment,
    Kind::NewSecondMoment,
    Kind::NewWeights,
];
/// What a reinforcement part ends with.
const AFTER_REINFORCEMENT: [Kind; 2] = [Kind::LossMicro, Kind::SumAfter];

/// Tensors that everybody knows before.
pub const GIVEN_COUNT: usize = 3;
/// Tensors that a step ends with: the loss, both moments, the weights. A reinforcement part has
/// fewer: the loss and the sum.
pub const RESULTS_COUNT: usize = 4;
/// The pass of a reinforcement part by the model that drew the responses.
pub(crate) const BEHAVIOUR: usize = 0;
/// Its pass by the model that learns.
pub(crate) const LEARNER: usize = 1;

impl Work {
    /// Passes, forward at least: the parts of a batch, or the two models of a reinforcement part.
    pub(super) fn passes_count(&self) -> usize {
        match self {
            Self::Step(step) => step.parts.len(),
            Self::Reinforcement(_) => 2,
        }
    }
    /// Tensors that it ends with.
    pub(super) const fn results_count(&self) -> usize {
        match self {
            Self::Step(_) => RESULTS_COUNT,
            Self::Reinforcement(_) => AFTER_REINFORCEMENT.len(),
        }
    }
    /// All tensors in the order in which they are computed.
    pub(super) fn tensors(&self) -> Vec<Tensor> {
        let mut order = Order {
            model: self.model(),
            tensors: Vec::new(),
        };
        match self {
            Self::Step(step) => {
                order.push(0, 0, &BEFORE);
                for part in 0..step.parts.len() {
                    order.push(part, 0, &BATCH);
                    order.forward(part);
                    order.push(part, 0, &CROSS_ENTROPY);
                    order.backward(part);
                }
                order.push(0, 0, &AFTER);
            }
            Self::Reinforcement(_) => {
                order.push(0, 0, &BEFORE_REINFORCEMENT);
                order.push(BEHAVIOUR, 0, &[Kind::Tokens]);
                order.forward(BEHAVIOUR);
                order.forward(LEARNER);
                order.push(LEARNER, 0, &CLIPPED);
                order.backward(LEARNER);
                order.push(0, 0, &AFTER_REINFORCEMENT);
            }
        }
        order.tensors
    }
}

/// Tensors so far.
struct Order<'a> {
    model: &'a Model,
    tensors: Vec<Tensor>,
}

impl Order<'_> {
    fn push(&mut self, part: usize, layer: u32, kinds: &[Kind]) {
        let kinds = kinds.iter().filter(|kind| kind.is_of(self.model));
        let tensor = |&kind| Tensor { part, layer, kind };
        self.tensors.extend(kinds.map(tensor));
    }
    /// From the embedding to log-probabilities.
    fn forward(&mut self, part: usize) {
        self.push(part, 0, &[Kind::Embedded]);
        for layer in 0..self.model.layers_count {
            self.push(part, layer, &FORWARD);
        }
        self.push(part, 0, &HEAD);
    }
    /// From the gradient of the logits to that of the embedding.
    fn backward(&mut self, part: usize) {
        self.push(part, 0, &TOP);
        for layer in (0..self.model.layers_count).rev() {
            self.push(part, layer, &BACKWARD);
        }
        self.push(part, 0, &END);
    }
}
