//! Order: the BFT engine behind a narrow seam.
//!
//! Consensus decides *which* bytes come next and never what they mean. It sees a block as opaque
//! bytes with a [`BlockId`](protocol::BlockId), asks the [`Application`] to build and to judge
//! them, and hands back each decided block once, in order, with a [`Certificate`]: the precommits
//! of more than two thirds of the voting power.
//!
//! ```text
//!            propose, check             signed parts, votes
//! Application ◄────────────── engine ◄──────────────────────► other validators
//!            commit(block, certificate)
//! ```
//!
//! Two halves, so that a light client carries no engine:
//!
//! * **What everyone must agree on** is ours, small and pure: the [`ValidatorSet`] with its quorum
//!   and proposers, the bytes a [`Vote`] signs, the [`Certificate`] and its
//!   [`verify`](Certificate::verify), the proof of [`DoubleSign`].
//! * **How agreement is reached** is an engine's business. The module `stock` (a feature, on by
//!   default) runs malachite over libp2p; [`SoloEngine`] is one validator without a network,
//!   for tests. Both drive the same `Application` and produce the same certificates.
//!
//! A block's identifier must not depend on the round in which it is proposed: a body that is
//! proposed again, or fetched by a node that catches up, is the same block.
//!
//! Spec: 05-block.
#![forbid(unsafe_code)]

mod application;
mod certificate;
mod history;
#[cfg(feature = "stock")]
pub mod signer;
mod solo;
#[cfg(feature = "stock")]
pub mod stock;
mod validators;

pub use application::{
    Application, ApplicationError, BLOCK_BYTES_MAX, Check, HeightParams, Timeouts,
};
pub use certificate::{Certificate, CertificateError};
pub use history::{Export, HistoryError, Message, Signed, SigningHistory};
pub use protocol::vote::{
    DoubleSign, DoubleSignError, Proposal, SignedProposal, SignedVote, Vote, VoteKind,
};
pub use solo::{SoloEngine, SoloError};
#[cfg(feature = "stock")]
pub use stock::{EngineConfig, EngineError, EngineHandle, StartError, peer_id, start};
pub use validators::{VALIDATOR_COUNT_MAX, Validator, ValidatorSet, ValidatorSetError};
