//! Disputes about sparse updates, and about what they lost: whoever lies, a value decides.

mod world;

use engine_trace::dispute::{Answer, Question};
use ledger_state::{
    Event, Rejection, check_transaction,
    unit::{AuditFault, Outcome, Tier},
    verdict::dispute::{Below, Move, Operation, Place},
};
use protocol::{
    Address,
    codec::Bytes,
    transaction::{Body, MOVE_BYTES_MAX},
    verdict::{Check, Finding},
};
use world::{Bench, Lie, VALUES_COUNT};

fn lost(bench: &Bench) -> Vec<(Address, Option<Operation>)> {
    let lost = bench.chain.log.iter().filter_map(|(_, event)| match event {
        Event::DisputeLost {
            loser, operation, ..
        } => Some((*loser, *operation)),
        _ => None,
    });
    lost.collect()
}

fn fined(bench: &Bench, wanted: AuditFault) -> usize {
    let is_it =
        |event: &Event| matches!(event, Event::AuditorFined { fault, .. } if *fault == wanted);
    bench.chain.count(is_it)
}

fn is_slashed(bench: &Bench) -> bool {
    let finding = Finding::exact(bench.check(), 1);
    bench.unit().outcome() == Some(Outcome::Slashed { finding })
}

#[test]
fn a_miner_that_lied_about_a_sparse_update_loses_to_one_honest_auditor() {
    for lie in Lie::ALL {
        for starts_from_zeros in [true, false] {
            let mut bench = Bench::disputed(lie, starts_from_zeros);
            let miner = bench.unit().miner;
            bench.play();
            assert!(is_slashed(&bench), "{lie:?}: {:?}", bench.record());
            let [(loser, Some(operation))] = lost(&bench)[..] else {
                panic!("{lie:?}: {:?}", lost(&bench));
            };
            assert_eq!(loser, miner, "{lie:?}");
            assert!(!operation.is_right(), "{operation}");
            let is_expected = match lie {
                // Its own values give other bytes, or its bytes are none.
                Lie::Scale | Lie::Code | Lie::Sign | Lie::Padding => {
                    matches!(operation, Operation::Chunk { chunk: 1, .. })
                }
                Lie::Larger | Lie::Left | Lie::Fewer | Lie::Infinite => {
                    matches!(operation, Operation::Value { .. })
                }
                Lie::Lost(at) => {
                    matches!(operation, Operation::Lost { index, .. } if index == at as u64)
                }
            };
            assert!(is_expected, "{lie:?}: {operation}");
            assert!(bench.bytes < 20_000, "{lie:?}: {} bytes", bench.bytes);
            let moves_count = bench.record().moves_count;
            assert!(moves_count <= 7, "{lie:?}: {moves_count} moves");
        }
    }
}

#[test]
fn an_honest_miner_wins_against_all_auditors_that_convict_a_sparse_update() {
    for check in [Check::Update, Check::Feedback] {
        let mut bench = Bench::convicted(None, check, false);
        let miner = bench.unit().miner;
        bench.appeal();
        let convicting = bench.dispute().unwrap().challengers;
        assert_eq!(convicting.len(), 3);

        // One complains about a chunk, and all of its values may be there.
        bench.makes(&bench.honest.claimed(2));
        bench.makes(&bench.defence());
        bench.makes(&bench.honest.value_at(2, 17));
        assert_eq!(bench.dispute().unwrap().refuted, convicting[..1]);
        let (_, operation) = lost(&bench)[0];
        assert!(
            matches!(operation, Some(operation @ Operation::Value { .. }) if operation.is_right())
        );

        // One says that something else was lost.
        bench.makes(&Move::Feedback);
        bench.makes(&bench.defence());
        // The fourth of eight pieces of the first part: of six levels a turn goes down three.
        for at in [0, 3] {
            bench.makes(&Move::Question(Question::First(at)));
            bench.makes(&bench.defence());
        }
        let place = bench.dispute().unwrap().place;
        assert!(matches!(
            place,
            Place::Feedback {
                below: Below::Piece(_),
                ..
            }
        ));
        bench.makes(&bench.honest.lost_at(3 * 256 + 9, 9));
        assert_eq!(bench.dispute().unwrap().refuted, convicting[..2]);
        let (_, operation) = lost(&bench)[1];
        assert!(
            matches!(operation, Some(operation @ Operation::Lost { .. }) if operation.is_right())
        );

        // One says nothing more once the miner has answered.
        bench.makes(&bench.honest.claimed(0));
        bench.makes(&bench.defence());
        bench.wait();
        assert_eq!(bench.dispute(), None);
        bench.chain.wait(5);
        assert!(bench.unit().is_accepted());
        assert!(lost(&bench).iter().all(|(loser, _)| *loser != miner));
        assert_eq!(fined(&bench, AuditFault::Overturned), 4);
        let tiers: Vec<Tier> = bench.unit().audits.iter().map(|audit| audit.tier).collect();
        assert_eq!(tiers, [Tier::One, Tier::Three], "nobody else votes");
    }
}

