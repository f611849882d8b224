//! Contesting what others accepted: an auditor that found a unit wrong and was outvoted stakes a
//! bond on being right. What it found stands on the chain, so that it does so after a crash too.

use super::Duties;
use ledger_state::{View, unit::Unit};
use protocol::{Address, task::UnitId, transaction::Body, verdict::Verdict};

/// Whether an auditor may contest the acceptance of a unit, and can pay.
pub(super) fn is_open(view: &View<'_>, operator: Address, (id, unit): (UnitId, &Unit)) -> bool {
    let body = Body::Appeal { unit: id };
    unit.contest.is_some() && ledger_state::rehearse(&mut view.clone(), operator, &body).is_ok()
}

impl Duties {
    /// The acceptances that it contests. A dishonest auditor does not contradict itself.
    pub(super) fn contest_bodies(&self, open: Vec<(UnitId, Unit)>) -> Vec<Body> {
        let contested = open
            .into_iter()
            .filter(|(_, unit)| !self.lies_about_audits() || self.has_rejected(unit));
        contested.map(|(unit, _)| Body::Appeal { unit }).collect()
    }
    fn has_rejected(&self, unit: &Unit) -> bool {
        let seats = unit.audits.iter().flat_map(|audit| &audit.seats);
        let mut own = seats.filter(|seat| seat.auditor == self.operator);
        own.any(|seat| seat.verdict().and_then(Verdict::contradiction).is_some())
    }
}
