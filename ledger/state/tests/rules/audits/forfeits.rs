//! What a unit beyond the limits of its tolerant class costs its miner: pay that has not vested, by
//! the rate at which it was drawn, and never the bond.

use super::tolerant::{audited, measured, setup, started};
use crate::support::Chain;
use governance::parameters::Name;
use ledger_state::{
    Event, account,
    account::Account,
    bond::Miner,
    run,
    unit::{Draw, Outcome, Unit, VoidReason},
};
use protocol::{Address, Amount, Height, Micro, reward::Payout, sample::Deterrence, task::UnitId};

/// Rollout units of the tests' recipe.
const PRICE: u64 = 300;

/// Locks these amounts of a miner's balance as pay that does not vest soon, the first soonest.
pub(super) fn lock(chain: &mut Chain, miner: Address, amounts: &[u64]) {
    chain.change(|view| {
        let mut account: Account = account::account(view, miner);
        let mut record: Miner = view.get(&miner).unwrap();
        for (index, amount) in (0..).zip(amounts) {
            account.balance = Amount::new(account.balance.get() - amount);
            record.vesting.push(Payout {
                amount: Amount::new(*amount),
                vests_at: Height::new(10_000 + index),
            });
        }
        view.put(&miner, &account);
        view.put(&miner, &record);
    });
}

fn unvested(chain: &Chain, miner: Address) -> Vec<u64> {
    let record: Miner = chain.view().get(&miner).unwrap();
    let amounts = record.vesting.iter().map(|payout| payout.amount.get());
    amounts.collect()
}

/// Has three auditors find that a unit differs, and waits until it is void.
fn void(chain: &mut Chain, id: UnitId) {
    chain.convict(id, &measured(1_001));
    let outcome = chain.outcome(id);
    let is_void = matches!(
        outcome,
        Some(Outcome::Void {
            reason: VoidReason::Differs,
            ..
        })
    );
    assert!(is_void, "{outcome:?}");
}

/// What was due and burned for units, in order.
fn forfeits(chain: &Chain) -> Vec<(UnitId, u64, u64)> {
    let one = |(_, event): &(Height, Event)| match event {
        Event::PayForfeited {
            unit, due, burned, ..
        } => Some((*unit, due.get(), burned.get())),
        _ => None,
    };
    chain.log.iter().filter_map(one).collect()
}

/// The amount by the rule's words: 2 · 0.8 R / (0.95 · 0.8 q), rounded up.
fn expected(rate: Micro) -> u64 {
    (1_000_000 * 160 * PRICE).div_ceil(76 * rate.get())
}

#[test]
fn the_newest_unvested_pay_is_burned_by_the_rate_of_the_draw_and_the_bond_stays() {
    let (full, floor) = (1_000_000, 20_000);
    assert_eq!(expected(Micro::new(full)), 632);
    assert_eq!(expected(Micro::new(floor)), 31_579);
    let rows: [(u64, &[u64], &[u64], u64); 7] = [
        (full, &[500, 400], &[268], 632),
        (full, &[500, 632], &[500], 632),
        (full, &[500, 700], &[500, 68], 632),
        (full, &[400, 231], &[], 631),
        (full, &[], &[], 0),
        (floor, &[15_000, 20_000], &[3_421], 31_579),
        (floor, &[900, 31_578], &[899], 31_579),
    ];
    for (rate, before, after, burned) in rows {
        let rate = Micro::new(rate);
        let (mut chain, id) = audited(0);
        let miner = chain.unit(id).miner;
        lock(&mut chain, miner, before);
        let others = [0, 1, 2].map(|index| chain.miner(index).address());
        let others: Vec<Address> = others.into_iter().filter(|one| *one != miner).collect();
        for other in &others {
            lock(&mut chain, *other, &[1_000]);
        }
        chain.change(|view| {
            let mut unit: Unit = view.get(&id).unwrap();
            unit.commitment.as_mut().unwrap().draw = Draw::Drawn { rate };
            view.put(&id, &unit);
        });
        let balance = chain.balance(miner);
        let burned_before = run::tip(&chain.view()).burned.get();
        void(&mut chain, id);
        assert_eq!(unvested(&chain, miner), after, "{rate} of {before:?}");
        assert_eq!(forfeits(&chain), [(id, expected(rate), burned)]);
        let burned_now = run::tip(&chain.view()).burned.get();
        assert_eq!(burned_now - burned_before, burned, "nobody gets it");
        assert_eq!(chain.miner_record_of(id).bond.get(), 10_000);
        assert_eq!(chain.balance(miner), balance);
        for other in others {
            assert_eq!(unvested(&chain, other), [1_000], "another's pay");
        }
    }
}

