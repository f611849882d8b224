//! Verdicts that are nobody's, too early, too late or not the bound ones.

use super::Row;
use crate::support::{Chain, Setup, accepting, audit_bodies, rejecting};
use ledger_state::Rejection;
use protocol::{
    SigningKey,
    task::{UnitId, UnitKind},
    transaction::Body,
    verdict::{Check, Verdict},
};

pub(super) const ROWS: &[Row] = &[
    ("UnitUnknown", bound_about_no_unit),
    ("NoAudit", bound_before_the_draw),
    ("NoAudit", bound_after_acceptance),
    ("NotAuditor", bound_by_another_validator),
    ("NotAuditor", bound_by_a_miner),
    ("AuditCommittedBefore", bound_twice),
    ("AuditCommitLate", bound_late),
    ("NothingToReveal", opened_without_binding),
    ("NothingToReveal", opened_twice),
    ("RevealEarly", opened_before_the_others_bound),
    ("RevealLate", opened_late),
    ("RevealMismatch", opened_otherwise),
    ("RevealMismatch", opened_with_another_salt),
    ("VerdictEmpty", opened_empty),
    ("NoAudit", bound_before_three_are_drawn),
    ("NoAudit", bound_after_a_conviction),
    ("NotConvicted", appealed_without_a_conviction),
    ("NotConvicted", appealed_twice),
    ("NotConvicted", appealed_after_the_slash),
    ("AppealLate", appealed_late),
    ("NotAssignee", appealed_by_another),
    ("UnitUnknown", appealed_for_no_unit),
    ("BalanceTooLow", appealed_without_the_bond),
];

/// A drawn unit, its auditor, and what an accepting auditor sends.
struct Drawn {
    chain: Chain,
    unit: UnitId,
    auditor: SigningKey,
    bind: Body,
    open: Body,
}

fn drawn() -> Drawn {
    let (chain, unit) = Chain::audited(&Setup::default());
    let auditor = chain.seats(unit)[0].clone();
    let (bind, open) = audit_bodies(&auditor, unit, accepting());
    Drawn {
        chain,
        unit,
        auditor,
        bind,
        open,
    }
}

/// The same after the auditor has bound its verdict.
fn bound() -> Drawn {
    let mut drawn = drawn();
    let content = vec![(drawn.auditor.clone(), drawn.bind.clone())];
    drawn.chain.block(content);
    drawn
}

fn bound_about_no_unit() -> Rejection {
    let drawn = drawn();
    let unit = UnitId {
        index: 99,
        ..drawn.unit
    };
    let (bind, _) = audit_bodies(&drawn.auditor, unit, accepting());
    drawn.chain.reject(drawn.auditor, bind)
}

fn bound_before_the_draw() -> Rejection {
    let mut chain = Chain::working(&Setup::default());
    let unit = chain.units_of(UnitKind::Rollout)[0];
    chain.commit(&[unit]);
    let auditor = chain.operator(0);
    let (bind, _) = audit_bodies(&auditor, unit, accepting());
    chain.reject(auditor, bind)
}

fn bound_after_acceptance() -> Rejection {
    let mut drawn = drawn();
    drawn.chain.judge(drawn.unit, |_| Some(accepting()));
    drawn.chain.reject(drawn.auditor, drawn.bind)
}

fn bound_by_another_validator() -> Rejection {
    let Drawn {
        chain,
        auditor,
        unit,
        ..
    } = drawn();
    let other = (0..4).map(|index| chain.operator(index));
    let other = other
        .into_iter()
        .find(|key| key.address() != auditor.address());
    let other = other.unwrap();
    let (bind, _) = audit_bodies(&other, unit, accepting());
    chain.reject(other, bind)
}

fn bound_by_a_miner() -> Rejection {
    let drawn = drawn();
    drawn.chain.reject(drawn.chain.miner(0), drawn.bind)
}

fn bound_twice() -> Rejection {
    let bound = bound();
    bound.chain.reject(bound.auditor, bound.bind)
}

fn bound_late() -> Rejection {
    let mut drawn = drawn();
    let commit_by = drawn.chain.unit(drawn.unit).audits[0].commit_by;
    drawn.chain.wait_for(commit_by);
    drawn.chain.reject(drawn.auditor, drawn.bind)
}

fn opened_without_binding() -> Rejection {
    let drawn = drawn();
    drawn.chain.reject(drawn.auditor, drawn.open)
}

fn opened_twice() -> Rejection {
    let Drawn {
        chain,
        auditor,
        unit,
        ..
    } = bound();
    let (_, open) = audit_bodies(&auditor, unit, accepting());
    let first = vec![(auditor.clone(), open.clone())];
    chain.reject_after(first, auditor, open)
}

