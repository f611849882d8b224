//! Finding a GPU that works.

use super::Gpu;

/// Why a GPU cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Unusable {
    reason: String,
}

/// Opens the GPU with this index.
///
/// # Errors
/// Why it cannot be used.
pub fn open(_index: usize) -> Result<Gpu, Unusable> {
    Err(Unusable {
        reason: "this program was built without the feature cuda".to_owned(),
    })
}
