//! Rejections: why a block or transaction is not valid. Codes are stable. Spec: rejections.

use crate::verdict::dispute::Refused;
use governance::Refusal;
use protocol::{
    Address, Amount, BlockId, Height, Micro, Nonce, ProposalId, PublicKey, RunId, StateRoot, Step,
    ValidatorsHash, class::ClassId, rollout::Root, task::UnitId, vote::DoubleSignError,
    vrf::Public,
};

macro_rules! rejections {
    ($(
        $(#[$doc:meta])*
        $code:literal $name:ident $({ $($field:ident: $type:ty),* $(,)? })? => $message:literal;
    )+) => {
        /// Why a block (1xx) or transaction (2xx to 6xx) is not valid.
        #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
        #[allow(missing_docs, reason = "field names and the message say what each holds")]
        pub enum Rejection {
            $($(#[$doc])* #[error($message)] $name $({ $($field: $type),* })?,)+
            /// A rule of governance, with a code of its own (6xx).
            #[error(transparent)]
            Governance(#[from] Refusal),
        }

        impl Rejection {
            /// The stable number.
            #[must_use]
            pub const fn code(&self) -> u16 {
                match self {
                    $(Self::$name { .. } => $code,)+
                    Self::Governance(refusal) => refusal.code(),
                }
            }
            /// The stable name.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$name { .. } => stringify!($name),)+
                    Self::Governance(refusal) => refusal.name(),
                }
            }
            /// All codes with their names, but those of governance: [`Refusal::ALL`].
            pub const ALL: &'static [(u16, &'static str)] = &[$(($code, stringify!($name))),+];
        }
    };
}

