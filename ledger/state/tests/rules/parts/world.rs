//! A miner and auditors that really compute a part of a reinforcement unit of a tiny model, from
//! rollouts that were accepted.

use crate::{
    disputes::world::{change, file, setup as pretraining, wrong},
    support::{Chain, RUN, Setup, accepting, sketched_bodies},
    updates::rates,
};
use engine_trace::{
    Kind, Model, Numbers, Objective, Program, Reinforcement, RopeScaling, Tensor, Trace, clip,
    plan::{Group as Planned, Plan, Sample as Rated},
    tree::Opening,
    update::{BLOCK_VALUES, SCALE_BYTES, block},
};
use environment::{END_OF_SEQUENCE, Environment, Split, by_name};
use ledger_state::{
    run, task,
    unit::{Claim, Plant, Unit},
    validator::Validator,
    verdict::dispute::{
        self, Dispute, Move, Place, Taken,
        players::{self, Clipped, Part, Rollout},
    },
};
use protocol::{
    Address, Amount, BlobId, SigningKey,
    checkpoint::Checkpoint,
    codec::{BoundedVec, Bytes, encode},
    gradient::{self, OpenedState, Payload, Salts, State, StateOpening},
    recipe::Recipe,
    rollout::{self, Correction, Finish, Group, Sample, Seal, Totals},
    task::{Beacon, UnitId, UnitKind, prompt_seed},
    transaction::Body,
    verdict::Verdict,
    vrf::Output,
};

/// Parameters of the model.
const PARAMETERS_COUNT: u64 = 1_528;
/// Groups of a rollout unit, and samples of a group: so that a plan has several pieces.
const GROUPS: u32 = 4;
const SAMPLES: u32 = 3;
/// Parts of a unit.
const PARTS: u32 = 2;

fn environment() -> &'static dyn Environment {
    by_name("sort-digits-4").unwrap()
}

fn weights(seed: &str) -> Vec<f32> {
    let mut noise = vec![0; usize::try_from(PARAMETERS_COUNT).unwrap()];
    let mut hasher = blake3::Hasher::new();
    hasher
        .update(seed.as_bytes())
        .finalize_xof()
        .fill(&mut noise);
    let weight = |byte: &u8| (f32::from(*byte) - 127.5) / 512.0;
    noise.iter().map(weight).collect()
}

/// The model that drew the responses, and the one that learns.
fn models() -> [Vec<f32>; 2] {
    let [drew, moved] = ["drew", "moved"].map(weights);
    let pairs = drew.iter().zip(moved);
    let learns = pairs.map(|(drew, moved)| drew + moved * 0.05).collect();
    [drew, learns]
}

fn setup() -> Setup {
    let mut setup = pretraining();
    let recipe = &mut setup.recipe;
    recipe.initial_weights = Some(BlobId::of(&file(&models()[0])));
    // The step before is not disputed.
    (
        recipe.pretrain.inner_steps_count,
        recipe.pretrain.segment_steps_count,
    ) = (1, 1);
    recipe.reinforce.segments_count = PARTS;
    recipe.reinforce.gradient_units_count = 1;
    setup
}

/// How a miner or its challenger deceives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Lie {
    /// It does not.
    No,
    /// A number of this tensor is another, and all that follows from it.
    Number(Kind),
    /// So is the token of a prompt, or of a response.
    Token(Row),
    /// What it says of the loss, and nothing else.
    Loss,
    /// So is the sum, and nothing that follows.
    Sum,
    /// A response did better than the environment says.
    Reward,
    /// One is shorter than it is.
    Length,
    /// A group that counts is left out.
    LeftOut,
    /// The fault that a rollout's miner planted is learned from.
    Fault,
    /// A byte of the update is another.
    Block,
    /// The update is the sum, less than it should be: as if one of its values were larger.
    Norm,
}

/// The value that is said to be larger.
pub(crate) const LARGER: usize = 700;

/// What a row is of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Row {
    Prompt,
    Response,
}

/// A group, as it is learned from.
#[derive(Clone)]
struct Learned {
    prompt: Vec<u32>,
    responses: Vec<Vec<u32>>,
    rewards: Vec<u32>,
}

