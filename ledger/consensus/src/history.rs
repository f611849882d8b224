//! What a validator has signed, on disk before anything is sent: it never contradicts itself, even
//! if everything else it remembers is lost or old.
//!
//! The engine's own log keeps votes of the running height, and a deleted or restored log would let
//! an honest validator sign twice, for which it is punished. So each signature first asks this
//! file. It knows the highest height that was signed, and of that height every message:
//!
//! * below that height, nothing is signed any more;
//! * a message that was signed is signed again, which gives the same signature;
//! * another one in its place is refused, and so is anything of an earlier round, and a prevote
//!   after the precommit of its round.
//!
//! The file is a head that names chain and key, then records of a fixed size, each with a checksum.
//! An unfinished record at its end is that of a signature that never left. Spec: 05-block §7.

use crate::{Proposal, Vote, VoteKind};
use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{
    ChainId, Height, PublicKey,
    codec::{decode, encode},
    identifiers::tagged_hash,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

/// Bytes of the head, and of a record with its checksum.
const HEAD_BYTES: usize = 16 + 32 + 32;
const RECORD_BYTES: usize = 8 + 4 + 1 + 32 + 32;
/// The first bytes of the file, with the version of its format.
const MAGIC: &[u8; 16] = b"cairn signing  1";
/// A file that is longer is written anew when the next height begins.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A kind of message; one of each is signed in a round.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Message {
    /// The proposer's.
    Proposal,
    /// The first vote.
    Prevote,
    /// The second.
    Precommit,
}

/// One signed message.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct Signed {
    /// Its height.
    pub height: Height,
    /// Its round.
    pub round: u32,
    /// Its kind.
    pub message: Message,
    /// The 32 bytes that were signed.
    pub digest: [u8; 32],
}

impl Signed {
    /// Of a vote.
    #[must_use]
    pub fn vote(chain: ChainId, vote: &Vote) -> Self {
        Self {
            height: vote.height,
            round: vote.round,
            message: match vote.kind {
                VoteKind::Prevote => Message::Prevote,
                VoteKind::Precommit => Message::Precommit,
            },
            digest: vote.signing_bytes(chain),
        }
    }
    /// Of a proposal.
    #[must_use]
    pub fn proposal(chain: ChainId, proposal: &Proposal) -> Self {
        Self {
            height: proposal.height,
            round: proposal.round,
            message: Message::Proposal,
            digest: proposal.signing_bytes(chain),
        }
    }
}

/// A history as it is carried from one machine to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// The chain.
    pub chain: ChainId,
    /// Whose.
    pub validator: PublicKey,
    /// The highest height that was signed; nothing below it is signed again.
    pub height: Height,
    /// Every message of that height.
    pub signed: Vec<Signed>,
}

/// Why something is not signed, or the history cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The system said no.
    #[error("signing history {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Of another chain or key, or no history.
    #[error("{} is not the signing history of this validator on this chain", path.display())]
    Other {
        /// The file.
        path: PathBuf,
    },
    /// A record does not have its checksum.
    #[error(
        "signing history {} is damaged at byte {at}; restore an undamaged copy of its end",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        at: usize,
    },
    /// It has gone on since.
    #[error(
        "{message:?} of height {height}, round {round} is not signed: height {height_signed}, round \
         {round_signed} was"
    )]
    Lower {
        /// What was to be signed.
        message: Message,
        /// Its height.
        height: Height,
        /// Its round.
        round: u32,
        /// The highest height that was signed.
        height_signed: Height,
        /// The highest round of it.
        round_signed: u32,
    },
    /// Another message was signed in its place.
    #[error("another {message:?} of height {height}, round {round} was signed before")]
    Contradiction {
        /// What was to be signed.
        message: Message,
        /// Its height.
        height: Height,
        /// Its round.
        round: u32,
    },
}

/// The open history.
#[derive(Debug)]
pub struct SigningHistory {
    path: PathBuf,
    chain: ChainId,
    validator: PublicKey,
    file: File,
    height: Height,
    signed: BTreeMap<(u32, Message), [u8; 32]>,
}

fn head(chain: ChainId, validator: PublicKey) -> Vec<u8> {
    [MAGIC.as_slice(), chain.as_bytes(), validator.as_bytes()].concat()
}

fn record(signed: &Signed) -> Vec<u8> {
    let mut bytes = encode(signed);
    bytes.extend(tagged_hash("cairn/signing-history/v1", signed));
    bytes
}

