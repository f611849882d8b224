//! Submission and deposits: what is refused before anyone has to read it, and what reading costs.
//!
//! The price of a proposal rises by a tenth of its base with every live proposal, so that ten
//! lookalikes cost far more than ten times one. Each proposer has one alive. Actions are executed
//! once on trial; what fails then is not put to the vote.

use crate::{
    Refusal, Rulebook, action,
    calendar::{DEPOSIT_DAYS, NOT_BEFORE_DAYS_MAX},
    event::Event,
    lifecycle,
    mutant::on,
    proposal::{Busy, Content, Due, Origin, Proposal, Status, find, live},
    purse, settings,
    store::{Records, records},
    track::TRACK_LIVE_COUNT_MAX,
    world::World,
};
use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{Address, Amount, Height, ProposalId, proposal::Payload};

/// The share of the price that a proposer puts down at once: one tenth.
pub const FIRST_DIVISOR: u64 = 10;
/// The least later deposit: one hundredth, which bounds how many there can be.
pub const LATER_DIVISOR: u64 = 100;

/// What an account put down for a proposal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Deposit(pub Amount);

records! { 7 Deposit: (ProposalId, Address); }

/// What a proposal with this multiple costs while so many are alive.
#[must_use]
pub fn price(base: Amount, multiple: u64, live_count: usize) -> Amount {
    let live_count = u64::try_from(live_count).unwrap_or(u64::MAX);
    let tenths = live_count.saturating_add(10);
    let scaled = u128::from(base.get())
        .saturating_mul(multiple.into())
        .saturating_mul(tenths.into());
    let price = scaled.checked_div(10).unwrap_or_default();
    Amount::new(u64::try_from(price).unwrap_or(u64::MAX))
}

/// Checks a payload and describes it as a proposal that has no deposit yet.
///
/// # Errors
/// The first rule it breaks.
pub(crate) fn draft(
    world: &mut impl World,
    proposer: Address,
    payload: &Payload,
    origin: Origin,
    now: Height,
) -> Result<Proposal, Refusal> {
    let settings = settings(world);
    if payload.title.as_str().trim().is_empty() {
        return Err(Refusal::TitleEmpty);
    }
    let latest = settings.calendar.after(now, NOT_BEFORE_DAYS_MAX);
    if payload.not_before > latest {
        let not_before = payload.not_before;
        return Err(Refusal::NotBeforeTooFar { not_before, latest });
    }
    let (tracks, outflow) = action::tracks(world, payload)?;
    let rulebook: Rulebook = world.get(&()).unwrap_or_default();
    let (track, rule) = rulebook.strictest(&tracks).ok_or(Refusal::ActionsEmpty)?;
    let live = live(world);
    if live.on(track) >= TRACK_LIVE_COUNT_MAX {
        let live_max = TRACK_LIVE_COUNT_MAX;
        return Err(Refusal::TrackFull { track, live_max });
    }
    action::rehearse(world, payload, &rule, origin, now)?;
    Ok(Proposal {
        proposer,
        title: payload.title.clone(),
        origin,
        track,
        rule,
        outflow,
        before: action::values(world, payload),
        submitted_at: now,
        not_before: payload.not_before,
        price: price(settings.deposit_base, rule.deposit_multiple, live.count()),
        deposited: Amount::ZERO,
        voting_ends: Height::ZERO,
        snapshot: Height::ZERO,
        status: Status::Deposit {
            until: settings.calendar.after(now, DEPOSIT_DAYS),
        },
        tally: crate::Tally::default(),
        was_supported: false,
        was_extended: false,
        objections_micro: 0,
        was_delayed: false,
        was_held: false,
    })
}

