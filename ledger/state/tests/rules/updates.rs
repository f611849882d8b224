//! Updates that are checked without a step being repeated: drawn more often than segments, judged
//! by the weights that the unit ends with, and disputed at once.

use crate::{
    disputes::world::{Court, Lie, setup as courts},
    support::{Chain, Setup, accepting, rejecting, sketched_bodies},
};
use governance::parameters::Name;
use ledger_state::{
    Event, run, sample,
    unit::{AuditFault, Draw, Outcome, VoidReason},
    verdict::dispute::{Move, Operation, Place},
};
use protocol::{
    Micro,
    sample::is_drawn,
    task::{UnitId, UnitKind},
    verdict::{Check, Finding, Verdict},
};

/// Segments are drawn as rarely as can be, updates at this rate.
pub(crate) fn rates(update_rate: u64) -> Vec<(Name, u64)> {
    vec![
        (Name::NewcomerUnits, 0),
        (Name::AuditRate, 10_000),
        (Name::AuditGain, 10_000),
        (Name::CompressionAuditRate, update_rate),
    ]
}

/// A unit of which only the update is drawn, whose miner has shown where it ends.
fn checked(lie: Lie) -> Court {
    let mut setup = courts();
    setup.parameters.extend(rates(1_000_000));
    let court = Court::begun_by(&setup, lie);
    assert!(court.unit().is_update_checked());
    court
}

fn wrong() -> Verdict {
    rejecting(Check::Update, 1)
}

/// The first auditor binds and opens; nobody has to show anything in between.
fn first_says(court: &mut Court, verdict: Verdict) {
    let auditor = court.chain.seats(court.id)[0].clone();
    let (bind, reveal) = sketched_bodies(&auditor, court.id, verdict, None);
    court.chain.block(vec![(auditor.clone(), bind)]);
    assert_eq!(court.unit().opening.open_by, None, "nothing is sealed");
    court.chain.block(vec![(auditor, reveal)]);
}

fn says(court: &mut Court, verdict: &Verdict) {
    let round = court.chain.seats(court.id);
    for reveals in [false, true] {
        let bodies = round.iter().map(|key| {
            let (bind, reveal) = sketched_bodies(key, court.id, verdict.clone(), None);
            (key.clone(), if reveals { reveal } else { bind })
        });
        let bodies = bodies.collect();
        court.chain.block(bodies);
    }
}

/// Three auditors convict after the first, and the miner appeals.
fn disputed(lie: Lie) -> Court {
    let mut court = checked(lie);
    first_says(&mut court, wrong());
    court.chain.seated(court.id, 1);
    says(&mut court, &wrong());
    assert!(court.unit().conviction.is_some());
    court.chain.appeal(court.id);
    court
}

/// A dispute about a right update of the dense form.
pub(crate) fn disputed_dense() -> Court {
    disputed(Lie::No)
}

#[test]
fn the_number_that_draws_audits_draws_updates_at_their_own_rate() {
    let mut setup = Setup {
        parameters: rates(500_000),
        ..Setup::default()
    };
    setup.recipe.pretrain.units_count = 40;
    setup.recipe.schedule.deadline_blocks = 60;
    let mut chain = Chain::working(&setup);
    let gradients = chain.units_of(UnitKind::Gradient);
    let ids: Vec<_> = chain.units().into_iter().map(|(id, _)| id).collect();
    chain.commit(&ids);
    chain.attest_by_all(&ids);
    let parameters = run::parameters(&chain.view());
    let audit_rate = |id| {
        let miner = chain.unit(id).miner;
        sample::rate(&chain.view(), &parameters, id, miner)
    };
    let expected: Vec<_> = ids.iter().map(|id| (*id, audit_rate(*id))).collect();
    chain.draw(&ids);
    let beacon = run::tip(&chain.view()).beacon;
    let update_rate = Micro::new(500_000);
    let mut counts = [0; 3];
    for (id, rate) in expected {
        let is_gradient = gradients.contains(&id);
        let draw = if is_drawn(&beacon, id, rate) {
            Draw::Drawn { rate }
        } else if is_gradient && is_drawn(&beacon, id, update_rate) {
            Draw::Update { rate, update_rate }
        } else {
            Draw::Spared { rate }
        };
        let unit = chain.unit(id);
        assert_eq!(unit.commitment.unwrap().draw, draw, "{id}");
        let is_update = matches!(draw, Draw::Update { .. });
        assert_eq!(unit.challenge.is_some_and(|c| c.is_update()), is_update);
        if is_gradient {
            counts
                [usize::from(matches!(draw, Draw::Spared { .. })) + usize::from(is_update) * 2] +=
                1;
        }
    }
    assert!(counts[1] > 8 && counts[2] > 8, "{counts:?}");
    let drawn = |event: &Event| matches!(event, Event::UpdateDrawn { .. });
    assert_eq!(chain.count(drawn), counts[2]);
}

