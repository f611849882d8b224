//! Driving a step: units are bound, attested, drawn, judged; checkpoints are attested.

use super::{Chain, opening, registration, seals, sketch};
use ledger_state::{
    Event,
    bond::Miner,
    run::{self, Run, Stage},
    task,
    unit::{Draw, Opinion, Outcome, Unit},
};
use protocol::{
    Address, BlobId, CheckpointId, Nonce, RunId, SigningKey, Step,
    checkpoint::{Checkpoint, Evaluation},
    codec::BoundedVec,
    gradient,
    rollout::{Equivocation, Root, Sketch, Totals},
    task::{UnitId, UnitKind},
    transaction::{Body, Commitment, Transaction, Unverified},
    verdict::{self, Check, Finding, Verdict},
};

/// The only run.
pub(crate) const RUN: RunId = RunId::new(0);

/// What an auditor says; nothing when it is silent.
pub(crate) type Answer = Option<Verdict>;

/// Every check holds.
pub(crate) fn accepting() -> Verdict {
    Verdict::new(vec![
        Finding::exact(Check::Encoding, 0),
        Finding::exact(Check::Sampling, 0),
    ])
    .unwrap()
}

/// One check fails.
pub(crate) fn rejecting(check: Check, measured: u64) -> Verdict {
    let found = Finding::exact(check, measured);
    Verdict::new(vec![Finding::exact(Check::Encoding, 0), found]).unwrap()
}

/// Sums that are possible under the test recipe.
pub(super) fn totals() -> Totals {
    Totals {
        samples_count: 4,
        tokens_count: 40,
        reward_micro: 1_500_000,
        exact_count: 1,
    }
}

/// A commitment whose claim is possible under the test recipe, and whose root can be opened.
pub(crate) fn commitment_body(chain: &Chain, unit: UnitId) -> Body {
    let blob = BlobId::of(unit.to_string().as_bytes());
    let blob_bytes = 1_000;
    match unit.kind {
        UnitKind::Rollout => {
            let state: Option<Unit> = chain.view().get(&unit);
            let root = state.map(|state| opening(chain, unit).root(state.miner));
            Body::CommitRollouts {
                unit,
                root: root.unwrap_or(Root::from_bytes([0; 32])),
                blob,
                blob_bytes,
                totals: totals(),
            }
        }
        UnitKind::Gradient => Body::CommitGradient {
            unit,
            root: gradient_root(chain, unit),
            blob,
            blob_bytes,
            tokens_count: 64,
            loss_micro: 2_000_000,
            feedback: feedback(chain, unit),
        },
    }
}

/// What a unit's update is said to have lost, where the recipe has feedback.
pub(crate) fn feedback(chain: &Chain, unit: UnitId) -> Option<BlobId> {
    let recipe = run::recipe(&chain.view(), RUN).unwrap();
    let decay = recipe.update(unit.step).feedback_decay();
    decay.map(|_| BlobId::of(format!("lost by {unit}").as_bytes()))
}

fn gradient_root(chain: &Chain, unit: UnitId) -> Root {
    let state: Option<Unit> = chain.view().get(&unit);
    let recipe = run::recipe(&chain.view(), RUN).unwrap();
    let count = recipe.segments(unit.step).count();
    let root = state.and_then(|state| gradient::root(&seals(chain, unit, (state.miner, count))));
    root.unwrap_or(Root::from_bytes([0; 32]))
}

/// Two commitments to a unit that one key signed.
pub(crate) fn equivocation(chain: &Chain, unit: UnitId, signer: &SigningKey) -> Equivocation {
    let signed = |byte| {
        let mut body = commitment_body(chain, unit);
        if let Body::CommitRollouts { root, .. } = &mut body {
            *root = Root::from_bytes([byte; 32]);
        }
        let content = Transaction::new(chain.id, signer.address(), Nonce::new(byte.into()), body);
        content.sign(signer)
    };
    let (first, second) = (signed(1), signed(2));
    let half = |signed: &Unverified| (signed.claimed().clone(), signed.signature());
    let (first, second) = (half(&first), half(&second));
    Equivocation::of((&first.0, first.1), (&second.0, second.1)).unwrap()
}

