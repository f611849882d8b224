//! Disks that are full, and writes that fail.

use crate::{
    Common,
    child::{self, Said},
    kills::compare,
    say,
    world::Replica,
};
use anyhow::{Context as _, Result, bail, ensure};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use std::{
    io::Read as _,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

/// Longer than a child takes to fill what it has, and to end.
const PATIENCE: Duration = Duration::from_secs(60);
/// What a child may write to a file at first, and with every trial more.
const FILE_BYTES: u64 = 1 << 20;
/// The small file system.
const DISK_BYTES: u64 = 8 << 20;
/// Trials that fill it.
const FULL_COUNT: u64 = 4;

/// Writes that fail beyond a limit, then disks that are full.
///
/// # Errors
/// When a child hung, or anything acknowledged was lost.
pub(crate) fn run(common: Common, count: u64) -> Result<()> {
    limits(common, count)?;
    let folder = tempfile::tempdir()?;
    let program = std::env::current_exe()?;
    let script = "mount -t tmpfs -o size=$1 tmpfs \"$2\" || exit 77; shift 2; exec \"$0\" \"$@\"";
    let status = Command::new("unshare")
        .args(["-rm", "sh", "-c", script])
        .arg(program)
        .arg(DISK_BYTES.to_string())
        .arg(folder.path())
        .arg("full")
        .args(["--store", &common.store.to_string()])
        .args(["--seed", &common.seed.to_string()])
        .arg("--folder")
        .arg(folder.path())
        .status();
    match status.map(|status| status.code()) {
        Ok(Some(0)) => Ok(()),
        Ok(Some(77)) | Err(_) => say("no file system can be mounted here: full disks are left out"),
        Ok(_) => bail!("a full disk is too much for {}", common.store),
    }
}

/// Every child may write a little more than the one before.
fn limits(common: Common, count: u64) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut random = StdRng::seed_from_u64(common.seed);
    let mut replica = Replica::new()?;
    let (mut limit, mut refused) = (FILE_BYTES, 0);
    for trial in 0..count.div_ceil(4) {
        let seed = random.r#gen();
        let common = Common { seed, ..common };
        // The shell counts blocks of 512 bytes.
        let shell = format!("trap '' XFSZ; ulimit -f {};", limit / 512);
        let (said, reason) = until_it_ends(common, folder.path(), &shell)
            .with_context(|| format!("trial {trial} of at most {limit} bytes"))?;
        refused += u64::from(said.committed.is_none());
        let store = common.store.open(folder.path());
        let store = store.with_context(|| format!("after: {reason}"))?;
        compare(&said, &mut replica, store.as_ref()).with_context(|| format!("after: {reason}"))?;
        limit += random.gen_range(FILE_BYTES / 4..FILE_BYTES);
    }
    say(&format!(
        "{} with write errors: {} children met one and named it, {refused} of them before their \
         first block; {} blocks, none lost, none different",
        common.store,
        count.div_ceil(4),
        replica.height
    ))
}

/// Fills a small file system again and again; runs where it is mounted.
///
/// # Errors
/// When a child hung, or anything acknowledged was lost.
pub(crate) fn fill(common: Common, folder: &Path) -> Result<()> {
    let mut random = StdRng::seed_from_u64(common.seed);
    let mut replica = Replica::new()?;
    let store_folder = folder.join("store");
    for trial in 0..FULL_COUNT {
        let seed = random.r#gen();
        let common = Common { seed, ..common };
        let (said, reason) = until_it_ends(common, &store_folder, "")
            .with_context(|| format!("full disk {trial}"))?;
        // As an operator does: there is room again, and the node is started.
        let bytes = DISK_BYTES * (trial + 2);
        let size = format!("remount,size={bytes}");
        let grown = Command::new("mount")
            .args(["-o", &size])
            .arg(folder)
            .status()?;
        ensure!(grown.success(), "the file system cannot grow");
        let store = common.store.open(&store_folder);
        let store = store.with_context(|| format!("after: {reason}"))?;
        compare(&said, &mut replica, store.as_ref()).with_context(|| format!("after: {reason}"))?;
        if trial + 1 == FULL_COUNT {
            say(&format!(
                "{} on full disks: {FULL_COUNT} children met one and named it ({reason}); {} \
                 blocks, none lost, none different",
                common.store, replica.height
            ))?;
        }
    }
    Ok(())
}

/// Runs a child until it ends by itself; what it said, and the reason that it gave.
fn until_it_ends(common: Common, folder: &Path, shell: &str) -> Result<(Said, String)> {
    let mut running = child::start(common, folder, shell)?;
    let mut errors = running.process.stderr.take().context("errors")?;
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        drop(errors.read_to_string(&mut text));
        text
    });
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = running.process.try_wait()? {
            break status;
        }
        if begun.elapsed() > PATIENCE {
            running.process.kill()?;
            running.process.wait()?;
            let said = running.said()?;
            bail!(
                "it neither commits nor ends; it had acknowledged {:?}",
                said.committed
            );
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let said = running.said()?;
    let text = reader.join().unwrap_or_default();
    let reason = text.lines().find_map(|line| line.strip_prefix("torture: "));
    let reason =
        reason.with_context(|| format!("it ended with {status} and named nothing: {text}"))?;
    Ok((said, reason.to_owned()))
}
