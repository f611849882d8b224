//! Reports that prove nothing.

use super::Row;
use crate::support::{Chain, Setup, equivocation, key};
use ledger_state::Rejection;
use protocol::{
    rollout::{Equivocation, Root},
    task::UnitKind,
    transaction::Body,
};

pub(super) const ROWS: &[Row] = &[
    ("EquivocationSame", || {
        changed(|_, proof| proof.second = proof.first.clone())
    }),
    ("EquivocationForged", || {
        changed(|_, proof| proof.second.root = Root::from_bytes([3; 32]))
    }),
    ("EquivocationForged", || {
        changed(|chain, proof| {
            let forger = chain.operator(0);
            proof.first = equivocation(chain, proof.unit, &forger).first;
        })
    }),
    ("UnitUnknown", || changed(|_, proof| proof.unit.index = 99)),
    ("NotAssignee", || {
        changed(|_, proof| proof.miner = key("operator", 0).address())
    }),
    ("MinerSlashed", reported_twice),
];

/// A report about a unit that waits for its miner.
fn sound() -> (Chain, Equivocation) {
    let chain = Chain::working(&Setup::default());
    let unit = chain.units_of(UnitKind::Rollout)[0];
    let owner = chain.key_of(chain.unit(unit).miner);
    let proof = equivocation(&chain, unit, &owner);
    (chain, proof)
}

fn changed(change: impl FnOnce(&Chain, &mut Equivocation)) -> Rejection {
    let (chain, mut proof) = sound();
    change(&chain, &mut proof);
    chain.reject(
        chain.operator(0),
        Body::ReportEquivocation {
            proof: Box::new(proof),
        },
    )
}

fn reported_twice() -> Rejection {
    let (mut chain, proof) = sound();
    let report = Body::ReportEquivocation {
        proof: Box::new(proof),
    };
    chain.block(vec![(chain.operator(0), report.clone())]);
    chain.reject(chain.operator(1), report)
}
