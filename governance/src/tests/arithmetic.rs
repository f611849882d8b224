//! Tally arithmetic, exhaustively.

use crate::{
    Share, Tally,
    tally::{Outcome, split},
    track::{Line, Rule, floor},
};
use protocol::{
    Micro,
    proposal::{Choice, Track, Weights},
};

const ELIGIBLE: u64 = 12;

/// All tallies of twelve units.
fn tallies() -> impl Iterator<Item = Tally> {
    let all = (0..=ELIGIBLE).flat_map(|yes| {
        (0..=ELIGIBLE - yes).flat_map(move |no| {
            (0..=ELIGIBLE - yes - no).flat_map(move |abstain| {
                (0..=ELIGIBLE - yes - no - abstain).map(move |veto| (yes, no, abstain, veto))
            })
        })
    });
    all.map(|(yes, no, abstain, veto)| Tally {
        yes,
        no,
        abstain,
        veto,
        eligible: ELIGIBLE,
    })
}

fn rules() -> impl Iterator<Item = Rule> {
    Track::ALL.iter().map(|track| floor(*track))
}

fn passes(tally: Tally, rule: &Rule) -> bool {
    tally.outcome(rule) == Outcome::Pass
}

#[test]
fn no_further_no_or_veto_turns_failure_into_success_and_no_further_yes_the_reverse() {
    for rule in rules() {
        for before in tallies() {
            for choice in [Choice::Yes, Choice::No, Choice::Veto] {
                let mut after = before;
                after.add(1, &Weights::all(choice));
                let (was, is) = (passes(before, &rule), passes(after, &rule));
                let holds = if choice == Choice::Yes {
                    !was || is
                } else {
                    was || !is
                };
                assert!(holds, "{before:?} with another {choice:?} under {rule:?}");
            }
        }
    }
}

/// The outcome by fractions written out, without cross-multiplying.
fn by_hand(tally: Tally, rule: &Rule) -> bool {
    let Tally {
        yes,
        no,
        abstain,
        veto,
        eligible,
    } = tally;
    let lcm = 2 * 3 * 4 * 5 * 7 * 11 * 100_u64;
    let share = |part: u64, whole: u64| (part * lcm * 1_000) / whole;
    let of = |s: Share| s.numerator * lcm * 1_000 / s.denominator;
    let decided = yes + no + veto;
    if yes == 0 {
        return false;
    }
    let approved = match rule.approval {
        Line::AtLeast(s) => decided * s.numerator <= yes * s.denominator,
        Line::MoreThan(s) => decided * s.numerator < yes * s.denominator,
    };
    share(yes + abstain, eligible) >= of(rule.support) && approved && 3 * veto <= yes + veto
}

#[test]
fn every_outcome_of_twelve_units_is_what_the_definition_says() {
    let mut passed = 0;
    for rule in rules() {
        for tally in tallies() {
            assert_eq!(
                passes(tally, &rule),
                by_hand(tally, &rule),
                "{tally:?} {rule:?}"
            );
            passed += u32::from(passes(tally, &rule));
        }
    }
    assert!(passed > 1_000, "{passed}");
}

#[test]
fn a_split_vote_counts_every_unit_once_and_comes_out_as_it_went_in() {
    let steps = [0, 1, 333_333, 500_000, 666_667, 999_999, 1_000_000];
    let mut splits = 0;
    for yes in steps {
        for no in steps {
            for abstain in steps {
                let Some(veto) = 1_000_000_u64.checked_sub(yes + no + abstain) else {
                    continue;
                };
                let weights = Weights {
                    yes: Micro::new(yes),
                    no: Micro::new(no),
                    abstain: Micro::new(abstain),
                    veto: Micro::new(veto),
                };
                for power in (0..=64).chain([999_999, 1_000_003, u64::MAX - 1, u64::MAX]) {
                    let parts = split(power, &weights);
                    let sum = parts
                        .iter()
                        .map(|(_, part)| u128::from(*part))
                        .sum::<u128>();
                    assert_eq!(sum, u128::from(power), "{weights:?}");
                    for (choice, part) in parts {
                        let exact = u128::from(power) * u128::from(weights.of(choice).get());
                        let error = (u128::from(part) * 1_000_000).abs_diff(exact);
                        assert!(error < 1_000_000, "{choice:?} of {power} by {weights:?}");
                    }
                    let mut tally = Tally::default();
                    tally.add(power, &weights);
                    tally.remove(power, &weights);
                    assert_eq!(tally, Tally::default());
                    splits += 1;
                }
            }
        }
    }
    assert!(splits > 2_000, "{splits}");
}

#[test]
fn shares_compare_and_round_exactly_at_the_edges_of_64_bits() {
    let third = Share::new(1, 3);
    assert!(
        third.is_reached_by(u64::MAX / 3, u64::MAX)
            && !third.is_exceeded_by(u64::MAX / 3, u64::MAX)
    );
    assert!(!third.is_reached_by(u64::MAX / 3 - 1, u64::MAX));
    assert!(!third.is_reached_by(0, 0) && !third.is_exceeded_by(1, 0));
    assert_eq!(Share::new(1, 1).of(u64::MAX), u64::MAX);
    for whole in 0..300 {
        for (n, d) in [(1, 3), (2, 3), (1, 1000), (4, 5), (33, 100)] {
            let share = Share::new(n, d);
            let least = (0..=whole).find(|part| share.is_reached_by(*part, whole));
            assert_eq!(
                share.ceiling_of(whole),
                least.unwrap_or(0),
                "{share} of {whole}"
            );
            assert_eq!(share.of(whole), whole * n / d);
        }
    }
    assert!(Share::new(1, 3) < Share::new(34, 100) && Share::new(2, 6).cmp(&third).is_eq());
}

#[test]
fn one_hostile_unit_cannot_burn_a_deposit() {
    let rule = floor(Track::Text);
    let lone = Tally {
        veto: 1,
        eligible: 100,
        ..Tally::default()
    };
    assert_eq!(lone.outcome(&rule), Outcome::Reject);
    let many = Tally {
        veto: 15,
        eligible: 100,
        ..Tally::default()
    };
    assert_eq!(many.outcome(&rule), Outcome::Veto);
}
