//! A unit whose sparse update was drawn for a check, from weights that nobody need have trained.

use crate::{
    disputes::world::{file, setup},
    support::{Chain, accepting, rejecting, sketched_bodies},
    updates::rates,
};
use engine_trace::{
    sparse::{CHUNK_VALUES, Chunk, chunk_bytes, sum},
    tree::{Opening, PIECE_BYTES},
    update::difference,
};
use ledger_state::{
    unit::Unit,
    validator::Validator,
    verdict::dispute::{self, Claimed, Dispute, Move, Place, Proof, Shown, players::Exchange},
};
use protocol::{
    Address, Amount, BlobId, Micro, SigningKey,
    codec::{BoundedVec, Bytes, encode},
    gradient::{self, Moments, OpenedState, Payload, Salts, State, StateOpening},
    recipe::UpdateForm,
    task::{UnitId, UnitKind},
    transaction::Body,
    verdict::{Check, Verdict},
};

/// Two whole chunks, and one of 2 552 values.
pub(crate) const VALUES_COUNT: usize = 10_744;
const DECAY: f32 = 0.95;
const SPARSE: UpdateForm = UpdateForm::Sparse {
    feedback_decay: Micro::new(950_000),
};

/// What a miner says that is not so, in its second chunk.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Lie {
    /// The scale is another.
    Scale,
    /// A code is doubled that is not, or the other way round.
    Code,
    /// A sign is another.
    Sign,
    /// The bytes end in bits that mean nothing.
    Padding,
    /// A value that is sent is larger than it was, consistently.
    Larger,
    /// The largest value is left out, consistently.
    Left,
    /// Fewer values are sent than may be, consistently.
    Fewer,
    /// A weight is infinite, and its value is passed over.
    Infinite,
    /// The update is right; what it lost is another at an index.
    Lost(usize),
}

impl Lie {
    pub(super) const ALL: [Self; 10] = [
        Self::Scale,
        Self::Code,
        Self::Sign,
        Self::Padding,
        Self::Larger,
        Self::Left,
        Self::Fewer,
        Self::Infinite,
        Self::Lost(0),
        Self::Lost(VALUES_COUNT - 1),
    ];
}

fn noise(name: &str) -> Vec<f32> {
    let mut bytes = vec![0; 2 * VALUES_COUNT];
    let mut hasher = blake3::Hasher::new();
    hasher.update(name.as_bytes());
    hasher.finalize_xof().fill(&mut bytes);
    let (pairs, _) = bytes.as_chunks::<2>();
    let value = |pair: &[u8; 2]| f32::from(i16::from_le_bytes(*pair)) / 65_536.0;
    pairs.iter().map(value).collect()
}

/// What one side has, and says.
pub(super) struct Side {
    pub(super) exchange: Exchange,
    /// What it says that the update lost.
    lost: Vec<u8>,
    /// The values that it says were compressed.
    values: Vec<f32>,
}

impl Side {
    /// The complaint about a chunk, wrong or not.
    pub(super) fn claim(&self, chunk: u32) -> Claimed {
        let start = self.exchange.update_byte + u64::from(chunk) * chunk_bytes(CHUNK_VALUES) as u64;
        let values = self
            .values
            .chunks(CHUNK_VALUES)
            .nth(chunk as usize)
            .unwrap();
        let end = start + chunk_bytes(values.len()) as u64 - 1;
        let pieces = start / PIECE_BYTES..=end / PIECE_BYTES;
        let blob = pieces
            .map(|piece| Opening::of(&self.exchange.blob, piece * PIECE_BYTES))
            .collect();
        Claimed { chunk, blob }
    }
    pub(super) fn claimed(&self, chunk: u32) -> Move {
        Move::Chunk(Box::new(self.claim(chunk)))
    }
    /// A value of a chunk, wrong or not.
    pub(super) fn value(&self, chunk: u32, index: u16) -> Shown {
        let at = u64::from(chunk) * CHUNK_VALUES as u64 + u64::from(index);
        let open = |file: &Vec<u8>| Opening::of(file, 4 * at);
        Shown {
            index,
            before: open(&self.exchange.before),
            after: open(&self.exchange.after),
            lost: self.exchange.lost.as_ref().map(open),
            blob: Vec::new(),
        }
    }
    pub(super) fn value_at(&self, chunk: u32, index: u16) -> Move {
        Move::Value(Box::new(self.value(chunk, index)))
    }
    /// A value of what was lost, wrong or not; its index is that in its piece.
    pub(super) fn lost_value(&self, at: usize, index: u16) -> Shown {
        let chunk = u32::try_from(at / CHUNK_VALUES).unwrap();
        let in_chunk = u16::try_from(at % CHUNK_VALUES).unwrap();
        Shown {
            index,
            blob: self.claim(chunk).blob,
            ..self.value(chunk, in_chunk)
        }
    }
    pub(super) fn lost_at(&self, at: usize, index: u16) -> Move {
        Move::Value(Box::new(self.lost_value(at, index)))
    }
    /// What shows a block of a dense update.
    pub(super) fn block_proof(&self) -> Proof {
        let Shown { before, after, .. } = self.value(0, 0);
        Proof {
            block: 0,
            blob: self.claim(0).blob,
            before,
            after,
        }
    }
}

