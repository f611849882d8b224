//! Every number of a training step by itself, and the dispute that finds a wrong one.
//!
//! Two parties took the same step and hold different weights. Who is right can be settled without
//! taking it again: if they disagree about the end and agree about the start, there is a first
//! tensor on the way about which they disagree, in it one number, and in the fold that gives this
//! number one multiplication. That one is checked by reading three numbers.
//!
//! ```text
//! end state ─▶ table of all tensors ─▶ one tensor ─▶ one number ─▶ one step of its fold
//! ```
//!
//! - [`elementary`]: exp, log, sin and cos, which the engine's kernels are made of as well;
//! - [`Model`], [`Step`]: what a step computes with; [`Reinforcement`], [`Sequences`]: what a part
//!   of a reinforcement unit does, which is a second model and sequences of any lengths;
//! - [`Program`]: the list of all tensors of a step or part, and for each number of each what it
//!   is: given, a [map](Defined::Map) of a few earlier numbers, or a left [fold](Defined::Fold)
//!   over them. That a matrix product is one left fold (the engine's first rule) is what makes
//!   this exact;
//! - [`plan`]: how long the sequences of a reinforcement unit are, and how well they did;
//! - [`schedule`]: what follows from a step's place and from integers;
//! - [`clip`]: the norm of what a reinforcement unit adds up, and the factor that follows;
//! - [`update`] and [`sparse`]: how the values that a unit gives become bytes;
//! - [`tree`]: a tensor's name is the plain BLAKE3 hash of its numbers, whose tree a dispute walks;
//! - [`tokens`]: a token shown by a piece of the list that a rollout's leaf binds;
//! - [`Trace`]: all tensors of a step or part, computed one number after the other;
//! - [`dispute`]: the game, pure, whose referee computes a dozen operations.
//!
//! Nothing here is fast. The engine computes the same bits, and its tests compare both.
//!
//! Spec: trace, arithmetic

pub mod clip;
mod define;
pub mod dispute;
pub mod elementary;
mod model;
pub mod plan;
mod program;
pub mod rope;
mod rows;
pub mod schedule;
pub mod sparse;
pub mod tokens;
mod trace;
pub mod tree;
pub mod update;

pub use define::{Defined, Source};
pub use model::{Model, Objective, Optimiser, Part, Places, Reinforcement, RopeScaling, Step};
pub use program::{Encoding, GIVEN_COUNT, Kind, Program, RESULTS_COUNT, Tensor};
pub use rows::{Sequence, Sequences};
pub use trace::{Numbers, Shortcuts, Trace, TraceError};
