//! Binding a verdict before anyone opens one.

use crate::{
    Rejection, View,
    event::Event,
    unit::{Audit, Opinion, Stage, Unit},
};
use protocol::{Address, Height, task::UnitId, transaction::Commitment};

/// The current round and the sender's seat in it.
pub(super) fn seat(
    unit: &mut Unit,
    id: UnitId,
    sender: Address,
) -> Result<(&mut Audit, usize), Rejection> {
    let is_open = matches!(unit.stage, Stage::Committed)
        && unit.waiting.is_none()
        && unit.conviction.is_none()
        && unit.contest.is_none();
    let audit = unit.audits.last_mut().filter(|_| is_open);
    let audit = audit.ok_or(Rejection::NoAudit { unit: id })?;
    let position = audit.seats.iter().position(|seat| seat.auditor == sender);
    Ok((
        audit,
        position.ok_or(Rejection::NotAuditor { unit: id, sender })?,
    ))
}

/// Binds an auditor's verdict.
///
/// # Errors
/// When the sender has no seat, has committed before, or is late.
pub fn commit(
    view: &mut View<'_>,
    sender: Address,
    id: UnitId,
    commitment: Commitment,
    height: Height,
) -> Result<Vec<Event>, Rejection> {
    let mut unit: Unit = view.get(&id).ok_or(Rejection::UnitUnknown { unit: id })?;
    if let Some(audit) = unit.audits.last()
        && audit.calls_volunteers(height).is_some()
        && !audit.seats.iter().any(|seat| seat.auditor == sender)
    {
        return Err(Rejection::SortitionUnproven { unit: id, sender });
    }
    let (audit, position) = seat(&mut unit, id, sender)?;
    if height > audit.commit_by {
        return Err(Rejection::AuditCommitLate {
            height,
            commit_by: audit.commit_by,
        });
    }
    let Some(seat) = audit.seats.get_mut(position) else {
        return Err(Rejection::NotAuditor { unit: id, sender });
    };
    if seat.opinion != Opinion::Pending {
        return Err(Rejection::AuditCommittedBefore { unit: id });
    }
    seat.opinion = Opinion::Committed { commitment };
    view.put(&id, &unit);
    Ok(Vec::new())
}
