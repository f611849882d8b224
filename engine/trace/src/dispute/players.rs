//! How honest sides play: each knows its own trace, and nothing else is needed.

use super::{
    Answer, Dispute, File, NAME_BYTES, Number, Operation, Question, Stage, Stretch, bits_of,
    number_in, tensor_at,
};
use crate::define::Source;
use crate::plan::Plan;
use crate::program::Tensor;
use crate::trace::Trace;
use crate::tree::{Name, Opening, PIECE_BYTES, Span};
use std::collections::BTreeSet;

/// What the defendant with this trace answers; nothing when it is not its turn.
#[must_use]
pub fn answer(dispute: &Dispute, trace: &Trace) -> Option<Answer> {
    Some(match &dispute.stage {
        Stage::Table => Answer::Table(*blake3::hash(&table(trace)).as_bytes()),
        Stage::Below { file, span, .. } if span.is_piece() => {
            Answer::Piece(span.of(&bytes(trace, *file)).to_vec())
        }
        Stage::Below { file, span, .. } => Answer::Names(names(&bytes(trace, *file), *span)),
        Stage::Fold { number, stretch } => Answer::Values(values(trace, *number, stretch).concat()),
        Stage::Entries { places, .. } => Answer::Entries(entries(trace, places)),
        _ => return None,
    })
}

/// What the challenger with this trace asks; nothing when it is not its turn, or all that is
/// claimed is what its own trace has.
#[must_use]
pub fn question(dispute: &Dispute, trace: &Trace) -> Option<Question> {
    Some(match &dispute.stage {
        Stage::Which => which(dispute, trace)?,
        Stage::Choose {
            file,
            span,
            names: shown,
        } => first(&names(&bytes(trace, *file), *span), shown),
        Stage::Pick {
            file,
            span,
            bytes: shown,
        } => {
            let width = match file {
                File::Table => NAME_BYTES,
                File::Tensor(place) => {
                    let tensor = tensor_at(trace.program(), *place as usize);
                    tensor.kind.encoding().width()
                }
            };
            let width = usize::try_from(width).unwrap_or(1);
            let own = bytes(trace, *file);
            let own: Vec<_> = span.of(&own).chunks(width).collect();
            first(&own, &shown.chunks(width).collect::<Vec<_>>())
        }
        Stage::Cut {
            number,
            stretch,
            values: shown,
        } => {
            let own = values(trace, *number, stretch);
            let mut pairs = own.iter().zip(shown);
            let differs = pairs.position(|(own, shown)| bits_of(own) != *shown);
            Question::First(index(differs.unwrap_or(shown.len())))
        }
        Stage::Ask { number, operation } => {
            let table = trace.program().table();
            let places = reads(trace, *number, *operation)
                .into_iter()
                .map(|(place, _)| place);
            let places: BTreeSet<_> = places.filter(|place| table.contains(place)).collect();
            let places = places.into_iter();
            Question::Ask(
                places
                    .map(|place| u32::try_from(place).unwrap_or(u32::MAX))
                    .collect(),
            )
        }
        Stage::Show {
            number, operation, ..
        } => {
            let mut reads = reads(trace, *number, *operation);
            // What nobody named is zero, like moments before the first step.
            let given = dispute.claim.given;
            reads.retain(|(place, _)| given.get(*place).is_none_or(Option::is_some));
            Question::Show(pieces(trace, &reads))
        }
        _ => return None,
    })
}

fn which(dispute: &Dispute, trace: &Trace) -> Option<Question> {
    if dispute.table != Some(*blake3::hash(&table(trace)).as_bytes()) {
        return Some(Question::Table);
    }
    let end = trace.program().table().end;
    let mut results = (0..).zip(dispute.claim.results);
    let differs = results.find(|(index, claimed)| {
        let own = trace.names().get(end + usize::from(*index));
        claimed.is_some_and(|claimed| Some(&claimed) != own)
    });
    differs.map(|(index, _)| Question::Result(index))
}

/// The table: names of all tensors between start and end.
fn table(trace: &Trace) -> Vec<u8> {
    trace.names()[trace.program().table()].concat()
}

fn bytes(trace: &Trace, file: File) -> Vec<u8> {
    match file {
        File::Table => table(trace),
        File::Tensor(place) => trace.bytes(place as usize),
    }
}

fn names(file: &[u8], span: Span) -> Vec<Name> {
    let spans = span.below().into_iter();
    spans.map(|span| span.name(span.of(file))).collect()
}

/// What a fold came to at the cuts of a stretch, as its tensor's numbers are written.
fn values(trace: &Trace, number: Number, stretch: &Stretch) -> Vec<Vec<u8>> {
    let tensor = tensor_at(trace.program(), number.place as usize);
    let cuts = stretch.cuts();
    let values = trace.partials((tensor, number.index), &cuts);
    let values = values.unwrap_or_else(|| vec![f64::NAN; cuts.len()]);
    let encoding = tensor.kind.encoding();
    values
        .into_iter()
        .map(|value| encoding.encode(value))
        .collect()
}

