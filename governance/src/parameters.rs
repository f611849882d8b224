//! Parameters: every number that a vote may change, with bounds that no vote can leave.

use crate::mutant::on;
use borsh::{BorshDeserialize, BorshSerialize};
use std::{collections::BTreeMap, fmt, str::FromStr};

/// What a parameter may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Its value unless genesis or a vote says otherwise.
    pub default: u64,
    /// The smallest value.
    pub min: u64,
    /// The largest value.
    pub max: u64,
}

macro_rules! parameters {
    ($(
        $(#[$doc:meta])*
        $variant:ident = $name:literal: $min:literal ..= $max:literal, default $default:literal;
    )+) => {
        /// Names a parameter.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize,
        )]
        pub enum Name {
            $($(#[$doc])* $variant,)+
        }

        impl Name {
            /// All parameters.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            /// The stable text.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
            /// What it may be.
            #[must_use]
            pub const fn bounds(self) -> Bounds {
                match self {
                    $(Self::$variant => Bounds { default: $default, min: $min, max: $max }),+
                }
            }
        }
    };
}

parameters! {
    /// Least probability that a committed unit is audited, in millionths.
    AuditRate = "audit-rate": 10_000..=1_000_000, default 20_000;
    /// Probability that at least the update of a unit of pre-training is checked against the
    /// weights it ends with, in millionths; without effect where it is below the rate of audits.
    CompressionAuditRate = "compression-audit-rate": 0..=1_000_000, default 60_000;
    /// How many times over what a cheat loses must exceed what it gains, in millionths.
    AuditMargin = "audit-margin": 1_000_000..=10_000_000, default 2_000_000;
    /// What not doing a unit's work saves, as a share of its price, in millionths.
    AuditGain = "audit-gain": 10_000..=1_000_000, default 800_000;
    /// Probability that an honest audit finds a cheat, in millionths.
    AuditPower = "audit-power": 100_000..=1_000_000, default 950_000;
    /// Share of audits that go to honest auditors, in millionths.
    AuditHonestShare = "audit-honest-share": 100_000..=1_000_000, default 800_000;
    /// A miner's first units, all of which are audited.
    NewcomerUnits = "newcomer-units": 0..=100_000, default 50;
    /// Blocks an auditor has to commit its verdict.
    AuditCommitBlocks = "audit-commit-blocks": 4..=100_000, default 240;
    /// Blocks after that to reveal it.
    AuditRevealBlocks = "audit-reveal-blocks": 4..=100_000, default 60;
    /// Burned from the stake of an auditor whose verdict a higher round overturns.
    AuditFaultPenalty = "audit-fault-penalty": 0..=1_000_000_000_000, default 1_000;
    /// Blocks a miner has to open a unit once that is due.
    OpeningBlocks = "opening-blocks": 4..=100_000, default 40;
    /// Burned from the bond of a miner that does not open a unit in time.
    WithholdPenalty = "withhold-penalty": 0..=1_000_000_000_000, default 1_000;
    /// Burned from the bond of a miner whose committed blobs too few validators could fetch in
    /// time, once a step.
    UnavailablePenalty = "unavailable-penalty": 0..=1_000_000_000_000, default 500;
    /// Probability that a rollout unit must have a planted fault, in millionths.
    PlantRate = "plant-rate": 0..=500_000, default 50_000;
    /// Burned from the stake of an auditor that accepted a planted fault.
    MissedPlantPenalty = "missed-plant-penalty": 0..=1_000_000_000_000, default 500;
    /// Burned from the stake of an auditor that does not say what it was drawn to say.
    SilencePenalty = "silence-penalty": 0..=1_000_000_000_000, default 100;
    /// Blocks of each stage in which auditors draw themselves; best as long as an audit takes.
    SortitionStageBlocks = "sortition-stage-blocks": 1..=100_000, default 8;
    /// Such stages, after which three auditors are drawn publicly; at 0 one is, at once.
    SortitionStages = "sortition-stages": 0..=1_000, default 60;
    /// Probability that a tolerant unit which one auditor accepted is judged by three, in
    /// millionths.
    SecondLookRate = "second-look-rate": 0..=1_000_000, default 100_000;
    /// Auditors that every stage is expected to add, in millionths.
    SortitionSeats = "sortition-seats": 10_000..=64_000_000, default 100_000;
    /// The same for a unit that is audited for certain, because its miner is a newcomer: a step
    /// waits for all of these.
    SortitionNewcomerSeats = "sortition-newcomer-seats": 10_000..=64_000_000, default 500_000;
    /// Blocks after the first commitment in which others who drew themselves may commit.
    SortitionGraceBlocks = "sortition-grace-blocks": 0..=1_000, default 4;
    /// Smallest bond of a verifier.
    VerifierBondMin = "verifier-bond-min": 1..=1_000_000_000_000, default 10_000;
    /// Blocks in which a miner may appeal against a conviction, or an outvoted auditor contest an
    /// acceptance.
    AppealBlocks = "appeal-blocks": 4..=100_000, default 40;
    /// Blocks that each side of a dispute has for all of its moves, besides those that the recipe
    /// gives for a unit.
    DisputeBlocks = "dispute-blocks": 40..=1_000_000, default 240;
    /// Bond of a unit's first appeal; each further one takes twice the bond before. Also that of
    /// an auditor that contests an acceptance.
    AppealBond = "appeal-bond": 1..=1_000_000_000_000, default 1_000;
    /// Burned from the stake of a validator that lets its turn to propose pass.
    BeaconWithholdPenalty = "beacon-withhold-penalty": 0..=1_000_000, default 10;
    /// Smallest stake of a validator's own holder.
    ValidatorStakeMin = "validator-stake-min": 1..=1_000_000_000_000, default 10_000;
    /// Smallest stake of anybody else with a validator.
    StakeMin = "stake-min": 1..=1_000_000_000_000, default 100;
    /// Most validators that have power.
    ValidatorsMax = "validators-max": 4..=128, default 100;
    /// Largest share of all power that one validator has, in millionths.
    PowerCap = "power-cap": 10_000..=1_000_000, default 100_000;
    /// Blocks after which power follows stake, and rewards are paid.
    EpochBlocks = "epoch-blocks": 4..=1_000_000, default 240;
    /// Days between taking stake out and having it.
    UnbondingDays = "unbonding-days": 8..=60, default 21;
    /// Days between the proof that a validator contradicted itself and its slash.
    SlashDelayDays = "slash-delay-days": 1..=14, default 7;
    /// Least share of stake that this costs, in millionths.
    DoubleSignSlash = "double-sign-slash": 10_000..=1_000_000, default 50_000;
    /// Heights in a row at which a validator lets its turn pass, after which it is jailed.
    JailTurns = "jail-turns": 2..=10_000, default 12;
    /// Blocks after which it may come back.
    JailBlocks = "jail-blocks": 1..=1_000_000, default 600;
    /// Share of stake that this costs, in millionths.
    DowntimeSlash = "downtime-slash": 0..=10_000, default 100;
    /// Share of the tokens that are not made yet which may be made in a day, in millionths.
    EmissionRate = "emission-rate": 0..=1_000, default 381;
    /// Share of a slash that goes to the auditors who found the fraud, in millionths.
    WhistleBlower = "whistle-blower": 0..=500_000, default 100_000;
    /// Smallest bond of a miner.
    MinerBondMin = "miner-bond-min": 1..=1_000_000_000_000, default 10_000;
    /// Blocks until a payout is free.
    VestingBlocks = "vesting-blocks": 1..=10_000_000, default 400;
    /// The least that a million gas costs. At 0 an idle chain is free; a busy one is not.
    BaseFeeMin = "base-fee-min": 0..=1_000_000_000_000, default 10_000;
    /// Most gas that a block may use, about a microsecond each.
    BlockGas = "block-gas": 20_000..=10_000_000, default 250_000;
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name that no parameter has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no parameter {name:?}")]
pub struct UnknownName {
    /// What was given.
    pub name: String,
}

impl FromStr for Name {
    type Err = UnknownName;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.iter().find(|name| name.as_str() == text).copied();
        found.ok_or_else(|| UnknownName {
            name: text.to_owned(),
        })
    }
}

/// A value outside its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("parameter {name} cannot be {value}; it is between {min} and {max}")]
pub struct OutOfBounds {
    /// The parameter.
    pub name: Name,
    /// The value asked for.
    pub value: u64,
    /// The smallest.
    pub min: u64,
    /// The largest.
    pub max: u64,
}

/// All parameters' values.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Parameters {
    changed: BTreeMap<Name, u64>,
}

