//! What the tensors of a step are.

use crate::model::Model;
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// How the numbers of a tensor are written: little-endian, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// f32, 4 bytes; a NaN as `0x7fc00000`.
    Single,
    /// f64, 8 bytes; a NaN as `0x7ff8000000000000`.
    Double,
    /// u32, 4 bytes.
    Word,
}

impl Encoding {
    /// Bytes of a number.
    #[must_use]
    pub const fn width(self) -> u64 {
        match self {
            Self::Single | Self::Word => 4,
            Self::Double => 8,
        }
    }
    /// A number as its bytes.
    #[must_use]
    pub fn encode(self, number: f64) -> Vec<u8> {
        match self {
            Self::Single if number.is_nan() => 0x7fc0_0000_u32.to_le_bytes().to_vec(),
            Self::Single => single(number).to_le_bytes().to_vec(),
            Self::Double if number.is_nan() => (0x7ff8_u64 << 48).to_le_bytes().to_vec(),
            Self::Double => number.to_le_bytes().to_vec(),
            Self::Word => word(number).to_le_bytes().to_vec(),
        }
    }
    /// The number that bits stand for, in the digits that tell it from all others.
    #[must_use]
    pub fn show(self, bits: u64) -> String {
        let bytes = bits.to_le_bytes();
        let width = usize::try_from(self.width()).unwrap_or(bytes.len());
        match (self, self.decode(&bytes[..width])) {
            (Self::Single, Some(number)) => single(number).to_string(),
            (_, number) => number.unwrap_or(f64::NAN).to_string(),
        }
    }
    /// The number that bytes hold; nothing if they are not as many as it has.
    #[must_use]
    pub fn decode(self, bytes: &[u8]) -> Option<f64> {
        Some(match self {
            Self::Single => f32::from_le_bytes(bytes.try_into().ok()?).into(),
            Self::Double => f64::from_le_bytes(bytes.try_into().ok()?),
            Self::Word => u32::from_le_bytes(bytes.try_into().ok()?).into(),
        })
    }
}

/// An f32 that was widened.
#[expect(
    clippy::cast_possible_truncation,
    reason = "exact: it was widened before"
)]
pub(crate) const fn single(number: f64) -> f32 {
    number as f32
}

/// A u32 that was widened.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "exact: it was widened before; what never was one becomes some word"
)]
pub(crate) const fn word(number: f64) -> u32 {
    number as u32
}

/// What a tensor is. In shapes, R are the rows (tokens) of a part, T the tokens of a row's
/// sequence, H the query heads, U the heads that are rotated, W the width of queries, keys and
/// values.
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
pub enum Kind {
    /// `[N]` weights before the step.
    Weights,
    /// `[N]` first moments before the step.
    FirstMoment,
    /// `[N]` second moments before the step.
    SecondMoment,
    /// `[R]` token ids.
    Tokens,
    /// `[R]` ids of the tokens to be predicted.
    Targets,
    /// `[R]` weights of the rows' losses; of a reinforcement part, what the gradient of a row's
    /// logits is multiplied by.
    RowWeights,

    /// `[R, d]` embedded tokens.
    Embedded,
    /// `[R, 16]` lanes of the squares of what enters a block.
    Norm1Lanes,
    /// `[R]` reciprocal roots.
    Norm1Root,
    /// `[R, d]` after the first norm.
    Norm1,
    /// `[R, W]` queries, keys and values.
    Qkv,
    /// `[R, W]` after the biases.
    Biased,
    /// `[R U, 16]` lanes of the squares of a head.
    HeadLanes,
    /// `[R U]` reciprocal roots.
    HeadRoot,
    /// `[R, W]` after the head norms.
    HeadNormed,
    /// `[R, W]` after the rotation.
    Rotated,
    /// `[R H, T]` scores.
    Scores,
    /// `[R H]` the largest score.
    ScoreMax,
    /// `[R H, T]` exponentials.
    Exponentials,
    /// `[R H, 16]` lanes of their sum.
    ExponentialLanes,
    /// `[R H]` the sum's reciprocal.
    Reciprocal,
    /// `[R H, T]` probabilities.
    Probabilities,
    /// `[R, H D]` mixed values.
    Mixed,
    /// `[R, d]` output of the attention.
    AttentionOut,
    /// `[R, d]` the residual stream between attention and gated layer.
    Middle,
    /// `[R, 16]` lanes of its squares.
    Norm2Lanes,
    /// `[R]` reciprocal roots.
    Norm2Root,
    /// `[R, d]` after the second norm.
    Norm2,
    /// `[R, 2 ff]` gate, then up.
    GateUp,
    /// `[R, ff]` the gated layer.
    Gated,
    /// `[R, d]` its output.
    Down,
    /// `[R, d]` the residual stream after the block.
    Residual,
    /// `[R, 16]` lanes of the squares of what the last block gives.
    FinalLanes,
    /// `[R]` reciprocal roots.
    FinalRoot,
    /// `[R, d]` after the final norm.
    Hidden,
    /// `[R, V]` logits.
    Logits,
    /// `[R]` the largest logit.
    LogitMax,
    /// `[R, V]` exponentials.
    LogitExponentials,
    /// `[R, 16]` lanes of their sum.
    LogitLanes,
    /// `[R]` their sum.
    LogitSum,
    /// `[R]` log-probability of the target; +0 where there is none.
    LogProbability,
    /// `[1]` f64: the part's loss.
    Loss,
    /// `[1]` f64: the part's weight.
    Weight,
    /// `[R, V]` gradient of the logits.
    Slope,