/// The first entry that is another; the first at all if none is.
fn first<T: PartialEq>(own: &[T], shown: &[T]) -> Question {
    let differs = own.iter().zip(shown).position(|(own, shown)| own != shown);
    Question::First(index(differs.unwrap_or(0)))
}

fn index(at: usize) -> u16 {
    u16::try_from(at).unwrap_or(u16::MAX)
}

/// The pieces of its plan that the challenger with this trace of a part shows with a question:
/// with entries that say which sequences the number is of that it points to, or that the operation
/// reads. `places` are those of the part's sequences.
#[must_use]
pub fn entries_with(
    dispute: &Dispute,
    question: &Question,
    trace: &Trace,
    (plan, places): (&Plan, &[u32]),
) -> Vec<Opening> {
    let asks = |number: Number, step| {
        let program = trace.program();
        let tensor = tensor_at(program, number.place as usize);
        let asked = program.asks(tensor, number.index, step).into_iter();
        let asked = asked.filter_map(|index| places.get(index).copied());
        (tensor.kind, asked)
    };
    match (&dispute.stage, question) {
        (Stage::Pick { file, span, .. }, Question::First(first)) => {
            let picked = number_in(trace.program(), *file, *span, *first);
            let asked = picked.map(|number| asks(number, None).1);
            plan.shown(asked.into_iter().flatten())
        }
        (
            Stage::Show {
                number, operation, ..
            },
            Question::Show(_),
        ) => {
            let step = match operation {
                Operation::Step(stretch) => Some(stretch.from),
                Operation::Map(_) | Operation::Start(_) => None,
            };
            let (kind, asked) = asks(*number, step);
            let count = plan.samples_count().max(1);
            let with_group = |place: u32| {
                let first = place - place % count;
                if kind.reads_advantage() {
                    first..first + count
                } else {
                    place..place + 1
                }
            };
            plan.shown(asked.flat_map(with_group))
        }
        _ => Vec::new(),
    }
}

/// All that an operation reads: places of tensors, and bytes in them.
fn reads(trace: &Trace, number: Number, operation: Operation) -> BTreeSet<(usize, u64)> {
    let program = trace.program();
    let mut recorder = Recorder {
        trace,
        reads: BTreeSet::new(),
    };
    let tensor = tensor_at(program, number.place as usize);
    match operation {
        Operation::Map(_) => program.map(tensor, number.index, &mut recorder),
        Operation::Start(_) => program.start(tensor, number.index, &mut recorder),
        Operation::Step(stretch) => {
            if stretch.before.is_none() {
                program.start(tensor, number.index, &mut recorder);
            }
            let steps = stretch.from..stretch.from + 1;
            program.steps_of((tensor, number.index), steps, 0.0, &mut recorder)
        }
    };
    recorder.reads
}

/// The pieces of the table that name tensors, each once.
fn entries(trace: &Trace, places: &[u32]) -> Vec<Opening> {
    let table_file = table(trace);
    let start = trace.program().table().start;
    let bytes = places
        .iter()
        .map(|place| (*place as usize - start) as u64 * NAME_BYTES);
    let pieces: BTreeSet<u64> = bytes.map(|byte| byte / PIECE_BYTES).collect();
    let pieces = pieces.into_iter();
    pieces
        .map(|piece| Opening::of(&table_file, piece * PIECE_BYTES))
        .collect()
}

/// The pieces of tensors that are read, each once.
fn pieces(trace: &Trace, reads: &BTreeSet<(usize, u64)>) -> Vec<(u32, Opening)> {
    let pieces = reads
        .iter()
        .map(|(place, byte)| (*place, byte / PIECE_BYTES));
    let pieces: BTreeSet<(usize, u64)> = pieces.collect();
    let open = |(place, piece): (usize, u64)| {
        let opening = Opening::of(&trace.bytes(place), piece * PIECE_BYTES);
        (u32::try_from(place).unwrap_or(u32::MAX), opening)
    };
    pieces.into_iter().map(open).collect()
}

/// Notes what is read: places of tensors, and bytes in them.
struct Recorder<'a> {
    trace: &'a Trace,
    reads: BTreeSet<(usize, u64)>,
}

impl Source for Recorder<'_> {
    fn number(&mut self, tensor: Tensor, index: u64) -> Option<f64> {
        let place = self.trace.program().place(tensor)?;
        let byte = index * tensor.kind.encoding().width();
        self.reads.insert((place, byte));
        (&mut &*self.trace).number(tensor, index)
    }
}
