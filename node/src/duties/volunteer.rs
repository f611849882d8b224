//! Auditing units for which this auditor drew itself, in private.

use super::{Duties, Job, Part, Seat};
use ledger_state::{
    unit::{Sortition, Unit},
    verdict::sortition::may_volunteer,
};
use protocol::{
    Height,
    sample::sortition_input,
    task::{Beacon, UnitId},
    transaction::{Body, Commitment as Sealed},
    verdict,
    vrf::{Output, Proof},
};
use verifier::rollout::Judgement;

impl Duties {
    /// Commits to units for which it drew itself. It works on one of them at a time, each auditor
    /// in an order of its own, and begins none to which another has committed, on the chain or in a
    /// transaction that still waits for a block.
    pub(super) fn volunteer_bodies(
        &mut self,
        called: Vec<(UnitId, Unit, Sortition)>,
        height: Height,
    ) -> Vec<Body> {
        let mut drawn: Vec<(Output, Proof, UnitId, Unit)> = Vec::new();
        for (id, unit, sortition) in called {
            let Some((output, proof)) = self.draw(sortition.beacon, id) else {
                continue;
            };
            let own = (self.operator, &output);
            let next = height.next();
            if self
                .chain
                .view(|view| may_volunteer(view, &unit, own, next))
            {
                drawn.push((output, proof, id, unit));
            }
        }
        drawn.sort_unstable_by_key(|(output, _, id, _)| (*output, *id));
        let bound_by_others = self.chain.audits_waiting(self.operator);
        let mut bodies = Vec::new();
        for (_, proof, id, unit) in drawn {
            let round = unit.audits.len();
            let Some((part, bound)) = self.chain.view(|view| Part::of(view, id, &unit)) else {
                continue;
            };
            match self.verdicts.get(&part) {
                Some(Judgement {
                    verdict, sketch, ..
                }) if *verdict != verifier::unavailable() => {
                    let Some(salt) = self.salt(id, round) else {
                        continue;
                    };
                    let commitment =
                        verdict::commitment(self.operator, id, (verdict, *sketch), salt.as_bytes());
                    bodies.push(Body::AuditCommit {
                        unit: id,
                        sortition: Some(proof),
                        commitment: Sealed::from_bytes(commitment),
                    });
                }
                Some(_) => {}
                None => {
                    let is_first = unit.audits.last().is_some_and(|a| a.seats.is_empty());
                    let is_busy = self.running.iter().any(|job| matches!(job, Job::Judge(_)));
                    if is_first && !is_busy && !bound_by_others.contains(&id) {
                        self.judge((part, bound), &unit, Seat::Volunteer, height);
                    }
                }
            }
        }
        bodies
    }
    /// A salt that only this validator can compute, and computes again after a crash; another one
    /// in every round of judging, since opening makes it public.
    /// Nothing while its signer is away.
    pub(super) fn salt(&self, unit: UnitId, round: usize) -> Option<Sealed> {
        match self.signer.salt(unit, round as u64) {
            Ok(salt) => Some(Sealed::from_bytes(salt)),
            Err(error) => {
                tracing::debug!(%unit, "no salt: {error}");
                None
            }
        }
    }
    fn draw(&mut self, beacon: Beacon, id: UnitId) -> Option<(Output, Proof)> {
        if let Some(drawn) = self.draws.get(&(beacon, id)) {
            return Some(*drawn);
        }
        match self.signer.prove(&sortition_input(&beacon, id)) {
            Ok(drawn) => {
                self.draws.insert((beacon, id), drawn);
                Some(drawn)
            }
            Err(error) => {
                tracing::debug!(unit = %id, "nothing drawn: {error}");
                None
            }
        }
    }
}
