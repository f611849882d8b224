//! What miners and validators want to do next.

use super::world::{DISHONEST, World};
use crate::support::{accepting, commitment_body, registration, rejecting};
use ledger_state::{
    bond::{Miner, Status},
    unit::{Opinion, Stage, Unit},
    verdict::sortition::may_volunteer,
};
use protocol::{
    CheckpointId, SigningKey,
    codec::BoundedVec,
    sample::sortition_input,
    task::UnitId,
    transaction::Body,
    verdict::{Check, Verdict},
};

/// What a miner is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behaviour {
    /// Computes what it is asked.
    Honest,
    /// Makes up some of its units.
    Liar,
    /// Computes only now and then.
    Absent,
    /// Serves its blobs only now and then.
    Withholder,
}

type Wish = (SigningKey, Body);

fn hash(id: UnitId) -> u8 {
    blake3::hash(id.to_string().as_bytes()).as_bytes()[0]
}

/// Whether a unit's blob is made up.
pub(super) fn is_lie(id: UnitId, behaviour: Behaviour) -> bool {
    behaviour == Behaviour::Liar && hash(id).is_multiple_of(3)
}

/// Whether a unit's blob can be had.
fn is_served(id: UnitId, behaviour: Behaviour) -> bool {
    behaviour != Behaviour::Withholder || hash(id).is_multiple_of(2)
}

/// What re-execution finds.
fn truth(id: UnitId, behaviour: Behaviour) -> Verdict {
    if is_lie(id, behaviour) {
        rejecting(Check::Sampling, 1 + u64::from(hash(id)))
    } else {
        accepting()
    }
}

/// What everybody wants to do, except the odd one who is busy.
pub(super) fn wishes(world: &mut World) -> Vec<Wish> {
    let mut wishes = Vec::new();
    for index in 0..world.behaviours.len() {
        if world.random.chance(90) {
            wishes.extend(miner(world, index));
        }
    }
    for index in 0..world.chain.validators.len() {
        if index == DISHONEST {
            wishes.extend(dishonest_validator(world));
        } else if world.random.chance(90) {
            wishes.extend(honest_validator(world, index));
        }
    }
    wishes
}

fn miner(world: &mut World, index: usize) -> Vec<Wish> {
    let key = world.chain.miner(index);
    let Some(record) = world.chain.view().get::<Miner>(&key.address()) else {
        let joins = index < 4 || world.random.chance(10);
        let register = (key.clone(), registration(&key, 30_000));
        return if joins { vec![register] } else { Vec::new() };
    };
    if record.status == Status::Idle {
        let resumes = world.random.chance(20);
        return if resumes {
            vec![(key, Body::Resume)]
        } else {
            Vec::new()
        };
    }
    let works = match world.behaviours[index] {
        Behaviour::Absent => world.random.chance(4),
        Behaviour::Liar => world.random.chance(30),
        Behaviour::Honest | Behaviour::Withholder => true,
    };
    let convicted = world.chain.units_of_miner(index).into_iter();
    let convicted = convicted.filter(|id| world.chain.unit(*id).conviction.is_some());
    let behaviour = world.behaviours[index];
    let appeals: Vec<Wish> = convicted
        .filter(|id| !is_lie(*id, behaviour) || hash(*id).is_multiple_of(2))
        .map(|unit| (key.clone(), Body::Appeal { unit }))
        .collect();
    let own = world.chain.units_of_miner(index).into_iter();
    let open = own.filter(|id| works && world.chain.unit(*id).stage == Stage::Assigned);
    // One after the other, as they are computed.
    let next = open.take(1);
    let commitments = next.map(|id| (key.clone(), commitment_body(&world.chain, id)));
    let due = world.chain.units_of_miner(index).into_iter();
    let due = due.filter(|id| {
        let unit = world.chain.unit(*id);
        unit.stage == Stage::Committed && unit.opening.open_by.is_some()
    });
    let openings = due.map(|id| (key.clone(), world.chain.open_body(&[id])));
    let openings: Vec<Wish> = openings.collect();
    commitments.chain(appeals).chain(openings).collect()
}

