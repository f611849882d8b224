//! All chance of this crate: a stream of bytes expanded from a seed.

/// The most bytes one draw may look at before it gives up on an unbiased choice. A byte is
/// rejected with probability below one half, so this is reached with probability below `2^-64`.
const REJECTION_COUNT_MAX: u32 = 64;

/// A deterministic stream of random choices: BLAKE3 in extendable-output mode.
///
/// The stream is `BLAKE3-XOF(derive-key(context), subject ‖ seed)`, where the context separates
/// uses of the same seed (prompts, corpus slices) and the subject separates environments.
#[derive(Debug, Clone)]
pub struct Chance {
    reader: blake3::OutputReader,
}

impl Chance {
    /// Opens the stream of `seed` for one use (`context`) of one thing (`subject`).
    #[must_use]
    pub fn new(context: &str, subject: &[u8; 32], seed: &[u8; 32]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(context);
        hasher.update(subject).update(seed);
        Self {
            reader: hasher.finalize_xof(),
        }
    }

    /// Draws an ASCII digit, each of the ten equally likely.
    pub fn digit(&mut self) -> u8 {
        // 250 is the largest multiple of ten that a byte can reach: larger bytes are redrawn.
        let byte = (0..REJECTION_COUNT_MAX)
            .map(|_| self.byte())
            .find(|&byte| byte < 250)
            .unwrap_or(0);
        b'0'.saturating_add(byte.checked_rem(10).unwrap_or(0))
    }

    /// Draws a position below `count` as the next eight bytes, little-endian, modulo `count`; zero
    /// if `count` is zero. The bias is below `count / 2^64`.
    pub fn below(&mut self, count: u64) -> u64 {
        let mut bytes = [0; 8];
        self.reader.fill(&mut bytes);
        u64::from_le_bytes(bytes).checked_rem(count).unwrap_or(0)
    }

    fn byte(&mut self) -> u8 {
        let mut byte = [0];
        self.reader.fill(&mut byte);
        let [byte] = byte;
        byte
    }
}
