//! The environments a run can name.

use crate::{Addition, Environment, SortDigits};

static ALL: [&dyn Environment; 3] = [&SortDigits::EIGHT, &SortDigits::FOUR, &Addition::FOUR];

/// Every registered environment.
#[must_use]
pub fn all() -> &'static [&'static dyn Environment] {
    &ALL
}

/// The environment with this hash, if there is one.
#[must_use]
pub fn by_hash(hash: &[u8; 32]) -> Option<&'static dyn Environment> {
    ALL.iter()
        .copied()
        .find(|environment| environment.hash() == *hash)
}

/// The environment with this name, if there is one.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static dyn Environment> {
    ALL.iter()
        .copied()
        .find(|environment| environment.name() == name)
}
