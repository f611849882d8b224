//! Who votes: the weighted validator set, its quorum and its proposers.
//!
//! Spec: 05-block §3.

use protocol::{Height, PublicKey, block::proposer_index};

/// The largest validator set. Votes grow with its square and verifying a certificate takes about
/// 0.2 ms per ten validators.
pub const VALIDATOR_COUNT_MAX: usize = 128;

/// One validator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validator {
    /// Signs votes and names the validator.
    pub key: PublicKey,
    /// Weight of its votes; never zero.
    pub power: u64,
}

/// Validators in ascending order of key, each once, each with power.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidatorSet {
    validators: Vec<Validator>,
    power_total: u64,
}

/// Why a list of validators is not a set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValidatorSetError {
    /// Nobody could ever decide.
    #[error("validator set is empty; at least 1 validator is needed")]
    Empty,
    /// Too many.
    #[error("validator set has {count} validators; at most {VALIDATOR_COUNT_MAX} are allowed")]
    TooMany {
        /// Validators given.
        count: usize,
    },
    /// Listed twice.
    #[error("validator {key} is listed twice")]
    Duplicate {
        /// The validator.
        key: PublicKey,
    },
    /// No power.
    #[error("validator {key} has power 0; at least 1 is needed")]
    Powerless {
        /// The validator.
        key: PublicKey,
    },
    /// The sum does not fit.
    #[error("total power of {count} validators exceeds {}", u64::MAX)]
    PowerOverflow {
        /// Validators given.
        count: usize,
    },
}

impl ValidatorSet {
    /// Orders and checks validators.
    ///
    /// # Errors
    /// See [`ValidatorSetError`].
    pub fn new(validators: Vec<Validator>) -> Result<Self, ValidatorSetError> {
        let mut validators = validators;
        let count = validators.len();
        if count == 0 {
            return Err(ValidatorSetError::Empty);
        }
        if count > VALIDATOR_COUNT_MAX {
            return Err(ValidatorSetError::TooMany { count });
        }
        validators.sort_by_key(|validator| validator.key);
        for pair in validators.windows(2) {
            if let [first, second] = pair
                && first.key == second.key
            {
                return Err(ValidatorSetError::Duplicate { key: first.key });
            }
        }
        let mut power_total: u64 = 0;
        for &Validator { key, power } in &validators {
            if power == 0 {
                return Err(ValidatorSetError::Powerless { key });
            }
            power_total = power_total
                .checked_add(power)
                .ok_or(ValidatorSetError::PowerOverflow { count })?;
        }
        Ok(Self {
            validators,
            power_total,
        })
    }

    /// The validators, in ascending order of key.
    #[must_use]
    pub fn as_slice(&self) -> &[Validator] {
        &self.validators
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.validators.len()
    }

    /// Sum of all power.
    #[must_use]
    pub fn power_total(&self) -> u64 {
        self.power_total
    }

    /// The validator with this key.
    #[must_use]
    pub fn get(&self, key: &PublicKey) -> Option<&Validator> {
        let index = self
            .validators
            .binary_search_by_key(key, |validator| validator.key)
            .ok()?;
        self.validators.get(index)
    }

    /// Whether this much power decides: strictly more than two thirds of all power.
    #[must_use]
    pub fn is_quorum(&self, power: u64) -> bool {
        u128::from(power) * 3 > u128::from(self.power_total) * 2
    }

    /// Who proposes in this round of this height; see [`proposer_index`].
    ///
    /// # Panics
    /// Never: a set is not empty and everybody in it has power.
    #[must_use]
    pub fn proposer(&self, height: Height, round: u32) -> &Validator {
        let powers = self.validators.iter().map(|validator| validator.power);
        let index = proposer_index(powers, height, round)
            .expect("invariant: a set has power, and not more than 64 bits count");
        &self.validators[index]
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn key(index: u8) -> PublicKey {
        PublicKey::from_bytes([index; 32])
    }

    fn set(powers: &[u64]) -> ValidatorSet {
        let validators = powers
            .iter()
            .zip(0..)
            .map(|(&power, index)| Validator {
                key: key(index),
                power,
            })
            .collect();
        ValidatorSet::new(validators).unwrap()
    }

    #[test]
    fn lists_that_are_not_sets_are_rejected() {
        let one = Validator {
            key: key(1),
            power: 1,
        };
        let many: Vec<_> = (0..=128)
            .map(|index| Validator {
                key: key(index),
                power: 1,
            })
            .collect();
        let table = [
            (vec![], ValidatorSetError::Empty),
            (many, ValidatorSetError::TooMany { count: 129 }),
            (vec![one, one], ValidatorSetError::Duplicate { key: key(1) }),
            (
                vec![Validator {
                    key: key(2),
                    power: 0,
                }],
                ValidatorSetError::Powerless { key: key(2) },
            ),
            (
                vec![
                    one,
                    Validator {
                        key: key(3),
                        power: u64::MAX,
                    },
                ],
                ValidatorSetError::PowerOverflow { count: 2 },
            ),
        ];
        for (validators, expect) in table {
            assert_eq!(ValidatorSet::new(validators), Err(expect));
        }
    }

    #[test]
    fn quorum_is_strictly_more_than_two_thirds() {
        let four = set(&[1, 1, 1, 1]);
        assert!(!four.is_quorum(2));
        assert!(four.is_quorum(3));
        let three = set(&[1, 1, 1]);
        assert!(!three.is_quorum(2));
        assert!(three.is_quorum(3));
        assert!(set(&[u64::MAX]).is_quorum(u64::MAX));
    }

    #[test]
    fn proposers_rotate_in_proportion_to_power() {
        let set = set(&[10, 20, 30, 40]);
        let mut turns = BTreeMap::<PublicKey, u64>::new();
        for height in 1..=1_000 {
            *turns
                .entry(set.proposer(Height::new(height), 0).key)
                .or_default() += 1;
        }
        for validator in set.as_slice() {
            let got = turns[&validator.key];
            assert!(
                got.abs_diff(validator.power * 10) <= 4,
                "{validator:?} proposed {got} times"
            );
        }
    }

    #[test]
    fn next_round_falls_to_another_proposer() {
        let set = set(&[1_000_000, 1_000_000, 1_000_000, 1_000_000]);
        for height in (1..=1_000).map(Height::new) {
            assert_ne!(set.proposer(height, 0), set.proposer(height, 1));
        }
    }
}
