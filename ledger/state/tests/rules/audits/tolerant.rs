//! Units of miners on another engine: two levels, equal measures, evidence over a lifetime.

use crate::support::{Chain, Setup, propose, vote};
use governance::parameters::Name;
use ledger_state::{
    Event, class,
    unit::{AuditFault, Outcome, Tier, VoidReason},
};
use protocol::{
    Amount, Micro, SigningKey,
    class::{Cell, Class, ClassId, ClassTable, Limits, Listed, ProjectionLimits, TOKENS_COUNT_MIN},
    codec::{BoundedVec, Text},
    proof::toploc::Thresholds,
    proposal::{Action, Choice},
    task::{UnitId, UnitKind},
    transaction::Body,
    verdict::{Check, Finding, Verdict},
};

const CLASS: ClassId = ClassId::new(3);
const SUM: Limits = limits(1_000, 9_000);
const LIFETIME: Limits = limits(1_000_000, 3_000_000);

const fn limits(void: u64, slash: u64) -> Limits {
    Limits { void, slash }
}

/// Units have 40 tokens; a sum of 40 or more is the second score, which speaks against a miner.
fn table() -> ClassTable {
    let cell = Cell {
        tokens_log2: 5,
        entropy_bin: 0,
        units_count: 100,
        clipped_sum_micro: SUM,
        mismatches_count: limits(2, 8),
    };
    let class = Class {
        id: CLASS,
        name: Text::new("another engine").unwrap(),
        units_count: 10_000,
        tokens_count: TOKENS_COUNT_MIN,
        margin_micro: limits(1_000, 100_000),
        clip_micro: 500_000,
        cells: BoundedVec::new(vec![cell]).unwrap(),
        evidence_micro: BoundedVec::new(vec![-1_000, 2_000_000]).unwrap(),
        lifetime_micro: LIFETIME,
        toploc: Thresholds::PAPER,
        projections: ProjectionLimits {
            largest_max: 16,
            bulk_max: 8,
        },
    };
    ClassTable {
        version: 7,
        classes: BoundedVec::new(vec![class]).unwrap(),
    }
}

pub(super) fn setup(second_looks: u64) -> Setup {
    let mut setup = Setup {
        classes: table(),
        ..Setup::default()
    };
    setup.recipe.pretrain.steps_count = 0;
    setup.recipe.reinforce.steps_count = 3;
    setup.recipe.schedule.deadline_blocks = 60;
    setup.parameters = vec![
        (Name::AuditCommitBlocks, 100),
        (Name::AuditRevealBlocks, 100),
        (Name::SecondLookRate, second_looks),
        (Name::PlantRate, 500_000),
    ];
    setup
}

/// All miners are registered with the class, and units are assigned.
fn working(second_looks: u64) -> Chain {
    started(&setup(second_looks))
}

pub(super) fn started(setup: &Setup) -> Chain {
    let mut chain = Chain::start(setup);
    let register = |key: &SigningKey| {
        let (bond, vrf, class) = (Amount::new(10_000), key.vrf().public(), CLASS);
        (key.clone(), Body::RegisterMiner { bond, vrf, class })
    };
    let content = chain.miners.iter().map(register).collect();
    chain.block(content);
    chain.open_step();
    chain
}

/// One unit in its first round. Its miner never opens anything, and need not.
pub(super) fn audited(second_looks: u64) -> (Chain, UnitId) {
    let mut chain = working(second_looks);
    chain.opens = false;
    let id = chain.units_of(UnitKind::Rollout)[0];
    drawn(&mut chain, id);
    (chain, id)
}

fn drawn(chain: &mut Chain, id: UnitId) {
    chain.commit(&[id]);
    chain.attest_by_all(&[id]);
    chain.draw(&[id]);
}

/// What every auditor measures in a unit whose margins add up to this.
pub(super) fn measured(sum: u64) -> Verdict {
    Verdict::new(vec![
        Finding::exact(Check::Encoding, 0),
        Finding::within(Check::MarginSum, sum, SUM),
        Finding::exact(Check::Reward, 0),
    ])
    .unwrap()
}

fn fined(chain: &Chain, wanted: AuditFault) -> usize {
    chain.count(|event| matches!(event, Event::AuditorFined { fault, .. } if *fault == wanted))
}

#[test]
fn a_registration_fixes_the_class_and_a_unit_the_version_of_its_limits() {
    let chain = working(0);
    assert_eq!(chain.miner_record(0).class, CLASS);
    let listed = Listed {
        id: CLASS,
        version: 7,
    };
    let (version, classes) = class::table(&chain.view());
    assert_eq!(version, 7);
    assert_eq!(classes, [(listed, table().classes.as_slice()[0].clone())]);
    for id in chain.units_of(UnitKind::Rollout) {
        let unit = chain.unit(id);
        assert_eq!((unit.class, unit.plant_rate), (Some(listed), Micro::ZERO));
    }
}