impl SigningHistory {
    /// Opens or creates the history of a validator on a chain.
    ///
    /// # Errors
    /// When it is damaged, another's, or cannot be used.
    pub fn open(path: &Path, chain: ChainId, validator: PublicKey) -> Result<Self, HistoryError> {
        let failed = |source| HistoryError::File {
            path: path.to_owned(),
            source,
        };
        if !path.exists() {
            replace(path, &head(chain, validator)).map_err(failed)?;
        }
        let bytes = fs::read(path).map_err(failed)?;
        let file = OpenOptions::new().append(true).open(path).map_err(failed)?;
        let mut history = Self {
            path: path.to_owned(),
            chain,
            validator,
            file,
            height: Height::ZERO,
            signed: BTreeMap::new(),
        };
        let whole = history.load(&bytes)?;
        // What an interrupted write left would come between records.
        history.file.set_len(whole as u64).map_err(failed)?;
        Ok(history)
    }
    /// Takes all whole records; how many bytes they are.
    fn load(&mut self, bytes: &[u8]) -> Result<usize, HistoryError> {
        let other = || HistoryError::Other {
            path: self.path.clone(),
        };
        let records = bytes.strip_prefix(head(self.chain, self.validator).as_slice());
        let (records, _) = records.ok_or_else(other)?.as_chunks::<RECORD_BYTES>();
        let mut at = HEAD_BYTES;
        for bytes in records {
            let (content, _) = bytes.split_at(RECORD_BYTES - 32);
            let signed = decode::<Signed>("signed message", content, RECORD_BYTES);
            match signed {
                Ok(signed) if record(&signed) == bytes => self.note(signed),
                Ok(_) | Err(_) => {
                    let path = self.path.clone();
                    return Err(HistoryError::Damaged { path, at });
                }
            }
            at += RECORD_BYTES;
        }
        Ok(at)
    }
    fn note(&mut self, signed: Signed) {
        let Signed {
            height,
            round,
            message,
            digest,
        } = signed;
        if height > self.height {
            self.height = height;
            self.signed.clear();
        }
        if height == self.height {
            self.signed.insert((round, message), digest);
        }
    }
    /// The highest height that was signed; zero if nothing was.
    #[must_use]
    pub const fn height(&self) -> Height {
        self.height
    }
    /// Whether a message that was never signed may still be signed at this place.
    #[must_use]
    pub fn allows_new(&self, height: Height, round: u32, message: Message) -> bool {
        let wanted = Signed {
            height,
            round,
            message,
            // No message has this hash.
            digest: [0; 32],
        };
        self.check(&wanted).is_ok()
    }
    /// Allows one signature: what it is for is on the disk when this returns.
    ///
    /// # Errors
    /// When it would contradict an earlier one, or cannot be written. Nothing may be signed then.
    pub fn allow(&mut self, wanted: Signed) -> Result<(), HistoryError> {
        if self.check(&wanted)? {
            return Ok(());
        }
        let failed = |path: &Path, source| HistoryError::File {
            path: path.to_owned(),
            source,
        };
        let length = self.file.metadata().map_or(0, |data| data.len());
        if wanted.height > self.height && length > FILE_BYTES_MAX {
            self.rewrite(&[wanted])?;
        } else {
            let written = self.file.write_all(&record(&wanted));
            let synced = written.and_then(|()| self.file.sync_data());
            synced.map_err(|source| failed(&self.path, source))?;
        }
        self.note(wanted);
        Ok(())
    }
    /// Whether exactly this was signed already.
    fn check(&self, wanted: &Signed) -> Result<bool, HistoryError> {
        let Signed {
            height,
            round,
            message,
            digest,
        } = *wanted;
        if height > self.height {
            return Ok(false);
        }
        let (round_signed, last) = self
            .signed
            .last_key_value()
            .map_or((0, Message::Proposal), |(key, _)| *key);
        if height == self.height {
            match self.signed.get(&(round, message)) {
                Some(signed) if *signed == digest => return Ok(true),
                Some(_) => {
                    return Err(HistoryError::Contradiction {
                        message,
                        height,
                        round,
                    });
                }
                None => {}
            }
            // A slow proposer may propose after it has voted for nothing.
            let is_later = round > round_signed
                || round == round_signed && (message > last || message == Message::Proposal);
            if is_later || self.signed.is_empty() {
                return Ok(false);
            }
        }
        Err(HistoryError::Lower {
            message,
            height,
            round,
            height_signed: self.height,
            round_signed,
        })
    }
    fn rewrite(&mut self, records: &[Signed]) -> Result<(), HistoryError> {
        let mut bytes = head(self.chain, self.validator);
        bytes.extend(records.iter().flat_map(record));
        let open = || {
            replace(&self.path, &bytes)?;
            OpenOptions::new().append(true).open(&self.path)
        };
        self.file = open().map_err(|source| HistoryError::File {
            path: self.path.clone(),
            source,
        })?;
        Ok(())
    }
    /// From now on every write fails.
    #[cfg(all(test, feature = "stock"))]
    pub(crate) fn fail_writes(&mut self) {
        self.file = File::open(&self.path).expect("the history is there");
    }
    /// What another machine must know before it signs with this key.
    #[must_use]
    pub fn export(&self) -> Export {
        let signed = |(&(round, message), &digest): (&(u32, Message), &[u8; 32])| Signed {
            height: self.height,
            round,
            message,
            digest,
        };
        Export {
            chain: self.chain,
            validator: self.validator,
            height: self.height,
            signed: self.signed.iter().map(signed).collect(),
        }
    }
    /// Takes in what the key signed elsewhere; whatever is higher counts.
    ///
    /// # Errors
    /// When it is another validator's or chain's, contradicts this history, or cannot be written.
    pub fn import(&mut self, export: &Export) -> Result<(), HistoryError> {
        let Export {
            chain,
            validator,
            height,
            signed,
        } = export;
        let is_own = (*chain, *validator) == (self.chain, self.validator);
        if !is_own || signed.iter().any(|one| one.height != *height) {
            let path = self.path.clone();
            return Err(HistoryError::Other { path });
        }
        if *height < self.height {
            return Ok(());
        }
        if *height == self.height {
            for one in signed {
                let known = self.signed.get(&(one.round, one.message));
                if known.is_some_and(|known| *known != one.digest) {
                    return Err(HistoryError::Contradiction {
                        message: one.message,
                        height: one.height,
                        round: one.round,
                    });
                }
            }
        }
        let mut all = self.export().signed;
        all.extend(signed);
        all.retain(|one| one.height == *height);
        if all.is_empty() {
            // A height without messages: nothing below the next one is signed.
            all.push(Signed {
                height: *height,
                round: u32::MAX,
                message: Message::Precommit,
                digest: [0; 32],
            });
        }
        self.rewrite(&all)?;
        all.into_iter().for_each(|one| self.note(one));
        Ok(())
    }
}

/// Writes a file as a whole, on the disk when this returns.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests;
