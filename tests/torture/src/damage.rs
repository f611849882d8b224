//! Cuts, flips and rubbish in the files of a good store.

use crate::{
    Common, child,
    inspect::{Finding, apart},
    say,
};
use anyhow::{Context as _, Result, bail};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use std::{collections::BTreeMap, fs, os::unix::fs::FileExt as _, path::Path, time::Duration};

/// How long the history is made that is damaged then.
const HISTORY: Duration = Duration::from_secs(2);
const PAGE_BYTES: u64 = 4096;

/// A way to damage a file.
#[derive(Clone, Copy, Debug)]
enum Damage {
    Cut,
    Flip,
    Zero,
    Rubbish,
    Gone,
}

#[derive(Debug, Default)]
struct Tally {
    whole: u64,
    named: u64,
    died: u64,
    hung: u64,
    silent: u64,
    /// What was said, by its first words.
    words: BTreeMap<String, u64>,
}

/// Damages copies of one store.
///
/// # Errors
/// When anything was lost in silence, or an opening hung or died.
pub(crate) fn run(common: Common, count: u64) -> Result<()> {
    let original = tempfile::tempdir()?;
    let mut running = child::start(common, original.path(), "")?;
    std::thread::sleep(HISTORY);
    running.process.kill()?;
    running.process.wait()?;
    running.said()?;
    // Once opened and closed, so that what a crash leaves is not counted as damage.
    apart(common, original.path())?;
    let Finding::Holds(expected) = apart(common, original.path())? else {
        bail!("the history cannot be read before it is damaged");
    };
    let file = common.store.file();
    let bytes = fs::metadata(original.path().join(file))?.len();
    say(&format!(
        "{}: a history of {bytes} bytes: {expected}",
        common.store
    ))?;
    let mut random = StdRng::seed_from_u64(common.seed);
    let mut failed = false;
    for damage in [
        Damage::Flip,
        Damage::Cut,
        Damage::Zero,
        Damage::Rubbish,
        Damage::Gone,
    ] {
        let mut tally = Tally::default();
        let trials = if matches!(damage, Damage::Gone) {
            1
        } else {
            count
        };
        for _ in 0..trials {
            let folder = tempfile::tempdir()?;
            copy(original.path(), folder.path())?;
            damage.inflict(&folder.path().join(file), bytes, &mut random)?;
            tally.count(apart(common, folder.path())?, &expected);
        }
        let Tally {
            whole,
            named,
            died,
            hung,
            silent,
            words,
        } = &tally;
        say(&format!(
            "{} {damage:?}: {trials} trials with seed {}: {whole} held everything, {named} named \
             the damage, {silent} lost in silence, {died} died, {hung} hung; {words:?}",
            common.store, common.seed
        ))?;
        failed |= died + hung + silent > 0;
    }
    if failed {
        bail!("{} does not keep what it promises", common.store);
    }
    Ok(())
}

impl Damage {
    fn inflict(self, path: &Path, bytes: u64, random: &mut StdRng) -> Result<()> {
        if matches!(self, Self::Gone) {
            return fs::remove_file(path).context("the file cannot be removed");
        }
        let file = fs::OpenOptions::new().read(true).write(true).open(path)?;
        let at = random.gen_range(0..bytes);
        let page = at / PAGE_BYTES * PAGE_BYTES;
        let page_bytes = usize::try_from(PAGE_BYTES.min(bytes - page))?;
        match self {
            Self::Cut => file.set_len(at)?,
            Self::Flip => {
                let mut byte = [0];
                file.read_exact_at(&mut byte, at)?;
                byte[0] ^= 1 << random.gen_range(0..8);
                file.write_all_at(&byte, at)?;
            }
            Self::Zero => file.write_all_at(&vec![0; page_bytes], page)?,
            Self::Rubbish | Self::Gone => {
                let rubbish: Vec<u8> = (0..page_bytes).map(|_| random.r#gen()).collect();
                file.write_all_at(&rubbish, page)?;
            }
        }
        Ok(())
    }
}

impl Tally {
    fn count(&mut self, finding: Finding, expected: &str) {
        let (counter, words) = match finding {
            Finding::Holds(found) if found == expected => (&mut self.whole, None),
            Finding::Holds(found) => (&mut self.silent, Some(found)),
            Finding::Named(reason) => (&mut self.named, Some(reason)),
            Finding::Died(reason) => (&mut self.died, Some(reason)),
            Finding::Hung => (&mut self.hung, None),
        };
        *counter += 1;
        if let Some(words) = words {
            // Without the path and the numbers, which differ every time.
            let kind: Vec<&str> = words
                .split(' ')
                .filter(|word| !word.contains(['/', '0', '1', '2', '3', '4', '5']))
                .take(7)
                .collect();
            *self.words.entry(kind.join(" ")).or_default() += 1;
        }
    }
}

pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
