//! Kill -9, many times.

use crate::{
    Common,
    child::{self, Said, note_key},
    say,
    world::Replica,
};
use anyhow::{Context as _, Result, ensure};
use ledger_store::Store;
use protocol::Height;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// The latest instant after its start at which a child is killed.
const LIFE_MS_MAX: u64 = 400;

#[derive(Debug, Default)]
struct Tally {
    blocks: u64,
    empty_handed: u64,
    unheard: u64,
    opened_ms: Vec<u64>,
}

/// Kills a child `count` times.
///
/// # Errors
/// At the first kill after which anything is missing or different.
pub(crate) fn run(common: Common, count: u64, fresh_every: u64) -> Result<()> {
    let mut random = StdRng::seed_from_u64(common.seed);
    let mut tally = Tally::default();
    let mut done = 0;
    let started = Instant::now();
    while done < count {
        let mut folder = tempfile::tempdir()?;
        let mut replica = Replica::new()?;
        for _ in 0..fresh_every.min(count - done) {
            done += 1;
            let life = Duration::from_micros(random.gen_range(0..LIFE_MS_MAX * 1_000));
            let common = Common {
                seed: random.r#gen(),
                ..common
            };
            let killed = kill_once(common, folder.path(), life, (&mut replica, &mut tally));
            // What failed stays, to be looked at.
            folder.disable_cleanup(killed.is_err());
            killed.with_context(|| {
                let (life_us, path) = (life.as_micros(), folder.path().display());
                format!("kill {done} after {life_us} µs, in {path}")
            })?;
        }
        tally.blocks += replica.height.get();
    }
    tally.opened_ms.sort_unstable();
    let middle = tally.opened_ms.get(tally.opened_ms.len() / 2).copied();
    say(&format!(
        "{}: {count} kills with seed {} in {} s: {} blocks, none lost, none different; {} children \
         committed nothing; {} times a block was there that its child could not acknowledge; \
         opened after a kill in {} ms (median), {} ms (most)",
        common.store,
        common.seed,
        started.elapsed().as_secs(),
        tally.blocks,
        tally.empty_handed,
        tally.unheard,
        middle.unwrap_or(0),
        tally.opened_ms.last().copied().unwrap_or(0),
    ))
}

fn kill_once(
    common: Common,
    folder: &Path,
    life: Duration,
    (replica, tally): (&mut Replica, &mut Tally),
) -> Result<()> {
    let mut running = child::start(common, folder, "")?;
    std::thread::sleep(life);
    running.process.kill()?;
    let status = running.process.wait()?;
    let said = running.said()?;
    ensure!(!status.success(), "the child ended by itself");
    let opening = Instant::now();
    let store = common.store.open(folder).context("the store is refused")?;
    let opened_ms = u64::try_from(opening.elapsed().as_millis())?;
    tally.opened_ms.push(opened_ms);
    compare(&said, replica, store.as_ref())?;
    match said.committed {
        None => tally.empty_handed += 1,
        Some((height, _)) => tally.unheard += u64::from(replica.height > height),
    }
    Ok(())
}

/// Whether everything acknowledged is there, and everything is as the replica computes it.
pub(crate) fn compare(said: &Said, replica: &mut Replica, store: &dyn Store) -> Result<()> {
    replica.follow(store)?;
    if let Some((height, id)) = &said.committed {
        let found = store
            .block(*height)?
            .map(|block| block.block_id.to_string());
        ensure!(
            found.as_ref() == Some(id),
            "block {height} was acknowledged as {id}; the store has {found:?}"
        );
        ensure!(
            replica.height <= Height::new(height.get() + 1),
            "more than one block is there that was not acknowledged"
        );
    }
    for number in said.noted.iter().rev().take(8) {
        let note = store.get_local(&note_key(*number))?;
        let found = note.and_then(|note| Some(u64::from_le_bytes(note.try_into().ok()?)));
        ensure!(
            found.is_some_and(|found| found >= *number),
            "note {number} was acknowledged; the store has {found:?}"
        );
    }
    Ok(())
}
