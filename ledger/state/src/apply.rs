//! `apply(state, block) -> Result<Transition, Rejection>`: the order of everything in a block.

use crate::state::Writes;
use crate::{
    Rejection, State, View, account, auditor,
    beacon::{self, ProposerRandomness, Source as _},
    bond, checkpoint,
    commitment::{self, Bound},
    emission, equivocation,
    event::Event,
    fee::{self, Charge, Meter, Terms},
    leave, opening,
    proposal::{self, events},
    reward,
    run::{self, Tip},
    sample,
    staking::{self, contradiction, epoch, jail, register, rotation, stake},
    task,
    unit::Claim,
    validator::Sets,
    verdict,
};
use governance::{council, house, power, stage, submit, upgrade, vote};
use ledger_tree::Tree;
use protocol::{
    Address, Height, StateRoot,
    block::{self, BLOCK_BYTES_MAX, Header},
    task::Beacon,
    transaction::{Body, Verified},
};

/// What a valid block does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// To apply to the state.
    pub writes: Writes,
    /// The root afterwards.
    pub root: StateRoot,
    /// The tree afterwards.
    pub tree: Tree,
    /// What happened, in order.
    pub events: Vec<Event>,
}

/// Applies a block.
///
/// # Errors
/// The first rule that the header or a transaction breaks.
pub fn apply(state: &State, block: &block::Verified) -> Result<Transition, Rejection> {
    let header = block.header();
    let mut view = state.view();
    let beacon = check_header(&view, state, header)?;
    let height = header.height;
    let mut events = begin(&mut view, header);
    let mut meter = Meter::new(Terms::of(&view), BLOCK_BYTES_MAX);
    for transaction in block.transactions() {
        let charge = Charge::of(meter.terms(), transaction);
        meter = meter.after(&charge)?;
        events.extend(execute(&mut view, transaction, &charge, height)?);
    }
    let proposer = rotation::operator_of(&view, header.proposer);
    meter.settle(&mut view, proposer.unwrap_or(header.proposer));
    events.extend(sample::draw(&mut view, height, &beacon));
    events.extend(verdict::settle(&mut view, height, &beacon));
    reward::vest(&mut view, height);
    events.extend(task::advance(&mut view, height, &beacon));
    events.extend(leave::finish(&mut view, height));
    if epoch::ends(&view, height) {
        events.extend(emission::pay(&mut view, height));
        events.extend(rotation::turn(&mut view, height));
        epoch::turn(&mut view, height);
    }
    let tip = Tip {
        height,
        block: block.id(),
        time_ms: header.time_ms,
        beacon,
        ..run::tip(&view)
    };
    view.put(&(), &tip);
    Sets::advance(&mut view);
    let tree = view.tree();
    Ok(Transition {
        root: tree.root(),
        tree,
        writes: view.into_writes(),
        events,
    })
}

/// What a block does before its transactions.
fn begin(view: &mut View<'_>, header: &Header) -> Vec<Event> {
    // First what the header's version is about, as it was when the header was checked.
    let mut events = begin_height(view, header.height);
    events.extend(beacon::fine_silent(view, header));
    events
}

/// The part of it that depends on the height alone, so that whoever builds a block knows it.
pub(crate) fn begin_height(view: &mut View<'_>, height: Height) -> Vec<Event> {
    let mut events = proposal::advance(view, height);
    events.extend(contradiction::apply_due(view, height));
    events.extend(stake::free(view, height));
    events
}

fn check_header(view: &View<'_>, state: &State, header: &Header) -> Result<Beacon, Rejection> {
    let tip = run::tip(view);
    let expected = tip.height.next();
    if header.height != expected {
        return Err(Rejection::HeightNotNext {
            found: header.height,
            expected,
        });
    }
    let version = upgrade::version_at(view, header.height);
    if header.version != version {
        return Err(Rejection::VersionMismatch {
            found: header.version,
            expected: version,
        });
    }
    if header.parent != tip.block {
        return Err(Rejection::ParentMismatch {
            found: header.parent,
            expected: tip.block,
        });
    }
    let root = state.root();
    if header.state_root != root {
        return Err(Rejection::StateRootMismatch {
            found: header.state_root,
            expected: root,
        });
    }
    Sets::of(view).check(header)?;
    if rotation::operator_of(view, header.proposer).is_none() {
        return Err(Rejection::ProposerUnknown {
            proposer: header.proposer,
        });
    }
    if header.time_ms < tip.time_ms {
        return Err(Rejection::TimeBackwards {
            found: header.time_ms,
            parent: tip.time_ms,
        });
    }
    beacon::check_turn(view, header)?;
    ProposerRandomness.beacon(view, &tip, header)
}

/// Applies one transaction; on rejection the view is as it was. What it pays has left the sender
/// then, and goes where it belongs when the block's [`Meter`] settles.
pub(crate) fn execute(
    view: &mut View<'_>,
    transaction: &Verified,
    charge: &Charge,
    height: Height,
) -> Result<Vec<Event>, Rejection> {
    view.attempt(|view| {
        let sender = transaction.sender();
        let body = transaction.body();
        account::advance_nonce(view, sender, transaction.nonce())?;
        if fee::is_paid_after(body) {
            let events = dispatch(view, sender, body, height)?;
            charge.collect(view, sender, transaction.fee())?;
            return Ok(events);
        }
        charge.collect(view, sender, transaction.fee())?;
        dispatch(view, sender, body, height)
    })
}

