//! Which rows of a pass belong together, on the device.
//!
//! Sequences of different lengths lie end to end as rows; nothing is padded.

use super::driver::DriverError;
use super::memory::{Array, Device, word};

/// The rows of a pass, one token each.
#[derive(Debug)]
pub(crate) struct Rows {
    /// Rows in all.
    pub(crate) count: usize,
    /// Sequences in all.
    pub(crate) sequences: usize,
    /// Rows of the longest sequence.
    pub(crate) longest: usize,
    /// Values of the squares of all sequences, for one head.
    pub(crate) square_values: usize,
    /// The token of every row.
    pub(crate) tokens: Array<u32>,
    /// The position of every row in its sequence.
    pub(crate) positions: Array<u32>,
    /// The first row of every sequence.
    pub(crate) firsts: Array<u32>,
    /// The rows of every sequence.
    pub(crate) lengths: Array<u32>,
    /// Values of the squares before each sequence's, for one head.
    pub(crate) squares: Array<u64>,
    /// The tokens on the host.
    pub(crate) host_tokens: Vec<u32>,
}

impl Rows {
    pub(crate) fn new(device: &Device, sequences: &[&[u32]]) -> Result<Self, DriverError> {
        let (mut firsts, mut squares) = (Vec::new(), Vec::new());
        let (mut count, mut square_values) = (0, 0_usize);
        for tokens in sequences {
            firsts.push(word(count));
            squares.push(square_values as u64);
            count += tokens.len();
            square_values += tokens.len() * tokens.len().next_multiple_of(4);
        }
        let lengths: Vec<u32> = sequences.iter().map(|tokens| word(tokens.len())).collect();
        let positions: Vec<u32> = lengths.iter().flat_map(|&length| 0..length).collect();
        let host_tokens = sequences.concat();
        Ok(Self {
            count,
            sequences: sequences.len(),
            longest: sequences
                .iter()
                .map(|tokens| tokens.len())
                .max()
                .unwrap_or(0),
            square_values,
            tokens: device.upload(&host_tokens)?,
            positions: device.upload(&positions)?,
            firsts: device.upload(&firsts)?,
            lengths: device.upload(&lengths)?,
            squares: device.upload(&squares)?,
            host_tokens,
        })
    }
}
