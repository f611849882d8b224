//! The port through which consensus drives the chain.

use super::{Chain, Shared, certificate_bytes};
use adversaries::Cheat;
use governance::upgrade;
use ledger_consensus::{
    Application, ApplicationError, Certificate, Check, DoubleSign, HeightParams, Validator,
    ValidatorSet,
    signer::{LocalSigner, Signer},
};
use ledger_state::{apply, beacon, run, select, validator::Sets};
use protocol::{
    Address, BlockId, Height, SigningKey, StateRoot,
    block::{self, Block, Header, TRANSACTIONS_COUNT_MAX, VERSION_MAX},
    codec::{decode, encode},
};
use std::sync::Arc;

/// What consensus sees of the chain.
#[derive(Debug)]
pub struct ChainApplication {
    chain: Arc<Chain>,
    /// As whom it proposes.
    own: Address,
    signer: Arc<dyn Signer>,
    block_interval_ms: u64,
    /// The highest version of the rules that this program speaks.
    pub(crate) speaks: u32,
    /// How it deceives, to test the network's defences.
    pub(crate) cheat: Option<Cheat>,
}

impl ChainApplication {
    /// The port of this validator; blocks at least `block_interval_ms` apart.
    #[must_use]
    pub fn new(chain: Arc<Chain>, operator: &SigningKey, block_interval_ms: u64) -> Self {
        // Its randomness alone is asked for here, so it needs no history.
        let key = operator.clone();
        let signer = LocalSigner::new(chain.id(), key.clone(), key, None);
        Self::with_signer(
            chain,
            (operator.address(), Arc::new(signer)),
            block_interval_ms,
        )
    }
    /// The port of the validator that this signer signs for.
    #[must_use]
    pub fn with_signer(
        chain: Arc<Chain>,
        (own, signer): (Address, Arc<dyn Signer>),
        block_interval_ms: u64,
    ) -> Self {
        Self {
            chain,
            own,
            signer,
            block_interval_ms,
            speaks: VERSION_MAX,
            cheat: None,
        }
    }
}

fn failed(reason: impl ToString) -> ApplicationError {
    ApplicationError::Failed {
        reason: reason.to_string(),
    }
}

impl Application for ChainApplication {
    fn tip(&self) -> (Height, BlockId) {
        self.chain.view(|view| {
            let tip = run::tip(view);
            (tip.height, tip.block)
        })
    }

    fn params(&self, _: Height) -> HeightParams {
        let sets = self.chain.view(Sets::of);
        let validators = sets
            .current
            .into_iter()
            .map(|(key, power)| Validator { key, power })
            .collect::<Vec<_>>();
        let set = ValidatorSet::new(validators)
            .expect("invariant: an epoch, a jail and a freeze leave somebody power");
        let mut params = HeightParams::new(set);
        params.block_interval_ms = self.block_interval_ms;
        params
    }

    fn propose(
        &mut self,
        height: Height,
        round: u32,
        _bytes_max: u32,
        now_ms: u64,
    ) -> Result<Vec<u8>, ApplicationError> {
        let shared = self.chain.read();
        let view = shared.state.view();
        let tip = run::tip(&view);
        if height != tip.height.next() {
            let reason = format!("height {height} was asked for; the tip is {}", tip.height);
            return Err(ApplicationError::Unavailable { reason });
        }
        let proved = self.signer.prove(&beacon::input(&view));
        let (_, beacon_proof) = proved.map_err(|error| ApplicationError::Unavailable {
            reason: error.to_string(),
        })?;
        let withholds = |cheat: Cheat| cheat.withholds_block(&encode(&beacon_proof));
        if self.cheat.is_some_and(withholds) {
            let reason = "the beacon that it would give is not liked".to_owned();
            return Err(ApplicationError::Unavailable { reason });
        }
        let candidates = shared.mempool.candidates();
        // Selection keeps to the block limit of the protocol, which `params` tells the engine too.
        let chosen = select(&shared.state, candidates, TRANSACTIONS_COUNT_MAX);
        let (validators, next_validators) = Sets::of(&view).hashes();
        let header = Header {
            version: upgrade::version_at(&view, height),
            chain: self.chain.id,
            height,
            round,
            parent: tip.block,
            time_ms: now_ms.max(tip.time_ms),
            proposer: self.own,
            state_root: shared.state.root(),
            transactions_root: StateRoot::from_bytes([0; 32]),
            validators,
            next_validators,
            beacon_proof,
        };
        let block = block::Verified::assemble(header, chosen);
        Ok(block.to_block().map_err(failed)?.encode())
    }

