//! A miner and auditors that really take the steps of a tiny model, one number after the other.

use crate::support::{Chain, RUN, Setup, accepting, rejecting, sketched_bodies};
use engine_trace::{
    Kind, Model, Numbers, Optimiser, Part, Program, RopeScaling, Step, Tensor, Trace,
    dispute::{answer, question},
    schedule::{correction, rate, warmup},
    update,
};
use environment::{Corpus, Environment, Row, by_name};
use governance::parameters::Name;
use ledger_state::{
    run,
    unit::Unit,
    validator::Validator,
    verdict::dispute::{self, Dispute, Move, Place, Taken, players},
};
use protocol::{
    Address, Amount, BlobId, EnvironmentHash, SigningKey,
    codec::{BoundedVec, Bytes, encode},
    gradient::{self, Moments, OpenedState, Payload, Salts, Segments, State, StateOpening},
    recipe::Recipe,
    rollout::Sketch,
    task::{RowSource, UnitId, UnitKind, row_seed},
    transaction::Body,
    verdict::{Check, Verdict},
};

/// Parameters of the model.
const PARAMETERS_COUNT: usize = 1_528;

/// Two segments of two steps.
pub(crate) fn setup() -> Setup {
    let mut setup = Setup::default();
    let recipe = &mut setup.recipe;
    recipe.environment = EnvironmentHash::from_bytes(environment().hash());
    recipe.corpus = EnvironmentHash::from_bytes(Corpus::shakespeare().hash());
    recipe.model.vocab_size = 128;
    recipe.model.hidden_size = 8;
    recipe.model.intermediate_size = 12;
    recipe.model.head_dim = 4;
    recipe.pretrain.inner_steps_count = 4;
    recipe.pretrain.segment_steps_count = 2;
    recipe.pretrain.corpus_rows_count = 1;
    recipe.pretrain.corpus_row_tokens = 5;
    recipe.pretrain.demonstration_rows_count = 2;
    recipe.pretrain.warmup_steps_count = 3;
    let weights = Values::fresh(PARAMETERS_COUNT).weights;
    recipe.initial_weights = Some(BlobId::of(&file(&weights)));
    setup.parameters.push((Name::DisputeBlocks, 40));
    setup
}

fn environment() -> &'static dyn Environment {
    by_name("sort-digits-4").unwrap()
}

/// Weights and moments.
#[derive(Clone)]
pub(crate) struct Values {
    weights: Vec<f32>,
    first: Vec<f32>,
    second: Vec<f32>,
}

pub(crate) fn file(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

impl Values {
    /// The checkpoint, and moments of zero.
    fn fresh(length: usize) -> Self {
        let mut noise = vec![0; length];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        let weight = |byte: &u8| (f32::from(*byte) - 127.5) / 512.0;
        Self {
            weights: noise.iter().map(weight).collect(),
            first: vec![0.0; length],
            second: vec![0.0; length],
        }
    }
    fn state(&self, steps_count: u32) -> State {
        let name = |values: &[f32]| BlobId::of(&file(values));
        State {
            steps_count,
            weights: name(&self.weights),
            moments: Some(Moments {
                first: name(&self.first),
                second: name(&self.second),
            }),
        }
    }
}

/// One inner step, taken.
#[derive(Clone)]
pub(crate) struct Took {
    pub(crate) trace: Trace,
    after: Values,
    pub(crate) taken: Taken,
}

/// How a miner deceives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Lie {
    /// It does not.
    No,
    /// A number of this tensor is another in every step of this index in its segment, and all
    /// that follows from it.
    Number(Kind, u32),
    /// The batch is another, likewise.
    Batch(Kind),
    /// So is what it says of the loss, and nothing else.
    Loss,
    /// So are the moments after a step, and nothing that follows.
    Moments,
    /// A byte of the update is another.
    Update,
}

/// What one unit follows from.
pub(crate) struct Task {
    pub(crate) id: UnitId,
    recipe: Recipe,
    beacon: protocol::task::Beacon,
}

