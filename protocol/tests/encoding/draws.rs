//! Tables of chapters 1 and 6: who is dealt what, which units are audited, and by whom.
//!
//! `tests/oracles/rules.py` computes every row anew from the text.

use crate::{
    values::{beacon, key, unit},
    vectors::{check, table_row},
};
use protocol::{
    Amount, Micro, Step,
    gradient::Segments,
    sample::{
        Deterrence, committee, is_drawn, is_eligible, is_second_look, panel, sortition_input,
    },
    task::{Beacon, Share, UnitId, UnitKind, assign},
    vrf::Output,
};
use serde_json::{Value, json};

fn in_step(kind: UnitKind, step: u64) -> UnitId {
    UnitId {
        step: Step::new(step),
        ..unit(kind)
    }
}

/// Bonds and quotas of miners 1, 2, ….
fn dealt(
    name: &str,
    beacon: Beacon,
    (kind, count): (UnitKind, u32),
    claims: &[(u64, u64)],
) -> Value {
    let shares: Vec<Share> = (1..)
        .zip(claims)
        .map(|(seed, (bond, quota))| Share {
            miner: key(seed).address(),
            bond: Amount::new(*bond),
            quota: Micro::new(*quota),
        })
        .collect();
    let rows: Vec<Value> = shares
        .iter()
        .map(|share| json!({"miner": share.miner, "bond": share.bond, "quota": share.quota}))
        .collect();
    table_row(
        name,
        json!({"beacon": beacon, "kind": kind, "units_count": count, "shares": rows}),
        json!(assign(&beacon, kind, count, &shares)),
    )
}

fn tasks() -> Vec<Value> {
    let full = 1_000_000;
    let (rollout, gradient) = (UnitKind::Rollout, UnitKind::Gradient);
    let other = Beacon::from_bytes([0xb7; 32]);
    let halved: Vec<(u64, u64)> = (0..8).map(|halvings| (10_000, full >> halvings)).collect();
    vec![
        dealt(
            "one miner has all",
            beacon(),
            (rollout, 5),
            &[(10_000, full)],
        ),
        dealt(
            "equal shares",
            beacon(),
            (rollout, 12),
            &[(10_000, full); 4],
        ),
        dealt(
            "the other kind is dealt anew",
            beacon(),
            (gradient, 12),
            &[(10_000, full); 4],
        ),
        dealt(
            "another beacon deals anew",
            other,
            (rollout, 12),
            &[(10_000, full); 4],
        ),
        dealt(
            "by bond",
            beacon(),
            (rollout, 20),
            &[(10_000, full), (20_000, full), (70_000, full)],
        ),
        dealt(
            "by quota, halved again and again",
            other,
            (gradient, 40),
            &halved,
        ),
        dealt(
            "without a bond there is nothing",
            beacon(),
            (rollout, 7),
            &[(0, full), (10_000, 10_000), (0, full), (1, full)],
        ),
        dealt(
            "nobody has weight",
            beacon(),
            (rollout, 3),
            &[(0, full), (0, full)],
        ),
        dealt(
            "fewer units than miners",
            other,
            (gradient, 2),
            &[(10_000, full); 5],
        ),
        dealt(
            "the largest bonds",
            other,
            (rollout, 9),
            &[(u64::MAX, full), (u64::MAX, full), (u64::MAX / 3, 10_000)],
        ),
    ]
}

/// The rate of audits: m, g, d, h and the floor in millionths, then the price and what is at risk.
fn rates() -> Vec<Value> {
    let defaults = [2_000_000, 800_000, 950_000, 800_000, 20_000];
    let careless = [2_000_000, 800_000, 0, 800_000, 20_000];
    let strict = [10_000_000, 1_000_000, 100_000, 100_000, 10_000];
    let cases = [
        (defaults, 50, 10_000),
        (defaults, 100, 10_000),
        (defaults, 100, 10_500),
        (defaults, 100, 1_000),
        (defaults, 100, 0),
        (defaults, 0, 0),
        (defaults, 0, 1),
        (defaults, u64::MAX, u64::MAX),
        (defaults, 1, u64::MAX),
        (careless, 100, 10_000),
        (strict, 7, 1_000_003),
    ];
    let row = |(values, price, at_risk): ([u64; 5], u64, u64)| {
        let [margin, gain, power, honest_share, floor] = values.map(Micro::new);
        let deterrence = Deterrence {
            margin,
            gain,
            power,
            honest_share,
            floor,
        };
        table_row(
            "rate",
            json!({"margin": margin, "gain": gain, "power": power, "honest_share": honest_share,
                   "floor": floor, "price": price, "at_risk": at_risk}),
            json!(deterrence.rate(Amount::new(price), Amount::new(at_risk))),
        )
    };
    cases.into_iter().map(row).collect()
}

