//! Accounts: balance and nonce; transfers.

use crate::{Rejection, View, event::Event, state::Record};
use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{Address, Amount, Nonce};

/// An account; one that was never written is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Account {
    /// Tokens free to spend.
    pub balance: Amount,
    /// Transactions applied.
    pub nonce: Nonce,
}

impl Record for Account {
    const TABLE: u8 = 1;
    type Key = Address;
}

/// Reads an account.
#[must_use]
pub fn account(view: &View<'_>, address: Address) -> Account {
    view.get(&address).unwrap_or_default()
}

/// Adds to a balance.
///
/// # Panics
/// When the balance would exceed all tokens there are, which supply conservation excludes.
pub fn credit(view: &mut View<'_>, address: Address, amount: Amount) {
    let mut account = account(view, address);
    account.balance = account
        .balance
        .plus(amount)
        .expect("invariant: supply fits in 64 bits");
    view.put(&address, &account);
}

/// Takes from a balance.
///
/// # Errors
/// When it is too low.
pub fn debit(view: &mut View<'_>, address: Address, amount: Amount) -> Result<(), Rejection> {
    let mut account = account(view, address);
    account.balance = account
        .balance
        .minus(amount)
        .ok_or(Rejection::BalanceTooLow {
            balance: account.balance,
            needed: amount,
        })?;
    view.put(&address, &account);
    Ok(())
}

/// Checks the nonce and counts the transaction.
///
/// # Errors
/// When it is not the account's next.
pub fn advance_nonce(view: &mut View<'_>, sender: Address, found: Nonce) -> Result<(), Rejection> {
    let mut account = account(view, sender);
    if found != account.nonce {
        return Err(Rejection::NonceMismatch {
            found,
            expected: account.nonce,
        });
    }
    account.nonce = account.nonce.next();
    view.put(&sender, &account);
    Ok(())
}

/// Moves tokens.
///
/// # Errors
/// When nothing would move or the balance is too low.
pub fn transfer(
    view: &mut View<'_>,
    from: Address,
    to: Address,
    amount: Amount,
) -> Result<Vec<Event>, Rejection> {
    if amount == Amount::ZERO {
        return Err(Rejection::TransferOfNothing);
    }
    debit(view, from, amount)?;
    credit(view, to, amount);
    Ok(vec![Event::Transferred { from, to, amount }])
}
