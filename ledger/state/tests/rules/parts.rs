//! Disputes about parts of reinforcement units: who is right is computed on the chain, whoever lies
//! about the plan, tokens, a number or the sum.

mod norms;
mod world;

use crate::support::rejecting;
use engine_trace::Kind;
use ledger_state::{
    Event, Rejection, check_transaction,
    unit::{AuditFault, Outcome, Tier},
    verdict::dispute::{Move, Operation, Place},
};
use protocol::{
    Address,
    codec::Bytes,
    transaction::{Body, MOVE_BYTES_MAX},
    verdict::{Check, Finding},
};
use world::{Court, Lie, Row};

/// What the disputes so far came down to, by who lost.
fn lost(court: &Court) -> Vec<(Address, Option<Operation>)> {
    let lost = court.chain.log.iter().filter_map(|(_, event)| match event {
        Event::DisputeLost {
            loser, operation, ..
        } => Some((*loser, *operation)),
        _ => None,
    });
    lost.collect()
}

fn is_slashed(court: &Court) -> bool {
    let finding = Finding::exact(Check::State, 1);
    court.unit().outcome() == Some(Outcome::Slashed { finding })
}

/// What a lie comes down to.
fn is_about(lie: Lie, operation: Operation) -> bool {
    match (lie, operation) {
        (Lie::Number(kind), Operation::Number { tensor, .. }) => tensor.kind == kind,
        (Lie::Token(_), Operation::Number { tensor, .. }) => tensor.kind == Kind::Tokens,
        (Lie::Loss, Operation::Number { tensor, .. }) => tensor.kind == Kind::LossMicro,
        (Lie::Sum, Operation::Number { tensor, .. }) => tensor.kind == Kind::SumAfter,
        (Lie::Reward | Lie::Length | Lie::LeftOut | Lie::Fault, Operation::Entry { .. }) => true,
        _ => false,
    }
}

const LIES: [Lie; 17] = [
    Lie::Number(Kind::Embedded),
    Lie::Number(Kind::Scores),
    Lie::Number(Kind::LogProbability),
    Lie::Number(Kind::Ratio),
    Lie::Number(Kind::Free),
    Lie::Number(Kind::Loss),
    Lie::Number(Kind::RowWeights),
    Lie::Number(Kind::Slope),
    Lie::Number(Kind::QkvGradient),
    Lie::Token(Row::Prompt),
    Lie::Token(Row::Response),
    Lie::Loss,
    Lie::Sum,
    Lie::Reward,
    Lie::Length,
    Lie::LeftOut,
    Lie::Fault,
];

#[test]
fn a_miner_that_lied_about_anything_in_a_part_loses_to_one_honest_auditor() {
    for lie in LIES {
        let mut court = Court::opened(lie);
        let miner = court.unit().miner;
        let before = court.chain.balance(miner);
        let moves = court.play(&court.honest.clone());
        assert!(is_slashed(&court), "{lie:?}: {:?}", court.dispute());
        let bytes = moves
            .iter()
            .map(|play| play.encode().unwrap().as_slice().len());
        let (rounds, bytes) = (moves.len().div_ceil(2), bytes.sum::<usize>());
        assert!(rounds <= 14 && bytes <= 20_000, "{lie:?}: {rounds} {bytes}");
        let [(loser, Some(operation))] = lost(&court)[..] else {
            panic!("{lie:?}: {:?}", lost(&court));
        };
        assert_eq!(loser, miner, "{lie:?}");
        assert!(is_about(lie, operation), "{lie:?}: {operation}");
        assert_eq!(court.chain.balance(miner), before, "its bond is burned");
    }
}

#[test]
fn an_honest_miner_of_a_part_wins_against_whatever_is_made_up() {
    let mut court = Court::opened(Lie::No);
    let convicting = court.dispute().unwrap().challengers;
    let mut refuted = 0;
    for lie in LIES {
        // On a copy of the chain every lie is the first challenger's.
        let mut copy = Court::opened(Lie::No);
        let liar = copy.lying(lie);
        if liar.taken == copy.honest.taken {
            continue;
        }
        copy.play(&liar);
        let [(loser, Some(operation))] = lost(&copy)[..] else {
            panic!("{lie:?}: {:?} {:?}", lost(&copy), copy.dispute());
        };
        assert_eq!(loser, convicting[0], "{lie:?}");
        assert!(operation.is_right(), "{lie:?}: {operation}");
        assert!(is_about(lie, operation), "{lie:?}: {operation}");
        refuted += 1;
    }
    assert!(refuted > 12, "{refuted}");

    // One after the other they say nothing, and the unit is right.
    let steps = court.body(&court.defence());
    court.chain.block(vec![(court.miner(), steps)]);
    for _ in &convicting {
        court.wait();
    }
    court.chain.wait(5);
    assert!(court.unit().is_accepted());
    let fined = court.chain.log.iter().filter(|(_, event)| {
        matches!(
            event,
            Event::AuditorFined {
                fault: AuditFault::Overturned,
                ..
            }
        )
    });
    assert_eq!(fined.count(), 4);
    let tiers: Vec<Tier> = court.unit().audits.iter().map(|audit| audit.tier).collect();
    assert_eq!(tiers, [Tier::One, Tier::Three]);
}

