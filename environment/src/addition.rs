//! Adding numbers: `1234+8877=` is answered by `10111`, `0012+0030=` by `00042`.

use crate::{Chance, END_OF_SEQUENCE, Environment, bytes_of, tokens_of};

/// Add two numbers of equally many digits. The sum has one digit more, zeros in front kept, so that
/// every answer has the same length. Harder than sorting: the carry runs against the writing order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addition {
    name: &'static str,
    digits: usize,
}

impl Addition {
    /// Two numbers of four digits each.
    pub const FOUR: Self = Self {
        name: "addition-4",
        digits: 4,
    };
}

/// The value of a row of ASCII digits, or `None` if a byte is not a digit or the value overflows.
fn value_of(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |value, byte| {
        let digit = byte.checked_sub(b'0').filter(|&digit| digit < 10)?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

impl Environment for Addition {
    fn name(&self) -> &'static str {
        self.name
    }

    fn description(&self) -> String {
        let Self { name: _, digits } = self;
        format!("cairn environment; kind addition; version 1; digits {digits}")
    }

    fn draw(&self, chance: &mut Chance) -> Vec<u8> {
        let mut prompt: Vec<u8> = (0..self.digits).map(|_| chance.digit()).collect();
        prompt.push(b'+');
        prompt.extend((0..self.digits).map(|_| chance.digit()));
        prompt.push(b'=');
        prompt
    }

    fn answer(&self, prompt: &[u32]) -> Option<Vec<u32>> {
        let bytes = bytes_of(prompt)?;
        let (left, rest) = bytes.split_at_checked(self.digits)?;
        let right = rest.strip_prefix(b"+")?.strip_suffix(b"=")?;
        if right.len() != self.digits {
            return None;
        }
        let sum = value_of(left)?.checked_add(value_of(right)?)?;
        let width = self.digits.saturating_add(1);
        let mut answer = tokens_of(format!("{sum:0width$}").as_bytes());
        answer.push(END_OF_SEQUENCE);
        Some(answer)
    }

    fn prompt_tokens(&self) -> usize {
        self.digits.saturating_mul(2).saturating_add(2)
    }

    fn response_tokens_max(&self) -> usize {
        self.digits.saturating_add(2)
    }
}