/// What one unit learns from.
pub(crate) struct Task {
    recipe: Recipe,
    pub(crate) rollouts: Vec<Rollout>,
    corrections: Vec<Option<Correction>>,
}

/// What a rollout's miner drew, or says that it did.
fn sample(group: u32, slot: u32, prompt: &[u32]) -> Sample {
    let mut tokens = environment().answer(prompt).unwrap();
    match (group % 3, slot) {
        // All alike.
        (2, _) => tokens = vec![tokens[3], END_OF_SEQUENCE],
        (_, 0) => (),
        (_, 1) => tokens.swap(0, 3),
        (_, 2) => tokens[4] = 0x61,
        (_, _) => tokens = vec![tokens[0], 0x62, END_OF_SEQUENCE],
    }
    let is_ended = tokens.last() == Some(&END_OF_SEQUENCE);
    Sample {
        tokens: BoundedVec::new(tokens).unwrap(),
        finish: if is_ended {
            Finish::EndOfSequence
        } else {
            Finish::Cap
        },
        // Nobody believes it.
        reward_micro: 7,
        sealed: Seal::from_bytes([9; 32]),
    }
}

fn drawn(recipe: &Recipe, beacon: &Beacon, (unit, owner): (UnitId, &Unit)) -> Rollout {
    let prompts = (0..GROUPS).map(|group| {
        let seed = prompt_seed(beacon, unit, recipe.environment, group);
        environment().prompt(&seed, Split::Train)
    });
    let prompts: Vec<Vec<u32>> = prompts.collect();
    let group = |(group, prompt): (u32, &Vec<u32>)| {
        let samples = (0..SAMPLES).map(|slot| sample(group, slot, prompt));
        Group {
            samples: BoundedVec::new(samples.collect()).unwrap(),
        }
    };
    let groups = (0..).zip(&prompts).map(group).collect();
    let payload = rollout::Payload {
        unit,
        miner: owner.miner,
        plant_seal: Seal::from_bytes([1; 32]),
        sketch_seal: Seal::from_bytes([2; 32]),
        groups: BoundedVec::new(groups).unwrap(),
        sections: None,
    };
    Rollout { payload, prompts }
}

/// What undoes the fault in a rollout: its blob has another first token.
fn planted(rollout: &mut Rollout) -> Correction {
    let mut groups = rollout.payload.groups.as_slice().to_vec();
    let mut samples = groups[3].samples.as_slice().to_vec();
    let mut tokens = samples[0].tokens.as_slice().to_vec();
    let token = std::mem::replace(&mut tokens[0], 0x63);
    samples[0].tokens = BoundedVec::new(tokens).unwrap();
    groups[3].samples = BoundedVec::new(samples).unwrap();
    rollout.payload.groups = BoundedVec::new(groups).unwrap();
    Correction {
        group: 3,
        slot: 0,
        position: 0,
        token,
        totals: Totals::default(),
    }
}

