//! Judges: re-executes sampled units and aggregates checkpoints.
//!
//! Honest work is a pure function of what the chain fixes, and the engine gives the same bits
//! everywhere. So an audit computes the function again and counts differences, and the only
//! number that an honest miner can get is zero. There is no tolerance for a cheat to hide in, and
//! no honest machine to be framed by rounding.
//!
//! In the order of a unit's life:
//!
//! 1. [`admit`]: is this blob a canonical payload of this unit, of the right sizes? Cheap, and
//!    done by every validator before it attests that it holds the blob.
//! 2. [`rollout::judge`] and [`gradient::judge`]: the audit, a [`Verdict`] with a finding for every
//!    check. A rollout's tokens are all checked in one teacher-forced pass; the example `cost`
//!    measures what that takes beside the work itself.
//! 3. [`checkpoint::advance`]: accepted gradients become the next checkpoint, in integer
//!    arithmetic that does not depend on their order. [`checkpoint::evaluate`] measures it on
//!    prompts that nobody trains on.
//!
//! ```
//! use engine::Device;
//! use miner::{GradientInputs, gradient, initial_model, initial_outer};
//! use protocol::{
//!     Address, RunId, Step, codec::encode, recipe::Recipe,
//!     task::{Beacon, UnitId, UnitKind},
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let recipe: Recipe = serde_json::from_str(include_str!("../../miner/recipes/tiny.json"))?;
//! let (model, outer) = (initial_model(&recipe)?, initial_outer(&recipe)?);
//! let inputs = GradientInputs {
//!     unit: UnitId { run: RunId::ZERO, step: Step::ZERO, kind: UnitKind::Gradient, index: 0 },
//!     miner: Address::from_bytes([3; 32]),
//!     recipe: &recipe,
//!     beacon: &Beacon::from_bytes([2; 32]),
//!     model: &model,
//!     generation: None,
//!     feedback: None,
//! };
//! let payload = gradient::payload(&inputs, &Device::cpu(1))?;
//! let blob = encode(&payload);
//! let (unit, miner, beacon) = (inputs.unit, inputs.miner, *inputs.beacon);
//! let (root, is_open) = (payload.root(), false);
//! let bound = verifier::Bound { unit, miner, beacon, root, recipe: &recipe, is_open };
//! verifier::admit(&bound, &blob)?;
//! let next = verifier::checkpoint::advance(&recipe, Step::ZERO, &model, &outer, &[payload])?;
//! assert_ne!(next.model, model);
//! # Ok(())
//! # }
//! ```
//!
//! Everything here is made of the miner's own functions, so that the two sides cannot drift apart,
//! and is as pure as they are: no IO, no clock, and hostile bytes never panic.
//!
//! Spec: 07-verdict, 09-checkpoint.
#![forbid(unsafe_code)]

mod admission;
pub mod checkpoint;
pub mod gradient;
pub mod rollout;
pub mod tolerant;

pub use admission::{AdmitError, Bound, SampleFault, admit, blob_bytes_max};
pub use checkpoint::{AdvanceError, Successor};

use protocol::verdict::{Check, Finding, Verdict};

/// The verdict of an auditor that could not get the blob, or whose software cannot execute the
/// recipe at all: nobody is accused of anything.
#[must_use]
pub fn unavailable() -> Verdict {
    verdict(vec![Finding::exact(Check::Availability, 1)])
}

/// The verdict on bytes that are no payload: there is nothing else to check.
fn undecodable() -> Verdict {
    verdict(vec![Finding::exact(Check::Encoding, 1)])
}

fn verdict(findings: Vec<Finding>) -> Verdict {
    Verdict::new(findings).expect("invariant: no audit has more than ten checks")
}

/// Positions at which two sequences differ; what one has beyond the other's end differs.
fn differences<T: PartialEq>(found: &[T], expected: &[T]) -> u64 {
    let pairs = found.iter().zip(expected);
    let unequal = pairs.filter(|(found, expected)| found != expected).count();
    (unequal + found.len().abs_diff(expected.len())) as u64
}
