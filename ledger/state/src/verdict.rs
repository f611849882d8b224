//! Verdicts: commit, reveal, escalate, settle. Spec: 07-verdict.
//!
//! One drawn auditor judges first. If it accepts, the unit is fine. If it rejects, or says
//! nothing in time, every validator re-executes; more than two thirds of stake must have computed
//! the same kind of answer, otherwise nobody is punished.

use crate::{
    Rejection, View, account,
    event::Event,
    reward,
    run::{self, Run},
    sample::open_audit,
    slash, task,
    unit::{Audit, AuditFault, Draw, Opinion, Outcome, Seat, Stage, Tier, Unit, VoidReason},
    validator::{self, TWO_THIRDS, Validator},
};
use protocol::{
    Address, Height,
    task::UnitId,
    transaction::Commitment,
    verdict::{self, Check, Finding, Verdict},
};
use std::collections::BTreeSet;

/// The current round and the sender's seat in it.
fn seat(unit: &mut Unit, id: UnitId, sender: Address) -> Result<(&mut Audit, usize), Rejection> {
    let is_open = matches!(unit.stage, Stage::Committed);
    let audit = unit.audits.last_mut().filter(|_| is_open);
    let audit = audit.ok_or(Rejection::NoAudit { unit: id })?;
    let position = audit.seats.iter().position(|seat| seat.auditor == sender);
    Ok((
        audit,
        position.ok_or(Rejection::NotAuditor { unit: id, sender })?,
    ))
}

