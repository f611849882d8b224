//! Disputes about the update of a reinforcement unit: a wrong block, or a wrong norm, down to one
//! square, whether a part was drawn or the update alone.

use super::{
    lost, mangled,
    world::{Court, LARGER, Lie},
};
use crate::support::rejecting;
use ledger_state::{
    Event, Rejection,
    unit::{AuditFault, Outcome},
    verdict::dispute::{Move, Norm, Operation, Place},
};
use protocol::verdict::{Check, Finding};

/// A unit that four auditors convicted of its update, and whose miner appeals: of a part's audit,
/// or of a check of the update alone.
fn opened(lie: Lie, is_update: bool) -> Court {
    let verdict = rejecting(Check::Update, 3);
    if is_update {
        return Court::checked(lie, &verdict);
    }
    let mut court = Court::convicted(lie, verdict);
    court.chain.appeal(court.id);
    court
}

fn is_slashed(court: &Court) -> bool {
    let finding = Finding::exact(Check::Update, 3);
    court.unit().outcome() == Some(Outcome::Slashed { finding })
}

/// What a lie comes down to.
fn is_about(lie: Lie, operation: Operation) -> bool {
    match (lie, operation) {
        (Lie::Block, Operation::Update { block, .. }) => block == 2,
        (Lie::Norm, Operation::Square { index, .. }) => index == LARGER as u64,
        _ => false,
    }
}

#[test]
fn a_wrong_block_or_norm_of_a_sum_loses_to_one_honest_auditor() {
    for (lie, is_update) in [
        (Lie::Block, false),
        (Lie::Norm, false),
        (Lie::Block, true),
        (Lie::Norm, true),
    ] {
        let mut court = opened(lie, is_update);
        let miner = court.unit().miner;
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
        assert!(!operation.is_right(), "{operation}");
    }
}

#[test]
fn an_honest_miner_wins_against_a_norm_that_is_made_up_and_against_silence() {
    let mut court = opened(Lie::No, true);
    let convicting = court.dispute().unwrap().challengers;
    while court.dispute().unwrap().challenger() == Some(convicting[0]) {
        let key = court.turn();
        let play = if key.address() == court.unit().miner {
            court.defence()
        } else {
            court.made_up()
        };
        let body = court.body(&play);
        court.chain.block(vec![(key, body)]);
    }
    let [(loser, Some(operation))] = lost(&court)[..] else {
        panic!("{:?}", lost(&court));
    };
    assert_eq!(loser, convicting[0]);
    assert!(operation.is_right(), "{operation}");
    assert!(is_about(Lie::Norm, operation), "{operation}");
    // Where no part was drawn there is none to dispute.
    let refused = court
        .chain
        .reject(court.turn(), court.body(&Move::Wrong(0)));
    assert!(matches!(refused, Rejection::MoveRefused { .. }));
    for _ in &convicting[1..] {
        court.wait();
    }
    court.chain.wait(5);
    assert!(court.unit().is_accepted());
    let fined = |(_, event): &&(_, Event)| {
        let wanted = AuditFault::Overturned;
        matches!(event, Event::AuditorFined { fault, .. } if *fault == wanted)
    };
    assert_eq!(court.chain.log.iter().filter(fined).count(), 4);
}

#[test]
fn either_side_that_stops_moving_about_a_norm_loses_at_every_place() {
    let count = {
        let mut court = opened(Lie::Norm, true);
        court.play(&court.honest.clone()).len()
    };
    for stop in 0..count {
        let mut court = opened(Lie::Norm, true);
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
        assert_eq!(lost(&court), [(turn, None)], "{stop}");
        assert_eq!(is_slashed(&court), turn == court.unit().miner);
    }
}

#[test]
fn moves_about_a_norm_that_are_none_are_refused_and_change_nothing() {
    let mut court = opened(Lie::Norm, true);
    mangled(&mut court);
    assert!(is_slashed(&court));

    // Sums and pointers that are not as many.
    let mut court = opened(Lie::Norm, true);
    let honest = court.honest.clone();
    let block = court.question(&honest).unwrap();
    let body = court.body(&block);
    court.chain.block(vec![(court.turn(), body)]);
    let place = court.dispute().unwrap().place;
    assert!(matches!(place, Place::Norm(Norm::Lanes { .. })));
    for sums in [0, 15, 17] {
        let play = Move::Sums(vec![0; sums]);
        let refused = court.chain.reject(court.miner(), court.body(&play));
        assert!(matches!(refused, Rejection::MoveRefused { .. }), "{sums}");
    }
}
