//! Fees: what is charged, who gets it, how the price moves, and who comes first.

use crate::support::{Chain, Setup, commitment_body, key};
use governance::parameters::Name;
use ledger_state::{
    account::account,
    fee::{self, Terms},
    run, select, supply, validator,
};
use proptest::prelude::*;
use protocol::{
    Amount,
    transaction::{Body, Fee, Verified},
};

fn fee(max: u64, tip: u64) -> Fee {
    Fee {
        max: Amount::new(max),
        tip: Amount::new(tip),
    }
}

/// A chain on which a transfer costs 1, with blocks of this much gas.
fn priced(block_gas: u64) -> Chain {
    let setup = Setup {
        parameters: vec![(Name::BaseFeeMin, 10_000), (Name::BlockGas, block_gas)],
        ..Setup::default()
    };
    Chain::start(&setup)
}

fn send(chain: &Chain, from: usize, nonce: u64, fee: Fee) -> Verified {
    let (to, amount) = (key("miner", 1).address(), Amount::new(5));
    let body = Body::Transfer { to, amount };
    chain.sign_offering(&chain.miner(from), nonce, body, fee)
}

#[test]
fn the_base_fee_is_burned_and_the_tip_is_a_reward_of_the_proposers_stake() {
    let mut chain = priced(250_000);
    let proposer = chain.header().proposer;
    let validator: validator::Validator = chain.view().get(&proposer).unwrap();
    let signed = send(&chain, 0, 0, fee(100, 7));
    let terms = Terms::of(&chain.view());
    assert_eq!(fee::gas(&signed), fee::transfer_gas());
    assert_eq!(terms.transfer_fee(), Amount::new(1));
    chain.extend(vec![signed]);
    assert_eq!(chain.balance(key("miner", 0).address()), 50_000 - 5 - 1 - 7);
    assert_eq!(chain.balance(key("miner", 1).address()), 50_005);
    let after: validator::Validator = chain.view().get(&proposer).unwrap();
    assert_eq!(
        after.pot.get(),
        validator.pot.get() + 7,
        "its stakers claim it"
    );
    assert_eq!(run::tip(&chain.view()).burned, Amount::new(1));
}

#[test]
fn a_refused_transaction_costs_nothing() {
    let mut chain = priced(250_000);
    let to = key("miner", 1).address();
    let amount = Amount::new(50_000);
    let body = Body::Transfer { to, amount };
    let refused = chain.sign_offering(&chain.miner(0), 0, body, fee(10, 1));
    assert_eq!(chain.reject_signed(vec![refused]).name(), "BalanceTooLow");
    chain.wait(1);
    assert_eq!(chain.balance(key("miner", 0).address()), 50_000);
}

#[test]
fn the_price_rises_while_blocks_are_more_than_half_full_and_falls_again() {
    let mut chain = priced(100_000);
    let price = |chain: &Chain| Terms::of(&chain.view()).price;
    assert_eq!(price(&chain), 10_000);
    let mut nonce = 0;
    for _ in 0..4 {
        let many = (0..4_000).map(|index| send(&chain, 0, nonce + index, fee(3, 0)));
        let chosen = select(&chain.state, many.collect(), usize::MAX);
        let before = price(&chain);
        nonce += chosen.len() as u64;
        chain.extend(chosen);
        assert!(price(&chain) > before, "{before}");
        assert!(price(&chain) <= before + before / 8, "{before}");
    }
    let top = price(&chain);
    assert!(top > 15_000, "{top}");
    chain.wait(1);
    assert_eq!(price(&chain), top - top / 8);
    chain.wait(10);
    assert_eq!(price(&chain), 10_000, "the least");
}

#[test]
fn duties_come_first_then_tips_per_gas_and_numbers_keep_their_order() {
    let mut chain = priced(250_000);
    let signed = |body, fee, nonce| chain.sign_offering(&chain.miner(0), nonce, body, fee);
    let (bond, vrf) = (Amount::new(10_000), chain.miner(0).vrf().public());
    let class = protocol::class::ClassId::EXACT;
    let register = signed(Body::RegisterMiner { bond, vrf, class }, fee(50, 1), 0);
    let small = send(&chain, 1, 0, fee(50, 2));
    let large = send(&chain, 2, 0, fee(50, 9));
    let behind = send(&chain, 1, 1, fee(50, 40));
    let all = vec![
        small.clone(),
        register.clone(),
        behind.clone(),
        large.clone(),
    ];
    let chosen = select(&chain.state, all, 10);
    assert_eq!(chosen, [large, small, behind, register]);
    chain.extend(chosen);
}

