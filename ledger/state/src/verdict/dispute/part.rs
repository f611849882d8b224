//! A part of a reinforcement unit: first its plan, then its numbers.
//!
//! How long all tensors are, and what most numbers read, follows from how long responses are and
//! how well they did. The miner names its plan of that. A challenger that has another follows it
//! down to the first entry that is wrong, which follows from the one before it and from one group,
//! whose responses it shows. One that has the same plays about the numbers, and shows entries as it
//! shows operands.
//!
//! ```text
//! plan, table ─┬▶ the plan is wrong ─▶ … ─▶ piece ─▶ entry ─▶ responses of its group ─▶ verdict
//!              └▶ the game about numbers ─┬▶ operation ──────────────────────────────▶ verdict
//!                                         └▶ token ─▶ its response ──────────────────▶ verdict
//! ```
//!
//! Spec: trace §4, 07-verdict §11

use super::{
    Asked, Below, Entries, Operation, Place, Planned, Refused, Taken, rollouts,
    rollouts::{Learned, Response, Token},
    step::{Task, model},
};
use borsh::{BorshDeserialize, BorshSerialize};
use engine_trace::{
    Objective, Program, Reinforcement, Sequences,
    dispute::{Answer, Claim, Dispute as Game, Number, Outcome, Stage, loss_name},
    plan::{ENTRY_BYTES, Entry, Frame, Outline, Sample},
    schedule::of_micro,
    tree::{Name, Opening, PIECE_BYTES, Span},
};
use serde::{Deserialize, Serialize};

/// Most samples of a unit, and tokens of a prompt with its response, that are disputed: so that
/// every right plan can be said, and its tensors are countable.
const SAMPLES_COUNT_MAX: u64 = 1 << 15;
const LENGTH_MAX: u64 = 1 << 16;

/// A plan that its miner has named, and how long all tensors of the part are by it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct Plan {
    /// Its name.
    pub name: Name,
    /// What it says of the part as a whole.
    pub outline: Outline,
}

/// An entry of a plan that is said to be the first that is wrong, and what was shown of its group.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Doubted {
    /// Its place.
    pub place: u64,
    /// The one before it.
    pub before: Option<Entry>,
    /// The entry.
    pub entry: Entry,
    /// The samples of its group, from the first; nothing for one that breaks a rule.
    pub samples: Vec<Option<Sample>>,
}

/// What a move leads to: where the dispute goes on, or the operation that decides it.
pub(super) type Led = Result<Place, Operation>;

/// What everybody knows of the plan; nothing for a unit of pre-training, or one with more than can
/// be counted.
pub(super) fn frame(task: &Task) -> Option<Frame> {
    let reinforce = &task.recipe.reinforce;
    let rollouts = u32::try_from(task.learned.as_ref()?.rollouts.len()).ok()?;
    let frame = Frame {
        groups_count: rollouts.checked_mul(reinforce.groups_per_unit_count)?,
        samples_count: reinforce.samples_per_group_count,
        part: task.challenge.segment,
        parts_count: task.segments().count(),
        floor_micro: reinforce.advantage_floor.get(),
    };
    let environment = task.environment;
    let length = environment.prompt_tokens();
    let length = length.saturating_add(environment.response_tokens_max());
    let is_countable = frame.samples_count > 0
        && frame.groups_count > 0
        && frame.part < frame.parts_count
        && length as u64 <= LENGTH_MAX
        && frame.last() <= SAMPLES_COUNT_MAX;
    is_countable.then_some(frame)
}

fn known(task: &Task) -> Result<(Frame, &Learned), Refused> {
    let frame = frame(task).ok_or(Refused::NotDue)?;
    Ok((frame, task.learned.as_ref().ok_or(Refused::NotDue)?))
}

/// The program of the part, of which these sequences are known.
fn program(task: &Task, outline: &Outline, sequences: Sequences) -> Program {
    let reinforce = &task.recipe.reinforce;
    Program::reinforcement(Reinforcement {
        model: model(&task.recipe.model),
        sequences,
        objective: Objective {
            clip_low: of_micro(reinforce.clip_low.get()),
            clip_high: of_micro(reinforce.clip_high.get()),
            delta: of_micro(reinforce.ratio_max.get()),
            temperature: of_micro(reinforce.temperature.get()),
            normaliser: outline.normaliser(),
            parts_count: task.segments().count(),
        },
    })
}

