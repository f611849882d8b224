//! Answers blob requests from peers, with bounds on streams, time and memory.

use super::{
    outboard::{Answer, Outboards},
    wire::{REQUEST_BYTES, Request, Status},
};
use crate::{
    handle::{Command, CommandSender},
    limits::{SEGMENT_TIME_MAX, SERVING_COUNT_MAX, SERVING_PER_PEER_MAX, STREAM_IDLE_MAX},
    reputation::Offence,
    store::BlobStore,
};
use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use libp2p::{PeerId, Stream};
use std::{collections::BTreeMap, io, sync::Arc};
use tokio::{
    task::{JoinSet, spawn_blocking},
    time::timeout,
};

/// Serves every incoming stream until the swarm is gone.
pub(crate) async fn serve(
    mut incoming: libp2p_stream::IncomingStreams,
    store: Arc<dyn BlobStore>,
    commands: CommandSender,
) {
    let server = Arc::new(Server {
        store,
        commands,
        outboards: Outboards::default(),
    });
    let mut streams = JoinSet::new();
    let mut per_peer: BTreeMap<PeerId, usize> = BTreeMap::new();
    loop {
        tokio::select! {
            next = incoming.next() => {
                let Some((peer, stream)) = next else { return };
                let count = per_peer.entry(peer).or_default();
                let room = *count < SERVING_PER_PEER_MAX && streams.len() < SERVING_COUNT_MAX * 2;
                let full = streams.len() >= SERVING_COUNT_MAX;
                if !room {
                    tracing::debug!(%peer, "blob stream refused: too many are open");
                    continue;
                }
                *count += 1;
                let server = Arc::clone(&server);
                streams.spawn(async move {
                    let ended = if full {
                        refuse(stream).await
                    } else {
                        server.converse(peer, stream).await
                    };
                    if let Err(error) = ended {
                        tracing::debug!(%peer, %error, "blob stream ended");
                    }
                    peer
                });
            }
            Some(ended) = streams.join_next() => match ended {
                Ok(peer) => release(&mut per_peer, peer),
                Err(error) => tracing::error!(%error, "blob stream task failed"),
            },
        }
    }
}

fn release(per_peer: &mut BTreeMap<PeerId, usize>, peer: PeerId) {
    if let Some(count) = per_peer.get_mut(&peer) {
        *count -= 1;
        if *count == 0 {
            per_peer.remove(&peer);
        }
    }
}

async fn refuse(mut stream: Stream) -> io::Result<()> {
    let say = async {
        stream.write_all(&[Status::Busy as u8]).await?;
        stream.close().await
    };
    timeout(STREAM_IDLE_MAX, say).await?
}

#[derive(Debug)]
struct Server {
    store: Arc<dyn BlobStore>,
    commands: CommandSender,
    outboards: Outboards,
}

impl Server {
    /// One stream: requests one after another until the peer closes it or rests too long.
    async fn converse(self: &Arc<Self>, peer: PeerId, mut stream: Stream) -> io::Result<()> {
        loop {
            let mut encoded = [0; REQUEST_BYTES];
            let read = timeout(STREAM_IDLE_MAX, stream.read_exact(&mut encoded)).await?;
            match read {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                Err(error) => return Err(error),
            }
            let request = match Request::decode(&encoded) {
                Ok(request) => request,
                Err(error) => {
                    self.commands.tell(Command::Offence {
                        peer,
                        offence: Offence::BlobRequest,
                    });
                    return Err(io::Error::new(io::ErrorKind::InvalidData, error));
                }
            };
            let answer = self.answer(request).await?;
            timeout(SEGMENT_TIME_MAX, self.send(peer, &mut stream, answer)).await??;
        }
    }

    async fn answer(self: &Arc<Self>, request: Request) -> io::Result<Answer> {
        let server = Arc::clone(self);
        spawn_blocking(move || server.outboards.answer(server.store.as_ref(), &request))
            .await
            .map_err(io::Error::other)?
            .map_err(io::Error::other)
    }

    async fn send(&self, peer: PeerId, stream: &mut Stream, answer: Answer) -> io::Result<()> {
        match answer {
            Answer::Refusal(status) => stream.write_all(&[status as u8]).await?,
            Answer::Encoded(encoded) => {
                stream.write_all(&[Status::Follows as u8]).await?;
                stream.write_all(&encoded).await?;
                self.commands.tell(Command::Sent {
                    peer,
                    bytes: encoded.len() as u64,
                });
            }
        }
        stream.flush().await
    }
}