fn honest_validator(world: &World, index: usize) -> Vec<Wish> {
    let key = world.chain.operator(index);
    let mut wishes = Vec::new();
    let mut held = Vec::new();
    for (id, unit) in world.chain.units() {
        let behaviour = world.behaviour(unit.miner);
        let attested = unit
            .commitment
            .as_ref()
            .is_none_or(|c| c.attested_by.contains(&key.address()));
        if !attested && unit.stage == Stage::Committed && is_served(id, behaviour) {
            held.push(id);
        }
        wishes.extend(audit((world, &key), id, &unit, truth(id, behaviour)));
        let is_first = unit
            .audits
            .last()
            .is_some_and(|round| round.seats.is_empty());
        if is_first && is_served(id, behaviour) {
            wishes.extend(volunteer(world, &key, (id, &unit), truth(id, behaviour)));
        }
    }
    if !held.is_empty() {
        let units = BoundedVec::new(held).unwrap();
        wishes.push((key.clone(), Body::AttestBlobs { units }));
    }
    if world.chain.is_attesting() {
        let checkpoint = world.chain.next_checkpoint();
        wishes.push((key, Body::AttestCheckpoint { checkpoint }));
    }
    wishes
}

/// The next move in a unit's current round, if the key sits in it.
fn audit(
    (world, key): (&World, &SigningKey),
    id: UnitId,
    unit: &Unit,
    verdict: Verdict,
) -> Option<Wish> {
    let round = unit.audits.last().filter(|_| unit.outcome().is_none())?;
    let mut seats = round.seats.iter();
    let seat = seats.find(|seat| seat.auditor == key.address())?;
    let (bind, open) = world.chain.audit_bodies(key, id, verdict);
    match seat.opinion {
        Opinion::Pending => Some((key.clone(), bind)),
        Opinion::Committed { .. } => Some((key.clone(), open)),
        Opinion::Revealed { .. } => None,
    }
}

/// A commitment to a unit for which the key drew itself.
fn volunteer(
    world: &World,
    key: &SigningKey,
    (id, unit): (UnitId, &Unit),
    verdict: Verdict,
) -> Option<Wish> {
    let next = world.chain.height().next();
    let sortition = unit.audits.last()?.calls_volunteers(next)?;
    let (output, proof) = key.vrf().prove(&sortition_input(&sortition.beacon, id));
    let drawn = (key.address(), &output);
    let (bind, _) = world.chain.audit_bodies(key, id, verdict);
    let Body::AuditCommit { commitment, .. } = bind else {
        return None;
    };
    let body = Body::AuditCommit {
        unit: id,
        sortition: Some(proof),
        commitment,
    };
    may_volunteer(&world.chain.view(), unit, drawn, next).then(|| (key.clone(), body))
}

/// Accepts lies, rejects truth, copies, is silent; attests what it does not hold.
fn dishonest_validator(world: &mut World) -> Vec<Wish> {
    let key = world.chain.operator(DISHONEST);
    let mut wishes = Vec::new();
    let mut held = Vec::new();
    for (id, unit) in world.chain.units() {
        // Its mood follows the unit, so that it can open what it bound.
        let verdict = match hash(id) % 4 {
            0 => continue,
            1 => rejecting(Check::Sampling, 1),
            2 => rejecting(Check::Availability, 1),
            _ => accepting(),
        };
        wishes.extend(audit((world, &key), id, &unit, verdict.clone()));
        wishes.extend(volunteer(world, &key, (id, &unit), verdict));
        if world.random.chance(30) {
            held.push(id);
        }
    }
    let units = BoundedVec::new(held).unwrap();
    wishes.push((key.clone(), Body::AttestBlobs { units }));
    if world.chain.is_attesting() && world.random.chance(50) {
        let mut checkpoint = world.chain.next_checkpoint();
        checkpoint.model = CheckpointId::of(&world.random.bytes::<8>());
        wishes.push((key, Body::AttestCheckpoint { checkpoint }));
    }
    wishes
}
