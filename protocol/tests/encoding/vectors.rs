//! The tables in `spec/vectors`: generated here, and compared here.

use crate::values::{
    beacon, block, bodies, chain, checkpoint, correction, genesis, gradient_payload, key,
    open_payload, opened, payout, prompts, rollout_payload, rollout_task, salts, sections, signed,
    unit, unsigned, verdict,
};
use protocol::{
    Amount, BlobId, Height, Micro, Step,
    block::proposer_index,
    codec::encode,
    rollout::{Digest, Leaf, Seal, Sections, Tree, plant, plant_seal},
    sample,
    task::{RowSource, Share, UnitId, UnitKind, assign, row_seed},
    verdict::commitment,
    vrf::Output,
};
use serde::Serialize;
use serde_json::{Value, json};
use std::{fs, path::PathBuf};

/// A row: the value as JSON, its canonical bytes, and the hash it is known by, where it has one.
fn row<T: Serialize>(name: &str, input: &T, bytes: &[u8], hash: Option<String>) -> Value {
    let input = serde_json::to_value(input).unwrap();
    match hash {
        Some(hash) => {
            let expect = json!({"hex": hex::encode(bytes), "hash": hash});
            json!({"name": name, "input": input, "expect": expect})
        }
        None => json!({"name": name, "input": input, "expect": {"hex": hex::encode(bytes)}}),
    }
}

fn plain<T: Serialize + borsh::BorshSerialize>(name: &str, value: &T) -> Value {
    row(name, value, &encode(value), None)
}

fn encodings() -> Vec<Value> {
    let mut rows = vec![
        plain("unit", &unit(UnitKind::Gradient)),
        plain("verdict", &verdict()),
        plain("checkpoint", &checkpoint()),
        plain("payout", &payout()),
        blob("rollout payload", &encode(&rollout_payload())),
        blob(
            "rollout payload of a tolerant class",
            &encode(&open_payload()),
        ),
        blob("gradient payload", &encode(&gradient_payload())),
    ];
    for (body, nonce) in bodies().into_iter().zip(0..) {
        let content = unsigned(nonce, body.clone());
        let name = format!("content of {}", body.kind());
        let signing = hex::encode(content.signing_bytes());
        rows.push(row(&name, &content, &encode(&content), Some(signing)));
        let transaction = signed(nonce, body);
        let id = transaction.id().to_string();
        let name = format!("transaction {}", transaction.claimed().body.kind());
        rows.push(row(&name, &transaction, &transaction.encode(), Some(id)));
    }
    let block = block();
    let id = block.header.id().to_string();
    let header = encode(&block.header);
    rows.push(row("header", &block.header, &header, Some(id.clone())));
    rows.push(row("block", &block, &block.encode(), Some(id)));
    let genesis = genesis();
    let chain = genesis.chain_id().to_string();
    rows.push(row("genesis", &genesis, &encode(&genesis), Some(chain)));
    rows
}

/// Blobs have no JSON form; the chapters describe the value.
fn blob(name: &str, bytes: &[u8]) -> Value {
    row(
        name,
        &Value::Null,
        bytes,
        Some(BlobId::of(bytes).to_string()),
    )
}

pub(crate) fn table_row(name: &str, input: Value, expect: Value) -> Value {
    json!({"name": name, "input": input, "expect": expect})
}

fn seeds() -> Vec<Value> {
    let rollout = rollout_task();
    let gradient = unit(UnitKind::Gradient);
    let miners: Vec<_> = (1..4).map(|seed| key(seed).address()).collect();
    let shares: Vec<Share> = miners.iter().zip(1..).map(share).collect();
    let dealt = assign(&beacon(), UnitKind::Rollout, 12, &shares);
    let (output, _) = key(3).vrf().prove(b"vector");
    let turn = |round| proposer_index([10, 20, 30].into_iter(), Height::new(9), round);
    let turns: Vec<_> = (0..8).map(turn).collect();
    let task = json!({
        "chain": rollout.chain, "checkpoint": rollout.checkpoint, "beacon": beacon(),
        "environment": rollout.environment, "unit": rollout.unit, "miner": rollout.miner,
    });
    let place = |source: &str| {
        let mut place = json!({"beacon": beacon(), "unit": gradient});
        place["inner_step"] = json!(1);
        place["source"] = json!(source);
        place["row"] = json!(2);
        place
    };
    let seed_of = |source| hex::encode(row_seed(&beacon(), gradient, 1, source, 2));
    let mut rows = vec![
        table_row(
            "beacon of genesis",
            json!({"chain": chain()}),
            json!(beacon()),
        ),
        table_row(
            "input of the beacon of height 9",
            json!({"chain": chain(), "before": beacon()}),
            json!(hex::encode(beacon().input(chain(), Height::new(9)))),
        ),
        table_row(
            "beacon of the next block",
            json!({"before": beacon(), "output": output}),
            json!(beacon().next(&output)),
        ),
        table_row(
            "proposers of rounds 0 to 7 of height 9 by power 10, 20, 30",
            json!({}),
            json!(turns),
        ),
        table_row(
            "assignment",
            json!({"beacon": beacon(), "miners": miners, "bonds": [1, 2, 3], "quota": 1_000_000}),
            json!(dealt),
        ),
        table_row(
            "prompt of group 1",
            task.clone(),
            json!(hex::encode(rollout.prompt_seed(1))),
        ),
        table_row(
            "sample 4 of group 1",
            task,
            json!(hex::encode(rollout.sample_seed(1, 4))),
        ),
        table_row(
            "corpus row",
            place("corpus"),
            json!(seed_of(RowSource::Corpus)),
        ),
        table_row(
            "demonstration row",
            place("demonstration"),
            json!(seed_of(RowSource::Demonstration)),
        ),
    ];
    rows.extend(draws());
    rows
}

