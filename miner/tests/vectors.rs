//! The table `spec/vectors/projection.json`: generated here, and compared here. Run with
//! `UPDATE_VECTORS=1` to write it anew, and change the chapter with it.
#![allow(clippy::unwrap_used, reason = "tests")]

use miner::projection::{basis, project};
use serde_json::{Value, json};
use std::{fs, path::PathBuf};

/// A hidden state that is easy to make again: channel k is
/// `scale (((7919 k) mod 4093) / 4096 - 1/2)`.
fn state(width: u16, scale: f32) -> Vec<f32> {
    let value = |k: u16| f32::from(u16::try_from(u32::from(k) * 7919 % 4093).unwrap());
    (0..width)
        .map(|k| (value(k) / 4096.0 - 0.5) * scale)
        .collect()
}

fn rows() -> Vec<Value> {
    let cases = [
        (1_u16, 1.0_f32),
        (8, 1.0),
        (8, -3.0),
        (64, 1e-3),
        (128, 100.0),
        (1000, 1.0),
    ];
    let row = |(width, scale): (u16, f32)| {
        let seed = [u8::try_from(width % 251).unwrap(); 32];
        let signs = basis(&seed, width.into());
        json!({
            "name": format!("state of {width} channels"),
            "input": {"sample_seed": hex::encode(seed), "width": width, "scale": scale},
            "expect": {
                "basis_begins": hex::encode(&signs[..signs.len().min(8)]),
                "projections": hex::encode(project(&state(width, scale), &seed, width.into())),
            },
        })
    };
    cases.into_iter().map(row).collect()
}

#[test]
fn projections_equal_the_pinned_ones() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../spec/vectors/projection.json");
    let rows = rows();
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
        fs::write(&path, format!("[\n{}\n]\n", lines.join(",\n"))).unwrap();
    }
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Value>>(&text).unwrap(), rows);
}
