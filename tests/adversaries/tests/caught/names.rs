use adversaries::{Adversary, Cheat, CheatParseError, Conduct, Past, Target, all};
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
fn everyone_has_a_role_in_which_it_is_dishonest() {
    for cheat in all().map(Cheat::always) {
        let is_miner = cheat.is_miner();
        assert!(is_miner || cheat.is_auditor(), "{cheat}");
        let conducts = cheat.adversary().conduct() != Conduct::Honest;
        assert_eq!(conducts, cheat.lies_about(Target::Conduct), "{cheat}");
    }
    let both: Cheat = "self-audit".parse().unwrap();
    assert!(both.is_miner() && both.is_auditor());
}

#[test]
fn a_proposer_that_dislikes_beacons_dislikes_its_share_of_them() {
    let cheat: Cheat = "beacon-withhold@0.1".parse().unwrap();
    let turns = (0..10_000_u32).filter(|turn| cheat.withholds_block(&turn.to_le_bytes()));
    let count = turns.count();
    assert!((900..1100).contains(&count), "{count} of 10000");
    let miner: Cheat = "withholder".parse().unwrap();
    assert!(!miner.withholds_block(&[]));
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

#[test]
fn who_repents_lies_no_more_once_a_unit_was_convicted_or_not_paid() {
    let unit = UnitId {
        run: RunId::ZERO,
        step: Step::ZERO,
        kind: UnitKind::Rollout,
        index: 0,
    };
    let noticed = [(1, false), (0, true), (3, true)].map(|(unpaid_count, is_convicted)| Past {
        unpaid_count,
        is_convicted,
    });
    let penitent: Cheat = "penitent".parse().unwrap();
    assert!(penitent.lies_in(unit));
    assert!(penitent.having_seen(Past::default()).lies_in(unit));
    for past in noticed {
        assert!(!penitent.having_seen(past).lies_in(unit), "{past:?}");
        let stubborn: Cheat = "quant-4".parse().unwrap();
        assert!(stubborn.having_seen(past).lies_in(unit), "{past:?}");
    }
}
