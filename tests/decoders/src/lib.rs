//! Every decoder of bytes that strangers send, as one table.
//!
//! A [`Decoder`] takes any bytes, must not panic, hang or take memory out of proportion, and
//! asserts what holds for every value it accepts, above all that the value's encoding is the bytes
//! it came from. Its seeds are small valid inputs.
//!
//! Two programs drive the table: the smoke test of this crate, which mutates seeds a few thousand
//! times on every run of the tests, and `tests/fuzz`, where libFuzzer does so for hours.
//!
//! A new decoder of hostile bytes gets a file here, a line in [`ALL`] and a target of three lines
//! in `tests/fuzz/fuzz_targets`.
#![allow(clippy::unwrap_used, reason = "a failure of a test should stop it")]

mod block;
mod class_table;
mod compressed_update;
mod dispute_move;
mod evidence;
mod genesis;
mod gguf;
mod gradient_payload;
mod names;
#[cfg(feature = "peers")]
mod peers;
mod rollout_payload;
mod rollout_sections;
mod safetensors;
#[cfg(feature = "peers")]
mod signer;
mod sparse_update;
mod toploc;
mod transaction;
mod vectors;
mod vrf;

/// A decoder of hostile bytes.
#[derive(Clone, Copy, Debug)]
pub struct Decoder {
    /// As the fuzz target is called.
    pub name: &'static str,
    /// Decodes; panics only where this repository has an error.
    pub run: fn(&[u8]),
    /// Small valid inputs.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const ALL: &[Decoder] = &[
    block::DECODER,
    class_table::DECODER,
    compressed_update::DECODER,
    dispute_move::DECODER,
    evidence::DECODER,
    evidence::PROOF_FILE,
    evidence::STATE_OUTLINE,
    evidence::STATE_PIECE,
    evidence::STATE_PROOF,
    genesis::DECODER,
    gguf::DECODER,
    gradient_payload::DECODER,
    names::DECODER,
    rollout_payload::DECODER,
    rollout_sections::DECODER,
    safetensors::DECODER,
    sparse_update::DECODER,
    toploc::DECODER,
    transaction::DECODER,
    vrf::DECODER,
    #[cfg(feature = "peers")]
    peers::BLOB_WIRE,
    #[cfg(feature = "peers")]
    peers::CERTIFICATE,
    #[cfg(feature = "peers")]
    peers::CONSENSUS,
    #[cfg(feature = "peers")]
    signer::DECODER,
];

/// The decoder of this name.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn find(name: &str) -> Decoder {
    let found = ALL.iter().find(|decoder| decoder.name == name);
    *found.expect("invariant: a target has the name of a decoder")
}
