//! The same bits on a GPU.

pub(crate) mod driver;
pub(crate) mod memory;

pub use driver::{Address, Driver, DriverError, Launch};
