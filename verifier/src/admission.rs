//! The cheap look at a blob, before a validator attests that it is there.
//!
//! What is accepted without an audit still enters training, so everything that can be checked
//! without running the model is checked for every blob: sizes, token ids, ends of responses, the
//! weight in the aggregate, the form of updates, and that the root binds this very blob.

use miner::{
    ExecuteError, World,
    gradient::{
        exchange::{self, ReadError},
        losses_count, tokens_count_max,
    },
    model,
    rollout::{ends_lawfully, proofs_count},
};
use protocol::{
    Address, Step,
    codec::DecodeError,
    gradient,
    recipe::Recipe,
    rollout::{self, PROJECTIONS_COUNT, PROOF_TOP_COUNT, Root, Sample},
    task::{Beacon, UnitId, UnitKind, prompt_seed},
};

/// Why a blob is not what its unit needs.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AdmitError {
    /// Not the canonical encoding of a payload.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// More bytes than any payload of the recipe has.
    #[error("payload has {found} bytes; at most {limit} are possible")]
    Size {
        /// Bytes found.
        found: u64,
        /// The most.
        limit: u64,
    },
    /// The payload of another unit.
    #[error("payload is of unit {found}; unit {expected} is needed")]
    Unit {
        /// The payload's.
        found: UnitId,
        /// The one asked for.
        expected: UnitId,
    },
    /// The payload of another miner.
    #[error("payload is of miner {}; the unit is of miner {}", found.short(), expected.short())]
    Miner {
        /// The payload's.
        found: Address,
        /// The unit's.
        expected: Address,
    },
    /// Too few or too many of something.
    #[error("payload has {found} {what}; {expected} are needed")]
    Count {
        /// What is counted.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there must be.
        expected: usize,
    },
    /// A blob that the commitment does not bind.
    #[error("payload has root {found}; the commitment binds {expected}")]
    Root {
        /// The payload's.
        found: Root,
        /// The commitment's.
        expected: Root,
    },
    /// Sections in the open where they are sealed, or the other way round.
    #[error("payload has its sections {}; units of its class have them {}",
        if *found { "in the open" } else { "sealed" },
        if *found { "sealed" } else { "in the open" })]
    Openness {
        /// Whether they are in the open.
        found: bool,
    },
    /// Seals that are not of the sections beside them.
    #[error("{misplaced} seals are not of the sections beside them; at most 0 may be")]
    Sections {
        /// How many.
        misplaced: u64,
    },
    /// A sample that breaks a rule.
    #[error("sample {slot} of group {group}: {fault}")]
    Sample {
        /// Index of the group.
        group: usize,
        /// Index in the group.
        slot: usize,
        /// The rule.
        fault: SampleFault,
    },
    /// A weight that no unit of this recipe has.
    #[error("payload claims {found} tokens; 1 to {limit} are possible")]
    Weight {
        /// Tokens claimed.
        found: u32,
        /// The most.
        limit: u64,
    },
    /// Bytes that are no compressed update of this model.
    #[error(transparent)]
    Update(#[from] ReadError),
    /// A step that has no such units.
    #[error("step {step} is not one of the run's {steps_count} steps")]
    Step {
        /// The step.
        step: Step,
        /// Steps of the run.
        steps_count: u64,
    },
    /// A recipe that this software cannot execute: not the miner's fault.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
}

/// What is wrong with a sample.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SampleFault {
    /// A token that the model does not have.
    #[error("token {token} is outside the vocabulary of {limit}")]
    Token {
        /// The token.
        token: u32,
        /// Number of token ids.
        limit: u32,
    },
    /// An end that breaks the rules.
    #[error("{tokens} tokens do not end as a response of at most {limit} must")]
    End {
        /// Response tokens.
        tokens: usize,
        /// The most.
        limit: usize,
    },
    /// A reward that no response has.
    #[error("reward is {reward_micro} millionths; at most 1000000 are possible")]
    Reward {
        /// The reward.
        reward_micro: u32,
    },
}

