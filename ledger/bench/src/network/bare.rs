//! The engine alone: an application that keeps nothing but what peers may ask for.

use super::homes::Home;
use anyhow::{Context as _, Result};
use ledger_consensus::{
    Application, ApplicationError, Certificate, Check, DoubleSign, EngineConfig, HeightParams,
    Validator, ValidatorSet,
};
use protocol::{BlobId, BlockId, ChainId, Height, SigningKey};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Blocks that are kept for a peer that is behind.
const KEPT_COUNT: u64 = 256;
/// Longer than any measurement.
const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// What one node has to know.
#[derive(Debug, Serialize, Deserialize)]
struct Description {
    /// Keys of all, in hexadecimal.
    seeds: Vec<[u8; 32]>,
    /// Which is this one.
    index: usize,
    /// Where all listen.
    addresses: Vec<String>,
    interval_ms: u64,
}

/// What the node at an index reads.
pub(super) fn describe(index: usize, all: &[Home], interval_ms: u64) -> Result<String> {
    Ok(serde_json::to_string(&Description {
        seeds: all.iter().map(|home| home.key.to_seed()).collect(),
        index,
        addresses: all.iter().map(Home::consensus).collect(),
        interval_ms,
    })?)
}

/// Runs one until it is killed, and prints when each block was decided, in milliseconds.
pub(crate) async fn run(home: &Path) -> Result<()> {
    let path = home.join("bare.json");
    let text = fs::read_to_string(&path).with_context(|| format!("no {}", path.display()))?;
    let description: Description = serde_json::from_str(&text)?;
    let keys: Vec<SigningKey> = description
        .seeds
        .iter()
        .map(|seed| SigningKey::from_seed(*seed))
        .collect();
    let validator = |key: &SigningKey| Validator {
        key: key.address(),
        power: 1,
    };
    let mut params = HeightParams::new(ValidatorSet::new(keys.iter().map(validator).collect())?);
    params.block_interval_ms = description.interval_ms;
    let own = description.index;
    let mut config = EngineConfig::new(
        ChainId::from_bytes([0xBE; 32]),
        keys[own].clone(),
        home.to_owned(),
        description.addresses[own].clone(),
    );
    let others = description.addresses.iter().enumerate();
    let others = others.filter(|(index, _)| *index != own);
    config.peers = others.map(|(_, address)| address.clone()).collect();
    let nothing = Nothing {
        tip: (Height::ZERO, BlockId::from_bytes([0; 32])),
        kept: BTreeMap::new(),
        params,
    };
    let engine = ledger_consensus::start(config, nothing).await?;
    tokio::select! {
        ended = engine.stopped() => ended.context("the engine stopped"),
        () = tokio::time::sleep(LIFETIME) => Ok(()),
    }
}

/// Decides without meaning.
struct Nothing {
    tip: (Height, BlockId),
    kept: BTreeMap<Height, (Vec<u8>, Certificate)>,
    params: HeightParams,
}

fn id(block: &[u8]) -> BlockId {
    BlockId::from_bytes(*BlobId::of(block).as_bytes())
}

impl Application for Nothing {
    fn tip(&self) -> (Height, BlockId) {
        self.tip
    }
    fn params(&self, _: Height) -> HeightParams {
        self.params.clone()
    }
    fn propose(
        &mut self,
        height: Height,
        _: u32,
        _: u32,
        now_ms: u64,
    ) -> Result<Vec<u8>, ApplicationError> {
        Ok([height.get().to_le_bytes(), now_ms.to_le_bytes()].concat())
    }
    fn check(&mut self, _: Height, _: u32, block: &[u8]) -> Check {
        Check::Valid(id(block))
    }
    fn commit(&mut self, block: &[u8], certificate: &Certificate) -> Result<(), ApplicationError> {
        let height = certificate.height;
        self.tip = (height, certificate.block_id);
        self.kept
            .insert(height, (block.to_vec(), certificate.clone()));
        let oldest = height.get().saturating_sub(KEPT_COUNT);
        self.kept.retain(|height, _| height.get() > oldest);
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default().as_micros() as f64 / 1e3;
        // Nobody but the first is read; a closed pipe is the end of the measurement.
        writeln!(std::io::stdout(), "{now}").ok();
        Ok(())
    }
    fn block(&self, height: Height) -> Option<(Vec<u8>, Certificate)> {
        self.kept.get(&height).cloned()
    }
    fn history_min(&self) -> Height {
        self.kept.keys().next().copied().unwrap_or(Height::new(1))
    }
    fn evidence(&mut self, _: DoubleSign) {}
}