impl Task {
    /// Gives the accepted rollouts of the step before real contents, and more groups to the recipe,
    /// before the units of this step are assigned.
    fn prepare(chain: &mut Chain) {
        let mut recipe = run::recipe(&chain.view(), RUN).unwrap();
        recipe.reinforce.groups_per_unit_count = GROUPS;
        recipe.reinforce.samples_per_group_count = SAMPLES;
        chain.change(|view| view.put(&RUN, &run::RunRecipe(recipe.clone())));
        let of = UnitId {
            run: RUN,
            step: chain.run().step,
            kind: UnitKind::Gradient,
            index: 0,
        };
        let mut task = Self::of(chain, of);
        // One in each part.
        for index in [1, 3] {
            task.corrections[index] = Some(planted(&mut task.rollouts[index]));
        }
        let pairs = task.rollouts.iter().zip(&task.corrections);
        for (rollout, correction) in pairs {
            let id = rollout.payload.unit;
            let mut unit = chain.unit(id);
            let bound = rollout.payload.root(&rollout.prompts).unwrap();
            let Some(Claim::Rollout { root, .. }) = unit
                .commitment
                .as_mut()
                .map(|commitment| &mut commitment.claim)
            else {
                panic!("{id} is bound");
            };
            *root = bound;
            if let Some(correction) = correction {
                unit.opening.plant = Some(Plant::Fault {
                    correction: *correction,
                    output: Output::from_bytes([0; 32]),
                    rounds_count: 1,
                });
            }
            chain.change(|view| view.put(&id, &unit));
        }
    }
    fn of(chain: &Chain, id: UnitId) -> Self {
        let view = chain.view();
        let recipe = run::recipe(&view, RUN).unwrap();
        let before = protocol::Step::new(id.step.get() - 1);
        let beacon = run::beacon(&view, RUN, before).unwrap();
        let inputs = task::gradient_inputs(&view, id).into_iter();
        let units = inputs.map(|input| (input, view.get::<Unit>(&input).unwrap()));
        let mut task = Self {
            rollouts: Vec::new(),
            corrections: Vec::new(),
            recipe,
        };
        for (input, unit) in units {
            let mut rollout = drawn(&task.recipe, &beacon, (input, &unit));
            let correction = unit.opening.correction();
            if correction.is_some() {
                assert_eq!(Some(planted(&mut rollout)), correction);
            }
            task.rollouts.push(rollout);
            task.corrections.push(correction);
        }
        assert_eq!(task.rollouts.len(), 4);
        task
    }
    /// All groups in order, as whoever tells this lie learns from them.
    fn groups(&self, lie: Lie) -> Vec<Option<Learned>> {
        let mut groups = Vec::new();
        for (rollout, correction) in self.rollouts.iter().zip(&self.corrections) {
            let payload = match correction.filter(|_| lie != Lie::Fault) {
                Some(correction) => correction.apply(&rollout.payload).unwrap().0,
                None => rollout.payload.clone(),
            };
            for (group, prompt) in payload.groups.as_slice().iter().zip(&rollout.prompts) {
                let samples = group.samples.as_slice().iter();
                let responses = samples.map(|sample| sample.tokens.as_slice().to_vec());
                let responses: Vec<Vec<u32>> = responses.collect();
                let reward =
                    |response: &Vec<u32>| environment().reward(prompt, response).millionths();
                groups.push(Some(Learned {
                    prompt: prompt.clone(),
                    rewards: responses.iter().map(reward).collect(),
                    responses,
                }));
            }
        }
        // In both parts.
        for index in [1, 13] {
            let group = &mut groups[index];
            match (lie, group.as_mut()) {
                (Lie::Reward, Some(group)) => group.rewards[1] = 1_000_000,
                (Lie::Length, Some(group)) => {
                    group.responses[2].pop();
                }
                (Lie::LeftOut, _) => *group = None,
                _ => (),
            }
        }
        groups
    }
    fn plan(groups: &[Option<Learned>]) -> Plan {
        let planned = |group: &Learned| {
            let samples = group.responses.iter().zip(&group.rewards);
            let sample = |(response, reward): (&Vec<u32>, &u32)| Rated {
                response_count: u32::try_from(response.len()).unwrap(),
                reward_micro: *reward,
            };
            Planned {
                prompt_count: u32::try_from(group.prompt.len()).unwrap(),
                samples: samples.map(sample).collect(),
            }
        };
        let groups: Vec<_> = groups
            .iter()
            .map(|group| group.as_ref().map(planned))
            .collect();
        Plan::new(SAMPLES, &groups).unwrap()
    }
    fn program(&self, plan: &Plan, index: u32) -> Program {
        let reinforce = &self.recipe.reinforce;
        Program::reinforcement(Reinforcement {
            model: Model {
                vocab_size: 128,
                hidden_size: 8,
                intermediate_size: 12,
                layers_count: 1,
                heads_count: 2,
                key_heads_count: 1,
                head_dim: 4,
                eps: 1e-6,
                rope_theta: 10_000.0,
                rope_scaling: RopeScaling::Default,
                has_biases: false,
                has_head_norms: false,
                is_tied: true,
            },
            sequences: plan.sequences(index, PARTS, reinforce.advantage_floor.get()),
            objective: Objective {
                clip_low: 0.2,
                clip_high: 0.2,
                delta: 4.0,
                temperature: 1.0,
                normaliser: plan.normaliser(),
                parts_count: PARTS,
            },
        })
    }
    /// Computes a part from the sum before it.
    pub(crate) fn part(&self, index: u32, before: Option<&[f32]>, lie: Lie) -> Computed {
        let groups = self.groups(lie);
        let plan = Self::plan(&groups);
        let program = self.program(&plan, index);
        let mut tokens = Vec::new();
        for place in plan.places(index, PARTS) {
            let group = groups[(place / SAMPLES) as usize].as_ref().unwrap();
            tokens.extend(&group.prompt);
            tokens.extend(&group.responses[(place % SAMPLES) as usize]);
        }
        match lie {
            Lie::Token(Row::Prompt) => tokens[1] ^= 1,
            Lie::Token(Row::Response) => tokens[6] ^= 1,
            _ => (),
        }
        let zeros = vec![0.0; usize::try_from(PARAMETERS_COUNT).unwrap()];
        let [drew, learns] = models();
        let given = |tensor: Tensor| match tensor.kind {
            Kind::Weights => Numbers::Single(learns.clone()),
            Kind::BehaviourWeights => Numbers::Single(drew.clone()),
            Kind::SumBefore => Numbers::Single(before.unwrap_or(&zeros).to_vec()),
            _ => Numbers::Word(tokens.clone()),
        };
        let mut trace = Trace::new(program, given, &mut ()).unwrap();
        let tensors = trace.program().tensors().to_vec();
        let place = |kind| {
            tensors
                .iter()
                .position(|tensor| tensor.kind == kind)
                .unwrap()
        };
        match lie {
            Lie::Number(kind) => trace = carried_on(&trace, place(kind)),
            Lie::Loss => change(&mut trace, place(Kind::LossMicro), 0),
            Lie::Sum => change(&mut trace, place(Kind::SumAfter), 700),
            _ => (),
        }
        Computed::of(trace, plan, index, &self.rollouts)
    }
}