/// A chain with a unit whose sparse update is disputed.
pub(super) struct Bench {
    pub(super) chain: Chain,
    pub(super) id: UnitId,
    pub(super) honest: Side,
    /// Bytes of the moves so far.
    pub(super) bytes: usize,
    miner: Side,
    states: Vec<State>,
    payload: Payload,
    check: Check,
    lie: Option<Lie>,
}

fn compressed(before: &[u8], after: &[u8], lost: Option<&[f32]>) -> Vec<f32> {
    let new = difference(before, after);
    let lost = lost.map_or(vec![0.0; VALUES_COUNT], <[f32]>::to_vec);
    let pairs = new.iter().zip(&lost);
    pairs.map(|(new, lost)| sum(DECAY, *lost, *new)).collect()
}

/// The update that a miner sends of these values.
fn update(values: &[f32], lie: Option<Lie>) -> Vec<u8> {
    let chunks = values.chunks(CHUNK_VALUES).enumerate();
    let bytes = chunks.flat_map(|(index, values)| {
        let mut chunk = Chunk::of(values);
        let lie = lie.filter(|_| index == 1);
        match lie {
            Some(Lie::Scale) => chunk.scale += 1,
            Some(Lie::Code) => {
                let code = &mut chunk.values[7].1;
                *code = if code.abs() == 2 {
                    *code / 2
                } else {
                    *code * 2
                };
            }
            Some(Lie::Sign) => chunk.values[9].1 *= -1,
            _ => {}
        }
        let mut bytes = chunk.encode(values.len());
        if lie == Some(Lie::Padding) {
            bytes[0] = 0;
            bytes[1..5].fill(0);
        }
        bytes
    });
    bytes.collect()
}

/// What the miner says was compressed.
fn said(values: &[f32], lie: Option<Lie>) -> Vec<f32> {
    let mut said = values.to_vec();
    let own = &mut said[CHUNK_VALUES..2 * CHUNK_VALUES];
    let sent: Vec<usize> = Chunk::of(own)
        .values
        .iter()
        .map(|(i, _)| usize::from(*i))
        .collect();
    match lie {
        Some(Lie::Larger) => own[sent[5]] *= 1.5,
        Some(Lie::Left) => own[sent[5]] = 0.0,
        Some(Lie::Fewer) => {
            for (index, value) in own.iter_mut().enumerate() {
                if !sent[..60].contains(&index) {
                    *value = 0.0;
                }
            }
        }
        Some(Lie::Infinite) => own[11] = 0.0,
        _ => {}
    }
    said
}

fn state(steps_count: u32, weights: &[u8]) -> State {
    State {
        steps_count,
        weights: BlobId::of(weights),
        moments: Some(Moments {
            first: BlobId::of(b"first"),
            second: BlobId::of(b"second"),
        }),
    }
}

