//! Rotation: a validator changes the key that signs votes and proposals, and keeps everything else.
//!
//! A validator is named by its operator, and its operator's key is its first consensus key. Its
//! holder names another one, which proves that it agrees; with the epoch that ends next the new key
//! takes the old one's place in the sets. What a key signed is its validator's for ever: evidence
//! about an old key reaches the same stake, and no key is ever another's. But once an old key is in
//! no set any more nothing that it signs for later heights counts, so whoever finds it cannot harm
//! the validator that put it away.

use crate::{
    Rejection, View,
    auditor::Verifier,
    event::Event,
    run,
    state::Record,
    validator::{Sets, Validator},
};
use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{Address, Height, PublicKey, staking::Succession};

/// The consensus keys of an operator that rotated, or is about to, by operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Rotation {
    /// In force.
    pub key: PublicKey,
    /// In force from the next epoch on.
    pub next: Option<PublicKey>,
}

impl Record for Rotation {
    const TABLE: u8 = 49;
    type Key = Address;
}

/// Whose a consensus key is or was, by key; of operators that never rotated there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Owned {
    /// The validator.
    pub operator: Address,
    /// The block with which another took its place.
    pub retired_at: Option<Height>,
}

impl Record for Owned {
    const TABLE: u8 = 50;
    type Key = PublicKey;
}

impl Owned {
    /// The last height that the key could decide; sets follow two blocks later.
    #[must_use]
    pub fn last_height(&self) -> Option<Height> {
        self.retired_at.map(Height::next)
    }
}

/// The key that signs for an operator.
#[must_use]
pub fn key_of(view: &View<'_>, operator: Address) -> PublicKey {
    let rotation: Option<Rotation> = view.get(&operator);
    rotation.map_or(operator, |rotation| rotation.key)
}

/// The key that decides the next height for an operator. Sets follow two blocks after the epoch, so
/// for a block the old key is still waited for while [`key_of`] is the new one, and who puts it
/// away then is absent. Of an operator without power it is [`key_of`].
#[must_use]
pub fn signing_key(view: &View<'_>, operator: Address) -> PublicKey {
    let keys = Sets::of(view).current.into_iter().map(|(key, _)| key);
    let mut own = keys.filter(|key| operator_of(view, *key) == Some(operator));
    own.next().unwrap_or_else(|| key_of(view, operator))
}

/// Whose a consensus key is, or was.
#[must_use]
pub fn operator_of(view: &View<'_>, key: PublicKey) -> Option<Address> {
    let owned: Option<Owned> = view.get(&key);
    match owned {
        Some(owned) => Some(owned.operator),
        None => view.get::<Validator>(&key).map(|_| key),
    }
}

/// Whether a key is or was a validator's, or a verifier's.
#[must_use]
pub fn is_taken(view: &View<'_>, key: PublicKey) -> bool {
    operator_of(view, key).is_some() || view.get::<Verifier>(&key).is_some()
}

/// Names a validator's next key.
///
/// # Errors
/// When the sender is not the holder, the validator is out, it rotates already, the key is taken,
/// or did not agree.
pub fn rotate(
    view: &mut View<'_>,
    sender: Address,
    succession: &Succession,
) -> Result<Vec<Event>, Rejection> {
    let Succession { operator, key, .. } = *succession;
    let validator: Validator = view
        .get(&operator)
        .ok_or(Rejection::ValidatorUnknown { operator })?;
    if validator.holder != sender {
        return Err(Rejection::NotHolder { operator, sender });
    }
    validator.check_in(operator)?;
    let before: Option<Rotation> = view.get(&operator);
    if let Some(next) = before.and_then(|rotation| rotation.next) {
        return Err(Rejection::RotationPending { operator, next });
    }
    if is_taken(view, key) {
        return Err(Rejection::KeyTaken { key });
    }
    if !succession.is_for(run::tip(view).chain) {
        return Err(Rejection::SuccessionForged { operator, key });
    }
    let in_force = before.map_or(operator, |rotation| rotation.key);
    for owned in [in_force, key] {
        let retired_at = None;
        view.put(
            &owned,
            &Owned {
                operator,
                retired_at,
            },
        );
    }
    let rotation = Rotation {
        key: in_force,
        next: Some(key),
    };
    view.put(&operator, &rotation);
    Ok(vec![Event::KeyNamed { operator, key }])
}

/// Puts named keys in force, at the end of an epoch.
pub(crate) fn turn(view: &mut View<'_>, height: Height) -> Vec<Event> {
    let mut events = Vec::new();
    for (operator, rotation) in view.scan::<Rotation>(&()) {
        let Some(key) = rotation.next else {
            continue;
        };
        let retired_at = Some(height);
        view.put(
            &rotation.key,
            &Owned {
                operator,
                retired_at,
            },
        );
        view.put(&operator, &Rotation { key, next: None });
        events.push(Event::KeyRotated { operator, key });
    }
    events
}
