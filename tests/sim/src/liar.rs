//! Validators that lie. Together they must have less than a third of the power.

use ledger_consensus::stock::core_engine::{Contradiction, contradict};
use protocol::{BlockId, ChainId, SigningKey};
use rand::{Rng as _, rngs::StdRng};

/// How one lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liar {
    /// The same key on two machines, each honest by itself and heard by others (Byzantine twins).
    Twin,
    /// To every peer it says now this, now that, now both.
    Equivocator,
    /// Says nothing at all.
    Silent,
    /// Speaks to some only, chosen anew every time.
    Selective,
}

impl Liar {
    /// Whether it contradicts itself before everybody, so that the chain must find out.
    #[must_use]
    pub const fn is_loud(self) -> bool {
        matches!(self, Self::Equivocator)
    }

    /// What one peer gets in place of a message.
    pub(crate) fn tells(
        self,
        chain: ChainId,
        key: &SigningKey,
        message: &[u8],
        random: &mut StdRng,
    ) -> Vec<Vec<u8>> {
        let honest = || vec![message.to_vec()];
        match self {
            Self::Twin => honest(),
            Self::Silent => Vec::new(),
            Self::Selective if random.gen_bool(0.5) => Vec::new(),
            Self::Selective => honest(),
            Self::Equivocator => {
                let how = match random.gen_bool(0.5) {
                    true => Contradiction::Nil,
                    false => Contradiction::Block(BlockId::from_bytes([random.r#gen(); 32])),
                };
                let Some(other) = contradict(chain, key, message, how) else {
                    return honest();
                };
                match random.gen_range(0..3) {
                    0 => honest(),
                    1 => vec![other],
                    _ => vec![message.to_vec(), other],
                }
            }
        }
    }
}