    /// `[V, d]` gradient of the output head.
    HeadGradient,
    /// `[R, d]` gradient of the hidden states.
    HiddenSlope,
    /// `[R, 16]` lanes of the final norm's product of slopes and inputs.
    FinalDotLanes,
    /// `[R]` their sum's share.
    FinalMean,
    /// `[R, d]` gradient of what the last block gives.
    TopSlope,
    /// `[d]` gradient of the final norm's gain.
    FinalGain,
    /// `[R, ff]` gradient of the gated layer.
    GatedSlope,
    /// `[d, ff]` gradient of its last matrix.
    DownGradient,
    /// `[R, 2 ff]` gradient of gate and up.
    GateUpSlope,
    /// `[2 ff, d]` gradient of their matrices.
    GateUpGradient,
    /// `[R, d]` gradient of the second norm's output.
    Norm2Slope,
    /// `[R, 16]` as in the final norm.
    Norm2DotLanes,
    /// `[R]` as in the final norm.
    Norm2Mean,
    /// `[R, d]` gradient of the residual stream between attention and gated layer.
    MiddleSlope,
    /// `[d]` gradient of the second norm's gain.
    Norm2Gain,
    /// `[R, H D]` gradient of the mixed values.
    MixedSlope,
    /// `[d, H D]` gradient of the attention's last matrix.
    OutGradient,
    /// `[R H, T]` gradient of the probabilities.
    ProbabilitySlope,
    /// `[R H, 16]` lanes of the softmax's product.
    SoftmaxLanes,
    /// `[R H]` their sum.
    SoftmaxMean,
    /// `[R H, T]` gradient of the scores.
    ScoreSlope,
    /// `[R, H D]` each query head's part of the gradient of its key head.
    KeySlopes,
    /// `[R, H D]` each query head's part of the gradient of its value head.
    ValueSlopes,
    /// `[R, W]` gradient of what was rotated.
    RotatedSlope,
    /// `[R, W]` gradient of what went into the rotation.
    UnrotatedSlope,
    /// `[R U, 16]` as in the final norm, of heads.
    HeadDotLanes,
    /// `[R U]` as in the final norm, of heads.
    HeadMean,
    /// `[R, W]` gradient of what went into the head norms.
    ProjectedSlope,
    /// `[D]` gradient of the gain of query heads.
    QueryGain,
    /// `[D]` gradient of the gain of key heads.
    KeyGain,
    /// `[W]` gradient of the biases.
    BiasGradient,
    /// `[W, d]` gradient of the matrices of queries, keys and values.
    QkvGradient,
    /// `[R, d]` gradient of the first norm's output.
    Norm1Slope,
    /// `[R, 16]` as in the final norm.
    Norm1DotLanes,
    /// `[R]` as in the final norm.
    Norm1Mean,
    /// `[R, d]` gradient of what enters the block.
    ResidualSlope,
    /// `[d]` gradient of the first norm's gain.
    Norm1Gain,
    /// `[V, d]` what the tokens add to the gradient of the embedding.
    EmbeddingSum,
    /// `[V, d]` gradient of the embedding.
    EmbeddingGradient,

    /// `[1]` by which the gradient is multiplied to be that of the mean.
    MeanFactor,
    /// `[N]` gradient of the mean.
    Mean,
    /// `[16]` f64: lanes of its squares.
    SquareLanes,
    /// `[1]` by which it is clipped.
    ClipFactor,
    /// `[1]` f64: the mean loss in millionths of a nat; of a reinforcement part, its loss as often
    /// as the unit has parts.
    LossMicro,
    /// `[N]` first moments after the step.
    NewFirstMoment,
    /// `[N]` second moments after the step.
    NewSecondMoment,
    /// `[N]` weights after the step.
    NewWeights,

    /// `[N]` weights of the model that drew the responses.
    BehaviourWeights,
    /// `[N]` sum of the parts before.
    SumBefore,
    /// `[R]` ratio of a token's probabilities, now and when it was drawn; this and the three that
    /// follow are +0 in rows that predict no token of a response.
    Ratio,
    /// `[R]` advantage times the ratio, which is bounded on one side.
    Free,
    /// `[R]` advantage times the ratio, which is held between both clips.
    Held,
    /// `[R]` the smaller of both.
    Objective,
    /// `[N]` sum of the parts up to this one.
    SumAfter,
}

/// How many kinds there are.
pub(super) const KINDS_COUNT: usize = Kind::SumAfter as usize + 1;

impl Kind {
    /// Whether it has a number for each token that a head of a row sees, or may not see.
    pub(crate) const fn is_square(self) -> bool {
        matches!(
            self,
            Self::Scores
                | Self::Exponentials
                | Self::Probabilities
                | Self::ProbabilitySlope
                | Self::ScoreSlope
        )
    }
    /// Whether its numbers follow from how much better a response is than others.
    pub(crate) const fn reads_advantage(self) -> bool {
        matches!(self, Self::Free | Self::Held | Self::RowWeights)
    }
    /// Whether a model has it.
    pub(super) const fn is_of(self, model: &Model) -> bool {
        match self {
            Self::Biased | Self::BiasGradient => model.has_biases,
            Self::HeadLanes
            | Self::HeadRoot
            | Self::HeadNormed
            | Self::HeadDotLanes
            | Self::HeadMean
            | Self::ProjectedSlope
            | Self::QueryGain
            | Self::KeyGain => model.has_head_norms,
            _ => true,
        }
    }
    /// How its numbers are written.
    #[must_use]
    pub const fn encoding(self) -> Encoding {
        match self {
            Self::Tokens | Self::Targets => Encoding::Word,
            Self::Loss | Self::Weight | Self::SquareLanes | Self::LossMicro => Encoding::Double,
            _ => Encoding::Single,
        }
    }
}