/// The trace with a number of a tensor changed, and all that follows from it; of a number that
/// makes a difference in the end, which those of rows that predict nothing do not.
fn carried_on(honest: &Trace, place: usize) -> Trace {
    let tensor = honest.program().tensors()[place];
    let indices = 0..honest.program().length(tensor);
    let mut changed = indices.map(|index| {
        let mut liar = honest.clone();
        change(&mut liar, place, index);
        liar.again_from(place + 1);
        liar
    });
    let results = |trace: &Trace| engine_trace::dispute::Claim::of(trace).results;
    let differs = |liar: &Trace| results(liar) != results(honest);
    changed.find(differs).unwrap()
}

/// One part, computed.
#[derive(Clone)]
pub(crate) struct Computed {
    pub(crate) part: Part,
    sum: Vec<f32>,
    pub(crate) taken: Taken,
}

impl Computed {
    fn of(trace: Trace, plan: Plan, index: u32, rollouts: &[Rollout]) -> Self {
        let count = trace.program().tensors().len();
        let sum = trace.bytes(count - 1);
        let (sum, _) = sum.as_chunks::<4>();
        let sum: Vec<f32> = sum.iter().copied().map(f32::from_le_bytes).collect();
        let loss = trace.bytes(count - 2);
        let loss = f64::from_le_bytes(loss.try_into().unwrap());
        #[expect(clippy::cast_possible_truncation, reason = "a whole number")]
        let loss_micro = loss as i64;
        let state = State {
            steps_count: index + 1,
            weights: BlobId::of(&file(&sum)),
            moments: None,
        };
        Self {
            part: Part {
                trace,
                plan,
                index,
                parts_count: PARTS,
                rollouts: rollouts.to_vec(),
            },
            sum,
            taken: Taken { state, loss_micro },
        }
    }
}

/// A unit that a miner did, honestly or not.
pub(crate) struct Work {
    pub(crate) parts: Vec<Computed>,
    blob: Vec<u8>,
    payload: Payload,
    /// What it says that its update follows from.
    pub(crate) clipped: Clipped,
}

