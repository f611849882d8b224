//! The exact class: every adversary's units before the production verifier.

use crate::{
    baseline::{self, Trace},
    clock::timed,
    spread::spread,
    statistics::Share,
    subject::Subject,
};
use adversaries::Cheat;
use anyhow::Result;
use protocol::verdict::Check;
use serde::Serialize;
use std::collections::BTreeMap;

/// How honest units look.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Honest {
    pub(crate) units: u64,
    pub(crate) rollouts: u64,
    pub(crate) tokens: u64,
    pub(crate) false_voids: u64,
    /// 3 / N over rollouts: the 95 % bound that no false void supports.
    pub(crate) bound_per_million_rollouts: f64,
    pub(crate) toploc_alone_false: u64,
    /// Of the units that traces were kept of.
    pub(crate) traces: u64,
    pub(crate) loss_low: f64,
    pub(crate) loss_high: f64,
    /// Processor seconds of all units: making them, and auditing them.
    pub(crate) made_s: f64,
    pub(crate) audited_s: f64,
}

/// How one adversary fares when it lies about every unit.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Caught {
    /// Units that are not the honest ones, and of these, those that the audit rejects.
    pub(crate) caught: Share,
    /// Units in which it lied without effect: the payload is the honest one.
    pub(crate) without_effect: u64,
    /// By which check the verdict rejects first.
    pub(crate) reasons: BTreeMap<&'static str, u64>,
    pub(crate) toploc_alone: Share,
    pub(crate) loss_alone: Share,
    /// What of an honest unit's processor time it saves; nothing if it saves none.
    pub(crate) saved: f64,
    /// Processor time of its units' audits beside those of honest units, which have no first
    /// contradiction to end at.
    pub(crate) audit_cost: f64,
}

/// Units of which traces for the baselines are kept.
const TRACES_COUNT: u64 = 200;

/// What one honest unit gave.
struct One {
    made_s: f64,
    audited_s: f64,
    samples: u64,
    tokens: u64,
    is_accepted: bool,
    trace: Option<Trace>,
}

fn one(subject: &Subject, index: u32) -> Result<One> {
    let task = subject.task(index);
    let (made_s, work) = timed(|| subject.work(&task, None));
    let work = work?;
    let (audited_s, verdict) = timed(|| subject.judge(&task, &work));
    let totals = work.payload.totals(1_000_000);
    let is_traced = u64::from(index) < TRACES_COUNT;
    let trace = is_traced.then(|| baseline::trace(subject, &task, &work));
    Ok(One {
        made_s,
        audited_s,
        samples: u64::from(totals.samples_count),
        tokens: u64::from(totals.tokens_count),
        is_accepted: verdict.accepts(),
        trace: trace.transpose()?,
    })
}

pub(crate) fn honest(subject: &Subject, units: u32) -> Result<Honest> {
    let mut honest = Honest {
        units: 0,
        rollouts: 0,
        tokens: 0,
        false_voids: 0,
        bound_per_million_rollouts: 0.0,
        toploc_alone_false: 0,
        traces: 0,
        loss_low: f64::INFINITY,
        loss_high: f64::NEG_INFINITY,
        made_s: 0.0,
        audited_s: 0.0,
    };
    let indexes: Vec<u32> = (0..units).collect();
    for one in spread(&indexes, |index| one(subject, *index), |_| ()) {
        let one = one?;
        honest.made_s += one.made_s;
        honest.audited_s += one.audited_s;
        honest.units += 1;
        honest.rollouts += one.samples;
        honest.tokens += one.tokens;
        honest.false_voids += u64::from(!one.is_accepted);
        if let Some(Trace { toploc, loss }) = one.trace {
            honest.traces += 1;
            honest.toploc_alone_false += u64::from(!toploc);
            honest.loss_low = honest.loss_low.min(loss);
            honest.loss_high = honest.loss_high.max(loss);
        }
    }
    honest.bound_per_million_rollouts = 3e6 / honest.rollouts.max(1) as f64;
    Ok(honest)
}

pub(crate) fn caught(
    subject: &Subject,
    honest: &Honest,
    cheat: Cheat,
    units: u32,
) -> Result<Caught> {
    let mut without_effect = 0;
    let mut reasons: BTreeMap<&'static str, u64> = BTreeMap::new();
    let (mut found, mut seen, mut by_toploc, mut by_loss) = (0, 0, 0, 0);
    let (mut spent, mut honest_spent) = (0.0, 0.0);
    let (mut audits, mut honest_audits) = (0.0, 0.0);
    for index in 0..units {
        let task = subject.task(index);
        let (time, work) = timed(|| subject.work(&task, Some(cheat)));
        let (honest_time, honest_work) = timed(|| subject.work(&task, None));
        (spent, honest_spent) = (spent + time, honest_spent + honest_time);
        let (work, honest_work) = (work?, honest_work?);
        let (time, verdict) = timed(|| subject.judge(&task, &work));
        let (honest_time, _) = timed(|| subject.judge(&task, &honest_work));
        (audits, honest_audits) = (audits + time, honest_audits + honest_time);
        if work == honest_work {
            without_effect += 1;
            continue;
        }
        seen += 1;
        if let Some(reason) = verdict.contradiction() {
            found += 1;
            *reasons.entry(Check::as_str(reason.check)).or_default() += 1;
        }
        let Trace { toploc, loss } = baseline::trace(subject, &task, &work)?;
        by_toploc += u64::from(!toploc);
        by_loss += u64::from(!(honest.loss_low..=honest.loss_high).contains(&loss));
    }
    Ok(Caught {
        caught: Share::new(found, seen),
        without_effect,
        reasons,
        toploc_alone: Share::new(by_toploc, seen),
        loss_alone: Share::new(by_loss, seen),
        audit_cost: audits / f64::max(honest_audits, 1e-9),
        saved: (1.0 - spent / f64::max(honest_spent, 1e-9)).clamp(0.0, 1.0),
    })
}