/// What the chain says about a blob.
#[derive(Clone, Copy, Debug)]
pub struct Bound<'a> {
    /// The unit.
    pub unit: UnitId,
    /// Its miner.
    pub miner: Address,
    /// The step's beacon, from which prompts follow.
    pub beacon: Beacon,
    /// What the commitment binds; nothing where that is not known.
    pub root: Option<Root>,
    /// The run's recipe.
    pub recipe: &'a Recipe,
    /// Whether its sections stand in the open, as those of a tolerant class do.
    pub is_open: bool,
}

/// Checks everything about a blob that needs no model: that it is one canonical payload of this
/// unit and miner, complete, and within the limits of the recipe.
///
/// # Errors
/// The first rule that the bytes break.
pub fn admit(bound: &Bound<'_>, bytes: &[u8]) -> Result<(), AdmitError> {
    let Bound {
        unit,
        miner,
        recipe,
        is_open,
        ..
    } = *bound;
    let world = World::of(recipe)?;
    let (found, limit) = (bytes.len() as u64, blob_bytes_max(unit, recipe, is_open)?);
    if found > limit {
        return Err(AdmitError::Size { found, limit });
    }
    match unit.kind {
        UnitKind::Rollout => {
            let payload = rollout::Payload::decode(bytes)?;
            check_identity((payload.unit, payload.miner), (unit, miner))?;
            check_groups(&payload, recipe, &world)?;
            check_sections(&payload, is_open)?;
            check_root(&payload, bound, &world)
        }
        UnitKind::Gradient => {
            let payload = gradient::Payload::decode(bytes)?;
            check_identity((payload.unit, payload.miner), (unit, miner))?;
            check_update(&payload, recipe, &world)?;
            check_states(&payload, bound)
        }
    }
}

/// The largest blob that a unit of this recipe can have: nobody need fetch a larger one.
///
/// # Errors
/// A recipe that this software cannot execute.
pub fn blob_bytes_max(unit: UnitId, recipe: &Recipe, is_open: bool) -> Result<u64, ExecuteError> {
    // Unit, miner, and the count of what follows.
    let head = 21 + 32 + 4;
    match unit.kind {
        UnitKind::Rollout => {
            let environment = World::of(recipe)?.environment;
            let response = environment.response_tokens_max();
            // Tokens and their count, finish, reward, seal.
            let sample = 4 + 4 * response as u64 + 1 + 4 + 32;
            let reinforce = &recipe.reinforce;
            let units = |sample: u64| {
                let group = 4 + sample.saturating_mul(reinforce.samples_per_group_count.into());
                group.saturating_mul(reinforce.groups_per_unit_count.into())
            };
            // The unit's two seals, and whether sections follow.
            let seals = 2 * 32 + 1;
            let sections = if is_open {
                let proofs = proofs_count(response) as u64;
                let fed = (environment.prompt_tokens() + response) as u64;
                let proof = 4 + (2 + 2 * PROOF_TOP_COUNT as u64);
                4 + units(4 + proofs * proof + 4 + PROJECTIONS_COUNT as u64 * fed)
            } else {
                0
            };
            Ok(head + seals + units(sample) + sections)
        }
        UnitKind::Gradient => {
            let phase = recipe.phase(unit.step);
            let losses = phase.map_or(0, |phase| losses_count(recipe, phase));
            let seals = recipe.segments(unit.step).count();
            let values_count = model::parameters_count(recipe)?;
            let update = exchange::bytes_max(recipe.update(unit.step), values_count) as u64;
            // Losses, seals, the weight, the count of seals, the length of the update.
            let states = 8 * u64::from(losses) + 32 * u64::from(seals);
            Ok(head + states + 4 + 4 + 4 + update)
        }
    }
}

fn check_identity(
    (unit, miner): (UnitId, Address),
    expected: (UnitId, Address),
) -> Result<(), AdmitError> {
    if unit != expected.0 {
        let (found, expected) = (unit, expected.0);
        return Err(AdmitError::Unit { found, expected });
    }
    if miner != expected.1 {
        let (found, expected) = (miner, expected.1);
        return Err(AdmitError::Miner { found, expected });
    }
    Ok(())
}

fn check_count(what: &'static str, found: usize, expected: u32) -> Result<(), AdmitError> {
    let expected = expected as usize;
    if found != expected {
        return Err(AdmitError::Count {
            what,
            found,
            expected,
        });
    }
    Ok(())
}

