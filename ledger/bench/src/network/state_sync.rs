//! A large state from one process to another, beside what the link between them carries.
//!
//! The first node's store is made here: a first block that its only validator signed, and a state
//! after it that is as large as asked for. Half of its bytes are accounts and half entries of a
//! kibibyte, as units and proposals are. That node then goes on with blocks, makes a snapshot, and
//! the second one joins by it. The link's rate is that at which the same pieces come to a program
//! that only counts them. Memory is the most that a process ever had resident.

use super::{
    Options, bulk,
    homes::{Home, on_disk, places, write},
    nodes::{cairn_as, placed},
};
use crate::world::genesis_of;
use anyhow::{Context as _, Result, bail, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use ledger_consensus::{Certificate, Signed, SigningHistory, Vote, VoteKind};
use ledger_state::{State, apply, beacon, genesis, run, validator::Sets};
use ledger_store::{Restored, StoredBlock};
use protocol::{
    Height,
    block::{Block, Header},
    codec::{BoundedVec, encode},
    genesis::Genesis,
};
use serde::Deserialize;
use std::{
    fs,
    process::{Child, Stdio},
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// Distance of looks at a node.
const POLL: Duration = Duration::from_millis(100);
/// Longest wait for a node to read its store, or for a snapshot, or for the state.
const PATIENCE: Duration = Duration::from_secs(600);
/// Blocks of the node that serves, which has nothing else to do.
const INTERVAL_MS: u64 = 500;
/// Pieces under way at once, as state sync has them.
const PIECES_AT_ONCE: usize = 8;

/// A process that ends with this one.
struct Running(Child);

impl Running {
    /// The most memory that it ever had resident.
    fn peak_mib(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
        Ok(kib.context("no VmHWM")?.parse::<u64>()? / 1024)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone after this.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// What a node offers.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Snapshot {
    height: u64,
    depth: u32,
    bytes: u64,
}

/// Measures it.
pub(crate) async fn measure(options: &Options) -> Result<()> {
    let folder = on_disk()?;
    let two = Options {
        validators: 2,
        interval_ms: INTERVAL_MS,
        store: options.state_store,
        ..options.clone()
    };
    let homes = places(&two, folder.path())?;
    let [server, joiner] = homes.as_slice() else {
        bail!("invariant: two homes were asked for");
    };
    let genesis = genesis_of(std::slice::from_ref(&server.key), &[], Vec::new())?;
    for home in [server, joiner] {
        write(home, &homes, &genesis, &two)?;
    }
    fill(server, &genesis, options)?;
    let http = reqwest::Client::builder().no_proxy().build()?;
    // A snapshot at once, and then no more.
    configure(server, options, 1)?;
    let running = start("validator", server, &[])?;
    let offer = snapshot(&http, server).await?;
    let maker_mib = running.peak_mib()?;
    drop(running);
    configure(server, options, 1 << 40)?;
    configure(joiner, options, 1 << 40)?;
    let serving = start("validator", server, &[])?;
    snapshot(&http, server).await?;
    let idle_mib = serving.peak_mib()?;

    println!("\nmeasuring");
    let link_s = download(server, joiner, &offer).await?;
    let begun = Instant::now();
    let url = format!("http://{}", server.http());
    let joined = start("verifier", joiner, &["--state-sync", &url])?;
    let said = Said::read(joiner, "state fetched and proven").await?;
    let (until_placed_s, joined_mib) = (begun.elapsed().as_secs_f64(), joined.peak_mib()?);
    answers(&http, joiner).await?;
    let until_answers_s = begun.elapsed().as_secs_f64();
    let read = Said::read(joiner, "all that is kept is read").await?;
    let read_s = read.number("seconds")?;
    let mib = offer.bytes as f64 / f64::from(1 << 20);
    let (pieces_s, all_s) = (said.number("pieces_s")?, said.number("seconds")?);
    println!("\nstate sync | MiB | s | MiB/s | of the link");
    println!(
        "pieces counted only | {mib:.0} | {link_s:.1} | {:.1} |",
        mib / link_s
    );
    let line = |what: &str, seconds: f64| {
        println!(
            "{what} | {mib:.0} | {seconds:.1} | {:.1} | {:.2}",
            mib / seconds,
            link_s / seconds
        );
    };
    line("pieces fetched, proven and in the store", pieces_s);
    line("from the first request to a whole store", all_s);
    line("from the start of the process", until_placed_s);
    line("until it has read it and answers", until_answers_s);
    println!(
        "of the last, {read_s:.1} s to read, check and build, and {:.1} s to open and to begin",
        until_answers_s - until_placed_s - read_s
    );
    println!(
        "memory, MiB: {idle_mib} of the node that has it, {maker_mib} with making the snapshot, \
         {} after serving it; {joined_mib} of the one that fetches, {} once it has read it",
        serving.peak_mib()?,
        joined.peak_mib()?
    );
    Ok(())
}

/// A store whose first block led to a state of about so many bytes.
fn fill(home: &Home, genesis: &Genesis, options: &Options) -> Result<()> {
    let chain = genesis.chain_id();
    let mut state = genesis::state(genesis)?;
    let genesis_root = state.root();
    let block = first_block(&state, genesis, home)?;
    let verified = block.verify(chain)?;
    let transition = apply(&state, &verified)?;
    state.advance_to(transition.writes, transition.tree);
    let vote = Vote {
        kind: VoteKind::Precommit,
        height: Height::new(1),
        round: 0,
        block_id: Some(verified.id()),
    };
    let signature = home.key.sign(&vote.signing_bytes(chain));
    let certificate = Certificate {
        height: vote.height,
        round: vote.round,
        block_id: verified.id(),
        signatures: BoundedVec::new(vec![(home.key.address(), signature)])?,
    };
    let engine = home.path.join("consensus");
    fs::create_dir_all(&engine)?;
    SigningHistory::open(&engine.join("signing-history"), chain, home.key.address())?
        .allow(Signed::vote(chain, &vote))?;
    let store = options.state_store.open(&home.path.join("store"))?;
    let bytes = options.state_mib << 20;
    let bulk = bulk::put(store.as_ref(), state.entries(), bytes)?;
    println!(
        "a state of {} entries; this program has {} MiB",
        bulk.entries_count,
        crate::resident_mib()
    );
    let stored = StoredBlock {
        block_id: verified.id(),
        block: verified.to_block()?.encode(),
        certificate: encode(&certificate),
        state_root: bulk.root,
    };
    store.restore(&Restored {
        chain,
        genesis_root,
        height: vote.height,
        block: &stored,
        transactions: &[],
        parts_count: bulk.parts_count,
    })?;
    Ok(())
}

fn first_block(state: &State, genesis: &Genesis, home: &Home) -> Result<Block> {
    let view = state.view();
    let tip = run::tip(&view);
    let (validators, next_validators) = Sets::of(&view).hashes();
    Ok(Block {
        header: Header {
            version: 0,
            chain: genesis.chain_id(),
            height: tip.height.next(),
            round: 0,
            parent: tip.block,
            time_ms: tip.time_ms,
            proposer: home.key.address(),
            state_root: state.root(),
            transactions_root: Block::root_of(&[]),
            validators,
            next_validators,
            beacon_proof: beacon::prove(&view, &home.key.vrf()),
        },
        transactions: BoundedVec::new(Vec::new())?,
    })
}

/// Has a node keep its store in a database, and make a snapshot every so many blocks.
fn configure(home: &Home, options: &Options, snapshot_blocks: u64) -> Result<()> {
    let path = home.path.join("config.toml");
    let text = fs::read_to_string(&path)?;
    let is_kept = |line: &&str| !line.starts_with("snapshot_blocks") && !line.starts_with("store ");
    let store = options.state_store;
    let own = format!("snapshot_blocks = {snapshot_blocks}\nstore = \"{store}\"");
    let lines: Vec<&str> = std::iter::once(own.as_str())
        .chain(text.lines().filter(is_kept))
        .collect();
    Ok(fs::write(&path, lines.join("\n"))?)
}

fn start(role: &str, home: &Home, arguments: &[&str]) -> Result<Running> {
    let log = fs::File::create(home.path.join("log"))?;
    let mut command = cairn_as(role, home)?;
    command
        .args(arguments)
        .env("RUST_LOG", "info")
        .env("NO_COLOR", "1");
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    let child = command.spawn();
    Ok(Running(
        child.with_context(|| format!("cannot start {command:?}"))?,
    ))
}

/// Waits for the newest snapshot of a node.
async fn snapshot(http: &reqwest::Client, home: &Home) -> Result<Snapshot> {
    let begun = Instant::now();
    let url = format!("http://{}/v1/snapshots", home.http());
    while begun.elapsed() < PATIENCE {
        if let Ok(answer) = http.get(&url).send().await
            && let Ok(offers) = answer.json::<Vec<Snapshot>>().await
            && let Some(offer) = offers.first()
        {
            return Ok(*offer);
        }
        sleep(POLL).await;
    }
    let log = fs::read_to_string(home.path.join("log")).unwrap_or_default();
    bail!("no snapshot within {} s:\n{log}", PATIENCE.as_secs())
}

/// Waits until a node answers.
async fn answers(http: &reqwest::Client, home: &Home) -> Result<()> {
    let begun = Instant::now();
    let url = format!("http://{}/v1/status", home.http());
    while begun.elapsed() < PATIENCE {
        if let Ok(answer) = http.get(&url).send().await
            && answer.status().is_success()
        {
            return Ok(());
        }
        sleep(POLL).await;
    }
    let log = fs::read_to_string(home.path.join("log")).unwrap_or_default();
    bail!("no answer within {} s:\n{log}", PATIENCE.as_secs())
}

/// Seconds in which all pieces come to somebody at the other's place who does not look at them.
async fn download(from: &Home, to: &Home, offer: &Snapshot) -> Result<f64> {
    let Snapshot { height, depth, .. } = offer;
    let own = std::env::current_exe().context("this program's own path")?;
    let mut command = placed(to, &own);
    let url = format!("http://{}/v1/snapshots/{height}/{depth}", from.http());
    command.args([
        "--count-pieces",
        &url,
        "--pieces",
        &(1 << depth).to_string(),
    ]);
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    let seconds = said.trim().parse();
    seconds.with_context(|| format!("no seconds in {said:?}: {complaint}"))
}

/// Takes all pieces below an address, and prints in how many seconds.
pub(crate) async fn count_pieces(url: &str, pieces: u64) -> Result<()> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let begun = Instant::now();
    let get = |index: u64| {
        let get = http.get(format!("{url}/{index}"));
        async move { anyhow::Ok(get.send().await?.error_for_status()?.bytes().await?.len()) }
    };
    let all = stream::iter(0..pieces).map(get);
    let sizes: Vec<usize> = all.buffer_unordered(PIECES_AT_ONCE).try_collect().await?;
    ensure!(sizes.iter().sum::<usize>() > 0, "the pieces are empty");
    println!("{}", begun.elapsed().as_secs_f64());
    Ok(())
}

/// A line of a node's log.
struct Said(String);

impl Said {
    /// Waits for a line with these words.
    async fn read(home: &Home, words: &str) -> Result<Self> {
        let begun = Instant::now();
        let path = home.path.join("log");
        while begun.elapsed() < PATIENCE {
            let log = fs::read_to_string(&path)?;
            if let Some(line) = log.lines().find(|line| line.contains(words)) {
                return Ok(Self(line.to_owned()));
            }
            sleep(POLL).await;
        }
        let log = fs::read_to_string(&path)?;
        bail!("never said: {words}\n{log}")
    }
    /// The number that it gives under a name.
    fn number(&self, name: &str) -> Result<f64> {
        let after = self.0.split(&format!(" {name}=")).nth(1);
        let word = after.and_then(|rest| rest.split(' ').next());
        let number = word.and_then(|word| word.parse().ok());
        number.with_context(|| format!("no {name} in {:?}", self.0))
    }
}
