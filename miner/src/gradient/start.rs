//! Where a segment starts, read from the files of its state; and what a unit gives, which follows
//! from the weights of its last state alone.

use super::{GradientInputs, Keep, phase, pretrain, reinforce};
use crate::ExecuteError;
use engine::{
    Device,
    trainer::{InnerState, file},
};
use protocol::{BlobId, gradient::State, recipe::Phase};

/// A state between two segments.
#[derive(Clone, Debug, PartialEq)]
pub enum Start {
    /// Weights and moments, in pre-training.
    Training(Box<InnerState>),
    /// The gradient of the segments before, in reinforcement learning, `[parameters]`.
    Gradient(Vec<f32>),
}

impl Start {
    /// The state that files hold, those of its weights first; nothing where they are not those of
    /// this model.
    #[must_use]
    pub fn restored(
        inputs: &GradientInputs<'_>,
        steps_count: u32,
        files: &[&[u8]],
    ) -> Option<Self> {
        match (phase(inputs).ok()?, files) {
            (Phase::Pretrain, &[weights, first, second]) => {
                let files = [weights, first, second];
                let state = pretrain::restored(inputs, steps_count, files)?;
                Some(Self::Training(Box::new(state)))
            }
            (Phase::Reinforce, &[gradient]) => {
                let length = inputs.model.as_slice().len();
                let values = file::read(gradient).filter(|values| values.len() == length);
                values.map(Self::Gradient)
            }
            _ => None,
        }
    }
    /// Weights and moments, if it is one of pre-training.
    #[must_use]
    pub const fn training(&self) -> Option<&InnerState> {
        match self {
            Self::Training(state) => Some(state),
            Self::Gradient(_) => None,
        }
    }
    pub(super) fn gradient(&self) -> Option<&[f32]> {
        match self {
            Self::Training(_) => None,
            Self::Gradient(values) => Some(values),
        }
    }
}

/// What a unit gives whose last state has these weights, `[parameters]`, which takes no step.
///
/// # Errors
/// As [`phase`].
pub fn given(
    inputs: &GradientInputs<'_>,
    last: &[f32],
    device: &Device,
) -> Result<Vec<f32>, ExecuteError> {
    Ok(match phase(inputs)? {
        Phase::Pretrain => pretrain::difference(inputs, last),
        Phase::Reinforce => reinforce::clipped(last.to_vec(), device),
    })
}

/// Keeps the files of a state.
pub(super) fn keep_files(keep: &mut Keep<'_>, files: &[&[f32]]) -> Result<(), ExecuteError> {
    for values in files {
        keep(&file::write(values)).map_err(|error| ExecuteError::Keep {
            reason: error.to_string(),
        })?;
    }
    Ok(())
}

/// Names of the files of a state, weights first.
#[must_use]
pub fn files(state: &State) -> Vec<BlobId> {
    let moments = state.moments.iter();
    let moments = moments.flat_map(|moments| [moments.first, moments.second]);
    std::iter::once(state.weights).chain(moments).collect()
}
