//! The process that meets its end: decides block after block, and says what was acknowledged.

use crate::{Common, say, world};
use anyhow::{Context as _, Result};
use ledger_consensus::SoloEngine;
use node::chain::{Chain, application::ChainApplication};
use protocol::Height;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Stdio},
    sync::Arc,
    thread::JoinHandle,
};

/// Transfers in a block, at most.
const TRANSFERS_COUNT_MAX: usize = 60;
/// Notes that are written over in turn.
const NOTES_COUNT: u64 = 16;

pub(crate) fn note_key(number: u64) -> Vec<u8> {
    format!("torture/{}", number % NOTES_COUNT).into_bytes()
}

/// Decides blocks for ever.
pub(crate) fn run(common: Common, folder: &Path) -> Result<()> {
    let store = common.store.open(folder)?;
    let genesis = world::chain()?;
    let chain = Chain::open(&genesis, Arc::clone(&store))?;
    let key = world::operator();
    let application = ChainApplication::new(Arc::clone(&chain), &key, 0);
    let mut engine = SoloEngine::new(application, chain.id(), key);
    let mut random = StdRng::seed_from_u64(common.seed);
    loop {
        for _ in 0..random.gen_range(0..TRANSFERS_COUNT_MAX) {
            let nonce = |key: &protocol::SigningKey| chain.next_nonce(key.address());
            let transfer = world::transfer(&genesis, &mut random, nonce);
            // The mempool may be full, which is load as well.
            drop(chain.submit(&transfer.encode()));
        }
        let next = chain.view(|view| ledger_state::run::tip(view).height.next());
        if random.gen_bool(0.3) {
            let number = next.get();
            store.put_local(&note_key(number), &number.to_le_bytes())?;
            say(&format!("noted {number}"))?;
        }
        let (height, id) = engine.step(1_000 + next.get())?;
        say(&format!("committed {height} {id}"))?;
    }
}

/// What a child said before it ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    /// The last block that was acknowledged, and its identifier.
    pub(crate) committed: Option<(Height, String)>,
    /// Notes that were acknowledged.
    pub(crate) noted: Vec<u64>,
}

/// A child that runs.
pub(crate) struct Running {
    pub(crate) process: Child,
    listener: JoinHandle<Said>,
}

/// Starts a child; `shell` is run before it in the same process.
pub(crate) fn start(common: Common, folder: &Path, shell: &str) -> Result<Running> {
    let program = std::env::current_exe()?;
    let mut process = std::process::Command::new("sh")
        .arg("-c")
        .arg(format!("{shell} exec \"$0\" \"$@\""))
        .arg(program)
        .arg("child")
        .args(["--store", &common.store.to_string()])
        .args(["--seed", &common.seed.to_string()])
        .arg("--folder")
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("the child cannot be started")?;
    let output = process.stdout.take().context("standard output")?;
    let listener = std::thread::spawn(move || {
        let mut said = Said::default();
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                ["committed", height, id] => {
                    let height = height.parse().ok().map(Height::new);
                    said.committed = height.map(|height| (height, (*id).to_owned()));
                }
                ["noted", number] => said.noted.extend(number.parse::<u64>().ok()),
                _ => {}
            }
        }
        said
    });
    Ok(Running { process, listener })
}

impl Running {
    /// All that it said, once it has ended.
    pub(crate) fn said(self) -> Result<Said> {
        let joined = self.listener.join();
        joined.map_err(|_| anyhow::anyhow!("the listener failed"))
    }
}