/// Whether openings may begin: everyone has committed, or the time for it is over.
fn may_reveal(audit: &Audit, height: Height) -> bool {
    let pending = audit
        .seats
        .iter()
        .any(|seat| seat.opinion == Opinion::Pending);
    !pending || height > audit.commit_by
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

/// Opens an auditor's verdict and pays for it, whatever it says.
///
/// # Errors
/// When there is nothing to open, it is too early or late, or the opening does not match.
pub fn reveal(
    view: &mut View<'_>,
    sender: Address,
    id: UnitId,
    verdict: &Verdict,
    salt: Commitment,
    height: Height,
) -> Result<Vec<Event>, Rejection> {
    if verdict.findings().is_empty() {
        return Err(Rejection::VerdictEmpty { unit: id });
    }
    let mut unit: Unit = view.get(&id).ok_or(Rejection::UnitUnknown { unit: id })?;
    let (audit, position) = seat(&mut unit, id, sender)?;
    let early = !may_reveal(audit, height);
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
    if verdict::commitment(sender, id, verdict, salt.as_bytes()) != *commitment.as_bytes() {
        return Err(Rejection::RevealMismatch { unit: id });
    }
    seat.opinion = Opinion::Revealed {
        verdict: verdict.clone(),
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

fn pay_auditor(view: &mut View<'_>, operator: Address, unit: UnitId) {
    let Some(mut validator) = view.get::<Validator>(&operator) else {
        return;
    };
    let price = run::recipe(view, unit.run).map_or(protocol::Amount::ZERO, |r| r.pay.audit);
    let paid = reward::draw_escrow(view, unit.run, price);
    account::credit(view, validator.holder, paid);
    validator.audits_count = validator.audits_count.saturating_add(1);
    validator.earned = validator.earned.saturating_add(paid.get());
    view.put(&operator, &validator);
}

/// Settles at the end of a block what can be settled.
pub fn settle(view: &mut View<'_>, height: Height) -> Vec<Event> {
    let mut events = Vec::new();
    for (run_id, run) in view.scan::<Run>(&()) {
        for (id, _) in task::units(view, run_id, run.step) {
            // Read again: slashing one unit voids others of the same miner.
            if let Some(unit) = view.get::<Unit>(&id) {
                events.extend(settle_unit(view, id, unit, height));
            }
        }
    }
    events
}

fn settle_unit(view: &mut View<'_>, id: UnitId, unit: Unit, height: Height) -> Vec<Event> {
    let Some(commitment) = unit.commitment.as_ref() else {
        return Vec::new();
    };
    if !matches!(unit.stage, Stage::Committed) || commitment.draw == Draw::Pending {
        return Vec::new();
    }
    let decision = match unit.audits.last() {
        None => Decision::Accept,
        Some(audit) => decide(view, audit, height),
    };
    if matches!(decision, Decision::Wait) {
        return Vec::new();
    }
    let mut events = fine_silence(view, id, &unit, height);
    match decision {
        Decision::Wait => {}
        Decision::Accept => {
            events.extend(fine_overturned(view, id, &unit));
            events.extend(reward::accept(view, id, unit, height));
        }
        Decision::Escalate => events.extend(escalate(view, id, unit, height)),
        Decision::Void(reason) => {
            let outcome = Outcome::Void { reason };
            events.push(task::settle(view, id, unit, outcome, height));
        }
        Decision::Slash(finding) => {
            let finders = finders(&unit, finding);
            let proof = (finding, &finders[..]);
            events.extend(task::settle_slashed(view, id, unit, proof, height));
        }
    }
    events
}

/// Auditors of the first round that found what a unit is slashed for.
fn finders(unit: &Unit, finding: Finding) -> Vec<Address> {
    let found = |audit: &Audit| -> Vec<Address> {
        verdicts(audit)
            .filter(|(_, verdict)| verdict.contradiction() == Some(finding))
            .map(|(auditor, _)| auditor)
            .collect()
    };
    let mut rounds = unit.audits.iter().map(found);
    rounds.find(|round| !round.is_empty()).unwrap_or_default()
}

/// Fines those who did not say in time what they were drawn to say. Whoever still had time when
/// the others had decided goes free.
fn fine_silence(view: &mut View<'_>, id: UnitId, unit: &Unit, height: Height) -> Vec<Event> {
    let Some(audit) = unit.audits.last() else {
        return Vec::new();
    };
    let is_silent = |seat: &&Seat| match seat.opinion {
        Opinion::Pending => height > audit.commit_by,
        Opinion::Committed { .. } => height > audit.reveal_by,
        Opinion::Revealed { .. } => false,
    };
    let silent = audit.seats.iter().filter(is_silent);
    silent
        .filter_map(|seat| slash::auditor(view, seat.auditor, id, AuditFault::Silent))
        .collect()
}

enum Decision {
    Wait,
    Accept,
    Escalate,
    Void(VoidReason),
    Slash(Finding),
}

fn decide(view: &View<'_>, audit: &Audit, height: Height) -> Decision {
    let over = height > audit.reveal_by
        || (height > audit.commit_by
            && !audit
                .seats
                .iter()
                .any(|seat| matches!(seat.opinion, Opinion::Committed { .. })));
    match audit.tier {
        Tier::One => match verdicts(audit).next() {
            Some((_, verdict)) if verdict.accepts() => Decision::Accept,
            Some(_) => Decision::Escalate,
            None if over => Decision::Escalate,
            None => Decision::Wait,
        },
        Tier::All => decide_by_everyone(view, audit, over),
    }
}

fn verdicts(audit: &Audit) -> impl Iterator<Item = (Address, &Verdict)> {
    audit
        .seats
        .iter()
        .filter_map(|seat: &Seat| match &seat.opinion {
            Opinion::Revealed { verdict, .. } => Some((seat.auditor, verdict)),
            Opinion::Pending | Opinion::Committed { .. } => None,
        })
}

fn decide_by_everyone(view: &View<'_>, audit: &Audit, over: bool) -> Decision {
    let powers = validator::powers(view);
    let total = powers
        .iter()
        .fold(0, |sum: u64, (_, power)| sum.saturating_add(*power));
    let power_where = |wanted: &dyn Fn(&Verdict) -> bool| -> u64 {
        let agreeing: Vec<Address> = verdicts(audit)
            .filter(|(_, v)| wanted(v))
            .map(|(a, _)| a)
            .collect();
        powers
            .iter()
            .filter(|(address, _)| agreeing.contains(address))
            .fold(0, |sum, (_, power)| sum.saturating_add(*power))
    };
    if TWO_THIRDS.is_exceeded_by(power_where(&|v| v.accepts()), total) {
        return Decision::Accept;
    }
    let mut candidates: Vec<Finding> = verdicts(audit)
        .filter_map(|(_, v)| v.contradiction())
        .collect();
    candidates.sort_unstable();
    candidates.dedup();
    for finding in candidates {
        let power = power_where(&|v| v.contradiction() == Some(finding));
        if TWO_THIRDS.is_exceeded_by(power, total) {
            return match finding.check {
                Check::Availability => Decision::Void(VoidReason::Lost),
                Check::Encoding
                | Check::Completeness
                | Check::Commitment
                | Check::Finish
                | Check::Sampling
                | Check::Activations
                | Check::Reward
                | Check::Loss
                | Check::Update => Decision::Slash(finding),
            };
        }
    }
    let all_spoke = verdicts(audit).count() == audit.seats.len();
    if all_spoke || over {
        Decision::Void(VoidReason::NoQuorum)
    } else {
        Decision::Wait
    }
}

fn escalate(view: &mut View<'_>, id: UnitId, mut unit: Unit, height: Height) -> Vec<Event> {
    let everyone: Vec<Address> = validator::powers(view)
        .into_iter()
        .map(|(a, _)| a)
        .collect();
    let parameters = run::parameters(view);
    unit.audits
        .push(open_audit(&parameters, Tier::All, &everyone, height));
    view.put(&id, &unit);
    vec![Event::AuditEscalated { unit: id }]
}

/// An auditor whose rejection everyone's re-execution overturned pays for the work it caused.
fn fine_overturned(view: &mut View<'_>, id: UnitId, unit: &Unit) -> Vec<Event> {
    if unit
        .audits
        .last()
        .is_none_or(|audit| audit.tier == Tier::One)
    {
        return Vec::new();
    }
    // A set: the first auditor also sat in the second round, and pays once for a unit.
    let wrong: BTreeSet<Address> = unit
        .audits
        .iter()
        .flat_map(verdicts)
        .filter(|(_, verdict)| !verdict.accepts())
        .map(|(auditor, _)| auditor)
        .collect();
    wrong
        .into_iter()
        .filter_map(|auditor| slash::auditor(view, auditor, id, AuditFault::Overturned))
        .collect()
}
