//! Appeals: a bond that doubles, a larger round, and a loser who pays.

use crate::support::{Chain, Setup, accepting, rejecting};
use governance::parameters::Name;
use ledger_state::{
    Event,
    bond::{Miner, Status},
    run,
    unit::{Outcome, Tier, VoidReason},
};
use protocol::{
    task::UnitId,
    transaction::Body,
    verdict::{Check, Finding, Verdict},
};

fn wrong() -> Verdict {
    rejecting(Check::Sampling, 7)
}

/// A unit that three auditors convicted.
fn convicted() -> (Chain, UnitId) {
    let (mut chain, id) = Chain::audited(&Setup::default());
    chain.climb_to(id, 1, &wrong());
    chain.judge(id, |_| Some(wrong()));
    (chain, id)
}

/// The same after a first appeal, before the committee.
fn appealed() -> (Chain, UnitId) {
    let (mut chain, id) = convicted();
    chain.appeal(id);
    chain.seated(id, 2);
    (chain, id)
}

fn miner(chain: &Chain, id: UnitId) -> Miner {
    chain.view().get(&chain.unit(id).miner).unwrap()
}

fn balance(chain: &Chain, id: UnitId) -> u64 {
    chain.balance(chain.unit(id).miner)
}

fn burned(chain: &Chain) -> u64 {
    run::tip(&chain.view()).burned.get()
}

#[test]
fn an_appeal_locks_a_bond_and_calls_a_committee() {
    let (mut chain, id) = convicted();
    let before = balance(&chain, id);
    let events = chain.appeal(id);
    let miner_address = chain.unit(id).miner;
    let bond = protocol::Amount::new(1_000);
    let expected = [
        Event::UnitAppealed {
            unit: id,
            miner: miner_address,
            bond,
        },
        Event::AuditEscalated {
            unit: id,
            tier: Tier::Committee,
        },
    ];
    assert_eq!(events, expected);
    assert_eq!(balance(&chain, id), before - 1_000);
    assert_eq!(miner(&chain, id).appealed, bond);
    assert_eq!(
        chain.unit(id).appeals[0].finding,
        Finding::exact(Check::Sampling, 7)
    );
    chain.seated(id, 2);
    assert_eq!(chain.unit(id).audits[2].seats.len(), 4);
    chain.wait(6);
    assert_eq!(
        chain.outcome(id),
        None,
        "the first conviction is not executed"
    );
}

#[test]
fn an_acquitted_miner_gets_its_bond_back_and_its_accusers_are_fined() {
    let (mut chain, id) = appealed();
    let before = balance(&chain, id);
    chain.judge(id, |_| Some(accepting()));
    assert!(chain.is_accepted(id));
    assert_eq!(balance(&chain, id), before + 1_000);
    let record = miner(&chain, id);
    assert_eq!(
        (record.accused, record.appealed.get(), record.bond.get()),
        (0, 0, 10_000)
    );
    // All four rejected in the first two rounds.
    assert_eq!(burned(&chain), 4_000);
    let ended = |event: &Event| matches!(event, Event::AppealEnded { is_lost: false, .. });
    assert_eq!(chain.count(ended), 1);
}

#[test]
fn whoever_is_convicted_again_loses_its_appeals_too() {
    let (mut chain, id) = appealed();
    chain.judge(id, |_| Some(wrong()));
    let conviction = chain.unit(id).conviction.unwrap();
    assert_eq!(chain.outcome(id), None, "it may appeal once more");
    chain.wait_for(conviction.appeal_by.next());
    assert!(matches!(chain.outcome(id), Some(Outcome::Slashed { .. })));
    let record = miner(&chain, id);
    assert_eq!(
        (record.accused, record.appealed.get(), record.bond.get()),
        (0, 0, 0)
    );
    assert_eq!(
        burned(&chain),
        10_000 - 1_000 + 1_000,
        "bond less bounty, and the appeal"
    );
}

#[test]
fn a_second_appeal_costs_twice_as_much_and_is_decided_by_everyone() {
    let (mut chain, id) = appealed();
    chain.judge(id, |_| Some(wrong()));
    let before = balance(&chain, id);
    chain.appeal(id);
    assert_eq!(balance(&chain, id), before - 2_000);
    assert_eq!(miner(&chain, id).appealed.get(), 3_000);
    assert!(matches!(
        chain.unit(id).audits[3].tier,
        Tier::Everyone { .. }
    ));
    chain.judge(id, |_| Some(accepting()));
    assert!(chain.is_accepted(id));
    assert_eq!(balance(&chain, id), before + 1_000);

    let (mut chain, id) = appealed();
    chain.judge(id, |_| Some(wrong()));
    chain.appeal(id);
    chain.judge(id, |_| Some(wrong()));
    assert!(matches!(miner(&chain, id).status, Status::Slashed(_)));
    assert_eq!(burned(&chain), 9_000 + 3_000);
}