fn check_groups(
    payload: &rollout::Payload,
    recipe: &Recipe,
    world: &World,
) -> Result<(), AdmitError> {
    let groups = payload.groups.as_slice();
    check_count(
        "groups",
        groups.len(),
        recipe.reinforce.groups_per_unit_count,
    )?;
    for (group, samples) in groups.iter().enumerate() {
        let samples = samples.samples.as_slice();
        let expected = recipe.reinforce.samples_per_group_count;
        check_count("samples in a group", samples.len(), expected)?;
        for (slot, sample) in samples.iter().enumerate() {
            check_sample(sample, recipe, world).map_err(|fault| AdmitError::Sample {
                group,
                slot,
                fault,
            })?;
        }
    }
    Ok(())
}

fn check_sections(payload: &rollout::Payload, is_open: bool) -> Result<(), AdmitError> {
    let found = payload.sections.is_some();
    if found != is_open {
        return Err(AdmitError::Openness { found });
    }
    match payload.misplaced_sections().unwrap_or(0) {
        0 => Ok(()),
        misplaced => Err(AdmitError::Sections { misplaced }),
    }
}

fn check_sample(sample: &Sample, recipe: &Recipe, world: &World) -> Result<(), SampleFault> {
    let tokens = sample.tokens.as_slice();
    let limit = recipe.model.vocab_size;
    if let Some(&token) = tokens.iter().find(|token| **token >= limit) {
        return Err(SampleFault::Token { token, limit });
    }
    let limit = world.environment.response_tokens_max();
    if !ends_lawfully(tokens, sample.finish, limit) {
        let tokens = tokens.len();
        return Err(SampleFault::End { tokens, limit });
    }
    let reward_micro = sample.reward_micro;
    if reward_micro > 1_000_000 {
        return Err(SampleFault::Reward { reward_micro });
    }
    Ok(())
}

/// Whether the commitment binds this payload: prompts follow from the beacon, everything else of
/// the root is in the blob.
fn check_root(
    payload: &rollout::Payload,
    bound: &Bound<'_>,
    world: &World,
) -> Result<(), AdmitError> {
    let Some(expected) = bound.root else {
        return Ok(());
    };
    let groups = 0..bound.recipe.reinforce.groups_per_unit_count;
    let environment = bound.recipe.environment;
    let seeds = groups.map(|group| prompt_seed(&bound.beacon, bound.unit, environment, group));
    let prompts: Vec<_> = seeds.map(|seed| world.prompt_of(&seed)).collect();
    match payload.root(&prompts) {
        Some(found) if found != expected => Err(AdmitError::Root { found, expected }),
        // A payload without samples has no root; such a one was refused before.
        Some(_) | None => Ok(()),
    }
}

fn check_update(
    payload: &gradient::Payload,
    recipe: &Recipe,
    world: &World,
) -> Result<(), AdmitError> {
    let step = payload.unit.step;
    let phase = recipe.phase(step).ok_or(AdmitError::Step {
        step,
        steps_count: recipe.steps_count(),
    })?;
    check_count(
        "losses",
        payload.losses_micro.as_slice().len(),
        losses_count(recipe, phase),
    )?;
    let (found, limit) = (payload.tokens_count, tokens_count_max(recipe, world, phase));
    if found == 0 || u64::from(found) > limit {
        return Err(AdmitError::Weight { found, limit });
    }
    let length = model::parameters_count(recipe)?;
    exchange::read(recipe.update(step), payload.update.as_slice(), length)?;
    Ok(())
}

/// Whether every segment's state is sealed, and the commitment binds the seals.
fn check_states(payload: &gradient::Payload, bound: &Bound<'_>) -> Result<(), AdmitError> {
    let segments = bound.recipe.segments(payload.unit.step);
    check_count("seals", payload.seals.as_slice().len(), segments.count())?;
    match (payload.root(), bound.root) {
        (Some(found), Some(expected)) if found != expected => {
            Err(AdmitError::Root { found, expected })
        }
        (Some(_) | None, _) => Ok(()),
    }
}
