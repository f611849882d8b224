//! Ends processes cleanly: Ctrl-C, SIGTERM, and the death of the process that started us.

use tokio::signal::unix::{SignalKind, signal};

/// Ready when this process is asked to end.
pub async fn requested() {
    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        tracing::error!("signals cannot be watched; only kill -9 ends this process");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// Makes this process end, as by SIGTERM, when the one that started it ends.
///
/// # Errors
/// When the system does not support it.
pub fn follow_parent(wanted: bool) -> anyhow::Result<()> {
    if wanted {
        let signal = Some(rustix::process::Signal::TERM);
        rustix::process::set_parent_process_death_signal(signal)?;
    }
    Ok(())
}
