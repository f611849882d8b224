//! Why a unit cannot be executed. None of these is the fault of a peer: they say that this
//! software does not know the recipe, or that the model has left the numbers a payload can hold.

use protocol::{BlobId, EnvironmentHash, Step, codec::TooMany, proof::toploc, task::UnitId};

/// Why a unit cannot be executed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ExecuteError {
    /// An environment that this software does not have.
    #[error("environment {hash} is not known to this software")]
    EnvironmentUnknown {
        /// Its hash.
        hash: EnvironmentHash,
    },
    /// A corpus that this software does not have.
    #[error("corpus {hash} is not known to this software")]
    CorpusUnknown {
        /// Its hash.
        hash: EnvironmentHash,
    },
    /// Initial weights that are not those of the recipe's seed.
    #[error("the recipe's seed gives weights {found}; it names {expected}")]
    InitialWeights {
        /// What the seed gives.
        found: BlobId,
        /// What the recipe names.
        expected: BlobId,
    },
    /// A setting that cannot be executed.
    #[error("{field} is {value}; from {value_min} to {value_max} can be executed")]
    Recipe {
        /// The field of the recipe.
        field: &'static str,
        /// Its value.
        value: u64,
        /// The least.
        value_min: u64,
        /// The most.
        value_max: u64,
    },
    /// A model shape that the engine refuses.
    #[error(transparent)]
    Model(#[from] engine::ConfigError),
    /// A step after the run's last.
    #[error("step {step} has no gradients; the run has {steps_count} steps")]
    StepOver {
        /// The step.
        step: Step,
        /// Steps of the run.
        steps_count: u64,
    },
    /// A reinforcement unit without rollouts.
    #[error("unit {unit} learns from rollouts and none were given")]
    GenerationMissing {
        /// The unit.
        unit: UnitId,
    },
    /// A share in which no group is whole.
    #[error("unit {unit} has no token to learn from")]
    NothingToLearn {
        /// The unit.
        unit: UnitId,
    },
    /// A loss that is no number any more: the model diverged.
    #[error("loss of inner step {inner_step} is not finite")]
    LossNotFinite {
        /// The inner step.
        inner_step: usize,
    },
    /// Tokens that the engine refuses.
    #[error(transparent)]
    Input(#[from] engine::InputError),
    /// Hidden states that do not have the layout of a proof.
    #[error(transparent)]
    Activations(#[from] toploc::ActivationsError),
    /// Hidden states that no proof can hold: the model diverged.
    #[error(transparent)]
    Proof(#[from] toploc::BuildError),
    /// Gradients that cannot be compressed: the model diverged.
    #[error(transparent)]
    Compress(#[from] engine::trainer::CompressError),
    /// What updates lost, of another model.
    #[error("what updates lost before has {found} values; the model has {expected}")]
    Feedback {
        /// Values found.
        found: usize,
        /// Values of the model.
        expected: usize,
    },
    /// A state's file that found no place.
    #[error("a state between inner steps cannot be kept: {reason}")]
    Keep {
        /// Why.
        reason: String,
    },
    /// More of something than a payload may hold.
    #[error(transparent)]
    TooMany(#[from] TooMany),
}