/// Rows about audits and auditors.
fn draws() -> Vec<Value> {
    let rollout = rollout_task();
    let miners: Vec<_> = (1..4).map(|seed| key(seed).address()).collect();
    let judged = (&verdict(), Some(sections().sketch()));
    let hidden = commitment(key(2).address(), rollout.unit, judged, &[0x77; 32]);
    vec![
        table_row(
            "audit commitment",
            json!({"auditor": key(2).address(), "unit": rollout.unit,
                   "sketch": sections().sketch(), "salt": "77".repeat(32)}),
            json!(hex::encode(hidden)),
        ),
        table_row(
            "units drawn at one half",
            json!({"beacon": beacon()}),
            json!(drawn()),
        ),
        table_row(
            "sortition of key 2",
            json!({"beacon": beacon(), "unit": rollout.unit, "auditor": key(2).vrf().public()}),
            sortition(rollout.unit),
        ),
        table_row(
            "seats of a committee of 64 by power 1, 2, 3",
            json!({"candidates": miners, "round": 2}),
            json!(committee_seats()),
        ),
        table_row(
            "panels of two by power 1, 2, 3",
            json!({"candidates": miners, "round": 1}),
            json!(panels()),
        ),
    ]
}

fn share((miner, bond): (&protocol::Address, u64)) -> Share {
    Share {
        miner: *miner,
        bond: Amount::new(bond),
        quota: Micro::ONE,
    }
}

/// Indices of the first 32 rollout units of step 12 that are audited.
fn drawn() -> Vec<u32> {
    (0..32)
        .filter(|index| {
            let mut unit = unit(UnitKind::Rollout);
            unit.index = *index;
            sample::is_drawn(&beacon(), unit, Micro::new(500_000))
        })
        .collect()
}

/// What key 2 draws for a unit, and the stages, of 0 to 5, at which a hundredth of power may audit.
fn sortition(unit: UnitId) -> Value {
    let input = sample::sortition_input(&beacon(), unit);
    let (output, _) = key(2).vrf().prove(&input);
    let may = |stage: &u32| sample::is_eligible(&output, (1, 100), Micro::ONE, *stage);
    let stages: Vec<u32> = (0..6).filter(may).collect();
    json!({"input": hex::encode(input), "output": output, "stages": stages})
}

/// Seats in the committee about unit 3.
fn committee_seats() -> Vec<u64> {
    let candidates = [1_u8, 2, 3].map(|seed| (key(seed).address(), u64::from(seed)));
    let unit = unit(UnitKind::Rollout);
    let seats = sample::committee(&beacon(), unit, 2, &candidates, 64);
    seats.into_iter().map(|(_, seats)| seats).collect()
}

/// Panels about unit 3 in steps 0 to 7.
fn panels() -> Vec<Vec<protocol::Address>> {
    let candidates = [1_u8, 2, 3].map(|seed| (key(seed).address(), u64::from(seed)));
    (0..8)
        .map(|step| {
            let mut unit = unit(UnitKind::Rollout);
            unit.step = Step::new(step);
            sample::panel(&beacon(), unit, 1, &candidates, 2)
        })
        .collect()
}

