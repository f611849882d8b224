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
//! The file is a head that names chain and key, then records of a fixed size, each with a checksum,
//! then zeros: it has its whole length from the beginning, so that the disk writes a record and
//! nothing about the file, and no record lies across two sectors. Where half of one is there all
//! the same, at the end, it is that of a signature that never left. Spec: 05-block §7.

use crate::{Proposal, Vote, VoteKind};
use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{ChainId, Height, PublicKey, codec::encode, identifiers::tagged_hash};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Seek as _, SeekFrom, Write as _},
    ops::Range,
    path::{Path, PathBuf},
};

/// Bytes of the head and of a record, each with its zeros: disks write it whole or not at all.
const SLOT_BYTES: usize = 128;
/// The end of a record's checksum: eight zeros are none, but what was not written yet.
const CHECKSUM_END: Range<usize> = 69..77;
/// The first bytes of the file, with the version of its format.
const MAGIC: &[u8; 16] = b"cairn signing  2";
/// Bytes of a new file. One that is full is written anew when the next height begins.
const FILE_BYTES: usize = 1 << 18;
/// The format before: no zeros anywhere, and an unfinished record at the end.
const FIRST_MAGIC: &[u8; 16] = b"cairn signing  1";
const FIRST_HEAD_BYTES: usize = 16 + 32 + 32;
const FIRST_RECORD_BYTES: usize = 8 + 4 + 1 + 32 + 32;

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
    /// Where the next record is written.
    end: usize,
    height: Height,
    signed: BTreeMap<(u32, Message), [u8; 32]>,
}

fn head(chain: ChainId, validator: PublicKey) -> Vec<u8> {
    let mut bytes = [MAGIC.as_slice(), chain.as_bytes(), validator.as_bytes()].concat();
    bytes.resize(SLOT_BYTES, 0);
    bytes
}

fn record(signed: &Signed) -> Vec<u8> {
    let mut bytes = encode(signed);
    bytes.extend(tagged_hash("cairn/signing-history/v1", signed));
    bytes.resize(SLOT_BYTES, 0);
    bytes
}

/// What a file says.
struct Loaded {
    records: Vec<Signed>,
    /// Where the next record goes, unless the file has to be written anew.
    end: Option<usize>,
}

/// Reads a file, of either format.
fn load(
    path: &Path,
    bytes: &[u8],
    chain: ChainId,
    validator: PublicKey,
) -> Result<Loaded, HistoryError> {
    let path = || path.to_owned();
    let head = head(chain, validator);
    let is_first = bytes.starts_with(FIRST_MAGIC);
    let (head_bytes, record_bytes) = if is_first {
        (FIRST_HEAD_BYTES, FIRST_RECORD_BYTES)
    } else {
        (SLOT_BYTES, SLOT_BYTES)
    };
    let is_own = (is_first || bytes.starts_with(MAGIC))
        && bytes.get(MAGIC.len()..head_bytes) == head.get(MAGIC.len()..head_bytes);
    if !is_own {
        return Err(HistoryError::Other { path: path() });
    }
    let slots = bytes.get(head_bytes..).unwrap_or_default();
    let mut loaded = Loaded {
        records: vec![],
        end: None,
    };
    let mut end = head_bytes;
    for (index, slot) in slots.chunks(record_bytes).enumerate() {
        let at = head_bytes + index * record_bytes;
        if slot.iter().all(|byte| *byte == 0) || is_first && slot.len() < record_bytes {
            continue;
        }
        let mut fields = slot;
        let signed = BorshDeserialize::deserialize(&mut fields).ok();
        let signed =
            signed.filter(|signed| at == end && record(signed).get(..record_bytes) == Some(slot));
        let Some(signed) = signed else {
            if !is_first && at == end && slot.get(CHECKSUM_END) == Some(&[0; 8]) {
                // Unfinished, if nothing follows: the next record is written over it.
                continue;
            }
            return Err(HistoryError::Damaged { path: path(), at });
        };
        loaded.records.push(signed);
        end = at + record_bytes;
    }
    loaded.end = (!is_first && bytes.len() >= FILE_BYTES).then_some(end);
    Ok(loaded)
}

/// A new file with these records, in the place of the one that is there; where the next one goes.
fn begin(
    path: &Path,
    chain: ChainId,
    validator: PublicKey,
    records: &[Signed],
) -> Result<(File, usize), HistoryError> {
    let mut bytes = head(chain, validator);
    bytes.extend(records.iter().flat_map(record));
    let end = bytes.len();
    bytes.resize(end.max(FILE_BYTES), 0);
    let open = || {
        replace(path, &bytes)?;
        OpenOptions::new().write(true).open(path)
    };
    let file = open().map_err(|source| HistoryError::File {
        path: path.to_owned(),
        source,
    })?;
    Ok((file, end))
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
        let Loaded { mut records, end } = if path.exists() {
            load(path, &fs::read(path).map_err(failed)?, chain, validator)?
        } else {
            Loaded {
                records: vec![],
                end: None,
            }
        };
        let height = records.last().map_or(Height::ZERO, |last| last.height);
        records.retain(|one| one.height == height);
        let (file, end) = match end {
            Some(end) => {
                let file = OpenOptions::new().write(true).open(path);
                (file.map_err(failed)?, end)
            }
            None => begin(path, chain, validator, &records)?,
        };
        Ok(Self {
            path: path.to_owned(),
            chain,
            validator,
            file,
            end,
            height,
            signed: records
                .into_iter()
                .map(|one| ((one.round, one.message), one.digest))
                .collect(),
        })
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
        if wanted.height > self.height && self.end + SLOT_BYTES > FILE_BYTES {
            self.rewrite(&[wanted])?;
        } else {
            let at = self.file.seek(SeekFrom::Start(self.end as u64));
            let written = at.and_then(|_| self.file.write_all(&record(&wanted)));
            let synced = written.and_then(|()| self.file.sync_data());
            synced.map_err(|source| failed(&self.path, source))?;
            self.end += SLOT_BYTES;
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
        (self.file, self.end) = begin(&self.path, self.chain, self.validator, records)?;
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