#[test]
fn where_a_unit_ends_is_all_that_its_miner_shows() {
    let mut court = checked(Lie::No);
    let challenge = court.unit().challenge.unwrap();
    assert_eq!(challenge.needed(), [challenge.segments_count]);
    assert!(challenge.is_served() && challenge.start.is_none() && challenge.end.is_none());
    first_says(&mut court, accepting());
    assert!(court.unit().is_accepted());
    assert_eq!(court.unit().audits.len(), 1);
}

#[test]
fn a_miner_that_does_not_show_it_has_withheld_it() {
    let setup = Setup {
        parameters: rates(1_000_000),
        ..Setup::default()
    };
    let mut chain = Chain::working(&setup);
    let id = chain.units_of(UnitKind::Gradient)[0];
    chain.commit(&[id]);
    chain.attest_by_all(&[id]);
    chain.opens = false;
    chain.draw(&[id]);
    assert!(chain.unit(id).is_update_checked());
    chain.wait_until("the end", |chain| chain.outcome(id).is_some());
    assert_eq!(chain.outcome(id), Some(VoidReason::Withheld.outcome()));
}

#[test]
fn a_wrong_update_is_shown_in_one_move() {
    let mut court = disputed(Lie::Update);
    assert_eq!(court.dispute().unwrap().place, Place::Complaint);
    court.play(&[]);
    let finding = Finding::exact(Check::Update, 1);
    assert_eq!(court.unit().outcome(), Some(Outcome::Slashed { finding }));
    let Place::Over {
        is_right: false,
        operation: Some(Operation::Update { .. }),
    } = court.record().place
    else {
        panic!("{:?}", court.record());
    };
    assert_eq!(court.record().moves_count, 1);
}

#[test]
fn auditors_that_convict_a_right_update_have_nothing_to_show() {
    let mut court = disputed(Lie::No);
    let refused = court
        .chain
        .reject(court.turn(), court.body(&Move::Wrong(0)));
    assert!(matches!(
        refused,
        ledger_state::Rejection::MoveRefused { .. }
    ));
    for _ in 0..3 {
        court.wait();
    }
    court.chain.wait(5);
    assert!(court.unit().is_accepted());
    let fined = |event: &Event| {
        let wanted = AuditFault::Overturned;
        matches!(event, Event::AuditorFined { fault, .. } if *fault == wanted)
    };
    assert_eq!(court.chain.count(fined), 4);
}

#[test]
fn an_outvoted_auditor_contests_an_update_as_well() {
    let mut court = checked(Lie::Update);
    let honest = court.unit().audits[0].seats[0].auditor;
    first_says(&mut court, wrong());
    court.chain.seated(court.id, 1);
    says(&mut court, &accepting());
    court.contest(honest);
    assert_eq!(court.turn().address(), honest);
    court.play(&[]);
    let finding = Finding::exact(Check::Update, 1);
    assert_eq!(court.unit().outcome(), Some(Outcome::Slashed { finding }));
}

#[test]
fn nobody_draws_updates_where_the_rate_is_zero_or_below_that_of_audits() {
    for rate in [0, 10_000] {
        let setup = Setup {
            parameters: rates(rate),
            ..Setup::default()
        };
        let mut chain = Chain::working(&setup);
        let ids = chain.units_of(UnitKind::Gradient);
        chain.commit(&ids);
        chain.attest_by_all(&ids);
        chain.draw(&ids);
        let is_update = |id: &UnitId| chain.unit(*id).is_update_checked();
        assert!(!ids.iter().any(is_update), "{rate}");
    }
}
