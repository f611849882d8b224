//! All tensors of a step.
//!
//! What is named in the table is named by whoever computed it; two honest parties have the same
//! trace, byte for byte.

use crate::define::{Defined, Source};
use crate::program::{Encoding, Program, Tensor};
use crate::tree::Name;
use std::sync::OnceLock;

/// The numbers of a tensor.
#[derive(Clone, Debug, PartialEq)]
pub enum Numbers {
    /// Of [`Encoding::Single`].
    Single(Vec<f32>),
    /// Of [`Encoding::Double`].
    Double(Vec<f64>),
    /// Of [`Encoding::Word`].
    Word(Vec<u32>),
}

impl Numbers {
    /// So many zeros.
    #[must_use]
    pub fn zeros(encoding: Encoding, length: u64) -> Self {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        match encoding {
            Encoding::Single => Self::Single(vec![0.0; length]),
            Encoding::Double => Self::Double(vec![0.0; length]),
            Encoding::Word => Self::Word(vec![0; length]),
        }
    }
    /// How many.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::Single(numbers) => numbers.len(),
            Self::Double(numbers) => numbers.len(),
            Self::Word(numbers) => numbers.len(),
        }
    }
    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// One of them, widened.
    #[must_use]
    pub fn get(&self, index: u64) -> Option<f64> {
        let index = usize::try_from(index).ok()?;
        match self {
            Self::Single(numbers) => numbers.get(index).copied().map(f64::from),
            Self::Double(numbers) => numbers.get(index).copied(),
            Self::Word(numbers) => numbers.get(index).copied().map(f64::from),
        }
    }
    /// Changes one of them.
    pub fn set(&mut self, index: u64, number: f64) {
        let Ok(index) = usize::try_from(index) else {
            return;
        };
        match self {
            Self::Single(numbers) => numbers[index] = crate::program::single(number),
            Self::Double(numbers) => numbers[index] = number,
            Self::Word(numbers) => numbers[index] = crate::program::word(number),
        }
    }
    /// Their bytes, as [`Encoding`] says.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let canonical = |bits: u32, is_nan| if is_nan { 0x7fc0_0000 } else { bits };
        match self {
            Self::Single(numbers) => {
                let words = numbers.iter().map(|x| canonical(x.to_bits(), x.is_nan()));
                words.flat_map(u32::to_le_bytes).collect()
            }
            Self::Double(numbers) => {
                let bytes = numbers.iter().map(|x| Encoding::Double.encode(*x));
                bytes.flatten().collect()
            }
            Self::Word(numbers) => numbers.iter().flat_map(|x| x.to_le_bytes()).collect(),
        }
    }
}

/// The trace of a step: the numbers of every tensor of its [`Program`].
///
/// Memory: all of them, which is more than training needs, since nothing is used up.
#[derive(Clone, Debug)]
pub struct Trace {
    program: Program,
    tensors: Vec<Numbers>,
    names: OnceLock<Vec<Name>>,
}

/// Numbers that are worth a thread.
const SHARE_MIN: u64 = 256;

/// Computes whole tensors faster than one number after the other, where it can; the bits must be
/// the same.
pub trait Shortcuts {
    /// A tensor's numbers; nothing where there is no shortcut.
    fn compute(&mut self, trace: &Trace, tensor: Tensor) -> Option<Numbers>;
    /// Threads that share the numbers of the other tensors.
    fn threads_count(&self) -> usize {
        1
    }
}

/// No shortcuts.
impl Shortcuts for () {
    fn compute(&mut self, _: &Trace, _: Tensor) -> Option<Numbers> {
        None
    }
}

/// Why a step has no trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TraceError {
    /// A given tensor of another length.
    #[error("{tensor:?} has {length} numbers; the step needs {needed}")]
    Length {
        /// Which.
        tensor: Tensor,
        /// What was given.
        length: usize,
        /// What is needed.
        needed: u64,
    },
}

impl Trace {
    /// Computes the trace of a step; `given` gives what comes from outside.
    ///
    /// # Errors
    /// A given tensor of another length.
    pub fn new(
        program: Program,
        mut given: impl FnMut(Tensor) -> Numbers,
        shortcuts: &mut dyn Shortcuts,
    ) -> Result<Self, TraceError> {
        let mut trace = Self {
            tensors: Vec::with_capacity(program.tensors().len()),
            names: OnceLock::new(),
            program,
        };
        for place in 0..trace.program.tensors().len() {
            let tensor = trace.program.tensors()[place];
            let numbers = if trace.program.defined(tensor, 0) == Defined::Given {
                trace.checked(tensor, given(tensor))?
            } else {
                let short = shortcuts.compute(&trace, tensor);
                short.unwrap_or_else(|| trace.computed(tensor, shortcuts.threads_count()))
            };
            trace.tensors.push(numbers);
        }
        Ok(trace)
    }

