//! A large state straight into a store, part by part: only one part of it is ever in memory, and
//! eight bytes for every entry that say in which part it lies.

use crate::world::stranger;
use anyhow::{Context as _, Result};
use ledger_state::{account::Account, state::key_bytes};
use ledger_store::{State, Store};
use ledger_tree::{Outline, Piece, part_of};
use protocol::{Amount, Nonce, StateRoot, codec::encode};

/// Bytes of a large entry, and of an account with its key and what a piece adds.
const LARGE_BYTES: usize = 1_024;
const ACCOUNT_BYTES: u64 = 33 + 16 + 8;
/// A table of the state that no rule reads.
const TABLE: u8 = 250;
/// Most bytes of a part, on the mean.
const PART_BYTES: u64 = 4 << 20;

/// A state that a store was given.
pub(super) struct Bulk {
    pub(super) root: StateRoot,
    pub(super) parts_count: u32,
    pub(super) entries_count: usize,
}

/// Entries by number: accounts without a balance, large ones of no known table, neither of which
/// any rule looks at, and those of a state that there is.
struct Entries<'a> {
    accounts: u64,
    large: u64,
    base: Vec<(&'a Vec<u8>, &'a Vec<u8>)>,
}

impl Entries<'_> {
    fn count(&self) -> u64 {
        self.accounts + self.large + self.base.len() as u64
    }
    fn of(&self, number: u64) -> Result<(Vec<u8>, Vec<u8>)> {
        if number < self.accounts {
            let account = Account {
                balance: Amount::ZERO,
                nonce: Nonce::ZERO.next(),
            };
            let key = key_bytes::<Account>(&stranger(number));
            return Ok((key, encode(&account)));
        }
        let number = number - self.accounts;
        if number < self.large {
            let name = *stranger(number).as_bytes();
            let value = name.iter().cycle().take(LARGE_BYTES).copied();
            return Ok(([&[TABLE], name.as_slice()].concat(), value.collect()));
        }
        let at = usize::try_from(number - self.large)?;
        let (key, value) = self.base.get(at).context("invariant: numbers end here")?;
        Ok(((*key).clone(), (*value).clone()))
    }
}

/// Gives an empty store these entries and as many more as have about so many bytes, half of them
/// accounts.
pub(super) fn put(store: &dyn Store, base: &State, bytes: u64) -> Result<Bulk> {
    let entries = Entries {
        accounts: bytes / 2 / ACCOUNT_BYTES,
        large: bytes / 2 / (LARGE_BYTES as u64 + 64),
        base: base.iter().collect(),
    };
    let depth = bytes.div_ceil(PART_BYTES).next_power_of_two().ilog2();
    let mut places = Vec::with_capacity(usize::try_from(entries.count())?);
    for number in 0..entries.count() {
        let part = u32::try_from(part_of(&entries.of(number)?.0, depth))?;
        places.push((part, u32::try_from(number)?));
    }
    places.sort_unstable();
    store.begin(b"bulk")?;
    let mut parts = Vec::new();
    for part in 0..1 << depth {
        let start = places.partition_point(|(of, _)| *of < part);
        let end = places.partition_point(|(of, _)| *of <= part);
        let own = places.get(start..end).unwrap_or_default().iter();
        let own = own.map(|(_, number)| entries.of(u64::from(*number)));
        let piece = Piece::new(own.collect::<Result<_>>()?)?;
        parts.push(piece.part(depth));
        store.put_part(part, &mut piece.entries())?;
    }
    Ok(Bulk {
        root: Outline::of(parts)?.root(),
        parts_count: 1 << depth,
        entries_count: places.len(),
    })
}
