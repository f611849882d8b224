//! New tokens for verified work.

use super::{record, setup};
use crate::support::{Chain, RUN, Setup};
use governance::{parameters::Name, purse};
use ledger_state::{
    Event,
    bond::Miner,
    emission,
    run::{self, Run},
};
use protocol::{Amount, transaction::Body};

fn minting(to_mint: u64) -> Setup {
    Setup {
        to_mint,
        parameters: vec![(Name::EpochBlocks, 4), (Name::EmissionRate, 1_000)],
        ..setup()
    }
}

fn minted(events: &[Event]) -> Option<[u64; 4]> {
    events.iter().find_map(|event| match event {
        Event::Minted {
            miners,
            auditors,
            validators,
            treasury,
        } => Some([*miners, *auditors, *validators, *treasury].map(Amount::get)),
        _ => None,
    })
}

/// Ends the epoch; what was made.
fn end_epoch(chain: &mut Chain) -> Option<[u64; 4]> {
    let mut made = None;
    while made.is_none() && !chain.height().get().is_multiple_of(4) {
        made = minted(&chain.block(Vec::new()));
    }
    made
}

#[test]
fn what_nobody_earned_is_not_made() {
    let mut chain = Chain::start(&minting(1_000_000));
    // A thousandth of a million a day, four days: 4 000, of which validators may earn 15 %.
    assert_eq!(emission::budget(&chain.view()).get(), 4_000);
    chain.wait(1);
    let made = end_epoch(&mut chain).unwrap();
    assert_eq!(made, [0, 0, 600, 66]);
    assert_eq!(run::tip(&chain.view()).minted.get(), 666);
    assert_eq!(purse::purse(&chain.view()).treasury.get(), 1_000_066);
    // All had the same power and took every turn.
    for index in 0..4 {
        assert_eq!(
            record(&chain, chain.operator(index).address()).pot.get(),
            150
        );
    }
    // 666 less are missing: of 999 334, four thousandths are 3 997.
    assert_eq!(emission::budget(&chain.view()).get(), 3_997);
}

#[test]
fn missed_turns_earn_nothing() {
    let mut chain = Chain::start(&minting(1_000_000));
    let absent = chain.header().proposer;
    super::block_without(&mut chain, absent);
    end_epoch(&mut chain);
    let found = record(&chain, absent);
    assert!(found.pot.get() < 150, "{found:?}");
}

#[test]
fn what_runs_pay_is_matched_as_far_as_the_part_reaches_and_vests() {
    for (to_mint, expected) in [(1_000_000, 700), (200_000, 480)] {
        let mut chain = Chain::working(&minting(to_mint));
        end_epoch(&mut chain);
        let miner = chain.miner(0).address();
        chain.change(|view| {
            view.put(&miner, &emission::UnitPay(Amount::new(700)));
        });
        chain.wait(1);
        let [miners, auditors, ..] = end_epoch(&mut chain).unwrap();
        assert_eq!(auditors, 0);
        let close = miners.abs_diff(expected) <= 4;
        assert!(
            close,
            "{miners} of {expected}: earlier epochs took a little"
        );
        let record: Miner = chain.view().get(&miner).unwrap();
        assert_eq!(record.vesting_total().get(), miners);
        assert_eq!(record.earned.get(), miners);
        let run: Run = chain.view().get(&RUN).unwrap();
        assert_eq!(run.escrow.get(), 1_000_000, "the match is new");
    }
}

#[test]
fn the_cap_is_never_passed() {
    let mut chain = Chain::start(&minting(30));
    for _ in 0..200 {
        chain.wait(4);
        let tip = run::tip(&chain.view());
        assert!(tip.minted.get() <= 30);
    }
    let none = Chain::start(&minting(0));
    assert_eq!(emission::budget(&none.view()), Amount::ZERO);
}

#[test]
fn stake_turns_rewards_into_claims() {
    let mut chain = Chain::start(&minting(1_000_000));
    chain.wait(4);
    let (holder, operator) = (chain.holder(0), chain.operator(0).address());
    chain.block(vec![(holder.clone(), Body::ClaimRewards { operator })]);
    // 150 but for the index, which is rounded down.
    assert_eq!(chain.balance(holder.address()), 149);
}
