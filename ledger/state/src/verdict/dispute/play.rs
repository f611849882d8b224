//! Moves: whose turn it is, what is due, and what follows.

use super::{
    Asked, Below, Dispute, Move, Operation, Place, Refused, Steps, Taken, lost, next, norm,
    open_of, part, sparse,
    step::{Task, claim},
    update, walk,
};
use crate::{Rejection, View, event::Event, unit::Unit};
use engine_trace::{
    Program,
    dispute::{Outcome, Question},
};
use protocol::{Address, Height, gradient::Payload, task::UnitId};

/// Makes a move in the dispute about a unit.
///
/// # Errors
/// When there is none, it is another's turn or too late, or the move is none.
pub fn play(
    view: &mut View<'_>,
    sender: Address,
    id: UnitId,
    bytes: &[u8],
    height: Height,
) -> Result<Vec<Event>, Rejection> {
    let unit: Unit = view.get(&id).ok_or(Rejection::UnitUnknown { unit: id })?;
    let undisputed = Rejection::NotDisputed { unit: id };
    let mut dispute = open_of(view, id, &unit).ok_or(undisputed.clone())?;
    let side = dispute.side().ok_or(undisputed.clone())?;
    let turn = dispute.turn(unit.miner).ok_or(undisputed.clone())?;
    if turn != sender {
        return Err(Rejection::MoveNotYours { unit: id, turn });
    }
    let move_by = dispute.move_by;
    if height > move_by {
        return Err(Rejection::MoveLate { height, move_by });
    }
    let refused = |reason| Rejection::MoveRefused { unit: id, reason };
    let play = Move::decode(bytes).ok_or(refused(Refused::Encoding))?;
    let task = Task::of(view, id, &unit).ok_or(undisputed)?;
    let ended = moved(&task, &mut dispute, play).map_err(refused)?;
    dispute.press(side, height);
    let mut events = vec![Event::DisputeMoved {
        unit: id,
        by: sender,
        moves_count: dispute.moves_count,
    }];
    let Some(operation) = ended else {
        view.put(&id, &dispute);
        return Ok(events);
    };
    let loses = if operation.is_right() { next } else { lost };
    events.extend(loses(view, (id, unit), dispute, Some(operation), height));
    Ok(events)
}

/// Makes a move; returns the operation that decides, if one does.
fn moved(task: &Task, dispute: &mut Dispute, play: Move) -> Result<Option<Operation>, Refused> {
    match (&mut dispute.place, play) {
        (Place::Steps, Move::Steps(steps)) => {
            dispute.steps = shown(task, &steps)?;
            dispute.place = Place::Complaint;
            Ok(None)
        }
        (Place::Complaint, play) => complained(task, dispute, play),
        (Place::Step { index, game }, play) => {
            let inner_step = task.inner_step(*index);
            let program = task.program(inner_step);
            match (game, play) {
                (game, Move::Answer(answer)) => {
                    game.answer(&program, &answer)?;
                    Ok(None)
                }
                (game, Move::Question(question)) => {
                    game.question(&program, &question)?;
                    let outcome = game.outcome();
                    Ok(outcome.and_then(|outcome| computed(task, inner_step, &program, outcome)))
                }
                _ => Err(Refused::NotDue),
            }
        }
        (Place::Chunk { .. } | Place::Feedback { .. } | Place::Norm(_), play) => {
            about_update(task, dispute, play)
        }
        (
            Place::Plan
            | Place::Part { .. }
            | Place::Walk { .. }
            | Place::Group(_)
            | Place::Token { .. },
            play,
        ) => about_part(task, dispute, play),
        (Place::Steps | Place::Over { .. }, _) => Err(Refused::NotDue),
    }
}

