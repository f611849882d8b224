//! Stake: it comes, gives power, earns, leaves and is burned. Spec: staking.

mod absence;
pub(crate) mod contradiction;
mod emission;
mod exits;
mod random;
mod rewards;
pub(crate) mod rotation;

use crate::support::{Chain, Setup, key};
use governance::{parameters::Name, power};
use ledger_state::{
    Event, beacon,
    staking::{epoch, stake},
    validator::{Sets, Validator, powers},
};
use protocol::{Address, Amount, Height, Micro, SigningKey, staking::Consent, transaction::Body};

/// Epochs of four blocks, days of one.
pub(crate) fn setup() -> Setup {
    Setup {
        parameters: vec![(Name::EpochBlocks, 4)],
        ..Setup::default()
    }
}

pub(crate) fn start() -> Chain {
    Chain::start(&setup())
}

pub(crate) fn record(chain: &Chain, operator: Address) -> Validator {
    chain.view().get(&operator).unwrap()
}

pub(crate) fn staked(chain: &Chain, operator: Address, owner: Address) -> u64 {
    stake::of(&chain.view(), operator, owner).amount.get()
}

pub(crate) fn stake(operator: Address, amount: u64) -> Body {
    let amount = Amount::new(amount);
    Body::Stake { operator, amount }
}

pub(crate) fn unstake(operator: Address, amount: u64) -> Body {
    let amount = Amount::new(amount);
    Body::Unstake { operator, amount }
}

pub(crate) fn restake(from: Address, to: Address, amount: u64) -> Body {
    let amount = Amount::new(amount);
    Body::Restake { from, to, amount }
}

/// A key registers a new operator for itself.
pub(crate) fn registration(
    chain: &Chain,
    holder: &SigningKey,
    operator: &SigningKey,
    amount: u64,
) -> Body {
    Body::RegisterValidator {
        consent: Consent::new(chain.id, holder.address(), operator),
        stake: Amount::new(amount),
        commission: Micro::new(100_000),
    }
}

/// Ends the epoch under way and the one after it, so that power and sets have followed.
pub(crate) fn next_epochs(chain: &mut Chain) {
    let blocks = 8 - chain.height().get() % 4;
    chain.wait(blocks);
}

/// Applies an empty block in the first round whose proposer is another.
pub(crate) fn block_without(chain: &mut Chain, absent: Address) -> Vec<Event> {
    let set = Sets::of(&chain.view()).current;
    let height = chain.height().next();
    let present = |round: &u32| beacon::proposer(&set, height, *round) != Some(absent);
    let round = (0..100).find(present).unwrap();
    chain.extend_in(round, Vec::new())
}

fn power_of(chain: &Chain, operator: Address) -> u64 {
    let all = powers(&chain.view()).into_iter();
    all.filter(|(known, _)| *known == operator)
        .map(|(_, power)| power)
        .sum()
}

#[test]
fn stake_gives_power_with_the_next_epoch_and_votes_once_it_is_of_age() {
    let mut chain = start();
    let (owner, operator) = (chain.miner(0), chain.operator(1).address());
    chain.block(vec![(owner.clone(), stake(operator, 5_000))]);
    assert_eq!(chain.balance(owner.address()), 45_000);
    assert_eq!(record(&chain, operator).stake.get(), 105_000);
    assert_eq!(power_of(&chain, operator), 100_000);
    chain.wait(3);
    assert_eq!(power_of(&chain, operator), 105_000);
    let own = |chain: &Chain| power::own(&chain.view(), owner.address(), chain.height());
    assert_eq!(own(&chain), 0, "it is four days old");
    chain.wait(4);
    assert_eq!(own(&chain), 5_000);
    chain.block(vec![(owner.clone(), unstake(operator, 5_000))]);
    assert_eq!(own(&chain), 0);
    assert_eq!(power_of(&chain, operator), 105_000, "until the epoch ends");
    chain.wait(4);
    assert_eq!(power_of(&chain, operator), 100_000);
}

#[test]
fn stake_that_leaves_arrives_after_the_unbonding_period() {
    let mut chain = start();
    let (owner, operator) = (chain.miner(0), chain.operator(0).address());
    chain.block(vec![(owner.clone(), stake(operator, 5_000))]);
    chain.block(vec![(owner.clone(), unstake(operator, 2_000))]);
    let left_at = chain.height();
    assert_eq!(staked(&chain, operator, owner.address()), 3_000);
    chain.wait_for(Height::new(left_at.get() + 20));
    assert_eq!(chain.balance(owner.address()), 45_000);
    chain.wait(1);
    assert_eq!(chain.balance(owner.address()), 47_000);
}

