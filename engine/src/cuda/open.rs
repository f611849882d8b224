//! Finding a GPU that works.

use super::Gpu;

/// Why a GPU cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// The engine was built without the feature `cuda`.
    #[error("this program was built without the feature cuda")]
    NotBuilt,
    /// There is no driver, or it has no such device for us.
    #[error("{reason}")]
    Driver {
        /// What is missing, or what the driver says.
        reason: String,
    },
    /// A device older than the kernels are made for.
    #[error(
        "GPU {index} has compute capability {}.{}; the kernels need {}.{}",
        found.0, found.1, least.0, least.1
    )]
    Capability {
        /// The device's index.
        index: usize,
        /// The device's capability.
        found: (i32, i32),
        /// The oldest that is supported.
        least: (i32, i32),
    },
}

/// Opens the GPU with this index, of those that the driver shows (`CUDA_VISIBLE_DEVICES`).
///
/// # Errors
/// Why it cannot be used.
#[cfg(feature = "cuda")]
pub fn open(index: usize) -> Result<Gpu, Unusable> {
    let driver = super::gpu_driver::GpuDriver::open(index)?;
    Ok(Gpu::with_driver(std::sync::Arc::new(driver)))
}

/// Opens the GPU with this index; there is none without the feature `cuda`.
///
/// # Errors
/// Always.
#[cfg(not(feature = "cuda"))]
pub fn open(_index: usize) -> Result<Gpu, Unusable> {
    Err(Unusable::NotBuilt)
}
