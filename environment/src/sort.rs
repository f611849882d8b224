//! Sorting digits: `31415926=` is answered by `11234569`.

use crate::{Chance, END_OF_SEQUENCE, Environment, bytes_of, tokens_of};

/// Sort a row of decimal digits in ascending order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SortDigits {
    name: &'static str,
    digits: usize,
}

impl SortDigits {
    /// Four digits: small enough for a model of a few thousand parameters.
    pub const FOUR: Self = Self {
        name: "sort-digits-4",
        digits: 4,
    };
    /// Eight digits: the devnet's environment.
    pub const EIGHT: Self = Self {
        name: "sort-digits-8",
        digits: 8,
    };
}

impl Environment for SortDigits {
    fn name(&self) -> &'static str {
        self.name
    }

    fn description(&self) -> String {
        let Self { name: _, digits } = self;
        format!("cairn environment; kind sort-digits; version 1; digits {digits}")
    }

    fn draw(&self, chance: &mut Chance) -> Vec<u8> {
        let mut prompt: Vec<u8> = (0..self.digits).map(|_| chance.digit()).collect();
        prompt.push(b'=');
        prompt
    }

    fn answer(&self, prompt: &[u32]) -> Option<Vec<u32>> {
        let bytes = bytes_of(prompt)?;
        let digits = bytes.strip_suffix(b"=")?;
        if digits.len() != self.digits || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let mut sorted = digits.to_vec();
        sorted.sort_unstable();
        let mut answer = tokens_of(&sorted);
        answer.push(END_OF_SEQUENCE);
        Some(answer)
    }

    fn prompt_tokens(&self) -> usize {
        self.digits.saturating_add(1)
    }

    fn response_tokens_max(&self) -> usize {
        self.digits.saturating_add(1)
    }
}
