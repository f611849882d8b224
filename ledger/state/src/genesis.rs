//! Genesis: the state at height zero.

use crate::{
    State,
    account::{self, Account},
    class, proposal,
    run::{InForce, Run, RunRecipe, Stage, Tip},
    staking::{self, epoch},
    state::View,
    task::BEACON_DELAY_BLOCKS,
    validator::{Sets, Validator},
};
use governance::{
    Parameters,
    parameters::{Name, OutOfBounds, UnknownName},
};
use protocol::{
    Address, Amount, Height, RunId, Step,
    class::ClassTableError,
    genesis::Genesis,
    recipe::{Aggregation, ModelShape, Recipe},
    task::Beacon,
    vrf::Public,
};

/// Why a genesis cannot start a chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GenesisError {
    /// Nobody to order blocks.
    #[error("genesis has no validators; at least 1 is needed")]
    NoValidators,
    /// Stake of zero.
    #[error("validator {operator} has stake 0; at least 1 is needed")]
    NoStake {
        /// The validator.
        operator: Address,
    },
    /// No key of verifiable randomness.
    #[error("validator {operator} has {vrf}, which is not a key of verifiable randomness")]
    RandomnessKey {
        /// The validator.
        operator: Address,
        /// What it has.
        vrf: Public,
    },
    /// Named twice.
    #[error("{address} appears twice among {what}")]
    Duplicate {
        /// Which list.
        what: &'static str,
        /// The key.
        address: Address,
    },
    /// More tokens than 64 bits hold.
    #[error("genesis supply exceeds {max}", max = u64::MAX)]
    SupplyTooLarge,
    /// More tokens than there may ever be.
    #[error("genesis supply is {supply}; supply_cap is {cap}")]
    SupplyAboveCap {
        /// What there is.
        supply: Amount,
        /// What there may be.
        cap: Amount,
    },
    /// No such parameter.
    #[error(transparent)]
    Parameter(#[from] UnknownName),
    /// Parameter out of bounds.
    #[error(transparent)]
    Bounds(#[from] OutOfBounds),
    /// A day of no blocks.
    #[error("governance has days of 0 blocks; at least 1 is needed")]
    NoDay,
    /// No such stage.
    #[error("governance starts in stage {stage}; 3 is the last")]
    NoStage {
        /// What was given.
        stage: u8,
    },
    /// A table of classes that means nothing.
    #[error(transparent)]
    Classes(#[from] ClassTableError),
    /// A recipe that cannot run.
    #[error("run {run}: {what} is {found}; {limit}")]
    Recipe {
        /// Its index.
        run: u64,
        /// The setting.
        what: &'static str,
        /// Its value.
        found: u64,
        /// What is allowed.
        limit: &'static str,
    },
}

/// The state at height zero.
///
/// # Errors
/// When the genesis contradicts itself or leaves its bounds.
pub fn state(genesis: &Genesis) -> Result<State, GenesisError> {
    let Genesis {
        name: _,
        time_ms,
        validators,
        accounts,
        runs,
        parameters: _,
        governance: _,
        supply_cap,
        classes,
    } = genesis;
    classes.check()?;
    let empty = State::default();
    let mut view = empty.view();
    let mut supply = Amount::ZERO;
    let mut add = |amount: Amount| {
        supply = supply.plus(amount).ok_or(GenesisError::SupplyTooLarge)?;
        Ok::<_, GenesisError>(())
    };
    if validators.is_empty() {
        return Err(GenesisError::NoValidators);
    }
    for validator in validators {
        add(validator.stake)?;
        put_validator(&mut view, validator)?;
    }
    for entry in accounts {
        add(entry.balance)?;
        if view.get::<Account>(&entry.address).is_some() {
            return Err(GenesisError::Duplicate {
                what: "accounts",
                address: entry.address,
            });
        }
        account::credit(&mut view, entry.address, entry.balance);
    }
    for (index, run) in (0_u64..).zip(runs) {
        add(run.escrow)?;
        put_run(&mut view, index, run)?;
    }
    add(proposal::found(&mut view, genesis)?)?;
    class::begin(&mut view, classes);
    view.put(&(), &InForce(parameters(genesis)?));
    if supply > *supply_cap {
        let cap = *supply_cap;
        return Err(GenesisError::SupplyAboveCap { supply, cap });
    }
    let tip = Tip {
        chain: genesis.chain_id(),
        height: Height::ZERO,
        block: genesis.block_id(),
        time_ms: *time_ms,
        beacon: Beacon::of_genesis(genesis.chain_id()),
        genesis_supply: supply,
        supply_cap: *supply_cap,
        minted: Amount::ZERO,
        burned: Amount::ZERO,
    };
    view.put(&(), &tip);
    epoch::begin(&mut view);
    Sets::begin(&mut view);
    let writes = view.into_writes();
    let mut state = State::default();
    state.advance(writes);
    Ok(state)
}

fn put_run(
    view: &mut View<'_>,
    index: u64,
    run: &protocol::genesis::Run,
) -> Result<(), GenesisError> {
    check_recipe(index, &run.recipe)?;
    let beacon_at = Height::new(BEACON_DELAY_BLOCKS);
    let progress = Run {
        escrow: run.escrow,
        step: Step::ZERO,
        stage: Stage::Opening { beacon_at },
    };
    view.put(&RunId::new(index), &progress);
    view.put(&RunId::new(index), &RunRecipe(run.recipe.clone()));
    Ok(())
}

fn put_validator(
    view: &mut View<'_>,
    validator: &protocol::genesis::Validator,
) -> Result<(), GenesisError> {
    let protocol::genesis::Validator {
        operator,
        holder,
        stake,
        vrf,
    } = *validator;
    if stake == Amount::ZERO {
        return Err(GenesisError::NoStake { operator });
    }
    if vrf.check().is_err() {
        return Err(GenesisError::RandomnessKey { operator, vrf });
    }
    if view.get::<Validator>(&operator).is_some() {
        return Err(GenesisError::Duplicate {
            what: "validators",
            address: operator,
        });
    }
    let mut validator = Validator::new(holder, vrf, Height::ZERO);
    validator.power = stake.get();
    view.put(&operator, &validator);
    staking::stake::add(view, operator, holder, stake);
    Ok(())
}

fn parameters(genesis: &Genesis) -> Result<Parameters, GenesisError> {
    let mut parameters = Parameters::default();
    for parameter in &genesis.parameters {
        let name: Name = parameter.name.as_str().parse()?;
        parameters.set(name, parameter.value)?;
    }
    Ok(parameters)
}

/// Refuses a recipe that cannot run.
///
/// # Errors
/// What it lacks.
pub(crate) fn check_recipe(run: u64, recipe: &Recipe) -> Result<(), GenesisError> {
    let positive = [
        ("pretrain.units_count", recipe.pretrain.units_count),
        (
            "pretrain.inner_steps_count",
            recipe.pretrain.inner_steps_count,
        ),
        (
            "pretrain.segment_steps_count",
            recipe.pretrain.segment_steps_count,
        ),
        (
            "reinforce.rollout_units_count",
            recipe.reinforce.rollout_units_count,
        ),
        (
            "reinforce.groups_per_unit_count",
            recipe.reinforce.groups_per_unit_count,
        ),
        (
            "reinforce.samples_per_group_count",
            recipe.reinforce.samples_per_group_count,
        ),
        (
            "reinforce.gradient_units_count",
            recipe.reinforce.gradient_units_count,
        ),
        ("reinforce.segments_count", recipe.reinforce.segments_count),
        (
            "schedule.gradient_units_min",
            recipe.schedule.gradient_units_min,
        ),
    ];
    for (what, found) in positive {
        if found == 0 || found > 4096 {
            let found = u64::from(found);
            return Err(GenesisError::Recipe {
                run,
                what,
                found,
                limit: "between 1 and 4096",
            });
        }
    }
    let windows = [
        ("schedule.deadline_blocks", recipe.schedule.deadline_blocks),
        (
            "schedule.availability_blocks",
            recipe.schedule.availability_blocks,
        ),
    ];
    if let Some((what, found)) = windows.into_iter().find(|(_, blocks)| *blocks == 0) {
        return Err(GenesisError::Recipe {
            run,
            what,
            found,
            limit: "at least 1",
        });
    }
    check_epsilon(run, recipe.pretrain.epsilon_nano)?;
    check_aggregation(run, &recipe.aggregation)?;
    check_model(run, &recipe.model)
}

/// Without it, a weight whose gradients were all zero would be divided by zero.
const fn check_epsilon(run: u64, epsilon_nano: u32) -> Result<(), GenesisError> {
    match epsilon_nano {
        1..=EPSILON_NANO_MAX => Ok(()),
        found => Err(GenesisError::Recipe {
            run,
            what: "pretrain.epsilon_nano",
            found: found as u64,
            limit: "between 1 and 1000000000",
        }),
    }
}

fn check_aggregation(run: u64, aggregation: &Aggregation) -> Result<(), GenesisError> {
    let Aggregation {
        norm_max,
        norm_ratio,
        weight_cap,
        center_ratio,
        center_rounds_count,
    } = aggregation;
    let rounds = u64::from(*center_rounds_count);
    let bounds = [
        (
            "aggregation.norm_max",
            norm_max.get(),
            1..=1_000_000_000_000,
            "between 1 and 10^12",
        ),
        (
            "aggregation.norm_ratio",
            norm_ratio.get(),
            1_000_000..=1_000_000_000,
            RATIO,
        ),
        (
            "aggregation.weight_cap",
            weight_cap.get(),
            10_000..=1_000_000,
            "between 10000 and 1000000",
        ),
        (
            "aggregation.center_ratio",
            center_ratio.get(),
            1_000_000..=1_000_000_000,
            RATIO,
        ),
        (
            "aggregation.center_rounds_count",
            rounds,
            0..=16,
            "at most 16",
        ),
    ];
    for (what, found, allowed, limit) in bounds {
        if !allowed.contains(&found) {
            return Err(GenesisError::Recipe {
                run,
                what,
                found,
                limit,
            });
        }
    }
    Ok(())
}

/// Largest ε of the inner `AdamW`: one.
const EPSILON_NANO_MAX: u32 = 1_000_000_000;
/// Bounds of a multiple of a median.
const RATIO: &str = "between 10^6 and 10^9";

fn check_model(run: u64, model: &ModelShape) -> Result<(), GenesisError> {
    let heads_fit = model.heads_count.checked_rem(model.key_value_heads_count) == Some(0);
    if !heads_fit {
        let found = u64::from(model.key_value_heads_count);
        let what = "model.key_value_heads_count";
        return Err(GenesisError::Recipe {
            run,
            what,
            found,
            limit: "a divisor of heads_count",
        });
    }
    Ok(())
}