/// A sum, as who tells this lie has it.
fn said(sum: &[f32], lie: Lie) -> Vec<f32> {
    let mut said = sum.to_vec();
    if lie == Lie::Norm {
        said[LARGER] = 100.0;
    }
    said
}

/// What a unit that ends with this sum sends.
fn update(sum: &[f32], lie: Lie) -> Vec<u8> {
    let factor = clip::factor(clip::lanes(&said(sum, lie)).map(f64::from_bits));
    let blocks = sum.chunks(BLOCK_VALUES).flat_map(|values| {
        let values: Vec<f32> = values.iter().map(|value| value * factor).collect();
        block(&values).unwrap()
    });
    let mut update: Vec<u8> = blocks.collect();
    if lie == Lie::Block {
        update[2 * (BLOCK_VALUES + SCALE_BYTES) + 9] ^= 1;
    }
    update
}

impl Work {
    fn of(chain: &Chain, id: UnitId, lie: Lie) -> Self {
        let task = Task::of(chain, id);
        let mut parts: Vec<Computed> = Vec::new();
        for index in 0..PARTS {
            let before = parts.last().map(|last| last.sum.clone());
            parts.push(task.part(index, before.as_deref(), lie));
        }
        let miner = chain.unit(id).miner;
        let seals = (1..).zip(&parts).map(|(boundary, part)| {
            let salt = Salts::OPEN.at(boundary);
            part.taken.state.seal(id, miner, boundary, salt)
        });
        let losses = parts.iter().map(|part| part.taken.loss_micro).collect();
        let payload = Payload {
            unit: id,
            miner,
            tokens_count: parts[0].part.plan.sums().tokens,
            losses_micro: BoundedVec::new(losses).unwrap(),
            seals: BoundedVec::new(seals.collect()).unwrap(),
            update: Bytes::new(update(&parts[1].sum, lie)).unwrap(),
        };
        let blob = encode(&payload);
        Self {
            clipped: Clipped {
                sum: file(&said(&parts[1].sum, lie)),
                blob: blob.clone(),
                update_byte: Payload::update_byte(PARTS, PARTS),
            },
            blob,
            parts,
            payload,
        }
    }
    fn opening(&self, id: UnitId, boundaries: &[u32]) -> Body {
        let tree = gradient::tree(self.payload.seals.as_slice()).unwrap();
        let open = |boundary: &u32| OpenedState {
            state: self.parts[*boundary as usize - 1].taken.state,
            salt: Salts::OPEN.at(*boundary),
            inclusion: tree.inclusion(boundary - 1).unwrap(),
        };
        let states = BoundedVec::new(boundaries.iter().map(open).collect()).unwrap();
        let opening = StateOpening { unit: id, states };
        Body::OpenStates { opening }
    }
}

/// A chain with a reinforcement unit that is disputed.
pub(crate) struct Court {
    pub(crate) chain: Chain,
    pub(crate) id: UnitId,
    pub(crate) work: Work,
    pub(crate) task: Task,
    /// The drawn part, computed honestly from where the miner says that it starts.
    pub(crate) honest: Computed,
}