fn opened_before_the_others_bound() -> Rejection {
    let (mut chain, unit) = Chain::audited(&Setup::default());
    chain.climb_to(unit, 2, &rejecting(Check::Update, 1));
    let auditor = chain.operator(0);
    let (bind, open) = audit_bodies(&auditor, unit, accepting());
    chain.block(vec![(auditor.clone(), bind)]);
    chain.reject(auditor, open)
}

fn opened_late() -> Rejection {
    let mut bound = bound();
    let reveal_by = bound.chain.unit(bound.unit).audits[0].reveal_by;
    bound.chain.wait_for(reveal_by);
    bound.chain.reject(bound.auditor, bound.open)
}

fn opened_otherwise() -> Rejection {
    let bound = bound();
    let verdict = rejecting(Check::Finish, 1);
    let (_, open) = audit_bodies(&bound.auditor, bound.unit, verdict);
    bound.chain.reject(bound.auditor, open)
}

fn opened_with_another_salt() -> Rejection {
    let mut bound = bound();
    if let Body::AuditReveal { salt, .. } = &mut bound.open {
        *salt = protocol::transaction::Commitment::from_bytes([0; 32]);
    }
    bound.chain.reject(bound.auditor, bound.open)
}

fn opened_empty() -> Rejection {
    let Drawn {
        mut chain,
        auditor,
        unit,
        ..
    } = drawn();
    let empty = Verdict::new(Vec::new()).unwrap();
    let (bind, open) = audit_bodies(&auditor, unit, empty);
    chain.block(vec![(auditor.clone(), bind)]);
    chain.reject(auditor, open)
}

fn bound_before_three_are_drawn() -> Rejection {
    let mut drawn = drawn();
    drawn
        .chain
        .judge(drawn.unit, |_| Some(rejecting(Check::Loss, 1)));
    assert!(drawn.chain.unit(drawn.unit).waiting.is_some());
    drawn.chain.reject(drawn.auditor, drawn.bind)
}

/// A unit that three auditors convicted, and its miner's key.
fn convicted() -> (Chain, UnitId, SigningKey) {
    let (mut chain, unit) = Chain::audited(&Setup::default());
    chain.climb_to(unit, 1, &rejecting(Check::Loss, 1));
    chain.judge(unit, |_| Some(rejecting(Check::Loss, 1)));
    assert!(chain.unit(unit).conviction.is_some());
    let miner = chain.key_of(chain.unit(unit).miner);
    (chain, unit, miner)
}

fn bound_after_a_conviction() -> Rejection {
    let (chain, unit, _) = convicted();
    let auditor = chain.seats(unit)[0].clone();
    let (bind, _) = audit_bodies(&auditor, unit, accepting());
    chain.reject(auditor, bind)
}

fn appealed_without_a_conviction() -> Rejection {
    let drawn = drawn();
    let miner = drawn.chain.key_of(drawn.chain.unit(drawn.unit).miner);
    drawn.chain.reject(miner, Body::Appeal { unit: drawn.unit })
}

fn appealed_twice() -> Rejection {
    let (chain, unit, miner) = convicted();
    let first = vec![(miner.clone(), Body::Appeal { unit })];
    chain.reject_after(first, miner, Body::Appeal { unit })
}

fn appealed_after_the_slash() -> Rejection {
    let (mut chain, unit, miner) = convicted();
    chain.wait_until("the slash", |chain| chain.outcome(unit).is_some());
    chain.reject(miner, Body::Appeal { unit })
}

fn appealed_late() -> Rejection {
    let (mut chain, unit, miner) = convicted();
    let appeal_by = chain.unit(unit).conviction.unwrap().appeal_by;
    chain.wait_for(appeal_by);
    chain.reject(miner, Body::Appeal { unit })
}

fn appealed_by_another() -> Rejection {
    let (chain, unit, miner) = convicted();
    let mut others = chain.miners.iter();
    let other = others.find(|key| key.address() != miner.address());
    chain.reject(other.unwrap().clone(), Body::Appeal { unit })
}

fn appealed_for_no_unit() -> Rejection {
    let (chain, unit, miner) = convicted();
    let unit = UnitId { index: 99, ..unit };
    chain.reject(miner, Body::Appeal { unit })
}

fn appealed_without_the_bond() -> Rejection {
    let (chain, unit, miner) = convicted();
    let to = chain.holder(0).address();
    let amount = protocol::Amount::new(chain.balance(miner.address()) - 999);
    let spent = vec![(miner.clone(), Body::Transfer { to, amount })];
    chain.reject_after(spent, miner, Body::Appeal { unit })
}