/// What a body would do in the next block if this account signed it; its writes are in `view`
/// afterwards. For whoever wants to see before signing.
///
/// # Errors
/// The rule it breaks.
pub fn rehearse(
    view: &mut View<'_>,
    sender: Address,
    body: &Body,
) -> Result<Vec<Event>, Rejection> {
    let height = run::tip(view).height.next();
    view.attempt(|view| dispatch(view, sender, body, height))
}

#[expect(
    clippy::too_many_lines,
    reason = "one arm a kind; a table reads best whole"
)]
fn dispatch(
    view: &mut View<'_>,
    sender: Address,
    body: &Body,
    height: Height,
) -> Result<Vec<Event>, Rejection> {
    match body {
        Body::Transfer { to, amount } => account::transfer(view, sender, *to, *amount),
        Body::RegisterMiner { bond, vrf, class } => {
            bond::register(view, sender, (*bond, *vrf, *class), height)
        }
        Body::Resume => bond::resume(view, sender, height),
        Body::CommitRollouts {
            unit,
            root,
            blob,
            blob_bytes,
            totals,
        } => {
            let (root, totals) = (*root, *totals);
            let claim = Claim::Rollout { root, totals };
            let bound = Bound {
                unit: *unit,
                blob: *blob,
                blob_bytes: *blob_bytes,
                claim,
            };
            commitment::commit(view, sender, bound, height)
        }
        Body::CommitGradient {
            unit,
            root,
            blob,
            blob_bytes,
            tokens_count,
            loss_micro,
            feedback,
        } => {
            let claim = Claim::Gradient {
                root: *root,
                tokens_count: *tokens_count,
                loss_micro: *loss_micro,
                feedback: *feedback,
            };
            let bound = Bound {
                unit: *unit,
                blob: *blob,
                blob_bytes: *blob_bytes,
                claim,
            };
            commitment::commit(view, sender, bound, height)
        }
        Body::AttestBlobs { units } => commitment::attest(view, sender, units.as_slice(), height),
        Body::RegisterVerifier { bond, vrf } => {
            auditor::register(view, sender, (*bond, *vrf), height)
        }
        Body::AuditCommit {
            unit,
            sortition: Some(proof),
            commitment,
        } => verdict::sortition::volunteer(view, sender, *unit, (proof, *commitment), height),
        Body::AuditCommit {
            unit,
            sortition: None,
            commitment,
        } => verdict::commit(view, sender, *unit, *commitment, height),
        Body::AuditReveal {
            unit,
            verdict,
            sketch,
            salt,
        } => {
            let judged = (verdict, *sketch);
            verdict::reveal(view, sender, *unit, judged, *salt, height)
        }
        Body::Open { openings } => opening::open(view, sender, openings.as_slice(), height),
        Body::OpenStates { opening } => opening::open_states(view, sender, opening, height),
        Body::Dispute { unit, play } => {
            verdict::dispute::play(view, sender, *unit, play.as_slice(), height)
        }
        Body::Appeal { unit } => verdict::appeal::post(view, sender, *unit, height),
        Body::AttestCheckpoint { checkpoint } => {
            checkpoint::attest(view, sender, checkpoint.clone(), height)
        }
        Body::ReportEquivocation { proof } => equivocation::report(view, sender, proof, height),
        Body::Propose { payload, deposit } => Ok(events(submit::propose(
            view, sender, payload, *deposit, height,
        )?)),
        Body::Deposit { proposal, amount } => Ok(events(submit::deposit(
            view, sender, *proposal, *amount, height,
        )?)),
        Body::Vote { proposal, weights } => Ok(events(vote::vote(
            view, sender, *proposal, *weights, height,
        )?)),
        Body::Delegate { track, to } => {
            Ok(events(power::delegate(view, sender, *track, *to, height)?))
        }
        Body::Object { proposal } => Ok(events(house::object(view, sender, *proposal, height)?)),
        Body::AdvanceStage => Ok(events(stage::advance(view, height)?)),
        Body::SignalReadiness { version } => {
            Ok(events(upgrade::signal(view, sender, *version, height)?))
        }
        Body::RegisterValidator {
            consent,
            stake,
            commission,
        } => register::register(view, sender, consent, (*stake, *commission), height),
        Body::Stake { operator, amount } => stake::stake(view, sender, *operator, *amount, height),
        Body::Unstake { operator, amount } => {
            stake::unstake(view, sender, *operator, *amount, height)
        }
        Body::Restake { from, to, amount } => {
            stake::restake(view, sender, (*from, *to), *amount, height)
        }
        Body::ClaimRewards { operator } => staking::reward::claim(view, sender, *operator),
        Body::SetCommission {
            operator,
            commission,
        } => register::set_commission(view, sender, *operator, *commission, height),
        Body::Unjail { operator } => jail::release(view, sender, *operator, height),
        Body::ReportDoubleSign { evidence } => {
            contradiction::report(view, sender, evidence, height)
        }
        Body::AddBond { role, amount } => leave::add_bond(view, sender, (*role, *amount)),
        Body::Leave { role } => leave::leave(view, sender, *role, height),
        Body::RotateKey { succession } => rotation::rotate(view, sender, succession),
        Body::Guard { guard } => Ok(events(council::guard(view, sender, guard, height)?)),
    }
}

/// Whether a transaction could be in the next block, after those already in `view`; if so, its
/// writes are in `view` afterwards.
///
/// # Errors
/// The rule it breaks.
pub fn check_transaction(view: &mut View<'_>, transaction: &Verified) -> Result<(), Rejection> {
    let height = run::tip(view).height.next();
    let terms = Terms::of(view);
    let charge = Charge::of(&terms, transaction);
    Meter::new(terms, BLOCK_BYTES_MAX).after(&charge)?;
    execute(view, transaction, &charge, height).map(|_| ())
}
