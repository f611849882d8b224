//! The write-ahead log: malachite's file, with its rules for heights.
//!
//! The encoding of entries is private to malachite's actor, so it is written again here; the file,
//! what is written to it and when, and what a start does with it are the same.

use super::{Stopped, WireCodec, encode};
use crate::stock::context::{CairnContext, EngineHeight};
use arc_malachitebft_core_consensus::{Input, ProposedValue, SignedConsensusMsg};
use arc_malachitebft_core_types::{PolkaCertificate, Round, Timeout, TimeoutKind, ValueOrigin};
use bytes::Bytes;
use malachitebft_app_channel::app::{types::codec::Codec, wal::Log};
use std::{
    io,
    path::{Path, PathBuf},
};

/// First bytes of entries.
const CONSENSUS: u8 = 1;
const TIMEOUT: u8 = 2;
const VALUE: u8 = 4;
const POLKA: u8 = 8;

pub(super) struct Wal {
    log: Log,
    path: PathBuf,
    height: EngineHeight,
    synced: u64,
}

impl Wal {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let log = Log::open(path)?;
        Ok(Self {
            synced: log.size_bytes()?,
            log,
            path: path.to_owned(),
            height: EngineHeight::default(),
        })
    }

    /// Goes to a height: what an earlier process noted of it, or nothing.
    pub(super) fn begin(
        &mut self,
        height: EngineHeight,
        is_validator: bool,
    ) -> Result<Vec<Input<CairnContext>>, Stopped> {
        let path = self.path.clone();
        let sequence = height.0.get();
        let begun = (|| {
            if is_validator && self.height == height {
                return Ok(Vec::new());
            }
            self.height = height;
            if is_validator && self.log.sequence() == sequence {
                return self.entries();
            }
            self.log.reset(sequence)?;
            self.synced = self.log.size_bytes()?;
            Ok(Vec::new())
        })();
        begun.map_err(|source| Stopped::File { path, source })
    }

    fn entries(&mut self) -> io::Result<Vec<Input<CairnContext>>> {
        if self.log.is_empty() {
            return Ok(Vec::new());
        }
        self.log.iter()?.map(|entry| decode(&entry?)).collect()
    }

    pub(super) fn append(
        &mut self,
        height: EngineHeight,
        entry: &Input<CairnContext>,
    ) -> Result<(), Stopped> {
        if height != self.height {
            return Ok(());
        }
        let written = entry_bytes(entry).and_then(|bytes| self.log.append(bytes));
        written.map_err(|source| self.failed(source))
    }

    pub(super) fn flush(&mut self) -> Result<(), Stopped> {
        let flushed = self.log.flush().and_then(|()| self.log.size_bytes());
        self.synced = flushed.map_err(|source| self.failed(source))?;
        Ok(())
    }

    pub(super) const fn synced(&self) -> u64 {
        self.synced
    }

    fn failed(&self, source: io::Error) -> Stopped {
        let path = self.path.clone();
        Stopped::File { path, source }
    }
}

fn entry_bytes(entry: &Input<CairnContext>) -> io::Result<Vec<u8>> {
    let tagged = |tag: u8, bytes: Vec<u8>| [vec![tag], bytes].concat();
    let bytes = match entry {
        Input::Vote(vote) => tagged(CONSENSUS, encode(&SignedConsensusMsg::Vote(vote.clone()))),
        Input::Proposal(proposal) => {
            let message = SignedConsensusMsg::Proposal(proposal.clone());
            tagged(CONSENSUS, encode(&message))
        }
        Input::TimeoutElapsed(timeout) => {
            let kind = match timeout.kind {
                TimeoutKind::Propose => 1,
                TimeoutKind::Prevote => 2,
                TimeoutKind::Precommit => 3,
                TimeoutKind::Rebroadcast => 7,
                TimeoutKind::FinalizeHeight(_) => return Err(unkept()),
            };
            let round = timeout.round.as_i64().to_be_bytes();
            tagged(TIMEOUT, [&[kind][..], &round].concat())
        }
        Input::ProposedValue(value, _) => tagged(VALUE, encode(value)),
        Input::PolkaCertificate(certificate) => tagged(POLKA, encode(certificate)),
        Input::StartHeight(..)
        | Input::Propose(_)
        | Input::RoundCertificate(_)
        | Input::SyncValueResponse(_) => return Err(unkept()),
    };
    Ok(bytes)
}

fn unkept() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "this input is not kept")
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "an entry of the log is damaged")
}

fn decode(bytes: &[u8]) -> io::Result<Input<CairnContext>> {
    let (tag, rest) = bytes.split_first().ok_or_else(damaged)?;
    let body = Bytes::copy_from_slice(rest);
    Ok(match *tag {
        CONSENSUS => {
            let message: SignedConsensusMsg<CairnContext> = WireCodec.decode(body)?;
            match message {
                SignedConsensusMsg::Vote(vote) => Input::Vote(vote),
                SignedConsensusMsg::Proposal(proposal) => Input::Proposal(proposal),
            }
        }
        TIMEOUT => Input::TimeoutElapsed(timeout(rest).ok_or_else(damaged)?),
        VALUE => {
            let value: ProposedValue<CairnContext> = WireCodec.decode(body)?;
            Input::ProposedValue(value, ValueOrigin::Consensus)
        }
        POLKA => {
            let certificate: PolkaCertificate<CairnContext> = WireCodec.decode(body)?;
            Input::PolkaCertificate(certificate)
        }
        _ => return Err(damaged()),
    })
}

fn timeout(bytes: &[u8]) -> Option<Timeout> {
    let (kind, round) = bytes.split_first()?;
    let round = i64::from_be_bytes(round.try_into().ok()?);
    let round = u32::try_from(round).map_or(Round::Nil, Round::new);
    let kind = match kind {
        1 => TimeoutKind::Propose,
        2 => TimeoutKind::Prevote,
        3 => TimeoutKind::Precommit,
        7 => TimeoutKind::Rebroadcast,
        _ => return None,
    };
    Some(Timeout::new(round, kind))
}
