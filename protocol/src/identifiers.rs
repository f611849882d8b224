//! 32-byte identifiers, one type per meaning.

use borsh::BorshSerialize;

/// A hexadecimal identifier that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Not hexadecimal.
    #[error("{text:?} is not hexadecimal")]
    NotHex {
        /// What was given.
        text: String,
    },
    /// The wrong number of bytes.
    #[error("identifier has {found} bytes; {expected} are needed")]
    Length {
        /// Bytes found.
        found: usize,
        /// Bytes needed.
        expected: usize,
    },
}

/// Reads exactly `N` bytes from hexadecimal text.
///
/// # Errors
/// When the text is not hexadecimal or has another length.
pub(crate) fn parse_hex<const N: usize>(text: &str) -> Result<[u8; N], ParseError> {
    let short: String = text.chars().take(80).collect();
    let bytes = hex::decode(text).map_err(|_| ParseError::NotHex { text: short })?;
    let found = bytes.len();
    <[u8; N]>::try_from(bytes).map_err(|_| ParseError::Length { found, expected: N })
}

/// Bytes of one meaning, as many as it says or 32: written and read in hexadecimal.
macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident) => {
        $crate::identifiers::identifier!($(#[$doc])* $name, 32);
    };
    ($(#[$doc:meta])* $name:ident, $length:expr) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash,
            ::borsh::BorshSerialize, ::borsh::BorshDeserialize,
        )]
        pub struct $name([u8; $length]);

        impl $name {
            /// Wraps the bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; $length]) -> Self {
                Self(bytes)
            }
            /// The bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $length] {
                &self.0
            }
            /// The first eight hexadecimal digits, for people.
            #[must_use]
            pub fn short(&self) -> String {
                hex::encode(&self.0[..4])
            }
        }
        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }
        impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                write!(f, "{}({})", stringify!($name), hex::encode(&self.0[..6]))
            }
        }
        impl ::std::str::FromStr for $name {
            type Err = $crate::identifiers::ParseError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $crate::identifiers::parse_hex(text).map(Self)
            }
        }
        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> Result<Self, D::Error> {
                let text = <String as ::serde::Deserialize<'de>>::deserialize(deserializer)?;
                text.parse().map_err(::serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use identifier;

identifier!(
    /// BLAKE3 of the canonical genesis; every signature binds it.
    ChainId
);
identifier!(
    /// BLAKE3 of a block header; does not depend on the consensus round.
    BlockId
);
identifier!(
    /// BLAKE3 of a signed transaction.
    TransactionId
);
identifier!(
    /// Plain BLAKE3 hash of a blob's bytes: what `b3sum` prints.
    BlobId
);
identifier!(
    /// Plain BLAKE3 hash of a checkpoint's safetensors file: what `b3sum` prints.
    CheckpointId
);
identifier!(
    /// BLAKE3 of the canonical description of an environment or corpus.
    EnvironmentHash
);
identifier!(
    /// BLAKE3 of a proposal's content, proposer included.
    ProposalId
);
identifier!(
    /// Commitment to the whole state after a block.
    StateRoot
);
identifier!(
    /// BLAKE3 of who orders blocks at a height, with their power.
    ValidatorsHash
);

impl BlobId {
    /// The identifier of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

impl CheckpointId {
    /// The identifier of this safetensors file.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
    /// A checkpoint is served as the blob with the same hash.
    #[must_use]
    pub const fn blob(&self) -> BlobId {
        BlobId(self.0)
    }
}

/// BLAKE3 over a domain tag and the canonical encoding of a value; tags are unique (`tests/tidy`).
///
/// # Panics
/// Never: a hasher accepts all bytes.
#[must_use]
pub fn tagged_hash<T: BorshSerialize + ?Sized>(tag: &'static str, value: &T) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(tag);
    borsh::to_writer(&mut hasher, value).expect("invariant: hashing does not fail");
    *hasher.finalize().as_bytes()
}
