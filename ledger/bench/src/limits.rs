//! The machine's own limits: signatures that one core can verify in a second.

use crate::clock::{median, timed};
use anyhow::Result;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

/// Signatures verified together: as many as a busy block has.
const BATCH_COUNT: usize = 2_048;
/// Repetitions, of which the middle one counts.
const ROUNDS: usize = 7;

/// Microseconds of one signature.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Verified together by `ed25519-dalek`.
    pub(crate) batch_us: f64,
    /// Verified strictly, one after the other.
    pub(crate) strict_us: f64,
}

/// Measures them.
pub(crate) fn measure() -> Result<Limits> {
    let messages: Vec<[u8; 32]> = (0..BATCH_COUNT)
        .map(|index| {
            let mut message = [7; 32];
            message[..8].copy_from_slice(&index.to_le_bytes());
            message
        })
        .collect();
    let keys: Vec<SigningKey> = messages.iter().map(SigningKey::from_bytes).collect();
    let signed = keys.iter().zip(&messages);
    let signatures: Vec<Signature> = signed.map(|(key, message)| key.sign(message)).collect();
    let public: Vec<VerifyingKey> = keys.iter().map(SigningKey::verifying_key).collect();
    let bytes: Vec<[u8; 32]> = public.iter().map(VerifyingKey::to_bytes).collect();
    let messages: Vec<&[u8]> = messages.iter().map(<[u8; 32]>::as_slice).collect();
    let (mut batch, mut strict) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        // Keys arrive as bytes, so reading them counts.
        let (result, us) = timed(|| {
            let keys = bytes.iter().map(VerifyingKey::from_bytes);
            let keys = keys.collect::<Result<Vec<_>, _>>()?;
            ed25519_dalek::verify_batch(&messages, &signatures, &keys)
        });
        result?;
        batch.push(us / BATCH_COUNT as f64);
        let (result, us) = timed(|| {
            let mut all = bytes.iter().zip(&messages).zip(&signatures);
            all.try_for_each(|((key, message), signature)| {
                VerifyingKey::from_bytes(key)?.verify_strict(message, signature)
            })
        });
        result?;
        strict.push(us / BATCH_COUNT as f64);
    }
    Ok(Limits {
        batch_us: median(batch),
        strict_us: median(strict),
    })
}