impl Court {
    /// A unit that four auditors convicted, and whose miner appeals.
    pub(crate) fn opened(lie: Lie) -> Self {
        let mut court = Self::convicted(lie, wrong());
        court.chain.appeal(court.id);
        court
    }
    /// A unit of which the update alone was drawn, and found to be wrong.
    pub(crate) fn checked(lie: Lie, verdict: &Verdict) -> Self {
        let mut court = Self::begun(lie, true);
        assert!(court.unit().is_update_checked());
        court.says(verdict);
        court.chain.seated(court.id, 1);
        court.says(verdict);
        assert!(court.unit().conviction.is_some());
        court.chain.appeal(court.id);
        court
    }
    /// The auditors of the round say this of the update.
    fn says(&mut self, verdict: &Verdict) {
        let round = self.chain.seats(self.id);
        for reveals in [false, true] {
            let bodies = round.iter().map(|key| {
                let (bind, reveal) = sketched_bodies(key, self.id, verdict.clone(), None);
                (key.clone(), if reveals { reveal } else { bind })
            });
            let bodies = bodies.collect();
            self.chain.block(bodies);
        }
    }
    /// The same before the appeal, of what this verdict says.
    pub(crate) fn convicted(lie: Lie, verdict: Verdict) -> Self {
        let mut court = Self::begun(lie, false);
        court.first_says(verdict.clone());
        court.chain.judge(court.id, |_| Some(verdict.clone()));
        assert!(court.unit().conviction.is_some());
        court
    }
    /// A unit that the first auditor found wrong and three others accepted.
    pub(crate) fn outvoted(lie: Lie) -> Self {
        let mut court = Self::begun(lie, false);
        court.first_says(wrong());
        court.chain.judge(court.id, |_| Some(accepting()));
        court
    }
    fn begun(lie: Lie, is_update: bool) -> Self {
        let mut chain = Chain::working(&setup());
        let ids = chain.commit_all();
        chain.attest_by_all(&ids);
        chain.draw(&ids);
        chain.accept_all();
        chain.wait_until("the end of the step", Chain::is_attesting);
        let checkpoint = Checkpoint {
            weights: BlobId::of(&file(&models()[1])),
            ..chain.next_checkpoint()
        };
        chain.attest_this(checkpoint);
        Task::prepare(&mut chain);
        if is_update {
            chain.change(|view| {
                let mut parameters = run::parameters(view);
                for (name, value) in rates(1_000_000) {
                    parameters.set(name, value).unwrap();
                }
                view.put(&(), &run::InForce(parameters));
            });
        }
        chain.open_step();
        let id = chain.units_of(UnitKind::Gradient)[0];
        let work = Work::of(&chain, id, lie);
        let key = chain.key_of(work.payload.miner);
        let commit = Body::CommitGradient {
            unit: id,
            root: work.payload.root().unwrap(),
            blob: BlobId::of(&work.blob),
            blob_bytes: work.blob.len() as u64,
            tokens_count: work.payload.tokens_count,
            loss_micro: work.payload.loss_micro(),
            feedback: None,
        };
        chain.block(vec![(key.clone(), commit)]);
        chain.attest_by_all(&[id]);
        chain.opens = false;
        chain.draw(&[id]);
        let challenge = chain.unit(id).challenge.unwrap();
        if !challenge.needed().is_empty() {
            chain.block(vec![(key, work.opening(id, &challenge.needed()))]);
        }
        chain.seated(id, 0);
        let task = Task::of(&chain, id);
        // Where no part is judged, any is as good.
        let segment = challenge.segment.min(PARTS - 1);
        let honest = honestly(&task, &work, segment, Lie::No);
        Self {
            chain,
            id,
            work,
            task,
            honest,
        }
    }
    /// The first auditor judges, and three others are drawn.
    fn first_says(&mut self, verdict: Verdict) {
        let (id, key) = (self.id, self.miner());
        let auditor = self.chain.seats(id)[0].clone();
        let sketch = self.honest.taken.state.sketch();
        let (bind, reveal) = sketched_bodies(&auditor, id, verdict, Some(sketch));
        self.chain.block(vec![(auditor.clone(), bind)]);
        let end = self.unit().challenge.unwrap().ends_at();
        let opening = self.work.opening(id, &[end]);
        self.chain.block(vec![(key, opening)]);
        self.chain.block(vec![(auditor, reveal)]);
        self.chain.seated(id, 1);
    }
    /// The drawn part as a challenger computes it that tells a lie.
    pub(crate) fn lying(&self, lie: Lie) -> Computed {
        honestly(&self.task, &self.work, self.segment(), lie)
    }
    pub(crate) fn segment(&self) -> u32 {
        self.unit().challenge.unwrap().segment
    }
    pub(crate) fn unit(&self) -> Unit {
        self.chain.unit(self.id)
    }
    pub(crate) fn miner(&self) -> SigningKey {
        self.chain.key_of(self.unit().miner)
    }
    /// The dispute, until it is over.
    pub(crate) fn dispute(&self) -> Option<Dispute> {
        dispute::open_of(&self.chain.view(), self.id, &self.unit())
    }
    /// The key of who owes a move.
    pub(crate) fn turn(&self) -> SigningKey {
        let turn = self.dispute().unwrap().turn(self.unit().miner);
        self.chain.key_of(turn.unwrap())
    }
    pub(crate) fn body(&self, play: &Move) -> Body {
        Body::Dispute {
            unit: self.id,
            play: play.encode().unwrap(),
        }
    }
    /// What the miner answers, by what it computed.
    pub(crate) fn defence(&self) -> Move {
        let dispute = self.dispute().unwrap();
        let segment = self.segment();
        match &dispute.place {
            Place::Steps => players::steps(Vec::new(), segment..segment + 1, &self.work.blob),
            place @ Place::Norm(_) => self.work.clipped.answer(place).unwrap(),
            _ => self.work.parts[segment as usize]
                .part
                .answer(&dispute)
                .unwrap(),
        }
    }
    /// What a challenger that computed this asks.
    pub(crate) fn question(&self, own: &Computed) -> Option<Move> {
        let dispute = self.dispute().unwrap();
        match &dispute.place {
            Place::Complaint => {
                let about_steps = players::complaint(&dispute, &[own.taken]);
                about_steps.or_else(|| self.clipped().complaint())
            }
            place @ Place::Norm(_) => self.clipped().question(place),
            _ => own.part.question(&dispute),
        }
    }
    /// What the update follows from, as it should.
    fn clipped(&self) -> Clipped {
        Clipped {
            sum: file(&self.work.parts[1].sum),
            ..self.work.clipped.clone()
        }
    }
    /// What a challenger says that made up another norm: it can show no other sum.
    pub(crate) fn made_up(&self) -> Move {
        let (dispute, right) = (self.dispute().unwrap(), self.clipped());
        let liar = Clipped {
            sum: file(&said(&self.work.parts[1].sum, Lie::Norm)),
            ..right.clone()
        };
        let opened = |opening: &Opening| Opening::of(&right.sum, opening.piece * 1_024);
        match dispute.place {
            Place::Complaint => match liar.complaint().unwrap() {
                Move::Block(mut shown) => {
                    shown.sum = opened(&shown.sum);
                    Move::Block(shown)
                }
                other => panic!("{other:?}"),
            },
            place => match liar.question(&place).unwrap() {
                Move::Square(shown) => Move::Square(Box::new(opened(&shown))),
                other => other,
            },
        }
    }
    /// Both sides play until somebody has lost, or has nothing to say; the moves.
    pub(crate) fn play(&mut self, own: &Computed) -> Vec<Move> {
        let challenger = self.dispute().unwrap().challenger();
        let mut moves = Vec::new();
        while let Some(dispute) = self.dispute() {
            if dispute.challenger() != challenger {
                break;
            }
            let key = self.turn();
            let play = if key.address() == self.unit().miner {
                Some(self.defence())
            } else {
                self.question(own)
            };
            let Some(play) = play else {
                break;
            };
            let body = self.body(&play);
            self.chain.block(vec![(key, body)]);
            moves.push(play);
        }
        moves
    }
    /// An auditor contests the acceptance, with a bond that a miner gives its holder.
    pub(crate) fn contest(&mut self, auditor: Address) {
        let validator: Option<Validator> = self.chain.view().get(&auditor);
        let gift = Body::Transfer {
            to: validator.unwrap().holder,
            amount: Amount::new(1_000),
        };
        self.chain.block(vec![(self.chain.miner(0), gift)]);
        let appeal = Body::Appeal { unit: self.id };
        self.chain.block(vec![(self.chain.key_of(auditor), appeal)]);
    }
    /// Nobody moves until the time for the next move is over.
    pub(crate) fn wait(&mut self) {
        let move_by = self.dispute().unwrap().move_by;
        self.chain.wait_for(move_by.next());
    }
}

fn honestly(task: &Task, work: &Work, segment: u32, lie: Lie) -> Computed {
    let before = segment.checked_sub(1);
    let before = before.map(|last| work.parts[last as usize].sum.as_slice());
    task.part(segment, before, lie)
}