impl Parameters {
    /// A parameter's value.
    #[must_use]
    pub fn get(&self, name: Name) -> u64 {
        self.changed
            .get(&name)
            .copied()
            .unwrap_or(name.bounds().default)
    }
    /// Whether a parameter may have this value.
    ///
    /// # Errors
    /// When it is out of bounds.
    pub const fn check(name: Name, value: u64) -> Result<(), OutOfBounds> {
        let Bounds {
            default: _,
            min,
            max,
        } = name.bounds();
        if value < min || value > max {
            return Err(OutOfBounds {
                name,
                value,
                min,
                max,
            });
        }
        Ok(())
    }
    /// Sets a parameter.
    ///
    /// # Errors
    /// When the value is out of bounds.
    pub fn set(&mut self, name: Name, value: u64) -> Result<(), OutOfBounds> {
        if !on("parameters have no bounds") {
            Self::check(name, value)?;
        }
        self.changed.insert(name, value);
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_within_its_bounds() {
        for name in Name::ALL {
            assert!(
                Parameters::check(*name, name.bounds().default).is_ok(),
                "{name}"
            );
            assert_eq!(name.as_str().parse::<Name>().unwrap(), *name);
        }
    }

    #[test]
    fn a_value_outside_the_bounds_changes_nothing() {
        let mut parameters = Parameters::default();
        let error = parameters.set(Name::AuditRate, 9_999).unwrap_err();
        assert_eq!((error.min, error.max), (10_000, 1_000_000));
        assert_eq!(parameters, Parameters::default());
    }
}
