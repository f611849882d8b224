//! Rows of a training batch: what stands in them, what follows, and what carries loss.
//!
//! A batch has two parts. *Text* is slices of the corpus, in which every token but the first is to
//! be foretold. *Demonstrations* are worked examples, padded to one length with the end of
//! sequence; of these only the answer is to be foretold, for the prompt is chance.

use crate::{Corpus, END_OF_SEQUENCE, Environment, Split};

/// One row: position by position a token, the one that follows, and whether it carries loss.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What the model reads.
    pub tokens: Vec<u32>,
    /// What follows each.
    pub targets: Vec<u32>,
    /// Whether foretelling it counts.
    pub counts: Vec<bool>,
}

impl Row {
    /// The text of a seed, of so many tokens; the row has one position fewer.
    #[must_use]
    pub fn text(corpus: &Corpus, seed: &[u8; 32], length_tokens: usize) -> Self {
        let run = corpus.slice(seed, length_tokens, Split::Train);
        let tokens = |bytes: Option<&[u8]>| crate::tokens_of(bytes.unwrap_or_default());
        let targets = tokens(run.get(1..));
        Self {
            tokens: tokens(run.get(..targets.len())),
            counts: vec![true; targets.len()],
            targets,
        }
    }
    /// The demonstration of a seed, of [`Self::demonstration_length`] positions.
    #[must_use]
    pub fn demonstration(environment: &dyn Environment, seed: &[u8; 32]) -> Self {
        let example = environment.demonstration(seed);
        let prompt = environment.prompt_tokens();
        let length = Self::demonstration_length(environment);
        let at = |index: usize| example.get(index).copied();
        let padded = |index| at(index).unwrap_or(END_OF_SEQUENCE);
        let positions = 0..length;
        let next = positions.clone().map(|position| position.saturating_add(1));
        Self {
            tokens: positions.map(padded).collect(),
            counts: next
                .clone()
                .map(|next| next >= prompt && at(next).is_some())
                .collect(),
            targets: next.map(padded).collect(),
        }
    }
    /// Positions of every demonstration of an environment.
    #[must_use]
    pub fn demonstration_length(environment: &dyn Environment) -> usize {
        let whole = environment
            .prompt_tokens()
            .saturating_add(environment.response_tokens_max());
        whole.saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;
    use crate::by_name;

    #[test]
    fn in_text_every_token_is_foretold_from_those_before() {
        let corpus = Corpus::shakespeare();
        let row = Row::text(corpus, &[3; 32], 9);
        let run = corpus.tokens(&[3; 32], 9, Split::Train);
        assert_eq!((&row.tokens[..], &row.targets[..]), (&run[..8], &run[1..]));
        assert_eq!(row.counts, [true; 8]);
    }

    #[test]
    fn of_a_demonstration_exactly_the_answer_carries_loss() {
        let sort = by_name("sort-digits-8").unwrap();
        let row = Row::demonstration(sort, &[7; 32]);
        let length = Row::demonstration_length(sort);
        assert_eq!(row.tokens.len(), length);
        assert_eq!(row.targets.len(), length);
        let prompt = sort.prompt(&[7; 32], Split::Train);
        let pairs = row.targets.iter().zip(&row.counts);
        let foretold: Vec<u32> = pairs
            .filter(|(_, counts)| **counts)
            .map(|(t, _)| *t)
            .collect();
        assert_eq!(foretold, sort.answer(&prompt).unwrap());
        assert_eq!(row.tokens[..prompt.len()], prompt);
    }
}
