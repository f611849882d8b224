//! The light client against honest chains and those who would lead it astray.
#![allow(clippy::unwrap_used, reason = "tests")]

mod chain;
mod honest;
mod hostile;