/// From sections and samples to the root, one row a stage.
fn rollouts() -> Vec<Value> {
    let (payload, prompts, sections) = (rollout_payload(), prompts(), sections());
    let (unit, miner) = (payload.unit, payload.miner);
    let tree = payload.tree(&prompts).unwrap();
    let leaf = Leaf::of(
        unit,
        (0, 1),
        &prompts[0],
        &payload.groups.as_slice()[0].samples.as_slice()[1],
    );
    let mut rows = vec![
        row(
            "salts",
            &json!({"secret_seed": "01".repeat(32), "chain": chain(), "unit": unit}),
            &[
                salts().sketch.as_bytes().as_slice(),
                salts().plant.as_bytes(),
            ]
            .concat(),
            None,
        ),
        table_row(
            "sketch seal",
            json!({"unit": unit, "miner": miner, "opened": opened()}),
            json!(payload.sketch_seal),
        ),
        table_row(
            "plant seal of nothing",
            json!({"unit": unit, "miner": miner, "salt": salts().plant, "plant": null}),
            json!(plant_seal(unit, miner, salts().plant, None)),
        ),
        table_row(
            "plant seal of a correction",
            json!({"unit": unit, "miner": miner, "salt": salts().plant, "plant": correction()}),
            json!(payload.plant_seal),
        ),
        table_row(
            "leaf of slot 1 of group 0",
            json!({"prompt": prompts[0], "leaf": hex::encode(encode(&leaf))}),
            json!(leaf.digest()),
        ),
        table_row(
            "root",
            json!({"leaves_root": tree.root(), "plant_seal": payload.plant_seal,
                   "sketch_seal": payload.sketch_seal}),
            json!(payload.root(&prompts).unwrap()),
        ),
    ];
    rows.extend(sketches(&sections));
    rows.extend(plants());
    for count in [1_u8, 2, 3, 5, 8] {
        let leaves: Vec<_> = (0..count)
            .map(|byte| Digest::from_bytes([byte; 32]))
            .collect();
        let tree = Tree::of(leaves).unwrap();
        let last = tree.inclusion(u32::from(count) - 1).unwrap();
        rows.push(table_row(
            "tree over digests 00…, 01…, and the path of the last",
            json!({"leaves_count": count}),
            json!({"root": tree.root(), "path": last.path}),
        ));
    }
    rows
}

/// From sections to the sketch.
fn sketches(sections: &Sections) -> Vec<Value> {
    let section = sections.get(0, 0).unwrap();
    vec![
        blob("sections", &sections.encode()),
        table_row(
            "sealed section of slot 0 of group 0",
            json!({"salt": salts().sketch, "section": hex::encode(encode(section)),
                   "digest": section.digest()}),
            json!(Seal::section(salts().sketch, (0, 0), section.digest())),
        ),
        table_row(
            "sketch",
            json!({"parts": sections.parts()}),
            json!(sections.sketch()),
        ),
    ]
}

/// Where a miner's randomness puts a fault, and which wrong token it takes.
fn plants() -> Vec<Value> {
    let lengths = vec![vec![3, 1], vec![4, 2]];
    let row = |byte: u8| {
        let output = Output::from_bytes([byte; 32]);
        let place = plant::place(&output, &lengths).unwrap();
        table_row(
            "place and token of a fault",
            json!({"output": output, "lengths": lengths, "vocabulary": 64, "right": 9}),
            json!({"group": place.group, "slot": place.slot, "position": place.position,
                   "wrong": plant::substitute(&output, 9, 64)}),
        )
    };
    let alpha = plant::alpha(&beacon(), unit(UnitKind::Rollout));
    let alpha = table_row(
        "input of a miner's randomness",
        json!({"beacon": beacon(), "unit": unit(UnitKind::Rollout)}),
        json!(hex::encode(alpha)),
    );
    std::iter::once(alpha).chain((1..5).map(row)).collect()
}

#[test]
fn rollout_bindings_equal_the_pinned_ones() {
    check("rollout.json", &rollouts());
}

/// Compares rows with the table, or writes it when `UPDATE_VECTORS` is set.
pub(crate) fn check(file: &str, rows: &[Value]) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../spec/vectors")
        .join(file);
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
        fs::write(&path, format!("[\n{}\n]\n", lines.join(",\n"))).unwrap();
    }
    let text = fs::read_to_string(&path).unwrap();
    let pinned: Vec<Value> = serde_json::from_str(&text).unwrap();
    for (pinned, row) in pinned.iter().zip(rows) {
        assert_eq!(pinned, row, "{file}: {}", row["name"]);
    }
    assert_eq!(pinned.len(), rows.len(), "{file}: number of rows");
}

#[test]
fn encodings_equal_the_pinned_ones() {
    check("encoding.json", &encodings());
}

#[test]
fn seeds_and_draws_equal_the_pinned_ones() {
    check("seeds.json", &seeds());
}