#[test]
fn a_vote_sets_limits_for_units_that_are_assigned_afterwards() {
    let mut chain = working(0);
    let before = chain.units_of(UnitKind::Rollout)[0];
    let mut class = table().classes.into_vec().remove(0);
    class.margin_micro = limits(7, 8);
    let voted = |class: Class| {
        vec![Action::SetClass {
            class: class.into(),
        }]
    };
    let not_before = chain.height();
    let id = propose(&mut chain, voted(class.clone()), not_before);
    for holder in 0..3 {
        vote(&mut chain, id, holder, Choice::Yes);
    }
    chain.wait_until("the new limits", |chain| class::table(&chain.view()).0 == 8);
    let listed = Listed {
        id: CLASS,
        version: 8,
    };
    let (_, classes) = class::table(&chain.view());
    assert_eq!(classes, [(listed, class.clone())]);
    // What was assigned before keeps its limits.
    let old = chain.unit(before).class.unwrap();
    assert_eq!(old.version, 7);
    let old = class::class(&chain.view(), old).unwrap();
    assert_eq!(old.margin_micro, limits(1_000, 100_000));
    let ids = chain.commit_all();
    chain.attest_by_all(&ids);
    chain.draw(&ids);
    for id in ids {
        chain.judge(id, |_| Some(measured(0)));
    }
    chain.wait_until("the end of the step", Chain::is_attesting);
    chain.attest_checkpoint();
    chain.open_step();
    for id in chain.units_of(UnitKind::Rollout) {
        assert_eq!(chain.unit(id).class, Some(listed));
    }
    let nothing = Class {
        tokens_count: 1,
        ..class
    };
    let payload = crate::support::payload(voted(nothing));
    let deposit = Amount::new(300);
    let refused = chain.reject(chain.miner(0), Body::Propose { payload, deposit });
    assert_eq!(refused.name(), "ClassRefused", "{refused}");
}

#[test]
fn gradients_have_no_tolerance() {
    let mut setup = setup(0);
    setup.recipe.pretrain.steps_count = 1;
    let chain = started(&setup);
    let ids = chain.units_of(UnitKind::Gradient);
    assert!(!ids.is_empty());
    assert!(ids.iter().all(|id| !chain.unit(*id).is_tolerant()));
}

#[test]
fn one_auditor_accepts_a_unit_that_holds_and_nothing_is_opened() {
    let (mut chain, id) = audited(0);
    chain.judge(id, |_| Some(measured(0)));
    assert!(chain.is_accepted(id));
    assert_eq!(chain.unit(id).opening.open_by, None);
    let lifetime = chain.miner_record_of(id).lifetime;
    assert_eq!(lifetime.units_count, 1);
    assert!(lifetime.evidence_micro < 0);
}

#[test]
fn a_unit_beyond_the_first_limit_is_void_and_its_miner_keeps_its_bond() {
    let (mut chain, id) = audited(0);
    differs(&mut chain, id);
    assert_eq!(chain.outcome(id), None, "its miner may appeal");
    chain.wait_until("the end", |chain| chain.outcome(id).is_some());
    let finding = Some(Finding::within(Check::MarginSum, 1_001, SUM));
    let reason = VoidReason::Differs;
    assert_eq!(chain.outcome(id), Some(Outcome::Void { reason, finding }));
    let miner = chain.miner_record_of(id);
    assert_eq!((miner.bond.get(), miner.judged), (10_000, 0));
    assert!(miner.quota < Micro::ONE);
    assert_eq!(fined(&chain, AuditFault::Overturned), 0);
}

/// The first two rounds measure what voids a unit.
fn differs(chain: &mut Chain, id: UnitId) {
    chain.climb_to(id, 1, &measured(1_001));
    chain.judge(id, |_| Some(measured(1_001)));
    assert!(chain.unit(id).conviction.is_some());
}

/// What an appeal costs the miner of a unit that differs, if the committee measures this.
fn appealed(sum: u64) -> (Chain, UnitId, u64) {
    let (mut chain, id) = audited(0);
    differs(&mut chain, id);
    let miner = chain.unit(id).miner;
    let before = chain.balance(miner);
    chain.appeal(id);
    chain.seated(id, 2);
    assert_eq!(chain.unit(id).audits[2].tier, Tier::Committee);
    chain.judge(id, |_| Some(measured(sum)));
    chain.wait_until("the end", |chain| chain.outcome(id).is_some());
    let spent = before - chain.balance(miner);
    (chain, id, spent)
}

#[test]
fn a_unit_that_differs_may_be_appealed_for_and_its_auditors_pay_if_they_were_wrong() {
    let (chain, id, spent) = appealed(0);
    assert!(chain.is_accepted(id));
    assert_eq!(spent, 0, "the bond is returned");
    // It may have missed other units of the step, which costs quota of its own.
    let miner = chain.miner_record_of(id);
    assert_eq!((miner.units.void, miner.judged), (0, 1));
    assert!(fined(&chain, AuditFault::Overturned) >= 3);
}