/// What the miner sealed of the part: the sum before it, its loss, and the sum after it.
fn claim(task: &Task, learned: &Learned, taken: &Taken) -> Claim {
    let start = task.start().map(|state| *state.weights.as_bytes());
    Claim {
        given: [
            Some(*task.weights.as_bytes()),
            Some(*learned.behaviour.as_bytes()),
            start,
        ],
        results: [
            Some(loss_name(taken.loss_micro)),
            Some(*taken.state.weights.as_bytes()),
            None,
            None,
        ],
    }
}

/// The miner names its plan and its table.
pub(super) fn planned(task: &Task, steps: &[Taken], planned: &Planned) -> Result<Place, Refused> {
    let (frame, learned) = known(task)?;
    let taken = steps.first().ok_or(Refused::NotDue)?;
    let outline = frame.outline(&planned.plan, planned.ends, &planned.entries);
    let outline = outline.ok_or(Refused::Piece)?;
    let mut game = Game::new(claim(task, learned, taken));
    let program = program(task, &outline, outline.blank());
    game.answer(&program, &Answer::Table(planned.table.clone()))?;
    let name = planned.plan;
    Ok(Place::Part {
        plan: Plan { name, outline },
        game: Box::new(game),
        shown: None,
    })
}

/// The miner answers in the game about the part.
pub(super) fn answered(
    task: &Task,
    (plan, game): (&Plan, &mut Game),
    answer: &Answer,
) -> Result<(), Refused> {
    let program = program(task, &plan.outline, plan.outline.blank());
    Ok(game.answer(&program, answer)?)
}

/// The challenger asks in the game about the part; the operation that decides, if one does, or a
/// token.
pub(super) fn asked(
    task: &Task,
    (plan, game, shown): (&Plan, &mut Game, &mut Option<Box<Opening>>),
    asked: Asked,
) -> Result<Option<Led>, Refused> {
    let (frame, _) = known(task)?;
    let first = asked.entries.first().cloned();
    let before = shown.as_deref().cloned();
    let entries: Vec<Opening> = asked.entries.into_iter().chain(before).collect();
    let sequences = frame.sequences(&plan.outline, &plan.name, &entries);
    let program = program(task, &plan.outline, sequences.ok_or(Refused::Piece)?);
    game.question(&program, &asked.question)?;
    if shown.is_none() {
        *shown = first.map(Box::new);
    }
    let decided = |number, claimed, computed| {
        let operation = number_of(task, &program, number, (claimed, computed));
        operation.map(Err).ok_or(Refused::NotDue)
    };
    let led = match game.outcome() {
        None => return Ok(None),
        Some(Outcome::DefendantLied {
            number,
            claimed,
            computed,
        }) => decided(number, claimed, computed)?,
        Some(Outcome::ChallengerLied { number, claimed }) => decided(number, claimed, claimed)?,
        Some(Outcome::Batch { number, claimed }) => Ok(Place::Token {
            plan: *plan,
            number,
            claimed,
        }),
    };
    Ok(Some(led))
}

/// A number of the part that its miner gave, and what it must be.
fn number_of(
    task: &Task,
    program: &Program,
    number: Number,
    (claimed, computed): (u64, u64),
) -> Option<Operation> {
    Some(Operation::Number {
        inner_step: task.inner_step(0),
        tensor: *program.tensors().get(number.place as usize)?,
        index: number.index,
        claimed,
        computed,
    })
}

/// The challenger shows the token of a row.
pub(super) fn token(
    task: &Task,
    plan: &Plan,
    (number, claimed): (Number, u64),
    token: &Token,
) -> Result<Operation, Refused> {
    let (frame, learned) = known(task)?;
    let row = (&token.entry, number.index);
    let found = frame.sample_of_row(&plan.outline, &plan.name, row);
    let (place, entry, position) = found.ok_or(Refused::Piece)?;
    let spot = learned.spot(task, place).ok_or(Refused::Response)?;
    let prompt = learned.prompt(task, spot);
    let computed = match position.checked_sub(entry.prompt_count.into()) {
        None => {
            let position = usize::try_from(position).unwrap_or(usize::MAX);
            *prompt.get(position).ok_or(Refused::Response)?
        }
        Some(position) => {
            let position = u32::try_from(position).map_err(|_| Refused::Response)?;
            match (spot.planted(position), &token.response) {
                (Some(right), _) => right,
                (None, Some(shown)) => spot.token(&prompt, position, shown)?,
                (None, None) => return Err(Refused::Response),
            }
        }
    };
    let program = program(task, &plan.outline, plan.outline.blank());
    let operation = number_of(task, &program, number, (claimed, computed.into()));
    operation.ok_or(Refused::NotDue)
}

