//! The HTTP interface.
pub mod overview;