/// Makes a move about what an update follows from; returns the operation that decides, if one
/// does.
fn about_update(
    task: &Task,
    dispute: &mut Dispute,
    play: Move,
) -> Result<Option<Operation>, Refused> {
    let led = match (&mut dispute.place, play) {
        (
            Place::Chunk {
                chunk,
                sent,
                values: None,
            },
            Move::Values(values),
        ) => sparse::stated(*chunk, sent, values)?,
        (
            Place::Chunk {
                chunk,
                sent,
                values: Some(values),
            },
            Move::Value(shown),
        ) => return sparse::value(task, (*chunk, sent), values, &shown).map(Some),
        (Place::Feedback { span, name, below }, play) => {
            match (&mut *below, play) {
                (Below::Due, Move::Answer(answer)) => {
                    *below = walk::below(*span, *name, answer)?;
                }
                (Below::Names(names), Move::Question(question)) => {
                    (*span, *name) = walk::chosen(*span, names, &question)?;
                    *below = Below::Due;
                }
                (Below::Piece(bytes), Move::Value(shown)) => {
                    return sparse::lost(task, (*span, bytes), &shown).map(Some);
                }
                _ => return Err(Refused::NotDue),
            }
            return Ok(None);
        }
        (Place::Norm(at), Move::Sums(sums)) => norm::stated(at, sums)?,
        (Place::Norm(at), Move::Question(question)) => norm::pointed(task, at, &question)?,
        (Place::Norm(at), Move::Square(shown)) => {
            return norm::square(task, at, &shown).map(Some);
        }
        _ => return Err(Refused::NotDue),
    };
    Ok(dispute.led(led))
}

/// Makes a move about a part of a reinforcement unit; returns the operation that decides, if one
/// does.
fn about_part(
    task: &Task,
    dispute: &mut Dispute,
    play: Move,
) -> Result<Option<Operation>, Refused> {
    match (&mut dispute.place, play) {
        (Place::Plan, Move::Plan(planned)) => {
            dispute.place = part::planned(task, &dispute.steps, &planned)?;
        }
        (Place::Part { plan, game, .. }, Move::Answer(answer)) => {
            part::answered(task, (plan, game), &answer)?;
        }
        (Place::Part { plan, game, shown }, Move::Question(question)) => {
            let entries = Vec::new();
            let asked = Asked { question, entries };
            let led = part::asked(task, (plan, game, shown), asked)?;
            return Ok(led.and_then(|led| dispute.led(led)));
        }
        (Place::Part { plan, game, shown }, Move::Asked(asked)) => {
            let led = part::asked(task, (plan, game, shown), *asked)?;
            return Ok(led.and_then(|led| dispute.led(led)));
        }
        (Place::Part { plan, game, .. }, Move::WrongPlan) => {
            dispute.place = part::doubted(task, plan, game)?;
        }
        (Place::Walk { .. }, play) => return walked(task, dispute, play),
        (Place::Group(doubted), Move::Responses(responses)) => {
            return part::responses(task, doubted, &responses);
        }
        (
            Place::Token {
                plan,
                number,
                claimed,
            },
            Move::Token(token),
        ) => return part::token(task, plan, (*number, *claimed), &token).map(Some),
        _ => return Err(Refused::NotDue),
    }
    Ok(None)
}

/// Makes a move on the way down a plan.
fn walked(task: &Task, dispute: &mut Dispute, play: Move) -> Result<Option<Operation>, Refused> {
    let Place::Walk {
        plan,
        span,
        name,
        below,
        before,
    } = &mut dispute.place
    else {
        return Err(Refused::NotDue);
    };
    match (&mut *below, play) {
        (Below::Due, Move::Answer(answer)) if !span.is_piece() => {
            *below = walk::below(*span, *name, answer)?;
        }
        (Below::Due, Move::Entries(shown)) => {
            let (bytes, last) = part::piece(task, plan, (*span, name), &shown)?;
            (*below, *before) = (Below::Piece(bytes), last);
        }
        (Below::Names(names), Move::Question(question)) => {
            (*span, *name) = walk::chosen(*span, names, &question)?;
            *below = Below::Due;
        }
        (Below::Piece(bytes), Move::Question(Question::First(first))) => {
            let led = part::picked(task, (*span, bytes), *before, first)?;
            return Ok(dispute.led(led));
        }
        _ => return Err(Refused::NotDue),
    }
    Ok(None)
}