/// Submits a proposal with a first deposit; if that fills it, voting begins.
///
/// # Errors
/// The first rule it breaks.
pub fn propose(
    world: &mut impl World,
    proposer: Address,
    payload: &Payload,
    first: Amount,
    now: Height,
) -> Result<Vec<Event>, Refusal> {
    let id = payload.id(proposer, now);
    if world.get::<Proposal>(&id).is_some() {
        return Err(Refusal::ProposalDuplicate { id });
    }
    if let Some(Busy(id)) = world.get(&proposer) {
        return Err(Refusal::ProposerBusy { id });
    }
    let proposal = draft(world, proposer, payload, Origin::Vote, now)?;
    let needed = Amount::new(proposal.price.get().div_ceil(FIRST_DIVISOR));
    if first < needed {
        let deposit = first;
        return Err(Refusal::DepositTooLow { deposit, needed });
    }
    world.put(&proposer, &Busy(id));
    let status = proposal.status;
    let mut events = vec![
        enter(world, id, &proposal, payload),
        Event::StatusChanged { id, status },
    ];
    if let Status::Deposit { until } = proposal.status {
        world.put(&(until.next(), id), &Due);
    }
    events.extend(deposit(world, proposer, id, first, now)?);
    Ok(events)
}

/// Records a proposal and its content.
pub(crate) fn enter(
    world: &mut impl World,
    id: ProposalId,
    proposal: &Proposal,
    payload: &Payload,
) -> Event {
    world.put(&id, proposal);
    world.put(&id, &Content(payload.clone()));
    let mut live = live(world);
    live.tracks.entry(proposal.track).or_default().insert(id);
    world.put(&(), &live);
    let track = proposal.track;
    Event::Submitted { id, track }
}

/// Adds to a deposit, at most what is missing; when it is filled, voting begins.
///
/// # Errors
/// When the proposal takes no deposits, the amount is too small or the balance too low.
pub fn deposit(
    world: &mut impl World,
    from: Address,
    id: ProposalId,
    amount: Amount,
    now: Height,
) -> Result<Vec<Event>, Refusal> {
    let mut proposal = find(world, id)?;
    if !matches!(proposal.status, Status::Deposit { until } if now <= until) {
        return Err(Refusal::DepositClosed { id });
    }
    let missing = proposal.price.saturating_sub(proposal.deposited.get());
    let least = Amount::new(proposal.price.get().div_ceil(LATER_DIVISOR));
    let needed = least.min(missing);
    if amount < needed {
        return Err(Refusal::DepositTooLow {
            deposit: amount,
            needed,
        });
    }
    let amount = amount.min(missing);
    purse::hold(world, from, amount)?;
    let key = (id, from);
    let before: Deposit = world.get(&key).unwrap_or_default();
    world.put(&key, &Deposit(before.0.saturating_add(amount.get())));
    proposal.deposited = proposal.deposited.saturating_add(amount.get());
    let mut events = vec![Event::Deposited { id, from, amount }];
    if proposal.deposited >= proposal.price {
        events.push(lifecycle::open_voting(world, id, &mut proposal, now));
    }
    world.put(&id, &proposal);
    Ok(events)
}

/// What becomes of a deposit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Back to whoever paid it.
    Return,
    /// To nobody.
    Burn,
}

/// Settles all deposits of a proposal; there are at most a hundred.
pub(crate) fn settle(
    world: &mut impl World,
    id: ProposalId,
    proposal: &mut Proposal,
    fate: Fate,
) -> Option<Event> {
    let amount = std::mem::take(&mut proposal.deposited);
    if amount == Amount::ZERO {
        return None;
    }
    for ((_, from), Deposit(part)) in world.scan::<Deposit>(&id) {
        world.delete::<Deposit>(&(id, from));
        if fate == Fate::Return {
            purse::give(world, from, part);
        }
    }
    purse::unhold(world, amount);
    Some(match fate {
        Fate::Return => Event::DepositReturned { id, amount },
        Fate::Burn => {
            if !on("an expired deposit vanishes") {
                world.burn(amount);
            }
            Event::DepositBurned { id, amount }
        }
    })
}
