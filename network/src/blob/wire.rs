//! The bytes of a blob request and of its status.

use crate::{
    limits::{BLOB_BYTES_MAX, SEGMENT_BYTES_MAX},
    store::CHUNK_GROUP_BYTES,
};
use bao_tree::{BaoTree, BlockSize, ByteRanges, ChunkRanges, io::round_up_to_chunks};
use borsh::{BorshDeserialize, BorshSerialize};
use protocol::BlobId;
use std::ops::Range;

/// 16 chunks of 1024 bytes make a chunk group.
const BLOCK_SIZE: BlockSize = BlockSize::from_chunk_log(4);

/// Every request has this length.
pub(super) const REQUEST_BYTES: usize = 32 + 8 + 8 + 8;

/// Asks for a range of a blob whose size the requester knows from the chain.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct Request {
    pub(super) id: BlobId,
    pub(super) bytes: u64,
    pub(super) start: u64,
    pub(super) end: u64,
}

/// A request that no honest requester sends.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RequestError {
    #[error("request cannot be decoded")]
    Encoding,
    #[error("blob has {bytes} bytes; at most {BLOB_BYTES_MAX} are served")]
    BlobTooLarge { bytes: u64 },
    #[error("range {start}..{end} is empty or leaves the blob of {bytes} bytes")]
    Range { start: u64, end: u64, bytes: u64 },
    #[error("range has {bytes} bytes; a request may name {SEGMENT_BYTES_MAX}")]
    TooLong { bytes: u64 },
    #[error("range {start}..{end} is not cut at chunk groups of {CHUNK_GROUP_BYTES} bytes")]
    Unaligned { start: u64, end: u64 },
}

impl Request {
    pub(super) fn encode(&self) -> Vec<u8> {
        borsh::to_vec(self).expect("invariant: writing to memory does not fail")
    }

    pub(super) fn decode(encoded: &[u8; REQUEST_BYTES]) -> Result<Self, RequestError> {
        let request = borsh::from_slice::<Self>(encoded).map_err(|_| RequestError::Encoding)?;
        let Self {
            id: _,
            bytes,
            start,
            end,
        } = request;
        if bytes > BLOB_BYTES_MAX {
            return Err(RequestError::BlobTooLarge { bytes });
        }
        if start >= end || end > bytes {
            return Err(RequestError::Range { start, end, bytes });
        }
        if end - start > SEGMENT_BYTES_MAX {
            return Err(RequestError::TooLong { bytes: end - start });
        }
        let aligned = |position: u64| position.is_multiple_of(CHUNK_GROUP_BYTES);
        if !aligned(start) || !(aligned(end) || end == bytes) {
            return Err(RequestError::Unaligned { start, end });
        }
        Ok(request)
    }
}

/// The first byte of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// The encoded range follows.
    Follows = 0,
    /// The provider lacks the blob.
    Absent = 1,
    /// The provider has the blob, but with another size than the request says.
    OtherSize = 2,
    /// The provider serves too many streams; ask later.
    Busy = 3,
}

impl Status {
    pub(super) const fn decode(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Follows),
            1 => Some(Self::Absent),
            2 => Some(Self::OtherSize),
            3 => Some(Self::Busy),
            _ => None,
        }
    }
}

/// Shape of the hash tree over a blob.
pub(super) fn tree(bytes: u64) -> BaoTree {
    BaoTree::new(bytes, BLOCK_SIZE)
}

/// The chunks that hold a byte range.
pub(super) fn chunks(range: Range<u64>) -> ChunkRanges {
    round_up_to_chunks(&ByteRanges::from(range))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn request(bytes: u64, start: u64, end: u64) -> Result<Request, RequestError> {
        let request = Request {
            id: BlobId::of(b"stone"),
            bytes,
            start,
            end,
        };
        let encoded: [u8; REQUEST_BYTES] = request.encode().try_into().unwrap();
        Request::decode(&encoded)
    }

    #[test]
    fn honest_requests_survive_the_wire() {
        for (bytes, start, end) in [(1, 0, 1), (40_000, 16_384, 40_000), (1 << 30, 0, 1 << 20)] {
            let decoded = request(bytes, start, end).unwrap();
            assert_eq!(
                (decoded.bytes, decoded.start, decoded.end),
                (bytes, start, end)
            );
        }
    }

    #[test]
    fn hostile_requests_are_refused() {
        assert!(matches!(request(10, 5, 5), Err(RequestError::Range { .. })));
        assert!(matches!(
            request(10, 0, 11),
            Err(RequestError::Range { .. })
        ));
        assert!(matches!(
            request(40_000, 1, 40_000),
            Err(RequestError::Unaligned { .. })
        ));
        assert!(matches!(
            request(40_000, 0, 39_999),
            Err(RequestError::Unaligned { .. })
        ));
        assert!(matches!(
            request(1 << 30, 0, 1 << 21),
            Err(RequestError::TooLong { .. })
        ));
        assert!(matches!(
            request(u64::MAX, 0, 1024),
            Err(RequestError::BlobTooLarge { .. })
        ));
    }

    #[test]
    fn unknown_status_bytes_are_refused() {
        for status in [
            Status::Follows,
            Status::Absent,
            Status::OtherSize,
            Status::Busy,
        ] {
            assert_eq!(Status::decode(status as u8), Some(status));
        }
        assert!((4..=u8::MAX).all(|byte| Status::decode(byte).is_none()));
    }
}
