//! Commitments of units, and attestations of their blobs.

use super::Row;
use crate::support::{Chain, RUN, Setup, commitment_body, key, rejecting};
use ledger_state::Rejection;
use protocol::{
    Step,
    codec::BoundedVec,
    gradient, rollout,
    rollout::Totals,
    task::{UnitId, UnitKind},
    transaction::Body,
    verdict::Check,
};

pub(super) const ROWS: &[Row] = &[
    ("MinerSlashed", || {
        slashed().reject(key("miner", 0), Body::Resume)
    }),
    ("UnitUnknown", || {
        assigned(UnitKind::Rollout).with(|unit, _, _| unit.index = 4)
    }),
    ("UnitUnknown", || {
        assigned(UnitKind::Gradient).with(|unit, _, _| unit.step = Step::new(1))
    }),
    ("UnitUnknown", attested_without_being_assigned),
    ("NotAssignee", committed_by_another),
    ("UnitCommittedBefore", committed_twice),
    ("UnitCommittedBefore", committed_again_after_acceptance),
    ("DeadlinePassed", committed_late),
    ("DeadlinePassed", committed_after_it_was_missed),
    ("ClaimMismatch", rollouts_committed_as_a_gradient),
    ("ClaimMismatch", gradient_without_tokens),
    ("BlobSize", || {
        assigned(UnitKind::Rollout).with(|_, bytes, _| *bytes = 0)
    }),
    ("BlobSize", || {
        let large = rollout::PAYLOAD_BYTES_MAX as u64 + 1;
        assigned(UnitKind::Rollout).with(|_, bytes, _| *bytes = large)
    }),
    ("BlobSize", || {
        let large = gradient::PAYLOAD_BYTES_MAX as u64 + 1;
        assigned(UnitKind::Gradient).with(|_, bytes, _| *bytes = large)
    }),
    ("TotalsImpossible", || {
        totals(|totals| totals.samples_count = 3)
    }),
    ("TotalsImpossible", || {
        totals(|totals| totals.exact_count = 5)
    }),
    ("TotalsImpossible", || {
        totals(|totals| totals.reward_micro = 4_000_001)
    }),
    ("NotValidator", || attested_by("miner", 0)),
    ("NotValidator", || attested_by("holder", 0)),
    ("UnitNotCommitted", || attested_by("operator", 0)),
    ("NothingAttested", attested_twice),
    ("NothingAttested", attested_after_acceptance),
    ("NothingAttested", attested_nothing),
];

/// A chain with an assigned unit.
struct Assigned {
    chain: Chain,
    unit: UnitId,
}

fn assigned(kind: UnitKind) -> Assigned {
    let chain = Chain::working(&Setup::default());
    let unit = chain.units_of(kind)[0];
    Assigned { chain, unit }
}

impl Assigned {
    fn owner(&self) -> protocol::SigningKey {
        self.chain.key_of(self.chain.unit(self.unit).miner)
    }
    /// The fate of a commitment by the unit's miner, with something changed.
    fn with(self, change: impl FnOnce(&mut UnitId, &mut u64, &mut Totals)) -> Rejection {
        let mut body = commitment_body(&self.chain, self.unit);
        match &mut body {
            Body::CommitRollouts {
                unit,
                blob_bytes,
                totals,
                ..
            } => change(unit, blob_bytes, totals),
            Body::CommitGradient {
                unit, blob_bytes, ..
            } => change(unit, blob_bytes, &mut Totals::default()),
            other => panic!("{other:?} is no commitment"),
        }
        self.chain.reject(self.owner(), body)
    }
}

fn totals(change: impl FnOnce(&mut Totals)) -> Rejection {
    assigned(UnitKind::Rollout).with(|_, _, totals| change(totals))
}

/// A chain whose miner 0 was slashed.
fn slashed() -> Chain {
    let mut chain = Chain::working(&Setup::default());
    let id = chain.units_of_miner(0)[0];
    chain.commit(&[id]);
    chain.attest_by_all(&[id]);
    chain.draw(&[id]);
    chain.convict(id, &rejecting(Check::Sampling, 1));
    chain
}