#[test]
fn either_side_that_stops_moving_about_a_part_loses_at_every_place() {
    for lie in [Lie::Token(Row::Response), Lie::Reward] {
        let moves = Court::opened(lie);
        let count = {
            let mut court = moves;
            court.play(&court.honest.clone()).len()
        };
        for stop in 0..count {
            let mut court = Court::opened(lie);
            let honest = court.honest.clone();
            for _ in 0..stop {
                let key = court.turn();
                let play = if key.address() == court.unit().miner {
                    court.defence()
                } else {
                    court.question(&honest).unwrap()
                };
                let body = court.body(&play);
                court.chain.block(vec![(key, body)]);
            }
            let turn = court.turn().address();
            court.wait();
            assert_eq!(lost(&court), [(turn, None)], "{lie:?} {stop}");
            assert_eq!(is_slashed(&court), turn == court.unit().miner);
        }
    }
}

#[test]
fn moves_about_a_part_that_are_none_are_refused_and_change_nothing() {
    for lie in [
        Lie::Token(Row::Response),
        Lie::Fault,
        Lie::Number(Kind::Free),
    ] {
        let mut court = Court::opened(lie);
        mangled(&mut court);
        assert!(is_slashed(&court), "{lie:?}");
    }
}

/// Plays to the end, and before each lawful move tries it with some of its bytes changed.
fn mangled(court: &mut Court) {
    let honest = court.honest.clone();
    let mut noise = blake3::Hasher::new().finalize_xof();
    let mut chance = move |count: usize| {
        let mut bytes = [0; 8];
        noise.fill(&mut bytes);
        usize::try_from(u64::from_le_bytes(bytes) % count as u64).unwrap()
    };
    while court.dispute().is_some() {
        let key = court.turn();
        let play = if key.address() == court.unit().miner {
            court.defence()
        } else {
            court.question(&honest).unwrap()
        };
        let lawful = play.encode().unwrap();
        for _ in 0..40 {
            let mut bytes = lawful.as_slice().to_vec();
            match chance(3) {
                0 => bytes.truncate(chance(bytes.len())),
                1 => bytes.extend([0; 3]),
                _ => {
                    let at = chance(bytes.len());
                    bytes[at] ^= 1 << chance(8);
                }
            }
            let body = Body::Dispute {
                unit: court.id,
                play: Bytes::<MOVE_BYTES_MAX>::new(bytes).unwrap(),
            };
            let [transaction] = &court.chain.sign(vec![(key.clone(), body)])[..] else {
                panic!("one transaction");
            };
            let mut view = court.chain.view();
            let root = view.root();
            // A changed index may be another lawful move; whatever is refused leaves no trace.
            if let Err(rejection) = check_transaction(&mut view, transaction) {
                assert!(
                    matches!(rejection, Rejection::MoveRefused { .. }),
                    "{rejection}"
                );
                assert_eq!(view.root(), root);
            }
        }
        let body = court.body(&play);
        court.chain.block(vec![(key, body)]);
    }
}

#[test]
fn a_lie_about_the_sum_is_one_about_the_update_and_found_as_the_former() {
    // Of the last part the update is a lie where the sum is one, and comes first in the verdict.
    let update = rejecting(Check::Update, 3);
    let both = update.with(Finding::exact(Check::State, 1));
    let mut court = Court::convicted(Lie::Sum, both);
    court.chain.appeal(court.id);
    court.play(&court.honest.clone());
    let finding = Finding::exact(Check::Update, 3);
    assert_eq!(court.unit().outcome(), Some(Outcome::Slashed { finding }));
    assert!(matches!(
        lost(&court)[..],
        [(_, Some(Operation::Number { .. }))]
    ));

    // What is no complaint about such a unit.
    let mut court = Court::opened(Lie::No);
    let steps = court.body(&court.defence());
    court.chain.block(vec![(court.miner(), steps)]);
    assert_eq!(court.dispute().unwrap().place, Place::Complaint);
    for play in [Move::Feedback, Move::WrongPlan, Move::Wrong(1)] {
        let refused = court.chain.reject(court.turn(), court.body(&play));
        assert!(matches!(refused, Rejection::MoveRefused { .. }), "{play:?}");
    }
}

#[test]
fn an_outvoted_auditor_of_a_part_contests_its_acceptance() {
    let mut court = Court::outvoted(Lie::Number(Kind::Ratio));
    let first = court.unit().audits[0].seats[0].auditor;
    assert!(court.unit().contest.is_some(), "the acceptance waits");
    court.contest(first);
    court.play(&court.honest.clone());
    assert!(is_slashed(&court));
}
