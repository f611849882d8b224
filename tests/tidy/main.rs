//! Tidy: the style rules that a program can check, as an ordinary test (`cargo tidy`).
//!
//! What: the arrows between crates, the shape of the tree, the text of files, the uniqueness of
//! domain tags and the completeness of the rejection table. Why: a rule that nobody checks is
//! forgotten by the next contributor. How: [`tree::Tree`] lists what git tracks, each rule returns
//! [`fault::Fault`]s, and a test fails with all of them, each naming file, line and rule.
//!
//! Banned words are written here in two halves, so that the rules hold for this folder as well.
#![allow(clippy::unwrap_used, reason = "tests")]

mod arrows;
mod fault;
mod links;
mod rejections;
mod shape;
mod tables;
mod tags;
mod text;
mod tree;

use fault::report;
use tree::Tree;

#[test]
fn dependency_arrows_point_to_protocol() {
    report(arrows::faults(&Tree::load()));
}

#[test]
fn folders_and_manifests_have_the_agreed_shape() {
    report(shape::faults(&Tree::load()));
}

#[test]
fn source_text_keeps_the_limits() {
    report(text::faults(&Tree::load()));
}

#[test]
fn domain_tags_are_used_once() {
    report(tags::faults(&Tree::load()));
}

#[test]
fn tables_of_the_state_have_numbers_of_their_own() {
    report(tables::faults(&Tree::load()));
}

#[test]
fn cited_chapters_and_linked_files_exist() {
    report(links::faults(&Tree::load()));
}

#[test]
fn every_rejection_has_a_code_a_row_and_a_test() {
    report(rejections::faults(&Tree::load()));
}
