//! Every reason for which a unit is void, and every fault for which an auditor is fined, through
//! the state machine. A new one does not compile without a scene here.

use super::tolerant;
use crate::{
    openings::judge_blind,
    plants,
    support::{Chain, Setup, accepting, rejecting, sketch},
};
use borsh::BorshDeserialize;
use governance::parameters::Name;
use ledger_state::{
    Event,
    bond::Status,
    run,
    unit::{AuditFault, Outcome, VoidReason},
};
use protocol::{
    Address, Micro,
    task::{UnitId, UnitKind},
    verdict::{Check, Verdict},
};

/// All variants of a type whose encoding is one byte, counted from 0.
fn all<T: BorshDeserialize>() -> Vec<T> {
    let decoded = (0..=u8::MAX).map(|byte| protocol::codec::decode("variant", &[byte], 1));
    decoded.map_while(Result::ok).collect()
}

fn wrong() -> Verdict {
    rejecting(Check::Sampling, 7)
}

/// Nothing is missed meanwhile.
fn setup() -> Setup {
    let mut setup = Setup::default();
    setup.recipe.schedule.deadline_blocks = 60;
    setup
}

fn drawn(kind: UnitKind) -> (Chain, UnitId) {
    let mut chain = Chain::working(&setup());
    let id = chain.units_of(kind)[0];
    chain.commit(&[id]);
    chain.attest_by_all(&[id]);
    chain.draw(&[id]);
    (chain, id)
}

/// A unit that is about to end for this reason.
fn scene(reason: VoidReason) -> (Chain, UnitId) {
    match reason {
        VoidReason::Unavailable => {
            let mut chain = Chain::working(&setup());
            let id = chain.units_of(UnitKind::Rollout)[0];
            chain.commit(&[id]);
            (chain, id)
        }
        VoidReason::Lost => {
            let (mut chain, id) = drawn(UnitKind::Rollout);
            for round in 0..3 {
                chain.seated(id, round);
                chain.judge(id, |_| Some(rejecting(Check::Availability, 1)));
            }
            (chain, id)
        }
        VoidReason::NoQuorum => {
            let (mut chain, id) = drawn(UnitKind::Gradient);
            chain.climb_to(id, 3, &wrong());
            let half = [chain.operator(0).address(), chain.operator(1).address()];
            chain.judge(id, |key| {
                let accepts = half.contains(&key.address());
                Some(if accepts { accepting() } else { wrong() })
            });
            (chain, id)
        }
        VoidReason::MinerSlashed => {
            let mut chain = Chain::working(&setup());
            let [lie, open] = chain.units_of_miner(0)[..2] else {
                panic!("a miner has two units");
            };
            chain.commit(&[lie]);
            chain.attest_by_all(&[lie]);
            chain.draw(&[lie]);
            chain.convict(lie, &wrong());
            (chain, open)
        }
        VoidReason::Withheld => {
            let (mut chain, id) = drawn(UnitKind::Rollout);
            chain.silent.insert(id);
            let seats = chain.seats(id);
            judge_blind(&mut chain, id, (accepting(), sketch()), false);
            assert_eq!(seats.len(), 1);
            (chain, id)
        }
        VoidReason::Differs => {
            let (mut chain, id) = tolerant::audited(0);
            chain.convict(id, &tolerant::measured(1_001));
            (chain, id)
        }
        VoidReason::Evidence => {
            let (mut chain, id) = tolerant::one_of_evidence(2_500_000);
            chain.convict(id, &tolerant::measured(40));
            (chain, id)
        }
    }
}

