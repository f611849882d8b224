//! A devnet's processes: started with the commands a real participant runs, restarted when they
//! die, ended together.

use super::layout::{Layout, Participant, Role};
use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    ffi::OsString,
    fs::OpenOptions,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

/// How long a process may take to end before it is killed.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long after its death a process is started again.
const RESTART_PAUSE: Duration = Duration::from_secs(1);
/// A process that dies sooner than this after its start, this often, is not started again.
const EARLY_DEATH: Duration = Duration::from_secs(5);
/// See [`EARLY_DEATH`].
const EARLY_DEATHS_COUNT_MAX: u32 = 3;

/// One participant's process.
#[derive(Debug)]
pub struct Process {
    /// Whose it is.
    pub participant: Participant,
    home: PathBuf,
    /// The words of the command line before its own.
    prefix: Vec<String>,
    /// How many times as long it takes to compute.
    slowness: u32,
    child: Option<Child>,
    started: Instant,
    died: Option<Instant>,
    early_deaths_count: u32,
    /// Times it was started again.
    pub restarts_count: u32,
    /// It ended by itself with success: a slashed miner has nothing more to do.
    pub is_done: bool,
    /// It was told to vanish, and is not started again.
    is_gone: bool,
}

/// What became of a process since it was last looked at.
#[derive(Debug)]
pub enum Change {
    /// It ended by itself, as it should.
    Done,
    /// It died and will be started again.
    Died(ExitStatus),
    /// It was killed and stays away.
    Vanished,
    /// It was started again.
    Restarted,
    /// It died too often; here is the end of its log.
    GaveUp(String),
}

impl Process {
    /// A participant that is not started yet, at a place, as slow as wanted.
    #[must_use]
    pub fn new(
        home: &Path,
        participant: &Participant,
        (prefix, slowness): (Vec<String>, u32),
    ) -> Self {
        Self {
            home: Layout::home(home, participant),
            participant: participant.clone(),
            prefix,
            slowness,
            child: None,
            started: Instant::now(),
            died: None,
            early_deaths_count: 0,
            restarts_count: 0,
            is_done: false,
            is_gone: false,
        }
    }
    /// Starts it, if it does not run.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn start(&mut self) -> Result<()> {
        if self.child.is_some() {
            return Ok(());
        }
        self.spawn()
    }
    /// Kills it without warning.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }
    /// Kills it without warning, never to be started again.
    pub fn vanish(&mut self) {
        self.is_gone = true;
        self.kill();
    }
    fn spawn(&mut self) -> Result<()> {
        let program = std::env::current_exe().context("cannot find this program")?;
        let path = self.log_path();
        let log = OpenOptions::new().create(true).append(true).open(&path);
        let log = log.with_context(|| format!("cannot write {}", path.display()))?;
        let errors = log.try_clone().context("cannot write the log twice")?;
        let mut words = self.prefix.iter().map(OsString::from).collect::<Vec<_>>();
        words.push(program.into_os_string());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        match self.participant.role {
            Role::Validator => command.arg("validator"),
            Role::Miner => command.arg("miner"),
        };
        command
            .arg("--home")
            .arg(&self.home)
            .arg("--end-with-parent");
        if self.slowness > 1 {
            command.arg("--slowness").arg(self.slowness.to_string());
        }
        if let Some(cheat) = &self.participant.cheat {
            command.arg("--cheat").arg(cheat);
        }
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        // Ctrl-C reaches the devnet alone, which then ends its processes in order.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let name = &self.participant.name;
        self.child = Some(
            command
                .spawn()
                .with_context(|| format!("cannot start {name}"))?,
        );
        self.started = Instant::now();
        Ok(())
    }
    /// Where it writes its log.
    #[must_use]
    pub fn log_path(&self) -> PathBuf {
        self.home.join("log")
    }
    /// Its process id while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }
    /// Its folder.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }
    /// Notices its death, and starts it again after a pause.
    ///
    /// # Errors
    /// When it cannot be started again.
    pub fn look(&mut self) -> Result<Option<Change>> {
        if let Some(child) = self.child.as_mut() {
            let Some(status) = child.try_wait().context("cannot watch a process")? else {
                return Ok(None);
            };
            self.child = None;
            return Ok(Some(self.ended(status)));
        }
        let due = self
            .died
            .is_some_and(|died| died.elapsed() >= RESTART_PAUSE);
        if !due {
            return Ok(None);
        }
        self.died = None;
        self.spawn()?;
        self.restarts_count += 1;
        Ok(Some(Change::Restarted))
    }
    fn ended(&mut self, status: ExitStatus) -> Change {
        if status.success() {
            self.is_done = true;
            return Change::Done;
        }
        if self.is_gone {
            return Change::Vanished;
        }
        if self.started.elapsed() < EARLY_DEATH {
            self.early_deaths_count += 1;
        } else {
            self.early_deaths_count = 0;
        }
        if self.early_deaths_count >= EARLY_DEATHS_COUNT_MAX {
            return Change::GaveUp(self.last_words());
        }
        self.died = Some(Instant::now());
        Change::Died(status)
    }
    /// The last line of its log.
    #[must_use]
    pub fn last_words(&self) -> String {
        let log = std::fs::read_to_string(self.log_path()).unwrap_or_default();
        log.lines()
            .rev()
            .find(|line| !line.trim().is_empty())
            .unwrap_or("no log")
            .to_owned()
    }
    fn signal(&self, signal: Signal) {
        let pid = self
            .pid()
            .and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        if let Some(pid) = pid
            && let Err(error) = kill_process(pid, signal)
        {
            tracing::debug!(name = self.participant.name, "cannot signal: {error}");
        }
    }
}

/// Ends all processes: asks first, then insists.
pub fn end(processes: &mut [Process]) {
    for process in processes.iter() {
        process.signal(Signal::TERM);
    }
    let asked = Instant::now();
    let running = |process: &mut Process| {
        process
            .child
            .as_mut()
            .is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    };
    while asked.elapsed() < PATIENCE && processes.iter_mut().any(running) {
        std::thread::sleep(Duration::from_millis(20));
    }
    for process in processes {
        if running(process) {
            tracing::warn!(
                name = process.participant.name,
                "did not end when asked; killed"
            );
            process.signal(Signal::KILL);
        }
        if let Some(mut child) = process.child.take()
            && let Err(error) = child.wait()
        {
            tracing::warn!(name = process.participant.name, "{error}");
        }
    }
}
