//! All tensors of a step in the order in which they are computed.
//!
//! What the step starts from comes first, what it ends with last; everything between is nobody's
//! but the one's who computed it, and is named in a table of its own.

mod kind;
mod order;
mod places;

pub use kind::{Encoding, Kind};
pub(crate) use kind::{single, word};
pub(crate) use order::{BEHAVIOUR, LEARNER};
pub use order::{GIVEN_COUNT, RESULTS_COUNT};
pub(crate) use places::gradient_at;

use crate::model::{Model, Part, Reinforcement, Step};
use crate::rows::Rows;
use borsh::{BorshDeserialize, BorshSerialize};
use kind::KINDS_COUNT;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One tensor of a step.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
pub struct Tensor {
    /// Index of the part of the batch; in a reinforcement part, 0 for the pass of the model that
    /// drew the responses and 1 for that of the one that learns. 0 for what there is once.
    pub part: usize,
    /// Index of the block; 0 for what there is once a part.
    pub layer: u32,
    /// What it is.
    pub kind: Kind,
}

impl fmt::Display for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { part, layer, kind } = self;
        write!(f, "{kind:?} (part {part}, block {layer})")
    }
}

/// What a program computes.
#[derive(Clone, Debug)]
enum Work {
    Step(Step),
    Reinforcement(Reinforcement),
}

impl Work {
    const fn model(&self) -> &Model {
        match self {
            Self::Step(step) => &step.model,
            Self::Reinforcement(part) => &part.model,
        }
    }
}

/// The tensors of a step of pre-training, or of a part of a reinforcement unit.
#[derive(Clone, Debug)]
pub struct Program {
    work: Work,
    tensors: Vec<Tensor>,
    /// By [`Program::slot`], the place of a tensor, and 0 for what there is none of.
    places: Vec<u32>,
}