/// Sampled units: those that are spared are paid, and one that is seen costs that pay and all that
/// had not vested before.
#[test]
fn who_is_sampled_pays_for_what_was_not_seen() {
    let mut setup = setup(0);
    setup.recipe.reinforce.rollout_units_count = 24;
    setup.parameters.extend([
        (Name::NewcomerUnits, 0),
        (Name::AuditRate, 10_000),
        (Name::AuditMargin, 10_000_000),
        (Name::VestingBlocks, 300),
    ]);
    let mut chain = started(&setup);
    // A rate of 0.31, whatever the bond.
    for index in 0..3 {
        let miner = chain.miner(index).address();
        lock(&mut chain, miner, &[10_000]);
    }
    let ids = chain.commit_all();
    chain.attest_by_all(&ids);
    chain.draw(&ids);
    let drawn = |id: &&UnitId| match chain.unit(**id).commitment.unwrap().draw {
        Draw::Drawn { rate } => rate < Micro::ONE,
        Draw::Pending | Draw::Spared { .. } | Draw::Update { .. } => false,
    };
    let id = *ids.iter().find(drawn).expect("one of 24 is drawn");
    let Draw::Drawn { rate } = chain.unit(id).commitment.unwrap().draw else {
        panic!("it was drawn");
    };
    let miner = chain.unit(id).miner;
    let is_spared =
        |chain: &Chain, one: &UnitId| chain.unit(*one).miner == miner && chain.is_accepted(*one);
    let spared = ids.iter().filter(|one| is_spared(&chain, one)).count() as u64;
    assert!(spared > 0);
    void(&mut chain, id);
    let due = 5 * (1_000_000 * 160 * PRICE);
    let due = due.div_ceil(76 * rate.get());
    // What a conviction at the draw would have cost: the unit's price and all unvested pay.
    assert!((10_295..=10_300).contains(&due), "{due}");
    assert_eq!(forfeits(&chain), [(id, due, due)]);
    assert_eq!(unvested(&chain, miner), [10_000 + PRICE * spared - due]);
    assert_eq!(chain.miner_record_of(id).bond.get(), 10_000);
    let balance = chain.balance(miner);
    chain.wait(40);
    assert_eq!(chain.balance(miner), balance, "nothing vests");
}

#[test]
fn what_is_due_is_rounded_up_and_bounded_by_the_largest_amount() {
    let deterrence = Deterrence {
        margin: Micro::new(2_000_000),
        gain: Micro::new(800_000),
        power: Micro::new(950_000),
        honest_share: Micro::new(800_000),
        floor: Micro::new(20_000),
    };
    let due = |price, rate| {
        let due = deterrence.forfeit(Amount::new(price), Micro::new(rate));
        due.get()
    };
    assert_eq!(due(PRICE, 1_000_000), 632);
    assert_eq!(due(PRICE, 20_000), 31_579);
    assert_eq!(due(76, 1_000_000), 160, "nothing to round");
    assert_eq!(due(0, 20_000), 0);
    assert_eq!(due(u64::MAX, 1), u64::MAX);
    assert_eq!(due(1, 0), u64::MAX);
    let careless = Deterrence {
        power: Micro::ZERO,
        ..deterrence
    };
    assert_eq!(
        careless.forfeit(Amount::new(1), Micro::ONE),
        Amount::new(u64::MAX)
    );
    // Above the floor it is all that a conviction would have cost.
    let rate = deterrence.rate(Amount::new(100), Amount::new(1_000));
    assert!((1_095..=1_100).contains(&due(100, rate.get())));
}

#[test]
fn an_accepted_unit_forfeits_nothing() {
    let (mut chain, id) = audited(0);
    let miner = chain.unit(id).miner;
    lock(&mut chain, miner, &[5_000]);
    chain.judge(id, |_| Some(measured(0)));
    assert!(chain.is_accepted(id));
    assert_eq!(forfeits(&chain), []);
    assert!(unvested(&chain, miner).contains(&5_000));
}
