//! Processes, and how fast their blocks come.

use super::{
    Pace,
    homes::{Home, Homes},
};
use anyhow::{Context as _, Result, bail, ensure};
use protocol::{
    block::{BLOCK_BYTES_MAX, Block},
    codec::{BoundedVec, Bytes, decode},
};
use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// Distance of questions for the tip.
const POLL: Duration = Duration::from_millis(20);
/// Blocks that are asked for at once.
const BLOCKS_COUNT_MAX: usize = 64;
/// Most bytes of such an answer.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// A process that ends with this one.
pub(super) struct Node {
    child: Child,
    said: Option<ChildStdout>,
    /// Its HTTP interface.
    pub(super) url: String,
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone after this.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// All of them.
pub(super) struct Nodes {
    pub(super) all: Vec<Node>,
    pub(super) http: reqwest::Client,
}

impl Nodes {
    pub(super) fn start(homes: &Homes, command: impl Fn(&Home) -> Result<Command>) -> Result<Self> {
        let start = |home: &Home| {
            let mut command = command(home)?;
            let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
            let mut child = child.with_context(|| format!("cannot start {command:?}"))?;
            let said = child.stdout.take();
            let url = format!("http://{}", home.http());
            Ok(Node { child, said, url })
        };
        let http = reqwest::Client::builder().no_proxy().build()?;
        let all = homes.all.iter().map(start).collect::<Result<_>>()?;
        Ok(Self { all, http })
    }
    /// Height of the first node.
    pub(super) async fn height(&self) -> Result<u64> {
        self.height_of(0).await
    }
    /// Height of one node.
    pub(super) async fn height_of(&self, index: usize) -> Result<u64> {
        #[derive(serde::Deserialize)]
        struct Status {
            height: u64,
        }
        let url = format!("{}/v1/status", self.all[index].url);
        let status: Status = self.http.get(url).send().await?.json().await?;
        Ok(status.height)
    }
    /// Waits until the first node has blocks.
    pub(super) async fn wait_for_blocks(&mut self, patience: Duration) -> Result<()> {
        let started = Instant::now();
        while started.elapsed() < patience {
            for node in &mut self.all {
                if let Some(status) = node.child.try_wait()? {
                    bail!("the node at {} ended with {status}", node.url);
                }
            }
            if self.height().await.is_ok_and(|height| height >= 5) {
                return Ok(());
            }
            sleep(POLL).await;
        }
        bail!("no five blocks within {} s", patience.as_secs())
    }
    /// The blocks above a height that the first node has, ascending; maybe none.
    pub(super) async fn blocks_above(&self, height: u64) -> Result<Vec<Block>> {
        type Wire = BoundedVec<(Bytes<BLOCK_BYTES_MAX>, Bytes<{ 1 << 16 }>), BLOCKS_COUNT_MAX>;
        let tip = self.height().await?;
        let count = tip.saturating_sub(height).min(BLOCKS_COUNT_MAX as u64);
        if count == 0 {
            return Ok(Vec::new());
        }
        let url = format!("{}/v1/history/{}/{count}", self.all[0].url, height + count);
        let bytes = self.http.get(url).send().await?.bytes().await?;
        let wire: Wire = decode("blocks", &bytes, ANSWER_BYTES_MAX)?;
        let blocks = wire.as_slice().iter().rev();
        let blocks = blocks.map(|(block, _)| Ok(Block::decode(block.as_slice())?));
        let blocks: Vec<Block> = blocks.collect::<Result<_>>()?;
        // An answer has so many bytes at most, and is counted from above.
        let follows = blocks.first().map(|block| block.header.height.get()) == Some(height + 1);
        ensure!(
            follows,
            "the node sent less than the {count} blocks above {height}"
        );
        Ok(blocks)
    }
    /// How fast blocks come, by the times that proposers gave them.
    pub(super) async fn watch(&self, duration: Duration) -> Result<Pace> {
        let from = self.height().await?;
        let started = Instant::now();
        sleep(duration).await;
        let count = self.height().await? - from;
        let per_s = count as f64 / started.elapsed().as_secs_f64();
        let mut times = Vec::new();
        let mut height = from;
        while height < from + count {
            for block in self.blocks_above(height).await? {
                height = block.header.height.get();
                times.push(block.header.time_ms);
            }
        }
        let gaps = times
            .windows(2)
            .map(|two| two[1].saturating_sub(two[0]) as f64);
        Ok(Pace {
            per_s,
            ..Pace::of(gaps.collect())?
        })
    }
    /// How fast the engines alone decide, by the times that the first one prints.
    pub(super) fn paces(&mut self, duration: Duration) -> Result<Pace> {
        let said = self.all[0].said.take().context("a node without output")?;
        let mut times: Vec<f64> = Vec::new();
        for line in BufReader::new(said).lines() {
            times.push(line?.parse::<f64>()?);
            let first = times.get(5).copied().unwrap_or(f64::MAX);
            if times
                .last()
                .is_some_and(|last| last - first > duration.as_secs_f64() * 1e3)
            {
                break;
            }
        }
        let settled = times.get(5..).unwrap_or_default();
        Pace::of(settled.windows(2).map(|two| two[1] - two[0]).collect())
    }
    /// Resident memory of each.
    pub(super) fn resident_mib(&self) -> Vec<u64> {
        let of = |node: &Node| {
            let path = format!("/proc/{}/statm", node.child.id());
            let text = std::fs::read_to_string(path).unwrap_or_default();
            let pages = text
                .split(' ')
                .nth(1)
                .and_then(|word| word.parse::<u64>().ok());
            pages.unwrap_or_default() * 4 / 1024
        };
        self.all.iter().map(of).collect()
    }
}

/// A whole validator.
pub(super) fn cairn(home: &Home) -> Result<Command> {
    cairn_as("validator", home)
}

/// A whole node.
pub(super) fn cairn_as(role: &str, home: &Home) -> Result<Command> {
    let own = std::env::current_exe().context("this program's own path")?;
    let program = own.with_file_name("cairn");
    if !program.exists() {
        bail!(
            "{} is missing: build it with `cargo build --release --bin cairn`",
            program.display()
        );
    }
    let mut command = placed(home, &program);
    command.args([role, "--home"]).arg(&home.path);
    command.env("RUST_LOG", "warn");
    Ok(command)
}

/// An engine alone.
pub(super) fn bare(own: &Path, home: &Home) -> Command {
    let mut command = placed(home, own);
    command.arg("--bare-node").arg(&home.path);
    command
}

/// A command at a home's place.
pub(super) fn placed(home: &Home, program: &Path) -> Command {
    match &home.namespace {
        Some(namespace) => {
            let mut command = Command::new("ip");
            command.args(["netns", "exec", namespace]).arg(program);
            command
        }
        None => Command::new(program),
    }
}