#[test]
fn an_outvoted_auditor_contests_what_an_update_is_said_to_have_lost() {
    for lie in [Lie::Larger, Lie::Lost(5_000)] {
        let mut bench = Bench::outvoted(lie);
        let honest = bench.unit().audits[0].seats[0].auditor;
        bench.contest(honest);
        assert_eq!(bench.turn().address(), honest);
        bench.play();
        assert!(is_slashed(&bench), "{lie:?}");
    }
}

#[test]
fn a_miner_that_stops_moving_loses_wherever_it_owes_a_move() {
    for (lie, moves_count) in [
        (Lie::Larger, 1),
        (Lie::Lost(5_000), 1),
        (Lie::Lost(5_000), 3),
    ] {
        let mut bench = Bench::disputed(lie, true);
        for _ in 0..moves_count {
            bench.moves();
        }
        let miner = bench.unit().miner;
        assert_eq!(bench.turn().address(), miner, "{lie:?}");
        bench.wait();
        assert!(is_slashed(&bench));
        assert_eq!(lost(&bench), [(miner, None)]);
    }
}

#[test]
fn moves_that_do_not_fit_are_refused() {
    let mut bench = Bench::disputed(Lie::Larger, false);
    let chunks_count = u32::try_from(VALUES_COUNT.div_ceil(4_096)).unwrap();
    // A chunk beyond the last, or shown by pieces of another.
    let mut beyond = bench.honest.claim(1);
    beyond.chunk = chunks_count;
    bench.refused(&Move::Chunk(Box::new(beyond)));
    let mut other = bench.honest.claim(1);
    other.blob = bench.honest.claim(2).blob.split_off(1);
    bench.refused(&Move::Chunk(Box::new(other)));
    bench.refused(&bench.honest.value_at(1, 3));
    bench.refused(&Move::Values(Vec::new()));
    bench.moves();
    // The miner says too few values, or something else.
    bench.refused(&Move::Values(vec![1; 63]));
    bench.refused(&Move::Answer(Answer::Names(Vec::new())));
    bench.moves();
    // The value of another chunk, beyond the last, with too much or too little shown.
    let [own, elsewhere] = [(1, 3), (2, 3)].map(|(chunk, index)| bench.honest.value(chunk, index));
    bench.refused(&Move::Value(Box::new(elsewhere)));
    for change in 0..4 {
        let mut shown = own.clone();
        match change {
            0 => shown.index = 4_096,
            1 => shown.lost = None,
            2 => shown.blob.push(shown.before.clone()),
            _ => shown.after = shown.before.clone(),
        }
        bench.refused(&Move::Value(Box::new(shown)));
    }
    bench.play();
    assert!(is_slashed(&bench));

    let mut bench = Bench::disputed(Lie::Lost(9_000), true);
    bench.moves();
    bench.refused(&Move::Answer(Answer::Piece(vec![0; 1_024])));
    bench.refused(&Move::Answer(Answer::Names(vec![[0; 32]; 32])));
    bench.moves();
    bench.refused(&Move::Question(Question::First(32)));
    bench.refused(&Move::Question(Question::Result(0)));
    bench.moves();
    bench.refused(&Move::Answer(Answer::Names(Vec::new())));
    bench.moves();
    // Nothing was lost before, so nothing can be shown of it.
    let mut shown = bench.honest.lost_value(9_000, 9_000 % 256);
    shown.lost = Some(shown.before.clone());
    bench.refused(&Move::Value(Box::new(shown)));
    bench.play();
    assert!(is_slashed(&bench));
}

#[test]
fn each_form_of_updates_has_its_own_complaint() {
    let sparse = Bench::disputed(Lie::Scale, true);
    let proof = sparse.honest.block_proof();
    sparse.refused(&Move::Update(Box::new(proof)));

    let court = crate::updates::disputed_dense();
    let mut moves = vec![Move::Feedback, sparse.honest.claimed(0)];
    moves.push(Move::Values(Vec::new()));
    for play in moves {
        let refused = court.chain.reject(court.turn(), court.body(&play));
        assert!(matches!(refused, Rejection::MoveRefused { .. }), "{play:?}");
    }
}

#[test]
fn changed_moves_are_refused_or_lawful_and_leave_no_trace() {
    let mut noise = blake3::Hasher::new().finalize_xof();
    let mut chance = move |count: usize| {
        let mut bytes = [0; 8];
        noise.fill(&mut bytes);
        usize::try_from(u64::from_le_bytes(bytes) % count as u64).unwrap()
    };
    for lie in [Lie::Left, Lie::Lost(10_700)] {
        let mut bench = Bench::disputed(lie, false);
        while bench.dispute().is_some() {
            let (key, play) = bench.due();
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
                    unit: bench.id,
                    play: Bytes::<MOVE_BYTES_MAX>::new(bytes).unwrap(),
                };
                let [transaction] = &bench.chain.sign(vec![(key.clone(), body)])[..] else {
                    panic!("one transaction");
                };
                let mut view = bench.chain.view();
                let root = view.root();
                if let Err(rejection) = check_transaction(&mut view, transaction) {
                    assert!(
                        matches!(rejection, Rejection::MoveRefused { .. }),
                        "{rejection}"
                    );
                    assert_eq!(view.root(), root);
                }
            }
            bench.moves();
        }
        assert!(is_slashed(&bench));
    }
}
