//! Requests and answers on a socket: four bytes of length, a version, and the canonical encoding.
//! Both ends treat what arrives as hostile: a frame is refused by its length before it is read.

use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{
    codec::{decode, encode},
    transaction::MOVE_TRANSACTION_BYTES_MAX,
};
use std::io::{self, Read, Write};

/// Of this protocol; both ends must speak the same.
pub const VERSION: u32 = 1;
/// Most bytes of a frame after its length: the largest transaction with room around it.
pub const FRAME_BYTES_MAX: usize = MOVE_TRANSACTION_BYTES_MAX + 1024;

fn invalid(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

/// Writes a message.
///
/// # Errors
/// When it is too long or cannot be written.
pub fn write<T: BorshSerialize>(to: &mut impl Write, message: &T) -> io::Result<()> {
    let content = encode(&(VERSION, message));
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
    if content.len() > FRAME_BYTES_MAX {
        let reason = format!("frame has {length} bytes; at most {FRAME_BYTES_MAX} are allowed");
        return Err(invalid(reason));
    }
    // One write, so that a frame leaves at once.
    to.write_all(&[&length.to_le_bytes()[..], &content].concat())
}

/// Reads the length of a frame; nothing if the other end is gone.
///
/// # Errors
/// When it is over the limit, or cannot be read.
pub fn read_length(from: &mut impl Read) -> io::Result<Option<usize>> {
    let mut length = [0; 4];
    if let Err(error) = from.read_exact(&mut length) {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof => Ok(None),
            _ => Err(error),
        };
    }
    let bytes = u32::from_le_bytes(length) as usize;
    if bytes > FRAME_BYTES_MAX {
        let reason = format!("frame has {bytes} bytes; at most {FRAME_BYTES_MAX} are allowed");
        return Err(invalid(reason));
    }
    Ok(Some(bytes))
}

/// Reads what comes after a length.
///
/// # Errors
/// When it is cut short, of another version, or no message.
pub fn read_content<T: BorshDeserialize>(from: &mut impl Read, bytes: usize) -> io::Result<T> {
    let mut content = vec![0; bytes.min(FRAME_BYTES_MAX)];
    from.read_exact(&mut content)?;
    let (version, message) = content
        .split_first_chunk::<4>()
        .ok_or_else(|| invalid(format!("frame has {bytes} bytes; a version has 4")))?;
    let version = u32::from_le_bytes(*version);
    if version != VERSION {
        let reason = format!("frame is of version {version}; this program speaks {VERSION}");
        return Err(invalid(reason));
    }
    decode("signer message", message, FRAME_BYTES_MAX).map_err(|error| invalid(error.to_string()))
}

/// Reads a message; nothing if the other end is gone.
///
/// # Errors
/// See [`read_length`] and [`read_content`].
pub fn read<T: BorshDeserialize>(from: &mut impl Read) -> io::Result<Option<T>> {
    match read_length(from)? {
        Some(bytes) => read_content(from, bytes).map(Some),
        None => Ok(None),
    }
}