#[test]
fn an_appeal_for_a_unit_that_differs_indeed_loses_its_bond() {
    let (chain, id, spent) = appealed(1_001);
    let finding = Some(Finding::within(Check::MarginSum, 1_001, SUM));
    let reason = VoidReason::Differs;
    assert_eq!(chain.outcome(id), Some(Outcome::Void { reason, finding }));
    assert_eq!(spent, 1_000, "the bond of a first appeal");
    assert_eq!(chain.miner_record_of(id).bond.get(), 10_000);
    assert_eq!(fined(&chain, AuditFault::Overturned), 0);
}

#[test]
fn a_unit_beyond_the_second_limit_is_slashed() {
    let (mut chain, id) = audited(0);
    chain.convict(id, &measured(9_001));
    let finding = Finding::within(Check::MarginSum, 9_001, SUM);
    assert_eq!(chain.outcome(id), Some(Outcome::Slashed { finding }));
    assert_eq!(chain.miner_record_of(id).bond.get(), 0);
}

#[test]
fn proof_of_deceit_is_the_reason_whatever_else_is_beyond_a_limit() {
    let verdict = Verdict::new(vec![
        Finding::within(Check::Sampling, 3, limits(2, 8)),
        Finding::within(Check::MarginSum, 9_001, SUM),
        Finding::exact(Check::Reward, 1),
    ]);
    let reason = verdict.unwrap().contradiction().unwrap();
    assert_eq!(reason.check, Check::MarginSum);
}

#[test]
fn a_unit_that_adds_to_the_evidence_is_judged_by_three() {
    let (mut chain, id) = audited(0);
    chain.judge(id, |_| Some(measured(40)));
    chain.seated(id, 1);
    assert_eq!(chain.unit(id).audits[1].tier, Tier::Three);
    chain.judge(id, |_| Some(measured(40)));
    assert!(chain.is_accepted(id));
    assert!(chain.miner_record_of(id).lifetime.evidence_micro > 0);
}

#[test]
fn an_auditor_that_made_its_numbers_up_is_found_by_a_second_look() {
    let (mut chain, id) = audited(1_000_000);
    let first = chain.seats(id)[0].address();
    chain.judge(id, |_| Some(measured(13)));
    chain.seated(id, 1);
    assert_eq!(fined(&chain, AuditFault::Overturned), 0);
    chain.judge(id, |_| Some(measured(12)));
    assert!(chain.is_accepted(id));
    let is_fine = |event: &Event| {
        matches!(event, Event::AuditorFined { auditor, fault: AuditFault::Overturned, .. }
            if *auditor == first)
    };
    assert_eq!(chain.count(is_fine), 1);
    assert_eq!(fined(&chain, AuditFault::Overturned), 1);
}

#[test]
fn units_that_hold_one_by_one_are_void_once_their_evidence_adds_up() {
    let mut chain = working(0);
    let ids = chain.units_of(UnitKind::Rollout);
    for id in &ids {
        chain.commit(&[*id]);
    }
    chain.attest_by_all(&ids);
    chain.draw(&ids);
    for round in 0..2 {
        for id in &ids {
            chain.seated(*id, round);
            chain.judge(*id, |_| Some(measured(40)));
        }
    }
    let is_over = |chain: &Chain| ids.iter().all(|id| chain.outcome(*id).is_some());
    chain.wait_until("the end of all", is_over);
    // Four units of three miners: one miner has two.
    let voided = ids.iter().filter_map(|id| match chain.outcome(*id) {
        Some(Outcome::Void { reason, finding }) => Some((reason, finding?)),
        _ => None,
    });
    let voided: Vec<_> = voided.collect();
    let measured = 2_000_000 - 2 * 693_148 + 2_000_000;
    let finding = Finding::within(Check::Lifetime, measured, LIFETIME);
    assert_eq!(voided, [(VoidReason::Evidence, finding)]);
    let accepted = ids.iter().filter(|id| chain.is_accepted(**id)).count();
    assert_eq!(accepted, 3);
    assert_eq!(
        fined(&chain, AuditFault::Overturned),
        0,
        "auditors were right"
    );
}

/// A unit in its first round, of a class in which the second score is so much evidence.
pub(super) fn one_of_evidence(evidence_micro: i64) -> (Chain, UnitId) {
    let mut setup = setup(0);
    let mut class = table().classes.into_vec().remove(0);
    class.evidence_micro = BoundedVec::new(vec![0, evidence_micro]).unwrap();
    setup.classes.classes = BoundedVec::new(vec![class]).unwrap();
    let mut chain = started(&setup);
    let id = chain.units_of(UnitKind::Rollout)[0];
    drawn(&mut chain, id);
    (chain, id)
}

#[test]
pub(super) fn evidence_beyond_the_second_limit_slashes_and_accuses_no_auditor() {
    let (mut chain, id) = one_of_evidence(5_000_000);
    chain.convict(id, &measured(40));
    let Some(Outcome::Slashed { finding }) = chain.outcome(id) else {
        panic!("{:?}", chain.outcome(id));
    };
    let measured = 5_000_000 - 2 * 693_148;
    assert_eq!(
        finding,
        Finding::within(Check::Lifetime, measured, LIFETIME)
    );
    assert_eq!(fined(&chain, AuditFault::Overturned), 0);
}
