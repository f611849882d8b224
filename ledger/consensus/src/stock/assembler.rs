//! Puts bodies together from parts that strangers send.
//!
//! Everything here is bounded, whatever arrives: only validators may publish, each has a few
//! streams, streams have a few chunks, and all of them together a fixed number of bytes. A part
//! over a limit is refused and counted; a new stream over a limit displaces the oldest one of the
//! same publisher, so a validator can only harm itself.

use super::parts::{CHUNK_BYTES, CHUNK_COUNT_MAX, Head, Part, Pass, SignedHead};
use crate::{BLOCK_BYTES_MAX, ValidatorSet};
use malachitebft_app_channel::app::{
    streaming::{StreamContent, StreamMessage},
    types::PeerId,
};
use protocol::{BlobId, ChainId, Height, PublicKey, keys::SignatureError};
use std::collections::BTreeMap;

/// Longest stream name.
const STREAM_NAME_BYTES_MAX: usize = 32;
/// Unfinished bodies one validator may have under way.
const STREAM_COUNT_PER_PUBLISHER_MAX: usize = 4;
/// Bytes of unfinished bodies in total.
const BUFFERED_BYTES_MAX: usize = 16 * BLOCK_BYTES_MAX as usize;
/// Network identities that one validator vouches for at a time: its node's, and those before it.
const IDENTITY_COUNT_PER_VALIDATOR_MAX: usize = 4;
/// How far above the height being decided a body may be.
pub(super) const HEIGHT_LOOKAHEAD: u64 = 2;

/// A body whose bytes are what its proposer announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Body {
    pub(super) head: SignedHead,
    pub(super) bytes: Vec<u8>,
}

/// Why a part was refused. Nothing here is the receiver's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum PartError {
    #[error("part has no publisher")]
    Anonymous,
    #[error("part is published by {publisher}, who is not a validator")]
    Stranger { publisher: PeerId },
    #[error("stream name has {bytes} bytes; at most {STREAM_NAME_BYTES_MAX} are allowed")]
    StreamName { bytes: usize },
    #[error("part has sequence {sequence}; a body has at most {CHUNK_COUNT_MAX} chunks")]
    Sequence { sequence: u64 },
    #[error("part {sequence} is of the wrong kind")]
    Kind { sequence: u64 },
    #[error("part {sequence} arrived twice")]
    Repeated { sequence: u64 },
    #[error("chunk has {bytes} bytes; 1 to {CHUNK_BYTES} are allowed")]
    ChunkSize { bytes: usize },
    #[error("head announces {bytes} bytes; 1 to {BLOCK_BYTES_MAX} are allowed")]
    BodySize { bytes: u32 },
    #[error("head is for height {height}; {min} to {max} are of use")]
    Height {
        height: Height,
        min: Height,
        max: Height,
    },
    #[error("head carries a bad signature: {source}")]
    Signature { source: SignatureError },
    #[error("body has {bytes} bytes in {count} chunks; its head announces {announced}")]
    Length {
        bytes: usize,
        count: usize,
        announced: u32,
    },
    #[error("body of block at height {height} has hash {found}; its head announces {announced}")]
    Hash {
        height: Height,
        found: BlobId,
        announced: BlobId,
    },
}

type StreamKey = (PeerId, Vec<u8>);

#[derive(Debug, Default)]
struct Stream {
    head: Option<SignedHead>,
    chunks: BTreeMap<u64, Vec<u8>>,
    bytes: usize,
    age: u64,
}

/// Unfinished bodies.
#[derive(Debug)]
pub(super) struct Assembler {
    chain: ChainId,
    height: Height,
    publishers: BTreeMap<PeerId, PublicKey>,
    /// Identities that validators vouched for, the latest last.
    vouched: Vec<(PeerId, PublicKey)>,
    streams: BTreeMap<StreamKey, Stream>,
    bytes: usize,
    streams_seen: u64,
}