#[test]
fn two_exits_of_one_block_arrive_as_one() {
    let mut chain = start();
    let (owner, operator) = (chain.miner(0), chain.operator(0).address());
    chain.block(vec![(owner.clone(), stake(operator, 5_000))]);
    let exits = [1_000, 4_000].map(|amount| (owner.clone(), unstake(operator, amount)));
    chain.block(exits.to_vec());
    assert_eq!(staked(&chain, operator, owner.address()), 0);
    assert_eq!(record(&chain, operator).stakers_count, 1);
    chain.wait(21);
    assert_eq!(chain.balance(owner.address()), 50_000);
}

#[test]
fn moved_stake_gives_power_elsewhere_at_the_next_epoch() {
    let mut chain = start();
    let owner = chain.miner(0);
    let (from, to) = (chain.operator(0).address(), chain.operator(1).address());
    chain.block(vec![(owner.clone(), stake(from, 9_000))]);
    chain.block(vec![(owner.clone(), restake(from, to, 4_000))]);
    assert_eq!(staked(&chain, from, owner.address()), 5_000);
    assert_eq!(staked(&chain, to, owner.address()), 4_000);
    chain.wait(4);
    assert_eq!(power_of(&chain, from), 105_000);
    assert_eq!(power_of(&chain, to), 104_000);
    let rejection = chain.reject(owner.clone(), restake(to, from, 4_000));
    assert_eq!(rejection.code(), 240, "{rejection}");
    chain.wait(21);
    chain.block(vec![(owner, restake(to, from, 4_000))]);
}

#[test]
fn a_registered_validator_gets_power_proposes_and_audits() {
    let mut chain = start();
    let (holder, operator) = (chain.miner(0), key("new operator", 0));
    chain.keys.push(operator.clone());
    let body = registration(&chain, &holder, &operator, 40_000);
    chain.block(vec![(holder, body)]);
    assert_eq!(power_of(&chain, operator.address()), 0);
    next_epochs(&mut chain);
    assert_eq!(power_of(&chain, operator.address()), 40_000);
    let mut proposed = false;
    for _ in 0..40 {
        proposed |= chain.header().proposer == operator.address();
        chain.wait(1);
    }
    assert!(proposed, "one of eleven turns in forty");
    assert!(record(&chain, operator.address()).rounds_missed_count == 0);
    let judges = ledger_state::auditor::all(&chain.view(), chain.height());
    assert!(
        judges
            .iter()
            .any(|judge| judge.address == operator.address())
    );
}

#[test]
fn a_holder_below_the_least_stake_has_no_power_and_the_others_go_on() {
    let mut chain = start();
    let (holder, operator) = (chain.holder(3), chain.operator(3).address());
    chain.block(vec![(holder, unstake(operator, 95_000))]);
    chain.fund(&key("holder", 9), 1);
    next_epochs(&mut chain);
    assert_eq!(power_of(&chain, operator), 0);
    assert_eq!(powers(&chain.view()).len(), 3);
    chain.wait(5);
}

#[test]
fn if_nobody_had_power_everybody_keeps_it() {
    let mut chain = start();
    let exits = (0..4).map(|i| {
        (
            chain.holder(i),
            unstake(chain.operator(i).address(), 95_000),
        )
    });
    let exits = exits.collect();
    chain.block(exits);
    next_epochs(&mut chain);
    let kept: Vec<u64> = powers(&chain.view()).into_iter().map(|(_, p)| p).collect();
    assert_eq!(kept, [100_000; 4]);
}

#[test]
fn the_largest_power_is_capped() {
    // Computed by hand.
    let ten = 100_000;
    let table: [(&[u64], u64, &[u64]); 6] = [
        (&[5], ten, &[5]),
        (&[9, 1], ten, &[9, 1]),
        // Two of four is a half: 60 of 90 would be more; 30 of 60 is not.
        (&[60, 10, 10, 10], ten, &[30, 10, 10, 10]),
        (&[40, 30, 20, 10], ten, &[40, 30, 20, 10]),
        (
            &[100, 100, 100, 100, 100, 100, 100, 100, 100, 100],
            ten,
            &[100; 10],
        ),
        (
            &[500, 500, 100, 100, 100, 100],
            300_000,
            &[399, 399, 100, 100, 100, 100],
        ),
    ];
    for (stakes, cap, expected) in table {
        let most = epoch::largest(stakes, cap);
        let found: Vec<u64> = stakes.iter().map(|stake| most.min(*stake)).collect();
        assert_eq!(found, expected, "{stakes:?}");
    }
    let mut many = vec![1_000];
    many.extend([100; 20]);
    assert_eq!(epoch::largest(&many, ten), 222);
}