impl Program {
    /// The program of a step.
    #[must_use]
    pub fn new(step: Step) -> Self {
        Self::of(Work::Step(step))
    }
    /// The program of a part of a reinforcement unit.
    #[must_use]
    pub fn reinforcement(part: Reinforcement) -> Self {
        Self::of(Work::Reinforcement(part))
    }
    fn of(work: Work) -> Self {
        let layers_count = work.model().layers_count.max(1) as usize;
        let slots = work.passes_count().max(1) * layers_count * KINDS_COUNT;
        let tensors = work.tensors();
        let mut program = Self {
            work,
            places: vec![0; slots],
            tensors: Vec::new(),
        };
        for (place, tensor) in (0..).zip(&tensors) {
            if let Some(slot) = program.slot(*tensor) {
                program.places[slot] = place;
            }
        }
        program.tensors = tensors;
        program
    }
    /// The index of a tensor among all that there could be; nothing of another program's.
    fn slot(&self, tensor: Tensor) -> Option<usize> {
        let layers_count = self.model().layers_count.max(1) as usize;
        let layer = tensor.layer as usize;
        if layer >= layers_count {
            return None;
        }
        let slot = (tensor.part * layers_count + layer) * KINDS_COUNT + tensor.kind as usize;
        (slot < self.places.len()).then_some(slot)
    }
    /// The model: its shape, where there are weights of two.
    #[must_use]
    pub const fn model(&self) -> &Model {
        self.work.model()
    }
    /// The step of pre-training, if it is one.
    pub(crate) const fn step(&self) -> Option<&Step> {
        match &self.work {
            Work::Step(step) => Some(step),
            Work::Reinforcement(_) => None,
        }
    }
    /// The part of a reinforcement unit, if it is one.
    #[must_use]
    pub const fn part(&self) -> Option<&Reinforcement> {
        match &self.work {
            Work::Step(_) => None,
            Work::Reinforcement(part) => Some(part),
        }
    }
    /// The rows of the part that a tensor belongs to.
    pub(crate) fn rows(&self, tensor: Tensor) -> Rows<'_> {
        let nothing = Part {
            sequences_count: 0,
            length: 0,
        };
        match &self.work {
            Work::Step(step) => {
                Rows::Equal(step.parts.get(tensor.part).copied().unwrap_or(nothing))
            }
            Work::Reinforcement(part) => Rows::Ragged(&part.sequences),
        }
    }
    /// All tensors, in the order in which they are computed.
    #[must_use]
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }
    /// The place of a tensor among all.
    #[must_use]
    pub fn place(&self, tensor: Tensor) -> Option<usize> {
        let place = *self.places.get(self.slot(tensor)?)? as usize;
        (self.tensors.get(place) == Some(&tensor)).then_some(place)
    }
    /// The places of the tensors that the table names: all but what is given and what results.
    #[must_use]
    pub fn table(&self) -> std::ops::Range<usize> {
        GIVEN_COUNT..self.tensors.len() - self.work.results_count()
    }
    /// Rows and columns of a tensor; one column where rows differ in their columns.
    #[must_use]
    pub fn shape(&self, tensor: Tensor) -> (u64, u64) {
        let of_rows = self.shape_of_rows(tensor.kind, self.rows(tensor));
        of_rows.unwrap_or_else(|| self.shape_of_weights(tensor.kind))
    }

    /// Of what has a row for each token, or for each head of a token.
    pub(crate) fn shape_of_rows(&self, kind: Kind, rows: Rows<'_>) -> Option<(u64, u64)> {
        let model = self.model();
        let (d, ff) = (model.hidden_size, model.intermediate_size);
        let (q, w) = (model.query_width(), model.qkv_width());
        let r = rows.count();
        let by_head = r * model.heads_count;
        let by_turned = r * model.turned_heads_count();
        Some(match kind {
            Kind::Tokens
            | Kind::Targets
            | Kind::RowWeights
            | Kind::Ratio
            | Kind::Free
            | Kind::Held
            | Kind::Objective
            | Kind::Norm1Root
            | Kind::Norm2Root
            | Kind::FinalRoot
            | Kind::LogitMax
            | Kind::LogitSum
            | Kind::LogProbability
            | Kind::FinalMean
            | Kind::Norm1Mean
            | Kind::Norm2Mean => (r, 1),
            Kind::Norm1Lanes
            | Kind::Norm2Lanes
            | Kind::FinalLanes
            | Kind::LogitLanes
            | Kind::FinalDotLanes
            | Kind::Norm1DotLanes
            | Kind::Norm2DotLanes => (r, 16),
            Kind::Embedded
            | Kind::Norm1
            | Kind::AttentionOut
            | Kind::Middle
            | Kind::Norm2
            | Kind::Down
            | Kind::Residual
            | Kind::Hidden
            | Kind::HiddenSlope
            | Kind::TopSlope
            | Kind::Norm2Slope
            | Kind::MiddleSlope
            | Kind::Norm1Slope
            | Kind::ResidualSlope => (r, d),
            Kind::Qkv
            | Kind::Biased
            | Kind::HeadNormed
            | Kind::Rotated
            | Kind::RotatedSlope
            | Kind::UnrotatedSlope
            | Kind::ProjectedSlope => (r, w),
            Kind::HeadLanes | Kind::HeadDotLanes => (by_turned, 16),
            Kind::HeadRoot | Kind::HeadMean => (by_turned, 1),
            kind if kind.is_square() => rows.square(model.heads_count),
            Kind::ScoreMax | Kind::Reciprocal | Kind::SoftmaxMean => (by_head, 1),
            Kind::ExponentialLanes | Kind::SoftmaxLanes => (by_head, 16),
            Kind::Mixed | Kind::MixedSlope | Kind::KeySlopes | Kind::ValueSlopes => (r, q),
            Kind::GateUp | Kind::GateUpSlope => (r, 2 * ff),
            Kind::Gated | Kind::GatedSlope => (r, ff),
            Kind::Logits | Kind::LogitExponentials | Kind::Slope => (r, model.vocab_size),
            _ => return None,
        })
    }

    /// Of what has the shape of weights, and of what is one number.
    const fn shape_of_weights(&self, kind: Kind) -> (u64, u64) {
        let model = self.model();
        let (d, ff) = (model.hidden_size, model.intermediate_size);
        match kind {
            Kind::Weights
            | Kind::FirstMoment
            | Kind::SecondMoment
            | Kind::Mean
            | Kind::NewFirstMoment
            | Kind::NewSecondMoment
            | Kind::NewWeights
            | Kind::BehaviourWeights
            | Kind::SumBefore
            | Kind::SumAfter => (1, model.parameters_count()),
            Kind::HeadGradient | Kind::EmbeddingSum | Kind::EmbeddingGradient => {
                (model.vocab_size, d)
            }
            Kind::FinalGain | Kind::Norm1Gain | Kind::Norm2Gain => (1, d),
            Kind::DownGradient => (d, ff),
            Kind::GateUpGradient => (2 * ff, d),
            Kind::OutGradient => (d, model.query_width()),
            Kind::QueryGain | Kind::KeyGain => (1, model.head_dim),
            Kind::BiasGradient => (1, model.qkv_width()),
            Kind::QkvGradient => (model.qkv_width(), d),
            Kind::SquareLanes => (1, 16),
            _ => (1, 1),
        }
    }
    /// Numbers in a tensor.
    #[must_use]
    pub fn length(&self, tensor: Tensor) -> u64 {
        let (rows, columns) = self.shape(tensor);
        rows * columns
    }
    /// Bytes of a tensor.
    #[must_use]
    pub fn bytes(&self, tensor: Tensor) -> u64 {
        self.length(tensor) * tensor.kind.encoding().width()
    }
}
