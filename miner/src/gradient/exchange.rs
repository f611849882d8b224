//! Updates as they are sent: in the form of the recipe, and with what the sender's updates lost.
//!
//! A dense update is its values. A sparse one sends the largest of
//!
//! ```text
//! y = β e + (θ_0 - θ_H),   e' = y - sent
//! ```
//!
//! where `e` is what the miner's updates have lost before and `e'` what they will have lost after.
//! Both are files like those of states, and named like them: the chain says by which `e` a unit
//! starts, and the miner binds `e'` with the unit, so that the update is a function of what is
//! bound, as everything else is.
//!
//! Spec: 02-gradient §5, arithmetic §8

use super::GradientInputs;
use crate::{ExecuteError, model::number};
use engine::trainer::{
    CompressedUpdate, Update, compress,
    compress::encoded_length,
    file,
    sparse::{self, Feedback, SparseError},
};
use protocol::{BlobId, recipe::UpdateForm};

/// What compressing gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    /// The update's bytes.
    pub update: Vec<u8>,
    /// What they leave out, where the next update has it added.
    pub lost: Option<Vec<f32>>,
}

/// Why bytes are not an update of a model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Of the dense form.
    #[error(transparent)]
    Dense(#[from] compress::DecodeError),
    /// Of the sparse form.
    #[error(transparent)]
    Sparse(#[from] SparseError),
}

/// Compresses what a unit gives.
///
/// # Errors
/// Values that are not finite or too large, or feedback of another model.
pub fn compress(inputs: &GradientInputs<'_>, values: &[f32]) -> Result<Sent, ExecuteError> {
    let Some(decay) = inputs.recipe.update(inputs.unit.step).feedback_decay() else {
        return Ok(Sent {
            update: CompressedUpdate::compress(values)?.encode(),
            lost: None,
        });
    };
    let mut feedback = match inputs.feedback {
        Some(lost) if lost.len() == values.len() => Feedback::of(lost.to_vec()),
        Some(lost) => {
            let (found, expected) = (lost.len(), values.len());
            return Err(ExecuteError::Feedback { found, expected });
        }
        None => Feedback::new(values.len()),
    };
    let sent = feedback.compress(values, number(decay))?;
    Ok(Sent {
        update: sent.encode(),
        lost: Some(feedback.into_lost()),
    })
}

/// Reads the update of a model with so many values.
///
/// # Errors
/// Bytes that no encoder of this form writes.
pub fn read(form: UpdateForm, bytes: &[u8], values_count: usize) -> Result<Update<'_>, ReadError> {
    Ok(match form {
        UpdateForm::Dense => Update::dense(bytes, values_count)?,
        UpdateForm::Sparse { .. } => Update::sparse(bytes, values_count)?,
    })
}

/// The most bytes that an update has.
#[must_use]
pub fn bytes_max(form: UpdateForm, values_count: usize) -> usize {
    match form {
        UpdateForm::Dense => encoded_length(values_count),
        UpdateForm::Sparse { .. } => sparse::encoded_length(values_count),
    }
}

/// What names a file of these values.
#[must_use]
pub fn name(values: &[f32]) -> BlobId {
    BlobId::from_bytes(file::name(values))
}
