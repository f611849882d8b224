//! Blobs over streams: `/cairn/<chain>/blob/1`.
//!
//! A requester opens a stream and sends requests, each naming a blob, its size and a range of at
//! most [`SEGMENT_BYTES_MAX`](crate::limits::SEGMENT_BYTES_MAX). The provider answers each with one
//! status byte and, if it has the blob, the BAO encoding of the range: hash pairs and chunk groups
//! in depth-first order. The requester checks every pair and every group against the hash it
//! asked for as they arrive, so a lie costs at most one chunk group of wasted traffic.

pub(crate) mod attempt;
pub(crate) mod fetch;
pub mod hostile;
mod job;
mod outboard;
mod segments;
pub(crate) mod serve;
mod wire;
mod worker;
