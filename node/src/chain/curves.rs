//! How the counts of proposals went, vote by vote, for whoever draws them.
//!
//! The state has the count of now only. A node notes it after every block with a vote, and writes
//! it down, so that a restart loses nothing: a slot of its own disk for each of the latest
//! proposals.

use crate::rpc::governance::CurvePoint;
use ledger_store::{Store, StoreError};
use protocol::{
    ProposalId,
    codec::{decode, encode},
};

/// Proposals whose counts are kept.
const PROPOSALS_COUNT_MAX: u64 = 64;
/// Points of a proposal; beyond them every second one is dropped.
const POINTS_COUNT_MAX: usize = 64;
/// Most bytes of a slot: number, proposal and points.
const SLOT_BYTES_MAX: usize = 4096;

/// The counts of one proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Curve {
    /// Of all proposals that this node saw votes on; says which slot it has.
    number: u64,
    id: ProposalId,
    points: Vec<CurvePoint>,
}

/// The counts of the latest proposals.
#[derive(Debug, Default)]
pub struct Curves(Vec<Curve>);

fn key(slot: u64) -> Vec<u8> {
    [&b"curve/"[..], &slot.to_be_bytes()].concat()
}

impl Curves {
    /// What the node had noted before it was restarted.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn recovered(store: &dyn Store) -> Result<Self, StoreError> {
        let mut curves = Vec::new();
        for slot in 0..PROPOSALS_COUNT_MAX {
            let bytes = store.get_local(&key(slot))?;
            let read = bytes.and_then(|bytes| decode("curve", &bytes, SLOT_BYTES_MAX).ok());
            curves.extend(read.map(|(number, id, points)| Curve { number, id, points }));
        }
        curves.sort_unstable_by_key(|curve| curve.number);
        Ok(Self(curves))
    }
    /// The counts of a proposal.
    #[must_use]
    pub fn of(&self, id: ProposalId) -> Vec<CurvePoint> {
        let found = self.0.iter().find(|curve| curve.id == id);
        found.map(|curve| curve.points.clone()).unwrap_or_default()
    }
    /// Notes a proposal's count after a block.
    pub fn note(&mut self, id: ProposalId, point: CurvePoint, store: &dyn Store) {
        let curve = self.entry(id);
        curve.points.retain(|before| before.height != point.height);
        curve.points.push(point);
        if curve.points.len() > POINTS_COUNT_MAX {
            let mut is_kept = false;
            curve.points.retain(|_| {
                is_kept = !is_kept;
                is_kept
            });
        }
        let bytes = encode(&(curve.number, curve.id, &curve.points));
        if let Err(error) = store.put_local(&key(curve.number % PROPOSALS_COUNT_MAX), &bytes) {
            tracing::warn!("a count is forgotten at a restart: {error}");
        }
    }
    /// The curve of a proposal; the oldest makes room for a new one.
    fn entry(&mut self, id: ProposalId) -> &mut Curve {
        if let Some(index) = self.0.iter().position(|curve| curve.id == id) {
            return &mut self.0[index];
        }
        if self.0.len() as u64 >= PROPOSALS_COUNT_MAX {
            self.0.remove(0);
        }
        let number = self.0.last().map_or(0, |last| last.number + 1);
        self.0.push(Curve {
            number,
            id,
            points: Vec::new(),
        });
        let last = self.0.len() - 1;
        &mut self.0[last]
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use ledger_store::MemoryStore;
    use protocol::{Height, Micro};

    fn id(number: u8) -> ProposalId {
        ProposalId::from_bytes([number; 32])
    }

    const fn point(height: u64) -> CurvePoint {
        CurvePoint {
            height: Height::new(height),
            support: Micro::new(height),
            approval: Micro::new(500_000),
        }
    }

    fn heights(curves: &Curves, number: u8) -> Vec<u64> {
        let points = curves.of(id(number)).into_iter();
        points.map(|point| point.height.get()).collect()
    }

    #[test]
    fn a_restart_loses_no_count() {
        let store = MemoryStore::default();
        let mut curves = Curves::default();
        curves.note(id(1), point(5), &store);
        curves.note(id(2), point(6), &store);
        curves.note(id(1), point(7), &store);
        curves.note(id(1), point(7), &store);
        let mut curves = Curves::recovered(&store).unwrap();
        assert_eq!(heights(&curves, 1), [5, 7]);
        assert_eq!(heights(&curves, 2), [6]);
        assert!(heights(&curves, 3).is_empty());
        curves.note(id(2), point(9), &store);
        curves.note(id(3), point(9), &store);
        let curves = Curves::recovered(&store).unwrap();
        assert_eq!([1, 2, 3].map(|n| heights(&curves, n).len()), [2, 2, 1]);
    }

    #[test]
    fn many_votes_and_many_proposals_are_thinned() {
        let store = MemoryStore::default();
        let mut curves = Curves::default();
        for height in 1..=1000 {
            curves.note(id(0), point(height), &store);
        }
        let kept = heights(&curves, 0);
        assert!(kept.len() <= POINTS_COUNT_MAX && kept.first() == Some(&1));
        for number in 1..=100 {
            curves.note(id(number), point(1000 + u64::from(number)), &store);
        }
        let curves = Curves::recovered(&store).unwrap();
        assert_eq!(curves.0.len() as u64, PROPOSALS_COUNT_MAX);
        assert!(heights(&curves, 36).is_empty());
        assert_eq!(heights(&curves, 37), [1037]);
        assert_eq!(heights(&curves, 100), [1100]);
    }
}
