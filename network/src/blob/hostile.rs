//! The decoders of what peers send over blob streams, for tests that throw bytes at them.

use super::wire::{REQUEST_BYTES, Request, Status, chunks, tree};
use crate::limits::{BLOB_BYTES_MAX, SEGMENT_BYTES_MAX};
use bao_tree::io::{
    BaoContentItem,
    fsm::{ResponseDecoder, ResponseDecoderNext},
};
use futures::FutureExt as _;
use iroh_io::AsyncStreamReader;
use std::io;

/// Reads a request for a range of a blob, as a server does; whether it would be served.
///
/// # Panics
/// When a request's encoding is not the bytes that it came from.
#[must_use]
pub fn request(bytes: &[u8; REQUEST_BYTES]) -> bool {
    Request::decode(bytes).is_ok_and(|request| {
        assert_eq!(request.encode(), bytes, "requests have one encoding");
        true
    })
}

/// Reads a response for the first segment of the blob with this hash and size, as a fetcher does;
/// the bytes that it would write, all of them verified.
#[must_use]
pub fn response(hash: [u8; 32], blob_bytes: u64, response: &[u8]) -> Vec<u8> {
    let read = read(hash, blob_bytes.clamp(1, BLOB_BYTES_MAX), response);
    read.now_or_never().unwrap_or_default()
}

async fn read(hash: [u8; 32], blob_bytes: u64, response: &[u8]) -> Vec<u8> {
    let mut verified = Vec::new();
    let mut reader = Memory(response);
    let status = reader.read::<1>().await;
    if status.ok().and_then(|[status]| Status::decode(status)) != Some(Status::Follows) {
        return verified;
    }
    let range = 0..blob_bytes.min(SEGMENT_BYTES_MAX);
    let hash = blake3::Hash::from(hash);
    let mut decoder = ResponseDecoder::new(hash, chunks(range), tree(blob_bytes), reader);
    while let ResponseDecoderNext::More((next, item)) = decoder.next().await {
        decoder = next;
        match item {
            Ok(BaoContentItem::Parent(_)) => {}
            Ok(BaoContentItem::Leaf(leaf)) => verified.extend_from_slice(&leaf.data),
            Err(_) => return verified,
        }
    }
    verified
}

/// Bytes in memory as `bao-tree` reads a stream.
struct Memory<'a>(&'a [u8]);

impl Memory<'_> {
    fn take(&mut self, length: usize) -> io::Result<&[u8]> {
        let (head, tail) = self
            .0
            .split_at_checked(length)
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        self.0 = tail;
        Ok(head)
    }
}

impl AsyncStreamReader for Memory<'_> {
    async fn read_bytes(&mut self, length: usize) -> io::Result<bytes::Bytes> {
        self.take(length).map(bytes::Bytes::copy_from_slice)
    }
    async fn read<const LENGTH: usize>(&mut self) -> io::Result<[u8; LENGTH]> {
        let mut buffer = [0; LENGTH];
        buffer.copy_from_slice(self.take(LENGTH)?);
        Ok(buffer)
    }
}
