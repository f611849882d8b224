//! What stake earns.

use super::{record, stake, start, unstake};
use crate::support::{Chain, Setup};
use governance::parameters::Name;
use ledger_state::{
    account,
    fee::{self, Terms},
    run,
    staking::reward,
    supply,
};
use protocol::{
    Address, Amount, Micro,
    transaction::{Body, Fee, Lane},
};

/// Gives a validator a reward of tokens that leave the third miner's account.
fn give(chain: &mut Chain, operator: Address, amount: u64) {
    let from = chain.miner(2).address();
    chain.change(|view| {
        account::debit(view, from, Amount::new(amount)).unwrap();
        reward::give(view, operator, Amount::new(amount));
    });
    assert!(supply::is_conserved(&chain.view()));
}

fn claimable(chain: &Chain, operator: Address, owner: Address) -> u64 {
    reward::claimable(&chain.view(), operator, owner).get()
}

fn set_commission(chain: &mut Chain, operator: Address, commission: u64) {
    chain.change(|view| {
        let mut found: ledger_state::validator::Validator = view.get(&operator).unwrap();
        found.commission = Micro::new(commission);
        view.put(&operator, &found);
    });
}

#[test]
fn rewards_are_in_proportion_to_stake_after_the_commission() {
    let mut chain = start();
    let (owner, operator) = (chain.miner(0), chain.operator(0).address());
    let holder = chain.holder(0).address();
    chain.block(vec![(owner.clone(), stake(operator, 25_000))]);
    set_commission(&mut chain, operator, 200_000);
    give(&mut chain, operator, 1_000);
    assert_eq!(chain.balance(holder), 200, "the commission is paid at once");
    // 640 and 160 but for the index, which is rounded down.
    assert_eq!(claimable(&chain, operator, holder), 639);
    assert_eq!(claimable(&chain, operator, owner.address()), 159);
    let before = chain.balance(owner.address());
    chain.block(vec![(owner.clone(), Body::ClaimRewards { operator })]);
    assert_eq!(chain.balance(owner.address()), before + 159);
    let nothing = chain.reject(owner, Body::ClaimRewards { operator });
    assert_eq!(nothing.code(), 242, "{nothing}");
}

#[test]
fn a_claim_may_be_paid_out_of_what_is_claimed() {
    let mut chain = Chain::start(&Setup {
        parameters: vec![(Name::BaseFeeMin, 10_000)],
        ..Setup::default()
    });
    let (holder, operator) = (chain.holder(0), chain.operator(0).address());
    set_commission(&mut chain, operator, 0);
    give(&mut chain, operator, 1_000);
    let owed = claimable(&chain, operator, holder.address());
    assert_eq!((chain.balance(holder.address()), owed), (0, 999));
    let claim = |chain: &Chain, nonce, tip| {
        let (max, tip) = (Amount::new(10_000), Amount::new(tip));
        let body = Body::ClaimRewards { operator };
        chain.sign_offering(&chain.holder(0), nonce, body, Fee { max, tip })
    };
    // A block later it could pay, were its tip not more than all that it gets.
    let dear = claim(&chain, 0, owed);
    assert_eq!(chain.reject_signed(vec![dear]).name(), "FeeUnpayable");
    let fair = claim(&chain, 0, 7);
    let base = Terms::of(&chain.view()).base_fee(Lane::Paid, fee::gas(&fair));
    assert!(base > Amount::ZERO);
    chain.extend(vec![fair]);
    let kept = owed - 7 - base.get();
    assert_eq!(chain.balance(holder.address()), kept);
    assert_eq!(run::tip(&chain.view()).burned, base);
    // Nothing else is paid so: with nothing to spend, stake stays where it is.
    let other = chain.holder(1);
    let max = Fee {
        max: Amount::new(10_000),
        tip: Amount::ZERO,
    };
    let back = unstake(chain.operator(1).address(), 5);
    let back = chain.sign_offering(&other, 0, back, max);
    assert_eq!(chain.reject_signed(vec![back]).name(), "FeeUnpayable");
}

#[test]
fn stake_earns_from_when_it_comes_until_it_leaves() {
    let mut chain = start();
    let (owner, operator) = (chain.miner(0), chain.operator(0).address());
    give(&mut chain, operator, 1_000);
    chain.block(vec![(owner.clone(), stake(operator, 25_000))]);
    assert_eq!(claimable(&chain, operator, owner.address()), 0);
    give(&mut chain, operator, 1_000);
    chain.block(vec![(owner.clone(), stake(operator, 15_000))]);
    assert_eq!(claimable(&chain, operator, owner.address()), 199);
    give(&mut chain, operator, 1_400);
    assert_eq!(claimable(&chain, operator, owner.address()), 598);
    let before = chain.balance(owner.address());
    chain.block(vec![(owner.clone(), unstake(operator, 40_000))]);
    let paid = chain.balance(owner.address()) - before;
    assert_eq!(paid, 598, "rewards of stake that is all gone are paid");
    give(&mut chain, operator, 1_000);
    assert_eq!(claimable(&chain, operator, owner.address()), 0);
}

#[test]
fn rounding_leaves_crumbs_in_the_pot_and_never_takes_from_it() {
    let mut chain = start();
    let operator = chain.operator(0).address();
    let owners = [0, 1].map(|index| chain.miner(index));
    for (owner, amount) in owners.iter().zip([333, 777]) {
        chain.block(vec![(owner.clone(), stake(operator, amount))]);
    }
    for reward in [1, 2, 3, 5, 7, 11, 13, 101] {
        give(&mut chain, operator, reward);
    }
    let holder = chain.holder(0).address();
    let all = owners.iter().map(|key| key.address()).chain([holder]);
    let sum: u64 = all.map(|owner| claimable(&chain, operator, owner)).sum();
    let pot = record(&chain, operator).pot.get();
    assert_eq!(pot, 143);
    assert!((140..=143).contains(&sum), "{sum}");
}

#[test]
fn a_commission_falls_at_will_and_rises_by_a_point_a_day() {
    let mut chain = start();
    let (holder, operator) = (chain.holder(0), chain.operator(0).address());
    let set = |commission: u64| Body::SetCommission {
        operator,
        commission: Micro::new(commission),
    };
    chain.wait(1);
    chain.block(vec![(holder.clone(), set(10_000))]);
    chain.block(vec![(holder.clone(), set(20_000))]);
    let step = chain.reject(holder.clone(), set(30_001));
    assert_eq!(step.code(), 244, "{step}");
    chain.block(vec![(holder, set(0))]);
    assert_eq!(record(&chain, operator).commission, Micro::ZERO);
}

#[test]
fn a_reward_that_nobody_has_stake_for_is_the_holders() {
    let mut chain = start();
    let (holder, operator) = (chain.holder(0), chain.operator(0).address());
    chain.block(vec![(holder.clone(), unstake(operator, 100_000))]);
    give(&mut chain, operator, 50);
    assert_eq!(chain.balance(holder.address()), 50);
}