/// Binds a verdict with a sketch, and opens it.
pub(crate) fn sketched_bodies(
    auditor: &SigningKey,
    unit: UnitId,
    verdict: Verdict,
    sketch: Option<Sketch>,
) -> (Body, Body) {
    let salt = *blake3::hash(unit.to_string().as_bytes()).as_bytes();
    let commitment = verdict::commitment(auditor.address(), unit, (&verdict, sketch), &salt);
    let bind = Body::AuditCommit {
        unit,
        sortition: None,
        commitment: Commitment::from_bytes(commitment),
    };
    let salt = Commitment::from_bytes(salt);
    let open = Body::AuditReveal {
        unit,
        verdict,
        sketch,
        salt,
    };
    (bind, open)
}

/// Reading.
impl Chain {
    /// The run's progress.
    pub(crate) fn run(&self) -> Run {
        self.view().get(&RUN).unwrap()
    }
    /// The current step's units.
    pub(crate) fn units(&self) -> Vec<(UnitId, Unit)> {
        task::units(&self.view(), RUN, self.run().step)
    }
    /// The current step's units of one kind.
    pub(crate) fn units_of(&self, kind: UnitKind) -> Vec<UnitId> {
        let ids = self.units().into_iter().map(|(id, _)| id);
        ids.filter(|id| id.kind == kind).collect()
    }
    /// The current step's units of one miner.
    pub(crate) fn units_of_miner(&self, miner: usize) -> Vec<UnitId> {
        let address = self.miners[miner].address();
        let units = self.units().into_iter();
        let own = units.filter(|(_, unit)| unit.miner == address);
        own.map(|(id, _)| id).collect()
    }
    /// A unit.
    pub(crate) fn unit(&self, id: UnitId) -> Unit {
        self.view().get(&id).unwrap()
    }
    /// How a unit ended.
    pub(crate) fn outcome(&self, id: UnitId) -> Option<Outcome> {
        self.unit(id).outcome()
    }
    /// Whether a unit was accepted.
    pub(crate) fn is_accepted(&self, id: UnitId) -> bool {
        self.unit(id).is_accepted()
    }
    /// A miner's record.
    pub(crate) fn miner_record(&self, index: usize) -> Miner {
        self.view().get(&self.miners[index].address()).unwrap()
    }
    /// The record of a unit's miner.
    pub(crate) fn miner_record_of(&self, id: UnitId) -> Miner {
        self.view().get(&self.unit(id).miner).unwrap()
    }
    /// Whether units are being computed.
    pub(crate) fn is_working(&self) -> bool {
        matches!(self.run().stage, Stage::Working { .. })
    }
    /// Whether the next checkpoint is due.
    pub(crate) fn is_attesting(&self) -> bool {
        matches!(self.run().stage, Stage::Attesting { .. })
    }
    /// Which validators sit in a unit's current round.
    pub(crate) fn seats(&self, id: UnitId) -> Vec<SigningKey> {
        let unit = self.unit(id);
        let audit = unit.audits.last().unwrap();
        let keys = audit.seats.iter().map(|seat| self.key_of(seat.auditor));
        keys.collect()
    }
    /// How often something happened.
    pub(crate) fn count(&self, matches: impl Fn(&Event) -> bool) -> usize {
        self.log.iter().filter(|(_, event)| matches(event)).count()
    }
}

