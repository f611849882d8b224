//! Random histories of stake: the chain's invariants hold at every block (supply, cap, every
//! validator's stake is its stakers', replica and rejections leave no trace), nobody's tokens
//! vanish, and power is what its rule says.

use super::{block_without, contradiction::evidence, registration, restake, setup, stake, unstake};
use crate::support::{Chain, Setup, key};
use governance::parameters::Name;
use ledger_state::{
    check_transaction,
    staking::{epoch, stake as staking},
    validator::{Sets, Standing, Validator, powers},
};
use protocol::{Address, SigningKey, transaction::Body};

/// Xorshift: the tests need variety, not quality.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
    fn index(&mut self, count: usize) -> usize {
        usize::try_from(self.roll(u64::try_from(count).unwrap())).unwrap()
    }
    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.index(from.len())].clone()
    }
}

struct World {
    chain: Chain,
    dice: Dice,
    owners: Vec<SigningKey>,
    operators: Vec<SigningKey>,
    applied: [u64; 9],
    /// Who does not propose for now.
    absent: Option<Address>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut setup = Setup {
            stakes: vec![60_000, 50_000, 40_000, 30_000],
            miners_count: 6,
            balance: 200_000,
            to_mint: 500_000,
            ..setup()
        };
        setup.parameters.extend([
            (Name::JailTurns, 2),
            (Name::JailBlocks, 6),
            (Name::UnbondingDays, 8),
            (Name::SlashDelayDays, 3),
            (Name::PowerCap, 200_000),
            (Name::EmissionRate, 1_000),
        ]);
        let mut chain = Chain::start(&setup);
        let operators: Vec<SigningKey> = (0..4)
            .map(|index| chain.operator(index))
            .chain((0..5).map(|index| key("late operator", index)))
            .collect();
        chain.keys.extend(operators.iter().cloned());
        let owners = (0..6)
            .map(|index| chain.miner(index))
            .chain((0..4).map(|index| chain.holder(index)))
            .collect();
        Self {
            chain,
            dice: Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1),
            owners,
            operators,
            applied: [0; 9],
            absent: None,
        }
    }
    fn amount(&mut self) -> u64 {
        let scale = self.dice.pick(&[1, 50, 1_000, 20_000, 200_000]);
        self.dice.roll(scale) + 1
    }
    /// Somebody wants something, sensible or not.
    fn wish(&mut self) -> (usize, SigningKey, Body) {
        let owner = self.dice.pick(&self.owners);
        let mut operator = self.dice.pick(&self.operators);
        let kind = self.dice.index(9);
        if kind == 6 {
            operator = self.jailed().unwrap_or(operator);
        }
        let (at, amount) = (operator.address(), self.amount());
        let body = match kind {
            0 | 1 => stake(at, amount),
            2 => unstake(at, self.dice.pick(&[amount, self.has(at, owner.address())])),
            3 => {
                let to = self.dice.pick(&self.operators).address();
                restake(
                    at,
                    to,
                    self.dice.pick(&[amount, self.has(at, owner.address())]),
                )
            }
            4 => Body::ClaimRewards { operator: at },
            5 => registration(&self.chain, &owner, &operator, amount),
            6 => Body::Unjail { operator: at },
            7 => {
                let commission = protocol::Micro::new(self.dice.roll(30_000));
                Body::SetCommission {
                    operator: at,
                    commission,
                }
            }
            // Rarely, or nobody is left.
            _ if self.dice.roll(25) == 0 => {
                let height = self.chain.height().get().saturating_sub(self.dice.roll(6));
                evidence(&self.chain, &operator, height)
            }
            _ => Body::ClaimRewards { operator: at },
        };
        let sender = if kind == 6 { operator } else { owner };
        (kind, sender, body)
    }
    fn jailed(&self) -> Option<SigningKey> {
        let view = self.chain.view();
        let is_jailed = |key: &&SigningKey| {
            let found: Option<Validator> = view.get(&key.address());
            found.is_some_and(|v| matches!(v.standing, Standing::Jailed { .. }))
        };
        self.operators.iter().find(is_jailed).cloned()
    }
    fn has(&self, operator: Address, owner: Address) -> u64 {
        staking::of(&self.chain.view(), operator, owner)
            .amount
            .get()
    }
    fn step(&mut self) {
        if self.dice.roll(12) == 0 {
            let operator = self.dice.pick(&self.operators[..4]).address();
            self.absent = (self.dice.roll(3) > 0).then_some(operator);
        }
        if let Some(absent) = self.absent {
            let set = Sets::of(&self.chain.view()).current;
            if set.iter().any(|(operator, _)| *operator != absent) {
                block_without(&mut self.chain, absent);
            }
        }
        let mut content = Vec::new();
        for _ in 0..self.dice.roll(6) {
            let (kind, sender, body) = self.wish();
            let mut trial = content.clone();
            trial.push((sender, body));
            if self.is_valid(&trial) {
                self.applied[kind] += 1;
                content = trial;
            }
        }
        self.chain.block(content);
        self.check();
    }
    fn is_valid(&self, content: &[(SigningKey, Body)]) -> bool {
        let mut view = self.chain.view();
        let signed = self.chain.sign(content.to_vec());
        signed
            .iter()
            .all(|transaction| check_transaction(&mut view, transaction).is_ok())
    }
    /// What `Chain` does not check at every block.
    fn check(&self) {
        let view = self.chain.view();
        let powers = powers(&view);
        assert!(!powers.is_empty());
        let all = view.scan::<Validator>(&());
        for (operator, validator) in &all {
            let may = matches!(validator.standing, Standing::Bonded);
            assert!(
                may || validator.power == 0 || powers.len() == 1,
                "{operator}"
            );
        }
        let begun = epoch::Epoch::of(&view).power;
        let now: u64 = powers.iter().map(|(_, power)| power).sum();
        assert!(now <= begun, "power grows with epochs only");
        // What stakers may claim is in the pot.
        for (operator, validator) in &all {
            let stakes = view.scan::<staking::Stake>(operator).into_iter();
            let owed = stakes.map(|((_, owner), _)| {
                ledger_state::staking::reward::claimable(&view, *operator, owner).get()
            });
            assert!(owed.sum::<u64>() <= validator.pot.get(), "{operator}");
        }
    }
}

#[test]
fn random_histories_keep_every_token_and_the_rules_of_power() {
    let from: u64 = std::env::var("SEED").map_or(1, |seed| seed.parse().unwrap());
    let count: u64 = std::env::var("HISTORIES").map_or(6, |count| count.parse().unwrap());
    let mut applied = [0; 9];
    for seed in from..from + count {
        eprintln!("seed {seed}");
        let mut world = World::new(seed);
        for _ in 0..120 {
            world.step();
        }
        for (sum, one) in applied.iter_mut().zip(world.applied) {
            *sum += one;
        }
    }
    eprintln!("applied by kind: {applied:?}");
    if count >= 6 {
        assert!(applied.iter().all(|count| *count > 0), "{applied:?}");
    }
}
