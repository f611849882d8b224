//! The report on the smallest model, one adversary of each family: what it finds, and that its exit
//! status says so.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

/// A report of one adversary, as small as it may be and still find it.
fn report_of(bot: &str) -> Report {
    let small = [
        "adversaries",
        "--units=2",
        "--gradient-units=1",
        "--honest-units=4",
        "--lives=1",
        "--share=1",
        "--damage-steps=2",
        "--damage-seeds=1",
        "--sabotage-steps=1",
        "--sortition-units=50",
    ];
    let bot = format!("--bot={bot}");
    let arguments = Arguments::parse_from(small.into_iter().chain([bot.as_str()]));
    let recipe = include_str!("../../../miner/recipes/tiny.json");
    let subject = Subject::new(serde_json::from_str(recipe).unwrap(), None).unwrap();
    report(&arguments, &subject, Clock::default()).unwrap()
}

#[test]
fn a_lie_about_rollouts_is_caught_loses_and_does_no_damage() {
    let mut found = report_of("garbage");
    let caught = &found.bots[0].exact.caught;
    assert_eq!((found.bots.len(), caught.count, caught.of), (1, 2, 2));
    assert!(found.lives.iter().all(|lives| lives.gain.mean < 0.0));
    assert_eq!((found.lives.len(), found.damages.len()), (3, 2));
    judge(&found).unwrap();
    found.lives[0].gain.mean = 2.0;
    found.lives[0].gain.half = 0.0;
    assert!(judge(&found).is_err(), "a lie that pays fails the report");
}

#[test]
fn a_missed_lie_and_a_false_void_fail_the_report() {
    let mut found = report_of("copied-sketch");
    judge(&found).unwrap();
    found.bots[0].exact.caught.count = 1;
    assert!(judge(&found).is_err(), "a lie that passes fails the report");
    found.bots[0].exact.caught.count = 2;
    found.honest.false_voids = 1;
    assert!(judge(&found).is_err(), "a false void fails the report");
}

#[test]
fn a_lie_about_gradients_is_found_in_both_forms() {
    let mut found = report_of("skip-steps");
    let forms: Vec<_> = found.gradients.iter().map(|one| one.form).collect();
    assert_eq!(forms, ["dense", "dense", "sparse", "sparse"]);
    for one in &found.gradients {
        let is_honest = one.name == "honest";
        let expect = if is_honest { 0 } else { one.segments.of };
        assert_eq!(one.segments.count, expect, "{one:?}");
    }
    assert!(!found.sabotages.is_empty());
    judge(&found).unwrap();
    found.gradients[1].missed = 1;
    assert!(judge(&found).is_err(), "a missed lie fails the report");
}

#[test]
fn conduct_and_sortition_are_in_the_report() {
    let mut found = report_of("equivocator");
    assert!(found.conducts.iter().all(|one| one.gain.mean < 0.0));
    assert!(!found.conducts.is_empty() && !found.sortition.is_empty());
    judge(&found).unwrap();
    found.conducts[0].honest_harmed = 1;
    assert!(
        judge(&found).is_err(),
        "harm to the honest fails the report"
    );
}

#[test]
fn shares_of_lies_are_above_nothing_and_at_most_all() {
    for wrong in ["0", "1.1", "-0.1", "all", "nan", "0.0000001"] {
        let share = format!("--share={wrong}");
        assert!(
            Arguments::try_parse_from(["adversaries", &share]).is_err(),
            "{wrong}"
        );
    }
    let shares = Arguments::parse_from(["adversaries", "--share=1,0.01"]).shares;
    assert_eq!(shares, [1_000_000, 10_000]);
}