/// Doing.
impl Chain {
    /// Registers every miner.
    pub(crate) fn register_miners(&mut self) {
        let register = |key: &SigningKey| (key.clone(), registration(key, 10_000));
        let content = self.miners.iter().map(register).collect();
        self.block(content);
    }
    /// Registers one miner.
    pub(crate) fn register_miner(&mut self, index: usize) {
        let key = self.miner(index);
        let body = registration(&key, 10_000);
        self.block(vec![(key, body)]);
    }
    /// Waits for the assignment of the current step.
    pub(crate) fn open_step(&mut self) {
        self.wait_until("the assignment", Self::is_working);
    }
    /// Binds units, each by its miner.
    pub(crate) fn commit(&mut self, ids: &[UnitId]) {
        let bind = |id: &UnitId| {
            (
                self.key_of(self.unit(*id).miner),
                commitment_body(self, *id),
            )
        };
        let content = ids.iter().map(bind).collect();
        self.block(content);
    }
    /// Binds all units of the current step.
    pub(crate) fn commit_all(&mut self) -> Vec<UnitId> {
        let ids: Vec<UnitId> = self.units().into_iter().map(|(id, _)| id).collect();
        self.commit(&ids);
        ids
    }
    /// These validators attest that they hold units' blobs.
    pub(crate) fn attest(&mut self, validators: &[usize], ids: &[UnitId]) {
        let units = BoundedVec::new(ids.to_vec()).unwrap();
        let attest = |index: &usize| {
            let units = units.clone();
            (self.operator(*index), Body::AttestBlobs { units })
        };
        let content = validators.iter().map(attest).collect();
        self.block(content);
    }
    /// Every validator attests.
    pub(crate) fn attest_by_all(&mut self, ids: &[UnitId]) {
        let everyone: Vec<usize> = (0..self.validators.len()).collect();
        self.attest(&everyone, ids);
    }
    /// Waits for the draw about these units.
    pub(crate) fn draw(&mut self, ids: &[UnitId]) {
        let is_drawn = |chain: &Self, id: &UnitId| {
            let commitment = chain.unit(*id).commitment.unwrap();
            commitment.draw != Draw::Pending
        };
        self.wait_until("the draw", |chain| ids.iter().all(|id| is_drawn(chain, id)));
    }
    /// Auditors of a unit's current round bind their answers.
    pub(crate) fn bind(&mut self, id: UnitId, answer: impl Fn(&SigningKey) -> Answer) {
        let content = self.answers(id, answer).into_iter();
        let content = content.map(|(key, bind, _)| (key, bind)).collect();
        self.block(content);
    }
    /// And open them.
    pub(crate) fn reveal(&mut self, id: UnitId, answer: impl Fn(&SigningKey) -> Answer) {
        let content = self.answers(id, answer).into_iter();
        let content = content.map(|(key, _, open)| (key, open)).collect();
        self.block(content);
    }
    /// Binds a verdict, and opens it, by an auditor that did the work of a rollout unit, or that of
    /// the first segment of a gradient unit.
    pub(crate) fn audit_bodies(
        &self,
        auditor: &SigningKey,
        unit: UnitId,
        verdict: Verdict,
    ) -> (Body, Body) {
        let sketch = match unit.kind {
            UnitKind::Rollout => sketch(),
            UnitKind::Gradient => self.state_at(unit, 1).sketch(),
        };
        sketched_bodies(auditor, unit, verdict, Some(sketch))
    }
    fn answers(
        &self,
        id: UnitId,
        answer: impl Fn(&SigningKey) -> Answer,
    ) -> Vec<(SigningKey, Body, Body)> {
        let answered = self.seats(id).into_iter().filter_map(|key| {
            let (bind, open) = self.audit_bodies(&key, id, answer(&key)?);
            Some((key, bind, open))
        });
        answered.collect()
    }
    /// A whole round of judging a unit.
    pub(crate) fn judge(&mut self, id: UnitId, answer: impl Fn(&SigningKey) -> Answer) {
        self.bind(id, &answer);
        self.reveal(id, &answer);
    }
    /// Waits until a unit's round of judging is drawn, the first being 0.
    pub(crate) fn seated(&mut self, id: UnitId, round: usize) {
        let is_seated = |chain: &Self| chain.unit(id).audits.len() > round;
        self.wait_until("the next round", is_seated);
    }
    /// Climbs the ladder to a round by disagreement: the first auditor rejects, then the last of
    /// three accepts, then half of the committee does.
    pub(crate) fn climb_to(&mut self, id: UnitId, round: usize, wrong: &Verdict) {
        for current in 0..round {
            let seats = self.seats(id);
            let accepting_count = [0, 1, seats.len() / 2][current];
            let from = seats.len() - accepting_count;
            let accepts: Vec<Address> = seats[from..].iter().map(SigningKey::address).collect();
            self.judge(id, |key| {
                let accepts = accepts.contains(&key.address());
                Some(if accepts { accepting() } else { wrong.clone() })
            });
            self.seated(id, current + 1);
        }
    }
    /// A unit is convicted by the first two rounds, and its miner does not appeal.
    pub(crate) fn convict(&mut self, id: UnitId, wrong: &Verdict) {
        self.judge(id, |_| Some(wrong.clone()));
        self.seated(id, 1);
        self.judge(id, |_| Some(wrong.clone()));
        assert!(self.unit(id).conviction.is_some());
        self.wait_until("the slash", |chain| chain.outcome(id).is_some());
    }
    /// The unit's miner appeals.
    pub(crate) fn appeal(&mut self, id: UnitId) -> Vec<Event> {
        let miner = self.key_of(self.unit(id).miner);
        self.block(vec![(miner, Body::Appeal { unit: id })])
    }
    /// Every open audit is answered by acceptance, in two blocks.
    pub(crate) fn accept_all(&mut self) {
        let pending = |unit: &Unit| {
            let round = unit.audits.last().filter(|_| unit.outcome().is_none());
            let seats = round.into_iter().flat_map(|audit| &audit.seats);
            let pending = seats.filter(|seat| seat.opinion == Opinion::Pending);
            pending.map(|seat| seat.auditor).collect::<Vec<_>>()
        };
        let mut binds = Vec::new();
        let mut opens = Vec::new();
        for (id, unit) in self.units() {
            for auditor in pending(&unit) {
                let key = self.key_of(auditor);
                let (bind, open) = self.audit_bodies(&key, id, accepting());
                binds.push((key.clone(), bind));
                opens.push((key, open));
            }
        }
        self.block(binds);
        self.block(opens);
    }
    /// The checkpoint that honest validators would attest next.
    pub(crate) fn next_checkpoint(&self) -> Checkpoint {
        let step: Step = self.run().step.next();
        let recipe = run::recipe(&self.view(), RUN).unwrap();
        let evaluation = recipe.is_evaluated(step).then_some(Evaluation {
            prompts_count: 4,
            exact_count: 1,
        });
        Checkpoint {
            run: RUN,
            step,
            model: CheckpointId::of(format!("model {step}").as_bytes()),
            model_bytes: 4_096,
            weights: BlobId::of(format!("weights {step}").as_bytes()),
            outer: BlobId::of(format!("outer {step}").as_bytes()),
            outer_bytes: 4_096,
            evaluation,
        }
    }
    /// Every validator attests the next checkpoint, until they agree.
    pub(crate) fn attest_checkpoint(&mut self) {
        let checkpoint = self.next_checkpoint();
        self.attest_this(checkpoint);
    }
    /// Every validator attests this checkpoint, until they agree.
    pub(crate) fn attest_this(&mut self, checkpoint: Checkpoint) {
        for index in 0..self.validators.len() {
            if self.is_attesting() {
                let checkpoint = checkpoint.clone();
                self.block(vec![(
                    self.operator(index),
                    Body::AttestCheckpoint { checkpoint },
                )]);
            }
        }
        assert_eq!(self.run().step, checkpoint.step);
    }
    /// All units of the current step are bound, attested, drawn and accepted.
    pub(crate) fn work_honestly(&mut self) -> Vec<UnitId> {
        self.open_step();
        let ids = self.commit_all();
        self.attest_by_all(&ids);
        self.draw(&ids);
        self.accept_all();
        ids
    }
    /// A whole step in which everyone is honest.
    pub(crate) fn honest_step(&mut self) {
        self.work_honestly();
        self.wait_until("the end of the step", Self::is_attesting);
        self.attest_checkpoint();
    }
    /// A registered chain whose first step is assigned.
    pub(crate) fn working(setup: &super::Setup) -> Self {
        let mut chain = Self::start(setup);
        chain.register_miners();
        chain.open_step();
        chain
    }
    /// The same, with one unit of a miner bound, attested and drawn for audit.
    pub(crate) fn audited(setup: &super::Setup) -> (Self, UnitId) {
        let mut chain = Self::working(setup);
        let id = chain.units_of(UnitKind::Gradient)[0];
        chain.commit(&[id]);
        chain.attest_by_all(&[id]);
        chain.draw(&[id]);
        (chain, id)
    }
}
