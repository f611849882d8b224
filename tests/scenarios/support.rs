//! A devnet under test.

use node::rpc::{
    client::{Client, ClientError},
    overview::Overview,
};
use protocol::Height;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Ends a test that would otherwise hang; never the expected time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(600);
/// Ports that one devnet may use.
const PORTS_COUNT: u16 = 40;

/// The `cairn` binary.
pub(crate) fn cairn() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_cairn"))
}

/// A first port with enough free ones after it.
pub(crate) fn free_ports() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let offset = u16::try_from(std::process::id() % 500).expect("small") * PORTS_COUNT;
    loop {
        let turn = NEXT.fetch_add(1, Ordering::Relaxed);
        let first = 20_000 + (offset + turn * PORTS_COUNT) % 10_000;
        let is_free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if (first..first + PORTS_COUNT).all(is_free) {
            return first;
        }
    }
}

/// A devnet in a folder of its own; ended when dropped.
pub(crate) struct Devnet {
    pub(crate) folder: TempDir,
    pub(crate) port: u16,
    pub(crate) client: Client,
    child: Option<Child>,
}

impl Devnet {
    /// Starts a devnet that trains the tiny recipe, with more arguments.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_changed(|_| (), arguments)
    }
    /// The same with a recipe that differs from it.
    pub(crate) fn start_changed(change: impl Fn(&mut Value), arguments: &[&str]) -> Self {
        let folder = TempDir::new().expect("folder");
        let port = free_ports();
        let nodes = (0..4)
            .map(|index| format!("http://127.0.0.1:{}", port + index))
            .collect();
        let mut devnet = Self {
            folder,
            port,
            client: Client::new(nodes),
            child: None,
        };
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/scenarios/recipes/tiny.json");
        let tiny = std::fs::read(path).expect("the tiny recipe");
        let mut recipe: Value = serde_json::from_slice(&tiny).expect("a recipe");
        change(&mut recipe);
        std::fs::write(devnet.recipe(), recipe.to_string()).expect("recipe");
        devnet.launch(arguments);
        devnet
    }
    fn recipe(&self) -> PathBuf {
        self.folder.path().join("recipe.json")
    }
    /// Starts it again in the same folder.
    pub(crate) fn launch(&mut self, arguments: &[&str]) {
        assert!(self.child.is_none(), "it runs already");
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.path().join("devnet.log"))
            .expect("log");
        let out = std::fs::File::create(self.folder.path().join("summary.json")).expect("file");
        let child = Command::new(cairn())
            .arg("devnet")
            .arg("--home")
            .arg(self.home())
            .args(["--json", "--port", &self.port.to_string(), "--recipe"])
            .arg(self.recipe())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(log)
            .spawn()
            .expect("cairn starts");
        self.child = Some(child);
    }
    pub(crate) fn home(&self) -> PathBuf {
        self.folder.path().join("net")
    }
    /// Everything the processes said, for a failing test's message.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("devnet.log")).unwrap_or_default()
    }
    /// Waits until the overview satisfies a condition.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&Overview) -> bool) -> Overview {
        let started = Instant::now();
        loop {
            if let Ok(overview) = self.client.get::<Overview>("/v1/overview").await
                && holds(&overview)
            {
                return overview;
            }
            assert!(
                started.elapsed() < PATIENCE,
                "never came: {what}\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    /// What a node says, once one answers: on a busy machine that may take a while.
    pub(crate) async fn ask<T: serde::de::DeserializeOwned>(&self, path: &str) -> T {
        let started = Instant::now();
        loop {
            match self.client.get(path).await {
                Ok(answer) => return answer,
                Err(ClientError::Unreachable { .. }) if started.elapsed() < PATIENCE => {}
                Err(error) => panic!("{path}: {error}\n{}", self.log()),
            }
        }
    }
    /// Waits until the node that is asked next has a height that was seen at another one.
    pub(crate) async fn reached(&self, height: Height) {
        self.until("a height that another node has", |now| now.height >= height)
            .await;
    }
    /// Process ids of a participant's process, found by its home folder.
    pub(crate) fn pid_of(&self, name: &str) -> Option<Pid> {
        let home = self.home().join(name);
        let processes = std::fs::read_dir("/proc").expect("proc");
        let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        pids.filter_map(Pid::from_raw).find(|pid| {
            let path = format!("/proc/{}/cmdline", pid.as_raw_nonzero());
            let line = std::fs::read(path).unwrap_or_default();
            let mut words = line.split(|byte| *byte == 0);
            let is_home = |word: &[u8]| word == home.as_os_str().as_encoded_bytes();
            words.any(is_home)
        })
    }
    /// Kills a participant's process, with no chance to prepare, and waits for its successor.
    pub(crate) async fn kill(&self, name: &str) {
        let pid = self.pid_of(name).expect("it runs");
        kill_process(pid, Signal::KILL).expect("it can be killed");
        let started = Instant::now();
        while self.pid_of(name).is_none_or(|now| now == pid) {
            assert!(
                started.elapsed() < PATIENCE,
                "{name} never came back\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    /// Presses Ctrl-C and waits for the end; returns whether it ended with success.
    pub(crate) async fn interrupt(&mut self) -> bool {
        let id = self.child.as_ref().expect("it runs").id();
        let pid = Pid::from_raw(i32::try_from(id).expect("pid")).expect("pid");
        kill_process(pid, Signal::INT).expect("it can be interrupted");
        self.ended().await
    }
    /// Waits until it ends by itself; returns whether it ended with success.
    pub(crate) async fn ended(&mut self) -> bool {
        let mut child = self.child.take().expect("it runs");
        let started = Instant::now();
        loop {
            if let Some(status) = child.try_wait().expect("status") {
                return status.success();
            }
            assert!(
                started.elapsed() < PATIENCE,
                "it never ended\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    /// The summary that it printed.
    pub(crate) fn summary(&self) -> Value {
        let text = std::fs::read_to_string(self.folder.path().join("summary.json")).expect("file");
        serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{error}: {text}\n{}", self.log()))
    }
    /// Runs another `cairn` command to its end.
    pub(crate) fn command(&self, arguments: &[&str]) -> Output {
        run(arguments)
    }
}

impl Drop for Devnet {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Its processes end with it.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// A process that ends with its test.
pub(crate) struct Ended(pub(crate) Child);

impl Drop for Ended {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Runs a `cairn` command to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    Command::new(cairn())
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("cairn runs")
}

/// What a command wrote to standard output.
pub(crate) fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What a command wrote to standard error.
pub(crate) fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
