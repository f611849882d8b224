//! Does: executes units of work.
//!
//! A miner has no free variable. The chain's beacon decides which prompts it answers and with
//! which randomness, or which rows it trains on; the recipe decides everything else; and the
//! engine gives the same bits on every machine. So a unit of work is a *function*, and this crate
//! is those functions, without IO, network or clock:
//!
//! * [`rollout::execute`] draws every sample of the unit's prompts with the step's checkpoint,
//!   rewards them, proves the activations (TOPLOC, [`projection`]) and seals the proofs;
//! * [`gradient::execute`] runs inner optimiser steps from the checkpoint (pre-training), or one
//!   policy gradient over accepted rollouts of the step before (reinforcement learning), and
//!   compresses the result;
//! * [`model`] turns a recipe's integers into the engine's numbers, and gives checkpoint 0;
//! * [`World`] finds the environment and corpus that a recipe names, and checks that all of its
//!   units can be executed.
//!
//! Because an audit is the same function computed again, the crate `verifier` is made of these
//! pieces: nothing is written twice that could then differ. Those who do the same work dishonestly
//! are made of them too, and live apart, in `tests/adversaries`.
//!
//! ```
//! use engine::Device;
//! use miner::{RolloutInputs, model, rollout};
//! use protocol::{
//!     ChainId, CheckpointId, RunId, SigningKey, Step,
//!     recipe::Recipe,
//!     rollout::Salts,
//!     task::{Beacon, RolloutTask, UnitId, UnitKind},
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let recipe: Recipe = serde_json::from_str(include_str!("../recipes/tiny.json"))?;
//! let model = model::initial_model(&recipe)?;
//! let unit = UnitId { run: RunId::ZERO, step: Step::ZERO, kind: UnitKind::Rollout, index: 0 };
//! let key = SigningKey::from_seed([3; 32]);
//! let task = RolloutTask {
//!     chain: ChainId::from_bytes([1; 32]),
//!     checkpoint: CheckpointId::of(&model.to_safetensors()),
//!     environment: recipe.environment,
//!     beacon: Beacon::from_bytes([2; 32]),
//!     unit,
//!     miner: key.address(),
//! };
//! let inputs = RolloutInputs { task: &task, recipe: &recipe, model: &model };
//! let salts = Salts::derive(&key, task.chain, unit);
//! let work = rollout::execute(&inputs, &salts, &Device::cpu(1))?;
//! assert_eq!(work.payload.samples().count(), recipe.samples_per_unit_count() as usize);
//! assert!(work.sections.get(0, 0).is_some());
//! # Ok(())
//! # }
//! ```
//!
//! Spec: 02-rollout, 02-gradient, arithmetic.
#![forbid(unsafe_code)]

mod error;
pub mod gradient;
pub mod model;
pub mod parallel;
pub mod projection;
pub mod rollout;
mod world;

pub use error::ExecuteError;
pub use gradient::{Generation, GradientInputs};
pub use model::{initial_model, initial_outer, initial_weights};
pub use rollout::RolloutInputs;
pub use world::World;
