//! How honest sides play about a part of a reinforcement unit.

use super::names;
use crate::verdict::dispute::{
    Asked, Below, Dispute, Entries, Leafed, Move, Place, Planned, Response, Token,
};
use engine_trace::{
    Trace,
    dispute::{self, Answer, Dispute as Game, Question, Stage},
    plan::{ENTRY_BYTES, Plan},
    tokens::shown,
    tree::{Hashing, Opening, PIECE_BYTES, Span},
};
use protocol::{
    codec::encode,
    rollout::{Leaf, Payload, TOKENS_TAG},
    transaction::MOVE_BYTES_MAX,
};

/// Bytes of a move besides its responses.
const HEAD_BYTES: usize = 5;

/// What either side has computed of a part, and what it was computed from.
#[derive(Clone, Debug)]
pub struct Part {
    /// Every number of the part.
    pub trace: Trace,
    /// The plan of the unit.
    pub plan: Plan,
    /// Index of the part.
    pub index: u32,
    /// Parts of the unit.
    pub parts_count: u32,
    /// What the unit learns from, in order.
    pub rollouts: Vec<Rollout>,
}

/// A rollout unit that is learned from.
#[derive(Clone, Debug)]
pub struct Rollout {
    /// As it is in its blob, planted faults included.
    pub payload: Payload,
    /// The prompts of its groups.
    pub prompts: Vec<Vec<u32>>,
}

impl Part {
    /// What the miner answers.
    #[must_use]
    pub fn answer(&self, dispute: &Dispute) -> Option<Move> {
        match &dispute.place {
            Place::Plan => Some(Move::Plan(Box::new(self.planned()?))),
            Place::Part { game, .. } => dispute::answer(game, &self.trace).map(Move::Answer),
            Place::Walk {
                span,
                below: Below::Due,
                ..
            } => Some(self.below(*span)),
            Place::Walk { .. }
            | Place::Steps
            | Place::Complaint
            | Place::Step { .. }
            | Place::Chunk { .. }
            | Place::Feedback { .. }
            | Place::Group(_)
            | Place::Norm(_)
            | Place::Token { .. }
            | Place::Over { .. } => None,
        }
    }
    /// What the challenger asks or shows; nothing if all is right.
    #[must_use]
    pub fn question(&self, dispute: &Dispute) -> Option<Move> {
        match &dispute.place {
            Place::Part { plan, game, shown } => {
                let is_first = matches!(game.stage, Stage::Which { .. });
                if is_first && plan.name != self.plan.name() {
                    return Some(Move::WrongPlan);
                }
                let question = dispute::question(game, &self.trace)?;
                Some(self.asked((game, shown.as_deref()), question))
            }
            Place::Walk {
                span,
                below: Below::Names(shown),
                ..
            } => first(&names(&self.plan.bytes(), *span), shown),
            Place::Walk {
                span,
                below: Below::Piece(shown),
                ..
            } => {
                let plan = self.plan.bytes();
                let own: Vec<_> = span.of(&plan).chunks(32).collect();
                first(&own, &shown.chunks(32).collect::<Vec<_>>())
            }
            Place::Group(doubted) => {
                let done = u64::try_from(doubted.samples.len()).ok()?;
                self.responses(doubted.place, done).map(Move::Responses)
            }
            Place::Token { number, .. } => {
                let token = self.token(number.index)?;
                Some(Move::Token(Box::new(token)))
            }
            Place::Walk { .. }
            | Place::Plan
            | Place::Steps
            | Place::Complaint
            | Place::Step { .. }
            | Place::Chunk { .. }
            | Place::Feedback { .. }
            | Place::Norm(_)
            | Place::Over { .. } => None,
        }
    }
    /// A question with the entries that it takes, but a piece of them that was shown.
    fn asked(&self, (game, shown): (&Game, Option<&Opening>), question: Question) -> Move {
        let places = self.plan.places(self.index, self.parts_count);
        let plan = (&self.plan, &places[..]);
        let mut entries = dispute::entries_with(game, &question, &self.trace, plan);
        entries.retain(|piece| Some(piece) != shown);
        Move::Asked(Box::new(Asked { question, entries }))
    }

