//! `cairn signer`: holds a validator's key and its history, and answers one validator at a time.

use super::HomeKeys;
use crate::home::{Home, read_genesis};
use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use ledger_consensus::signer::{Answer, LocalSigner, Refusal, Request, frame, refused};
use rustix::fs::Mode;
use std::{
    fs, io,
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

/// Connections at once: one asks, the others are told that it does.
const CONNECTION_COUNT_MAX: usize = 16;
/// How long the rest of a frame may take, and the first one of a connection.
const FRAME_WAIT: Duration = Duration::from_secs(5);

/// What to sign with, and where to listen.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// The signer's folder: `operator.key`, `genesis.json`, and `consensus/signing-history`.
    #[arg(long)]
    pub home: PathBuf,
    /// The socket to make; its folder must be its own user's.
    #[arg(long)]
    pub socket: PathBuf,
    /// Begin a signing history for a key that has never signed.
    #[arg(long)]
    pub begin: bool,
    /// End when the process that started this one ends.
    #[arg(long, hide = true)]
    pub end_with_parent: bool,
}

/// Answers until it is told to stop.
///
/// # Errors
/// When the home is no signer's, the history is missing, or the socket cannot be made.
pub async fn run(arguments: &Arguments) -> Result<()> {
    let Arguments {
        home,
        socket,
        begin,
        end_with_parent: _,
    } = arguments;
    for file in ["operator.key", "genesis.json"] {
        ensure!(
            home.join(file).exists(),
            "{} is missing",
            home.join(file).display()
        );
    }
    let home = Home::open(home)?;
    let genesis = read_genesis(&home.join("genesis.json"))?;
    let keys = HomeKeys::read(&home)?;
    let history = &keys.history;
    if !history.exists() && !begin {
        bail!(
            "signing history {} is missing: import what `cairn validator signing export` wrote \
             where the key signed last, or say --begin for a key that has never signed",
            history.display()
        );
    }
    let signer = Arc::new(keys.signer(&genesis)?);
    let listener = listen(socket)?;
    let Answer::Status(status) = signer.answer(&Request::Status) else {
        bail!("the signer does not know itself");
    };
    let (key, height) = (status.consensus, status.height);
    let shown = socket.display().to_string();
    tracing::info!(chain = %status.chain, %key, %height, socket = shown, "signer is up");
    std::thread::Builder::new()
        .name("signer".to_owned())
        .spawn(move || accept(&listener, &signer))?;
    crate::shutdown::requested().await;
    fs::remove_file(socket).with_context(|| format!("cannot remove {}", socket.display()))
}

/// Makes the socket for this user alone. One that nobody answers is what a killed signer left.
pub(super) fn listen(path: &Path) -> Result<UnixListener> {
    if path.exists() {
        super::check_socket(path)?;
        ensure!(
            UnixStream::connect(path).is_err(),
            "another signer answers at {}",
            path.display()
        );
        fs::remove_file(path)?;
    }
    // From the first moment on nobody else may connect.
    let before = rustix::process::umask(Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(path);
    rustix::process::umask(before);
    let listener = listener.with_context(|| format!("cannot listen on {}", path.display()))?;
    super::check_socket(path)?;
    Ok(listener)
}

pub(super) fn accept(listener: &UnixListener, signer: &Arc<LocalSigner>) {
    let taken = Arc::new(AtomicBool::new(false));
    let count = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        let stream = match stream {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!("connection not taken: {error}");
                continue;
            }
        };
        if count.load(Ordering::Relaxed) >= CONNECTION_COUNT_MAX {
            tracing::warn!("connection not taken: {CONNECTION_COUNT_MAX} are open");
            continue;
        }
        count.fetch_add(1, Ordering::Relaxed);
        let (signer, taken, open) = (Arc::clone(signer), Arc::clone(&taken), Arc::clone(&count));
        let spawned = std::thread::Builder::new().spawn(move || {
            if let Err(error) = serve(stream, &signer, &taken) {
                tracing::warn!("connection ended: {error}");
            }
            open.fetch_sub(1, Ordering::Relaxed);
        });
        if let Err(error) = spawned {
            tracing::warn!("connection not taken: {error}");
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Gives the signer back to whoever asks next.
struct Turn<'a>(&'a AtomicBool);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// Answers one validator until it goes.
fn serve(mut stream: UnixStream, signer: &LocalSigner, taken: &AtomicBool) -> io::Result<()> {
    stream.set_write_timeout(Some(FRAME_WAIT))?;
    stream.set_read_timeout(Some(FRAME_WAIT))?;
    let Some(mut request) = frame::read::<Request>(&mut stream)? else {
        return Ok(());
    };
    if taken.swap(true, Ordering::Acquire) {
        tracing::warn!("a second validator asks while one is connected: refused");
        let reason = "another validator has this signer; stop it first";
        return frame::write(&mut stream, &refused(Refusal::Busy, reason));
    }
    let _turn = Turn(taken);
    tracing::info!("a validator is connected");
    loop {
        let answer = signer.answer(&request);
        if let Answer::Refused(_, reason) = &answer {
            tracing::error!("not signed: {}", reason.as_str());
        }
        frame::write(&mut stream, &answer)?;
        // A validator may have nothing to ask for long; what it begins it must finish.
        stream.set_read_timeout(None)?;
        let Some(bytes) = frame::read_length(&mut stream)? else {
            tracing::warn!("the validator is gone");
            return Ok(());
        };
        stream.set_read_timeout(Some(FRAME_WAIT))?;
        request = frame::read_content(&mut stream, bytes)?;
    }
}
