//! The canonical encoding: borsh, no trailing bytes, every length bounded by its type.

use borsh::{
    BorshDeserialize, BorshSerialize,
    io::{self, Read as _},
};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// Why bytes are not a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Larger than the type may be.
    #[error("{what} has {bytes} bytes; at most {bytes_max} are allowed")]
    TooLong {
        /// The type.
        what: &'static str,
        /// Bytes found.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// Not the canonical encoding of a value.
    #[error("{what} cannot be decoded from {bytes} bytes: {reason}")]
    Malformed {
        /// The type.
        what: &'static str,
        /// Bytes found.
        bytes: usize,
        /// What borsh said.
        reason: String,
    },
}

/// Decodes exactly one value from all of `bytes`.
///
/// # Errors
/// When there are more than `bytes_max` bytes, or they are not one canonical value.
pub fn decode<T: BorshDeserialize>(
    what: &'static str,
    bytes: &[u8],
    bytes_max: usize,
) -> Result<T, DecodeError> {
    if bytes.len() > bytes_max {
        return Err(DecodeError::TooLong {
            what,
            bytes: bytes.len(),
            bytes_max,
        });
    }
    T::try_from_slice(bytes).map_err(|error| DecodeError::Malformed {
        what,
        bytes: bytes.len(),
        reason: error.to_string(),
    })
}

/// Encodes a value; borsh into memory does not fail.
///
/// # Panics
/// Never: only a failing writer could make borsh fail.
#[must_use]
pub fn encode<T: BorshSerialize + ?Sized>(value: &T) -> Vec<u8> {
    borsh::to_vec(value).expect("invariant: writing to memory does not fail")
}

/// A sequence of at most `MAX` items; longer ones cannot be built or decoded.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, Serialize)]
#[serde(transparent)]
pub struct BoundedVec<T, const MAX: usize>(Vec<T>);

/// A sequence longer than its type allows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("sequence has {count} items; at most {count_max} are allowed")]
pub struct TooMany {
    /// Items found.
    pub count: usize,
    /// The limit.
    pub count_max: usize,
}

impl<T, const MAX: usize> BoundedVec<T, MAX> {
    /// Wraps items.
    ///
    /// # Errors
    /// When there are more than `MAX`.
    pub fn new(items: Vec<T>) -> Result<Self, TooMany> {
        if items.len() > MAX {
            return Err(TooMany {
                count: items.len(),
                count_max: MAX,
            });
        }
        Ok(Self(items))
    }
    /// The items.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        &self.0
    }
    /// As many items, each made of one of these.
    #[must_use]
    pub fn map<U>(&self, make: impl FnMut(&T) -> U) -> BoundedVec<U, MAX> {
        BoundedVec(self.0.iter().map(make).collect())
    }
    /// The items, owned.
    #[must_use]
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<T, const MAX: usize> Default for BoundedVec<T, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: fmt::Debug, const MAX: usize> fmt::Debug for BoundedVec<T, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: BorshDeserialize, const MAX: usize> BorshDeserialize for BoundedVec<T, MAX> {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        let count = u32::deserialize_reader(reader)? as usize;
        if count > MAX {
            let error = TooMany {
                count,
                count_max: MAX,
            };
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        (0..count)
            .map(|_| T::deserialize_reader(reader))
            .collect::<io::Result<_>>()
            .map(Self)
    }
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for BoundedVec<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(<Vec<T> as Deserialize>::deserialize(deserializer)?)
            .map_err(serde::de::Error::custom)
    }
}

/// UTF-8 text of at most `MAX` bytes without control, bidirectional or invisible characters.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, Serialize)]
#[serde(transparent)]
pub struct Text<const MAX: usize>(String);

/// Text that may not be shown or is too long.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Too long.
    #[error("text has {bytes} bytes; at most {bytes_max} are allowed")]
    TooLong {
        /// Bytes found.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// A character that could deceive a reader.
    #[error("text contains the character U+{code:04X}, which is not allowed")]
    Character {
        /// Its code point.
        code: u32,
    },
}

impl<const MAX: usize> Text<MAX> {
    /// Checks text.
    ///
    /// # Errors
    /// When it is too long or holds control or bidirectional-override characters.
    pub fn new(text: impl Into<String>) -> Result<Self, TextError> {
        let text = text.into();
        if text.len() > MAX {
            return Err(TextError::TooLong {
                bytes: text.len(),
                bytes_max: MAX,
            });
        }
        let deceiving = |c: &char| c.is_control() || is_invisible(*c);
        match text.chars().find(deceiving) {
            Some(c) => Err(TextError::Character { code: c.into() }),
            None => Ok(Self(text)),
        }
    }
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Characters that change what is read without being seen: bidirectional marks, embeddings,
/// overrides and isolates, zero-width characters, line and paragraph separators, tags.
const fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{061C}'
            | '\u{180E}'
            | '\u{200B}'..='\u{200F}'
            | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}'
            | '\u{FEFF}'
            | '\u{E0000}'..='\u{E007F}'
    )
}

impl<const MAX: usize> fmt::Debug for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<const MAX: usize> BorshDeserialize for Text<MAX> {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        let bytes = BoundedVec::<u8, MAX>::deserialize_reader(reader)?.into_vec();
        let text = String::from_utf8(bytes)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Self::new(text).map_err(invalid)
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for Text<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(<String as Deserialize>::deserialize(deserializer)?)
            .map_err(serde::de::Error::custom)
    }
}

/// At most `MAX` bytes, read in bulk.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize)]
pub struct Bytes<const MAX: usize>(Vec<u8>);

impl<const MAX: usize> Bytes<MAX> {
    /// Wraps bytes.
    ///
    /// # Errors
    /// When there are more than `MAX`.
    pub fn new(bytes: Vec<u8>) -> Result<Self, TooMany> {
        if bytes.len() > MAX {
            return Err(TooMany {
                count: bytes.len(),
                count_max: MAX,
            });
        }
        Ok(Self(bytes))
    }
    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

/// Hexadecimal.
impl<const MAX: usize> Serialize for Bytes<MAX> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(&self.0))
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for Bytes<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <String as Deserialize>::deserialize(deserializer)?;
        let bytes = hex::decode(text).map_err(serde::de::Error::custom)?;
        Self::new(bytes).map_err(serde::de::Error::custom)
    }
}

impl<const MAX: usize> fmt::Debug for Bytes<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bytes({})", self.0.len())
    }
}

impl<const MAX: usize> BorshDeserialize for Bytes<MAX> {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        let count = u32::deserialize_reader(reader)? as usize;
        if count > MAX {
            let error = TooMany {
                count,
                count_max: MAX,
            };
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        let mut bytes = Vec::new();
        let read = io::Read::take(reader, count as u64).read_to_end(&mut bytes)?;
        if read != count {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Self(bytes))
    }
}
