//! A node's duties beyond ordering blocks: hold blobs, audit units, compute checkpoints. Of these
//! a verifier, which is no validator, only audits.
//!
//! Level-triggered: at every block `Duties::act` reads from the state what is expected of this
//! validator, starts what has to be computed or fetched, and signs what is ready.

mod audit;
mod contesting;
mod disputing;
mod part;
mod readiness;
mod register;
mod release;
mod states;
mod steps;
mod volunteer;

use crate::{
    chain::Chain,
    computation::{Retaken, Traced},
    local::Work,
    outbox::Outbox,
    rpc::fees::{self, Limits},
    validator::Role,
    workbench::{Model, Workbench},
};
use adversaries::Cheat;
use anyhow::{Context as _, Result};
use engine::trainer::file;
use ledger_consensus::signer::{Signer, Status};
use ledger_state::{
    View, account,
    opening::may_reveal,
    run::{self, Run, Stage},
    task,
    unit::{self, Claim, Commitment, Opinion, Sortition, Unit},
    validator::Validator,
    verdict::dispute::{self, Dispute},
};
use part::Part;
use protocol::{
    Address, BlobId, CheckpointId, Height, RunId, Step,
    checkpoint::Checkpoint,
    codec::BoundedVec,
    gradient,
    task::{Beacon, UnitId, UnitKind},
    transaction::{ATTESTED_UNITS_COUNT_MAX, Body, Transaction},
    vrf::{self, Output, Proof},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use steps::Steps;
use tokio::sync::mpsc;
use verifier::rollout::Judgement;

/// Steps for which old checkpoints are served to those who are late, and what was found of their
/// units is remembered.
const STEPS_KEPT_COUNT: u64 = 4;

/// Something that is computed or fetched off the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Job {
    Fetch(UnitId),
    Judge(Part),
    Advance(RunId, Step),
    /// Takes a disputed segment again.
    Retake(UnitId),
    /// Computes every number of one of its steps, by its index.
    Trace(UnitId, u32),
}

impl Job {
    /// The step that it is about.
    const fn place(self) -> (RunId, Step) {
        match self {
            Self::Fetch(id) | Self::Retake(id) | Self::Trace(id, _) => (id.run, id.step),
            Self::Judge(part) => (part.unit.run, part.unit.step),
            Self::Advance(run, step) => (run, step),
        }
    }
}

#[derive(Debug)]
enum Outcome {
    /// The blob is here; whether it is canonical.
    Fetched {
        canonical: bool,
    },
    Judged(Judgement),
    Advanced(Checkpoint),
    Retaken(Box<Retaken>),
    Traced(Traced),
}

type Finished = (Job, Result<Outcome>);

