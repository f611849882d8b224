//! Two signed commitments to one unit.

use crate::support::{Chain, Setup, accepting, commitment_body, equivocation};
use ledger_state::{
    bond::Status,
    unit::{Outcome, VoidReason},
};
use protocol::{Amount, task::UnitKind, transaction::Body, verdict::Check};

#[test]
fn a_miner_that_signed_two_roots_is_slashed_without_an_audit() {
    let mut chain = Chain::working(&Setup::default());
    let unit = chain.units_of(UnitKind::Rollout)[0];
    let owner = chain.key_of(chain.unit(unit).miner);
    let index = chain
        .miners
        .iter()
        .position(|key| key.address() == owner.address());
    let index = index.unwrap();
    chain.block(vec![(owner.clone(), commitment_body(&chain, unit))]);
    let proof = equivocation(&chain, unit, &owner);
    let reporter = chain.miners[(index + 1) % 3].clone();
    let at_risk = chain.miner_record(index).at_risk().get();
    let before = chain.balance(reporter.address());
    chain.block(vec![(
        reporter.clone(),
        Body::ReportEquivocation {
            proof: Box::new(proof),
        },
    )]);
    let bounty = chain.balance(reporter.address()) - before;
    assert_eq!(bounty, at_risk / 10, "the default share of a finder");
    let Some(Outcome::Slashed { finding }) = chain.outcome(unit) else {
        panic!("{:?}", chain.outcome(unit));
    };
    assert_eq!(
        (finding.check, finding.measured, finding.limit),
        (Check::Equivocation, 1, 0)
    );
    let record = chain.miner_record(index);
    assert!(matches!(record.status, Status::Slashed(_)));
    assert_eq!(record.bond, Amount::ZERO);
    for other in chain
        .units_of_miner(index)
        .into_iter()
        .filter(|id| *id != unit)
    {
        let reason = VoidReason::MinerSlashed;
        assert_eq!(chain.outcome(other), Some(reason.outcome()));
    }
}

#[test]
fn a_unit_that_was_paid_still_costs_the_bond_of_who_signed_it_twice() {
    let mut chain = Chain::working(&Setup::default());
    let unit = chain.units_of(UnitKind::Rollout)[0];
    let owner = chain.key_of(chain.unit(unit).miner);
    chain.commit(&[unit]);
    chain.attest_by_all(&[unit]);
    chain.draw(&[unit]);
    chain.judge(unit, |_| Some(accepting()));
    assert!(chain.is_accepted(unit));
    let proof = equivocation(&chain, unit, &owner);
    chain.block(vec![(
        chain.operator(0),
        Body::ReportEquivocation {
            proof: Box::new(proof),
        },
    )]);
    assert!(chain.is_accepted(unit), "what is settled stays settled");
    let index = chain
        .miners
        .iter()
        .position(|key| key.address() == owner.address());
    let record = chain.miner_record(index.unwrap());
    assert!(matches!(record.status, Status::Slashed(_)));
    assert!(record.vesting.is_empty(), "its pay had not vested");
}