impl Task {
    pub(crate) fn of(chain: &Chain, id: UnitId) -> Self {
        let view = chain.view();
        Self {
            id,
            recipe: run::recipe(&view, RUN).unwrap(),
            beacon: run::beacon(&view, RUN, id.step).unwrap(),
        }
    }
    fn segments(&self) -> Segments {
        self.recipe.segments(self.id.step)
    }
    fn program(&self, inner_step: u32) -> Program {
        let pretrain = &self.recipe.pretrain;
        let step = u64::from(inner_step);
        let factor = warmup(step, pretrain.warmup_steps_count.into());
        let part = |sequences_count, length: usize| Part {
            sequences_count,
            length: length as u64,
        };
        Program::new(Step {
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
            parts: vec![
                part(1, 4),
                part(2, Row::demonstration_length(environment())),
            ],
            optimiser: Optimiser {
                lr: rate(pretrain.learning_rate.get(), factor),
                beta1: 0.9,
                beta2: 0.99,
                eps: 1e-8,
                decay: 0.0,
                correction1: correction(0.9, step + 1),
                correction2: correction(0.99, step + 1),
                norm_max: 1.0,
            },
        })
    }
    fn rows(&self, inner_step: u32, part: usize) -> Vec<Row> {
        let (source, count) = [(RowSource::Corpus, 1), (RowSource::Demonstration, 2)][part];
        let seed = |row| row_seed(&self.beacon, self.id, inner_step, source, row);
        let row = |row: u32| match source {
            RowSource::Corpus => Row::text(Corpus::shakespeare(), &seed(row), 5),
            RowSource::Demonstration => Row::demonstration(environment(), &seed(row)),
        };
        (0..count).map(row).collect()
    }
    /// Takes an inner step.
    pub(crate) fn take(&self, inner_step: u32, before: &Values, lie: Lie) -> Took {
        let given = |tensor: Tensor| {
            let rows = || self.rows(inner_step, tensor.part).into_iter();
            let mut numbers = match tensor.kind {
                Kind::Weights => Numbers::Single(before.weights.clone()),
                Kind::FirstMoment => Numbers::Single(before.first.clone()),
                Kind::SecondMoment => Numbers::Single(before.second.clone()),
                Kind::Tokens => Numbers::Word(rows().flat_map(|row| row.tokens).collect()),
                Kind::Targets => Numbers::Word(rows().flat_map(|row| row.targets).collect()),
                _ => {
                    let counts = rows().flat_map(|row| row.counts);
                    Numbers::Single(counts.map(|counts| f32::from(u8::from(counts))).collect())
                }
            };
            if lie == Lie::Batch(tensor.kind) && tensor.part == 1 {
                let index = numbers.len() as u64 - 3;
                let number = numbers.get(index).unwrap();
                numbers.set(index, if number == 1.0 { 0.0 } else { 1.0 });
            }
            numbers
        };
        let mut trace = Trace::new(self.program(inner_step), given, &mut ()).unwrap();
        let place = |kind, trace: &Trace| {
            let tensors = trace.program().tensors();
            tensors
                .iter()
                .position(|tensor| tensor.kind == kind)
                .unwrap()
        };
        if let Lie::Number(kind, index) = lie
            && inner_step % 2 == index
        {
            trace = carried_on(&trace, place(kind, &trace));
        }
        if lie == Lie::Loss {
            let place = place(Kind::LossMicro, &trace);
            change(&mut trace, place, 0);
        }
        if lie == Lie::Moments {
            let place = trace.program().tensors().len() - 2;
            change(&mut trace, place, 5);
        }
        took(trace, inner_step + 1)
    }
}

/// The trace with a number of a tensor changed, and all that follows from it; of a number that
/// makes a difference in the end, which those that a row may not see do not.
pub(crate) fn carried_on(honest: &Trace, place: usize) -> Trace {
    let tensor = honest.program().tensors()[place];
    let last = honest.program().tensors().len() - 1;
    let indices = 0..honest.program().length(tensor);
    let mut changed = indices.rev().map(|index| {
        let mut liar = honest.clone();
        change(&mut liar, place, index);
        liar.again_from(place + 1);
        liar
    });
    let differs = |liar: &Trace| liar.bytes(last) != honest.bytes(last);
    changed.find(differs).unwrap()
}

/// Adds to a number, so that its bits change.
pub(crate) fn change(trace: &mut Trace, place: usize, index: u64) {
    let numbers = trace.numbers_mut(place).unwrap();
    let index = index.min(numbers.len() as u64 - 1);
    let number = numbers.get(index).unwrap();
    numbers.set(index, number + 1.0);
}

fn took(trace: Trace, steps_count: u32) -> Took {
    let count = trace.program().tensors().len();
    let floats = |place| {
        let bytes: Vec<u8> = trace.bytes(place);
        let (values, _) = bytes.as_chunks::<4>();
        values.iter().copied().map(f32::from_le_bytes).collect()
    };
    let after = Values {
        first: floats(count - 3),
        second: floats(count - 2),
        weights: floats(count - 1),
    };
    let (loss, _) = trace
        .bytes(count - 4)
        .as_chunks::<8>()
        .0
        .split_first()
        .map(|(loss, rest)| (f64::from_le_bytes(*loss), rest.len()))
        .unwrap();
    #[expect(clippy::cast_possible_truncation, reason = "a whole number")]
    let loss_micro = loss as i64;
    let taken = Taken {
        state: after.state(steps_count),
        loss_micro,
    };
    Took {
        trace,
        after,
        taken,
    }
}