/// What the state expects of this validator.
#[derive(Debug, Default)]
struct Expected {
    /// Units whose blobs it has not attested.
    unattested: Vec<(UnitId, Unit)>,
    /// Units on whose current audit it has a seat, and what it should do there.
    seats: Vec<(UnitId, Unit, Seat)>,
    /// Units for whose current round auditors draw themselves, and it has not committed.
    called: Vec<(UnitId, Unit, Sortition)>,
    /// Disputes in which it owes a move.
    disputes: Vec<(UnitId, Unit, Dispute)>,
    /// Acceptances that it may contest, having found the opposite.
    contests: Vec<(UnitId, Unit)>,
    /// What it sends first, if it is neither validator nor verifier yet.
    registration: Option<Body>,
    /// Its signal for a planned upgrade.
    readiness: Option<Body>,
    release: Option<Body>,
    /// Checkpoints it has not attested.
    due: Vec<(RunId, Step)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seat {
    Commit {
        by: Height,
    },
    /// It drew itself, and may stay away.
    Volunteer,
    Reveal,
}

/// A validator's duties.
#[derive(Debug)]
pub struct Duties {
    chain: Arc<Chain>,
    bench: Arc<Workbench>,
    operator: Address,
    role: Role,
    /// How it deceives, to test the network's defences.
    cheat: Option<Cheat>,
    /// The highest version of the protocol that this program speaks.
    ready_for: u32,
    vrf: vrf::Public,
    signer: Arc<dyn Signer>,
    outbox: Outbox,
    running: BTreeSet<Job>,
    failures: BTreeMap<Job, Height>,
    canonical: BTreeMap<UnitId, bool>,
    /// Files of states that audits fetched, until their step is over.
    fetched: BTreeMap<UnitId, Vec<BlobId>>,
    verdicts: BTreeMap<Part, Judgement>,
    /// What its verifiable randomness drew for units, and what shows it.
    draws: BTreeMap<(Beacon, UnitId), (Output, Proof)>,
    checkpoints: BTreeMap<(RunId, Step), Checkpoint>,
    /// What it found of disputed segments.
    retaken: BTreeMap<UnitId, Retaken>,
    /// The step about which it plays.
    trace: Option<((UnitId, u32), Traced)>,
    finished: mpsc::Sender<Finished>,
}

impl Duties {
    /// The duties of the validator that this signer signs for, and the queue of finished jobs to
    /// feed back.
    #[must_use]
    pub fn new(
        chain: Arc<Chain>,
        bench: Arc<Workbench>,
        (outbox, signer, status): (Outbox, Arc<dyn Signer>, &Status),
        (role, ready_for): (Role, u32),
        cheat: Option<Cheat>,
    ) -> (Self, FinishedJobs) {
        let (finished, receiver) = mpsc::channel(256);
        let duties = Self {
            operator: status.operator,
            role,
            cheat,
            ready_for,
            outbox,
            chain,
            bench,
            vrf: status.vrf,
            signer,
            running: BTreeSet::new(),
            failures: BTreeMap::new(),
            canonical: BTreeMap::new(),
            fetched: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            draws: BTreeMap::new(),
            checkpoints: BTreeMap::new(),
            retaken: BTreeMap::new(),
            trace: None,
            finished,
        };
        (duties, FinishedJobs(receiver))
    }
    /// Does its duties at every block until the node stops.
    pub async fn run(mut self, mut jobs: FinishedJobs) {
        let mut heights = self.chain.heights();
        heights.mark_changed();
        loop {
            tokio::select! {
                changed = heights.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    heights.borrow_and_update();
                }
                Some(finished) = jobs.0.recv() => {
                    self.finish(finished);
                    while let Ok(finished) = jobs.0.try_recv() {
                        self.finish(finished);
                    }
                }
            }
            // It asks whoever has the key, and that may take its time.
            let acted = tokio::task::spawn_blocking(move || {
                self.act();
                self
            });
            match acted.await {
                Ok(duties) => self = duties,
                Err(error) => {
                    tracing::error!("this node does no duties any more: {error}");
                    return;
                }
            }
        }
    }
    fn finish(&mut self, (job, result): Finished) {
        self.running.remove(&job);
        match (job, result) {
            (Job::Fetch(id), Ok(Outcome::Fetched { canonical })) => {
                self.canonical.insert(id, canonical);
            }
            (Job::Judge(part), Ok(Outcome::Judged(verdict))) => {
                self.verdicts.insert(part, verdict);
            }
            (Job::Advance(run, step), Ok(Outcome::Advanced(checkpoint))) => {
                self.checkpoints.insert((run, step), checkpoint);
            }
            (Job::Retake(id), Ok(Outcome::Retaken(retaken))) => {
                self.retaken.insert(id, *retaken);
            }
            (Job::Trace(id, index), Ok(Outcome::Traced(trace))) => {
                self.trace = Some(((id, index), trace));
            }
            (job, Ok(_)) => tracing::error!(?job, "a job gave another job's outcome"),
            (job, Err(error)) => {
                let height = *self.chain.heights().borrow();
                tracing::warn!(?job, "{error:#}");
                self.failures.insert(job, height);
            }
        }
    }
    /// Reads what is expected, starts jobs, signs what is ready.
    fn act(&mut self) {
        let (operator, vrf, role) = (self.operator, self.vrf, self.role);
        let (height, nonce, expected) = self.chain.view(|view| {
            let nonce = account::account(view, operator).nonce;
            let mut expected = expected(view, operator);
            expected.registration = register::wanted(view, operator, vrf, role);
            expected.readiness = readiness::wanted(view, operator, self.ready_for);
            expected.release = release::wanted(view, operator);
            (run::tip(view).height, nonce, expected)
        });
        self.outbox.observe(nonce, height);
        let mut bodies: Vec<Body> = expected.registration.into_iter().collect();
        bodies.extend(expected.readiness);
        bodies.extend(expected.release);
        bodies.extend(self.checkpoint_bodies(&expected.due, height));
        bodies.extend(self.audit_bodies(&expected.seats, height));
        bodies.extend(self.volunteer_bodies(expected.called, height));
        bodies.extend(self.dispute_bodies(&expected.disputes, height));
        bodies.extend(self.contest_bodies(expected.contests));
        bodies.extend(self.attestation(&expected.unattested, height));
        let proofs = self.chain.equivocations().into_iter().map(Box::new);
        bodies.extend(proofs.map(|proof| Body::ReportEquivocation { proof }));
        let twice = self.chain.double_signs().into_iter().map(Box::new);
        bodies.extend(twice.map(|evidence| Body::ReportDoubleSign { evidence }));
        let quote = fees::fees(&self.chain);
        let offer = |content: &Transaction| quote.offer(content, Limits::default());
        for body in bodies {
            let Some(signed) = self.outbox.sign(&body, (nonce, height), offer) else {
                continue;
            };
            let taken = signed
                .verify(self.chain.id())
                .map_err(crate::chain::SubmitError::from);
            if let Err(error) = taken.and_then(|signed| self.chain.submit_verified(signed)) {
                tracing::debug!(kind = body.kind(), "{error}");
                self.outbox.refused(&body);
                break;
            }
        }
        self.forget_old();
    }
    /// Whether to start a job now: not while it runs, and not right after it failed.
    fn start(&mut self, job: Job, height: Height) -> bool {
        let cooling = self
            .failures
            .get(&job)
            .is_some_and(|at| height < at.saturating_add(4));
        !cooling && self.running.insert(job)
    }
    fn spawn(&self, job: Job, work: impl Future<Output = Result<Outcome>> + Send + 'static) {
        let finished = self.finished.clone();
        tokio::spawn(async move {
            let result = work.await;
            // Nobody listens when the node is stopping.
            drop(finished.send((job, result)).await);
        });
    }
    fn attestation(&mut self, unattested: &[(UnitId, Unit)], height: Height) -> Option<Body> {
        let flying: BTreeSet<UnitId> = self
            .outbox
            .in_flight()
            .filter_map(|body| match body {
                Body::AttestBlobs { units } => Some(units.as_slice().to_vec()),
                _ => None,
            })
            .flatten()
            .collect();
        let mut ready = Vec::new();
        for (id, unit) in unattested {
            match self.canonical.get(id) {
                Some(true) if !flying.contains(id) => ready.push(*id),
                Some(_) => {}
                None => self.fetch(*id, unit, height),
            }
        }
        ready.truncate(ATTESTED_UNITS_COUNT_MAX);
        let units = BoundedVec::new(ready).ok()?;
        (!units.as_slice().is_empty()).then_some(Body::AttestBlobs { units })
    }
    fn fetch(&mut self, id: UnitId, unit: &Unit, height: Height) {
        let Some(Commitment {
            blob,
            blob_bytes,
            claim,
            ..
        }) = unit.commitment.clone()
        else {
            return;
        };
        let root = match claim {
            Claim::Rollout { root, .. } | Claim::Gradient { root, .. } => Some(root),
        };
        let job = Job::Fetch(id);
        if !self.start(job, height) {
            return;
        }
        let (miner, is_open) = (unit.miner, unit.is_tolerant());
        let (bench, chain) = (Arc::clone(&self.bench), Arc::clone(&self.chain));
        self.spawn(job, async move {
            let (recipe, beacon) = chain.view(|view| {
                let beacon = run::beacon(view, id.run, id.step);
                (run::recipe(view, id.run), beacon)
            });
            let recipe = recipe.context("no such run")?;
            let blob_bytes_max = verifier::blob_bytes_max(id, &recipe, is_open)?;
            if blob_bytes > blob_bytes_max {
                tracing::warn!(
                    unit = %id,
                    "blob not fetched: it has {blob_bytes} bytes; the unit's has {blob_bytes_max} at most"
                );
                return Ok(Outcome::Fetched { canonical: false });
            }
            let bytes = bench.blob(blob, blob_bytes).await?;
            let bound = verifier::Bound {
                unit: id,
                miner,
                beacon: beacon.context("the step has no beacon yet")?,
                root,
                recipe: &recipe,
                is_open,
            };
            let admitted = verifier::admit(&bound, &bytes);
            if let Err(error) = &admitted {
                tracing::warn!(unit = %id, miner = %miner.short(), "blob not attested: {error}");
            }
            Ok(Outcome::Fetched {
                canonical: admitted.is_ok(),
            })
        });
    }
    fn checkpoint_bodies(&mut self, due: &[(RunId, Step)], height: Height) -> Vec<Body> {
        let mut bodies = Vec::new();
        for &(run, step) in due {
            if let Some(checkpoint) = self.checkpoints.get(&(run, step)).cloned() {
                bodies.push(Body::AttestCheckpoint { checkpoint });
                continue;
            }
            let job = Job::Advance(run, step);
            if self.start(job, height) {
                let (bench, chain) = (Arc::clone(&self.bench), Arc::clone(&self.chain));
                self.spawn(job, async move {
                    advance(&bench, &chain, run, step)
                        .await
                        .map(Outcome::Advanced)
                });
            }
        }
        bodies
    }
    /// Drops notes and checkpoint files of each run's steps long past.
    fn forget_old(&mut self) {
        self.forget_states();
        self.forget_disputes();
        // By the chain, not by its own checkpoints: a verifier makes none.
        let steps = self.chain.view(Steps::of);
        self.canonical
            .retain(|id, _| !steps.are_past(id.run, id.step));
        self.draws
            .retain(|(_, id), _| !steps.are_past(id.run, id.step));
        self.verdicts
            .retain(|part, _| !steps.are_past(part.unit.run, part.unit.step));
        self.failures.retain(|job, _| {
            let (run, step) = job.place();
            !steps.are_past(run, step)
        });
        // Keys are in order, so the newest step of each run is the last.
        let newest: BTreeMap<RunId, Step> = self.checkpoints.keys().copied().collect();
        let is_old = |run: RunId, step: Step| {
            let newest = newest.get(&run);
            newest.is_some_and(|newest| step < newest.saturating_sub(STEPS_KEPT_COUNT))
        };
        let known = self.checkpoints.keys().copied();
        let old: Vec<_> = known.filter(|(run, step)| is_old(*run, *step)).collect();
        for key in old {
            if let Some(checkpoint) = self.checkpoints.remove(&key) {
                self.remove_blobs(&checkpoint);
            }
        }
    }
}

