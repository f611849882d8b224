//! The smallest engine: one validator, no network, no clock, one call per block.

use crate::{
    Application, ApplicationError, Certificate, CertificateError, Check,
    application::BLOCK_BYTES_MAX,
};
use protocol::{BlockId, ChainId, Height, SigningKey};

/// Drives an application as the only validator of its chain.
///
/// The path is the real one: propose, check, sign, verify the certificate, commit. Only the
/// voting is missing, because there is nobody to vote with.
#[derive(Debug)]
pub struct SoloEngine<A> {
    application: A,
    chain: ChainId,
    key: SigningKey,
}

/// Why no block was committed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SoloError {
    /// The application refused to build or to commit.
    #[error("height {height}: {source}")]
    Application {
        /// The height in question.
        height: Height,
        /// What it said.
        source: ApplicationError,
    },
    /// The application built a larger block than it was allowed.
    #[error("height {height}: own block has {bytes} bytes; at most {bytes_max} are allowed")]
    TooLarge {
        /// The height in question.
        height: Height,
        /// Bytes of the block.
        bytes: usize,
        /// The limit.
        bytes_max: u32,
    },
    /// The application does not accept its own block.
    #[error("height {height}: own block is refused: {reason}")]
    Refused {
        /// The height in question.
        height: Height,
        /// What it said.
        reason: String,
    },
    /// The key alone is not a quorum.
    #[error("height {height}: {source}")]
    Certificate {
        /// The height in question.
        height: Height,
        /// What is missing.
        source: CertificateError,
    },
}

impl<A: Application> SoloEngine<A> {
    /// An engine that has decided nothing yet.
    pub fn new(application: A, chain: ChainId, key: SigningKey) -> Self {
        Self {
            application,
            chain,
            key,
        }
    }

    /// Decides and commits the next block.
    ///
    /// # Errors
    /// See [`SoloError`]; nothing is committed then.
    pub fn step(&mut self, now_ms: u64) -> Result<(Height, BlockId), SoloError> {
        let height = self.application.tip().0.next();
        let params = self.application.params(height);
        let bytes_max = params.block_bytes_max.min(BLOCK_BYTES_MAX);
        let refuse = |source| SoloError::Application { height, source };

        let block = self
            .application
            .propose(height, 0, bytes_max, now_ms)
            .map_err(refuse)?;
        if block.len() > bytes_max as usize {
            return Err(SoloError::TooLarge {
                height,
                bytes: block.len(),
                bytes_max,
            });
        }
        let block_id = match self.application.check(height, 0, &block) {
            Check::Valid(block_id) => block_id,
            Check::Invalid { reason } => return Err(SoloError::Refused { height, reason }),
            Check::Later => {
                let reason = "it cannot be judged yet".to_owned();
                return Err(SoloError::Refused { height, reason });
            }
        };
        let certificate = Certificate::sign(self.chain, height, block_id, &self.key);
        certificate
            .verify(self.chain, &params.validators)
            .map_err(|source| SoloError::Certificate { height, source })?;
        self.application
            .commit(&block, &certificate)
            .map_err(refuse)?;
        Ok((height, block_id))
    }

    /// The application, to look at.
    pub fn application(&self) -> &A {
        &self.application
    }
}