/// A unit that a miner did, honestly or not.
pub(crate) struct Work {
    pub(crate) took: Vec<Took>,
    start: Values,
    states: Vec<State>,
    pub(crate) blob: Vec<u8>,
    payload: Payload,
}

impl Work {
    pub(crate) fn of(chain: &Chain, id: UnitId, lie: Lie) -> Self {
        let task = Task::of(chain, id);
        let count = task.program(0).model().parameters_count();
        assert_eq!(count, PARAMETERS_COUNT as u64);
        let start = Values::fresh(PARAMETERS_COUNT);
        let mut values = start.clone();
        let mut all = Vec::new();
        for inner_step in task.segments().all() {
            let took = task.take(inner_step, &values, lie);
            values = took.after.clone();
            all.push(took);
        }
        let miner = chain.unit(id).miner;
        let boundaries = 1..=task.segments().count();
        let steps_at = |boundary| task.segments().steps_at(boundary) as usize;
        let states: Vec<State> = boundaries
            .map(|boundary| all[steps_at(boundary) - 1].taken.state)
            .collect();
        let seals = (1..).zip(&states);
        let seals = seals.map(|(b, state)| state.seal(id, miner, b, Salts::OPEN.at(b)));
        let values = update::difference(&file(&start.weights), &file(&values.weights));
        let blocks = values.chunks(update::BLOCK_VALUES);
        let mut bytes: Vec<u8> = blocks
            .flat_map(|block| update::block(block).unwrap())
            .collect();
        if lie == Lie::Update {
            bytes[300] ^= 1;
        }
        let losses = all.iter().map(|took| took.taken.loss_micro).collect();
        let payload = Payload {
            unit: id,
            miner,
            tokens_count: 30,
            losses_micro: BoundedVec::new(losses).unwrap(),
            seals: BoundedVec::new(seals.collect()).unwrap(),
            update: Bytes::new(bytes).unwrap(),
        };
        Self {
            took: all,
            start,
            states,
            blob: encode(&payload),
            payload,
        }
    }
    fn opening(&self, id: UnitId, boundaries: &[u32]) -> Body {
        let tree = gradient::tree(self.payload.seals.as_slice()).unwrap();
        let open = |boundary: &u32| OpenedState {
            state: self.states[*boundary as usize - 1],
            salt: Salts::OPEN.at(*boundary),
            inclusion: tree.inclusion(boundary - 1).unwrap(),
        };
        let states = BoundedVec::new(boundaries.iter().map(open).collect()).unwrap();
        let opening = StateOpening { unit: id, states };
        Body::OpenStates { opening }
    }
}

/// A chain with a unit that is disputed.
pub(crate) struct Court {
    pub(crate) chain: Chain,
    pub(crate) id: UnitId,
    pub(crate) work: Work,
    /// The drawn segment, taken again honestly from where the miner says that it starts.
    pub(crate) honest: Vec<Took>,
}

/// What an auditor says of a liar.
pub(crate) fn wrong() -> Verdict {
    rejecting(Check::State, 1)
}

