//! Where tensors stand in flat vectors, and what a pass reads of other tensors.

use super::kind::Kind;
use super::{BEHAVIOUR, Program, Tensor, Work};
use crate::model::Model;

/// Which gradient stands at a place of the flat vector: block, tensor and index in it.
pub(crate) fn gradient_at(model: &Model, place: u64) -> (u32, Kind, u64) {
    if place < model.embedding_length() {
        return (0, Kind::EmbeddingGradient, place);
    }
    if let Some(index) = place.checked_sub(model.final_norm_place()) {
        return match index.checked_sub(model.hidden_size) {
            None => (0, Kind::FinalGain, index),
            Some(index) => (0, Kind::HeadGradient, index),
        };
    }
    let block = model.places(0).end - model.places(0).norm1;
    let layer = u32::try_from((place - model.embedding_length()) / block).unwrap_or(u32::MAX);
    // Where a model lacks a tensor, the next one starts at the same place and is met before it.
    let kinds = [
        Kind::DownGradient,
        Kind::GateUpGradient,
        Kind::Norm2Gain,
        Kind::OutGradient,
        Kind::KeyGain,
        Kind::QueryGain,
        Kind::BiasGradient,
        Kind::QkvGradient,
        Kind::Norm1Gain,
    ];
    let starts = |kind: &Kind| gradient_start(model, layer, *kind) <= place;
    let kind = kinds.into_iter().find(starts).unwrap_or(Kind::Norm1Gain);
    (layer, kind, place - gradient_start(model, layer, kind))
}

/// Where a gradient begins in the flat vector.
const fn gradient_start(model: &Model, layer: u32, kind: Kind) -> u64 {
    let places = model.places(layer);
    match kind {
        Kind::DownGradient => places.down,
        Kind::GateUpGradient => places.gate_up,
        Kind::Norm2Gain => places.norm2,
        Kind::OutGradient => places.out,
        Kind::KeyGain => places.key_norm,
        Kind::QueryGain => places.query_norm,
        Kind::BiasGradient => places.bias,
        Kind::QkvGradient => places.qkv,
        Kind::Norm1Gain => places.norm1,
        Kind::FinalGain => model.final_norm_place(),
        Kind::HeadGradient => model.head_place(),
        // The embedding is first.
        _ => 0,
    }
}

impl Program {
    /// The weights that the pass of a tensor is computed with.
    #[must_use]
    pub const fn weights(&self, tensor: Tensor) -> Tensor {
        let kind = match self.work {
            Work::Reinforcement(_) if tensor.part == BEHAVIOUR => Kind::BehaviourWeights,
            Work::Reinforcement(_) | Work::Step(_) => Kind::Weights,
        };
        Tensor {
            part: 0,
            layer: 0,
            kind,
        }
    }
    /// The tokens that the pass of a tensor reads.
    #[must_use]
    pub const fn tokens(&self, tensor: Tensor) -> Tensor {
        let part = match self.work {
            Work::Step(_) => tensor.part,
            Work::Reinforcement(_) => BEHAVIOUR,
        };
        Tensor {
            part,
            layer: 0,
            kind: Kind::Tokens,
        }
    }
    /// What the gradient of weights was before a tensor's pass: the tensor that holds it, and where
    /// in it; nothing where it was +0.
    #[must_use]
    pub fn gradient_before(&self, tensor: Tensor) -> Option<(Tensor, u64)> {
        let Tensor { part, layer, kind } = tensor;
        match self.work {
            Work::Step(_) => Some((
                Tensor {
                    part: part.checked_sub(1)?,
                    ..tensor
                },
                0,
            )),
            Work::Reinforcement(_) => Some((
                Tensor {
                    part: 0,
                    layer: 0,
                    kind: Kind::SumBefore,
                },
                gradient_start(self.model(), layer, kind),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RopeScaling;

    #[test]
    fn every_place_of_the_flat_vector_is_of_one_gradient_and_places_ascend_in_it() {
        for is_tied in [true, false] {
            for (has_biases, has_head_norms) in [(false, false), (true, false), (false, true)] {
                let model = Model {
                    vocab_size: 7,
                    hidden_size: 6,
                    intermediate_size: 5,
                    layers_count: 3,
                    heads_count: 4,
                    key_heads_count: 2,
                    head_dim: 2,
                    eps: 1e-5,
                    rope_theta: 100.0,
                    rope_scaling: RopeScaling::Default,
                    has_biases,
                    has_head_norms,
                    is_tied,
                };
                for place in 0..model.parameters_count() {
                    let (layer, kind, index) = gradient_at(&model, place);
                    let start = gradient_start(&model, layer, kind);
                    assert_eq!(start + index, place, "{layer} {kind:?}");
                    assert!(kind.is_of(&model), "{layer} {kind:?}");
                }
            }
        }
    }
}
