//! The first round: one auditor, drawn by stake.

use crate::support::{Chain, Setup, accepting, rejecting};
use governance::parameters::Name;
use ledger_state::{
    Event,
    unit::{AuditFault, Draw, Tier},
    validator::Validator,
};
use protocol::{
    task::{UnitId, UnitKind},
    verdict::Check,
};

#[test]
fn an_accepting_auditor_settles_the_unit() {
    let (mut chain, id) = Chain::audited(&Setup::default());
    let auditor = chain.seats(id)[0].address();
    let drawn = chain.count(|event| *event == Event::AuditDrawn { unit: id, auditor });
    assert_eq!(drawn, 1);
    chain.judge(id, |_| Some(accepting()));
    assert!(chain.is_accepted(id));
    assert_eq!(chain.unit(id).audits.len(), 1);
}

#[test]
fn audit_pay_goes_to_the_holder() {
    let (mut chain, id) = Chain::audited(&Setup::default());
    let auditor = chain.seats(id)[0].address();
    let escrow = chain.run().escrow.get();
    chain.bind(id, |_| Some(rejecting(Check::Sampling, 3)));
    assert_eq!(
        chain.run().escrow.get(),
        escrow,
        "nothing before the opening"
    );
    chain.reveal(id, |_| Some(rejecting(Check::Sampling, 3)));
    let record: Validator = chain.view().get(&auditor).unwrap();
    assert_eq!((record.audits_count, record.earned.get()), (1, 20));
    assert_eq!(chain.balance(record.holder), 20);
    assert_eq!(chain.balance(auditor), 0);
    assert_eq!(chain.run().escrow.get(), escrow - 20);
}

#[test]
fn a_rejecting_auditor_punishes_nobody_alone() {
    let (mut chain, id) = Chain::audited(&Setup::default());
    chain.judge(id, |_| Some(rejecting(Check::Reward, 1)));
    let unit = chain.unit(id);
    assert_eq!(unit.outcome(), None);
    assert_eq!(unit.conviction, None);
    let tier = Tier::Three;
    let escalated = Event::AuditEscalated { unit: id, tier };
    assert_eq!(chain.count(|event| *event == escalated), 1);
}

#[test]
fn a_silent_auditor_is_replaced_by_three_after_its_deadline() {
    let (mut chain, id) = Chain::audited(&Setup::default());
    let commit_by = chain.unit(id).audits[0].commit_by;
    chain.wait_for(commit_by);
    assert_eq!(chain.unit(id).audits.len(), 1);
    // The miner shows what nobody has named, and three are drawn.
    chain.wait(2);
    assert!(chain.unit(id).waiting.is_some());
    chain.seated(id, 1);
    chain.judge(id, |_| Some(accepting()));
    assert!(chain.is_accepted(id));
    let silent = AuditFault::Silent;
    let fine =
        |event: &Event| matches!(event, Event::AuditorFined { fault, .. } if *fault == silent);
    assert_eq!(chain.count(fine), 1, "it was silent");
}

#[test]
fn an_auditor_that_binds_and_never_opens_is_replaced_after_its_second_deadline() {
    let (mut chain, id) = Chain::audited(&Setup::default());
    let reveal_by = chain.unit(id).audits[0].reveal_by;
    chain.bind(id, |_| Some(accepting()));
    chain.wait_for(reveal_by);
    assert_eq!(chain.unit(id).audits.len(), 1);
    chain.wait(1);
    assert!(chain.unit(id).waiting.is_some());
}

#[test]
fn an_opening_at_the_last_height_counts() {
    let (mut chain, id) = Chain::audited(&Setup::default());
    let audit = chain.unit(id).audits[0].clone();
    chain.wait_for(audit.commit_by.saturating_sub(1));
    chain.bind(id, |_| Some(accepting()));
    assert_eq!(chain.height(), audit.commit_by);
    chain.wait_for(audit.reveal_by.saturating_sub(1));
    chain.reveal(id, |_| Some(accepting()));
    assert_eq!(chain.height(), audit.reveal_by);
    assert!(chain.is_accepted(id));
}

#[test]
fn at_a_low_rate_most_units_are_spared_and_accepted_at_once() {
    let mut setup = Setup {
        parameters: vec![(Name::NewcomerUnits, 0), (Name::AuditRate, 10_000)],
        ..Setup::default()
    };
    setup.recipe.pretrain.units_count = 400;
    setup.recipe.schedule.deadline_blocks = 20;
    let mut chain = Chain::working(&setup);
    let ids = chain.units_of(UnitKind::Gradient);
    for some in ids.chunks(64) {
        chain.commit(some);
        chain.attest_by_all(some);
    }
    chain.draw(&ids);
    let draw = |id| chain.unit(id).commitment.unwrap().draw;
    let is_spared = |id: &&UnitId| matches!(draw(**id), Draw::Spared { .. });
    let spared = ids.iter().filter(is_spared).count();
    // Of the first, 2 · 0.8 · 700 / (0.95 · 0.8 · 10 700) are not; of later ones fewer.
    assert!((320..395).contains(&spared), "{spared} of 400 are spared");
    let accepted = ids.iter().filter(|id| chain.is_accepted(**id)).count();
    assert_eq!(accepted, spared);
}
