//! Disputes: who is right is computed on the chain, whoever lies.

pub(crate) mod world;

use crate::support::{Chain, equivocation};
use engine_trace::Kind;
use ledger_state::{
    Event, Rejection, check_transaction,
    unit::{AuditFault, Outcome, Tier, VoidReason},
    verdict::dispute::{Move, Operation, Place},
};
use protocol::{
    Address,
    codec::Bytes,
    task::UnitKind,
    transaction::{Body, MOVE_BYTES_MAX},
    verdict::{Check, Finding},
};
use world::{Court, Lie, change};

fn fined(chain: &Chain, wanted: AuditFault) -> Vec<Address> {
    let fines = chain.log.iter().filter_map(|(_, event)| match event {
        Event::AuditorFined { auditor, fault, .. } if *fault == wanted => Some(*auditor),
        _ => None,
    });
    fines.collect()
}

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

#[test]
fn a_miner_that_lied_about_anything_loses_to_one_honest_auditor() {
    let lies = [
        Lie::Number(Kind::Qkv, 0),
        Lie::Number(Kind::Probabilities, 1),
        Lie::Number(Kind::Logits, 1),
        Lie::Number(Kind::Slope, 0),
        Lie::Number(Kind::QkvGradient, 1),
        Lie::Number(Kind::SquareLanes, 0),
        Lie::Batch(Kind::Tokens),
        Lie::Batch(Kind::Targets),
        Lie::Batch(Kind::RowWeights),
        Lie::Loss,
        Lie::Moments,
        Lie::Update,
    ];
    for lie in lies {
        let mut court = Court::opened(lie);
        let miner = court.unit().miner;
        let before = court.chain.balance(miner);
        court.play(&court.honest.clone());
        assert!(is_slashed(&court), "{lie:?}: {:?}", court.dispute());
        let [(loser, Some(operation))] = lost(&court)[..] else {
            panic!("{lie:?}: {:?}", lost(&court));
        };
        assert_eq!(loser, miner, "{lie:?}");
        let is_update = matches!(operation, Operation::Update { .. });
        assert_eq!(is_update, lie == Lie::Update, "{operation}");
        let over = Place::Over {
            is_right: false,
            operation: Some(operation),
        };
        assert_eq!(court.record().place, over);
        assert_eq!(court.chain.balance(miner), before, "its bond is burned");
        assert!(fined(&court.chain, AuditFault::Overturned).is_empty());
    }
}

#[test]
fn an_honest_miner_wins_against_all_auditors_at_once_and_nobody_votes() {
    let mut court = Court::opened(Lie::No);
    let miner = court.unit().miner;
    let before = court.chain.balance(miner);
    let convicting = court.dispute().unwrap().challengers;
    assert_eq!(convicting.len(), 3);

    // One made up a number of its own trace.
    let mut liar = court.honest.clone();
    change(&mut liar[0].trace, 20, 1);
    liar[0].trace.again_from(21);
    liar[0].taken.loss_micro += 1;
    court.play(&liar);
    assert_eq!(court.dispute().unwrap().refuted, convicting[..1]);
    let [(_, Some(operation @ Operation::Number { .. }))] = lost(&court)[..] else {
        panic!("{:?}", lost(&court));
    };
    assert!(operation.is_right(), "{operation}");

    // One shows a block of the update that is right.
    let other = Court::opened(Lie::Update);
    let Some(Move::Update(mut proof)) = other.question(&other.honest) else {
        panic!("the update is wrong");
    };
    assert_eq!(court.dispute().unwrap().place, Place::Complaint);
    let byte = |piece: u64| piece * 1_024;
    let opened = |piece: u64| engine_trace::tree::Opening::of(&court.work.blob, byte(piece));
    proof.blob = proof.blob.iter().map(|piece| opened(piece.piece)).collect();
    let play = court.body(&Move::Update(proof));
    court.chain.block(vec![(court.turn(), play)]);
    assert_eq!(court.dispute().unwrap().refuted, convicting[..2]);

    // One says nothing, and the first auditor, which might contest that, neither.
    court.wait();
    assert_eq!(court.dispute(), None);
    court.chain.wait(5);
    assert!(court.unit().is_accepted());
    assert_eq!(
        court.chain.balance(miner),
        before + 1_000,
        "its bond is back"
    );
    let mut fined = fined(&court.chain, AuditFault::Overturned);
    let first = court.unit().audits[0].seats[0].auditor;
    let mut wrong: Vec<Address> = convicting.into_iter().chain([first]).collect();
    fined.sort_unstable();
    wrong.sort_unstable();
    assert_eq!(fined, wrong, "whoever rejected it pays, once");
    let tiers: Vec<Tier> = court.unit().audits.iter().map(|audit| audit.tier).collect();
    assert_eq!(tiers, [Tier::One, Tier::Three]);
}

#[test]
fn a_challenger_that_loses_on_purpose_saves_no_liar_and_is_fined() {
    let mut court = Court::opened(Lie::Number(Kind::Norm1, 0));
    let convicting = court.dispute().unwrap().challengers;
    // It points beside what is wrong, which it knows.
    let mut accomplice = court.work.took[court.first_step()..].to_vec();
    accomplice.truncate(court.honest.len());
    change(&mut accomplice[0].trace, 30, 0);
    accomplice[0].taken.loss_micro += 1;
    court.play(&accomplice);
    assert_eq!(court.dispute().unwrap().refuted, convicting[..1]);
    court.wait();
    assert_eq!(court.dispute().unwrap().silent, convicting[1..2]);
    court.play(&court.honest.clone());
    assert!(is_slashed(&court));
    assert_eq!(fined(&court.chain, AuditFault::Overturned), convicting[..1]);
    assert_eq!(fined(&court.chain, AuditFault::Silent), convicting[1..2]);
}