fn committed_by_another() -> Rejection {
    let Assigned { chain, unit } = assigned(UnitKind::Rollout);
    let owner = chain.unit(unit).miner;
    let other = chain.miners.iter().find(|key| key.address() != owner);
    chain.reject(other.unwrap().clone(), commitment_body(&chain, unit))
}

fn committed_twice() -> Rejection {
    let mut assigned = assigned(UnitKind::Rollout);
    assigned.chain.commit(&[assigned.unit]);
    assigned.with(|_, _, _| {})
}

fn committed_again_after_acceptance() -> Rejection {
    let mut chain = Chain::working(&Setup::default());
    let unit = chain.work_honestly()[0];
    Assigned { chain, unit }.with(|_, _, _| {})
}

fn committed_late() -> Rejection {
    let mut assigned = assigned(UnitKind::Rollout);
    let deadline = assigned.chain.unit(assigned.unit).deadline;
    assigned.chain.wait_for(deadline);
    assigned.with(|_, _, _| {})
}

fn committed_after_it_was_missed() -> Rejection {
    let mut assigned = assigned(UnitKind::Rollout);
    let deadline = assigned.chain.unit(assigned.unit).deadline;
    assigned.chain.wait_for(deadline.saturating_add(5));
    assigned.with(|_, _, _| {})
}

fn rollouts_committed_as_a_gradient() -> Rejection {
    let assigned = assigned(UnitKind::Rollout);
    let gradient = UnitId {
        kind: UnitKind::Gradient,
        ..assigned.unit
    };
    let Body::CommitGradient {
        root,
        blob,
        blob_bytes,
        tokens_count,
        loss_micro,
        ..
    } = commitment_body(&assigned.chain, gradient)
    else {
        panic!("it is a gradient");
    };
    let body = Body::CommitGradient {
        unit: assigned.unit,
        root,
        blob,
        blob_bytes,
        tokens_count,
        loss_micro,
        feedback: None,
    };
    assigned.chain.reject(assigned.owner(), body)
}

fn gradient_without_tokens() -> Rejection {
    let assigned = assigned(UnitKind::Gradient);
    let mut body = commitment_body(&assigned.chain, assigned.unit);
    if let Body::CommitGradient { tokens_count, .. } = &mut body {
        *tokens_count = 0;
    }
    assigned.chain.reject(assigned.owner(), body)
}

fn attestation(ids: &[UnitId]) -> Body {
    let units = BoundedVec::new(ids.to_vec()).unwrap();
    Body::AttestBlobs { units }
}

fn attested_without_being_assigned() -> Rejection {
    let chain = Chain::working(&Setup::default());
    let unknown = UnitId {
        run: RUN,
        step: Step::ZERO,
        kind: UnitKind::Rollout,
        index: 99,
    };
    chain.reject(key("operator", 0), attestation(&[unknown]))
}

/// The fate of an attestation of a unit that nobody bound.
fn attested_by(role: &str, index: usize) -> Rejection {
    let Assigned { chain, unit } = assigned(UnitKind::Rollout);
    chain.reject(key(role, index), attestation(&[unit]))
}

fn attested_twice() -> Rejection {
    let Assigned { mut chain, unit } = assigned(UnitKind::Rollout);
    chain.commit(&[unit]);
    chain.attest(&[0], &[unit]);
    chain.reject(key("operator", 0), attestation(&[unit, unit]))
}

fn attested_after_acceptance() -> Rejection {
    let Assigned { mut chain, unit } = assigned(UnitKind::Rollout);
    chain.commit(&[unit]);
    chain.attest(&[0, 1, 2], &[unit]);
    chain.draw(&[unit]);
    chain.accept_all();
    chain.reject(key("operator", 3), attestation(&[unit]))
}

fn attested_nothing() -> Rejection {
    let chain = Chain::start(&Setup::default());
    chain.reject(key("operator", 0), attestation(&[]))
}

#[test]
fn a_slashed_miner_cannot_commit_what_is_still_its_own() {
    let chain = slashed();
    let own = chain.units_of_miner(0);
    let open = own.iter().find(|id| chain.unit(**id).commitment.is_none());
    let rejection = chain.reject(key("miner", 0), commitment_body(&chain, *open.unwrap()));
    assert_eq!(rejection.name(), "MinerSlashed");
}