/// Finished jobs on their way back to [`Duties::run`].
#[derive(Debug)]
pub struct FinishedJobs(mpsc::Receiver<Finished>);

fn expected(view: &View<'_>, operator: Address) -> Expected {
    let mut expected = Expected::default();
    let height = run::tip(view).height;
    let attests = view
        .get::<Validator>(&operator)
        .is_some_and(|validator| validator.power > 0);
    for (run_id, run) in view.scan::<Run>(&()) {
        if attests && matches!(run.stage, Stage::Attesting { .. }) {
            let (id, step) = (run_id, run.step.next());
            let key = ((id, step), operator);
            if view
                .get::<ledger_state::checkpoint::Attestation>(&key)
                .is_none()
            {
                expected.due.push((id, step));
            }
        }
        for (id, unit) in task::units(view, run_id, run.step) {
            let Some(commitment) = unit.commitment.as_ref() else {
                continue;
            };
            if !matches!(unit.stage, unit::Stage::Committed) {
                continue;
            }
            let is_judged =
                unit.waiting.is_none() && unit.conviction.is_none() && unit.contest.is_none();
            let seat = is_judged
                .then(|| seat(id, &unit, operator, height))
                .flatten();
            if let Some(seat) = seat {
                expected.seats.push((id, unit.clone(), seat));
            } else if let Some(audit) = unit.audits.last().filter(|_| is_judged)
                && let Some(sortition) = audit.calls_volunteers(height.next())
            {
                expected.called.push((id, unit.clone(), *sortition));
            }
            if contesting::is_open(view, operator, (id, &unit)) {
                expected.contests.push((id, unit.clone()));
            }
            if let Some(dispute) = dispute::of(view, id, &unit)
                && dispute.turn(unit.miner) == Some(operator)
                && operator != unit.miner
            {
                expected.disputes.push((id, unit.clone(), dispute));
            }
            if attests && !commitment.attested_by.contains(&operator) {
                expected.unattested.push((id, unit));
            }
        }
    }
    expected
}