/// The challenger says that the plan is wrong.
pub(super) fn doubted(task: &Task, plan: &Plan, game: &Game) -> Result<Place, Refused> {
    let (frame, _) = known(task)?;
    // Once it has asked about a number it cannot go back.
    if !matches!(game.stage, Stage::Which { .. }) {
        return Err(Refused::NotDue);
    }
    Ok(Place::Walk {
        plan: plan.name,
        span: Span::file(frame.bytes()),
        name: plan.name,
        below: Below::Due,
        before: None,
    })
}

/// The miner shows a piece of its plan; returns its bytes, and those of the entry before it.
pub(super) fn piece(
    task: &Task,
    plan: &Name,
    (span, name): (Span, &Name),
    shown: &Entries,
) -> Result<(Vec<u8>, Option<[u8; 32]>), Refused> {
    let (frame, _) = known(task)?;
    let is_named = span.is_piece()
        && shown.bytes.len() as u64 == span.length
        && span.name(&shown.bytes) == *name;
    if !is_named {
        return Err(Refused::Piece);
    }
    let last = |opening: &Opening| {
        let byte = span.start.checked_sub(ENTRY_BYTES)?;
        let is_it = opening.piece == byte.checked_div(PIECE_BYTES)?;
        let opens = is_it && opening.opens(plan, frame.bytes());
        let bytes = opening.bytes_at(byte, ENTRY_BYTES).filter(|_| opens)?;
        bytes.try_into().ok()
    };
    let before = match (span.start, &shown.before) {
        (0, None) => None,
        (0, Some(_)) | (_, None) => return Err(Refused::Piece),
        (_, Some(opening)) => Some(last(opening).ok_or(Refused::Piece)?),
    };
    Ok((shown.bytes.clone(), before))
}

/// The challenger points to the first wrong entry of a piece. What is no entry, or comes after
/// what is none, is wrong at once, and the last is computed.
pub(super) fn picked(
    task: &Task,
    (span, bytes): (Span, &[u8]),
    before: Option<[u8; 32]>,
    first: u16,
) -> Result<Led, Refused> {
    let (frame, _) = known(task)?;
    let (entries, _) = bytes.as_chunks::<32>();
    let at = usize::from(first);
    let beyond = Refused::Index {
        index: first.into(),
        count: entries.len() as u64,
    };
    let entry = entries.get(at).ok_or(beyond)?;
    let before = match at.checked_sub(1) {
        None => before,
        Some(last) => entries.get(last).copied(),
    };
    let in_front = span.start.checked_div(ENTRY_BYTES).unwrap_or(0);
    let place = in_front.saturating_add(first.into());
    let wrong = Operation::Entry {
        place,
        is_right: false,
    };
    let before = before.map(|bytes| Entry::from_bytes(&bytes)).transpose();
    let (Ok(entry), Ok(before)) = (Entry::from_bytes(entry), before) else {
        return Ok(Err(wrong));
    };
    if place == frame.last() {
        let is_right = entry.follows(before.as_ref(), 0, None);
        return Ok(Err(Operation::Entry { place, is_right }));
    }
    Ok(Ok(Place::Group(Box::new(Doubted {
        place,
        before,
        entry,
        samples: Vec::new(),
    }))))
}

/// The challenger shows responses of the group of an entry. Once all were shown the entry follows
/// or does not.
pub(super) fn responses(
    task: &Task,
    doubted: &mut Doubted,
    responses: &[Response],
) -> Result<Option<Operation>, Refused> {
    let (frame, learned) = known(task)?;
    let samples_count = u64::from(frame.samples_count);
    let place = doubted.place;
    let slot = place.checked_rem(samples_count).unwrap_or(0);
    let first = place.saturating_sub(slot);
    let spot = learned.spot(task, first).ok_or(Refused::Response)?;
    let prompt = learned.prompt(task, spot);
    let mut samples = doubted.samples.clone();
    for response in responses {
        let next = samples.len() as u64;
        if next >= samples_count {
            return Err(Refused::Response);
        }
        let spot = learned.spot(task, first.saturating_add(next));
        let spot = spot.ok_or(Refused::Response)?;
        samples.push(spot.sample(task, &prompt, response)?);
    }
    if responses.is_empty() {
        return Err(Refused::Response);
    }
    doubted.samples = samples;
    if (doubted.samples.len() as u64) < samples_count {
        return Ok(None);
    }
    let group = rollouts::group(&prompt, &doubted.samples);
    let slot = u32::try_from(slot).unwrap_or(u32::MAX);
    let before = doubted.before.as_ref();
    let is_right = doubted.entry.follows(before, slot, group.as_ref());
    Ok(Some(Operation::Entry { place, is_right }))
}