    fn planned(&self) -> Option<Planned> {
        let ends = self.plan.ends(self.index, self.parts_count);
        let last = self.plan.entries().len().checked_sub(1)?;
        let last = u32::try_from(last).ok()?;
        let game = Game::new(dispute::Claim::of(&self.trace));
        let Some(Answer::Table(table)) = dispute::answer(&game, &self.trace) else {
            return None;
        };
        Some(Planned {
            plan: self.plan.name(),
            ends,
            entries: self.plan.shown([ends[0], ends[1], last]),
            table,
        })
    }
    /// What is below a name of its plan.
    fn below(&self, span: Span) -> Move {
        let plan = self.plan.bytes();
        if !span.is_piece() {
            return Move::Answer(Answer::Names(names(&plan, span)));
        }
        let last = span.start.checked_sub(ENTRY_BYTES);
        Move::Entries(Box::new(Entries {
            bytes: span.of(&plan).to_vec(),
            before: last.map(|byte| Opening::of(&plan, byte)),
        }))
    }
    /// As many responses of the group of an entry as fit into a move, after so many.
    fn responses(&self, place: u64, done: u64) -> Option<Vec<Response>> {
        let samples_count = u64::from(self.plan.samples_count());
        let first = place.checked_sub(place.checked_rem(samples_count)?)?;
        let (mut responses, mut bytes) = (Vec::new(), HEAD_BYTES);
        for slot in done..samples_count {
            let (leaf, tokens) = self.leafed(first.checked_add(slot)?)?;
            let response = Response { leaf, tokens };
            bytes = bytes.saturating_add(encode(&response).len());
            if bytes > MOVE_BYTES_MAX {
                break;
            }
            responses.push(response);
        }
        Some(responses)
    }
    /// The leaf and the tokens of a sample, by its place in the plan.
    fn leafed(&self, place: u64) -> Option<(Leafed, Vec<u32>)> {
        let samples = u64::from(self.plan.samples_count());
        let group = place.checked_div(samples)?;
        let groups = self.rollouts.first()?.prompts.len() as u64;
        let rollout = usize::try_from(group.checked_div(groups)?).ok()?;
        let Rollout { payload, prompts } = self.rollouts.get(rollout)?;
        let group = u32::try_from(group.checked_rem(groups)?).ok()?;
        let slot = u32::try_from(place.checked_rem(samples)?).ok()?;
        let prompt = prompts.get(group as usize)?;
        let own = payload.groups.as_slice().get(group as usize)?;
        let sample = own.samples.as_slice().get(slot as usize)?;
        let leaf = Leaf::of(payload.unit, (group, slot), prompt, sample);
        let index = payload.groups.as_slice().iter().take(group as usize);
        let before: usize = index.map(|group| group.samples.as_slice().len()).sum();
        let index = u32::try_from(before).ok()?.checked_add(slot)?;
        let leafed = Leafed {
            tokens: leaf.tokens,
            tokens_count: leaf.tokens_count,
            finish: leaf.finish,
            reward_micro: leaf.reward_micro,
            sealed: leaf.sealed,
            inclusion: payload.tree(prompts)?.inclusion(index)?,
            plant_seal: payload.plant_seal,
            sketch_seal: payload.sketch_seal,
        };
        Some((leafed, sample.tokens.as_slice().to_vec()))
    }
    /// The token of a row of the part.
    fn token(&self, row: u64) -> Option<Token> {
        let places = self.plan.places(self.index, self.parts_count);
        let mut first = 0_u64;
        let mut found = places.into_iter().filter_map(|place| {
            let entry = self.plan.entries().get(place as usize)?;
            let position = row.checked_sub(first);
            first = first.saturating_add(entry.length());
            let position = position.filter(|position| *position < entry.length())?;
            Some((place, *entry, position))
        });
        let (place, entry, position) = found.next()?;
        let byte = u64::from(place).checked_mul(ENTRY_BYTES)?;
        let piece = byte.checked_div(PIECE_BYTES)?.checked_mul(PIECE_BYTES)?;
        let response = match position.checked_sub(entry.prompt_count.into()) {
            None => None,
            Some(position) => {
                let (leafed, tokens) = self.leafed(place.into())?;
                let position = u32::try_from(position).ok()?;
                let hashing = Hashing::tagged(TOKENS_TAG);
                Some((leafed, shown(&hashing, &tokens, position)))
            }
        };
        Some(Token {
            entry: Opening::of(&self.plan.bytes(), piece),
            response,
        })
    }
}

/// The first that is another; nothing if none is.
fn first<T: PartialEq>(own: &[T], shown: &[T]) -> Option<Move> {
    let mut pairs = own.iter().zip(shown);
    let differs = pairs.position(|(own, shown)| own != shown)?;
    Some(Move::Question(Question::First(
        u16::try_from(differs).ok()?,
    )))
}
