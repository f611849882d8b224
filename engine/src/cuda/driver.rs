//! What the engine needs of a GPU: memory, copies, kernels by name. Nothing else.
//!
//! The seam has two sides. With the feature `cuda` it is the driver of a real GPU; in tests it is
//! the host, running the same kernel source. All above it is written once.

use std::fmt::Debug;

/// Why a device did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("device failed to {operation}: {reason}")]
pub struct DriverError {
    /// What was asked.
    pub operation: &'static str,
    /// What the driver says.
    pub reason: String,
}

/// An address in device memory.
pub type Address = u64;

/// A kernel to be run over a grid of blocks.
#[derive(Clone, Copy, Debug)]
pub struct Launch<'a> {
    /// Its name in the kernels' source.
    pub kernel: &'static str,
    /// Blocks in x, y and z.
    pub grid: [u32; 3],
    /// Threads of a block.
    pub threads: u32,
    /// One word for each parameter: addresses, and the bits of numbers in the low end.
    pub arguments: &'a [u64],
}

/// A device that runs the kernels.
///
/// Operations happen in the order they are asked for. Addresses come from [`Driver::allocate`] and
/// lengths are in bytes. The callers, all in this module, keep copies and kernels inside what they
/// have allocated.
pub trait Driver: Debug + Send + Sync {
    /// The device's name.
    fn name(&self) -> String;

    /// Bytes of its memory in all.
    fn memory_bytes(&self) -> u64;

    /// How many blocks it works on at a time, about: its multiprocessors.
    fn processor_count(&self) -> usize;

    /// Cycles of its processors in a second; 0 if unknown. For reports only.
    fn clock_hertz(&self) -> u64;

    /// Memory with unspecified content, aligned to 256 bytes.
    ///
    /// # Errors
    /// The device has too little memory or is lost.
    fn allocate(&self, bytes: usize) -> Result<Address, DriverError>;

    /// Gives memory back.
    fn free(&self, address: Address);

    /// Copies to the device.
    ///
    /// # Errors
    /// The device is lost.
    fn upload(&self, to: Address, from: &[u8]) -> Result<(), DriverError>;

    /// Copies from the device, after all launches before.
    ///
    /// # Errors
    /// The device is lost, or a kernel before this failed.
    fn download(&self, from: Address, to: &mut [u8]) -> Result<(), DriverError>;

    /// Copies inside the device.
    ///
    /// # Errors
    /// The device is lost.
    fn copy(&self, from: Address, to: Address, bytes: usize) -> Result<(), DriverError>;

    /// Sets bytes to 0.
    ///
    /// # Errors
    /// The device is lost.
    fn clear(&self, address: Address, bytes: usize) -> Result<(), DriverError>;

    /// Starts a kernel.
    ///
    /// # Errors
    /// No kernel of that name, or the device is lost.
    fn launch(&self, launch: Launch<'_>) -> Result<(), DriverError>;

    /// Waits until all is done.
    ///
    /// # Errors
    /// The device is lost, or a kernel before this failed.
    fn synchronize(&self) -> Result<(), DriverError>;
}
