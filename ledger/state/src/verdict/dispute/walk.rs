//! The way down a file whose name both sides know, to the piece that is wrong: the miner shows the
//! names below a name or a piece's bytes, the challenger points to the first that is another.

use super::{Below, Refused};
use engine_trace::{
    dispute::{Answer, Question},
    tree::{Name, Span},
};

/// The miner shows what is below a name.
///
/// # Errors
/// Another answer than is due, or one that does not give the name.
pub(super) fn below(span: Span, name: Name, answer: Answer) -> Result<Below, Refused> {
    let (below, is_named) = match answer {
        Answer::Names(names) if !span.is_piece() => {
            let is_named = span.joined(&names) == Some(name);
            (Below::Names(names), is_named)
        }
        Answer::Piece(bytes) if span.is_piece() => {
            let is_named = bytes.len() as u64 == span.length && span.name(&bytes) == name;
            (Below::Piece(bytes), is_named)
        }
        Answer::Table(_)
        | Answer::Names(_)
        | Answer::Piece(_)
        | Answer::Values(_)
        | Answer::Operands(_) => return Err(Refused::NotDue),
    };
    if !is_named {
        return Err(Refused::Piece);
    }
    Ok(below)
}

/// The challenger points to one of the names.
///
/// # Errors
/// Another question, or an index beyond the last name.
pub(super) fn chosen(
    span: Span,
    names: &[Name],
    question: &Question,
) -> Result<(Span, Name), Refused> {
    let Question::First(first) = question else {
        return Err(Refused::NotDue);
    };
    let beyond = Refused::Index {
        index: u64::from(*first),
        count: names.len() as u64,
    };
    let at = usize::from(*first);
    let spans = span.below();
    let (span, name) = spans.get(at).zip(names.get(at)).ok_or(beyond)?;
    Ok((*span, *name))
}
