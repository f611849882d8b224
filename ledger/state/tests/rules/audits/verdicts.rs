//! Every check that a verdict can have, through the ladder to what it ends in.

use super::tolerant;
use crate::support::{Chain, Setup, equivocation, rejecting};
use ledger_state::{
    Event,
    unit::{Outcome, VoidReason},
};
use protocol::{
    class::Limits,
    task::{UnitId, UnitKind},
    transaction::Body,
    verdict::{Check, Finding},
};

/// How a check comes to be what a unit ends with. A new check does not compile without a row.
enum Way {
    /// Auditors of the exact class find it: a slash.
    Exact(UnitKind),
    /// Auditors of a tolerant unit find it, beyond the first limit and beyond the second.
    Tolerant,
    /// A committee does not get the blob: nobody's fault.
    Lost,
    /// Anyone shows two signed commitments.
    Shown,
    /// The state machine adds units up.
    Added,
}

const fn way(check: Check) -> Way {
    match check {
        Check::Availability => Way::Lost,
        Check::Encoding
        | Check::Completeness
        | Check::Commitment
        | Check::Finish
        | Check::Sampling
        | Check::Activations
        | Check::Reward
        | Check::Plant => Way::Exact(UnitKind::Rollout),
        Check::Loss | Check::Update | Check::State | Check::Feedback => {
            Way::Exact(UnitKind::Gradient)
        }
        Check::Equivocation => Way::Shown,
        Check::Margin | Check::MarginSum | Check::ProjectionPeak | Check::ProjectionBulk => {
            Way::Tolerant
        }
        Check::Lifetime => Way::Added,
    }
}

fn drawn(kind: UnitKind) -> (Chain, UnitId) {
    let mut chain = Chain::working(&Setup::default());
    let id = chain.units_of(kind)[0];
    chain.commit(&[id]);
    chain.attest_by_all(&[id]);
    chain.draw(&[id]);
    (chain, id)
}

fn exact(check: Check, kind: UnitKind) {
    let (mut chain, id) = drawn(kind);
    // Any rejection makes three others look. Nobody binds what is behind the seals blind.
    chain.judge(id, |_| Some(rejecting(Check::Encoding, 1)));
    chain.seated(id, 1);
    chain.judge(id, |_| Some(rejecting(check, 3)));
    chain.wait_until("the end", |chain| chain.outcome(id).is_some());
    let finding = Finding::exact(check, 3);
    assert_eq!(chain.outcome(id), Some(Outcome::Slashed { finding }));
    let is_found = |event: &Event| match event {
        Event::UnitConvicted { finding: found, .. } => *found == finding,
        _ => false,
    };
    assert_eq!(chain.count(is_found), 1, "{check:?}");
    assert_eq!(chain.miner_record_of(id).bond.get(), 0, "{check:?}");
}

fn tolerant(check: Check) {
    let limits = Limits {
        void: 10,
        slash: 100,
    };
    for (measured, is_proof) in [(11, false), (101, true)] {
        let (mut chain, id) = tolerant::audited(0);
        let finding = Finding::within(check, measured, limits);
        let verdict = tolerant::measured(0).without(check).with(finding);
        chain.convict(id, &verdict);
        let expected = if is_proof {
            Outcome::Slashed { finding }
        } else {
            let (reason, finding) = (VoidReason::Differs, Some(finding));
            Outcome::Void { reason, finding }
        };
        assert_eq!(chain.outcome(id), Some(expected), "{check:?} {measured}");
    }
}

fn lost() {
    let (mut chain, id) = drawn(UnitKind::Gradient);
    let verdict = rejecting(Check::Availability, 1);
    for round in 0..3 {
        chain.seated(id, round);
        chain.judge(id, |_| Some(verdict.clone()));
    }
    assert_eq!(chain.outcome(id), Some(VoidReason::Lost.outcome()));
}

fn shown() {
    let mut chain = Chain::working(&Setup::default());
    let id = chain.units_of(UnitKind::Rollout)[0];
    let miner = chain.key_of(chain.unit(id).miner);
    let proof = Box::new(equivocation(&chain, id, &miner));
    chain.block(vec![(
        chain.operator(0),
        Body::ReportEquivocation { proof },
    )]);
    let Some(Outcome::Slashed { finding }) = chain.outcome(id) else {
        panic!("{:?}", chain.outcome(id));
    };
    assert_eq!(finding, Finding::exact(Check::Equivocation, 1));
}

#[test]
fn every_check_goes_through_the_state_machine_to_its_end() {
    for check in Check::ALL {
        match way(check) {
            Way::Exact(kind) => exact(check, kind),
            Way::Tolerant => tolerant(check),
            Way::Lost => lost(),
            Way::Shown => shown(),
            Way::Added => {
                tolerant::evidence_beyond_the_second_limit_slashes_and_accuses_no_auditor();
            }
        }
    }
}

#[test]
fn all_checks_are_listed_in_order() {
    for (index, check) in (0..).zip(Check::ALL) {
        assert_eq!(protocol::codec::encode(&check), [index], "{check:?}");
    }
    let next = u8::try_from(Check::ALL.len()).unwrap();
    let beyond: Result<Check, _> = protocol::codec::decode("check", &[next], 1);
    assert!(beyond.is_err(), "{beyond:?} is not listed");
}