#[test]
fn paid_spam_leaves_a_fifth_of_every_block_to_duties() {
    let setup = Setup {
        parameters: vec![(Name::BlockGas, 100_000)],
        ..Setup::default()
    };
    let mut chain = Chain::working(&setup);
    let spammer = chain.miner(0).address();
    let first = account(&chain.view(), spammer).nonce.get();
    let spam = (0..4_000).map(|index| send(&chain, 0, first + index, fee(20, 20)));
    let mut offered: Vec<Verified> = spam.collect();
    let units = chain.units().into_iter();
    // Those of the spammer itself would wait behind what it sent before.
    let units = units.filter(|(_, unit)| unit.miner != spammer);
    let bound = units.map(|(id, unit)| (chain.key_of(unit.miner), commitment_body(&chain, id)));
    let duties = chain.sign(bound.collect());
    assert!(!duties.is_empty());
    offered.extend(duties.clone());
    let chosen = select(&chain.state, offered, usize::MAX);
    assert_eq!(chosen[..duties.len()], duties);
    let gas: u64 = chosen[duties.len()..].iter().map(fee::gas).sum();
    assert!(gas <= 80_000 && gas > 79_000, "{gas}");
    chain.extend(chosen);
}

#[test]
fn the_largest_transaction_fits_into_the_smallest_block() {
    let most = |(_, cost): &(&str, fee::Cost)| cost.fixed + cost.each * 16;
    let dispute = fee::TABLE
        .iter()
        .find(|(kind, _)| *kind == "dispute")
        .unwrap();
    let dispute = dispute.1.fixed + dispute.1.each * 512;
    let attest = fee::TABLE
        .iter()
        .find(|(kind, _)| *kind == "attest-blobs")
        .unwrap();
    let attest = attest.1.fixed + attest.1.each * 64;
    let largest = fee::TABLE
        .iter()
        .map(most)
        .chain([dispute, attest])
        .max()
        .unwrap();
    assert!(largest + 600 < Name::BlockGas.bounds().min / 5, "{largest}");
}

proptest! {
    #[test]
    fn the_price_moves_by_an_eighth_at_most_and_never_below_the_least(
        price in 0_u64..=u64::MAX / 2,
        price_min in 0_u64..=1_000_000_000_000,
        gas_max in 100_000_u64..=10_000_000,
        share in 0_u64..=1_000_000,
    ) {
        let price = price.max(price_min);
        let terms = Terms { price, price_min, gas_max };
        let used = terms.paid_gas_max() / 1_000_000 * share
            + terms.paid_gas_max() % 1_000_000 * share / 1_000_000;
        let next = terms.price_after(used);
        prop_assert!(next >= price_min);
        prop_assert!(next <= price + (price / 8).max(1));
        prop_assert!(next >= price - price / 8);
        if used > terms.target() {
            prop_assert!(next > price);
        } else {
            prop_assert!(next <= price);
        }
    }

    #[test]
    fn supply_is_kept_whatever_is_paid(
        fees in proptest::collection::vec((0_u64..200, 0_u64..200), 1..20),
        price in 0_u64..2_000_000,
    ) {
        let setup = Setup {
            parameters: vec![(Name::BaseFeeMin, price)],
            ..Setup::default()
        };
        let mut chain = Chain::start(&setup);
        let offered = fees.iter().map(|(max, tip)| {
            let nonce = 0;
            send(&chain, 0, nonce, fee(*max, *tip))
        });
        let chosen = select(&chain.state, offered.collect(), 10);
        prop_assert!(chosen.len() <= 1);
        chain.extend(chosen);
        prop_assert!(supply::is_conserved(&chain.view()));
    }
}
