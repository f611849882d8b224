//! The smallest honest application: a list of blocks in memory.

use ledger_consensus::{
    Application, ApplicationError, Certificate, Check, DoubleSign, HeightParams, ValidatorSet,
};
use protocol::{BlobId, BlockId, Height, codec};
#[cfg(feature = "stock")]
use std::path::Path;
use std::{
    fs::File,
    io::Write as _,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::watch;

/// Height, the round in which it was built, parent and payload.
type Body = (Height, u32, BlockId, Vec<u8>);

/// A block with its certificate.
pub(crate) type Committed = (Vec<u8>, Certificate);

fn record(committed: &Committed) -> Vec<u8> {
    let content = codec::encode(committed);
    codec::encode(&content)
}

/// The blocks of a journal.
#[cfg(feature = "stock")]
pub(crate) fn read_journal(path: &Path) -> Vec<Committed> {
    let bytes = std::fs::read(path).unwrap_or_default();
    let mut rest = bytes.as_slice();
    let mut blocks = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = u32::from_le_bytes(*length) as usize;
        let Some((content, after)) = after.split_at_checked(length) else {
            break;
        };
        blocks.push(codec::decode("record", content, length).unwrap());
        rest = after;
    }
    blocks
}

/// What is kept; survives the engine, as a disk would.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) blocks: Mutex<Vec<Committed>>,
    pub(crate) evidence: Mutex<Vec<DoubleSign>>,
    height: watch::Sender<u64>,
    params: HeightParams,
    payload_bytes: usize,
    journal: Option<Mutex<File>>,
    membership: Membership,
}

/// Who may vote.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Membership {
    /// All validators at every height.
    Fixed,
    /// All but one, another one at every height.
    Rotating,
}

/// The set of a height under [`Membership::Rotating`].
pub(crate) fn set_at(all: &ValidatorSet, height: Height) -> ValidatorSet {
    let absent = usize::try_from(height.get()).unwrap() % all.count();
    let mut validators = all.as_slice().to_vec();
    validators.remove(absent);
    ValidatorSet::new(validators).unwrap()
}

/// A handle that an engine may own.
#[derive(Debug, Clone)]
pub(crate) struct MemoryApplication(pub(crate) Arc<Ledger>);

pub(crate) fn block_id(block: &[u8]) -> BlockId {
    BlockId::from_bytes(*BlobId::of(block).as_bytes())
}

impl MemoryApplication {
    pub(crate) fn new(params: HeightParams, payload_bytes: usize) -> Self {
        Self(Arc::new(Ledger {
            blocks: Mutex::default(),
            evidence: Mutex::default(),
            height: watch::Sender::new(0),
            params,
            payload_bytes,
            journal: None,
            membership: Membership::Fixed,
        }))
    }

    /// Keeps its blocks in a file, one length-prefixed record each; a torn last record is dropped.
    #[cfg(feature = "stock")]
    pub(crate) fn journaled(params: HeightParams, payload_bytes: usize, path: &Path) -> Self {
        let blocks = read_journal(path);
        let whole: Vec<u8> = blocks.iter().flat_map(record).collect();
        std::fs::write(path, whole).unwrap();
        let journal = File::options().append(true).open(path).unwrap();
        Self(Arc::new(Ledger {
            height: watch::Sender::new(blocks.len() as u64),
            blocks: Mutex::new(blocks),
            evidence: Mutex::default(),
            params,
            payload_bytes,
            journal: Some(Mutex::new(journal)),
            membership: Membership::Fixed,
        }))
    }

    #[cfg(feature = "stock")]
    pub(crate) fn rotating(params: HeightParams, payload_bytes: usize) -> Self {
        let Self(ledger) = Self::new(params, payload_bytes);
        let ledger = Arc::into_inner(ledger).unwrap();
        Self(Arc::new(Ledger {
            membership: Membership::Rotating,
            ..ledger
        }))
    }

    pub(crate) fn blocks(&self) -> Vec<Committed> {
        self.0
            .blocks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Returns when at least this many blocks are committed.
    #[cfg(feature = "stock")]
    pub(crate) async fn reached(&self, height: u64) {
        let mut heights = self.0.height.subscribe();
        heights
            .wait_for(|&reached| reached >= height)
            .await
            .unwrap();
    }
}

impl Application for MemoryApplication {
    fn tip(&self) -> (Height, BlockId) {
        let blocks = self.blocks();
        match blocks.last() {
            Some((_, certificate)) => (certificate.height, certificate.block_id),
            None => (Height::ZERO, BlockId::from_bytes([0; 32])),
        }
    }

    fn params(&self, height: Height) -> HeightParams {
        let mut params = self.0.params.clone();
        if self.0.membership == Membership::Rotating {
            params.validators = set_at(&params.validators, height);
        }
        params
    }

    fn propose(
        &mut self,
        height: Height,
        round: u32,
        bytes_max: u32,
        now_ms: u64,
    ) -> Result<Vec<u8>, ApplicationError> {
        let mut payload = now_ms.to_le_bytes().to_vec();
        payload.resize(
            self.0.payload_bytes.min(bytes_max as usize - 64).max(8),
            0xC5,
        );
        let body: Body = (height, round, self.tip().1, payload);
        Ok(codec::encode(&body))
    }

    fn check(&mut self, height: Height, round: u32, block: &[u8]) -> Check {
        let (tip, tip_id) = self.tip();
        if height != tip.next() {
            return Check::Later;
        }
        match codec::decode::<Body>("block", block, 1 << 22) {
            Ok((found, built, parent, _))
                if found == height && built <= round && parent == tip_id =>
            {
                Check::Valid(block_id(block))
            }
            Ok((found, built, ..)) => Check::Invalid {
                reason: format!(
                    "block of height {found} and round {built} does not follow {tip} in {round}"
                ),
            },
            Err(error) => Check::Invalid {
                reason: error.to_string(),
            },
        }
    }

    fn commit(&mut self, block: &[u8], certificate: &Certificate) -> Result<(), ApplicationError> {
        let height = certificate.height;
        assert_eq!(
            self.check(height, certificate.round, block),
            Check::Valid(certificate.block_id)
        );
        let committed = (block.to_vec(), certificate.clone());
        if let Some(journal) = &self.0.journal {
            let mut journal = journal.lock().unwrap();
            journal
                .write_all(&record(&committed))
                .and_then(|()| journal.sync_all())
                .unwrap();
        }
        self.0.blocks.lock().unwrap().push(committed);
        self.0.height.send_replace(height.get());
        Ok(())
    }

    fn block(&self, height: Height) -> Option<(Vec<u8>, Certificate)> {
        let index = usize::try_from(height.get().checked_sub(1)?).ok()?;
        self.blocks().get(index).cloned()
    }

    fn history_min(&self) -> Height {
        Height::new(1)
    }

    fn evidence(&mut self, evidence: DoubleSign) {
        self.0.evidence.lock().unwrap().push(evidence);
    }
}