impl Bench {
    /// The unit is drawn for a check of its update, and its miner has shown where it ends.
    fn begun(lie: Option<Lie>, check: Check, starts_from_zeros: bool) -> Self {
        let mut setup = setup();
        setup.recipe.model.vocab_size = 1_280;
        setup.recipe.pretrain.update = SPARSE;
        setup.parameters.extend(rates(1_000_000));
        let before = file(&noise("before"));
        setup.recipe.initial_weights = Some(BlobId::of(&before));
        let mut chain = Chain::working(&setup);
        let id = chain.units_of(UnitKind::Gradient)[0];
        let miner = chain.unit(id).miner;
        let earlier = (!starts_from_zeros).then(|| noise("lost"));
        let mut after = noise("after");
        if lie == Some(Lie::Infinite) {
            after[CHUNK_VALUES + 11] = f32::INFINITY;
        }
        let after = file(&after);
        let name = earlier.as_ref().map(|lost| BlobId::of(&file(lost)));
        chain.change(|view| {
            let mut unit: Unit = view.get(&id).unwrap();
            unit.feedback = name;
            view.put(&id, &unit);
        });
        let values = compressed(&before, &after, earlier.as_deref());
        let values_said = said(&values, lie);
        let states = vec![state(2, b"half"), state(4, &after)];
        let seals = (1..).zip(&states);
        let seals = seals.map(|(b, state)| state.seal(id, miner, b, Salts::OPEN.at(b)));
        let payload = Payload {
            unit: id,
            miner,
            tokens_count: 30,
            losses_micro: BoundedVec::new(vec![1; 4]).unwrap(),
            seals: BoundedVec::new(seals.collect()).unwrap(),
            update: Bytes::new(update(&values_said, lie)).unwrap(),
        };
        let exchange = Exchange {
            decay: DECAY,
            before,
            after,
            lost: earlier.as_deref().map(file),
            blob: encode(&payload),
            update_byte: Payload::update_byte(4, 2),
        };
        let mut lost = exchange.left();
        if let Some(Lie::Lost(at)) = lie {
            lost[4 * at] ^= 1;
        }
        let side = |values, lost| Side {
            exchange: exchange.clone(),
            lost,
            values,
        };
        let (honest, miner) = (side(values, exchange.left()), side(values_said, lost));
        let mut bench = Self {
            chain,
            id,
            honest,
            bytes: 0,
            miner,
            states,
            payload,
            check,
            lie,
        };
        bench.commit();
        bench
    }
    fn commit(&mut self) {
        let (id, key) = (self.id, self.chain.key_of(self.payload.miner));
        let blob = &self.miner.exchange.blob;
        let commit = Body::CommitGradient {
            unit: id,
            root: self.payload.root().unwrap(),
            blob: BlobId::of(blob),
            blob_bytes: blob.len() as u64,
            tokens_count: self.payload.tokens_count,
            loss_micro: self.payload.loss_micro(),
            feedback: Some(BlobId::of(&self.miner.lost)),
        };
        let chain = &mut self.chain;
        chain.block(vec![(key.clone(), commit)]);
        chain.attest_by_all(&[id]);
        chain.opens = false;
        chain.draw(&[id]);
        assert!(chain.unit(id).is_update_checked());
        let needed = chain.unit(id).challenge.unwrap().needed();
        let tree = gradient::tree(self.payload.seals.as_slice()).unwrap();
        let open = |boundary: &u32| OpenedState {
            state: self.states[*boundary as usize - 1],
            salt: Salts::OPEN.at(*boundary),
            inclusion: tree.inclusion(boundary - 1).unwrap(),
        };
        let states = BoundedVec::new(needed.iter().map(open).collect()).unwrap();
        let opening = StateOpening { unit: id, states };
        chain.block(vec![(key, Body::OpenStates { opening })]);
        chain.seated(id, 0);
    }
    fn wrong(&self) -> Verdict {
        rejecting(self.check, 1)
    }
    /// All who are seated bind and open a verdict.
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
    /// Four auditors convicted it.
    pub(super) fn convicted(lie: Option<Lie>, check: Check, starts_from_zeros: bool) -> Self {
        let mut bench = Self::begun(lie, check, starts_from_zeros);
        bench.says(&bench.wrong());
        bench.chain.seated(bench.id, 1);
        bench.says(&bench.wrong());
        assert!(bench.unit().conviction.is_some());
        bench
    }
    /// So did they, and a miner that lied appeals.
    pub(super) fn disputed(lie: Lie, starts_from_zeros: bool) -> Self {
        let mut bench = Self::convicted(Some(lie), checked(lie), starts_from_zeros);
        bench.appeal();
        assert_eq!(bench.dispute().unwrap().place, Place::Complaint);
        bench
    }
    /// One auditor found it wrong and three others accepted.
    pub(super) fn outvoted(lie: Lie) -> Self {
        let mut bench = Self::begun(Some(lie), checked(lie), true);
        bench.says(&bench.wrong());
        bench.chain.seated(bench.id, 1);
        bench.says(&accepting());
        bench
    }
    /// An auditor contests the acceptance.
    pub(super) fn contest(&mut self, auditor: Address) {
        let validator: Option<Validator> = self.chain.view().get(&auditor);
        let (to, amount) = (validator.unwrap().holder, Amount::new(1_000));
        let gift = Body::Transfer { to, amount };
        self.chain.block(vec![(self.chain.miner(0), gift)]);
        let appeal = Body::Appeal { unit: self.id };
        self.chain.block(vec![(self.chain.key_of(auditor), appeal)]);
    }
    pub(super) fn appeal(&mut self) {
        self.chain.appeal(self.id);
    }
    pub(super) const fn check(&self) -> Check {
        self.check
    }
    pub(super) fn unit(&self) -> Unit {
        self.chain.unit(self.id)
    }
    pub(super) fn dispute(&self) -> Option<Dispute> {
        dispute::open_of(&self.chain.view(), self.id, &self.unit())
    }
    pub(super) fn record(&self) -> Dispute {
        self.chain.view().get(&self.id).unwrap()
    }
    pub(super) fn turn(&self) -> SigningKey {
        let turn = self.dispute().unwrap().turn(self.unit().miner);
        self.chain.key_of(turn.unwrap())
    }
    fn body(&self, play: &Move) -> Body {
        Body::Dispute {
            unit: self.id,
            play: play.encode().unwrap(),
        }
    }
    /// What the miner answers: what it says was compressed, and what it bound.
    pub(super) fn defence(&self) -> Move {
        let place = self.dispute().unwrap().place;
        if let (Place::Chunk { chunk, sent, .. }, Some(_)) = (&place, self.lie) {
            let own = self.miner.values.chunks(CHUNK_VALUES).nth(*chunk as usize);
            let own = own.unwrap();
            let bits = sent
                .values
                .iter()
                .map(|(index, _)| own[usize::from(*index)].to_bits());
            return Move::Values(bits.collect());
        }
        let exchange = &self.miner.exchange;
        exchange.answer(&place, &self.miner.lost).unwrap()
    }
    /// Whose move is due, and what an honest challenger or the miner says.
    pub(super) fn due(&self) -> (SigningKey, Move) {
        let (key, dispute) = (self.turn(), self.dispute().unwrap());
        let exchange = &self.honest.exchange;
        let play = match &dispute.place {
            _ if key.address() == self.unit().miner => self.defence(),
            Place::Complaint => {
                let bound = BlobId::of(&self.miner.lost);
                exchange.complaint(Some(bound)).unwrap()
            }
            place => exchange.question(place).unwrap(),
        };
        (key, play)
    }
    /// Makes the move that is due.
    pub(super) fn moves(&mut self) {
        let (_, play) = self.due();
        self.makes(&play);
    }
    /// Makes a move.
    pub(super) fn makes(&mut self, play: &Move) {
        let body = self.body(play);
        self.bytes += encode(&body).len();
        self.chain.block(vec![(self.turn(), body)]);
    }
    /// The move is refused, whosever turn it is.
    pub(super) fn refused(&self, play: &Move) {
        let rejection = self.chain.reject(self.turn(), self.body(play));
        let is_refused = matches!(rejection, ledger_state::Rejection::MoveRefused { .. });
        assert!(is_refused, "{play:?}: {rejection}");
    }
    /// Both sides play until somebody has lost.
    pub(super) fn play(&mut self) {
        while self.dispute().is_some() {
            self.moves();
        }
    }
    /// Nobody moves until the time for the next move is over.
    pub(super) fn wait(&mut self) {
        let move_by = self.dispute().unwrap().move_by;
        self.chain.wait_for(move_by.next());
    }
}

/// What auditors find of a lie.
const fn checked(lie: Lie) -> Check {
    match lie {
        Lie::Lost(_) => Check::Feedback,
        _ => Check::Update,
    }
}
