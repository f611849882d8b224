//! Auditing units about which it has a seat: judge, bind, look behind the seals, reveal.

use super::{Duties, Job, Outcome, Part, Seat};
use crate::{
    chain::Chain,
    computation::{Bound, Computation},
    local::{Sort, Trust, Work},
    rpc::work::{self, Input, StepContext},
    workbench::Workbench,
};
use adversaries::{Cheat, Target};
use anyhow::{Context as _, Result};
use ledger_state::{
    View,
    opening::is_seen,
    run::{self, Run},
    unit::{Draw, Unit},
};
use protocol::{
    Address, BlobId, Height,
    recipe::Recipe,
    rollout,
    task::UnitId,
    transaction::{Body, Commitment as Sealed},
    verdict::{self, Check, Finding, Verdict},
};
use std::{collections::BTreeSet, sync::Arc};
use verifier::rollout::Judgement;

/// Blocks before an audit's deadline at which a blob that nobody serves counts as withheld.
const WITHHELD_MARGIN_BLOCKS: u64 = 8;

impl Duties {
    pub(super) fn audit_bodies(
        &mut self,
        seats: &[(UnitId, Unit, Seat)],
        height: Height,
    ) -> Vec<Body> {
        let mut bodies = Vec::new();
        // A blob that was withheld in one round of judging may be there in the next.
        let seated: BTreeSet<UnitId> = seats.iter().map(|(id, ..)| *id).collect();
        let withheld = verifier::unavailable();
        self.verdicts
            .retain(|part, judged| seated.contains(&part.unit) || judged.verdict != withheld);
        for (id, unit, seat) in seats {
            let Some((part, bound)) = self.chain.view(|view| Part::of(view, *id, unit)) else {
                continue;
            };
            let Some(judged) = self.verdicts.get(&part) else {
                self.judge((part, bound), unit, *seat, height);
                continue;
            };
            let Some(salt) = self.salt(*id, unit.audits.len()) else {
                continue;
            };
            bodies.push(match seat {
                Seat::Commit { .. } | Seat::Volunteer => {
                    let judged = (&judged.verdict, judged.sketch);
                    let salt = salt.as_bytes();
                    let commitment = verdict::commitment(self.operator, *id, judged, salt);
                    Body::AuditCommit {
                        unit: *id,
                        sortition: None,
                        commitment: Sealed::from_bytes(commitment),
                    }
                }
                Seat::Reveal => Body::AuditReveal {
                    unit: *id,
                    verdict: self.seen(judged, *id, unit),
                    sketch: judged.sketch,
                    salt,
                },
            });
        }
        bodies
    }
    /// Whether it is a dishonest auditor.
    pub(super) fn lies_about_audits(&self) -> bool {
        self.cheat
            .is_some_and(|cheat| cheat.lies_about(Target::Audit))
    }
    /// What it says of a unit: in a blind round, once the seals are open, also whether they hide
    /// what it made itself.
    fn seen(&self, judged: &Judgement, id: UnitId, unit: &Unit) -> Verdict {
        let opened = unit.opening.sketch.as_ref().filter(|_| is_seen(id, unit));
        let blob = unit.commitment.as_ref().map(|commitment| commitment.blob);
        let payload = blob.filter(|_| opened.is_some()).and_then(|blob| {
            let bytes = self.bench.blobs.get(&blob).ok().flatten()?;
            rollout::Payload::decode(&bytes).ok()
        });
        match (payload, opened) {
            (Some(_), Some(_)) if self.lies_about_audits() && judged.verdict.accepts() => {
                // A liar that accepts says that it looked behind the seals as well.
                judged.verdict.with(Finding::exact(Check::Activations, 0))
            }
            (Some(payload), Some(opened)) => judged.seen(&payload, opened),
            _ => judged.verdict.clone(),
        }
    }
    pub(super) fn judge(
        &mut self,
        (part, bound): (Part, Bound),
        unit: &Unit,
        seat: Seat,
        height: Height,
    ) {
        let Some(commitment) = unit.commitment.clone() else {
            return;
        };
        let job = Job::Judge(part);
        let withheld = match seat {
            Seat::Commit { by } => height.saturating_add(WITHHELD_MARGIN_BLOCKS) >= by,
            Seat::Volunteer | Seat::Reveal => false,
        };
        let mut files = bound.files();
        self.fetched.insert(part.unit, files.clone());
        files.push(commitment.blob);
        let is_here = |id: &BlobId| self.bench.blobs.size(id).ok().flatten().is_some();
        let here = files.iter().all(is_here);
        if withheld && !here && !self.running.contains(&job) {
            let judged = Judgement::without_sketch(verifier::unavailable());
            self.verdicts.insert(part, judged);
            return;
        }
        if !self.start(job, height) {
            return;
        }
        let (bench, chain, miner) = (Arc::clone(&self.bench), Arc::clone(&self.chain), unit.miner);
        let cheat = self.cheat.filter(|_| self.lies_about_audits());
        let trust = match commitment.draw {
            Draw::Drawn { rate } | Draw::Update { rate, .. } | Draw::Spared { rate } => {
                Trust::of(rate)
            }
            Draw::Pending => Trust::Newcomer,
        };
        self.spawn(job, async move {
            let blob = (commitment.blob, commitment.blob_bytes);
            let about = (part, miner, trust);
            judge(&bench, &chain, about, (bound, cheat), blob).await
        });
    }
}

