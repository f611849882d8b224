//! Refusals: why a governance transaction is not valid, or an execution failed. Codes are stable
//! and part of the ledger's rejections. Spec: rejections.

use protocol::{
    Address, Amount, Height, ProposalId, RunId,
    proposal::{Module, Track},
};

macro_rules! refusals {
    ($(
        $(#[$doc:meta])*
        $code:literal $name:ident $({ $($field:ident: $type:ty),* $(,)? })? => $message:literal;
    )+) => {
        /// Why governance refuses.
        #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
        #[allow(missing_docs, reason = "field names and the message say what each holds")]
        pub enum Refusal {
            $($(#[$doc])* #[error($message)] $name $({ $($field: $type),* })?,)+
        }

        impl Refusal {
            /// The stable number.
            #[must_use]
            pub const fn code(&self) -> u16 {
                match self { $(Self::$name { .. } => $code),+ }
            }
            /// The stable name.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$name { .. } => stringify!($name)),+ }
            }
            /// All codes with their names.
            pub const ALL: &'static [(u16, &'static str)] = &[$(($code, stringify!($name))),+];
        }
    };
}

refusals! {
    /// Actions name a parameter.
    601 ParameterUnknown { name: String } => "there is no parameter {name:?}";
    /// Parameters have bounds.
    602 ParameterOutOfBounds { value: u64, min: u64, max: u64 } => "parameter cannot be {value}; it is between {min} and {max}";
    /// Only aged or entrusted stake votes.
    604 NoVotingPower { sender: Address } => "{sender} has no voting power here";
    /// The proposal must exist.
    605 ProposalUnknown { id: ProposalId } => "there is no proposal {id}";
    /// Votes count while voting is open.
    606 VotingClosed { id: ProposalId } => "proposal {id} takes no votes now";
    /// A proposal is made once.
    607 ProposalDuplicate { id: ProposalId } => "proposal {id} exists already";
    /// A proposal says what it is for.
    608 TitleEmpty => "proposal has a title of 0 bytes; at least 1 is needed";
    /// A proposal does something, if only to signal.
    609 ActionsEmpty => "proposal has 0 actions; at least 1 is needed";
    /// A proposer puts down a tenth at once; later deposits have a least size.
    610 DepositTooLow { deposit: Amount, needed: Amount } => "deposit is {deposit}; at least {needed} is needed";
    /// Deposits are taken until the proposal is filled or expires.
    611 DepositClosed { id: ProposalId } => "proposal {id} takes no deposits now";
    /// A deposit is paid from a balance.
    612 DepositUnfunded { balance: Amount, needed: Amount } => "balance is {balance}; {needed} is needed";
    /// A proposer has one proposal alive.
    613 ProposerBusy { id: ProposalId } => "proposer's proposal {id} is not over";
    /// A track has room for a number of proposals.
    614 TrackFull { track: Track, live_max: usize } => "track {track} has {live_max} live proposals; no more fit";
    /// A split vote is a whole vote.
    615 WeightsNotOne { sum: u64 } => "weights sum to {sum} millionths; 1000000 are needed";
    /// A payload cannot be put off for ever.
    616 NotBeforeTooFar { not_before: Height, latest: Height } => "execution not before height {not_before} is too far; {latest} is the latest";
    /// An upgrade leaves time to vote, to leave and to prepare.
    617 UpgradeEarly { height: Height, earliest: Height } => "upgrade at height {height} is too early; {earliest} is the earliest";
    /// Versions rise.
    618 VersionNotHigher { version: u32, active: u32 } => "version {version} is not higher than {active}, which is active or scheduled";
    /// An upgrade says which programs.
    619 ArtifactsEmpty => "upgrade names 0 programs; at least 1 is needed";
    /// Money moves in amounts.
    620 NothingSpent => "action moves 0 tokens; at least 1 is needed";
    /// A proposal takes at most a twentieth of the treasury.
    621 SpendTooLarge { amount: Amount, amount_max: Amount } => "proposal takes {amount} from the treasury; at most {amount_max} is allowed";
    /// The treasury pays at most a tenth in thirty days.
    622 TreasuryWindow { amount: Amount, left: Amount } => "treasury would pay {amount}; {left} is left for this month";
    /// An action is executed under a track as strict as it needs now.
    623 TrackTooLax { track: Track, needed: Track } => "proposal was voted on track {track}; {needed} is needed now";
    /// A run must exist.
    624 RunUnknown { run: RunId } => "there is no run {run}";
    /// A run must not be over.
    625 RunFinished { run: RunId } => "run {run} is finished";
    /// Only a paused run is resumed.
    626 RunNotPaused { run: RunId } => "run {run} is not paused";
    /// A recipe must be able to run.
    627 RecipeRefused { reason: String } => "recipe cannot run: {reason}";
    /// No vote makes a track laxer than what is compiled in.
    628 BelowFloor { track: Track, what: &'static str } => "{what} of track {track} would be below what is compiled in";
    /// No vote makes deciding impossible.
    629 AboveCeiling { track: Track, what: &'static str } => "{what} of track {track} would be above what is allowed";
    /// A half of the council has six different members that sit in it once.
    630 CouncilSeats { found: usize, needed: usize } => "cohort has {found} different new members; {needed} are needed";
    /// The steward is extended once.
    631 ExtendedBefore => "the steward's dates were extended already";
    /// Only what is not over is cancelled.
    632 NotCancellable { id: ProposalId } => "proposal {id} has nothing left to cancel";
    /// Nobody delegates to itself.
    633 DelegateSelf { holder: Address } => "{holder} cannot delegate to itself";
    /// Only the steward or the council guards.
    634 NotGuardian { sender: Address } => "{sender} guards nothing in this stage";
    /// A guardian's powers shrink with stages and dates.
    635 PowerEnded { act: &'static str } => "guardians may not {act} in this stage and at this date";
    /// Pauses are counted by the year.
    636 PausesSpent { count_max: u32 } => "{count_max} pauses in a year are all there are";
    /// A pause ends before another begins.
    637 PausedAlready { module: Module, until: Height } => "module {module:?} is paused until height {until}";
    /// A decree does not serve the one who decrees.
    638 NotByDecree => "guardians and their dates are not changed by decree";
    /// A council member approves once.
    639 ApprovedBefore { member: Address } => "{member} approved this already";
    /// A scheduled proposal is held once.
    640 NotDelayable { id: ProposalId } => "proposal {id} cannot be put off, or not again";
    /// Nothing follows the last stage.
    641 StageLast => "stage 3 is the last";
    /// Every gate of the next stage must hold.
    642 GateClosed { gate: String, found: u64, needed: u64 } => "gate {gate} is at {found}; {needed} is needed";
    /// They must have held without interruption.
    643 GatesTooYoung { held_days: u64, needed_days: u64 } => "all gates have held for {held_days} days; {needed_days} are needed";
    /// Readiness is for a scheduled upgrade.
    644 NoUpgrade { version: u32 } => "no upgrade to version {version} is scheduled";
    /// Readiness is signalled in the week before.
    645 ReadinessEarly { height: Height, opens: Height } => "height is {height}; readiness counts from {opens}";
    /// Only validators' operators signal.
    646 NotOperator { sender: Address } => "{sender} is not a validator's operator";
    /// Once each.
    647 SignalledBefore { sender: Address } => "{sender} signalled readiness already";
    /// Only contributors of recent work object.
    648 NotContributor { sender: Address } => "{sender} has no verified work of the last 90 days";
    /// From stage 1, before execution, until the delay is won.
    649 ObjectionClosed { id: ProposalId } => "proposal {id} takes no objections now";
    /// Once each.
    650 ObjectedBefore { sender: Address } => "{sender} objected already";
    /// A class of miners means something.
    651 ClassRefused { reason: String } => "class cannot be listed: {reason}";
    /// Only a slash that is due is cancelled.
    652 NoSlash { operator: Address } => "validator {operator} awaits no slash";
}
