//! People: they pay, stake, move, leave, register validators; some twice, some wrongly.

use crate::{Plan, machine::Machine, plan};
use node::chain::Chain;
use protocol::{
    Address, Amount, ChainId, Micro, Nonce, SigningKey,
    staking::{Consent, Succession},
    transaction::{Body, Fee, Transaction, Unverified},
};
use rand::{Rng as _, rngs::StdRng, seq::SliceRandom as _};

/// Makes transactions.
#[derive(Debug)]
pub(crate) struct Workload {
    chain: ChainId,
    /// Operators that people stake with: none that lies.
    honest: Vec<usize>,
    /// Nodes without stake, which may be registered.
    followers: Vec<usize>,
    /// What was said before and may be said again.
    said: Vec<Vec<u8>>,
}

/// Some of what was said.
const SAID_COUNT_MAX: usize = 64;

impl Workload {
    pub(crate) fn new(plan: &Plan, chain: ChainId) -> Self {
        let lies = |node: &usize| plan.liars.iter().any(|(liar, _)| liar == node);
        let stakes = plan.stakes.iter().enumerate();
        let followers = stakes.filter(|(_, stake)| **stake == 0);
        Self {
            chain,
            honest: (0..plan.stakes.len()).filter(|node| !lies(node)).collect(),
            followers: followers.map(|(node, _)| node).collect(),
            said: Vec::new(),
        }
    }

    /// Gives one node that runs one transaction, and sometimes another node a rival of it.
    pub(crate) fn act(&mut self, machines: &[Machine], random: &mut StdRng) {
        let running: Vec<&Machine> = machines.iter().filter(|m| m.process.is_some()).collect();
        let Some(machine) = running.choose(random) else {
            return;
        };
        let chain = &machine.process.as_ref().unwrap().chain;
        if let Some(old) = self.said.choose(random).filter(|_| random.gen_bool(0.1)) {
            // Refused, unless it was lost.
            drop(chain.submit(old));
            return;
        }
        let (sender, body) = self.wish(random);
        let mut nonce = chain.next_nonce(sender.address());
        if random.gen_bool(0.05) {
            nonce = Nonce::new(nonce.get().saturating_sub(1) + random.gen_range(0..4));
        }
        let first = self.sign(&sender, nonce, body, random).encode();
        drop(chain.submit(&first));
        self.said.push(first);
        if random.gen_bool(0.1) {
            let (_, rival) = self.wish(random);
            let rival = self.sign(&sender, nonce, rival, random).encode();
            if let Some(other) = running.choose(random) {
                drop(other.process.as_ref().unwrap().chain.submit(&rival));
            }
            self.said.push(rival);
        }
        while self.said.len() > SAID_COUNT_MAX {
            self.said.swap_remove(random.gen_range(0..SAID_COUNT_MAX));
        }
    }

    /// The holder of a validator names its successor.
    pub(crate) fn rotate(&self, chain: &Chain, node: usize) {
        let (holder, operator) = (plan::holder(node), plan::operator(node).address());
        let succession = Succession::new(self.chain, operator, &plan::successor(node));
        let fee = Fee {
            max: Amount::new(1_000_000),
            tip: Amount::new(200),
        };
        let nonce = chain.next_nonce(holder.address());
        let body = Body::RotateKey { succession };
        let content = Transaction::new(self.chain, holder.address(), nonce, body);
        drop(chain.submit(&content.with_fee(fee).sign(&holder).encode()));
    }

    fn sign(
        &self,
        sender: &SigningKey,
        nonce: Nonce,
        body: Body,
        random: &mut StdRng,
    ) -> Unverified {
        let fee = Fee {
            max: Amount::new(1_000_000),
            tip: Amount::new(random.gen_range(0..200)),
        };
        let content = Transaction::new(self.chain, sender.address(), nonce, body);
        content.with_fee(fee).sign(sender)
    }

    fn someone(random: &mut StdRng) -> SigningKey {
        plan::person(random.gen_range(0..plan::PEOPLE_COUNT))
    }

    fn validator(&self, random: &mut StdRng) -> usize {
        *self.honest.choose(random).unwrap()
    }

    fn wish(&self, random: &mut StdRng) -> (SigningKey, Body) {
        let sender = Self::someone(random);
        let operator = plan::operator(self.validator(random)).address();
        // Small beside the validators' own, so that who lies never gets a third.
        let amount = Amount::new(random.gen_range(50..3_000));
        let body = match random.gen_range(0..16) {
            0..=7 => Body::Transfer {
                to: Self::receiver(random),
                amount,
            },
            8 | 9 => Body::Stake { operator, amount },
            10 => Body::Unstake { operator, amount },
            11 => Body::Restake {
                from: operator,
                to: plan::operator(self.validator(random)).address(),
                amount,
            },
            12 => Body::ClaimRewards { operator },
            13 => return self.of_holder(random),
            _ => return self.registration(random),
        };
        (sender, body)
    }

    fn receiver(random: &mut StdRng) -> Address {
        match random.gen_bool(0.5) {
            true => Self::someone(random).address(),
            false => Address::from_bytes(random.r#gen()),
        }
    }

    /// What only who owns a validator may do.
    fn of_holder(&self, random: &mut StdRng) -> (SigningKey, Body) {
        let node = self.validator(random);
        let operator = plan::operator(node).address();
        let body = match random.gen_bool(0.5) {
            true => Body::SetCommission {
                operator,
                commission: Micro::new(random.gen_range(0..300_000)),
            },
            false => Body::ClaimRewards { operator },
        };
        (plan::holder(node), body)
    }

    fn registration(&self, random: &mut StdRng) -> (SigningKey, Body) {
        let Some(node) = self.followers.choose(random) else {
            return self.of_holder(random);
        };
        let holder = plan::holder(*node);
        let consent = Consent::new(self.chain, holder.address(), &plan::operator(*node));
        let body = Body::RegisterValidator {
            consent,
            stake: Amount::new(random.gen_range(20_000..90_000)),
            commission: Micro::new(100_000),
        };
        (holder, body)
    }
}