async fn judge(
    bench: &Workbench,
    chain: &Chain,
    (part, miner, trust): (Part, Address, Trust),
    (mut bound, cheat): (Bound, Option<Cheat>),
    (blob, blob_bytes): (BlobId, u64),
) -> Result<Outcome> {
    let Part {
        unit: id, group, ..
    } = part;
    let (recipe, context, inputs) = chain
        .view(|view| about(view, id))
        .with_context(|| format!("unit {id} is not of the current step"))?;
    let last = context.step.saturating_sub(1);
    let updates = async { Ok(chain.view(|view| work::updates(view, id.run, last))) };
    bench.follow(&recipe, &context, updates).await?;
    let blob = bench.blob(blob, blob_bytes).await?;
    let (chain_id, inputs) = (chain.id(), (&inputs[..], bound.feedback));
    let owner = (id, miner);
    let computation =
        Computation::gather(bench, (chain_id, recipe), &context, owner, inputs).await?;
    computation.fetch_states(bench, &mut bound).await?;
    let device = bench.device();
    let work = Work::Audit(Sort {
        kind: id.kind,
        trust,
    });
    let judged = bench.compute(work, move || {
        let judge = || computation.judge(&bound, &blob, group, &device);
        match cheat {
            None => Some(judge()),
            Some(cheat) => said(cheat, (id, bound.opened.is_none()), judge),
        }
    });
    let judged = judged.await?;
    judged.map(Outcome::Judged).context("nothing is said")
}

/// What a dishonest auditor says, and which sketch it names: its own if it looked.
fn said(
    cheat: Cheat,
    (id, is_blind): (UnitId, bool),
    mut judge: impl FnMut() -> Judgement,
) -> Option<Judgement> {
    let mut looked = None;
    let verdict = cheat.verdict(id, &mut || {
        let judgement = looked.insert(judge());
        judgement.verdict.clone()
    })?;
    // In a blind round nobody has seen what is sealed.
    let verdict = if is_blind {
        verdict.without(Check::Activations)
    } else {
        verdict
    };
    Some(match looked {
        Some(looked) => looked.saying(verdict),
        None => Judgement::without_sketch(verdict),
    })
}

pub(super) fn about(view: &View<'_>, id: UnitId) -> Option<(Arc<Recipe>, StepContext, Vec<Input>)> {
    let run: Run = view.get(&id.run)?;
    let context = work::context(view, id.run, &run).filter(|context| context.step == id.step)?;
    let recipe = Arc::new(run::recipe(view, id.run)?);
    Some((recipe, context, work::inputs(view, id)))
}