#[test]
fn a_miner_that_stops_moving_loses_at_every_place() {
    for moves_count in 0..6 {
        let mut court = Court::opened(Lie::Number(Kind::Qkv, 0));
        let miner = court.unit().miner;
        let honest = court.honest.clone();
        let mut moved = 0;
        while court.turn().address() != miner || moved < moves_count {
            let key = court.turn();
            let play = if key.address() == miner {
                moved += 1;
                court.defence()
            } else {
                court.question(&honest).unwrap()
            };
            let body = court.body(&play);
            court.chain.block(vec![(key, body)]);
        }
        court.wait();
        assert!(is_slashed(&court));
        assert_eq!(lost(&court), [(miner, None)]);
    }
}

#[test]
fn auditors_that_convict_and_say_nothing_pay_and_the_unit_is_right() {
    let mut court = Court::opened(Lie::No);
    let steps = court.body(&court.defence());
    court.chain.block(vec![(court.miner(), steps)]);
    for _ in 0..3 {
        court.wait();
    }
    court.chain.wait(5);
    assert!(court.unit().is_accepted());
    assert_eq!(fined(&court.chain, AuditFault::Overturned).len(), 4);
    assert!(fined(&court.chain, AuditFault::Silent).is_empty());
}

#[test]
fn what_the_chain_cannot_compute_goes_up_the_ladder() {
    // The run starts from weights that nobody named.
    let mut court = Court::convicted(Lie::No, false);
    court.chain.appeal(court.id);
    assert_eq!(court.dispute(), None);
    court.chain.seated(court.id, 2);
    assert_eq!(court.unit().audits[2].tier, Tier::Committee);

    // Whether bytes are canonical is no operation.
    let mut court = Court::convicted(Lie::No, true);
    let finding = Finding::exact(Check::Encoding, 1);
    court.chain.change(|view| {
        let mut unit: ledger_state::unit::Unit = view.get(&court.id).unwrap();
        unit.conviction.as_mut().unwrap().finding = finding;
        view.put(&court.id, &unit);
    });
    court.chain.appeal(court.id);
    assert_eq!(court.dispute(), None);
}

#[test]
fn a_dispute_ends_with_its_unit() {
    let mut court = Court::opened(Lie::No);
    let (id, miner) = (court.id, court.miner());
    let units = court.chain.units().into_iter();
    let mut own = units.filter(|(_, unit)| unit.miner == miner.address());
    let (other, _) = own.find(|(id, _)| id.kind == UnitKind::Rollout).unwrap();
    let proof = Box::new(equivocation(&court.chain, other, &miner));
    let report = Body::ReportEquivocation { proof };
    court.chain.block(vec![(court.chain.operator(0), report)]);
    let void = VoidReason::MinerSlashed.outcome();
    assert_eq!(court.unit().outcome(), Some(void));
    assert_eq!(court.dispute(), None);
    let late = court.body(&Move::Wrong(0));
    let rejection = court.chain.reject(court.miner(), late);
    assert_eq!(rejection, Rejection::NotDisputed { unit: id });
}

#[test]
fn moves_that_are_none_are_refused_and_change_nothing() {
    let mut court = Court::opened(Lie::Number(Kind::Slope, 1));
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
    assert!(is_slashed(&court));
}

/// A move where nothing is disputed.
pub(crate) fn undisputed() -> Rejection {
    let court = Court::convicted(Lie::No, true);
    court
        .chain
        .reject(court.miner(), court.body(&Move::Wrong(0)))
}

/// A move of the other side.
pub(crate) fn out_of_turn() -> Rejection {
    let court = Court::opened(Lie::No);
    let challenger = court.dispute().unwrap().challenger().unwrap();
    let body = court.body(&Move::Wrong(0));
    court.chain.reject(court.chain.key_of(challenger), body)
}

/// A move in the block after its last height.
pub(crate) fn late() -> Rejection {
    let mut court = Court::opened(Lie::No);
    let move_by = court.dispute().unwrap().move_by;
    court.chain.wait_for(move_by);
    court
        .chain
        .reject(court.miner(), court.body(&court.defence()))
}

/// Another kind of move.
pub(crate) fn refused() -> Rejection {
    let court = Court::opened(Lie::No);
    court
        .chain
        .reject(court.miner(), court.body(&Move::Wrong(0)))
}

#[test]
fn each_side_has_one_clock_for_all_of_its_moves() {
    let mut court = Court::opened(Lie::Number(Kind::Qkv, 0));
    let honest = court.honest.clone();
    let opened_at = court.chain.height();
    // The miner takes nearly all of its time for the first move, and the challenger a little.
    court.chain.wait(45);
    let steps = court.body(&court.defence());
    court.chain.block(vec![(court.miner(), steps)]);
    assert_eq!(court.dispute().unwrap().clocks.miner, 2);
    court.chain.wait(9);
    let wrong = court.question(&honest).unwrap();
    let body = court.body(&wrong);
    court.chain.block(vec![(court.turn(), body)]);
    let dispute = court.dispute().unwrap();
    assert_eq!((dispute.clocks.miner, dispute.clocks.challenger), (2, 38));
    assert_eq!(dispute.move_by, court.chain.height().saturating_add(2));
    court.chain.wait(3);
    assert!(is_slashed(&court));
    assert_eq!(
        lost(&court),
        [(court.unit().miner, None)],
        "its time is over"
    );
    let blocks = court.chain.height().get() - opened_at.get();
    assert!(blocks < 65, "{blocks} blocks");
}
