//! TOPLOC: a short commitment to the last hidden states of a rollout.
//!
//! A miner that claims "this model wrote these tokens" also sends, for every 32 tokens, 258 bytes
//! about the activations it computed: where the 128 largest of them are, and their bf16 values. A
//! verifier prefills the same tokens (much cheaper than writing them), finds its own 128 largest
//! activations, and compares. A different model, precision or prompt has other activations.
//!
//! The flow, each word a module:
//!
//! 1. **chunk** ([`Activations`]): the prompt's activations are the first chunk, the response's
//!    follow [`Layout::chunk_tokens`] at a time.
//! 2. **select**: the k activations of largest magnitude, ties to the lowest index.
//! 3. **field**: reduce indices by a modulus under which they stay distinct, and pass the unique
//!    polynomial over GF(65497) through (index mod m, bit pattern).
//! 4. **wire** ([`Proof`]): the modulus and the coefficients, 2 + 2k bytes, or base64.
//! 5. **verify** ([`verify()`]): evaluate the polynomial at the verifier's own indices and compare
//!    with its own values under a [`Rule`]: [`Rule::Exact`] for engines that give the same bits
//!    everywhere, [`Rule::Tolerant`] with integer [`Thresholds`] for those that do not.
//!
//! ```
//! use protocol::proof::toploc::{Activations, Layout, Rule, build, verify};
//!
//! // [tokens, hidden] bf16, row-major: two prompt tokens and three response tokens of width four.
//! let states: Vec<u16> = (0..20).map(|index| 0x3f80 + index * 5).collect();
//! let layout = Layout { hidden: 4, prefill_tokens: 2, chunk_tokens: 32, top_count: 6 };
//! let activations = Activations::new(&states, layout)?;
//! let proofs = build(&activations)?;
//! assert_eq!(proofs.len(), 2);
//! assert_eq!(proofs[0].to_bytes().len(), 2 + 2 * 6);
//! assert!(verify(&proofs, &activations, Rule::Exact).is_ok());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The wire bytes are those of the reference library, so proofs interchange both ways. What is
//! decided differently, and why, is listed in the specification; the most important: signs count,
//! counts and lengths count, and nothing a prover sends can stop a verifier.
//!
//! Spec: 03-proof. Paper: arXiv:2501.16007.
#![deny(clippy::float_arithmetic)]

mod chunk;
mod field;
mod select;
#[cfg(test)]
mod tests;
mod verify;
mod wire;

pub use chunk::{Activations, ActivationsError, Layout};
pub use field::PRIME;
pub use verify::{Agreement, MantissaDistance, Rejection, Rule, Thresholds, verify, verify_bytes};
pub use wire::{Proof, WireError};

/// Most activations one proof may cover, the scheme's k: the longest proof has 1026 bytes.
pub const TOP_COUNT_MAX: usize = 512;

/// Largest modulus, and where the search for one begins.
pub const MODULUS_MAX: u16 = 65_497;

/// Why no proof can be made of some activations.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// One of the values is a not-a-number whose bit pattern the field cannot hold.
    #[error("activation {index} is {bits:#06x}, a not-a-number; a proof holds values below 0xffd9")]
    Unrepresentable {
        /// Position in the chunk.
        index: u32,
        /// The bf16 bit pattern.
        bits: u16,
    },
    /// No modulus keeps the indices apart. This takes indices chosen for the purpose.
    #[error("no modulus up to {MODULUS_MAX} keeps {point_count} indices distinct")]
    Modulus {
        /// Points to keep apart.
        point_count: usize,
    },
    /// Not a number of points that a proof may have.
    #[error("a proof of {point_count} points is not possible; 1 to {TOP_COUNT_MAX} are")]
    PointCount {
        /// Points given.
        point_count: usize,
    },
}

/// Makes the proofs of a rollout's activations, one for each chunk, in order.
///
/// # Errors
/// When a chunk's largest activations hold a not-a-number that the field cannot represent.
pub fn build(activations: &Activations<'_>) -> Result<Vec<Proof>, BuildError> {
    let mut selector = select::Selector::new(activations.layout().top_count);
    activations
        .chunks()
        .map(|chunk| Proof::from_points(&selector.largest(chunk)))
        .collect()
}

/// Makes the proof of one chunk: `values` is any row-major run of bf16 bit patterns.
///
/// A chunk of fewer than `top_count` values is covered whole.
///
/// # Errors
/// When the chunk is empty, or its largest values hold a not-a-number that the field cannot
/// represent.
pub fn build_chunk(values: &[u16], top_count: usize) -> Result<Proof, BuildError> {
    Proof::from_points(&select::Selector::new(top_count).largest(values))
}
