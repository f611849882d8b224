use adversaries::{Adversary, Cheat, CheatParseError, all};
use protocol::{
    RunId, Step,
    task::{UnitId, UnitKind},
};
use std::collections::BTreeSet;

#[test]
fn names_are_kebab_case_and_unique() {
    let names: Vec<&str> = all().map(Adversary::name).collect();
    let unique: BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(unique.len(), names.len());
    for adversary in all() {
        let name = adversary.name();
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        assert!(name.bytes().all(allowed), "{name}");
        assert!(adversary.description().ends_with('.'), "{name}");
        assert!(!adversary.targets().is_empty(), "{name}");
    }
}

#[test]
fn a_cheat_reads_as_it_is_written() {
    for text in ["greedy", "greedy@0.05", "quant-8@0.000001"] {
        let cheat: Cheat = text.parse().unwrap();
        assert_eq!(cheat.to_string(), text);
    }
    let always: Cheat = "greedy@1".parse().unwrap();
    assert_eq!(always.to_string(), "greedy");
    for text in [
        "telepathy",
        "greedy@0",
        "greedy@2",
        "greedy@",
        "greedy@0.0000001",
        "greedy@-1",
    ] {
        let refused: Result<Cheat, CheatParseError> = text.parse();
        assert!(refused.is_err(), "{text}");
    }
}

#[test]
fn a_share_is_the_share_of_units() {
    let cheat: Cheat = "greedy@0.1".parse().unwrap();
    let unit = |index| UnitId {
        run: RunId::ZERO,
        step: Step::ZERO,
        kind: UnitKind::Rollout,
        index,
    };
    let lies = (0..10_000)
        .filter(|index| cheat.lies_in(unit(*index)))
        .count();
    assert!((900..1100).contains(&lies), "{lies} of 10000");
}
