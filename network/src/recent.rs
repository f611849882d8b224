//! What a newcomer missed: the transactions of the last minute, pulled from the peers it meets.
//!
//! Gossip reaches those who are there. A node that joins, returns or was cut off would learn of a
//! waiting transaction only when a block holds it, so it asks each new peer (at a bounded rate)
//! for what that peer recently accepted. The answer is a sequence of frames, each a length of four
//! bytes, little end first, and that many bytes; the end of the stream ends it.

use crate::{
    handle::{Command, CommandSender},
    limits::{
        RECENT_BYTES_MAX, RECENT_COUNT_MAX, RECENT_TIME_MAX, SERVING_PER_PEER_MAX, SILENCE_MAX,
        TRANSACTION_BYTES_MAX,
    },
    reputation::Offence,
};
use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use libp2p::{PeerId, Stream, StreamProtocol};
use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};
use tokio::time::timeout;

/// Transactions accepted lately, oldest first, shared between the driver and the server.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recent(Arc<Mutex<VecDeque<Entry>>>);

/// When a transaction was accepted, and its bytes.
type Entry = (Instant, Arc<[u8]>);

impl Recent {
    pub(crate) fn remember(&self, bytes: Arc<[u8]>, now: Instant) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.iter().any(|(_, known)| *known == bytes) {
            return;
        }
        entries.push_back((now, bytes));
        let mut total_bytes: usize = entries.iter().map(|(_, bytes)| bytes.len()).sum();
        while entries.len() > RECENT_COUNT_MAX || total_bytes > RECENT_BYTES_MAX {
            total_bytes -= entries.pop_front().map_or(0, |(_, bytes)| bytes.len());
        }
    }

    pub(crate) fn contains(&self, bytes: &[u8]) -> bool {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.iter().any(|(_, known)| **known == *bytes)
    }

    fn since(&self, now: Instant) -> Vec<Arc<[u8]>> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |(at, _): &&Entry| now.saturating_duration_since(*at) < RECENT_TIME_MAX;
        entries
            .iter()
            .filter(fresh)
            .map(|(_, bytes)| Arc::clone(bytes))
            .collect()
    }
}

/// Answers one asker after another; those that find no room are dropped and ask someone else.
pub(crate) async fn serve(incoming: libp2p_stream::IncomingStreams, recent: Recent) {
    let answer = |(peer, stream)| {
        let transactions = recent.since(Instant::now());
        async move {
            if let Err(error) = send(stream, &transactions).await {
                tracing::debug!(%peer, %error, "recent transactions not sent");
            }
        }
    };
    incoming
        .for_each_concurrent(SERVING_PER_PEER_MAX, answer)
        .await;
}

async fn send(mut stream: Stream, transactions: &[Arc<[u8]>]) -> io::Result<()> {
    for transaction in transactions {
        let length = u32::try_from(transaction.len()).map_err(io::Error::other)?;
        timeout(SILENCE_MAX, stream.write_all(&length.to_le_bytes())).await??;
        timeout(SILENCE_MAX, stream.write_all(transaction)).await??;
    }
    timeout(SILENCE_MAX, stream.close()).await?
}

/// Asks one peer and hands what comes to the driver.
pub(crate) async fn pull(
    mut control: libp2p_stream::Control,
    protocol: StreamProtocol,
    peer: PeerId,
    commands: CommandSender,
) {
    let opened = timeout(SILENCE_MAX, control.open_stream(peer, protocol)).await;
    let Ok(Ok(stream)) = opened else {
        return;
    };
    match receive(stream, peer, &commands).await {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            commands.tell(Command::Offence {
                peer,
                offence: Offence::OversizedMessage,
            });
        }
        Err(error) => tracing::debug!(%peer, %error, "recent transactions cut short"),
        Ok(()) => {}
    }
}

async fn receive(mut stream: Stream, peer: PeerId, commands: &CommandSender) -> io::Result<()> {
    let mut total_bytes = 0;
    for _ in 0..RECENT_COUNT_MAX {
        let mut length = [0; 4];
        match timeout(SILENCE_MAX, stream.read_exact(&mut length)).await? {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            read => read?,
        }
        let length = usize::try_from(u32::from_le_bytes(length)).map_err(io::Error::other)?;
        total_bytes += length;
        if length == 0 || length > TRANSACTION_BYTES_MAX || total_bytes > RECENT_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut bytes = vec![0; length];
        timeout(SILENCE_MAX, stream.read_exact(&mut bytes)).await??;
        if commands
            .queue
            .send(Command::Missed { peer, bytes })
            .await
            .is_err()
        {
            return Ok(());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recent_transactions_are_bounded_distinct_and_fresh() {
        let (recent, now) = (Recent::default(), Instant::now());
        recent.remember(Arc::from([1; 3]), now);
        recent.remember(Arc::from([1; 3]), now);
        assert_eq!(recent.since(now).len(), 1);
        assert!(recent.contains(&[1; 3]));
        assert!(recent.since(now + RECENT_TIME_MAX).is_empty());
        for number in 0..2 * RECENT_COUNT_MAX {
            recent.remember(Arc::from(number.to_le_bytes()), now);
        }
        assert_eq!(recent.since(now).len(), RECENT_COUNT_MAX);
        assert!(!recent.contains(&[1; 3]));
        for number in 0..100 {
            recent.remember(Arc::from(vec![number; TRANSACTION_BYTES_MAX]), now);
        }
        assert_eq!(
            recent.since(now).len() * TRANSACTION_BYTES_MAX,
            RECENT_BYTES_MAX
        );
    }
}
