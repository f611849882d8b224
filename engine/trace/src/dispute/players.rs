//! How honest sides play: each knows its own trace, and nothing else is needed.

use super::{
    Answer, Dispute, File, NAME_BYTES, Number, Operation, Question, Shown, Stage, Stretch, bits_of,
    joined, number_in, table_span, tensor_at,
};
use crate::define::Source;
use crate::plan::Plan;
use crate::program::Tensor;
use crate::trace::Trace;
use crate::tree::{Name, Opening, Span};

/// What the defendant with this trace answers; nothing when it is not its turn.
#[must_use]
pub fn answer(dispute: &Dispute, trace: &Trace) -> Option<Answer> {
    Some(match &dispute.stage {
        Stage::Table => Answer::Table(names(&table(trace), table_span(trace.program()))),
        Stage::Below { file, span, .. } if span.is_piece() => {
            Answer::Piece(span.of(&bytes(trace, *file)).to_vec())
        }
        Stage::Below { file, span, .. } => Answer::Names(names(&bytes(trace, *file), *span)),
        Stage::Fold { number, stretch } => Answer::Values(values(trace, *number, stretch).concat()),
        Stage::Read { number, operation } => {
            let reads = reads(dispute, trace, *number, *operation).into_iter();
            Answer::Operands(reads.map(|read| read.value.to_bits()).collect())
        }
        _ => return None,
    })
}

/// What the challenger with this trace asks; nothing when it is not its turn, or all that is
/// claimed is what its own trace has.
#[must_use]
pub fn question(dispute: &Dispute, trace: &Trace) -> Option<Question> {
    Some(match &dispute.stage {
        Stage::Which { names } => which(dispute, names, trace)?,
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
        Stage::Show {
            number,
            operation,
            operands,
        } => {
            let own = reads(dispute, trace, *number, *operation);
            Question::Show(shown(dispute, trace, &own, operands).map(Box::new))
        }
        _ => return None,
    })
}

fn which(dispute: &Dispute, shown: &[Name], trace: &Trace) -> Option<Question> {
    let own = names(&table(trace), table_span(trace.program()));
    if joined(table_span(trace.program()), &own) != dispute.table {
        return Some(first(&own, shown));
    }
    let end = trace.program().table().end;
    let mut results = (0..).zip(dispute.claim.results);
    let differs = results.find(|(index, claimed)| {
        let own = trace.names().get(end + usize::from(*index));
        claimed.is_some_and(|claimed| Some(&claimed) != own)
    });
    differs.map(|(index, _)| Question::Result(index))
}

/// The first number that is read which is another here than the defendant says, as it is in its
/// tensor; nothing if none is, for then they do not give what it says.
fn shown(dispute: &Dispute, trace: &Trace, own: &[Read], operands: &[u64]) -> Option<Shown> {
    let said = operands.iter().copied().chain(std::iter::repeat(0));
    let mut pairs = (0..).zip(own.iter().zip(said));
    let differs = |(_, (read, said)): &(u16, (&Read, u64))| {
        let encoding = read.tensor.kind.encoding();
        encoding.encode(read.value) != encoding.encode(f64::from_bits(*said))
    };
    let (index, (read, _)) = pairs.find(differs)?;
    let byte = read.index * read.tensor.kind.encoding().width();
    Some(Shown {
        index,
        entry: entry(dispute, trace, read.place),
        piece: Opening::of(&trace.bytes(read.place), byte),
    })
}

/// The piece of the table with the name of a tensor, below a span that both agree about; nothing
/// where the name is known.
fn entry(dispute: &Dispute, trace: &Trace, place: usize) -> Option<Opening> {
    let between = trace.program().table();
    let index = place
        .checked_sub(between.start)
        .filter(|_| place < between.end)?;
    let mut known = dispute.agreed.entries.iter();
    if known.any(|(other, _)| *other as usize == place) {
        return None;
    }
    let byte = index as u64 * NAME_BYTES;
    let mut spans = dispute.agreed.spans.iter();
    let (span, _) = spans.find(|(span, _)| span.holds(byte))?;
    Some(Opening::of_span(&table(trace), *span, byte))
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

/// A number that an operation reads.
#[derive(Clone, Copy, Debug)]
struct Read {
    tensor: Tensor,
    /// The tensor's place.
    place: usize,
    index: u64,
    value: f64,
}

/// All that an operation reads, in order, but what nobody named, which is zero.
fn reads(dispute: &Dispute, trace: &Trace, number: Number, operation: Operation) -> Vec<Read> {
    let program = trace.program();
    let mut recorder = Recorder {
        trace,
        reads: Vec::new(),
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
    let given = dispute.claim.given;
    let mut reads = recorder.reads;
    reads.retain(|read| given.get(read.place).is_none_or(Option::is_some));
    reads
}

/// Notes what is read.
struct Recorder<'a> {
    trace: &'a Trace,
    reads: Vec<Read>,
}

impl Source for Recorder<'_> {
    fn number(&mut self, tensor: Tensor, index: u64) -> Option<f64> {
        let place = self.trace.program().place(tensor)?;
        let value = (&mut &*self.trace).number(tensor, index)?;
        self.reads.push(Read {
            tensor,
            place,
            index,
            value,
        });
        Some(value)
    }
}
