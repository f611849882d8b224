//! Signs and numbers a participant's transactions, and signs again what got lost.
//!
//! Participants are level-triggered: at every block they say what they still *want* on the chain,
//! and the outbox turns what is not yet on its way into transactions. A transaction that is not in
//! a block after some blocks is given up together with everything after it, and whatever is still
//! wanted is signed anew from the account's nonce. So nothing depends on a message arriving.

use ledger_consensus::signer::{Request, Signer};
use protocol::{
    Address, ChainId, Height, Nonce, SigningKey,
    transaction::{Body, Fee, Transaction, Unverified},
};
use std::sync::Arc;

/// Blocks after which a transaction counts as lost.
const PATIENCE_BLOCKS: u64 = 10;

#[derive(Debug)]
struct Flight {
    body: Body,
    nonce: Nonce,
    since: Height,
}

/// Who signs.
#[derive(Debug)]
enum Keys {
    Own(SigningKey),
    /// Of this address.
    Signer(Address, Arc<dyn Signer>),
}

/// A participant's transactions on their way.
#[derive(Debug)]
pub struct Outbox {
    keys: Keys,
    chain: ChainId,
    flights: Vec<Flight>,
}

impl Outbox {
    /// An empty outbox.
    #[must_use]
    pub const fn new(key: SigningKey, chain: ChainId) -> Self {
        Self::with(Keys::Own(key), chain)
    }
    /// An empty outbox of a validator that asks its signer.
    #[must_use]
    pub fn of_signer(operator: Address, signer: Arc<dyn Signer>, chain: ChainId) -> Self {
        Self::with(Keys::Signer(operator, signer), chain)
    }
    const fn with(keys: Keys, chain: ChainId) -> Self {
        Self {
            keys,
            chain,
            flights: Vec::new(),
        }
    }
    /// Forgets what has arrived and, if something is overdue, everything.
    pub fn observe(&mut self, account: Nonce, height: Height) {
        self.flights.retain(|flight| flight.nonce >= account);
        let is_lost = |f: &Flight| height.get().saturating_sub(f.since.get()) > PATIENCE_BLOCKS;
        if self.flights.iter().any(is_lost) {
            self.flights.clear();
        }
    }
    /// Bodies on their way.
    pub fn in_flight(&self) -> impl Iterator<Item = &Body> {
        self.flights.iter().map(|flight| &flight.body)
    }
    /// Signs `body`, for the fee that `offer` finds right, unless it is on its way.
    pub fn sign(
        &mut self,
        body: &Body,
        (account, height): (Nonce, Height),
        offer: impl FnOnce(&Transaction) -> Fee,
    ) -> Option<Unverified> {
        if self.in_flight().any(|flying| flying == body) {
            return None;
        }
        let nonce = self
            .flights
            .iter()
            .map(|flight| flight.nonce.next())
            .fold(account, Nonce::max);
        let sender = match &self.keys {
            Keys::Own(key) => key.address(),
            Keys::Signer(operator, _) => *operator,
        };
        let content = Transaction::new(self.chain, sender, nonce, body.clone());
        let fee = offer(&content);
        let signed = self.signed(content.with_fee(fee))?;
        self.flights.push(Flight {
            body: body.clone(),
            nonce,
            since: height,
        });
        Some(signed)
    }
    fn signed(&self, content: Transaction) -> Option<Unverified> {
        let signer = match &self.keys {
            Keys::Own(key) => return Some(content.sign(key)),
            Keys::Signer(_, signer) => signer,
        };
        let request = Request::Transaction(Box::new(content.clone()));
        match signer.sign(&request) {
            Ok(signature) => Some(content.signed(signature)),
            Err(error) => {
                tracing::warn!(kind = content.body.kind(), "not signed: {error}");
                None
            }
        }
    }
    /// Takes back the last signed body, which was refused.
    pub fn refused(&mut self, body: &Body) {
        if self
            .flights
            .last()
            .is_some_and(|flight| flight.body == *body)
        {
            self.flights.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbox() -> Outbox {
        Outbox::new(SigningKey::from_seed([1; 32]), ChainId::from_bytes([2; 32]))
    }

    const fn free(_: &Transaction) -> Fee {
        Fee::NONE
    }

    fn transfer(amount: u64) -> Body {
        let to = SigningKey::from_seed([3; 32]).address();
        Body::Transfer {
            to,
            amount: protocol::Amount::new(amount),
        }
    }

    #[test]
    fn what_is_on_its_way_is_not_signed_twice_and_nonces_follow() {
        let mut outbox = outbox();
        let nonce = |signed: Option<Unverified>| signed.map(|s| s.claimed().nonce.get());
        assert_eq!(
            nonce(outbox.sign(&transfer(1), (Nonce::new(5), Height::new(1)), free)),
            Some(5)
        );
        assert_eq!(
            nonce(outbox.sign(&transfer(1), (Nonce::new(5), Height::new(1)), free)),
            None
        );
        assert_eq!(
            nonce(outbox.sign(&transfer(2), (Nonce::new(5), Height::new(1)), free)),
            Some(6)
        );
        outbox.observe(Nonce::new(6), Height::new(2));
        assert_eq!(outbox.in_flight().count(), 1);
    }

    #[test]
    fn a_lost_transaction_is_signed_again_from_the_accounts_nonce() {
        let mut outbox = outbox();
        assert!(
            outbox
                .sign(&transfer(1), (Nonce::new(5), Height::new(1)), free)
                .is_some()
        );
        outbox.observe(Nonce::new(5), Height::new(1 + PATIENCE_BLOCKS));
        assert_eq!(outbox.in_flight().count(), 1);
        outbox.observe(Nonce::new(5), Height::new(2 + PATIENCE_BLOCKS));
        let again = outbox.sign(&transfer(1), (Nonce::new(5), Height::new(20)), free);
        assert_eq!(again.map(|s| s.claimed().nonce), Some(Nonce::new(5)));
    }
}