    fn check(&mut self, height: Height, round: u32, bytes: &[u8]) -> Check {
        // What it does not understand it neither judges nor votes for.
        if self.chain.outdated(self.speaks).is_some() {
            return Check::Later;
        }
        let invalid = |reason: String| Check::Invalid { reason };
        let block = match Block::decode(bytes) {
            Ok(block) => block,
            Err(error) => return invalid(error.to_string()),
        };
        let built = block.header.round;
        if built > round {
            return invalid(format!("block says round {built}; it is of round {round}"));
        }
        let mut guard = self.chain.write();
        let shared: &mut Shared = &mut guard;
        if let Some((checked, _)) = &shared.checked
            && checked.id() == block.header.id()
            && checked.header().transactions_root == Block::root_of(block.transactions.as_slice())
        {
            return Check::Valid(checked.id());
        }
        let tip = run::tip(&shared.state.view()).height;
        if height > tip.next() {
            return Check::Later;
        }
        if block.header.height != height {
            return invalid(format!(
                "block has height {}; {height} is due",
                block.header.height
            ));
        }
        let waiting = &shared.mempool;
        let known = |sender, nonce| waiting.get(sender, nonce);
        let verified = match block.verify_knowing(self.chain.id, known) {
            Ok(verified) => verified,
            Err(error) => return invalid(error.to_string()),
        };
        match apply(&shared.state, &verified) {
            Ok(transition) => {
                let id = verified.id();
                shared.checked = Some((verified, transition));
                Check::Valid(id)
            }
            Err(rejection) => invalid(format!("rejection {}: {rejection}", rejection.code())),
        }
    }

    fn commit(&mut self, bytes: &[u8], certificate: &Certificate) -> Result<(), ApplicationError> {
        if let Some(reason) = self.chain.outdated(self.speaks) {
            return Err(ApplicationError::Failed { reason });
        }
        if let Check::Invalid { reason } = self.check(certificate.height, certificate.round, bytes)
        {
            return Err(ApplicationError::Failed { reason });
        }
        let checked = self.chain.write().checked.take();
        let Some((block, transition)) = checked else {
            return Err(failed(format!(
                "block {} cannot be checked yet",
                certificate.height
            )));
        };
        if block.id() != certificate.block_id {
            return Err(failed(format!(
                "certificate is for block {}; the body is block {}",
                certificate.block_id,
                block.id()
            )));
        }
        self.chain
            .commit(&block, transition, bytes, &certificate_bytes(certificate))
            .map_err(failed)
    }

    fn block(&self, height: Height) -> Option<(Vec<u8>, Certificate)> {
        let stored = match self.chain.store.block(height) {
            Ok(stored) => stored?,
            Err(error) => {
                tracing::error!(%height, "{error}");
                return None;
            }
        };
        let certificate = decode("certificate", &stored.certificate, 1 << 20).ok()?;
        Some((stored.block, certificate))
    }

    fn history_min(&self) -> Height {
        self.chain.store.first().unwrap_or_else(|error| {
            tracing::error!("{error}");
            Height::new(1)
        })
    }

    fn evidence(&mut self, evidence: DoubleSign) {
        self.chain.note_double_sign(evidence);
    }
}
