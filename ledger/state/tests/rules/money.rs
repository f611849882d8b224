//! The table of chapter 8: pay, vesting and what a slash comes to, by the rules of the state.
//!
//! `tests/oracles/rules.py` computes every row anew from the text. Run with `UPDATE_VECTORS=1` to
//! write the table anew, and change the chapter with it.

use crate::support::{Chain, Setup};
use governance::parameters::Name;
use ledger_state::{
    bond::{Miner, Status},
    reward,
    run::Run,
    slash,
    unit::Unit,
};
use protocol::{
    Address, Amount, Height,
    reward::Payout,
    task::{UnitId, UnitKind},
    verdict::{Check, Finding},
};
use serde_json::{Value, json};
use std::{env, fs, path::PathBuf};

/// A step that is assigned, with its run's escrow set.
fn chain(parameters: Vec<(Name, u64)>, escrow: u64) -> Chain {
    let setup = Setup {
        parameters,
        ..Setup::default()
    };
    let mut chain = Chain::working(&setup);
    chain.change(|view| {
        let id = crate::support::RUN;
        let mut run: Run = view.get(&id).unwrap();
        run.escrow = Amount::new(escrow);
        view.put(&id, &run);
    });
    chain
}

/// Gradient units cost 700 and rollout units 300 in the tests' recipe; all are of one miner.
fn pay((vesting_blocks, escrow): (u64, u64), settled: &[(u64, UnitKind)], asked: &[u64]) -> Value {
    let mut chain = chain(vec![(Name::VestingBlocks, vesting_blocks)], escrow);
    let miner = chain.miner(0).address();
    let prices = settled.iter().map(|(height, kind)| {
        let id = chain.units_of(*kind)[0];
        json!([height, reward::price(&chain.view(), id)])
    });
    let prices: Vec<Value> = prices.collect();
    let balance = chain.balance(miner);
    let mut entries = Vec::new();
    let mut escrow_left = 0;
    chain.change(|view| {
        let mut accept = |(height, kind): (u64, UnitKind)| {
            let id = UnitId {
                index: 0,
                run: crate::support::RUN,
                step: protocol::Step::ZERO,
                kind,
            };
            let unit: Unit = view.get(&id).unwrap();
            let unit = Unit { miner, ..unit };
            reward::accept(view, id, unit, Height::new(height));
        };
        settled.iter().copied().for_each(&mut accept);
        entries = view.get::<Miner>(&miner).unwrap().vesting;
        escrow_left = view.get::<Run>(&crate::support::RUN).unwrap().escrow.get();
    });
    let free = asked.iter().map(|height| {
        let mut view = chain.view();
        reward::vest(&mut view, Height::new(*height));
        ledger_state::account::account(&view, miner).balance.get() - balance
    });
    json!({
        "name": "pay",
        "input": {"vesting_blocks": vesting_blocks, "escrow": escrow, "settled": prices,
                  "asked": asked},
        "expect": {"escrow": escrow_left, "entries": entries, "free": free.collect::<Vec<_>>()},
    })
}

fn slashed((bond, vesting): (u64, u64), whistle_blower: u64, finders: &[usize]) -> Value {
    let mut chain = chain(vec![(Name::WhistleBlower, whistle_blower)], 0);
    let miner = chain.miner(0).address();
    let finders: Vec<Address> = finders
        .iter()
        .map(|index| chain.operator(*index).address())
        .collect();
    let holder = chain.holder(0).address();
    let before = chain.balance(holder);
    let mut status = Status::Active;
    let mut each = 0;
    chain.change(|view| {
        let mut record: Miner = view.get(&miner).unwrap();
        record.bond = Amount::new(bond);
        record.vesting = vec![Payout {
            amount: Amount::new(vesting),
            vests_at: Height::new(1_000),
        }];
        view.put(&miner, &record);
        let unit = UnitId {
            index: 0,
            run: crate::support::RUN,
            step: protocol::Step::ZERO,
            kind: UnitKind::Rollout,
        };
        let found = (Finding::exact(Check::Sampling, 1), &finders[..]);
        slash::miner(view, miner, unit, found, Height::new(9));
        let record = view.get::<Miner>(&miner).unwrap();
        assert_eq!(record.at_risk(), Amount::ZERO);
        status = record.status;
        each = ledger_state::account::account(view, holder).balance.get() - before;
    });
    let Status::Slashed(slashed) = status else {
        panic!("{status:?}");
    };
    json!({
        "name": "slash",
        "input": {"bond": bond, "vesting": vesting, "whistle_blower": whistle_blower,
                  "finders_count": finders.len()},
        "expect": {"each": each, "bounty": slashed.bounty, "burned": slashed.burned},
    })
}

fn rows() -> Vec<Value> {
    use UnitKind::{Gradient, Rollout};
    let everyone = [0, 1, 2, 3];
    vec![
        pay((30, 100_000), &[(10, Rollout)], &[39, 40, 41]),
        pay(
            (400, 100_000),
            &[(10, Rollout), (10, Gradient), (11, Rollout), (30, Gradient)],
            &[409, 410, 411, 430],
        ),
        pay(
            (1, 1_200),
            &[(5, Gradient), (6, Gradient), (7, Rollout)],
            &[5, 6, 7, 8],
        ),
        pay((1, 0), &[(5, Gradient)], &[6]),
        slashed((10_000, 0), 100_000, &everyone[..1]),
        slashed((10_000, 2_345), 100_000, &everyone[..1]),
        slashed((10_000, 2_345), 100_000, &everyone[..3]),
        slashed((10_001, 6), 500_000, &everyone),
        slashed((7, 0), 100_000, &everyone[..2]),
        slashed((10_000, 500), 0, &everyone[..1]),
        slashed((10_000, 500), 500_000, &[]),
        slashed((0, 500), 333_333, &everyone[..1]),
    ]
}

#[test]
fn pay_vesting_and_slashes_equal_the_pinned_ones() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../spec/vectors/reward.json");
    let rows = rows();
    if env::var_os("UPDATE_VECTORS").is_some() {
        let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
        fs::write(&path, format!("[\n{}\n]\n", lines.join(",\n"))).unwrap();
    }
    let pinned: Vec<Value> = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(pinned, rows);
}