impl Court {
    /// A unit that four auditors convicted, and whose miner appeals.
    pub(crate) fn opened(lie: Lie) -> Self {
        let mut court = Self::convicted(lie, true);
        court.chain.appeal(court.id);
        court
    }
    /// The same before the appeal; maybe in a run whose initial weights the chain does not know.
    pub(crate) fn convicted(lie: Lie, is_known: bool) -> Self {
        let mut court = Self::begun(lie, is_known);
        court.first_says(wrong(), court.end_sketch());
        court.chain.judge(court.id, |_| Some(wrong()));
        assert!(court.unit().conviction.is_some());
        court
    }
    /// A unit that the first auditor found wrong and three others accepted.
    pub(crate) fn outvoted(lie: Lie) -> Self {
        let mut court = Self::begun(lie, true);
        court.first_says(wrong(), court.end_sketch());
        court.chain.judge(court.id, |_| Some(accepting()));
        court
    }
    /// A unit whose first auditor is drawn.
    pub(crate) fn begun(lie: Lie, is_known: bool) -> Self {
        let mut setup = setup();
        if !is_known {
            setup.recipe.initial_weights = None;
        }
        Self::begun_by(&setup, lie)
    }
    /// The same on a chain of another setup.
    pub(crate) fn begun_by(setup: &Setup, lie: Lie) -> Self {
        let mut chain = Chain::working(setup);
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
        let honest = replayed(&chain, &work, challenge.segment);
        Self {
            chain,
            id,
            work,
            honest,
        }
    }
    /// Where the segment ends.
    pub(crate) fn end_sketch(&self) -> Sketch {
        self.honest.last().unwrap().taken.state.sketch()
    }
    /// The first auditor judges, and three others are drawn.
    pub(crate) fn first_says(&mut self, verdict: Verdict, sketch: Sketch) {
        let (id, key) = (self.id, self.miner());
        let auditor = self.chain.seats(id)[0].clone();
        let (bind, reveal) = sketched_bodies(&auditor, id, verdict, Some(sketch));
        self.chain.block(vec![(auditor.clone(), bind)]);
        let end = self.unit().challenge.unwrap().ends_at();
        let opening = self.work.opening(id, &[end]);
        self.chain.block(vec![(key, opening)]);
        self.chain.block(vec![(auditor, reveal)]);
        self.chain.seated(id, 1);
    }
    /// The account that an auditor's bonds come from, and go back to.
    pub(crate) fn purse(&self, auditor: Address) -> Address {
        let validator: Option<Validator> = self.chain.view().get(&auditor);
        validator.unwrap().holder
    }
    /// A miner gives an auditor's holder what a bond takes.
    pub(crate) fn fund(&mut self, auditor: Address) {
        let to = self.purse(auditor);
        let amount = Amount::new(1_000);
        let gift = Body::Transfer { to, amount };
        self.chain.block(vec![(self.chain.miner(0), gift)]);
    }
    /// An auditor contests the acceptance.
    pub(crate) fn contest(&mut self, auditor: Address) {
        self.fund(auditor);
        let appeal = Body::Appeal { unit: self.id };
        self.chain.block(vec![(self.chain.key_of(auditor), appeal)]);
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
    /// The dispute, also when it is over.
    pub(crate) fn record(&self) -> Dispute {
        self.chain.view().get(&self.id).unwrap()
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
    pub(crate) fn first_step(&self) -> usize {
        let segment = self.unit().challenge.unwrap().segment;
        let recipe = run::recipe(&self.chain.view(), RUN).unwrap();
        recipe.segments(self.id.step).steps_at(segment) as usize
    }
    /// What the miner answers, by what it computed.
    pub(crate) fn defence(&self) -> Move {
        let (dispute, first) = (self.dispute().unwrap(), self.first_step());
        match &dispute.place {
            Place::Step { index, game } => {
                let trace = &self.work.took[first + *index as usize].trace;
                Move::Answer(answer(game, trace).unwrap())
            }
            _ => {
                let own = &self.work.took[first..first + self.honest.len()];
                let (_, between) = own.split_last().unwrap();
                let states = between.iter().map(|took| took.taken.state).collect();
                let steps = u32::try_from(first).unwrap();
                let steps = steps..steps + u32::try_from(own.len()).unwrap();
                players::steps(states, steps, &self.work.blob)
            }
        }
    }
    /// What a challenger that computed this asks.
    pub(crate) fn question(&self, own: &[Took]) -> Option<Move> {
        let dispute = self.dispute().unwrap();
        match &dispute.place {
            Place::Step { index, game } => {
                question(game, &own[*index as usize].trace).map(Move::Question)
            }
            _ => {
                let taken: Vec<Taken> = own.iter().map(|took| took.taken).collect();
                players::complaint(&dispute, &taken).or_else(|| self.update_complaint())
            }
        }
    }
    fn update_complaint(&self) -> Option<Move> {
        let last = self.work.took.last().unwrap();
        let files = (file(&self.work.start.weights), file(&last.after.weights));
        let start = Payload::update_byte(4, 2);
        players::update(&self.work.blob, start, (&files.0, &files.1))
    }
    /// Both sides play until somebody has lost, or has nothing to say.
    pub(crate) fn play(&mut self, own: &[Took]) {
        let challenger = self.dispute().unwrap().challenger();
        while let Some(dispute) = self.dispute() {
            if dispute.challenger() != challenger {
                return;
            }
            let key = self.turn();
            let play = if key.address() == self.unit().miner {
                Some(self.defence())
            } else {
                self.question(own)
            };
            let Some(play) = play else {
                return;
            };
            let body = self.body(&play);
            self.chain.block(vec![(key, body)]);
        }
    }
    /// Nobody moves until the time for the next move is over.
    pub(crate) fn wait(&mut self) {
        let move_by = self.dispute().unwrap().move_by;
        self.chain.wait_for(move_by.next());
    }
}

fn replayed(chain: &Chain, work: &Work, segment: u32) -> Vec<Took> {
    let task = Task::of(chain, work.payload.unit);
    let steps = task.segments().steps(segment);
    let mut values = match steps.start.checked_sub(1) {
        Some(last) => work.took[last as usize].after.clone(),
        None => work.start.clone(),
    };
    let take = |inner_step| {
        let took = task.take(inner_step, &values, Lie::No);
        values = took.after.clone();
        took
    };
    steps.map(take).collect()
}
