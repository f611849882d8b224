//! The vectors of the arithmetic: generated here, pinned in `spec/vectors/arithmetic/`.
//!
//! Every chapter of `spec/arithmetic.md` has a file of rows `{name, input, expect}`. The rows are
//! computed anew on every kernel path and with one and two threads, and compared with the file;
//! `UPDATE_VECTORS=1 cargo test -p engine vectors` writes the files. The program in
//! `spec/arithmetic/`, which shares no code with this crate, then computes the same rows.
//!
//! A name is `operation: case`. Numbers are written as their bits, in hexadecimal, so that nothing
//! depends on how decimals are read; `nan` stands for every NaN.
//!
//! Spec: arithmetic §10

#![allow(clippy::unwrap_used, reason = "tests")]

mod aggregates;
mod blocks;
mod elementary;
mod exchange;
mod models;
mod products;
mod program;
mod reductions;
mod sampling;
mod sparse;
mod training;
mod values;

use crate::Threads;
use crate::testing::every_execution;
use serde_json::Value;
use std::path::PathBuf;
use std::{env, fs};

/// The folder of the vectors.
fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../spec/vectors/arithmetic")
}

/// Computes the rows of one file.
type Rows = fn(&Threads) -> Vec<Value>;

/// Every file and its rows.
const FILES: [(&str, Rows); 8] = [
    ("products.json", products::rows),
    ("reductions.json", reductions::rows),
    ("elementary.json", elementary::rows),
    ("blocks.json", blocks::rows),
    ("models.json", models::rows),
    ("sampling.json", sampling::rows),
    ("training.json", training::rows),
    ("exchange.json", exchange::rows),
];

/// The text of a file.
fn text(rows: &[Value]) -> String {
    let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
    format!("[\n{}\n]\n", lines.join(",\n"))
}

/// Compares the rows of every execution with the file, or writes it when `UPDATE_VECTORS` is set.
fn check(file: &str) {
    let (_, rows) = FILES.into_iter().find(|(name, _)| *name == file).unwrap();
    let path = folder().join(file);
    if env::var_os("UPDATE_VECTORS").is_some() {
        fs::write(&path, text(&rows(&Threads::new(1)))).unwrap();
    }
    let pinned: Vec<Value> = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    for threads in every_execution() {
        let rows = rows(&threads);
        for (pinned, row) in pinned.iter().zip(&rows) {
            assert_eq!(pinned, row, "{file}: {} on {threads:?}", row["name"]);
        }
        assert_eq!(pinned.len(), rows.len(), "{file}: number of rows");
    }
}

#[test]
fn products_equal_the_vectors_on_every_path() {
    check("products.json");
}

#[test]
fn reductions_equal_the_vectors_on_every_path() {
    check("reductions.json");
}

#[test]
fn elementary_functions_equal_the_vectors_on_every_path() {
    check("elementary.json");
}

#[test]
fn pieces_of_the_model_equal_the_vectors_on_every_path() {
    check("blocks.json");
}

#[test]
fn whole_models_equal_the_vectors_on_every_path() {
    check("models.json");
}

#[test]
fn draws_equal_the_vectors_on_every_path() {
    check("sampling.json");
}

#[test]
fn training_equals_the_vectors_on_every_path() {
    check("training.json");
}

#[test]
fn updates_and_files_equal_the_vectors_on_every_path() {
    check("exchange.json");
}