#[test]
fn every_reason_voids_a_unit_and_costs_quota_and_trust_exactly_where_it_is_a_fault() {
    let reasons: Vec<VoidReason> = all();
    assert!(reasons.len() >= 7, "{reasons:?}");
    for reason in reasons {
        let (mut chain, id) = scene(reason);
        chain.wait_until("the end", |chain| chain.outcome(id).is_some());
        let Some(Outcome::Void { reason: found, .. }) = chain.outcome(id) else {
            panic!("{reason:?}: {:?}", chain.outcome(id));
        };
        assert_eq!(found, reason);
        let is_end = |event: &Event| match event {
            Event::UnitSettled { unit, outcome, .. } => {
                *unit == id && Some(*outcome) == chain.outcome(id)
            }
            _ => false,
        };
        assert_eq!(chain.count(is_end), 1, "{reason:?}");
        let is_forfeit = |event: &Event| matches!(event, Event::PayForfeited { .. });
        let is_beyond_class = matches!(reason, VoidReason::Differs | VoidReason::Evidence);
        let forfeits = chain.count(is_forfeit);
        assert_eq!(forfeits, usize::from(is_beyond_class), "{reason:?}");
        let miner = chain.miner_record_of(id);
        let is_slashed = matches!(miner.status, Status::Slashed(_));
        assert_eq!(is_slashed, reason == VoidReason::MinerSlashed, "{reason:?}");
        assert!(miner.units.void > 0, "{reason:?}");
        assert_eq!(miner.earned.get(), 0, "{reason:?} is not paid");
        let quota = Micro::new(if reason.is_for_fault() {
            500_000
        } else {
            1_000_000
        });
        assert_eq!(miner.quota, quota, "{reason:?}");
        assert_eq!(miner.judged, 0, "{reason:?}");
        let bond = match reason {
            VoidReason::MinerSlashed => 0,
            VoidReason::Withheld => 10_000 - Name::WithholdPenalty.bounds().default,
            VoidReason::Unavailable => 10_000 - Name::UnavailablePenalty.bounds().default,
            _ => 10_000,
        };
        assert_eq!(miner.bond.get(), bond, "{reason:?}");
    }
}

/// A chain in which one auditor, named, has committed this fault and nobody another.
fn faulty(fault: AuditFault) -> (Chain, Address) {
    match fault {
        AuditFault::Overturned => {
            let (mut chain, id) = drawn(UnitKind::Gradient);
            let liar = chain.seats(id)[0].address();
            chain.judge(id, |_| Some(wrong()));
            chain.seated(id, 1);
            chain.judge(id, |_| Some(accepting()));
            assert!(chain.is_accepted(id));
            (chain, liar)
        }
        AuditFault::MissedPlant => {
            let (mut chain, id) = plants::drawn(true);
            let lazy = chain.seats(id)[0].address();
            judge_blind(&mut chain, id, (accepting(), sketch()), true);
            plants::finish(&mut chain, id, &accepting());
            assert!(chain.is_accepted(id));
            (chain, lazy)
        }
        AuditFault::Silent => {
            let (mut chain, id) = drawn(UnitKind::Gradient);
            let silent = chain.seats(id)[0].address();
            chain.wait_until("three others", |chain| chain.unit(id).audits.len() == 2);
            chain.judge(id, |_| Some(accepting()));
            assert!(chain.is_accepted(id));
            (chain, silent)
        }
    }
}

const fn penalty(fault: AuditFault) -> Name {
    match fault {
        AuditFault::Overturned => Name::AuditFaultPenalty,
        AuditFault::MissedPlant => Name::MissedPlantPenalty,
        AuditFault::Silent => Name::SilencePenalty,
    }
}

#[test]
fn every_fault_of_an_auditor_burns_its_penalty_from_its_stake_and_from_nobody_elses() {
    let faults: Vec<AuditFault> = all();
    assert!(faults.len() >= 3, "{faults:?}");
    for fault in faults {
        let (chain, auditor) = faulty(fault);
        let burned = penalty(fault).bounds().default;
        let is_fine = |event: &Event| matches!(event, Event::AuditorFined { .. });
        assert_eq!(chain.count(is_fine), 1, "{fault:?}");
        let is_it = |event: &Event| match event {
            Event::AuditorFined {
                auditor: fined,
                fault: found,
                burned: amount,
                ..
            } => (*fined, *found, amount.get()) == (auditor, fault, burned),
            _ => false,
        };
        assert_eq!(chain.count(is_it), 1, "{fault:?}");
        assert_eq!(run::tip(&chain.view()).burned.get(), burned, "{fault:?}");
    }
}