    fn checked(&self, tensor: Tensor, numbers: Numbers) -> Result<Numbers, TraceError> {
        let needed = self.program.length(tensor);
        if numbers.len() as u64 == needed {
            return Ok(numbers);
        }
        Err(TraceError::Length {
            tensor,
            length: numbers.len(),
            needed,
        })
    }

    /// One number after the other, each by its definition; none needs another of its tensor, so
    /// that threads share them.
    fn computed(&self, tensor: Tensor, threads_count: usize) -> Numbers {
        let length = self.program.length(tensor);
        let share = length.div_ceil(threads_count.max(1) as u64).max(1);
        let compute = |first: u64| -> Vec<f64> {
            let indices = first..length.min(first.saturating_add(share));
            let number = |index| self.value(tensor, index).unwrap_or(0.0);
            indices.map(number).collect()
        };
        let firsts = (0..length).step_by(usize::try_from(share).unwrap_or(usize::MAX));
        let parts: Vec<Vec<f64>> = if share < SHARE_MIN {
            firsts.map(compute).collect()
        } else {
            std::thread::scope(|scope| {
                let threads: Vec<_> = firsts
                    .map(|first| scope.spawn(move || compute(first)))
                    .collect();
                let joined = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
                joined.map(|part| part.unwrap_or_default()).collect()
            })
        };
        let mut numbers = Numbers::zeros(tensor.kind.encoding(), length);
        for (index, number) in (0..).zip(parts.into_iter().flatten()) {
            numbers.set(index, number);
        }
        numbers
    }

    /// A number by its definition; nothing if something before it is missing.
    fn value(&self, tensor: Tensor, index: u64) -> Option<f64> {
        match self.program.defined(tensor, index) {
            Defined::Given | Defined::Unknown => None,
            Defined::Map => self.program.map(tensor, index, &mut &*self),
            Defined::Fold(count) => self.partial((tensor, index), count),
        }
    }

    /// What a fold has come to after so many steps.
    #[must_use]
    pub fn partial(&self, number: (Tensor, u64), steps: u64) -> Option<f64> {
        let mut source = self;
        let value = self.program.start(number.0, number.1, &mut source)?;
        self.program.steps_of(number, 0..steps, value, &mut source)
    }
    /// What a fold has come to after each of these numbers of steps, ascending.
    #[must_use]
    pub fn partials(&self, number: (Tensor, u64), cuts: &[u64]) -> Option<Vec<f64>> {
        let mut source = self;
        let mut value = self.program.start(number.0, number.1, &mut source)?;
        let mut done = 0;
        let mut values = Vec::with_capacity(cuts.len());
        for cut in cuts {
            let steps = std::mem::replace(&mut done, *cut)..*cut;
            value = self.program.steps_of(number, steps, value, &mut source)?;
            values.push(value);
        }
        Some(values)
    }

    /// The program.
    #[must_use]
    pub const fn program(&self) -> &Program {
        &self.program
    }
    /// The numbers of a tensor.
    #[must_use]
    pub fn numbers(&self, tensor: Tensor) -> Option<&Numbers> {
        self.tensors.get(self.program.place(tensor)?)
    }
    /// The numbers of a tensor by its place, to be changed: for those who try what happens then.
    pub fn numbers_mut(&mut self, place: usize) -> Option<&mut Numbers> {
        self.names.take();
        self.tensors.get_mut(place)
    }
    /// Computes all tensors from a place on once more.
    pub fn again_from(&mut self, place: usize) {
        self.names.take();
        for place in place..self.tensors.len() {
            let tensor = self.program.tensors()[place];
            if self.program.defined(tensor, 0) != Defined::Given {
                self.tensors[place] = self.computed(tensor, 1);
            }
        }
    }
    /// The bytes of a tensor by its place.
    #[must_use]
    pub fn bytes(&self, place: usize) -> Vec<u8> {
        self.tensors
            .get(place)
            .map(Numbers::bytes)
            .unwrap_or_default()
    }
    /// Computes the names of all tensors, which takes about as long as reading them.
    #[must_use]
    pub fn named(self) -> Self {
        let names = self.names().to_vec();
        Self {
            names: OnceLock::from(names),
            ..self
        }
    }
    /// The names of all tensors, in their order.
    #[must_use]
    pub fn names(&self) -> &[Name] {
        let name = |numbers: &Numbers| *blake3::hash(&numbers.bytes()).as_bytes();
        self.names
            .get_or_init(|| self.tensors.iter().map(name).collect())
    }
}

impl Source for &Trace {
    fn number(&mut self, tensor: Tensor, index: u64) -> Option<f64> {
        self.numbers(tensor)?.get(index)
    }
}