rejections! {
    /// A block must follow the tip.
    101 HeightNotNext { found: Height, expected: Height } => "block has height {found}; {expected} is next";
    /// A block must name the tip as its parent.
    102 ParentMismatch { found: BlockId, expected: BlockId } => "block has parent {found}; the tip is {expected}";
    /// A block must have been built on our state.
    103 StateRootMismatch { found: StateRoot, expected: StateRoot } => "block was built on state {found}; ours is {expected}";
    /// Only validators propose.
    104 ProposerUnknown { proposer: Address } => "proposer {proposer} is not a validator";
    /// Time does not go back.
    105 TimeBackwards { found: u64, parent: u64 } => "block has time {found} ms; its parent has {parent} ms";
    /// Each round has one proposer.
    106 ProposerOutOfTurn { proposer: Address, round: u32 } => "{proposer} is not the proposer of round {round}";
    /// A header proves its proposer's randomness.
    107 BeaconUnproven { proposer: Address } => "beacon proof is not of {proposer} for this height";
    /// A header names the validators of its height and of the next.
    108 ValidatorsMismatch { found: ValidatorsHash, expected: ValidatorsHash } => "header names validators {found}; they are {expected}";
    /// A block has an end.
    109 BlockGas { gas: u64, gas_max: u64 } => "transactions use {gas} gas; a block holds {gas_max}";
    /// Part of a block is kept for duties.
    110 PaidGas { gas: u64, gas_max: u64 } => "paid transactions use {gas} gas; a block holds {gas_max} of them";
    /// Part of a block is kept for duties.
    111 PaidBytes { bytes_count: u64, bytes_max: u64 } => "paid transactions have {bytes_count} bytes; a block holds {bytes_max} of them";
    /// Part of a block is kept for duties.
    112 PaidCount { count: usize, count_max: usize } => "there are {count} paid transactions; a block holds {count_max}";
    /// A header says by which rules its block is to be read.
    113 VersionMismatch { found: u32, expected: u32 } => "block has version {found}; {expected} is in force";
    /// Transactions of an account come in order.
    201 NonceMismatch { found: Nonce, expected: Nonce } => "transaction has nonce {found}; the account's next is {expected}";
    /// Spending needs a balance.
    202 BalanceTooLow { balance: Amount, needed: Amount } => "balance is {balance}; {needed} is needed";
    /// A transfer moves something.
    203 TransferOfNothing => "transfer has amount 0; at least 1 is needed";
    /// Whoever comes of free will offers the base fee and its tip.
    204 FeeTooLow { max: Amount, base: Amount, tip: Amount } => "transaction pays at most {max}; the base fee is {base} and its tip {tip}";
    /// Fees are paid from the balance.
    205 FeeUnpayable { balance: Amount, needed: Amount } => "balance is {balance}; the fee is {needed}";
    /// Duties are free.
    206 DutyWithFee { max: Amount, tip: Amount } => "duty offers a fee of at most {max} and a tip of {tip}; it is free";
    /// A miner registers once.
    211 AlreadyRegistered { miner: Address } => "miner {miner} is registered already";
    /// Only miners resume.
    212 MinerUnknown { sender: Address } => "{sender} is not a miner";
    /// A slashed miner is out.
    213 MinerSlashed { miner: Address } => "miner {miner} was slashed";
    /// A bond has a minimum.
    214 BondTooLow { bond: Amount, bond_min: Amount } => "bond is {bond}; at least {bond_min} is needed";
    /// Only idle miners resume.
    215 MinerNotIdle { miner: Address } => "miner {miner} is active already";
    /// A key of verifiable randomness is one.
    216 RandomnessKeyInvalid { key: Public } => "{key} is not a key of verifiable randomness";
    /// Only engines that were measured are admitted.
    217 ClassUnlisted { class: ClassId } => "class {class} is not listed";
    /// Nobody audits under one key twice.
    221 AlreadyAuditor { sender: Address } => "{sender} is a validator or verifier already";
    /// Stake is with a validator.
    231 ValidatorUnknown { operator: Address } => "{operator} is not a validator's operator";
    /// Whoever contradicted itself is out.
    232 ValidatorRemoved { operator: Address } => "validator {operator} was slashed for contradicting itself";
    /// Nothing leaves or joins what is about to be slashed.
    233 ValidatorFrozen { operator: Address, slashed_at: Height } => "validator {operator} is frozen until it is slashed at height {slashed_at}";
    /// An operator agrees to sign for a holder.
    234 ConsentForged { operator: Address, holder: Address } => "operator {operator} did not sign that it acts for {holder} on this chain";
    /// A validator is its holder's.
    235 NotHolder { operator: Address, sender: Address } => "{sender} does not own validator {operator}";
    /// Stake has a minimum.
    236 StakeTooSmall { stake: Amount, stake_min: Amount } => "stake would be {stake}; at least {stake_min} is needed";
    /// Nobody takes out more than there is, or nothing.
    237 StakeTooLow { stake: Amount, amount: Amount } => "stake is {stake}; {amount} cannot be taken out";
    /// A slash goes through all stakers.
    238 StakersTooMany { operator: Address, count: u32 } => "validator {operator} has {count} stakers; no more are allowed";
    /// Stake that decided lives with the decision.
    239 StakeBound { owner: Address, proposal: ProposalId } => "stake of {owner} is bound by its vote on proposal {proposal}";
    /// Stake that moved answers for both.
    240 StakeMovedBefore { owner: Address, until: Height } => "stake of {owner} came from another validator; it moves again after height {until}";
    /// Moved stake moves.
    241 StakeMovedNowhere { operator: Address } => "stake is with {operator} already";
    /// A claim pays something.
    242 NothingToClaim { owner: Address, operator: Address } => "{owner} has earned nothing with validator {operator}";
    /// A commission is a share.
    243 CommissionTooHigh { commission: Micro } => "commission is {commission} millionths; at most 1000000 are allowed";
    /// A commission rises slowly.
    244 CommissionStep { commission: Micro, before: Micro, rises_from: Height } => "commission would be {commission} millionths and is {before}; it may rise by 10000 from height {rises_from} on";
    /// Only who is jailed is released.
    245 NotJailed { operator: Address } => "validator {operator} is not jailed";
    /// Absence costs time.
    246 JailedStill { height: Height, until: Height } => "height is {height}; the validator is jailed until {until}";
    /// Stake answers for a time.
    247 EvidenceOld { found: Height, oldest: Height, newest: Height } => "evidence is of height {found}; between {oldest} and {newest} is allowed";
    /// Evidence proves.
    248 EvidenceUnproven { operator: Address, reason: DoubleSignError } => "evidence against {operator} proves nothing: {reason}";
    /// A key is one validator's for ever.
    249 KeyTaken { key: PublicKey } => "key {key} is, or was, a validator's or a verifier's";
    /// A validator rotates once at a time.
    250 RotationPending { operator: Address, next: PublicKey } => "{operator} rotates to key {next} with the next epoch already";
    /// Only a verifier leaves as one.
    251 VerifierUnknown { sender: Address } => "{sender} is not a verifier";
    /// Notice is given once.
    252 LeavingAlready { sender: Address } => "{sender} has given notice";
    /// A key agrees to sign for a validator.
    253 SuccessionForged { operator: Address, key: PublicKey } => "key {key} did not sign that it signs for {operator}";
    /// A key that was put away harms nobody.
    254 KeyRetired { key: PublicKey, last: Height } => "key {key} was in no set after height {last}";
    /// What a vote forgave is not shown again.
    255 EvidenceForgiven { found: Height, through: Height } => "evidence is of height {found}; a vote forgave what was signed up to height {through}";
    /// A unit must have been assigned.
    301 UnitUnknown { unit: UnitId } => "unit {unit} is not assigned";
    /// Only its miner binds a unit.
    302 NotAssignee { unit: UnitId, assignee: Address } => "unit {unit} is assigned to {assignee}";
    /// A unit is bound once.
    303 UnitCommittedBefore { unit: UnitId } => "unit {unit} is committed already";
    /// A unit is bound in time.
    304 DeadlinePassed { height: Height, deadline: Height } => "height is {height}; the unit's deadline was {deadline}";
    /// The claim fits the unit's kind.
    305 ClaimMismatch { unit: UnitId } => "claim does not fit unit {unit}";
    /// Blobs have a size.
    306 BlobSize { blob_bytes: u64, blob_bytes_max: u64 } => "blob has {blob_bytes} bytes; between 1 and {blob_bytes_max} are allowed";
    /// Totals must be possible.
    307 TotalsImpossible { samples_count: u32, expected: u32 } => "totals over {samples_count} samples are impossible; the unit has {expected}";
    /// Only validators attest.
    311 NotValidator { sender: Address } => "{sender} is not a validator's operator";
    /// Only a committed unit's blob is attested.
    312 UnitNotCommitted { unit: UnitId } => "unit {unit} is not committed";
    /// An attestation says something new.
    313 NothingAttested => "attestation names no open unit that the sender has not attested";
    /// Signing one root twice is no equivocation.
    314 EquivocationSame { unit: UnitId, root: Root } => "both commitments to unit {unit} bind root {root}";
    /// An equivocation was signed by the miner.
    315 EquivocationForged { unit: UnitId, miner: Address } => "commitments to unit {unit} are not both signed by {miner}";
    /// An opening opens something.
    316 NothingOpened => "opening names 0 units; at least 1 is needed";
    /// Nothing is opened before it is due, or twice.
    317 OpeningNotDue { unit: UnitId } => "nothing of unit {unit} is due to be opened";
    /// Units are opened in time.
    318 OpeningLate { height: Height, open_by: Height } => "height is {height}; the unit had to be opened by {open_by}";
    /// The opening must be what was bound.
    319 OpeningMismatch { unit: UnitId } => "opening of unit {unit} does not give the committed root";
    /// The randomness of a unit is its miner's.
    320 OpeningForged { unit: UnitId } => "randomness of unit {unit} is not proven by its miner's key";
    /// The sketch is opened exactly where it is due.
    321 SketchNotDue { unit: UnitId } => "sketch of unit {unit} is opened where it must stay sealed, or sealed where it is due";
    /// A sketch has a part for every group.
    322 SketchParts { unit: UnitId, found: usize, expected: u32 } => "sketch of unit {unit} is opened in {found} parts; the unit has {expected}";
    /// States are opened exactly where they are due.
    323 StatesNotDue { unit: UnitId } => "states of unit {unit} are opened at other boundaries than those that are due";
    /// A state lies where its steps end.
    324 StateMisplaced { unit: UnitId, steps_count: u32, expected: u32 } => "state of unit {unit} is after {steps_count} inner steps; its boundary is after {expected}";
    /// States of pre-training have moments, and no others.
    325 StateIncomplete { unit: UnitId } => "state of unit {unit} has moments where it should have none, or none in pre-training";
    /// There must be an audit.
    401 NoAudit { unit: UnitId } => "unit {unit} has no open audit";
    /// Only drawn auditors judge.
    402 NotAuditor { unit: UnitId, sender: Address } => "{sender} is not an auditor of unit {unit}";
    /// Verdicts are bound once.
    403 AuditCommittedBefore { unit: UnitId } => "verdict on unit {unit} is committed already";
    /// Verdicts are bound in time.
    404 AuditCommitLate { height: Height, commit_by: Height } => "height is {height}; verdicts were due by {commit_by}";
    /// Only a bound verdict is opened.
    405 NothingToReveal { unit: UnitId } => "there is no committed verdict on unit {unit} to reveal";
    /// Nobody opens before all have bound.
    406 RevealEarly { unit: UnitId } => "verdicts on unit {unit} cannot be revealed before all auditors committed";
    /// Verdicts are opened in time.
    407 RevealLate { height: Height, reveal_by: Height } => "height is {height}; verdicts had to be revealed by {reveal_by}";
    /// The opening must be what was bound.
    408 RevealMismatch { unit: UnitId } => "revealed verdict on unit {unit} is not the committed one";
    /// A verdict has findings.
    409 VerdictEmpty { unit: UnitId } => "verdict on unit {unit} has 0 findings; at least 1 is needed";
    /// Whoever draws itself shows it.
    411 SortitionUnproven { unit: UnitId, sender: Address } => "{sender} does not prove what it drew for unit {unit}";
    /// Only those whose draw is low enough audit.
    412 NotEligible { unit: UnitId, sender: Address, stage: u32 } => "{sender} did not draw a seat for unit {unit} by stage {stage}";
    /// A round has few seats.
    413 SeatsTaken { unit: UnitId, seats_count: usize } => "all {seats_count} seats about unit {unit} are taken";
    /// Nobody draws itself where auditors are drawn.
    414 SortitionUncalled { unit: UnitId } => "auditors of unit {unit} are drawn publicly";
    /// Whoever accepts has looked behind the seals.
    415 SealsUnchecked { unit: UnitId } => "verdict on unit {unit} accepts without a finding about what is opened by now";
    /// Only a conviction is appealed.
    421 NotConvicted { unit: UnitId } => "unit {unit} has no conviction to appeal";
    /// Appeals come in time.
    422 AppealLate { height: Height, appeal_by: Height } => "height is {height}; appeals were due by {appeal_by}";
    /// Only a unit that is disputed has moves.
    423 NotDisputed { unit: UnitId } => "unit {unit} is not disputed";
    /// Sides move in turns.
    424 MoveNotYours { unit: UnitId, turn: Address } => "in the dispute about unit {unit} it is the turn of {turn}";
    /// Sides move in time.
    425 MoveLate { height: Height, move_by: Height } => "height is {height}; the move was due by {move_by}";
    /// A move follows the rules of the dispute.
    426 MoveRefused { unit: UnitId, reason: Refused } => "move in the dispute about unit {unit}: {reason}";
    /// Only auditors that were outvoted contest an acceptance.
    427 NotOutvoted { unit: UnitId, sender: Address } => "{sender} has found nothing in unit {unit} that a dispute decides";
    /// Each of them once.
    428 ContestedBefore { unit: UnitId, sender: Address } => "{sender} contests the acceptance of unit {unit} already";
    /// Only the next checkpoint is attested, when its step is settled.
    501 CheckpointNotDue { run: RunId, step: Step } => "checkpoint {step} of run {run} is not due";
    /// A checkpoint is attested once.
    502 CheckpointAttestedBefore { step: Step } => "checkpoint {step} is attested already";
    /// Evaluations are there exactly when the recipe asks.
    503 EvaluationMismatch { step: Step } => "checkpoint {step} has an evaluation where none is due, or none where one is";
}