fn seat(id: UnitId, unit: &Unit, operator: Address, height: Height) -> Option<Seat> {
    let audit = unit.audits.last()?;
    let own = audit.seats.iter().find(|seat| seat.auditor == operator)?;
    match own.opinion {
        Opinion::Pending if height < audit.commit_by => Some(Seat::Commit {
            by: audit.commit_by,
        }),
        Opinion::Committed { .. } if may_reveal(id, unit, height.next()) => Some(Seat::Reveal),
        Opinion::Pending | Opinion::Committed { .. } | Opinion::Revealed { .. } => None,
    }
}

/// Computes, keeps and describes checkpoint `step` from the accepted units of the step before.
async fn advance(bench: &Workbench, chain: &Chain, id: RunId, step: Step) -> Result<Checkpoint> {
    let before = step.saturating_sub(1);
    let (recipe, start, accepted) = chain.view(|view| {
        let recipe = run::recipe(view, id);
        let start = run::agreed(view, id, before).map(|agreed| agreed.checkpoint);
        (
            recipe,
            start,
            unit::accepted(view, id, before, UnitKind::Gradient),
        )
    });
    let recipe = recipe.context("no such run")?;
    let model = bench.model(&recipe, start.as_ref()).await?;
    let outer = bench.outer(&recipe, start.as_ref()).await?;
    let mut updates = Vec::with_capacity(accepted.len());
    for (unit, _, commitment) in accepted {
        let bytes = bench.blob(commitment.blob, commitment.blob_bytes).await?;
        let payload = gradient::Payload::decode(&bytes)
            .with_context(|| format!("unit {unit} was accepted with a malformed blob"))?;
        updates.push(payload);
    }
    let device = bench.device();
    let computed = bench.compute(Work::Checkpoint, move || {
        let next =
            verifier::checkpoint::advance(&recipe, before, &model.parameters, &outer, &updates)?;
        let evaluation = if recipe.is_evaluated(step) {
            Some(verifier::checkpoint::evaluate(
                &recipe,
                &next.model,
                &device,
            )?)
        } else {
            None
        };
        let files = (next.model.to_safetensors(), next.outer.to_safetensors());
        let weights = file::name(next.model.as_slice());
        anyhow::Ok((next.model, files, weights, evaluation))
    });
    let (parameters, (model_file, outer_file), weights, evaluation) = computed.await??;
    let model_id = CheckpointId::of(&model_file);
    bench.keep(&model_file).await?;
    let outer_id = bench.keep(&outer_file).await?;
    bench.remember(Arc::new(Model {
        id: model_id,
        parameters,
    }));
    Ok(Checkpoint {
        run: id,
        step,
        model: model_id,
        model_bytes: model_file.len() as u64,
        weights: BlobId::from_bytes(weights),
        outer: outer_id,
        outer_bytes: outer_file.len() as u64,
        evaluation,
    })
}
