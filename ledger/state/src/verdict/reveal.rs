//! Opening a verdict, and being paid for it.

use super::commit::seat;
use crate::{
    Rejection, View, auditor, emission,
    event::Event,
    opening::{is_seen, may_reveal},
    reward, run,
    unit::{Opinion, Unit},
};
use protocol::{
    Address, Height,
    rollout::Sketch,
    task::UnitId,
    transaction::Commitment,
    verdict::{self, Check, Verdict},
};

/// Opens an auditor's verdict and pays for it, whatever it says.
///
/// In a blind round what was sealed is seen only after verdicts were bound. What was bound is the
/// verdict without it, and nobody accepts without having looked.
///
/// # Errors
/// When there is nothing to open, it is too early or late, or the opening does not match.
pub fn reveal(
    view: &mut View<'_>,
    sender: Address,
    id: UnitId,
    (verdict, sketch): (&Verdict, Option<Sketch>),
    salt: Commitment,
    height: Height,
) -> Result<Vec<Event>, Rejection> {
    if verdict.findings().is_empty() {
        return Err(Rejection::VerdictEmpty { unit: id });
    }
    let mut unit: Unit = view.get(&id).ok_or(Rejection::UnitUnknown { unit: id })?;
    let early = !may_reveal(id, &unit, height);
    let is_seen = is_seen(id, &unit);
    let (audit, position) = seat(&mut unit, id, sender)?;
    let reveal_by = audit.reveal_by;
    let Some(seat) = audit.seats.get_mut(position) else {
        return Err(Rejection::NotAuditor { unit: id, sender });
    };
    let Opinion::Committed { commitment } = seat.opinion else {
        return Err(Rejection::NothingToReveal { unit: id });
    };
    if early {
        return Err(Rejection::RevealEarly { unit: id });
    }
    if height > reveal_by {
        return Err(Rejection::RevealLate { height, reveal_by });
    }
    let bound = if is_seen {
        verdict.without(Check::Activations)
    } else {
        verdict.clone()
    };
    if verdict::commitment(sender, id, (&bound, sketch), salt.as_bytes()) != *commitment.as_bytes()
    {
        return Err(Rejection::RevealMismatch { unit: id });
    }
    if is_seen && verdict.accepts() && verdict.finding(Check::Activations).is_none() {
        return Err(Rejection::SealsUnchecked { unit: id });
    }
    seat.opinion = Opinion::Revealed {
        verdict: verdict.clone(),
        sketch,
        at: height,
    };
    view.put(&id, &unit);
    pay_auditor(view, sender, id);
    Ok(vec![Event::VerdictRevealed {
        unit: id,
        auditor: sender,
        contradiction: verdict.contradiction(),
    }])
}

fn pay_auditor(view: &mut View<'_>, auditor: Address, unit: UnitId) {
    let price = run::recipe(view, unit.run).map_or(protocol::Amount::ZERO, |r| r.pay.audit);
    let paid = reward::draw_escrow(view, unit.run, price);
    auditor::pay(view, auditor, paid, 1);
    emission::note_audit(view, auditor, paid);
}