/// The challenger says what is wrong.
fn complained(
    task: &Task,
    dispute: &mut Dispute,
    play: Move,
) -> Result<Option<Operation>, Refused> {
    let is_dense = task.feedback_decay().is_none();
    match play {
        Move::Wrong(index) if task.learned.is_some() => {
            step_at(&dispute.steps, index)?;
            dispute.place = Place::Plan;
        }
        Move::Block(shown) if task.learned.is_some() => {
            dispute.place = norm::claimed(task, &shown)?;
        }
        // Of a reinforcement unit nothing but its parts and its dense update is disputed.
        _ if task.learned.is_some() => return Err(Refused::NotDue),
        Move::Wrong(index) => {
            let game = Box::new(about(task, &dispute.steps, index)?);
            dispute.place = Place::Step { index, game };
        }
        Move::Update(proof) if is_dense => {
            let is_right = update::is_right(task, &proof)?;
            let block = proof.block;
            return Ok(Some(Operation::Update { block, is_right }));
        }
        Move::Chunk(claimed) if !is_dense => {
            let led = sparse::claimed(task, &claimed)?;
            return Ok(dispute.led(led));
        }
        Move::Feedback => dispute.place = sparse::feedback(task)?,
        Move::Steps(_)
        | Move::Answer(_)
        | Move::Update(_)
        | Move::Question(_)
        | Move::Chunk(_)
        | Move::Values(_)
        | Move::Value(_)
        | Move::Plan(_)
        | Move::WrongPlan
        | Move::Entries(_)
        | Move::Responses(_)
        | Move::Asked(_)
        | Move::Token(_)
        | Move::Block(_)
        | Move::Sums(_)
        | Move::Square(_) => return Err(Refused::NotDue),
    }
    Ok(None)
}

/// The number that a game came down to; what is given to the step follows from the task.
fn computed(
    task: &Task,
    inner_step: u32,
    program: &Program,
    outcome: Outcome,
) -> Option<Operation> {
    let (number, claimed, computed) = match outcome {
        Outcome::DefendantLied {
            number,
            claimed,
            computed,
        } => (number, claimed, computed),
        Outcome::ChallengerLied { number, claimed } => (number, claimed, claimed),
        Outcome::Batch { number, claimed } => {
            // A number of the batch that the task does not have is not what the miner says.
            let given = task.number(inner_step, program, number);
            (number, claimed, given.unwrap_or(!claimed))
        }
    };
    Some(Operation::Number {
        inner_step,
        tensor: *program.tensors().get(number.place as usize)?,
        index: number.index,
        claimed,
        computed,
    })
}

/// The steps that a miner shows, checked against what it had bound.
fn shown(task: &Task, steps: &Steps) -> Result<Vec<Taken>, Refused> {
    let range = task.segments().steps(task.challenge.segment);
    let end = task.challenge.end.ok_or(Refused::Piece)?;
    let (found, count) = (steps.states.len(), range.len());
    let needed = u32::try_from(count.saturating_sub(1)).unwrap_or(u32::MAX);
    if u32::try_from(found) != Ok(needed) {
        return Err(Refused::States { found, needed });
    }
    let states = steps.states.iter().copied().chain([end]);
    let start = Payload::loss_byte(range.start);
    let losses = update::bytes(task, &steps.losses, start, (count as u64).saturating_mul(8))?;
    let (losses, _) = losses.as_chunks::<8>();
    let mut taken = Vec::with_capacity(count);
    for (((index, state), inner_step), loss) in states.enumerate().zip(range).zip(losses) {
        let steps_count = inner_step.saturating_add(1);
        let is_of_phase = state.moments.is_some() == task.learned.is_none();
        if state.steps_count != steps_count || !is_of_phase {
            return Err(Refused::State { index, steps_count });
        }
        let loss_micro = i64::from_le_bytes(*loss);
        taken.push(Taken { state, loss_micro });
    }
    Ok(taken)
}

/// What the miner says of the step at an index of the segment.
fn step_at(steps: &[Taken], index: u32) -> Result<&Taken, Refused> {
    let beyond = Refused::Index {
        index: index.into(),
        count: steps.len() as u64,
    };
    steps.get(index as usize).ok_or(beyond)
}

/// The game about the step at an index of the segment.
fn about(
    task: &Task,
    steps: &[Taken],
    index: u32,
) -> Result<engine_trace::dispute::Dispute, Refused> {
    let end = step_at(steps, index)?;
    let before = index.checked_sub(1);
    let before = before.and_then(|index| step_at(steps, index).ok());
    let before = before.map(|taken| taken.state);
    let start = before.or_else(|| task.start());
    let claim = claim((task.weights, start), end.loss_micro, &end.state);
    Ok(engine_trace::dispute::Dispute::new(claim))
}