/// What is forfeited for a unit that is beyond its class: as above, with the rate of its draw.
fn forfeits() -> Vec<Value> {
    let defaults = [2_000_000, 800_000, 950_000, 800_000];
    let careless = [2_000_000, 800_000, 950_000, 0];
    let cases = [
        (defaults, 300, 1_000_000),
        (defaults, 300, 20_000),
        (defaults, 76, 1_000_000),
        (defaults, 1, 999_999),
        (defaults, 0, 20_000),
        (defaults, 300, 0),
        (defaults, u64::MAX, 20_000),
        (careless, 300, 20_000),
    ];
    let row = |(values, price, rate): ([u64; 4], u64, u64)| {
        let [margin, gain, power, honest_share] = values.map(Micro::new);
        let (floor, rate) = (Micro::ZERO, Micro::new(rate));
        let deterrence = Deterrence {
            margin,
            gain,
            power,
            honest_share,
            floor,
        };
        table_row(
            "forfeit",
            json!({"margin": margin, "gain": gain, "power": power, "honest_share": honest_share,
                   "price": price, "rate": rate}),
            json!(deterrence.forfeit(Amount::new(price), rate)),
        )
    };
    cases.into_iter().map(row).collect()
}

/// Steps 0 to 63 in which something happens to unit 3.
fn steps(happens: impl Fn(UnitId) -> bool, kind: UnitKind) -> Vec<u64> {
    let steps = 0..64;
    steps.filter(|step| happens(in_step(kind, *step))).collect()
}

fn audits() -> Vec<Value> {
    let mut rows = rates();
    rows.extend(forfeits());
    for rate in [0, 20_000, 500_000, 1_000_000].map(Micro::new) {
        let kind = UnitKind::Rollout;
        let unit = in_step(kind, 0);
        rows.push(table_row(
            "steps of 0 to 63 in which the unit is drawn",
            json!({"beacon": beacon(), "unit": unit, "rate": rate}),
            json!(steps(|unit| is_drawn(&beacon(), unit, rate), kind)),
        ));
        rows.push(table_row(
            "steps of 0 to 63 in which it is looked at again",
            json!({"beacon": beacon(), "unit": unit, "rate": rate}),
            json!(steps(|unit| is_second_look(&beacon(), unit, rate), kind)),
        ));
    }
    for (steps_count, each) in [(1, 1), (10, 4), (10, 2), (30, 4)] {
        let segments = Segments::new(steps_count, each);
        let drawn =
            (0..16).map(|step| segments.drawn(&beacon(), in_step(UnitKind::Gradient, step)));
        rows.push(table_row(
            "segments drawn in steps 0 to 15",
            json!({"beacon": beacon(), "unit": in_step(UnitKind::Gradient, 0),
                   "segments_count": segments.count()}),
            json!(drawn.collect::<Vec<u32>>()),
        ));
    }
    rows.extend(sortitions());
    rows.extend(public());
    rows
}

/// The first stage at which an auditor may, of the first 200.
fn sortitions() -> Vec<Value> {
    let unit = in_step(UnitKind::Rollout, 0);
    let mut rows = vec![table_row(
        "input of an auditor's randomness",
        json!({"beacon": beacon(), "unit": unit}),
        json!(hex::encode(sortition_input(&beacon(), unit))),
    )];
    let cases = [
        (0x00_u8, (1, 4), 100_000),
        (0x10, (1, 4), 100_000),
        (0x80, (1, 4), 100_000),
        (0xff, (1, 4), 100_000),
        (0x80, (3, 7), 500_000),
        (0x80, (0, 7), 500_000),
        (0xff, (u64::MAX, u64::MAX), 64_000_000),
        (0x40, (1, u64::MAX), 64_000_000),
    ];
    rows.extend(cases.into_iter().map(|(byte, (power, total), seats)| {
        let output = Output::from_bytes([byte; 32]);
        let may = |stage: &u32| is_eligible(&output, (power, total), Micro::new(seats), *stage);
        table_row(
            "first of 200 stages at which an auditor may",
            json!({"output": output, "power": power, "total": total, "seats": seats}),
            json!((0..200).find(may)),
        )
    }));
    rows
}

fn public() -> Vec<Value> {
    let candidates = |count: u8| -> Vec<_> {
        let mut all: Vec<_> = (1..=count)
            .map(|seed| (key(seed).address(), 100 * u64::from(seed)))
            .collect();
        all.sort_unstable();
        all
    };
    let mut rows = Vec::new();
    for (count, round, seats) in [(4, 0, 1), (7, 0, 3), (7, 1, 3), (2, 1, 3)] {
        let candidates = candidates(count);
        let unit = in_step(UnitKind::Gradient, 5);
        rows.push(table_row(
            "panel",
            json!({"beacon": beacon(), "unit": unit, "round": round, "seats": seats,
                   "candidates": candidates}),
            json!(panel(&beacon(), unit, round, &candidates, seats)),
        ));
    }
    let (candidates, unit) = (candidates(9), in_step(UnitKind::Rollout, 5));
    rows.push(table_row(
        "committee",
        json!({"beacon": beacon(), "unit": unit, "round": 2, "seats": 64,
               "candidates": candidates}),
        json!(committee(&beacon(), unit, 2, &candidates, 64)),
    ));
    rows
}

#[test]
fn assignments_equal_the_pinned_ones() {
    check("task.json", &tasks());
}

#[test]
fn rates_and_draws_of_audits_equal_the_pinned_ones() {
    check("sample.json", &audits());
}