#[test]
fn bonds_come_back_when_nobody_can_decide() {
    let (mut chain, id) = appealed();
    let before = balance(&chain, id);
    chain.seated(id, 3);
    chain.wait_until("the void", |chain| chain.outcome(id).is_some());
    let reason = VoidReason::NoQuorum;
    assert_eq!(chain.outcome(id), Some(reason.outcome()));
    assert_eq!(balance(&chain, id), before + 1_000);
    assert_eq!(miner(&chain, id).bond.get(), 10_000);
}

/// Otherwise a cheat would appeal until its pay is out of reach.
#[test]
fn nothing_vests_while_a_conviction_is_not_final() {
    let mut setup = Setup::default();
    setup.recipe.schedule.deadline_blocks = 30;
    setup.parameters = vec![(Name::VestingBlocks, 10), (Name::AuditCommitBlocks, 20)];
    let mut chain = Chain::working(&setup);
    let ids = chain.units_of_miner(0);
    let (paid, lie) = (ids[0], ids[1]);
    chain.commit(&[paid, lie]);
    chain.attest_by_all(&[paid, lie]);
    chain.draw(&[paid, lie]);
    chain.judge(lie, |_| Some(wrong()));
    chain.seated(lie, 1);
    chain.judge(paid, |_| Some(accepting()));
    chain.judge(lie, |_| Some(wrong()));
    chain.appeal(lie);
    let record = chain.miner_record(0);
    let (vests_at, pay) = (record.vesting[0].vests_at, record.vesting_total().get());
    assert!(pay > 0);
    let before = balance(&chain, lie);
    chain.wait_for(vests_at.saturating_add(2));
    assert_eq!(chain.outcome(lie), None);
    assert_eq!(balance(&chain, lie), before);
    assert_eq!(chain.miner_record(0).vesting_total().get(), pay);
    chain.seated(lie, 2);
    chain.judge(lie, |_| Some(accepting()));
    assert!(chain.is_accepted(lie));
    assert_eq!(balance(&chain, lie), before + 1_000 + pay, "with the bond");
}

#[test]
fn an_appeal_ends_when_its_miner_is_slashed_for_another_unit() {
    let mut setup = Setup {
        parameters: vec![(Name::AuditCommitBlocks, 20)],
        ..Setup::default()
    };
    setup.recipe.schedule.deadline_blocks = 30;
    let mut chain = Chain::working(&setup);
    let ids = chain.units_of_miner(0);
    let (contested, lie) = (ids[0], ids[1]);
    for id in [contested, lie] {
        chain.commit(&[id]);
        chain.attest_by_all(&[id]);
        chain.draw(&[id]);
        chain.climb_to(id, 1, &wrong());
        chain.judge(id, |_| Some(wrong()));
        if id == contested {
            chain.appeal(id);
        }
    }
    assert_eq!(chain.miner_record(0).accused, 2);
    let before = balance(&chain, lie);
    chain.wait_until("the slash", |chain| chain.outcome(lie).is_some());
    let reason = VoidReason::MinerSlashed;
    assert_eq!(chain.outcome(contested), Some(reason.outcome()));
    assert_eq!(
        balance(&chain, lie),
        before + 1_000,
        "nobody judged that one"
    );
    assert_eq!(chain.miner_record(0).accused, 0);
}

#[test]
fn an_appeal_counts_at_the_last_height_and_not_after_it() {
    let (mut chain, id) = convicted();
    let appeal_by = chain.unit(id).conviction.unwrap().appeal_by;
    chain.wait_for(appeal_by.saturating_sub(1));
    chain.appeal(id);
    assert_eq!(
        (chain.height(), chain.unit(id).appeals.len()),
        (appeal_by, 1)
    );

    let (mut chain, id) = convicted();
    chain.wait_for(appeal_by);
    let key = chain.key_of(chain.unit(id).miner);
    let rejection = chain.reject(key, Body::Appeal { unit: id });
    assert_eq!(rejection.name(), "AppealLate");
}
