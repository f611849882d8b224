//! The validator's end: asks, waits a bounded time, and connects again when the signer was away.

use super::check_socket;
use ledger_consensus::signer::{Answer, Refusal, Request, Signer, SignerError, frame};
use std::{
    io,
    os::unix::net::UnixStream,
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// How long an answer may take: a disk that syncs slowly is not away.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// How long an answer is waited for from one that gave none last time: whoever asks has other work,
/// and a signer that hangs must not hold it up.
const AWAY_WAIT: Duration = Duration::from_millis(250);
/// How long a signer that is started again is waited for in the middle of a question.
const RESTART_WAIT: Duration = Duration::from_secs(1);
/// Time between tries to connect.
const CONNECT_INTERVAL: Duration = Duration::from_millis(50);

/// A signer in another process.
#[derive(Debug)]
pub struct RemoteSigner {
    path: PathBuf,
    connection: Mutex<Option<UnixStream>>,
    is_away: AtomicBool,
    /// Since when, in milliseconds of Unix time; 0 while it answers.
    away_since_ms: AtomicU64,
    /// Whether it ever answered this process.
    has_served: AtomicBool,
    refused_count: AtomicU64,
}

impl RemoteSigner {
    /// One that is reached when it is asked first.
    #[must_use]
    pub const fn new(path: PathBuf) -> Self {
        Self {
            path,
            connection: Mutex::new(None),
            is_away: AtomicBool::new(false),
            away_since_ms: AtomicU64::new(0),
            has_served: AtomicBool::new(false),
            refused_count: AtomicU64::new(0),
        }
    }
    /// Whether the last question got no answer.
    #[must_use]
    pub fn is_away(&self) -> bool {
        self.is_away.load(Ordering::Relaxed)
    }
    /// How long it has not answered, from the first question that got no answer; nothing if the
    /// last one got one.
    #[must_use]
    pub fn away_for(&self) -> Option<Duration> {
        let since_ms = self.away_since_ms.load(Ordering::Relaxed);
        let for_ms = now_ms().saturating_sub(since_ms);
        (since_ms > 0).then_some(Duration::from_millis(for_ms))
    }
    /// Questions that were refused.
    #[must_use]
    pub fn refused_count(&self) -> u64 {
        self.refused_count.load(Ordering::Relaxed)
    }
    /// Loses the connection.
    #[cfg(test)]
    pub(super) fn hang_up(&self) {
        let mut connection = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *connection = None;
    }
    fn connect(&self) -> io::Result<UnixStream> {
        check_socket(&self.path)?;
        let stream = UnixStream::connect(&self.path)?;
        let wait = match self.is_away() {
            true => AWAY_WAIT,
            false => ANSWER_WAIT,
        };
        stream.set_read_timeout(Some(wait))?;
        stream.set_write_timeout(Some(wait))?;
        Ok(stream)
    }
    /// A connection. One that was there before is waited for a moment; one that never was is not.
    fn reconnect(&self, patience: Duration) -> io::Result<UnixStream> {
        let started = std::time::Instant::now();
        loop {
            match self.connect() {
                Err(error)
                    if error.kind() != io::ErrorKind::PermissionDenied
                        && started.elapsed() < patience =>
                {
                    std::thread::sleep(CONNECT_INTERVAL);
                }
                connected => return connected,
            }
        }
    }
    fn exchange(&self, request: &Request) -> io::Result<Answer> {
        let mut connection = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // The signer may have been started again since; asking twice is harmless, because what was
        // signed once is signed again in the same way. One that hangs has had its time.
        if let Some(stream) = connection.as_mut() {
            match ask(stream, request) {
                Ok(answer) => return Ok(answer),
                Err(error) if is_late(&error) => {
                    *connection = None;
                    return Err(error);
                }
                Err(_) => {}
            }
        }
        let patience = match connection.take() {
            Some(_) => RESTART_WAIT,
            None => Duration::ZERO,
        };
        let mut stream = self.reconnect(patience)?;
        let answer = ask(&mut stream, request)?;
        if let Answer::Refused(Refusal::Busy, reason) = &answer {
            // Who was served before is asking too soon after its own lost connection, or another
            // took its place: either way there is no signer for now.
            if self.has_served.load(Ordering::Relaxed) {
                return Err(io::Error::other(reason.as_str().to_owned()));
            }
            return Ok(answer);
        }
        stream.set_read_timeout(Some(ANSWER_WAIT))?;
        stream.set_write_timeout(Some(ANSWER_WAIT))?;
        self.has_served.store(true, Ordering::Relaxed);
        *connection = Some(stream);
        Ok(answer)
    }
}

/// Whether this is the end of the time that an answer may take.
fn is_late(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

fn ask(stream: &mut UnixStream, request: &Request) -> io::Result<Answer> {
    frame::write(stream, request)?;
    let gone = || io::Error::new(io::ErrorKind::UnexpectedEof, "it closed the connection");
    frame::read(stream)?.ok_or_else(gone)
}

impl Signer for RemoteSigner {
    fn ask(&self, request: &Request) -> Result<Answer, SignerError> {
        let exchanged = self.exchange(request);
        let was_away = self.is_away.swap(exchanged.is_err(), Ordering::Relaxed);
        match exchanged {
            Ok(answer) => {
                if was_away {
                    let seconds = self.away_for().unwrap_or_default().as_secs();
                    self.away_since_ms.store(0, Ordering::Relaxed);
                    tracing::warn!(seconds, "the signer is back");
                }
                if let Answer::Refused(..) = answer {
                    self.refused_count.fetch_add(1, Ordering::Relaxed);
                }
                Ok(answer)
            }
            Err(error) => {
                let reason = format!("{}: {error}", self.path.display());
                if !was_away {
                    self.away_since_ms.store(now_ms(), Ordering::Relaxed);
                    tracing::error!("the signer is away: {reason}");
                }
                Err(SignerError::Away { reason })
            }
        }
    }
    fn is_local(&self) -> bool {
        false
    }
}
