//! Dealing: exact shares, each unit once, the same whatever order the miners come in.

use crate::values::{beacon, key};
use proptest::{collection::vec, prelude::any, prop_assert, prop_assert_eq, proptest};
use protocol::{
    Amount, Micro,
    task::{Beacon, Share, UnitKind, assign},
};

fn shares(claims: &[(u64, u64)]) -> Vec<Share> {
    let share = |(index, (bond, quota)): (u8, &(u64, u64))| Share {
        miner: key(index).address(),
        bond: Amount::new(*bond),
        quota: Micro::new(*quota),
    };
    (0..).zip(claims).map(share).collect()
}

fn loads(beacon: &Beacon, units_count: u32, shares: &[Share]) -> Vec<u64> {
    let dealt = assign(beacon, UnitKind::Gradient, units_count, shares);
    let load = |share: &Share| dealt.iter().filter(|owner| **owner == share.miner).count() as u64;
    shares.iter().map(load).collect()
}

proptest! {
    #[test]
    fn every_load_is_the_exact_share_rounded_down_or_up(
        claims in vec((0..u64::MAX, 10_000_u64..=1_000_000), 1..12),
        units_count in 1_u32..200,
        seed in any::<[u8; 32]>(),
    ) {
        let shares = shares(&claims);
        let weight = |(bond, quota): &(u64, u64)| u128::from(*bond) * u128::from(*quota);
        let weights: Vec<u128> = claims.iter().map(weight).collect();
        let total: u128 = weights.iter().sum();
        let loads = loads(&Beacon::from_bytes(seed), units_count, &shares);
        if total == 0 {
            prop_assert!(loads.iter().all(|load| *load == 0));
        } else {
            prop_assert_eq!(loads.iter().sum::<u64>(), u64::from(units_count));
            for (load, weight) in loads.iter().zip(weights) {
                let exact = weight * u128::from(units_count);
                let load = u128::from(*load) * total;
                prop_assert!(load.abs_diff(exact) < total, "{load} of {exact} over {total}");
            }
        }
    }

    #[test]
    fn the_order_in_which_miners_come_changes_nothing(
        claims in vec((1..1_000_000_u64, 10_000_u64..=1_000_000), 1..12),
        seed in any::<[u8; 32]>(),
    ) {
        let (beacon, mut shares) = (Beacon::from_bytes(seed), shares(&claims));
        let dealt = assign(&beacon, UnitKind::Rollout, 20, &shares);
        shares.reverse();
        prop_assert_eq!(assign(&beacon, UnitKind::Rollout, 20, &shares), dealt);
    }
}

#[test]
fn which_units_are_whose_depends_on_the_beacon() {
    let shares = shares(&[(1, 1_000_000), (1, 1_000_000)]);
    let first = assign(&beacon(), UnitKind::Rollout, 20, &shares);
    let other = Beacon::from_bytes([3; 32]);
    assert_ne!(first, assign(&other, UnitKind::Rollout, 20, &shares));
    assert_ne!(first, assign(&beacon(), UnitKind::Gradient, 20, &shares));
    assert!(assign(&beacon(), UnitKind::Rollout, 20, &[]).is_empty());
}

/// Splitting a bond over two keys is dealt what one key is dealt, give or take one unit.
#[test]
fn splitting_a_bond_gains_nothing() {
    for seed in 0..50 {
        let beacon = Beacon::from_bytes([seed; 32]);
        let whole = loads(&beacon, 30, &shares(&[(300, 1_000_000), (600, 1_000_000)]));
        let split = [
            (100, 1_000_000),
            (600, 1_000_000),
            (100, 1_000_000),
            (100, 1_000_000),
        ];
        let split = loads(&beacon, 30, &shares(&split));
        assert_eq!(whole[0], 10);
        assert!(split[0] + split[2] + split[3] <= 11, "{split:?}");
    }
}
