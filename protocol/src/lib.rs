//! Nouns: everything that crosses a socket, a disk or a signature.
//!
//! Nine words carry the system, and each has its module here:
//! [`task`] → [`rollout`] → [`proof`] → [`transaction`] → [`block`] → [`sample`] → [`verdict`] →
//! [`reward`] → [`checkpoint`]. ([`gradient`] is the other kind of work; [`recipe`] says what a
//! run computes.) This crate imports nothing of ours; every other crate points here.
//!
//! Three rules hold throughout:
//!
//! * **One canonical encoding.** Values are borsh; [`codec::decode`] rejects trailing bytes and
//!   every variable length has a maximum in its type ([`codec::BoundedVec`]).
//! * **Parse, do not validate.** A [`transaction::Unverified`] becomes a
//!   [`transaction::Verified`] only by checking its signature; the state machine accepts only the
//!   latter.
//! * **No floats.** Real-valued settings are integers in millionths ([`units::Micro`]).
//!
//! ```
//! use protocol::{
//!     ChainId, Nonce, SigningKey, Amount,
//!     transaction::{Body, Transaction},
//! };
//! let key = SigningKey::from_seed([7; 32]);
//! let chain = ChainId::from_bytes([1; 32]);
//! let body = Body::Transfer { to: key.address(), amount: Amount::new(5) };
//! let signed = Transaction::new(chain, key.address(), Nonce::new(0), body).sign(&key);
//! assert!(signed.verify(chain).is_ok());
//! ```
#![forbid(unsafe_code)]

pub mod beacon;
pub mod block;
pub mod checkpoint;
pub mod class;
pub mod codec;
pub mod genesis;
pub mod gradient;
pub mod identifiers;
pub mod keys;
pub mod proof;
pub mod proposal;
pub mod recipe;
pub mod reward;
pub mod rollout;
pub mod sample;
pub mod staking;
pub mod task;
pub mod transaction;
pub mod units;
pub mod verdict;
pub mod vote;
pub mod vrf;

pub use identifiers::{
    BlobId, BlockId, ChainId, CheckpointId, EnvironmentHash, ProposalId, StateRoot, TransactionId,
    ValidatorsHash,
};
pub use keys::{Address, PublicKey, Signature, SigningKey};
pub use units::{Amount, Height, Micro, Nonce, RunId, Step};
