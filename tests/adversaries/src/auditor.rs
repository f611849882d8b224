//! Dishonest auditors, one file each.

mod collude_ok;
mod false_accuser;
mod lazy_fail;
mod lazy_ok;
mod self_audit;
mod silent_winner;

use crate::Adversary;
use protocol::{
    task::{UnitId, UnitKind},
    verdict::{Check, Finding, Verdict},
};

/// All of them.
pub(crate) const ALL: &[&dyn Adversary] = &[
    &lazy_ok::LazyOk,
    &lazy_fail::LazyFail,
    &false_accuser::FalseAccuser,
    &collude_ok::ColludeOk,
    &silent_winner::SilentWinner,
    &self_audit::SelfAudit,
];

/// A verdict that nobody computed: it looks like an auditor's, and finds `measured` faults in what
/// takes the most work to check.
fn claimed(unit: UnitId, measured: u64) -> Option<Verdict> {
    let checks: &[Check] = match unit.kind {
        UnitKind::Rollout => &[
            Check::Encoding,
            Check::Completeness,
            Check::Commitment,
            Check::Finish,
            Check::Reward,
            Check::Activations,
            Check::Sampling,
        ],
        UnitKind::Gradient => &[
            Check::Encoding,
            Check::Commitment,
            Check::Loss,
            Check::Update,
        ],
    };
    let mut checks: Vec<Check> = checks.to_vec();
    let accused = checks.last().copied()?;
    checks.sort_unstable();
    let findings = checks.into_iter().map(|check| {
        let measured = if check == accused { measured } else { 0 };
        Finding::exact(check, measured)
    });
    Verdict::new(findings.collect()).ok()
}