impl Assembler {
    /// Accepts nothing until [`begin`](Self::begin).
    pub(super) fn new(chain: ChainId) -> Self {
        Self {
            chain,
            height: Height::ZERO,
            publishers: BTreeMap::new(),
            vouched: Vec::new(),
            streams: BTreeMap::new(),
            bytes: 0,
            streams_seen: 0,
        }
    }

    /// Starts a height: forgets what is below it and everyone who is no validator.
    pub(super) fn begin(&mut self, height: Height, validators: &ValidatorSet) {
        self.height = height;
        self.publishers = validators
            .as_slice()
            .iter()
            .map(|validator| (peer_id(&validator.key), validator.key))
            .collect();
        let publishers = &mut self.publishers;
        self.vouched
            .retain(|(_, validator)| publishers.contains_key(&peer_id(validator)));
        publishers.extend(self.vouched.iter().copied());
        let stale = |(publisher, _): &StreamKey, stream: &Stream| {
            !self.publishers.contains_key(publisher)
                || stream
                    .head
                    .is_some_and(|signed| signed.head.height < height)
        };
        self.streams.retain(|key, stream| !stale(key, stream));
        self.bytes = self.streams.values().map(|stream| stream.bytes).sum();
    }

    /// Takes a part; returns the body it completes.
    pub(super) fn receive(
        &mut self,
        publisher: Option<PeerId>,
        message: StreamMessage<Part>,
    ) -> Result<Option<Body>, PartError> {
        let publisher = publisher.ok_or(PartError::Anonymous)?;
        if let StreamContent::Data(Part::Vouched(_, pass)) = &message.content {
            self.admit(publisher, pass);
        }
        if !self.publishers.contains_key(&publisher) {
            return Err(PartError::Stranger { publisher });
        }
        let StreamMessage {
            stream_id,
            sequence,
            content,
        } = message;
        let name = stream_id.to_bytes();
        if name.len() > STREAM_NAME_BYTES_MAX {
            return Err(PartError::StreamName { bytes: name.len() });
        }
        if sequence > CHUNK_COUNT_MAX {
            return Err(PartError::Sequence { sequence });
        }
        let key = (publisher, name.to_vec());
        match content {
            StreamContent::Data(Part::Head(head) | Part::Vouched(head, _)) if sequence == 0 => {
                self.add_head(&key, head)?;
            }
            StreamContent::Data(Part::Chunk(chunk)) if sequence > 0 => {
                self.add_chunk(&key, sequence, chunk)?;
            }
            StreamContent::Data(Part::Head(_) | Part::Vouched(..) | Part::Chunk(_))
            | StreamContent::Fin => {
                return Err(PartError::Kind { sequence });
            }
        }
        self.finish(&key)
    }

    /// Lets a node publish for the validator that vouches for it.
    fn admit(&mut self, publisher: PeerId, pass: &Pass) {
        let is_known = self.publishers.contains_key(&publisher);
        let vouches = self.publishers.contains_key(&peer_id(&pass.validator));
        if is_known || !vouches || !pass.is_for(&publisher) {
            return;
        }
        let own = |(_, validator): &(PeerId, PublicKey)| *validator == pass.validator;
        if self.vouched.iter().filter(|entry| own(entry)).count()
            >= IDENTITY_COUNT_PER_VALIDATOR_MAX
            && let Some(oldest) = self.vouched.iter().position(own)
        {
            let (displaced, _) = self.vouched.remove(oldest);
            self.publishers.remove(&displaced);
        }
        self.vouched.push((publisher, pass.validator));
        self.publishers.insert(publisher, pass.validator);
    }

    fn add_head(&mut self, key: &StreamKey, signed: SignedHead) -> Result<(), PartError> {
        let Head { height, .. } = signed.head;
        let (min, max) = (self.height, self.height.saturating_add(HEIGHT_LOOKAHEAD));
        if height < min || height > max {
            return Err(PartError::Height { height, min, max });
        }
        signed.verify(self.chain)?;
        let stream = self.stream(key);
        if stream.head.is_some() {
            return Err(PartError::Repeated { sequence: 0 });
        }
        stream.head = Some(signed);
        Ok(())
    }

