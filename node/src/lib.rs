//! Wires: the `cairn` binary.
pub mod rpc;
