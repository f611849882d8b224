//! The second house: whoever did verified work lately may ask for time, and for nothing else.
//!
//! From stage 1, contributors whose work of the last 90 days adds up to more than a third of all
//! of it put an execution off by 14 days, once. Each counts for at most a twentieth, so it takes
//! seven, and no large miner decides alone.

use crate::{
    Refusal, Share,
    calendar::DELAY_DAYS,
    event::Event,
    lifecycle,
    proposal::{Status, find},
    settings,
    share::in_millionths,
    stage::{Stage, handover},
    store::{Records, Store, records},
};
use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{Address, Height, ProposalId};

/// Days of a bucket of work; three full ones and the current one count.
pub const BUCKET_DAYS: u64 = 30;
/// Buckets that count.
const BUCKETS_COUNT: usize = 4;
/// Most that one contributor counts for, in millionths of all work.
pub const WEIGHT_MICRO_MAX: u64 = 50_000;
/// Objections beyond this share put an execution off.
pub const OBJECTION: Share = Share::new(1, 3);

/// Verified work by 30-day bucket, newest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Work {
    bucket: u64,
    amounts: [u64; BUCKETS_COUNT],
}

/// All contributors' work together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct AllWork(pub Work);

/// A contributor objected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Objection;

records! {
    30 Work: Address;
    31 AllWork: ();
    9 Objection: (ProposalId, Address);
}

impl Work {
    /// This work seen from a later bucket.
    fn in_bucket(self, bucket: u64) -> Self {
        let gone = usize::try_from(bucket.saturating_sub(self.bucket)).unwrap_or(usize::MAX);
        let mut amounts = [0; BUCKETS_COUNT];
        for (to, from) in amounts.iter_mut().skip(gone).zip(self.amounts) {
            *to = from;
        }
        Self { bucket, amounts }
    }
    fn sum(self) -> u64 {
        self.amounts
            .iter()
            .fold(0, |sum: u64, amount| sum.saturating_add(*amount))
    }
    fn add(self, bucket: u64, amount: u64) -> Self {
        let mut moved = self.in_bucket(bucket);
        let [newest, ..] = &mut moved.amounts;
        *newest = newest.saturating_add(amount);
        moved
    }
}

fn bucket(store: &impl Store, now: Height) -> u64 {
    let day = settings(store).calendar.day(now);
    day.checked_div(BUCKET_DAYS).unwrap_or(0)
}

/// Counts verified work: what a unit paid.
pub fn record(store: &mut impl Store, contributor: Address, amount: u64, now: Height) {
    let bucket = bucket(store, now);
    let own: Work = store.get(&contributor).unwrap_or_default();
    store.put(&contributor, &own.add(bucket, amount));
    let all: AllWork = store.get(&()).unwrap_or_default();
    store.put(&(), &AllWork(all.0.add(bucket, amount)));
}

/// What a contributor counts for, in millionths of all recent work.
#[must_use]
pub fn weight_micro(store: &impl Store, contributor: Address, now: Height) -> u64 {
    let bucket = bucket(store, now);
    let recent = |work: Work| work.in_bucket(bucket).sum();
    let own = recent(store.get(&contributor).unwrap_or_default());
    let all = recent(store.get::<AllWork>(&()).unwrap_or_default().0);
    in_millionths(own, all).min(WEIGHT_MICRO_MAX)
}

/// A contributor objects; enough of them put the execution off.
///
/// # Errors
/// When objections are closed, or the sender has no recent work or objected already.
pub fn object(
    store: &mut impl Store,
    by: Address,
    id: ProposalId,
    now: Height,
) -> Result<Vec<Event>, Refusal> {
    let mut proposal = find(store, id)?;
    let is_open = matches!(
        proposal.status,
        Status::Voting { .. } | Status::Timelocked { .. }
    );
    if handover(store).stage < Stage::Shared || !is_open || proposal.was_delayed {
        return Err(Refusal::ObjectionClosed { id });
    }
    let weight = weight_micro(store, by, now);
    if weight == 0 {
        return Err(Refusal::NotContributor { sender: by });
    }
    if store.get::<Objection>(&(id, by)).is_some() {
        return Err(Refusal::ObjectedBefore { sender: by });
    }
    store.put(&(id, by), &Objection);
    proposal.objections_micro = proposal.objections_micro.saturating_add(weight);
    let objections_micro = proposal.objections_micro;
    let mut events = vec![Event::Objected {
        id,
        by,
        objections_micro,
    }];
    if OBJECTION.is_exceeded_by(objections_micro, 1_000_000) {
        proposal.was_delayed = true;
        if let Status::Timelocked { ready_at } = proposal.status {
            let from = ready_at.max(now);
            let ready_at = settings(store).calendar.after(from, DELAY_DAYS);
            let later = Status::Timelocked { ready_at };
            events.push(lifecycle::move_due(store, id, &mut proposal, later));
        }
    }
    store.put(&id, &proposal);
    Ok(events)
}