    fn add_chunk(
        &mut self,
        key: &StreamKey,
        sequence: u64,
        chunk: Vec<u8>,
    ) -> Result<(), PartError> {
        let bytes = chunk.len();
        if bytes == 0 || bytes > CHUNK_BYTES {
            return Err(PartError::ChunkSize { bytes });
        }
        while self.bytes.saturating_add(bytes) > BUFFERED_BYTES_MAX && self.displace(None) {}
        let stream = self.stream(key);
        if stream.chunks.contains_key(&sequence) {
            return Err(PartError::Repeated { sequence });
        }
        stream.chunks.insert(sequence, chunk);
        stream.bytes += bytes;
        self.bytes += bytes;
        Ok(())
    }

    /// The stream of this name, made room for if it is new.
    fn stream(&mut self, key: &StreamKey) -> &mut Stream {
        if !self.streams.contains_key(key) {
            let count = self
                .streams
                .keys()
                .filter(|(publisher, _)| *publisher == key.0)
                .count();
            if count >= STREAM_COUNT_PER_PUBLISHER_MAX {
                self.displace(Some(key.0));
            }
        }
        self.streams_seen += 1;
        let age = self.streams_seen;
        self.streams.entry(key.clone()).or_insert_with(|| Stream {
            age,
            ..Stream::default()
        })
    }

    /// Drops the oldest stream, of one publisher or of all; whether there was one.
    fn displace(&mut self, publisher: Option<PeerId>) -> bool {
        let oldest = self
            .streams
            .iter()
            .filter(|((owner, _), _)| publisher.is_none_or(|publisher| *owner == publisher))
            .min_by_key(|(_, stream)| stream.age)
            .map(|(key, _)| key.clone());
        oldest.is_some_and(|key| self.remove(&key).is_some())
    }

    fn remove(&mut self, key: &StreamKey) -> Option<Stream> {
        let stream = self.streams.remove(key)?;
        self.bytes -= stream.bytes;
        Some(stream)
    }

    /// The body, if this stream has all of it; a stream that cannot become one is dropped.
    fn finish(&mut self, key: &StreamKey) -> Result<Option<Body>, PartError> {
        let Some(stream) = self.streams.get(key) else {
            return Ok(None);
        };
        let Some(signed) = stream.head else {
            return Ok(None);
        };
        let Head {
            height,
            body_bytes: announced,
            body_hash,
            ..
        } = signed.head;
        let (bytes, count) = (stream.bytes, stream.chunks.len());
        let complete = count as u64 >= signed.head.chunk_count();
        if !complete && bytes < announced as usize {
            return Ok(None);
        }
        let Some(stream) = self.remove(key) else {
            return Ok(None);
        };
        if !complete || bytes != announced as usize {
            return Err(PartError::Length {
                bytes,
                count,
                announced,
            });
        }
        let mut body = Vec::with_capacity(bytes);
        for chunk in stream.chunks.values() {
            body.extend_from_slice(chunk);
        }
        let found = BlobId::of(&body);
        if found != body_hash {
            return Err(PartError::Hash {
                height,
                found,
                announced: body_hash,
            });
        }
        Ok(Some(Body {
            head: signed,
            bytes: body,
        }))
    }
}

/// The libp2p identity of a validator: its own key, so that publishers can be recognised.
///
/// A peer id is the multihash of the protobuf-encoded key; an ed25519 key is short enough to be
/// embedded whole (multihash code 0).
pub(super) fn peer_id(key: &PublicKey) -> PeerId {
    let mut bytes = vec![0x00, 0x24, 0x08, 0x01, 0x12, 0x20];
    bytes.extend_from_slice(key.as_bytes());
    PeerId::from_bytes(&bytes).expect("invariant: an identity multihash of 36 bytes is a peer id")
}

#[cfg(test)]
mod tests;
